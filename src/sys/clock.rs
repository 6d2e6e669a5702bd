//! CLOCK_MONOTONIC: deadlines, and the time that is left for a call.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// The instant at which `timeout` is over; None where the clock cannot hold it, which means never.
///
/// `Instant` is CLOCK_MONOTONIC. Deadlines are absolute so that a call which is interrupted a thousand times
/// a second still ends in time.
pub(crate) fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// The time until `deadline`, zero if it has passed; None is for ever.
pub(crate) fn left_until(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}

/// As the kernel takes it. What its seconds cannot hold is as long as they can.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// The clock's reading in nanoseconds; the same clock in every process of the machine.
pub(crate) fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_cut() {
        assert_eq!(deadline_in(Duration::MAX), None);
        assert_eq!(timespec(Duration::MAX).tv_sec, i64::MAX);
        assert_eq!(left_until(Some(Instant::now())), Some(Duration::ZERO));
        assert_eq!(left_until(None), None);
        assert!(monotonic_nanos() > 0);
    }
}
