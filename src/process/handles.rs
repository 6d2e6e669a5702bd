//! The descriptors behind this process's handles, which its children let go.
//!
//! A fork copies every descriptor. Without this a child would hold a pidfd, and the memory of a result, for
//! each of its elder siblings. So the handles list theirs here, and each child closes what is listed first
//! thing; a handle that was copied into it never touches its numbers again (see `Child::drop` and
//! `Child::as_fd`).
//!
//! # Safety
//!
//! This file opens `unsafe` to close descriptors that the copies of handles in a child own but will not close.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::sys::generation;

static LISTED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn listed() -> MutexGuard<'static, BTreeSet<RawFd>> {
    LISTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads out of the list across a fork, so that the child finds it unlocked.
pub(super) fn hold() -> impl Sized {
    listed()
}

/// In a child: closes what its parent's handles have open.
pub(super) fn close_inherited() {
    for number in std::mem::take(&mut *listed()) {
        // SAFETY: listed, so open and owned by a `Listed` of the parent, whose copy here will not close it:
        // its generation is another.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

/// A descriptor that belongs to one process only, though its owner is copied by forks.
#[derive(Debug)]
pub(super) struct Listed {
    fd: ManuallyDrop<OwnedFd>,
    generation: u64,
}

impl Listed {
    pub(super) fn new(fd: OwnedFd) -> Listed {
        listed().insert(fd.as_raw_fd());
        Listed { fd: ManuallyDrop::new(fd), generation: generation::current() }
    }

    fn is_here(&self) -> bool {
        self.generation == generation::current()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if self.is_here() {
            listed().remove(&self.fd.as_raw_fd());
            // SAFETY: dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        }
    }
}

impl AsFd for Listed {
    /// In another process than its owner's: a descriptor on which every operation fails with EBADF.
    fn as_fd(&self) -> BorrowedFd<'_> {
        if self.is_here() { self.fd.as_fd() } else { dead() }
    }
}

fn dead() -> BorrowedFd<'static> {
    static DEAD: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let open = || {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open("/", flags, rustix::fs::Mode::empty()).ok()
    };
    match DEAD.get_or_init(open) {
        Some(fd) => fd.as_fd(),
        // No descriptor to be had: the standard input is never a pidfd, so what is tried with it fails too.
        None => rustix::stdio::stdin(),
    }
}
