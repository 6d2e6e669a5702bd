//! Dead letters: what was claimed too often.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use tine::JoinHandle;
use tine::channel::{Builder, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError};
use tine::process::Signal;
use tine::wait;

use crate::support::Case;
use crate::{LONG, SHORT, cases, end_by, queue, stay, until_asleep};

pub const CASES: &[Case] = cases![
    what_is_claimed_too_often_is_a_dead_letter,
    letters_go_to_their_receivers_only,
    letters_are_claimed_again_and_again,
    what_is_only_received_is_never_a_letter,
    a_letter_keeps_its_place_until_it_is_received,
    long_letters_keep_their_blocks,
    settings_are_checked,
    killed_claimants_make_letters,
    a_receiver_killed_over_a_letter_leaves_it,
    idle_does_not_wait_for_letters,
    letters_end_when_no_more_can_come,
    letters_end_when_nobody_receives,
    the_end_of_letters_waits_for_claims,
    messages_end_though_letters_are_there,
    who_waits_for_letters_is_woken,
    receivers_of_letters_keep_nothing_open,
    a_stopped_claimant_makes_no_letter,
    poison_among_many,
];

fn mailed(messages: usize, max_attempts: u32) -> (Sender<String>, Receiver<String>, Receiver<String>) {
    let (tx, rx) = Builder::new(messages).bytes(20_000).redeliver(max_attempts).build().unwrap();
    let letters = rx.dead_letters().unwrap();
    (tx, rx, letters)
}

/// Claims the next so often, and never does it.
fn spoil(rx: &Receiver<String>, times: u32) {
    for attempt in 1..=times {
        assert_eq!(rx.try_claim().unwrap().attempts(), attempt);
    }
}

/// A child that claims the next, and is killed over it.
fn is_killed_over_one(rx: &Receiver<String>) {
    let rx = rx.clone();
    let child = tine::spawn(move || {
        end_by(|| {
            let _claim = rx.claim().unwrap();
            std::process::abort()
        });
    });
    child.unwrap().join().unwrap_err();
}

fn what_is_claimed_too_often_is_a_dead_letter() {
    for max_attempts in [1, 2, 3, 10] {
        let (tx, rx, letters) = mailed(4, max_attempts);
        tx.send("a".into()).unwrap();
        tx.send("b".into()).unwrap();
        spoil(&rx, max_attempts);
        assert_eq!((tx.len(), rx.len(), letters.len()), (1, 1, 1));
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok("b".into()), Err(TryRecvError::Empty)));
        assert_eq!((letters.try_recv(), letters.try_recv()), (Ok("a".into()), Err(TryRecvError::Empty)));
        assert_eq!((tx.len(), letters.len()), (0, 0));
    }
}

fn letters_go_to_their_receivers_only() {
    let (tx, rx, letters) = mailed(8, 1);
    let (other, more) = (rx.clone(), letters.clone());
    for n in 0..5 {
        tx.send(n.to_string()).unwrap();
    }
    // Every second one.
    for expected in [0, 2, 4] {
        let claim = rx.try_claim().unwrap();
        assert_eq!(*claim, expected.to_string());
        drop(claim);
        let next = other.try_recv();
        assert_eq!(next.ok(), (expected < 4).then(|| (expected + 1).to_string()));
    }
    assert_eq!((rx.try_recv(), other.try_recv()), (Err(TryRecvError::Empty), Err(TryRecvError::Empty)));
    assert_eq!((letters.recv(), more.recv(), letters.recv()), (Ok("0".into()), Ok("2".into()), Ok("4".into())));
    assert_eq!(more.dead_letters().unwrap().try_recv(), Err(TryRecvError::Empty));
}

fn letters_are_claimed_again_and_again() {
    let (tx, rx, letters) = mailed(2, 2);
    tx.send("a".into()).unwrap();
    spoil(&rx, 2);
    for attempt in 3..8 {
        let letter = letters.claim().unwrap();
        assert_eq!((&letter[..], letter.attempts()), ("a", attempt));
        assert_eq!((letters.len(), letters.try_recv()), (0, Err(TryRecvError::Empty)));
    }
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    letters.claim().unwrap().done();
    assert!(letters.is_empty());
    // A message in the same place later is another.
    tx.send("b".into()).unwrap();
    tx.send("c".into()).unwrap();
    assert_eq!(rx.claim().unwrap().attempts(), 1);
}

fn what_is_only_received_is_never_a_letter() {
    let (tx, rx, letters) = mailed(2, 1);
    for n in 0..5 {
        tx.send(n.to_string()).unwrap();
        assert_eq!(rx.recv(), Ok(n.to_string()));
    }
    tx.send("done".into()).unwrap();
    rx.claim().unwrap().done();
    assert_eq!(letters.try_recv(), Err(TryRecvError::Empty));
}

fn a_letter_keeps_its_place_until_it_is_received() {
    let (tx, rx, letters) = mailed(3, 1);
    tx.send("a".into()).unwrap();
    spoil(&rx, 1);
    for n in ["b", "c"] {
        tx.try_send(n.into()).unwrap();
        assert_eq!(rx.recv(), Ok(n.into()));
    }
    // The ring has gone round.
    assert_eq!(tx.try_send("d".into()), Err(TrySendError::Full("d".into())));
    let child = tine::spawn(move || tx.send("d".into()).is_ok()).unwrap();
    until_asleep(&child);
    assert_eq!(letters.recv(), Ok("a".into()));
    assert!(child.join().unwrap());
    assert_eq!((rx.recv(), letters.try_recv()), (Ok("d".into()), Err(TryRecvError::Disconnected)));
}

fn long_letters_keep_their_blocks() {
    let (tx, rx, letters) = mailed(3, 2);
    let long = |letter: &str| letter.repeat(9_000);
    tx.send(long("a")).unwrap();
    spoil(&rx, 2);
    for n in 0..10 {
        // There are blocks for two, and of the places only one is not taken.
        let more = (tx.try_send(long("b")), tx.try_send(long("c")));
        assert!(matches!(more, (Ok(()), Err(TrySendError::Full(_)))), "{n}");
        assert_eq!(rx.recv(), Ok(long("b")));
        if n % 2 == 1 {
            assert_eq!(letters.recv(), Ok(long("a")));
            tx.send(long("a")).unwrap();
            spoil(&rx, 2);
        }
    }
}

fn settings_are_checked() {
    for wrong in [0, 65_535, u32::MAX] {
        let error = Builder::<u8>::new(1).redeliver(wrong).build().unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("65534"), "{error}");
    }
    Builder::<u8>::new(1).redeliver(65_534).build().unwrap();
    let (_tx, rx) = queue::<u8>(1);
    let error = rx.dead_letters().unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("redeliver"), "{error}");
    let (_tx, rx, letters) = mailed(1, 1);
    let refused = tine::spawn(|| {
        let made = rx.dead_letters().map_err(|error| error.kind() == ErrorKind::PermissionDenied);
        (made.err(), letters.recv() == Err(RecvError::NotOwner))
    });
    assert_eq!(refused.unwrap().join().unwrap(), (Some(true), true));
    let more: Vec<_> = std::iter::repeat_with(|| rx.dead_letters()).take(64).collect();
    assert_eq!(more.iter().filter(|letters| letters.is_ok()).count(), 63, "64 with the first");
    drop(more);
    rx.dead_letters().unwrap();
}

fn killed_claimants_make_letters() {
    let (tx, rx, letters) = mailed(4, 3);
    tx.send("the job that kills".into()).unwrap();
    tx.send("another".into()).unwrap();
    for _ in 0..3 {
        assert_eq!(letters.try_recv(), Err(TryRecvError::Empty));
        is_killed_over_one(&rx);
    }
    // Nobody has looked at the messages since.
    let letter = letters.claim_timeout(LONG).unwrap();
    assert_eq!((&letter[..], letter.attempts()), ("the job that kills", 4));
    letter.done();
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok("another".into()), Err(TryRecvError::Empty)));
}

fn a_receiver_killed_over_a_letter_leaves_it() {
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    spoil(&rx, 1);
    for _ in 0..3 {
        is_killed_over_one(&letters);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
    assert_eq!(letters.claim().unwrap().attempts(), 5);
}

fn idle_does_not_wait_for_letters() {
    let (tx, rx, letters) = mailed(4, 2);
    tx.send("a".into()).unwrap();
    drop(rx.claim());
    assert_eq!(tx.wait_idle_timeout(SHORT), Ok(false));
    let last = rx.claim().unwrap();
    assert_eq!(tx.wait_idle_timeout(SHORT), Ok(false), "the last attempt may succeed");
    let waits = {
        let tx = tx.clone();
        tine::spawn(move || tx.wait_idle().is_ok()).unwrap()
    };
    until_asleep(&waits);
    drop(last);
    assert!(waits.join().unwrap());
    tx.wait_idle().unwrap();
    let letter = letters.claim().unwrap();
    tx.wait_idle().unwrap();
    drop(letter);
    tx.wait_idle().unwrap();
}

/// Receives to the end: all letters, and the error, if it is one.
fn all(letters: Receiver<String>) -> JoinHandle<(Vec<String>, Option<bool>)> {
    let child = tine::spawn(move || {
        let mut found = Vec::new();
        for letter in letters {
            match letter {
                Ok(letter) => found.push(letter),
                Err(error) => return (found, Some(matches!(error, RecvError::PeerDied(_)))),
            }
        }
        (found, None)
    });
    child.unwrap()
}

fn letters_end_when_no_more_can_come() {
    let (tx, rx, letters) = mailed(4, 1);
    let reader = all(letters);
    tx.send("a".into()).unwrap();
    spoil(&rx, 1);
    tx.send("b".into()).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok("b".into()));
    // Asked, this one says it; and the reader of letters is told within a slice of its sleep.
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    assert_eq!(reader.join().unwrap(), (vec!["a".into()], None));
}

fn letters_end_when_nobody_receives() {
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    tx.send("b".into()).unwrap();
    spoil(&rx, 1);
    let reader = all(letters);
    until_asleep(&reader);
    drop(rx);
    assert_eq!(reader.join().unwrap(), (vec!["a".into()], None), "nobody can claim b");
    assert_eq!(tx.send("c".into()), Err(SendError::Disconnected("c".into())));

    // Likewise where the last of them is killed.
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    tx.send("b".into()).unwrap();
    let worker = tine::spawn(move || {
        let _claim = rx.claim();
        stay();
    })
    .unwrap();
    let reader = all(letters);
    until_asleep(&worker);
    worker.kill().unwrap();
    assert_eq!(reader.join().unwrap(), (vec!["a".into()], Some(true)));
    worker.join().unwrap_err();
}

fn the_end_of_letters_waits_for_claims() {
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    let claim = rx.claim().unwrap();
    drop((tx, rx));
    let reader = all(letters);
    until_asleep(&reader);
    drop(claim);
    assert_eq!(reader.join().unwrap(), (vec!["a".into()], None));

    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    let claim = rx.claim().unwrap();
    drop((tx, rx));
    let reader = all(letters);
    until_asleep(&reader);
    claim.done();
    assert_eq!(reader.join().unwrap(), (vec![], None));
}

fn messages_end_though_letters_are_there() {
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    tx.send("b".into()).unwrap();
    drop(tx);
    let claims = (rx.claim().unwrap(), rx.claim().unwrap());
    let worker = {
        let rx = rx.clone();
        tine::spawn(move || rx.recv() == Err(RecvError::Disconnected)).unwrap()
    };
    until_asleep(&worker);
    drop(claims);
    assert!(worker.join().unwrap(), "nothing comes back");
    let letter = letters.claim().unwrap();
    assert_eq!((&letter[..], rx.recv()), ("a", Err(RecvError::Disconnected)));
    letter.done();
    assert_eq!((letters.recv(), letters.recv()), (Ok("b".into()), Err(RecvError::Disconnected)));
}

fn who_waits_for_letters_is_woken() {
    let (tx, rx, letters) = mailed(4, 1);
    let waits = {
        let letters = letters.clone();
        tine::spawn(move || letters.recv().unwrap()).unwrap()
    };
    until_asleep(&waits);
    tx.send("a".into()).unwrap();
    spoil(&rx, 1);
    assert_eq!(waits.join().unwrap(), "a");
    // By a death, too.
    let waits = {
        let letters = letters.clone();
        tine::spawn(move || letters.recv().unwrap()).unwrap()
    };
    until_asleep(&waits);
    tx.send("b".into()).unwrap();
    is_killed_over_one(&rx);
    assert_eq!(waits.join().unwrap(), "b");
}

fn receivers_of_letters_keep_nothing_open() {
    let (tx, rx, letters) = mailed(1, 1);
    tx.send("a".into()).unwrap();
    let child = tine::spawn({
        let tx = tx.clone();
        move || tx.send("b".into()) == Err(SendError::Disconnected("b".into()))
    })
    .unwrap();
    until_asleep(&child);
    drop(rx);
    assert!(child.join().unwrap());
    assert_eq!(letters.recv(), Err(RecvError::Disconnected));
}

fn a_stopped_claimant_makes_no_letter() {
    let (tx, rx, letters) = mailed(4, 1);
    tx.send("a".into()).unwrap();
    let worker = {
        let rx = rx.clone();
        tine::spawn(move || {
            let claim = rx.claim().unwrap();
            let done = rx.recv() == Ok("go on".into());
            claim.done();
            done
        })
        .unwrap()
    };
    until_asleep(&worker);
    worker.signal(Signal::STOP).unwrap();
    assert_eq!(letters.recv_timeout(SHORT * 10).ok(), None);
    worker.signal(Signal::CONT).unwrap();
    tx.send("go on".into()).unwrap();
    assert!(worker.join().unwrap());
    drop(tx);
    assert_eq!(letters.recv(), Err(RecvError::Disconnected));
}

/// Some jobs kill whoever takes them. All others are done; and each of those is a letter, once.
fn poison_among_many() {
    const JOBS: u32 = 120;
    let is_poison = |n: u32| n % 20 == 7;
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(16).bytes(60_000).redeliver(2).build().unwrap();
    let letters = rx.dead_letters().unwrap();
    let (done_tx, done_rx) = queue::<u32>(1_000);
    let start = || {
        let (rx, done_tx) = (rx.clone(), done_tx.clone());
        tine::spawn(move || {
            while let Ok(job) = rx.claim() {
                assert!(job.1.iter().all(|&byte| byte == job.0 as u8));
                if is_poison(job.0) {
                    std::process::abort();
                }
                done_tx.send(job.0).unwrap();
                job.done();
            }
        })
        .unwrap()
    };
    let reader =
        tine::spawn(move || letters.into_iter().map(|letter| letter.unwrap().0).collect::<Vec<u32>>()).unwrap();
    let feeder = tine::spawn(move || {
        for n in 0..JOBS {
            tx.send((n, vec![n as u8; (n as usize * 37) % 5_000])).unwrap();
        }
        tx.wait_idle().unwrap();
    })
    .unwrap();
    let mut workers = vec![start(), start()];
    let mut deaths = 0;
    while !workers.is_empty() {
        let events: Vec<&dyn wait::Ready> = workers.iter().map(|worker| worker as &dyn wait::Ready).collect();
        let ended = wait(&events, Some(LONG)).unwrap().expect("they go on or die");
        if workers.remove(ended).join().is_err() {
            deaths += 1;
            workers.push(start());
        }
    }
    feeder.join().unwrap();
    drop((rx, done_tx));
    let poison: BTreeSet<u32> = (0..JOBS).filter(|&n| is_poison(n)).collect();
    let found = reader.join().unwrap();
    assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (poison.len(), poison.clone()));
    assert_eq!(deaths, 2 * poison.len(), "two attempts each");
    let mut done = BTreeMap::new();
    for n in done_rx.iter().map_while(Result::ok) {
        *done.entry(n).or_insert(0) += 1;
    }
    assert!(done.keys().copied().eq((0..JOBS).filter(|&n| !is_poison(n))));
    assert!(
        done.values().all(|&times| times == 1),
        "whoever has done one was not killed before it had said so: {done:?}"
    );
}
