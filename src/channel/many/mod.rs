//! What channels with many senders and many receivers have in common, whatever a message is.

mod claim;
mod receiver;
mod sender;

use std::fmt;
use std::io;
use std::sync::atomic::AtomicU64;

pub(super) use claim::Held;
pub(super) use receiver::{Claimed, Received, Receiver};
pub(super) use sender::Sender;

use super::end::{End, Ends, Side, Table};
use super::memory::{Memory, header};
use super::raw::cursor::Line;
use super::raw::mpmc::{self, Bounds, Refusal, SendCursor, Shape};
use super::raw::signal::Signal;
use crate::memory::Shared;
use crate::sys::roster::Name;
use crate::wire::Plain;

/// Where messages lie, and how they come there and out again.
pub(super) trait Store: Clone {
    /// What a sender puts in; tried again until there is room.
    type Put<'a>: Copy;
    /// What a receiver gets out.
    type Got;

    fn put(&self, ring: &Ring<Self>, cursor: &mut SendCursor, me: Name, value: Self::Put<'_>) -> Result<(), Refusal>;

    /// Copies out what is in a slot, which is the caller's.
    fn get(&self, ring: &Ring<Self>, index: usize) -> Self::Got;

    /// A message was received: there may be room for another.
    fn wake_senders(&self, emptied: &Signal) {
        emptied.wake(1);
    }
}

/// How many handles a channel has at most, senders and receivers together.
pub(super) const HANDLES: usize = 1024;
/// How many for its dead letters.
const LETTER_HANDLES: usize = 64;

header! {
    /// ```text
    ///   0        384             896             1408   9728      9984          10624
    ///   | bounds | filled, asked | emptied, idle | ends | letters | letter_ends | messages ..
    /// ```
    ///
    /// The words of the slots have a mapping of their own.
    pub(super) struct Header {
        bounds: Bounds,
        /// For receivers, who sleep until there is something: one is woken for each message.
        filled: Line<Signal>,
        /// For those who wait for several things: all are woken, since who is woken need not receive.
        asked: Line<Signal>,
        /// For senders, who sleep until there is room.
        emptied: Line<Signal>,
        /// For those who wait until nothing is left to be done.
        idle: Line<Signal>,
        ends: Line<Ends<HANDLES>>,
        /// For receivers of dead letters.
        letters: Line<Signal>,
        /// Their handles. They are nobody's peers: a channel whose messages nobody receives is no use to senders.
        letter_ends: Line<Ends<LETTER_HANDLES>>,
    }
}

/// What all handles have: the memory, and what is known of it without looking there.
pub(super) struct Ring<S> {
    pub(super) memory: Memory<Header>,
    /// Two for each slot.
    pub(super) words: Shared<[AtomicU64]>,
    pub(super) shape: Shape,
    pub(super) store: S,
}

impl<S: Store> Ring<S> {
    #[inline]
    pub(super) fn header(&self) -> &Header {
        self.memory.header()
    }

    #[inline]
    pub(super) fn raw(&self) -> mpmc::Ring<'_> {
        mpmc::Ring::new(self.shape, &self.header().bounds, &self.words)
    }

    /// Where those wait who wait for several things.
    pub(super) fn asked(&self) -> &Signal {
        &self.header().asked.0
    }

    pub(super) fn table(&self) -> Table<'_> {
        self.header().ends.0.table()
    }

    fn letter_table(&self) -> Table<'_> {
        self.header().letter_ends.0.table()
    }

    pub(super) fn len(&self) -> usize {
        self.raw().count().full
    }

    pub(super) fn is_full(&self) -> bool {
        self.raw().is_full(&mpmc::SendCursor::default())
    }

    /// Wakes as many receivers as there are messages, and all who wait for several things.
    #[cold]
    pub(super) fn wake_receivers(&self, messages: u64) {
        self.header().filled.0.wake(messages);
        self.header().asked.0.wake_all();
    }

    #[cold]
    pub(super) fn wake_all_receivers(&self) {
        self.header().filled.0.wake_all();
        self.wake_letter_receivers();
    }

    /// A handle is another process's now: who polls watches the processes that it knows of.
    fn tell_who_polls(&self) {
        let asked = &self.header().asked.0;
        if asked.is_polled() {
            asked.wake_all();
        }
    }

    /// Wakes all who wait for dead letters, perhaps among other things.
    #[cold]
    fn wake_letter_receivers(&self) {
        self.header().letters.0.wake_all();
        self.header().asked.0.wake_all();
    }
}

impl<S: Clone> Clone for Ring<S> {
    fn clone(&self) -> Ring<S> {
        Ring { memory: self.memory.clone(), words: self.words.clone(), shape: self.shape, store: self.store.clone() }
    }
}

impl<S> fmt::Debug for Ring<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} messages", self.shape.slots())
    }
}

/// How often a message may be claimed.
///
/// # Errors
///
/// `InvalidInput` where that is not from 1 to 65534.
pub(super) fn attempts(most: u32) -> io::Result<u16> {
    // One more is counted when a dead letter is claimed.
    u16::try_from(most).ok().filter(|most| (1..u16::MAX).contains(most)).ok_or_else(|| {
        let why = format!("a message cannot be claimed up to {most} times; ask for 1 to 65534");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}

/// A ring of so many slots, in memory with room for `cells` values of `T`; and more words than those of the slots, zeroed. What was
/// claimed `attempts` times becomes a dead letter; with 0 nothing does.
///
/// # Errors
///
/// `InvalidInput` for a capacity of 0; `OutOfMemory`; what `/proc` says.
pub(super) fn channel<T: Plain, S: Store>(
    capacity: usize,
    attempts: u16,
    cells: usize,
    more_words: usize,
    store: S,
) -> io::Result<(Sender<S>, Receiver<S>)> {
    if capacity == 0 {
        let why = "a channel of capacity 0 could hold no message; ask for at least 1";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let too_many =
        || io::Error::new(io::ErrorKind::OutOfMemory, format!("{capacity} messages do not fit the address space"));
    let shape = Shape::new(capacity).ok_or_else(too_many)?.with_attempts(attempts);
    let words = capacity.checked_mul(2).and_then(|words| words.checked_add(more_words)).ok_or_else(too_many)?;
    let memory = Memory::<Header>::new::<T>(cells)?;
    let words = Shared::<[AtomicU64]>::from_fn(words, |_| AtomicU64::new(0))?;
    let ring = Ring { memory, words, shape, store };
    let (sender, receiver) = (End::new(ring.table(), Side::Sender)?, End::new(ring.table(), Side::Receiver)?);
    Ok((Sender::new(ring.clone(), sender), Receiver::new(ring, receiver)))
}
