//! Writing without SIGPIPE.
//!
//! A write to a pipe that nobody can read any more fails with EPIPE, and the kernel sends SIGPIPE besides, which
//! by default ends the program. Rust's runtime ignores it, but a library cannot lean on that: `main` may be C,
//! and whoever resets signals for a child brings the default back. There are three ways out:
//!
//! ```text
//!                                            write + read of 8 bytes
//!   plain write                              277 ns
//!   pwritev2(RWF_NOSIGNAL)                   304 ns   exact; Linux 6.18 has it
//!   sigaction(SIGPIPE) first, then write     380 ns   wrong when another thread changes it in between
//!   block SIGPIPE, write, take it, unblock   497 ns   exact, everywhere
//! ```
//!
//! So the kernel is asked first; where it does not know the flag, the thread's mask does it. The signal of a
//! broken pipe goes to the thread that wrote, so the mask of that thread is enough.
//!
//! # Safety
//!
//! This file opens `unsafe` for the calls on signal sets, which rustix does not offer. They take pointers to
//! sets on our own stack.
#![allow(unsafe_code)]

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, writev};

/// `RWF_NOSIGNAL` of `linux/fs.h`.
const NOSIGNAL: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x100);

/// The offset that makes pwritev2 a writev.
const NO_OFFSET: u64 = u64::MAX;

/// Whether the kernel has refused the flag. Relaxed: a stale answer costs one more refused call.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether a call may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// It may, unless the description is O_NONBLOCK.
    May,
    /// It answers EAGAIN instead, or [`unsupported`] where the kernel or the file cannot promise that.
    Never,
}

impl Sleep {
    fn flags(self) -> ReadWriteFlags {
        match self {
            Sleep::May => ReadWriteFlags::empty(),
            // For this one call: O_NONBLOCK would be set for everybody who shares the description.
            Sleep::Never => ReadWriteFlags::NOWAIT,
        }
    }
}

/// Whether `error` says that a flag is not known: by an old kernel, by this kind of file, or by a sandbox.
pub(super) fn unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM)
}

/// Reads what is there, without sleeping.
pub(super) fn read_now(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Result<usize, Errno> {
    preadv2(fd, &mut [IoSliceMut::new(buf)], NO_OFFSET, ReadWriteFlags::NOWAIT)
}

/// Writes `bufs` in one call. EPIPE comes without its signal.
pub(super) fn write(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], sleep: Sleep) -> Result<usize, Errno> {
    if !REFUSED.load(Ordering::Relaxed) {
        match pwritev2(fd, bufs, NO_OFFSET, sleep.flags() | NOSIGNAL) {
            Err(error) if unsupported(error) => {}
            done => return done,
        }
    }
    masked(|| match sleep {
        Sleep::May => writev(fd, bufs),
        Sleep::Never => pwritev2(fd, bufs, NO_OFFSET, sleep.flags()),
    })
    .inspect(|_| REFUSED.store(true, Ordering::Relaxed))
}

/// Runs `write` with SIGPIPE blocked in this thread, and takes away the one it raised.
#[cold]
fn masked(write: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    let sigpipe = sigpipe();
    // SAFETY: both pointers are to sets on this stack; the call cannot fail for SIG_BLOCK, and fills `before`.
    let was_blocked = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &sigpipe, before.as_mut_ptr());
        libc::sigismember(before.as_ptr(), libc::SIGPIPE) == 1
    };
    // One that was waiting already belongs to the program; a second one of the same kind merges with it.
    let was_pending = was_blocked && sigpipe_is_pending();
    let done = write();
    if done == Err(Errno::PIPE) && !was_pending {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the set and the time are on this stack; a null info is allowed.
        while unsafe { libc::sigtimedwait(&sigpipe, ptr::null_mut(), &now) } == -1
            && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
        {}
    }
    if !was_blocked {
        // SAFETY: as above; a null old set is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &sigpipe, ptr::null_mut()) };
    }
    done
}

fn sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set; SIGPIPE is a valid number for sigaddset.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

fn sigpipe_is_pending() -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set, so it is initialised even if sigpending were to fail.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigpending(set.as_mut_ptr());
        libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1
    }
}
