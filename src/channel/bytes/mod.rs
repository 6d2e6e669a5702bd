//! One sender, one receiver, messages of any length.
//!
//! A ring of bytes in shared memory, in which messages lie one behind the other. They are written and read in place, or copied in
//! and out; those that are longer than the ring stream through it.
//!
//! ```
//! use tine::channel::bytes;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (mut tx, mut rx) = bytes::channel(64 * 1024)?;
//! let child = tine::spawn(move || {
//!     tx.send(b"short").expect("the parent receives");
//!     tx.send(&vec![7; 1 << 20]).expect("longer than the ring");
//! })?;
//! let lengths: Vec<usize> = rx.iter().map(|message| message.expect("the child closes its end").len()).collect();
//! assert_eq!(lengths, [5, 1 << 20]);
//! child.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! | to send | |
//! |---|---|
//! | what lies in memory already | [`Sender::send`], [`Sender::send_vectored`] |
//! | what is made piece by piece, without a copy | [`Sender::reserve`] |
//!
//! | to receive | |
//! |---|---|
//! | a copy | [`Receiver::recv`], [`Receiver::recv_into`] |
//! | parts, in place | [`Receiver::peek`] |
//! | a `&[u8]`, in place, from a process that is trusted not to change it | [`Receiver::trust`] |
//!
//! # What is promised
//!
//! - **Order**: what is sent first is received first.
//! - **Whole messages**: a message is there by one store, also one that came in parts, with its last. A sender that is killed
//!   anywhere has sent it, or has not; what it has left of a longer one is dropped, as is what a
//!   [`send_timeout`](Sender::send_timeout) has left.
//! - **The other end is told** of a death, at once (at most 100 ms later if the kernel killed for want of memory, or if over 30
//!   threads take part in what is shared): a receiver after it has received all that was sent whole.
//! - **A peer that means harm**, and writes what it likes into the memory, can send any messages, or none, and close either end.
//!   It cannot make the other end panic, hang beyond a deadline, or touch anything outside the ring: what cannot be is told as
//!   `Corrupt`. The other end takes memory for what has arrived, not for what a word says is to come; but a message that
//!   never ends it gathers for as long as that comes.
//!
//! The ends belong to the process that made them, until they are moved into a closure that is spawned: see
//! [`channel`](mod@crate::channel).

mod message;
mod receiver;
mod reservation;
mod ring;
mod sender;
mod side;
mod trusting;

use std::io;

pub use message::Message;
pub use receiver::Receiver;
pub use reservation::Reservation;
pub use sender::Sender;
pub use trusting::{TrustedMessage, TrustedReservation, Trusting};

use self::ring::Ring;
use super::end::{End, Side};

/// A ring of at least `bytes` bytes, rounded up to a power of two and to a page. Both ends belong to the calling process.
///
/// Each message takes its length, rounded up to 8, and 8 bytes. The memory is taken as it is first written. It is mapped twice, one
/// behind the other, so that messages lie in one piece; it has no descriptor.
///
/// # Errors
///
/// `OutOfMemory` where the memory is not to be had, or the size is beyond the address space; what `/proc` says where it does
/// not tell who this process is.
#[doc(alias = "mremap")]
pub fn channel(bytes: usize) -> io::Result<(Sender, Receiver)> {
    let ring = Ring::new(bytes)?;
    let table = ring.header().ends();
    let (sender, receiver) = (End::new(table, Side::Sender)?, End::new(table, Side::Receiver)?);
    Ok((Sender::new(ring.clone(), sender), Receiver::new(ring, receiver)))
}
