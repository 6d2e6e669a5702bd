//! The pure half of framed messages, against its model; and the twins that the model must catch.
#[path = "models/pipe_frames.rs"]
mod model;

use std::collections::BTreeMap;

use model::{MAX, Outcome, Reassemble, check};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::pipe::frame::{Assembler, pieces};

/// A plan, random bytes, or bytes that begin like pieces, which random ones never do.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let plan = prop::collection::vec(any::<u8>(), 0..120).prop_map(|mut bytes| {
        bytes.insert(0, 1);
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..200).prop_map(|mut bytes| {
        bytes.insert(0, 0);
        bytes
    });
    let length = prop_oneof![0..100_u64, 4000..4200_u64, 8000..9000_u64, Just(1 << 47)];
    let piece =
        (length, any::<bool>(), 0..3_u64, 0..3_u64, 0..5000_usize).prop_map(|(length, whole, writer, part, body)| {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes[6..].copy_from_slice(if whole { b"wm" } else { b"pm" });
            if !whole {
                bytes.extend(writer.to_le_bytes());
                bytes.extend((part * 4072).to_le_bytes());
            }
            // Mostly as long as it should be.
            let body = if body < 4500 { (length as usize).min(if whole { 4088 } else { 4072 }) } else { body };
            bytes.resize(bytes.len() + body, 7);
            bytes
        });
    let nearly = (any::<u8>(), prop::collection::vec(piece, 1..6))
        .prop_map(|(cut, pieces)| [0, cut].into_iter().chain(pieces.into_iter().flatten()).collect());
    prop_oneof![4 => plan, 1 => noise, 2 => nearly]
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn the_assembler_does_what_the_model_says(data in data()) {
        check(|| Assembler::new(MAX), &data);
    }

    #[test]
    fn a_reader_written_from_the_documentation_does_so_too(data in data()) {
        check(|| Plain::new(Bug::None), &data);
    }
}

#[test]
fn twins_with_a_seeded_bug_are_caught() {
    for bug in [Bug::CleanEndInside, Bug::TrustsTheLength, Bug::MixesWriters, Bug::NoTag, Bug::StopsAtTooLarge] {
        let mut runner = TestRunner::new(Config { max_shrink_iters: 0, ..config(3000) });
        let verdict = runner.run(&data(), |data| {
            std::panic::catch_unwind(|| check(|| Plain::new(bug), &data)).map_err(|_| TestCaseError::fail("caught"))
        });
        assert!(verdict.is_err(), "{bug:?} was not caught");
    }
}

#[test]
fn a_piece_is_at_most_what_the_kernel_writes_whole() {
    for len in [0, 1, 4087, 4088, 4089, 4096, 8144, 8145, 100_000] {
        let message = vec![1; len];
        let pieces: Vec<_> = pieces(9, &message).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= 4096), "{len}");
        assert_eq!(pieces.iter().map(|piece| piece.body().len()).sum::<usize>(), len);
        assert_eq!(pieces.len(), if len <= 4088 { 1 } else { len.div_ceil(4072) }, "{len}");
    }
}

/// What a second reader may do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// Takes the end inside a message for the end.
    CleanEndInside,
    /// Makes room for as many bytes as the head says.
    TrustsTheLength,
    /// Puts pieces together in the order in which they come, whoever wrote them.
    MixesWriters,
    /// Does not look whether a message begins here.
    NoTag,
    /// Loses what follows a message that is too large.
    StopsAtTooLarge,
}

/// A second reader, written from the format as documented, as plainly as can be.
struct Plain {
    bug: Bug,
    input: Vec<u8>,
    partial: BTreeMap<u64, (u64, Vec<u8>)>,
    reserved: usize,
    stopped: bool,
    corrupt: bool,
}

impl Plain {
    fn new(bug: Bug) -> Plain {
        Plain { bug, input: Vec::new(), partial: BTreeMap::new(), reserved: 0, stopped: false, corrupt: false }
    }

    fn number(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.input.get(at..at + 8)?.try_into().unwrap()))
    }

    /// The next outcome; Err when something is missing, Ok(None) for a piece that completes nothing.
    fn step(&mut self) -> Result<Option<Outcome>, ()> {
        let corrupt = |reader: &mut Plain| {
            reader.corrupt = true;
            reader.partial.clear();
            reader.reserved = 0;
            Ok(Some(Outcome::Corrupt))
        };
        if self.corrupt {
            return Ok(Some(Outcome::Corrupt));
        }
        if self.stopped {
            return Err(());
        }
        let first = self.number(0).ok_or(())?;
        let (length, tag) = (first & 0xffff_ffff_ffff, (first >> 48) as u16);
        let whole = tag == u16::from_le_bytes(*b"wm") || (self.bug == Bug::NoTag && length <= 4088);
        if whole {
            if length > 4088 {
                return corrupt(self);
            }
            let end = 8 + length as usize;
            let message = self.input.get(8..end).ok_or(())?.to_vec();
            self.input.drain(..end);
            return Ok(Some(Outcome::Message(message)));
        }
        if (tag != u16::from_le_bytes(*b"pm") && self.bug != Bug::NoTag) || length <= 4088 {
            return corrupt(self);
        }
        let (writer, offset) = (self.number(8).ok_or(())?, self.number(16).ok_or(())?);
        let writer = if self.bug == Bug::MixesWriters { 0 } else { writer };
        // The body of a message that is too large is counted and not kept: as many zeros, for simplicity.
        match self.partial.get(&writer) {
            Some((of, bytes)) if (*of, bytes.len() as u64) == (length, offset) => {}
            None if offset == 0 => {}
            _ if self.bug == Bug::MixesWriters => {}
            _ => return corrupt(self),
        }
        let end = 24 + length.saturating_sub(offset).min(4072) as usize;
        let body = self.input.get(24..end).ok_or(())?.to_vec();
        self.input.drain(..end);
        if self.bug == Bug::TrustsTheLength && offset == 0 && length <= MAX {
            self.reserved += length as usize;
        }
        let (_, bytes) = self.partial.entry(writer).or_insert((length, Vec::new()));
        bytes.extend(body);
        if bytes.len() as u64 >= length {
            let (_, bytes) = self.partial.remove(&writer).unwrap();
            self.reserved = self.reserved.saturating_sub(length as usize);
            if length <= MAX {
                return Ok(Some(Outcome::Message(bytes)));
            }
        }
        if offset == 0 && length > MAX {
            self.stopped = self.bug == Bug::StopsAtTooLarge;
            return Ok(Some(Outcome::TooLarge(length)));
        }
        Ok(None)
    }
}

impl Reassemble for Plain {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Outcome> {
        self.input.extend_from_slice(bytes);
        let mut outcomes = Vec::new();
        while let Ok(step) = self.step() {
            outcomes.extend(step);
            if self.corrupt {
                break;
            }
        }
        outcomes
    }

    fn end(&mut self) -> Vec<Outcome> {
        self.reserved = 0;
        let mut partial = std::mem::take(&mut self.partial);
        if self.bug == Bug::CleanEndInside {
            return Vec::new();
        }
        if self.corrupt {
            return vec![Outcome::Corrupt];
        }
        let mut outcomes = Vec::new();
        if let Some(first) = self.number(0) {
            let length = first & 0xffff_ffff_ffff;
            if first >> 48 == u64::from(u16::from_le_bytes(*b"wm")) {
                outcomes.push(Outcome::Torn(self.input.len() as u64 - 8, Some(length)));
            } else {
                let cut = self.input.len().saturating_sub(24);
                match self.number(8).and_then(|writer| partial.get_mut(&writer)) {
                    Some((_, bytes)) => bytes.resize(bytes.len() + cut, 0),
                    None => outcomes.push(Outcome::Torn(cut as u64, Some(length))),
                }
            }
        } else if !self.input.is_empty() {
            outcomes.push(Outcome::Torn(self.input.len() as u64, None));
        }
        let incomplete = partial.into_values().filter(|(length, _)| *length <= MAX);
        outcomes.extend(incomplete.map(|(length, bytes)| Outcome::Torn(bytes.len() as u64, Some(length))));
        outcomes
    }

    fn held(&self) -> usize {
        self.reserved
            .max(self.partial.values().filter(|(length, _)| *length <= MAX).map(|(_, bytes)| bytes.len()).sum())
    }
}
