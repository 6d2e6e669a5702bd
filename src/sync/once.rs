//! What one of many does for all, once.
//!
//! # Safety
//!
//! This file opens `unsafe` to promise that a `Once` may be used in place by several processes.
#![allow(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::raw::once::{Begun, RawOnce, Waited};
use super::raw::{Patience, Refusal};
use crate::sys::loan::Loan;
use crate::sys::roster::{self, Name};
use crate::wire::Share;

/// An initialisation that one of several processes does, once, and that survives who does it: std's `Once`, in shared
/// memory.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tine::{Shared, sync::Once};
///
/// tine::share! { struct Table { made: Once, sum: AtomicU64 } }
///
/// # fn main() -> Result<(), tine::Error> {
/// let table = Shared::new(Table { made: Once::new(), sum: AtomicU64::new(0) })?;
/// let sum = || -> Result<u64, tine::Error> {
///     // Whoever comes first does it, the others wait until it is done.
///     table.made.call_once(|| drop(table.sum.fetch_add((1..=100).sum(), Ordering::Relaxed)))?;
///     Ok(table.sum.load(Ordering::Relaxed))
/// };
/// let child = tine::spawn(|| sum().unwrap())?;
/// assert_eq!(sum()?, 5050);
/// assert_eq!(child.join()?, 5050);
/// # Ok(())
/// # }
/// ```
///
/// What the closure did is seen by everybody whose call returns `Ok`, or who finds it [completed](Self::is_completed).
///
/// # When a process dies
///
/// A closure whose process is killed, or that panics, has not done it: the next who calls runs *its* closure, those who
/// wait for the dead one at once (at most 100 ms later if the kernel killed for want of memory). So a closure may find the
/// work of an earlier one half done; [`call_once_force`](Self::call_once_force) tells it. There is no poisoning beyond that.
/// A runner that was stopped is alive: the others wait for it.
///
/// # Forks
///
/// A fork by this library is refused inside the closure ([`SpawnError::LoanHeld`](crate::process::SpawnError)). In the child
/// of a fork by other means, the closure's end completes nothing: [`OnceError::NotOwner`].
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias = "pthread_once_t")]
#[repr(transparent)]
pub struct Once {
    raw: RawOnce,
}

// SAFETY: one atomic word, which works between processes; no pointers, no drop.
unsafe impl Share for Once {}

static_assertions::assert_eq_size!(Once, u64);
static_assertions::assert_impl_all!(Once: Send, Sync, std::panic::RefUnwindSafe, std::panic::UnwindSafe);

/// What [`Once::call_once_force`] tells its closure.
#[derive(Debug)]
pub struct OnceState {
    after_death: bool,
}

impl OnceState {
    /// Whether an earlier run was begun and not finished: its process died, or it panicked.
    pub fn is_poisoned(&self) -> bool {
        self.after_death
    }
}

/// Why something was not done once, or is not known to be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum OnceError {
    /// Who ran it died, or panicked, and nobody has run it since. Told to those who only [`wait`](Once::wait).
    RunnerDied,
    /// This thread is running it: the call came from the closure, and would wait for itself for ever.
    Deadlock,
    /// It is run by a process that is no relative of this one, so nobody here can tell whether that lives.
    Foreign,
    /// Its word holds what no `Once` writes there: something has overwritten it.
    Corrupt,
    /// The calling thread could not be put on the roster of those who hold locks.
    NoPlace(io::Error),
    /// This process was forked inside the closure, by other means than this library's: the run is its parent's.
    NotOwner,
    /// It is being run by another, who lives.
    Running,
    /// It was not done until the deadline.
    TimedOut,
}

impl fmt::Display for OnceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnceError::RunnerDied => {
                "who ran it once for all died or panicked before it was done; run it again with call_once()"
            }
            OnceError::Deadlock => "the closure that is run once waits for its own end; do not use its Once inside it",
            OnceError::Foreign => {
                "it is run by a process that is not forked from the same one, so whether that lives cannot be told; share \
                 a Once among relatives only"
            }
            OnceError::Corrupt => {
                "its word holds what no Once writes, so its memory was overwritten; do not trust what it guards, make it anew"
            }
            OnceError::NoPlace(error) => return write!(f, "this thread cannot run it for others: {error}"),
            OnceError::NotOwner => {
                "this process was forked inside the closure and is not the one that runs it; wait for that one"
            }
            OnceError::Running => "it is being run by another; wait for it, or try again later",
            OnceError::TimedOut => "it was not done until the deadline",
        })
    }
}

impl StdError for OnceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            OnceError::NoPlace(error) => Some(error),
            _ => None,
        }
    }
}

impl From<OnceError> for io::Error {
    fn from(error: OnceError) -> io::Error {
        let kind = match &error {
            OnceError::RunnerDied | OnceError::Corrupt => io::ErrorKind::InvalidData,
            OnceError::Deadlock => io::ErrorKind::Deadlock,
            OnceError::Foreign => io::ErrorKind::Unsupported,
            OnceError::NoPlace(error) => error.kind(),
            OnceError::NotOwner => io::ErrorKind::PermissionDenied,
            OnceError::Running => io::ErrorKind::WouldBlock,
            OnceError::TimedOut => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}

/// `late`: what it means that it was not done in time.
fn refused(refusal: Refusal, late: OnceError) -> OnceError {
    match refusal {
        Refusal::NotNow => late,
        Refusal::Deadlock => OnceError::Deadlock,
        Refusal::Foreign => OnceError::Foreign,
        Refusal::Corrupt => OnceError::Corrupt,
    }
}

impl Once {
    /// One that is not done yet.
    pub const fn new() -> Once {
        Once { raw: RawOnce::new() }
    }

    /// Runs `f` if it was not done yet; waits while another runs its own. Afterwards it is done.
    ///
    /// # Errors
    ///
    /// [`OnceError`]: called from inside such a closure; the memory was overwritten. Nothing of `f` ran then, but for
    /// [`OnceError::NotOwner`].
    ///
    /// # Panics
    ///
    /// If `f` does. Then it is not done, and the next call runs its closure.
    #[inline]
    pub fn call_once(&self, f: impl FnOnce()) -> Result<(), OnceError> {
        self.call_once_force(|_| f())
    }

    /// As [`call_once`](Self::call_once); the closure is told whether an earlier one left its work half done.
    ///
    /// ```
    /// use tine::{Shared, sync::Once};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let once = Shared::new(Once::new())?;
    /// let child = tine::spawn(|| drop(once.call_once(|| std::process::abort())))?;
    /// let _ = child.join();
    /// once.call_once_force(|state| assert!(state.is_poisoned()))?;
    /// assert!(once.is_completed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call_once`](Self::call_once).
    ///
    /// # Panics
    ///
    /// As for [`call_once`](Self::call_once).
    #[inline]
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) -> Result<(), OnceError> {
        if self.raw.is_complete() {
            return Ok(());
        }
        // Without a deadline there is no end of time.
        self.call(Patience::Endless, OnceError::TimedOut, f)
    }

    /// As [`call_once`](Self::call_once), but does not wait for another's run.
    ///
    /// # Errors
    ///
    /// [`OnceError::Running`] while another, who lives, runs its closure; else as for [`call_once`](Self::call_once).
    ///
    /// # Panics
    ///
    /// As for [`call_once`](Self::call_once).
    pub fn try_call_once(&self, f: impl FnOnce()) -> Result<(), OnceError> {
        self.call(Patience::None, OnceError::Running, |_| f())
    }

    /// As [`call_once`](Self::call_once), but waits for another's run for at most `limit`. What `f` itself takes is not
    /// limited.
    ///
    /// # Errors
    ///
    /// [`OnceError::TimedOut`] where another's run was not over by then; else as for [`call_once`](Self::call_once).
    ///
    /// # Panics
    ///
    /// As for [`call_once`](Self::call_once).
    pub fn call_once_timeout(&self, limit: Duration, f: impl FnOnce()) -> Result<(), OnceError> {
        self.call(Patience::within(limit), OnceError::TimedOut, |_| f())
    }

    /// Whether it is done. Once true, it stays true.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.raw.is_complete()
    }

    /// Waits until somebody has done it.
    ///
    /// # Errors
    ///
    /// [`OnceError::RunnerDied`] where somebody has begun it and died, or panicked, and nobody runs it now: this call has
    /// nothing to run instead. Else as for [`call_once`](Self::call_once).
    pub fn wait(&self) -> Result<(), OnceError> {
        self.wait_with(false, Patience::Endless)
    }

    /// Waits until somebody has done it, through the deaths of those who began.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), but for [`OnceError::RunnerDied`].
    pub fn wait_force(&self) -> Result<(), OnceError> {
        self.wait_with(true, Patience::Endless)
    }

    /// Waits until somebody has done it, for at most `limit`. A limit of zero looks once; a signal does not end the wait.
    ///
    /// # Errors
    ///
    /// [`OnceError::TimedOut`] where it was not done by then; else as for [`wait`](Self::wait).
    pub fn wait_timeout(&self, limit: Duration) -> Result<(), OnceError> {
        self.wait_with(false, Patience::within(limit))
    }

    fn wait_with(&self, even_after_death: bool, patience: Patience) -> Result<(), OnceError> {
        if self.raw.is_complete() {
            return Ok(());
        }
        match self.raw.wait(roster::seated(), even_after_death, patience) {
            Ok(Waited::Complete) => Ok(()),
            Ok(Waited::Died) => Err(OnceError::RunnerDied),
            Err(refusal) => Err(refused(refusal, OnceError::TimedOut)),
        }
    }

    #[cold]
    fn call(&self, patience: Patience, late: OnceError, f: impl FnOnce(&OnceState)) -> Result<(), OnceError> {
        let me = roster::me().map_err(OnceError::NoPlace)?;
        match self.raw.begin(me, patience).map_err(|refusal| refused(refusal, late))? {
            Begun::Complete => Ok(()),
            Begun::Run { after_death } => {
                let run = Run { once: self, me, over: false, loan: Loan::take() };
                f(&OnceState { after_death });
                run.complete()
            }
        }
    }
}

/// A run that has begun. Dropped by a panic, it gives up.
struct Run<'a> {
    once: &'a Once,
    me: Name,
    over: bool,
    /// What the closure writes is seen by one process only until it is done: a child would be a second.
    #[allow(dead_code)]
    loan: Loan,
}

impl Run<'_> {
    /// Not in the child of a fork that was not ours: there this is a copy, and the run is the parent's.
    fn is_mine(&self) -> bool {
        roster::seated() == Some(self.me)
    }

    fn complete(mut self) -> Result<(), OnceError> {
        self.over = true;
        if !self.is_mine() {
            return Err(OnceError::NotOwner);
        }
        self.once.raw.complete();
        Ok(())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.over && self.is_mine() {
            self.once.raw.give_up();
        }
    }
}

impl Default for Once {
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("is_completed", &self.is_completed()).finish()
    }
}
