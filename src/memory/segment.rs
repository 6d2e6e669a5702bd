//! Shared memory with a name, by which processes that are not related find it.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::Region;
use super::segment_error::SegmentError;
use super::segment_file::{self, Inode};
use super::segment_name::Name;
use super::slice::{SharedSlice, View};
use crate::sys::generation;
use crate::sys::listed::Listed;
use crate::sys::map::{Access, Map, Sharing};
use crate::wire::Plain;

/// Named shared memory: `/dev/shm/NAME`, as [shm_open(3)](https://man7.org/linux/man-pages/man3/shm_open.3.html) makes it.
///
/// It is what Python calls `multiprocessing.shared_memory.SharedMemory`, and either side can create it for the other:
/// the same names, exact sizes, mode 0600, and no header, so that byte 0 is the first of the data. For processes that
/// can be handed a descriptor a [`Memfd`](super::Memfd) is better: it has no name that could be taken, guessed or left
/// behind, and nobody can cut it off.
///
/// ```
/// use tine::memory::Segment;
///
/// # fn main() -> Result<(), tine::Error> {
/// let name = format!("temperatures-{}", std::process::id());
/// let segment = Segment::create(&name, 800)?;
/// segment.as_slice::<f64>()?.set(99, 21.5)?;
///
/// // In any other process of this user: Segment::open(&name)?, or in Python
/// //     shm = SharedMemory(name)
/// //     np.ndarray(100, np.float64, shm.buf)[99]
/// let theirs = Segment::open(&name)?;
/// assert_eq!(theirs.as_slice::<f64>()?.get(99), Some(21.5));
///
/// drop(segment); // its creator takes the name away; who has it open keeps the memory
/// assert!(Segment::open(&name).is_err());
/// assert_eq!(theirs.len(), 800);
/// # Ok(())
/// # }
/// ```
///
/// # Whose it is
///
/// The process that created it removes the name when it drops the `Segment`; [`keep`](Self::keep) leaves it. Nobody else
/// does: not those who opened it, and not a child that inherited the handle by a fork. A name that leads to other memory
/// by then (because somebody removed it and gave it anew) is left alone.
///
/// So a `Segment` that is moved into a child's closure loses its name at the spawn, when the parent drops its copy. Give
/// the child the slice, or the name.
///
/// The memory itself lives as long as anybody has it mapped or open, name or no name.
///
/// # When a process dies
///
/// Killed while it creates: there is no name, or a whole segment; never a half one. (Where a sandbox refuses files
/// without names, a half one may be left, with no bytes in it or without a lock.)
///
/// Killed later: the name stays, as there is nobody to remove it. [`create_or_recover`](Self::create_or_recover) takes
/// it over: the kernel has let go of the lock that the creator held. A name that will not be asked for again, such as those
/// of [`new`](Self::new), stays until the machine restarts.
///
/// # What others can do
///
/// In `/dev/shm` every user may make files. So what has the name is refused where it is no regular file, another
/// user's, not of mode 0600, or has a second name. But other processes of the *same* user can do what they like:
/// change values at any time, which is data; and make the file shorter, after which an access to what is cut off
/// **ends the process that makes it by SIGBUS**. Memory that can be sealed against it has no name.
///
/// # Python
///
/// Up to Python 3.12 the *resource tracker* removes the name when a Python program ends that has only *opened* a segment.
/// There, say after opening it
///
/// ```python
/// from multiprocessing import resource_tracker
/// resource_tracker.unregister(shm._name, "shared_memory")
/// ```
///
/// From 3.13 on open it by `SharedMemory(name, track=False)`. Or hand over the descriptor ([`AsFd`]) by a socket, and
/// use `mmap.mmap(fd, size)`.
///
/// A Python program that creates a segment takes no lock, so `create_or_recover` thinks it dead. One line changes that:
/// `fcntl.flock(shm._fd, fcntl.LOCK_EX)`.
#[doc(alias("shm_open", "SharedMemory"))]
pub struct Segment {
    name: Name,
    region: Arc<Region>,
    /// Without the lock.
    file: OwnedFd,
    origin: Origin,
    /// None in who has opened it, and in who keeps it.
    own: Option<Own>,
    /// Held by its creator for as long as it lives. Last, so that it is held while the name is taken away.
    _lock: Option<Listed>,
}

/// What a creator needs to remove the name.
struct Own {
    inode: Inode,
    /// Of the process that created it. A copy in a child has another.
    generation: u64,
}

/// How a [`Segment`] came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This process created it, where there was nothing.
    Created,
    /// This process created it, after it had removed one of the same name whose creator was dead.
    Recovered,
    /// This process opened what was there.
    Opened,
}

static_assertions::assert_impl_all!(Segment: Send, Sync);

impl Segment {
    /// Creates `len` zero bytes under a name that nobody can guess: `psm_` and eight digits, as Python does.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), but for the name.
    #[doc(alias = "shm_open")]
    pub fn new(len: usize) -> Result<Segment, SegmentError> {
        loop {
            match Segment::make(Name::draw(), len, Origin::Created) {
                Err(SegmentError::Exists { .. }) => {}
                other => return other,
            }
        }
    }

    /// Creates `len` zero bytes under `name`, which may begin with a slash as in C, of mode 0600 whatever the umask.
    ///
    /// All of the memory is taken now, so no later access ends in SIGBUS for want of it.
    ///
    /// # Errors
    ///
    /// - [`SegmentError::Exists`], whatever it is that has the name.
    /// - [`SegmentError::InvalidName`]; [`SegmentError::Empty`] for a length of zero, which could not be opened.
    /// - [`SegmentError::NoSpace`]: so much is not available in `/dev/shm`, on the machine or in this process's memory
    ///   cgroup, or it is over `RLIMIT_FSIZE`. (No SIGXFSZ is raised.)
    /// - [`SegmentError::NoTmpfs`]; what the system says, such as too many open files: two are opened.
    #[doc(alias = "shm_open")]
    pub fn create(name: &str, len: usize) -> Result<Segment, SegmentError> {
        Segment::make(Name::parse(name)?, len, Origin::Created)
    }

    /// As [`create`](Self::create); but what a dead creator has left under that name is removed first.
    ///
    /// The new one is new: `len` bytes, all zero, whatever the old one was. To save something of that, open it before.
    /// Those who have the old one open keep the old memory. [`origin`](Self::origin) tells which of the two happened.
    ///
    /// *Dead* is what the kernel says: nobody holds the lock of the creator, which is let go when its process ends and
    /// not before. A segment that was [kept](Self::keep) and then
    /// dropped counts as left behind. Of several processes that
    /// try at the same time one succeeds; the others get `InUse`. Any of them may be killed at any point.
    ///
    /// ```
    /// use tine::memory::{Origin, Segment, SegmentError};
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let name = format!("server-{}", std::process::id());
    /// let killed = tine::spawn(|| -> () {
    ///     let _segment = Segment::create(&name, 100).unwrap();
    ///     std::process::abort();
    /// })?;
    /// assert!(killed.join().is_err());
    ///
    /// let segment = Segment::create_or_recover(&name, 200)?;
    /// assert_eq!((segment.origin(), segment.len()), (Origin::Recovered, 200));
    /// assert!(matches!(Segment::create_or_recover(&name, 200), Err(SegmentError::InUse { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`SegmentError::InUse`]: its creator lives. In doubt too: a process that a fork of *other* code made from the
    ///   creator has inherited the lock, and a child that was being spawned when the creator was killed may have it for
    ///   a moment more. And while another process does the same.
    /// - [`SegmentError::WrongOwner`], [`WrongMode`](SegmentError::WrongMode),
    ///   [`NotRegular`](SegmentError::NotRegular), [`HardLinked`](SegmentError::HardLinked): it is no segment of this
    ///   user's, and is left alone.
    /// - As for [`create`](Self::create). Where there is no memory for the new one, the old one is gone all the same:
    ///   it may have been what took the memory.
    pub fn create_or_recover(name: &str, len: usize) -> Result<Segment, SegmentError> {
        let name = Name::parse(name)?;
        let mut origin = Origin::Created;
        loop {
            if segment_file::clear(&name)? {
                origin = Origin::Recovered;
            }
            match Segment::make(name.clone(), len, origin) {
                // Somebody was faster. Who it is, and whether it lives, is to be seen above.
                Err(SegmentError::Exists { .. }) => {}
                other => return other,
            }
        }
    }

    fn make(name: Name, len: usize, origin: Origin) -> Result<Segment, SegmentError> {
        let generation = generation::current();
        let segment_file::Created { lock, file, inode, map } = segment_file::create(&name, len)?;
        let own = Some(Own { inode, generation });
        let region = Arc::new(Region { map, memfd: None });
        Ok(Segment { name, region, file, origin, own, _lock: Some(lock) })
    }

    /// Opens the segment of that name, to read and to write. Its size is what its creator made it.
    ///
    /// Memory that its creator has not taken (Python takes none before it is touched) is taken now, all of it.
    ///
    /// # Errors
    ///
    /// - [`SegmentError::NotFound`], [`SegmentError::InvalidName`].
    /// - [`SegmentError::WrongOwner`], [`WrongMode`](SegmentError::WrongMode),
    ///   [`NotRegular`](SegmentError::NotRegular), [`HardLinked`](SegmentError::HardLinked).
    /// - [`SegmentError::Empty`]: Python creates first, and sets the size a moment later. Try again, for a while.
    /// - [`SegmentError::NoSpace`], [`SegmentError::NoTmpfs`], what the system says.
    #[doc(alias = "shm_open")]
    pub fn open(name: &str) -> Result<Segment, SegmentError> {
        let name = Name::parse(name)?;
        let (file, map) = segment_file::attach(&name, Access::ReadWrite)?;
        let region = Arc::new(Region { map, memfd: None });
        Ok(Segment { name, region, file, origin: Origin::Opened, own: None, _lock: None })
    }

    /// Opens the segment of that name, to look at: it is mapped read-only.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and [`SegmentError::Size`] where it is no whole number of `T`.
    pub fn open_view<T: Plain>(name: &str) -> Result<View<T>, SegmentError> {
        let (_file, map) = segment_file::attach(&Name::parse(name)?, Access::Read)?;
        let n = count_of::<T>(map.len())?;
        Ok(View::over(map, None, n))
    }

    /// Removes the name, whoever created the segment and whether or not he lives. Who has it open keeps the memory.
    ///
    /// # Errors
    ///
    /// - [`SegmentError::NotFound`]: also for the second of two who remove it.
    /// - [`SegmentError::WrongOwner`], [`SegmentError::NotRegular`]: it is left alone.
    /// - [`SegmentError::InvalidName`], what the system says.
    #[doc(alias = "shm_unlink")]
    pub fn unlink(name: &str) -> Result<(), SegmentError> {
        segment_file::remove(&Name::parse(name)?)
    }

    /// Leaves the name when this is dropped, for others to open. They, or who comes later, [`unlink`](Self::unlink) it.
    pub fn keep(mut self) -> Segment {
        self.own = None;
        self
    }

    /// Its name, without a slash, as Python has it too.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How long it was when it was created or opened, in bytes; never 0.
    pub fn len(&self) -> usize {
        self.region.map.len()
    }

    /// Whether it has no bytes: it always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it came to be.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// All of it, as values that every process may read and write.
    ///
    /// The slice keeps the memory mapped, also when the `Segment` is dropped. There may be several, of different types, of
    /// the same memory.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Size`] where it is no whole number of `T`.
    pub fn as_slice<T: Plain>(&self) -> Result<SharedSlice<T>, SegmentError> {
        let n = count_of::<T>(self.len())?;
        Ok(SharedSlice::of(Arc::clone(&self.region), n))
    }

    /// All of it, to look at, by a read-only mapping of its own.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Size`] where it is no whole number of `T`; what
    /// [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says.
    pub fn as_view<T: Plain>(&self) -> Result<View<T>, SegmentError> {
        let n = count_of::<T>(self.len())?;
        let map = Map::file(self.file.as_fd(), self.len(), Sharing::Shared, Access::Read)?;
        Ok(View::over(map, None, n))
    }
}

/// How many values of `T` there are in `len` bytes.
fn count_of<T>(len: usize) -> Result<usize, SegmentError> {
    let unit = size_of::<T>();
    match (len.checked_div(unit), len.checked_rem(unit)) {
        (Some(n), Some(0)) => Ok(n),
        _ => Err(SegmentError::Size { len: len as u64, unit }),
    }
}

/// Removes the name, in the process that created it. The memory stays mapped while there are slices of it.
impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(own) = &self.own
            && own.generation == generation::current()
        {
            segment_file::remove_own(&self.name, own.inode);
        }
    }
}

/// The file, to hand to a process that cannot open it by name, such as one in a container. (It is no
/// [`Memfd`](super::Memfd), since it cannot be sealed.)
impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Segment { name, file, origin, own, .. } = self;
        let mut all = f.debug_struct("Segment");
        all.field("name", name).field("len", &self.len()).field("fd", file).field("origin", origin);
        all.field("unlinks", &own.as_ref().is_some_and(|own| own.generation == generation::current())).finish()
    }
}
