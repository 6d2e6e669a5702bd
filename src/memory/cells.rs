//! Memory that others may write at any moment, copied in and out.
//!
//! Two rules, and everything here follows from them:
//!
//! 1. No reference into such memory, ever: not `&T`, not `&mut T`, not a slice.
//! 2. Every access is volatile, or one assembler instruction.
//!
//! Why volatile: a process that writes while we read is no thread of the Rust program, so no rule of the
//! language covers it. Nobody else in this process touches the memory otherwise (rule 1), so for the language it
//! lies outside all of its objects, like a device register, and volatile is the access that is defined there: one
//! load or store per word as written, nothing assumed about the value, nothing read twice. What two
//! processes (or threads) race for is then decided by the machine, and there an aligned word of up to 8 bytes is old or
//! new. The price of the alternatives: a relaxed atomic per byte copies 256 KiB at 6 GB/s instead of 49 (so slow
//! because no compiler widens it), and an atomic per word mixes sizes with another type's view of the same bytes.
//!
//! # Safety
//!
//! This file opens `unsafe` for those accesses. [`Cells::new`] takes the promise that the addresses are mapped;
//! from there on every index is checked.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::{OutOfRange, span};
use crate::wire::Plain;

/// `len` values of `T`, somewhere where others may write.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a, T> {
    ptr: NonNull<T>,
    len: usize,
    mapped: PhantomData<&'a ()>,
}

impl<T: Plain> Cells<'_, T> {
    /// # Safety
    ///
    /// For `'a`, `len` values of `T` at `ptr` are mapped readable, and writable if `set` or `copy_from` is
    /// called; `ptr` is aligned for `T`; this process holds no reference to any of them.
    pub(crate) unsafe fn new(ptr: NonNull<T>, len: usize) -> Self {
        Cells { ptr, len, mapped: PhantomData }
    }

    #[inline]
    pub(crate) fn get(self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        if is_one_word::<T>() {
            // SAFETY: element `index` of the mapped cells, aligned; every pattern of bytes is a valid `T`.
            return Some(unsafe { ptr::read_volatile(self.ptr.as_ptr().add(index)) });
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the source is element `index` of the mapped cells, the target a local of the same size. After the
        // copy every byte of it is set, and every pattern of bytes is a valid `T`: that is what Plain says.
        unsafe {
            copy::<T, Out>(self.ptr.as_ptr().add(index).cast(), value.as_mut_ptr().cast(), size_of::<T>());
            Some(value.assume_init())
        }
    }

    #[inline]
    pub(crate) fn set(self, index: usize, value: T) -> Result<(), OutOfRange> {
        span(index, 1, self.len)?;
        if is_one_word::<T>() {
            // SAFETY: element `index` of the mapped cells, aligned.
            unsafe { ptr::write_volatile(self.ptr.as_ptr().add(index), value) };
            return Ok(());
        }
        // SAFETY: the target is element `index` of the mapped cells; the source is a value without padding.
        unsafe {
            copy::<T, In>(self.ptr.as_ptr().add(index).cast(), (&raw const value).cast_mut().cast(), size_of::<T>())
        };
        Ok(())
    }

    pub(crate) fn copy_to(self, offset: usize, target: &mut [T]) -> Result<(), OutOfRange> {
        span(offset, target.len(), self.len)?;
        // SAFETY: `target.len()` elements from `offset` are mapped cells, and `target` is as long; it is ordinary
        // memory, so they do not overlap. Every pattern of bytes is a valid `T`.
        unsafe {
            let cells = self.ptr.as_ptr().add(offset).cast();
            copy::<T, Out>(cells, target.as_mut_ptr().cast(), size_of_val(target));
        }
        Ok(())
    }

    pub(crate) fn copy_from(self, offset: usize, source: &[T]) -> Result<(), OutOfRange> {
        span(offset, source.len(), self.len)?;
        // SAFETY: as in `copy_to`, the other way round; `In` only reads from `source`.
        unsafe {
            let cells = self.ptr.as_ptr().add(offset).cast();
            copy::<T, In>(cells, source.as_ptr().cast_mut().cast(), size_of_val(source));
        }
        Ok(())
    }

    /// `len` of them, from `offset` on.
    pub(crate) fn part(self, offset: usize, len: usize) -> Result<Self, OutOfRange> {
        span(offset, len, self.len)?;
        // SAFETY: `offset` is at most the number of the mapped cells.
        Ok(Cells { ptr: unsafe { self.ptr.add(offset) }, len, mapped: PhantomData })
    }

    pub(crate) fn to_vec(self) -> Vec<T> {
        let mut values = Vec::new();
        self.append_to(&mut values);
        values
    }

    /// Appends all of them.
    pub(crate) fn append_to(self, values: &mut Vec<T>) {
        match values.is_empty() {
            true => values.reserve_exact(self.len),
            false => values.reserve(self.len),
        }
        let had = values.len();
        // SAFETY: behind its values the vector has room for as many as there are cells, all of which are set before its
        // length says so. Every pattern of bytes is a valid `T`.
        unsafe {
            let target = values.as_mut_ptr().add(had).cast();
            copy::<T, Out>(self.ptr.as_ptr().cast(), target, self.len * size_of::<T>());
            values.set_len(had + self.len);
        }
    }
}

/// Whether one instruction moves it.
const fn is_one_word<T>() -> bool {
    size_of::<T>() == align_of::<T>() && size_of::<T>() <= 8
}

/// Out of the cells, or into them.
trait Direction {
    /// Moves one `W`. The cell is aligned for it; the ordinary side need not be.
    ///
    /// # Safety
    ///
    /// As for [`copy`], of one `W`.
    unsafe fn word<W: Copy>(cell: *mut W, ordinary: *mut W);

    /// Target and source, of cells and ordinary memory.
    #[cfg(target_arch = "x86_64")]
    fn target_and_source(cells: *mut u8, ordinary: *mut u8) -> (*mut u8, *mut u8);
}

struct Out;
struct In;

impl Direction for Out {
    unsafe fn word<W: Copy>(cell: *mut W, ordinary: *mut W) {
        // SAFETY: handed on to the caller.
        unsafe { ordinary.write_unaligned(ptr::read_volatile(cell)) }
    }
    #[cfg(target_arch = "x86_64")]
    fn target_and_source(cells: *mut u8, ordinary: *mut u8) -> (*mut u8, *mut u8) {
        (ordinary, cells)
    }
}

impl Direction for In {
    unsafe fn word<W: Copy>(cell: *mut W, ordinary: *mut W) {
        // SAFETY: handed on to the caller.
        unsafe { ptr::write_volatile(cell, ordinary.read_unaligned()) }
    }
    #[cfg(target_arch = "x86_64")]
    fn target_and_source(cells: *mut u8, ordinary: *mut u8) -> (*mut u8, *mut u8) {
        (cells, ordinary)
    }
}

/// 16 bytes that move by one instruction, which never splits an aligned 8 of them.
#[cfg(target_arch = "x86_64")]
type Wide = std::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Wide = std::arch::aarch64::uint8x16_t;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Wide = u64;

/// Copies `bytes` bytes, in units that never split an aligned value of up to 8 bytes:
///
/// ```text
///            8-aligned  16-aligned                        8-aligned
///    | u | u |   8     |    16    |   ..   |    16    |   8   | u | u |      u: the alignment of T, at most 8
/// ```
///
/// # Safety
///
/// `cells` is mapped for `bytes`, aligned for `T`, and no reference leads there; `ordinary` is valid for as many,
/// for writes if `D` is [`Out`], for reads if it is [`In`]; they do not overlap. `bytes` is a multiple of
/// `T`'s size.
unsafe fn copy<T, D: Direction>(cells: *mut u8, ordinary: *mut u8, bytes: usize) {
    let mut at = 0;
    let aligned_to = |at: usize, n: usize| cells.addr().wrapping_add(at).is_multiple_of(n);
    // SAFETY: in each step `at` plus its size is at most `bytes`: `bytes` is a multiple of `u`, as is `at` where steps
    // of `u` are taken, and the larger steps look first. A step of `u` bytes starts at a multiple of `u` from `cells`,
    // which is aligned to at least that; each larger step only where the address is aligned to its size.
    unsafe {
        let unit = align_of::<T>().min(8);
        let step = |at: usize| match unit {
            1 => D::word::<u8>(cells.add(at), ordinary.add(at)),
            2 => D::word::<u16>(cells.add(at).cast(), ordinary.add(at).cast()),
            4 => D::word::<u32>(cells.add(at).cast(), ordinary.add(at).cast()),
            _ => D::word::<u64>(cells.add(at).cast(), ordinary.add(at).cast()),
        };
        while at < bytes && !aligned_to(at, 8) {
            step(at);
            at += unit;
        }
        if at + 8 <= bytes && !aligned_to(at, 16) {
            D::word::<u64>(cells.add(at).cast(), ordinary.add(at).cast());
            at += 8;
        }
        let wides = (bytes - at) / size_of::<Wide>();
        move_wides::<D>(cells.add(at), ordinary.add(at), wides);
        at += wides * size_of::<Wide>();
        if at + 8 <= bytes {
            D::word::<u64>(cells.add(at).cast(), ordinary.add(at).cast());
            at += 8;
        }
        while at < bytes {
            step(at);
            at += unit;
        }
    }
}

/// Moves `n` times 16 bytes, one by one; very many by one instruction where the machine has it.
///
/// Against `memcpy`, on the AMD EPYC machine of the figures (`cargo run --release --example copy_speed`): 0.44 to 0.83
/// of its speed up to 4 KiB, 0.75 to 1.2 from 64 KiB to 64 MiB. Words of 8 bytes in place of 16 make that 0.37 at 4 KiB;
/// without the one instruction it is 0.7 at 64 MiB, where `memcpy` goes around the caches. Below 1 MiB the instruction
/// is no faster, and much slower (0.2) where the two sides are not aligned alike.
///
/// # Safety
///
/// As for [`copy`]; and where `n` is not 0, `cells` is aligned to 16.
unsafe fn move_wides<D: Direction>(cells: *mut u8, ordinary: *mut u8, n: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if n * size_of::<Wide>() >= 1 << 20 {
        let (target, source) = D::target_and_source(cells, ordinary);
        // SAFETY: reads so many words at `source` and writes them at `target`, upwards (the direction flag is clear on
        // entry to every `asm!`), which is what the caller allows. No flags and no stack are touched.
        unsafe {
            std::arch::asm!(
                "rep movsq",
                inout("rcx") n * (size_of::<Wide>() / 8) => _,
                inout("rdi") target => _,
                inout("rsi") source => _,
                options(nostack, preserves_flags),
            );
        }
        return;
    }
    let (cells, ordinary) = (cells.cast::<Wide>(), ordinary.cast::<Wide>());
    for i in 0..n {
        // SAFETY: number `i` of `n`.
        unsafe { D::word(cells.add(i), ordinary.add(i)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over 1 MiB for all but the empty type, for the single instruction.
    const LONG: usize = (1 << 20) + 77;

    /// A Plain type of any alignment, without the help of the wire module.
    fn round_trip<T: Copy + PartialEq + std::fmt::Debug>(make: impl Fn(usize) -> T) {
        for total in [0, 1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 130, 1000, LONG] {
            for offset in 0..if total == LONG { 1 } else { 17.min(total + 1) } {
                let n = total - offset;
                let mut cells: Vec<T> = (0..total + 1).map(|_| make(0)).collect();
                let source: Vec<T> = (1..n + 1).map(&make).collect();
                let base = cells.as_mut_ptr();
                let mut target: Vec<T> = (0..n).map(|_| make(0)).collect();
                // SAFETY: both vectors hold what is copied; nothing refers to `cells` meanwhile.
                unsafe {
                    copy::<T, In>(base.add(offset).cast(), source.as_ptr().cast_mut().cast(), n * size_of::<T>());
                    copy::<T, Out>(base.add(offset).cast(), target.as_mut_ptr().cast(), n * size_of::<T>());
                }
                assert_eq!(target, source);
                assert_eq!(&cells[offset..total], source);
                assert!(cells[..offset].iter().all(|c| *c == make(0)), "nothing before");
                assert_eq!(cells[total], make(0), "nothing behind");
            }
        }
    }

    #[test]
    fn copies_are_exact_for_every_alignment_and_length() {
        round_trip(|i| i as u8);
        round_trip(|i| i as u16 ^ 0x5a00);
        round_trip(|i| i as u32 | 0xabcd << 16);
        round_trip(|i| i as u64 | 0x1234 << 48);
        round_trip(|i| i as u128 | 0x77 << 120);
        round_trip(|i| [i as u8, !(i as u8), 3]);
        round_trip(|i| [i as u16, 1, 2, 3, 4]);
        round_trip(|_| ());
    }
}
