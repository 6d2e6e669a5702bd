//! Why a child could not be made, and why it has no result.

use std::fmt;
use std::io;

use super::exit::{Exit, Ran};
use super::panic::Panic;
use crate::wire::{DecodeError, EncodeError};

/// Why a child was not made. No process is left, and nothing of the closure ran.
#[non_exhaustive]
pub enum SpawnError {
    /// This process has other threads. In a forked child they would be gone, and whatever they held locked
    /// would stay locked for ever.
    MultiThreaded {
        /// The names of the other threads.
        threads: Vec<String>,
    },
    /// Something would be shared with the child that can corrupt this process: what, and what to do.
    SharedMemory(String),
    /// A loan of shared memory is held by this process (a region is being filled in place, a lock is held):
    /// the child would hold it too.
    LoanHeld,
    /// The handle or scope belongs to another process, this one's parent: a fork copied it here.
    NotOwner,
    /// A setting of the [`Builder`](super::Builder) could not be applied.
    Setup {
        /// Which setting, with its value.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A limit was met: processes (RLIMIT_NPROC, a cgroup's `pids.max`), memory, or descriptors.
    Limit(io::Error),
    /// Another error of the operating system.
    Io(io::Error),
}

impl SpawnError {
    /// Sorts an error of the system into limits and others; `what` names the call.
    pub(super) fn from_os(what: &str, error: io::Error) -> SpawnError {
        let number = error.raw_os_error();
        let limit = matches!(number, Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC));
        let hint = match number {
            Some(libc::EAGAIN) => {
                "; no more processes are allowed (RLIMIT_NPROC, pids.max): end some, or raise the limit"
            }
            Some(libc::ENOMEM) => "; memory is short: free some, or keep large state in shared or DONTFORK memory",
            Some(libc::EMFILE) => "; this process has no descriptors left: close some, or raise RLIMIT_NOFILE",
            Some(libc::ENFILE) => "; the system has no descriptors left",
            _ => "",
        };
        let error = io::Error::new(error.kind(), Explained { what: format!("{what}: {error}{hint}"), source: error });
        if limit { SpawnError::Limit(error) } else { SpawnError::Io(error) }
    }
}

/// An OS error with its circumstances; the bare error is its source.
#[derive(Debug)]
struct Explained {
    what: String,
    source: io::Error,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Explained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl fmt::Debug for SpawnError {
    /// What Display says, since this is what `main` and `unwrap` print; the fields with `{:#?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        match self {
            SpawnError::MultiThreaded { threads } => f.debug_struct("MultiThreaded").field("threads", threads).finish(),
            SpawnError::SharedMemory(what) => f.debug_tuple("SharedMemory").field(what).finish(),
            SpawnError::LoanHeld => f.write_str("LoanHeld"),
            SpawnError::NotOwner => f.write_str("NotOwner"),
            SpawnError::Setup { what, source } => {
                f.debug_struct("Setup").field("what", what).field("source", source).finish()
            }
            SpawnError::Limit(error) => f.debug_tuple("Limit").field(error).finish(),
            SpawnError::Io(error) => f.debug_tuple("Io").field(error).finish(),
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::MultiThreaded { threads } => write!(
                f,
                "cannot fork: this process has {} other thread(s) ({}), which a child would lack while what they hold \
                 stays locked; fork before starting threads, or end them first (in a #[test] function the harness is \
                 the other thread: see \"Testing\" in the README)",
                threads.len(),
                threads.join(", "),
            ),
            SpawnError::SharedMemory(what) => write!(f, "cannot fork: {what}"),
            SpawnError::LoanHeld => f.write_str(
                "cannot fork: this process has shared memory on loan (`Frozen::build` is running, say), and the child would have \
                 it too; let that end first",
            ),
            SpawnError::NotOwner => {
                f.write_str("cannot spawn on a scope that belongs to the parent process; open a scope in this process")
            }
            SpawnError::Setup { what, source } => write!(f, "cannot set up the child: {what}: {source}"),
            SpawnError::Limit(error) | SpawnError::Io(error) => write!(f, "cannot make a child: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Display has told the error itself: the chain goes on below it.
            SpawnError::Setup { source, .. } => source.source(),
            SpawnError::Limit(error) | SpawnError::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> io::Error {
        match error {
            SpawnError::Limit(error) | SpawnError::Io(error) => error,
            SpawnError::Setup { ref source, .. } => io::Error::new(source.kind(), error),
            SpawnError::MultiThreaded { .. } | SpawnError::SharedMemory(_) => {
                io::Error::new(io::ErrorKind::Unsupported, error)
            }
            SpawnError::LoanHeld => io::Error::new(io::ErrorKind::ResourceBusy, error),
            SpawnError::NotOwner => io::Error::new(io::ErrorKind::InvalidInput, error),
        }
    }
}

/// Why there is no result.
#[non_exhaustive]
pub enum JoinError {
    /// The closure panicked. The panic came across as data.
    Panicked(Panic),
    /// The child ended without a result: killed, aborted, or by `process::exit`.
    Died(Exit),
    /// The child's deadline passed before it had a result.
    TimedOut(Exit),
    /// The closure returned a value that could not be encoded.
    Encode(EncodeError),
    /// The result arrived but is not the encoding of a value of this type.
    Decode(DecodeError),
    /// The result could not be stored by the child or fetched by the parent.
    Io(io::Error),
    /// The system refused to wait for the child. It may live; another try may succeed.
    Wait(io::Error),
    /// The handle belongs to another process: a fork copied it here. Only the parent joins its children.
    NotOwner,
    /// The result was already taken.
    AlreadyJoined,
    /// More than one child of a scope failed without being joined: each failure, in the order of their spawns.
    Several(Vec<JoinError>),
}

impl JoinError {
    /// Whether the closure ran. Tells if trying again could do something twice.
    ///
    /// For [`JoinError::Several`] it is the most that any of them ran. Where the question has no answer here
    /// ([`JoinError::NotOwner`], [`JoinError::AlreadyJoined`]) it is `Unknown`.
    pub fn ran(&self) -> Ran {
        match self {
            JoinError::Panicked(_) | JoinError::Encode(_) | JoinError::Decode(_) | JoinError::Io(_) => Ran::Yes,
            JoinError::Died(exit) | JoinError::TimedOut(exit) => exit.ran,
            JoinError::Wait(_) | JoinError::NotOwner | JoinError::AlreadyJoined => Ran::Unknown,
            JoinError::Several(all) => {
                let any = |ran| all.iter().any(|error| error.ran() == ran);
                if any(Ran::Yes) {
                    Ran::Yes
                } else if any(Ran::Unknown) {
                    Ran::Unknown
                } else {
                    Ran::No
                }
            }
        }
    }

    /// The death certificate, where the child ended without a result.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            JoinError::Died(exit) | JoinError::TimedOut(exit) => Some(exit),
            _ => None,
        }
    }
}

impl fmt::Debug for JoinError {
    /// What Display says, since this is what `main` and `unwrap` print; the fields with `{:#?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        match self {
            JoinError::Panicked(panic) => f.debug_tuple("Panicked").field(panic).finish(),
            JoinError::Died(exit) => f.debug_tuple("Died").field(exit).finish(),
            JoinError::TimedOut(exit) => f.debug_tuple("TimedOut").field(exit).finish(),
            JoinError::Encode(error) => f.debug_tuple("Encode").field(error).finish(),
            JoinError::Decode(error) => f.debug_tuple("Decode").field(error).finish(),
            JoinError::Io(error) => f.debug_tuple("Io").field(error).finish(),
            JoinError::Wait(error) => f.debug_tuple("Wait").field(error).finish(),
            JoinError::NotOwner => f.write_str("NotOwner"),
            JoinError::AlreadyJoined => f.write_str("AlreadyJoined"),
            JoinError::Several(all) => f.debug_tuple("Several").field(all).finish(),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => write!(f, "the child {panic}"),
            JoinError::Died(exit) => write!(f, "the child ended without a result: {exit}"),
            JoinError::TimedOut(exit) => write!(f, "{exit}"),
            JoinError::Encode(error) => write!(f, "the child's result: {error}"),
            JoinError::Decode(error) => write!(f, "the child's result: {error}"),
            JoinError::Io(error) => write!(f, "the child's result could not be brought over: {error}"),
            JoinError::Wait(error) => write!(f, "cannot wait for the child: {error}"),
            JoinError::NotOwner => f.write_str(
                "this handle was copied here by a fork: only the process that spawned the child can join it",
            ),
            JoinError::AlreadyJoined => f.write_str("the result of this child was already taken"),
            JoinError::Several(all) => {
                write!(f, "{} children failed", all.len())?;
                all.iter().enumerate().try_for_each(|(i, error)| write!(f, "; {}: {error}", i + 1))
            }
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Display has told the error itself: the chain goes on below it.
            JoinError::Encode(error) => error.source(),
            JoinError::Decode(error) => error.source(),
            JoinError::Io(error) | JoinError::Wait(error) => error.source(),
            _ => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        match error {
            JoinError::Io(error) | JoinError::Wait(error) => error,
            JoinError::TimedOut(_) => io::Error::new(io::ErrorKind::TimedOut, error),
            JoinError::Encode(_) | JoinError::Decode(_) => io::Error::new(io::ErrorKind::InvalidData, error),
            JoinError::NotOwner | JoinError::AlreadyJoined => io::Error::new(io::ErrorKind::InvalidInput, error),
            _ => io::Error::other(error),
        }
    }
}
