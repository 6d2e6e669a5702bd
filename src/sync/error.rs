//! Why a lock was not had.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use super::raw::Refusal;

/// Why a lock was not taken; `D` is what leads to the data where a dead owner left it.
///
/// It is [`LockError`](super::LockError), [`ReadError`](super::ReadError) or [`WriteError`](super::WriteError), by the
/// lock.
#[non_exhaustive]
pub enum LockErrorOf<D> {
    /// Whoever held the lock died, or panicked, and may have left the data half changed. The lock **is taken now**: look at the
    /// data, repair it, and `recover()`; or drop this, which leaves the same question to the next.
    OwnerDied(D),
    /// This thread holds the lock already. It would wait for itself for ever.
    Deadlock,
    /// The lock is held by a process that is no relative of this one, so nobody here can tell whether it lives. Its memory
    /// was handed over by descriptor; use the lock among processes that are forked from one.
    Foreign,
    /// The lock's word holds what no lock writes there: something has overwritten it. The data cannot be trusted either.
    Corrupt,
    /// The calling thread could not be put on the roster of those who hold locks: 4095 threads of the family are on it, or there
    /// is no memory.
    NoPlace(io::Error),
}

/// Why a lock was not taken at once.
#[non_exhaustive]
pub enum TryLockErrorOf<D> {
    /// It is held by somebody, who lives. It may be this thread.
    WouldBlock,
    /// Waiting would not have helped.
    Lock(LockErrorOf<D>),
}

/// Why a lock was not taken in time.
#[non_exhaustive]
pub enum LockTimeoutErrorOf<D> {
    /// It was held until then by somebody, who lives.
    TimedOut,
    /// Waiting did not help, or would not have.
    Lock(LockErrorOf<D>),
}

/// Why a lock, or something else that threads of several processes wait for, was not had: the part of the error that is
/// left when the lock is out of reach.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockFailure {
    /// See [`LockErrorOf::OwnerDied`]. The lock was given up again, and tells the next the same.
    OwnerDied,
    /// See [`LockErrorOf::Deadlock`].
    Deadlock,
    /// See [`LockErrorOf::Foreign`].
    Foreign,
    /// See [`LockErrorOf::Corrupt`].
    Corrupt,
    /// See [`LockErrorOf::NoPlace`].
    NoPlace(io::Error),
    /// It is held by somebody, who lives.
    WouldBlock,
    /// It was held until the deadline by somebody, who lives.
    TimedOut,
    /// See [`CondvarError::OtherMutex`](super::CondvarError).
    OtherMutex,
}

impl fmt::Display for LockFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockFailure::OwnerDied => {
                "whoever held the lock died or panicked, so the data may be half changed; repair it and call recover()"
            }
            LockFailure::Deadlock => "this thread holds the lock already and would wait for itself; drop its guard first",
            LockFailure::Foreign => {
                "the lock is held by a process that is not forked from the same one, so whether it lives cannot be told; \
                 share locks among relatives only"
            }
            LockFailure::Corrupt => {
                "the lock's word holds what no lock writes, so its memory was overwritten; do not trust the data, make it anew"
            }
            LockFailure::NoPlace(error) => return write!(f, "this thread cannot hold locks: {error}"),
            LockFailure::WouldBlock => "the lock is held by somebody else; wait for it, or try again later",
            LockFailure::TimedOut => "the lock was held by somebody else until the deadline",
            LockFailure::OtherMutex => {
                "the condition variable was used with another mutex before; use it with one mutex only"
            }
        })
    }
}

impl StdError for LockFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            LockFailure::NoPlace(error) => Some(error),
            _ => None,
        }
    }
}

impl From<LockFailure> for io::Error {
    fn from(failure: LockFailure) -> io::Error {
        let kind = match &failure {
            LockFailure::OwnerDied | LockFailure::Corrupt => io::ErrorKind::InvalidData,
            LockFailure::Deadlock => io::ErrorKind::Deadlock,
            LockFailure::Foreign => io::ErrorKind::Unsupported,
            LockFailure::NoPlace(error) => error.kind(),
            LockFailure::WouldBlock => io::ErrorKind::WouldBlock,
            LockFailure::TimedOut => io::ErrorKind::TimedOut,
            LockFailure::OtherMutex => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, failure)
    }
}

impl<D> LockErrorOf<D> {
    /// What happened, without the lock: an [`OwnerDied`](Self::OwnerDied) is dropped, unrepaired.
    pub fn into_failure(self) -> LockFailure {
        match self {
            LockErrorOf::OwnerDied(_) => LockFailure::OwnerDied,
            LockErrorOf::Deadlock => LockFailure::Deadlock,
            LockErrorOf::Foreign => LockFailure::Foreign,
            LockErrorOf::Corrupt => LockFailure::Corrupt,
            LockErrorOf::NoPlace(error) => LockFailure::NoPlace(error),
        }
    }

    pub(super) fn failure(&self) -> LockFailure {
        match self {
            LockErrorOf::OwnerDied(_) => LockFailure::OwnerDied,
            LockErrorOf::Deadlock => LockFailure::Deadlock,
            LockErrorOf::Foreign => LockFailure::Foreign,
            LockErrorOf::Corrupt => LockFailure::Corrupt,
            LockErrorOf::NoPlace(error) => LockFailure::NoPlace(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

impl<D> TryLockErrorOf<D> {
    /// What happened, without the lock.
    pub fn into_failure(self) -> LockFailure {
        match self {
            TryLockErrorOf::WouldBlock => LockFailure::WouldBlock,
            TryLockErrorOf::Lock(error) => error.into_failure(),
        }
    }

    fn failure(&self) -> LockFailure {
        match self {
            TryLockErrorOf::WouldBlock => LockFailure::WouldBlock,
            TryLockErrorOf::Lock(error) => error.failure(),
        }
    }
}

impl<D> LockTimeoutErrorOf<D> {
    /// What happened, without the lock.
    pub fn into_failure(self) -> LockFailure {
        match self {
            LockTimeoutErrorOf::TimedOut => LockFailure::TimedOut,
            LockTimeoutErrorOf::Lock(error) => error.into_failure(),
        }
    }

    fn failure(&self) -> LockFailure {
        match self {
            LockTimeoutErrorOf::TimedOut => LockFailure::TimedOut,
            LockTimeoutErrorOf::Lock(error) => error.failure(),
        }
    }
}

/// What an attempt to lock can fail with, whichever way it waits.
pub(super) trait Failed<D>: Sized {
    /// The lock was taken, or will not be.
    fn lock(error: LockErrorOf<D>) -> Self;
    /// The word was not changed.
    fn refused(refusal: Refusal) -> Self;
}

impl<D> Failed<D> for LockErrorOf<D> {
    fn lock(error: LockErrorOf<D>) -> Self {
        error
    }
    fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Deadlock => LockErrorOf::Deadlock,
            Refusal::Foreign => LockErrorOf::Foreign,
            // A wait without a deadline ends with an answer; any other is the word's fault.
            Refusal::Corrupt | Refusal::NotNow => LockErrorOf::Corrupt,
        }
    }
}

impl<D> Failed<D> for TryLockErrorOf<D> {
    fn lock(error: LockErrorOf<D>) -> Self {
        TryLockErrorOf::Lock(error)
    }
    fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow | Refusal::Deadlock => TryLockErrorOf::WouldBlock,
            refusal => TryLockErrorOf::Lock(LockErrorOf::refused(refusal)),
        }
    }
}

impl<D> Failed<D> for LockTimeoutErrorOf<D> {
    fn lock(error: LockErrorOf<D>) -> Self {
        LockTimeoutErrorOf::Lock(error)
    }
    fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow => LockTimeoutErrorOf::TimedOut,
            refusal => LockTimeoutErrorOf::Lock(LockErrorOf::refused(refusal)),
        }
    }
}

macro_rules! say_what_failed {
    ($($error:ident),*) => {$(
        impl<D> fmt::Display for $error<D> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.failure().fmt(f)
            }
        }

        /// The sentence, which is what `fn main() -> Result<..>` shows.
        impl<D> fmt::Debug for $error<D> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.failure().fmt(f)
            }
        }

        impl<D> StdError for $error<D> {}

        impl<D> From<$error<D>> for LockFailure {
            fn from(error: $error<D>) -> LockFailure {
                error.into_failure()
            }
        }

        impl<D> From<$error<D>> for io::Error {
            fn from(error: $error<D>) -> io::Error {
                error.into_failure().into()
            }
        }

        impl<D> From<$error<D>> for crate::Error {
            fn from(error: $error<D>) -> crate::Error {
                error.into_failure().into()
            }
        }
    )*};
}
say_what_failed!(LockErrorOf, TryLockErrorOf, LockTimeoutErrorOf);
