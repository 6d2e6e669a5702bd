//! Is this process single-threaded?
//!
//! # Safety
//!
//! This file opens `unsafe` for one call of `unshare` with a flag that changes nothing.
#![allow(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

/// The names of the other threads of this process; empty if there are none.
///
/// `unshare(CLONE_VM)` is a question in the shape of a command: the kernel refuses it with EINVAL exactly
/// when someone else (a thread, or a process made by a raw `clone(CLONE_VM)`) uses this memory, and otherwise
/// does nothing. It costs a quarter of a microsecond; listing `/proc/self/task` costs ten.
///
/// Right after `thread.join()` the kernel may still count the thread for some milliseconds, since join returns
/// before the thread has left the kernel. So a refusal is asked again while `/proc` shows one task.
pub(crate) fn others() -> io::Result<Vec<String>> {
    let mut patience = None;
    loop {
        // SAFETY: with CLONE_VM alone, unshare never changes anything: it either finds that there is nobody
        // to unshare from, or refuses.
        if unsafe { libc::unshare(libc::CLONE_VM) } == 0 {
            return Ok(Vec::new());
        }
        let refusal = io::Error::last_os_error();
        let names = tasks()?;
        if refusal.raw_os_error() != Some(libc::EINVAL) || !names.is_empty() {
            // A sandbox may forbid the call: then the list of tasks is the answer.
            return Ok(names);
        }
        let deadline = *patience.get_or_insert_with(|| Instant::now() + Duration::from_millis(20));
        if Instant::now() >= deadline {
            return Ok(vec!["(a process that shares this memory, made by clone with CLONE_VM)".to_owned()]);
        }
        std::thread::yield_now();
    }
}

/// The names of the other tasks of this process, as `/proc` lists them.
fn tasks() -> io::Result<Vec<String>> {
    let me = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy() == me {
            continue;
        }
        // A task that ends between the listing and the look is gone, which is as good as never listed.
        let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
        // So is one that has ended but is still listed.
        if task_is_dead(&entry.path()) {
            continue;
        }
        names.push(name.trim_end().to_owned());
    }
    Ok(names)
}

fn task_is_dead(task: &std::path::Path) -> bool {
    let Ok(stat) = std::fs::read_to_string(task.join("stat")) else { return true };
    // The name in brackets may hold anything; what follows its last bracket is regular.
    matches!(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()), Some('X' | 'Z'))
}
