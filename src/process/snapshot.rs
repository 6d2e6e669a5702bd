//! A frozen copy of everything, while the parent goes on.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::child::Child;
use super::error::{JoinError, SpawnError};
use super::handle::JoinHandle;
use crate::memory;
use crate::wire::Wire;

/// A child that works on the memory as it was at one moment. See [`snapshot`].
#[must_use = "a snapshot whose handle is dropped goes on, and its result is lost: join it"]
pub struct Snapshot<T> {
    handle: JoinHandle<T>,
    /// What was seen last; kept for when the child has ended and `/proc` has forgotten it.
    copied: AtomicU64,
}

/// Runs `f` on a frozen copy of this process's memory, while this process goes on and changes it.
///
/// It is [`spawn`](super::spawn) under the name of what it is used for: saving or examining a consistent state
/// without stopping. The copy costs only page tables at first ([`memory::fork_cost`] estimates it); each page
/// that this process then writes is copied by the kernel, once. [`Snapshot::copied_bytes`] tells how much that
/// has come to: at worst the memory in use doubles. State in `Shared` memory is not frozen.
///
/// # Errors
///
/// As for [`spawn`](super::spawn).
///
/// # When a process dies
///
/// A snapshot that dies is an error of [`Snapshot::join`]; a snapshot dies with its parent. A half-written
/// file is the closure's business: write beside and rename.
///
/// # Examples
///
/// ```
/// let mut map = std::collections::HashMap::from([("visits", 1_u64)]);
/// let saved = tine::memory::snapshot(|| {
///     std::fs::write("/tmp/map.new", format!("{map:?}"))?;
///     std::fs::rename("/tmp/map.new", "/tmp/map")
/// })?;
/// *map.get_mut("visits").unwrap() += 1; // not in the file
/// println!("{} bytes were copied so far", saved.copied_bytes()?);
/// saved.join()??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn snapshot<F, T>(f: F) -> Result<Snapshot<T>, SpawnError>
where
    F: FnOnce() -> T,
    T: Wire,
{
    Ok(Snapshot { handle: super::spawn(f)?, copied: AtomicU64::new(0) })
}

impl<T> Snapshot<T> {
    /// How many bytes of memory exist twice by now because parent or child wrote to them: whole pages. What the
    /// child allocated for itself is among them. When the child has ended: what the last call before saw.
    ///
    /// It is read from `/proc/PID/smaps_rollup`, which walks all pages of the child: some milliseconds for
    /// each GiB.
    ///
    /// # Errors
    ///
    /// Where `/proc` is not mounted or not readable.
    pub fn copied_bytes(&self) -> io::Result<u64> {
        if !self.handle.is_finished() {
            match memory::private_dirty(Some(self.handle.pid)) {
                // Pages of a child that is ending are no longer counted: the number only grows.
                Ok(bytes) => {
                    // Relaxed: a number that orders nothing.
                    self.copied.fetch_max(bytes, Ordering::Relaxed);
                }
                Err(_) if self.handle.is_finished() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.copied.load(Ordering::Relaxed))
    }
}

impl<T: Wire> Snapshot<T> {
    /// Waits for the child to end and returns its result.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join`].
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// The result, if the child has ended; None if it is still at work.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::try_join`].
    pub fn try_join(&mut self) -> Result<Option<T>, JoinError> {
        self.handle.try_join()
    }

    /// Waits for the result for at most `limit`; None if the child is still at work.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join_timeout`].
    pub fn join_timeout(&mut self, limit: Duration) -> Result<Option<T>, JoinError> {
        self.handle.join_timeout(limit)
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.handle
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("pid", &self.id()).finish_non_exhaustive()
    }
}
