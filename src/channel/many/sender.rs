//! The sending end.

use std::io;

use super::{Ring, Store};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath, SendError};
use crate::channel::park::{Look, Patience, Until};
use crate::channel::raw::mpmc::{Refusal, SendCursor};
use crate::sys::roster;

pub(in crate::channel) struct Sender<S: Store> {
    pub(in crate::channel) ring: Ring<S>,
    end: End,
    cursor: SendCursor,
    pub(in crate::channel) patience: Patience,
    doubt: Doubt,
}

impl<S: Store> Sender<S> {
    pub(super) fn new(ring: Ring<S>, end: End) -> Sender<S> {
        let (patience, doubt) = (Patience::new(), Doubt::default());
        Sender { ring, end, cursor: SendCursor::default(), patience, doubt }
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there is no room for one more.
    pub(in crate::channel) fn try_clone(&self) -> io::Result<Sender<S>> {
        if !self.is_mine() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, SendError::NotOwner(())));
        }
        let mut clone = Sender::new(self.ring.clone(), End::new(self.ring.table(), Side::Sender)?);
        clone.cursor = self.cursor;
        if self.end.is_corrupt() {
            clone.end.poison();
        }
        Ok(clone)
    }

    /// The same; where there is none, one that is good for nothing.
    pub(in crate::channel) fn clone_or_nobody(&self) -> Sender<S> {
        self.try_clone().unwrap_or_else(|_| Sender::new(self.ring.clone(), End::of_nobody(Side::Sender)))
    }

    /// Whether nobody can receive any more. Asks the kernel.
    pub(in crate::channel) fn is_disconnected(&self) -> bool {
        self.ring.table().peers(Side::Receiver, true) != Peers::Alive
    }

    /// Makes this handle the calling process's, whosever it was.
    pub(in crate::channel) fn take_over(&mut self) -> io::Result<()> {
        self.end.take_over(self.ring.table())?;
        // Who sleeps does not watch this process yet.
        self.ring.wake_all_receivers();
        Ok(())
    }

    /// Waits until there is nothing in the ring, and nothing in anybody's hands. False if that was not so until then.
    pub(in crate::channel) fn wait_idle(&mut self, until: Until) -> Result<bool, Fault> {
        self.look_up()?;
        let ring = &self.ring;
        let idle = &ring.header().idle.0;
        let look = |look: Look| -> Option<Result<(), Result<Peers, Refusal>>> {
            if let Ok(me) = roster::me() {
                if look == Look::Sure {
                    ring.raw().look_for_the_truth(me);
                }
                if let Err(corrupt) = ring.raw().tend(me) {
                    return Some(Err(Err(corrupt.into())));
                }
            }
            // What this thread has claimed is counted, too.
            if ring.raw().count().is_idle() {
                return Some(Ok(()));
            }
            if look == Look::Ring {
                return None;
            }
            match ring.table().peers(Side::Receiver, look == Look::Sure) {
                Peers::Alive => None,
                gone => Some(Err(Ok(gone))),
            }
        };
        let found = match until {
            Until::Then(deadline) => self.patience.wait(idle, deadline, look),
            Until::Now => look(Look::Sure),
        };
        match found {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(Err(_))) => Err(self.poison()),
            Some(Err(Ok(peers))) => self.fault(peers).map(|()| false),
        }
    }

    /// False if there was no room until then.
    #[inline]
    pub(in crate::channel) fn put(&mut self, value: S::Put<'_>, until: Until) -> Result<bool, Fault> {
        self.look_up()?;
        match self.put_at_once(value) {
            Ok(()) => {
                self.tell(1);
                Ok(true)
            }
            Err(Refusal::NotNow) => self.wait_for(value, until),
            Err(Refusal::Corrupt) => Err(self.poison()),
        }
    }

    #[inline]
    pub(in crate::channel) fn put_at_once(&mut self, value: S::Put<'_>) -> Result<(), Refusal> {
        put(&self.ring, &mut self.cursor, value)
    }

    /// After so many commits: the wake.
    #[inline]
    pub(in crate::channel) fn tell(&mut self, sent: usize) {
        self.end.light().fence();
        let header = self.ring.header();
        if header.filled.0.is_wanted() || header.asked.0.is_wanted() || self.cursor.returned {
            self.ring.wake_receivers(sent as u64 + u64::from(self.cursor.returned));
            if std::mem::take(&mut self.cursor.returned) {
                self.ring.wake_letter_receivers();
            }
        }
    }

    /// Whether this end is of any use.
    #[inline]
    pub(in crate::channel) fn look_up(&mut self) -> Result<(), Fault> {
        if self.end.is_swift() && !self.ring.header().filled.0.is_gone() {
            return Ok(());
        }
        self.look_up_slow()
    }

    #[cold]
    fn look_up_slow(&mut self) -> Result<(), Fault> {
        if self.end.is_corrupt() {
            return Err(Fault::Corrupt);
        }
        if !self.is_mine() {
            return Err(Fault::NotOwner);
        }
        let filled = &self.ring.header().filled.0;
        if filled.is_gone() {
            filled.clear_gone();
            let peers = self.ring.table().peers(Side::Receiver, false);
            if peers != Peers::Alive {
                filled.set_gone();
            }
            self.fault(peers)?;
        }
        Ok(())
    }

    pub(in crate::channel) fn is_mine(&self) -> bool {
        if self.end.is_known() {
            return true;
        }
        let adopted = self.end.adopt(self.ring.table());
        if adopted {
            // Who sleeps does not watch this process yet.
            self.ring.wake_all_receivers();
        }
        adopted
    }

    fn fault(&self, peers: Peers) -> Result<(), Fault> {
        match peers {
            Peers::Alive => Ok(()),
            Peers::Closed => Err(Fault::Disconnected),
            Peers::Died { pid } => {
                let count = self.ring.raw().count();
                Err(Fault::PeerDied(PeerDeath { pid, in_flight: count.full + count.taken }))
            }
        }
    }

    fn poison(&mut self) -> Fault {
        self.end.poison();
        Fault::Corrupt
    }

    #[cold]
    fn wait_for(&mut self, value: S::Put<'_>, until: Until) -> Result<bool, Fault> {
        let (ring, cursor) = (&self.ring, &mut self.cursor);
        let mut look = |look: Look| -> Option<Result<(), Result<Peers, Refusal>>> {
            if look == Look::Sure
                && let Ok(me) = roster::me()
            {
                ring.raw().look_for_the_truth(me);
            }
            match put(ring, cursor, value) {
                Ok(()) => return Some(Ok(())),
                Err(Refusal::NotNow) => {}
                Err(corrupt) => return Some(Err(Err(corrupt))),
            }
            if std::mem::take(&mut cursor.returned) {
                ring.wake_receivers(1);
                ring.wake_letter_receivers();
            }
            if look == Look::Ring {
                return None;
            }
            match ring.table().peers(Side::Receiver, look == Look::Sure) {
                Peers::Alive => None,
                gone => Some(Err(Ok(gone))),
            }
        };
        let emptied = &ring.header().emptied.0;
        let found = match until {
            Until::Then(deadline) => self.patience.wait(emptied, deadline, look),
            Until::Now => look(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        match found {
            None => Ok(false),
            Some(Ok(())) => {
                self.tell(1);
                // What was freed before the one that this sender waited for has woken it, and nobody else.
                let (ring, emptied) = (&self.ring, &self.ring.header().emptied.0);
                if emptied.is_wanted() && !ring.raw().is_full(&self.cursor) {
                    emptied.wake(1);
                }
                Ok(true)
            }
            Some(Err(Err(_))) => Err(self.poison()),
            Some(Err(Ok(peers))) => self.fault(peers).map(|()| false),
        }
    }
}

#[inline]
fn put<S: Store>(ring: &Ring<S>, cursor: &mut SendCursor, value: S::Put<'_>) -> Result<(), Refusal> {
    // Where there is no place on the roster for this thread, it waits for one as for room.
    let me = roster::me().map_err(|_| Refusal::NotNow)?;
    ring.store.put(ring, cursor, me, value)
}

impl<S: Store> Drop for Sender<S> {
    fn drop(&mut self) {
        match self.end.drop_in(self.ring.table()) {
            Dropped::Closed => {
                // For claims: see `Claim`.
                self.ring.header().emptied.0.set_gone();
                self.end.light().fence();
                self.ring.wake_all_receivers();
            }
            Dropped::HandedOver => self.ring.tell_who_polls(),
            Dropped::NotOwner => {}
        }
    }
}
