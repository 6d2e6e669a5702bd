//! Ends whose user vouches for the other process: the bytes of the ring as slices.
//!
//! # Safety
//!
//! This file opens `unsafe` to make slices of shared memory. That nobody writes to what they refer to is what the user promises
//! who calls `trust`; the ends of the channel themselves keep off: a frame is the sender's before it is committed, and the
//! receiver's until it is released.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

use super::message::Message;
use super::receiver::{Next, Receiver};
use super::reservation::Reservation;
use super::ring::Ring;
use super::sender::Sender;
use crate::channel::error::{RecvError, SendError, TryRecvError, TrySendError};

/// An end of a ring of bytes whose messages are slices: [`Sender::trust`], [`Receiver::trust`].
pub struct Trusting<E> {
    end: E,
}

impl<E> Trusting<E> {
    /// The end, without the slices.
    pub fn into_inner(self) -> E {
        self.end
    }
}

/// What only asks.
impl<E> Deref for Trusting<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.end
    }
}

impl<E: fmt::Debug> fmt::Debug for Trusting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trusting").field(&self.end).finish()
    }
}

impl Sender {
    /// To write messages in place by `&mut [u8]`.
    ///
    /// # Safety
    ///
    /// As long as the result, or any slice from it, lives, no process changes the memory of this channel other than by the
    /// safe functions of its two ends: not by a wild pointer, and not on purpose. While a
    /// [`TrustedReservation`] lives, no copy of it is made by a fork that is none of this library's.
    pub unsafe fn trust(self) -> Trusting<Sender> {
        Trusting { end: self }
    }
}

impl Receiver {
    /// To read messages in place by `&[u8]`.
    ///
    /// ```
    /// use tine::channel::bytes;
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let (mut tx, rx) = bytes::channel(4096)?;
    /// // SAFETY: the other end is in this very process, where nobody writes but by it.
    /// let mut rx = unsafe { rx.trust() };
    /// tx.send(b"ping: 17")?;
    /// assert!(rx.peek()?.starts_with(b"ping"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Safety
    ///
    /// As long as the result, or any slice from it, lives, no process changes the memory of this channel other than by the
    /// safe functions of its two ends: not by a wild pointer, and not on purpose.
    pub unsafe fn trust(self) -> Trusting<Receiver> {
        Trusting { end: self }
    }
}

impl Trusting<Sender> {
    /// As [`Sender::reserve`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send`].
    ///
    /// # Panics
    ///
    /// As for [`Sender::reserve`].
    pub fn reserve(&mut self, len: usize) -> Result<TrustedReservation<'_>, SendError<()>> {
        self.end.reserve(len).map(TrustedReservation)
    }

    /// As [`Sender::try_reserve`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_send`].
    ///
    /// # Panics
    ///
    /// As for [`Sender::reserve`].
    pub fn try_reserve(&mut self, len: usize) -> Result<TrustedReservation<'_>, TrySendError<()>> {
        self.end.try_reserve(len).map(TrustedReservation)
    }

    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send`].
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError<()>> {
        self.end.send(message)
    }
}

impl Trusting<Receiver> {
    /// As [`Receiver::peek`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    pub fn peek(&mut self) -> Result<TrustedMessage<'_>, RecvError> {
        self.end.peek().map(TrustedMessage)
    }

    /// As [`Receiver::try_peek`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv`].
    pub fn try_peek(&mut self) -> Result<TrustedMessage<'_>, TryRecvError> {
        self.end.try_peek().map(TrustedMessage)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    pub fn recv(&mut self) -> Result<Vec<u8>, RecvError> {
        self.end.recv()
    }
}

/// A [`Reservation`] that is a `&mut [u8]`.
#[must_use = "dropped, it sends nothing"]
#[derive(Debug)]
pub struct TrustedReservation<'a>(Reservation<'a>);

impl TrustedReservation<'_> {
    /// As [`Reservation::truncate`].
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// As [`Reservation::commit`].
    ///
    /// # Errors
    ///
    /// As for [`Reservation::commit`].
    pub fn commit(self) -> Result<(), SendError<()>> {
        self.0.commit()
    }

    fn first(&self) -> *mut u8 {
        byte(&self.0.sender().half.ring, self.0.place())
    }
}

/// Where the byte at a place of the ring lies.
fn byte(ring: &Ring, place: usize) -> *mut u8 {
    ring.first().as_ptr().wrapping_add(place)
}

impl Deref for TrustedReservation<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes from there are mapped, in one piece, for as long as the sender is borrowed, and were zeroes at
        // first. They are this reservation's alone until it is committed, which consumes it: the receiver keeps off what was not
        // committed, and the user of `trust` answers for everybody else.
        unsafe { slice::from_raw_parts(self.first(), self.0.len()) }
    }
}

impl DerefMut for TrustedReservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `self` is borrowed mutably, and no fork of this library's copies it.
        unsafe { slice::from_raw_parts_mut(self.first(), self.0.len()) }
    }
}

/// A [`Message`] that is a `&[u8]`.
#[derive(Debug)]
pub struct TrustedMessage<'a>(Message<'a>);

impl Deref for TrustedMessage<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let receiver = self.0.receiver();
        match self.0.next() {
            Next::Gathered => receiver.gathered(),
            Next::InPlace(frame) => {
                let first = byte(&receiver.half.ring, receiver.receiving.place() as usize);
                // SAFETY: so many bytes from there are mapped, in one piece, for as long as the receiver is borrowed: the
                // frame was checked to have arrived. The sender keeps off it until it is released, which the drop of the message
                // does; the user of `trust` answers for everybody else.
                unsafe { slice::from_raw_parts(first, frame.len as usize) }
            }
        }
    }
}
