//! Killed anywhere.

use std::time::Duration;

use tine::channel::bytes::{self, Receiver};
use tine::channel::{RecvError, RecvTimeoutError, SendError, TryRecvError};

use tine::Shared;
use tine::sync::Event;

use crate::cases;
use crate::pattern;
use crate::support::Case;

pub const CASES: &[Case] = cases![
    a_killed_sender_leaves_no_half_message,
    a_killed_sender_is_told_after_what_it_sent,
    a_killed_receiver_is_told,
    a_receiver_that_is_killed_while_reading_in_place,
    a_sender_that_exits_without_closing_has_died,
    a_sender_stopped_in_a_message_holds_nobody_up,
    a_child_that_never_ran_is_told,
    another_takes_the_place_of_a_dead_sender,
    another_takes_the_place_of_a_dead_receiver,
];

const LONG: Duration = Duration::from_secs(20);

/// Everything that comes, until the end: message number i is one of its own kind.
fn all_are_whole(rx: &mut Receiver, size: impl Fn(usize) -> usize, mut i: usize, pid: u32) {
    loop {
        match rx.recv_timeout(LONG) {
            Ok(message) => assert!(message == pattern(i, size(i)), "message {i}"),
            Err(RecvTimeoutError::PeerDied(death)) => break assert_eq!(death.pid, pid),
            Err(error) => panic!("{error}"),
        }
        i += 1;
    }
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected), "after that it is an end");
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn a_killed_sender_leaves_no_half_message() {
    let size = |i: usize| i * 7919 % 30_000;
    for round in 0..60 {
        let (mut tx, mut rx) = bytes::channel(4096).unwrap();
        let child = tine::spawn(move || {
            for i in 0.. {
                tx.send(&pattern(i, size(i))).unwrap();
            }
        })
        .unwrap();
        let pid = child.id();
        for i in 0..round % 7 {
            assert!(rx.recv_timeout(LONG).unwrap() == pattern(i, size(i)), "message {i}");
        }
        // Somewhere in the next ones.
        for _ in 0..round * 50 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        all_are_whole(&mut rx, size, round % 7, pid);
        child.wait().unwrap();
    }
}

fn a_killed_sender_is_told_after_what_it_sent() {
    let (mut tx, mut rx) = bytes::channel(1 << 16).unwrap();
    let child = tine::spawn(move || -> () {
        for i in 0..10 {
            tx.send(&pattern(i, i * 100)).unwrap();
        }
        // A part of a message that does not end.
        let _ = tx.send_timeout(&[0; 1 << 20], Duration::ZERO);
        std::mem::forget(tx);
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    crate::support::until("all of it is in the ring", || rx.len() > 1 << 15);
    child.kill().unwrap();
    child.wait().unwrap();
    all_are_whole(&mut rx, |i| i * 100, 0, child.id());
}

fn a_killed_receiver_is_told() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || -> () {
        rx.recv().unwrap();
        std::mem::forget(rx);
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    tx.send(b"received").unwrap();
    crate::support::until("it is received", || tx.is_empty());
    for _ in 0..4 {
        tx.send(&[3; 500]).unwrap();
    }
    child.kill().unwrap();
    // Longer than what is free: it waits, and is told.
    match tx.send(&[0; 4000]) {
        Err(SendError::PeerDied((), death)) => assert_eq!((death.pid, death.in_flight), (child.id(), 4)),
        other => panic!("{other:?}"),
    }
    assert!(tx.is_disconnected());
    child.wait().unwrap();
}

fn a_receiver_that_is_killed_while_reading_in_place() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(&[1; 4000]).unwrap();
    let child = tine::spawn(move || {
        let message = rx.peek().unwrap();
        assert_eq!(message.len(), 4000);
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    })
    .unwrap();
    let sent = tx.send_timeout(&[2; 4000], LONG);
    assert!(matches!(&sent, Err(error) if error.to_string().contains("1 messages were not received")), "{sent:?}");
    child.wait().unwrap();
}

fn a_sender_that_exits_without_closing_has_died() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || -> () {
        tx.send(b"sent").unwrap();
        std::process::exit(0);
    })
    .unwrap();
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"sent");
    match rx.recv_timeout(LONG) {
        Err(RecvTimeoutError::PeerDied(death)) => assert_eq!(death.pid, child.id()),
        other => panic!("{other:?}"),
    }
    assert!(child.join().is_err());
}

/// The receiver keeps its limit though half a message is there, and has the message when the sender goes on.
fn a_sender_stopped_in_a_message_holds_nobody_up() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || tx.send(&pattern(1, 100_000)).is_ok()).unwrap();
    crate::support::until("a part has come", || !rx.is_empty());
    child.signal(tine::process::Signal::STOP).unwrap();
    // It cannot be there: the ring holds less, and nobody took it out.
    assert_eq!(rx.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
    child.signal(tine::process::Signal::CONT).unwrap();
    assert!(rx.recv_timeout(LONG).unwrap() == pattern(1, 100_000));
    assert!(child.join().unwrap());
}

/// Its end was its own already when it was killed.
fn a_child_that_never_ran_is_told() {
    let (tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || -> () {
        let _tx = tx;
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    child.kill().unwrap();
    assert!(matches!(rx.recv_timeout(LONG), Err(RecvTimeoutError::PeerDied(_))));
    child.wait().unwrap();
}

fn another_takes_the_place_of_a_dead_sender() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = crate::support::in_child(|| {
        tx.take_over().unwrap();
        tx.send(b"from the first").unwrap();
        let _ = tx.send_timeout(&[1; 10_000], Duration::ZERO);
    });
    assert!(child.success());
    tx.take_over().unwrap();
    tx.send(b"from the second").unwrap();
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"from the first");
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"from the second", "not the half message between them");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

/// It has taken out a part of a message longer than the ring, which nobody has then.
fn another_takes_the_place_of_a_dead_receiver() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        tx.send(&[1; 50_000]).unwrap();
        tx.send(b"second").unwrap();
    })
    .unwrap();
    crate::support::until("it waits for room", || rx.len() > 2048);
    // So that it is a part and not all.
    child.signal(tine::process::Signal::STOP).unwrap();
    let (taken, known) = (Shared::new(Event::new()).unwrap(), Shared::new(Event::new()).unwrap());
    let first = tine::spawn(|| {
        rx.take_over().unwrap();
        let half = rx.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) && rx.is_empty();
        taken.set();
        // The sender is not to find that there is no receiver.
        known.wait();
        half
    })
    .unwrap();
    taken.wait();
    rx.take_over().unwrap();
    known.set();
    assert!(first.join().unwrap());
    child.signal(tine::process::Signal::CONT).unwrap();
    assert_eq!(rx.recv_timeout(LONG).unwrap(), b"second", "not the rest of what the first has begun to take out");
    assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    child.join().unwrap();
}
