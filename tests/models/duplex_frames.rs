//! What any reader of a channel's packets must do, whatever they are. Shared by the property test and the fuzz target.
//!
//! The input decides between two things: it is cut into packets, which may be anything; or it is a plan, by which messages are
//! cut, given up in the middle, robbed of descriptors, and mixed with news, and the model says exactly what must come out.

use std::cell::Cell;
use std::rc::Rc;

use tine::channel::duplex::frame::{Assembler, BODY, DESCRIPTORS, Fault, News, pieces};

/// The limits for a message, small enough that plans go over them.
pub const MAX_BYTES: u64 = 150_000;
pub const MAX_DESCRIPTORS: usize = 600;

/// A descriptor: its number, and the count of those that are open.
#[derive(Debug)]
pub struct Token {
    pub id: usize,
    open: Rc<Cell<usize>>,
}

impl Token {
    fn open(id: usize, open: &Rc<Cell<usize>>) -> Token {
        open.set(open.get() + 1);
        Token { id, open: Rc::clone(open) }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Message(Vec<u8>, Vec<usize>),
    Owner(u32),
    Bye,
    TooLarge(u64, usize),
    Lost(usize, usize),
    Corrupt,
}

/// A reader of packets: the real one, and those of the twins.
pub trait Reassemble {
    /// Takes one packet; with Err(sent, arrived) for descriptors where some were lost.
    fn feed(&mut self, packet: &[u8], descriptors: Result<Vec<Token>, (usize, usize)>) -> Option<Outcome>;
    /// How many bytes of memory, and how many descriptors, a message that is half here takes.
    fn held(&self) -> (usize, usize);
}

impl Reassemble for Assembler<Token> {
    fn feed(&mut self, packet: &[u8], descriptors: Result<Vec<Token>, (usize, usize)>) -> Option<Outcome> {
        let news = match descriptors {
            Ok(descriptors) => self.take(packet, descriptors),
            Err((sent, arrived)) => self.take_lost(packet, sent, arrived).map(|()| News::Piece),
        };
        match news {
            Ok(News::Message(bytes, descriptors)) => {
                Some(Outcome::Message(bytes.into_owned(), descriptors.iter().map(|token| token.id).collect()))
            }
            Ok(News::Owner(pid)) => Some(Outcome::Owner(pid)),
            Ok(News::Bye) => Some(Outcome::Bye),
            Ok(News::Piece) => None,
            Err(Fault::TooLarge { bytes, descriptors }) => Some(Outcome::TooLarge(bytes, descriptors)),
            Err(Fault::Lost { sent, arrived }) => Some(Outcome::Lost(sent, arrived)),
            Err(Fault::Corrupt(_)) => Some(Outcome::Corrupt),
            Err(other) => panic!("not a fault of these packets: {other}"),
        }
    }

    fn held(&self) -> (usize, usize) {
        Assembler::held(self)
    }
}

/// Panics when a reader made by `new` does something wrong with `data`.
pub fn check<R: Reassemble>(new: impl Fn() -> R, data: &[u8]) {
    let open = Rc::new(Cell::new(0));
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 2 {
        0 => any_packets(new(), rest, &open),
        _ => a_plan(new(), rest, &open),
    }
    assert_eq!(open.get(), 0, "a descriptor was left open");
}

/// Whatever comes: no panic, no memory beyond what came, nothing after corruption.
fn any_packets(mut reader: impl Reassemble, mut data: &[u8], open: &Rc<Cell<usize>>) {
    let (mut fed, mut given, mut corrupt) = (0, 0, false);
    while let Some((&[len, fill, descriptors], rest)) = data.split_first_chunk() {
        let (bytes, rest) = rest.split_at(usize::from(len).min(rest.len()));
        data = rest;
        // Full packets are what a message of several is made of.
        let mut packet = bytes.to_vec();
        if fill % 4 == 1 && packet.len() >= 16 {
            packet.resize(16 + BODY - usize::from(fill / 128), 7);
        }
        let count = if descriptors > 250 { DESCRIPTORS } else { usize::from(descriptors % 8) };
        let tokens = (0..count).map(|id| Token::open(id, open)).collect();
        fed += packet.len();
        given += count;
        let descriptors = if fill % 4 == 2 && count > 0 { Err((count, count - 1)) } else { Ok(tokens) };
        let outcome = reader.feed(&packet, descriptors);
        if corrupt {
            assert_eq!(outcome, Some(Outcome::Corrupt), "corruption is for good");
        }
        corrupt |= outcome == Some(Outcome::Corrupt);
        if packet.len() < 16 {
            assert!(corrupt, "a packet without a head was taken for one");
        }
        let (bytes, descriptors) = reader.held();
        assert!(bytes <= 2 * fed + 128, "{bytes} bytes are held after {fed} came");
        assert!(descriptors <= given && descriptors <= open.get());
        assert!(!corrupt || (bytes, descriptors) == (0, 0), "what cannot be trusted is kept");
    }
}

fn a_plan(mut reader: impl Reassemble, data: &[u8], open: &Rc<Cell<usize>>) {
    let mut input = data.iter().copied();
    let mut byte = || input.next();
    let news = |kind: u8, middle: u32| [&[kind, 0, 0, 0][..], &middle.to_le_bytes(), &[0; 8]].concat();
    while let Some(kind) = byte() {
        if kind % 8 == 0 {
            let pid = u32::from(byte().unwrap_or(0));
            assert_eq!(reader.feed(&news(b'o', pid), Ok(vec![])), Some(Outcome::Owner(pid)));
            continue;
        }
        let mut near = |borders: &[usize]| {
            let (base, more) = (byte().unwrap_or(0), byte().unwrap_or(0) as i8);
            let base = borders[usize::from(base) % borders.len()];
            base.saturating_add_signed(isize::from(more) / 32)
        };
        let len = near(&[0, 100, BODY, 2 * BODY, MAX_BYTES as usize, 3 * BODY]);
        let count = near(&[0, 0, 2, DESCRIPTORS, 2 * DESCRIPTORS, MAX_DESCRIPTORS]);
        let seed = byte().unwrap_or(0);
        let message: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let packets: Vec<_> = pieces(&message, count).collect();
        // Given up before this piece; robbed in that one.
        let end = if kind % 8 == 1 { usize::from(byte().unwrap_or(0)) % packets.len() } else { packets.len() };
        let robbed = (kind % 8 == 2).then(|| usize::from(byte().unwrap_or(0)) % packets.len());
        let is_too_large = len as u64 > MAX_BYTES || count > MAX_DESCRIPTORS;
        let mut is_lost = false;
        for (i, piece) in packets[..end].iter().enumerate() {
            let packet = [piece.head(), piece.body()].concat();
            let sent = piece.descriptors().len();
            let robbed = robbed == Some(i) && sent > 0;
            let descriptors = match robbed {
                true => Err((sent, sent - 1)),
                false => Ok(piece.descriptors().map(|id| Token::open(id, open)).collect()),
            };
            let outcome = reader.feed(&packet, descriptors);
            let expected = match () {
                () if is_too_large => (i == 0).then_some(Outcome::TooLarge(len as u64, count)),
                () if is_lost => None,
                () if robbed => Some(Outcome::Lost(sent, sent - 1)),
                () if i + 1 == packets.len() => Some(Outcome::Message(message.clone(), (0..count).collect())),
                () => None,
            };
            is_lost |= robbed;
            assert!(outcome == expected, "piece {i} of {} of a message of {len} bytes and {count}", packets.len());
            if is_too_large || is_lost {
                assert_eq!(reader.held(), (0, 0), "a message that is skipped is kept");
            }
        }
        if end == packets.len() {
            assert_eq!(reader.held(), (0, 0));
        }
    }
    assert_eq!(reader.feed(&news(b'b', 0), Ok(vec![])), Some(Outcome::Bye));
    assert_eq!(reader.held(), (0, 0));
}
