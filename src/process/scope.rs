//! Children that are all joined before a block ends.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::builder::Builder;
use super::child::Child;
use super::error::{JoinError, SpawnError};
use super::handle::{JoinHandle, Joinable};
use crate::sys::generation;
use crate::wire::Wire;

/// A scope to spawn children in. See [`scope`].
///
/// # Lifetimes
///
/// As for [`std::thread::scope`]: `'scope` begins before the scope's body and ends after it, `'env` is whatever
/// the body borrows from. A child has its own copy of what it borrows, so nothing could dangle in any case;
/// the bounds make scoped code read, and be refused, just as it would be with threads.
///
/// ```compile_fail,E0373
/// let mut handles = Vec::new();
/// tine::scope(|s| {
///     let local = 5_u64;
///     handles.push(s.spawn(|| local)); // `local` does not live as long as the scope
/// });
/// ```
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    children: Mutex<Vec<Arc<Joinable>>>,
    generation: u64,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The handle of a child of a scope. Dropping it leaves the joining to the scope.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

/// Runs `f`, in which children can be spawned, and joins every child before it returns.
///
/// Whatever happens: when `f` panics its children are joined too, and the panic goes on afterwards. In a child
/// of the scope nothing is joined; it never comes to the scope's end.
///
/// # Errors
///
/// The failure of a child that `f` did not join itself; [`JoinError::Several`] if there is more than one.
///
/// # Examples
///
/// ```
/// let words = vec!["some", "words", "here"];
/// let total = tine::scope(|s| -> Result<u64, tine::Error> {
///     let (left, right) = words.split_at(1);
///     let left = s.spawn(|| left.iter().map(|w| w.len() as u64).sum::<u64>())?;
///     let right = s.spawn(|| right.iter().map(|w| w.len() as u64).sum::<u64>())?;
///     Ok(left.join()? + right.join()?)
/// })??; // one for the scope, which joined everybody; one for what the body returned
/// assert_eq!(total, 13);
/// # Ok::<(), tine::Error>(())
/// ```
pub fn scope<'env, R>(f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> Result<R, JoinError> {
    let scope = Scope {
        children: Mutex::new(Vec::new()),
        generation: generation::current(),
        scope: PhantomData,
        env: PhantomData,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let mut failures = scope.join_all();
    match outcome {
        Err(payload) => resume_unwind(payload),
        Ok(_) if failures.len() > 1 => Err(JoinError::Several(failures)),
        Ok(value) => failures.pop().map_or(Ok(value), Err),
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a child of this scope. See [`spawn`](super::spawn).
    ///
    /// # Errors
    ///
    /// Any [`SpawnError`]; [`SpawnError::NotOwner`] in a child, whose copy of the scope nobody will end.
    pub fn spawn<F, T>(&'scope self, f: F) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + 'scope,
        T: Wire + 'scope,
    {
        Builder::new().spawn_scoped(self, f)
    }

    pub(super) fn adopt<T: Wire>(
        &'scope self,
        spawn: impl FnOnce() -> Result<JoinHandle<T>, SpawnError>,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError> {
        if generation::current() != self.generation {
            return Err(SpawnError::NotOwner);
        }
        let handle = spawn()?;
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        if children.len() == children.capacity() {
            // A scope that goes on for long would hold descriptors of all whom it has ever joined.
            children.retain(|child| !child.is_taken());
        }
        children.push(handle.share());
        Ok(ScopedJoinHandle { handle, scope: PhantomData })
    }

    /// Waits for every child, and collects the failures that nobody took.
    fn join_all(&self) -> Vec<JoinError> {
        if generation::current() != self.generation {
            // A child made by other means has come back through the scope: its parent's children are not its.
            return Vec::new();
        }
        let children = std::mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failures = Vec::new();
        for child in children {
            match child.wait_until(None) {
                Ok(Some(exit)) => failures.extend(child.untaken_failure(exit)),
                Ok(None) => {}
                Err(error) => failures.push(error),
            }
        }
        failures
    }
}

impl<T: Wire> ScopedJoinHandle<'_, T> {
    /// Waits for the child to end and returns its result.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join`].
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// The result, if the child has ended; None if it lives.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::try_join`].
    pub fn try_join(&mut self) -> Result<Option<T>, JoinError> {
        self.handle.try_join()
    }

    /// Waits for the result for at most `limit`; None if the child lives on.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join_timeout`].
    pub fn join_timeout(&mut self, limit: Duration) -> Result<Option<T>, JoinError> {
        self.handle.join_timeout(limit)
    }
}

impl<T> Deref for ScopedJoinHandle<'_, T> {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.handle
    }
}

impl<T> AsFd for ScopedJoinHandle<'_, T> {
    /// The pidfd: readable when the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
