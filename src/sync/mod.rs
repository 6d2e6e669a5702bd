//! Locks between processes, which survive their holders.
//!
//! Each is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
//! [`share!`](crate::share) struct, and needs no destruction.
//!
//! | type | what it does | when who holds it is killed |
//! |---|---|---|
//! | [`Mutex`] | one at a time has the data | the next is told, and finds the data as they were left |
//! | [`RwLock`] | one writes, or many read | the same of a writer; a reader's share comes back |
//! | [`Condvar`] | waits until a mutex's data have changed | a holder of the mutex: all waits end |
//! | [`Semaphore`] | hands out permits | its permits come back |
//! | [`Barrier`] | all wait for the last | the round is broken, for all |
//! | [`Event`] | waits until something has happened | nobody holds it |
//! | [`Once`] | done by one, for all | the next does it |
//!
//! ```
//! use tine::{Shared, sync::{Event, Mutex}};
//!
//! tine::share! {
//!     struct Table { rows: [Mutex<[u64; 4]>; 16], full: Event }
//! }
//!
//! # fn main() -> Result<(), tine::Error> {
//! let table = Shared::new(Table { rows: [const { Mutex::new([0; 4]) }; 16], full: Event::new() })?;
//! let child = tine::spawn(|| {
//!     for (n, row) in (0..).zip(&table.rows) {
//!         *row.lock().unwrap() = [n; 4];
//!     }
//!     table.full.set();
//! })?;
//! table.full.wait();
//! assert_eq!(*table.rows[7].lock()?, [7; 4]);
//! child.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! They are used by threads of processes that were forked from one: each has a place on a table, by which a lock names its
//! holder, and there is room for 4095 who live. A holder that was stopped is alive. A thread that ends, and a process that
//! calls exec, count as dead. Locks survive deaths, not writes by other means than their own: where memory is overwritten,
//! most of that is told as `Corrupt`, and none of it is promised.
//!
//! How they work is told in `docs/6-locks.md`.

mod barrier;
mod condvar;
mod error;
mod event;
mod mutex;
mod once;
pub(crate) mod raw;
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
