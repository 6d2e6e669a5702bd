//! How messages are cut into pieces so that nothing can tear them: pure code, without a descriptor.
//!
//! A pipe is a stream: two writes may be read as one, one write as two, a write of more than 4096 bytes
//! (`PIPE_BUF`) may be interleaved with those of other processes, and the writer may be killed in the middle. But
//! a write of at most `PIPE_BUF` bytes is whole or absent. So every piece is one such write, and says by itself
//! where it belongs:
//!
//! ```text
//!  a message of at most 4088 bytes is one piece
//!  | length : 48 | "wm" : 16 | the message ..            |
//!
//!  a larger one is several; all but the last carry 4072 bytes
//!  | length of the whole message : 48 | "pm" : 16 | writer : 64 | offset : 64 | bytes ..   |
//! ```
//!
//! All numbers are little-endian. The pieces of several writers may come in any order between each other: the
//! [`Assembler`] collects them by writer. A writer that is killed leaves an incomplete message, which is never
//! delivered and harms nobody else's.
//!
//! [`FrameWriter`](super::FrameWriter) and [`FrameReader`](super::FrameReader) do this over a pipe. What is here
//! serves other transports, and can be tested without one:
//!
//! ```
//! use tine::pipe::frame::{Assembler, pieces};
//!
//! let message = vec![7; 10_000];
//! let mut assembler = Assembler::new(1 << 20);
//! for piece in pieces(1, &message) {
//!     for part in [piece.head(), piece.body()] {
//!         assembler.space()[..part.len()].copy_from_slice(part);
//!         assembler.filled(part.len());
//!     }
//! }
//! assert_eq!(assembler.next()?.as_deref(), Some(&message[..]));
//! assert_eq!(assembler.next()?, None);
//! assembler.end()?;
//! # Ok::<(), tine::pipe::frame::Fault>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

/// The size of the largest piece, in bytes; what the kernel writes in one go (`PIPE_BUF`).
pub const PIECE: usize = rustix::pipe::PIPE_BUF;

/// The longest message that can be said, in bytes: the length has 48 bits.
pub const LONGEST: u64 = (1 << 48) - 1;

/// The longest message that is sent or taken by default, in bytes: 1 GiB.
pub(super) const DEFAULT_MAX: u64 = 1 << 30;

const WHOLE: u16 = u16::from_le_bytes(*b"wm");
const PART: u16 = u16::from_le_bytes(*b"pm");

const WHOLE_HEAD: usize = 8;
const PART_HEAD: usize = 24;

/// A message up to this length is one piece; a longer one never is.
const WHOLE_MAX: usize = PIECE - WHOLE_HEAD;
/// What every part but the last carries.
const PART_BODY: usize = PIECE - PART_HEAD;

/// How much is read at once: what a pipe holds by default.
const INPUT: usize = 64 * 1024;

/// One piece: a head and a slice of the message, to be written together in one call.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    head: [u8; PART_HEAD],
    head_len: usize,
    body: &'a [u8],
}

impl<'a> Piece<'a> {
    /// What says where the body belongs.
    pub fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }

    /// The bytes of the message.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The length of both together, in bytes; at most [`PIECE`].
    #[allow(clippy::len_without_is_empty, reason = "a piece has a head, so it is never empty")]
    pub fn len(&self) -> usize {
        self.head_len + self.body.len()
    }
}

/// Cuts `message` into pieces. `writer` must differ from that of every other writer on the same stream.
pub fn pieces(writer: u64, message: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let piece = piece(writer, message, next?);
        next = after(message, next?);
        Some(piece)
    })
}

/// The piece at `offset`, which must be 0 or come from [`after`].
pub(super) fn piece(writer: u64, message: &[u8], offset: usize) -> Piece<'_> {
    let length = message.len() as u64;
    let mut head = [0; PART_HEAD];
    if message.len() <= WHOLE_MAX {
        head[..8].copy_from_slice(&first_word(WHOLE, length).to_le_bytes());
        return Piece { head, head_len: WHOLE_HEAD, body: message };
    }
    head[..8].copy_from_slice(&first_word(PART, length).to_le_bytes());
    head[8..16].copy_from_slice(&writer.to_le_bytes());
    head[16..].copy_from_slice(&(offset as u64).to_le_bytes());
    let rest = &message[offset..];
    Piece { head, head_len: PART_HEAD, body: &rest[..rest.len().min(PART_BODY)] }
}

/// The offset of the piece after the one at `offset`; None when that was the last.
pub(super) fn after(message: &[u8], offset: usize) -> Option<usize> {
    let next = offset + PART_BODY;
    (message.len() > WHOLE_MAX && next < message.len()).then_some(next)
}

fn first_word(tag: u16, length: u64) -> u64 {
    u64::from(tag) << 48 | length & LONGEST
}

/// What can be wrong with a stream of pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The stream ended inside a message: its writer was killed, or gave up.
    Torn {
        /// How many bytes of the message had come.
        got: u64,
        /// How many it has; None where the stream ended before that was said.
        of: Option<u64>,
    },
    /// A message is longer than is allowed. Exactly this message is lost; the next call goes on behind it.
    TooLarge {
        /// How many bytes it has.
        len: u64,
        /// How many are allowed.
        max: u64,
    },
    /// There is no memory for a message. Exactly this message is lost; the next call goes on behind it.
    NoMemory {
        /// How many bytes it has.
        len: u64,
    },
    /// These are not pieces, or not in an order that [`pieces`] makes. Nothing behind it can be trusted: every
    /// later call says the same.
    Corrupt(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Torn { got, of: Some(of) } => {
                write!(f, "the stream ended {got} bytes into a message of {of}: its writer died or gave up there")
            }
            Fault::Torn { got, of: None } => {
                write!(f, "the stream ended {got} bytes into the head of a message: its writer died there")
            }
            Fault::TooLarge { len, max } => {
                write!(f, "a message of {len} bytes was skipped, the limit is {max}; raise it, or send less at once")
            }
            Fault::NoMemory { len } => write!(f, "no memory for a message of {len} bytes, which was skipped"),
            Fault::Corrupt(why) => {
                write!(f, "the stream is corrupt: {why}; does something else write to it, or read from it?")
            }
        }
    }
}

impl Error for Fault {}

/// A message of several pieces, on its way.
#[derive(Debug)]
struct Partial {
    length: u64,
    got: u64,
    /// The first `got` bytes; None for a message that is skipped.
    bytes: Option<Vec<u8>>,
}

/// Puts pieces together again.
///
/// Bytes go in through [`space`](Assembler::space) and [`filled`](Assembler::filled), cut anywhere; messages come
/// out of [`next`](Assembler::next) in the order of their last pieces. See the [module](self) for an example.
///
/// Memory grows with the bytes that came, never by a length that a peer claims. An incomplete message is kept
/// until the end of the stream, since its writer may only be slow.
#[derive(Debug)]
pub struct Assembler {
    max: u64,
    /// `input[start..end]` came and was not looked at yet.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// By writer. Ordered, so that what is torn at the end is told in the same order each time.
    partial: BTreeMap<u64, Partial>,
    corrupt: Option<&'static str>,
}

/// What stands in front of the input.
enum Next {
    Incomplete,
    Whole { length: usize },
    Part { length: u64, writer: u64, offset: u64, body: usize },
}

impl Assembler {
    /// For messages of at most `max` bytes.
    pub fn new(max: u64) -> Assembler {
        let input = vec![0; INPUT].into_boxed_slice();
        Assembler { max, input, start: 0, end: 0, partial: BTreeMap::new(), corrupt: None }
    }

    /// Whether nothing came that was not given out.
    pub(super) fn is_fresh(&self) -> bool {
        self.start == self.end && self.partial.is_empty() && self.corrupt.is_none()
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// For messages that begin from now on.
    pub(super) fn set_max(&mut self, max: u64) {
        self.max = max;
    }

    /// Where the next bytes of the stream go. Never empty after [`next`](Assembler::next) has returned None.
    pub fn space(&mut self) -> &mut [u8] {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.input[self.end..]
    }

    /// Says that the first `n` bytes of [`space`](Assembler::space) were filled.
    ///
    /// # Panics
    ///
    /// When the space is smaller than that.
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.input.len() - self.end, "more was filled than there was space");
        self.end += n;
    }

    /// The next complete message; None when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLarge`], [`Fault::NoMemory`] and [`Fault::Corrupt`].
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows from the assembler")]
    pub fn next(&mut self) -> Result<Option<Cow<'_, [u8]>>, Fault> {
        loop {
            match self.look()? {
                Next::Incomplete => return Ok(None),
                Next::Whole { length } => {
                    let body = self.consume(WHOLE_HEAD, length);
                    if length as u64 > self.max {
                        return Err(Fault::TooLarge { len: length as u64, max: self.max });
                    }
                    return Ok(Some(Cow::Borrowed(&self.input[body])));
                }
                Next::Part { length, writer, offset, body } => {
                    if let Some(message) = self.part(length, writer, offset, body)? {
                        return Ok(Some(Cow::Owned(message)));
                    }
                }
            }
        }
    }

    /// To be called at the end of the stream, when [`next`](Assembler::next) returned None: each call takes one
    /// incomplete message away and tells of it; Ok when there is none (left).
    ///
    /// # Errors
    ///
    /// [`Fault::Torn`]; or [`Fault::Corrupt`], if that was the last word of the stream.
    pub fn end(&mut self) -> Result<(), Fault> {
        if let Some(why) = self.corrupt {
            return Err(Fault::Corrupt(why));
        }
        if self.start < self.end {
            let front = &self.input[self.start..self.end];
            self.start = self.end;
            match first_word_of(front) {
                None => return Err(Fault::Torn { got: front.len() as u64, of: None }),
                Some((WHOLE, length)) => {
                    return Err(Fault::Torn { got: (front.len() - WHOLE_HEAD) as u64, of: Some(length) });
                }
                // The pieces of one writer are one message: what is cut off here is told with what came before.
                Some((_, length)) => {
                    let cut = front.len().saturating_sub(PART_HEAD) as u64;
                    let begun = word(front, 1).and_then(|writer| self.partial.get_mut(&writer));
                    match begun {
                        Some(partial) => partial.got += cut,
                        None => return Err(Fault::Torn { got: cut, of: Some(length) }),
                    }
                }
            }
        }
        while let Some((_, partial)) = self.partial.pop_first() {
            // One that was skipped has been told of already.
            if partial.bytes.is_some() {
                return Err(Fault::Torn { got: partial.got, of: Some(partial.length) });
            }
        }
        Ok(())
    }

    /// How many bytes of memory the incomplete messages take.
    pub fn held(&self) -> usize {
        let kept = |p: &Partial| size_of::<Partial>() + p.bytes.as_ref().map_or(0, Vec::capacity);
        self.partial.values().map(kept).sum()
    }

    /// Reads the head in front, and checks all of it before its body has come.
    fn look(&mut self) -> Result<Next, Fault> {
        if let Some(why) = self.corrupt {
            return Err(Fault::Corrupt(why));
        }
        let front = &self.input[self.start..self.end];
        let Some((tag, length)) = first_word_of(front) else { return Ok(Next::Incomplete) };
        let next = match tag {
            WHOLE if length > WHOLE_MAX as u64 => return Err(self.poison("a single piece is longer than one can be")),
            WHOLE => (WHOLE_HEAD + length as usize, Next::Whole { length: length as usize }),
            PART if length <= WHOLE_MAX as u64 => return Err(self.poison("a message was cut that fits one piece")),
            PART => {
                let (Some(writer), Some(offset)) = (word(front, 1), word(front, 2)) else {
                    return Ok(Next::Incomplete);
                };
                // Where this writer stands: at the start of a new message, or inside the one that it began.
                let (expected, of) = self.partial.get(&writer).map_or((0, length), |p| (p.got, p.length));
                if (offset, length) != (expected, of) {
                    return Err(self.poison("a piece is not the one that follows the one before"));
                }
                let body = (length - offset).min(PART_BODY as u64) as usize;
                (PART_HEAD + body, Next::Part { length, writer, offset, body })
            }
            _ => return Err(self.poison("these bytes do not begin a message")),
        };
        let (needed, next) = next;
        Ok(if front.len() < needed { Next::Incomplete } else { next })
    }

    /// Takes in one part, already checked; returns the message that it completes.
    fn part(&mut self, length: u64, writer: u64, offset: u64, body: usize) -> Result<Option<Vec<u8>>, Fault> {
        let range = self.consume(PART_HEAD, body);
        let max = self.max;
        let skip = length > max;
        let partial = self.partial.entry(writer).or_insert_with(|| Partial {
            length,
            got: 0,
            bytes: if skip { None } else { Some(Vec::new()) },
        });
        partial.got += body as u64;
        let fault = match &mut partial.bytes {
            None if offset == 0 => Some(Fault::TooLarge { len: length, max }),
            None => None,
            // Amortised growth by what came. Reserving `length` would hand our memory to whoever writes a number.
            Some(bytes) => match bytes.try_reserve(body) {
                Ok(()) => {
                    bytes.extend_from_slice(&self.input[range]);
                    None
                }
                Err(_) => {
                    partial.bytes = None;
                    Some(Fault::NoMemory { len: length })
                }
            },
        };
        let complete = partial.got == length;
        let message = if complete { self.partial.remove(&writer).and_then(|p| p.bytes) } else { None };
        fault.map_or(Ok(message), Err)
    }

    /// Takes `head + body` bytes off the front; returns where the body is.
    fn consume(&mut self, head: usize, body: usize) -> std::ops::Range<usize> {
        let at = self.start + head;
        self.start = at + body;
        at..self.start
    }

    #[cold]
    fn poison(&mut self, why: &'static str) -> Fault {
        self.corrupt = Some(why);
        // What is held will never be complete.
        self.partial.clear();
        Fault::Corrupt(why)
    }
}

/// Tag and length.
fn first_word_of(bytes: &[u8]) -> Option<(u16, u64)> {
    word(bytes, 0).map(|first| ((first >> 48) as u16, first & LONGEST))
}

/// The `i`th word of eight bytes.
fn word(bytes: &[u8], i: usize) -> Option<u64> {
    bytes.get(8 * i..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}
