//! One of several: a byte that says which, then what it holds; and ranges, which are built of bounds.
use std::ops::{Bound, ControlFlow, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::task::Poll;

use super::codec::size_of_number;
use super::pass::by_wire;
use super::size::{largest, sum};
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

/// The error for a tag that was just read and is of no variant.
#[cold]
pub fn no_variant(input: &Decoder<'_>, of: &str, tag: usize) -> DecodeError {
    input.invalid_before(size_of_number(tag as u64), format!("{of} has no variant {tag}"))
}

macro_rules! sums {
    ($($name:ident<$($param:ident),+> { $($tag:literal $variant:ident $(($held:ident))?),+ })*) => {$(
        impl<$($param: Wire),+> Wire for $name<$($param),+> {
            const MAX_SIZE: Option<usize> = sum(&[Some(1), largest(&[$($param::MAX_SIZE),+])]);
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                match self {$(
                    // The held value is named after its type, the only identifier at hand.
                    #[allow(non_snake_case)]
                    $name::$variant $(($held))? => {
                        out.write(&[$tag]);
                        $($held.encode(out)?;)?
                    }
                )+}
                Ok(())
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                match u8::decode(input)? {
                    $($tag => Ok($name::$variant $(($held::decode(input)?))?),)+
                    other => Err(no_variant(input, stringify!($name), usize::from(other))),
                }
            }
        }
        impl<$($param: Pass),+> Pass for $name<$($param),+> {
            #[inline]
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                match self {$(
                    #[allow(non_snake_case)]
                    $name::$variant $(($held))? => {
                        out.bytes().write(&[$tag]);
                        $($held.encode_pass(out)?;)?
                    }
                )+}
                Ok(())
            }
            #[inline]
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                match u8::decode_pass(input)? {
                    $($tag => Ok($name::$variant $(($held::decode_pass(input)?))?),)+
                    other => Err(no_variant(input.bytes(), stringify!($name), usize::from(other))),
                }
            }
        }
    )*};
}
sums! {
    Option<T> { 0 None, 1 Some(T) }
    Result<T, E> { 0 Ok(T), 1 Err(E) }
    Bound<T> { 0 Unbounded, 1 Included(T), 2 Excluded(T) }
    Poll<T> { 0 Pending, 1 Ready(T) }
    ControlFlow<B, C> { 0 Continue(C), 1 Break(B) }
}

macro_rules! ranges {
    ($($name:ident { $($field:ident),+ })*) => {$(
        impl<T: Wire> Wire for $name<T> {
            const MAX_SIZE: Option<usize> = sum(&[$({ let _ = stringify!($field); T::MAX_SIZE }),+]);
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                $(self.$field.encode(out)?;)+
                Ok(())
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok($name { $($field: T::decode(input)?),+ })
            }
        }
        impl<T: Pass> Pass for $name<T> {
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                $(self.$field.encode_pass(out)?;)+
                Ok(())
            }
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                Ok($name { $($field: T::decode_pass(input)?),+ })
            }
        }
    )*};
}
ranges! {
    Range { start, end }
    RangeFrom { start }
    RangeTo { end }
    RangeToInclusive { end }
}

/// Refuses to encode a range that was iterated to its end: `3..=3` and the same after `next()` differ only by a private
/// flag.
impl<T: Wire + PartialOrd> Wire for RangeInclusive<T> {
    const MAX_SIZE: Option<usize> = sum(&[T::MAX_SIZE, T::MAX_SIZE]);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        if self.start() <= self.end() && self.is_empty() {
            return Err(EncodeError::new("a RangeInclusive was iterated to its end; send its bounds instead"));
        }
        self.start().encode(out)?;
        self.end().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(T::decode(input)?..=T::decode(input)?)
    }
}
impl<T: Wire + PartialOrd> Pass for RangeInclusive<T> {
    by_wire!();
}

impl Wire for RangeFull {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(..)
    }
}
impl Pass for RangeFull {
    by_wire!();
}
