//! Processes: made by fork, ended with a result or a death certificate.
//!
//! | file | noun |
//! |---|---|
//! | `launch` | the parent's side of a spawn |
//! | `inside` | the child's side |
//! | `slot` | the words and bytes that both share |
//! | `options` | settings, as the child applies them |
//! | `child`, `handle` | a child and its result, as the parent sees them |
//! | `handles` | the descriptors behind handles, which children let go |
//! | `exit`, `error`, `panic` | how it ended |
//! | `tree`, `oom` | what `/proc` and the cgroup know |

mod builder;
mod child;
mod error;
mod exit;
mod handle;
mod handles;
mod hooks;
mod inside;
mod launch;
mod moved;
mod oom;
mod options;
mod panic;
mod parent;
pub mod raw;
mod scope;
mod slot;
mod snapshot;
mod stdio;
mod stop;
mod tree;

pub use builder::{Builder, KeepCaptures};
pub use child::Child;
pub use error::{JoinError, SpawnError};
pub use exit::{Cause, Exit, Ran, Usage};
pub use handle::JoinHandle;
pub use hooks::after_fork_in_child;
pub use moved::Moved;
pub use panic::{Location, Panic};
pub use parent::{Parent, parent};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use snapshot::{Snapshot, snapshot};
pub use stdio::Stdio;
pub use stop::{Stop, stop};

/// What [`Builder::rlimit`] limits.
pub use rustix::process::Resource;
/// A signal, by name: `Signal::TERM`.
pub use rustix::process::Signal;

use crate::wire::{Pass, Wire};

/// Runs `f` in a child process and returns a handle for its result.
pub fn spawn<F, T>(f: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T,
    T: Wire,
{
    Builder::new().spawn(f)
}

/// As [`spawn`], with what is handed to the child said in the type.
///
/// # Errors
///
/// Any [`SpawnError`].
pub fn spawn_with<A, F, T>(arg: A, f: F) -> Result<JoinHandle<T>, SpawnError>
where
    A: Pass,
    F: FnOnce(A) -> T,
    T: Wire,
{
    Builder::new().spawn(move || f(arg))
}

/// As [`spawn`], without looking for threads, shared memory, io_uring and epoll.
///
/// # Errors
///
/// As for [`Builder::spawn_unchecked`].
///
/// # Safety
///
/// As for [`Builder::spawn_unchecked`].
#[allow(unsafe_code)]
pub unsafe fn spawn_unchecked<F, T>(f: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T,
    T: Wire,
{
    // SAFETY: passed on to the caller.
    unsafe { Builder::new().spawn_unchecked(f) }
}
