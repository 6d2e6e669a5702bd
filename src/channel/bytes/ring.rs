//! The pages of a ring of bytes.
//!
//! # Safety
//!
//! This file opens `unsafe` to lay words and bytes over a mapping, which lives as long as the [`Pages`] do. What refers into them
//! is atomics; the bytes are copied, but by an end whose user has vouched for all who could write meanwhile.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::channel::end::{Ends, Table};
use crate::channel::raw::bytes::{WORD, Words};
use crate::channel::raw::cursor::{Cursors, Line};
use crate::channel::raw::signal::Signal;
use crate::memory::cells::Cells;
use crate::sys::map::{Map, page_size};
use crate::sys::roster;

/// The words of the channel, all of them atomics, and valid as zeroes.
///
/// ```text
///   0     128    256      384       512
///   | tail | head | filled | emptied | ends ..
/// ```
#[repr(C)]
pub(super) struct Header {
    pub(super) cursors: Cursors,
    /// For the receiver, who sleeps until there is something.
    pub(super) filled: Line<Signal>,
    /// For the sender, who sleeps until there is room.
    pub(super) emptied: Line<Signal>,
    ends: Line<Ends<2>>,
}

static_assertions::const_assert!(size_of::<Header>() <= 4096);

impl Header {
    pub(super) fn ends(&self) -> Table<'_> {
        self.ends.0.table()
    }
}

/// What both ends of one process have: the pages, and what is known of them without looking there.
///
/// ```text
///   | header : one page | bytes : capacity | the same bytes again |
/// ```
///
/// Since the bytes are there twice, a frame lies in one piece wherever in the ring it begins.
#[derive(Clone)]
pub(super) struct Ring {
    pages: Arc<Map>,
    capacity: usize,
}

impl Ring {
    /// With room for at least `bytes` bytes of frames.
    pub(super) fn new(bytes: usize) -> io::Result<Ring> {
        // The words name processes and threads by it.
        roster::ensure()?;
        let capacity = bytes.max(page_size()).checked_next_power_of_two().ok_or_else(|| {
            let why = format!("a ring of {bytes} bytes does not fit the address space; ask for less");
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        })?;
        Ok(Ring { pages: Arc::new(Map::twice(page_size(), capacity)?), capacity })
    }

    /// A power of two, and whole pages.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The longest message that is one frame.
    #[inline]
    pub(super) fn longest_in_place(&self) -> usize {
        self.capacity - WORD as usize
    }

    /// How many bytes are in the ring, as of two moments.
    pub(super) fn len(&self) -> usize {
        self.header().cursors.len(self.capacity as u64) as usize
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping begins with a page of zeroes for this, as which it is valid, and lives as long as `self`.
        // Whatever is written there by whomever, atomics stay valid.
        unsafe { self.pages.as_ptr().cast::<Header>().as_ref() }
    }

    /// Where the bytes begin.
    #[inline]
    pub(super) fn first(&self) -> NonNull<u8> {
        // SAFETY: the mapping is longer than its first page.
        unsafe { self.pages.as_ptr().add(page_size()) }
    }

    /// The bytes, twice: a run of up to the capacity lies in one piece wherever it begins.
    #[inline]
    pub(super) fn cells(&self) -> Cells<'_, u8> {
        // SAFETY: behind the first page, twice the capacity is mapped readable and writable for as long as `self` lives. The
        // only references that ever lead there are those of a `Trusting` end, to a frame that no other end has yet, or any more.
        unsafe { Cells::new(self.first(), 2 * self.capacity) }
    }

    #[inline]
    fn words(&self) -> Cells<'_, u64> {
        // SAFETY: as in `cells`; a page is aligned for words. No reference ever leads to the word of a frame.
        unsafe { Cells::new(self.first().cast(), self.capacity / WORD as usize) }
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        (position & (self.capacity as u64 - 1)) as usize / WORD as usize
    }
}

impl Words for Ring {
    #[inline]
    fn read(&self, position: u64) -> u64 {
        // Inside: it is masked. 0 is the word of no frame.
        self.words().get(self.index(position)).unwrap_or(0)
    }

    #[inline]
    fn write(&self, position: u64, word: u64) {
        // Inside: as above.
        let _ = self.words().set(self.index(position), word);
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} bytes", self.capacity)
    }
}
