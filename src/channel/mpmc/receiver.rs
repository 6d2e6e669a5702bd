//! The receiving end.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::Cells;
use super::claim::Claim;
use crate::channel::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::iter::{Iter, iterators};
use crate::channel::many::{self, Claimed, Received};
use crate::channel::park::{Spin, Until};
use crate::wait::{Ready, Source, What};
use crate::wire::Plain;

/// A receiving end of a ring. See [`channel`](super::channel).
///
/// When the last is dropped, senders are told `Disconnected`. What was not received is gone then.
pub struct Receiver<T: Plain> {
    pub(super) inner: many::Receiver<Cells<T>>,
}

impl<T: Plain> Receiver<T> {
    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Receiver<T>> {
        Ok(Receiver { inner: self.inner.try_clone()? })
    }

    /// A receiver of dead letters: of messages that were claimed as often as [`redelivering`](super::redelivering) allows, and not done. It
    /// belongs to the calling process, and receives nothing else.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the channel was made without that; `PermissionDenied` where this end is another process's; `OutOfMemory`
    /// where there are 64 already.
    pub fn dead_letters(&self) -> io::Result<Receiver<T>> {
        Ok(Receiver { inner: self.inner.dead_letters()? })
    }

    /// Receives the next message; waits while there is none.
    ///
    /// # Errors
    ///
    /// Any [`RecvError`], after all that was sent was received, and what others have claimed is done.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        match self.inner.get::<Received<T>>(Until::ENDLESS) {
            Ok(Some(Received(value))) => Ok(value),
            // Without a deadline the wait ends with a message only.
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// Receives the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.inner.get::<Received<T>>(Until::Now) {
            Ok(Some(Received(value))) => Ok(value),
            Ok(None) => Err(TryRecvError::Empty),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// As [`recv`](Self::recv), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<T, RecvTimeoutError> {
        match self.inner.get::<Received<T>>(Until::within(limit)) {
            Ok(Some(Received(value))) => Ok(value),
            Ok(None) => Err(RecvTimeoutError::Timeout),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// Claims the next message; waits while there is none. It is delivered again, unless it is [`done`](Claim::done).
    ///
    /// The message keeps its place in the ring until then, so the ring must be larger than the number of claims that are held.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn claim(&mut self) -> Result<Claim<T>, RecvError> {
        match self.inner.get(Until::ENDLESS) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// Claims the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    pub fn try_claim(&mut self) -> Result<Claim<T>, TryRecvError> {
        match self.inner.get(Until::Now) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(TryRecvError::Empty),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// As [`claim`](Self::claim), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`recv`](Self::recv).
    pub fn claim_timeout(&mut self, limit: Duration) -> Result<Claim<T>, RecvTimeoutError> {
        match self.inner.get(Until::within(limit)) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(RecvTimeoutError::Timeout),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    fn claimed(&self, Claimed(value, held, attempts): Claimed<T>) -> Claim<T> {
        Claim::new(many::Held::new(self.inner.ring.clone(), held), value, attempts)
    }

    /// Receives until the end: a clean close ends the iteration; a last sender that was killed is one `Err` before that.
    pub fn iter(&mut self) -> Iter<'_, Receiver<T>> {
        Iter::new(self)
    }

    /// How many messages the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.inner.ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.inner.ring.is_full()
    }

    /// Whether nothing more will be sent: the last sender was dropped, or its process has ended. There may be something still to be
    /// received. True is for good, as long as no sender is cloned meanwhile; false may be true by now. Asks the kernel, which takes
    /// some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.inner.is_disconnected()
    }

    /// A descriptor that can be read when there may be something to receive, or an end or an error to be told. See
    /// [`spsc::Receiver::pollable`](crate::channel::spsc::Receiver::pollable).
    ///
    /// Each handle has its own, and a message makes all of them readable. What a thread has claimed that ends and leaves its claim
    /// behind (by [`forget`](std::mem::forget)) while its process goes on is noticed when something else makes it readable.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this end is another process's; no descriptor is left, or 16 handles have one already.
    pub fn pollable(&mut self) -> io::Result<BorrowedFd<'_>> {
        self.inner.pollable()
    }

    /// How to wait for messages.
    pub fn set_spin(&mut self, spin: Spin) {
        self.inner.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was.
    ///
    /// For handles that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who
    /// takes the place of a process that has died. It is that one's no more: where it lives, its drop closes nothing.
    ///
    /// # Errors
    ///
    /// What `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.inner.take_over()
    }
}

/// See [`Receiver::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Plain> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { inner: self.inner.clone_or_nobody() }
    }
}

impl<T: Plain> Source for Receiver<T> {
    fn what(&self) -> What<'_> {
        What::Flag(&self.inner)
    }
}
impl<T: Plain> Ready for Receiver<T> {}

impl<T: Plain> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.inner.ring)
    }
}

iterators!(impl[T: Plain] Receiver<T>, T);
