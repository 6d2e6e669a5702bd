//! Waiting for the other side: first looking again, then asleep.

use std::time::{Duration, Instant};

use super::raw::primitive::heavy;
use super::raw::signal::Signal;
use crate::sync::raw::primitive::spins;
use crate::sys::clock::{deadline_in, left_until};
use crate::sys::futex::{self, Slept, Words};
use crate::sys::roster;

/// How to wait for the other side.
///
/// What a wait costs depends on what else is to be done. To be woken takes tens of microseconds (on a virtual machine often over
/// a hundred); to look again and again takes a CPU. Where this process could run on one CPU only when it made its first channel
/// (or its first wait for a lock), nobody ever looks again, but with [`Always`](Spin::Always).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spin {
    /// Looks again for up to about the time that a wake takes, longer where that mostly finds something and hardly where it
    /// mostly does not; then lets others have the CPU, a few times; then sleeps.
    #[default]
    Adaptive,
    /// Never sleeps. For processes with a CPU of their own.
    Always,
    /// Sleeps at once.
    Never,
}

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// Once.
    Now,
    /// For ever, where there is no deadline.
    Then(Option<Instant>),
}

impl Until {
    pub(super) const ENDLESS: Until = Until::Then(None);

    pub(super) fn within(limit: Duration) -> Until {
        Until::Then(deadline_in(limit))
    }
}

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At the ring.
    Ring,
    /// At the ring, and at who is there on the other side.
    Peers,
    /// The same, and the kernel is asked.
    Sure,
}

/// How often a waiter looks again, learned from what came of it.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    spin: Spin,
    looks: u32,
    /// How long to keep away before the first look.
    pause: u32,
}

/// Each look takes some 10 to 40 ns: the most is about what a wake takes.
const MOST_LOOKS: u32 = 2_000;
const FEWEST_LOOKS: u32 = 50;
/// How often others may have this CPU before a sleep. Where nobody waits for it that takes a microsecond in all; a sleep and a
/// wake take ten times as long, and more where many take turns on few CPUs.
const YIELDS: u32 = 4;
/// Half a microsecond to a whole one: in that time some hundred messages are written.
const MOST_PAUSE: u32 = 32;
/// With [`Spin::Always`]: how often the other side is looked at.
const LOOKS_AT_PEERS: u32 = 1_000;
/// So many sleeps may end in vain in so short a time; more are somebody's purpose, and are slept through.
const VAIN: u32 = 32;
const SHORT: Duration = Duration::from_millis(10);

impl Patience {
    pub(super) fn new() -> Patience {
        Patience { spin: Spin::Adaptive, looks: MOST_LOOKS, pause: 0 }
    }

    pub(super) fn set(&mut self, spin: Spin) {
        self.spin = spin;
    }

    /// Waits on `signal` until `look` finds something, or until the deadline: then None.
    pub(super) fn wait<R>(
        &mut self,
        signal: &Signal,
        deadline: Option<Instant>,
        mut look: impl FnMut(Look) -> Option<R>,
    ) -> Option<R> {
        if self.may_spin()
            && let Some(found) = self.keep_away(&mut look).or_else(|| self.spin(deadline, &mut look))
        {
            return Some(found);
        }
        if self.spin == Spin::Always {
            return None;
        }
        let (mut sure, mut vain, mut since) = (false, 0_u32, None);
        loop {
            let expected = signal.announce();
            let heard = heavy();
            if let Some(found) = look(if sure { Look::Sure } else { Look::Ring }) {
                return Some(found);
            }
            // Soon, where a publisher may miss this sleeper. And after a wake in vain: it may have been the death of one thread
            // of a process that is still at the death of its others.
            let until = match (heard, vain) {
                (false, _) => earlier(deadline, futex::SHORT_SLICE),
                (true, 0) => deadline,
                (true, _) if seeded!("no slices") => deadline,
                (true, n) => earlier(deadline, Duration::from_millis(1 << n.min(6))),
            };
            let mut found = None;
            // At the peers once all are watched: who dies between a look and the watch is not heard of before the slice is over.
            let wanted = || {
                found = look(Look::Peers);
                found.is_none()
            };
            let slept = roster::sleep_while(signal.word(), expected, None, wanted, until);
            if let Some(found) = found.or_else(|| look(Look::Ring)) {
                return Some(found);
            }
            if left_until(deadline).is_some_and(|left| left.is_zero()) {
                return look(Look::Sure);
            }
            sure = slept != Slept::Woken;
            vain = if sure { 0 } else { vain + 1 };
            if vain.is_multiple_of(VAIN) && vain > 0 {
                let last = since.replace(Instant::now());
                let left = last.and_then(|last| SHORT.checked_sub(last.elapsed()));
                if let Some(left) = left {
                    // On no word, so that nobody can end it.
                    futex::sleep(&Words::none(), earlier(deadline, left));
                }
            }
        }
    }

    fn may_spin(&self) -> bool {
        match self.spin {
            Spin::Never => false,
            Spin::Always => true,
            Spin::Adaptive => spins() > 0,
        }
    }

    /// The first look, after a pause.
    ///
    /// Where the other side works without a break, a second look right after the first takes the line away from who is just
    /// writing it, and finds one message; so does the next, and each message costs both sides the way of a line from one
    /// core to the other. Who keeps away for a moment finds many. Where the first look finds nothing, the other side is at
    /// something else, and what counts is to see it at once.
    fn keep_away<R>(&mut self, look: &mut impl FnMut(Look) -> Option<R>) -> Option<R> {
        for _ in 0..=self.pause {
            std::hint::spin_loop();
        }
        let found = look(Look::Ring);
        self.pause = if found.is_some() { (self.pause * 2 + 1).min(MOST_PAUSE) } else { 0 };
        found
    }

    fn spin<R>(&mut self, deadline: Option<Instant>, look: &mut impl FnMut(Look) -> Option<R>) -> Option<R> {
        match self.spin {
            Spin::Never => None,
            Spin::Always => loop {
                for _ in 0..LOOKS_AT_PEERS {
                    std::hint::spin_loop();
                    if let Some(found) = look(Look::Ring) {
                        return Some(found);
                    }
                }
                if let Some(found) = look(Look::Peers) {
                    return Some(found);
                }
                if left_until(deadline).is_some_and(|left| left.is_zero()) {
                    return None;
                }
            },
            Spin::Adaptive => {
                for _ in 0..self.looks {
                    std::hint::spin_loop();
                    if let Some(found) = look(Look::Ring) {
                        self.looks = (self.looks * 2).min(MOST_LOOKS);
                        return Some(found);
                    }
                }
                // What came later than that mostly comes much later.
                self.looks = (self.looks / 2).max(FEWEST_LOOKS);
                // Or the one that is waited for waits for this CPU.
                for _ in 0..YIELDS {
                    std::thread::yield_now();
                    let found = look(Look::Ring);
                    if found.is_some() {
                        return found;
                    }
                }
                None
            }
        }
    }
}

/// The deadline, or so soon.
fn earlier(deadline: Option<Instant>, soon: Duration) -> Option<Instant> {
    let soon = Instant::now() + soon;
    Some(deadline.map_or(soon, |deadline| deadline.min(soon)))
}
