//! Processes: made by fork, ended with a result or a death certificate.
//!
//! | to | use |
//! |---|---|
//! | run a closure in a child and get its result | [`spawn`], [`JoinHandle::join`] |
//! | join all before a block ends | [`scope`] |
//! | name it, limit it, redirect its streams, set a deadline | [`Builder`] |
//! | learn how it ended | [`Child::wait`], [`Exit`], [`JoinError`] |
//! | stop it | [`Child::request_stop`] and [`stop`], [`Child::terminate`], [`Child::kill_tree`], [`Child::shutdown`] |
//! | save a consistent copy while going on | [`snapshot`] |
//! | hand a descriptor over in plain sight | [`spawn_with`] |
//! | do without the checks | [`spawn_unchecked`], [`raw::fork`] |

// | file | noun |
// |---|---|
// | `launch` | the parent's side of a spawn |
// | `inside` | the child's side |
// | `slot` | the words and bytes that both share |
// | `options` | settings, as the child applies them |
// | `child`, `handle` | a child and its result, as the parent sees them |
// | `exit`, `error`, `panic` | how it ended |
// | `tree`, `oom` | what `/proc` and the cgroup know |

mod builder;
mod child;
mod error;
mod exit;
pub(crate) mod hand_over;
mod handle;
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

/// Runs `f` in a child process and returns a handle for its result, as [`std::thread::spawn`] does for threads.
///
/// The child has a copy of everything: `f` may capture anything, of any type, neither `Send` nor `'static`. Only the
/// result crosses back, so only its type is bounded. What the child changes stays in the child, but for what both
/// share: memory of [`Shared`](crate::Shared) and its kin, files and their offsets, sockets.
///
/// # Captures
///
/// Both processes have a copy of what `f` captured by value, and both drop it: the parent at once, the child when
/// `f` ends. For memory that is right. What stands for something outside memory (a temporary directory, a buffered
/// writer, a connection to a database, a TLS session) is removed, flushed or closed twice: see [`Moved`](struct@Moved) and
/// [`Builder::keep_captures`], or let the closure borrow it instead.
///
/// # The child
///
/// It has one thread. It starts with caught signals reset, ignored ones still ignored, and none blocked. It dies with
/// its parent. Inherited epoll instances are replaced by empty ones. When `f` ends its result is committed, stdout is
/// flushed, and the process ends by `_exit`: no exit hooks run, threads that `f` started end with it, values that the
/// parent holds elsewhere are not dropped in it. Random number generators, caches of the process id and the like
/// are copied as they are: see [`after_fork_in_child`].
///
/// # Async runtimes
///
/// A spawn works from within a single-threaded runtime (tokio's `current_thread`), and the pidfd of the handle can be
/// awaited there (`AsyncFd`). In the child the runtime that it inherited is still the current one, so no other can be
/// started: keep async code out of it. Once a runtime has started a thread (tokio: `spawn_blocking`), spawns are refused.
///
/// # Errors in the closure
///
/// Results cross if their type is [`Wire`], which `io::Error` and `Box<dyn Error>` are, so `?` works in a closure that
/// returns `Result<T, Box<dyn std::error::Error>>`.
///
/// # Errors
///
/// Any [`SpawnError`]: other threads exist; memory that this library did not map, or an io_uring, would be shared; a
/// loan is held; a limit was met. Then no process is left. The closure is dropped; [`Builder::try_spawn`] gives it back.
///
/// # Panics
///
/// If the drop of a capture in the parent panics. The child runs all the same.
///
/// # When a process dies
///
/// However the child ends, [`JoinHandle::join`] returns at once and says how. When the parent dies, the child is
/// killed by the kernel.
///
/// See fork(2), and `docs/safety.md` for what no check can see.
///
/// # Examples
///
/// ```
/// let names = vec!["a", "bc"];
/// let child = tine::spawn(|| names.iter().map(|n| n.len() as u64).sum::<u64>())?;
/// assert_eq!(child.join()?, 3);
///
/// let child = tine::spawn(|| -> u64 { panic!("out of luck") })?;
/// let Err(tine::process::JoinError::Panicked(panic)) = child.join() else { unreachable!() };
/// assert_eq!(panic.message, "out of luck");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "fork")]
pub fn spawn<F, T>(f: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T,
    T: Wire,
{
    Builder::new().spawn(f)
}

/// As [`spawn`], with what is handed to the child said in the type: whoever reads the call sees what changes hands.
///
/// # Errors
///
/// Any [`SpawnError`].
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
///
/// let (mut reader, writer) = tine::pipe::pipe()?;
/// let child = tine::process::spawn_with(writer, |mut writer| writer.write_all(b"from the child").is_ok())?;
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?; // ends, because the parent's copy of the writing end went to the child
/// assert_eq!((text.as_str(), child.join()?), ("from the child", true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
/// In a child of a program with threads, a panic brings its message but not its place, and what is buffered for
/// stdout when the closure ends is lost: both would need locks that another thread may have held.
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
