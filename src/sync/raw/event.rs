//! The word of an event.

use super::Patience;
use super::primitive::{AtomicU64, Ordering, Slept, ring, sleep, spin, spins, wake_all};

/// It has happened.
const SET: u64 = 1;
/// Somebody may sleep: who sets it wakes all.
const WAITERS: u64 = 1 << 1;
/// Somebody may wait for it in poll, beside descriptors: who sets it rings, too. It stays.
const POLLERS: u64 = 1 << 2;
/// One more time that it happened.
const ONCE_MORE: u64 = 1 << 8;

/// ```text
///   63 .. 8                     7 .. 3   2         1         0
///   | how often it was set    | 0      | POLLERS | WAITERS | SET |
///
///   n ---- set ----> n+1|SET ---- clear ----> n+1
///   n ---- a thread waits ----> n|WAITERS ---- set, wake all ----> n+1|SET
/// ```
///
/// The count is why no set is lost on who sleeps: cleared again before the sleeper looks, it is seen by the count.
///
/// Nobody owns an event, and any value of the word is one that operations write, but for the bits that are not used, which
/// they leave alone. So there is no holder to die, and nothing to be corrupt: overwritten, it is another event.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct RawEvent {
    word: AtomicU64,
}

impl RawEvent {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> RawEvent {
        RawEvent { word: AtomicU64::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawEvent {
        RawEvent { word: AtomicU64::new(0) }
    }

    /// It has happened: who waits goes on.
    #[inline]
    pub(crate) fn set(&self) {
        // Relaxed: the exchange below fails where this was not the last value.
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            let next = if now & SET == 0 { now.wrapping_add(ONCE_MORE) | SET } else { now } & !WAITERS;
            // Acquire: pairs with the Release in `announce_in_poll`. Release: pairs with the Acquire of who finds it set. Done even where nothing changes: who finds it set by
            // the first of two who set it sees what the second had done, too.
            match self.word.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(changed) => now = changed,
            }
        }
        if now & WAITERS != 0 && !seeded!("event without a wake") {
            wake_all(&self.word);
        }
        if now & POLLERS != 0 {
            ring();
        }
    }

    /// Announces a sleeper that calls for its sleep itself: what it is to expect. None if it is set.
    pub(crate) fn announce(&self) -> Option<u64> {
        // Acquire: as in `wait`.
        let before = self.word.fetch_or(WAITERS, Ordering::Acquire);
        (before & SET == 0).then_some(before | WAITERS)
    }

    /// Announces a sleeper that has hung a bell.
    pub(crate) fn announce_in_poll(&self) {
        // Release: pairs with the Acquire in `set`, so that who finds the mark finds the bell.
        self.word.fetch_or(POLLERS, Ordering::Release);
    }

    /// For who sleeps on several.
    pub(crate) fn word(&self) -> &AtomicU64 {
        &self.word
    }

    /// It has not happened (again). Whether it had.
    #[inline]
    pub(crate) fn clear(&self) -> bool {
        // Acquire: pairs with the Release in `set`: who clears it, and then looks what there is to do, sees what was done
        // before the set that it has undone.
        self.word.fetch_and(!SET, Ordering::Acquire) & SET != 0
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until it is set, or was since the call began. False if that was not in time.
    #[inline]
    pub(crate) fn wait(&self, patience: Patience) -> bool {
        // Acquire: pairs with the Release in `set`. Whoever clears it, or announces itself, in between changes the word that
        // `set` wrote by one operation, so that what was done before the set is seen all the same.
        let first = self.word.load(Ordering::Acquire);
        first & SET != 0 || self.wait_slow(first, patience)
    }

    #[cold]
    fn wait_slow(&self, first: u64, patience: Patience) -> bool {
        let mut looks = spins();
        let mut now = first;
        loop {
            if now & SET != 0 || now / ONCE_MORE != first / ONCE_MORE {
                return true;
            }
            if matches!(patience, Patience::None) {
                return false;
            }
            if looks > 0 && now & WAITERS == 0 {
                looks -= 1;
                spin();
            } else if now & WAITERS == 0 && !seeded!("event without a sleeper's mark") {
                // Relaxed: it only announces a sleeper, on the word that the sleep compares. Acquire: as in `wait`.
                match self.word.compare_exchange(now, now | WAITERS, Ordering::Relaxed, Ordering::Acquire) {
                    Ok(_) => now |= WAITERS,
                    Err(changed) => now = changed,
                }
                continue;
            } else if sleep(&self.word, now, None, patience.deadline()) == Slept::TimedOut {
                // Acquire: as in `wait`. Set in the last moment is set.
                let last = self.word.load(Ordering::Acquire);
                return last & SET != 0 || last / ONCE_MORE != first / ONCE_MORE;
            }
            // Acquire: as in `wait`.
            now = self.word.load(Ordering::Acquire);
        }
    }
}
