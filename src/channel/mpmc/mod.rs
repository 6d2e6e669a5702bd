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

use std::io;
use std::marker::PhantomData;

pub use claim::Claim;
pub use receiver::Receiver;
pub use sender::Sender;

use super::many::{self, Ring, Store};
use super::raw::mpmc::{Refusal, SendCursor};
use crate::memory::cells;
use crate::sys::roster::Name;
use crate::wire::{Pass, Plain};

/// One value of `T` to a slot.
struct Cells<T>(PhantomData<fn() -> T>);

impl<T> Clone for Cells<T> {
    fn clone(&self) -> Cells<T> {
        Cells(PhantomData)
    }
}

impl<T: Plain> Cells<T> {
    #[inline]
    fn of(ring: &Ring<Cells<T>>) -> cells::Cells<'_, T> {
        ring.memory.cells(ring.shape.slots())
    }
}

impl<T: Plain> Store for Cells<T> {
    type Put<'a> = T;
    type Got = T;

    #[inline]
    fn put(&self, ring: &Ring<Cells<T>>, cursor: &mut SendCursor, me: Name, value: T) -> Result<(), Refusal> {
        let cells = Cells::of(ring);
        ring.raw().send(cursor, me, |index| {
            // The number is that of a slot.
            let _ = cells.set(index, value);
        })
    }

    #[inline]
    fn get(&self, ring: &Ring<Cells<T>>, index: usize) -> T {
        Cells::of(ring).get(index).expect("the index is that of a slot, of which there are as many as cells")
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
    build(capacity, 0)
}

/// As [`channel`], and what was claimed `max_attempts` times, and not done, becomes a *dead letter*: it is delivered to
/// [`Receiver::dead_letters`] only. All that is said at [`channel::Builder::redeliver`](crate::channel::Builder::redeliver) holds.
///
/// ```
/// use tine::channel::mpmc;
///
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = mpmc::redelivering::<u64>(16, 1)?;
/// let mut letters = rx.dead_letters()?;
/// tx.send(7)?;
/// drop(rx.claim()?);
/// assert_eq!((letters.recv()?, rx.is_empty()), (7, true));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`channel`]; `InvalidInput` where `max_attempts` is not from 1 to 65534.
pub fn redelivering<T: Plain>(capacity: usize, max_attempts: u32) -> io::Result<(Sender<T>, Receiver<T>)> {
    build(capacity, many::attempts(max_attempts)?)
}

fn build<T: Plain>(capacity: usize, attempts: u16) -> io::Result<(Sender<T>, Receiver<T>)> {
    let (sender, receiver) = many::channel::<T, _>(capacity, attempts, capacity, 0, Cells(PhantomData))?;
    Ok((Sender { inner: sender }, Receiver { inner: receiver }))
}

impl<T: Plain> Pass for Sender<T> {}
impl<T: Plain> Pass for Receiver<T> {}
