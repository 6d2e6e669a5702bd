//! Mutual exclusion between processes.
//!
//! # Safety
//!
//! This file opens `unsafe` to give out the guarded data, which is what holding the lock means.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use super::error::{Failed, LockErrorOf, LockTimeoutErrorOf, TryLockErrorOf};
use super::raw::Patience;
use super::raw::mutex::{Found, RawMutex};
use crate::sys::loan::Loan;
use crate::sys::roster::{self, Name};
use crate::wire::{Plain, Share};

/// A lock around plain data, for threads of several processes: std's `Mutex`, in shared memory, that survives its holder.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction.
///
/// ```
/// use tine::{Shared, sync::Mutex};
///
/// # fn main() -> Result<(), tine::Error> {
/// let balance = Shared::new(Mutex::new(100_i64))?;
/// let child = tine::spawn(|| {
///     *balance.lock().unwrap() -= 30;
/// })?;
/// child.join()?;
/// assert_eq!(*balance.lock()?, 70);
/// # Ok(())
/// # }
/// ```
///
/// The data are plain, since whoever comes after a dead holder sees whatever bytes it left:
///
/// ```compile_fail,E0277
/// let names = tine::sync::Mutex::new(String::new()); // the text would be in private memory
/// ```
///
/// # When a process dies
///
/// Killed between any two instructions, a process has either not locked, or holds the lock, or has unlocked it. Where it
/// held it, the next to lock gets [`LockError::OwnerDied`](LockError): it has the lock, sees the data as they were left,
/// repairs them, and calls [`recover`](OwnerDied::recover). Those who sleep are woken at once (at most 100 ms later if the
/// kernel killed for want of memory). A thread that ends with a guard forgotten counts as dead, and so does a process
/// that calls exec. A holder that was stopped is alive: nobody takes its lock.
///
/// A guard that is dropped by a panic leaves the same mark, since its work may be half done.
///
/// # Forks
///
/// A fork by this library is refused while the thread holds a guard
/// ([`SpawnError::LoanHeld`](crate::process::SpawnError)). In the child of a fork by other means a copied guard unlocks
/// nothing.
///
/// # Fairness
///
/// As std's: a thread that comes just when the lock is given up may have it before those who sleep. A sleeper may lose again
/// and again while others take and give back the lock without a pause; see the figures in `benches/README.md`.
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias = "pthread_mutex_t")]
#[repr(C)]
pub struct Mutex<T> {
    raw: RawMutex,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached by one thread at a time, of all processes, and is plain: nothing in it belongs to a thread.
unsafe impl<T: Plain> Sync for Mutex<T> {}
// SAFETY: it is moved with its data, while nobody holds it.
unsafe impl<T: Plain> Send for Mutex<T> {}
// SAFETY: access through `&self` is atomic (the word) or under the word's guard (the data), which works between
// processes; a Plain value holds no pointers; neither needs drop.
unsafe impl<T: Plain> Share for Mutex<T> {}

// What a panic leaves half done is marked, as a death is.
impl<T: Plain> UnwindSafe for Mutex<T> {}
impl<T: Plain> RefUnwindSafe for Mutex<T> {}

static_assertions::assert_eq_size!(Mutex<()>, u64);

/// Why a [`Mutex`] was not locked.
pub type LockError<'a, T> = LockErrorOf<OwnerDied<'a, T>>;
/// Why a [`Mutex`] was not locked at once.
pub type TryLockError<'a, T> = TryLockErrorOf<OwnerDied<'a, T>>;
/// Why a [`Mutex`] was not locked in time.
pub type LockTimeoutError<'a, T> = LockTimeoutErrorOf<OwnerDied<'a, T>>;

impl<T: Plain> Mutex<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), data: UnsafeCell::new(value) }
    }

    /// Waits until the lock is free, and takes it.
    ///
    /// # Errors
    ///
    /// [`LockError`]: the last holder died; this thread holds the lock already; the lock's memory was overwritten.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        self.lock_with(Patience::Endless)
    }

    /// Takes the lock if it is free now.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`](TryLockError) where somebody, perhaps this thread, holds it; else as for
    /// [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<'_, T>> {
        self.lock_with(Patience::None)
    }

    /// Waits for the lock for at most `limit`. A limit of zero tries once; a signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::TimedOut`](LockTimeoutError) where somebody held it until then; else as for
    /// [`lock`](Self::lock).
    #[doc(alias = "pthread_mutex_timedlock")]
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T>, LockTimeoutError<'_, T>> {
        self.lock_with(Patience::within(limit))
    }

    /// As [`lock`](Self::lock); what a dead holder left is first put in order by `repair`.
    ///
    /// Who dies in `repair` leaves the next to repair.
    ///
    /// ```
    /// use tine::{Shared, sync::Mutex};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let both = Shared::new(Mutex::new([0_u32; 2]))?; // two numbers that are to be equal
    /// let child = tine::spawn(|| -> u32 {
    ///     let mut both = both.lock().unwrap();
    ///     both[0] += 1;
    ///     std::process::abort(); // dies in between
    /// })?;
    /// let _ = child.join();
    /// let both = both.lock_or_repair(|both| both[1] = both[0])?;
    /// assert_eq!(*both, [1, 1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock), but for [`LockError::OwnerDied`](LockError).
    pub fn lock_or_repair(&self, repair: impl FnOnce(&mut T)) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        match self.lock() {
            Err(LockErrorOf::OwnerDied(mut left)) => {
                repair(left.get_mut());
                Ok(left.recover())
            }
            other => other,
        }
    }

    /// Whether somebody holds it. May be stale by the time you look.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The data, without locking: this handle is the only one.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }

    pub(super) fn raw(&self) -> &RawMutex {
        &self.raw
    }

    fn lock_with<'a, E: Failed<OwnerDied<'a, T>>>(&'a self, patience: Patience) -> Result<MutexGuard<'a, T>, E> {
        let me = roster::me().map_err(|error| E::lock(LockErrorOf::NoPlace(error)))?;
        match self.raw.lock_with(me, patience).map_err(E::refused)? {
            Found::Clean => Ok(self.guard(me, false)),
            Found::Dirty => Err(E::lock(LockErrorOf::OwnerDied(OwnerDied { guard: self.guard(me, true) }))),
        }
    }

    #[inline]
    fn guard(&self, me: Name, undone: bool) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, me, undone, panicking: std::thread::panicking(), loan: Loan::take() }
    }
}

impl<T: Plain + Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: Plain> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => out.field("data", &*guard),
            Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(left))) => {
                out.field("data", left.get()).field("owner_died", &true)
            }
            Err(error) => out.field("data", &format_args!("<{}>", error.into_failure())),
        };
        out.finish()
    }
}

/// A held [`Mutex`]. Unlocks when dropped, by the thread that locked it: it is not [`Send`].
///
/// Forgotten ([`std::mem::forget`]), it leaves the mutex locked until its thread ends, and the thread unable to spawn; then
/// the next locker is told that the owner died. Nothing refers to the memory of a forgotten lock, so that may be unmapped and used for other things.
#[must_use = "the mutex unlocks at once if the guard is not kept"]
pub struct MutexGuard<'a, T: Plain> {
    mutex: &'a Mutex<T>,
    me: Name,
    /// The data were found half changed, and are not repaired.
    undone: bool,
    /// Whether the thread was panicking already when it locked.
    panicking: bool,
    /// A fork would make two holders. Makes this `!Send`, too.
    #[allow(dead_code)]
    loan: Loan,
}

static_assertions::assert_not_impl_any!(MutexGuard<'static, u64>: Send);

impl<'a, T: Plain> MutexGuard<'a, T> {
    /// What it is the guard of.
    pub(super) fn mutex(guard: &MutexGuard<'a, T>) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: Plain> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held by this thread, so nobody else, in any process, has access; what a dead process left is a
        // valid value, since any bytes are (`Plain`).
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: Plain> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: Plain> MutexGuard<'_, T> {
    /// Gives up what was left undone, or was not this thread's to hold.
    #[cold]
    fn give_up(&self, mine: bool) {
        if mine {
            self.mutex.raw.unlock(self.undone || (!self.panicking && std::thread::panicking()));
        }
    }
}

impl<T: Plain> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // In the child of a fork that was not ours this is a copy of the parent's guard, and the lock is the parent's.
        let mine = roster::seated() == Some(self.me);
        if !mine || self.undone || std::thread::panicking() {
            return self.give_up(mine);
        }
        self.mutex.raw.unlock(false);
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A [`Mutex`] that is held now, whose last holder died or panicked: the data as they were left.
///
/// Dropped without [`recover`](Self::recover), it unlocks, and the next locker is asked the same question.
#[doc(alias = "EOWNERDEAD")]
#[must_use = "dropped, it leaves the repair to the next locker"]
pub struct OwnerDied<'a, T: Plain> {
    guard: MutexGuard<'a, T>,
}

impl<'a, T: Plain> OwnerDied<'a, T> {
    /// The data, which may be half changed.
    pub fn get(&self) -> &T {
        &self.guard
    }

    /// The same, to repair.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.guard
    }

    /// The data are in order now: goes on as the holder of the lock.
    #[doc(alias = "pthread_mutex_consistent")]
    pub fn recover(mut self) -> MutexGuard<'a, T> {
        self.guard.mutex.raw.set_clean();
        self.guard.undone = false;
        self.guard
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for OwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnerDied").field(self.get()).finish()
    }
}
