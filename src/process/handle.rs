//! The result of a child, to be waited for.

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::child::{Child, is_not_owner};
use super::error::JoinError;
use super::exit::{Cause, Exit};
use super::panic::Panic;
use super::slot::{Place, state};
use super::stdio::read_at;
use crate::sys::clock::deadline_in;
use crate::wire::{DecodeError, EncodeError, Wire, from_bytes};

/// A child process that will have a result of type `T`, as [`std::thread::JoinHandle`] is for threads.
///
/// It dereferences to its [`Child`], for signals, waiting without the result, and the pidfd.
///
/// A child ends when its closure has, and its stdout was flushed: a thread of it that holds stdout locked for ever
/// keeps it from ending.
///
/// # Dropping
///
/// Dropping a handle kills nothing and waits for nothing: the child goes on, and is reaped by a later spawn or
/// drop, so that no zombies pile up. Its result is lost; say [`JoinHandle::detach`] if that is meant.
///
/// # When a process dies
///
/// The child's death at any moment is an ordinary answer of [`JoinHandle::join`]; a result that was committed
/// before it stays a result. The parent's death ends the child (see
/// [`Builder::die_with_parent`](super::Builder::die_with_parent)).
#[must_use = "a child whose handle is dropped goes on, and its result is lost: join it, or say detach"]
pub struct JoinHandle<T> {
    shared: Arc<Joinable>,
    /// The captures that the parent keeps until the child has ended.
    /// In a Mutex only to be Sync: it is never locked, since it is never looked at.
    kept: Mutex<Option<Box<dyn Any + Send>>>,
    result: PhantomData<fn() -> T>,
}

/// A child, and whether its outcome was taken.
#[derive(Debug)]
pub(super) struct Joinable {
    pub(super) child: Child,
    taken: AtomicBool,
}

/// What a child has committed, or that it has not.
enum Outcome {
    Result(Vec<u8>),
    Failed(JoinError),
}

static_assertions::assert_impl_all!(JoinHandle<std::rc::Rc<()>>: Send, Sync);

impl<T: Wire> JoinHandle<T> {
    pub(super) fn new(child: Child, result: PhantomData<fn() -> T>) -> JoinHandle<T> {
        JoinHandle {
            shared: Arc::new(Joinable { child, taken: AtomicBool::new(false) }),
            kept: Mutex::new(None),
            result,
        }
    }

    pub(super) fn keep(mut self, captures: Box<dyn Any + Send>) -> JoinHandle<T> {
        self.kept = Mutex::new(Some(captures));
        self
    }

    /// For a scope, which joins what nobody else did.
    pub(super) fn share(&self) -> Arc<Joinable> {
        Arc::clone(&self.shared)
    }

    /// Waits for the child to end and returns its result.
    ///
    /// # Errors
    ///
    /// Any [`JoinError`]; its [`ran`](JoinError::ran) tells whether the closure ran. A result that was committed
    /// is returned even if the child was killed right after.
    pub fn join(mut self) -> Result<T, JoinError> {
        Ok(self.join_until(None)?.expect("a join without a deadline ends only with an answer"))
    }

    /// The result, if the child has ended; None if it lives.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::join`], and [`JoinError::AlreadyJoined`] if an earlier call returned the outcome.
    pub fn try_join(&mut self) -> Result<Option<T>, JoinError> {
        self.join_until(Some(Instant::now()))
    }

    /// Waits for the result for at most `limit`; None if the child lives on. It returns in time even if
    /// grandchildren hold everything open that the child had.
    ///
    /// # Errors
    ///
    /// As for [`JoinHandle::try_join`].
    pub fn join_timeout(&mut self, limit: Duration) -> Result<Option<T>, JoinError> {
        self.join_until(deadline_in(limit))
    }

    fn join_until(&mut self, deadline: Option<Instant>) -> Result<Option<T>, JoinError> {
        let Some(exit) = self.shared.wait_until(deadline)? else { return Ok(None) };
        // What the child's closure held is dropped here only now, when the child has no more use for it.
        self.kept = Mutex::new(None);
        match self.shared.take(exit)? {
            Outcome::Failed(error) => Err(error),
            Outcome::Result(bytes) => from_bytes(&bytes).map(Some).map_err(JoinError::Decode),
        }
    }

    /// Lets go of the child: it goes on, its result is dropped when it has one, and it is reaped without a
    /// further word. It still ends with this process, unless it was built with
    /// [`die_with_parent(false)`](super::Builder::die_with_parent).
    pub fn detach(self) {}
}

impl Joinable {
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> Result<Option<Exit>, JoinError> {
        self.child.wait_until(deadline).map_err(|error| match is_not_owner(&error) {
            true => JoinError::NotOwner,
            false => JoinError::Wait(error),
        })
    }

    /// Whether somebody has got the outcome.
    pub(super) fn is_taken(&self) -> bool {
        // Relaxed: who took it has the answer; nothing is read on the strength of this.
        self.taken.load(Ordering::Relaxed)
    }

    /// The failure of a child that has ended and whose outcome nobody took; None if it succeeded.
    pub(super) fn untaken_failure(&self, exit: Exit) -> Option<JoinError> {
        match self.take(exit) {
            Ok(Outcome::Failed(error)) => Some(error),
            Ok(Outcome::Result(_)) | Err(_) => None,
        }
    }

    fn take(&self, exit: Exit) -> Result<Outcome, JoinError> {
        // Relaxed: one of several callers gets the outcome; nothing is published by it.
        if self.taken.swap(true, Ordering::Relaxed) {
            return Err(JoinError::AlreadyJoined);
        }
        let state = self.child.slot.state();
        if matches!(state, state::BORN | state::ENTERED) {
            return Ok(Outcome::Failed(match exit.cause {
                Cause::TimedOut => JoinError::TimedOut(exit),
                _ => JoinError::Died(exit),
            }));
        }
        let bytes = self.bytes().map_err(JoinError::Io)?;
        Ok(match state {
            state::RESULT => Outcome::Result(bytes),
            state::PANICKED => Outcome::Failed(match from_bytes::<Panic>(&bytes) {
                Ok(panic) => JoinError::Panicked(panic),
                Err(error) => JoinError::Decode(error),
            }),
            state::UNENCODABLE => Outcome::Failed(match from_bytes::<EncodeError>(&bytes) {
                Ok(why) => JoinError::Encode(why),
                Err(error) => JoinError::Decode(error),
            }),
            state::UNSTORED => {
                let number = bytes.first_chunk().map_or(libc::EIO, |b| i32::from_ne_bytes(*b));
                Outcome::Failed(JoinError::Io(io::Error::from_raw_os_error(number)))
            }
            _ => Outcome::Failed(JoinError::Decode(DecodeError::new("the child's state word holds no state"))),
        })
    }

    /// The bytes that the child committed.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let length = match self.child.slot.place() {
            Place::Body(length) => return Ok(self.child.slot.copy_body(length)),
            Place::File(length) => length,
        };
        let Some(file) = &self.child.file else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the child names a result file that it was not given",
            ));
        };
        // The length is the child's word; the file's size is the kernel's.
        let size = rustix::fs::fstat(file)?.st_size as u64;
        if length > size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the child's result file is shorter than it says",
            ));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.resize(length as usize, 0);
        let read = read_at(file.as_fd(), &mut bytes, 0)?;
        // Siblings that were forked meanwhile may hold the file; its memory is not theirs to keep.
        let _ = rustix::fs::ftruncate(file, 0);
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.shared.child
    }
}

impl<T> AsFd for JoinHandle<T> {
    /// The pidfd: readable when the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.child.as_fd()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("pid", &self.id()).finish_non_exhaustive()
    }
}
