//! The pure half of a duplex channel, against its model; and the twins that the model must catch.
#[path = "models/duplex_frames.rs"]
mod model;

use model::{MAX_BYTES, MAX_DESCRIPTORS, Outcome, Reassemble, Token, check};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::channel::duplex::frame::{Assembler, BODY, DESCRIPTORS, News, pieces};

/// A plan, random bytes, or packets that begin as they should, which random ones never do.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let plan = prop::collection::vec(any::<u8>(), 0..60).prop_map(|mut bytes| {
        bytes.insert(0, 1);
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..200).prop_map(|mut bytes| {
        bytes.insert(0, 0);
        bytes
    });
    let kind = prop_oneof![Just(b'f'), Just(b'm'), Just(b'o'), Just(b'b'), any::<u8>()];
    let length = prop_oneof![0..20_u64, Just(BODY as u64 + 5), Just(2 * BODY as u64), Just(1 << 47), Just(u64::MAX)];
    let packet = (kind, 0..4_u32, length, any::<u8>(), any::<u8>(), 0..20_usize).prop_map(
        |(kind, middle, length, fill, descriptors, body)| {
            let mut bytes = vec![16 + body as u8, fill, descriptors, kind, 0, 0, 0];
            bytes.extend(middle.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.resize(bytes.len() + body, 7);
            bytes
        },
    );
    let nearly = prop::collection::vec(packet, 1..8)
        .prop_map(|packets| std::iter::once(0).chain(packets.into_iter().flatten()).collect());
    prop_oneof![4 => plan, 1 => noise, 3 => nearly]
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_assembler_does_what_the_model_says(data in data()) {
        check(|| Assembler::new(MAX_BYTES, MAX_DESCRIPTORS), &data);
    }

    #[test]
    fn a_reader_written_from_the_documentation_does_so_too(data in data()) {
        check(|| Plain::new(Bug::None), &data);
    }
}

#[test]
fn twins_with_a_seeded_bug_are_caught() {
    std::panic::set_hook(Box::new(|_| ()));
    for bug in
        [Bug::TrustsTheLength, Bug::MixesMessages, Bug::KeepsDescriptors, Bug::GoesOnAfterCorruption, Bug::ForgetsALoss]
    {
        let mut runner = TestRunner::new(Config { max_shrink_iters: 0, ..config(2000) });
        let verdict = runner.run(&data(), |data| {
            std::panic::catch_unwind(|| check(|| Plain::new(bug), &data)).map_err(|_| TestCaseError::fail("caught"))
        });
        assert!(verdict.is_err(), "{bug:?} was not caught");
    }
}

#[test]
fn a_packet_is_at_most_what_a_socket_takes() {
    for (len, count) in [(0, 0), (BODY, 1), (BODY + 1, 0), (0, 254), (5 * BODY, 253 * 7 + 1)] {
        let message = vec![1; len];
        let all: Vec<_> = pieces(&message, count).collect();
        assert!(all.iter().all(|piece| piece.head().len() + piece.body().len() <= 64 * 1024));
        assert!(all.iter().all(|piece| piece.descriptors().len() <= DESCRIPTORS));
        assert_eq!(all.iter().map(|piece| piece.body().len()).sum::<usize>(), len);
        assert_eq!(
            all.iter().flat_map(|piece| piece.descriptors()).collect::<Vec<_>>(),
            (0..count).collect::<Vec<_>>()
        );
        assert_eq!(all.len(), len.div_ceil(BODY).max(count.div_ceil(DESCRIPTORS)).max(1));
    }
}

#[test]
fn who_resumes_skips_the_rest_of_what_another_has_begun() {
    let message = vec![3; 4 * BODY];
    let packets: Vec<Vec<u8>> = pieces(&message, 0).map(|piece| [piece.head(), piece.body()].concat()).collect();
    let mut assembler = Assembler::<u8>::new(MAX_BYTES * 10, 0);
    assert_eq!(assembler.take(&packets[0], vec![]), Ok(News::Piece));
    assembler.resume();
    for packet in &packets[1..] {
        assert_eq!(assembler.take(packet, vec![]), Ok(News::Piece));
        assert_eq!(assembler.held(), (0, 0));
    }
    let small: Vec<_> = pieces(b"next", 0).map(|piece| [piece.head(), piece.body()].concat()).collect();
    assert_eq!(assembler.take(&small[0], vec![]), Ok(News::Message(b"next".into(), vec![])));
    assert!(assembler.take(&packets[3], vec![]).is_err(), "it is on the track again");
}

/// What a second reader may do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// Makes room for as many bytes as the head says.
    TrustsTheLength,
    /// Goes on with the message that was given up, when another begins.
    MixesMessages,
    /// Keeps the descriptors of what it skips.
    KeepsDescriptors,
    /// Takes what follows what it could not read.
    GoesOnAfterCorruption,
    /// Delivers a message without the descriptors that were lost.
    ForgetsALoss,
}

/// A second reader, written from the format as documented, as plainly as can be.
struct Plain {
    bug: Bug,
    /// All bytes and descriptors that the message has, the number of its next piece, and what came.
    inside: Option<(u64, usize, usize)>,
    skip: bool,
    bytes: Vec<u8>,
    descriptors: Vec<Token>,
    reserved: usize,
    corrupt: bool,
}

impl Plain {
    fn new(bug: Bug) -> Plain {
        let (bytes, descriptors) = (Vec::new(), Vec::new());
        Plain { bug, inside: None, skip: false, bytes, descriptors, reserved: 0, corrupt: false }
    }

    fn forget(&mut self) {
        self.inside = None;
        self.bytes = Vec::new();
        self.descriptors.clear();
        self.reserved = 0;
    }

    fn bad(&mut self) -> Option<Outcome> {
        self.forget();
        self.corrupt = self.bug != Bug::GoesOnAfterCorruption;
        Some(Outcome::Corrupt)
    }
}

impl Reassemble for Plain {
    fn feed(&mut self, packet: &[u8], descriptors: Result<Vec<Token>, (usize, usize)>) -> Option<Outcome> {
        let sent = descriptors.as_ref().map_or_else(|lost| lost.0, Vec::len);
        if self.corrupt || packet.len() < 16 || packet[1..4] != [0; 3] {
            return self.bad();
        }
        let middle = u32::from_le_bytes(packet[4..8].try_into().unwrap());
        let last = u64::from_le_bytes(packet[8..16].try_into().unwrap());
        let body = &packet[16..];
        match packet[0] {
            b'o' if (last, body.len(), sent) == (0, 0, 0) => {
                self.forget();
                return Some(Outcome::Owner(middle));
            }
            b'b' if (u64::from(middle), last, body.len(), sent) == (0, 0, 0, 0) => {
                self.forget();
                return Some(Outcome::Bye);
            }
            b'f' => {
                if self.bug != Bug::MixesMessages {
                    self.forget();
                }
                self.inside = Some((last, middle as usize, 0));
                self.skip = last > MAX_BYTES || middle as usize > MAX_DESCRIPTORS;
                if self.bug == Bug::TrustsTheLength && !self.skip {
                    self.reserved = last as usize;
                }
            }
            b'm' if self
                .inside
                .is_some_and(|(bytes, _, next)| (bytes, next) == (last, middle as usize) && next > 0) => {}
            _ => return self.bad(),
        }
        let (bytes, count, next) = self.inside.unwrap();
        let rest = bytes.saturating_sub(next as u64 * BODY as u64).min(BODY as u64) as usize;
        let fds = count.saturating_sub(next * DESCRIPTORS).min(DESCRIPTORS);
        if (rest, fds) != (body.len(), sent) {
            return self.bad();
        }
        let too_large = next == 0 && self.skip;
        let mut lost = None;
        if !self.skip {
            self.bytes.extend(body);
            match descriptors {
                Ok(descriptors) => self.descriptors.extend(descriptors),
                Err(_) if self.bug == Bug::ForgetsALoss => {}
                Err((sent, arrived)) => {
                    lost = Some(Outcome::Lost(sent, arrived));
                    self.skip = true;
                    (self.bytes, self.descriptors) = (Vec::new(), Vec::new());
                }
            }
        } else if self.bug == Bug::KeepsDescriptors {
            self.descriptors.extend(descriptors.into_iter().flatten());
        }
        let pieces = bytes.div_ceil(BODY as u64).max(count.div_ceil(DESCRIPTORS) as u64).max(1);
        self.inside = Some((bytes, count, next + 1));
        let whole = next as u64 + 1 == pieces;
        let outcome = match () {
            () if too_large => Some(Outcome::TooLarge(bytes, count)),
            () if lost.is_some() => lost,
            () if whole && !self.skip => {
                let ids = self.descriptors.iter().map(|token| token.id).collect();
                Some(Outcome::Message(std::mem::take(&mut self.bytes), ids))
            }
            () => None,
        };
        if whole {
            self.forget();
        }
        outcome
    }

    fn held(&self) -> (usize, usize) {
        (self.bytes.len().max(self.reserved), self.descriptors.len())
    }
}
