//! The word of a mutex.

use super::primitive::{
    AtomicU64, FLAGS, Name, Ordering, Slept, Verdict, judge, look_for_the_truth, sleep, spin, spins, wake_one,
};
use super::{Patience, Refusal};

/// Somebody may sleep: who unlocks wakes one.
pub(crate) const WAITERS: u64 = 1;
/// Somebody died while holding it, or left its work undone, and nobody has repaired that.
pub(crate) const DIRTY: u64 = 2;

/// Of a seeded bug: held, and whoever holds it has yet to say who it is.
const UNSAID: u64 = 4;

/// What the lock was found as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Clean,
    /// The data may be half changed.
    Dirty,
}

/// ```text
///   63 .. 8                       1       0
///   | owner's name, 0: unlocked | DIRTY | WAITERS |
///
///   0 ------------ lock -----------> owner
///   ^                                  |  another waits
///   |<-- unlock -----------------------+-----------> owner|WAITERS
///   |<-- unlock, wake one ---------------------------------|
///
///   owner|.. (dead) ---- the next locks ----> next|DIRTY|WAITERS -- recover --> next|WAITERS
///   owner|DIRTY|.. ---- unlock, undone -----> DIRTY ---- the next locks ----> next|DIRTY
/// ```
///
/// The owner is in the word from the instant it is locked to the instant it is not: a process killed before or after any of
/// these steps has either not locked, or is named as the owner, or has unlocked.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct RawMutex {
    word: AtomicU64,
}

impl RawMutex {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> RawMutex {
        RawMutex { word: AtomicU64::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawMutex {
        RawMutex { word: AtomicU64::new(0) }
    }

    /// As [`RawMutex::lock_with`] without patience, where the word is free and clean; false otherwise.
    #[inline]
    pub(crate) fn lock_fast(&self, me: Name) -> bool {
        if seeded!("owner and word written apart") {
            let mine = self.word.compare_exchange(0, UNSAID, Ordering::Acquire, Ordering::Relaxed).is_ok();
            return mine && self.word.swap(me.word(), Ordering::Release) == UNSAID;
        }
        // Acquire: pairs with the Release in `unlock`: the data is seen as the last owner left it.
        // Release: pairs with the Acquire in `lock_slow`: who finds this name also finds it on the roster.
        self.word.compare_exchange(0, me.word(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Locks, waiting as long as `patience` says.
    #[inline]
    pub(crate) fn lock_with(&self, me: Name, patience: Patience) -> Result<Found, Refusal> {
        if self.lock_fast(me) { Ok(Found::Clean) } else { self.lock_slow(me, patience) }
    }

    #[cold]
    fn lock_slow(&self, me: Name, patience: Patience) -> Result<Found, Refusal> {
        let mut looks = spins();
        // Once this thread has slept, others may sleep beside it whose wake it has got.
        let mut keep = 0;
        loop {
            // Acquire: pairs with the Release in `lock_fast` and `enter`: a name whose tenure is not seen would be taken for
            // one that no roster has given.
            let mut now = self.word.load(Ordering::Acquire);
            let Some(owner) = Name::in_word(now) else {
                if seeded!("owner and word written apart") && now == UNSAID {
                    spin();
                    continue;
                }
                if now & FLAGS & !(WAITERS | DIRTY) != 0 {
                    return Err(Refusal::Corrupt);
                }
                if self.enter(now, me.word() | now | keep) {
                    return Ok(found(now));
                }
                continue;
            };
            if owner == me {
                return Err(Refusal::Deadlock);
            }
            match judge(owner) {
                Verdict::Alive => {}
                Verdict::Foreign => return Err(Refusal::Foreign),
                Verdict::Corrupt => return Err(Refusal::Corrupt),
                Verdict::Dead if seeded!("recovery not idempotent") => {
                    if self.enter(now, WAITERS) && self.enter(WAITERS, me.word() | WAITERS) {
                        return Ok(Found::Dirty);
                    }
                    continue;
                }
                // From exactly the word that was judged. With WAITERS: the dead one may have owed a wake.
                Verdict::Dead if self.enter(now, me.word() | DIRTY | WAITERS) => return Ok(Found::Dirty),
                Verdict::Dead => continue,
            }
            if matches!(patience, Patience::None) {
                return Err(Refusal::NotNow);
            }
            if looks > 0 && now & WAITERS == 0 {
                looks -= 1;
                spin();
                continue;
            }
            if now & WAITERS == 0 && !seeded!("forgotten waiter flag") {
                // Relaxed: it only announces a sleeper, on the word that the sleep compares.
                if self.word.compare_exchange(now, now | WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                    continue;
                }
                now |= WAITERS;
            }
            if seeded!("missing recheck") {
                now = self.word.load(Ordering::Relaxed);
            }
            match sleep(&self.word, now, Some(owner), patience.deadline()) {
                Slept::Woken => {}
                // What it finds is in the roster's words, which the next turn reads.
                Slept::Slice => drop(look_for_the_truth(owner)),
                Slept::TimedOut => return Err(Refusal::NotNow),
            }
            keep = WAITERS;
        }
    }

    fn enter(&self, now: u64, new: u64) -> bool {
        // As in `lock_fast`. What a dead owner did is seen because its death was (`judge`).
        self.word.compare_exchange(now, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Unlocks. Called by the owner. `undone`: the next owner is told that the data may be half changed.
    #[inline]
    pub(crate) fn unlock(&self, undone: bool) {
        let next = if undone { DIRTY } else { 0 };
        if seeded!("wake before store") {
            wake_one(&self.word);
        }
        // Release: pairs with the Acquire in `lock_fast` and `enter`.
        let was = self.word.swap(next, Ordering::Release);
        if seeded!("unlock then touch") {
            self.is_locked();
        }
        if was & WAITERS != 0 && !seeded!("wake before store") {
            wake_one(&self.word);
        }
    }

    /// The owner has repaired the data.
    pub(crate) fn set_clean(&self) {
        // Relaxed: the owner itself publishes the data, when it unlocks.
        self.word.fetch_and(!DIRTY, Ordering::Relaxed);
    }

    /// Whether somebody holds it, as far as the word says. May be stale.
    pub(crate) fn is_locked(&self) -> bool {
        // Relaxed: nothing is read on the strength of it.
        Name::in_word(self.word.load(Ordering::Relaxed)).is_some()
    }

    /// Who holds it. May be stale.
    pub(super) fn owner(&self) -> Option<Name> {
        // Acquire: as in `lock_slow`.
        Name::in_word(self.word.load(Ordering::Acquire))
    }

    /// Whether who locks it now is told that somebody died with it, or that it is corrupt. May be stale.
    pub(super) fn is_left(&self) -> bool {
        // Acquire: as in `lock_slow`.
        let now = self.word.load(Ordering::Acquire);
        match Name::in_word(now) {
            Some(owner) => judge(owner) != Verdict::Alive,
            None => now & FLAGS & !WAITERS != 0,
        }
    }
}

fn found(word: u64) -> Found {
    if word & DIRTY != 0 { Found::Dirty } else { Found::Clean }
}
