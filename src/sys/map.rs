//! The one `mmap`, the one `munmap`, and the list of the mappings that are ours.
//!
//! # Safety
//!
//! This file opens `unsafe` because mapping memory is what it wraps. A [`Map`] owns its range: nobody else
//! unmaps it, and it is unmapped once. What may be done with the bytes is decided by the types of
//! [`crate::memory`]; here they are only an address.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};

/// What a fork does to the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// `MAP_PRIVATE`: copied on write.
    Private,
    /// `MAP_SHARED`: the same memory on both sides.
    Shared,
}

/// What this process may do with the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// A mapping, owned.
///
/// ```text
///   base            ptr = base + guard                        base + total
///    | guard page    | len bytes, rounded up to pages | guard page |
///    |  PROT_NONE    |  PROT_READ | PROT_WRITE        |  PROT_NONE |
/// ```
///
/// Without guards `ptr == base`. A length of zero maps nothing, and `ptr` dangles at a page boundary.
#[derive(Debug)]
pub(crate) struct Map {
    base: NonNull<u8>,
    total: usize,
    guard: usize,
    len: usize,
}

// SAFETY: a Map is an address range and its lengths; munmap may be called from any thread. Access to the
// bytes is the business of the types that hold a Map.
unsafe impl Send for Map {}
// SAFETY: `&Map` gives out only addresses and calls to madvise, which the kernel serialises.
unsafe impl Sync for Map {}

impl Map {
    /// Zeroed memory. `guards` puts an inaccessible page before and behind it.
    pub(crate) fn anonymous(len: usize, sharing: Sharing, guards: bool) -> io::Result<Map> {
        let body = round_up(len)?;
        let guard = if guards && len > 0 { page_size() } else { 0 };
        let total = body.checked_add(2 * guard).filter(|&t| t <= isize::MAX as usize).ok_or_else(|| too_large(len))?;
        if total == 0 {
            return Ok(Map::empty());
        }
        let flags = match sharing {
            Sharing::Private => MapFlags::PRIVATE,
            Sharing::Shared => MapFlags::SHARED,
        };
        let prot = if guard > 0 { ProtFlags::empty() } else { ProtFlags::READ | ProtFlags::WRITE };
        // SAFETY: a null hint without MAP_FIXED never replaces an existing mapping.
        let base = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), total, prot, flags) }?;
        let map = Map::own(base, total, guard, len, sharing == Sharing::Shared);
        if guard > 0 {
            // SAFETY: the range is the body of the mapping made above, which nobody else knows yet.
            unsafe {
                rustix::mm::mprotect(map.as_ptr().as_ptr().cast(), body, MprotectFlags::READ | MprotectFlags::WRITE)
            }?;
        }
        Ok(map)
    }

    /// The first `len` bytes of a file. The caller has checked that the file is that long and cannot shrink; where
    /// nothing can keep it from shrinking (a segment), access beyond its end is a SIGBUS.
    pub(crate) fn file(fd: BorrowedFd<'_>, len: usize, sharing: Sharing, access: Access) -> io::Result<Map> {
        let total = round_up(len)?;
        if total == 0 {
            return Ok(Map::empty());
        }
        let flags = match sharing {
            Sharing::Private => MapFlags::PRIVATE,
            Sharing::Shared => MapFlags::SHARED,
        };
        let prot = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a null hint without MAP_FIXED never replaces an existing mapping.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), total, prot, flags, fd, 0) }?;
        Ok(Map::own(base, total, 0, len, sharing == Sharing::Shared))
    }

    /// Zeroed memory for words of the library's own, shared with every child. Kept for the life of the process: the caller
    /// forgets it.
    ///
    /// A memfd where it can be, because that has a name in `/proc/PID/maps`. Not where the program limits the size of its
    /// files: the kernel answers a length over the limit with SIGXFSZ, which ends the program.
    pub(crate) fn kept_by_the_family(name: &CStr, len: usize) -> io::Result<Map> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        if limit.is_none_or(|limit| limit >= len as u64)
            && let Ok(file) = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)
        {
            rustix::fs::ftruncate(&file, len as u64)?;
            return Map::file(file.as_fd(), len, Sharing::Shared, Access::ReadWrite);
        }
        Map::anonymous(len, Sharing::Shared, false)
    }

    /// Zeroed memory shared with every child, the second part of which is there twice:
    ///
    /// ```text
    ///   ptr        ptr + head           ptr + head + body
    ///    | head bytes | body: page 0 .. n   | the same pages, 0 .. n |
    /// ```
    ///
    /// So a run of up to `body` bytes that begins anywhere in the body lies in one piece, though the ring of pages ends in
    /// it. `len` is that of all three parts. Both lengths are whole pages, and not 0.
    ///
    /// The second view is made by a `mremap` of length 0, which maps pages that are shared once more. It needs no
    /// descriptor, so that a thousand of these take none, and no file, whose length a program may limit (RLIMIT_FSIZE).
    pub(crate) fn twice(head: usize, body: usize) -> io::Result<Map> {
        let page = page_size();
        assert!(head.is_multiple_of(page) && body.is_multiple_of(page) && head > 0 && body > 0, "whole pages");
        let once = head.checked_add(body);
        let total = once.and_then(|once| once.checked_add(body)).filter(|&total| total <= isize::MAX as usize);
        let (Some(once), Some(total)) = (once, total) else { return Err(too_large(body)) };
        // SAFETY: a null hint without MAP_FIXED never replaces an existing mapping.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                total,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        // On the list as shared from here on: of the memory in it that is shared, all is ours.
        let map = Map::own(base, total, 0, total, true);
        let (first, second) = (base.cast::<u8>(), base.cast::<u8>().wrapping_add(once));
        // SAFETY: both calls replace pages of the reservation above, which nobody else knows yet, and which keeps
        // others out of the range meanwhile. The second call's old range is what the first one has mapped.
        unsafe {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            rustix::mm::mmap_anonymous(first.cast(), once, prot, MapFlags::SHARED | MapFlags::FIXED)?;
            let body_at = first.add(head).cast();
            rustix::mm::mremap_fixed(body_at, 0, body, MremapFlags::MAYMOVE, second.cast())?;
        }
        Ok(map)
    }

    fn own(base: *mut core::ffi::c_void, total: usize, guard: usize, len: usize, shared: bool) -> Map {
        let base = NonNull::new(base.cast::<u8>()).expect("mmap without MAP_FIXED never returns address zero");
        let entry = Entry { len: total, shared, hidden: false };
        registry().insert(base.as_ptr() as usize, entry);
        Map { base, total, guard, len }
    }

    fn empty() -> Map {
        let page = ptr::without_provenance_mut::<u8>(page_size());
        Map { base: NonNull::new(page).expect("a page is not of size zero"), total: 0, guard: 0, len: 0 }
    }

    /// The first usable byte; page aligned.
    pub(crate) fn as_ptr(&self) -> NonNull<u8> {
        // SAFETY: `guard` is at most `total`, so the result stays inside the mapping (or is `base` itself).
        unsafe { self.base.add(self.guard) }
    }

    /// The usable bytes, as asked for.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Gives the kernel `advice` about bytes `offset..offset + len` of the body; partial pages count as whole.
    ///
    /// # Safety
    ///
    /// The advice leaves what the bytes hold alone (in this process and its children), or the owner of this
    /// Map keeps only values there for which losing them to zeroes is harmless, and no reference to them.
    pub(crate) unsafe fn advise(&self, offset: usize, len: usize, advice: Advice) -> io::Result<()> {
        let Some((start, len)) = self.pages(offset, len) else { return Ok(()) };
        // SAFETY: the range lies within this mapping (`pages` cuts it there); the caller answers for the effect.
        Ok(unsafe { rustix::mm::madvise(start.as_ptr().cast(), len, advice) }?)
    }

    /// Keeps the pages of bytes `offset..offset + len` in memory, not in swap.
    pub(crate) fn lock(&self, offset: usize, len: usize) -> io::Result<()> {
        let Some((start, len)) = self.pages(offset, len) else { return Ok(()) };
        // SAFETY: the range lies within this mapping; locking changes no contents.
        Ok(unsafe { rustix::mm::mlock(start.as_ptr().cast(), len) }?)
    }

    /// The opposite of [`Map::lock`].
    pub(crate) fn unlock(&self, offset: usize, len: usize) -> io::Result<()> {
        let Some((start, len)) = self.pages(offset, len) else { return Ok(()) };
        // SAFETY: the range lies within this mapping; unlocking changes no contents.
        Ok(unsafe { rustix::mm::munlock(start.as_ptr().cast(), len) }?)
    }

    /// Takes the whole mapping away from every future child (`MADV_DONTFORK`), for good.
    ///
    /// # Safety
    ///
    /// The owner of this Map touches its bytes in the process that called this only, and never through a
    /// reference that a child could inherit; in a child it forgets the Map instead of dropping it, because
    /// the range may be somebody else's there.
    pub(crate) unsafe fn hide(&self) -> io::Result<()> {
        if self.total == 0 {
            return Ok(());
        }
        // One lock around both steps: a fork of ours between them would leave a hole that nobody fills.
        let mut registry = registry();
        // SAFETY: the range is this mapping; the caller keeps to what the child loses.
        unsafe { rustix::mm::madvise(self.base.as_ptr().cast(), self.total, Advice::LinuxDontFork) }?;
        if let Some(entry) = registry.get_mut(&(self.base.as_ptr() as usize)) {
            entry.hidden = true;
        }
        Ok(())
    }

    /// The whole pages that hold bytes `offset..offset + len` of the body, cut at its end; None if there are none.
    fn pages(&self, offset: usize, len: usize) -> Option<(NonNull<u8>, usize)> {
        let end = offset.saturating_add(len).min(self.len);
        if offset >= end {
            return None;
        }
        let start = offset & !(page_size() - 1);
        // `end` is at most `self.len`, whose rounding up succeeded when the mapping was made.
        let end = round_up(end).unwrap_or(self.len);
        // SAFETY: `start` is less than `len`, so the result stays inside the body.
        Some((unsafe { self.as_ptr().add(start) }, end - start))
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.total == 0 {
            return;
        }
        registry().remove(&(self.base.as_ptr() as usize));
        // SAFETY: the range is ours alone, and the owner of this Map has given up every pointer into it.
        // An error is not possible for a range that mmap returned, and could not be acted on.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.total) };
    }
}

/// One mapping of ours: its length, whether it is MAP_SHARED, whether it is DONTFORK.
#[derive(Debug)]
pub(crate) struct Entry {
    len: usize,
    shared: bool,
    hidden: bool,
}

type Registry = BTreeMap<usize, Entry>;

static REGISTRY: Mutex<Registry> = Mutex::new(BTreeMap::new());

/// The list of our mappings, locked. A fork holds it, so that the child finds it whole and unlocked even when
/// another thread was mapping at that moment.
pub(crate) fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `start..end` is covered by MAP_SHARED mappings of ours. The kernel may show two neighbours as one line.
pub(crate) fn ours(registry: &Registry, start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end {
        match registry.range(..=at).next_back() {
            Some((&base, entry)) if entry.shared && at < base + entry.len => at = base + entry.len,
            _ => return false,
        }
    }
    true
}

/// In a child, right after fork: puts inaccessible pages where DONTFORK left holes.
///
/// Otherwise the child's next allocation lands in the hole, and a stale address into the hidden region reads
/// somebody else's data instead of faulting. This is the second wall: the first is that the owner of a hidden
/// region asks [`super::generation`] before it touches it. So what cannot be filled is left alone:
///
/// - taken already: by the inaccessible page that an earlier child of this family put there, or by an
///   allocation of an atfork handler, which runs before anything of ours;
/// - refused by the kernel, which is out of mappings.
pub(crate) fn fill_holes(registry: &Registry) {
    for (&base, entry) in registry.iter().filter(|(_, entry)| entry.hidden) {
        // SAFETY: MAP_FIXED_NOREPLACE only ever takes a range that is free; PROT_NONE pages hold no data.
        let _ = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::without_provenance_mut(base),
                entry.len,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE | MapFlags::NORESERVE,
            )
        };
    }
}

/// The size of a page, in bytes.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// `len` rounded up to whole pages; an error where that does not fit the address space.
pub(crate) fn round_up(len: usize) -> io::Result<usize> {
    let page = page_size();
    len.checked_add(page - 1)
        .map(|n| n & !(page - 1))
        .filter(|&n| n <= isize::MAX as usize)
        .ok_or_else(|| too_large(len))
}

fn too_large(len: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!("a mapping of {len} bytes does not fit the address space; ask for less"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_address_space_are_refused() {
        for len in [usize::MAX, usize::MAX - 4095, isize::MAX as usize, isize::MAX as usize - 4095] {
            for guards in [false, true] {
                let error = Map::anonymous(len, Sharing::Private, guards).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{len}: {error}");
            }
        }
    }

    #[test]
    fn the_second_view_is_of_the_same_pages_and_stays_so_in_children() {
        let page = page_size();
        let map = Map::twice(page, 2 * page).unwrap();
        assert_eq!(map.len(), 5 * page);
        let byte = |at: usize| map.as_ptr().as_ptr().wrapping_add(at);
        // SAFETY: all of it lies in the mapping, and no reference leads there.
        let (get, set) =
            (|at| unsafe { byte(at).read_volatile() }, |at, value| unsafe { byte(at).write_volatile(value) });
        for at in [0, page - 1, page, 2 * page - 1] {
            set(page + at, 7);
            assert_eq!(get(3 * page + at), 7, "seen in the second view");
            set(3 * page + at, 8);
            assert_eq!(get(page + at), 8, "seen in the first");
        }
        assert_eq!((get(0), get(page - 1)), (0, 0), "the head is apart");
        let status = forked(|| {
            set(5 * page - 1, 9);
            i32::from(get(3 * page - 1) != 9)
        });
        assert_eq!((status, get(3 * page - 1)), (0, 9), "the child has the same two views of the same pages");
        let base = map.as_ptr().as_ptr() as usize;
        assert!(ours(&registry(), base, base + map.len()));
    }

    #[test]
    fn double_mappings_beyond_the_address_space_are_refused() {
        let page = page_size();
        let huge = isize::MAX as usize & !(page - 1);
        for (head, body) in [(page, huge), (page, (huge / 2) & !(page - 1)), (huge, huge), (page, 1 << 50)] {
            let error = Map::twice(head, body).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{head} {body}: {error}");
        }
    }

    #[test]
    fn neighbours_that_the_kernel_shows_as_one_are_ours_and_nothing_else_is() {
        let entry = |len, shared| Entry { len, shared, hidden: false };
        let registry = BTreeMap::from([
            (0x1000, entry(0x1000, true)),
            (0x2000, entry(0x2000, true)),
            (0x6000, entry(0x1000, false)),
        ]);
        assert!(ours(&registry, 0x1000, 0x4000));
        assert!(ours(&registry, 0x2000, 0x3000));
        assert!(!ours(&registry, 0x1000, 0x5000), "ends in a stranger");
        assert!(!ours(&registry, 0x0000, 0x2000), "begins in a stranger");
        assert!(!ours(&registry, 0x6000, 0x7000), "private");
    }

    #[test]
    fn a_hole_is_filled_in_children_and_their_children() {
        let map = Map::anonymous(3 * page_size(), Sharing::Private, false).unwrap();
        // SAFETY: nobody touches the bytes, and the child below does not drop the Map.
        unsafe { map.hide() }.unwrap();
        let taken = || {
            // SAFETY: takes free address space only; the mapping is not used.
            let probe = unsafe {
                rustix::mm::mmap_anonymous(
                    map.base.as_ptr().cast(),
                    page_size(),
                    ProtFlags::empty(),
                    MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE,
                )
            };
            probe == Err(rustix::io::Errno::EXIST)
        };
        assert!(taken(), "in the parent it is the region itself");
        // As a fork path does it: the list is locked across the fork, so the child finds it whole.
        let registry = registry();
        let status = forked(|| {
            fill_holes(&registry);
            // A grandchild inherits the filling; filling again must not hurt.
            let grandchild = forked(|| {
                fill_holes(&registry);
                i32::from(!taken())
            });
            if taken() { grandchild } else { 1 }
        });
        assert_eq!(status, 0);
        // The twin: without the call there is a hole.
        assert_eq!(forked(|| i32::from(taken())), 0, "DONTFORK left no hole, so this test proves nothing");
    }

    /// The exit code of a child that does nothing but system calls: this process has threads.
    fn forked(f: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child calls only what is async-signal-safe and ends in `_exit`.
        match unsafe { libc::fork() } {
            // SAFETY: ends this child, as intended.
            0 => unsafe { libc::_exit(f()) },
            pid => {
                let pid = rustix::process::Pid::from_raw(pid).expect("fork");
                let status = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                status.expect("our own child").expect("it ended").1.exit_status().unwrap_or(-1)
            }
        }
    }
}
