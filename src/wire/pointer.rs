//! Owning pointers cross as what they point to.
//!
//! Two `Rc` to one value become two values: the bytes are a tree.
//!
//! `MAX_SIZE` stays unknown: `struct List { next: Option<Box<List>> }` would else ask for its own size to know it.
use std::borrow::Cow;
use std::ffi::{CStr, OsStr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::pass::by_wire;
use super::sequence::{decode_inside, encode_inside, encode_slice};
use super::text::Text;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<T: Wire> Wire for $pointer<T> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                encode_inside::<T>(out, |out| (**self).encode(out))
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                decode_inside::<T, _>(input, |input| T::decode(input).map($pointer::new))
            }
        }
        impl<T: Pass> Pass for $pointer<T> {
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                out.nested(|out| (**self).encode_pass(out))
            }
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                input.nested(|input| T::decode_pass(input).map($pointer::new))
            }
        }
    )*};
}
pointers!(Box, Rc, Arc);

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl Wire for Box<$text> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                <$text>::encode_text(self, out)
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                <$text>::decode_text(input).map(Into::into)
            }
        }
        impl Pass for Box<$text> {
            by_wire!();
        }

        impl Wire for Rc<$text> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                <$text>::encode_text(self, out)
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                <$text>::decode_text(input).map(Into::into)
            }
        }
        impl Pass for Rc<$text> {
            by_wire!();
        }

        impl Wire for Arc<$text> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                <$text>::encode_text(self, out)
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                <$text>::decode_text(input).map(Into::into)
            }
        }
        impl Pass for Arc<$text> {
            by_wire!();
        }

        /// Arrives owned.
        impl Wire for Cow<'_, $text> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                <$text>::encode_text(self, out)
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                <$text>::decode_text(input).map(|text| Cow::Owned(text.to_owned()))
            }
        }
        impl Pass for Cow<'_, $text> {
            by_wire!();
        }
    )*};
}
texts!(str, OsStr, Path, CStr);

/// Arrives owned.
impl<T: Wire + Clone> Wire for Cow<'_, [T]> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_slice(self, out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Vec::decode(input).map(Cow::Owned)
    }
}
impl<T: Wire + Clone> Pass for Cow<'_, [T]> {
    by_wire!();
}
