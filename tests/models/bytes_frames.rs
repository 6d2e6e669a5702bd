//! The memory of a ring of bytes, overwritten with anything between the operations of both ends: whatever is there, they answer,
//! take no more memory than has come, and once one has said that it was fooled it says nothing else. Shared by the property test and
//! the fuzz target.
#![allow(dead_code)]

use std::time::Duration;

use tine::channel::bytes::{self, Sender};
use tine::channel::{SendTimeoutError, TryRecvError};

/// How long the first page is, on which the words of the channel are.
pub const HEADER: usize = 4096;

/// The memory of a channel, by its address.
#[derive(Clone, Copy)]
pub struct Page {
    base: usize,
    len: usize,
}

impl Page {
    /// Of a channel from which nothing was sent yet.
    pub fn of(tx: Sender) -> (Page, Sender) {
        let len = HEADER + tx.capacity();
        // SAFETY: nobody writes to the channel until the slice is gone.
        let mut tx = unsafe { tx.trust() };
        // The first message begins behind the word of its frame.
        let base = tx.reserve(1).expect("a new channel").as_ptr().expose_provenance() - 8 - HEADER;
        (Page { base, len }, tx.into_inner())
    }

    pub fn write(&self, at: usize, word: u64) {
        assert!(at.is_multiple_of(8) && at < self.len);
        // SAFETY: a word of the channel's memory, which is mapped while its ends live. The ends count on others writing there.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>(self.base + at).write_volatile(word) };
    }
}

/// Any input: a list of operations.
pub fn check(data: &[u8]) {
    let (tx, mut rx) = bytes::channel(HEADER).expect("memory");
    let (page, mut tx) = Page::of(tx);
    let mut input = data.iter().copied();
    let mut message = Vec::new();
    // What can have come, at most: each frame was in the ring.
    let mut come = 0;
    let (mut receiver_fooled, mut sender_fooled) = (false, false);
    while let Some(operation) = input.next() {
        let mut byte = || u64::from(input.next().unwrap_or(0));
        let number = byte() << 8 | byte();
        come += HEADER;
        match operation % 12 {
            0 => page.write(HEADER + number as usize % 512 * 8, (0..8).fold(0, |word, _| word << 8 | byte())),
            // The word of a frame, of any kind and length.
            1 => page.write(HEADER + byte() as usize * 8 % 4096, frame_word(byte(), number % 5000)),
            // The positions, near to where they are or anywhere.
            2 => page.write(0, number * 8 % 20_000),
            3 => page.write(128, number * 8 % 20_000),
            4 => page.write(number as usize % 512 * 8, (0..8).fold(0, |word, _| word << 8 | byte())),
            5 | 6 => {
                let sent = tx.try_send(&vec![byte() as u8; number as usize % 4200]);
                sender_is_consistent(
                    &mut sender_fooled,
                    sent.clone().is_err_and(|error| is_corrupt(error.into())),
                    sent.is_ok(),
                );
            }
            7 => {
                let sent = tx.send_timeout(&vec![7; 4089 + number as usize % 9000], Duration::ZERO);
                sender_is_consistent(&mut sender_fooled, sent == Err(SendTimeoutError::Corrupt(())), sent.is_ok());
            }
            8 => {
                if let Ok(mut room) = tx.try_reserve(number as usize % 4089) {
                    let end = room.len();
                    room.write_at(end, b"").expect("nothing");
                    room.write_at(end, b"x").expect_err("beyond its end");
                    let half = end / 2;
                    room.write_at(half, &vec![1; end - half]).expect("within it");
                    room.truncate(half);
                    room.commit().expect("its owner");
                }
            }
            9 => match rx.try_peek() {
                Ok(message) => {
                    assert!(message.len() <= come);
                    let at = message.len() / 2;
                    message.read_at(at, &mut vec![0; message.len() - at]).expect("within it");
                    message.read_at(message.len(), &mut [0]).expect_err("beyond its end");
                    if number % 2 == 0 {
                        message.leave();
                    }
                }
                Err(error) => receiver_fooled |= error == TryRecvError::Corrupt,
            },
            _ => {
                let received = rx.try_recv_into(&mut message);
                assert!(!receiver_fooled || received == Err(TryRecvError::Corrupt), "believed again");
                receiver_fooled |= received == Err(TryRecvError::Corrupt);
                assert!(message.capacity() <= 2 * come + HEADER, "memory for what did not come");
            }
        }
    }
}

/// The word of a frame of `len` bytes.
pub fn frame_word(kind: u64, len: u64) -> u64 {
    (0b101100 << 58) | ((kind % 4) << 56) | len
}

fn sender_is_consistent(fooled: &mut bool, corrupt: bool, sent: bool) {
    assert!(!*fooled || (corrupt && !sent), "believed again");
    *fooled |= corrupt;
}

fn is_corrupt(error: std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}
