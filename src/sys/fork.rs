//! `fork` and `_exit`.
//!
//! # Safety
//!
//! This file opens `unsafe` to call them. What makes a fork sound is decided above, in `process`; what is
//! done here is what every fork of ours needs whoever asked for it.
#![allow(unsafe_code)]

use std::io::{self, Write};

use rustix::process::Pid;

use super::{generation, map, signals};

/// Which side of the fork this is.
pub(crate) enum Side {
    Parent(Pid),
    Child,
}

/// Forks, through libc: its atfork handlers run, its cached thread id and its robust list are made right. The
/// raw system call does none of that, and every robust lock of the child would be a lie.
///
/// The list of our mappings is held across the call, so that the child finds it whole. Whatever is buffered for
/// stdout appears twice, unless the caller has called [`flush`].
///
/// # Safety
///
/// In the child only the calling thread exists. If the parent had others, the child may use only what is
/// async-signal-safe, until it execs or ends: any lock may be held for ever.
pub(crate) unsafe fn fork() -> io::Result<Side> {
    // Asked before the fork, so that the child's number is one that the parent has passed.
    generation::current();
    let registry = map::registry();
    // SAFETY: the caller answers for what the child does.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            map::fill_holes(&registry);
            drop(registry);
            generation::take();
            Ok(Side::Child)
        }
        pid => {
            drop(registry);
            Ok(Side::Parent(Pid::from_raw(pid).expect("fork returned neither -1 nor 0")))
        }
    }
}

/// As [`fork`], with all signals blocked on both sides, so that no handler of the parent runs in the child. `alone` says
/// that this process has one thread.
///
/// # Safety
///
/// As for [`fork`]. The child calls [`signals::Blocked::into_child`] before anything of the user's runs.
pub(crate) unsafe fn fork_with_signals_blocked(alone: bool) -> io::Result<(Side, signals::Blocked)> {
    let blocked = signals::Blocked::all(alone)?;
    // SAFETY: passed on to the caller.
    let side = unsafe { fork() }?;
    Ok((side, blocked))
}

/// Writes out what Rust and C have buffered for stdout. It takes the lock of stdout, so its caller holds none that a
/// thread which is about to print could want. Errors (a closed or broken stdout) are nobody's here:
/// the same bytes would have met them later.
pub(crate) fn flush() {
    let _ = io::stdout().flush();
    // SAFETY: C's stdout is a live stream for as long as the process is. fflush locks it for itself; __fpending only
    // subtracts two of its words without the lock, and where another thread prints meanwhile the difference is as
    // stale as any look would be: no address is made of it.
    unsafe {
        // Looked at first: a flush that has nothing to write still writes to the stream's lock, and after a fork the
        // first write to a page costs a copy of it.
        if __fpending(stdout) > 0 {
            libc::fflush(stdout);
        }
    }
}

unsafe extern "C" {
    /// C's standard output, in the C library's own words.
    static stdout: *mut libc::FILE;
    /// stdio_ext(3): how many bytes the buffer of a stream holds.
    fn __fpending(stream: *mut libc::FILE) -> usize;
}

/// Ends the process at once: no destructors, no atexit handlers, no buffers written.
#[doc(alias = "_exit")]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}
