//! The receiving end.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::batch::Peek;
use super::{ReceiveCursor, Ring};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath, RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::iter::{Iter, iterators};
use crate::channel::park::{Look, Patience, Spin, Until};
use crate::channel::pollable::Pollable;
use crate::channel::raw::Corrupt;
use crate::channel::raw::primitive::Light;
use crate::sys::futex::Words;
use crate::wait::{Flag, Ready, Source, What};
use crate::wire::Plain;

/// The receiving end of a ring. See [`channel`](super::channel).
///
/// Dropped, it closes: the sender is told `Disconnected`. What was not received is gone.
pub struct Receiver<T: Plain> {
    pub(super) ring: Ring<T>,
    end: End,
    pub(super) cursor: ReceiveCursor,
    patience: Patience,
    doubt: Doubt,
    /// The death of the sender was told: then the end is just an end.
    told: bool,
    pollable: Option<Box<Pollable>>,
}

impl<T: Plain> Receiver<T> {
    pub(super) fn new(ring: Ring<T>, end: End, cursor: ReceiveCursor) -> Receiver<T> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Receiver { ring, end, cursor, patience, doubt, told: false, pollable: None }
    }

    /// Receives the next value; waits while there is none.
    ///
    /// # Errors
    ///
    /// Any [`RecvError`], after all that was sent was received.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        if self.has_some() {
            return Ok(self.take(Light::FREE));
        }
        self.recv_slowly()
    }

    #[cold]
    fn recv_slowly(&mut self) -> Result<T, RecvError> {
        match self.filled(1, Until::ENDLESS) {
            Ok(Some(_)) => Ok(self.take(self.end.light())),
            // Without a deadline the wait ends with a value only.
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// Receives the next value, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if self.has_some() {
            return Ok(self.take(Light::FREE));
        }
        self.try_recv_slowly()
    }

    #[cold]
    fn try_recv_slowly(&mut self) -> Result<T, TryRecvError> {
        match self.filled(1, Until::Now) {
            Ok(Some(_)) => Ok(self.take(self.end.light())),
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
        match self.filled(1, Until::within(limit)) {
            Ok(Some(_)) => Ok(self.take(self.end.light())),
            Ok(None) => Err(RecvTimeoutError::Timeout),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// Receives as many values as there are, up to the length of `values`; waits for the first. Returns how many: the rest of
    /// `values` is as it was.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn recv_slice(&mut self, values: &mut [T]) -> Result<usize, RecvError> {
        if values.is_empty() {
            return Ok(0);
        }
        match self.filled(values.len().min(self.ring.capacity), Until::ENDLESS) {
            Ok(Some(filled)) => Ok(self.take_slice(values, filled)),
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// As [`recv_slice`](Self::recv_slice), without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    pub fn try_recv_slice(&mut self, values: &mut [T]) -> Result<usize, TryRecvError> {
        if values.is_empty() {
            return Ok(0);
        }
        match self.filled(values.len().min(self.ring.capacity), Until::Now) {
            Ok(Some(filled)) => Ok(self.take_slice(values, filled)),
            Ok(None) => Err(TryRecvError::Empty),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// Up to `most` values, to be read in place and received by one store; waits for the first.
    ///
    /// Nothing is received before [`Peek::consume`].
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn peek(&mut self, most: usize) -> Result<Peek<'_, T>, RecvError> {
        match self.filled(most.min(self.ring.capacity).max(1), Until::ENDLESS) {
            Ok(Some(filled)) => Ok(Peek::new(self, filled.min(most))),
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// As [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    pub fn try_peek(&mut self, most: usize) -> Result<Peek<'_, T>, TryRecvError> {
        match self.filled(most.min(self.ring.capacity).max(1), Until::Now) {
            Ok(Some(filled)) => Ok(Peek::new(self, filled.min(most))),
            Ok(None) => Err(TryRecvError::Empty),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// Receives until the end: a clean close ends the iteration; a sender that was killed is one `Err` before that.
    pub fn iter(&mut self) -> Iter<'_, Receiver<T>> {
        Iter::new(self)
    }

    /// How many values the ring holds at most: as was asked for.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }

    /// How many values are in the ring. There may be more by now.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing is in the ring. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the ring is full. What is received by this end only makes it false.
    pub fn is_full(&self) -> bool {
        self.len() == self.ring.capacity
    }

    /// Whether nothing more will be sent: the sender was dropped, or its process has ended. There may be something still to be
    /// received. True is for good; false may be true by now. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.ring.header().ends.0.table().peers(Side::Sender, true) != Peers::Alive
    }

    /// A descriptor that can be read when there may be something to receive, or an end or an error to be told: for epoll, and for
    /// runtimes built on it. It is made by the first call, and is this process's alone; it costs nothing before.
    ///
    /// It can be read until a receive finds nothing ([`Empty`](TryRecvError::Empty), or a timeout), which makes it unreadable
    /// again; so receive until then before you poll. It may be readable for nothing. Do not read it.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use tine::channel::{TryRecvError, spsc};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let (mut tx, mut rx) = spsc::channel::<u64>(8)?;
    /// let child = tine::spawn(move || tx.send(7).expect("the parent receives"))?;
    /// let value = loop {
    ///     match rx.try_recv() {
    ///         Ok(value) => break value,
    ///         // Or by poll, epoll, or an async runtime.
    ///         Err(TryRecvError::Empty) => tine::wait(&[&rx.pollable()?.as_fd()], None)?,
    ///         Err(error) => panic!("{error}"),
    ///     };
    /// };
    /// assert_eq!(value, 7);
    /// child.join()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # When a process dies
    ///
    /// A death of the other side makes it readable at once. Where a process takes the other end over from one that it is no child of
    /// ([`take_over`](super::Sender::take_over)), its death is noticed when something else makes the descriptor readable.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this end is another process's; no descriptor is left (it takes two, and one for each other
    /// process that has an end).
    pub fn pollable(&mut self) -> io::Result<BorrowedFd<'_>> {
        if !self.is_mine() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, RecvError::NotOwner));
        }
        let own = self.pollable.take();
        let header = self.ring.header();
        let own = Pollable::open(own, &header.filled.0, header.ends.0.table(), || self.is_raised())?;
        Ok(Pollable::as_fd(self.pollable.insert(own)))
    }

    /// How to wait for values.
    pub fn set_spin(&mut self, spin: Spin) {
        self.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was, and goes on where that one stopped.
    ///
    /// For handles that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who
    /// takes the place of a process that has died. The one who had it must not use it any more: of two that receive by one end,
    /// messages are lost or doubled, and both may be told `Corrupt`.
    ///
    /// # Errors
    ///
    /// `InvalidData` where the channel's memory was overwritten; what `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        let header = self.ring.memory.header();
        self.end.take_over(header.ends.0.table())?;
        if self.cursor.take_over(&header.cursors).is_err() {
            return Err(self.poison().receiving().into());
        }
        // Who sleeps does not watch this process yet.
        header.emptied.0.wake_all();
        Ok(())
    }

    /// Whether there is nothing to be done but to take one value out.
    #[inline]
    fn has_some(&mut self) -> bool {
        self.end.is_swift() && self.cursor.filled(&self.ring.header().cursors, 1).is_ok_and(|filled| filled > 0)
    }

    #[inline]
    fn take(&mut self, light: Light) -> T {
        let place = self.ring.place(self.cursor.position());
        if seeded!("channel: consume before copy") {
            self.consume(1, light);
        }
        let value = self.ring.cells().get(place).expect("the place is masked, so it is within the ring");
        if !seeded!("channel: consume before copy") {
            self.consume(1, light);
        }
        value
    }

    /// Returns how many: as many as fit, of `filled`, which are there.
    fn take_slice(&mut self, values: &mut [T], filled: usize) -> usize {
        let n = values.len().min(filled);
        self.copy_to(0, &mut values[..n]);
        self.consume(n, self.end.light());
        n
    }

    /// Copies values out that are there, from the one that is `offset` behind the next.
    pub(super) fn copy_to(&self, offset: usize, values: &mut [T]) {
        let place = self.ring.place(self.cursor.position() + offset as u64);
        let cells = self.ring.cells();
        let (first, second) = values.split_at_mut(values.len().min(self.ring.mask as usize + 1 - place));
        // Both ranges are within the ring.
        let _ = cells.copy_to(place, first);
        let _ = cells.copy_to(0, second);
    }

    /// The commit, and the wake.
    #[inline]
    fn consume(&mut self, n: usize, light: Light) {
        let header = self.ring.memory.header();
        self.cursor.advance(&header.cursors, n as u64);
        light.fence();
        if header.emptied.0.is_wanted() {
            header.emptied.0.wake_all();
        }
    }

    /// The same, for who has read in place.
    pub(super) fn consume_read(&mut self, n: usize) {
        self.consume(n, self.end.light());
    }

    /// How many values there are, at least 1; None if there was none until then. At least `wanted`, if there are so many.
    #[inline]
    fn filled(&mut self, wanted: usize, until: Until) -> Result<Option<usize>, Fault> {
        if !self.end.is_known() || self.end.is_corrupt() {
            self.look_up()?;
        }
        match self.cursor.filled(&self.ring.memory.header().cursors, wanted as u64) {
            Ok(0) => self.wait_for(until),
            Ok(filled) => Ok(Some(filled as usize)),
            Err(Corrupt) => Err(self.poison()),
        }
    }

    /// What is rarely to be looked at: whether this end is of any use.
    #[cold]
    fn look_up(&mut self) -> Result<(), Fault> {
        if self.end.is_corrupt() {
            return Err(Fault::Corrupt);
        }
        if self.is_mine() { Ok(()) } else { Err(Fault::NotOwner) }
    }

    fn is_mine(&self) -> bool {
        let header = self.ring.memory.header();
        if self.end.is_known() {
            return true;
        }
        let adopted = self.end.adopt(header.ends.0.table());
        if adopted {
            // Who sleeps does not watch this process yet.
            header.emptied.0.wake_all();
        }
        adopted
    }

    fn poison(&mut self) -> Fault {
        self.end.poison();
        Fault::Corrupt
    }

    #[cold]
    fn wait_for(&mut self, until: Until) -> Result<Option<usize>, Fault> {
        let (ring, cursor) = (&self.ring, &mut self.cursor);
        let header = ring.memory.header();
        let mut look = |look| Receiver::<T>::look(ring, cursor, look);
        let found = match until {
            Until::Then(deadline) => self.patience.wait(&header.filled.0, deadline, &mut look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        let found = match (found, &mut self.pollable) {
            (None, Some(pollable)) => pollable.arm(&header.filled.0, header.ends.0.table()).and_then(look),
            (found, _) => found,
        };
        match found {
            None => Ok(None),
            Some(Ok(filled)) => Ok(Some(filled)),
            Some(Err(Err(Corrupt))) => Err(self.poison()),
            // After the one error it is an end like any other.
            Some(Err(Ok(Peers::Died { pid }))) if !self.told => {
                self.told = true;
                Err(Fault::PeerDied(PeerDeath { pid, in_flight: 0 }))
            }
            Some(Err(Ok(_))) => Err(Fault::Disconnected),
        }
    }

    fn look(ring: &Ring<T>, cursor: &mut ReceiveCursor, look: Look) -> Option<Result<usize, Result<Peers, Corrupt>>> {
        let cursors = &ring.header().cursors;
        let mut filled = || match cursor.filled(cursors, 1) {
            Ok(0) => None,
            Ok(filled) => Some(Ok(filled as usize)),
            Err(corrupt) => Some(Err(Err(corrupt))),
        };
        let found = filled();
        if found.is_some() || look == Look::Ring {
            return found;
        }
        match ring.header().ends.0.table().peers(Side::Sender, look == Look::Sure) {
            Peers::Alive => None,
            // What was sent before it closed is seen now, if it was not before.
            gone => filled().or(Some(Err(Ok(gone)))),
        }
    }
}

impl<T: Plain> Source for Receiver<T> {
    fn what(&self) -> What<'_> {
        What::Flag(self)
    }
}
impl<T: Plain> Ready for Receiver<T> {}

impl<T: Plain> Flag for Receiver<T> {
    /// Also where the next receive would tell of an end, or of another error.
    fn is_raised(&self) -> bool {
        self.end.is_corrupt()
            || !self.is_mine()
            || Receiver::look(&self.ring, &mut self.cursor.clone(), Look::Sure).is_some()
    }

    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let signal = &self.ring.header().filled.0;
        words.push_word(signal.word(), signal.announce());
        true
    }

    fn sleep_in_poll(&self) {
        self.ring.header().filled.0.announce_in_poll();
    }
}

impl<T: Plain> Drop for Receiver<T> {
    fn drop(&mut self) {
        let header = self.ring.memory.header();
        Pollable::take_down(&mut self.pollable, &header.filled.0);
        if self.end.drop_in(header.ends.0.table()) == Dropped::Closed {
            header.filled.0.set_gone();
            self.end.light().fence();
            header.emptied.0.wake_all();
        }
    }
}

impl<T: Plain> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.ring)
    }
}

iterators!(impl[T: Plain] Receiver<T>, T);
