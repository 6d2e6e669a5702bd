//! Locks between processes, which survive their holders.

mod error;
mod mutex;
mod raw;

pub use error::{LockErrorOf, LockFailure, LockTimeoutErrorOf, TryLockErrorOf};
pub use mutex::{LockError, LockTimeoutError, Mutex, MutexGuard, OwnerDied, TryLockError};
