//! What a sender and a receiver have in common.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::ring::{Header, Ring};
use crate::channel::end::{Doubt, Dropped, End, Peers, Side};
use crate::channel::error::{Fault, PeerDeath};
use crate::channel::park::{Look, Patience, Until};
use crate::channel::pollable::Pollable;
use crate::channel::raw::Corrupt;
use crate::channel::raw::primitive::AtomicU64;
use crate::channel::raw::signal::Signal;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// Not until then.
    NotNow,
    Fault(Fault),
}

impl Refused {
    /// Of an operation without a deadline, whose wait ends with something, or a fault.
    pub(super) fn for_good(self) -> Fault {
        match self {
            Refused::NotNow => Fault::Corrupt,
            Refused::Fault(fault) => fault,
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused::Fault(fault)
    }
}

/// One end, but for its position.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) ring: Ring,
    end: End,
    side: Side,
    pub(super) patience: Patience,
    doubt: Doubt,
    pollable: Option<Box<Pollable>>,
}

impl Half {
    pub(super) fn new(ring: Ring, end: End, side: Side) -> Half {
        Half { ring, end, side, patience: Patience::new(), doubt: Doubt::default(), pollable: None }
    }

    /// The signal that this side gives.
    #[inline]
    fn given(side: Side, header: &Header) -> &Signal {
        match side {
            Side::Sender => &header.filled.0,
            Side::Receiver => &header.emptied.0,
        }
    }

    /// The signal that this side waits for.
    #[inline]
    fn awaited(side: Side, header: &Header) -> &Signal {
        Half::given(other(side), header)
    }

    /// Whether this end is of any use. First thing in each operation.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.end.is_swift() { Ok(()) } else { self.check_slow() }
    }

    #[cold]
    fn check_slow(&self) -> Result<(), Fault> {
        if self.end.is_corrupt() {
            return Err(Fault::Corrupt);
        }
        let header = self.ring.header();
        if !self.end.is_known() {
            if !self.end.adopt(header.ends()) {
                return Err(Fault::NotOwner);
            }
            // Who sleeps does not watch this process yet.
            Half::given(self.side, header).wake_all();
        }
        Ok(())
    }

    /// Makes this end the calling process's. `take_over` makes its position the page's.
    pub(super) fn take_over(&mut self, take_over: impl FnOnce(&Ring) -> Result<(), Corrupt>) -> io::Result<()> {
        self.end.take_over(self.ring.header().ends())?;
        if take_over(&self.ring).is_err() {
            return Err(self.poison().receiving().into());
        }
        // Who sleeps does not watch this process yet.
        Half::given(self.side, self.ring.header()).wake_all();
        Ok(())
    }

    /// For who sends: whether the receiver has said that it goes.
    #[inline]
    pub(super) fn peer_may_be_gone(&self) -> bool {
        Half::given(self.side, self.ring.header()).is_gone()
    }

    /// Looks whether somebody is there to receive, after the receiver has said that it goes.
    #[cold]
    pub(super) fn look_for_peer(&self) -> Peers {
        let header = self.ring.header();
        let given = Half::given(self.side, header);
        given.clear_gone();
        let peers = header.ends().peers(other(self.side), false);
        if peers != Peers::Alive {
            given.set_gone();
        }
        peers
    }

    /// Announces a sleeper that calls for its sleep itself: the word to sleep on, and what to expect there.
    pub(super) fn announce(&self) -> (&AtomicU64, u64) {
        let awaited = Half::awaited(self.side, self.ring.header());
        (awaited.word(), awaited.announce())
    }

    pub(super) fn announce_in_poll(&self) {
        Half::awaited(self.side, self.ring.header()).announce_in_poll();
    }

    pub(super) fn poison(&mut self) -> Fault {
        self.end.poison();
        Fault::Corrupt
    }

    /// After a commit: wakes who waits for it.
    #[inline]
    pub(super) fn tell(&self) {
        self.end.light().fence();
        let given = Half::given(self.side, self.ring.header());
        if given.is_wanted() {
            given.wake_all();
        }
    }

    /// Waits until `look` finds what it looks for in the ring, or nobody is left on the other side.
    ///
    /// What the other side did before it went is found: the ring is looked at after that was seen.
    #[cold]
    pub(super) fn wait<R>(
        &mut self,
        until: Until,
        mut look: impl FnMut() -> Result<Option<R>, Corrupt>,
    ) -> Result<Found<R>, Refused> {
        let side = self.side;
        let header = self.ring.header();
        let mut try_it = |how: Look| -> Option<Result<Found<R>, Corrupt>> {
            let mut found = || look().map(|found| found.map(Found::It)).transpose();
            let at_once = found();
            if at_once.is_some() || how == Look::Ring {
                return at_once;
            }
            match header.ends().peers(other(side), how == Look::Sure) {
                Peers::Alive => None,
                gone => found().or(Some(Ok(Found::Nobody(gone)))),
            }
        };
        let found = match until {
            Until::Then(deadline) => self.patience.wait(Half::awaited(side, header), deadline, &mut try_it),
            Until::Now => try_it(if self.doubt.is_due() { Look::Sure } else { Look::Peers }),
        };
        let found = match (found, &mut self.pollable) {
            (None, Some(pollable)) => pollable.arm(Half::awaited(side, header), header.ends()).and_then(try_it),
            (found, _) => found,
        };
        match found {
            None => Err(Refused::NotNow),
            Some(Ok(found)) => Ok(found),
            Some(Err(Corrupt)) => Err(self.poison().into()),
        }
    }

    /// The descriptor to be polled for what the other side does.
    pub(super) fn pollable(&mut self, is_raised: impl FnOnce(&Half) -> bool) -> io::Result<BorrowedFd<'_>> {
        if let Err(Fault::NotOwner) = self.check() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, Fault::NotOwner.receiving()));
        }
        let own = self.pollable.take();
        let header = self.ring.header();
        let own = Pollable::open(own, Half::awaited(self.side, header), header.ends(), || is_raised(self))?;
        Ok(Pollable::as_fd(self.pollable.insert(own)))
    }

    /// Whether nobody is on the other side, as the kernel says.
    pub(super) fn is_disconnected(&self) -> bool {
        self.ring.header().ends().peers(other(self.side), true) != Peers::Alive
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Sender => Side::Receiver,
        Side::Receiver => Side::Sender,
    }
}

/// What came of a wait.
pub(super) enum Found<R> {
    It(R),
    /// Nobody is there any more, and nothing was left.
    Nobody(Peers),
}

/// What the end of the other side means. `in_flight`: how many messages a dead receiver has left.
pub(super) fn fault(peers: Peers, in_flight: impl FnOnce() -> usize) -> Fault {
    match peers {
        Peers::Died { pid } => Fault::PeerDied(PeerDeath { pid, in_flight: in_flight() }),
        Peers::Closed | Peers::Alive => Fault::Disconnected,
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let header = self.ring.header();
        let given = Half::given(self.side, header);
        Pollable::take_down(&mut self.pollable, Half::awaited(self.side, header));
        match self.end.drop_in(header.ends()) {
            Dropped::Closed => {
                // Who gives the signal that this side would wait for is told that nobody does.
                Half::awaited(self.side, header).set_gone();
                self.end.light().fence();
                given.wake_all();
            }
            // Who polls watches the processes that it knows of.
            Dropped::HandedOver if given.is_polled() => given.wake_all(),
            Dropped::HandedOver | Dropped::NotOwner => {}
        }
    }
}
