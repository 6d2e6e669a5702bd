//! The same work between threads: rtrb, crossbeam-channel.
#![allow(dead_code)]

use std::hint::{black_box, spin_loop};
use std::time::Duration;

use crate::ours::BATCH;
use crate::race::{Part, steps, thousand, threads};
use crate::support::so_many;

/// rtrb has no waiting of its own.
fn push(tx: &mut rtrb::Producer<u64>, value: u64) {
    while tx.push(value).is_err() {
        spin_loop();
    }
}

fn pop(rx: &mut rtrb::Consumer<u64>) -> u64 {
    loop {
        match rx.pop() {
            Ok(value) => return value,
            Err(_) => spin_loop(),
        }
    }
}

pub fn rtrb_round_trips() -> Duration {
    let n = so_many(5_000);
    let (mut ask, mut asked) = rtrb::RingBuffer::new(64);
    let (mut answer, mut answered) = rtrb::RingBuffer::new(64);
    let near = steps(64, n, move |i| {
        push(&mut ask, i);
        assert_eq!(pop(&mut answered), i);
    });
    let far = steps(64, n, move |_| push(&mut answer, pop(&mut asked)));
    thousand(threads(vec![near, far]), n)
}

pub fn rtrb_stream(capacity: usize, n: u32) -> Duration {
    let (mut tx, mut rx) = rtrb::RingBuffer::new(capacity);
    let warm = capacity as u32;
    let sender = steps(warm, n, move |i| push(&mut tx, i));
    let receiver = steps(warm, n, move |i| assert_eq!(pop(&mut rx), i));
    thousand(threads(vec![sender, receiver]), n)
}

/// Slices, as tine's are: as much of one as there is room for, or as there is.
pub fn rtrb_slices(capacity: usize) -> Duration {
    let batches = so_many(1 << 13);
    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(capacity);
    let warm = (capacity / BATCH) as u32;
    let batch: [u64; BATCH] = std::array::from_fn(|i| i as u64);
    let sender = steps(warm, batches, move |_| {
        let mut rest = &black_box(&batch)[..];
        while !rest.is_empty() {
            let (sent, left) = tx.push_partial_slice(rest);
            if sent.is_empty() {
                spin_loop();
            }
            rest = left;
        }
    });
    let mut batch = [0; BATCH];
    let mut owed = 0;
    let receiver = steps(warm, batches, move |_| {
        owed += BATCH as isize;
        while owed > 0 {
            match rx.pop_partial_slice(&mut batch).0.len() {
                0 => spin_loop(),
                got => owed -= got as isize,
            }
            black_box(&batch);
        }
    });
    thousand(threads(vec![sender, receiver]), batches * BATCH as u32)
}

/// Chunks of a fixed length, written and read in place: rtrb's own way.
pub fn rtrb_chunks(capacity: usize) -> Duration {
    let batches = so_many(1 << 13);
    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(capacity);
    let warm = (capacity / BATCH) as u32;
    let mut next = 0;
    let sender = steps(warm, batches, move |_| {
        while tx.write_chunk_uninit(BATCH).map(|chunk| chunk.fill_from_iter(next..)).is_err() {
            spin_loop();
        }
        next += BATCH as u64;
    });
    let receiver = steps(warm, batches, move |_| {
        loop {
            match rx.read_chunk(BATCH) {
                Ok(chunk) => {
                    black_box(chunk.into_iter().fold(0, u64::wrapping_add));
                    return;
                }
                Err(_) => spin_loop(),
            }
        }
    });
    thousand(threads(vec![sender, receiver]), batches * BATCH as u32)
}

pub fn crossbeam_round_trips() -> Duration {
    let n = so_many(4_000);
    let (ask, asked) = crossbeam_channel::bounded(64);
    let (answer, answered) = crossbeam_channel::bounded(64);
    let near = steps(64, n, move |i| {
        ask.send(i).expect("the other lives");
        assert_eq!(answered.recv().expect("the other lives"), i);
    });
    let far = steps(64, n, move |_| answer.send(asked.recv().expect("the other lives")).expect("the other lives"));
    thousand(threads(vec![near, far]), n)
}

pub fn crossbeam_many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    crossbeam_many_of(senders, receivers, capacity, so_many(100_000))
}

/// The same; so many are measured.
pub fn crossbeam_many_of(senders: u32, receivers: u32, capacity: usize, n: u32) -> Duration {
    let n = n.next_multiple_of(senders * receivers);
    let (tx, rx) = crossbeam_channel::bounded(capacity);
    let warm = (capacity as u32).next_multiple_of(senders * receivers);
    let mut parts: Vec<Part> = Vec::new();
    for tx in (0..senders).map(|_| tx.clone()) {
        parts.push(steps(warm / senders, n / senders, move |i| tx.send(i).expect("a receiver lives")));
    }
    for rx in (0..receivers).map(|_| rx.clone()) {
        parts.push(steps(warm / receivers, n / receivers, move |_| {
            black_box(rx.recv().expect("a sender lives"));
        }));
    }
    drop((tx, rx));
    thousand(threads(parts), n)
}
