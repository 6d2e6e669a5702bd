//! Bytes and descriptors together, over a pair of Unix sockets.
//!
//! # Why SOCK_SEQPACKET
//!
//! On a stream socket descriptors stick to a byte, reads merge across what was sent without descriptors and stop
//! where some are, and a sender that is killed leaves half a message. On `SOCK_SEQPACKET` one send is one receive, with
//! exactly its descriptors, or nothing; several senders do not mix; and, unlike with datagrams, the end is seen.
//! The price is a limit on the length of a message, which a stream would not have: large data goes through a pipe,
//! or as one descriptor of shared memory.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::descriptor::{self, AdoptError, Wanted, is_a_descriptor};
use super::packet;
use crate::sys::clock;

/// `socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)`: two connected sockets, each for both directions.
///
/// As with a pipe, a fork copies both ends, and each process drops the one it does not use.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` when this process or the system is out of descriptors. Nothing is leaked.
///
/// # References
///
/// [socketpair(2)](https://man7.org/linux/man-pages/man2/socketpair.2.html),
/// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)
#[doc(alias = "socketpair")]
pub fn socket_pair() -> io::Result<(Socket, Socket)> {
    let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Socket { fd: a }, Socket { fd: b }))
}

/// One end of a socket pair, for messages of bytes and descriptors.
///
/// A received descriptor is a new number for the *same* open file: offset, flags and locks are shared, as after a
/// fork. It is closed by an exec. A message that is still under way when its receiver dies is dropped by the kernel, which
/// closes its descriptors.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::fd::AsFd;
/// use tine::pipe::{Reader, pipe, socket_pair};
///
/// let (here, there) = socket_pair()?;
/// let (reader, mut writer) = pipe()?;
/// here.send(b"read this", &[reader.as_fd()])?;
///
/// let (bytes, [fd]) = there.recv_exactly::<1>()?;
/// assert_eq!(bytes, b"read this");
/// writer.write_all(b"!")?;
/// let mut byte = [0];
/// Reader::adopt(fd)?.read_exact(&mut byte)?;
/// assert_eq!(byte, *b"!");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

/// What one [`Socket::send`] sent.
///
/// ```
/// let (here, there) = tine::pipe::socket_pair()?;
/// here.send(b"no descriptors", &[])?;
/// let message = there.recv()?;
/// assert_eq!(message.bytes, b"no descriptors");
/// assert!(message.exactly::<1>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The descriptors, in the order in which they were given.
    pub descriptors: Vec<OwnedFd>,
}

/// A message could not be sent; nothing of it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendFdsError {
    /// More descriptors than one message can carry.
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// More bytes than one message can carry.
    TooLarge {
        /// How many were given.
        len: usize,
    },
    /// The other side has not taken enough of what was sent before.
    TimedOut,
    /// Every copy of the other end is closed.
    Closed,
    /// The system refused. `ETOOMANYREFS` says that more descriptors are under way than this user may have open.
    Io(io::Error),
}

/// No message was received, or not the right one.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvFdsError {
    /// The end: every copy of the other end is closed, and everything sent was received.
    Closed,
    /// Nothing came in time.
    TimedOut,
    /// Some of the descriptors could not be opened here: mostly because this process has too many open (raise
    /// RLIMIT_NOFILE, or close some). Those that could were closed again; the message is consumed.
    Lost {
        /// Its bytes, which did arrive.
        bytes: Vec<u8>,
        /// How many descriptors were sent with it.
        sent: usize,
        /// How many of them arrived.
        arrived: usize,
    },
    /// Another number of descriptors was sent than expected. All were closed; the message is consumed.
    WrongCount {
        /// Its bytes.
        bytes: Vec<u8>,
        /// How many descriptors were expected.
        expected: usize,
        /// How many were sent.
        sent: usize,
    },
    /// What came was not sent by a [`Socket`]. Its descriptors were closed; it is consumed.
    Corrupt,
    /// The system refused.
    Io(io::Error),
}

impl Socket {
    /// The most bytes in one message: 64 KiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The most descriptors in one message: 253, a limit of the kernel (`SCM_MAX_FD`).
    #[doc(alias = "SCM_MAX_FD")]
    pub const MAX_DESCRIPTORS: usize = 253;

    /// Takes over a descriptor after a look at it: a Unix socket of type `SOCK_SEQPACKET`.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which says what the descriptor is and gives it back.
    pub fn adopt(fd: impl Into<OwnedFd>) -> Result<Socket, AdoptError> {
        descriptor::adopt(fd.into(), Wanted::Socket).map(|fd| Socket { fd })
    }

    /// Sends `bytes` and copies of `descriptors` as one message; sleeps while the other side has no room.
    ///
    /// The descriptors stay open here as well, and may be closed as soon as this returns.
    ///
    /// # Errors
    ///
    /// [`SendFdsError`], but for `TimedOut`. No SIGPIPE.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), SendFdsError> {
        self.send_until(bytes, descriptors, None)
    }

    /// Sends as [`send`](Socket::send) does, but for no longer than `timeout`. Zero means: only if there is room now.
    ///
    /// # Errors
    ///
    /// [`SendFdsError`].
    pub fn send_timeout(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        timeout: Duration,
    ) -> Result<(), SendFdsError> {
        self.send_until(bytes, descriptors, clock::deadline_in(timeout))
    }

    /// Receives one message, with as many descriptors as it has; sleeps until one comes.
    ///
    /// # Errors
    ///
    /// [`RecvFdsError`], but for `TimedOut` and `WrongCount`.
    pub fn recv(&self) -> Result<Message, RecvFdsError> {
        self.recv_until(None)
    }

    /// Receives as [`recv`](Socket::recv) does, but for no longer than `timeout`. Zero means: only what is there.
    ///
    /// # Errors
    ///
    /// [`RecvFdsError`], but for `WrongCount`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvFdsError> {
        self.recv_until(clock::deadline_in(timeout))
    }

    /// Receives a message that must have `N` descriptors.
    ///
    /// # Errors
    ///
    /// [`RecvFdsError`], but for `TimedOut`.
    pub fn recv_exactly<const N: usize>(&self) -> Result<(Vec<u8>, [OwnedFd; N]), RecvFdsError> {
        self.recv()?.exactly()
    }

    /// A second handle to this end, in this process.
    ///
    /// # Errors
    ///
    /// `EMFILE` when this process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket { fd: self.fd.try_clone()? })
    }

    fn send_until(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<(), SendFdsError> {
        if descriptors.len() > Socket::MAX_DESCRIPTORS {
            return Err(SendFdsError::TooMany { count: descriptors.len() });
        }
        if bytes.len() > Socket::MAX_BYTES {
            return Err(SendFdsError::TooLarge { len: bytes.len() });
        }
        packet::send(self.as_fd(), [bytes, &[]], descriptors, deadline)
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Message, RecvFdsError> {
        let mut buffer = vec![0; packet::ROOM];
        let (len, descriptors) = packet::recv(self.as_fd(), &mut buffer, deadline)?;
        buffer.truncate(packet::HEAD + len);
        buffer.drain(..packet::HEAD);
        Ok(Message { bytes: buffer, descriptors })
    }
}

impl Message {
    /// The bytes and `N` descriptors.
    ///
    /// # Errors
    ///
    /// [`RecvFdsError::WrongCount`] where there are more or fewer; they are closed.
    pub fn exactly<const N: usize>(self) -> Result<(Vec<u8>, [OwnedFd; N]), RecvFdsError> {
        let Message { bytes, descriptors } = self;
        match descriptors.try_into() {
            Ok(descriptors) => Ok((bytes, descriptors)),
            Err(others) => Err(RecvFdsError::WrongCount { bytes, expected: N, sent: others.len() }),
        }
    }
}

is_a_descriptor!(Socket);

impl fmt::Display for SendFdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendFdsError::TooMany { count } => {
                let max = Socket::MAX_DESCRIPTORS;
                write!(f, "{count} descriptors were given, one message carries {max}; send several messages")
            }
            SendFdsError::TooLarge { len } => {
                let max = Socket::MAX_BYTES;
                write!(f, "{len} bytes do not fit one message of {max}; send the descriptor of a pipe or of memory")
            }
            SendFdsError::TimedOut => f.write_str("the other side took nothing in time, and nothing was sent"),
            SendFdsError::Closed => f.write_str("every copy of the other end of the socket is closed"),
            SendFdsError::Io(error) => write!(f, "sending on the socket failed: {error}"),
        }
    }
}

impl fmt::Display for RecvFdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvFdsError::Closed => f.write_str("every copy of the other end is closed, and everything was received"),
            RecvFdsError::TimedOut => f.write_str("no message came in time"),
            RecvFdsError::Lost { sent, arrived, .. } => write!(
                f,
                "of {sent} descriptors only {arrived} could be opened here, and were closed; raise RLIMIT_NOFILE or close some"
            ),
            RecvFdsError::WrongCount { expected, sent, .. } => {
                write!(f, "{expected} descriptors were expected, {sent} came, and were closed")
            }
            RecvFdsError::Corrupt => f.write_str("a message came that was not sent by a tine Socket"),
            RecvFdsError::Io(error) => write!(f, "receiving on the socket failed: {error}"),
        }
    }
}

impl Error for SendFdsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let SendFdsError::Io(error) = self { Some(error) } else { None }
    }
}

impl Error for RecvFdsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let RecvFdsError::Io(error) = self { Some(error) } else { None }
    }
}

impl From<SendFdsError> for io::Error {
    fn from(error: SendFdsError) -> io::Error {
        let kind = match error {
            SendFdsError::Io(error) => return error,
            SendFdsError::Closed => io::ErrorKind::BrokenPipe,
            SendFdsError::TimedOut => io::ErrorKind::TimedOut,
            SendFdsError::TooMany { .. } | SendFdsError::TooLarge { .. } => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

impl From<RecvFdsError> for io::Error {
    fn from(error: RecvFdsError) -> io::Error {
        let kind = match error {
            RecvFdsError::Io(error) => return error,
            RecvFdsError::Closed => io::ErrorKind::UnexpectedEof,
            RecvFdsError::TimedOut => io::ErrorKind::TimedOut,
            RecvFdsError::Lost { .. } | RecvFdsError::WrongCount { .. } | RecvFdsError::Corrupt => {
                io::ErrorKind::InvalidData
            }
        };
        io::Error::new(kind, error)
    }
}

/// As the other side sees it, too: a Unix socket that keeps message boundaries.
impl crate::wire::Pass for Socket {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.as_fd());
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Socket, crate::wire::DecodeError> {
        Socket::adopt(input.descriptor()?).map_err(|error| input.invalid(error.to_string()))
    }
}
