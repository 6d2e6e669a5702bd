//! Locks between processes, which survive their holders.

mod error;
mod event;
mod mutex;
mod once;
mod raw;
mod rwlock;
mod semaphore;

pub use error::{LockErrorOf, LockFailure, LockTimeoutErrorOf, TryLockErrorOf};
pub use event::Event;
pub use mutex::{LockError, LockTimeoutError, Mutex, MutexGuard, OwnerDied, TryLockError};
pub use once::{Once, OnceError, OnceState};
pub use rwlock::{ReadError, ReadOwnerDied, ReadTimeoutError, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use rwlock::{TryReadError, TryWriteError, WriteError, WriteOwnerDied, WriteTimeoutError};
pub use semaphore::{Semaphore, SemaphoreError, SemaphorePermit};
