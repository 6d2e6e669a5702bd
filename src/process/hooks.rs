//! What libraries do in each new child.

use std::sync::{Mutex, PoisonError};

static HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has `f` called in every child that this library forks from now on, before the closure, in the order of
/// registration. For libraries whose state must not be the same in two processes: random number generators
/// reseed, connections are marked as not theirs, caches of the process id are cleared.
///
/// The hooks are copied with everything else, so children of children run them too. A panic in a hook counts
/// as a panic of the closure. Forks that others make run no hooks.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// static SEED: AtomicU64 = AtomicU64::new(1);
///
/// tine::process::after_fork_in_child(|| SEED.store(u64::from(std::process::id()), Ordering::Relaxed));
/// ```
#[doc(alias = "pthread_atfork")]
pub fn after_fork_in_child(f: fn()) {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner).push(f);
}

/// In the child: runs them. The list is copied out, so that a hook may register another.
pub(super) fn run() {
    let hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for hook in hooks {
        hook();
    }
}

/// Keeps other threads out of the list across a fork, so that the child finds it unlocked.
pub(super) fn hold() -> impl Sized {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}
