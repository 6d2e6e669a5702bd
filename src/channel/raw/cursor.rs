//! The two positions of a ring with one sender and one receiver.

use super::Corrupt;
use super::primitive::{AtomicU64, Ordering};

/// A word on a cache line of its own, and on the next, which processors fetch with it.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// ```text
///   0        128      256
///   | tail   | head   |
///     sender   receiver    <- who writes
/// ```
///
/// How many items (or bytes) were ever sent, and how many were ever received. They only grow, and never wrap: at one in a
/// nanosecond for 584 years. What lies between them is in the ring.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cursors {
    tail: Line<AtomicU64>,
    head: Line<AtomicU64>,
}

impl Cursors {
    #[cfg(any(loom, test, fuzzing))]
    pub(crate) fn new(start: u64) -> Cursors {
        Cursors { tail: Line(AtomicU64::new(start)), head: Line(AtomicU64::new(start)) }
    }

    /// As a peer might.
    #[cfg(all(any(test, fuzzing), not(loom)))]
    pub(crate) fn overwrite(&self, head: u64, tail: u64) {
        self.head.0.store(head, Ordering::Relaxed);
        self.tail.0.store(tail, Ordering::Relaxed);
    }

    /// How many are in the ring, for who is neither its sender nor its receiver: as of two moments.
    pub(crate) fn len(&self, capacity: u64) -> u64 {
        // Acquire: the head is read first, so that the tail is not behind it. It says nothing about what is in the items.
        let head = self.head.0.load(Ordering::Acquire);
        self.tail.0.load(Ordering::Relaxed).wrapping_sub(head).min(capacity)
    }
}

impl Cursors {
    /// Both positions as the page has them: `(head, tail)`, for who takes over a side.
    fn both(&self, capacity: u64) -> Result<(u64, u64), Corrupt> {
        // Acquire, both: pair with the Release of either side. Either may go on meanwhile, if it lives; the head is read first, so
        // that the tail is not behind it.
        let head = self.head.0.load(Ordering::Acquire);
        let tail = self.tail.0.load(Ordering::Acquire);
        // Less than the half of all numbers, so that none of what is added to it overflows.
        let fits = tail <= u64::MAX / 2 && tail.checked_sub(head).is_some_and(|filled| filled <= capacity);
        if fits { Ok((head, tail)) } else { Err(Corrupt) }
    }
}

/// The sender's side, in its private memory: what it has written to the tail, and what it last read from the head.
#[derive(Clone, Debug)]
pub(crate) struct SendCursor {
    capacity: u64,
    tail: u64,
    head: u64,
}

impl SendCursor {
    pub(crate) fn new(capacity: u64) -> SendCursor {
        SendCursor { capacity, tail: 0, head: 0 }
    }

    /// Goes on where whoever had this side before has stopped.
    pub(crate) fn take_over(&mut self, cursors: &Cursors) -> Result<(), Corrupt> {
        (self.head, self.tail) = cursors.both(self.capacity)?;
        Ok(())
    }

    /// Where the next one goes.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.tail
    }

    /// How much room there is. At least `wanted`, if there is so much: then the receiver's word need not be read.
    #[inline]
    pub(crate) fn room(&mut self, cursors: &Cursors, wanted: u64) -> Result<u64, Corrupt> {
        let room = self.capacity - (self.tail - self.head);
        if room >= wanted { Ok(room) } else { self.look(cursors) }
    }

    /// How much room there is now.
    #[inline]
    fn look(&mut self, cursors: &Cursors) -> Result<u64, Corrupt> {
        // Acquire: pairs with the Release in `ReceiveCursor::advance`: what was there was read before it is written over.
        let head = cursors.head.0.load(Ordering::Acquire);
        // It only grows, and not beyond the tail. Compared so, no number of the peer's overflows.
        if head < self.head || head > self.tail {
            return Err(Corrupt);
        }
        self.head = head;
        Ok(self.capacity - (self.tail - head))
    }

    /// The commit: `n` more were sent. There was room for them, and they were written.
    #[inline]
    pub(crate) fn advance(&mut self, cursors: &Cursors, n: u64) {
        self.tail += n;
        // Release: pairs with the Acquire in `ReceiveCursor::look`: who sees the tail sees what was written.
        cursors.tail.0.store(self.tail, Ordering::Release);
    }

    /// How many were sent and not received, as was last seen.
    pub(crate) fn in_flight(&mut self, cursors: &Cursors) -> u64 {
        let _ = self.look(cursors);
        self.tail - self.head
    }
}

/// The receiver's side, in its private memory.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveCursor {
    capacity: u64,
    head: u64,
    tail: u64,
}

impl ReceiveCursor {
    pub(crate) fn new(capacity: u64) -> ReceiveCursor {
        ReceiveCursor { capacity, head: 0, tail: 0 }
    }

    /// Goes on where whoever had this side before has stopped.
    pub(crate) fn take_over(&mut self, cursors: &Cursors) -> Result<(), Corrupt> {
        (self.head, self.tail) = cursors.both(self.capacity)?;
        Ok(())
    }

    /// Where the next one is.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.head
    }

    /// How many there are. At least `wanted`, if there are so many: then the sender's word need not be read.
    #[inline]
    pub(crate) fn filled(&mut self, cursors: &Cursors, wanted: u64) -> Result<u64, Corrupt> {
        let filled = self.tail - self.head;
        if filled >= wanted { Ok(filled) } else { self.look(cursors) }
    }

    #[inline]
    fn look(&mut self, cursors: &Cursors) -> Result<u64, Corrupt> {
        // Acquire: pairs with the Release in `SendCursor::advance`.
        let ordering = if seeded!("channel: tail read early") { Ordering::Relaxed } else { Ordering::Acquire };
        let tail = cursors.tail.0.load(ordering);
        if tail < self.tail || tail - self.head > self.capacity {
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok(tail - self.head)
    }

    /// The commit: `n` more were received. They were there, and were copied out.
    #[inline]
    pub(crate) fn advance(&mut self, cursors: &Cursors, n: u64) {
        self.head += n;
        // Release: pairs with the Acquire in `SendCursor::look`.
        let ordering = if seeded!("channel: head before copy") { Ordering::Relaxed } else { Ordering::Release };
        cursors.head.0.store(self.head, ordering);
    }
}
