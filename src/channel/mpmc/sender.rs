//! The sending end.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Cells;
use crate::channel::error::{SendError, SendTimeoutError, TrySendError};
use crate::channel::many;
use crate::channel::park::{Spin, Until};
use crate::wire::Plain;

/// A sending end of a ring. See [`channel`](super::channel).
///
/// When the last is dropped, receivers receive what was sent, and are then told `Disconnected`.
pub struct Sender<T: Plain> {
    pub(super) inner: many::Sender<Cells<T>>,
}

impl<T: Plain> Sender<T> {
    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Sender<T>> {
        Ok(Sender { inner: self.inner.try_clone()? })
    }

    /// Sends `value`; waits while the ring is full.
    ///
    /// When this returns, the value is in the ring, and stays there whatever becomes of this process.
    ///
    /// # Errors
    ///
    /// Any [`SendError`]. That the last receiver was killed may be found later than by the next send: what is sent in between is in
    /// the ring, and counted by [`PeerDeath::in_flight`](crate::channel::PeerDeath::in_flight).
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        match self.inner.put(value, Until::ENDLESS) {
            Ok(true) => Ok(()),
            // Without a deadline the wait ends with room only.
            Ok(false) => Err(SendError::Corrupt(value)),
            Err(fault) => Err(fault.sending(value)),
        }
    }

    /// Sends `value`, if there is room now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], and as for [`send`](Self::send).
    #[inline]
    pub fn try_send(&mut self, value: T) -> Result<(), TrySendError<T>> {
        match self.inner.put(value, Until::Now) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TrySendError::Full(value)),
            Err(fault) => Err(fault.sending(value).into()),
        }
    }

    /// As [`send`](Self::send), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], and as for [`send`](Self::send).
    pub fn send_timeout(&mut self, value: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.inner.put(value, Until::within(limit)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SendTimeoutError::Timeout(value)),
            Err(fault) => Err(fault.sending(value).into()),
        }
    }

    /// Sends all of `values`, one by one; waits while the ring is full. Those of other senders may come in between. Receivers are woken
    /// once for as many as there was room for.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with how many were sent.
    pub fn send_slice(&mut self, values: &[T]) -> Result<(), SendError<usize>> {
        let mut sent = 0;
        while sent < values.len() {
            self.inner.look_up().map_err(|fault| fault.sending(sent))?;
            let first = sent;
            while sent < values.len()
                && sent - first < self.capacity()
                && self.inner.put_at_once(values[sent]) == Ok(())
            {
                sent += 1;
            }
            self.inner.tell(sent - first);
            if sent == first {
                match self.inner.put(values[sent], Until::ENDLESS) {
                    Ok(true) => sent += 1,
                    Ok(false) => return Err(SendError::Corrupt(sent)),
                    Err(fault) => return Err(fault.sending(sent)),
                }
            }
        }
        Ok(())
    }

    /// How many messages the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.inner.ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    pub fn len(&self) -> usize {
        self.inner.ring.len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.inner.ring.is_full()
    }

    /// Whether nobody can receive any more: the last receiver was dropped, or its process has ended. True is for good, as long
    /// as no receiver is cloned meanwhile; false may be true by now. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.inner.is_disconnected()
    }

    /// How to wait for room.
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

/// See [`Sender::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Plain> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { inner: self.inner.clone_or_nobody() }
    }
}

impl<T: Plain> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.inner.ring)
    }
}
