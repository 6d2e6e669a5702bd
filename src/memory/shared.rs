//! Shared memory for values that are made for it: the `Arc` of processes.
//!
//! # Safety
//!
//! This file opens `unsafe` to put a value into a shared mapping and to give out `&T` there. That `&T` may be used by
//! several processes at once is what [`Share`] promises; no `&mut T` is ever made.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::memfd::NO_DESCRIPTOR;
use super::{Advice, Memfd, MemfdError, Region, assert_page_aligned, bytes_of};
use crate::sys::map::{Access, Map, Sharing};
use crate::sys::roster;
use crate::wire::{DecodeError, EncodeError, Pass, Passing, Received, Share};

/// A value that this process and its children use in place: the `Arc` of processes.
///
/// It derefs to `&T`, and `T` is something that works under several hands: atomics,
/// [locks](crate::sync), arrays and structs of them. Cloning shares the value, and so does a fork: the handle that a child inherits leads to the
/// same memory, at the same address. When the last handle of a process goes, the memory is unmapped there; when the
/// last process has unmapped it or ended, it is freed. Nothing is dropped: `T` may not need it.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tine::memory::Shared;
///
/// # fn main() -> Result<(), tine::Error> {
/// let hits = Shared::new(AtomicU64::new(0))?;
/// let child = tine::spawn(|| hits.fetch_add(1, Ordering::Relaxed))?;
/// assert_eq!(child.join()?, 0);
/// assert_eq!(hits.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
///
/// What needs drop is refused at compile time, because there is no process whose business that would be:
///
/// ```compile_fail,E0080
/// # struct Log(String);
/// # unsafe impl tine::wire::Share for Log {}
/// let log = tine::memory::Shared::new(Log(String::new())); // the text would be in private memory
/// ```
///
/// # When a process dies
///
/// The memory stays as the dead process left it: an operation of several steps may be half done.
/// Atomics are for single steps; for more there are [locks](crate::sync), which tell of it.
#[doc(alias = "MAP_SHARED")]
pub struct Shared<T: ?Sized> {
    ptr: NonNull<T>,
    region: Arc<Region>,
}

// SAFETY: a handle gives out `&T` and is cloned, as an Arc; since nothing is ever dropped or moved out, `T: Sync` is
// enough.
unsafe impl<T: ?Sized + Sync> Send for Shared<T> {}
// SAFETY: as for Send.
unsafe impl<T: ?Sized + Sync> Sync for Shared<T> {}

static_assertions::assert_impl_all!(Shared<AtomicU64>: Send, Sync);
static_assertions::assert_impl_all!(Shared<[AtomicU64]>: Send, Sync);
static_assertions::assert_not_impl_any!(Shared<std::cell::Cell<u64>>: Send, Sync);

impl<T: Share + 'static> Shared<T> {
    /// Moves `value` into shared memory.
    ///
    /// The memory has no descriptor, so it reaches those who are forked from here on;
    /// [`with_memfd`](Self::with_memfd) makes memory that can be sent.
    ///
    /// # Errors
    ///
    /// What [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says: no memory, or no more mappings.
    pub fn new(value: T) -> io::Result<Shared<T>> {
        let map = Map::anonymous(size_of::<T>(), Sharing::Shared, false)?;
        Shared::over(map, None, value)
    }

    /// Moves `value` into memory that has a descriptor, for processes that are not forked from here on.
    ///
    /// # Errors
    ///
    /// As for [`Memfd::new`].
    pub fn with_memfd(value: T) -> io::Result<Shared<T>> {
        Ok(Memfd::new(size_of::<T>())?.into_shared(value)?)
    }

    pub(super) fn over(map: Map, memfd: Option<Memfd>, value: T) -> io::Result<Shared<T>> {
        const { assert_shareable::<T>() };
        // Before the memory: who has this, has that, too. Locks in it name their holders by it.
        roster::ensure()?;
        let ptr = map.as_ptr().cast::<T>();
        // SAFETY: the mapping is at least as long as `T` and page aligned (checked above to be enough), and this
        // handle, the first to it, does not exist yet.
        unsafe { ptr.write(value) };
        Ok(Shared { ptr, region: Arc::new(Region { map, memfd }) })
    }

    /// The value that another process put into `memfd`, by [`with_memfd`](Self::with_memfd) or
    /// [`Memfd::into_shared`].
    ///
    /// # Safety
    ///
    /// A valid `T`, as this very program lays it out, is at the start of `memfd`, and everybody who can write there
    /// does so only through `&T`.
    ///
    /// # Errors
    ///
    /// [`MemfdError::Size`] where it is too short for a `T`; [`MemfdError::Sealed`] where it may not be written.
    pub unsafe fn attach(memfd: Memfd) -> Result<Shared<T>, MemfdError> {
        const { assert_shareable::<T>() };
        if memfd.len() < size_of::<T>() {
            return Err(MemfdError::Size { len: memfd.len() as u64, unit: size_of::<T>() });
        }
        roster::ensure()?;
        let map = memfd.map(Access::ReadWrite)?;
        Ok(Shared { ptr: map.as_ptr().cast(), region: Arc::new(Region { map, memfd: Some(memfd) }) })
    }
}

impl<T: Share + 'static> Shared<[T]> {
    /// `n` values in shared memory, value `i` made by `make(i)`.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use tine::memory::Shared;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let counters = Shared::<[AtomicU32]>::from_fn(8, |i| AtomicU32::new(i as u32))?;
    /// counters[3].fetch_add(10, Ordering::Relaxed);
    /// assert_eq!(counters[3].load(Ordering::Relaxed), 13);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A size beyond the address space, and what
    /// [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says.
    ///
    /// # Panics
    ///
    /// If `make` does; nothing leaks.
    pub fn from_fn(n: usize, mut make: impl FnMut(usize) -> T) -> io::Result<Shared<[T]>> {
        const { assert_shareable::<T>() };
        roster::ensure()?;
        let map = Map::anonymous(bytes_of::<T>(n)?, Sharing::Shared, false)?;
        let first = map.as_ptr().cast::<T>();
        for i in 0..n {
            // SAFETY: the mapping holds `n` values of `T`, aligned as above; nobody else knows it yet.
            unsafe { first.add(i).write(make(i)) };
        }
        Ok(Shared { ptr: NonNull::slice_from_raw_parts(first, n), region: Arc::new(Region { map, memfd: None }) })
    }
}

/// What may not go into shared memory although it is [`Share`], refused at compile time.
const fn assert_shareable<T>() {
    assert_page_aligned::<T>();
    assert!(!std::mem::needs_drop::<T>(), "no process would be the one to drop a shared value");
}

impl<T: ?Sized> Shared<T> {
    /// The descriptor of the memory, if it has one: to hand it to a process that is no child.
    pub fn memfd(&self) -> Option<BorrowedFd<'_>> {
        self.region.memfd.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// Gives the kernel a hint about all of it.
    ///
    /// # Errors
    ///
    /// As for [`Private::advise`](super::Private::advise).
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        advice.give(&self.region.map, 0, self.region.map.len())
    }

    /// Whether two handles lead to the same value.
    pub fn ptr_eq(this: &Shared<T>, other: &Shared<T>) -> bool {
        std::ptr::addr_eq(this.ptr.as_ptr(), other.ptr.as_ptr())
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value was put there when the region was made, and is mapped while any handle of this process
        // lives. Everybody reaches it by `&T` only, which is what its type is made for (`Share`).
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { ptr: self.ptr, region: Arc::clone(&self.region) }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&&**self).finish()
    }
}

/// The child shares the memory.
///
/// To be sent through a [`Duplex`](crate::channel::Duplex) it must be made by [`with_memfd`](Shared::with_memfd). What arrives is
/// a memfd that cannot shrink, of the length of a `T` of the same name. That a valid `T` is in it is the sender's word: as
/// always with `Shared`, those who have it trust each other.
impl<T: Share + 'static> Pass for Shared<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        out.wire(&fingerprint::<T>())?;
        out.descriptor(self.memfd().ok_or_else(|| EncodeError::new(NO_DESCRIPTOR))?);
        Ok(())
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Shared<T>, DecodeError> {
        if input.wire::<[u64; 2]>()? != fingerprint::<T>() {
            return Err(input.invalid("shared memory came that holds a value of another type"));
        }
        Memfd::receive(input, |memfd| {
            if memfd.len() != size_of::<T>() {
                return Err(MemfdError::Size { len: memfd.len() as u64, unit: size_of::<T>() });
            }
            // SAFETY: the other end of the channel has the same types as this one, by how the pair is made, and the value that
            // was encoded there was a `Shared<T>`: its memory holds a valid `T`, and is written through `&T`. A sender that is
            // not what it seems, one whose memory others have overwritten, could forge that; against such a process `Shared` does
            // not protect, however it is come by (docs/safety.md).
            unsafe { Shared::attach(memfd) }
        })
    }
}

/// The same for the same type of the same program; nearly surely another for another.
fn fingerprint<T>() -> [u64; 2] {
    let name = std::any::type_name::<T>();
    // FNV-1a.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    [hash, (size_of::<T>() as u64) << 16 | align_of::<T>() as u64]
}

/// The child shares the memory. It has no descriptor, so no socket carries it.
impl<T: Share + 'static> Pass for Shared<[T]> {
    fn encode_pass<'a>(&'a self, _: &mut Passing<'a>) -> Result<(), EncodeError> {
        Err(EncodeError::new("a shared slice has no descriptor, so it reaches only those who are forked from here on"))
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        Err(input.invalid("a shared slice has no descriptor, so none was sent"))
    }
}
