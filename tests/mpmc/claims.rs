//! What is delivered until it is done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tine::channel::mpmc::{self, Receiver};
use tine::channel::{RecvError, RecvTimeoutError, TryRecvError, TrySendError};
use tine::process::Signal;

use crate::support::{Case, in_child, until};
use crate::{LONG, SHORT, cases, ring, stay, until_asleep};

pub const CASES: &[Case] = cases![
    a_claim_holds_its_place_until_it_is_done,
    a_dropped_claim_is_delivered_again_in_its_place,
    a_panic_gives_a_claim_back,
    claims_are_tried_and_waited_for,
    several_claims_end_in_any_order,
    a_forgotten_claim_ends_with_its_thread,
    a_killed_claimant_is_followed_by_another,
    attempts_are_counted_over_many_deaths,
    what_is_claimed_too_often_is_a_dead_letter,
    a_sleeping_receiver_is_woken_by_the_claimants_death,
    a_stopped_claimant_is_not_robbed,
    a_copy_of_a_claim_does_nothing,
    the_end_is_told_when_claims_are_done,
    the_end_is_not_told_before_a_claim_has_come_back,
    many_workers_are_killed_and_all_is_done,
];

fn a_claim_holds_its_place_until_it_is_done() {
    let (mut tx, mut rx) = ring::<u64>(2);
    tx.send_slice(&[1, 2]).unwrap();
    let claim = rx.claim().unwrap();
    assert_eq!((*claim, claim.attempts(), rx.len()), (1, 1, 1));
    assert_eq!(format!("{claim:?}"), "Claim(1, attempt 1)");
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
    claim.done();
    tx.send_slice(&[3, 4]).unwrap();
    assert_eq!((rx.recv(), rx.recv(), rx.try_recv()), (Ok(3), Ok(4), Err(TryRecvError::Empty)));
}

fn a_dropped_claim_is_delivered_again_in_its_place() {
    let (mut tx, mut rx) = ring::<u64>(4);
    let mut other = rx.clone();
    for _ in 0..20 {
        tx.send_slice(&[1, 2, 3]).unwrap();
        let (first, second) = (rx.claim().unwrap(), rx.claim().unwrap());
        drop(second);
        drop(first);
        let first = other.claim().unwrap();
        assert_eq!((*first, first.attempts()), (1, 2));
        drop(first);
        assert_eq!((other.recv(), rx.recv(), other.recv()), (Ok(1), Ok(2), Ok(3)));
    }
    // A message in the same place later is another.
    tx.send(4).unwrap();
    assert_eq!(rx.claim().unwrap().attempts(), 1);
}

fn a_panic_gives_a_claim_back() {
    let (mut tx, mut rx) = ring::<u64>(1);
    tx.send(1).unwrap();
    let claim = rx.claim().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _claim = claim;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(rx.claim().unwrap().attempts(), 2);
}

fn claims_are_tried_and_waited_for() {
    let (mut tx, mut rx) = ring::<u64>(1);
    assert_eq!(rx.try_claim().unwrap_err(), TryRecvError::Empty);
    assert_eq!(rx.claim_timeout(SHORT).unwrap_err(), RecvTimeoutError::Timeout);
    let child = tine::spawn({
        let mut rx = rx.clone();
        move || {
            let claim = rx.claim_timeout(LONG).unwrap();
            let value = *claim;
            claim.done();
            value
        }
    })
    .unwrap();
    until_asleep(&child);
    tx.send(7).unwrap();
    assert_eq!(child.join().unwrap(), 7);
    drop(tx);
    assert_eq!(rx.claim().unwrap_err(), RecvError::Disconnected);
    assert_eq!(rx.try_claim().unwrap_err(), TryRecvError::Disconnected);
}

fn several_claims_end_in_any_order() {
    let (mut tx, mut rx) = ring::<u64>(8);
    for round in 0..100 {
        tx.send_slice(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let mut claims: Vec<_> = (0..8).map(|_| rx.claim().unwrap()).collect();
        assert_eq!(tx.try_send(8), Err(TrySendError::Full(8)));
        for turn in 0..8 {
            claims.swap_remove((round + 5 * turn) % claims.len()).done();
        }
    }
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

fn a_forgotten_claim_ends_with_its_thread() {
    let (mut tx, rx) = ring::<u64>(2);
    tx.send(1).unwrap();
    // In a process of its own, since what is forgotten stays mapped.
    let child = tine::spawn(move || {
        let mut theirs = rx.clone();
        let thread = std::thread::spawn(move || {
            std::mem::forget(theirs.claim().unwrap());
            theirs.try_recv() == Err(TryRecvError::Empty)
        });
        let has_it_while_it_lives = thread.join().unwrap();
        let mut rx = rx;
        let claim = rx.claim_timeout(LONG).unwrap();
        has_it_while_it_lives && (*claim, claim.attempts()) == (1, 2)
    })
    .unwrap();
    assert!(child.join().unwrap());
}

/// Claims one, and stays with it.
fn claim_and_stay(rx: &Receiver<u64>) -> tine::JoinHandle<()> {
    let mut theirs = rx.clone();
    tine::spawn(move || {
        let _claim = theirs.claim().unwrap();
        stay();
    })
    .unwrap()
}

fn a_killed_claimant_is_followed_by_another() {
    let (mut tx, mut rx) = ring::<u64>(4);
    tx.send(1).unwrap();
    let child = claim_and_stay(&rx);
    until("it is claimed", || rx.is_empty());
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2), "nobody waits for it");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    child.kill().unwrap();
    child.join().unwrap_err();
    let claim = rx.claim().unwrap();
    assert_eq!((*claim, claim.attempts()), (1, 2));
    claim.done();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

/// Values lie in their slots here; all else of dead letters is what `channel` has, and is tested there.
fn what_is_claimed_too_often_is_a_dead_letter() {
    let (mut tx, mut rx) = mpmc::redelivering::<u64>(4, 2).unwrap();
    let mut letters = rx.dead_letters().unwrap();
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    drop(rx.claim().unwrap());
    assert_eq!(letters.try_recv(), Err(TryRecvError::Empty), "once is not too often");
    let child = claim_and_stay(&rx);
    until("it is claimed", || rx.len() == 1);
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!((letters.recv(), letters.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
    assert!(mpmc::redelivering::<u64>(4, 0).is_err());
    assert!(ring::<u64>(4).1.dead_letters().is_err());
}

fn attempts_are_counted_over_many_deaths() {
    let (mut tx, mut rx) = ring::<u64>(1);
    tx.send(1).unwrap();
    for _ in 0..10 {
        let child = claim_and_stay(&rx);
        until("it is claimed", || rx.is_empty());
        child.kill().unwrap();
        child.join().unwrap_err();
        assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)), "it comes back, and leaves no room");
    }
    let claim = rx.claim().unwrap();
    assert_eq!((*claim, claim.attempts()), (1, 11));
}

fn a_sleeping_receiver_is_woken_by_the_claimants_death() {
    let (mut tx, rx) = ring::<u64>(4);
    tx.send(1).unwrap();
    let child = claim_and_stay(&rx);
    until("it is claimed", || rx.is_empty());
    let mut theirs = rx.clone();
    let next = tine::spawn(move || theirs.claim().unwrap().attempts()).unwrap();
    until_asleep(&next);
    child.kill().unwrap();
    assert_eq!(next.join().unwrap(), 2);
    child.join().unwrap_err();
}

fn a_stopped_claimant_is_not_robbed() {
    let (mut tx, mut rx) = ring::<u64>(4);
    tx.send(1).unwrap();
    let child = claim_and_stay(&rx);
    until("it is claimed", || rx.is_empty());
    child.signal(Signal::STOP).unwrap();
    assert_eq!(rx.recv_timeout(5 * SHORT), Err(RecvTimeoutError::Timeout));
    // What is sent meanwhile is received, as far as the ring goes round.
    for n in 2..=4 {
        tx.send(n).unwrap();
        assert_eq!(rx.recv(), Ok(n));
    }
    assert_eq!(tx.try_send(5), Err(TrySendError::Full(5)));
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!(rx.recv(), Ok(1));
    tx.send(5).unwrap();
    assert_eq!(rx.recv(), Ok(5));
}

fn a_copy_of_a_claim_does_nothing() {
    let (mut tx, mut rx) = ring::<u64>(4);
    tx.send_slice(&[1, 2]).unwrap();
    let (first, second) = (rx.claim().unwrap(), rx.claim().unwrap());
    // A fork by others: both claims are copied, and ended there.
    let mut claims = Some((first, second));
    let status = in_child(|| {
        let (first, second) = claims.take().unwrap();
        first.done();
        drop(second);
    });
    assert_eq!((status.code(), rx.try_recv()), (Some(0), Err(TryRecvError::Empty)));
    let (first, second) = claims.unwrap();
    drop(first);
    second.done();
    assert_eq!((rx.recv(), rx.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
}

fn the_end_is_told_when_claims_are_done() {
    let (mut tx, mut rx) = ring::<u64>(4);
    tx.send(1).unwrap();
    let claim = rx.claim().unwrap();
    let mut theirs = rx.clone();
    let child = tine::spawn(move || theirs.recv() == Err(RecvError::Disconnected)).unwrap();
    drop(tx);
    // Its own claim keeps nobody waiting for itself.
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    until_asleep(&child);
    claim.done();
    assert!(child.join().unwrap());
}

fn the_end_is_not_told_before_a_claim_has_come_back() {
    let (mut tx, mut rx) = ring::<u64>(4);
    tx.send(1).unwrap();
    let child = claim_and_stay(&rx);
    until("it is claimed", || rx.is_empty());
    drop(tx);
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(rx.is_disconnected());
    child.kill().unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
    child.join().unwrap_err();
}

/// Workers are killed at random over their claims, and others take their place: all is done, and nothing is done twice but what
/// somebody was killed with.
fn many_workers_are_killed_and_all_is_done() {
    const TASKS: usize = 5_000;
    let done = tine::Shared::<[AtomicU32]>::from_fn(TASKS, |_| AtomicU32::new(0)).unwrap();
    let (mut tx, rx) = ring::<u64>(16);
    let worker = || {
        let (mut rx, done) = (rx.clone(), done.clone());
        tine::spawn(move || {
            while let Ok(claim) = rx.claim() {
                done[*claim as usize].fetch_add(1, Ordering::Relaxed);
                claim.done();
            }
        })
        .unwrap()
    };
    let mut workers: Vec<_> = (0..3).map(|_| worker()).collect();
    let sender = tine::spawn(move || (0..TASKS as u64).for_each(|n| tx.send(n).unwrap())).unwrap();
    let mut killed = 0;
    while !sender.is_finished() {
        std::thread::sleep(Duration::from_micros(300 + 71 * killed % 900));
        let victim = workers.remove(0);
        victim.kill().unwrap();
        let _ = victim.join();
        killed += 1;
        workers.push(worker());
    }
    sender.join().unwrap();
    drop(rx);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let counts: Vec<_> = done.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert!(counts.iter().all(|&count| count > 0), "at least once");
    let twice: u32 = counts.iter().map(|count| count - 1).sum();
    assert!(u64::from(twice) <= killed, "{twice} more than once after {killed} kills");
}
