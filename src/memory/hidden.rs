//! Private memory that a fork does not copy: not there in the child, or zero.
//!
//! Both advices change what is at an address behind the program's back, so no reference may lead there; and
//! only [`Plain`] values, for which zero is a value, may be wiped. Hence types of their own, which copy.
//!
//! # Safety
//!
//! This file opens `unsafe` to give that advice, to copy through [`Cells`], and because a type that owns a mapping
//! through a raw pointer has to say for itself that it may move between threads.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use rustix::mm::Advice as Hint;

use super::cells::Cells;
use super::{Advice, OutOfRange};
use crate::sys::generation;
use crate::sys::map::Map;
use crate::wire::Plain;

/// Memory that a child does not get (`MADV_DONTFORK`): keys and other secrets, and large tables that no child needs.
///
/// Made by [`Private::dont_fork`](super::Private::dont_fork). In a child every access answers
/// [`HiddenError::NotHere`], whoever forked it: the handle knows the process that made it. (An address that foreign
/// code kept by itself leads to nothing there: in a child of this library to an inaccessible page, in a child of a
/// bare `fork` to a hole, or to what the child mapped there since.)
///
/// ```
/// use tine::memory::{Advice, Private};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut key = Private::new([0u8; 32])?.dont_fork()?;
/// key.advise(Advice::NoDump)?;
/// key.set([7; 32])?;
/// assert_eq!(key.get()?, [7; 32]);
///
/// let table = Private::<[u64]>::zeroed(1000)?.dont_fork()?;
/// assert_eq!(table.get(999)?, 0);
/// # Ok(())
/// # }
/// ```
///
/// The bytes are not erased when the handle is dropped; the kernel clears pages before anybody else gets them.
pub struct Hidden<T: ?Sized> {
    ptr: NonNull<T>,
    /// Dropped in the process that made it only: in a child the range may be somebody else's.
    map: ManuallyDrop<Map>,
    generation: u64,
    owns: PhantomData<T>,
}

// SAFETY: the values are copied in and out by the owner of the handle; there is nothing bound to a thread.
unsafe impl<T: ?Sized + Send> Send for Hidden<T> {}
// SAFETY: through `&self` there are reads only.
unsafe impl<T: ?Sized + Sync> Sync for Hidden<T> {}

static_assertions::assert_impl_all!(Hidden<[u8]>: Send, Sync);

/// Why a [`Hidden`] region gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiddenError {
    /// This process is a child of the one that made the region, which kept it from its children.
    NotHere,
    /// The range reaches beyond the end.
    OutOfRange(OutOfRange),
}

impl fmt::Display for HiddenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HiddenError::NotHere => f.write_str(
                "this memory was kept from children by dont_fork, and this process is one; \
                 copy what it needs before the fork",
            ),
            HiddenError::OutOfRange(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HiddenError {}

impl From<OutOfRange> for HiddenError {
    fn from(error: OutOfRange) -> HiddenError {
        HiddenError::OutOfRange(error)
    }
}

impl From<HiddenError> for io::Error {
    fn from(error: HiddenError) -> io::Error {
        let kind = match error {
            HiddenError::NotHere => io::ErrorKind::NotFound,
            HiddenError::OutOfRange(_) => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

impl<T: ?Sized> Hidden<T> {
    pub(super) fn hide(map: Map, ptr: NonNull<T>) -> io::Result<Hidden<T>> {
        // The number first: a child forked after the advice must have a larger one.
        let generation = generation::current();
        // SAFETY: `check` stands before every access, `Cells` makes no reference, and `drop` forgets in a child.
        unsafe { map.hide() }?;
        Ok(Hidden { ptr, map: ManuallyDrop::new(map), generation, owns: PhantomData })
    }

    fn check(&self) -> Result<(), HiddenError> {
        if self.is_here() { Ok(()) } else { Err(HiddenError::NotHere) }
    }

    /// Whether this is the process that made the region. The answer cannot become stale.
    pub fn is_here(&self) -> bool {
        generation::current() == self.generation
    }

    /// Gives the kernel a hint about all of it.
    ///
    /// # Errors
    ///
    /// `NotFound` in a child; else as for [`Private::advise`](super::Private::advise).
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        self.check()?;
        advice.give(&self.map, 0, self.map.len())
    }

    /// Gives the memory back to the system, now: all values are zero afterwards, and take no memory until they are set.
    ///
    /// # Errors
    ///
    /// `NotFound` in a child. What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says: `InvalidInput` where it is locked
    /// ([`Advice::Lock`]).
    #[doc(alias = "MADV_DONTNEED")]
    pub fn discard(&mut self) -> io::Result<()> {
        self.check()?;
        // SAFETY: a Hidden holds only Plain values (see its makers), for which zero is one, and nothing refers to them.
        unsafe { self.map.advise(0, self.map.len(), Hint::LinuxDontNeed) }
    }
}

impl<T: Plain> Hidden<T> {
    fn cells(&self) -> Result<Cells<'_, T>, HiddenError> {
        self.check()?;
        // SAFETY: the mapping lives as long as `self` and, after the check, in this process; one value was put at its
        // start by `Private::new`, and no reference to it remains.
        Ok(unsafe { Cells::new(self.ptr, 1) })
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child.
    pub fn get(&self) -> Result<T, HiddenError> {
        let value = self.cells()?.get(0);
        value.ok_or(HiddenError::OutOfRange(OutOfRange { start: 0, end: 1, len: 1 }))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child.
    pub fn set(&mut self, value: T) -> Result<(), HiddenError> {
        Ok(self.cells()?.set(0, value)?)
    }
}

impl<T: Plain> Hidden<[T]> {
    fn cells(&self) -> Result<Cells<'_, T>, HiddenError> {
        self.check()?;
        // SAFETY: as for one value, with as many as the slice pointer says.
        Ok(unsafe { Cells::new(self.ptr.cast(), self.ptr.len()) })
    }

    /// How many values there are; also known in a child.
    pub fn len(&self) -> usize {
        self.ptr.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value number `index`.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child; an index beyond the end.
    pub fn get(&self, index: usize) -> Result<T, HiddenError> {
        let out = OutOfRange { start: index, end: index.saturating_add(1), len: self.len() };
        self.cells()?.get(index).ok_or(HiddenError::OutOfRange(out))
    }

    /// Replaces value number `index`.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child; an index beyond the end.
    pub fn set(&mut self, index: usize, value: T) -> Result<(), HiddenError> {
        Ok(self.cells()?.set(index, value)?)
    }

    /// Copies `target.len()` values from `offset` on out of the region.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child; a range beyond the end. Nothing was copied.
    pub fn copy_to(&self, offset: usize, target: &mut [T]) -> Result<(), HiddenError> {
        Ok(self.cells()?.copy_to(offset, target)?)
    }

    /// Copies `source` into the region, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotHere`] in a child; a range beyond the end. Nothing was copied.
    pub fn copy_from(&mut self, offset: usize, source: &[T]) -> Result<(), HiddenError> {
        Ok(self.cells()?.copy_from(offset, source)?)
    }
}

impl<T: ?Sized> Drop for Hidden<T> {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: dropped here only, and never used again.
            unsafe { ManuallyDrop::drop(&mut self.map) }
        }
    }
}

/// Tells where it is, never what it holds: it may be a secret.
impl<T: ?Sized> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hidden").field("bytes", &self.map.len()).field("here", &self.is_here()).finish_non_exhaustive()
    }
}

/// Memory that is zero in a child (`MADV_WIPEONFORK`): seeds, nonces, and everything that must not be used twice.
///
/// Made by [`Private::wipe_on_fork`](super::Private::wipe_on_fork). The kernel does it at the fork itself, whoever
/// forks. The child may write to it, and its own children start from zero again. Choose the values so that zero
/// means "start over".
///
/// ```
/// use tine::memory::Private;
///
/// # fn main() -> std::io::Result<()> {
/// let mut seed = Private::new(0x5eed_u64)?.wipe_on_fork()?;
/// assert_eq!(seed.get(), 0x5eed); // 0 in a child: time to draw a new one
/// seed.set(1);
/// assert_eq!(seed.get(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Wiped<T: ?Sized> {
    ptr: NonNull<T>,
    map: Map,
    owns: PhantomData<T>,
}

// SAFETY: as for Hidden.
unsafe impl<T: ?Sized + Send> Send for Wiped<T> {}
// SAFETY: as for Hidden.
unsafe impl<T: ?Sized + Sync> Sync for Wiped<T> {}

static_assertions::assert_impl_all!(Wiped<[u8]>: Send, Sync);

impl<T: ?Sized> Wiped<T> {
    pub(super) fn wipe(map: Map, ptr: NonNull<T>) -> io::Result<Wiped<T>> {
        // SAFETY: what a child loses is Plain, for which zero is a value, and `Cells` makes no reference to it.
        unsafe { map.advise(0, map.len(), Hint::LinuxWipeOnFork) }?;
        Ok(Wiped { ptr, map, owns: PhantomData })
    }

    /// Gives the kernel a hint about all of it.
    ///
    /// # Errors
    ///
    /// As for [`Private::advise`](super::Private::advise).
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        advice.give(&self.map, 0, self.map.len())
    }

    /// Gives the memory back to the system, now: all values are zero afterwards, and take no memory until they are set.
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says: `InvalidInput` where it is locked
    /// ([`Advice::Lock`]).
    #[doc(alias = "MADV_DONTNEED")]
    pub fn discard(&mut self) -> io::Result<()> {
        // SAFETY: a Wiped holds only Plain values (see its makers), for which zero is one, and nothing refers to them.
        unsafe { self.map.advise(0, self.map.len(), Hint::LinuxDontNeed) }
    }
}

impl<T: Plain> Wiped<T> {
    fn cells(&self) -> Cells<'_, T> {
        // SAFETY: the mapping lives as long as `self`; one value was put at its start by `Private::new`, and no
        // reference to it remains.
        unsafe { Cells::new(self.ptr, 1) }
    }

    /// The value; all zero bytes in a child that has not set it.
    pub fn get(&self) -> T {
        self.cells().get(0).expect("there is one value")
    }

    /// Replaces the value, in this process.
    pub fn set(&mut self, value: T) {
        self.cells().set(0, value).expect("there is one value");
    }
}

impl<T: Plain> Wiped<[T]> {
    fn cells(&self) -> Cells<'_, T> {
        // SAFETY: as for one value, with as many as the slice pointer says.
        unsafe { Cells::new(self.ptr.cast(), self.ptr.len()) }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ptr.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value number `index`, or None beyond the end.
    pub fn get(&self, index: usize) -> Option<T> {
        self.cells().get(index)
    }

    /// Replaces value number `index`, in this process.
    ///
    /// # Errors
    ///
    /// An index beyond the end.
    pub fn set(&mut self, index: usize, value: T) -> Result<(), OutOfRange> {
        self.cells().set(index, value)
    }

    /// Copies `target.len()` values from `offset` on out of the region.
    ///
    /// # Errors
    ///
    /// A range beyond the end; nothing was copied.
    pub fn copy_to(&self, offset: usize, target: &mut [T]) -> Result<(), OutOfRange> {
        self.cells().copy_to(offset, target)
    }

    /// Copies `source` into the region, from `offset` on.
    ///
    /// # Errors
    ///
    /// A range beyond the end; nothing was copied.
    pub fn copy_from(&mut self, offset: usize, source: &[T]) -> Result<(), OutOfRange> {
        self.cells().copy_from(offset, source)
    }
}

/// Tells its size, never what it holds: it may be a secret.
impl<T: ?Sized> fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiped").field("bytes", &self.map.len()).finish_non_exhaustive()
    }
}
