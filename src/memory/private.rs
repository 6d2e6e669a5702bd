//! Private memory: after a fork each side has its own, copied page by page when it is written.
//!
//! # Safety
//!
//! This file opens `unsafe` because a [`Private`] owns a value in a mapping, as a `Box` owns one on the heap: made
//! once, reached through one pointer, dropped once per process.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut, RangeBounds};
use std::ptr::NonNull;

use super::hidden::{Hidden, Wiped};
use super::{Advice, assert_page_aligned, bytes_of, resolve};
use crate::sys::map::{Map, Sharing, page_size, round_up};
use crate::sys::pagemap::{self, Page};
use crate::wire::Plain;

/// A value in pages of its own, which a fork copies on write: `Box`, with the pages in your hands.
///
/// After a fork parent and child each own the value. Neither ever sees a write of the other; a page is copied when
/// one of them first writes to it, and not before. So `&mut` is honest here, and any type may be inside. When the
/// handle is dropped, this process's copy is dropped and unmapped, nobody else's.
///
/// ```
/// use tine::memory::Private;
///
/// # fn main() -> std::io::Result<()> {
/// let mut table = Private::<[u64]>::zeroed(4096)?;
/// table[17] = 4;
/// assert_eq!(table.iter().sum::<u64>(), 4);
///
/// // 4096 values of 8 bytes: 8 pages of 4 KiB, all of them looked at, one of them written.
/// let stats = table.cow_stats()?;
/// assert_eq!(stats.pages() * stats.page_size, 32768);
/// assert!(stats.private >= 1);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "MAP_PRIVATE")]
pub struct Private<T: ?Sized> {
    ptr: NonNull<T>,
    map: Map,
    owns: PhantomData<T>,
}

// SAFETY: a Private owns its value exclusively, as a Box does.
unsafe impl<T: ?Sized + Send> Send for Private<T> {}
// SAFETY: a shared Private gives out shared references only, as a Box does.
unsafe impl<T: ?Sized + Sync> Sync for Private<T> {}

static_assertions::assert_impl_all!(Private<[u8]>: Send, Sync);
static_assertions::assert_not_impl_any!(Private<std::cell::Cell<u8>>: Sync);
static_assertions::assert_not_impl_any!(Private<std::rc::Rc<u8>>: Send);

impl<T> Private<T> {
    /// Moves `value` into pages of its own.
    ///
    /// # Errors
    ///
    /// What [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says: no memory, or no more mappings. The
    /// value is dropped.
    pub fn new(value: T) -> io::Result<Private<T>> {
        const { assert_page_aligned::<T>() };
        let map = Map::anonymous(size_of::<T>(), Sharing::Private, false)?;
        let ptr = map.as_ptr().cast::<T>();
        // SAFETY: the mapping is new, page aligned (checked above to be enough) and at least as long as `T`.
        unsafe { ptr.write(value) };
        Ok(Private { ptr, map, owns: PhantomData })
    }
}

impl<T: Plain> Private<[T]> {
    /// `n` values of all zero bytes. No page is present until it is touched.
    ///
    /// # Errors
    ///
    /// A size beyond the address space, and what
    /// [mmap(2)](https://man7.org/linux/man-pages/man2/mmap.2.html) says.
    pub fn zeroed(n: usize) -> io::Result<Private<[T]>> {
        Private::map(n, false)
    }

    /// As [`zeroed`](Self::zeroed), with an inaccessible page before the first page and one behind the last: code
    /// that runs out of bounds (foreign code, or `unsafe` of your own) dies by SIGSEGV there instead of reading
    /// its neighbour.
    ///
    /// The values begin at the start of a page. Fill whole pages to have the guard directly behind the last value.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let guarded = tine::memory::Private::<[u8]>::zeroed_guarded(4096)?;
    /// assert_eq!(guarded.len(), 4096);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Self::zeroed).
    pub fn zeroed_guarded(n: usize) -> io::Result<Private<[T]>> {
        Private::map(n, true)
    }

    /// A copy of `values`.
    ///
    /// # Errors
    ///
    /// As for [`zeroed`](Self::zeroed).
    pub fn from_slice(values: &[T]) -> io::Result<Private<[T]>> {
        let mut copy = Private::<[T]>::zeroed(values.len())?;
        copy.copy_from_slice(values);
        Ok(copy)
    }

    fn map(n: usize, guards: bool) -> io::Result<Private<[T]>> {
        const { assert_page_aligned::<T>() };
        let map = Map::anonymous(bytes_of::<T>(n)?, Sharing::Private, guards)?;
        let ptr = NonNull::slice_from_raw_parts(map.as_ptr().cast::<T>(), n);
        Ok(Private { ptr, map, owns: PhantomData })
    }
}

impl<T> Private<[T]> {
    /// Gives the kernel a hint about some of the elements; the range is widened to whole pages.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a range beyond the end; else what
    /// [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says, `InvalidInput` again for advice that
    /// this kernel does not know.
    pub fn advise_range(&self, range: impl RangeBounds<usize>, advice: Advice) -> io::Result<()> {
        let range = resolve(range, self.len())?;
        advice.give(&self.map, range.start * size_of::<T>(), range.len() * size_of::<T>())
    }
}

impl<T: ?Sized> Private<T> {
    /// Gives the kernel a hint about all of it.
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says, `InvalidInput` for advice
    /// that this kernel does not know.
    pub fn advise(&self, advice: Advice) -> io::Result<()> {
        advice.give(&self.map, 0, self.map.len())
    }

    /// Which of these pages are shared with another process, and which are this process's alone.
    ///
    /// The kernel keeps that count, page by page, also inside huge pages. A page is `shared` from a fork until
    /// all processes but one have written to it or ended: then it is `private` to the last one too, whose write no
    /// longer copies anything. The answer may be stale as soon as it is given, if others of the family run.
    ///
    /// # Errors
    ///
    /// Where `/proc` is not mounted, or this process is not dumpable
    /// ([proc_pid_pagemap(5)](https://man7.org/linux/man-pages/man5/proc_pid_pagemap.5.html)).
    #[doc(alias("pagemap", "PAGEMAP_SCAN"))]
    pub fn cow_stats(&self) -> io::Result<CowStats> {
        let mut stats = CowStats { shared: 0, private: 0, swapped: 0, absent: 0, page_size: page_size() };
        self.walk(|page, n| match page {
            Page::Shared => stats.shared += n,
            Page::Private => stats.private += n,
            Page::Swapped => stats.swapped += n,
            Page::Absent => stats.absent += n,
        })?;
        Ok(stats)
    }

    /// The same page by page, from first to last.
    ///
    /// ```
    /// use tine::memory::{Page, Private};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut region = Private::<[u8]>::zeroed(65536)?;
    /// assert_eq!(region.cow_map()?[0], Page::Absent);
    /// region[0] = 1;
    /// assert_eq!(region.cow_map()?[0], Page::Private);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`cow_stats`](Self::cow_stats).
    pub fn cow_map(&self) -> io::Result<Vec<Page>> {
        let mut pages = Vec::with_capacity(self.map.len().div_ceil(page_size()));
        self.walk(|page, n| pages.extend(std::iter::repeat_n(page, n)))?;
        Ok(pages)
    }

    fn walk(&self, visit: impl FnMut(Page, usize)) -> io::Result<()> {
        let start = self.map.as_ptr().as_ptr().addr();
        pagemap::walk(start..start + round_up(self.map.len())?, visit)
    }

    /// The mapping, without dropping the value: for values that need no drop.
    fn into_map(self) -> Map {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used again nor dropped, so the Map has one owner.
        unsafe { std::ptr::read(&this.map) }
    }
}

impl<T: Plain> Private<T> {
    /// Keeps the value from every child: after a fork it is simply not there (`MADV_DONTFORK`).
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says. The value is lost.
    #[doc(alias = "MADV_DONTFORK")]
    pub fn dont_fork(self) -> io::Result<Hidden<T>> {
        let ptr = self.ptr;
        Hidden::hide(self.into_map(), ptr)
    }

    /// Makes the value zero in every child (`MADV_WIPEONFORK`).
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says. The value is lost.
    #[doc(alias = "MADV_WIPEONFORK")]
    pub fn wipe_on_fork(self) -> io::Result<Wiped<T>> {
        let ptr = self.ptr;
        Wiped::wipe(self.into_map(), ptr)
    }
}

impl<T: Plain> Private<[T]> {
    /// Keeps the values from every child: after a fork they are simply not there (`MADV_DONTFORK`). The fork does not
    /// even look at them, so this is also the way to have a large region that costs a fork nothing.
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says. The values are lost.
    #[doc(alias = "MADV_DONTFORK")]
    pub fn dont_fork(self) -> io::Result<Hidden<[T]>> {
        let ptr = self.ptr;
        Hidden::hide(self.into_map(), ptr)
    }

    /// Makes the values zero in every child (`MADV_WIPEONFORK`).
    ///
    /// # Errors
    ///
    /// What [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) says. The values are lost.
    #[doc(alias = "MADV_WIPEONFORK")]
    pub fn wipe_on_fork(self) -> io::Result<Wiped<[T]>> {
        let ptr = self.ptr;
        Wiped::wipe(self.into_map(), ptr)
    }
}

impl<T: ?Sized> Deref for Private<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the pointer leads to the value that this handle owns, mapped while `map` lives. Another process's
        // writes land in its own copy.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Private<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `&mut self` is exclusive.
        unsafe { self.ptr.as_mut() }
    }
}

impl<T: ?Sized> Drop for Private<T> {
    fn drop(&mut self) {
        // SAFETY: the value was made in the constructor and is dropped here only; its pages go afterwards, with `map`.
        unsafe { self.ptr.drop_in_place() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// How many pages of a [`Private`] region are where. The four counts add up to all of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CowStats {
    /// Pages that are [`Page::Shared`].
    pub shared: usize,
    /// Pages that are [`Page::Private`].
    pub private: usize,
    /// Pages that are [`Page::Swapped`].
    pub swapped: usize,
    /// Pages that are [`Page::Absent`].
    pub absent: usize,
    /// The size of a page, in bytes.
    pub page_size: usize,
}

impl CowStats {
    /// All pages.
    pub fn pages(&self) -> usize {
        self.shared + self.private + self.swapped + self.absent
    }

    /// The bytes that are this process's alone.
    pub fn private_bytes(&self) -> usize {
        self.private * self.page_size
    }

    /// The bytes that are present and shared.
    pub fn shared_bytes(&self) -> usize {
        self.shared * self.page_size
    }
}
