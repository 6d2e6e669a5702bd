//! Waiting for those who hold what is wanted: first looking again, then asleep.

use super::primitive::{AtomicU64, Name, Ordering, Slept, look_for_the_truth, sleep_while, spin, spins};
use super::{Patience, Refusal};

/// One wait, from the first look to the last.
pub(super) struct Waiting {
    patience: Patience,
    looks: u32,
    slept: bool,
}

impl Waiting {
    pub(super) fn new(patience: Patience) -> Waiting {
        Waiting { patience, looks: spins(), slept: false }
    }

    /// `flag` once this thread has slept: others may sleep beside it, whose wake it has got.
    pub(super) fn keep(&self, flag: u64) -> u64 {
        if self.slept { flag } else { 0 }
    }

    /// Fails where nothing is to be waited for.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if matches!(self.patience, Patience::None) { Err(Refusal::NotNow) } else { Ok(()) }
    }

    /// Whether to look once more before sleeping. A moment has passed then.
    pub(super) fn may_look_again(&mut self) -> bool {
        let again = self.looks > 0;
        if again {
            self.looks -= 1;
            spin();
        }
        again
    }

    /// One turn of waiting until `word` is not `now` any more, which `owner` will change, or anybody. In `word`, `flag`
    /// tells them that somebody sleeps there.
    pub(super) fn turn(&mut self, word: &AtomicU64, now: u64, flag: u64, owner: Option<Name>) -> Result<(), Refusal> {
        self.turn_while(word, now, flag, owner, || true)
    }

    /// As [`Waiting::turn`], for who waits for what other words tell, too: see [`Waiting::sleep`].
    pub(super) fn turn_while(
        &mut self,
        word: &AtomicU64,
        now: u64,
        flag: u64,
        owner: Option<Name>,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(), Refusal> {
        self.check()?;
        // Where others sleep already, spinning would be for the sake of overtaking them.
        if now & flag == 0 && self.may_look_again() {
            return Ok(());
        }
        // Relaxed: it only announces a sleeper, on the word that the sleep compares.
        if now & flag == 0 && word.compare_exchange(now, now | flag, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        self.sleep(word, now | flag, || owner, wanted)
    }

    /// Sleeps until `word` is not `expected` any more, or somebody wakes it, or dies. The `owners` are watched first.
    ///
    /// When all are watched, it is looked whether the sleep is still `wanted`: of one who came, changed other words than this
    /// one, and died, all between the last look and the first watch, nobody hears any more.
    pub(super) fn sleep<I: IntoIterator<Item = Name>>(
        &mut self,
        word: &AtomicU64,
        expected: u64,
        owners: impl Fn() -> I,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(), Refusal> {
        self.check()?;
        self.slept = true;
        let wanted = || seeded!("missing recheck") || wanted();
        match sleep_while(word, expected, owners(), wanted, self.patience.deadline()) {
            Slept::Woken => {}
            // What it finds is in the roster's words, which the next turn reads.
            Slept::Slice => {
                for owner in owners() {
                    let _ = look_for_the_truth(owner);
                }
            }
            Slept::TimedOut => return Err(Refusal::NotNow),
        }
        Ok(())
    }
}
