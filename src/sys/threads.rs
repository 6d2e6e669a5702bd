//! Is this process single-threaded?
//!
//! # Safety
//!
//! This file opens `unsafe` for one call of `unshare` with a flag that changes nothing.
#![allow(unsafe_code)]

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::stat::Stat;

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
    let stat = Stat::read(task.join("stat"))?;
    Ok((!stat.has_left()).then(|| String::from_utf8_lossy(&stat.name).into_owned()))
}
