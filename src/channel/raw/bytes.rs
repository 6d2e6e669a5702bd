//! Positions and frames of a ring of bytes, without the bytes.
//!
//! The sender puts *frames* into the ring, each a word and the bytes that it speaks of:
//!
//! ```text
//!    head                                                        tail           head + capacity
//!     | frame                        | frame            | frame   |              |
//!     | word : 64 | bytes ..   | 0-7 | word | bytes ..  | ..      | free ..      |
//!
//!   word:   63 .. 58   57     56       55 .. 0
//!          | 101100  | ENDS | BEGINS | how many bytes follow |
//! ```
//!
//! A position ([`super::cursor`]) is the number of bytes that have gone through the ring before it, a multiple of 8; where it lies
//! is that number modulo the capacity. A frame is there from the one store of the tail that comes after everything in it, and gone
//! from the one store of the head that comes after the last look at it. So whoever is killed has done all of a frame, or nothing.
//!
//! A message that fits into the ring is one frame, which both begins and ends it. A longer one is a *stream*: a frame that begins
//! it, more, one that ends it. A stream without an end (its sender was killed, or gave up) is no message: the next frame that begins
//! one tells so, or the end of the channel.
//!
//! # What is believed of the other side
//!
//! Nothing. Each side keeps its own position, and the capacity, in memory of its own; of the page it loads the other's position,
//! once, and the word of a frame, once, and uses what it has loaded only where it is possible.

use super::Corrupt;
use super::cursor::{Cursors, ReceiveCursor, SendCursor};

/// How many bytes the word of a frame takes.
pub(crate) const WORD: u64 = 8;

/// What the word of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of the message, without the word and what fills up the last eight.
    pub(crate) len: u64,
    /// It is the first of its message.
    pub(crate) begins: bool,
    /// It is the last.
    pub(crate) ends: bool,
}

const BEGINS: u64 = 1 << 56;
const ENDS: u64 = 1 << 57;
const MARK: u64 = 0b101100 << 58;
const LEN: u64 = BEGINS - 1;

impl Frame {
    /// A message in one frame.
    pub(crate) fn whole(len: u64) -> Frame {
        Frame { len, begins: true, ends: true }
    }

    /// How much of the ring it takes.
    pub(crate) fn size(self) -> u64 {
        // Below 2^57: no overflow, whatever the word said.
        WORD + self.len.next_multiple_of(8)
    }

    fn word(self) -> u64 {
        debug_assert!(self.len <= LEN);
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        MARK | flag(self.begins, BEGINS) | flag(self.ends, ENDS) | self.len
    }

    /// The frame that a word speaks of, where `arrived` bytes are there from the word on.
    fn read(word: u64, arrived: u64) -> Result<Frame, Corrupt> {
        if word & !(LEN | BEGINS | ENDS) != MARK {
            return Err(Corrupt);
        }
        let frame = Frame { len: word & LEN, begins: word & BEGINS != 0, ends: word & ENDS != 0 };
        if frame.size() > arrived { Err(Corrupt) } else { Ok(frame) }
    }
}

/// A number of bytes of whole frames: what no honest peer leaves is no multiple of a word.
fn aligned(bytes: u64) -> Result<u64, Corrupt> {
    if bytes.is_multiple_of(WORD) { Ok(bytes) } else { Err(Corrupt) }
}

/// Where the words of frames lie, by position: the place is the position modulo the capacity.
pub(crate) trait Words {
    /// Reads the word at a position, once.
    fn read(&self, position: u64) -> u64;
    fn write(&self, position: u64, word: u64);
}

/// The sender's side. All of it is private memory.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    capacity: u64,
    cursor: SendCursor,
}

impl Sending {
    /// The capacity is a power of two, at least 16.
    pub(crate) fn new(capacity: u64) -> Sending {
        debug_assert!(capacity.is_power_of_two() && capacity >= 2 * WORD);
        Sending { capacity, cursor: SendCursor::new(capacity) }
    }

    /// Goes on where another sender has stopped.
    pub(crate) fn take_over(&mut self, cursors: &Cursors) -> Result<(), Corrupt> {
        self.cursor.take_over(cursors)?;
        aligned(self.cursor.position()).map(drop)
    }

    /// Where the bytes of the next frame go.
    #[inline]
    pub(crate) fn place(&self) -> u64 {
        (self.cursor.position() + WORD) & (self.capacity - 1)
    }

    /// How much room there is, the words of frames counted in. At least `wanted`, if there is so much.
    #[inline]
    pub(crate) fn room(&mut self, cursors: &Cursors, wanted: u64) -> Result<u64, Corrupt> {
        self.cursor.room(cursors, wanted).and_then(aligned)
    }

    /// The frame is there, from here on. Its bytes are in their place, and there was room.
    #[inline]
    pub(crate) fn commit(&mut self, cursors: &Cursors, words: &impl Words, frame: Frame) {
        let position = self.cursor.position();
        if seeded!("bytes: tail before the word") {
            self.cursor.clone().advance(cursors, frame.size());
        }
        words.write(position, frame.word());
        // This is what makes it true: see there for the ordering.
        self.cursor.advance(cursors, frame.size());
    }

    /// How long the next frame of a stream is, of which `left` bytes are to go: not all, so that the two sides work at the
    /// same time; not little, so that there are few of them.
    pub(crate) fn portion(&self, left: u64) -> u64 {
        left.min(self.capacity / 4)
    }

    /// How many messages were sent whole and not received, by what the page says now. Only to be told: the page may say
    /// anything.
    pub(crate) fn in_flight(&mut self, cursors: &Cursors, words: &impl Words) -> usize {
        let end = self.cursor.position();
        let mut at = end - self.cursor.in_flight(cursors);
        let mut messages = 0;
        // Each frame takes a word at least: no more turns than the ring has words.
        while at < end
            && let Ok(frame) = Frame::read(words.read(at), end - at)
        {
            messages += usize::from(frame.ends);
            at += frame.size();
        }
        messages
    }
}

/// The receiver's side. All of it is private memory.
#[derive(Clone, Debug)]
pub(crate) struct Receiving {
    capacity: u64,
    cursor: ReceiveCursor,
    /// What the last frame leaves open.
    open: Open,
}

/// Which frames may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// One that begins a message.
    Nothing,
    /// Also one that goes on.
    Message,
    /// The same, but of a message of which this receiver has not had the beginning.
    Unknown,
}

impl Receiving {
    /// As [`Sending::new`].
    pub(crate) fn new(capacity: u64) -> Receiving {
        debug_assert!(capacity.is_power_of_two() && capacity >= 2 * WORD);
        Receiving { capacity, cursor: ReceiveCursor::new(capacity), open: Open::Nothing }
    }

    /// Where the bytes of the next frame are.
    #[inline]
    pub(crate) fn place(&self) -> u64 {
        (self.cursor.position() + WORD) & (self.capacity - 1)
    }

    /// The next frame, if there is one.
    #[inline]
    pub(crate) fn look(&mut self, cursors: &Cursors, words: &impl Words) -> Result<Option<Frame>, Corrupt> {
        let filled = self.cursor.filled(cursors, WORD).and_then(aligned)?;
        if filled == 0 {
            return Ok(None);
        }
        let position = self.cursor.position();
        let word = words.read(position);
        let mut frame = Frame::read(word, filled)?;
        if seeded!("bytes: length read twice") {
            frame.len = words.read(position) & LEN;
        }
        // What goes on, goes on from something.
        if frame.begins || self.open != Open::Nothing { Ok(Some(frame)) } else { Err(Corrupt) }
    }

    /// Goes on where another receiver has stopped, which may have been between two frames of one message.
    pub(crate) fn take_over(&mut self, cursors: &Cursors) -> Result<(), Corrupt> {
        self.cursor.take_over(cursors)?;
        self.open = Open::Unknown;
        aligned(self.cursor.position()).map(drop)
    }

    /// Whether a frame that was found belongs to a message of which this receiver has not had the beginning.
    pub(crate) fn is_lost(&self, frame: Frame) -> bool {
        !frame.begins && self.open == Open::Unknown
    }

    /// The frame that [`look`](Self::look) has found is not needed any more.
    #[inline]
    pub(crate) fn release(&mut self, cursors: &Cursors, frame: Frame) {
        self.open = match frame {
            Frame { ends: true, .. } => Open::Nothing,
            frame if self.is_lost(frame) => Open::Unknown,
            _ => Open::Message,
        };
        self.cursor.advance(cursors, frame.size());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_say_what_was_put_into_them() {
        for len in [0, 1, 7, 8, 9, 4096, LEN] {
            for (begins, ends) in [(true, true), (true, false), (false, false), (false, true)] {
                let frame = Frame { len, begins, ends };
                assert_eq!(Frame::read(frame.word(), u64::MAX), Ok(frame));
                assert_eq!(Frame::read(frame.word(), frame.size()), Ok(frame));
                assert_eq!(Frame::read(frame.word(), frame.size() - 8), Err(Corrupt), "not all of it has arrived");
            }
        }
        assert_eq!(Frame::read(0, u64::MAX), Err(Corrupt), "a page that nobody wrote has no frame");
    }

    proptest! {
        #[test]
        fn no_word_speaks_of_more_than_has_arrived(word: u64, mark: bool, arrived in 0..1_u64 << 40) {
            let word = if mark { word & (LEN | BEGINS | ENDS) | MARK } else { word };
            if let Ok(frame) = Frame::read(word, arrived) {
                prop_assert!(frame.size() <= arrived && frame.len + WORD <= arrived);
                prop_assert_eq!(frame.word(), word);
            }
        }
    }
}
