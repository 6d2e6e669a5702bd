//! Locks between processes, which survive their holders.

mod error;
mod event;
mod mutex;
mod raw;

pub use error::{LockErrorOf, LockFailure, LockTimeoutErrorOf, TryLockErrorOf};
pub use event::Event;
pub use mutex::{LockError, LockTimeoutError, Mutex, MutexGuard, OwnerDied, TryLockError};
