//! What is delivered until it is done.

use std::collections::BTreeSet;
use std::time::Duration;

use tine::channel::{Builder, Receiver, SendError};

use tine::wait;

use crate::support::Case;
use crate::{LONG, SHORT, cases, queue, until_asleep};

pub const CASES: &[Case] = cases![
    claims_come_back_with_their_attempts,
    idle_is_when_all_is_done,
    idle_is_never_where_nobody_receives,
    workers_are_killed_and_all_is_done,
    wait_takes_queues_and_dead_letters,
];

fn claims_come_back_with_their_attempts() {
    let (tx, rx) = queue::<String>(4);
    tx.send("job".into()).unwrap();
    for attempt in 1..=3 {
        let theirs = rx.clone();
        let child = tine::spawn(move || {
            let claim = theirs.claim().unwrap();
            let attempts = claim.attempts();
            assert_eq!(attempts, attempt);
            std::mem::forget(claim);
            std::process::abort();
            #[allow(unreachable_code)]
            ()
        });
        child.unwrap().join().unwrap_err();
    }
    let mut claim = rx.claim().unwrap();
    claim.push_str(" changed");
    assert_eq!((claim.attempts(), &claim[..]), (4, "job changed"));
    drop(claim);
    let claim = rx.claim().unwrap();
    assert_eq!((claim.attempts(), &claim[..]), (5, "job"));
    claim.done();
    assert!(rx.is_empty());
}

fn idle_is_when_all_is_done() {
    let (tx, rx) = queue::<u32>(8);
    tx.wait_idle().unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let rx = rx.clone();
            tine::spawn(move || {
                let mut sum = 0;
                while let Ok(claim) = rx.claim() {
                    sum += *claim;
                    claim.done();
                }
                sum
            })
            .unwrap()
        })
        .collect();
    for n in 0..500 {
        tx.send(n).unwrap();
    }
    tx.wait_idle().unwrap();
    assert!(tx.is_empty());
    tx.send(1).unwrap();
    let mine = rx.claim_timeout(Duration::from_millis(1));
    assert!(tx.wait_idle_timeout(SHORT).unwrap() == mine.is_err(), "what this thread has claimed is to be done, too");
    drop(mine);
    tx.wait_idle().unwrap();
    drop(tx);
    let sum: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(sum, 499 * 250 + 1);
}

fn idle_is_never_where_nobody_receives() {
    let (tx, rx) = queue::<u32>(8);
    tx.send(1).unwrap();
    assert_eq!(tx.wait_idle_timeout(SHORT), Ok(false));
    drop(rx);
    assert_eq!(tx.wait_idle(), Err(SendError::Disconnected(())));
}

fn workers_are_killed_and_all_is_done() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(16).bytes(60_000).build().unwrap();
    let (done_tx, done_rx) = queue::<u32>(2_000);
    let start = || {
        let (rx, done_tx) = (rx.clone(), done_tx.clone());
        tine::spawn(move || {
            while let Ok(claim) = rx.claim() {
                assert!(claim.1.iter().all(|&byte| byte == claim.0 as u8));
                done_tx.send(claim.0).unwrap();
                claim.done();
            }
        })
        .unwrap()
    };
    let mut workers = vec![start(), start()];
    for n in 0..400 {
        tx.send((n, vec![n as u8; (n as usize * 37) % 5_000])).unwrap();
        if n % 40 == 0 {
            workers.push(start());
            let victim = workers.remove(0);
            victim.kill().unwrap();
            let _ = victim.join();
        }
    }
    tx.wait_idle().unwrap();
    drop((tx, rx, done_tx));
    for worker in workers {
        worker.join().unwrap();
    }
    let done: BTreeSet<u32> = done_rx.iter().map_while(Result::ok).collect();
    assert_eq!(done.len(), 400, "each was done at least once");
}

fn wait_takes_queues_and_dead_letters() {
    let (tx, rx) = Builder::<String>::new(4).redeliver(1).build().unwrap();
    let letters = rx.dead_letters().unwrap();
    let (_other_tx, other) = queue::<u8>(1);
    assert_eq!(wait(&[&letters, &other, &rx], Some(SHORT)).unwrap(), None);
    let waits = |letters: &Receiver<String>, other: &Receiver<u8>, rx: &Receiver<String>| {
        let ends = (letters.clone(), other.clone(), rx.clone());
        let child = tine::spawn(move || wait(&[&ends.0, &ends.1, &ends.2], Some(LONG)).unwrap()).unwrap();
        until_asleep(&child);
        child
    };
    let child = waits(&letters, &other, &rx);
    tx.send("job".into()).unwrap();
    assert_eq!(child.join().unwrap(), Some(2));
    let claim = rx.claim().unwrap();
    let child = waits(&letters, &other, &rx);
    drop(claim);
    assert_eq!(child.join().unwrap(), Some(0));
    letters.recv().unwrap();
    let child = waits(&letters, &other, &rx);
    drop(tx);
    assert!(matches!(child.join().unwrap(), Some(0 | 2)), "the end is told, too");
}
