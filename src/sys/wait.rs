//! `waitid` on a pidfd, with the usage that rustix's does not return.
//!
//! # Safety
//!
//! This file opens `unsafe` for the raw system call, whose fifth argument no libc wrapper passes, and for one
//! ioctl that fills a plain struct.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A child that was reaped: its wait status as `waitpid` would give it, and what it used.
pub(crate) struct Reaped {
    pub(crate) status: i32,
    pub(crate) usage: libc::rusage,
}

/// Reaps the child behind `pidfd` if it has ended; None while it lives.
///
/// `ECHILD` means that somebody else reaped it (the program ignores SIGCHLD, or waits by itself).
pub(crate) fn try_reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Reaped>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to live, writable memory of the types that waitid fills.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                info.as_mut_ptr(),
                libc::WEXITED | libc::WNOHANG,
                usage.as_mut_ptr(),
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all-zero bytes are valid for both types, and waitid wrote over them.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: waitid fills the child fields, or leaves the pid zero where nobody has ended.
    let (pid, code, status) = unsafe { (info.si_pid(), info.si_code, info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(Reaped { status: wait_status(code, status), usage }))
}

/// The classical wait status for what `waitid` says in two words.
fn wait_status(code: i32, status: i32) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => (status & 0x7f) | 0x80,
        _ => status & 0x7f,
    }
}

/// The wait status of a process that somebody else reaped, from its pidfd. Linux 6.15 and later keep it.
pub(crate) fn status_after_reaping(pidfd: BorrowedFd<'_>) -> Option<i32> {
    /// `struct pidfd_info` as first published (64 bytes); the kernel fills what it knows of it.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    static_assertions::assert_eq_size!(PidfdInfo, [u8; 64]);
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    /// `_IOWR(0xFF, 11, struct pidfd_info)`
    const PIDFD_GET_INFO: u64 = (3 << 30) | (64 << 16) | (0xff << 8) | 11;

    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request number carries the size of the struct, and the kernel writes no more than that.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}
