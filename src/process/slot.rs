//! Slots: the few words and bytes that a parent and its child share.
//!
//! A slot is written by the child while it lives and read by the parent once it is dead; the parent writes
//! two words, `go` and `stop`. Slots live in pages that are never unmapped, so a word may be waited on, or
//! noted in by a signal handler, at any time. A process hands out only slots that it mapped itself: those it
//! inherited belong to its parent's other children.
//!
//! # Safety
//!
//! This file opens `unsafe` to lay structs over shared pages. The words are atomics; the body is bytes that
//! are only copied, never borrowed.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use static_assertions::{assert_eq_align, assert_eq_size, const_assert};

use crate::sys::clock::monotonic_nanos;
use crate::sys::generation;
use crate::sys::map::Map;

/// Bytes of one slot: a page of the smallest page size, so that a small result costs one page fault.
const SIZE: usize = 4096;
/// Slots that are mapped at a time.
const CHUNK: usize = 64;
/// Bytes that fit a slot's body.
pub(super) const BODY: usize = SIZE - 64;

/// What a child has come to. It moves one way; the store that leaves `ENTERED` is the commit point of the
/// result, and whatever happens to the child after it no longer matters.
///
/// ```text
///   BORN -> ENTERED -> RESULT | PANICKED | UNENCODABLE | UNSTORED
///    |         |           |
///    |         |           +-- the closure has ended: it ran
///    |         +-------------- died here: nobody knows how far it came
///    +------------------------ died here: the closure was never called
/// ```
pub(super) mod state {
    pub(crate) const BORN: u32 = 0;
    pub(crate) const ENTERED: u32 = 1;
    /// The body (or the file) holds the encoded result.
    pub(crate) const RESULT: u32 = 2;
    /// The body (or the file) holds an encoded `Panic`.
    pub(crate) const PANICKED: u32 = 3;
    /// The body (or the file) holds an encoded `EncodeError`.
    pub(crate) const UNENCODABLE: u32 = 4;
    /// The body holds the number of the OS error that kept the result from being stored.
    pub(crate) const UNSTORED: u32 = 5;
}

/// What the parent says to a child that waits to begin.
pub(super) mod go {
    pub(crate) const WAIT: u32 = 0;
    pub(crate) const GO: u32 = 1;
    pub(crate) const ABORT: u32 = 2;
    /// As WAIT, and the child sleeps on the word: who changes it wakes it.
    pub(crate) const ASLEEP: u32 = 3;
}

/// Set in `length` where the bytes are in the result file rather than in the body.
const IN_FILE: u64 = 1 << 63;

/// ```text
///   0      4      8       12      16       24            32        36         64        4096
///   | state | go  | stop  | notes | length | finished at | handed  | (unused) | body ... |
///   | child | par.| parent| child | child  | child       | parent  |          | child    |   <- who writes
/// ```
#[repr(C, align(64))]
pub(super) struct Header {
    /// See [`state`]. Stored with Release by the child; its Acquire is in [`Slot::state`].
    state: AtomicU32,
    /// See [`go`]. Stored with Release by the parent; its Acquire is in the child's wait.
    pub(super) go: AtomicU32,
    /// 1: the child is asked to stop.
    pub(super) stop: AtomicU32,
    /// `NOTE_` bits of [`crate::sys::signals`], left by handlers of the child.
    pub(super) notes: AtomicU32,
    /// Bytes of the outcome, and whether they are in the file.
    length: AtomicU64,
    /// CLOCK_MONOTONIC in nanoseconds when the closure ended; 0 if it has not.
    finished_at: AtomicU64,
    /// 1: something that only one process can have was given to the child. Stored by the parent, before GO.
    pub(super) handed: AtomicU32,
}

assert_eq_size!(Header, [u8; 64]);
assert_eq_align!(Header, [Align64; 1]);
const_assert!(SIZE.is_multiple_of(64));
#[repr(align(64))]
struct Align64;

/// A slot, by its address. Copied freely; what it names is never unmapped.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Of the whole slot, not of its header: a pointer made from a `&Header` may not reach the body.
    base: NonNull<Header>,
}

// SAFETY: the words are atomics; the body is written by one thread of the child, before a commit that the parent's
// threads see before they read it. The memory is never unmapped.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

/// Where the bytes of an outcome are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body(usize),
    File(u64),
}

impl Slot {
    /// A slot of this process that no child uses, wiped.
    pub(super) fn take() -> io::Result<Slot> {
        let mut table = table();
        table.belong_here();
        if table.free.is_empty() {
            table.grow()?;
        }
        let slot = table.free.pop().expect("a table that has grown has free slots");
        drop(table);
        // Relaxed: the child does not exist yet, and fork shows it everything.
        let h = slot.header();
        for word in [&h.state, &h.go, &h.stop, &h.notes, &h.handed] {
            word.store(0, Ordering::Relaxed);
        }
        h.length.store(0, Ordering::Relaxed);
        h.finished_at.store(0, Ordering::Relaxed);
        Ok(slot)
    }

    /// Gives the slot back. The child that used it is dead, or was never born.
    pub(super) fn give_back(self) {
        let mut table = table();
        table.belong_here();
        let at = self.base.as_ptr() as usize;
        if table.chunks.iter().any(|&chunk| (chunk..chunk + CHUNK * SIZE).contains(&at)) {
            table.free.push(self);
        }
    }

    pub(super) fn header(&self) -> &'static Header {
        // SAFETY: `grow` made the pointer of the start of a slot: aligned, mapped for ever, and valid for atomics
        // whatever the bytes. Nothing but atomics is in a header.
        unsafe { self.base.as_ref() }
    }

    fn body(&self) -> *mut u8 {
        // SAFETY: `base` was made from the whole chunk, in which each header is the first 64 bytes of SIZE bytes.
        unsafe { self.base.as_ptr().cast::<u8>().add(size_of::<Header>()) }
    }

    /// The child enters the closure.
    pub(super) fn enter(&self) {
        // Release: pairs with the Acquire in `state`. Nothing is published; the order of the two states is.
        self.header().state.store(state::ENTERED, Ordering::Release);
    }

    /// Writes bytes that fit the body. They are nothing until [`Slot::commit`].
    pub(super) fn fill(&self, bytes: &[u8]) -> Place {
        let length = bytes.len().min(BODY);
        // SAFETY: `length` is within both the source and the body. The parent reads the body only after it
        // has seen the commit, and no other process writes this slot.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.body(), length) };
        Place::Body(length)
    }

    /// The commit point: from here on this is the child's outcome, whatever becomes of the child.
    pub(super) fn commit(&self, outcome: u32, place: Place) {
        let length = match place {
            Place::Body(n) => n as u64,
            Place::File(n) => n | IN_FILE,
        };
        // Relaxed: published by the Release below.
        self.header().length.store(length, Ordering::Relaxed);
        self.header().finished_at.store(monotonic_nanos(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `state`; it publishes the body, the length and the time.
        self.header().state.store(outcome, Ordering::Release);
    }

    /// How far the child came.
    pub(super) fn state(&self) -> u32 {
        // Acquire: pairs with the Release in `commit`.
        self.header().state.load(Ordering::Acquire)
    }

    /// Where the committed bytes are. The length is the child's word: it is cut to what a body holds.
    pub(super) fn place(&self) -> Place {
        // Relaxed: who asks has seen the commit with the Acquire in `state`.
        let length = self.header().length.load(Ordering::Relaxed);
        if length & IN_FILE != 0 { Place::File(length & !IN_FILE) } else { Place::Body((length as usize).min(BODY)) }
    }

    /// A copy of the first `length` bytes of the body.
    pub(super) fn copy_body(&self, length: usize) -> Vec<u8> {
        let length = length.min(BODY);
        let mut bytes = Vec::with_capacity(length);
        // SAFETY: `length` is within the body and within the capacity. The child has committed and is done
        // with the body; were it not (it is malicious), the bytes would be wrong, and any bytes are valid u8.
        unsafe {
            std::ptr::copy_nonoverlapping(self.body(), bytes.as_mut_ptr(), length);
            bytes.set_len(length);
        }
        bytes
    }

    /// When the closure ended, on CLOCK_MONOTONIC in nanoseconds; None if it has not.
    pub(super) fn finished_at(&self) -> Option<u64> {
        // Relaxed: the parent asks after the child's death, which orders everything.
        match self.header().finished_at.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(nanos),
        }
    }
}

/// The slots of this process.
struct Table {
    /// Whose they are: a child starts a table of its own.
    generation: u64,
    chunks: Vec<usize>,
    free: Vec<Slot>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { generation: 0, chunks: Vec::new(), free: Vec::new() });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads out of the table across a fork, so that the child finds it unlocked.
pub(super) fn hold_table() -> impl Sized {
    table()
}

impl Table {
    /// In a child, what was inherited is the parent's: its pages stay mapped, its slots are not handed out.
    fn belong_here(&mut self) {
        let here = generation::current();
        if self.generation != here {
            *self = Table { generation: here, chunks: Vec::new(), free: Vec::new() };
        }
    }

    fn grow(&mut self) -> io::Result<()> {
        let map = Map::kept_by_the_family(c"tine-slots", CHUNK * SIZE)?;
        let base = map.as_ptr();
        // Never unmapped: handlers and waiters of other processes may look at a word at any time.
        std::mem::forget(map);
        self.chunks.push(base.as_ptr() as usize);
        // The last is handed out first, so push in reverse: neighbours are used in order.
        for index in (0..CHUNK).rev() {
            // SAFETY: the chunk is CHUNK * SIZE bytes. It starts at a page, so each slot is aligned for a header.
            let base = unsafe { base.add(index * SIZE).cast::<Header>() };
            self.free.push(Slot { base });
        }
        Ok(())
    }
}
