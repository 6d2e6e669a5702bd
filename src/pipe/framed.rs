//! Typed messages over a pipe: whole, or not at all.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::frame::{self, Assembler, Fault};
use super::{Reader, Writer, ready};
use crate::sys::generation;
use crate::wire::{DecodeError, Decoder, EncodeError, Encoder, Wire};

/// The longest message that is sent or taken by default, in bytes: 1 GiB.
const DEFAULT_MAX: u64 = 1 << 30;

/// Sends values of type `T` through a pipe, each whole.
///
/// Any number of writers, in any number of processes, may share one pipe: their messages, of any size, do not mix
/// (see [`frame`]). One that is killed in the middle of a message leaves nothing that could be taken for one, and
/// the messages of the others still arrive. After a fork both processes may go on with their copies.
///
/// ```
/// use tine::pipe::{RecvFrameError, pipe};
///
/// let (reader, writer) = pipe()?;
/// let mut results = reader.frames::<u64>();
/// let mut first = writer.frames::<u64>();
/// let mut second = first.try_clone()?;
/// first.send(&6)?;
/// second.send(&7)?;
/// drop((first, second));
///
/// assert_eq!(results.recv()?, 6);
/// assert_eq!(results.recv()?, 7);
/// assert!(matches!(results.recv(), Err(RecvFrameError::Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameWriter<T> {
    writer: Writer,
    max: u64,
    /// Tells this writer's pieces from those of every other on the pipe.
    id: u64,
    /// The fork generation in which `id` was drawn: a forked copy is another writer.
    generation: u64,
    /// What a timeout left unfinished.
    pending: Option<Pending>,
    values: PhantomData<fn(&T)>,
}

/// A message of which something is in the pipe and something is not.
#[derive(Debug)]
struct Pending {
    message: Vec<u8>,
    /// The piece that is next, and how many of its bytes are written (on a pipe always 0: it takes all or nothing).
    offset: usize,
    within: usize,
}

/// A value could not be sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendFrameError {
    /// Its type could not encode it. The stream is as it was.
    Encode(EncodeError),
    /// It is longer than the limit. The stream is as it was.
    TooLarge {
        /// Its encoded length, in bytes.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// The pipe stayed full, and nothing of it was written: it is not sent. Trying again is right.
    TimedOut,
    /// The pipe filled up in the middle of it: it *will* be sent, before anything else. Go on with
    /// [`flush`](FrameWriter::flush) or the next `send`; sending it again would send it twice.
    Unfinished,
    /// No process can read from this pipe any more. Some of what was sent before may not have been read.
    Closed,
    /// The system refused.
    Io(io::Error),
}

impl<T: Wire> FrameWriter<T> {
    /// Sends through `writer`; the same as [`Writer::frames`].
    pub fn new(writer: Writer) -> FrameWriter<T> {
        let generation = generation::current();
        FrameWriter { writer, max: DEFAULT_MAX, id: fresh_id(), generation, pending: None, values: PhantomData }
    }

    /// The longest message that is sent, in bytes. 1 GiB by default; at most [`frame::LONGEST`].
    pub fn max_frame(mut self, bytes: u64) -> FrameWriter<T> {
        self.max = bytes.min(frame::LONGEST);
        self
    }

    /// Sends `value`, waiting for the reader to make room as often as it takes.
    ///
    /// When this returns the message is in the pipe, which does not mean that anybody read it.
    ///
    /// # Errors
    ///
    /// [`Encode`](SendFrameError::Encode), [`TooLarge`](SendFrameError::TooLarge),
    /// [`Closed`](SendFrameError::Closed), [`Io`](SendFrameError::Io).
    pub fn send(&mut self, value: &T) -> Result<(), SendFrameError> {
        self.send_until(value, None)
    }

    /// Sends `value`, for no longer than `timeout`. Zero means: only if there is room now.
    ///
    /// # Errors
    ///
    /// As [`send`](FrameWriter::send), and [`TimedOut`](SendFrameError::TimedOut) or
    /// [`Unfinished`](SendFrameError::Unfinished), which differ in what is to be done.
    pub fn send_timeout(&mut self, value: &T, timeout: Duration) -> Result<(), SendFrameError> {
        self.send_until(value, ready::deadline_in(timeout))
    }

    /// Finishes what an [`Unfinished`](SendFrameError::Unfinished) left. Nothing to do otherwise.
    ///
    /// # Errors
    ///
    /// [`Closed`](SendFrameError::Closed), [`Io`](SendFrameError::Io).
    pub fn flush(&mut self) -> Result<(), SendFrameError> {
        self.flush_until(None)
    }

    /// Finishes what an [`Unfinished`](SendFrameError::Unfinished) left, for no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`flush`](FrameWriter::flush), and [`Unfinished`](SendFrameError::Unfinished).
    pub fn flush_timeout(&mut self, timeout: Duration) -> Result<(), SendFrameError> {
        self.flush_until(ready::deadline_in(timeout))
    }

    /// Another writer to the same pipe, in this process.
    ///
    /// # Errors
    ///
    /// `EMFILE` when this process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<FrameWriter<T>> {
        Ok(FrameWriter::new(self.writer.try_clone()?).max_frame(self.max))
    }

    fn send_until(&mut self, value: &T, deadline: Option<Instant>) -> Result<(), SendFrameError> {
        let mut encoder = Encoder::new();
        value.encode(&mut encoder).map_err(SendFrameError::Encode)?;
        let message = encoder.into_bytes();
        let len = message.len() as u64;
        if len > self.max {
            return Err(SendFrameError::TooLarge { len, max: self.max });
        }
        match self.flush_until(deadline) {
            // The unfinished one is an earlier one; of this one nothing is written.
            Err(SendFrameError::Unfinished) => return Err(SendFrameError::TimedOut),
            done => done?,
        }
        self.pending = Some(Pending { message, offset: 0, within: 0 });
        match self.flush_until(deadline) {
            Err(SendFrameError::Unfinished) if self.pending.as_ref().is_some_and(Pending::untouched) => {
                self.pending = None;
                Err(SendFrameError::TimedOut)
            }
            done => done,
        }
    }

    fn flush_until(&mut self, deadline: Option<Instant>) -> Result<(), SendFrameError> {
        self.notice_a_fork();
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        loop {
            let piece = frame::piece(self.id, &pending.message, pending.offset);
            let head = piece.head().get(pending.within..).unwrap_or_default();
            let body = &piece.body()[pending.within.saturating_sub(piece.head().len())..];
            match self.writer.write_until(head, body, deadline) {
                Ok(Some(n)) if pending.within + n == piece.len() => {
                    let Some(offset) = frame::after(&pending.message, pending.offset) else { return Ok(()) };
                    (pending.offset, pending.within) = (offset, 0);
                }
                Ok(Some(n)) => pending.within += n,
                Ok(None) => {
                    self.pending = Some(pending);
                    return Err(SendFrameError::Unfinished);
                }
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(SendFrameError::Closed),
                Err(error) => {
                    // What is begun must be finished before anything else, or the reader sees it torn.
                    self.pending = Some(pending).filter(|pending| !pending.untouched());
                    return Err(SendFrameError::Io(error));
                }
            }
        }
    }

    /// In a child this is a copy of a writer that lives on in the parent. With the parent's id the two would write
    /// into one message; and what the parent has begun the parent will finish.
    fn notice_a_fork(&mut self) {
        let generation = generation::current();
        if self.generation != generation {
            self.generation = generation;
            self.id = fresh_id();
            self.pending = None;
        }
    }
}

impl Pending {
    fn untouched(&self) -> bool {
        self.offset == 0 && self.within == 0
    }
}

/// A number that no other writer has: 64 bits from the keyed hash of std. Relatives by fork share the key, so what
/// is hashed differs between them: the process, a count within it, the time. Two of a million writers on one pipe
/// share a number with a probability of one in 37 million.
fn fresh_id() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only that each value is given out once.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one((std::process::id(), count, Instant::now()))
}

impl<T> fmt::Debug for FrameWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unfinished = self.pending.is_some();
        f.debug_struct("FrameWriter").field("writer", &self.writer).field("unfinished", &unfinished).finish()
    }
}

impl<T> AsFd for FrameWriter<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

impl fmt::Display for SendFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendFrameError::Encode(error) => write!(f, "the value could not be encoded, and was not sent: {error}"),
            SendFrameError::TooLarge { len, max } => {
                write!(f, "a message of {len} bytes was not sent, the limit is {max}; raise max_frame, or send less")
            }
            SendFrameError::TimedOut => f.write_str("the pipe stayed full, and nothing was sent; try again"),
            SendFrameError::Unfinished => {
                f.write_str("the pipe filled up in the middle of a message; flush finishes it, do not send it again")
            }
            SendFrameError::Closed => f.write_str("no process can read from the pipe any more"),
            SendFrameError::Io(error) => write!(f, "writing to the pipe failed: {error}"),
        }
    }
}

impl Error for SendFrameError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SendFrameError::Encode(error) => Some(error),
            SendFrameError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SendFrameError> for io::Error {
    fn from(error: SendFrameError) -> io::Error {
        let kind = match error {
            SendFrameError::Io(error) => return error,
            SendFrameError::Closed => io::ErrorKind::BrokenPipe,
            SendFrameError::TimedOut | SendFrameError::Unfinished => io::ErrorKind::TimedOut,
            SendFrameError::Encode(_) | SendFrameError::TooLarge { .. } => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

/// Receives the values of type `T` that [`FrameWriter`]s send, each whole.
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
    /// What came is not what a [`FrameWriter`] writes: something else uses the pipe. Every later call says so again.
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
    ///
    /// To be set before the first message is received: what was read ahead by then is dropped.
    pub fn max_frame(mut self, bytes: u64) -> FrameReader<T> {
        self.assembler = Assembler::new(bytes.min(frame::LONGEST));
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
        self.recv_until(ready::deadline_in(timeout))
    }

    /// Waits until [`recv`](FrameReader::recv) would return at once, be it with a value or an error; false when
    /// `timeout` came first. Takes nothing: a message that is only partly there does not count, an empty one does.
    pub fn poll(&mut self, timeout: Duration) -> bool {
        if self.found.is_none() {
            match self.advance(ready::deadline_in(timeout), <[u8]>::to_vec) {
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
