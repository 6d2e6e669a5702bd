//! Receivers that are polled by their descriptors.

#[path = "support/mod.rs"]
mod support;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tine::channel::{RecvError, TryRecvError, spsc};
use tine::sync::Event;
use tine::{Shared, wait};

use support::descriptors;

fn main() {
    support::run(cases![
        a_message_is_told_until_it_was_received,
        what_is_there_at_the_first_call_is_told,
        each_message_of_many_is_told_edge_triggered,
        a_close_is_told,
        a_killed_sender_is_told,
        a_sender_killed_where_it_was_handed_to_before_its_first_use_is_told,
        a_receiver_that_moves_has_another_descriptor,
        a_child_that_was_given_nothing_holds_nothing,
        a_sender_without_a_descriptor_leaves_it_to_the_next,
        another_process_is_refused,
    ]);
}

const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    wait(&[&fd], Some(Duration::ZERO)).unwrap().is_some()
}

#[track_caller]
fn until_readable(fd: BorrowedFd<'_>) {
    assert_eq!(wait(&[&fd], LONG).unwrap(), Some(0), "not readable in 20 seconds");
}

/// What `rx` receives next, by polling.
fn polled(rx: &mut spsc::Receiver<u64>) -> Result<u64, TryRecvError> {
    loop {
        match rx.try_recv() {
            Err(TryRecvError::Empty) => until_readable(rx.pollable().unwrap()),
            other => return other,
        }
    }
}

fn a_message_is_told_until_it_was_received() {
    let (mut tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    assert!(!is_readable(rx.pollable().unwrap()));
    for round in 0..3 {
        tx.send(round).unwrap();
        tx.send(round).unwrap();
        assert!(is_readable(rx.pollable().unwrap()));
        assert_eq!(rx.try_recv(), Ok(round));
        assert!(is_readable(rx.pollable().unwrap()), "there is one more");
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(round), Err(TryRecvError::Empty)));
        assert!(!is_readable(rx.pollable().unwrap()), "round {round}");
    }
    assert!(rx.recv_timeout(Duration::from_millis(1)).is_err());
    assert!(!is_readable(rx.pollable().unwrap()));
}

fn what_is_there_at_the_first_call_is_told() {
    let (mut tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    tx.send(1).unwrap();
    assert!(is_readable(rx.pollable().unwrap()));
    drop(tx);
    let (tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    drop(tx);
    assert!(is_readable(rx.pollable().unwrap()), "an end is something, too");
}

/// As async runtimes do it: registered once, edge-triggered, beside others.
fn each_message_of_many_is_told_edge_triggered() {
    const ROUNDS: u64 = 3_000;
    let (mut to, mut from_parent) = spsc::channel::<u64>(2).unwrap();
    let (mut back, mut rx) = spsc::channel::<u64>(2).unwrap();
    let child = tine::spawn(move || {
        for n in from_parent.iter() {
            back.send(n.expect("the parent closes")).unwrap();
        }
    })
    .unwrap();
    let outer: OwnedFd = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&outer, rx.pollable().unwrap(), epoll::EventData::new_u64(0), flags).unwrap();
    for n in 0..ROUNDS {
        to.send(n).unwrap();
        let got = loop {
            match rx.try_recv() {
                Err(TryRecvError::Empty) => {}
                other => break other,
            }
            let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
            let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(epoll::wait(&outer, &mut events, Some(&limit)), Ok(1), "message {n} was not told");
        };
        assert_eq!(got, Ok(n));
    }
    drop(to);
    child.join().unwrap();
}

fn a_close_is_told() {
    let (tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    assert!(!is_readable(rx.pollable().unwrap()));
    drop(tx);
    until_readable(rx.pollable().unwrap());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

fn a_killed_sender_is_told() {
    let (mut tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        std::mem::forget(tx);
        tine::process::stop().wait();
    })
    .unwrap();
    assert_eq!(polled(&mut rx), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert!(!is_readable(rx.pollable().unwrap()));
    let fd = rx.pollable().unwrap().try_clone_to_owned().unwrap();
    child.kill().unwrap();
    until_readable(fd.as_fd());
    let told = polled(&mut rx);
    assert!(matches!(told, Err(TryRecvError::PeerDied(death)) if death.pid == child.id()), "{told:?}");
    child.wait().unwrap();
}

/// Polled from before the hand-over on: the descriptor has to hear of the new owner by that.
fn a_sender_killed_where_it_was_handed_to_before_its_first_use_is_told() {
    let (tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    let polling = Shared::new(Event::new()).unwrap();
    let waits = Shared::new(Event::new()).unwrap();
    let receiver = {
        let (polling, waits) = (polling.clone(), waits.clone());
        tine::spawn(move || {
            let _ = rx.pollable().unwrap();
            polling.set();
            // Once rung by the hand-over itself, it is silent until the death.
            let told = polled(&mut rx);
            waits.set();
            matches!(told, Err(TryRecvError::PeerDied(_)))
        })
        .unwrap()
    };
    polling.wait();
    let child = tine::spawn(move || {
        tine::process::stop().wait();
        drop(tx);
    })
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(waits.wait_timeout(Duration::from_secs(20)), "nobody told of the death");
    assert!(receiver.join().unwrap());
}

fn a_receiver_that_moves_has_another_descriptor() {
    let (mut tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    assert!(!is_readable(rx.pollable().unwrap()));
    let child = tine::spawn(move || {
        let mut got = Vec::new();
        while let Ok(n) = polled(&mut rx) {
            got.push(n);
        }
        got
    })
    .unwrap();
    for n in 0..10 {
        tx.send(n).unwrap();
    }
    drop(tx);
    assert_eq!(child.join().unwrap(), (0..10).collect::<Vec<_>>());
}

fn a_child_that_was_given_nothing_holds_nothing() {
    let before = descriptors().len();
    let (tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    let _ = rx.pollable().unwrap();
    assert!(descriptors().len() > before);
    // An empty epoll instance stands in the place of that one, and of the socket something that can do nothing.
    let bells = tine::spawn(|| descriptors().into_iter().filter(|(_, what)| what.contains("socket")).count()).unwrap();
    assert_eq!(bells.join().unwrap(), descriptors().iter().filter(|(_, what)| what.contains("socket")).count() - 1);
    drop((tx, rx));
    assert_eq!(descriptors().len(), before);
}

/// It rings by a socket, for which it needs a descriptor.
fn a_sender_without_a_descriptor_leaves_it_to_the_next() {
    let (mut tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    let steps = Shared::new([Event::new(), Event::new(), Event::new(), Event::new()]).unwrap();
    let child = {
        let steps = steps.clone();
        tine::spawn(move || {
            let [ready, send, sent, again] = &*steps;
            // Its first use has to find out who it is, by `/proc`; and it rings.
            drop(tx.reserve(0));
            ready.set();
            send.wait();
            let usual = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let none = rustix::process::Rlimit { current: Some(0), ..usual };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, none).unwrap();
            tx.send(1).unwrap();
            rustix::process::setrlimit(rustix::process::Resource::Nofile, usual).unwrap();
            sent.set();
            again.wait();
            tx.send(2).unwrap();
        })
        .unwrap()
    };
    let [ready, send, sent, again] = &*steps;
    assert!(ready.wait_timeout(Duration::from_secs(20)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let fd = rx.pollable().unwrap().try_clone_to_owned().unwrap();
    send.set();
    assert!(sent.wait_timeout(Duration::from_secs(20)));
    assert!(!is_readable(fd.as_fd()), "the sender had a descriptor after all");
    again.set();
    until_readable(fd.as_fd());
    assert_eq!((rx.try_recv(), polled(&mut rx)), (Ok(1), Ok(2)));
    child.join().unwrap();
}

fn another_process_is_refused() {
    let (_tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    let status = support::in_child(|| {
        let error = rx.pollable().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains(&RecvError::NotOwner.to_string()), "{error}");
    });
    assert!(status.success());
}
