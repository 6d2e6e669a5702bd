//! All that the words of the locks are built on. `tests/loom` has another file in this one's place.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::time::Instant;

pub(crate) use crate::sys::futex::{Slept, wake_all, wake_one};
pub(crate) use crate::sys::roster::{FLAGS, Name, Verdict, judge, look_for_the_truth, ring, sleep, sleep_while};

use std::sync::atomic::AtomicU32;

/// Stands between the two halves of a handshake: a SeqCst compare-and-swap of one word, and a SeqCst load of another.
///
/// Nothing is needed here, since both are SeqCst. A model that takes such an access for less has a fence in this place.
#[inline]
pub(crate) fn handshake() {}

/// How often to look again before sleeping: a holder on another CPU is mostly done sooner than a sleep takes to begin. On a
/// machine (or in a CPU set) of one CPU it cannot be, and every look only keeps it from going on.
pub(crate) fn spins() -> u32 {
    const UNKNOWN: u32 = u32::MAX;
    static SPINS: AtomicU32 = AtomicU32::new(UNKNOWN);
    // Relaxed: whoever finds it unknown finds out.
    match SPINS.load(Ordering::Relaxed) {
        UNKNOWN => {
            let spins = if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) { 100 } else { 0 };
            SPINS.store(spins, Ordering::Relaxed);
            spins
        }
        spins => spins,
    }
}

/// Between two looks.
pub(crate) fn spin() {
    std::hint::spin_loop();
}
