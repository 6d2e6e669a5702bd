//! The work that channels do, done by tine's. Each function measures one slice, between processes.
#![allow(dead_code)]
#![allow(unsafe_code)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::channel::{self, Spin, bytes, mpmc, spsc};

use crate::race::{Part, nanos, quantile, spawned, steps, thousand};
use crate::support::so_many;

/// How many values a batch has.
pub const BATCH: usize = 256;

/// Of the rings for single values, where nothing else is said.
pub const CAPACITY: usize = 1024;

pub const MIB: usize = 1 << 20;

/// A thousand round trips of 8 bytes, over two rings.
pub fn round_trips(spin: Spin) -> Duration {
    let n = so_many(5_000);
    let (mut ask, mut asked) = spsc::channel::<u64>(64).expect("memory");
    let (mut answer, mut answered) = spsc::channel::<u64>(64).expect("memory");
    asked.set_spin(spin);
    answered.set_spin(spin);
    let near = steps(64, n, move |i| {
        ask.send(i).expect("the other lives");
        assert_eq!(answered.recv().expect("the other lives"), i);
    });
    let far = steps(64, n, move |_| {
        answer.send(asked.recv().expect("the other lives")).expect("the other lives");
    });
    thousand(spawned(vec![near, far]), n)
}

/// A thousand values of 8 bytes, one by one; so many are measured.
pub fn stream(capacity: usize, spin: Spin, n: u32) -> Duration {
    let (mut tx, mut rx) = spsc::channel::<u64>(capacity).expect("memory");
    tx.set_spin(spin);
    rx.set_spin(spin);
    let warm = capacity as u32;
    let sender = steps(warm, n, move |i| tx.send(i).expect("the receiver lives"));
    let receiver = steps(warm, n, move |i| assert_eq!(rx.recv().expect("the sender lives"), i));
    thousand(spawned(vec![sender, receiver]), n)
}

/// A thousand values of 8 bytes, in slices.
pub fn slices(capacity: usize, spin: Spin) -> Duration {
    let batches = so_many(1 << 13);
    let (mut tx, mut rx) = spsc::channel::<u64>(capacity).expect("memory");
    tx.set_spin(spin);
    rx.set_spin(spin);
    let warm = (capacity / BATCH) as u32;
    let batch: [u64; BATCH] = std::array::from_fn(|i| i as u64);
    let sender = steps(warm, batches, move |_| tx.send_slice(black_box(&batch)).expect("the receiver lives"));
    let mut batch = [0; BATCH];
    // What a receive brings is as much as there is.
    let mut owed = 0;
    let receiver = steps(warm, batches, move |_| {
        owed += BATCH as isize;
        while owed > 0 {
            owed -= rx.recv_slice(&mut batch).expect("the sender lives") as isize;
            black_box(&batch);
        }
    });
    thousand(spawned(vec![sender, receiver]), batches * BATCH as u32)
}

/// A thousand values of 8 bytes, written into the ring and read there, in batches.
pub fn in_place(capacity: usize) -> Duration {
    let batches = so_many(1 << 13);
    let (mut tx, mut rx) = spsc::channel::<u64>(capacity).expect("memory");
    let warm = (capacity / BATCH) as u32;
    let mut next = 0;
    let sender = steps(warm, batches, move |_| {
        let mut room = tx.reserve(BATCH).expect("the receiver lives");
        for i in 0..BATCH {
            room.write(i, next).expect("there is room");
            next += 1;
        }
        room.commit();
    });
    let mut owed = 0;
    let receiver = steps(warm, batches, move |_| {
        owed += BATCH as isize;
        while owed > 0 {
            let peek = rx.peek(BATCH).expect("the sender lives");
            owed -= peek.len() as isize;
            black_box(peek.iter().fold(0, u64::wrapping_add));
            peek.consume();
        }
    });
    thousand(spawned(vec![sender, receiver]), batches * BATCH as u32)
}

/// A thousand values of 8 bytes, from `senders` processes to `receivers`, by a queue that survives the death of any.
pub fn many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    many_of(senders, receivers, capacity, so_many(100_000))
}

/// The same; so many are measured.
pub fn many_of(senders: u32, receivers: u32, capacity: usize, n: u32) -> Duration {
    let n = n.next_multiple_of(senders * receivers);
    let (tx, rx) = mpmc::channel::<u64>(capacity).expect("memory");
    // Less than the capacity would leave memory untouched; this is a whole lap for all of them together.
    let warm = (capacity as u32).next_multiple_of(senders * receivers);
    let mut parts: Vec<Part> = Vec::new();
    for mut tx in (0..senders).map(|_| tx.clone()) {
        parts.push(steps(warm / senders, n / senders, move |i| tx.send(i).expect("a receiver lives")));
    }
    for mut rx in (0..receivers).map(|_| rx.clone()) {
        parts.push(steps(warm / receivers, n / receivers, move |_| {
            black_box(rx.recv().expect("a sender lives"));
        }));
    }
    drop((tx, rx));
    thousand(spawned(parts), n)
}

// `cfg(peers)` is set by `benches/peers/build.rs`.
tine::wire! {
    /// 100 bytes.
    #[cfg_attr(peers, derive(serde::Serialize, serde::Deserialize))]
    #[derive(Clone, Debug, PartialEq)]
    pub struct Reading { pub number: u64, pub at: u64, pub values: [[f32; 10]; 2], pub kind: u32 }
}

pub fn reading(number: u64) -> Reading {
    Reading { number, at: 1_700_000_000_000 + number, values: [[0.5; 10], [1.5; 10]], kind: 1 << 20 }
}

/// A thousand structs of 100 bytes, by the queue of any values.
pub fn readings() -> Duration {
    let n = so_many(50_000);
    let (tx, rx) = channel::channel::<Reading>(CAPACITY).expect("memory");
    let warm = CAPACITY as u32;
    let sender = steps(warm, n, move |i| tx.send(reading(i)).expect("the receiver lives"));
    let receiver = steps(warm, n, move |i| assert_eq!(rx.recv().expect("the sender lives").number, i));
    thousand(spawned(vec![sender, receiver]), n)
}

/// Adds up all of a message, so that it was read.
pub fn read(message: &[u8]) -> u64 {
    let (words, rest) = message.as_chunks();
    let words = words.iter().fold(0, |sum: u64, &word| sum.wrapping_add(u64::from_ne_bytes(word)));
    rest.iter().fold(words, |sum, &byte| sum.wrapping_add(u64::from(byte)))
}

/// How large a ring is for messages of such a length: a few are on the way.
pub fn ring_for(message: usize) -> usize {
    (4 * message).max(1 << 16)
}

/// A thousand messages of `len` bytes, written once, in the ring, and read there.
pub fn large_in_place(len: usize, n: u32) -> Duration {
    let (tx, rx) = bytes::channel(ring_for(len)).expect("memory");
    // SAFETY: both ends are used by these functions only, which write to nothing but by them.
    let (mut tx, mut rx) = unsafe { (tx.trust(), rx.trust()) };
    let warm = laps(len);
    let sender = steps(warm, n, move |i| {
        let mut message = tx.reserve(len).expect("the receiver lives");
        message.fill(i as u8);
        message.commit().expect("it is ours");
    });
    let receiver = steps(warm, n, move |_| {
        black_box(read(&rx.peek().expect("the sender lives")));
    });
    thousand(spawned(vec![sender, receiver]), n)
}

/// A thousand messages of `len` bytes, written once, in the ring, and copied out of it, into memory that is there.
pub fn large_copied_out(len: usize, n: u32) -> Duration {
    let (tx, mut rx) = bytes::channel(ring_for(len)).expect("memory");
    // SAFETY: both ends are used by these functions only, which write to nothing but by them.
    let mut tx = unsafe { tx.trust() };
    let mut copy = Vec::with_capacity(len);
    let warm = laps(len);
    let sender = steps(warm, n, move |i| {
        let mut message = tx.reserve(len).expect("the receiver lives");
        message.fill(i as u8);
        message.commit().expect("it is ours");
    });
    let receiver = steps(warm, n, move |_| {
        assert_eq!(rx.recv_into(&mut copy), Ok(len));
        black_box(&copy);
    });
    thousand(spawned(vec![sender, receiver]), n)
}

/// A thousand messages of `len` bytes, copied into the ring and out of it.
pub fn large_copied(len: usize, n: u32) -> Duration {
    let (mut tx, mut rx) = bytes::channel(ring_for(len)).expect("memory");
    let message = vec![7; len];
    let mut copy = Vec::with_capacity(len);
    let warm = laps(len);
    let sender = steps(warm, n, move |_| tx.send(black_box(&message)).expect("the receiver lives"));
    let receiver = steps(warm, n, move |_| {
        assert_eq!(rx.recv_into(&mut copy), Ok(len));
        black_box(&copy);
    });
    thousand(spawned(vec![sender, receiver]), n)
}

/// So many messages go once through the ring, and some.
pub fn laps(len: usize) -> u32 {
    (ring_for(len) / (len + 8)) as u32 + 1
}

/// From just before a send to the return of the receive, of one who sleeps: that quantile.
pub fn wake(q: f64) -> Duration {
    let n = so_many(400);
    let (mut ask, mut asked) = spsc::channel::<u64>(64).expect("memory");
    let (mut answer, mut answered) = spsc::channel::<u64>(64).expect("memory");
    asked.set_spin(Spin::Never);
    answered.set_spin(Spin::Never);
    let result = &Shared::new(AtomicU64::new(0)).expect("memory");
    let near: Part = Box::new(move |race| {
        let mut times = Vec::with_capacity(n as usize);
        race.begin();
        for i in 0..n + 8 {
            ask.send(nanos()).expect("the other lives");
            let sent = answered.recv().expect("the other lives");
            if i >= 8 {
                times.push(nanos() - sent);
            }
        }
        race.end();
        // Relaxed: read by who has waited for this process.
        result.store(quantile(&mut times, q), Ordering::Relaxed);
    });
    let far = steps(0, n + 8, move |_| {
        asked.recv().expect("the other lives");
        answer.send(nanos()).expect("the other lives");
    });
    spawned(vec![near, far]);
    Duration::from_nanos(result.load(Ordering::Relaxed))
}
