//! The sending end.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Ring;
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath, SendError, SendTimeoutError, TrySendError};
use crate::channel::park::{Look, Patience, Spin, Until};
use crate::channel::raw::mpmc::{Refusal, SendCursor};
use crate::sys::roster;
use crate::wire::Plain;

/// A sending end of a ring. See [`channel`](super::channel).
///
/// When the last is dropped, receivers receive what was sent, and are then told `Disconnected`.
pub struct Sender<T: Plain> {
    ring: Ring<T>,
    end: End,
    cursor: SendCursor,
    patience: Patience,
    doubt: Doubt,
    /// A peer wrote what cannot be.
    corrupt: bool,
}

impl<T: Plain> Sender<T> {
    pub(super) fn new(ring: Ring<T>, end: End) -> Sender<T> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Sender { ring, end, cursor: SendCursor::default(), patience, doubt, corrupt: false }
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Sender<T>> {
        if !self.is_mine() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, SendError::NotOwner(())));
        }
        let mut clone = Sender::new(self.ring.clone(), End::new(self.ring.table(), Side::Sender)?);
        (clone.cursor, clone.corrupt) = (self.cursor, self.corrupt);
        Ok(clone)
    }

    /// Sends `value`; waits while the ring is full.
    ///
    /// When this returns, the value is in the ring, and stays there whatever becomes of this process.
    ///
    /// # Errors
    ///
    /// Any [`SendError`]. That the last receiver was killed may be found later than by the next send: what is sent in between is in
    /// the ring, and counted by [`PeerDeath::in_flight`].
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        match self.put(value, Until::ENDLESS) {
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
        match self.put(value, Until::Now) {
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
        match self.put(value, Until::within(limit)) {
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
            self.look_up().map_err(|fault| fault.sending(sent))?;
            let first = sent;
            while sent < values.len() && sent - first < self.capacity() && self.put_at_once(values[sent]) == Ok(()) {
                sent += 1;
            }
            self.tell(sent - first);
            if sent == first {
                match self.put(values[sent], Until::ENDLESS) {
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
        self.ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    /// Whether nobody can receive any more: the last receiver was dropped, or its process has ended. True is for good, as long
    /// as no receiver is cloned meanwhile; false may be true by now. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.ring.table().peers(Side::Receiver, true) != Peers::Alive
    }

    /// How to wait for room.
    pub fn set_spin(&mut self, spin: Spin) {
        self.patience.set(spin);
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
        self.end.take_over(self.ring.table())?;
        // Who sleeps does not watch this process yet.
        self.ring.wake_all_receivers();
        Ok(())
    }

    /// False if there was no room until then.
    #[inline]
    fn put(&mut self, value: T, until: Until) -> Result<bool, Fault> {
        self.look_up()?;
        match self.put_at_once(value) {
            Ok(()) => {
                self.tell(1);
                Ok(true)
            }
            Err(Refusal::NotNow) => self.wait_for(value, until),
            Err(Refusal::Corrupt) => Err(self.poison()),
        }
    }

    #[inline]
    fn put_at_once(&mut self, value: T) -> Result<(), Refusal> {
        put(&self.ring, &mut self.cursor, value)
    }

    /// After so many commits: the wake.
    #[inline]
    fn tell(&mut self, sent: usize) {
        self.end.light_fence();
        let header = self.ring.header();
        if header.filled.0.is_wanted() || header.asked.0.is_wanted() || self.cursor.returned {
            self.ring.wake_receivers(sent as u64 + u64::from(self.cursor.returned));
            self.cursor.returned = false;
        }
    }

    /// Whether this end is of any use.
    #[inline]
    fn look_up(&mut self) -> Result<(), Fault> {
        if self.end.is_known() && !self.corrupt && !self.ring.header().filled.0.is_gone() {
            return Ok(());
        }
        self.look_up_slow()
    }

    #[cold]
    fn look_up_slow(&mut self) -> Result<(), Fault> {
        if self.corrupt {
            return Err(Fault::Corrupt);
        }
        if !self.is_mine() {
            return Err(Fault::NotOwner);
        }
        let filled = &self.ring.header().filled.0;
        if filled.is_gone() {
            filled.clear_gone();
            let peers = self.ring.table().peers(Side::Receiver, false);
            if peers != Peers::Alive {
                filled.set_gone();
            }
            self.fault(peers)?;
        }
        Ok(())
    }

    fn is_mine(&self) -> bool {
        if self.end.is_known() {
            return true;
        }
        let adopted = self.end.adopt(self.ring.table());
        if adopted {
            // Who sleeps does not watch this process yet.
            self.ring.wake_all_receivers();
        }
        adopted
    }

    fn fault(&self, peers: Peers) -> Result<(), Fault> {
        match peers {
            Peers::Alive => Ok(()),
            Peers::Closed => Err(Fault::Disconnected),
            Peers::Died { pid } => {
                let count = self.ring.raw().count();
                Err(Fault::PeerDied(PeerDeath { pid, in_flight: count.full + count.taken }))
            }
        }
    }

    fn poison(&mut self) -> Fault {
        self.corrupt = true;
        Fault::Corrupt
    }

    #[cold]
    fn wait_for(&mut self, value: T, until: Until) -> Result<bool, Fault> {
        let ring = self.ring.clone();
        let cursor = &mut self.cursor;
        let mut look = |look: Look| -> Option<Result<(), Result<Peers, Refusal>>> {
            if look == Look::Sure
                && let Ok(me) = roster::me()
            {
                ring.raw().look_for_the_truth(me);
            }
            match put(&ring, cursor, value) {
                Ok(()) => return Some(Ok(())),
                Err(Refusal::NotNow) => {}
                Err(corrupt) => return Some(Err(Err(corrupt))),
            }
            if std::mem::take(&mut cursor.returned) {
                ring.wake_receivers(1);
            }
            if look == Look::Ring {
                return None;
            }
            match ring.table().peers(Side::Receiver, look == Look::Sure) {
                Peers::Alive => None,
                gone => Some(Err(Ok(gone))),
            }
        };
        let emptied = &ring.header().emptied.0;
        let found = match until {
            Until::Then(deadline) => self.patience.wait(emptied, deadline, look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        match found {
            None => Ok(false),
            Some(Ok(())) => {
                self.tell(1);
                // What was freed before the one that this sender waited for has woken it, and nobody else.
                if emptied.is_wanted() && !ring.raw().is_full(&self.cursor) {
                    emptied.wake(1);
                }
                Ok(true)
            }
            Some(Err(Err(_))) => Err(self.poison()),
            Some(Err(Ok(peers))) => self.fault(peers).map(|()| false),
        }
    }
}

#[inline]
fn put<T: Plain>(ring: &Ring<T>, cursor: &mut SendCursor, value: T) -> Result<(), Refusal> {
    // Where there is no place on the roster for this thread, it waits for one as for room.
    let me = roster::me().map_err(|_| Refusal::NotNow)?;
    let cells = ring.cells();
    ring.raw().send(cursor, me, |index| {
        // The number is that of a slot.
        let _ = cells.set(index, value);
    })
}

/// See [`Sender::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Plain> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.try_clone().unwrap_or_else(|_| Sender::new(self.ring.clone(), End::of_nobody(Side::Sender)))
    }
}

impl<T: Plain> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.end.drop_in(self.ring.table()) == Dropped::Closed {
            // For claims: see `Claim`.
            self.ring.header().emptied.0.set_gone();
            self.end.light_fence();
            self.ring.wake_all_receivers();
        }
    }
}

impl<T: Plain> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.ring)
    }
}
