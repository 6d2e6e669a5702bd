//! The receiving end.

use std::fmt;
use std::io;
use std::time::Duration;

use super::claim::Claim;
use super::{Ring, mpmc};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath, RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::iter::{Iter, iterators};
use crate::channel::park::{Look, Patience, Spin, Until};
use crate::channel::raw::mpmc::{Held, ReceiveCursor, Refusal};
use crate::sys::futex::Words;
use crate::sys::roster::{self, Name};
use crate::wait::{Flag, Ready, Source, What};
use crate::wire::Plain;

/// A receiving end of a ring. See [`channel`](super::channel).
///
/// When the last is dropped, senders are told `Disconnected`. What was not received is gone then.
pub struct Receiver<T: Plain> {
    ring: Ring<T>,
    end: End,
    cursor: ReceiveCursor,
    patience: Patience,
    doubt: Doubt,
    /// A peer wrote what cannot be.
    corrupt: bool,
    /// The death of the last sender was told: then the end is just an end.
    told: bool,
}

/// What is had of a message: itself, or a claim.
trait Take<T>: Sized {
    fn take(ring: &Ring<T>, cursor: &mut ReceiveCursor, me: Name) -> Result<Self, Refusal>;
}

struct Received<T>(T);
struct Claimed<T>(T, Held, u16);

const WITHIN: &str = "the index is that of a slot, of which there are as many as cells";

impl<T: Plain> Take<T> for Received<T> {
    #[inline]
    fn take(ring: &Ring<T>, cursor: &mut ReceiveCursor, me: Name) -> Result<Received<T>, Refusal> {
        let cells = ring.cells();
        ring.raw().receive(cursor, me, |index| cells.get(index).expect(WITHIN)).map(Received)
    }
}

impl<T: Plain> Take<T> for Claimed<T> {
    fn take(ring: &Ring<T>, cursor: &mut ReceiveCursor, me: Name) -> Result<Claimed<T>, Refusal> {
        let cells = ring.cells();
        let claim = ring.raw().claim(cursor, me, |index| cells.get(index).expect(WITHIN))?;
        Ok(Claimed(claim.0, claim.1, claim.2))
    }
}

/// As [`Take::take`]. Where there is no place on the roster for this thread, it waits for one as for a message.
#[inline]
fn take<T, R: Take<T>>(ring: &Ring<T>, cursor: &mut ReceiveCursor) -> Result<R, Refusal> {
    R::take(ring, cursor, roster::me().map_err(|_| Refusal::NotNow)?)
}

impl<T: Plain> Receiver<T> {
    pub(super) fn new(ring: Ring<T>, end: End) -> Receiver<T> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Receiver { ring, end, cursor: ReceiveCursor::default(), patience, doubt, corrupt: false, told: false }
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Receiver<T>> {
        if !self.is_mine() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, RecvError::NotOwner));
        }
        let mut clone = Receiver::new(self.ring.clone(), End::new(self.ring.table(), Side::Receiver)?);
        (clone.cursor, clone.corrupt) = (self.cursor, self.corrupt);
        Ok(clone)
    }

    /// Receives the next message; waits while there is none.
    ///
    /// # Errors
    ///
    /// Any [`RecvError`], after all that was sent was received, and what others have claimed is done.
    #[inline]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        match self.get::<Received<T>>(Until::ENDLESS) {
            Ok(Some(Received(value))) => Ok(value),
            // Without a deadline the wait ends with a message only.
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// Receives the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.get::<Received<T>>(Until::Now) {
            Ok(Some(Received(value))) => Ok(value),
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
        match self.get::<Received<T>>(Until::within(limit)) {
            Ok(Some(Received(value))) => Ok(value),
            Ok(None) => Err(RecvTimeoutError::Timeout),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// Claims the next message; waits while there is none. It is delivered again, unless it is [`done`](Claim::done).
    ///
    /// The message keeps its place in the ring until then, so the ring must be larger than the number of claims that are held.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn claim(&mut self) -> Result<Claim<T>, RecvError> {
        match self.get(Until::ENDLESS) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(RecvError::Corrupt),
            Err(fault) => Err(fault.receiving()),
        }
    }

    /// Claims the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    pub fn try_claim(&mut self) -> Result<Claim<T>, TryRecvError> {
        match self.get(Until::Now) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(TryRecvError::Empty),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    /// As [`claim`](Self::claim), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`recv`](Self::recv).
    pub fn claim_timeout(&mut self, limit: Duration) -> Result<Claim<T>, RecvTimeoutError> {
        match self.get(Until::within(limit)) {
            Ok(Some(claimed)) => Ok(self.claimed(claimed)),
            Ok(None) => Err(RecvTimeoutError::Timeout),
            Err(fault) => Err(fault.receiving().into()),
        }
    }

    fn claimed(&self, Claimed(value, held, attempts): Claimed<T>) -> Claim<T> {
        Claim::new(self.ring.clone(), value, held, attempts)
    }

    /// Receives until the end: a clean close ends the iteration; a last sender that was killed is one `Err` before that.
    pub fn iter(&mut self) -> Iter<'_, Receiver<T>> {
        Iter::new(self)
    }

    /// How many messages the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    /// Whether nothing more will be sent: the last sender was dropped, or its process has ended. There may be something still to be
    /// received. True is for good, as long as no sender is cloned meanwhile; false may be true by now. Asks the kernel, which takes
    /// some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.ring.table().peers(Side::Sender, true) != Peers::Alive
    }

    /// How to wait for messages.
    pub fn set_spin(&mut self, spin: Spin) {
        self.patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was.
    ///
    /// For handles that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who
    /// takes the place of a process that has died. It is that one's no more: where it lives, its drop closes nothing.
    ///
    /// # Errors
    ///
    /// What `/proc` says where it does not tell who this process is.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.end.take_over(self.ring.table())?;
        // Who sleeps does not watch this process yet.
        self.ring.header().emptied.0.wake_all();
        Ok(())
    }

    /// None if there was none until then.
    #[inline]
    fn get<R: Take<T>>(&mut self, until: Until) -> Result<Option<R>, Fault> {
        if !self.end.is_known() || self.corrupt {
            self.look_up()?;
        }
        match take(&self.ring, &mut self.cursor) {
            Ok(taken) => {
                self.tell();
                Ok(Some(taken))
            }
            Err(Refusal::NotNow) => self.wait_for(until),
            Err(Refusal::Corrupt) => Err(self.poison()),
        }
    }

    /// After the commit: the wake.
    #[inline]
    fn tell(&mut self) {
        self.end.light_fence();
        let emptied = &self.ring.header().emptied.0;
        if emptied.is_wanted() {
            emptied.wake(1);
        }
    }

    /// What is rarely to be looked at: whether this end is of any use.
    #[cold]
    fn look_up(&mut self) -> Result<(), Fault> {
        if self.corrupt {
            return Err(Fault::Corrupt);
        }
        if self.is_mine() { Ok(()) } else { Err(Fault::NotOwner) }
    }

    fn is_mine(&self) -> bool {
        if self.end.is_known() {
            return true;
        }
        let adopted = self.end.adopt(self.ring.table());
        if adopted {
            // Who sleeps does not watch this process yet.
            self.ring.header().emptied.0.wake_all();
        }
        adopted
    }

    fn poison(&mut self) -> Fault {
        self.corrupt = true;
        Fault::Corrupt
    }

    #[cold]
    fn wait_for<R: Take<T>>(&mut self, until: Until) -> Result<Option<R>, Fault> {
        let ring = self.ring.clone();
        let cursor = &mut self.cursor;
        let mut look = |look: Look| -> Option<Result<R, Result<Peers, Refusal>>> {
            if look == Look::Sure
                && let Ok(me) = roster::me()
            {
                ring.raw().look_for_the_truth(me);
            }
            let mut found = || match take(&ring, cursor) {
                Ok(taken) => Some(Ok(taken)),
                Err(Refusal::NotNow) => None,
                Err(corrupt) => Some(Err(Err(corrupt))),
            };
            let now = found();
            if now.is_some() || look == Look::Ring {
                return now;
            }
            match ring.table().peers(Side::Sender, look == Look::Sure) {
                Peers::Alive => None,
                // What was sent before it closed is seen now, if it was not before; and what has come back since.
                gone => match is_over(&ring) {
                    Ok(true) => found().or(Some(Err(Ok(gone)))),
                    Ok(false) => found(),
                    Err(corrupt) => Some(Err(Err(corrupt))),
                },
            }
        };
        let found = match until {
            Until::Then(deadline) => self.patience.wait(&ring.header().filled.0, deadline, look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        match found {
            None => Ok(None),
            Some(Ok(taken)) => {
                self.tell();
                Ok(Some(taken))
            }
            Some(Err(Err(_))) => Err(self.poison()),
            // After the one error it is an end like any other.
            Some(Err(Ok(Peers::Died { pid }))) if !self.told => {
                self.told = true;
                Err(Fault::PeerDied(PeerDeath { pid, in_flight: 0 }))
            }
            Some(Err(Ok(_))) => Err(Fault::Disconnected),
        }
    }
}

/// Where nothing is sent any more: whether nothing can come back either. What this thread has claimed it has to give back itself.
fn is_over<T: Plain>(ring: &Ring<T>) -> Result<bool, Refusal> {
    let Ok(me) = roster::me() else { return Ok(false) };
    Ok(ring.raw().tend(me)? == mpmc::Count::default())
}

/// See [`Receiver::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Plain> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.try_clone().unwrap_or_else(|_| Receiver::new(self.ring.clone(), End::of_nobody(Side::Receiver)))
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
        if self.corrupt || !self.is_mine() {
            return true;
        }
        let Ok(me) = roster::me() else { return false };
        let raw = self.ring.raw();
        raw.look_for_the_truth(me);
        // Read before the ring: what was sent before the last one closed is seen then.
        let gone = self.ring.table().peers(Side::Sender, true) != Peers::Alive;
        raw.tend(me).map_or(true, |count| count.full > 0 || gone && count.taken == 0)
    }

    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let signal = &self.ring.header().asked.0;
        words.push_word(signal.word(), signal.announce());
        true
    }

    fn sleep_in_poll(&self) {
        self.ring.header().asked.0.announce_in_poll();
    }
}

impl<T: Plain> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.end.drop_in(self.ring.table()) == Dropped::Closed {
            let header = self.ring.header();
            header.filled.0.set_gone();
            self.end.light_fence();
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
