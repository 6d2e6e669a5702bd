//! The work that channels do, done by tine's. Each function measures one slice, between processes.
#![allow(dead_code)]

use std::hint::black_box;
use std::time::Duration;

use tine::channel::{Spin, mpmc, spsc};

use crate::race::{Part, spawned, thousand};
use crate::support::so_many;

/// How many values a batch has.
pub const BATCH: usize = 256;

/// A thousand round trips of 8 bytes, over two rings.
pub fn round_trips() -> Duration {
    let n = so_many(50_000);
    let (mut ask, mut asked) = spsc::channel::<u64>(64).expect("memory");
    let (mut answer, mut answered) = spsc::channel::<u64>(64).expect("memory");
    asked.set_spin(Spin::Always);
    answered.set_spin(Spin::Always);
    let near: Part = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            ask.send(i).expect("the other lives");
            assert_eq!(answered.recv(), Ok(i));
        }
        race.end();
    });
    let far: Part = Box::new(move |race| {
        race.begin();
        for _ in 0..n {
            answer.send(asked.recv().expect("the other lives")).expect("the other lives");
        }
        race.end();
    });
    thousand(spawned(vec![near, far]), n)
}

/// A thousand values of 8 bytes, one by one.
pub fn stream(capacity: usize, spin: Spin) -> Duration {
    let n = so_many(1 << 20);
    let (mut tx, mut rx) = spsc::channel::<u64>(capacity).expect("memory");
    tx.set_spin(spin);
    rx.set_spin(spin);
    let sender: Part = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            tx.send(i).expect("the receiver lives");
        }
        race.end();
    });
    let receiver: Part = Box::new(move |race| {
        race.begin();
        for i in 0..u64::from(n) {
            assert_eq!(rx.recv(), Ok(i));
        }
        race.end();
    });
    thousand(spawned(vec![sender, receiver]), n)
}

/// A thousand values of 8 bytes, in batches.
pub fn batches(capacity: usize, spin: Spin) -> Duration {
    let n = so_many(1 << 22);
    let (mut tx, mut rx) = spsc::channel::<u64>(capacity).expect("memory");
    tx.set_spin(spin);
    rx.set_spin(spin);
    let sender: Part = Box::new(move |race| {
        let batch: [u64; BATCH] = std::array::from_fn(|i| i as u64);
        race.begin();
        let mut left = n as usize;
        while left > 0 {
            let batch = &black_box(&batch)[..left.min(BATCH)];
            tx.send_slice(batch).expect("the receiver lives");
            left -= batch.len();
        }
        race.end();
    });
    let receiver: Part = Box::new(move |race| {
        let mut batch = [0; BATCH];
        race.begin();
        let mut left = n as usize;
        while left > 0 {
            left -= rx.recv_slice(&mut batch).expect("the sender lives");
            black_box(&batch);
        }
        race.end();
    });
    thousand(spawned(vec![sender, receiver]), n)
}

/// A thousand values of 8 bytes, from `senders` processes to `receivers`, by a queue that survives the death of any.
pub fn many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    let n = so_many(200_000).next_multiple_of(senders * receivers);
    let (tx, rx) = mpmc::channel::<u64>(capacity).expect("memory");
    let mut parts: Vec<Part> = Vec::new();
    for mut tx in (0..senders).map(|_| tx.clone()) {
        parts.push(Box::new(move |race| {
            race.begin();
            for i in 0..u64::from(n / senders) {
                tx.send(i).expect("a receiver lives");
            }
            race.end();
        }));
    }
    for mut rx in (0..receivers).map(|_| rx.clone()) {
        parts.push(Box::new(move |race| {
            race.begin();
            for _ in 0..n / receivers {
                black_box(rx.recv().expect("a sender lives"));
            }
            race.end();
        }));
    }
    drop((tx, rx));
    thousand(spawned(parts), n)
}
