//! Many readers or one writer, between processes.
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
use super::raw::rwlock::{Found, RawRwLock, Share as RawShare, Writer};
use crate::sys::loan::Loan;
use crate::sys::roster::{self, Name};
use crate::wire::{Plain, Share};

/// A lock around plain data, which many threads of several processes read at once, or one writes: std's `RwLock`, in
/// shared memory, that survives its holders.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction.
///
/// ```
/// use tine::{Shared, sync::RwLock};
///
/// # fn main() -> Result<(), tine::Error> {
/// let prices = Shared::new(RwLock::new([10_u32, 20, 30]))?;
/// let child = tine::spawn(|| prices.write().unwrap()[1] = 25)?;
/// child.join()?;
/// let (a, b) = (prices.read()?, prices.read()?); // readers do not exclude each other
/// assert_eq!(a[1] + b[2], 55);
/// # Ok(())
/// # }
/// ```
///
/// # How many read at once
///
/// Each reader enters its name in a place of its own, so that its share can be taken back if it dies. There are `READERS`
/// places, 30 if nothing else is said ([`with_readers`](Self::with_readers)): one more reader waits until another leaves. A
/// place has 8 bytes; a writer looks at each.
///
/// # When a process dies
///
/// A reader that is killed gives its share back by that: a writer that sleeps is woken at once (at most 100 ms later if the
/// kernel killed for want of memory). A writer that is killed has locked, or not, or has unlocked. Where it held the lock,
/// the next writer gets [`WriteError::OwnerDied`](WriteError): it has the lock, repairs the data, and calls
/// [`recover`](WriteOwnerDied::recover). Until then each reader gets [`ReadError::OwnerDied`](ReadError), and may look at
/// the data as they were left. A writer that is killed while it waits for readers leaves no mark.
///
/// A thread that ends with a guard forgotten counts as dead, and so does a process that calls exec. A holder that was
/// stopped is alive: nobody takes its lock. A write guard that is dropped by a panic leaves the mark, since its work may
/// be half done; a read guard does not.
///
/// # Forks
///
/// A fork by this library is refused while the thread holds a guard of either kind
/// ([`SpawnError::LoanHeld`](crate::process::SpawnError)). In the child of a fork by other means a copied guard unlocks
/// nothing.
///
/// # Fairness
///
/// A writer that waits comes before the readers that come after it: it waits for those only that were there. Among
/// writers, and when a writer unlocks, whoever comes first has it; a steady stream of writers can keep readers out.
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias = "pthread_rwlock_t")]
#[repr(C)]
pub struct RwLock<T, const READERS: usize = 30> {
    raw: RawRwLock<READERS>,
    data: UnsafeCell<T>,
}

// SAFETY: the data is written by one thread at a time, of all processes, while none reads, and is plain: nothing in it
// belongs to a thread, and nothing changes by reading.
unsafe impl<T: Plain, const READERS: usize> Sync for RwLock<T, READERS> {}
// SAFETY: it is moved with its data, while nobody holds it.
unsafe impl<T: Plain, const READERS: usize> Send for RwLock<T, READERS> {}
// SAFETY: access through `&self` is atomic (the words) or under a guard of the words (the data), which works between
// processes; a Plain value holds no pointers; neither needs drop.
unsafe impl<T: Plain, const READERS: usize> Share for RwLock<T, READERS> {}

// What a panic leaves half done is marked, as a death is.
impl<T: Plain, const READERS: usize> UnwindSafe for RwLock<T, READERS> {}
impl<T: Plain, const READERS: usize> RefUnwindSafe for RwLock<T, READERS> {}

static_assertions::assert_eq_size!(RwLock<()>, [u64; 32]);

/// Why an [`RwLock`] was not locked for reading.
pub type ReadError<'a, T> = LockErrorOf<ReadOwnerDied<'a, T>>;
/// Why an [`RwLock`] was not locked for reading at once.
pub type TryReadError<'a, T> = TryLockErrorOf<ReadOwnerDied<'a, T>>;
/// Why an [`RwLock`] was not locked for reading in time.
pub type ReadTimeoutError<'a, T> = LockTimeoutErrorOf<ReadOwnerDied<'a, T>>;
/// Why an [`RwLock`] was not locked for writing.
pub type WriteError<'a, T> = LockErrorOf<WriteOwnerDied<'a, T>>;
/// Why an [`RwLock`] was not locked for writing at once.
pub type TryWriteError<'a, T> = TryLockErrorOf<WriteOwnerDied<'a, T>>;
/// Why an [`RwLock`] was not locked for writing in time.
pub type WriteTimeoutError<'a, T> = LockTimeoutErrorOf<WriteOwnerDied<'a, T>>;

impl<T: Plain> RwLock<T> {
    /// An unlocked one, for 30 readers at once.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock::with_readers(value)
    }
}

impl<T: Plain, const READERS: usize> RwLock<T, READERS> {
    /// An unlocked one, for `READERS` readers at once. None at all is refused at compile time.
    ///
    /// ```
    /// use tine::sync::RwLock;
    ///
    /// static LOCK: RwLock<u64, 2> = RwLock::with_readers(7);
    ///
    /// let (one, two) = (LOCK.read().unwrap(), LOCK.read().unwrap());
    /// assert_eq!(*one, *two);
    /// assert!(LOCK.try_read().is_err()); // no place is left
    /// ```
    ///
    /// ```compile_fail,E0080
    /// let nobody = tine::sync::RwLock::<u64, 0>::with_readers(7);
    /// ```
    pub const fn with_readers(value: T) -> RwLock<T, READERS> {
        RwLock { raw: RawRwLock::new(), data: UnsafeCell::new(value) }
    }

    /// Waits until nobody writes, or waits to write, and reads.
    ///
    /// A thread may hold several read guards. Where a writer waits for the first of them, the second is refused, as it would
    /// wait for the writer: [`Deadlock`](LockErrorOf::Deadlock).
    ///
    /// # Errors
    ///
    /// [`ReadError`]: the last writer died; this thread writes, or would wait for itself; the lock's memory was overwritten.
    #[inline]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, ReadError<'_, T>> {
        if let Some(me) = roster::seated()
            && let Some(share) = self.raw.read_fast(me)
        {
            return Ok(self.read_guard(me, share));
        }
        self.read_with(Patience::Endless)
    }

    /// Reads if nobody writes, or waits to write, now.
    ///
    /// # Errors
    ///
    /// [`TryReadError::WouldBlock`](TryLockErrorOf::WouldBlock) where somebody does, or is just trying to, or where all
    /// places of readers are taken; else as for [`read`](Self::read).
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryReadError<'_, T>> {
        self.read_with(Patience::None)
    }

    /// As [`read`](Self::read), for at most `limit`. A limit of zero tries once; a signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`ReadTimeoutError::TimedOut`](LockTimeoutErrorOf::TimedOut) where it was not had until then; else as for
    /// [`read`](Self::read).
    #[doc(alias = "pthread_rwlock_timedrdlock")]
    pub fn read_timeout(&self, limit: Duration) -> Result<RwLockReadGuard<'_, T>, ReadTimeoutError<'_, T>> {
        self.read_with(Patience::within(limit))
    }

    /// Waits until nobody reads or writes, and writes. Whoever comes to read meanwhile waits.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: the last writer died; this thread reads or writes; the lock's memory was overwritten.
    #[inline]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, WriteError<'_, T>> {
        self.write_with(Patience::Endless)
    }

    /// Writes if nobody, this thread included, reads or writes now.
    ///
    /// # Errors
    ///
    /// [`TryWriteError::WouldBlock`](TryLockErrorOf::WouldBlock) where somebody does, or is just trying to; else as for
    /// [`write`](Self::write).
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryWriteError<'_, T>> {
        self.write_with(Patience::None)
    }

    /// As [`write`](Self::write), for at most `limit`. A limit of zero tries once; a signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`WriteTimeoutError::TimedOut`](LockTimeoutErrorOf::TimedOut) where it was not had until then; else as for
    /// [`write`](Self::write).
    #[doc(alias = "pthread_rwlock_timedwrlock")]
    pub fn write_timeout(&self, limit: Duration) -> Result<RwLockWriteGuard<'_, T>, WriteTimeoutError<'_, T>> {
        self.write_with(Patience::within(limit))
    }

    /// As [`write`](Self::write); what a dead writer left is first put in order by `repair`.
    ///
    /// Who dies in `repair` leaves the next to repair.
    ///
    /// ```
    /// use tine::{Shared, sync::RwLock};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let both = Shared::new(RwLock::new([0_u32; 2]))?; // two numbers that are to be equal
    /// let child = tine::spawn(|| -> u32 {
    ///     let mut both = both.write().unwrap();
    ///     both[0] += 1;
    ///     std::process::abort(); // dies in between
    /// })?;
    /// let _ = child.join();
    /// assert!(both.read().is_err());
    /// drop(both.write_or_repair(|both| both[1] = both[0])?);
    /// assert_eq!(*both.read()?, [1, 1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), but for [`OwnerDied`](LockErrorOf::OwnerDied).
    pub fn write_or_repair(&self, repair: impl FnOnce(&mut T)) -> Result<RwLockWriteGuard<'_, T>, WriteError<'_, T>> {
        match self.write() {
            Err(LockErrorOf::OwnerDied(mut left)) => {
                repair(left.get_mut());
                Ok(left.recover())
            }
            other => other,
        }
    }

    /// The data, without locking: this handle is the only one.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// The data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }

    fn read_with<'a, E: Failed<ReadOwnerDied<'a, T>>>(
        &'a self,
        patience: Patience,
    ) -> Result<RwLockReadGuard<'a, T>, E> {
        let me = roster::me().map_err(|error| E::lock(LockErrorOf::NoPlace(error)))?;
        let (share, found) = self.raw.read_with(me, patience).map_err(E::refused)?;
        let guard = self.read_guard(me, share);
        match found {
            Found::Clean => Ok(guard),
            Found::Dirty => Err(E::lock(LockErrorOf::OwnerDied(ReadOwnerDied { guard }))),
        }
    }

    fn write_with<'a, E: Failed<WriteOwnerDied<'a, T>>>(
        &'a self,
        patience: Patience,
    ) -> Result<RwLockWriteGuard<'a, T>, E> {
        let me = roster::me().map_err(|error| E::lock(LockErrorOf::NoPlace(error)))?;
        match self.raw.write_with(me, patience).map_err(E::refused)? {
            Found::Clean => Ok(self.write_guard(me, false)),
            Found::Dirty => Err(E::lock(LockErrorOf::OwnerDied(WriteOwnerDied { guard: self.write_guard(me, true) }))),
        }
    }

    #[inline]
    fn read_guard<'a>(&'a self, me: Name, share: RawShare<'a>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { data: &self.data, share, me, loan: Loan::take() }
    }

    fn write_guard(&self, me: Name, undone: bool) -> RwLockWriteGuard<'_, T> {
        let panicking = std::thread::panicking();
        RwLockWriteGuard { data: &self.data, writer: self.raw.writer(), me, undone, panicking, loan: Loan::take() }
    }
}

impl<T: Plain + Default, const READERS: usize> Default for RwLock<T, READERS> {
    fn default() -> RwLock<T, READERS> {
        RwLock::with_readers(T::default())
    }
}

impl<T: Plain, const READERS: usize> From<T> for RwLock<T, READERS> {
    fn from(value: T) -> RwLock<T, READERS> {
        RwLock::with_readers(value)
    }
}

impl<T: Plain + fmt::Debug, const READERS: usize> fmt::Debug for RwLock<T, READERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => out.field("data", &*guard),
            Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(left))) => {
                out.field("data", left.get()).field("owner_died", &true)
            }
            Err(error) => out.field("data", &format_args!("<{}>", error.into_failure())),
        };
        out.finish()
    }
}

/// A share of an [`RwLock`]. Given back when dropped, by the thread that took it: it is not [`Send`].
///
/// Forgotten ([`std::mem::forget`]), it keeps writers out until its thread ends.
#[must_use = "the share is given back at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: Plain> {
    data: &'a UnsafeCell<T>,
    share: RawShare<'a>,
    me: Name,
    /// After a fork a writer would wait for one of two readers only. Makes this `!Send`, too.
    #[allow(dead_code)]
    loan: Loan,
}

/// An [`RwLock`] that is held for writing. Unlocks when dropped, by the thread that locked it: it is not [`Send`].
///
/// Forgotten ([`std::mem::forget`]), it leaves the lock locked until its thread ends; then the next is told that the writer
/// died.
#[must_use = "the lock unlocks at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: Plain> {
    data: &'a UnsafeCell<T>,
    writer: &'a Writer,
    me: Name,
    /// The data were found half changed, and are not repaired.
    undone: bool,
    /// Whether the thread was panicking already when it locked.
    panicking: bool,
    /// A fork would make two writers. Makes this `!Send`, too.
    #[allow(dead_code)]
    loan: Loan,
}

static_assertions::assert_not_impl_any!(RwLockReadGuard<'static, u64>: Send);
static_assertions::assert_not_impl_any!(RwLockWriteGuard<'static, u64>: Send);

// As the lock is.
impl<T: Plain> UnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: Plain> RefUnwindSafe for RwLockReadGuard<'_, T> {}
impl<T: Plain> UnwindSafe for RwLockWriteGuard<'_, T> {}
impl<T: Plain> RefUnwindSafe for RwLockWriteGuard<'_, T> {}

impl<T: Plain> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds a share, so nobody, in any process, writes; what a dead process left is a valid value,
        // since any bytes are (`Plain`).
        unsafe { &*self.data.get() }
    }
}

impl<T: Plain> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock for writing, so nobody else, in any process, has access; what a dead process left
        // is a valid value, since any bytes are (`Plain`).
        unsafe { &*self.data.get() }
    }
}

impl<T: Plain> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { &mut *self.data.get() }
    }
}

impl<T: Plain> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // In the child of a fork that was not ours this is a copy of the parent's guard, and the share is the parent's.
        if roster::seated() == Some(self.me) {
            self.share.give_back();
        }
    }
}

impl<T: Plain> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // As for the read guard.
        if roster::seated() == Some(self.me) {
            self.writer.unlock(self.undone || (!self.panicking && std::thread::panicking()));
        }
    }
}

macro_rules! show_the_data {
    ($($guard:ident),*) => {$(
        impl<T: Plain + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: Plain + fmt::Display> fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}
show_the_data!(RwLockReadGuard, RwLockWriteGuard);

/// A share of an [`RwLock`] whose last writer died or panicked: the data as they were left, to look at.
///
/// Only a writer can repair them: see [`WriteOwnerDied`].
#[doc(alias = "EOWNERDEAD")]
#[must_use = "dropped, it gives the share back"]
pub struct ReadOwnerDied<'a, T: Plain> {
    guard: RwLockReadGuard<'a, T>,
}

impl<T: Plain> ReadOwnerDied<'_, T> {
    /// The data, which may be half changed. They stay as they are while this is held.
    pub fn get(&self) -> &T {
        &self.guard
    }
}

/// An [`RwLock`] that is held for writing now, whose last writer died or panicked: the data as they were left.
///
/// Dropped without [`recover`](Self::recover), it unlocks, and the next is asked the same question.
#[doc(alias = "EOWNERDEAD")]
#[must_use = "dropped, it leaves the repair to the next writer"]
pub struct WriteOwnerDied<'a, T: Plain> {
    guard: RwLockWriteGuard<'a, T>,
}

impl<'a, T: Plain> WriteOwnerDied<'a, T> {
    /// The data, which may be half changed.
    pub fn get(&self) -> &T {
        &self.guard
    }

    /// The same, to repair.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.guard
    }

    /// The data are in order now: goes on as the writer.
    #[doc(alias = "pthread_mutex_consistent")]
    pub fn recover(mut self) -> RwLockWriteGuard<'a, T> {
        self.guard.writer.set_clean();
        self.guard.undone = false;
        self.guard
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ReadOwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOwnerDied").field(self.get()).finish()
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for WriteOwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteOwnerDied").field(self.get()).finish()
    }
}
