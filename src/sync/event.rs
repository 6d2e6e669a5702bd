//! Something that happens, and those who wait for it.
//!
//! # Safety
//!
//! This file opens `unsafe` to promise that an event may be used in place by several processes.
#![allow(unsafe_code)]

use std::fmt;
use std::time::Duration;

use super::raw::Patience;
use super::raw::event::RawEvent;
use crate::wire::Share;

/// A flag to wait for, between threads of several processes: Python's `Event`, in shared memory.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tine::{Shared, sync::Event};
///
/// tine::share! { struct Job { input: AtomicU64, ready: Event } }
///
/// # fn main() -> Result<(), tine::Error> {
/// let job = Shared::new(Job { input: AtomicU64::new(0), ready: Event::new() })?;
/// let child = tine::spawn(|| {
///     job.ready.wait();
///     job.input.load(Ordering::Relaxed) + 1
/// })?;
/// job.input.store(41, Ordering::Relaxed);
/// job.ready.set();
/// assert_eq!(child.join()?, 42);
/// # Ok(())
/// # }
/// ```
///
/// What was done before [`set`](Self::set) is seen by who finds the event set: by [`wait`](Self::wait),
/// [`is_set`](Self::is_set), or [`clear`](Self::clear).
///
/// # When a process dies
///
/// Nobody owns an event, so no death leaves it in disorder. Killed in `set`, a process has set it or has not; who sleeps
/// then is woken by the death, or looks by itself within 100 ms. Whether anybody is left who might set it the event does
/// not know: wait with a limit, or for the [child](crate::process::Child), where that matters.
///
/// Overwritten by a stray write, it is an event in some other state: no wait hangs that the state itself does not ask for.
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[repr(transparent)]
pub struct Event {
    raw: RawEvent,
}

// SAFETY: one atomic word, which works between processes; no pointers, no drop.
unsafe impl Share for Event {}

static_assertions::assert_eq_size!(Event, u64);
static_assertions::assert_impl_all!(Event: Send, Sync, std::panic::RefUnwindSafe, std::panic::UnwindSafe);

impl Event {
    /// One that has not happened.
    pub const fn new() -> Event {
        Event { raw: RawEvent::new() }
    }

    pub(crate) fn raw(&self) -> &RawEvent {
        &self.raw
    }

    /// It has happened: all who wait go on, and who comes to wait does not, until it is [cleared](Self::clear).
    ///
    /// No system call where nobody sleeps.
    #[inline]
    pub fn set(&self) {
        self.raw.set();
    }

    /// It has not happened, or is to happen again. Returns whether it had: of several who clear it after one
    /// [`set`](Self::set), one gets true.
    ///
    /// ```
    /// use tine::sync::Event;
    ///
    /// let event = Event::new();
    /// event.set();
    /// assert!(event.clear());
    /// assert!(!event.clear());
    /// ```
    #[inline]
    pub fn clear(&self) -> bool {
        self.raw.clear()
    }

    /// Whether it has happened. May be stale by the time you look.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.raw.is_set()
    }

    /// Waits until it is set.
    ///
    /// Who waits when it is set goes on, even if it is cleared again at once. A signal does not end the wait.
    #[inline]
    pub fn wait(&self) {
        // Without a deadline there is one answer.
        self.raw.wait(Patience::Endless);
    }

    /// Waits until it is set, for at most `limit`. Whether it was; a limit of zero looks once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tine::sync::Event;
    ///
    /// let event = Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(5)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// ```
    #[must_use = "the wait may have ended without the event"]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        self.raw.wait(Patience::within(limit))
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
