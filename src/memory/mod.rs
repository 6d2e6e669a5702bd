//! Pages: what a fork copies, what it shares, and what it may not touch.
//!
//! After a fork every page of a process is one of two kinds, and here they are different types with
//! different rights:
//!
//! | type | what a fork does | what it gives out | holds |
//! |---|---|---|---|
//! | [`Private<T>`] | copied on write: each side has its own | `&T`, `&mut T` | any `T` |
//! | [`Shared<T>`] | the same memory on both sides | `&T` | [`Share`]: atomics, locks, structs of them |
//! | [`SharedSlice<T>`] | the same memory on both sides | copies in, copies out | [`Plain`] |
//! | [`View<T>`] | the same memory, not writable here | copies out | [`Plain`] |
//! | [`Frozen<T>`] | the same memory, which nobody can write any more | `&[T]` | [`Plain`] |
//! | [`Hidden<T>`] | not there in the child (`DONTFORK`) | copies, or an error | [`Plain`] |
//! | [`Wiped<T>`] | zeroes in the child (`WIPEONFORK`) | copies | [`Plain`] |
//! | [`Memfd`] | the descriptor of such memory, to hand over | the types above | |
//! | [`Segment`] | the same memory, which has a name | [`SharedSlice<T>`], [`View<T>`] | [`Plain`] |
//!
//! [`Segment`]s can be made and opened by Python; [`ShareableList`] reads a list of Python's in one.
//!
//! There is never a `&mut T`, nor a `&[u8]`, into memory that another process may write: the compiler would
//! be promised what nobody can keep.
//!
//! [`Private::cow_stats`] counts which pages were copied; [`fork_cost`] says what a fork will cost now.
//!
//! # When a process dies
//!
//! The kernel unmaps what it had; memory that others map too stays, with whatever the dead process had
//! written so far. A value of 1, 2, 4 or 8 bytes in a [`SharedSlice`] is old or new, never half; a bulk copy may
//! have stopped anywhere. [`FillChunks`] is for results of which the survivors must know whether they are whole.
//!
//! # Sizes
//!
//! Lengths are elements of `T` unless a name says bytes. A length of zero is allowed everywhere (but for a
//! [`Segment`], which nobody could open then) and maps nothing. What does not fit the address space, or memory, is an error; nothing here panics on a size.
//!
//! [`Plain`]: crate::wire::Plain
//! [`Share`]: crate::wire::Share

mod advice;
pub(crate) mod cells;
mod chunks;
mod cost;
mod frozen;
mod hidden;
mod memfd;
mod private;
mod room;
mod segment;
mod segment_error;
mod segment_file;
mod segment_name;
mod shareable_list;
mod shared;
mod slice;

pub use advice::Advice;
pub use chunks::FillChunks;
pub use cost::{ForkCost, fork_cost};
pub use frozen::{FreezeError, FreezeReason, Frozen};
pub use hidden::{Hidden, HiddenError, Wiped};
pub use memfd::{Memfd, MemfdError, Seals};
pub use private::{CowStats, Private};
pub use segment::{Origin, Segment};
pub use segment_error::SegmentError;
pub use shareable_list::{Item, ListError, ShareableList};
pub use shared::Shared;
pub use slice::{SharedSlice, View};

pub use crate::sys::pagemap::Page;

// A name only: a snapshot is a process, and lives on the floor above, but it is here that it is looked for.
pub use crate::process::{Snapshot, snapshot};

pub(crate) use cost::private_dirty;

use std::fmt;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use crate::sys::map::Map;

/// A range reaches beyond the end of a region, or ends before it starts. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The first element asked for.
    pub start: usize,
    /// The element behind the last one asked for, or `usize::MAX` where it is larger.
    pub end: usize,
    /// How many elements there are.
    pub len: usize,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.end < self.start {
            return write!(f, "the range {}..{} ends before it starts", self.start, self.end);
        }
        write!(f, "elements {}..{} were asked for, but the region has {}", self.start, self.end, self.len)
    }
}

impl std::error::Error for OutOfRange {}

impl From<OutOfRange> for io::Error {
    fn from(error: OutOfRange) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// `n` elements from `offset`, where there are `len`.
pub(crate) fn span(offset: usize, n: usize, len: usize) -> Result<Range<usize>, OutOfRange> {
    let out = OutOfRange { start: offset, end: offset.saturating_add(n), len };
    match offset.checked_add(n) {
        Some(end) if end <= len => Ok(offset..end),
        _ => Err(out),
    }
}

/// Any kind of range, where there are `len` elements.
fn resolve(range: impl RangeBounds<usize>, len: usize) -> Result<Range<usize>, OutOfRange> {
    let start = match range.start_bound() {
        Bound::Unbounded => Some(0),
        Bound::Included(&start) => Some(start),
        Bound::Excluded(&start) => start.checked_add(1),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => Some(len),
        Bound::Included(&end) => end.checked_add(1),
        Bound::Excluded(&end) => Some(end),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= len => Ok(start..end),
        (start, end) => Err(OutOfRange { start: start.unwrap_or(usize::MAX), end: end.unwrap_or(usize::MAX), len }),
    }
}

/// The size of `n` elements, in bytes.
fn bytes_of<T>(n: usize) -> io::Result<usize> {
    n.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("{n} elements of {} bytes do not fit the address space; ask for less", size_of::<T>()),
        )
    })
}

/// Refuses at compile time what a mapping, which starts at a page, cannot align. No supported page is smaller.
const fn assert_page_aligned<T>() {
    assert!(align_of::<T>() <= 4096, "the alignment of this type is larger than a page");
}

/// A mapping and, where it is not anonymous, the file behind it. Dropped in this order.
#[derive(Debug)]
struct Region {
    map: Map,
    memfd: Option<Memfd>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_resolved_or_refused() {
        let ok = |range: Range<usize>| Ok::<_, OutOfRange>(range);
        assert_eq!(resolve(.., 5), ok(0..5));
        assert_eq!(resolve(5.., 5), ok(5..5));
        assert_eq!(resolve(1..=4, 5), ok(1..5));
        assert_eq!(resolve((Bound::Excluded(0), Bound::Unbounded), 5), ok(1..5));
        for refused in [
            resolve(6.., 5),
            resolve(..6, 5),
            resolve(0..=usize::MAX, 5),
            resolve((Bound::Excluded(usize::MAX), Bound::Unbounded), 5),
            #[expect(clippy::reversed_empty_ranges, reason = "the point of this line")]
            resolve(3..2, 5),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
        assert_eq!(span(5, 0, 5), ok(5..5));
        assert_eq!(span(usize::MAX, 2, 5), Err(OutOfRange { start: usize::MAX, end: usize::MAX, len: 5 }));
    }

    #[test]
    fn sizes_that_overflow_are_errors() {
        assert_eq!(bytes_of::<u64>(3).unwrap(), 24);
        assert_eq!(bytes_of::<u64>(usize::MAX / 8 + 2).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(bytes_of::<u8>(usize::MAX).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(bytes_of::<()>(usize::MAX).unwrap(), 0);
    }
}
