//! `fork` itself, for experts.
//!
//! # Safety
//!
//! This file opens `unsafe` because what it offers is.
#![allow(unsafe_code)]

use std::time::Duration;

use super::child::Child;
use super::error::SpawnError;
use super::hooks;
use super::launch::{self, Checks, Forked, Plan};

/// Which side of a fork this is.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
#[must_use = "both processes go on from here: match on which one this is"]
pub enum Fork {
    /// The process that forked, with its child.
    Parent(Child),
    /// The new process.
    Child,
}

/// Forks, and returns twice: the child goes on in the caller's code, with a copy of everything.
///
/// It is what [`spawn`](super::spawn) is built on. The child's signals are reset, it dies with its parent, and
/// [`stop`](super::stop) and [`parent`](super::parent) work in it. It has no result. Nobody looks for threads
/// or for shared memory; loans are looked for.
///
/// # Errors
///
/// [`SpawnError::LoanHeld`], and what the system refuses.
///
/// # Safety
///
/// - As for [`Builder::spawn_unchecked`](super::Builder::spawn_unchecked), for all code that the child runs.
/// - The child must not return into code that relies on being run once: it runs every destructor on its way
///   that the parent runs too. Best it ends in `_exit`.
///
/// # Examples
///
/// ```
/// use tine::process::raw::{Fork, fork};
///
/// // SAFETY: this program has one thread, and the child ends here.
/// match unsafe { fork() }? {
///     Fork::Child => unsafe { libc::_exit(7) },
///     Fork::Parent(child) => assert_eq!(child.wait()?.status.code(), Some(7)),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub unsafe fn fork() -> Result<Fork, SpawnError> {
    // SAFETY: the caller answers for the threads, the shared memory, and where the child goes.
    match unsafe { launch::launch(Plan::default(), Checks::None, false) }? {
        Forked::Parent(mut child) => {
            child.release(None, Duration::ZERO);
            Ok(Fork::Parent(child))
        }
        Forked::Child(inside, _) => {
            hooks::run();
            inside.slot.enter();
            Ok(Fork::Child)
        }
    }
}
