//! Waiting until what a mutex guards has changed.
//!
//! # Safety
//!
//! This file opens `unsafe` to promise that a condition variable may be used in place by several processes.
#![allow(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::error::LockFailure;
use super::mutex::{LockError, MutexGuard};
use super::raw::Patience;
use super::raw::condvar::RawCondvar;
use crate::wire::{Plain, Share};

/// To wait, without the mutex, until the data that it guards are as wanted: std's `Condvar`, in shared memory, that loses no
/// notification with a process that dies.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared) beside its mutex, and needs no destruction.
///
/// ```
/// use tine::{Shared, sync::{Condvar, Mutex}};
///
/// tine::share! { struct Basket { eggs: Mutex<u32>, more: Condvar } }
///
/// # fn main() -> Result<(), tine::Error> {
/// let basket = Shared::new(Basket { eggs: Mutex::new(0), more: Condvar::new() })?;
/// let cook = tine::spawn(|| {
///     let mut eggs = basket.more.wait_while(basket.eggs.lock().unwrap(), |eggs| *eggs < 3).unwrap();
///     *eggs -= 3;
/// })?;
/// for _ in 0..3 {
///     *basket.eggs.lock()? += 1;
///     basket.more.notify_one();
/// }
/// cook.join()?;
/// assert_eq!(*basket.eggs.lock()?, 0);
/// # Ok(())
/// # }
/// ```
///
/// # One mutex
///
/// A condition variable belongs to the mutex that it is first used with; a wait with another one is refused. Which one it is
/// is known by how far apart the two are. So put both into one `Shared`, or have both before the fork.
///
/// # Wakes for no reason
///
/// A wait may end without a notification, as std's may: when somebody died, and where
/// [`notify_one`](Self::notify_one) told another, within 100 ms. Look at the data, or use
/// [`wait_while`](Self::wait_while).
///
/// # When a process dies
///
/// Killed in a notification, a process has notified or has not; if it has, those who wait go on. Who is killed while it
/// waits, or with the wake in its hand, takes no notification from others. **A holder of the mutex that dies ends all
/// waits**, since it may have been the one to notify: whoever locks the mutex first is told
/// [`OwnerDied`](LockError), repairs the data, and waits again. This comes at once (at most 100 ms later if the kernel killed
/// for want of memory, or if the holder took part in nothing before the others fell asleep).
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias = "pthread_cond_t")]
#[repr(transparent)]
pub struct Condvar {
    raw: RawCondvar,
}

// SAFETY: two atomic words, which work between processes; no pointers (a distance is no address), no drop.
unsafe impl Share for Condvar {}

static_assertions::assert_eq_size!(Condvar, [u64; 2]);
static_assertions::assert_impl_all!(Condvar: Send, Sync, std::panic::RefUnwindSafe, std::panic::UnwindSafe);

/// Why a wait ended without the mutex.
#[non_exhaustive]
pub enum CondvarError<'a, T: Plain> {
    /// The mutex was not locked again, or was left by somebody who died: see [`LockError`].
    Lock(LockError<'a, T>),
    /// The condition variable was used with another mutex before. This is the guard of the call; nothing happened to it.
    OtherMutex(MutexGuard<'a, T>),
}

/// What a wait returns where there is an end to it.
type Timed<'a, T> = Result<(MutexGuard<'a, T>, WaitTimeoutResult), CondvarError<'a, T>>;

/// Whether a wait ended because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    /// True where nothing was notified until then.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl Condvar {
    /// One that nobody waits for.
    pub const fn new() -> Condvar {
        Condvar { raw: RawCondvar::new() }
    }

    /// Gives up the mutex, waits for a notification, and locks the mutex again.
    ///
    /// A notification that comes after the mutex was given up is not missed. A signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`CondvarError::Lock`]: the mutex is in the state that [`Mutex::lock`](super::Mutex::lock) would tell of;
    /// [`OwnerDied`](LockError) holds it. [`CondvarError::OtherMutex`] where this is not the first one's mutex.
    pub fn wait<'a, T: Plain>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, CondvarError<'a, T>> {
        self.wait_with(guard, Patience::Endless).map(|(guard, _)| guard)
    }

    /// Waits until `condition` is false, looking at the data after each notification, and once before.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_while<'a, T: Plain>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, CondvarError<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), for a notification until `limit` is over. Locking the mutex again afterwards is not limited.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait). That the time was over is none.
    #[doc(alias = "pthread_cond_timedwait")]
    pub fn wait_timeout<'a, T: Plain>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> Timed<'a, T> {
        self.wait_with(guard, Patience::within(limit))
    }

    /// As [`wait_while`](Self::wait_while), for at most `limit`. It has [timed out](WaitTimeoutResult::timed_out) where the
    /// condition was still true then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tine::sync::{Condvar, Mutex};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// static READY: Mutex<u32> = Mutex::new(0);
    /// static CHANGED: Condvar = Condvar::new();
    /// let limit = Duration::from_millis(5);
    /// let (ready, result) = CHANGED.wait_timeout_while(READY.lock()?, limit, |ready| *ready == 0)?;
    /// assert!(result.timed_out());
    /// assert_eq!(*ready, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_timeout_while<'a, T: Plain>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Timed<'a, T> {
        let patience = Patience::within(limit);
        let mut timed_out = false;
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult { timed_out: false }));
            }
            if timed_out {
                return Ok((guard, WaitTimeoutResult { timed_out }));
            }
            let result;
            (guard, result) = self.wait_with(guard, patience)?;
            timed_out = result.timed_out;
        }
    }

    /// Lets one of those who wait go on; nothing where nobody waits. With or without the mutex.
    ///
    /// No system call where nobody sleeps.
    #[inline]
    #[doc(alias = "pthread_cond_signal")]
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Lets all who wait go on.
    #[inline]
    #[doc(alias = "pthread_cond_broadcast")]
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }

    fn wait_with<'a, T: Plain>(&self, guard: MutexGuard<'a, T>, patience: Patience) -> Timed<'a, T> {
        let mutex = MutexGuard::mutex(&guard);
        if !self.raw.is_used_with(mutex.raw()) {
            return Err(CondvarError::OtherMutex(guard));
        }
        let ticket = self.raw.ticket();
        drop(guard);
        let timed_out = !self.raw.wait(ticket, mutex.raw(), patience);
        Ok((mutex.lock()?, WaitTimeoutResult { timed_out }))
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

impl<T: Plain> CondvarError<'_, T> {
    /// What happened, without the lock: where the error holds it, it is given up, as it was found.
    pub fn into_failure(self) -> LockFailure {
        match self {
            CondvarError::Lock(error) => error.into_failure(),
            CondvarError::OtherMutex(_) => LockFailure::OtherMutex,
        }
    }

    fn failure(&self) -> LockFailure {
        match self {
            CondvarError::Lock(error) => error.failure(),
            CondvarError::OtherMutex(_) => LockFailure::OtherMutex,
        }
    }
}

impl<'a, T: Plain> From<LockError<'a, T>> for CondvarError<'a, T> {
    fn from(error: LockError<'a, T>) -> CondvarError<'a, T> {
        CondvarError::Lock(error)
    }
}

impl<T: Plain> fmt::Display for CondvarError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure().fmt(f)
    }
}

/// The sentence, which is what `fn main() -> Result<..>` shows.
impl<T: Plain> fmt::Debug for CondvarError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure().fmt(f)
    }
}

impl<T: Plain> StdError for CondvarError<'_, T> {}

impl<T: Plain> From<CondvarError<'_, T>> for LockFailure {
    fn from(error: CondvarError<'_, T>) -> LockFailure {
        error.into_failure()
    }
}

impl<T: Plain> From<CondvarError<'_, T>> for io::Error {
    fn from(error: CondvarError<'_, T>) -> io::Error {
        error.into_failure().into()
    }
}

impl<T: Plain> From<CondvarError<'_, T>> for crate::Error {
    fn from(error: CondvarError<'_, T>) -> crate::Error {
        error.into_failure().into()
    }
}
