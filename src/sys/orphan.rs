//! Children that die with their parent, whatever kills it.
//!
//! `PR_SET_PDEATHSIG` does it in one call, but it has a race and a trap:
//!
//! - the race: a parent that died *before* the child armed the signal never triggers it. So the child looks,
//!   after arming, whether its parent is still its parent.
//! - the trap: the signal is sent when the *thread* that forked ends, though its process lives on. So it is
//!   armed only for children of the main thread. Others hold a *lifeline*: the reading end of a pipe whose
//!   writing end only the parent has, set up so that the kernel sends SIGKILL when it closes.
//!
//! # Safety
//!
//! This file opens `unsafe` for three fcntl calls that rustix does not have, and for descriptors that two
//! processes know by number.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use rustix::process::{Pid, Signal};

use super::generation;
use super::standard::{above_standard, pipe_above_standard};

/// What a child needs to know of its parent; made before the fork.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent {
    pub(crate) pid: Pid,
    on_main_thread: bool,
}

/// The pipe by which the children of other threads than the main one notice this process's death.
struct Lifeline {
    generation: u64,
    reader: RawFd,
    writer: RawFd,
}

/// The lifeline of this process; of its parent, in a child that has not looked yet; null before the first.
static LIFELINE: AtomicPtr<Lifeline> = AtomicPtr::new(ptr::null_mut());

impl Parent {
    /// The calling process, as the parent of a child to come.
    pub(crate) fn here() -> io::Result<Parent> {
        let pid = rustix::process::getpid();
        let on_main_thread = rustix::thread::gettid() == pid;
        if !on_main_thread {
            ensure_lifeline()?;
        }
        Ok(Parent { pid, on_main_thread })
    }

    /// Whether its children live by a descriptor, which may be refused them.
    pub(crate) fn needs_lifeline(&self) -> bool {
        !self.on_main_thread
    }

    /// Whether this process is still the child of that parent. In another pid namespace than the parent's nobody
    /// can tell, and it is taken for granted.
    pub(crate) fn is_mine(&self) -> bool {
        is_parent(self.pid).unwrap_or(true)
    }

    /// In the child: from here on it dies with its parent. Returns the descriptor that must stay open for
    /// that, if there is one. The caller asks [`Parent::is_mine`] afterwards.
    pub(crate) fn die_with(&self) -> io::Result<Option<RawFd>> {
        if self.on_main_thread {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            return Ok(None);
        }
        // Acquire: pairs with the Release in `ensure_lifeline`, where another thread may have made it.
        let lifeline = LIFELINE.load(Ordering::Acquire);
        // SAFETY: `here` made a lifeline before the fork; its record is never freed.
        let reader = unsafe { (*lifeline).reader };
        // The owner and the signal belong to the open file description, which all children share: so each
        // opens one of its own. NONBLOCK, lest the open waits for a writer that is already dead.
        let own = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(format!("/proc/self/fd/{reader}"))?;
        // Above the standard streams, which may be closed now and are put in place later.
        let own = above_standard(own.into())?.into_raw_fd();
        for (command, argument) in [
            (libc::F_SETOWN, rustix::process::getpid().as_raw_nonzero().get()),
            (F_SETSIG, Signal::KILL.as_raw()),
            (libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC),
        ] {
            // SAFETY: the descriptor is open, and the three commands take an integer.
            if unsafe { libc::fcntl(own, command, argument) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Some(own))
    }
}

/// Whether `pid` is the parent of this process. None where that is in an outer pid namespace, whose numbers are not
/// seen here: the program had `unshare`d before it forked.
pub(crate) fn is_parent(pid: Pid) -> Option<bool> {
    rustix::process::getppid().map(|parent| parent == pid)
}

/// `fcntl(2)`: which signal to send when I/O becomes possible.
const F_SETSIG: i32 = 10;

fn ensure_lifeline() -> io::Result<()> {
    // Acquire: pairs with the Release below, so that the record is seen whole.
    let old = LIFELINE.load(Ordering::Acquire);
    let here = generation::current();
    // SAFETY: records are never freed.
    if !old.is_null() && unsafe { (*old).generation } == here {
        return Ok(());
    }
    // Above the standard streams, which may be closed: what the program then prints would go into the pipe, and
    // input is a reason to signal, too.
    let (reader, writer) = pipe_above_standard()?;
    let new = Box::into_raw(Box::new(Lifeline {
        generation: here,
        reader: reader.into_raw_fd(),
        writer: writer.into_raw_fd(),
    }));
    // Release: pairs with the Acquire above and in `die_with`. Relaxed on failure: the winner's is not looked at.
    match LIFELINE.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed) {
        Ok(_) => {
            // Inherited through a fork that was not ours: the parent's ends must not stay open here.
            // SAFETY: records are never freed, and the winner alone closes what an old one names.
            unsafe { close_ends(old) };
        }
        Err(_) => {
            // SAFETY: the record never became visible, so it is still ours to take apart.
            unsafe {
                close_ends(new);
                drop(Box::from_raw(new));
            }
        }
    }
    Ok(())
}

/// In the child, after [`Parent::die_with`]: lets go of the parent's own lifeline. A child that kept the
/// writing end would keep its siblings alive after their parent's death, and itself.
pub(crate) fn let_go_of_parents_lifeline() {
    // Acquire: as in `die_with`.
    let old = LIFELINE.swap(ptr::null_mut(), Ordering::Acquire);
    // SAFETY: the record names the parent's ends, which this process holds only by inheritance.
    unsafe { close_ends(old) };
}

/// # Safety
/// `lifeline` is null or a record whose ends are open and closed by nobody else.
unsafe fn close_ends(lifeline: *const Lifeline) {
    if lifeline.is_null() {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        drop(OwnedFd::from_raw_fd((*lifeline).reader));
        drop(OwnedFd::from_raw_fd((*lifeline).writer));
    }
}
