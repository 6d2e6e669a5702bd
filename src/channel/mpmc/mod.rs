//! Many senders, many receivers, values of one size.
//!
//! A ring in shared memory, of which each message is received by one of the receivers. No lock: whoever is stopped or killed in the
//! middle of an operation, anywhere, has at most the place of one message.
//!
//! ```
//! use tine::channel::mpmc;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (mut tx, rx) = mpmc::channel::<u64>(64)?;
//! let workers = (0..2)
//!     .map(|_| {
//!         let rx = rx.clone();
//!         tine::spawn(move || rx.into_iter().map(|n| n.expect("the parent closes its end")).sum::<u64>())
//!     })
//!     .collect::<Result<Vec<_>, _>>()?;
//! drop(rx);
//! for n in 1..=1000 {
//!     tx.send(n)?;
//! }
//! drop(tx);
//! let mut sum = 0;
//! for worker in workers {
//!     sum += worker.join()?;
//! }
//! assert_eq!(sum, 500_500);
//! # Ok(())
//! # }
//! ```
//!
//! # Claims
//!
//! What [`recv`](Receiver::recv) has returned is gone, if the process is killed before it has done anything about it. A
//! [`claim`](Receiver::claim) leaves the message where it is until [`done`](Claim::done): should the claimant be killed, or drop the
//! claim, the next receiver gets it, and is told how often it was claimed. So each message is done at least once.
//!
//! ```
//! use tine::channel::mpmc;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (mut tx, mut rx) = mpmc::channel::<u64>(8)?;
//! tx.send(7)?;
//! let mut theirs = rx.clone();
//! let child = tine::spawn(move || -> u64 {
//!     let _claim = theirs.claim();
//!     std::process::abort()
//! })?;
//! child.join().unwrap_err();
//! let claim = rx.claim()?;
//! assert_eq!((*claim, claim.attempts()), (7, 2));
//! claim.done();
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - **Order**: whatever is sent after a send has ended is received after it; so each sender's messages come in order. Messages that
//!   are delivered again come after others that were sent later.
//! - **A killed process** loses at most the operation that it was in. A sender killed in [`send`](Sender::send) has sent, or has
//!   not. What a receiver killed in [`recv`](Receiver::recv) has not returned yet is received by another.
//! - **A stopped process** is never robbed, and holds up the others only where there is no way around. A sender that is stopped in the middle of
//!   sending is passed over by receivers. The place that a stopped sender or receiver has, or a claim, is not free: when the
//!   ring has gone round once, and all other messages are received, senders find it full. A wake that went to one that is
//!   stopped is made good within 100 ms.
//! - **The other end is told** when the last of its handles is gone: senders at once, or when the ring is full; receivers after all
//!   that was sent is received, and what others have claimed is done (it might come back).
//! - **A peer that means harm**, and writes what it likes into the memory, can send any values of `T`, take messages away, keep others from
//!   sending and receiving, and close either end. It cannot make the other end panic, touch
//!   anything outside the ring, or hang beyond a deadline for longer than it takes to go over the ring some thousand times: what
//!   cannot be is told as `Corrupt`.
//!
//! The ends belong to the process that made them, until they are moved into a closure that is spawned: see
//! [`channel`](mod@crate::channel). Each clone is a handle of its own: make one for each process, and each thread.

mod claim;
mod receiver;
mod sender;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use claim::Claim;
pub use receiver::Receiver;
pub use sender::Sender;

use super::end::{End, Ends, Side, Table};
use super::memory::{Memory, header};
use super::raw::cursor::Line;
use super::raw::mpmc::{self, Bounds, Shape};
use super::raw::signal::Signal;
use crate::memory::Shared;
use crate::memory::cells::Cells;
use crate::wire::{Pass, Plain};

/// How many handles a channel has at most, senders and receivers together.
const HANDLES: usize = 1024;

header! {
    /// ```text
    ///   0        384             512       640
    ///   | bounds | filled, asked | emptied | ends | messages ..
    /// ```
    ///
    /// The words of the slots have a mapping of their own.
    struct Header {
        bounds: Bounds,
        /// For receivers, who sleep until there is something: one is woken for each message.
        filled: Line<Signal>,
        /// For those who wait for several things: all are woken, since who is woken need not receive.
        asked: Line<Signal>,
        /// For senders, who sleep until there is room.
        emptied: Line<Signal>,
        ends: Line<Ends<HANDLES>>,
    }
}

/// What all handles have: the memory, and what is known of it without looking there.
struct Ring<T> {
    memory: Arc<Memory<Header>>,
    /// Two for each slot.
    words: Shared<[AtomicU64]>,
    shape: Shape,
    items: PhantomData<fn() -> T>,
}

impl<T: Plain> Ring<T> {
    #[inline]
    fn header(&self) -> &Header {
        self.memory.header()
    }

    #[inline]
    fn raw(&self) -> mpmc::Ring<'_> {
        mpmc::Ring::new(self.shape, &self.header().bounds, &self.words)
    }

    #[inline]
    fn cells(&self) -> Cells<'_, T> {
        self.memory.cells(self.shape.slots())
    }

    fn table(&self) -> Table<'_> {
        self.header().ends.0.table()
    }

    fn len(&self) -> usize {
        self.raw().count().full
    }

    fn is_full(&self) -> bool {
        self.raw().is_full(&mpmc::SendCursor::default())
    }

    /// Wakes as many receivers as there are messages, and all who wait for several things.
    #[cold]
    fn wake_receivers(&self, messages: u64) {
        self.header().filled.0.wake(messages);
        self.header().asked.0.wake_all();
    }

    #[cold]
    fn wake_all_receivers(&self) {
        self.header().filled.0.wake_all();
        self.header().asked.0.wake_all();
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Ring<T> {
        Ring { memory: Arc::clone(&self.memory), words: self.words.clone(), shape: self.shape, items: PhantomData }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} messages", self.shape.slots())
    }
}

/// A ring for `capacity` values of `T`, at least 1. Both ends belong to the calling process.
///
/// Up to 1024 handles can be made of it, senders and receivers together.
///
/// # Errors
///
/// `InvalidInput` for a capacity of 0; `OutOfMemory` where the memory is not to be had, or the size is beyond the address
/// space; what `/proc` says where it does not tell who this process is.
pub fn channel<T: Plain>(capacity: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    if capacity == 0 {
        let why = "a channel of capacity 0 could hold no message; ask for at least 1";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let too_many =
        || io::Error::new(io::ErrorKind::OutOfMemory, format!("{capacity} messages do not fit the address space"));
    let shape = Shape::new(capacity).ok_or_else(too_many)?;
    let memory = Arc::new(Memory::<Header>::new::<T>(capacity)?);
    let words = Shared::<[AtomicU64]>::from_fn(capacity.checked_mul(2).ok_or_else(too_many)?, |_| AtomicU64::new(0))?;
    let ring = Ring { memory, words, shape, items: PhantomData };
    let (sender, receiver) = (End::new(ring.table(), Side::Sender)?, End::new(ring.table(), Side::Receiver)?);
    Ok((Sender::new(ring.clone(), sender), Receiver::new(ring, receiver)))
}

impl<T: Plain> Pass for Sender<T> {}
impl<T: Plain> Pass for Receiver<T> {}
