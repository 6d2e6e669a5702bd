//! The two cursors: bytes out, bytes in.
//!
//! A length or a tag is one byte up to 250, else a marker byte and the number in the machine's byte order:
//!
//! ```text
//!   0 ..= 250   the number itself
//!   251         then 2 bytes   251 ..= 2^16 - 1
//!   252         then 4 bytes  2^16 ..= 2^32 - 1
//!   253         then 8 bytes  2^32 ..= 2^64 - 1
//!   254, 255    never written
//! ```
//!
//! A number in a longer form than it needs is refused, so a value has one encoding.
use std::borrow::Cow;
use std::io;

use super::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};

/// How deep values may be nested, counted in boxes and collections.
///
/// Without a bound a few kilobytes of input, each byte one more `Box`, would overflow the decoder's stack, which kills
/// the process. The encoder counts as well, so that the side that has the value is the one that learns of it.
pub const MAX_DEPTH: u32 = 128;

/// The memory that collections may reserve ahead of their elements where the input is short.
const LEAST_ROOM: usize = 4096;

const LARGEST_BYTE: u8 = 250;
const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;

/// The most bytes that a length or tag up to `largest` takes.
pub(super) const fn size_of_number(largest: u64) -> usize {
    match largest {
        0..=250 => 1,
        251..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Where a value is written.
///
/// ```
/// use tine::wire::{Encoder, Wire};
///
/// let mut out = Encoder::from_vec(Vec::with_capacity(64));
/// "seven".to_string().encode(&mut out)?;
/// assert_eq!(out.as_bytes(), b"\x05seven");
/// out.clear(); // keeps the buffer for the next value
/// 7_u8.encode(&mut out)?;
/// assert_eq!(out.into_bytes(), [7]);
/// # Ok::<(), tine::wire::EncodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    depth: u32,
}

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// An empty encoder with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Encoder {
        Encoder::from_vec(Vec::with_capacity(capacity))
    }

    /// An encoder that appends to `bytes`: a header that is there already, or the emptied buffer of an earlier value.
    pub fn from_vec(bytes: Vec<u8>) -> Encoder {
        Encoder { bytes, depth: 0 }
    }

    /// Forgets what was written and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.depth = 0;
    }

    /// Makes room for `additional` more bytes.
    pub fn reserve(&mut self, additional: usize) {
        self.bytes.reserve(additional);
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a length or a tag: 1 byte up to 250, at most 9.
    #[inline]
    pub fn write_length(&mut self, length: usize) {
        self.write_number(length as u64);
    }

    #[inline]
    pub(super) fn write_number(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(byte @ ..=LARGEST_BYTE) => self.bytes.push(byte),
            _ => self.write_large_number(number),
        }
    }

    #[cold]
    fn write_large_number(&mut self, number: u64) {
        if let Ok(number) = u16::try_from(number) {
            self.bytes.push(TWO_BYTES);
            self.write(&number.to_ne_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.bytes.push(FOUR_BYTES);
            self.write(&number.to_ne_bytes());
        } else {
            self.bytes.push(EIGHT_BYTES);
            self.write(&number.to_ne_bytes());
        }
    }

    /// Runs `f` one level deeper.
    ///
    /// To be used by hand-written implementations of types that can contain themselves otherwise than through a
    /// `Box`, a collection, or another type that does so already.
    ///
    /// # Errors
    /// [`TooDeep`](EncodeErrorKind::TooDeep) beyond [`MAX_DEPTH`] levels; else what `f` returns.
    #[inline]
    pub fn nested<R>(&mut self, f: impl FnOnce(&mut Encoder) -> Result<R, EncodeError>) -> Result<R, EncodeError> {
        self.descend()?;
        let result = f(self);
        self.ascend();
        result
    }

    #[inline]
    pub(super) fn descend(&mut self) -> Result<(), EncodeError> {
        if self.depth == MAX_DEPTH {
            let message =
                format!("values are nested more than {MAX_DEPTH} levels deep; flatten them, or box fewer of them");
            return Err(EncodeError::build(EncodeErrorKind::TooDeep, Cow::Owned(message)));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, with its buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends, like [`Encoder::write`]; never fails.
impl io::Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Encoder::write(self, bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a value is read from.
///
/// ```
/// use tine::wire::{Decoder, Wire};
///
/// let mut input = Decoder::new(b"\x05seven\x01");
/// assert_eq!(String::decode(&mut input)?, "seven");
/// assert_eq!(input.offset(), 6);
/// assert!(bool::decode(&mut input)?);
/// input.finish()?;
/// # Ok::<(), tine::wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    whole: usize,
    depth: u32,
    room: usize,
}

impl<'a> Decoder<'a> {
    /// Reads from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        // Four bytes of memory for one of input is what short strings take; less would only mean to grow more often.
        let room = bytes.len().saturating_mul(4).max(LEAST_ROOM);
        Decoder { rest: bytes, whole: bytes.len(), depth: 0, room }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Truncated`](DecodeErrorKind::Truncated) where fewer are left.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.truncated(n)),
        }
    }

    /// The next `N` bytes, as an array.
    ///
    /// # Errors
    /// [`Truncated`](DecodeErrorKind::Truncated) where fewer are left.
    #[inline]
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(self.truncated(N)),
        }
    }

    /// A length or tag, as [`Encoder::write_length`] wrote it.
    ///
    /// It is what the input *says*: check it against [`remaining`](Decoder::remaining) before reserving memory for it.
    ///
    /// # Errors
    /// [`Truncated`](DecodeErrorKind::Truncated), or [`Invalid`](DecodeErrorKind::Invalid) where the number is written
    /// in a longer form than it needs.
    #[inline]
    pub fn take_length(&mut self) -> Result<usize, DecodeError> {
        let number = self.take_number()?;
        // Only a 32-bit machine can fail here; there no input is that long.
        usize::try_from(number).map_err(|_| self.truncated(usize::MAX))
    }

    #[inline]
    pub(super) fn take_number(&mut self) -> Result<u64, DecodeError> {
        match self.rest.split_first() {
            Some((&byte @ ..=LARGEST_BYTE, rest)) => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.take_large_number(),
        }
    }

    #[cold]
    fn take_large_number(&mut self) -> Result<u64, DecodeError> {
        let start = self.offset();
        let [form] = self.take_array()?;
        let (number, least) = match form {
            TWO_BYTES => (u64::from(u16::from_ne_bytes(self.take_array()?)), u64::from(LARGEST_BYTE) + 1),
            FOUR_BYTES => (u64::from(u32::from_ne_bytes(self.take_array()?)), 1 << 16),
            EIGHT_BYTES => (u64::from_ne_bytes(self.take_array()?), 1 << 32),
            _ => return Err(invalid_at(start, format!("no length or tag begins with the byte {form}"))),
        };
        if number < least {
            return Err(invalid_at(
                start,
                format!("the length or tag {number} is written in a longer form than it needs"),
            ));
        }
        Ok(number)
    }

    /// Runs `f` one level deeper; the other half of [`Encoder::nested`].
    ///
    /// # Errors
    /// [`TooDeep`](DecodeErrorKind::TooDeep) beyond [`MAX_DEPTH`] levels; else what `f` returns.
    #[inline]
    pub fn nested<R>(&mut self, f: impl FnOnce(&mut Decoder<'a>) -> Result<R, DecodeError>) -> Result<R, DecodeError> {
        self.descend()?;
        let result = f(self);
        self.ascend();
        result
    }

    #[inline]
    pub(super) fn descend(&mut self) -> Result<(), DecodeError> {
        if self.depth == MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} levels deep");
            return Err(DecodeError::build(DecodeErrorKind::TooDeep, Some(self.offset()), Cow::Owned(message)));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// For how many of `count` announced elements of `size` bytes to reserve memory; the others as they arrive.
    ///
    /// The room is one for the whole input: a length that lies at each of many levels gets it once.
    #[inline]
    pub(super) fn reserve(&mut self, count: usize, size: usize) -> usize {
        let count = count.min(self.room / size.max(1));
        self.room -= count * size;
        count
    }

    /// Gives back what was reserved, when the elements have arrived and been paid for by their bytes.
    #[inline]
    pub(super) fn release(&mut self, count: usize, size: usize) {
        self.room += count * size;
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes were taken.
    #[inline]
    pub fn offset(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// An [`Invalid`](DecodeErrorKind::Invalid) error that says where.
    ///
    /// The offset is that of the byte after those taken so far.
    #[cold]
    pub fn invalid(&self, message: impl Into<String>) -> DecodeError {
        invalid_at(self.offset(), message.into())
    }

    /// The same, `back` bytes earlier: where the bytes just taken began.
    #[cold]
    pub(super) fn invalid_before(&self, back: usize, message: impl Into<String>) -> DecodeError {
        invalid_at(self.offset().saturating_sub(back), message.into())
    }

    #[cold]
    pub(super) fn truncated(&self, wanted: usize) -> DecodeError {
        let message = format!("the input ends early: {wanted} bytes wanted, {} left", self.remaining());
        DecodeError::build(DecodeErrorKind::Truncated, Some(self.offset()), Cow::Owned(message))
    }

    #[cold]
    pub(super) fn out_of_memory(&self, wanted: usize) -> DecodeError {
        let message = format!("no memory for {wanted} elements");
        DecodeError::build(DecodeErrorKind::OutOfMemory, Some(self.offset()), Cow::Owned(message))
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`Trailing`](DecodeErrorKind::Trailing) where something is.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let message = format!("{} bytes are left over after the value", self.rest.len());
        Err(DecodeError::build(DecodeErrorKind::Trailing, Some(self.offset()), Cow::Owned(message)))
    }
}

fn invalid_at(offset: usize, message: String) -> DecodeError {
    DecodeError::build(DecodeErrorKind::Invalid, Some(offset), Cow::Owned(message))
}
