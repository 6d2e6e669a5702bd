//! Which pages of this process are shared and which were copied: `/proc/self/pagemap`.
//!
//! # Safety
//!
//! This file opens `unsafe` for one ioctl, `PAGEMAP_SCAN`, which fills an array of ours.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use super::map::page_size;

/// Pages, by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Present, and mapped by other processes too (or the kernel's page of zeroes): a write copies it.
    pub(crate) shared: usize,
    /// Present, and mapped here only: a write is just a write.
    pub(crate) private: usize,
    /// In swap, or on its way between two places. Whose it is cannot be told.
    pub(crate) swapped: usize,
    /// Never touched, or given back.
    pub(crate) absent: usize,
}

impl Count {
    fn add(&mut self, entry: u64) {
        match place(entry) {
            Place::Shared => self.shared += 1,
            Place::Private => self.private += 1,
            Place::Swapped => self.swapped += 1,
            Place::Absent => self.absent += 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Shared,
    Private,
    Swapped,
    Absent,
}

/// What one entry of the pagemap says.
///
/// ```text
///   63       62       61    60..59  58     57    56         55          54 .. 0
///   present  swapped  file  -       guard  uffd  exclusive  soft-dirty  frame number (hidden without CAP_SYS_ADMIN)
/// ```
///
/// "Exclusive" is counted per page, also inside a huge page that two processes share. It is 0 for the page of
/// zeroes that backs memory which was read but never written.
fn place(entry: u64) -> Place {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const EXCLUSIVE: u64 = 1 << 56;
    if entry & PRESENT != 0 {
        if entry & EXCLUSIVE != 0 { Place::Private } else { Place::Shared }
    } else if entry & SWAPPED != 0 {
        Place::Swapped
    } else {
        Place::Absent
    }
}

/// Counts the pages of the addresses `range`, which starts and ends at a page.
///
/// `PAGEMAP_SCAN` (Linux 6.7) cannot tell exclusive pages, but it finds the pages that exist 14 times faster
/// than reading 8 bytes for each that does not (1 GiB never touched: 49 us against 689 us), so the entries are
/// read only there. Without it all are read; the counts are the same.
pub(crate) fn count(range: Range<usize>) -> io::Result<Count> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut count = Count::default();
    let mut at = range.start;
    while at < range.end {
        let mut regions = [Region::default(); 64];
        let (found, scanned_to) = match scan(&pagemap, at..range.end, &mut regions) {
            Ok(answer) => answer,
            Err(_) => {
                // An older kernel, or a sandbox: look at everything.
                read(&pagemap, at..range.end, &mut count)?;
                break;
            }
        };
        let mut absent = (scanned_to - at) / page_size();
        for region in &regions[..found] {
            absent -= (region.end - region.start) as usize / page_size();
            read(&pagemap, region.start as usize..region.end as usize, &mut count)?;
        }
        count.absent += absent;
        at = scanned_to;
    }
    Ok(count)
}

/// Reads the entries of `range` and counts them.
fn read(pagemap: &File, range: Range<usize>, count: &mut Count) -> io::Result<()> {
    const ENTRY: usize = size_of::<u64>();
    let mut buffer = [0; 1024 * ENTRY];
    let (mut page, end) = (range.start / page_size(), range.end / page_size());
    while page < end {
        let n = (end - page).min(1024);
        let bytes = &mut buffer[..n * ENTRY];
        pagemap.read_exact_at(bytes, (page * ENTRY) as u64)?;
        for entry in bytes.chunks_exact(ENTRY) {
            count.add(u64::from_ne_bytes(entry.try_into().expect("chunks_exact gives chunks of that size")));
        }
        page += n;
    }
    Ok(())
}

/// `struct page_region` of `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

static_assertions::const_assert_eq!(size_of::<Scan>(), 96);
static_assertions::const_assert_eq!(size_of::<Region>(), 24);

/// Finds the pages of `range` that are present or swapped: how many regions of them, and how far it looked.
fn scan(pagemap: &File, range: Range<usize>, regions: &mut [Region]) -> io::Result<(usize, usize)> {
    /// `_IOWR('f', 16, struct pm_scan_arg)`, the same number on x86_64 and aarch64.
    const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
    const PAGE_IS_PRESENT: u64 = 1 << 3;
    const PAGE_IS_SWAPPED: u64 = 1 << 4;
    let mut arg = Scan {
        size: size_of::<Scan>() as u64,
        start: range.start as u64,
        end: range.end as u64,
        vec: regions.as_mut_ptr().expose_provenance() as u64,
        vec_len: regions.len() as u64,
        category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        ..Scan::default()
    };
    // SAFETY: `arg` is the struct that this ioctl takes, and its `vec` is our array of `vec_len` elements, which
    // outlives the call. A kernel without the ioctl answers ENOTTY and touches neither.
    let found = unsafe { libc::ioctl(pagemap.as_fd().as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    let walked = arg.walk_end as usize;
    // No progress would make the caller's loop endless; it then reads everything instead.
    if walked <= range.start { Err(io::ErrorKind::Unsupported.into()) } else { Ok((found as usize, walked)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_decoded() {
        let bit = |n: u32| 1u64 << n;
        assert_eq!(place(0), Place::Absent);
        assert_eq!(place(bit(63) | bit(56) | 4711), Place::Private);
        assert_eq!(place(bit(63) | bit(61)), Place::Shared);
        assert_eq!(place(bit(62) | 99), Place::Swapped);
        // A guard region, or the marker of userfaultfd: no page.
        assert_eq!(place(bit(58)), Place::Absent);
        assert_eq!(place(bit(57)), Place::Absent);
    }

    #[test]
    fn scanning_and_reading_agree() {
        let page = page_size();
        let map = super::super::map::Map::anonymous(300 * page, super::super::map::Sharing::Private, false).unwrap();
        let start = map.as_ptr().as_ptr() as usize;
        // Every third page: more regions than one scan returns.
        for i in (0..300).step_by(3) {
            // SAFETY: the byte lies in the mapping made above, which nobody else uses.
            unsafe { map.as_ptr().add(i * page).write(1) };
        }
        let range = start..start + 300 * page;
        let mut all = Count::default();
        read(&File::open("/proc/self/pagemap").unwrap(), range.clone(), &mut all).unwrap();
        assert_eq!(all.private + all.shared, 100, "{all:?} (with huge pages on this would be more)");
        assert_eq!(count(range).unwrap(), all);
    }
}
