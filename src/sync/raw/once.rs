//! The word of what is done once.

use super::primitive::{AtomicU64, FLAGS, Name, Ordering, Verdict, judge, wake_all};
use super::waiting::Waiting;
use super::{Patience, Refusal};

/// Somebody may sleep: who ends the run wakes all.
const WAITERS: u64 = 1;
/// The last run was not finished: its thread died, or panicked.
const DIED: u64 = 1 << 1;
/// Done, for ever. Stands alone.
const COMPLETE: u64 = 1 << 2;

/// ```text
///   63 .. 8                        2          1      0
///   | runner's name, 0: nobody   | COMPLETE | DIED | WAITERS |
///
///   0 ------- begin -------> runner ------- complete -------> COMPLETE
///                            |    ^
///   DIED <--- give up -------|    |--- begin ---- DIED             (runner|DIED: it knows of the earlier one)
///                            |
///   runner|.. (dead) --------+-- the next begins ----> next|DIED|..
///                            `-- one who only waits finds it ----> DIED|..
/// ```
///
/// The runner is in the word from the instant that the run begins to the instant that it is over.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct RawOnce {
    word: AtomicU64,
}

/// What comes of wanting to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The caller runs it now, and ends the run by `complete` or `give_up`.
    Run {
        /// An earlier run was not finished.
        after_death: bool,
    },
    /// It has been done.
    Complete,
}

/// What comes of waiting for others to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Complete,
    /// The last run was not finished, and nobody runs it.
    Died,
}

/// What a word says.
enum State {
    Complete,
    Idle { died: bool },
    Running(Name),
    Corrupt,
}

fn state(word: u64) -> State {
    match Name::in_word(word) {
        _ if word == COMPLETE => State::Complete,
        _ if word & FLAGS & !(WAITERS | DIED) != 0 => State::Corrupt,
        Some(runner) => State::Running(runner),
        None => State::Idle { died: word & DIED != 0 },
    }
}

/// Whether the runner is dead; refused where it is this thread, or where that cannot be told.
fn has_died(runner: Name, me: Option<Name>) -> Result<bool, Refusal> {
    match judge(runner) {
        _ if Some(runner) == me => Err(Refusal::Deadlock),
        Verdict::Alive => Ok(false),
        Verdict::Dead => Ok(true),
        Verdict::Foreign => Err(Refusal::Foreign),
        Verdict::Corrupt => Err(Refusal::Corrupt),
    }
}

impl RawOnce {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> RawOnce {
        RawOnce { word: AtomicU64::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawOnce {
        RawOnce { word: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: pairs with the Release in `end`: what the run did is seen.
        self.word.load(Ordering::Acquire) == COMPLETE
    }

    /// Begins a run, or waits until another's has done it, as long as `patience` says.
    #[cold]
    pub(crate) fn begin(&self, me: Name, patience: Patience) -> Result<Begun, Refusal> {
        let mut waiting = Waiting::new(patience);
        loop {
            // Acquire: as in `is_complete`; and the runner's tenure is seen (`judge`).
            let now = self.word.load(Ordering::Acquire);
            let runner = match state(now) {
                State::Complete => return Ok(Begun::Complete),
                State::Corrupt => return Err(Refusal::Corrupt),
                State::Idle { died } => {
                    if self.enter(now, me.word() | now) {
                        if now & WAITERS != 0 && !seeded!("once begun in silence") {
                            // Who sleeps has watched nobody in particular, and may not know this thread: it looks, and
                            // sleeps again, on this run's life.
                            wake_all(&self.word);
                        }
                        return Ok(Begun::Run { after_death: died });
                    }
                    continue;
                }
                State::Running(runner) => runner,
            };
            if has_died(runner, Some(me))? {
                // From exactly the word that was judged. Who sleeps beside this thread sleeps on.
                if self.enter(now, me.word() | DIED | now & WAITERS) {
                    return Ok(Begun::Run { after_death: true });
                }
                continue;
            }
            self.pause(now, Some(runner), &mut waiting)?;
        }
    }

    /// Waits until it is done; or, unless `even_after_death`, until a run has ended and it is not. `me` where the thread
    /// has a name.
    #[cold]
    pub(crate) fn wait(&self, me: Option<Name>, even_after_death: bool, patience: Patience) -> Result<Waited, Refusal> {
        let mut waiting = Waiting::new(patience);
        loop {
            // Acquire: as in `begin`.
            let now = self.word.load(Ordering::Acquire);
            let runner = match state(now) {
                State::Complete => return Ok(Waited::Complete),
                State::Corrupt => return Err(Refusal::Corrupt),
                State::Idle { died: true } if !even_after_death => return Ok(Waited::Died),
                State::Idle { .. } => None,
                State::Running(runner) => Some(runner),
            };
            if let Some(runner) = runner
                && has_died(runner, me)?
            {
                // Nobody runs it: said in the word, so that a sleep on it is not one beside a dead runner, which ends at once.
                self.enter(now, DIED | now & WAITERS);
                continue;
            }
            self.pause(now, runner, &mut waiting)?;
        }
    }

    /// One turn of waiting until the word is no longer `now`.
    fn pause(&self, now: u64, runner: Option<Name>, waiting: &mut Waiting) -> Result<(), Refusal> {
        match waiting.turn(&self.word, now, WAITERS, runner) {
            // In the last moment it may have been done.
            Err(Refusal::NotNow) if self.is_complete() => Ok(()),
            other => other,
        }
    }

    fn enter(&self, now: u64, new: u64) -> bool {
        // Acquire: pairs with the Release in `end`: what an unfinished run did is seen. (What a dead one did is seen because
        // its death was.) Release: pairs with the Acquire in `begin` and `wait`: who finds this name also finds it on the
        // roster, and who finds DIED sees what the dead one did, as was seen here.
        self.word.compare_exchange(now, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// It is done. Called by the runner.
    pub(crate) fn complete(&self) {
        self.end(COMPLETE);
    }

    /// It is not done, and will not be in this run. Called by the runner.
    pub(crate) fn give_up(&self) {
        self.end(DIED);
    }

    fn end(&self, word: u64) {
        // Release: pairs with the Acquire in `is_complete`, `begin`, `wait` and `enter`.
        if self.word.swap(word, Ordering::Release) & WAITERS != 0 && !seeded!("once without a wake") {
            wake_all(&self.word);
        }
    }
}
