//! Tuples and arrays: their elements, and nothing besides.
use std::mem;

use super::plain::Bulk;
use super::sequence::encode_all;
use super::size::sum;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Wire),+> Wire for ($($name,)+) {
            const MAX_SIZE: Option<usize> = sum(&[$($name::MAX_SIZE),+]);
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                $(self.$index.encode(out)?;)+
                Ok(())
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(input)?,)+))
            }
        }
        impl<$($name: Pass),+> Pass for ($($name,)+) {
            #[inline]
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                $(self.$index.encode_pass(out)?;)+
                Ok(())
            }
            #[inline]
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode_pass(input)?,)+))
            }
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}

impl<T: Wire, const N: usize> Wire for [T; N] {
    const MAX_SIZE: Option<usize> = match T::MAX_SIZE {
        Some(size) => size.checked_mul(N),
        None => None,
    };
    const PLAIN: Option<Bulk<Self>> = match T::PLAIN {
        Some(proof) => Some(proof.array()),
        None => None,
    };
    #[inline]
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_all(self, out)
    }
    #[inline]
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        if let Some(proof) = Self::PLAIN {
            return proof.decode(input);
        }
        let mut slots = [const { None::<T> }; N];
        for slot in &mut slots {
            *slot = Some(T::decode(input)?);
        }
        Ok(slots.map(|slot| slot.expect("the loop above filled every slot")))
    }
}
impl<T: Pass, const N: usize> Pass for [T; N] {
    const PLAIN: Option<Bulk<Self>> = match T::PLAIN {
        Some(proof) => Some(proof.array()),
        None => None,
    };
    #[inline]
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        match T::PLAIN {
            Some(proof) => {
                proof.encode(self, out.bytes());
                Ok(())
            }
            None => self.iter().try_for_each(|item| item.encode_pass(out)),
        }
    }
    #[inline]
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        if let Some(proof) = Self::PLAIN {
            return proof.decode(input.bytes());
        }
        let mut slots = [const { None::<T> }; N];
        for slot in &mut slots {
            *slot = Some(T::decode_pass(input)?);
        }
        Ok(slots.map(|slot| slot.expect("the loop above filled every slot")))
    }
}

const _: () = assert!(mem::size_of::<Result<(), DecodeError>>() == mem::size_of::<usize>());
