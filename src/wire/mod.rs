//! What may cross from one process to another, and how.
mod codec;

pub use codec::{DecodeError, Decoder, EncodeError, Encoder};

/// The bytes are the value.
///
/// # Safety
/// Every bit pattern of the type is a valid value; it has no padding, no pointers and no interior mutability.
#[allow(unsafe_code)]
pub unsafe trait Plain: Copy + Wire + 'static {}

/// May be used in place by several processes.
///
/// # Safety
/// All access through `&Self` is atomic or locked by words inside it; no pointers; no drop glue.
#[allow(unsafe_code)]
pub unsafe trait Share: Sync {}

/// Can be encoded into bytes and decoded from them in another process.
pub trait Wire: Sized {
    /// Appends the value to `out`.
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;
    /// Takes a value from the front of `input`.
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;
    /// The most bytes that any value of this type takes, where that is known.
    const MAX_SIZE: Option<usize> = None;
}

/// Can be handed to another process: every `Wire` type, and descriptors and shared memory besides.
pub trait Pass: Sized {}

impl Wire for u64 {
    const MAX_SIZE: Option<usize> = Some(8);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write(&self.to_ne_bytes());
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(input.take(8)?);
        Ok(u64::from_ne_bytes(bytes))
    }
}
impl Pass for u64 {}
impl Wire for () {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}
impl Pass for () {}
impl Wire for String {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (self.len() as u64).encode(out)?;
        out.write(self.as_bytes());
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let n = u64::decode(input)? as usize;
        String::from_utf8(input.take(n)?.to_vec()).map_err(|_| DecodeError::new("a string is not UTF-8"))
    }
}
impl Pass for String {}

impl Wire for u32 {
    const MAX_SIZE: Option<usize> = Some(8);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (*self as u64).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(u64::decode(input)? as u32)
    }
}
impl Wire for bool {
    const MAX_SIZE: Option<usize> = Some(8);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (*self as u64).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(u64::decode(input)? != 0)
    }
}
impl<T: Wire> Wire for Option<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.is_some().encode(out)?;
        self.iter().try_for_each(|v| v.encode(out))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::decode(input)? { Some(T::decode(input)?) } else { None })
    }
}
impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.0.encode(out)?;
        self.1.encode(out)?;
        self.2.encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(input)?, B::decode(input)?, C::decode(input)?))
    }
}
