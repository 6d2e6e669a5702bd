//! Several senders and several receivers, and pairs that talk both ways.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::thread;

use tine::channel::{Builder, RecvError, Spin, duplex, mpmc};

use crate::MANY;

/// Each of these sends so much.
const SENDERS: u64 = 2;
const RECEIVERS: u64 = 2;

/// Whether each came once.
fn all_are_there(mut received: Vec<u64>) {
    received.sort_unstable();
    assert!(received.into_iter().eq(0..SENDERS * MANY));
}

/// What is sent as number `n`: too wide for one store.
fn wide(n: u64) -> [u64; 5] {
    [n, !n, n << 8, n, 7]
}

fn queue_of_wide(capacity: usize, spin: Spin, receive: fn(&mut mpmc::Receiver<[u64; 5]>) -> Result<u64, RecvError>) {
    let (mut tx, mut rx) = mpmc::channel(capacity).unwrap();
    tx.set_spin(spin);
    rx.set_spin(spin);
    let received = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mut tx = tx.clone();
            scope.spawn(move || (0..MANY).for_each(|n| tx.send(wide(sender * MANY + n)).unwrap()));
        }
        let receivers: Vec<_> = (0..RECEIVERS)
            .map(|_| {
                let mut rx = rx.clone();
                scope.spawn(move || std::iter::from_fn(|| receive(&mut rx).ok()).collect::<Vec<u64>>())
            })
            .collect();
        drop((tx, rx));
        receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
    });
    all_are_there(received);
}

pub fn queues_of_many() {
    for (capacity, spin) in [(1, Spin::Never), (3, Spin::Never), (3, Spin::Adaptive), (64, Spin::Adaptive)] {
        queue_of_wide(capacity, spin, |rx| {
            rx.recv().map(|value| {
                assert_eq!(value, wide(value[0]));
                value[0]
            })
        });
    }
}

pub fn queues_with_claims() {
    for (capacity, spin) in [(2, Spin::Never), (5, Spin::Adaptive)] {
        queue_of_wide(capacity, spin, |rx| {
            loop {
                let claim = rx.claim()?;
                let n = claim[0];
                assert_eq!(*claim, wide(n));
                // The first who has one in eight gives it back.
                if !n.is_multiple_of(8) || claim.attempts() > 1 {
                    claim.done();
                    return Ok(n);
                }
            }
        });
    }
}

/// Which is in its slot for small `n` modulo 4, else in one block or in several.
fn text(n: u64) -> String {
    format!("{n} ").repeat(1 + (n % 4 * 100) as usize)
}

fn number(text: &str) -> u64 {
    let n = text.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(text, crate::queues::text(n));
    n
}

fn values(receive: fn(&tine::channel::Receiver<String>) -> Result<u64, RecvError>) {
    // Not all the blocks that four long ones would take.
    let (tx, rx) = Builder::<String>::new(4).bytes(6_000).build().unwrap();
    let received = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let tx = tx.clone();
            scope.spawn(move || (0..MANY).for_each(|n| tx.send(text(sender * MANY + n)).unwrap()));
        }
        let receivers: Vec<_> = (0..RECEIVERS)
            .map(|_| {
                let rx = rx.clone();
                scope.spawn(move || std::iter::from_fn(|| receive(&rx).ok()).collect::<Vec<u64>>())
            })
            .collect();
        drop((tx, rx));
        receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
    });
    all_are_there(received);
}

pub fn queues_of_values() {
    values(|rx| rx.recv().map(|text| number(&text)));
}

pub fn queues_of_values_with_claims() {
    values(|rx| {
        loop {
            let claim = rx.claim()?;
            let n = number(&claim);
            if !n.is_multiple_of(8) || claim.attempts() > 1 {
                claim.done();
                return Ok(n);
            }
        }
    });
}

/// Ends come and go while others send and receive; who waits for idleness sees all done.
pub fn queues_that_are_closed() {
    for n in 0..MANY / 40 {
        let (tx, rx) = Builder::<String>::new(2).build().unwrap();
        thread::scope(|scope| {
            let other = tx.clone();
            scope.spawn(move || (0..n % 7).for_each(|_| other.send(text(n)).unwrap()));
            scope.spawn(move || {
                let heard: Vec<u64> = rx.iter().map(|text| number(&text.unwrap())).collect();
                assert_eq!(heard, vec![n; n as usize % 7 + 1]);
            });
            tx.send(text(n)).unwrap();
            tx.wait_idle().unwrap();
            drop(tx);
        });
    }
}

/// Questions and answers, some with a descriptor.
pub fn pairs_both_ways() {
    let (here, there) = duplex::<(u64, Vec<u64>), (u64, Option<OwnedFd>)>().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok((n, words)) = there.recv() {
                assert_eq!(words, vec![n; n as usize % 50]);
                let file = n.is_multiple_of(10).then(|| File::open("/dev/null").unwrap().into());
                there.send((n, file)).unwrap();
            }
        });
        for n in 0..MANY {
            here.send((n, vec![n; n as usize % 50])).unwrap();
            let (answer, file) = here.recv().unwrap();
            assert_eq!((answer, file.is_some()), (n, n.is_multiple_of(10)));
        }
        drop(here);
    });
}
