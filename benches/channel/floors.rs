//! The least that the work of a channel can cost: words and bytes in shared memory, and nothing that checks them.
#![allow(dead_code)]
#![allow(unsafe_code)]

use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tine::Shared;

use crate::ours::read;
use crate::race::{Part, forked, nanos, quantile, steps, thousand};
use crate::support::so_many;

/// Words on lines of their own, and the ones beside those.
const LINES: [usize; 2] = [16, 48];

type Words = Shared<[AtomicU64; 64]>;

fn words() -> Words {
    Shared::new(std::array::from_fn(|_| AtomicU64::new(0))).expect("memory")
}

fn wait_for(word: &AtomicU64, value: u64) {
    // Acquire: pairs with the Release of who counts on.
    while word.load(Ordering::Acquire) < value {
        std::hint::spin_loop();
    }
}

/// A thousand round trips of two processes, each of which writes a word of its own.
pub fn round_trips() -> Duration {
    let n = so_many(5_000);
    let words = words();
    let [ask, answer] = LINES.map(|line| &words[line]);
    let (mut asked, mut answered) = (0, 0);
    let near = steps(64, n, move |_| {
        asked += 1;
        ask.store(asked, Ordering::Release);
        wait_for(answer, asked);
    });
    let far = steps(64, n, move |_| {
        answered += 1;
        wait_for(ask, answered);
        answer.store(answered, Ordering::Release);
    });
    thousand(forked(vec![near, far]), n)
}

/// From just before the wake to the return of one who sleeps on a futex: that quantile.
pub fn wake(q: f64) -> Duration {
    use rustix::thread::futex;
    let n = so_many(400);
    let turn: Shared<[AtomicU32; 128]> = Shared::new(std::array::from_fn(|_| AtomicU32::new(0))).expect("memory");
    let [ask, answer] = [&turn[32], &turn[96]];
    let words = words();
    let [sent, result] = LINES.map(|line| &words[line]);
    let tell = |word: &AtomicU32, value: u32| {
        // Release: pairs with the Acquire in `hear`.
        word.store(value, Ordering::Release);
        futex::wake(word, futex::Flags::empty(), 1).expect("a word of ours");
    };
    let hear = |word: &AtomicU32, value: u32| {
        while word.load(Ordering::Acquire) < value {
            // Also where it has changed already, or a signal came.
            let _ = futex::wait(word, futex::Flags::empty(), value - 1, None);
        }
    };
    let near: Part = Box::new(|race| {
        let mut times = Vec::with_capacity(n as usize);
        race.begin();
        for i in 1..=n + 8 {
            tell(ask, i);
            hear(answer, i);
            if i > 8 {
                times.push(nanos() - sent.load(Ordering::Relaxed));
            }
        }
        race.end();
        result.store(quantile(&mut times, q), Ordering::Relaxed);
    });
    let far = steps(0, n + 8, |i| {
        let i = i as u32 + 1;
        hear(ask, i);
        sent.store(nanos(), Ordering::Relaxed);
        tell(answer, i);
    });
    forked(vec![near, far]);
    Duration::from_nanos(result.load(Ordering::Relaxed))
}

/// What the receiver does with the bytes in the shared buffer.
#[derive(Clone, Copy)]
pub enum Then {
    Read,
    CopyOut,
}

/// How many messages are on the way at most.
const SLOTS: u64 = 4;

/// A thousand messages of `len` bytes, written once into one of four shared buffers, which a counter hands over.
pub fn hand_off(len: usize, n: u32, then: Then) -> Duration {
    let words = words();
    let [filled, emptied] = LINES.map(|line| &words[line]);
    let buffers = Buffers::new(SLOTS as usize, len.next_multiple_of(64));
    let place = |i: u64| buffers.place((i % SLOTS) as usize);
    let (mut sent, mut received) = (0, 0);
    let sender = steps(SLOTS as u32, n, move |i| {
        sent += 1;
        wait_for(emptied, u64::saturating_sub(sent, SLOTS));
        // SAFETY: the receiver keeps off it until it is handed over.
        unsafe { ptr::write_bytes(place(sent), i as u8, len) };
        filled.store(sent, Ordering::Release);
    });
    let mut copy = vec![0; len];
    let receiver = steps(SLOTS as u32, n, move |_| {
        received += 1;
        wait_for(filled, received);
        // SAFETY: the sender keeps off it until it is handed back.
        let message = unsafe { std::slice::from_raw_parts(place(received), len) };
        match then {
            Then::Read => {
                black_box(read(message));
            }
            Then::CopyOut => {
                copy.copy_from_slice(message);
                black_box(&copy);
            }
        }
        emptied.store(received, Ordering::Release);
    });
    thousand(forked(vec![sender, receiver]), n)
}

/// Memory that is shared with all children.
struct Buffers {
    first: *mut u8,
    each: usize,
    len: usize,
}

// SAFETY: it is only an address, and who writes where is settled by `hand_off`.
unsafe impl Sync for Buffers {}

impl Buffers {
    fn new(buffers: usize, each: usize) -> Buffers {
        let len = buffers * each;
        let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, at no address in particular.
        let first = unsafe { libc::mmap(ptr::null_mut(), len, read_write, shared, -1, 0) };
        assert_ne!(first, libc::MAP_FAILED, "memory: {}", std::io::Error::last_os_error());
        Buffers { first: first.cast(), each, len }
    }

    fn place(&self, buffer: usize) -> *mut u8 {
        self.first.wrapping_add(buffer * self.each)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: it was mapped so by `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.first.cast(), self.len) };
    }
}

/// A thousand messages of `len` bytes through a pipe.
pub fn pipe(len: usize, n: u32) -> Duration {
    use std::io::{Read, Write};
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    let message = vec![7; len];
    let mut copy = vec![0; len];
    let sender = steps(2, n, move |_| writer.write_all(&message).expect("the reader lives"));
    let receiver = steps(2, n, move |_| {
        reader.read_exact(&mut copy).expect("the writer lives");
        black_box(&copy);
    });
    thousand(forked(vec![sender, receiver]), n)
}

/// A thousand round trips of 8 bytes through two pipes.
pub fn pipe_round_trips() -> Duration {
    use std::io::{Read, Write};
    let n = so_many(100);
    let (mut asked, mut ask) = std::io::pipe().expect("a pipe");
    let (mut answered, mut answer) = std::io::pipe().expect("a pipe");
    let near = steps(2, n, move |i| {
        let mut word = [0; 8];
        ask.write_all(&i.to_ne_bytes()).expect("the other lives");
        answered.read_exact(&mut word).expect("the other lives");
        assert_eq!(word, i.to_ne_bytes());
    });
    let far = steps(2, n, move |_| {
        let mut word = [0; 8];
        asked.read_exact(&mut word).expect("the other lives");
        answer.write_all(&word).expect("the other lives");
    });
    thousand(forked(vec![near, far]), n)
}
