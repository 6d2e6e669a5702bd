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
use crate::lab::operations::spsc::Load;

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
pub struct Home<T: Load> {
    senders: RefCell<Vec<Sender<T>>>,
    receivers: RefCell<Vec<Receiver<T>>>,
    page: Shared<Page>,
    /// The number of the one that is received next, and of the last.
    there: (u64, u64),
}

const CAPACITY: usize = 3;

/// A ring into which `SENT` were sent, and of these `RECEIVED` received.
fn home<T: Load, const SENT: u64, const RECEIVED: u64>() -> Home<T> {
    let (mut sender, mut receiver) = mpmc::channel::<T>(CAPACITY).expect("shared memory");
    for n in 1..=SENT {
        sender.send(T::of(n)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(receiver.recv(), Ok(T::of(n)));
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
        there: (RECEIVED + 1, SENT),
    }
}

fn sender<T: Load>(home: &Home<T>) -> Sender<T> {
    let mut sender = home.senders.borrow_mut().remove(0);
    sender.take_over().expect("/proc tells");
    sender
}

fn receiver<T: Load>(home: &Home<T>) -> Receiver<T> {
    let mut receiver = home.receivers.borrow_mut().remove(0);
    receiver.take_over().expect("/proc tells");
    receiver
}

/// The other one's: its end stays open, so that the victim's death is no end.
fn other_sender<T: Load>(home: &Home<T>) -> Sender<T> {
    let mut sender = home.senders.borrow_mut().pop().expect("there are two");
    sender.take_over().expect("/proc tells");
    sender
}

fn other_receiver<T: Load>(home: &Home<T>) -> Receiver<T> {
    let mut receiver = home.receivers.borrow_mut().pop().expect("there are two");
    receiver.take_over().expect("/proc tells");
    receiver
}

/// All that a process does the first time only. What a process has to do for itself is done by the take-over.
fn warm<T: Load>() {
    let (mut sender, mut receiver) = mpmc::channel::<T>(1).expect("shared memory");
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    sender.send(T::of(1)).expect("there is room");
    assert!(sender.send_timeout(T::of(2), Duration::from_micros(1)).is_err());
    drop(receiver.claim());
    receiver.claim().expect("it is there").done();
    assert!(receiver.recv_timeout(Duration::from_micros(1)).is_err());
    drop(receiver);
    assert!(sender.try_send(T::of(1)).is_err());
}

fn note<T: Load>(home: &Home<T>, received: Option<T>) {
    let noted = received.map_or(TOLD, |value| value.number().map_or(TOLD << 1, |n| n + 1));
    home.page.got.store(noted, Ordering::SeqCst);
}

/// Receives one, and tells what.
fn receive<T: Load>(home: &Home<T>) {
    let mut receiver = other_receiver(home);
    note(home, receiver.recv().ok());
    std::mem::forget(receiver);
}

fn receive_behind_the_gate<T: Load>(home: &Home<T>) {
    home.page.gate.wait();
    receive(home);
}

fn send_one<T: Load>(home: &Home<T>) {
    let mut sender = other_sender(home);
    let sent = sender.send(T::of(50)).is_ok();
    home.page.got.store(if sent { 51 } else { TOLD }, Ordering::SeqCst);
    std::mem::forget(sender);
}

fn send_behind_the_gate<T: Load>(home: &Home<T>) {
    home.page.gate.wait();
    send_one(home);
}

/// Is killed in its sleep, with a claim to the first.
fn die_with_a_claim<T: Load>(home: &Home<T>) {
    let mut receiver = other_receiver(home);
    let _claim = receiver.claim();
    home.page.event.wait();
}

/// What is in the ring, each with how often it was claimed; what a bystander got; and that the ring works, all of it.
fn look<T: Load>(home: &Home<T>) -> String {
    let got = home.page.got.load(Ordering::SeqCst);
    let (mut sender, mut receiver) = (sender(home), receiver(home));
    let mut there = Vec::new();
    let end = loop {
        match receiver.try_claim() {
            Ok(claim) => {
                there.push((claim.number(), claim.attempts()));
                claim.done();
            }
            Err(TryRecvError::Empty) => break "empty",
            Err(_) => break "otherwise",
        }
    };
    let works = (0..7).all(|n| sender.try_send(T::of(n)).is_ok() && receiver.try_recv() == Ok(T::of(n)));
    let fills = (0..=CAPACITY as u64).filter(|&n| sender.try_send(T::of(n)).is_ok()).count();
    format!("{there:?}, {end}, got {got}, works {works}, holds {fills}")
}

fn from_sending<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .warm(warm::<T>)
        .wake(|home| home.page.gate.open())
        .from(Start::new("empty", home::<T, 0, 0>))
        .from(Start::new("empty, wrapped", home::<T, 4, 4>))
        .from(Start::new("one there", home::<T, 1, 0>))
        .from(Start::new("one room left", home::<T, 2, 0>))
        .from(Start::new("about to wrap", home::<T, 5, 4>))
        .from(Start::new("a bound to be raised", home::<T, 8, 7>))
        .from(Start::new("a receiver dead with a claim", home::<T, 2, 0>).after_the_death_of(die_with_a_claim))
}

pub fn send<T: Load>(name: &'static str) -> Operation<Home<T>, Sender<T>> {
    let act = |_: &Home<T>, sender: &mut Sender<T>| {
        let _ = sender.send(T::of(9));
    };
    from_sending(Operation::new(name, sender, act, look))
        .from(Start::new("full, received from later", home::<T, 3, 0>).beside(receive_behind_the_gate))
        .from(Start::new("full, wrapped, received from later", home::<T, 5, 2>).beside(receive_behind_the_gate))
}

fn from_receiving<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .warm(warm::<T>)
        .wake(|home| home.page.gate.open())
        .from(Start::new("one there", home::<T, 1, 0>))
        .from(Start::new("two there", home::<T, 2, 0>))
        .from(Start::new("full", home::<T, 3, 0>))
        .from(Start::new("about to wrap", home::<T, 4, 2>))
        .from(Start::new("full, wrapped", home::<T, 5, 2>))
        .from(Start::new("a bound to be raised", home::<T, 9, 7>))
        .from(Start::new("another dead with a claim", home::<T, 2, 0>).after_the_death_of(die_with_a_claim))
}

fn empty<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation.from(Start::new("empty, sent to later", home::<T, 2, 2>).beside(send_behind_the_gate))
}

pub fn recv<T: Load>(name: &'static str) -> Operation<Home<T>, Receiver<T>> {
    let act = |_: &Home<T>, receiver: &mut Receiver<T>| {
        let _ = receiver.recv();
    };
    empty(from_receiving(Operation::new(name, receiver, act, look)))
}

/// Makes room, where the victim has not.
fn make_room<T: Load>(home: &Home<T>) -> String {
    format!("{:?}", other_receiver(home).try_recv().map(|value| value.number()))
}

pub fn recv_from_sleeper() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        let _ = receiver.recv();
    };
    Operation::new("mpmc recv, from one asleep", receiver, act, look)
        .warm(warm::<u64>)
        .help(make_room)
        .from(Start::new("full", home::<u64, 3, 0>).behind(send_one))
        .from(Start::new("full, wrapped", home::<u64, 5, 2>).behind(send_one))
}

/// Killed in between, it is there, and was claimed once more.
fn is_claimed_once_more(seen: &str) -> bool {
    seen.contains(", 2)")
}

pub fn claim_done() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        if let Ok(claim) = receiver.claim() {
            claim.done();
        }
    };
    let operation = Operation::new("mpmc claim, done", receiver, act, look);
    empty(from_receiving(operation)).allow(|seen| is_claimed_once_more(seen) || seen.contains(", 3)"))
}

pub fn claim_dropped() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| drop(receiver.claim());
    from_receiving(Operation::new("mpmc claim, dropped", receiver, act, look))
}

// ------------------------------------------------------------------------- beside others, and after one who died healing

/// All that is there, but for what the victim has; one more is sent and received, whatever it has. And what it keeps from others.
fn take_part<T: Load>(home: &Home<T>) -> String {
    let (mut sender, mut receiver) = (other_sender(home), other_receiver(home));
    let mut there = Vec::new();
    while let Ok(value) = receiver.try_recv() {
        there.push(value.number());
    }
    let works = sender.try_send(T::of(60)).is_ok() && receiver.try_recv() == Ok(T::of(60));
    std::mem::forget((sender, receiver));
    let (first, last) = home.there;
    let is_kept = first <= last && !there.contains(&Some(first));
    let kept = if is_kept { format!(", without {first}") } else { String::new() };
    // Whoever comes next in a full ring comes to the place that is kept.
    let was_full = last + 1 - first == CAPACITY as u64;
    format!("{there:?}, works {}{kept}", works || is_kept && was_full)
}

fn is_without(others: &str) -> bool {
    others.contains("works true, without ")
}

/// What the victim kept from others is there again when it has died. (Once it was claimed, it may have been claimed once more.)
fn is_back(others: &str, seen: &str, dead: bool) -> bool {
    let kept = others.rsplit_once(", without ");
    let is_there = |(_, first): (&str, &str)| {
        (1..=2).any(|attempts| {
            seen == format!("[(Some({first}), {attempts})], empty, got 0, works true, holds {CAPACITY}")
        })
    };
    dead && kept.is_some_and(is_there)
}

fn sit_receiving<T: Load>(home: &Home<T>) {
    let receiver = other_receiver(home);
    home.receivers.borrow_mut().push(receiver);
}

/// Who comes upon what the dead has claimed or taken puts it right, and takes what comes first.
fn receive_one<T: Load>(home: &Home<T>) {
    let mut receiver = home.receivers.borrow_mut().pop().expect("it has sat down");
    let _ = receiver.try_recv();
    std::mem::forget(receiver);
}

pub fn send_beside<T: Load>(name: &'static str) -> Operation<Home<T>, Sender<T>> {
    let act = |_: &Home<T>, sender: &mut Sender<T>| {
        let _ = sender.try_send(T::of(9));
    };
    from_sending(Operation::new(name, sender, act, look))
        .from(Start::new("full", home::<T, 3, 0>))
        .from(Start::new("full, wrapped", home::<T, 5, 2>))
        .meanwhile(take_part, |_| false)
        .recovery(sit_receiving, receive_one, |_| false)
}

pub fn recv_beside<T: Load>(name: &'static str) -> Operation<Home<T>, Receiver<T>> {
    let act = |_: &Home<T>, receiver: &mut Receiver<T>| {
        let _ = receiver.try_recv();
    };
    from_receiving(Operation::new(name, receiver, act, look))
        .from(Start::new("empty", home::<T, 0, 0>))
        .meanwhile_without(take_part, is_without, is_back)
        .recovery(sit_receiving, receive_one, |_| false)
}

pub fn claim_beside() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        if let Ok(claim) = receiver.try_claim() {
            claim.done();
        }
    };
    from_receiving(Operation::new("mpmc try_claim, done", receiver, act, look))
        .from(Start::new("empty", home::<u64, 0, 0>))
        .allow(|seen| is_claimed_once_more(seen) || seen.contains(", 3)"))
        .meanwhile_without(take_part, is_without, is_back)
        .recovery(sit_receiving, receive_one, |_| false)
}
