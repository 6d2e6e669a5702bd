//! Typed messages into a pipe: whole, or not at all.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Writer;
use super::frame::{self, DEFAULT_MAX};
use crate::sys::clock;
use crate::sys::generation;
use crate::wire::{EncodeError, Encoder, Wire};

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
///
/// ```
/// use std::time::Duration;
/// use tine::pipe::{SendFrameError, pipe};
///
/// let (reader, writer) = pipe()?;
/// let mut texts = writer.frames::<String>();
/// // Twice what the pipe holds, and nobody reads: the first part is in, so it must not be sent again.
/// let long = "x".repeat(2 * reader.capacity()?);
/// assert!(matches!(texts.send_timeout(&long, Duration::ZERO), Err(SendFrameError::Unfinished)));
/// // Of this one nothing is in.
/// assert!(matches!(texts.send_timeout(&long, Duration::ZERO), Err(SendFrameError::TimedOut)));
/// # Ok::<(), std::io::Error>(())
/// ```
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
        self.send_until(value, clock::deadline_in(timeout))
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
        self.flush_until(clock::deadline_in(timeout))
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

/// With its limit; refused while a message is half written.
impl<T: Wire> crate::wire::Pass for FrameWriter<T> {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        if self.pending.is_some() {
            return Err(EncodeError::new(
                "a message is half written into the pipe; flush it before the writer is sent",
            ));
        }
        out.wire(&self.max)?;
        self.writer.encode_pass(out)
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        let max = input.wire()?;
        Ok(FrameWriter::new(Writer::decode_pass(input)?).max_frame(max))
    }
}
