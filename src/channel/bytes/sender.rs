//! The sending end.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::time::Duration;

use super::reservation::Reservation;
use super::ring::Ring;
use super::side::{Found, Half, Refused, fault};
use crate::channel::end::{End, Peers, Side};
use crate::channel::error::{Fault, SendError, SendTimeoutError, TrySendError};
use crate::channel::park::{Spin, Until};
use crate::channel::raw::Corrupt;
use crate::channel::raw::bytes::{Frame, Sending};
use crate::memory::cells::Cells;
use crate::wire::{EncodeError, Pass};

/// The sending end of a ring of bytes. See [`channel`](super::channel).
///
/// Dropped, it closes: the receiver receives what was sent, and is then told `Disconnected`.
pub struct Sender {
    pub(super) half: Half,
    pub(super) sending: Sending,
}

static_assertions::assert_impl_all!(Sender: Send);

impl Sender {
    pub(super) fn new(ring: Ring, end: End) -> Sender {
        let sending = Sending::new(ring.capacity() as u64);
        Sender { half: Half::new(ring, end, Side::Sender), sending }
    }

    /// Sends a message of any length; waits while there is no room.
    ///
    /// One of up to [`longest_in_place`](Self::longest_in_place) bytes is sent by one store. A longer one goes through the
    /// ring in parts, and this returns when the last one is in it; the receiver has the message only then.
    ///
    /// When this returns, the message is in the ring (the last of it, if it is longer), and stays there whatever becomes of this
    /// process.
    ///
    /// # Errors
    ///
    /// Any [`SendError`]: the message was not sent, and of what went through the ring the receiver makes nothing. That the
    /// receiver was killed may be found later than by the next send.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError<()>> {
        self.put(&[message], Until::ENDLESS).map_err(|refused| refused.for_good().sending(()))
    }

    /// Sends a message, if there is room for all of it now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], and as for [`send`](Self::send). [`Encode`](TrySendError::Encode) where it is longer than
    /// [`longest_in_place`](Self::longest_in_place): there is no room for all of it at any one time.
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), TrySendError<()>> {
        self.fits(message.len())?;
        self.put(&[message], Until::Now).map_err(not_at_once)
    }

    /// As [`send`](Self::send), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], and as for [`send`](Self::send).
    pub fn send_timeout(&mut self, message: &[u8], limit: Duration) -> Result<(), SendTimeoutError<()>> {
        self.put(&[message], Until::within(limit)).map_err(not_in_time)
    }

    /// As [`send`](Self::send), with the message in pieces: what is received is one.
    ///
    /// ```
    /// use std::io::{self, IoSlice};
    /// use tine::channel::bytes;
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let (mut tx, mut rx) = bytes::channel(4096)?;
    /// tx.send_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?;
    /// assert_eq!(rx.recv()?, b"headbody");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[doc(alias = "writev")]
    pub fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), SendError<()>> {
        self.put(pieces, Until::ENDLESS).map_err(|refused| refused.for_good().sending(()))
    }

    /// Room for a message of `len` bytes, to be written in place, in the ring, and sent by one store; waits until there is so
    /// much.
    ///
    /// Nothing is sent before [`Reservation::commit`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send). [`Encode`](SendError::Encode) where `len` is larger than
    /// [`longest_in_place`](Self::longest_in_place): there can never be so much room.
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>, SendError<()>> {
        self.fits(len)?;
        self.reserve_until(len, Until::ENDLESS).map_err(|refused| refused.for_good().sending(()))
    }

    /// As [`reserve`](Self::reserve), if there is so much room now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], and as for [`reserve`](Self::reserve).
    pub fn try_reserve(&mut self, len: usize) -> Result<Reservation<'_>, TrySendError<()>> {
        self.fits(len)?;
        self.reserve_until(len, Until::Now).map_err(not_at_once)
    }

    /// As [`reserve`](Self::reserve), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], and as for [`reserve`](Self::reserve).
    pub fn reserve_timeout(&mut self, len: usize, limit: Duration) -> Result<Reservation<'_>, SendTimeoutError<()>> {
        self.fits(len)?;
        self.reserve_until(len, Until::within(limit)).map_err(not_in_time)
    }

    /// How many bytes the ring holds, the eight that each message takes besides counted in: what was asked for, or more.
    pub fn capacity(&self) -> usize {
        self.half.ring.capacity()
    }

    /// The longest message that is in the ring as a whole, in bytes: 8 less than the capacity. Longer ones stream through it.
    pub fn longest_in_place(&self) -> usize {
        self.half.ring.longest_in_place()
    }

    /// How many bytes of the ring are taken by what was not received yet. The receiver may take some at any moment, so there
    /// may be fewer by now.
    pub fn len(&self) -> usize {
        self.half.ring.len()
    }

    /// Whether nothing is in the ring. What is sent by this end only makes it false.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nobody can receive any more: the receiver was dropped, or its process has ended. True is for good; false may be
    /// true by now. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.half.is_disconnected()
    }

    /// How to wait for room.
    pub fn set_spin(&mut self, spin: Spin) {
        self.half.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was, and goes on where that one stopped.
    ///
    /// For handles that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who
    /// takes the place of a process that has died. The one who had it must not use it any more: of two that send by one end,
    /// messages are lost or mixed, and both may be told `Corrupt`.
    ///
    /// A message longer than the ring in which that one stopped was not sent.
    ///
    /// # Errors
    ///
    /// `InvalidData` where the channel's memory was overwritten; what `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        let sending = &mut self.sending;
        self.half.take_over(|ring| sending.take_over(&ring.header().cursors))
    }

    #[inline]
    fn put<P: Deref<Target = [u8]>>(&mut self, pieces: &[P], until: Until) -> Result<(), Refused> {
        // Nobody has pieces of 2^64 bytes; saturated, the sum would still be more than any ring's.
        let len = pieces.iter().fold(0_usize, |len, piece| len.saturating_add(piece.len()));
        if len > self.half.ring.longest_in_place() {
            return self.stream(pieces, len, until);
        }
        let frame = Frame::whole(len as u64);
        self.room(frame.size(), until)?;
        let mut at = self.sending.place() as usize;
        let cells = self.half.ring.cells();
        for piece in pieces {
            // Inside: there is room for all of them.
            let _ = cells.copy_from(at, piece);
            at += piece.len();
        }
        self.commit(frame);
        Ok(())
    }

    /// Whether a message of so many bytes can be in the ring as a whole.
    fn fits(&self, len: usize) -> Result<(), SendError<()>> {
        let longest = self.longest_in_place();
        if len <= longest {
            return Ok(());
        }
        self.half.check().map_err(|fault| fault.sending(()))?;
        let why = format!(
            "{len} bytes are never in this ring at once, which holds up to {longest}; let `send` wait for parts"
        );
        Err(SendError::Encode((), EncodeError::new(why)))
    }

    /// Longer than the ring: part for part, as the receiver makes room.
    #[cold]
    fn stream<P: Deref<Target = [u8]>>(&mut self, pieces: &[P], len: usize, until: Until) -> Result<(), Refused> {
        let mut rest = Rest { pieces, taken: 0 };
        let (mut left, mut begins) = (len as u64, true);
        while left > 0 {
            let part = self.sending.portion(left);
            let frame = Frame { len: part, begins, ends: part == left };
            // What goes wrong from the second one on leaves a stream without an end, which is no message.
            self.room(frame.size(), until)?;
            rest.copy_to(self.half.ring.cells(), self.sending.place() as usize, part as usize);
            self.commit(frame);
            (left, begins) = (left - part, false);
        }
        Ok(())
    }

    fn reserve_until(&mut self, len: usize, until: Until) -> Result<Reservation<'_>, Refused> {
        self.room(Frame::whole(len as u64).size(), until)?;
        Ok(Reservation::new(self, len))
    }

    /// Waits until there is room for a frame of this size.
    #[inline]
    fn room(&mut self, wanted: u64, until: Until) -> Result<(), Refused> {
        self.half.check()?;
        if self.half.peer_may_be_gone() {
            let peers = self.half.look_for_peer();
            if peers != Peers::Alive {
                return Err(self.gone(peers).into());
            }
        }
        match self.sending.room(&self.half.ring.header().cursors, wanted) {
            Ok(room) if room >= wanted => Ok(()),
            Ok(_) => self.wait_for_room(wanted, until),
            Err(Corrupt) => Err(self.half.poison().into()),
        }
    }

    #[cold]
    fn wait_for_room(&mut self, wanted: u64, until: Until) -> Result<(), Refused> {
        let (sending, ring) = (&mut self.sending, self.half.ring.clone());
        let found = self.half.wait(until, || {
            let room = sending.room(&ring.header().cursors, wanted)?;
            Ok((room >= wanted).then_some(()))
        })?;
        match found {
            Found::It(()) => Ok(()),
            Found::Nobody(peers) => Err(self.gone(peers).into()),
        }
    }

    fn gone(&mut self, peers: Peers) -> Fault {
        let ring = &self.half.ring;
        fault(peers, || self.sending.in_flight(&ring.header().cursors, ring))
    }

    /// Room was found for it, and its bytes are in their place.
    #[inline]
    pub(super) fn commit(&mut self, frame: Frame) {
        self.sending.commit(&self.half.ring.header().cursors, &self.half.ring, frame);
        self.half.tell();
    }
}

/// What of some pieces is to go.
struct Rest<'a, P> {
    pieces: &'a [P],
    /// Of the first of them.
    taken: usize,
}

impl<P: Deref<Target = [u8]>> Rest<'_, P> {
    /// Moves `len` bytes to `at`. There are so many.
    fn copy_to(&mut self, cells: Cells<'_, u8>, mut at: usize, len: usize) {
        let end = at + len;
        while at < end
            && let Some((piece, others)) = self.pieces.split_first()
        {
            let rest = &piece[self.taken..];
            let now = &rest[..rest.len().min(end - at)];
            // Inside: the caller has found room.
            let _ = cells.copy_from(at, now);
            at += now.len();
            self.taken += now.len();
            if now.len() == rest.len() {
                (self.pieces, self.taken) = (others, 0);
            }
        }
    }
}

fn not_at_once(refused: Refused) -> TrySendError<()> {
    match refused {
        Refused::NotNow => TrySendError::Full(()),
        Refused::Fault(fault) => fault.sending(()).into(),
    }
}

fn not_in_time(refused: Refused) -> SendTimeoutError<()> {
    match refused {
        Refused::NotNow => SendTimeoutError::Timeout(()),
        Refused::Fault(fault) => fault.sending(()).into(),
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.half.ring)
    }
}

/// It goes to the process that it is passed to.
impl Pass for Sender {}
