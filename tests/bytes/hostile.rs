//! A peer that writes what it likes into the memory. `TINE_HOSTILE_SECONDS=60` makes it a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tine::channel::bytes::{self, Receiver, Sender};
use tine::channel::{RecvTimeoutError, SendTimeoutError, TryRecvError};
use tine::{Shared, wait};

use crate::cases;
use crate::pattern;
use crate::support::Case;

#[path = "../models/bytes_frames.rs"]
mod bytes_frames;

pub const CASES: &[Case] = cases![
    a_page_that_is_overwritten_meanwhile,
    an_end_that_was_fooled_is_of_no_more_use,
    words_that_are_impossible_are_corrupt,
];

use bytes_frames::{HEADER, Page, frame_word};

/// A child writes all over the channel's memory, as fast as it can, while this process sends and receives.
fn a_page_that_is_overwritten_meanwhile() {
    let operations = Shared::new(AtomicU64::new(0)).unwrap();
    let seconds = std::env::var("TINE_HOSTILE_SECONDS").ok();
    let time = Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().expect("a number of seconds")));
    let begun = Instant::now();
    for round in (0_u64..).take_while(|&round| round < 40 || begun.elapsed() < time) {
        let (tx, rx) = bytes::channel(4096).unwrap();
        let (page, mut tx) = Page::of(tx);
        let mut rx = rx;
        let vandal = tine::spawn(|| -> () {
            let mut random = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            loop {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = random as usize >> 8;
                match random % 4 {
                    // Some words of frames are as they should be, but for their length.
                    0 => page.write(HEADER + at % 512 * 8, frame_word(random >> 62, (random >> 32) % 8192)),
                    1 => page.write(HEADER + at % 512 * 8, random),
                    // Both positions near to each other, or anywhere.
                    2 => page.write(at % 2 * 128, random >> 20 & 0xfff8),
                    _ if round % 2 == 0 => page.write(at % 64 * 8, random),
                    _ => {}
                }
                if round % 4 < 2 {
                    operations.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .unwrap();
        let mut message = Vec::new();
        for i in 0..2000 {
            let _ = tx.try_send(&pattern(i, i % 700));
            let _ = tx.send_timeout(&pattern(i, i * 11 % 9000), Duration::from_micros(10));
            if let Ok(mut room) = tx.try_reserve(i % 100) {
                room.write_at(0, &pattern(i, i % 100)).unwrap();
                let _ = room.commit();
            }
            match rx.try_peek() {
                Ok(message) => {
                    let mut part = vec![0; message.len().min(100)];
                    message.read_at(message.len() - part.len(), &mut part).unwrap();
                    assert_eq!(message.to_vec().len(), message.len());
                }
                Err(TryRecvError::Corrupt) => break,
                Err(_) => {}
            }
            let _ = rx.try_recv_into(&mut message);
            let _ = rx.recv_timeout(Duration::from_micros(10));
            let _ = wait(&[&rx], Some(Duration::from_micros(10)));
            let _ = (tx.len(), rx.len(), tx.is_empty(), rx.is_disconnected());
        }
        vandal.kill().unwrap();
        vandal.wait().unwrap();
    }
}

fn fooled(overwrite: impl FnOnce(&Page)) -> (Sender, Receiver) {
    let (tx, rx) = bytes::channel(4096).unwrap();
    let (page, mut tx) = Page::of(tx);
    tx.send(&pattern(1, 100)).unwrap();
    overwrite(&page);
    (tx, rx)
}

fn an_end_that_was_fooled_is_of_no_more_use() {
    let (mut tx, mut rx) = fooled(|page| page.write(0, 12345));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Corrupt));
    tx.send(b"an honest one").unwrap();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Corrupt), "it is not believed again");
    assert_eq!(wait(&[&rx], Some(Duration::ZERO)).unwrap(), Some(0), "which is to be told");

    let (mut tx, mut rx) = fooled(|page| page.write(128, 4096));
    assert_eq!(tx.send_timeout(&[0; 4088], Duration::ZERO), Err(SendTimeoutError::Corrupt(())));
    rx.recv().unwrap();
    assert_eq!(tx.send_timeout(b"x", Duration::ZERO), Err(SendTimeoutError::Corrupt(())));
}

fn words_that_are_impossible_are_corrupt() {
    let (whole, more) = (3, 0);
    let words = [
        0,
        u64::MAX,
        frame_word(whole, 105),
        frame_word(whole, 4088),
        frame_word(whole, (1 << 56) - 1),
        frame_word(more, 100),
        100,
    ];
    for word in words {
        let (_tx, mut rx) = fooled(|page| page.write(HEADER, word));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Corrupt), "{word:#x}");
    }
    // Possible, if wrong: what is told is what is there.
    let (_tx, mut rx) = fooled(|page| page.write(HEADER, frame_word(whole, 97)));
    assert_eq!(rx.try_recv().unwrap(), pattern(1, 100)[..97]);
    for tail in [1, 104, 113, 4096 + 8, u64::MAX, u64::MAX - 7] {
        let (_tx, mut rx) = fooled(|page| page.write(0, tail));
        assert!(matches!(rx.try_recv(), Err(TryRecvError::Corrupt | TryRecvError::Empty)), "{tail}");
    }
    for head in [1, 120, u64::MAX, 4096] {
        let (mut tx, _rx) = fooled(|page| page.write(128, head));
        assert_eq!(tx.send_timeout(&[0; 4088], Duration::ZERO), Err(SendTimeoutError::Corrupt(())), "{head}");
    }
}
