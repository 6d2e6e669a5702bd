//! The file behind a segment: made, found, taken over, removed.
//!
//! Whoever creates one holds an exclusive `flock` on it as long as he lives. The kernel lets go of it when he ends, in
//! whatever way, and before anybody can learn that he has ended. So a file that nobody has locked has no live creator.
//!
//! **The rule: a name is taken away from a file only by who holds that file's lock.** So a creator who drops his segment
//! and one or several processes who take it over never get in each other's way: one of them has the lock, and the
//! name leads to that file until he has removed it. (Who removes a name without asking, as
//! `remove` on request and every `shm_unlink` of C and Python do, is outside of this rule.)
//!
//! | step of [`create`] | killed before it, there is |
//! |---|---|
//! | a file without a name, locked, sized, all memory taken, mapped | nothing: the kernel frees it |
//! | `linkat`: it has its name. **The commit point** | nothing |
//! | | a whole file, with a lock that is open |
//!
//! | step of [`clear`] | killed before it, there is |
//! |---|---|
//! | the dead creator's file is opened and locked | the file, as it was |
//! | the name still leads to it | the file, as it was |
//! | `unlink` | the file, as it was |
//! | | no name, which is what a creator wants to find |

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::segment_error::SegmentError;
use super::segment_name::Name;
use super::{bytes_of, room};
use crate::sys::listed::Listed;
use crate::sys::map::{Access, Map, Sharing};
use crate::sys::standard::above_standard;

/// What `statfs` says of a tmpfs.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Which file: no two that exist at the same time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    fn of(stat: &Stat) -> Inode {
        Inode { device: stat.st_dev, number: stat.st_ino }
    }
}

/// A file that this process has created, whole and with its name.
pub(super) struct Created {
    /// Through which the lock is held. A child lets go of it, and it is never handed to anybody: the lock ends with the
    /// last copy of it.
    pub(super) lock: Listed,
    /// The same file, opened once more, without the lock.
    pub(super) file: OwnedFd,
    pub(super) inode: Inode,
    pub(super) map: Map,
}

/// `len` bytes of zeroes under `name`, where there is nothing yet.
pub(super) fn create(name: &Name, len: usize) -> Result<Created, SegmentError> {
    if len == 0 {
        return Err(SegmentError::Empty { name: name.as_str().to_owned() });
    }
    bytes_of::<u8>(len).and_then(|len| room::check_file_size(len as u64)).map_err(SegmentError::NoSpace)?;
    if let Some((lock, file)) = unnamed()? {
        // It cannot be locked by others: nobody else has it.
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let created = complete(lock, file, len)?;
        match rustix::fs::linkat(CWD, link_to(&created.lock), CWD, name.path(), AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(created),
            Err(Errno::EXIST) => return Err(SegmentError::Exists { name: name.as_str().to_owned() }),
            // A sandbox.
            Err(Errno::NOENT | Errno::PERM | Errno::ACCESS | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    create_by_name(name, len)
}

/// A new file without a name, opened twice. None where that cannot be had, or could not be given a name later.
fn unnamed() -> Result<Option<(OwnedFd, OwnedFd)>, SegmentError> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let first = match rustix::fs::open(Name::directory(), flags, mode()) {
        Ok(fd) => above_standard(fd)?,
        Err(Errno::NOENT) => return Err(SegmentError::NoTmpfs),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::PERM | Errno::ACCESS | Errno::NOSYS) => {
            return Ok(None);
        }
        Err(errno) => return Err(errno.into()),
    };
    let flags = if seeded!("forgotten CLOEXEC") { OFlags::RDWR } else { OFlags::RDWR | OFlags::CLOEXEC };
    match rustix::fs::open(link_to(&first), flags, Mode::empty()) {
        Ok(second) => Ok(Some((first, above_standard(second)?))),
        // Without `/proc` there is no way to name a file but by its name.
        Err(Errno::NOENT | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What the kernel takes for the file behind a descriptor.
fn link_to(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn mode() -> Mode {
    Mode::RUSR | Mode::WUSR
}

/// Gives a new file, opened and locked by `lock`, everything but its name.
fn complete(lock: OwnedFd, file: OwnedFd, len: usize) -> Result<Created, SegmentError> {
    if rustix::fs::fstatfs(&lock)?.f_type as i64 != TMPFS_MAGIC {
        return Err(SegmentError::NoTmpfs);
    }
    // A umask has taken away from what `open` was told.
    rustix::fs::fchmod(&lock, mode())?;
    room::take(&lock, len as u64, FallocateFlags::empty()).map_err(SegmentError::NoSpace)?;
    let inode = Inode::of(&rustix::fs::fstat(&lock)?);
    let map = Map::file(file.as_fd(), len, Sharing::Shared, Access::ReadWrite)?;
    Ok(Created { lock: Listed::new(lock), file, inode, map })
}

/// Where a file must have its name from the start. Then the steps between are seen by others:
///
/// - who opens it meanwhile finds it empty;
/// - who is about to take over a dead creator's file may take this one for such, until it is locked;
/// - a kill leaves it unlocked, for the next one to take over.
#[cold]
fn create_by_name(name: &Name, len: usize) -> Result<Created, SegmentError> {
    let exists = || SegmentError::Exists { name: name.as_str().to_owned() };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let first = rustix::fs::open(name.path(), flags, mode()).map_err(|errno| match errno {
        Errno::EXIST => exists(),
        Errno::NOENT => SegmentError::NoTmpfs,
        errno => errno.into(),
    })?;
    let inode = Inode::of(&rustix::fs::fstat(&first)?);
    let made = || {
        match rustix::fs::flock(&first, FlockOperation::NonBlockingLockExclusive) {
            // Somebody is taking it over.
            Err(Errno::WOULDBLOCK) => return Err(exists()),
            other => other?,
        }
        // A copy, above the standard streams' numbers: `first` keeps the lock until a failure is cleared away.
        let lock = first.try_clone()?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(name.path(), flags, Mode::empty()) {
            Ok(fd) => above_standard(fd)?,
            // Somebody has, before it was locked; here too, if what was opened is another.
            Err(Errno::NOENT) => return Err(exists()),
            Err(errno) => return Err(errno.into()),
        };
        if Inode::of(&rustix::fs::fstat(&file)?) != inode {
            return Err(exists());
        }
        complete(lock, file, len)
    };
    made().inspect_err(|_| remove_own(name, inode))
}

/// Makes room for a new segment of that name: removes the file of a creator who is dead. Whether there was one.
pub(super) fn clear(name: &Name) -> Result<bool, SegmentError> {
    loop {
        let (file, stat) = match open(name) {
            Err(SegmentError::NotFound { .. }) => return Ok(false),
            other => other?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(SegmentError::InUse { name: name.as_str().to_owned() }),
            Err(errno) => return Err(errno.into()),
        }
        // From here on nobody else takes the name away from this file. But before, somebody may have.
        if leads_to(name, Inode::of(&stat))? {
            return match rustix::fs::unlink(name.path()) {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(errno) => Err(errno.into()),
            };
        }
    }
}

/// Maps what `name` leads to. All of its memory is there afterwards.
pub(super) fn attach(name: &Name, access: Access) -> Result<(OwnedFd, Map), SegmentError> {
    let (file, stat) = open(name)?;
    if rustix::fs::fstatfs(&file)?.f_type as i64 != TMPFS_MAGIC {
        return Err(SegmentError::NoTmpfs);
    }
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if bytes == 0 {
        return Err(SegmentError::Empty { name: name.as_str().to_owned() });
    }
    let len = usize::try_from(bytes).ok().filter(|&len| len <= isize::MAX as usize);
    let len = len.ok_or(SegmentError::Size { len: bytes, unit: 1 })?;
    // Python sets the size and takes no memory: where the file system is full, the first access would be a SIGBUS.
    // Blocks are of 512 bytes, whatever st_blksize says.
    let there = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if there < bytes {
        room::take(&file, bytes, FallocateFlags::KEEP_SIZE).map_err(SegmentError::NoSpace)?;
    }
    let map = Map::file(file.as_fd(), len, Sharing::Shared, access)?;
    Ok((file, map))
}

/// Opens what `name` leads to, if it is what a segment of ours, or Python's, is.
fn open(name: &Name) -> Result<(OwnedFd, Stat), SegmentError> {
    // Who opens a pipe for both directions does not wait for the other end.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(name.path(), flags, Mode::empty()) {
        Ok(fd) => above_standard(fd)?,
        // Whatever has the name by now.
        Err(Errno::NOENT) => return Err(SegmentError::NotFound { name: name.as_str().to_owned() }),
        Err(errno) => {
            // The name tells more than the number: whose file it is, or that it is none.
            check(name, &look(name)?)?;
            return Err(errno.into());
        }
    };
    let stat = rustix::fs::fstat(&file)?;
    check(name, &stat)?;
    Ok((file, stat))
}

/// Takes the name away, whoever has it.
pub(super) fn remove(name: &Name) -> Result<(), SegmentError> {
    match check(name, &look(name)?) {
        // It is the caller's to remove all the same.
        Ok(()) | Err(SegmentError::WrongMode { .. } | SegmentError::HardLinked { .. }) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlink(name.path()) {
        Err(Errno::NOENT) => Err(SegmentError::NotFound { name: name.as_str().to_owned() }),
        other => Ok(other?),
    }
}

/// Takes the name away from a file that this process has created, if it still has it.
///
/// The caller holds its lock, so the name does not go to somebody else between the look and the removal, unless others
/// who hold no lock remove it and give it anew just then.
pub(super) fn remove_own(name: &Name, inode: Inode) {
    // An error could not be acted on: where the name is not to be seen, it cannot be removed either.
    if leads_to(name, inode).unwrap_or(false) {
        let _ = rustix::fs::unlink(name.path());
    }
}

/// What has the name, without following it.
fn look(name: &Name) -> Result<Stat, SegmentError> {
    rustix::fs::statat(CWD, name.path(), AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| match errno {
        Errno::NOENT => SegmentError::NotFound { name: name.as_str().to_owned() },
        errno => errno.into(),
    })
}

fn leads_to(name: &Name, inode: Inode) -> Result<bool, SegmentError> {
    match look(name) {
        Ok(stat) => Ok(Inode::of(&stat) == inode),
        Err(SegmentError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether it is what it should be: in a directory that everybody may write to, anybody may have put something there.
fn check(name: &Name, stat: &Stat) -> Result<(), SegmentError> {
    let name = || name.as_str().to_owned();
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SegmentError::NotRegular { name: name() });
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(SegmentError::WrongOwner { name: name(), uid: stat.st_uid });
    }
    if Mode::from_raw_mode(stat.st_mode) != mode() {
        return Err(SegmentError::WrongMode { name: name(), mode: stat.st_mode & 0o7777 });
    }
    match stat.st_nlink {
        0 => Err(SegmentError::NotFound { name: name() }),
        1 => Ok(()),
        _ => Err(SegmentError::HardLinked { name: name() }),
    }
}
