//! What a descriptor is, told when it is not what it should be.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

/// A descriptor was not what a call needs.
///
/// It comes inside an [`io::Error`] of kind [`InvalidInput`](io::ErrorKind::InvalidInput) (look for it with
/// [`io::Error::get_ref`]), or in an [`AdoptError`].
///
/// ```
/// use std::io::Read;
/// use tine::pipe::{Found, Reader, WrongDescriptor, pipe};
///
/// let (_reader, writer) = pipe()?;
/// let mut not_a_reader = Reader::from(std::os::fd::OwnedFd::from(writer));
/// let error = not_a_reader.read(&mut [0]).unwrap_err();
/// let wrong = error.get_ref().unwrap().downcast_ref::<WrongDescriptor>().unwrap();
/// assert_eq!(wrong.found(), Found::WriteOnly);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongDescriptor {
    number: RawFd,
    wanted: Wanted,
    found: Found,
}

/// What was found in place of the right kind of descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// The number is not open: it was closed behind its owner's back.
    Closed,
    /// Open, but not for writing.
    ReadOnly,
    /// Open, but not for reading.
    WriteOnly,
    /// Another kind of file; the text names it.
    Kind(&'static str),
}

/// What a type of this module wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    ReadEnd,
    WriteEnd,
    Socket,
}

impl WrongDescriptor {
    /// The number of the descriptor, in the process that made the error.
    pub fn number(&self) -> RawFd {
        self.number
    }

    /// What it turned out to be.
    pub fn found(&self) -> Found {
        self.found
    }
}

impl fmt::Display for WrongDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.wanted {
            Wanted::ReadEnd => "the reading end of a pipe",
            Wanted::WriteEnd => "the writing end of a pipe",
            Wanted::Socket => "a Unix socket that keeps message boundaries (SOCK_SEQPACKET)",
        };
        write!(f, "descriptor {} should be {wanted}, but ", self.number)?;
        match self.found {
            Found::Closed => f.write_str("is closed; look for code that closes it by number while its owner lives"),
            Found::ReadOnly => f.write_str("cannot be written; were the two ends of a pipe mixed up?"),
            Found::WriteOnly => f.write_str("cannot be read; were the two ends of a pipe mixed up?"),
            Found::Kind(kind) => write!(f, "is {kind}; pass the right one, or use it as what it is"),
        }
    }
}

impl Error for WrongDescriptor {}

impl From<WrongDescriptor> for io::Error {
    fn from(wrong: WrongDescriptor) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, wrong)
    }
}

/// A descriptor that could not be taken over, and why. It is still open: [`into_fd`](AdoptError::into_fd).
///
/// ```
/// use tine::pipe::{Reader, Writer, pipe};
///
/// let (_reader, writer) = pipe()?;
/// let error = Reader::adopt(writer).unwrap_err();
/// println!("{error}"); // descriptor 4 should be the reading end of a pipe, but cannot be read; ..
/// let writer = Writer::adopt(error.into_fd())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AdoptError {
    fd: OwnedFd,
    wrong: WrongDescriptor,
}

impl AdoptError {
    /// What is wrong with it.
    pub fn wrong(&self) -> &WrongDescriptor {
        &self.wrong
    }

    /// The descriptor, back.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wrong.fmt(f)
    }
}

impl Error for AdoptError {}

impl From<AdoptError> for io::Error {
    fn from(error: AdoptError) -> io::Error {
        error.wrong.into()
    }
}

/// Gives `fd` back unless it is what is wanted.
pub(super) fn adopt(fd: OwnedFd, wanted: Wanted) -> Result<OwnedFd, AdoptError> {
    match look(fd.as_fd(), wanted) {
        None => Ok(fd),
        Some(wrong) => Err(AdoptError { fd, wrong }),
    }
}

/// The error for `errno`, with what the descriptor turned out to be where that is the reason.
#[cold]
pub(super) fn explain(fd: BorrowedFd<'_>, wanted: Wanted, errno: Errno) -> io::Error {
    match errno {
        Errno::BADF | Errno::ISDIR | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP => {
            look(fd, wanted).map_or_else(|| errno.into(), io::Error::from)
        }
        _ => errno.into(),
    }
}

/// What is wrong with `fd`, if anything.
fn look(fd: BorrowedFd<'_>, wanted: Wanted) -> Option<WrongDescriptor> {
    found(fd, wanted).map(|found| WrongDescriptor { number: fd.as_raw_fd(), wanted, found })
}

fn found(fd: BorrowedFd<'_>, wanted: Wanted) -> Option<Found> {
    let (Ok(flags), Ok(stat)) = (rustix::fs::fcntl_getfl(fd), rustix::fs::fstat(fd)) else {
        return Some(Found::Closed);
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if wanted == Wanted::Socket {
        return match kind {
            FileType::Socket if is_seqpacket(fd) => None,
            FileType::Socket => Some(Found::Kind("a socket of another family or type")),
            _ => Some(Found::Kind(name(kind))),
        };
    }
    match (kind, flags & OFlags::RWMODE, wanted) {
        (FileType::Fifo, OFlags::RDONLY, Wanted::WriteEnd) => Some(Found::ReadOnly),
        (FileType::Fifo, OFlags::WRONLY, Wanted::ReadEnd) => Some(Found::WriteOnly),
        (FileType::Fifo, ..) => None,
        _ => Some(Found::Kind(name(kind))),
    }
}

fn is_seqpacket(fd: BorrowedFd<'_>) -> bool {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET) && sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
}

fn name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        _ => "a descriptor without a file, such as an eventfd",
    }
}

/// The conversions that std gives its own ends of a pipe.
macro_rules! is_a_descriptor {
    ($($end:ident),*) => {$(
        impl std::os::fd::AsFd for $end {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&self.fd)
            }
        }

        impl std::os::fd::AsRawFd for $end {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.fd)
            }
        }

        /// Unseen; `adopt` looks first.
        impl From<std::os::fd::OwnedFd> for $end {
            fn from(fd: std::os::fd::OwnedFd) -> $end {
                $end { fd }
            }
        }

        impl From<$end> for std::os::fd::OwnedFd {
            fn from(end: $end) -> std::os::fd::OwnedFd {
                end.fd
            }
        }

        /// For the standard input or output of a command.
        impl From<$end> for std::process::Stdio {
            fn from(end: $end) -> std::process::Stdio {
                std::process::Stdio::from(end.fd)
            }
        }
    )*};
}
pub(super) use is_a_descriptor;
