//! The descriptors behind this process's handles, which its children let go.
//!
//! A fork copies every descriptor. Without this a child would hold a pidfd, and the memory of a result, for
//! each of its elder siblings, and the lock by which a segment is known to have a living creator. So the handles
//! list theirs here, and each child replaces what is listed first thing. It does not close them: the copies of the
//! handles, and borrows of them, still name the numbers, and would then use, or close, whatever the child opens next.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::foreign;

static LISTED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

fn listed() -> MutexGuard<'static, BTreeSet<RawFd>> {
    LISTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads out of the list across a fork, so that the child finds it unlocked.
pub(crate) fn hold() -> impl Sized {
    listed()
}

/// In a child: lets go of what its parent's handles have open. Their numbers stay taken, by a descriptor that can
/// do nothing, until the copies that own them are dropped.
pub(crate) fn let_go_of_inherited() -> io::Result<()> {
    let numbers = std::mem::take(&mut *listed());
    if numbers.is_empty() {
        // An empty set may own a node still. To free it here would copy the pages of the heap that it lies in.
        std::mem::forget(numbers);
        return Ok(());
    }
    // There is room for one more: the parent, which has as many descriptors, opens one for this child.
    let dead = foreign::dead()?;
    numbers.into_iter().try_for_each(|number| foreign::replace(dead.as_fd(), number))
}

/// A descriptor that does its work in one process only, though its owner is copied by forks.
#[derive(Debug)]
pub(crate) struct Listed {
    /// None once it was handed on.
    fd: Option<OwnedFd>,
}

impl Listed {
    /// The number is above the standard streams', which a child may replace.
    pub(crate) fn new(fd: OwnedFd) -> Listed {
        debug_assert!(fd.as_raw_fd() > 2);
        listed().insert(fd.as_raw_fd());
        Listed { fd: Some(fd) }
    }

    /// Hands it on to a new owner, and leaves nothing here. For destructors: what is left has no descriptor.
    pub(crate) fn hand_on(&mut self) -> Listed {
        Listed { fd: self.fd.take() }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            // Closed before the lock is let go, so that a fork by another thread finds it either listed or closed.
            let mut listed = listed();
            // In a child, the list never had the copy's number, or has let go of it.
            listed.remove(&fd.as_raw_fd());
            drop(fd);
        }
    }
}

impl AsFd for Listed {
    /// In a child of its owner: a descriptor on which every operation fails with EBADF.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("it is handed on only by its owner's destructor").as_fd()
    }
}
