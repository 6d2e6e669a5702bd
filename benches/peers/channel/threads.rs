//! The same work between threads: rtrb, crossbeam-channel.

use std::hint::{black_box, spin_loop};
use std::time::Duration;

use crate::ours::BATCH;
use crate::race::{ThreadPart, thousand, threads};
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
    let n = so_many(50_000);
    let (mut ask, mut asked) = rtrb::RingBuffer::new(64);
    let (mut answer, mut answered) = rtrb::RingBuffer::new(64);
    let near: ThreadPart = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            push(&mut ask, i);
            assert_eq!(pop(&mut answered), i);
        }
        race.end();
    });
    let far: ThreadPart = Box::new(move |race| {
        race.begin();
        for _ in 0..n {
            push(&mut answer, pop(&mut asked));
        }
        race.end();
    });
    thousand(threads(vec![near, far]), n)
}

pub fn rtrb_stream(capacity: usize) -> Duration {
    let n = so_many(1 << 20);
    let (mut tx, mut rx) = rtrb::RingBuffer::new(capacity);
    let sender: ThreadPart = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            push(&mut tx, i);
        }
        race.end();
    });
    let receiver: ThreadPart = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            assert_eq!(pop(&mut rx), i);
        }
        race.end();
    });
    thousand(threads(vec![sender, receiver]), n)
}

/// Slices, as tine's are: as much of one as there is room for, or as there is.
pub fn rtrb_batches(capacity: usize) -> Duration {
    let n = so_many(1 << 22);
    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(capacity);
    let sender: ThreadPart = Box::new(move |race| {
        let batch: [u64; BATCH] = std::array::from_fn(|i| i as u64);
        race.begin();
        let mut left = n as usize;
        while left > 0 {
            let mut batch = &black_box(&batch)[..left.min(BATCH)];
            left -= batch.len();
            while !batch.is_empty() {
                batch = match tx.push_partial_slice(batch) {
                    ([], rest) => {
                        spin_loop();
                        rest
                    }
                    (_, rest) => rest,
                };
            }
        }
        race.end();
    });
    let receiver: ThreadPart = Box::new(move |race| {
        let mut batch = [0; BATCH];
        race.begin();
        let mut left = n as usize;
        while left > 0 {
            match rx.pop_partial_slice(&mut batch).0.len() {
                0 => spin_loop(),
                got => left -= got,
            }
            black_box(&batch);
        }
        race.end();
    });
    thousand(threads(vec![sender, receiver]), n)
}

/// Chunks of a fixed length, written in place: rtrb's own way, and its fastest.
pub fn rtrb_chunks(capacity: usize) -> Duration {
    let n = so_many(1 << 22).next_multiple_of(BATCH as u32);
    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(capacity);
    let sender: ThreadPart = Box::new(move |race| {
        race.begin();
        let mut sent = 0;
        while sent < u64::from(n) {
            match tx.write_chunk_uninit(BATCH) {
                Ok(chunk) => {
                    chunk.fill_from_iter(sent..);
                    sent += BATCH as u64;
                }
                Err(_) => spin_loop(),
            }
        }
        race.end();
    });
    let receiver: ThreadPart = Box::new(move |race| {
        race.begin();
        let mut left = n as usize;
        let mut sum = 0_u64;
        while left > 0 {
            match rx.read_chunk(BATCH) {
                Ok(chunk) => {
                    sum = chunk.into_iter().fold(sum, u64::wrapping_add);
                    left -= BATCH;
                }
                Err(_) => spin_loop(),
            }
        }
        black_box(sum);
        race.end();
    });
    thousand(threads(vec![sender, receiver]), n)
}

pub fn crossbeam_round_trips() -> Duration {
    let n = so_many(10_000);
    let (ask, asked) = crossbeam_channel::bounded(64);
    let (answer, answered) = crossbeam_channel::bounded(64);
    let near: ThreadPart = Box::new(move |race| {
        race.begin();
        for i in 0..n {
            ask.send(i).expect("the other lives");
            assert_eq!(answered.recv(), Ok(i));
        }
        race.end();
    });
    let far: ThreadPart = Box::new(move |race| {
        race.begin();
        for _ in 0..n {
            answer.send(asked.recv().expect("the other lives")).expect("the other lives");
        }
        race.end();
    });
    thousand(threads(vec![near, far]), n)
}

pub fn crossbeam_many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    let n = so_many(200_000).next_multiple_of(senders * receivers);
    let (tx, rx) = crossbeam_channel::bounded(capacity);
    let mut parts: Vec<ThreadPart> = Vec::new();
    for tx in (0..senders).map(|_| tx.clone()) {
        parts.push(Box::new(move |race| {
            race.begin();
            for i in 0..u64::from(n / senders) {
                tx.send(i).expect("a receiver lives");
            }
            race.end();
        }));
    }
    for rx in (0..receivers).map(|_| rx.clone()) {
        parts.push(Box::new(move |race| {
            race.begin();
            for _ in 0..n / receivers {
                black_box(rx.recv().expect("a sender lives"));
            }
            race.end();
        }));
    }
    drop((tx, rx));
    thousand(threads(parts), n)
}
