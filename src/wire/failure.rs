//! Errors cross, so that `?` works in a closure whose result does.
//!
//! An error of any type becomes what can be read of it: its text and those of its sources. `io::Error` keeps its kind
//! and the system's number besides, so that programs can go on deciding by them.
use std::error::Error;
use std::{fmt, io};

use super::error::{DecodeErrorKind, EncodeErrorKind};
use super::pass::by_wire;
use super::sequence::decode_count;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

/// So many sources are kept; a chain that is longer, or goes in a circle, is cut.
const MOST_LINKS: usize = 64;

/// What arrives of an error: its text, and its source as another of these.
struct Carried {
    message: String,
    source: Option<Box<Carried>>,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// As it is read by whoever returned it from `main`, which prints the `Debug` form: text first, then the sources.
impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.message)?;
        match &self.source {
            Some(source) => write!(f, ", because of {source:?}"),
            None => Ok(()),
        }
    }
}

impl Error for Carried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A number of texts: the error's, its source's, and so on.
fn encode_chain(error: &(dyn Error + 'static), out: &mut Encoder) -> Result<(), EncodeError> {
    let links = || std::iter::successors(Some(error), |&error| error.source()).take(MOST_LINKS);
    out.write_length(links().count());
    links().try_for_each(|link| link.to_string().encode(out))
}

fn decode_chain(input: &mut Decoder<'_>) -> Result<Carried, DecodeError> {
    let count = decode_count(input)?;
    if count == 0 || count > MOST_LINKS {
        return Err(input.invalid(format!("an error has 1 to {MOST_LINKS} texts, found {count}")));
    }
    // Only as long as the texts that follow, so the error made of them is no deeper than this loop.
    let texts = (0..count).map(|_| String::decode(input)).collect::<Result<Vec<_>, _>>()?;
    let mut chain: Option<Carried> = None;
    for message in texts.into_iter().rev() {
        chain = Some(Carried { message, source: chain.map(Box::new) });
    }
    chain.ok_or_else(|| input.invalid("an error has no text"))
}

macro_rules! boxed {
    ($($error:ty),*) => {$(
        /// As its text and that of its sources; cannot be downcast after that.
        impl Wire for Box<$error> {
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                let error: &(dyn Error + 'static) = &**self;
                encode_chain(error, out)
            }
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(Box::new(decode_chain(input)?))
            }
        }
        impl Pass for Box<$error> {
    by_wire!();
}
    )*};
}
boxed!(dyn Error, dyn Error + Send, dyn Error + Send + Sync);

/// One byte per kind; the place in this list. Kinds that std has not made public arrive as `Other`.
const KINDS: &[io::ErrorKind] = {
    use io::ErrorKind::*;
    &[
        Other,
        NotFound,
        PermissionDenied,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        NetworkUnreachable,
        ConnectionAborted,
        NotConnected,
        AddrInUse,
        AddrNotAvailable,
        NetworkDown,
        BrokenPipe,
        AlreadyExists,
        WouldBlock,
        NotADirectory,
        IsADirectory,
        DirectoryNotEmpty,
        ReadOnlyFilesystem,
        StaleNetworkFileHandle,
        InvalidInput,
        InvalidData,
        TimedOut,
        WriteZero,
        StorageFull,
        NotSeekable,
        QuotaExceeded,
        FileTooLarge,
        ResourceBusy,
        ExecutableFileBusy,
        Deadlock,
        CrossesDevices,
        TooManyLinks,
        InvalidFilename,
        ArgumentListTooLong,
        Interrupted,
        Unsupported,
        UnexpectedEof,
        OutOfMemory,
    ]
};

impl Wire for io::ErrorKind {
    const MAX_SIZE: Option<usize> = Some(1);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        let place = KINDS.iter().position(|kind| kind == self).unwrap_or(0);
        (place as u8).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let place = u8::decode(input)?;
        KINDS
            .get(usize::from(place))
            .copied()
            .ok_or_else(|| input.invalid_before(1, format!("no io::ErrorKind has the number {place}")))
    }
}
impl Pass for io::ErrorKind {
    by_wire!();
}

// The three things that an `io::Error` can be.
const SYSTEM: u8 = 0; // then the number
const KIND: u8 = 1; // then the kind
const TEXT: u8 = 2; // then the kind and a chain of texts

/// The system's number survives, else the kind and the text with its sources.
impl Wire for io::Error {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        if let Some(number) = self.raw_os_error() {
            return (SYSTEM, number).encode(out);
        }
        if let Some(inner) = self.get_ref() {
            (TEXT, self.kind()).encode(out)?;
            return encode_chain(inner, out);
        }
        if self.to_string() == self.kind().to_string() {
            return (KIND, self.kind()).encode(out);
        }
        // A text that std wrote into its own error without a box.
        (TEXT, self.kind()).encode(out)?;
        encode_chain(self, out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            SYSTEM => i32::decode(input).map(io::Error::from_raw_os_error),
            KIND => io::ErrorKind::decode(input).map(io::Error::from),
            TEXT => Ok(io::Error::new(io::ErrorKind::decode(input)?, decode_chain(input)?)),
            other => Err(input.invalid_before(1, format!("no form of io::Error has the number {other}"))),
        }
    }
}
impl Pass for io::Error {
    by_wire!();
}

impl Wire for fmt::Error {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(fmt::Error)
    }
}
impl Pass for fmt::Error {
    by_wire!();
}

impl Wire for EncodeError {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        (self.kind() == EncodeErrorKind::TooDeep).encode(out)?;
        self.message().to_owned().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let kind = if bool::decode(input)? { EncodeErrorKind::TooDeep } else { EncodeErrorKind::Refused };
        Ok(EncodeError::build(kind, String::decode(input)?.into()))
    }
}
impl Pass for EncodeError {
    by_wire!();
}

impl Wire for DecodeError {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        let kind: u8 = match self.kind() {
            DecodeErrorKind::Truncated => 0,
            DecodeErrorKind::Trailing => 1,
            DecodeErrorKind::Invalid => 2,
            DecodeErrorKind::TooDeep => 3,
            DecodeErrorKind::OutOfMemory => 4,
        };
        (kind, self.offset(), self.message().to_owned()).encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let kind = match u8::decode(input)? {
            0 => DecodeErrorKind::Truncated,
            1 => DecodeErrorKind::Trailing,
            2 => DecodeErrorKind::Invalid,
            3 => DecodeErrorKind::TooDeep,
            4 => DecodeErrorKind::OutOfMemory,
            other => return Err(input.invalid_before(1, format!("no kind of DecodeError has the number {other}"))),
        };
        let (offset, message) = <(Option<usize>, String)>::decode(input)?;
        Ok(DecodeError::build(kind, offset, message.into()))
    }
}
impl Pass for DecodeError {
    by_wire!();
}
