//! What can go wrong between a value and its bytes.
use std::borrow::Cow;
use std::{fmt, io};

/// What kind of failure a [`DecodeError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends before the value does.
    Truncated,
    /// The value ends before the input does.
    Trailing,
    /// The bytes are not the encoding of any value of the type: a `bool` of 2, an unknown tag, text that is not UTF-8.
    Invalid,
    /// Values are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// The bytes are there, the memory to hold the value is not.
    OutOfMemory,
}

/// Bytes were not the encoding of a value.
///
/// ```
/// use tine::wire::{self, DecodeErrorKind};
///
/// let error = wire::from_bytes::<bool>(&[2]).unwrap_err();
/// assert_eq!(error.kind(), DecodeErrorKind::Invalid);
/// assert_eq!(error.offset(), Some(0));
/// assert_eq!(error.to_string(), "cannot decode at byte 0: a bool is 0 or 1, found 2");
/// ```
// Boxed, so that the `Result` of every small `decode` stays as small as its value.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<DecodeFailure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct DecodeFailure {
    kind: DecodeErrorKind,
    offset: Option<usize>,
    message: Cow<'static, str>,
}

impl DecodeError {
    /// The bytes are invalid, for this reason.
    ///
    /// [`Decoder::invalid`](super::Decoder::invalid) also says where.
    pub fn new(message: impl Into<String>) -> DecodeError {
        DecodeError::build(DecodeErrorKind::Invalid, None, Cow::Owned(message.into()))
    }

    #[cold]
    pub(super) fn build(kind: DecodeErrorKind, offset: Option<usize>, message: Cow<'static, str>) -> DecodeError {
        DecodeError(Box::new(DecodeFailure { kind, offset, message }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// How many bytes into the input the failure was found, where that is known.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    /// The same error, found at `offset` unless it says itself where.
    #[cfg(feature = "serde")]
    pub(super) fn or_at(mut self, offset: usize) -> DecodeError {
        self.0.offset.get_or_insert(offset);
        self
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("kind", &self.0.kind)
            .field("offset", &self.0.offset)
            .field("message", &self.0.message)
            .finish()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.offset {
            Some(offset) => write!(f, "cannot decode at byte {offset}: {}", self.0.message),
            None => write!(f, "cannot decode: {}", self.0.message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for io::Error {
    /// [`InvalidData`](io::ErrorKind::InvalidData); [`OutOfMemory`](io::ErrorKind::OutOfMemory) where memory ran out.
    fn from(error: DecodeError) -> io::Error {
        let kind = match error.kind() {
            DecodeErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// What kind of failure an [`EncodeError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// This value of the type cannot cross: a `RefCell` that is mutably borrowed, an exhausted `RangeInclusive`.
    Refused,
    /// Values are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH); the other side would refuse to decode them.
    TooDeep,
}

/// A value could not be encoded.
///
/// ```
/// use std::cell::RefCell;
/// use tine::wire::{self, EncodeErrorKind};
///
/// let cell = RefCell::new(7_u32);
/// let _borrowed = cell.borrow_mut();
/// assert_eq!(wire::to_bytes(&cell).unwrap_err().kind(), EncodeErrorKind::Refused);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<EncodeFailure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct EncodeFailure {
    kind: EncodeErrorKind,
    message: Cow<'static, str>,
}

impl EncodeError {
    /// The value cannot cross, for this reason.
    pub fn new(message: impl Into<String>) -> EncodeError {
        EncodeError::build(EncodeErrorKind::Refused, Cow::Owned(message.into()))
    }

    #[cold]
    pub(super) fn build(kind: EncodeErrorKind, message: Cow<'static, str>) -> EncodeError {
        EncodeError(Box::new(EncodeFailure { kind, message }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> EncodeErrorKind {
        self.0.kind
    }

    pub(super) fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodeError").field("kind", &self.0.kind).field("message", &self.0.message).finish()
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot encode: {}", self.0.message)
    }
}

impl std::error::Error for EncodeError {}

impl From<EncodeError> for io::Error {
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    fn from(error: EncodeError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}
