//! The sending end.

use std::fmt;
use std::io;
use std::time::Duration;

use super::batch::Reservation;
use super::{Ring, SendCursor};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath, SendError, SendTimeoutError, TrySendError};
use crate::channel::park::{Look, Patience, Spin, Until};
use crate::channel::raw::Corrupt;
use crate::channel::raw::primitive::Light;
use crate::wire::{EncodeError, Plain};

/// The sending end of a ring. See [`channel`](super::channel).
///
/// Dropped, it closes: the receiver receives what was sent, and is then told `Disconnected`.
pub struct Sender<T: Plain> {
    pub(super) ring: Ring<T>,
    end: End,
    pub(super) cursor: SendCursor,
    patience: Patience,
    doubt: Doubt,
}

impl<T: Plain> Sender<T> {
    pub(super) fn new(ring: Ring<T>, end: End, cursor: SendCursor) -> Sender<T> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Sender { ring, end, cursor, patience, doubt }
    }

    /// Sends `value`; waits while the ring is full.
    ///
    /// When this returns, the value is in the ring, and stays there whatever becomes of this process.
    ///
    /// # Errors
    ///
    /// Any [`SendError`]. That the receiver was killed may be found later than by the next send: what is sent in between is in
    /// the ring, and counted by [`PeerDeath::in_flight`].
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        if self.has_room() {
            self.put(value, Light::FREE);
            return Ok(());
        }
        self.send_slowly(value)
    }

    #[cold]
    fn send_slowly(&mut self, value: T) -> Result<(), SendError<T>> {
        match self.room(1, Until::ENDLESS) {
            Ok(Some(_)) => {
                self.put(value, self.end.light());
                Ok(())
            }
            // Without a deadline the wait ends with room only.
            Ok(None) => Err(SendError::Corrupt(value)),
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
        if self.has_room() {
            self.put(value, Light::FREE);
            return Ok(());
        }
        self.try_send_slowly(value)
    }

    #[cold]
    fn try_send_slowly(&mut self, value: T) -> Result<(), TrySendError<T>> {
        match self.room(1, Until::Now) {
            Ok(Some(_)) => {
                self.put(value, self.end.light());
                Ok(())
            }
            Ok(None) => Err(TrySendError::Full(value)),
            Err(fault) => Err(fault.sending(value).into()),
        }
    }

    /// As [`send`](Self::send), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], and as for [`send`](Self::send).
    pub fn send_timeout(&mut self, value: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.room(1, Until::within(limit)) {
            Ok(Some(_)) => {
                self.put(value, self.end.light());
                Ok(())
            }
            Ok(None) => Err(SendTimeoutError::Timeout(value)),
            Err(fault) => Err(fault.sending(value).into()),
        }
    }

    /// Sends all of `values`, in order; waits while the ring is full. As many as there is room for are sent by one store: a
    /// slice that fits is received whole, or not at all if this process is killed before.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with how many were sent.
    pub fn send_slice(&mut self, values: &[T]) -> Result<(), SendError<usize>> {
        let mut sent = 0;
        while sent < values.len() {
            let rest = &values[sent..];
            match self.room(rest.len().min(self.ring.capacity), Until::ENDLESS) {
                Ok(Some(room)) => sent += self.put_slice(&rest[..room.min(rest.len())]),
                Ok(None) => return Err(SendError::Corrupt(sent)),
                Err(fault) => return Err(fault.sending(sent)),
            }
        }
        Ok(())
    }

    /// Sends as many of `values` as there is room for now, by one store, and says how many that were.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room at all, and as for [`send`](Self::send); with 0, since none was sent.
    pub fn try_send_slice(&mut self, values: &[T]) -> Result<usize, TrySendError<usize>> {
        if values.is_empty() {
            return Ok(0);
        }
        match self.room(1, Until::Now) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(TrySendError::Full(0)),
            Err(fault) => return Err(fault.sending(0).into()),
        }
        let room = self.cursor.room(&self.ring.header().cursors, values.len() as u64);
        let Ok(room) = room else { return Err(self.poison().sending(0).into()) };
        Ok(self.put_slice(&values[..values.len().min(room as usize)]))
    }

    /// Room for `n` values, to be filled in place and sent by one store; waits until there is so much.
    ///
    /// Nothing is sent before [`Reservation::commit`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send). [`Encode`](SendError::Encode) where `n` is larger than the capacity: there can never be so much
    /// room.
    pub fn reserve(&mut self, n: usize) -> Result<Reservation<'_, T>, SendError<()>> {
        self.fits(n)?;
        match self.whole_room(n, Until::ENDLESS) {
            Ok(true) => Ok(Reservation::new(self, n)),
            Ok(false) => Err(SendError::Corrupt(())),
            Err(fault) => Err(fault.sending(())),
        }
    }

    /// As [`reserve`](Self::reserve), if there is so much room now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], and as for [`reserve`](Self::reserve).
    pub fn try_reserve(&mut self, n: usize) -> Result<Reservation<'_, T>, TrySendError<()>> {
        self.fits(n)?;
        match self.whole_room(n, Until::Now) {
            Ok(true) => Ok(Reservation::new(self, n)),
            Ok(false) => Err(TrySendError::Full(())),
            Err(fault) => Err(fault.sending(()).into()),
        }
    }

    /// How many values the ring holds at most: as was asked for.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }

    /// How many values are in the ring. Another process may receive some at any moment, so there may be fewer by now.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing is in the ring. What is sent by this end only makes it false.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.len() == self.ring.capacity
    }

    /// Whether nobody can receive any more: the receiver was dropped, or its process has ended. True is for good; false may be
    /// true by now. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.ring.header().ends.0.table().peers(Side::Receiver, true) != Peers::Alive
    }

    /// How to wait for room.
    pub fn set_spin(&mut self, spin: Spin) {
        self.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was, and goes on where that one stopped.
    ///
    /// For handles that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who
    /// takes the place of a process that has died. The one who had it must not use it any more: of two that send by one end,
    /// messages are lost or doubled, and both may be told `Corrupt`.
    ///
    /// # Errors
    ///
    /// `InvalidData` where the channel's memory was overwritten; what `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        let header = self.ring.memory.header();
        self.end.take_over(header.ends.0.table())?;
        if self.cursor.take_over(&header.cursors).is_err() {
            return Err(self.poison().sending(()).into());
        }
        // Who sleeps does not watch this process yet.
        header.filled.0.wake_all();
        Ok(())
    }

    /// Whether there is nothing to be done but to put one value in.
    #[inline]
    fn has_room(&mut self) -> bool {
        let header = self.ring.header();
        self.end.is_swift()
            && !header.filled.0.is_gone()
            && self.cursor.room(&header.cursors, 1).is_ok_and(|room| room > 0)
    }

    #[inline]
    fn put(&mut self, value: T, light: Light) {
        let place = self.ring.place(self.cursor.position());
        if seeded!("channel: publish before payload") {
            self.publish(1, light);
        }
        // The place is within the ring: it is masked.
        let _ = self.ring.cells().set(place, value);
        if !seeded!("channel: publish before payload") {
            self.publish(1, light);
        }
    }

    /// Returns how many: all of them, for which there is room.
    fn put_slice(&mut self, values: &[T]) -> usize {
        let place = self.ring.place(self.cursor.position());
        let cells = self.ring.cells();
        let (first, second) = values.split_at(values.len().min(self.ring.mask as usize + 1 - place));
        let _ = cells.copy_from(place, first);
        let _ = cells.copy_from(0, second);
        self.publish(values.len(), self.end.light());
        values.len()
    }

    /// The commit, and the wake.
    #[inline]
    fn publish(&mut self, n: usize, light: Light) {
        let header = self.ring.memory.header();
        self.cursor.advance(&header.cursors, n as u64);
        light.fence();
        if header.filled.0.is_wanted() {
            header.filled.0.wake_all();
        }
    }

    /// The same, for who has filled a reservation.
    pub(super) fn publish_filled(&mut self, n: usize) {
        self.publish(n, self.end.light());
    }

    /// Whether so many values can be in the ring at once.
    fn fits(&mut self, n: usize) -> Result<(), SendError<()>> {
        let capacity = self.ring.capacity;
        if n <= capacity {
            return Ok(());
        }
        self.look_up().map_err(|fault| fault.sending(()))?;
        let why = format!("{n} values are never in this ring at once, which holds {capacity}; reserve fewer at a time");
        Err(SendError::Encode((), EncodeError::new(why)))
    }

    /// Waits until there is room for all `n` at once.
    fn whole_room(&mut self, n: usize, until: Until) -> Result<bool, Fault> {
        match self.room(n.max(1), until)? {
            Some(room) if room >= n => Ok(true),
            // Some, but not enough: the receiver is on its way.
            Some(_) => Ok(self.wait_for(n as u64, until)?.is_some()),
            None => Ok(n == 0),
        }
    }

    /// How much room there is, at least 1; None if there was none until then. At least `wanted`, if there is so much.
    #[inline]
    fn room(&mut self, wanted: usize, until: Until) -> Result<Option<usize>, Fault> {
        if !self.end.is_known() || self.end.is_corrupt() || self.ring.memory.header().filled.0.is_gone() {
            self.look_up()?;
        }
        match self.cursor.room(&self.ring.memory.header().cursors, wanted as u64) {
            Ok(0) => self.wait_for(1, until),
            Ok(room) => Ok(Some(room as usize)),
            Err(Corrupt) => Err(self.poison()),
        }
    }

    /// What is rarely to be looked at: whether this end is of any use.
    #[cold]
    fn look_up(&mut self) -> Result<(), Fault> {
        if self.end.is_corrupt() {
            return Err(Fault::Corrupt);
        }
        let header = self.ring.memory.header();
        let table = header.ends.0.table();
        if !self.end.is_known() {
            if !self.end.adopt(table) {
                return Err(Fault::NotOwner);
            }
            // Who sleeps does not watch this process yet.
            header.filled.0.wake_all();
        }
        if header.filled.0.is_gone() {
            header.filled.0.clear_gone();
            let peers = table.peers(Side::Receiver, false);
            if peers != Peers::Alive {
                header.filled.0.set_gone();
            }
            self.fault(peers)?;
        }
        Ok(())
    }

    fn fault(&mut self, peers: Peers) -> Result<(), Fault> {
        match peers {
            Peers::Alive => Ok(()),
            Peers::Closed => Err(Fault::Disconnected),
            Peers::Died { pid } => {
                let in_flight = self.cursor.in_flight(&self.ring.memory.header().cursors) as usize;
                Err(Fault::PeerDied(PeerDeath { pid, in_flight }))
            }
        }
    }

    fn poison(&mut self) -> Fault {
        self.end.poison();
        Fault::Corrupt
    }

    #[cold]
    fn wait_for(&mut self, wanted: u64, until: Until) -> Result<Option<usize>, Fault> {
        let header = self.ring.memory.header();
        let cursor = &mut self.cursor;
        let mut look = |look: Look| -> Option<Result<usize, Result<Peers, Corrupt>>> {
            match cursor.room(&header.cursors, wanted) {
                Ok(room) if room >= wanted => return Some(Ok(room as usize)),
                Ok(_) => {}
                Err(corrupt) => return Some(Err(Err(corrupt))),
            }
            if look == Look::Ring {
                return None;
            }
            match header.ends.0.table().peers(Side::Receiver, look == Look::Sure) {
                Peers::Alive => None,
                gone => Some(Err(Ok(gone))),
            }
        };
        let found = match until {
            Until::Then(deadline) => self.patience.wait(&header.emptied.0, deadline, look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        match found {
            None => Ok(None),
            Some(Ok(room)) => Ok(Some(room)),
            Some(Err(Err(Corrupt))) => Err(self.poison()),
            Some(Err(Ok(peers))) => {
                // There may be room for less than was wanted: the next send is told, too.
                self.ring.memory.header().filled.0.set_gone();
                self.fault(peers).map(|()| None)
            }
        }
    }
}

impl<T: Plain> Drop for Sender<T> {
    fn drop(&mut self) {
        let header = self.ring.memory.header();
        match self.end.drop_in(header.ends.0.table()) {
            Dropped::Closed => {
                self.end.light().fence();
                header.filled.0.wake_all();
            }
            // Who polls watches the processes that it knows of.
            Dropped::HandedOver if header.filled.0.is_polled() => header.filled.0.wake_all(),
            Dropped::HandedOver | Dropped::NotOwner => {}
        }
    }
}

impl<T: Plain> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.ring)
    }
}
