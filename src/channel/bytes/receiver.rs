//! The receiving end.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::message::Message;
use super::ring::Ring;
use super::side::{Found, Half, Refused, fault};
use crate::channel::end::{End, Peers, Side};
use crate::channel::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::iter::{Iter, iterators};
use crate::channel::park::{Spin, Until};
use crate::channel::raw::Corrupt;
use crate::channel::raw::bytes::{Frame, Receiving};
use crate::memory::cells::Cells;
use crate::sys::futex::Words;
use crate::wait::{Flag, Ready, Source, What};
use crate::wire::Pass;

/// The receiving end of a ring of bytes. See [`channel`](super::channel).
///
/// Dropped, it closes: the sender is told `Disconnected`. What was not received is lost.
pub struct Receiver {
    pub(super) half: Half,
    pub(super) receiving: Receiving,
    /// What has come of a message that is longer than the ring. It grows by what comes, not by what is announced.
    gathered: Vec<u8>,
    /// That is all of it.
    whole: bool,
    /// The death of the sender was told: from then on the end is just an end.
    told: bool,
}

static_assertions::assert_impl_all!(Receiver: Send);

/// Where the next message is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// In the ring, where it stays until it is released.
    InPlace(Frame),
    /// It was longer than the ring, and has come in parts.
    Gathered,
}

impl Receiver {
    pub(super) fn new(ring: Ring, end: End) -> Receiver {
        let receiving = Receiving::new(ring.capacity() as u64);
        Receiver {
            half: Half::new(ring, end, Side::Receiver),
            receiving,
            gathered: Vec::new(),
            whole: false,
            told: false,
        }
    }

    /// Receives the next message; waits while there is none.
    ///
    /// # Errors
    ///
    /// Any [`RecvError`]. All that was sent whole is received before [`Disconnected`](RecvError::Disconnected) or
    /// [`PeerDied`](RecvError::PeerDied) is told. A message that its sender was killed in is not received, nor any part of it.
    #[inline]
    pub fn recv(&mut self) -> Result<Vec<u8>, RecvError> {
        self.take(Until::ENDLESS).map_err(|refused| refused.for_good().receiving())
    }

    /// Receives the next message, if it is there now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        self.take(Until::Now).map_err(not_at_once)
    }

    /// As [`recv`](Self::recv), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`recv`](Self::recv). What has come by then of a message longer than the ring
    /// is kept for the next call.
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        self.take(Until::within(limit)).map_err(not_in_time)
    }

    /// As [`recv`](Self::recv), into a vector whose memory is used again. Returns the length of the message, which then is all
    /// that is in `message`; on an error that is left as it was.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    #[inline]
    pub fn recv_into(&mut self, message: &mut Vec<u8>) -> Result<usize, RecvError> {
        self.take_into(message, Until::ENDLESS).map_err(|refused| refused.for_good().receiving())
    }

    /// As [`recv_into`](Self::recv_into), if there is a message now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv_into(&mut self, message: &mut Vec<u8>) -> Result<usize, TryRecvError> {
        self.take_into(message, Until::Now).map_err(not_at_once)
    }

    /// The next message, in place; waits while there is none. It is received when the [`Message`] is dropped.
    ///
    /// One that is longer than the ring is gathered in memory of this process first.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn peek(&mut self) -> Result<Message<'_>, RecvError> {
        let next = self.next(Until::ENDLESS).map_err(|refused| refused.for_good().receiving())?;
        Ok(Message::new(self, next))
    }

    /// As [`peek`](Self::peek), if there is a message now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    pub fn try_peek(&mut self) -> Result<Message<'_>, TryRecvError> {
        let next = self.next(Until::Now).map_err(not_at_once)?;
        Ok(Message::new(self, next))
    }

    /// As [`peek`](Self::peek), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Self::recv_timeout).
    pub fn peek_timeout(&mut self, limit: Duration) -> Result<Message<'_>, RecvTimeoutError> {
        let next = self.next(Until::within(limit)).map_err(not_in_time)?;
        Ok(Message::new(self, next))
    }

    /// The messages, as they come; waits for each. Ends when the sender has closed its end and all is received. A sender that died
    /// is one `Err` at the end, as is whatever else keeps this end from receiving.
    pub fn iter(&mut self) -> Iter<'_, Receiver> {
        Iter::new(self)
    }

    /// How many bytes the ring holds, the eight that each message takes besides counted in: what was asked for, or more.
    pub fn capacity(&self) -> usize {
        self.half.ring.capacity()
    }

    /// How many bytes of the ring are taken by what was not received yet. The sender may add to them at any moment.
    pub fn len(&self) -> usize {
        self.half.ring.len()
    }

    /// Whether nothing is in the ring. What is received by this end only makes it true. Where it is not, a message is there, or a
    /// part of one that is longer than the ring.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nobody can send any more: the sender was dropped, or its process has ended. True is for good; false may be true
    /// by now. There may still be something to receive. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.half.is_disconnected()
    }

    /// A descriptor that can be read when there may be something to receive, or an end or an error to be told. See
    /// [`spsc::Receiver::pollable`](crate::channel::spsc::Receiver::pollable).
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this end is another process's; no descriptor is left.
    pub fn pollable(&mut self) -> io::Result<BorrowedFd<'_>> {
        let (receiving, whole) = (self.receiving.clone(), self.whole);
        self.half.pollable(|half| is_raised(half, &receiving, whole))
    }

    /// How to wait for messages.
    pub fn set_spin(&mut self, spin: Spin) {
        self.half.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was, and goes on where that one stopped.
    ///
    /// As [`Sender::take_over`](super::Sender::take_over). A message longer than the ring of which that one has taken out a part
    /// is not received.
    ///
    /// # Errors
    ///
    /// `InvalidData` where the channel's memory was overwritten; what `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        // A copy of what that one had gathered by then.
        self.forget_gathered();
        let receiving = &mut self.receiving;
        self.half.take_over(|ring| receiving.take_over(&ring.header().cursors))
    }

    fn take(&mut self, until: Until) -> Result<Vec<u8>, Refused> {
        let mut message = Vec::new();
        self.take_into(&mut message, until)?;
        Ok(message)
    }

    #[inline]
    fn take_into(&mut self, message: &mut Vec<u8>, until: Until) -> Result<usize, Refused> {
        match self.next(until)? {
            Next::InPlace(frame) => {
                message.clear();
                self.bytes_of(frame).append_to(message);
                self.release(frame);
            }
            Next::Gathered => {
                mem::swap(message, &mut self.gathered);
                self.forget_gathered();
            }
        }
        Ok(message.len())
    }

    /// Finds the next message.
    #[inline]
    fn next(&mut self, until: Until) -> Result<Next, Refused> {
        self.half.check()?;
        loop {
            if self.whole {
                return Ok(Next::Gathered);
            }
            let ring = &self.half.ring;
            let frame = match self.receiving.look(&ring.header().cursors, ring) {
                Ok(Some(frame)) => frame,
                Ok(None) => self.wait_for_frame(until)?,
                Err(Corrupt) => {
                    self.forget_gathered();
                    return Err(self.half.poison().into());
                }
            };
            if self.receiving.is_lost(frame) {
                self.release(frame);
                continue;
            }
            if frame.begins && frame.ends {
                // What has come before without an end was given up.
                self.forget_gathered();
                return Ok(Next::InPlace(frame));
            }
            self.gather(frame);
        }
    }

    #[cold]
    fn wait_for_frame(&mut self, until: Until) -> Result<Frame, Refused> {
        let (receiving, ring) = (&mut self.receiving, self.half.ring.clone());
        match self.half.wait(until, || receiving.look(&ring.header().cursors, &ring))? {
            Found::It(frame) => Ok(frame),
            Found::Nobody(peers) => {
                self.forget_gathered();
                let peers = if mem::replace(&mut self.told, true) { Peers::Closed } else { peers };
                Err(fault(peers, || 0).into())
            }
        }
    }

    /// Takes one part of a message that is longer than the ring.
    #[cold]
    fn gather(&mut self, frame: Frame) {
        if frame.begins {
            self.forget_gathered();
        }
        let mut gathered = mem::take(&mut self.gathered);
        self.bytes_of(frame).append_to(&mut gathered);
        self.gathered = gathered;
        self.release(frame);
        self.whole = frame.ends;
    }

    /// Memory of the size of a usual message is kept for the next.
    pub(super) fn forget_gathered(&mut self) {
        self.gathered.clear();
        self.gathered.shrink_to(self.half.ring.capacity());
        self.whole = false;
    }

    pub(super) fn gathered(&self) -> &[u8] {
        &self.gathered
    }

    /// The bytes of the frame that is next, which was found.
    #[inline]
    pub(super) fn bytes_of(&self, frame: Frame) -> Cells<'_, u8> {
        let cells = self.half.ring.cells();
        // Inside: the frame is no longer than what had arrived, which is no more than the ring.
        let part = cells.part(self.receiving.place() as usize, frame.len as usize);
        debug_assert!(part.is_ok());
        part.unwrap_or(cells)
    }

    #[inline]
    pub(super) fn release(&mut self, frame: Frame) {
        self.receiving.release(&self.half.ring.header().cursors, frame);
        self.half.tell();
    }
}

fn is_raised(half: &Half, receiving: &Receiving, whole: bool) -> bool {
    let look = || receiving.clone().look(&half.ring.header().cursors, &half.ring) != Ok(None);
    half.check().is_err() || whole || look() || half.is_disconnected()
}

fn not_at_once(refused: Refused) -> TryRecvError {
    match refused {
        Refused::NotNow => TryRecvError::Empty,
        Refused::Fault(fault) => fault.receiving().into(),
    }
}

fn not_in_time(refused: Refused) -> RecvTimeoutError {
    match refused {
        Refused::NotNow => RecvTimeoutError::Timeout,
        Refused::Fault(fault) => fault.receiving().into(),
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.half.ring)
    }
}

/// It goes to the process that it is passed to.
impl Pass for Receiver {}

impl Source for Receiver {
    fn what(&self) -> What<'_> {
        What::Flag(self)
    }
}
impl Ready for Receiver {}

impl Flag for Receiver {
    /// Also where the next receive would tell of an end, or of another error; and where a part of a message has come that is longer
    /// than the ring.
    fn is_raised(&self) -> bool {
        is_raised(&self.half, &self.receiving, self.whole)
    }

    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let (word, expected) = self.half.announce();
        words.push_word(word, expected);
        true
    }

    fn sleep_in_poll(&self) {
        self.half.announce_in_poll();
    }
}

iterators!(impl[] Receiver, Vec<u8>);
