//! Why there is no segment.

use std::fmt;
use std::io;

/// Why a segment was not created, opened or removed. Nothing was mapped, and no name was left.
#[derive(Debug)]
#[non_exhaustive]
pub enum SegmentError {
    /// No shared memory can be called that.
    InvalidName {
        /// The name, as it was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is something of that name already.
    Exists {
        /// The name.
        name: String,
    },
    /// There is a segment of that name, and a process that created it (or was forked from that one) lives.
    InUse {
        /// The name.
        name: String,
    },
    /// There is nothing of that name.
    NotFound {
        /// The name.
        name: String,
    },
    /// The file of that name is somebody else's, who could do to it, and read from it, what he likes.
    WrongOwner {
        /// The name.
        name: String,
        /// The owner's user id.
        uid: u32,
    },
    /// The file of that name is not of mode 0600: others can reach it, or its owner cannot.
    WrongMode {
        /// The name.
        name: String,
        /// Its permission bits.
        mode: u32,
    },
    /// What has that name is no regular file but a symbolic link, a directory, a pipe or the like.
    NotRegular {
        /// The name.
        name: String,
    },
    /// The file has other names besides that one, so it may be other memory than was meant.
    HardLinked {
        /// The name.
        name: String,
    },
    /// It has no bytes. A segment that Python is just creating is empty for a moment.
    Empty {
        /// The name.
        name: String,
    },
    /// Its size is no whole number of values, or does not fit the address space.
    Size {
        /// How long it is, in bytes.
        len: u64,
        /// How long one value is, in bytes.
        unit: usize,
    },
    /// Memory for it, or for what of it was not there yet, could not be had.
    NoSpace(io::Error),
    /// `/dev/shm` is missing or lies on a disk, so there is no named shared memory on this machine.
    NoTmpfs,
    /// The system refused a call.
    Io(io::Error),
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentError::InvalidName { name, why } => {
                write!(f, "{name:?} is no name for shared memory: {why}")
            }
            SegmentError::Exists { name } => {
                write!(f, "/dev/shm/{name} exists already; open it, or create_or_recover it if its creator is dead")
            }
            SegmentError::InUse { name } => {
                write!(f, "/dev/shm/{name} belongs to a process that lives; open it, or take another name")
            }
            SegmentError::NotFound { name } => {
                write!(f, "there is no /dev/shm/{name}; its creator may have removed it")
            }
            SegmentError::WrongOwner { name, uid } => {
                write!(f, "/dev/shm/{name} belongs to user {uid}, who could change it at will; refused")
            }
            SegmentError::WrongMode { name, mode } => {
                write!(f, "/dev/shm/{name} has mode {mode:04o} and not 0600, so it is not its owner's alone; refused")
            }
            SegmentError::NotRegular { name } => write!(f, "/dev/shm/{name} is no regular file; refused"),
            SegmentError::HardLinked { name } => {
                write!(f, "/dev/shm/{name} has other names too, so it may be other memory than was meant; refused")
            }
            SegmentError::Empty { name } => {
                write!(f, "/dev/shm/{name} has no bytes, so it cannot be mapped; its creator may be about to size it")
            }
            SegmentError::Size { len, unit } => {
                write!(f, "the segment has {len} bytes, which is no whole number of values of {unit} bytes")
            }
            SegmentError::NoSpace(error) => write!(f, "no memory for the segment: {error}"),
            SegmentError::NoTmpfs => f.write_str("/dev/shm is missing or no tmpfs; use a Memfd, which needs no name"),
            SegmentError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SegmentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SegmentError::NoSpace(error) | SegmentError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> SegmentError {
        SegmentError::Io(error)
    }
}

impl From<rustix::io::Errno> for SegmentError {
    fn from(errno: rustix::io::Errno) -> SegmentError {
        match errno {
            // Of names as well: a tmpfs has room for only so many files.
            rustix::io::Errno::NOSPC => SegmentError::NoSpace(errno.into()),
            errno => SegmentError::Io(errno.into()),
        }
    }
}

impl From<SegmentError> for io::Error {
    fn from(error: SegmentError) -> io::Error {
        let kind = match error {
            SegmentError::Io(error) => return error,
            SegmentError::NoSpace(ref inner) => inner.kind(),
            SegmentError::Exists { .. } => io::ErrorKind::AlreadyExists,
            SegmentError::InUse { .. } => io::ErrorKind::ResourceBusy,
            SegmentError::NotFound { .. } => io::ErrorKind::NotFound,
            SegmentError::NoTmpfs => io::ErrorKind::Unsupported,
            SegmentError::WrongOwner { .. }
            | SegmentError::WrongMode { .. }
            | SegmentError::NotRegular { .. }
            | SegmentError::HardLinked { .. } => io::ErrorKind::PermissionDenied,
            SegmentError::InvalidName { .. } | SegmentError::Empty { .. } | SegmentError::Size { .. } => {
                io::ErrorKind::InvalidInput
            }
        };
        io::Error::new(kind, error)
    }
}
