//! Any error of this library, for `?` in programs that use several parts of it.

use std::fmt;
use std::io;

use crate::memory::{FreezeError, FreezeReason, HiddenError, ListError, MemfdError, OutOfRange, SegmentError};
use crate::pipe::{AdoptError, RecvFdsError, RecvFrameError, SendFdsError, SendFrameError};
use crate::process::{JoinError, SpawnError};
use crate::sync::BarrierError;
use crate::sync::LockFailure;
use crate::sync::OnceError;
use crate::sync::SemaphoreError;
use crate::wire::{DecodeError, EncodeError};

/// Any error of this library. Each operation has an error of its own, which says exactly what can happen; all
/// of them turn into this one by `?`, and this one into an [`io::Error`].
///
/// # Examples
///
/// ```
/// fn sum() -> Result<u64, tine::Error> {
///     let left = tine::spawn(|| (1..=50_u64).sum::<u64>())?;
///     let right = tine::spawn(|| (51..=100_u64).sum::<u64>())?;
///     Ok(left.join()? + right.join()?)
/// }
/// ```
#[non_exhaustive]
pub enum Error {
    /// A child could not be made.
    Spawn(SpawnError),
    /// A child has no result.
    Join(JoinError),
    /// A value could not be encoded.
    Encode(EncodeError),
    /// Bytes were not the encoding of a value.
    Decode(DecodeError),
    /// A message could not be sent into a pipe.
    SendFrame(SendFrameError),
    /// A message could not be received from a pipe.
    RecvFrame(RecvFrameError),
    /// Descriptors could not be sent over a socket.
    SendFds(SendFdsError),
    /// Descriptors could not be received from a socket.
    RecvFds(RecvFdsError),
    /// A memory file was refused.
    Memfd(MemfdError),
    /// Named shared memory was refused, or not to be had.
    Segment(SegmentError),
    /// Memory is no list of Python's, or an item of one could not be read.
    List(ListError),
    /// A shared slice was not frozen. (The slice itself is with [`FreezeError`], and was dropped with it.)
    Freeze(FreezeReason),
    /// A descriptor is of the wrong kind.
    Adopt(AdoptError),
    /// Hidden memory was used in a process that does not have it.
    Hidden(HiddenError),
    /// A range reaches beyond a region.
    OutOfRange(OutOfRange),
    /// A lock was not taken.
    Lock(LockFailure),
    /// There was no permit of a semaphore.
    Semaphore(SemaphoreError),
    /// A barrier was not passed.
    Barrier(BarrierError),
    /// What is done once was not done.
    Once(OnceError),
    /// The operating system refused something.
    Io(io::Error),
}

macro_rules! sources {
    ($($variant:ident($error:ty)),* $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::$variant(error)
            }
        })*

        impl fmt::Display for Error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Error::$variant(error) => error.fmt(f),)*
                }
            }
        }

        impl fmt::Debug for Error {
            /// What Display says, since this is what `main` and `unwrap` print; the fields with `{:#?}`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Error::$variant(error) if f.alternate() => f.debug_tuple(stringify!($variant)).field(error).finish(),)*
                    _ => fmt::Display::fmt(self, f),
                }
            }
        }

        impl std::error::Error for Error {
            /// The error of the operation speaks for itself in Display, so the chain goes on below it.
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $(Error::$variant(error) => error.source(),)*
                }
            }
        }

        impl From<Error> for io::Error {
            fn from(error: Error) -> io::Error {
                match error {
                    $(Error::$variant(error) => error.into(),)*
                }
            }
        }
    };
}

sources! {
    Spawn(SpawnError),
    Join(JoinError),
    Encode(EncodeError),
    Decode(DecodeError),
    SendFrame(SendFrameError),
    RecvFrame(RecvFrameError),
    SendFds(SendFdsError),
    RecvFds(RecvFdsError),
    Memfd(MemfdError),
    Segment(SegmentError),
    List(ListError),
    Freeze(FreezeReason),
    Adopt(AdoptError),
    Hidden(HiddenError),
    OutOfRange(OutOfRange),
    Lock(LockFailure),
    Semaphore(SemaphoreError),
    Barrier(BarrierError),
    Once(OnceError),
    Io(io::Error),
}

impl<T> From<FreezeError<T>> for Error {
    fn from(error: FreezeError<T>) -> Error {
        Error::Freeze(error.into_reason())
    }
}

static_assertions::assert_impl_all!(Error: Send, Sync, std::error::Error);
