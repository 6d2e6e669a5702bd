//! The shared memory of one channel: a header of words, and cells behind it.
//!
//! # Safety
//!
//! This file opens `unsafe` to lay a header of atomics over the start of a mapping, which a pointer leads to.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::end::Ends;
use super::raw::cursor::{Cursors, Line};
use super::raw::mpmc::Bounds;
use super::raw::signal::Signal;
use crate::memory::cells::Cells;
use crate::sys::map::{Map, Sharing};
use crate::sys::roster;
use crate::wire::Plain;

/// What may lie at the start of a channel's memory.
///
/// # Safety
///
/// It is made of atomics only, and is valid as zeroes.
pub(super) unsafe trait Header {}

macro_rules! headers {
    ($($(#[$safety:meta])* [$($generics:tt)*] $Type:ty),* $(,)?) => {
        // SAFETY: atomics, or structs of nothing else, which all zeroes are valid for.
        $($(#[$safety])* unsafe impl<$($generics)*> Header for $Type {})*
    };
}
headers!([] AtomicU32, [] AtomicU64, [] Cursors, [] Bounds, [] Signal, [T: Header] Line<T>, [const N: usize] Ends<N>);

/// Makes a struct of such fields, and checks that they are.
macro_rules! header {
    ($(#[$attribute:meta])* $visibility:vis struct $Name:ident { $($(#[$field_attribute:meta])* $field:ident: $Type:ty,)* }) => {
        $(#[$attribute])*
        #[repr(C)]
        $visibility struct $Name { $($(#[$field_attribute])* $visibility $field: $Type,)* }

        const _: () = {
            const fn is_header<T: $crate::channel::memory::Header>() {}
            $(is_header::<$Type>();)*
        };

        // SAFETY: each field was checked to be such, and there is nothing else.
        #[allow(unsafe_code)]
        unsafe impl $crate::channel::memory::Header for $Name {}
    };
}
pub(super) use header;

/// A mapping that every process has that is forked from here on. Unmapped by each process for itself, with the last handle to
/// it; it has no descriptor.
#[derive(Debug)]
pub(super) struct Memory<H> {
    /// Where it begins: each handle knows by itself, and need not look into what it shares with others.
    header: NonNull<H>,
    map: Arc<Map>,
}

// SAFETY: what the pointer leads to is the mapping, which is kept by `map`: a header of atomics, and cells, which any number of
// threads (and processes) may use.
unsafe impl<H: Header> Send for Memory<H> {}
// SAFETY: as above.
unsafe impl<H: Header> Sync for Memory<H> {}

impl<H> Clone for Memory<H> {
    fn clone(&self) -> Memory<H> {
        Memory { header: self.header, map: Arc::clone(&self.map) }
    }
}

impl<H: Header> Memory<H> {
    /// Zeroes, with room for `cells` values of `T`.
    ///
    /// # Errors
    ///
    /// What mmap says; a size beyond the address space.
    pub(super) fn new<T: Plain>(cells: usize) -> io::Result<Memory<H>> {
        // The words name processes and threads by it.
        roster::ensure()?;
        let len = cells.checked_mul(size_of::<T>()).and_then(|len| len.checked_add(Self::offset::<T>()));
        let len = len.ok_or_else(|| {
            let why = format!("{cells} messages of {} bytes do not fit the address space", size_of::<T>());
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        })?;
        let map = Map::anonymous(len, Sharing::Shared, false)?;
        Ok(Memory { header: map.as_ptr().cast(), map: Arc::new(map) })
    }

    /// Where the cells begin.
    const fn offset<T>() -> usize {
        const {
            assert!(align_of::<T>() <= 4096 && align_of::<H>() <= 4096, "a mapping starts at a page");
            size_of::<H>().next_multiple_of(if align_of::<T>() > 128 { align_of::<T>() } else { 128 })
        }
    }

    #[inline]
    pub(super) fn header(&self) -> &H {
        // SAFETY: the mapping starts at a page, is at least as long as H and zeroed, which H is valid as; it lives as long as
        // `self`. Whatever is written there by whomever, atomics stay valid.
        unsafe { self.header.as_ref() }
    }

    /// The cells, of which this memory was made with at least `n`.
    #[inline]
    pub(super) fn cells<T: Plain>(&self, n: usize) -> Cells<'_, T> {
        debug_assert!(Self::offset::<T>() + n * size_of::<T>() <= self.map.len());
        // SAFETY: the offset is within the mapping, as `new` made it.
        let first = unsafe { self.header.cast::<u8>().add(Self::offset::<T>()) };
        let first: NonNull<T> = first.cast();
        // SAFETY: `n` values from there are mapped, readable and writable, and aligned; nobody in this process has a reference to
        // any of them: only cells are ever given out.
        unsafe { Cells::new(first, n) }
    }
}
