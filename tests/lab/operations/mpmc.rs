//! `channel::mpmc`: sending, receiving, and what is claimed, beside the living and after the dead.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::channel::mpmc::{self, Receiver, Sender};
use tine::channel::{Spin, TryRecvError};
use tine::sync::Event;

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

/// What is sent: torn, the two differ.
type Load = [u64; 2];

fn load(n: u64) -> Load {
    [n, n]
}

fn number([n, same]: Load) -> Option<u64> {
    (n == same).then_some(n)
}

tine::share! {
    pub struct Page {
        gate: Gate,
        /// What a bystander has received, plus one; or that it was told of the end.
        got: AtomicU64,
        /// To sit down on the roster by.
        event: Event,
    }
}

const TOLD: u64 = 1 << 40;

/// Of each end one for the victim, and one for others.
pub struct Home {
    senders: RefCell<Vec<Sender<Load>>>,
    receivers: RefCell<Vec<Receiver<Load>>>,
    page: Shared<Page>,
}

const CAPACITY: usize = 3;

/// A ring into which `SENT` were sent, and of these `RECEIVED` received.
fn home<const SENT: u64, const RECEIVED: u64>() -> Home {
    let (mut sender, mut receiver) = mpmc::channel::<Load>(CAPACITY).expect("shared memory");
    for n in 1..=SENT {
        sender.send(load(n)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(receiver.recv(), Ok(load(n)));
        }
    }
    // Where nobody looks again before it sleeps, a path depends on nobody's speed.
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    let (mut sender_too, mut receiver_too) = (sender.clone(), receiver.clone());
    sender_too.set_spin(Spin::Never);
    receiver_too.set_spin(Spin::Never);
    let page = Page { gate: Gate::new(), got: AtomicU64::new(0), event: Event::new() };
    Home {
        senders: RefCell::new(vec![sender, sender_too]),
        receivers: RefCell::new(vec![receiver, receiver_too]),
        page: Shared::new(page).expect("shared memory"),
    }
}

fn sender(home: &Home) -> Sender<Load> {
    let mut sender = home.senders.borrow_mut().remove(0);
    sender.take_over().expect("/proc tells");
    sender
}

fn receiver(home: &Home) -> Receiver<Load> {
    let mut receiver = home.receivers.borrow_mut().remove(0);
    receiver.take_over().expect("/proc tells");
    receiver
}

/// The other one's: its end stays open, so that the victim's death is no end.
fn other_sender(home: &Home) -> Sender<Load> {
    let mut sender = home.senders.borrow_mut().pop().expect("there are two");
    sender.take_over().expect("/proc tells");
    sender
}

fn other_receiver(home: &Home) -> Receiver<Load> {
    let mut receiver = home.receivers.borrow_mut().pop().expect("there are two");
    receiver.take_over().expect("/proc tells");
    receiver
}

/// All that a process does the first time only. What a process has to do for itself is done by the take-over.
fn warm() {
    let (mut sender, mut receiver) = mpmc::channel::<Load>(1).expect("shared memory");
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    sender.send(load(1)).expect("there is room");
    assert!(sender.send_timeout(load(2), Duration::from_micros(1)).is_err());
    drop(receiver.claim());
    receiver.claim().expect("it is there").done();
    assert!(receiver.recv_timeout(Duration::from_micros(1)).is_err());
    drop(receiver);
    assert!(sender.try_send(load(1)).is_err());
}

fn note(home: &Home, received: Option<Load>) {
    let noted = received.map_or(TOLD, |value| number(value).map_or(TOLD << 1, |n| n + 1));
    home.page.got.store(noted, Ordering::SeqCst);
}

/// Receives one, and tells what.
fn receive(home: &Home) {
    let mut receiver = other_receiver(home);
    note(home, receiver.recv().ok());
    std::mem::forget(receiver);
}

fn receive_behind_the_gate(home: &Home) {
    home.page.gate.wait();
    receive(home);
}

fn send_one(home: &Home) {
    let mut sender = other_sender(home);
    let sent = sender.send(load(50)).is_ok();
    home.page.got.store(if sent { 51 } else { TOLD }, Ordering::SeqCst);
    std::mem::forget(sender);
}

fn send_behind_the_gate(home: &Home) {
    home.page.gate.wait();
    send_one(home);
}

/// Is killed in its sleep, with a claim to the first.
fn die_with_a_claim(home: &Home) {
    let mut receiver = other_receiver(home);
    let _claim = receiver.claim();
    home.page.event.wait();
}

/// What is in the ring, each with how often it was claimed; what a bystander got; and that the ring works, all of it.
fn look(home: &Home) -> String {
    let got = home.page.got.load(Ordering::SeqCst);
    let (mut sender, mut receiver) = (sender(home), receiver(home));
    let mut there = Vec::new();
    let end = loop {
        match receiver.try_claim() {
            Ok(claim) => {
                there.push((number(*claim), claim.attempts()));
                claim.done();
            }
            Err(TryRecvError::Empty) => break "empty",
            Err(_) => break "otherwise",
        }
    };
    let works = (0..7).all(|n| sender.try_send(load(n)).is_ok() && receiver.try_recv() == Ok(load(n)));
    let fills = (0..=CAPACITY as u64).filter(|&n| sender.try_send(load(n)).is_ok()).count();
    format!("{there:?}, {end}, got {got}, works {works}, holds {fills}")
}

pub fn send() -> Operation<Home, Sender<Load>> {
    let act = |_: &Home, sender: &mut Sender<Load>| {
        let _ = sender.send(load(9));
    };
    Operation::new("mpmc send", sender, act, look)
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .from(Start::new("empty", home::<0, 0>))
        .from(Start::new("one room left", home::<2, 0>))
        .from(Start::new("about to wrap", home::<5, 4>))
        .from(Start::new("a bound to be raised", home::<8, 7>))
        .from(Start::new("full, received from later", home::<3, 0>).beside(receive_behind_the_gate))
        .from(Start::new("a receiver dead with a claim", home::<2, 0>).after_the_death_of(die_with_a_claim))
}

fn from_receiving<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .from(Start::new("one there", home::<1, 0>))
        .from(Start::new("full, wrapped", home::<5, 2>))
        .from(Start::new("a bound to be raised", home::<9, 7>))
}

pub fn recv() -> Operation<Home, Receiver<Load>> {
    let act = |_: &Home, receiver: &mut Receiver<Load>| {
        let _ = receiver.recv();
    };
    from_receiving(Operation::new("mpmc recv", receiver, act, look))
        .from(Start::new("empty, sent to later", home::<2, 2>).beside(send_behind_the_gate))
        .from(Start::new("another dead with a claim", home::<2, 0>).after_the_death_of(die_with_a_claim))
}

/// Makes room, where the victim has not.
fn make_room(home: &Home) -> String {
    format!("{:?}", other_receiver(home).try_recv().map(number))
}

pub fn recv_from_sleeper() -> Operation<Home, Receiver<Load>> {
    let act = |_: &Home, receiver: &mut Receiver<Load>| {
        let _ = receiver.recv();
    };
    Operation::new("mpmc recv, from one asleep", receiver, act, look)
        .warm(warm)
        .help(make_room)
        .from(Start::new("full", home::<3, 0>).behind(send_one))
        .from(Start::new("full, wrapped", home::<5, 2>).behind(send_one))
}

/// Killed in between, it is there, and was claimed once more.
fn is_claimed_once_more(seen: &str) -> bool {
    seen.contains(", 2)")
}

pub fn claim_done() -> Operation<Home, Receiver<Load>> {
    let act = |_: &Home, receiver: &mut Receiver<Load>| {
        if let Ok(claim) = receiver.claim() {
            claim.done();
        }
    };
    from_receiving(Operation::new("mpmc claim, done", receiver, act, look)).allow(is_claimed_once_more)
}

pub fn claim_dropped() -> Operation<Home, Receiver<Load>> {
    let act = |_: &Home, receiver: &mut Receiver<Load>| drop(receiver.claim());
    Operation::new("mpmc claim, dropped", receiver, act, look)
        .warm(warm)
        .from(Start::new("one there", home::<1, 0>))
        .from(Start::new("full, wrapped", home::<5, 2>))
}
