//! One direction of waking: those who publish something, and those who sleep until they do.

use super::primitive::{AtomicU64, BELLS, Ordering, ring, ring_each, wake_all, wake_one};

/// Somebody sleeps on the word.
const ASLEEP: u64 = 1;
/// Somebody sleeps in poll, and has hung a bell.
const IN_POLL: u64 = 1 << 1;
/// An end of the other side was closed since somebody looked who is there.
const GONE: u64 = 1 << 2;
/// Somebody polls a descriptor that has a bell here.
const POLLED: u64 = 1 << 3;
/// What each wake adds, so that who is about to sleep finds the word changed.
const ONE: u64 = 1 << 8;

/// ```text
///   63 .. 8            7 .. 4   3        2      1         0
///   how many wakes     0        POLLED   GONE   IN_POLL   ASLEEP
/// ```
///
/// The publisher commits, passes its light fence, and looks here; the sleeper says here that it sleeps, passes its heavy fence,
/// and looks once more whether there is something. One of the two sees the other. The marks are not counts: a count would be
/// wrong for ever after a sleeper was killed. Whoever wakes takes them away.
///
/// A wake may be lost: with a publisher that is killed between its commit and its wake, with one that is killed after it
/// has taken the marks away, with a sleeper that is killed when it was the one to be woken. Sleepers watch the lives of all who
/// take part, and look again when one ends.
///
/// Who polls a descriptor may poll it together with thousands of others, in a runtime that knows nothing of the word. So its mark
/// is taken away only after its bell was rung, and from exactly the word that was seen before: it is not lost with who is
/// killed in between, nor with one who rings for an earlier mark while it is set anew.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Signal {
    word: AtomicU64,
    /// The numbers of the bells of those who poll; 0: none.
    bells: [AtomicU64; BELLS],
}

impl Signal {
    #[cfg(loom)]
    pub(crate) fn new() -> Signal {
        Signal { word: AtomicU64::new(0), bells: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// For who sleeps here: what to expect.
    pub(crate) fn word(&self) -> &AtomicU64 {
        &self.word
    }

    /// Says that somebody is about to sleep: what it is to expect. The heavy fence follows, and one more look.
    pub(crate) fn announce(&self) -> u64 {
        // Relaxed: ordered by the fences.
        self.word.fetch_or(ASLEEP, Ordering::Relaxed) | ASLEEP
    }

    /// Says that somebody has hung a bell. The heavy fence follows, and one more look.
    pub(crate) fn announce_in_poll(&self) {
        // Release: pairs with the Acquire in `take`, so that who finds the mark finds the bell.
        self.word.fetch_or(IN_POLL, Ordering::Release);
    }

    /// The bells that hang here, or may.
    pub(crate) fn bells(&self) -> &[AtomicU64] {
        &self.bells
    }

    /// Says that somebody is about to poll, whose bell hangs here. The heavy fence follows, and one more look.
    pub(crate) fn announce_polled(&self) {
        // Relaxed: the exchange fails where this is not the last value.
        let mut now = self.word.load(Ordering::Relaxed);
        // The word has to change, also where the mark is set: see `ring_bells`. Of who changes it time after time see `take`.
        for _ in 0..TRIES {
            // Release: pairs with the Acquire in `ring_bells`, so that who finds the mark finds the bell.
            match self.word.compare_exchange(
                now,
                (now | POLLED).wrapping_add(ONE),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(changed) => now = changed,
            }
        }
        // Release: as above.
        self.word.fetch_or(POLLED, Ordering::Release);
    }

    /// Whether somebody polls, and nobody has rung since.
    pub(crate) fn is_polled(&self) -> bool {
        // Relaxed: who is asked whether it has announced itself sees what it has written, or what came after it.
        self.word.load(Ordering::Relaxed) & POLLED != 0
    }

    /// After the commit and the light fence: whether somebody has to be woken.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        // Relaxed: ordered by the fences.
        self.word.load(Ordering::Relaxed) & (ASLEEP | IN_POLL | POLLED) != 0 && !seeded!("channel: wake lost")
    }

    /// Tells the publishers that an end of the sleepers' side was closed.
    pub(crate) fn set_gone(&self) {
        // Release: pairs with the Acquire of who looks at the ends because of it.
        self.word.fetch_or(GONE, Ordering::Release);
    }

    /// Before a commit: whether to look if somebody is there to receive it.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        // Relaxed: a hint. Who was there a moment ago may be gone in any case.
        self.word.load(Ordering::Relaxed) & GONE != 0
    }

    /// Somebody looked, and there is somebody. Before the look: an end that is closed after it sets the mark again.
    pub(crate) fn clear_gone(&self) {
        // Acquire: pairs with the Release in `set_gone`.
        self.word.fetch_and(!GONE, Ordering::Acquire);
    }

    /// Wakes all who sleep.
    #[cold]
    pub(crate) fn wake_all(&self) {
        let marks = self.take(ASLEEP | IN_POLL);
        if marks & ASLEEP != 0 {
            wake_all(&self.word);
        }
        if marks & IN_POLL != 0 {
            ring();
        }
        self.ring_bells();
    }

    /// Rings, and only then takes the mark away.
    fn ring_bells(&self) {
        // Acquire: pairs with the Release in `announce_polled`.
        let seen = self.word.load(Ordering::Acquire);
        if seen & POLLED == 0 {
            return;
        }
        let unmark = |seen: u64| {
            let next = (seen & !POLLED).wrapping_add(ONE);
            // Release: who finds the mark gone, and has it set again, finds what was published. Failure: who has changed the word may
            // be one who polls again, by this very ring; the next ring may be in vain then.
            let _ = self.word.compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed);
        };
        if seeded!("channel: unmarked before the ring") {
            unmark(seen);
        }
        if !ring_each(&self.bells) {
            // Somebody could not be rung: the next tries again.
            return;
        }
        if seeded!("channel: unmarked from any word") {
            self.word.fetch_and(!POLLED, Ordering::Release);
        }
        unmark(seen);
    }

    /// Wakes up to `n` who sleep on the word, and all who sleep in poll.
    ///
    /// The mark stays while there may be more asleep. Where there was none to wake it goes, and whoever has begun to sleep
    /// by it in between is woken, to say so again.
    #[cold]
    #[allow(dead_code)]
    pub(crate) fn wake(&self, n: u64) {
        let marks = self.take(if seeded!("channel: one wake takes the mark") { ASLEEP | IN_POLL } else { IN_POLL });
        if marks & ASLEEP != 0 && (0..n).any(|_| wake_one(&self.word) == 0) {
            self.take(ASLEEP);
            if !seeded!("channel: the mark goes without a wake") {
                wake_all(&self.word);
            }
        }
        if marks & IN_POLL != 0 {
            ring();
        }
        self.ring_bells();
    }

    /// Takes `marks` away, and changes the word where there were any. What there was.
    fn take(&self, marks: u64) -> u64 {
        // Relaxed: the exchange fails where this is not the last value.
        let mut now = self.word.load(Ordering::Relaxed);
        // A peer that means harm may change the word all the time: then it is its wakes that are lost.
        for _ in 0..TRIES {
            if now & (ASLEEP | IN_POLL) == 0 {
                break;
            }
            let next = (now & !marks).wrapping_add(ONE);
            // Acquire: pairs with the Release in `announce_in_poll`. Release: a sleeper that finds the word changed finds what was
            // published before.
            match self.word.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(changed) => now = changed,
            }
        }
        now
    }
}

/// More than there are threads to change a word between a load and an exchange, time after time.
const TRIES: usize = 10_000;
