//! Shared memory for plain values: copied in, copied out, never borrowed.
//!
//! # Safety
//!
//! This file opens `unsafe` to make [`Cells`] of a mapping, and because a type that reaches a mapping through a raw
//! pointer has to say for itself that it may move between threads. All access goes through `Cells`.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use super::cells::Cells;
use super::chunks::FillChunks;
use super::frozen::{FreezeError, FreezeReason, Frozen};
use super::{Advice, Memfd, MemfdError, OutOfRange, Region, Seals, assert_page_aligned, bytes_of, memfd, resolve};
use crate::sys::map::{Access, Map, Sharing};
use crate::wire::Plain;

/// Plain values in shared memory, to look at: everything that a [`SharedSlice`] can do but writing.
///
/// The values may change at any moment, so they are copied out. One value of 1, 2, 4 or 8 bytes that is aligned to
/// its size is never read half old and half new; larger ones, and runs of values, may be.
///
/// A `View` of its own, from [`SharedSlice::read_only_view`] or [`Memfd::into_view`], is mapped read-only.
///
/// ```
/// use tine::memory::SharedSlice;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let temperatures = SharedSlice::<u64>::with_memfd(4)?;
/// let view = temperatures.read_only_view()?;
/// temperatures.set(2, 21)?;
/// assert_eq!(view.to_vec(), [0, 0, 21, 0]);
/// # Ok(())
/// # }
/// ```
pub struct View<T> {
    ptr: NonNull<T>,
    len: usize,
    region: Arc<Region>,
    values: PhantomData<T>,
}

// SAFETY: values are copied in and out by volatile access (see `cells`), from any thread; they move with it, hence
// `T: Send`.
unsafe impl<T: Send> Send for View<T> {}
// SAFETY: as for Send; no reference to a value is ever given out.
unsafe impl<T: Send> Sync for View<T> {}

static_assertions::assert_impl_all!(View<u64>: Send, Sync);
static_assertions::assert_impl_all!(SharedSlice<u64>: Send, Sync);

impl<T: Plain> View<T> {
    /// `map` holds `len` values of `T`.
    pub(super) fn over(map: Map, memfd: Option<Memfd>, len: usize) -> View<T> {
        View::of(Arc::new(Region { map, memfd }), len)
    }

    /// The region holds `len` values of `T`. Others may look at it as values of other types.
    pub(super) fn of(region: Arc<Region>, len: usize) -> View<T> {
        const { assert_page_aligned::<T>() };
        debug_assert!(bytes_of::<T>(len).is_ok_and(|bytes| bytes <= region.map.len()));
        View { ptr: region.map.as_ptr().cast(), len, region, values: PhantomData }
    }

    fn cells(&self) -> Cells<'_, T> {
        // SAFETY: the region holds `len` values from its start, which is a page, and is mapped while `self` lives. It
        // is never referred to: views, of whatever type, are the only way in. `SharedSlice`, the only one to write,
        // maps it writable.
        unsafe { Cells::new(self.ptr, self.len) }
    }

    /// How many values there are. Never changes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Value number `index` as it is now, or None beyond the end.
    pub fn get(&self, index: usize) -> Option<T> {
        self.cells().get(index)
    }

    /// Copies `target.len()` values from `offset` on into `target`.
    ///
    /// # Errors
    ///
    /// A range beyond the end; nothing was copied.
    pub fn copy_to(&self, offset: usize, target: &mut [T]) -> Result<(), OutOfRange> {
        self.cells().copy_to(offset, target)
    }

    /// A copy of all values.
    pub fn to_vec(&self) -> Vec<T> {
        self.cells().to_vec()
    }

    /// A copy of some values.
    ///
    /// # Errors
    ///
    /// A range beyond the end.
    pub fn range_to_vec(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, OutOfRange> {
        let range = resolve(range, self.len)?;
        // SAFETY: as in `cells`; the range lies within.
        Ok(unsafe { Cells::new(self.ptr.add(range.start), range.len()) }.to_vec())
    }

    /// The values, each as it is when the iterator comes to it. For many values [`copy_to`](Self::copy_to) into a
    /// buffer is faster: it copies in larger units than a value.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = T> + ExactSizeIterator + '_ {
        (0..self.len).map(|index| self.get(index).expect("the index is below the length, which never changes"))
    }

    /// Gives the kernel a hint about all of it.
    ///
    /// # Errors
    ///
    /// As for [`Private::advise`](super::Private::advise).
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        advice.give(&self.region.map, 0, self.region.map.len())
    }

    /// Gives the kernel a hint about some values; the range is widened to whole pages.
    ///
    /// # Errors
    ///
    /// As for [`Private::advise_range`](super::Private::advise_range).
    pub fn advise_range(&self, range: impl RangeBounds<usize>, advice: Advice) -> io::Result<()> {
        let range = resolve(range, self.len)?;
        advice.give(&self.region.map, range.start * size_of::<T>(), range.len() * size_of::<T>())
    }

    /// The descriptor of the memory, if it has one: to hand it to a process that is no child.
    pub fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.region.memfd.as_ref().map(AsFd::as_fd)
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> View<T> {
        View { ptr: self.ptr, len: self.len, region: Arc::clone(&self.region), values: PhantomData }
    }
}

/// Tells how many values there are, not what they are: they may be many, and change meanwhile.
impl<T> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("len", &self.len).field("memfd", &self.region.memfd).finish_non_exhaustive()
    }
}

/// Plain values in shared memory, which every process of the family reads and writes by copy.
///
/// It derefs to [`View`], which has everything that reads. Cloning shares the memory, and so does a fork.
///
/// Nothing orders two processes here: who must see what when is for a lock, a channel or a join to say. (A child's
/// writes are seen after it was joined.) For results that must be whole or absent there is
/// [`fill_chunks`](Self::fill_chunks).
///
/// ```
/// use tine::memory::SharedSlice;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares = SharedSlice::<u64>::zeroed(10)?;
/// for i in 0..10 {
///     squares.set(i, (i * i) as u64)?; // in any process
/// }
/// assert_eq!(squares.get(9), Some(81));
/// assert_eq!(squares.range_to_vec(..3)?, [0, 1, 4]);
///
/// squares.copy_from(8, &[6, 7])?;
/// assert!(squares.copy_from(9, &[6, 7]).is_err()); // two values do not fit behind the ninth
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// The values stay as it left them: a value of up to 8 bytes old or new, a bulk copy cut off anywhere.
///
/// # How fast
///
/// Copies of 64 KiB and more go at 0.75 to 1.2 of the speed of `memcpy`, smaller ones at 0.44 to 0.83
/// (`cargo run --release --example copy_speed`).
pub struct SharedSlice<T> {
    view: View<T>,
}

impl<T> SharedSlice<T> {
    /// `n` values of all zero bytes. No page is present until it is touched.
    ///
    /// The memory has no descriptor, so it reaches those who are forked from here on;
    /// [`with_memfd`](Self::with_memfd) makes memory that can be sent, and frozen.
    ///
    /// # Errors
    ///
    /// A size beyond the address space, and what
    /// [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says.
    pub fn zeroed(n: usize) -> io::Result<SharedSlice<T>>
    where
        T: Plain,
    {
        let map = Map::anonymous(bytes_of::<T>(n)?, Sharing::Shared, false)?;
        Ok(SharedSlice::over(map, None, n))
    }

    /// `n` values of all zero bytes in a [`Memfd`]. All of the memory is taken now.
    ///
    /// # Errors
    ///
    /// As for [`Memfd::new`].
    pub fn with_memfd(n: usize) -> io::Result<SharedSlice<T>>
    where
        T: Plain,
    {
        let memfd = Memfd::new(bytes_of::<T>(n)?)?;
        let map = memfd.map(Access::ReadWrite)?;
        Ok(SharedSlice::over(map, Some(memfd), n))
    }

    /// A copy of `values`.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Self::zeroed).
    pub fn from_slice(values: &[T]) -> io::Result<SharedSlice<T>>
    where
        T: Plain,
    {
        let slice = SharedSlice::zeroed(values.len())?;
        slice.copy_from(0, values)?;
        Ok(slice)
    }
}

// The constructors above have their bound on the function: there a missing `Plain` is told with its notes, while
// here it would only be said that the function does not exist.
impl<T: Plain> SharedSlice<T> {
    pub(super) fn over(map: Map, memfd: Option<Memfd>, n: usize) -> SharedSlice<T> {
        SharedSlice { view: View::over(map, memfd, n) }
    }

    /// The region is mapped writable and holds `n` values of `T`.
    pub(super) fn of(region: Arc<Region>, n: usize) -> SharedSlice<T> {
        SharedSlice { view: View::of(region, n) }
    }

    /// Replaces value number `index`.
    ///
    /// # Errors
    ///
    /// An index beyond the end; nothing was written.
    pub fn set(&self, index: usize, value: T) -> Result<(), OutOfRange> {
        self.cells().set(index, value)
    }

    /// Copies `source` here, from `offset` on.
    ///
    /// # Errors
    ///
    /// A range beyond the end; nothing was written.
    pub fn copy_from(&self, offset: usize, source: &[T]) -> Result<(), OutOfRange> {
        self.cells().copy_from(offset, source)
    }

    /// Makes this slice the target of work that several processes do chunk by chunk, and that must be whole or absent
    /// where one of them is killed.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for chunks of length 0, and as for [`Shared::new`](super::Shared::new).
    pub fn fill_chunks(&self, chunk_len: usize) -> io::Result<FillChunks<T>> {
        FillChunks::new(self.clone(), chunk_len)
    }

    /// A mapping of the same memory that cannot be written, of a memfd that nobody can map writable any more
    /// ([`Seals::FUTURE_WRITE`]). Its descriptor is what to give to those who shall only look.
    ///
    /// Who can write already still can: this process, and the children that inherited a handle.
    ///
    /// # Errors
    ///
    /// [`MemfdError::NotMemfd`] where the memory has no descriptor: make it by [`with_memfd`](Self::with_memfd).
    pub fn read_only_view(&self) -> Result<View<T>, MemfdError> {
        let Some(memfd) = &self.view.region.memfd else { return Err(MemfdError::NotMemfd) };
        memfd.seal(Seals::FUTURE_WRITE)?;
        let fd = memfd.as_fd().try_clone_to_owned()?;
        Memfd::try_from(fd)?.into_view()
    }

    /// Seals the memory against every change and gives it back as what it then is: a `&[T]`.
    ///
    /// # Errors
    ///
    /// The slice comes back with the [`FreezeReason`]: the memory is no memfd; other handles exist in this process; or
    /// another process has it mapped too.
    pub fn freeze(self) -> Result<Frozen<T>, FreezeError<T>> {
        let View { ptr, len, region, .. } = self.view;
        let whole = |region, reason| {
            let view = View { ptr, len, region, values: PhantomData };
            Err(FreezeError::whole(SharedSlice { view }, reason))
        };
        if region.memfd.is_none() {
            return whole(region, FreezeReason::NotMemfd);
        }
        match Arc::try_unwrap(region) {
            Ok(Region { map, memfd: Some(memfd) }) => {
                // A writable mapping, be it our own, is what the write seal refuses.
                drop(map);
                Frozen::seal(memfd)
            }
            Ok(region) => whole(Arc::new(region), FreezeReason::NotMemfd),
            Err(region) => whole(region, FreezeReason::OtherHandles),
        }
    }
}

impl<T> Deref for SharedSlice<T> {
    type Target = View<T>;

    fn deref(&self) -> &View<T> {
        &self.view
    }
}

impl<T> Clone for SharedSlice<T> {
    fn clone(&self) -> SharedSlice<T> {
        SharedSlice { view: self.view.clone() }
    }
}

/// Tells how many values there are, not what they are: they may be many, and change meanwhile.
impl<T> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { len, region, .. } = &self.view;
        f.debug_struct("SharedSlice").field("len", len).field("memfd", &region.memfd).finish_non_exhaustive()
    }
}

/// The child shares the memory.
/// Made by [`with_memfd`](SharedSlice::with_memfd); other memory has no descriptor to send.
impl<T: Plain> crate::wire::Pass for SharedSlice<T> {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.memfd().ok_or_else(|| crate::wire::EncodeError::new(memfd::NO_DESCRIPTOR))?);
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        Memfd::receive(input, Memfd::into_slice)
    }
}

/// The child shares the memory.
/// All of the memory. The descriptor is as good for writing there as here: to be sure of the other side send a [`Frozen`].
impl<T: Plain> crate::wire::Pass for View<T> {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.memfd().ok_or_else(|| crate::wire::EncodeError::new(memfd::NO_DESCRIPTOR))?);
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        Memfd::receive(input, Memfd::into_view)
    }
}
