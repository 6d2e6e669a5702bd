//! Is this process single-threaded?
//!
//! # Safety
//!
//! This file opens `unsafe` for one call of `unshare` with a flag that changes nothing.
#![allow(unsafe_code)]

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The names of the other threads of this process; empty if there are none.
///
/// `unshare(CLONE_VM)` is a question in the shape of a command: the kernel refuses it with EINVAL exactly
/// when someone else (a thread, or a process made by a raw `clone(CLONE_VM)`) uses this memory, and otherwise
/// does nothing. It costs a quarter of a microsecond; listing `/proc/self/task` costs ten.
///
/// Right after `thread.join()` the kernel may still count the thread for some milliseconds, since join returns
/// before the thread has left the kernel; `thread::scope` returns even before its threads' thread-locals are dropped.
/// So who is counted is given a moment to end, where `wait` says so.
pub(crate) fn others(wait: bool) -> io::Result<Vec<String>> {
    let start = Instant::now();
    let mut alone_at = None;
    loop {
        // SAFETY: with CLONE_VM alone, unshare never changes anything: it either finds that there is nobody
        // to unshare from, or refuses.
        if unsafe { libc::unshare(libc::CLONE_VM) } == 0 {
            return Ok(Vec::new());
        }
        let refusal = io::Error::last_os_error();
        let tasks = tasks()?;
        let asked = refusal.raw_os_error() == Some(libc::EINVAL);
        if !asked && tasks.living.is_empty() {
            // A sandbox forbids the call: then the list of tasks is the answer.
            return Ok(tasks.living);
        }
        let (who, patience) = match tasks {
            Tasks { living, .. } if !living.is_empty() => (living, Duration::from_millis(20)),
            // Who is on the way out needs a processor for that, which on a busy machine may take a while.
            Tasks { leaving: true, .. } => (
                vec!["(a thread that has ended, but is held in the kernel, as by a debugger)".to_owned()],
                Duration::from_secs(1),
            ),
            // The last may have left since the kernel was asked: who is left over is told by its answers from now on.
            Tasks { .. } => (
                vec!["(a process that shares this memory, made by clone with CLONE_VM)".to_owned()],
                *alone_at.get_or_insert_with(|| start.elapsed()) + Duration::from_millis(20),
            ),
        };
        if !wait || start.elapsed() >= patience {
            return Ok(who);
        }
        std::thread::yield_now();
    }
}

/// The other tasks of this process, as `/proc` lists them.
#[derive(Debug, Default)]
struct Tasks {
    /// Their names: up to 15 bytes of anything, so bytes that are no text are replaced.
    living: Vec<String>,
    /// Whether there are some that have run their last instruction of the program's.
    leaving: bool,
}

fn tasks() -> io::Result<Tasks> {
    let me = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut tasks = Tasks::default();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy() == me {
            continue;
        }
        match living_name(&entry.path()) {
            Ok(Some(name)) => tasks.living.push(name),
            Ok(None) => tasks.leaving = true,
            // A task that ends between the listing and the look is gone, which is as good as never listed.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tasks)
}

/// The name of a task; None if it is dead, or on its way out of the kernel.
fn living_name(task: &Path) -> io::Result<Option<String>> {
    let stat = std::fs::read(task.join("stat"))?;
    Ok(parse(&stat).ok_or(io::ErrorKind::InvalidData)?.map(|name| String::from_utf8_lossy(name).into_owned()))
}

/// The name in a `stat` of `/proc`, None if it says that the task is dead; None outside where it says nothing.
///
/// ```text
///   4711 (any 15 bytes) S 1 2 3 4 5 flags ...
/// ```
fn parse(stat: &[u8]) -> Option<Option<&[u8]>> {
    /// Of the kernel's `linux/sched.h`: set before a joiner can be woken, never cleared.
    const PF_EXITING: u32 = 4;
    let open = stat.iter().position(|&b| b == b'(')?;
    // The name may hold anything, brackets too; what follows its last bracket is regular.
    let close = stat.windows(2).rposition(|two| two == b") ")?;
    let name = stat.get(open + 1..close)?;
    let mut fields = stat[close + 2..].split(|&b| b == b' ');
    let state = fields.next()?.first()?;
    let flags: u32 = std::str::from_utf8(fields.nth(9 - 4)?).ok()?.parse().ok()?;
    Some((!matches!(state, b'X' | b'Z') && flags & PF_EXITING == 0).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn living_and_leaving_tasks_are_told_apart() {
        assert_eq!(parse(b"7 (a name) S 1 2 3 4 5 4194368 0 0"), Some(Some(&b"a name"[..])));
        assert_eq!(parse(b"7 (\xc3) Z (\xff) R 1 2 3 4 5 64 0 0"), Some(Some(&b"\xc3) Z (\xff"[..])));
        // PF_EXITING, whatever the state; and the dead.
        assert_eq!(parse(b"7 (a) R 1 2 3 4 5 4194372 0 0"), Some(None));
        assert_eq!(parse(b"7 (a) Z 1 2 3 4 5 0 0 0"), Some(None));
        assert_eq!(parse(b"7 (a) X 1 2 3 4 5 0 0 0"), Some(None));
        for torn in [&b""[..], b"7 (a)", b"7 (a) ", b"7 (a) R 1 2", b"7 (a) R 1 2 3 4 5 x 0", b") ("] {
            assert_eq!(parse(torn), None);
        }
    }
}
