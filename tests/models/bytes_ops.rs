//! Operations of both ends of a ring of bytes, against a queue of vectors. Shared by the property test and the fuzz target.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{IoSlice, Write};
use std::time::Duration;

use tine::channel::bytes;
use tine::channel::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};

/// What a second implementation may do wrong; the check finds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The eight bytes of each frame are not counted.
    TheWordOfAFrame,
    /// A reservation that is dropped sends its message.
    DroppedReservations,
    /// A message that is left is received all the same.
    Leaving,
    /// A part of a message that was given up takes no room.
    PartsOfWhatWasGivenUp,
}

/// The model: what is in the ring, frame for frame.
struct Model {
    capacity: usize,
    frames: VecDeque<Frame>,
    without: Without,
}

enum Frame {
    Whole(Vec<u8>),
    /// Of a message without an end.
    Part(usize),
}

impl Model {
    fn size(&self, len: usize) -> usize {
        len.next_multiple_of(8) + if self.without == Without::TheWordOfAFrame { 0 } else { 8 }
    }

    fn used(&self) -> usize {
        let size = |frame: &Frame| match frame {
            Frame::Whole(message) => self.size(message.len()),
            Frame::Part(_) if self.without == Without::PartsOfWhatWasGivenUp => 0,
            Frame::Part(len) => self.size(*len),
        };
        self.frames.iter().map(size).sum()
    }

    fn fits(&self, len: usize) -> bool {
        self.used() + self.size(len) <= self.capacity
    }

    /// A message longer than the ring, given up when nobody made room.
    fn give_up(&mut self, mut left: usize) {
        loop {
            let part = left.min(self.capacity / 4);
            if !self.fits(part) {
                break;
            }
            self.frames.push_back(Frame::Part(part));
            left -= part;
            assert!(left > 0, "it is longer than the ring");
        }
    }

    /// Takes out what is no message, and tells the next one that is.
    fn next(&mut self) -> Option<&Vec<u8>> {
        while let Some(Frame::Part(_)) = self.frames.front() {
            self.frames.pop_front();
        }
        match self.frames.front() {
            Some(Frame::Whole(message)) => Some(message),
            _ => None,
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.next().is_some().then(|| match self.frames.pop_front() {
            Some(Frame::Whole(message)) => message,
            _ => unreachable!("it was looked at"),
        })
    }
}

/// Any input: a list of operations. Panics where the channel differs from the model.
pub fn check(data: &[u8]) {
    check_against(data, Without::Nothing);
}

pub fn check_against(data: &[u8], without: Without) {
    let mut input = data.iter().copied();
    let mut byte = || usize::from(input.next().unwrap_or(0));
    let (mut tx, mut rx) = bytes::channel(4096 << (byte() % 2)).expect("memory");
    let mut model = Model { capacity: tx.capacity(), frames: VecDeque::new(), without };
    let mut buffer = Vec::new();
    for number in 0..data.len() / 3 {
        let operation = byte();
        // Often near to a border.
        let len = match byte() % 4 {
            0 => byte(),
            1 => byte() * 16,
            2 => model
                .capacity
                .saturating_sub(model.used())
                .saturating_sub(8)
                .saturating_add(byte() % 16)
                .saturating_sub(8),
            _ => byte() << 8 | byte(),
        };
        let message: Vec<u8> = (0..len).map(|i| (i * 31 + number * 7) as u8).collect();
        let fits = model.fits(len);
        match operation % 10 {
            0 | 1 => {
                let sent = tx.try_send(&message);
                match sent {
                    Err(TrySendError::Encode(..)) => assert!(len > tx.longest_in_place(), "{len} bytes"),
                    Err(TrySendError::Full(())) => assert!(!fits && len <= tx.longest_in_place(), "{len} bytes"),
                    sent => assert!(sent == Ok(()) && fits, "{len} bytes: {sent:?}"),
                }
                if fits {
                    model.frames.push_back(Frame::Whole(message));
                }
            }
            2 if len <= tx.longest_in_place() => {
                let sent = tx.send_timeout(&message, Duration::ZERO);
                assert_eq!(sent, if fits { Ok(()) } else { Err(SendTimeoutError::Timeout(())) });
                if fits {
                    model.frames.push_back(Frame::Whole(message));
                }
            }
            2 => {
                assert_eq!(tx.send_timeout(&message, Duration::ZERO), Err(SendTimeoutError::Timeout(())));
                model.give_up(len);
            }
            3 if fits => {
                let (head, tail) = message.split_at(len / 3);
                tx.send_vectored(&[IoSlice::new(head), IoSlice::new(b""), IoSlice::new(tail)]).expect("it fits");
                model.frames.push_back(Frame::Whole(message));
            }
            4 | 5 if len <= tx.longest_in_place() => match tx.try_reserve(len) {
                Err(error) => assert!(!fits && error == TrySendError::Full(())),
                Ok(mut room) => {
                    assert!(fits);
                    let (mut message, keep) = (message, byte() % 2 == 0);
                    room.write_at(len / 2, &message[len / 2..]).expect("within it");
                    room.write_all(&message[..len / 2]).expect("within it");
                    if len > 100 {
                        room.truncate(len - 100);
                        message.truncate(len - 100);
                    }
                    if keep {
                        room.commit().expect("its owner");
                    } else {
                        drop(room);
                    }
                    if keep || without == Without::DroppedReservations {
                        model.frames.push_back(Frame::Whole(message));
                    }
                }
            },
            6 => match rx.try_peek() {
                Err(error) => assert!(error == TryRecvError::Empty && model.next().is_none()),
                Ok(message) => {
                    let expected = model.next().expect("nothing was sent");
                    assert_eq!(message.len(), expected.len());
                    let at = byte().min(expected.len());
                    let mut part = vec![0; (expected.len() - at) / 2];
                    message.read_at(at, &mut part).expect("within it");
                    assert!(part == expected[at..][..part.len()]);
                    assert!(message.to_vec() == *expected);
                    if len % 2 == 0 {
                        message.leave();
                        if without != Without::Leaving {
                            continue;
                        }
                    }
                    model.take();
                }
            },
            7 => match rx.recv_timeout(Duration::ZERO) {
                Err(error) => assert!(error == RecvTimeoutError::Timeout && model.next().is_none()),
                Ok(message) => assert!(Some(message) == model.take()),
            },
            _ => match rx.try_recv_into(&mut buffer) {
                Err(error) => assert!(error == TryRecvError::Empty && model.next().is_none()),
                Ok(len) => assert!(len == buffer.len() && model.take().as_ref() == Some(&buffer)),
            },
        }
        assert_eq!((tx.len(), rx.is_empty()), (model.used(), model.used() == 0));
    }
    drop(tx);
    let mut rest = rx.iter().map(|message| message.expect("it was closed"));
    while let Some(message) = model.take() {
        assert!(rest.next() == Some(message));
    }
    assert_eq!(rest.next(), None);
}
