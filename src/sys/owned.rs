//! Descriptors that belong to one process, though forks copy them: the kernel keeps the owner.
//!
//! An open file has an owner, to whom the kernel would send SIGIO if that were asked for
//! ([fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html), `F_SETOWN`). It is kept with the open file itself, so all
//! copies of a descriptor tell the same, whichever process asks, and nobody who holds another file can change it. Here
//! it is used for what it says.
//!
//! | | owner |
//! |---|---|
//! | made by P | P |
//! | moved into a child that P spawns | the child: written by P after the fork, before the child is let go |
//! | received through a socket | the receiver, who writes it |
//!
//! A child finds at its beginning which of those that its parent had it was given, and lets go of the others: their numbers
//! stay taken, by a descriptor that can do nothing, until the copies of the handles are dropped. See [`super::listed`].
//!
//! # Safety
//!
//! This file opens `unsafe` for the two `fcntl` commands, which rustix does not offer.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::standard::above_standard;
use super::{foreign, generation};

static OWNED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn owned() -> MutexGuard<'static, BTreeSet<RawFd>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads out of the list across a fork, so that the child finds it unlocked.
pub(crate) fn hold() -> impl Sized {
    owned()
}

/// In a child, before it knows what it is given: what it has to keep until then, and what it will need to let go of
/// the rest. None where there is nothing to keep.
pub(crate) fn prepare() -> io::Result<Option<LetGo>> {
    if owned().is_empty() {
        return Ok(None);
    }
    Ok(Some(LetGo { dead: foreign::dead()? }))
}

/// The numbers that a child keeps until then.
pub(crate) fn numbers() -> Vec<RawFd> {
    owned().iter().copied().collect()
}

/// A descriptor that can do nothing, to take the place of others.
pub(crate) struct LetGo {
    dead: OwnedFd,
}

impl LetGo {
    pub(crate) fn dead(&self) -> &OwnedFd {
        &self.dead
    }

    /// In a child that was let go: lets go of what its parent had open and did not give to it.
    pub(crate) fn of_what_is_not_mine(self) -> io::Result<()> {
        let mut owned = owned();
        let numbers = std::mem::take(&mut *owned);
        for number in numbers {
            // SAFETY: the list has numbers of descriptors that were open in the parent; since the fork nobody closed the copy.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            if owner(fd) == Some(std::process::id()) {
                owned.insert(number);
            } else {
                foreign::replace(self.dead.as_fd(), number)?;
            }
        }
        Ok(())
    }
}

/// The process that an open file belongs to; None for nobody, or one that has ended, or where the number is not open.
fn owner(fd: BorrowedFd<'_>) -> Option<u32> {
    // SAFETY: the command takes no argument and changes nothing. glibc asks in such a way that no number of a process looks
    // like an error.
    let owner = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETOWN) };
    u32::try_from(owner).ok().filter(|&pid| pid != 0)
}

fn set_owner(fd: BorrowedFd<'_>, pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the command takes a number. That the kernel signals the owner has to be asked for (O_ASYNC), and is not.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETOWN, pid) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A descriptor that belongs to one process.
#[derive(Debug)]
pub(crate) struct Owned {
    /// None once it was taken out.
    fd: Option<OwnedFd>,
    /// Of the process that is known to own it.
    generation: AtomicU64,
}

impl Owned {
    /// Makes `fd` this process's own.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Owned> {
        let fd = above_standard(fd)?;
        set_owner(fd.as_fd(), std::process::id())?;
        // Listed when it is this process's already, so that a fork by another thread in between lets go of it.
        owned().insert(fd.as_raw_fd());
        Ok(Owned { fd: Some(fd), generation: AtomicU64::new(generation::current()) })
    }

    /// Whether the calling process owns it.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        // Relaxed: the number is all that is asked.
        generation::is(self.generation.load(Ordering::Relaxed)) || self.adopt()
    }

    /// Looks whether it was given to the calling process, at its first use there.
    #[cold]
    fn adopt(&self) -> bool {
        let mine = owner(self.as_fd()) == Some(std::process::id());
        if mine {
            // Relaxed: as above. Two threads write the same.
            self.generation.store(generation::current(), Ordering::Relaxed);
        }
        mine
    }

    /// Makes it the calling process's, whosever it was. EBADF where this process has let go of it.
    pub(crate) fn take_over(&self) -> io::Result<()> {
        set_owner(self.as_fd(), std::process::id())?;
        owned().insert(self.as_fd().as_raw_fd());
        // Relaxed: as above.
        self.generation.store(generation::current(), Ordering::Relaxed);
        Ok(())
    }

    /// Makes it another process's. The copy here is only to be dropped after that.
    pub(crate) fn give_to(&self, pid: u32) -> io::Result<()> {
        set_owner(self.as_fd(), pid)?;
        // Relaxed: as above. No process has this number.
        self.generation.store(generation::NOBODYS, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            // Closed before the lock is let go, so that a fork by another thread finds it either listed or closed.
            let mut owned = owned();
            owned.remove(&fd.as_raw_fd());
            drop(fd);
        }
    }
}

impl AsFd for Owned {
    /// In a process that it was not given to: a descriptor on which every operation fails with EBADF.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("taken out by the drop alone").as_fd()
    }
}
