//! The two cursors of what is handed over: bytes and descriptors out, bytes and descriptors in.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::vec;

use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

/// Where a value is written that is handed over: an [`Encoder`] for its bytes, and the descriptors beside them.
///
/// The descriptors are borrowed from the value: whoever sends them has them copied by the kernel.
///
/// ```
/// use tine::wire::{Pass, Passing, Received};
///
/// let value = (7_u8, std::fs::File::open("/dev/null")?);
/// let mut out = Passing::new();
/// value.encode_pass(&mut out)?;
/// assert_eq!(out.as_bytes(), [7]);
/// assert_eq!(out.descriptors().len(), 1);
///
/// // As a socket would carry it.
/// let copies = out.descriptors().iter().map(|fd| fd.try_clone_to_owned()).collect::<Result<_, _>>()?;
/// let mut input = Received::new(out.as_bytes(), copies);
/// let (seven, _null) = <(u8, std::fs::File)>::decode_pass(&mut input)?;
/// input.finish()?;
/// assert_eq!(seven, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Passing<'a> {
    bytes: Encoder,
    descriptors: Vec<BorrowedFd<'a>>,
}

impl<'a> Passing<'a> {
    /// With nothing in it.
    pub fn new() -> Passing<'a> {
        Passing::default()
    }

    /// Appends a value that is bytes alone.
    ///
    /// # Errors
    ///
    /// Where this value cannot cross.
    #[inline]
    pub fn wire<T: Wire>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.encode(&mut self.bytes)
    }

    /// Appends a descriptor. It takes no bytes: the other side knows by the type that one follows.
    pub fn descriptor(&mut self, fd: BorrowedFd<'a>) {
        self.descriptors.push(fd);
    }

    /// Where the bytes go.
    #[inline]
    pub fn bytes(&mut self) -> &mut Encoder {
        &mut self.bytes
    }

    /// Runs `f` one level deeper: see [`Encoder::nested`].
    ///
    /// # Errors
    ///
    /// `TooDeep` beyond [`MAX_DEPTH`](super::MAX_DEPTH) levels; else what `f` returns.
    pub fn nested<R>(&mut self, f: impl FnOnce(&mut Passing<'a>) -> Result<R, EncodeError>) -> Result<R, EncodeError> {
        self.bytes.descend()?;
        let result = f(self);
        self.bytes.ascend();
        result
    }

    /// The bytes written until now.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// The descriptors, in the order in which the other side will take them.
    pub fn descriptors(&self) -> &[BorrowedFd<'a>] {
        &self.descriptors
    }
}

/// What was received of a value that was handed over: a [`Decoder`] for its bytes, and the descriptors beside them.
///
/// Descriptors that nobody took are closed when it is dropped. See [`Passing`] for an example.
#[derive(Debug)]
pub struct Received<'a> {
    bytes: Decoder<'a>,
    descriptors: vec::IntoIter<OwnedFd>,
}

impl<'a> Received<'a> {
    /// For the whole of one value.
    pub fn new(bytes: &'a [u8], descriptors: Vec<OwnedFd>) -> Received<'a> {
        Received { bytes: Decoder::new(bytes), descriptors: descriptors.into_iter() }
    }

    /// Takes a value that is bytes alone.
    ///
    /// # Errors
    ///
    /// Where the bytes are not the encoding of one.
    #[inline]
    pub fn wire<T: Wire>(&mut self) -> Result<T, DecodeError> {
        T::decode(&mut self.bytes)
    }

    /// Takes the next descriptor, of whatever kind it is.
    ///
    /// # Errors
    ///
    /// Where none is left.
    pub fn descriptor(&mut self) -> Result<OwnedFd, DecodeError> {
        self.descriptors.next().ok_or_else(|| self.invalid("the message has fewer descriptors than the value"))
    }

    /// Where the bytes come from.
    #[inline]
    pub fn bytes(&mut self) -> &mut Decoder<'a> {
        &mut self.bytes
    }

    pub(super) fn position(&self) -> &Decoder<'a> {
        &self.bytes
    }

    /// An error that says how far the bytes were good; for a descriptor of the wrong kind, too.
    #[cold]
    pub fn invalid(&self, message: impl Into<String>) -> DecodeError {
        self.bytes.invalid(message)
    }

    /// Runs `f` one level deeper; the other half of [`Passing::nested`].
    ///
    /// # Errors
    ///
    /// `TooDeep` beyond [`MAX_DEPTH`](super::MAX_DEPTH) levels; else what `f` returns.
    pub fn nested<R>(&mut self, f: impl FnOnce(&mut Received<'a>) -> Result<R, DecodeError>) -> Result<R, DecodeError> {
        self.bytes.descend()?;
        let result = f(self);
        self.bytes.ascend();
        result
    }

    /// Checks that nothing is left, neither bytes nor descriptors.
    ///
    /// # Errors
    ///
    /// `Trailing` where bytes are, `Invalid` where descriptors are; those are closed.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.descriptors.len() {
            0 => self.bytes.finish(),
            more => Err(self.invalid(format!("{more} descriptors are left over after the value"))),
        }
    }
}

/// A value that is handed over, whole.
pub(crate) fn decode_whole<T: Pass>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<T, DecodeError> {
    let mut input = Received::new(bytes, descriptors);
    let value = T::decode_pass(&mut input)?;
    input.finish()?;
    Ok(value)
}
