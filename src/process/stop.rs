//! Was I asked to stop?

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;

use super::inside::inside;
use crate::sys::clock::{deadline_in, left_until, timespec};

/// The flag by which a parent asks a child to stop. See [`stop`].
#[derive(Debug)]
pub struct Stop(());

static STOP: Stop = Stop(());

/// In a child: the flag that its parent raises with [`Child::request_stop`](super::Child::request_stop) or
/// [`Child::shutdown`](super::Child::shutdown), or that goes up by itself when its
/// [`timeout`](super::Builder::timeout) passes with a [`grace`](super::Builder::grace).
///
/// In a process that is not a child of this library nobody raises it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let child = tine::spawn(|| {
///     let mut rounds = 0_u64;
///     while !tine::process::stop().wait_timeout(Duration::from_millis(10)) {
///         rounds += 1;
///     }
///     rounds
/// })?;
/// child.request_stop()?;
/// println!("{} rounds", child.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn stop() -> &'static Stop {
    &STOP
}

impl Stop {
    pub(crate) fn word(&self) -> Option<&'static AtomicU32> {
        Some(&inside()?.slot.header().stop)
    }

    /// Whether this process was asked to stop. Once true it stays true.
    pub fn is_requested(&self) -> bool {
        // Acquire: pairs with the Release of who asks.
        self.word().is_some_and(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Sleeps until this process is asked to stop: for ever in one that nobody can ask.
    pub fn wait(&self) {
        while !self.wait_until(None) {}
    }

    /// Sleeps until this process is asked to stop, for at most `limit`; false if it was not asked. The sleep
    /// ends at once when it is.
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.wait_until(deadline_in(limit))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        /// In a process that nobody asks, a word that nobody changes.
        static NOBODY: AtomicU32 = AtomicU32::new(0);
        let word = self.word().unwrap_or(&NOBODY);
        loop {
            // Acquire: pairs with the Release of who asks.
            if word.load(Ordering::Acquire) != 0 {
                return true;
            }
            let left = left_until(deadline);
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            match futex::wait(word, futex::Flags::empty(), 0, left.map(timespec).as_ref()) {
                // Woken, interrupted, already raised, or out of time: the word and the clock tell which.
                Ok(()) | Err(Errno::INTR | Errno::AGAIN | Errno::TIMEDOUT) => {}
                // Nothing else can come from a live, aligned word; were it to, better awake than asleep.
                // Acquire: as above.
                Err(_) => return word.load(Ordering::Acquire) != 0,
            }
        }
    }
}
