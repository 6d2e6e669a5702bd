//! Killed processes.

use std::collections::BTreeSet;
use std::time::Duration;

use tine::channel::{Builder, RecvError};

use crate::support::{Case, until};
use crate::{cases, end_by, queue, stay, until_asleep};

pub const CASES: &[Case] = cases![
    a_killed_last_sender_is_told_once,
    a_killed_receiver_costs_at_most_what_it_had,
    senders_are_killed_while_they_fill_blocks,
    who_ends_right_after_a_send_leaves_it_whole,
    a_sleeper_is_woken_by_the_claimants_death,
];

fn a_killed_last_sender_is_told_once() {
    let (tx, rx) = queue::<String>(4);
    let child = tine::spawn(move || {
        tx.send("last words".into()).unwrap();
        stay();
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok("last words".into()));
    child.kill().unwrap();
    let all: Vec<_> = rx.iter().collect();
    assert!(matches!(&all[..], [Err(RecvError::PeerDied(death))] if death.pid == child.id()), "{all:?}");
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    child.join().unwrap_err();
}

fn a_killed_receiver_costs_at_most_what_it_had() {
    for _ in 0..20 {
        let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(16).bytes(100_000).build().unwrap();
        let theirs = rx.clone();
        let (count_tx, count_rx) = queue::<u32>(1_000);
        let victim = tine::spawn(move || {
            for received in theirs.iter() {
                count_tx.send(received.unwrap().0).unwrap();
            }
        })
        .unwrap();
        let sender = tine::spawn(move || (0..300).for_each(|n| tx.send((n, vec![n as u8; 700])).unwrap())).unwrap();
        let mut seen = vec![count_rx.recv().unwrap()];
        victim.kill().unwrap();
        seen.extend(rx.iter().map(|next| {
            let (n, bytes) = next.unwrap();
            assert!(bytes == vec![n as u8; 700]);
            n
        }));
        seen.extend(count_rx.iter().map_while(Result::ok));
        seen.sort_unstable();
        let unique: BTreeSet<u32> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "nothing is received twice");
        assert!(seen.len() >= 299, "what is missing was in the dead one's hands: {}", seen.len());
        sender.join().unwrap();
        // It may have been quicker than its death.
        let _ = victim.join();
    }
}

fn senders_are_killed_while_they_fill_blocks() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(4).bytes(150_000).build().unwrap();
    for turn in 0..40 {
        let theirs = tx.clone();
        let victim = tine::spawn(move || {
            for n in 0.. {
                if theirs.send((n, vec![n as u8; 100_000])).is_err() {
                    break;
                }
            }
        })
        .unwrap();
        for expected in 0..3 {
            assert_eq!(rx.recv().unwrap(), (expected, vec![expected as u8; 100_000]));
        }
        std::thread::sleep(Duration::from_micros(37 * turn));
        victim.kill().unwrap();
        victim.join().unwrap_err();
        // What it had sent is whole.
        while let Ok((n, bytes)) = rx.try_recv() {
            assert!(bytes == vec![n as u8; 100_000]);
        }
    }
    // And no block is lost.
    tx.try_send((7, vec![7; 149_000])).unwrap();
    assert_eq!(rx.recv().unwrap().1.len(), 149_000);
    until("nothing is left", || rx.is_empty());
}

fn who_ends_right_after_a_send_leaves_it_whole() {
    type End = fn();
    let ends: [(End, bool); 3] =
        [(|| {}, false), (|| end_by(|| std::process::exit(0)), true), (|| end_by(|| std::process::abort()), true)];
    for (end, is_told) in ends {
        let (tx, rx) = Builder::<Vec<u8>>::new(32).bytes(200_000).build().unwrap();
        let child = tine::spawn(move || {
            for n in 0..20 {
                tx.send(vec![n; n as usize * 400]).unwrap();
            }
            end();
        })
        .unwrap();
        let joined = child.join();
        assert_eq!(joined.is_err(), is_told);
        for n in 0..20 {
            assert!(rx.recv().unwrap() == vec![n; n as usize * 400], "{n}");
        }
        let error = rx.recv().unwrap_err();
        assert_eq!(matches!(error, RecvError::PeerDied(_)), is_told, "{error:?}");
    }
}

fn a_sleeper_is_woken_by_the_claimants_death() {
    let (tx, rx) = queue::<String>(1);
    tx.send("job".into()).unwrap();
    let victim = {
        let rx = rx.clone();
        tine::spawn(move || {
            let _claim = rx.claim();
            drop(rx.claim());
        })
        .unwrap()
    };
    until_asleep(&victim);
    let other = tine::spawn(move || {
        let claim = rx.claim().unwrap();
        let seen = (claim.attempts(), claim.to_string());
        claim.done();
        seen
    })
    .unwrap();
    until_asleep(&other);
    victim.kill().unwrap();
    assert_eq!(other.join().unwrap(), (2, "job".into()));
    victim.join().unwrap_err();
}
