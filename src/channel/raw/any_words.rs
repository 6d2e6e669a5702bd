//! The words of the rings, where somebody else has written any of them, at any time: what the fuzzer drives, and proptest.
//!
//! There is no right answer to compare with, but there are wrong ones: a panic, a place outside of the ring, more room or more
//! messages than the ring has, an end that believes again what it has found to be false, a loop without an end. All that without
//! memory to be mapped, and without payload, so that millions of pages are tried in a minute.

use super::Corrupt;
use super::bytes::{Frame, Receiving, Sending, WORD, Words};
use super::cursor::{Cursors, ReceiveCursor, SendCursor};
use super::mpmc::{self, Bounds, Refusal, Shape};
use super::primitive::{AtomicU64, Name, Ordering};

/// What is left of the input: it says what is done, and what is written meanwhile.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Any word; often one that is nearly right.
    fn word(&mut self, near: u64) -> Option<u64> {
        let shape = self.byte()?;
        let small = u64::from(self.byte()?);
        Some(match shape % 8 {
            0 => near.wrapping_add(small),
            1 => near.wrapping_sub(small),
            2 => near.wrapping_add(8 * small),
            3 => near.wrapping_sub(8 * small),
            4 => small,
            5 => u64::MAX - small,
            6 => near ^ 1 << (small % 64),
            _ => small << (shape >> 3),
        })
    }
}

/// One input: the first byte says which ring.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let _ = match input.byte().map(|ring| ring % 3) {
        Some(0) => positions(&mut input),
        Some(1) => frames(&mut input),
        Some(2) => slots(&mut input),
        _ => None,
    };
}

/// Once an end has found what cannot be, its handle asks no more: here it ends.
fn positions(input: &mut Input<'_>) -> Option<()> {
    let capacity = u64::from(input.byte()? % 64) + 1;
    let cursors = Cursors::new(0);
    let (mut sender, mut receiver) = (SendCursor::new(capacity), ReceiveCursor::new(capacity));
    loop {
        let (what, wanted) = (input.byte()?, u64::from(input.byte()?) % capacity + 1);
        let sent: Result<(), Corrupt> = match what % 6 {
            0 => sender.room(&cursors, wanted).map(|room| {
                assert!(room <= capacity, "more room than there is ring");
                sender.advance(&cursors, room.min(wanted));
            }),
            1 => receiver.filled(&cursors, wanted).map(|filled| {
                assert!(filled <= capacity, "more in the ring than it holds");
                receiver.advance(&cursors, filled.min(wanted));
            }),
            2 => sender.take_over(&cursors),
            3 => receiver.take_over(&cursors),
            4 => {
                assert!(sender.in_flight(&cursors) <= capacity && cursors.len(capacity) <= capacity);
                Ok(())
            }
            _ => {
                cursors.overwrite(input.word(receiver.position())?, input.word(sender.position())?);
                Ok(())
            }
        };
        if sent.is_err() {
            return None;
        }
    }
}

/// The words of frames, in a ring of bytes without the bytes.
struct Page(Vec<AtomicU64>);

impl Page {
    fn at(&self, position: u64) -> &AtomicU64 {
        // As the ring does it: also where a peer's position is between two words.
        &self.0[(position / WORD) as usize % self.0.len()]
    }
}

impl Words for Page {
    fn read(&self, position: u64) -> u64 {
        self.at(position).load(Ordering::Relaxed)
    }
    fn write(&self, position: u64, word: u64) {
        self.at(position).store(word, Ordering::Relaxed);
    }
}

fn frames(input: &mut Input<'_>) -> Option<()> {
    let capacity = 16 << (input.byte()? % 5);
    let cursors = Cursors::new(0);
    let page = Page((0..capacity / WORD).map(|_| AtomicU64::new(0)).collect());
    let (mut sending, mut receiving) = (Sending::new(capacity), Receiving::new(capacity));
    loop {
        let (what, number) = (input.byte()?, u64::from(input.byte()?));
        let done: Result<(), Corrupt> = match what % 8 {
            0 | 1 => {
                let len = number % (capacity - WORD + 1);
                let frame = Frame { len, begins: what & 8 != 0, ends: what & 16 != 0 };
                sending.room(&cursors, frame.size()).map(|room| {
                    assert!(room <= capacity && sending.place() < capacity);
                    if room >= frame.size() {
                        sending.commit(&cursors, &page, frame);
                    }
                })
            }
            2 | 3 => receiving.look(&cursors, &page).map(|frame| {
                if let Some(frame) = frame {
                    assert!(frame.len <= capacity - WORD, "a frame that is longer than the ring");
                    assert!(receiving.place() < capacity);
                    let _ = receiving.is_lost(frame);
                    receiving.release(&cursors, frame);
                }
            }),
            4 => {
                assert!(sending.in_flight(&cursors, &page) as u64 <= capacity / WORD);
                Ok(())
            }
            5 => {
                page.write(WORD * number, input.word(0b101100 << 58 | 0b11 << 56)?);
                Ok(())
            }
            6 => sending.take_over(&cursors).and_then(|()| receiving.take_over(&cursors)),
            _ => {
                let (head, tail) = (receiving.place().wrapping_sub(WORD), sending.place().wrapping_sub(WORD));
                cursors.overwrite(input.word(head)?, input.word(tail)?);
                Ok(())
            }
        };
        if done.is_err() {
            return None;
        }
    }
}

fn slots(input: &mut Input<'_>) -> Option<()> {
    let slots = usize::from(input.byte()? % 9) + 1;
    let shape = Shape::new(slots).expect("a few").with_attempts(u16::from(input.byte()? % 4));
    let bounds = Bounds::new();
    let words: Vec<AtomicU64> = (0..2 * slots).map(|_| AtomicU64::new(0)).collect();
    let me: Name = crate::sys::roster::me().expect("a place on the roster");
    let ring = mpmc::Ring::new(shape, &bounds, &words);
    let mut sender = mpmc::SendCursor::default();
    let mut receivers = [mpmc::ReceiveCursor::default(), mpmc::ReceiveCursor::of_letters()];
    let mut held = Vec::new();
    let inside = |index: usize| assert!(index < slots, "a slot that there is not");
    loop {
        let (what, number) = (input.byte()?, usize::from(input.byte()?));
        let receiver = &mut receivers[usize::from(what & 128 != 0)];
        let done = match what % 8 {
            0 | 1 => ring.send(&mut sender, me, inside),
            2 => ring.receive(receiver, me, inside),
            3 => ring.claim(receiver, me, inside).map(|claim| held.push(claim.1)),
            4 => {
                if let Some(claim) = (!held.is_empty()).then(|| held.swap_remove(number % held.len())) {
                    let _ = if what & 64 != 0 { ring.done(&claim) } else { ring.give_back(&claim) };
                }
                Ok(())
            }
            5 => {
                let count = ring.count();
                assert!(count.full <= slots && count.taken <= slots, "{count:?} in {slots} slots");
                let _ = ring.is_full(&sender);
                let tended = ring.tend(me);
                assert!(tended.is_err() || tended.is_ok_and(|count| count.full <= slots));
                Ok(())
            }
            6 => {
                let word = &words[number % words.len()];
                word.store(input.word(word.load(Ordering::Relaxed))?, Ordering::Relaxed);
                Ok(())
            }
            _ => {
                bounds.overwrite(number, |now| input.word(now))?;
                Ok(())
            }
        };
        if done == Err(Refusal::Corrupt) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_words_are_answered(data in prop::collection::vec(any::<u8>(), 0..200)) {
            super::check(&data);
        }
    }
}
