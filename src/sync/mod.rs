//! Locks between processes, which survive their holders.

mod barrier;
mod condvar;
mod error;
mod event;
mod mutex;
mod once;
mod raw;
mod rwlock;
mod semaphore;

pub use barrier::{Barrier, BarrierError, BarrierWaitResult};
pub use condvar::{Condvar, CondvarError, WaitTimeoutResult};
pub use error::{LockErrorOf, LockFailure, LockTimeoutErrorOf, TryLockErrorOf};
pub use event::Event;
pub use mutex::{LockError, LockTimeoutError, Mutex, MutexGuard, OwnerDied, TryLockError};
pub use once::{Once, OnceError, OnceState};
pub use rwlock::{ReadError, ReadOwnerDied, ReadTimeoutError, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use rwlock::{TryReadError, TryWriteError, WriteError, WriteOwnerDied, WriteTimeoutError};
pub use semaphore::{Semaphore, SemaphoreError, SemaphorePermit};

impl raw::Patience {
    /// For at most `limit`. A limit of zero is one look; one that no clock reaches is none.
    fn within(limit: std::time::Duration) -> raw::Patience {
        if limit.is_zero() {
            return raw::Patience::None;
        }
        crate::sys::clock::deadline_in(limit).map_or(raw::Patience::Endless, raw::Patience::Until)
    }
}
