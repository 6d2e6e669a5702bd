//! Whether it is a queue, as seen by several processes at once.

use std::sync::atomic::{AtomicU64, Ordering};

use tine::Shared;
use tine::channel::{TryRecvError, TrySendError};
use tine::sync::Barrier;

use crate::queue_history::{History, Op};
use crate::support::Case;
use crate::{cases, ring};

pub const CASES: &[Case] = cases![each_sender_is_heard_in_order, linearizable, linearizable_by_threads];

/// Each message once, of each sender in order.
fn each_sender_is_heard_in_order() {
    for capacity in [1, 3, 64] {
        let (tx, rx) = ring::<u64>(capacity);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let mut rx = rx.clone();
                tine::spawn(move || rx.iter().map(Result::unwrap).collect::<Vec<u64>>()).unwrap()
            })
            .collect();
        let senders: Vec<_> = (0..3_u64)
            .map(|sender| {
                let mut tx = tx.clone();
                tine::spawn(move || (0..3_000).for_each(|n| tx.send(sender << 32 | n).unwrap())).unwrap()
            })
            .collect();
        drop((tx, rx));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let mut all = Vec::new();
        for receiver in receivers {
            let heard = receiver.join().unwrap();
            for sender in 0..3 {
                assert!(heard.iter().filter(|message| *message >> 32 == sender).is_sorted(), "in order");
            }
            all.extend(heard);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq((0..3).flat_map(|sender| (0..3_000).map(move |n| sender << 32 | n))));
    }
}

const ACTORS: usize = 3;
const ROUNDS: u64 = 300;
const OPERATIONS: u64 = 5;

/// What one did in a round: kind and item, begin and end.
type Done = (u64, u64, u64, u64);

/// Tries to send and to receive, and takes down what came of it, and when.
struct Actor {
    tx: tine::channel::mpmc::Sender<u64>,
    rx: tine::channel::mpmc::Receiver<u64>,
    clock: Shared<AtomicU64>,
    barrier: Shared<Barrier>,
}

impl Actor {
    fn act(mut self, number: u64) -> Vec<Done> {
        let mut done = Vec::new();
        for round in 0..ROUNDS {
            self.barrier.wait().unwrap();
            for n in 0..OPERATIONS {
                // Each round another mixture, and none is a multiple of it.
                let sends = (number + n + round * 7 / 3).is_multiple_of(2);
                let begun = self.clock.fetch_add(1, Ordering::SeqCst);
                let (kind, item) = if sends {
                    let item = (round * OPERATIONS + n) * ACTORS as u64 + number;
                    match self.tx.try_send(item) {
                        Ok(()) => (0, item),
                        Err(TrySendError::Full(_)) => (1, 0),
                        Err(other) => panic!("{other}"),
                    }
                } else {
                    match self.rx.try_recv() {
                        Ok(item) => (2, item),
                        Err(TryRecvError::Empty) => (3, 0),
                        Err(other) => panic!("{other}"),
                    }
                };
                done.push((kind, item, begun, self.clock.fetch_add(1, Ordering::SeqCst)));
            }
            self.barrier.wait().unwrap();
            // The last one leaves nothing for the next round.
            if number == 0 {
                loop {
                    let begun = self.clock.fetch_add(1, Ordering::SeqCst);
                    let received = self.rx.try_recv();
                    let ended = self.clock.fetch_add(1, Ordering::SeqCst);
                    match received {
                        Ok(item) => done.push((2, item, begun, ended)),
                        Err(_) => break done.push((3, 0, begun, ended)),
                    }
                }
            }
        }
        done
    }
}

fn check(all: Vec<Vec<Done>>) {
    let mut all: Vec<Done> = all.into_iter().flatten().collect();
    all.sort_by_key(|done| done.2);
    // A round ends where nobody is left in the middle of anything, and the ring is empty.
    let (mut history, mut open, mut rounds) = (History::default(), 0, 0);
    for (kind, item, begun, ended) in all {
        if begun >= open && history.len() >= 2 * OPERATIONS as usize && history.is_balanced() {
            std::mem::take(&mut history).check();
            rounds += 1;
        }
        open = open.max(ended);
        let op = match kind {
            0 => Op::Send(item as u32),
            1 => Op::Full,
            2 => Op::Receive(item as u32),
            _ => Op::Empty,
        };
        history.push(op, begun as usize, ended as usize);
    }
    history.check();
    assert!(rounds > ROUNDS / 2, "{rounds} rounds");
}

fn actors(capacity: usize) -> Vec<Actor> {
    let (tx, rx) = ring::<u64>(capacity);
    let (clock, barrier) = (Shared::new(AtomicU64::new(0)).unwrap(), Shared::new(Barrier::new(ACTORS)).unwrap());
    let actor = |_| Actor { tx: tx.clone(), rx: rx.clone(), clock: clock.clone(), barrier: barrier.clone() };
    (0..ACTORS).map(actor).collect()
}

fn linearizable() {
    for capacity in [2, 3, 8] {
        let numbered = actors(capacity).into_iter().zip(0..);
        let children: Vec<_> =
            numbered.map(|(actor, number)| tine::spawn(move || actor.act(number)).unwrap()).collect();
        check(children.into_iter().map(|child| child.join().unwrap()).collect());
    }
}

fn linearizable_by_threads() {
    for capacity in [2, 3, 8] {
        let numbered = actors(capacity).into_iter().zip(0..);
        let threads: Vec<_> = numbered.map(|(actor, number)| std::thread::spawn(move || actor.act(number))).collect();
        check(threads.into_iter().map(|thread| thread.join().unwrap()).collect());
    }
}
