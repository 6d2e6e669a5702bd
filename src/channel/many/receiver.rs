//! The receiving end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Ring, Store};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side, Table};
use crate::channel::error::{Fault, PeerDeath, RecvError};
use crate::channel::park::{Look, Patience, Until};
use crate::channel::pollable::Pollable;
use crate::channel::raw::mpmc::{Held, ReceiveCursor, Refusal};
use crate::sys::futex::Words;
use crate::sys::roster::{self, Name};
use crate::wait::Flag;

/// Of messages, or of dead letters: as its cursor says.
pub(in crate::channel) struct Receiver<S: Store> {
    pub(in crate::channel) ring: Ring<S>,
    end: End,
    cursor: ReceiveCursor,
    pub(in crate::channel) patience: Patience,
    doubt: Doubt,
    /// The death of the last sender was told: then the end is just an end.
    told: bool,
    pollable: Option<Box<Pollable>>,
}

/// What is had of a message: itself, or a claim.
pub(in crate::channel) trait Take<S: Store>: Sized {
    fn take(ring: &Ring<S>, cursor: &mut ReceiveCursor, me: Name) -> Result<Self, Refusal>;
}

pub(in crate::channel) struct Received<G>(pub(in crate::channel) G);
pub(in crate::channel) struct Claimed<G>(
    pub(in crate::channel) G,
    pub(in crate::channel) Held,
    pub(in crate::channel) u16,
);

impl<S: Store> Take<S> for Received<S::Got> {
    #[inline]
    fn take(ring: &Ring<S>, cursor: &mut ReceiveCursor, me: Name) -> Result<Received<S::Got>, Refusal> {
        ring.raw().receive(cursor, me, |index| ring.store.get(ring, index)).map(Received)
    }
}

impl<S: Store> Take<S> for Claimed<S::Got> {
    fn take(ring: &Ring<S>, cursor: &mut ReceiveCursor, me: Name) -> Result<Claimed<S::Got>, Refusal> {
        let claim = ring.raw().claim(cursor, me, |index| ring.store.get(ring, index))?;
        Ok(Claimed(claim.0, claim.1, claim.2))
    }
}

/// As [`Take::take`]. Where there is no place on the roster for this thread, it waits for one as for a message.
#[inline]
fn take<S: Store, R: Take<S>>(ring: &Ring<S>, cursor: &mut ReceiveCursor) -> Result<R, Refusal> {
    R::take(ring, cursor, roster::me().map_err(|_| Refusal::NotNow)?)
}

impl<S: Store> Receiver<S> {
    pub(super) fn new(ring: Ring<S>, end: End) -> Receiver<S> {
        Receiver::with(ring, end, ReceiveCursor::default())
    }

    fn with(ring: Ring<S>, end: End, cursor: ReceiveCursor) -> Receiver<S> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Receiver { ring, end, cursor, patience, doubt, told: false, pollable: None }
    }

    /// The handles of those who receive the same.
    fn table(&self) -> Table<'_> {
        if self.cursor.is_of_letters() { self.ring.letter_table() } else { self.ring.table() }
    }

    /// A receiver of dead letters, of the calling process.
    ///
    /// # Errors
    ///
    /// As for [`try_clone`](Self::try_clone); `InvalidInput` where there are none.
    pub(in crate::channel) fn dead_letters(&self) -> io::Result<Receiver<S>> {
        if !self.ring.shape.has_letters() {
            let why = "this channel delivers again whatever is not done; make it with `redeliver` (an `mpmc` by `redelivering`) to have dead letters";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.look_at_owner()?;
        let end = End::new(self.ring.letter_table(), Side::Receiver)?;
        Ok(Receiver::with(self.ring.clone(), end, ReceiveCursor::of_letters()))
    }

    fn look_at_owner(&self) -> io::Result<()> {
        if self.is_mine() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, RecvError::NotOwner))
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there is no room for one more.
    pub(in crate::channel) fn try_clone(&self) -> io::Result<Receiver<S>> {
        self.look_at_owner()?;
        let mut clone = Receiver::with(self.ring.clone(), End::new(self.table(), Side::Receiver)?, self.cursor);
        if self.end.is_corrupt() {
            clone.end.poison();
        }
        Ok(clone)
    }

    /// The same; where there is none, one that is good for nothing.
    pub(in crate::channel) fn clone_or_nobody(&self) -> Receiver<S> {
        let nobody = |_| Receiver::with(self.ring.clone(), End::of_nobody(Side::Receiver), self.cursor);
        self.try_clone().unwrap_or_else(nobody)
    }

    /// Whether nothing more will be sent. Asks the kernel.
    pub(in crate::channel) fn is_disconnected(&self) -> bool {
        self.ring.table().peers(Side::Sender, true) != Peers::Alive
    }

    /// Makes this handle the calling process's, whosever it was.
    pub(in crate::channel) fn take_over(&mut self) -> io::Result<()> {
        self.end.take_over(self.table())?;
        self.wake_who_waits_for_it();
        Ok(())
    }

    /// The descriptor to be polled.
    pub(in crate::channel) fn pollable(&mut self) -> io::Result<BorrowedFd<'_>> {
        self.look_at_owner()?;
        let own = self.pollable.take();
        let asked = &self.ring.header().asked.0;
        let own = Pollable::open(own, asked, self.ring.table(), || self.is_raised())?;
        Ok(Pollable::as_fd(self.pollable.insert(own)))
    }

    /// How many can be received.
    pub(in crate::channel) fn len(&self) -> usize {
        let count = self.ring.raw().count();
        if self.cursor.is_of_letters() { count.letters } else { count.full }
    }

    /// None if there was none until then.
    #[inline]
    pub(in crate::channel) fn get<R: Take<S>>(&mut self, until: Until) -> Result<Option<R>, Fault> {
        if !self.end.is_swift() {
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
        self.end.light().fence();
        let emptied = &self.ring.header().emptied.0;
        if emptied.is_wanted() {
            self.ring.store.wake_senders(emptied);
        }
        if self.ring.header().idle.0.is_wanted() {
            self.ring.header().idle.0.wake_all();
        }
    }

    /// What is rarely to be looked at: whether this end is of any use.
    #[cold]
    fn look_up(&mut self) -> Result<(), Fault> {
        if self.end.is_corrupt() {
            return Err(Fault::Corrupt);
        }
        if self.is_mine() { Ok(()) } else { Err(Fault::NotOwner) }
    }

    pub(in crate::channel) fn is_mine(&self) -> bool {
        if self.end.is_known() {
            return true;
        }
        let adopted = self.end.adopt(self.table());
        if adopted {
            self.wake_who_waits_for_it();
        }
        adopted
    }

    /// Who sleeps does not watch this process yet.
    fn wake_who_waits_for_it(&self) {
        self.ring.header().emptied.0.wake_all();
        if !self.cursor.is_of_letters() {
            self.ring.wake_letter_receivers();
        }
    }

    pub(in crate::channel) fn poison(&mut self) -> Fault {
        self.end.poison();
        Fault::Corrupt
    }

    #[cold]
    fn wait_for<R: Take<S>>(&mut self, until: Until) -> Result<Option<R>, Fault> {
        let letters = self.cursor.is_of_letters();
        let (ring, cursor) = (&self.ring, &mut self.cursor);
        let mut look = |look: Look| -> Option<Result<R, Result<Peers, Refusal>>> {
            if look == Look::Sure
                && let Ok(me) = roster::me()
            {
                ring.raw().look_for_the_truth(me);
            }
            let mut found = || match take(ring, cursor) {
                Ok(taken) => Some(Ok(taken)),
                Err(Refusal::NotNow) => None,
                Err(corrupt) => Some(Err(Err(corrupt))),
            };
            let now = found();
            if now.is_some() || look == Look::Ring {
                return now;
            }
            match over(ring, letters, look == Look::Sure) {
                Ok(Peers::Alive) => None,
                // What was sent before it closed is seen now, if it was not before; and what has come back since.
                Ok(gone) => found().or(Some(Err(Ok(gone)))),
                Err(corrupt) => Some(Err(Err(corrupt))),
            }
        };
        let header = self.ring.header();
        let filled = if letters { &header.letters.0 } else { &header.filled.0 };
        let found = match until {
            Until::Then(deadline) => self.patience.wait(filled, deadline, &mut look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        let found = match (found, &mut self.pollable) {
            (None, Some(pollable)) => pollable.arm(&header.asked.0, ring.table()).and_then(look),
            (found, _) => found,
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

/// Whose end it is that nothing more can be received: neither sent, nor come back. What this thread has claimed it has to give back
/// itself.
fn over<S: Store>(ring: &Ring<S>, letters: bool, sure: bool) -> Result<Peers, Refusal> {
    // Before the ring: what was sent before the last one closed is seen then.
    let senders = ring.table().peers(Side::Sender, sure);
    // Who is gone claims nothing, and what nobody claims becomes no dead letter.
    let receivers = if letters { ring.table().peers(Side::Receiver, sure) } else { Peers::Alive };
    if (senders, receivers) == (Peers::Alive, Peers::Alive) {
        return Ok(Peers::Alive);
    }
    let Ok(me) = roster::me() else { return Ok(Peers::Alive) };
    let count = ring.raw().tend(me)?;
    let no_letter = !letters || count.letters + count.letters_taken == 0;
    if senders != Peers::Alive && count.is_idle() && no_letter {
        return Ok(senders);
    }
    if receivers != Peers::Alive && count.taken == 0 && no_letter {
        return Ok(receivers);
    }
    Ok(Peers::Alive)
}

impl<S: Store> Flag for Receiver<S> {
    /// Also where the next receive would tell of an end, or of another error.
    fn is_raised(&self) -> bool {
        if self.end.is_corrupt() || !self.is_mine() {
            return true;
        }
        let Ok(me) = roster::me() else { return false };
        let raw = self.ring.raw();
        raw.look_for_the_truth(me);
        let letters = self.cursor.is_of_letters();
        over(&self.ring, letters, true) != Ok(Peers::Alive)
            || raw.tend(me).map_or(true, |count| if letters { count.letters > 0 } else { count.full > 0 })
    }

    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let signal = self.ring.asked();
        words.push_word(signal.word(), signal.announce());
        true
    }

    fn sleep_in_poll(&self) {
        self.ring.asked().announce_in_poll();
    }
}

impl<S: Store> Drop for Receiver<S> {
    fn drop(&mut self) {
        let header = self.ring.header();
        Pollable::take_down(&mut self.pollable, &header.asked.0);
        match self.end.drop_in(self.table()) {
            Dropped::Closed if !self.cursor.is_of_letters() => {
                header.filled.0.set_gone();
                self.end.light().fence();
                header.emptied.0.wake_all();
                header.idle.0.wake_all();
                self.ring.wake_letter_receivers();
            }
            // What it claims comes back by its death.
            Dropped::HandedOver => self.ring.tell_who_polls(),
            Dropped::Closed | Dropped::NotOwner => {}
        }
    }
}
