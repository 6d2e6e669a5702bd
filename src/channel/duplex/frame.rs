//! How a value is cut into packets of a socket that keeps boundaries: pure code, without a descriptor.
//!
//! A packet is whole or absent, with its descriptors, and those of one sender stay in order. It holds at most 64 KiB and 253
//! descriptors; what is larger goes in several. Each begins with 16 bytes:
//!
//! ```text
//!   0       1      4             8                  16
//!   | first | 0..  | descriptors | bytes            | piece 0      of a message: how many of both it has in all
//!   | more  | 0..  | number      | bytes            | piece 1, 2.. of the same message
//!   | owner | 0..  | pid         | 0                |              the sending end belongs to this process now
//!   | bye   | 0..                                   |              the sending end was dropped: nothing follows
//! ```
//!
//! All numbers are little-endian. Every piece but the last is full of what the message still has: 65520 bytes, 253
//! descriptors. So there is one way to cut a message, and a receiver knows what comes next; anything else is corrupt.
//!
//! A `first` where a `more` was due says that the sender gave up the message before (its time was over): what came of
//! that is dropped, and nobody has to be told, since its sender was.
//!
//! ```
//! use tine::channel::duplex::frame::{Assembler, News, pieces};
//!
//! let message = vec![7; 100_000];
//! let mut assembler = Assembler::new(1 << 20, 300); // bytes and descriptors that one message may have
//! let mut arrived = None;
//! for piece in pieces(&message, 254) {
//!     let packet = [piece.head(), piece.body()].concat();
//!     let descriptors = piece.descriptors().collect(); // here they are numbers
//!     if let News::Message(bytes, descriptors) = assembler.take(&packet, descriptors)? {
//!         arrived = Some((bytes.into_owned(), descriptors));
//!     }
//! }
//! assert_eq!(arrived, Some((message, (0..254).collect())));
//! # Ok::<(), tine::channel::duplex::frame::Fault>(())
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Range;

use crate::pipe::Socket;

/// The bytes in front of each packet.
pub const HEAD: usize = 16;

/// The most bytes of the message in one packet.
pub const BODY: usize = Socket::MAX_BYTES - HEAD;

/// The most descriptors in one packet.
pub const DESCRIPTORS: usize = Socket::MAX_DESCRIPTORS;

const FIRST: u8 = b'f';
const MORE: u8 = b'm';
const OWNER: u8 = b'o';
const BYE: u8 = b'b';

fn head(kind: u8, middle: u32, last: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[0] = kind;
    head[4..8].copy_from_slice(&middle.to_le_bytes());
    head[8..].copy_from_slice(&last.to_le_bytes());
    head
}

/// The packet by which the other side hears whose this end is.
pub(super) fn owner(pid: u32) -> [u8; HEAD] {
    head(OWNER, pid, 0)
}

/// The packet by which the other side hears that this end was dropped.
pub(super) fn bye() -> [u8; HEAD] {
    head(BYE, 0, 0)
}

/// One packet: a head, a slice of the message, and which of its descriptors go with it.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    head: [u8; HEAD],
    body: &'a [u8],
    descriptors: Range<usize>,
}

impl<'a> Piece<'a> {
    /// What says where the body belongs.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The bytes of the message.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The places of its descriptors among all of the message's.
    pub fn descriptors(&self) -> Range<usize> {
        self.descriptors.clone()
    }
}

/// How much of `whole` piece number `index` has, if each has `most`.
fn part(whole: usize, most: usize, index: usize) -> Range<usize> {
    let start = most.saturating_mul(index).min(whole);
    start..start.saturating_add(most).min(whole)
}

/// Cuts a message of these bytes and so many descriptors into packets. The caller keeps to 32 bits of descriptors.
pub fn pieces(bytes: &[u8], descriptors: usize) -> impl Iterator<Item = Piece<'_>> {
    let count = bytes.len().div_ceil(BODY).max(descriptors.div_ceil(DESCRIPTORS)).max(1);
    (0..count).map(move |index| {
        let head = match index {
            0 => head(FIRST, descriptors as u32, bytes.len() as u64),
            _ => head(MORE, index as u32, bytes.len() as u64),
        };
        Piece { head, body: &bytes[part(bytes.len(), BODY, index)], descriptors: part(descriptors, DESCRIPTORS, index) }
    })
}

/// What a packet brought.
#[derive(Debug, PartialEq, Eq)]
pub enum News<'p, D> {
    /// The whole of a message, and its descriptors.
    Message(Cow<'p, [u8]>, Vec<D>),
    /// The other end belongs to this process now; 0: to one that is not known.
    Owner(u32),
    /// The other end was dropped. What comes after it, if anything does, counts for nothing.
    Bye,
    /// A piece of a message of which others are to come.
    Piece,
}

/// Why a packet brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A message has more bytes or descriptors than are allowed. Exactly this message is lost; its descriptors are closed
    /// as they come.
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many descriptors it has.
        descriptors: usize,
    },
    /// Some descriptors could not be opened here. Exactly this message is lost, and those that could are closed.
    Lost {
        /// How many came with this packet.
        sent: usize,
        /// How many of those could be opened.
        arrived: usize,
    },
    /// There is no memory for a message. Exactly this message is lost.
    NoMemory {
        /// How many bytes it has.
        bytes: u64,
    },
    /// This is no packet that [`pieces`] makes, or not one that follows the one before. Nothing behind it can be trusted:
    /// every later call says the same.
    Corrupt(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLarge { bytes, descriptors } => write!(
                f,
                "a message of {bytes} bytes and {descriptors} descriptors was skipped, the limit is lower; raise \
                 max_message or max_descriptors, or send less at once"
            ),
            Fault::Lost { sent, arrived } => write!(
                f,
                "of {sent} descriptors that came with a message {arrived} could be opened, so it was dropped; raise \
                 RLIMIT_NOFILE, or close some"
            ),
            Fault::NoMemory { bytes } => write!(f, "no memory for a message of {bytes} bytes, which was skipped"),
            Fault::Corrupt(why) => write!(f, "the other side sent what no channel sends: {why}"),
        }
    }
}

impl Error for Fault {}

/// A message of several pieces, on its way.
#[derive(Debug)]
struct Partial<D> {
    bytes: u64,
    descriptors: usize,
    /// The number of the piece that comes next.
    next: usize,
    /// What came until now; None for a message that is skipped.
    kept: Option<(Vec<u8>, Vec<D>)>,
}

impl<D> Partial<D> {
    fn pieces(&self) -> u64 {
        let for_descriptors = self.descriptors.div_ceil(DESCRIPTORS) as u64;
        self.bytes.div_ceil(BODY as u64).max(for_descriptors).max(1)
    }

    /// How much of both the next piece has.
    fn due(&self) -> (usize, usize) {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        (part(bytes, BODY, self.next).len(), part(self.descriptors, DESCRIPTORS, self.next).len())
    }
}

/// Puts packets together again. `D` is a descriptor.
///
/// Memory grows with what came, never by a number that a peer claims. See the [module](self) for an example.
#[derive(Debug)]
pub struct Assembler<D> {
    max_bytes: u64,
    max_descriptors: usize,
    partial: Option<Partial<D>>,
    /// What comes next may be the rest of a message that somebody else has begun to take.
    is_astray: bool,
    corrupt: Option<&'static str>,
}

impl<D> Assembler<D> {
    /// For messages of at most so many bytes and descriptors.
    pub fn new(max_bytes: u64, max_descriptors: usize) -> Assembler<D> {
        Assembler { max_bytes, max_descriptors, partial: None, is_astray: false, corrupt: None }
    }

    /// For messages that begin from now on.
    pub(super) fn set_limits(&mut self, max_bytes: u64, max_descriptors: usize) {
        (self.max_bytes, self.max_descriptors) = (max_bytes, max_descriptors);
    }

    /// Begins anew, in the middle of packets of which somebody else has taken some: the rest of a message that was begun
    /// there is skipped.
    pub fn resume(&mut self) {
        self.partial = None;
        self.is_astray = true;
    }

    /// Whether a message is half here.
    pub fn is_inside(&self) -> bool {
        self.partial.is_some()
    }

    /// How many bytes of memory, and how many descriptors, the message that is half here takes.
    pub fn held(&self) -> (usize, usize) {
        let kept = self.partial.as_ref().and_then(|partial| partial.kept.as_ref());
        kept.map_or((0, 0), |(bytes, descriptors)| (bytes.capacity(), descriptors.len()))
    }

    /// Takes the next packet, which came with these descriptors.
    ///
    /// # Errors
    ///
    /// [`Fault`], but for `Lost`.
    pub fn take<'p>(&mut self, packet: &'p [u8], descriptors: Vec<D>) -> Result<News<'p, D>, Fault> {
        let sent = descriptors.len();
        self.step(packet, sent, Some(descriptors))
    }

    /// Takes the next packet, of whose `sent` descriptors only `arrived` could be opened (and are closed again).
    ///
    /// # Errors
    ///
    /// [`Fault`]: at the least `Lost`, unless it is a message that is skipped, of which was told.
    pub fn take_lost(&mut self, packet: &[u8], sent: usize, arrived: usize) -> Result<(), Fault> {
        match self.step(packet, sent, None) {
            Ok(_) => Ok(()),
            Err(Fault::Lost { sent, .. }) => Err(Fault::Lost { sent, arrived }),
            Err(fault) => Err(fault),
        }
    }

    /// Says that what came was not even a packet.
    pub(super) fn poison(&mut self, why: &'static str) -> Fault {
        self.partial = None;
        Fault::Corrupt(self.corrupt.get_or_insert(why))
    }

    fn step<'p>(&mut self, packet: &'p [u8], sent: usize, descriptors: Option<Vec<D>>) -> Result<News<'p, D>, Fault> {
        if let Some(why) = self.corrupt {
            return Err(Fault::Corrupt(why));
        }
        let Some((head, body)) = packet.split_first_chunk::<HEAD>() else {
            return Err(self.poison("a packet without a head"));
        };
        let [kind, 0, 0, 0, m0, m1, m2, m3, last @ ..] = *head else {
            return Err(self.poison("a packet of an unknown form"));
        };
        let middle = u32::from_le_bytes([m0, m1, m2, m3]);
        let last = u64::from_le_bytes(last);
        let was_astray = std::mem::take(&mut self.is_astray);
        match kind {
            FIRST => {
                // What came of the message before is dropped: its sender gave it up.
                let fresh = Partial { bytes: last, descriptors: middle as usize, next: 0, kept: None };
                self.partial = None;
                self.piece(fresh, true, body, sent, descriptors)
            }
            MORE => match self.partial.take() {
                Some(partial) if (partial.next as u64, partial.bytes) == (u64::from(middle), last) => {
                    self.piece(partial, false, body, sent, descriptors)
                }
                None if was_astray => {
                    self.is_astray = true;
                    Ok(News::Piece)
                }
                _ => Err(self.poison("a piece that is not the one that follows the one before")),
            },
            OWNER if last == 0 && body.is_empty() && sent == 0 => {
                self.partial = None;
                Ok(News::Owner(middle))
            }
            BYE if (middle, last) == (0, 0) && body.is_empty() && sent == 0 => {
                self.partial = None;
                Ok(News::Bye)
            }
            _ => Err(self.poison("a packet of an unknown kind")),
        }
    }

    /// Takes one piece of `partial`, which is not put back unless it has come to no end by this.
    fn piece<'p>(
        &mut self,
        mut partial: Partial<D>,
        first: bool,
        body: &'p [u8],
        sent: usize,
        descriptors: Option<Vec<D>>,
    ) -> Result<News<'p, D>, Fault> {
        if partial.due() != (body.len(), sent) {
            return Err(self.poison("a piece of another size than is due"));
        }
        let too_large = partial.bytes > self.max_bytes || partial.descriptors > self.max_descriptors;
        let is_skipped = if first { too_large } else { partial.kept.is_none() };
        let mut fault = None;
        if first && too_large {
            fault = Some(Fault::TooLarge { bytes: partial.bytes, descriptors: partial.descriptors });
        }
        partial.next += 1;
        let is_last = partial.next as u64 == partial.pieces();
        if is_last
            && first
            && !is_skipped
            && let Some(descriptors) = descriptors
        {
            return Ok(News::Message(Cow::Borrowed(body), descriptors));
        }
        match descriptors {
            // Dropped, which closes them.
            _ if is_skipped => {}
            None => {
                partial.kept = None;
                fault = Some(Fault::Lost { sent, arrived: 0 });
            }
            Some(descriptors) => {
                let (bytes, held) = partial.kept.get_or_insert_default();
                // Amortised growth by what came. Reserving what was claimed would hand our memory to whoever writes a number.
                if bytes.try_reserve(body.len()).and_then(|()| held.try_reserve(sent)).is_err() {
                    fault = Some(Fault::NoMemory { bytes: partial.bytes });
                    partial.kept = None;
                } else {
                    bytes.extend_from_slice(body);
                    held.extend(descriptors);
                }
            }
        }
        let whole = if is_last { partial.kept.take() } else { None };
        if !is_last {
            self.partial = Some(partial);
        }
        match (fault, whole) {
            (Some(fault), _) => Err(fault),
            (None, Some((bytes, descriptors))) => Ok(News::Message(Cow::Owned(bytes), descriptors)),
            (None, None) => Ok(News::Piece),
        }
    }
}
