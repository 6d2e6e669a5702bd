//! Receivers that are polled by their descriptors.

#[path = "support/mod.rs"]
mod support;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tine::channel::{self, RecvError, TryRecvError, bytes, mpmc, spsc};
use tine::sync::Event;
use tine::wire::Pass;
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
        a_channel_can_be_built_with_its_descriptor,
        a_message_is_told_to_all_who_poll,
        a_claim_of_a_killed_worker_is_told,
        a_claim_of_a_worker_killed_at_once_is_told,
        there_is_an_end_to_places,
        a_place_whose_holder_was_killed_is_taken_again,
    ]);
}

const LONG: Duration = Duration::from_secs(20);

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    wait(&[&fd], Some(Duration::ZERO)).unwrap().is_some()
}

#[track_caller]
fn until_readable(fd: BorrowedFd<'_>) {
    assert_eq!(wait(&[&fd], Some(LONG)).unwrap(), Some(0), "not readable in 20 seconds");
}

/// What the receivers have in common.
trait Receives: Pass + Send + 'static {
    fn try_one(&mut self) -> Result<u64, TryRecvError>;
    fn descriptor(&mut self) -> std::io::Result<BorrowedFd<'_>>;

    fn fd(&mut self) -> BorrowedFd<'_> {
        self.descriptor().unwrap()
    }

    /// What it receives next, by polling.
    #[track_caller]
    fn polled(&mut self) -> Result<u64, TryRecvError> {
        loop {
            match self.try_one() {
                Err(TryRecvError::Empty) => until_readable(self.fd()),
                other => return other,
            }
        }
    }
}

/// What the senders have in common.
trait Sends: Pass + Send + 'static {
    fn send_one(&mut self, n: u64);
}

macro_rules! rings {
    ($($Receiver:ty, $Sender:ty: $take:expr, $give:expr;)*) => {$(
        impl Receives for $Receiver {
            fn try_one(&mut self) -> Result<u64, TryRecvError> {
                self.try_recv().map($take)
            }
            fn descriptor(&mut self) -> std::io::Result<BorrowedFd<'_>> {
                self.pollable()
            }
        }
        impl Sends for $Sender {
            fn send_one(&mut self, n: u64) {
                $give(self, n)
            }
        }
    )*};
}

rings! {
    spsc::Receiver<u64>, spsc::Sender<u64>: |n| n, |tx: &mut spsc::Sender<u64>, n| tx.send(n).unwrap();
    mpmc::Receiver<u64>, mpmc::Sender<u64>: |n| n, |tx: &mut mpmc::Sender<u64>, n| tx.send(n).unwrap();
    channel::Receiver<Vec<u64>>, channel::Sender<Vec<u64>>:
        |n| n[0], |tx: &mut channel::Sender<Vec<u64>>, n| tx.send(vec![n; 60]).unwrap();
    bytes::Receiver, bytes::Sender:
        |n| n[0].into(), |tx: &mut bytes::Sender, n| tx.send(&[n as u8; 100]).unwrap();
}

/// The same with each kind of ring.
fn each(case: impl Case) {
    let (tx, rx) = spsc::channel(4).unwrap();
    case.run::<spsc::Sender<u64>, spsc::Receiver<u64>>(tx, rx);
    let (tx, rx) = mpmc::channel(4).unwrap();
    case.run::<mpmc::Sender<u64>, mpmc::Receiver<u64>>(tx, rx);
    let (tx, rx) = channel::channel(4).unwrap();
    case.run::<channel::Sender<Vec<u64>>, channel::Receiver<Vec<u64>>>(tx, rx);
    let (tx, rx) = bytes::channel(4096).unwrap();
    case.run::<bytes::Sender, bytes::Receiver>(tx, rx);
}

trait Case {
    fn run<S: Sends, R: Receives>(&self, tx: S, rx: R);
}

/// A closure cannot be generic.
macro_rules! each {
    (|$tx:pat_param, $rx:pat_param| $body:block) => {{
        struct This;
        impl Case for This {
            fn run<S: Sends, R: Receives>(&self, $tx: S, $rx: R) $body
        }
        each(This);
    }};
}

fn a_message_is_told_until_it_was_received() {
    each!(|mut tx, mut rx| {
        assert!(!is_readable(rx.fd()));
        for round in 0..3 {
            tx.send_one(round);
            tx.send_one(round);
            assert!(is_readable(rx.fd()));
            assert_eq!(rx.try_one(), Ok(round));
            assert!(is_readable(rx.fd()), "there is one more");
            assert_eq!((rx.try_one(), rx.try_one()), (Ok(round), Err(TryRecvError::Empty)));
            assert!(!is_readable(rx.fd()), "round {round}");
        }
    });
    let (_tx, mut rx) = spsc::channel::<u64>(4).unwrap();
    rx.pollable().unwrap();
    assert!(rx.recv_timeout(Duration::from_millis(1)).is_err());
    assert!(!is_readable(rx.pollable().unwrap()), "a timeout makes it unreadable, too");
}

fn what_is_there_at_the_first_call_is_told() {
    each!(|mut tx, mut rx| {
        tx.send_one(1);
        assert!(is_readable(rx.fd()));
    });
    each!(|tx, mut rx| {
        drop(tx);
        assert!(is_readable(rx.fd()), "an end is something, too");
    });
}

/// As async runtimes do it: registered once, edge-triggered, beside others.
fn each_message_of_many_is_told_edge_triggered() {
    const ROUNDS: u64 = 1_000;
    each!(|mut back, mut rx| {
        let (mut to, mut from_parent) = spsc::channel::<u64>(2).unwrap();
        let child = tine::spawn(move || {
            for n in from_parent.iter() {
                back.send_one(n.expect("the parent closes"));
            }
        })
        .unwrap();
        let outer: OwnedFd = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&outer, rx.fd(), epoll::EventData::new_u64(0), flags).unwrap();
        for n in 0..ROUNDS {
            to.send(n).unwrap();
            let got = loop {
                match rx.try_one() {
                    Err(TryRecvError::Empty) => {}
                    other => break other,
                }
                let mut events =
                    [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
                let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
                assert_eq!(epoll::wait(&outer, &mut events, Some(&limit)), Ok(1), "message {n} was not told");
            };
            // One kind sends a byte only.
            assert_eq!(got.map(|got| got as u8), Ok(n as u8));
        }
        drop(to);
        child.join().unwrap();
    });
}

fn a_close_is_told() {
    each!(|tx, mut rx| {
        assert!(!is_readable(rx.fd()));
        drop(tx);
        until_readable(rx.fd());
        assert_eq!(rx.try_one(), Err(TryRecvError::Disconnected));
    });
}

fn a_killed_sender_is_told() {
    each!(|mut tx, mut rx| {
        let child = tine::spawn(move || {
            tx.send_one(1);
            std::mem::forget(tx);
            tine::process::stop().wait();
        })
        .unwrap();
        assert_eq!(rx.polled(), Ok(1));
        assert_eq!(rx.try_one(), Err(TryRecvError::Empty));
        let fd = rx.fd().try_clone_to_owned().unwrap();
        assert!(!is_readable(fd.as_fd()));
        child.kill().unwrap();
        until_readable(fd.as_fd());
        let told = rx.polled();
        assert!(matches!(told, Err(TryRecvError::PeerDied(death)) if death.pid == child.id()), "{told:?}");
        child.wait().unwrap();
    });
}

/// Polled from before the hand-over on: the descriptor has to hear of the new owner by that.
fn a_sender_killed_where_it_was_handed_to_before_its_first_use_is_told() {
    each!(|tx, mut rx| {
        let events = Shared::new([Event::new(), Event::new()]).unwrap();
        let receiver = {
            let events = events.clone();
            tine::spawn(move || {
                let [polling, told] = &*events;
                rx.fd();
                polling.set();
                let end = rx.polled();
                told.set();
                matches!(end, Err(TryRecvError::PeerDied(_)))
            })
            .unwrap()
        };
        let [polling, told] = &*events;
        polling.wait();
        let child = tine::spawn(move || {
            tine::process::stop().wait();
            drop(tx);
        })
        .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told.wait_timeout(LONG), "nobody told of the death");
        assert!(receiver.join().unwrap());
    });
}

fn a_receiver_that_moves_has_another_descriptor() {
    each!(|mut tx, mut rx| {
        assert!(!is_readable(rx.fd()));
        let child = tine::spawn(move || {
            let mut got = Vec::new();
            while let Ok(n) = rx.polled() {
                got.push(n);
            }
            got
        })
        .unwrap();
        for n in 0..10 {
            tx.send_one(n);
        }
        drop(tx);
        assert_eq!(child.join().unwrap(), (0..10).collect::<Vec<_>>());
    });
}

fn a_child_that_was_given_nothing_holds_nothing() {
    each!(|tx, mut rx| {
        let before = descriptors().len();
        rx.fd();
        assert!(descriptors().len() > before);
        let sockets = || descriptors().iter().filter(|(_, what)| what.contains("socket")).count();
        // In the place of the socket stands something that can do nothing; and of the epoll instance, an empty one.
        assert_eq!(tine::spawn(sockets).unwrap().join().unwrap(), sockets() - 1);
        drop((tx, rx));
        assert_eq!(descriptors().len(), before);
    });
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
    assert!(ready.wait_timeout(LONG));
    rx.fd();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let fd = rx.fd().try_clone_to_owned().unwrap();
    send.set();
    assert!(sent.wait_timeout(LONG));
    assert!(!is_readable(fd.as_fd()), "the sender had a descriptor after all");
    again.set();
    until_readable(fd.as_fd());
    assert_eq!((rx.try_recv(), rx.polled()), (Ok(1), Ok(2)));
    child.join().unwrap();
}

fn another_process_is_refused() {
    each!(|_tx, mut rx| {
        let status = support::in_child(|| {
            let error = rx.descriptor().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(&RecvError::NotOwner.to_string()), "{error}");
        });
        assert!(status.success());
    });
}

fn a_channel_can_be_built_with_its_descriptor() {
    let before = descriptors().len();
    let (tx, mut rx) = channel::Builder::<String>::new(4).pollable().build().unwrap();
    let built = descriptors().len();
    assert!(built > before);
    tx.send("hello".to_owned()).unwrap();
    assert!(is_readable(rx.pollable().unwrap()));
    assert_eq!(descriptors().len(), built, "made at once");
}

fn a_message_is_told_to_all_who_poll() {
    let (mut tx, mut one) = mpmc::channel::<u64>(4).unwrap();
    let mut two = one.try_clone().unwrap();
    assert!(!is_readable(one.fd()) && !is_readable(two.fd()));
    for n in 0..3 {
        tx.send(n).unwrap();
        assert!(is_readable(one.fd()) && is_readable(two.fd()));
        assert_eq!(
            (one.try_recv(), two.try_recv(), one.try_recv()),
            (Ok(n), Err(TryRecvError::Empty), Err(TryRecvError::Empty))
        );
        assert!(!is_readable(one.fd()) && !is_readable(two.fd()));
    }
}

fn a_claim_of_a_killed_worker_is_told() {
    let (tx, mut rx) = channel::channel::<u64>(4).unwrap();
    let theirs = rx.try_clone().unwrap();
    let claimed = Shared::new(Event::new()).unwrap();
    let worker = {
        let claimed = claimed.clone();
        tine::spawn(move || {
            let claim = theirs.claim().unwrap();
            claimed.set();
            tine::process::stop().wait();
            claim.done();
        })
        .unwrap()
    };
    tx.send(7).unwrap();
    assert!(claimed.wait_timeout(LONG));
    rx.pollable().unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let fd = rx.pollable().unwrap().try_clone_to_owned().unwrap();
    assert!(!is_readable(fd.as_fd()));
    worker.kill().unwrap();
    until_readable(fd.as_fd());
    assert_eq!(rx.try_recv(), Ok(7));
    worker.wait().unwrap();
}

/// The worker is handed its end while another polls already.
fn a_claim_of_a_worker_killed_at_once_is_told() {
    let (tx, mut rx) = channel::channel::<u64>(4).unwrap();
    let theirs = rx.try_clone().unwrap();
    tx.send(7).unwrap();
    let steps = Shared::new([Event::new(), Event::new()]).unwrap();
    let poller = {
        let steps = steps.clone();
        let first = rx.try_claim().unwrap();
        drop(first);
        tine::spawn(move || {
            let [claimed, polling] = &*steps;
            rx.pollable().unwrap();
            polling.set();
            assert!(claimed.wait_timeout(LONG));
            loop {
                match rx.try_claim() {
                    Ok(claim) => break (claim.attempts(), claim.into_done()),
                    Err(TryRecvError::Empty) => until_readable(rx.pollable().unwrap()),
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .unwrap()
    };
    let [claimed, polling] = &*steps;
    assert!(polling.wait_timeout(LONG));
    let worker = {
        let steps = steps.clone();
        tine::spawn(move || {
            let claim = theirs.claim().unwrap();
            steps[0].set();
            tine::process::stop().wait();
            claim.done();
        })
        .unwrap()
    };
    assert!(claimed.wait_timeout(LONG));
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(poller.join().unwrap(), (3, 7));
}

fn there_is_an_end_to_places() {
    let (_tx, rx) = mpmc::channel::<u64>(4).unwrap();
    let mut held: Vec<_> = (0..17).map(|_| rx.try_clone().unwrap()).collect();
    let (last, first) = held.split_last_mut().unwrap();
    for rx in first.iter_mut() {
        rx.pollable().unwrap();
    }
    let error = last.pollable().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert!(error.to_string().contains("drop one"), "{error}");
    assert_eq!(last.try_recv(), Err(TryRecvError::Empty), "it works without");
    let mut last = held.pop().unwrap();
    held.pop();
    last.pollable().unwrap();
}

fn a_place_whose_holder_was_killed_is_taken_again() {
    let (mut tx, mut rx) = mpmc::channel::<u64>(4).unwrap();
    for _ in 0..16 {
        let mut theirs = rx.try_clone().unwrap();
        let child = tine::spawn(move || {
            theirs.pollable().unwrap();
            std::mem::forget(theirs);
        })
        .unwrap();
        child.join().unwrap();
    }
    // Who rings finds that nobody hears it.
    tx.send(1).unwrap();
    assert!(is_readable(rx.pollable().unwrap()));
}
