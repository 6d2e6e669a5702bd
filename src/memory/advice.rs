//! Hints about memory that never change what it holds.
//!
//! # Safety
//!
//! This file opens `unsafe` for one call of [`Map::advise`], with advice of which none touches contents.
#![allow(unsafe_code)]

use std::io;

use rustix::mm::Advice as Hint;

use crate::sys::map::Map;

/// A hint to the kernel about some pages: how they will be used, or where they should be.
///
/// None of these changes what the memory holds, in this process or in any other. A kernel may do nothing about
/// them. A range given in elements is widened to whole pages.
///
/// The advice that does change contents is not here: `DONTFORK` and `WIPEONFORK` are
/// [`Private::dont_fork`](super::Private::dont_fork) and [`Private::wipe_on_fork`](super::Private::wipe_on_fork).
///
/// From [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) and
/// [mlock(2)](https://man7.org/linux/man-pages/man2/mlock.2.html).
#[doc(alias("madvise", "mlock"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing special: takes back the next three.
    #[doc(alias = "MADV_NORMAL")]
    Normal,
    /// Read from front to back: read ahead boldly.
    #[doc(alias = "MADV_SEQUENTIAL")]
    Sequential,
    /// Read here and there: do not read ahead.
    #[doc(alias = "MADV_RANDOM")]
    Random,
    /// Will be used soon.
    #[doc(alias = "MADV_WILLNEED")]
    WillNeed,
    /// Use pages of 2 MiB where possible. A fork then copies 512 times fewer page table entries; the first write of
    /// either side after it splits the huge page and copies 4 KiB, so the bargain holds until the next fork.
    #[doc(alias = "MADV_HUGEPAGE")]
    HugePages,
    /// Never use huge pages: after a fork exactly what is written gets copied, page by page.
    #[doc(alias = "MADV_NOHUGEPAGE")]
    NoHugePages,
    /// Make the pages present now, for reading: shared with whoever has them. Linux 5.14.
    #[doc(alias = "MADV_POPULATE_READ")]
    PopulateRead,
    /// Make the pages present now, for writing: what is still shared after a fork is copied now. Linux 5.14.
    ///
    /// If memory runs out this is an error, where a write would end in the OOM killer or not, as luck has it.
    #[doc(alias = "MADV_POPULATE_WRITE")]
    PopulateWrite,
    /// Not needed for a while: first to go when memory is short.
    #[doc(alias = "MADV_COLD")]
    Cold,
    /// Move to swap now.
    #[doc(alias = "MADV_PAGEOUT")]
    PageOut,
    /// Leave out of core dumps.
    #[doc(alias = "MADV_DONTDUMP")]
    NoDump,
    /// Take back [`Advice::NoDump`].
    #[doc(alias = "MADV_DODUMP")]
    Dump,
    /// Keep in memory, never in swap. A child does not inherit this. Bounded by `RLIMIT_MEMLOCK`.
    #[doc(alias = "mlock")]
    Lock,
    /// Take back [`Advice::Lock`].
    #[doc(alias = "munlock")]
    Unlock,
}

impl Advice {
    /// Gives the advice about bytes `offset..offset + len` of a mapping.
    pub(super) fn give(self, map: &Map, offset: usize, len: usize) -> io::Result<()> {
        let hint = match self {
            Advice::Lock => return map.lock(offset, len),
            Advice::Unlock => return map.unlock(offset, len),
            Advice::Normal => Hint::Normal,
            Advice::Sequential => Hint::Sequential,
            Advice::Random => Hint::Random,
            Advice::WillNeed => Hint::WillNeed,
            Advice::HugePages => Hint::LinuxHugepage,
            Advice::NoHugePages => Hint::LinuxNoHugepage,
            Advice::PopulateRead => Hint::LinuxPopulateRead,
            Advice::PopulateWrite => Hint::LinuxPopulateWrite,
            Advice::Cold => Hint::LinuxCold,
            Advice::PageOut => Hint::LinuxPageOut,
            Advice::NoDump => Hint::LinuxDontDump,
            Advice::Dump => Hint::LinuxDoDump,
        };
        // SAFETY: each of these leaves the contents alone; POPULATE_WRITE breaks sharing by copying, which is what a
        // write of the same value would do.
        unsafe { map.advise(offset, len, hint) }
    }
}
