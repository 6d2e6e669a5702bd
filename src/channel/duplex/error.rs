//! Why a value was not sent, or none received, by a [`Duplex`](super::Duplex).

use std::error::Error;
use std::fmt;
use std::io;

use super::frame::Fault;
use crate::channel::error::{CORRUPT, NOT_OWNER};
use crate::channel::{PeerDeath, RecvError, SendError};
use crate::wire::{DecodeError, EncodeError};

/// A value was not sent by a [`Duplex`](super::Duplex). It comes back: [`into_inner`](DuplexSendError::into_inner).
#[non_exhaustive]
pub enum DuplexSendError<T> {
    /// There is no room now. Only of `try_send`.
    Full(T),
    /// There was no room until the time was over. Only of `send_timeout`.
    Timeout(T),
    /// The value cannot be handed over. The channel is as it was.
    Encode(T, EncodeError),
    /// The message is larger than this end allows. The channel is as it was.
    TooLarge {
        /// The value.
        value: T,
        /// How many bytes it takes.
        bytes: u64,
        /// How many descriptors it has.
        descriptors: usize,
    },
    /// The other end was dropped.
    Disconnected(T),
    /// The process that had the other end was killed, or ended without dropping it.
    PeerDied(T, PeerDeath),
    /// This end belongs to another process.
    NotOwner(T),
    /// The other side has sent what no channel sends.
    Corrupt(T),
    /// The system refused. `ETOOMANYREFS` says that more descriptors are under way than this user may have open. The
    /// channel is as it was.
    Io(T, io::Error),
}

/// No value was received by a [`Duplex`](super::Duplex).
#[derive(Debug)]
#[non_exhaustive]
pub enum DuplexRecvError {
    /// Nothing is there now. Only of `try_recv`.
    Empty,
    /// Nothing came until the time was over; what came of a large message is kept. Only of `recv_timeout`.
    Timeout,
    /// A message came whole, but is not the value that it should be. Its descriptors were closed. The next call goes on
    /// behind it.
    Decode(DecodeError),
    /// A message over this end's limits was skipped. The next call goes on behind it.
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many descriptors it has.
        descriptors: usize,
    },
    /// Some of a message's descriptors could not be opened here, since this process has too many open. It was dropped,
    /// and those that could are closed. The next call goes on behind it.
    Lost {
        /// How many came with one packet of it.
        sent: usize,
        /// How many of those could be opened.
        arrived: usize,
    },
    /// All that was sent is received, and the other end was dropped.
    Disconnected,
    /// All that was sent is received, and the process that had the other end was killed, or ended without dropping it. What
    /// it had begun to send is dropped. Told once; then `Disconnected`.
    PeerDied(PeerDeath),
    /// This end belongs to another process.
    NotOwner,
    /// The other side has sent what no channel sends. Every later call says the same.
    Corrupt,
    /// The system refused.
    Io(io::Error),
}

impl<T> DuplexSendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.take_apart().0
    }

    /// The value, and the same error without it.
    fn take_apart(self) -> (T, DuplexSendError<()>) {
        use DuplexSendError::*;
        match self {
            Full(value) => (value, Full(())),
            Timeout(value) => (value, Timeout(())),
            Encode(value, error) => (value, Encode((), error)),
            TooLarge { value, bytes, descriptors } => (value, TooLarge { value: (), bytes, descriptors }),
            Disconnected(value) => (value, Disconnected(())),
            PeerDied(value, death) => (value, PeerDied((), death)),
            NotOwner(value) => (value, NotOwner(())),
            Corrupt(value) => (value, Corrupt(())),
            Io(value, error) => (value, Io((), error)),
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            DuplexSendError::Full(_) => io::ErrorKind::WouldBlock,
            DuplexSendError::Timeout(_) => io::ErrorKind::TimedOut,
            DuplexSendError::Disconnected(_) | DuplexSendError::PeerDied(..) => io::ErrorKind::BrokenPipe,
            DuplexSendError::Corrupt(_) => io::ErrorKind::InvalidData,
            DuplexSendError::Encode(..) | DuplexSendError::TooLarge { .. } | DuplexSendError::NotOwner(_) => {
                io::ErrorKind::InvalidInput
            }
            DuplexSendError::Io(_, error) => error.kind(),
        }
    }

    fn write_fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DuplexSendError::Full(_) => f.write_str("Full(..)"),
            DuplexSendError::Timeout(_) => f.write_str("Timeout(..)"),
            DuplexSendError::Encode(_, error) => write!(f, "Encode(.., {error:?})"),
            DuplexSendError::TooLarge { bytes, descriptors, .. } => {
                write!(f, "TooLarge {{ bytes: {bytes}, descriptors: {descriptors}, .. }}")
            }
            DuplexSendError::Disconnected(_) => f.write_str("Disconnected(..)"),
            DuplexSendError::PeerDied(_, death) => write!(f, "PeerDied(.., {death:?})"),
            DuplexSendError::NotOwner(_) => f.write_str("NotOwner(..)"),
            DuplexSendError::Corrupt(_) => f.write_str("Corrupt(..)"),
            DuplexSendError::Io(_, error) => write!(f, "Io(.., {error:?})"),
        }
    }
}

impl DuplexRecvError {
    /// Whether later calls can only say the same: an iterator ends after this.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            DuplexRecvError::Disconnected
                | DuplexRecvError::PeerDied(_)
                | DuplexRecvError::NotOwner
                | DuplexRecvError::Corrupt
                | DuplexRecvError::Io(_)
        )
    }
}

/// Without the value, which may be anything.
impl<T> fmt::Debug for DuplexSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_fields(f)
    }
}

impl<T> fmt::Display for DuplexSendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DuplexSendError::Full(_) => {
                f.write_str("the channel is full; wait with `send`, or receive something first")
            }
            DuplexSendError::Timeout(_) => f.write_str("the channel stayed full until the time was over"),
            DuplexSendError::Encode(_, error) => write!(f, "the value was not sent: {error}"),
            DuplexSendError::TooLarge { bytes, descriptors, .. } => write!(
                f,
                "a message of {bytes} bytes and {descriptors} descriptors was not sent, the limit is lower; raise \
                 max_message or max_descriptors at both ends, or send less at once"
            ),
            DuplexSendError::Disconnected(_) => SendError::Disconnected(()).fmt(f),
            DuplexSendError::PeerDied(_, death) => death.fmt(f),
            DuplexSendError::NotOwner(_) => f.write_str(NOT_OWNER),
            DuplexSendError::Corrupt(_) => f.write_str(CORRUPT),
            DuplexSendError::Io(_, error) => write!(f, "sending failed: {error}"),
        }
    }
}

impl<T> Error for DuplexSendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DuplexSendError::Encode(_, error) => Some(error),
            DuplexSendError::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for DuplexRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DuplexRecvError::Empty => f.write_str("the channel is empty; wait with `recv`"),
            DuplexRecvError::Timeout => f.write_str("no message came until the time was over"),
            DuplexRecvError::Decode(ref error) => {
                write!(f, "a message came that is not of the expected type: {error}")
            }
            DuplexRecvError::TooLarge { bytes, descriptors } => Fault::TooLarge { bytes, descriptors }.fmt(f),
            DuplexRecvError::Lost { sent, arrived } => Fault::Lost { sent, arrived }.fmt(f),
            DuplexRecvError::Disconnected => RecvError::Disconnected.fmt(f),
            DuplexRecvError::PeerDied(ref death) => death.fmt(f),
            DuplexRecvError::NotOwner => f.write_str(NOT_OWNER),
            DuplexRecvError::Corrupt => f.write_str(CORRUPT),
            DuplexRecvError::Io(ref error) => write!(f, "receiving failed: {error}"),
        }
    }
}

impl Error for DuplexRecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DuplexRecvError::Decode(error) => Some(error),
            DuplexRecvError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Fault> for DuplexRecvError {
    fn from(fault: Fault) -> DuplexRecvError {
        match fault {
            Fault::TooLarge { bytes, descriptors } => DuplexRecvError::TooLarge { bytes, descriptors },
            Fault::Lost { sent, arrived } => DuplexRecvError::Lost { sent, arrived },
            Fault::NoMemory { .. } => DuplexRecvError::Io(io::Error::new(io::ErrorKind::OutOfMemory, fault)),
            Fault::Corrupt(_) => DuplexRecvError::Corrupt,
        }
    }
}

/// The value is dropped.
impl<T> From<DuplexSendError<T>> for io::Error {
    fn from(error: DuplexSendError<T>) -> io::Error {
        let kind = error.kind();
        match error.take_apart().1 {
            DuplexSendError::Io((), error) => error,
            error => io::Error::new(kind, error),
        }
    }
}

impl From<DuplexRecvError> for io::Error {
    fn from(error: DuplexRecvError) -> io::Error {
        let kind = match error {
            DuplexRecvError::Io(error) => return error,
            DuplexRecvError::Empty => io::ErrorKind::WouldBlock,
            DuplexRecvError::Timeout => io::ErrorKind::TimedOut,
            DuplexRecvError::Disconnected | DuplexRecvError::PeerDied(_) => io::ErrorKind::UnexpectedEof,
            DuplexRecvError::NotOwner => io::ErrorKind::InvalidInput,
            DuplexRecvError::Decode(_)
            | DuplexRecvError::TooLarge { .. }
            | DuplexRecvError::Lost { .. }
            | DuplexRecvError::Corrupt => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// The value is dropped.
impl<T> From<DuplexSendError<T>> for crate::Error {
    fn from(error: DuplexSendError<T>) -> crate::Error {
        crate::Error::Io(error.into())
    }
}

impl From<DuplexRecvError> for crate::Error {
    fn from(error: DuplexRecvError) -> crate::Error {
        crate::Error::Io(error.into())
    }
}
