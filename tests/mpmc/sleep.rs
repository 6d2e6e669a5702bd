//! Sleeping and waking.

use std::time::Duration;

use tine::channel::{RecvError, TryRecvError};
use tine::process::Signal;
use tine::wait;

use crate::support::Case;
use crate::{LONG, cases, ring, until_asleep};

pub const CASES: &[Case] = cases![
    disconnect_wakes_receiver,
    disconnect_wakes_sender,
    each_message_wakes_one_of_many,
    each_place_wakes_one_of_many,
    a_slice_wakes_as_many,
    a_wake_that_went_to_one_that_is_stopped_is_made_good,
    a_wake_that_dies_with_its_receiver_is_made_good,
    wait_takes_receivers,
    wait_takes_receivers_and_descriptors,
    who_waits_for_many_takes_no_wake_from_others,
];

fn disconnect_wakes_receiver() {
    let (tx, rx) = ring::<u8>(1);
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut rx = rx.clone();
            tine::spawn(move || rx.recv() == Err(RecvError::Disconnected)).unwrap()
        })
        .collect();
    children.iter().for_each(until_asleep);
    drop(tx);
    assert!(children.into_iter().all(|child| child.join().unwrap()));
}

fn disconnect_wakes_sender() {
    let (mut tx, rx) = ring::<u8>(1);
    tx.send(0).unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut tx = tx.clone();
            tine::spawn(move || tx.send(2).is_err()).unwrap()
        })
        .collect();
    children.iter().for_each(until_asleep);
    drop(rx);
    assert!(children.into_iter().all(|child| child.join().unwrap()));
}

fn each_message_wakes_one_of_many() {
    let (mut tx, rx) = ring::<u64>(8);
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            let mut rx = rx.clone();
            tine::spawn(move || rx.recv().unwrap()).unwrap()
        })
        .collect();
    children.iter().for_each(until_asleep);
    for n in 1..=4 {
        tx.send(n).unwrap();
        crate::support::until("one of them ends", || children.iter().any(|child| child.is_finished()));
        let one = children.iter().position(|child| child.is_finished()).unwrap();
        assert_eq!(children.swap_remove(one).join().unwrap(), n);
    }
}

fn each_place_wakes_one_of_many() {
    let (mut tx, mut rx) = ring::<u64>(1);
    tx.send(0).unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut tx = tx.clone();
            tine::spawn(move || tx.send(1).is_ok()).unwrap()
        })
        .collect();
    children.iter().for_each(until_asleep);
    for n in [0, 1, 1, 1, 1] {
        assert_eq!(rx.recv_timeout(LONG), Ok(n));
    }
    assert!(children.into_iter().all(|child| child.join().unwrap()));
}

fn a_slice_wakes_as_many() {
    let (mut tx, rx) = ring::<u64>(8);
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut rx = rx.clone();
            tine::spawn(move || rx.recv().unwrap()).unwrap()
        })
        .collect();
    children.iter().for_each(until_asleep);
    tx.send_slice(&[1, 2, 3, 4]).unwrap();
    assert_eq!(children.into_iter().map(|child| child.join().unwrap()).sum::<u64>(), 10);
}

fn a_wake_that_went_to_one_that_is_stopped_is_made_good() {
    let (mut tx, rx) = ring::<u64>(8);
    let receive = || {
        let mut rx = rx.clone();
        tine::spawn(move || rx.recv().unwrap()).unwrap()
    };
    let stopped = receive();
    until_asleep(&stopped);
    let other = receive();
    until_asleep(&other);
    stopped.signal(Signal::STOP).unwrap();
    // The first in the queue gets the wake.
    tx.send(1).unwrap();
    assert_eq!(other.join().unwrap(), 1);
    stopped.signal(Signal::CONT).unwrap();
    tx.send(2).unwrap();
    assert_eq!(stopped.join().unwrap(), 2);
}

fn a_wake_that_dies_with_its_receiver_is_made_good() {
    for _ in 0..10 {
        let (mut tx, rx) = ring::<u64>(8);
        let receive = || {
            let mut rx = rx.clone();
            tine::spawn(move || rx.recv().unwrap()).unwrap()
        };
        let victim = receive();
        until_asleep(&victim);
        let other = receive();
        until_asleep(&other);
        victim.signal(Signal::STOP).unwrap();
        tx.send(1).unwrap();
        victim.kill().unwrap();
        assert_eq!(other.join().unwrap(), 1);
        victim.join().unwrap_err();
    }
}

fn wait_takes_receivers() {
    let ((mut tx, rx), (_other_tx, other)) = (ring::<u8>(1), ring::<u8>(1));
    assert_eq!(wait(&[&other, &rx], Some(Duration::ZERO)).unwrap(), None);
    let child = tine::spawn(move || {
        let mut rx = rx;
        let mut found = Vec::new();
        while wait(&[&rx], Some(LONG)).unwrap() == Some(0) {
            match rx.try_recv() {
                Ok(n) => found.push(n),
                Err(error) => return (found, error == TryRecvError::Disconnected),
            }
        }
        (found, false)
    })
    .unwrap();
    for n in 0..5 {
        until_asleep(&child);
        tx.send(n).unwrap();
    }
    drop(tx);
    assert_eq!(child.join().unwrap(), (vec![0, 1, 2, 3, 4], true));
}

fn wait_takes_receivers_and_descriptors() {
    let (mut tx, rx) = ring::<u8>(1);
    let (reader, writer) = std::io::pipe().unwrap();
    let child = tine::spawn(move || {
        let mut rx = rx;
        let first = wait(&[&reader, &rx], Some(LONG)).unwrap();
        let received = rx.try_recv();
        drop(writer);
        (first, received == Ok(7), wait(&[&rx, &reader], Some(LONG)).unwrap())
    })
    .unwrap();
    crate::until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
    tx.send(7).unwrap();
    assert_eq!(child.join().unwrap(), (Some(1), true, Some(1)));
}

/// It is woken, and leaves the message to another, which is woken as well.
fn who_waits_for_many_takes_no_wake_from_others() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let waits = {
        let rx = rx.clone();
        tine::spawn(move || wait(&[&rx], Some(LONG)).unwrap()).unwrap()
    };
    until_asleep(&waits);
    let receives = {
        let mut rx = rx.clone();
        tine::spawn(move || rx.recv().unwrap()).unwrap()
    };
    until_asleep(&receives);
    tx.send_slice(&[1, 2]).unwrap();
    assert_eq!(waits.join().unwrap(), Some(0));
    let received = receives.join().unwrap();
    assert_eq!(rx.recv(), Ok(3 - received));
}
