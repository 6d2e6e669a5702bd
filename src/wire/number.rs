//! Single values that not every byte pattern is: checked on the way in.
use std::cmp::{Ordering, Reverse};
use std::convert::Infallible;
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::pass::by_wire;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

impl Wire for bool {
    const MAX_SIZE: Option<usize> = Some(1);
    #[inline]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        u8::from(*self).encode(out)
    }
    #[inline]
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(input.invalid_before(1, format!("a bool is 0 or 1, found {other}"))),
        }
    }
}
impl Pass for bool {
    by_wire!();
}

impl Wire for char {
    const MAX_SIZE: Option<usize> = Some(4);
    #[inline]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        u32::from(*self).encode(out)
    }
    #[inline]
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let number = u32::decode(input)?;
        char::from_u32(number).ok_or_else(|| {
            input.invalid_before(4, format!("{number:#x} is a surrogate or beyond U+10FFFF, not a char"))
        })
    }
}
impl Pass for char {
    by_wire!();
}

macro_rules! nonzero {
    ($($number:ty),*) => {$(
        impl Wire for NonZero<$number> {
            const MAX_SIZE: Option<usize> = Some(size_of::<$number>());
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                self.get().encode(out)
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                NonZero::new(<$number>::decode(input)?)
                    .ok_or_else(|| input.invalid_before(size_of::<$number>(), "a NonZero is 0"))
            }
        }
        impl Pass for NonZero<$number> {
    by_wire!();
}
    )*};
}
nonzero!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl Wire for Ordering {
    const MAX_SIZE: Option<usize> = Some(1);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (*self as i8).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match i8::decode(input)? {
            -1 => Ok(Ordering::Less),
            0 => Ok(Ordering::Equal),
            1 => Ok(Ordering::Greater),
            other => Err(input.invalid_before(1, format!("an Ordering is -1, 0 or 1, found {other}"))),
        }
    }
}
impl Pass for Ordering {
    by_wire!();
}

impl<T: Wire> Wire for Reverse<T> {
    const MAX_SIZE: Option<usize> = T::MAX_SIZE;
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.0.encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(input).map(Reverse)
    }
}
impl<T: Pass> Pass for Reverse<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        self.0.encode_pass(out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        T::decode_pass(input).map(Reverse)
    }
}

/// Never encoded, since there is none; bytes that claim to be one are refused.
impl Wire for Infallible {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        match *self {}
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Err(input.invalid("no value of the type Infallible exists"))
    }
}
impl Pass for Infallible {
    by_wire!();
}

/// As the word that `wait` gave.
impl Wire for ExitStatus {
    const MAX_SIZE: Option<usize> = Some(4);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.into_raw().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        i32::decode(input).map(ExitStatus::from_raw)
    }
}
impl Pass for ExitStatus {
    by_wire!();
}
