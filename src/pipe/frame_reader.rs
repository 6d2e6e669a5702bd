//! Typed messages out of a pipe.

use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::Reader;
use super::frame::{Assembler, DEFAULT_MAX, Fault};
use crate::sys::clock;
use crate::wire::{DecodeError, Decoder, Wire};

/// Receives the values of type `T` that [`FrameWriter`](super::FrameWriter)s send, each whole.
///
/// It reads ahead, so one process at a time may receive from a pipe: a forked copy would hold bytes that the
/// original holds too. As an iterator it ends at the clean end of the stream, and after an error behind which
/// nothing can follow.
///
/// ```
/// let (reader, writer) = tine::pipe::pipe()?;
/// let mut words = writer.frames::<String>();
/// for word in ["one", "", "three"] {
///     words.send(&word.to_string())?;
/// }
/// drop(words);
///
/// let received: Result<Vec<String>, _> = reader.frames().collect();
/// assert_eq!(received?, ["one", "", "three"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameReader<T> {
    reader: Reader,
    assembler: Assembler,
    /// What `poll` found.
    found: Option<Result<Vec<u8>, RecvFrameError>>,
    ended: bool,
    /// The iterator has given its last.
    exhausted: bool,
    values: PhantomData<fn() -> T>,
}

/// No value was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvFrameError {
    /// The end: every writer is gone, and everything they sent was received.
    Closed,
    /// Nothing complete came in time. What came of a message is kept; the next call goes on with it.
    TimedOut,
    /// The stream ended inside a message, which is lost: its writer was killed there, or dropped unfinished. One such
    /// error for each; then `Closed`.
    Torn {
        /// How many bytes of the message had come.
        got: u64,
        /// How many it has; None where the stream ended before that was said.
        of: Option<u64>,
    },
    /// A message over the limit was skipped. The next call goes on behind it.
    TooLarge {
        /// Its length, in bytes.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A message came whole, but is not a `T`. The next call goes on behind it.
    Decode(DecodeError),
    /// What came is not what a [`FrameWriter`](super::FrameWriter) writes: something else uses the pipe. Every later call says so again.
    Corrupt(&'static str),
    /// The system refused.
    Io(io::Error),
}

impl<T: Wire> FrameReader<T> {
    /// Receives from `reader`; the same as [`Reader::frames`].
    pub fn new(reader: Reader) -> FrameReader<T> {
        FrameReader {
            reader,
            assembler: Assembler::new(DEFAULT_MAX),
            found: None,
            ended: false,
            exhausted: false,
            values: PhantomData,
        }
    }

    /// The longest message that is taken, in bytes; a longer one is skipped without being stored. 1 GiB by default.
    pub fn max_frame(mut self, bytes: u64) -> FrameReader<T> {
        self.assembler.set_max(bytes);
        self
    }

    /// Receives the next value, however long it takes to come.
    ///
    /// # Errors
    ///
    /// Each [`RecvFrameError`] but `TimedOut`.
    pub fn recv(&mut self) -> Result<T, RecvFrameError> {
        self.recv_until(None)
    }

    /// Receives the next value if it is complete within `timeout`. Zero means: only if it is there now.
    ///
    /// # Errors
    ///
    /// Each [`RecvFrameError`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvFrameError> {
        self.recv_until(clock::deadline_in(timeout))
    }

    /// Waits until [`recv`](FrameReader::recv) would return at once, be it with a value or an error; false when
    /// `timeout` came first. Takes nothing: a message that is only partly there does not count, an empty one does.
    pub fn poll(&mut self, timeout: Duration) -> bool {
        if self.found.is_none() {
            match self.advance(clock::deadline_in(timeout), <[u8]>::to_vec) {
                Err(RecvFrameError::TimedOut) => return false,
                found => self.found = Some(found),
            }
        }
        true
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvFrameError> {
        let value = match self.found.take() {
            Some(found) => decode(&found?),
            None => self.advance(deadline, decode)?,
        };
        value.map_err(RecvFrameError::Decode)
    }

    /// Reads on until there is a message, and gives it to `take`.
    fn advance<R>(&mut self, deadline: Option<Instant>, take: impl FnOnce(&[u8]) -> R) -> Result<R, RecvFrameError> {
        loop {
            if let Some(message) = self.assembler.next()? {
                return Ok(take(&message));
            }
            if self.ended {
                self.assembler.end()?;
                return Err(RecvFrameError::Closed);
            }
            match self.reader.read_until(self.assembler.space(), deadline).map_err(RecvFrameError::Io)? {
                None => return Err(RecvFrameError::TimedOut),
                Some(0) => self.ended = true,
                Some(n) => self.assembler.filled(n),
            }
        }
    }
}

fn decode<T: Wire>(message: &[u8]) -> Result<T, DecodeError> {
    let mut input = Decoder::new(message);
    let value = T::decode(&mut input)?;
    input.finish()?;
    Ok(value)
}

impl<T: Wire> Iterator for FrameReader<T> {
    type Item = Result<T, RecvFrameError>;

    fn next(&mut self) -> Option<Result<T, RecvFrameError>> {
        if self.exhausted {
            return None;
        }
        let next = self.recv();
        self.exhausted =
            matches!(next, Err(RecvFrameError::Closed | RecvFrameError::Corrupt(_) | RecvFrameError::Io(_)));
        if matches!(next, Err(RecvFrameError::Closed)) { None } else { Some(next) }
    }
}

impl<T> fmt::Debug for FrameReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("reader", &self.reader).field("ended", &self.ended).finish()
    }
}

/// To wait on. That it is not readable does not mean that nothing is there: messages may have been read ahead. Ask
/// [`poll`](FrameReader::poll) with a timeout of zero first.
impl<T> AsFd for FrameReader<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl From<Fault> for RecvFrameError {
    fn from(fault: Fault) -> RecvFrameError {
        match fault {
            Fault::Torn { got, of } => RecvFrameError::Torn { got, of },
            Fault::TooLarge { len, max } => RecvFrameError::TooLarge { len, max },
            Fault::NoMemory { .. } => RecvFrameError::Io(io::Error::new(io::ErrorKind::OutOfMemory, fault)),
            Fault::Corrupt(why) => RecvFrameError::Corrupt(why),
        }
    }
}

impl fmt::Display for RecvFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RecvFrameError::Closed => f.write_str("every writer is gone, and everything they sent was received"),
            RecvFrameError::TimedOut => f.write_str("no complete message came in time"),
            RecvFrameError::Torn { got, of } => Fault::Torn { got, of }.fmt(f),
            RecvFrameError::TooLarge { len, max } => Fault::TooLarge { len, max }.fmt(f),
            RecvFrameError::Decode(ref error) => write!(f, "a message came that is not of the expected type: {error}"),
            RecvFrameError::Corrupt(why) => Fault::Corrupt(why).fmt(f),
            RecvFrameError::Io(ref error) => write!(f, "reading from the pipe failed: {error}"),
        }
    }
}

impl Error for RecvFrameError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RecvFrameError::Decode(error) => Some(error),
            RecvFrameError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RecvFrameError> for io::Error {
    fn from(error: RecvFrameError) -> io::Error {
        let kind = match error {
            RecvFrameError::Io(error) => return error,
            RecvFrameError::Closed | RecvFrameError::Torn { .. } => io::ErrorKind::UnexpectedEof,
            RecvFrameError::TimedOut => io::ErrorKind::TimedOut,
            RecvFrameError::TooLarge { .. } | RecvFrameError::Decode(_) | RecvFrameError::Corrupt(_) => {
                io::ErrorKind::InvalidData
            }
        };
        io::Error::new(kind, error)
    }
}

/// With its limit; refused when it has read ahead.
impl<T: Wire> crate::wire::Pass for FrameReader<T> {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        if self.found.is_some() || !self.assembler.is_fresh() {
            let why = "messages were read ahead from the pipe; receive them before the reader is sent";
            return Err(crate::wire::EncodeError::new(why));
        }
        out.wire(&self.assembler.max())?;
        self.reader.encode_pass(out)
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        let max = input.wire()?;
        Ok(FrameReader::new(Reader::decode_pass(input)?).max_frame(max))
    }
}
