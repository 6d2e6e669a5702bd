//! A file that lives in memory and has no name: what is mapped can be handed over by descriptor.

use std::fmt;
use std::io;
use std::ops::BitOr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, FileType, MemfdFlags, SealFlags};

use super::frozen::Frozen;
use super::shared::Shared;
use super::slice::{SharedSlice, View};
use super::{bytes_of, room};
use crate::sys::map::{Access, Map, Sharing};
use crate::wire::{DecodeError, EncodeError, Passing, Plain, Received, Share};

/// What can never be done to a [`Memfd`] again, by anybody.
///
/// From [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html), "File Sealing".
#[doc(alias("F_ADD_SEALS", "F_GET_SEALS"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seals(SealFlags);

impl Seals {
    /// It cannot become shorter. Without this seal whoever holds the descriptor can make every access to the mapping
    /// a SIGBUS, so nothing is mapped without it.
    #[doc(alias = "F_SEAL_SHRINK")]
    pub const SHRINK: Seals = Seals(SealFlags::SHRINK);
    /// It cannot become longer.
    #[doc(alias = "F_SEAL_GROW")]
    pub const GROW: Seals = Seals(SealFlags::GROW);
    /// It cannot be written. Refused (`ResourceBusy`) while a writable mapping exists anywhere.
    #[doc(alias = "F_SEAL_WRITE")]
    pub const WRITE: Seals = Seals(SealFlags::WRITE);
    /// It cannot be written but through the writable mappings that exist already.
    #[doc(alias = "F_SEAL_FUTURE_WRITE")]
    pub const FUTURE_WRITE: Seals = Seals(SealFlags::FUTURE_WRITE);
    /// No seal can be added.
    #[doc(alias = "F_SEAL_SEAL")]
    pub const SEAL: Seals = Seals(SealFlags::SEAL);
    /// What a [`Frozen`] region needs: nothing can change any more.
    pub const FROZEN: Seals =
        Seals(SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL));

    /// No seal.
    pub const fn empty() -> Seals {
        Seals(SealFlags::empty())
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Seals) -> bool {
        self.0.contains(other.0)
    }

    /// Those of these that are not in `other`.
    pub(super) const fn without(self, other: Seals) -> Seals {
        Seals(self.0.difference(other.0))
    }
}

impl BitOr for Seals {
    type Output = Seals;

    fn bitor(self, other: Seals) -> Seals {
        Seals(self.0 | other.0)
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(SealFlags, &str); 6] = [
            (SealFlags::SHRINK, "SHRINK"),
            (SealFlags::GROW, "GROW"),
            (SealFlags::WRITE, "WRITE"),
            (SealFlags::FUTURE_WRITE, "FUTURE_WRITE"),
            (SealFlags::SEAL, "SEAL"),
            (SealFlags::EXEC, "EXEC"),
        ];
        let names: Vec<_> = NAMES.iter().filter(|(flag, _)| self.0.contains(*flag)).map(|(_, name)| *name).collect();
        write!(f, "Seals({})", names.join(" | "))
    }
}

/// A file in memory: [memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html).
///
/// It has no name, so it can neither be found by strangers nor be left behind: it goes when the last descriptor and
/// the last mapping of it go, however their processes end. All of its memory is there from the start.
///
/// Hand the descriptor ([`AsFd`]) to another process, by a fork or by a [`Socket`](crate::pipe::Socket), which makes a
/// `Memfd` of it by `TryFrom<OwnedFd>`; in Python, `mmap.mmap(fd, size)`.
///
/// ```
/// use tine::memory::{Memfd, Seals};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memfd = Memfd::new(4096)?;
/// assert!(memfd.seals()?.contains(Seals::SHRINK | Seals::GROW));
///
/// let descriptor = std::os::fd::OwnedFd::from(memfd); // goes over a socket, or through a fork
/// let slice = Memfd::try_from(descriptor)?.into_slice::<u64>()?;
/// assert_eq!(slice.len(), 512);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "memfd_create")]
pub struct Memfd {
    fd: OwnedFd,
    len: usize,
}

/// Why a descriptor was not taken for shared memory. Nothing of it was mapped.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemfdError {
    /// It is no memory file: another kind of descriptor, or a file on a disk.
    NotMemfd,
    /// Somebody can still do to it what must not be done to mapped memory. The maker adds the seals that are missing.
    Unsealed {
        /// The seals it lacks.
        missing: Seals,
    },
    /// It is sealed against what the mapping is for.
    Sealed {
        /// The seal that forbids it.
        by: Seals,
    },
    /// Its size is no whole number of values, or does not fit the address space.
    Size {
        /// How long it is, in bytes.
        len: u64,
        /// How long one value is, in bytes.
        unit: usize,
    },
    /// Not all of its memory is there, and what lacks could not be had: reading it could end in SIGBUS.
    Sparse(io::Error),
    /// The system refused a call.
    Io(io::Error),
}

impl fmt::Display for MemfdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemfdError::NotMemfd => f.write_str("the descriptor is not a memfd, so its contents could vanish; refused"),
            MemfdError::Unsealed { missing } => {
                write!(f, "the memfd lacks {missing:?}, so its maker could change it below us; seal it first")
            }
            MemfdError::Sealed { by } => write!(f, "the memfd has {by:?} and cannot be mapped writable; view it"),
            MemfdError::Size { len, unit } => {
                write!(f, "the memfd has {len} bytes, which is no whole number of values of {unit} bytes")
            }
            MemfdError::Sparse(error) => write!(f, "the memfd has holes, and their memory cannot be had: {error}"),
            MemfdError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MemfdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MemfdError::Sparse(error) | MemfdError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for MemfdError {
    fn from(error: io::Error) -> MemfdError {
        MemfdError::Io(error)
    }
}

impl From<MemfdError> for io::Error {
    fn from(error: MemfdError) -> io::Error {
        match error {
            MemfdError::Io(error) => error,
            MemfdError::Sparse(ref inner) => io::Error::new(inner.kind(), error),
            other => io::Error::new(io::ErrorKind::InvalidInput, other),
        }
    }
}

impl Memfd {
    /// A file of `len` zero bytes, with all of its memory, sealed against shrinking and growing. Closed on exec.
    ///
    /// # Errors
    ///
    /// - `StorageFull`: so much memory is not available, on the machine or in this process's memory cgroup. Asked
    ///   before it is taken, because the kernel's answer to taking too much is the OOM killer. Up to 1 MiB is taken
    ///   unasked, as any `Vec` does.
    /// - `FileTooLarge`: over this process's `RLIMIT_FSIZE`. (No SIGXFSZ is raised.)
    /// - `OutOfMemory`: does not fit the address space.
    /// - What [memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html) and
    ///   [fallocate(2)](https://man7.org/linux/man-pages/man2/fallocate.2.html) say, such as too many open files.
    pub fn new(len: usize) -> io::Result<Memfd> {
        bytes_of::<u8>(len)?;
        room::check_file_size(len as u64)?;
        let memfd = Memfd { fd: create()?, len };
        memfd.allocate()?;
        memfd.seal(Seals::SHRINK | Seals::GROW)?;
        Ok(memfd)
    }

    /// Takes all of the memory now.
    fn allocate(&self) -> io::Result<()> {
        room::take(&self.fd, self.len as u64, FallocateFlags::empty())
    }

    /// How long it is, in bytes. It was that long when this handle was made, and cannot have become shorter.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds seals, for ever and for everybody.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` for [`Seals::WRITE`] while a writable mapping exists; `PermissionDenied` after [`Seals::SEAL`],
    /// and for a descriptor that is not open for writing.
    pub fn seal(&self, seals: Seals) -> io::Result<()> {
        Ok(rustix::fs::fcntl_add_seals(&self.fd, seals.0)?)
    }

    /// The seals it has now. Others may add to them; none ever goes.
    ///
    /// # Errors
    ///
    /// What [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html) says.
    pub fn seals(&self) -> io::Result<Seals> {
        Ok(Seals(rustix::fs::fcntl_get_seals(&self.fd)?))
    }

    /// All of it, as values that every process may read and write.
    ///
    /// # Errors
    ///
    /// [`MemfdError::Size`] where it is no whole number of `T`; [`MemfdError::Sealed`] where it may not be written.
    pub fn into_slice<T: Plain>(self) -> Result<SharedSlice<T>, MemfdError> {
        let n = self.count_of::<T>()?;
        let map = self.map(Access::ReadWrite)?;
        Ok(SharedSlice::over(map, Some(self), n))
    }

    /// All of it, to look at.
    ///
    /// # Errors
    ///
    /// [`MemfdError::Size`] where it is no whole number of `T`.
    pub fn into_view<T: Plain>(self) -> Result<View<T>, MemfdError> {
        let n = self.count_of::<T>()?;
        let map = self.map(Access::Read)?;
        Ok(View::over(map, Some(self), n))
    }

    /// All of it, which nobody can change any more, as a slice.
    ///
    /// # Errors
    ///
    /// [`MemfdError::Unsealed`] where [`Seals::FROZEN`] are not all there; [`MemfdError::Size`] where it is no whole
    /// number of `T`.
    pub fn into_frozen<T: Plain>(self) -> Result<Frozen<T>, MemfdError> {
        Frozen::over(self)
    }

    /// Puts `value` at its start and shares it.
    ///
    /// # Errors
    ///
    /// [`MemfdError::Size`] where it is too short; [`MemfdError::Sealed`] where it may not be written.
    pub fn into_shared<T: Share + 'static>(self, value: T) -> Result<Shared<T>, MemfdError> {
        if self.len < size_of::<T>() {
            return Err(MemfdError::Size { len: self.len as u64, unit: size_of::<T>() });
        }
        let map = self.map(Access::ReadWrite)?;
        Ok(Shared::over(map, Some(self), value)?)
    }

    /// How many values of `T` it holds.
    pub(super) fn count_of<T>(&self) -> Result<usize, MemfdError> {
        let unit = size_of::<T>();
        match (self.len.checked_div(unit), self.len.checked_rem(unit)) {
            (Some(n), Some(0)) => Ok(n),
            _ if self.len == 0 => Ok(0),
            _ => Err(MemfdError::Size { len: self.len as u64, unit }),
        }
    }

    /// Maps all of it.
    pub(super) fn map(&self, access: Access) -> Result<Map, MemfdError> {
        let seals = self.seals()?;
        if access == Access::ReadWrite {
            for by in [Seals::WRITE, Seals::FUTURE_WRITE] {
                if seals.contains(by) {
                    return Err(MemfdError::Sealed { by });
                }
            }
        }
        // Of what nobody can write a private mapping shows the same pages; before Linux 6.7 a shared one is refused.
        let sharing = if seals.contains(Seals::WRITE) { Sharing::Private } else { Sharing::Shared };
        Ok(Map::file(self.fd.as_fd(), self.len, sharing, access)?)
    }

    /// The checks before a descriptor from elsewhere may be mapped.
    fn adopt(fd: OwnedFd) -> Result<Memfd, MemfdError> {
        let stat = rustix::fs::fstat(&fd).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(MemfdError::NotMemfd);
        }
        // Works on files of tmpfs and hugetlbfs only, where there is neither a disk nor a server that could fail.
        let Ok(seals) = rustix::fs::fcntl_get_seals(&fd) else { return Err(MemfdError::NotMemfd) };
        let missing = Seals::SHRINK.without(Seals(seals));
        if missing != Seals::empty() {
            return Err(MemfdError::Unsealed { missing });
        }
        // After the seal: a size read before it could have been made smaller since.
        let stat = rustix::fs::fstat(&fd).map_err(io::Error::from)?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let len = usize::try_from(bytes).ok().filter(|&len| len <= isize::MAX as usize);
        let memfd = Memfd { fd, len: len.ok_or(MemfdError::Size { len: bytes, unit: 1 })? };
        // Blocks of 512 bytes, whatever st_blksize says.
        let there = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        if there < bytes {
            room::check_file_size(bytes).and_then(|()| memfd.allocate()).map_err(MemfdError::Sparse)?;
        }
        Ok(memfd)
    }
}

/// `memfd_create`, not executable where the kernel knows that (Linux 6.3).
fn create() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(c"tine", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => Ok(rustix::fs::memfd_create(c"tine", flags)?),
        other => Ok(other?),
    }
}

/// Takes a descriptor that came from elsewhere, after a look at what it is.
///
/// It must be a regular file in memory, sealed against shrinking; its size is read after that. Memory that is
/// not there yet is taken now, so that no later access ends in SIGBUS. The same rules hold whoever sent it; a malicious
/// sender of memory that is not [`Seals::WRITE`]-sealed can still change values at will.
impl TryFrom<OwnedFd> for Memfd {
    type Error = MemfdError;

    fn try_from(fd: OwnedFd) -> Result<Memfd, MemfdError> {
        Memfd::adopt(fd)
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Memfd> for OwnedFd {
    fn from(memfd: Memfd) -> OwnedFd {
        memfd.fd
    }
}

impl fmt::Debug for Memfd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memfd").field("fd", &self.fd).field("len", &self.len).field("seals", &self.seals()).finish()
    }
}

/// What arrives is looked at as by `TryFrom<OwnedFd>`.
impl crate::wire::Pass for Memfd {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        out.descriptor(self.as_fd());
        Ok(())
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Memfd, DecodeError> {
        Memfd::receive(input, Ok)
    }
}

impl Memfd {
    /// Takes a memfd and makes a value of it; what was refused is closed.
    pub(super) fn receive<T>(
        input: &mut Received<'_>,
        make: impl FnOnce(Memfd) -> Result<T, MemfdError>,
    ) -> Result<T, DecodeError> {
        let fd = input.descriptor()?;
        Memfd::try_from(fd).and_then(make).map_err(|error| input.invalid(error.to_string()))
    }
}

/// Why memory was not sent that has none.
pub(super) const NO_DESCRIPTOR: &str = "the memory has no descriptor, so it reaches only those who are forked from here on; \
                                        make it by `with_memfd`";
