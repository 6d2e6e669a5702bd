//! A number of permits, between processes.
//!
//! # Safety
//!
//! This file opens `unsafe` to promise that a semaphore may be used in place by several processes.
#![allow(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use super::raw::semaphore::{Permit, RawSemaphore, Without};
use super::raw::{Patience, Refusal};
use crate::sys::roster::{self, Name};
use crate::wire::Share;

/// A number of permits, which threads of several processes acquire and give back: Python's `Semaphore` and
/// `BoundedSemaphore`, in shared memory, that gets the permits of the dead back.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction.
///
/// ```
/// use tine::{Shared, sync::Semaphore};
///
/// # fn main() -> Result<(), tine::Error> {
/// let at_once = Shared::new(Semaphore::new(2))?; // no more than two download at once
/// let children: Vec<_> = (0..4)
///     .map(|_| {
///         tine::spawn(|| {
///             let _permit = at_once.acquire().unwrap();
///             // ..
///         })
///     })
///     .collect::<Result<_, _>>()?;
/// for child in children {
///     child.join()?;
/// }
/// assert_eq!(at_once.available(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Adding and taking away
///
/// A permit that is acquired and then [forgotten](SemaphorePermit::forget) is gone, and [`add`](Self::add) makes a new one; so
/// one process can tell another of things that there are to do, one permit for each:
///
/// ```
/// use tine::{Shared, sync::Semaphore};
///
/// # fn main() -> Result<(), tine::Error> {
/// let todo = Shared::new(Semaphore::new(0))?;
/// let worker = tine::spawn(|| {
///     for _ in 0..3 {
///         todo.acquire().unwrap().forget();
///     }
/// })?;
/// for _ in 0..3 {
///     todo.add()?;
/// }
/// worker.join()?;
/// assert_eq!(todo.available(), 0);
/// # Ok(())
/// # }
/// ```
///
/// There are never more than `MAX` permits, 30 if nothing else is said: each is a word of 8 bytes, which names its
/// holder. `Semaphore::<4>::with_max(4)` is Python's `BoundedSemaphore(4)`: one more than it began with is refused.
///
/// # When a process dies
///
/// The permits that it holds come back: those who sleep are woken at once (at most 100 ms later if the kernel killed for
/// want of memory). A thread that ends with a permit that was leaked ([`std::mem::forget`]) counts as dead, and so does a
/// process that calls exec. A holder that was stopped is alive, and keeps its permits. What the holder was doing is not
/// known here: where it leaves things half done, guard them by a [`Mutex`](super::Mutex).
///
/// # Forks
///
/// A permit gives no access to memory, so a fork is not refused while one is held. It stays the parent's: what the child
/// inherits is a copy, which gives nothing back.
///
/// # Fairness
///
/// As for a [`Mutex`](super::Mutex): whoever comes just when a permit is given back may have it before those who sleep.
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias("sem_t", "BoundedSemaphore"))]
#[repr(transparent)]
pub struct Semaphore<const MAX: usize = 30> {
    raw: RawSemaphore<MAX>,
}

// SAFETY: access through `&self` is atomic, on words that name threads of any process; nothing else is inside.
unsafe impl<const MAX: usize> Share for Semaphore<MAX> {}

static_assertions::assert_eq_size!(Semaphore, [u64; 32]);
static_assertions::assert_impl_all!(Semaphore: Send, Sync, std::panic::UnwindSafe, std::panic::RefUnwindSafe);

/// Why there was no permit, or none was added.
#[derive(Debug)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// The calling thread holds all the permits that there can be, and would wait for itself for ever.
    Deadlock,
    /// There are as many permits as there can be already; none was added.
    Full,
    /// The semaphore was made with more permits than its type has room for, so it has none.
    TooMany,
    /// A permit is held by a process that is no relative of this one, so nobody here can tell whether it lives.
    Foreign,
    /// The semaphore's words hold what no operation writes there: something has overwritten them.
    Corrupt,
    /// The calling thread could not be put on the roster of those who hold permits: 4095 threads of the family are on it, or
    /// there is no memory.
    NoPlace(io::Error),
}

impl fmt::Display for SemaphoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SemaphoreError::Deadlock => {
                "this thread holds all permits of the semaphore and would wait for itself; drop one first"
            }
            SemaphoreError::Full => {
                "the semaphore has as many permits as it can have, so none was added; acquire and forget one before"
            }
            SemaphoreError::TooMany => {
                "the semaphore was made with more permits than its type has room for; make it by \
                 Semaphore::<MAX>::with_max(..), with a larger MAX"
            }
            SemaphoreError::Foreign => {
                "a permit is held by a process that is not forked from the same one, so whether it lives cannot be told; \
                 share semaphores among relatives only"
            }
            SemaphoreError::Corrupt => {
                "the semaphore's words hold what no semaphore writes, so its memory was overwritten; make it anew"
            }
            SemaphoreError::NoPlace(error) => return write!(f, "this thread cannot hold permits: {error}"),
        })
    }
}

impl StdError for SemaphoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            SemaphoreError::NoPlace(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SemaphoreError> for io::Error {
    fn from(error: SemaphoreError) -> io::Error {
        let kind = match &error {
            SemaphoreError::Deadlock => io::ErrorKind::Deadlock,
            SemaphoreError::Full => io::ErrorKind::QuotaExceeded,
            SemaphoreError::TooMany => io::ErrorKind::InvalidInput,
            SemaphoreError::Foreign => io::ErrorKind::Unsupported,
            SemaphoreError::Corrupt => io::ErrorKind::InvalidData,
            SemaphoreError::NoPlace(error) => error.kind(),
        };
        io::Error::new(kind, error)
    }
}

impl SemaphoreError {
    /// None: not now, or not in time.
    fn of(without: Without) -> Option<SemaphoreError> {
        Some(match without {
            Without::TooMany => SemaphoreError::TooMany,
            Without::Full => SemaphoreError::Full,
            Without::Refused(Refusal::NotNow) => return None,
            Without::Refused(Refusal::Deadlock) => SemaphoreError::Deadlock,
            Without::Refused(Refusal::Foreign) => SemaphoreError::Foreign,
            Without::Refused(Refusal::Corrupt) => SemaphoreError::Corrupt,
        })
    }
}

impl Semaphore {
    /// With so many permits, and room for 30. If they are more, every use is refused: [`SemaphoreError::TooMany`].
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::with_max(permits)
    }
}

impl<const MAX: usize> Semaphore<MAX> {
    /// With so many permits, and room for `MAX`. If they are more, every use is refused: [`SemaphoreError::TooMany`]. Room for
    /// none is refused at compile time.
    ///
    /// ```
    /// use tine::sync::{Semaphore, SemaphoreError};
    ///
    /// static PLACES: Semaphore<4> = Semaphore::with_max(4);
    ///
    /// let place = PLACES.acquire().unwrap();
    /// assert!(matches!(PLACES.add(), Err(SemaphoreError::Full))); // a held one counts
    /// place.forget();
    /// PLACES.add().unwrap();
    /// ```
    ///
    /// ```compile_fail,E0080
    /// let none = tine::sync::Semaphore::<0>::with_max(0);
    /// ```
    pub const fn with_max(permits: usize) -> Semaphore<MAX> {
        Semaphore { raw: RawSemaphore::new(permits) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]: this thread holds all that there can be; the semaphore was made wrongly, or overwritten.
    #[doc(alias = "sem_wait")]
    #[inline]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, SemaphoreError> {
        if let Some(me) = roster::seated()
            && let Some(permit) = self.raw.acquire_fast(me)
        {
            return Ok(SemaphorePermit { permit, me, not_send: PhantomData });
        }
        // A wait without a deadline ends with an answer; any other is the words' fault.
        self.acquire_with(Patience::Endless).and_then(|permit| permit.ok_or(SemaphoreError::Corrupt))
    }

    /// A permit, if one is free now; None if not, be it that this thread holds them all. Each is looked at once: one that is
    /// given back and taken again meanwhile may be missed.
    ///
    /// # Errors
    ///
    /// The semaphore was made wrongly, or overwritten.
    #[doc(alias = "sem_trywait")]
    pub fn try_acquire(&self) -> Result<Option<SemaphorePermit<'_>>, SemaphoreError> {
        match self.acquire_with(Patience::None) {
            Err(SemaphoreError::Deadlock) => Ok(None),
            tried => tried,
        }
    }

    /// Waits for a permit for at most `limit`; None if there was none until then. A limit of zero tries once; a signal does
    /// not end the wait.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire).
    #[doc(alias = "sem_timedwait")]
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Option<SemaphorePermit<'_>>, SemaphoreError> {
        self.acquire_with(Patience::within(limit))
    }

    /// Makes one permit more, and wakes one who waits. Who is killed in this has added it, or not.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Full`] where there are `MAX` permits, held ones included.
    #[doc(alias = "sem_post")]
    pub fn add(&self) -> Result<(), SemaphoreError> {
        self.raw.add().map_err(|without| SemaphoreError::of(without).unwrap_or(SemaphoreError::Corrupt))
    }

    /// How many permits could be had, those of the dead included. May be stale by the time you look.
    #[doc(alias = "sem_getvalue")]
    pub fn available(&self) -> usize {
        self.raw.available()
    }

    fn acquire_with(&self, patience: Patience) -> Result<Option<SemaphorePermit<'_>>, SemaphoreError> {
        let me = roster::me().map_err(SemaphoreError::NoPlace)?;
        match self.raw.acquire_with(me, patience) {
            Ok(permit) => Ok(Some(SemaphorePermit { permit, me, not_send: PhantomData })),
            Err(without) => SemaphoreError::of(without).map_or(Ok(None), Err),
        }
    }
}

impl<const MAX: usize> fmt::Debug for Semaphore<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).field("max", &MAX).finish()
    }
}

/// A permit of a [`Semaphore`]. Given back when dropped, by the thread that acquired it: it is not [`Send`].
#[must_use = "the permit is given back at once if it is not kept"]
pub struct SemaphorePermit<'a> {
    permit: Permit<'a>,
    me: Name,
    /// The permit names the thread, and comes back when that ends.
    not_send: PhantomData<*const ()>,
}

static_assertions::assert_not_impl_any!(SemaphorePermit<'static>: Send);

impl SemaphorePermit<'_> {
    /// Uses the permit up: it is not given back, and the semaphore has one less, until one is [added](Semaphore::add).
    pub fn forget(self) {
        if self.is_mine() {
            self.permit.forget();
        }
        std::mem::forget(self);
    }

    /// Not in the child of a fork: there it is a copy, and the permit is the parent's.
    #[inline]
    fn is_mine(&self) -> bool {
        roster::seated() == Some(self.me)
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_mine() {
            self.permit.give_back();
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").finish_non_exhaustive()
    }
}
