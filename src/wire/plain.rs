//! Types whose bytes are the value, and the one copy that moves many of them.
//!
//! # Safety
//! This file reads values as bytes and makes values of bytes. What allows it is the contract of [`Plain`]; a
//! [`Bulk`] is a proof that some type keeps it, and only a `Plain` type can make the first one.
#![allow(unsafe_code)]
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::num::{Saturating, Wrapping};
use std::{ptr, slice};

use static_assertions::{assert_impl_all, assert_not_impl_any, const_assert_eq};

use super::pass::by_wire;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

/// The bytes are the value.
///
/// A `Plain` value may lie in memory that other processes write at the same time: copied out, whatever bytes it then
/// has make a valid value, if a meaningless one. Structs get it from [`plain!`](crate::plain), which checks the
/// contract.
///
/// Not plain, and why: `bool`, `char`, `NonZero` and enums have bytes that are no value; references and pointers mean
/// something in one process only; atomics change behind a shared reference (they are [`Share`](super::Share)); tuples
/// have no fixed layout.
///
/// ```
/// use tine::wire::Plain;
///
/// fn size<T: Plain>(items: &[T]) -> usize {
///     size_of_val(items)
/// }
/// assert_eq!(size(&[[1.5_f32, 2.5], [3.5, 4.5]]), 16);
/// ```
///
/// ```compile_fail,E0277
/// fn plain<T: tine::wire::Plain>() {}
/// plain::<bool>();
/// ```
///
/// ```compile_fail,E0277
/// fn plain<T: tine::wire::Plain>() {}
/// plain::<&'static str>();
/// ```
///
/// # Safety
/// - Every bit pattern of the type's size is a valid value.
/// - The type has no padding: every byte of a value is initialized.
/// - It holds no pointers, and nothing that only one process can use.
/// - Nothing inside changes through a shared reference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain: not any bytes are a value of it that means the same in another process",
    label = "not `Plain`",
    note = "for structs of plain fields without padding use `tine::plain! {{ .. }}`",
    note = "for `bool` use `u8`, for `char` use `u32`, for `NonZero<T>` use `T`, and check when you read",
    note = "references and pointers mean nothing in another process: store an index or an offset",
    note = "a type that owns memory (`String`, `Vec`, ..) is not plain, but can be sent: see `tine::wire::Wire`"
)]
pub unsafe trait Plain: Copy + Wire + 'static {}

/// A proof that `T` keeps the contract of [`Plain`], which generic code can have without the bound `T: Plain`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Bulk<T>(PhantomData<fn() -> T>);

impl<T> Clone for Bulk<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Bulk<T> {}

impl<T: Plain> Bulk<T> {
    /// The first proof; all others follow from it.
    #[allow(clippy::new_without_default)]
    pub const fn of() -> Bulk<T> {
        Bulk(PhantomData)
    }
}

impl<T> Bulk<T> {
    /// An array has the bytes of its elements and no others.
    pub(super) const fn array<const N: usize>(self) -> Bulk<[T; N]> {
        Bulk(PhantomData)
    }

    /// `Wrapping<T>` has the layout of `T`, says its documentation.
    pub(super) const fn wrapping(self) -> Bulk<Wrapping<T>> {
        Bulk(PhantomData)
    }

    /// `Saturating<T>` has the layout of `T`, says its documentation.
    pub(super) const fn saturating(self) -> Bulk<Saturating<T>> {
        Bulk(PhantomData)
    }

    /// Appends the bytes of `items`.
    #[inline]
    pub fn encode(self, items: &[T], out: &mut Encoder) {
        // SAFETY: `self` proves `T` plain: `items` is `size_of_val(items)` initialized bytes, none of them padding, and
        // nothing changes them while they are borrowed. A `u8` may lie at any address.
        let bytes = unsafe { slice::from_raw_parts(items.as_ptr().cast::<u8>(), size_of_val(items)) };
        out.write(bytes);
    }

    /// Takes one value.
    #[inline]
    pub fn decode(self, input: &mut Decoder<'_>) -> Result<T, DecodeError> {
        let bytes = input.take(size_of::<T>())?;
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: both ends are `size_of::<T>()` bytes long, as bytes they are aligned, and `value` is new memory that
        // `bytes` cannot overlap. Then all bytes of `value` are set, and `self` proves that any bytes are a `T`.
        Ok(unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast::<u8>(), bytes.len());
            value.assume_init()
        })
    }

    /// Takes `count` values with one copy into memory that was not written before.
    pub(super) fn decode_vec(self, count: usize, input: &mut Decoder<'_>) -> Result<Vec<T>, DecodeError> {
        // The bytes first, the memory for them second: a length that lies finds no bytes.
        let size = count.checked_mul(size_of::<T>()).ok_or_else(|| input.truncated(usize::MAX))?;
        let bytes = input.take(size)?;
        let mut items: Vec<T> = Vec::new();
        items.try_reserve_exact(count).map_err(|_| input.out_of_memory(count))?;
        // SAFETY: `bytes` is `count` times the size of `T`, and so much was just reserved in memory that `bytes` cannot
        // overlap; bytes are aligned anywhere. Then the first `count` items are set, and `self` proves that any bytes
        // are a `T`.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), items.as_mut_ptr().cast::<u8>(), size);
            items.set_len(count);
        }
        Ok(items)
    }
}

/// Every type is the same as itself and no other.
///
/// The bound by which a generic [`plain!`](crate::plain) struct shows that it has no padding, whatever its parameters.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a generic plain struct has fields of one type only, and `{Self}` is not `{T}`",
    label = "another type than the first field's",
    note = "with fields of several types it could have padding for some parameters; make it a struct that is not \
            generic, or pack the fields of one type into an array"
)]
pub trait SameAs<T: ?Sized> {}
impl<T: ?Sized> SameAs<T> for T {}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        // SAFETY: a number has a value for each of its bit patterns, no padding, no pointer, no interior mutability.
        unsafe impl Plain for $number {}
        impl Wire for $number {
            const MAX_SIZE: Option<usize> = Some(size_of::<$number>());
            const PLAIN: Option<Bulk<Self>> = Some(Bulk::of());
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                out.write(&self.to_ne_bytes());
                Ok(())
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(<$number>::from_ne_bytes(input.take_array()?))
            }
        }
        impl Pass for $number {
            by_wire!();
        }
    )*};
}
numbers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

// SAFETY: no bytes, so no bad ones.
unsafe impl Plain for () {}
impl Wire for () {
    const MAX_SIZE: Option<usize> = Some(0);
    const PLAIN: Option<Bulk<Self>> = Some(Bulk::of());
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}
impl Pass for () {
    by_wire!();
}

// SAFETY: no bytes, so no bad ones.
unsafe impl<T: ?Sized + 'static> Plain for PhantomData<T> {}
impl<T: ?Sized> Wire for PhantomData<T> {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(PhantomData)
    }
}
impl<T: ?Sized> Pass for PhantomData<T> {
    by_wire!();
}

// SAFETY: an array is its elements one after the other, without padding between them.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

macro_rules! transparent {
    ($($wrapper:ident $proof:ident),*) => {$(
        // SAFETY: the wrapper is documented to have the layout of `T`, and no rule of its own.
        unsafe impl<T: Plain> Plain for $wrapper<T> {}
        impl<T: Wire> Wire for $wrapper<T> {
            const MAX_SIZE: Option<usize> = T::MAX_SIZE;
            const PLAIN: Option<Bulk<Self>> = match T::PLAIN {
                Some(proof) => Some(proof.$proof()),
                None => None,
            };
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                self.0.encode(out)
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                T::decode(input).map($wrapper)
            }
        }
        impl<T: Pass> Pass for $wrapper<T> {
            const PLAIN: Option<Bulk<Self>> = match T::PLAIN {
                Some(proof) => Some(proof.$proof()),
                None => None,
            };
            #[inline]
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                self.0.encode_pass(out)
            }
            #[inline]
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                T::decode_pass(input).map($wrapper)
            }
        }
    )*};
}
transparent!(Wrapping wrapping, Saturating saturating);

const_assert_eq!(size_of::<Wrapping<u64>>(), size_of::<u64>());
const_assert_eq!(size_of::<Saturating<u64>>(), size_of::<u64>());
const_assert_eq!(size_of::<[[u16; 3]; 5]>(), 30);
assert_impl_all!([f64; 7]: Plain);
assert_not_impl_any!(bool: Plain);
assert_not_impl_any!(char: Plain);
assert_not_impl_any!(&'static u8: Plain);
assert_not_impl_any!(*const u8: Plain);
assert_not_impl_any!(fn() -> u8: Plain);
assert_not_impl_any!(std::num::NonZeroU8: Plain);
assert_not_impl_any!(std::sync::atomic::AtomicU8: Plain);
assert_not_impl_any!((u8, u8): Plain);
assert_not_impl_any!(Option<u8>: Plain);
