//! A signal each millisecond, whose handler does not ask for interrupted calls to be restarted.
use std::sync::atomic::{AtomicU32, Ordering};

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Starts the storm in this process, and counts from 0. A forked child has the handler and the count, but no timer: it
/// starts its own.
pub fn start() {
    SIGNALS.store(0, Ordering::Relaxed);
    // SAFETY: a zeroed sigaction is valid: no flags (so no SA_RESTART) and an empty mask; the handler only adds to
    // an atomic.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
    }
    every(1000);
}

/// Ends it.
pub fn stop() {
    every(0);
}

fn every(microseconds: i64) {
    let each = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: each, it_value: each };
    // SAFETY: the timer's value is on this stack.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0);
}

/// How many signals this process has had.
pub fn signals() -> u32 {
    SIGNALS.load(Ordering::Relaxed)
}
