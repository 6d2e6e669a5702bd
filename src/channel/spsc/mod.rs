//! One sender, one receiver, values of one size.
//!
//! The fastest way from one process to another: a ring in shared memory, two positions, no lock, and no system call unless
//! somebody sleeps.
//!
//! ```
//! use tine::channel::spsc;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (mut tx, mut rx) = spsc::channel::<u64>(1024)?;
//! let child = tine::spawn(move || {
//!     for n in 1..=1000 {
//!         tx.send(n).expect("the parent receives");
//!     }
//! })?;
//! let sum: u64 = rx.iter().map(|n| n.expect("the child closes its end")).sum();
//! assert_eq!(sum, 500_500);
//! child.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - **Order**: what is sent first is received first.
//! - **A killed process** loses at most the operation that it was in: a message is sent by one store, and received by one
//!   store. A sender killed in [`send`](Sender::send) has sent it, or has not. A receiver killed in
//!   [`recv`](Receiver::recv) has received it, or has left it in the ring, where nobody can have it any more.
//! - **The other end is told**, at once (at most 100 ms later if the kernel killed for want of memory, or if over 30 threads take
//!   part in what is shared): a receiver after it has received all that was sent.
//! - **A peer that means harm**, and writes what it likes into the memory, can send any values of `T`, or none, and close
//!   either end. It cannot make the other end panic, hang beyond a deadline, or touch anything outside the ring: what cannot
//!   be is told as `Corrupt`.
//!
//! The ends belong to the process that made them, until they are moved into a closure that is spawned: see
//! [`channel`](mod@crate::channel).

mod batch;
mod receiver;
mod sender;

use std::fmt;
use std::io;
use std::marker::PhantomData;

pub use batch::{Peek, Reservation};
pub use receiver::Receiver;
pub use sender::Sender;

use super::end::{End, Ends, Side};
use super::memory::{Memory, header};
use super::raw::cursor::{Cursors, Line, ReceiveCursor, SendCursor};
use super::raw::signal::Signal;
use crate::memory::cells::Cells;
use crate::wire::{Pass, Plain};

header! {
    /// ```text
    ///   0      128    256      384       512    640
    ///   | tail | head | filled | emptied | ends | items ..
    /// ```
    struct Header {
        cursors: Cursors,
        /// For the receiver, who sleeps until there is something.
        filled: Line<Signal>,
        /// For the sender, who sleeps until there is room.
        emptied: Line<Signal>,
        ends: Line<Ends<2>>,
    }
}

/// What both ends have: the memory, and what is known of it without looking there.
struct Ring<T> {
    memory: Memory<Header>,
    /// How many items the ring may hold.
    capacity: usize,
    /// How many there is room for, less one: a power of two, less one.
    mask: u64,
    items: PhantomData<fn() -> T>,
}

impl<T: Plain> Ring<T> {
    fn header(&self) -> &Header {
        self.memory.header()
    }

    fn cells(&self) -> Cells<'_, T> {
        self.memory.cells(self.mask as usize + 1)
    }

    /// Where in the cells an item lies.
    #[inline]
    fn place(&self, position: u64) -> usize {
        (position & self.mask) as usize
    }

    fn len(&self) -> usize {
        self.header().cursors.len(self.capacity as u64) as usize
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Ring<T> {
        Ring { memory: self.memory.clone(), capacity: self.capacity, mask: self.mask, items: PhantomData }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} items", self.capacity)
    }
}

/// A ring for `capacity` values of `T`, at least 1. Both ends belong to the calling process.
///
/// The memory is taken as it is first written.
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
    let cells =
        capacity.checked_next_power_of_two().filter(|&cells| cells <= isize::MAX as usize).ok_or_else(|| {
            io::Error::new(io::ErrorKind::OutOfMemory, format!("{capacity} messages do not fit the address space"))
        })?;
    let memory = Memory::<Header>::new::<T>(cells)?;
    let ring = Ring { memory, capacity, mask: cells as u64 - 1, items: PhantomData };
    let table = ring.header().ends.0.table();
    let (sender, receiver) = (End::new(table, Side::Sender)?, End::new(table, Side::Receiver)?);
    let sender = Sender::new(ring.clone(), sender, SendCursor::new(capacity as u64));
    let receiver = Receiver::new(ring, receiver, ReceiveCursor::new(capacity as u64));
    Ok((sender, receiver))
}

impl<T: Plain> Pass for Sender<T> {}
impl<T: Plain> Pass for Receiver<T> {}
