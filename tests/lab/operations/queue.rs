//! `channel::channel`: values that are encoded, in their slots and in blocks.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::time::Duration;

use tine::Shared;
use tine::channel::{Builder, Receiver, Sender, Spin, TryRecvError};

use crate::lab::board::Gate;
use crate::lab::operation::{ALLOCATES, Operation, Start};

type Value = Vec<u8>;

/// Longer than a slot: it needs a block.
const LONG: usize = 260;
/// Of which all blocks are needed.
const PAGE: usize = 4096;

/// What is sent as number `n`, so long.
fn value(n: u8, length: usize) -> Value {
    vec![n; length]
}

/// Which it is, and how long; None if it is torn.
fn seen(value: &[u8]) -> Option<(u8, usize)> {
    let first = value.first().copied().unwrap_or(0);
    value.iter().all(|&byte| byte == first).then_some((first, value.len()))
}

pub struct Home {
    senders: RefCell<Vec<Sender<Value>>>,
    receivers: RefCell<Vec<Receiver<Value>>>,
    gate: Shared<Gate>,
    /// What the victim sends, in bytes.
    length: usize,
    /// The number of the one that is received next, and of the last.
    there: (u8, u8),
}

const MESSAGES: usize = 4;
/// Three blocks.
const BYTES: usize = 6120;

/// A channel into which `SENT` values of `LENGTH` bytes were sent, and of these `RECEIVED` received.
fn home<const LENGTH: usize, const SENT: u8, const RECEIVED: u8>() -> Home {
    let (sender, receiver) = Builder::<Value>::new(MESSAGES).bytes(BYTES).build().expect("shared memory");
    for n in 1..=SENT {
        sender.send(value(n, LENGTH)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(receiver.recv(), Ok(value(n, LENGTH)));
        }
    }
    // Where nobody looks again before it sleeps, a path depends on nobody's speed.
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    let (sender_too, receiver_too) = (sender.clone(), receiver.clone());
    sender_too.set_spin(Spin::Never);
    receiver_too.set_spin(Spin::Never);
    Home {
        senders: RefCell::new(vec![sender, sender_too]),
        receivers: RefCell::new(vec![receiver, receiver_too]),
        gate: Shared::new(Gate::new()).expect("shared memory"),
        length: LENGTH,
        there: (RECEIVED + 1, SENT),
    }
}

fn sender(home: &Home) -> Sender<Value> {
    let sender = home.senders.borrow_mut().remove(0);
    sender.take_over().expect("/proc tells");
    sender
}

fn receiver(home: &Home) -> Receiver<Value> {
    let receiver = home.receivers.borrow_mut().remove(0);
    receiver.take_over().expect("/proc tells");
    receiver
}

/// The other one's: its end stays open, so that the victim's death is no end.
fn other_sender(home: &Home) -> Sender<Value> {
    let sender = home.senders.borrow_mut().pop().expect("there are two");
    sender.take_over().expect("/proc tells");
    sender
}

fn other_receiver(home: &Home) -> Receiver<Value> {
    let receiver = home.receivers.borrow_mut().pop().expect("there are two");
    receiver.take_over().expect("/proc tells");
    receiver
}

/// All that a process does the first time only.
fn warm() {
    let (sender, receiver) = Builder::<Value>::new(1).bytes(10).build().expect("shared memory");
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    sender.send(value(1, 300)).expect("there is room");
    assert!(sender.send_timeout(value(2, 2), Duration::from_micros(1)).is_err());
    drop(receiver.claim());
    receiver.claim().expect("it is there").done();
    assert!(receiver.recv_timeout(Duration::from_micros(1)).is_err());
}

fn receive_behind_the_gate(home: &Home) {
    home.gate.wait();
    let receiver = other_receiver(home);
    let _ = receiver.recv();
    std::mem::forget(receiver);
}

/// What is there, each with how often it was claimed; and that all places and all blocks can be used.
fn look(home: &Home) -> String {
    let (sender, receiver) = (sender(home), receiver(home));
    let mut there = Vec::new();
    let end = loop {
        match receiver.try_claim() {
            Ok(claim) => {
                there.push((seen(&claim), claim.attempts()));
                claim.done();
            }
            Err(TryRecvError::Empty) => break "empty",
            Err(_) => break "otherwise",
        }
    };
    let works = (0..9).all(|n| sender.try_send(value(n, 10)).is_ok() && receiver.try_recv() == Ok(value(n, 10)));
    let all = sender.try_send(value(1, PAGE)).is_ok() && receiver.try_recv() == Ok(value(1, PAGE));
    let fills = (0..=MESSAGES as u8).filter(|&n| sender.try_send(value(n, 1)).is_ok()).count();
    format!("{there:?}, {end}, works {works}, all blocks {all}, holds {fills}")
}

fn from_sending<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .unsteady(ALLOCATES)
        .wake(|home| home.gate.open())
        .from(Start::new("empty", home::<LONG, 0, 0>))
        .from(Start::new("one there", home::<LONG, 1, 0>))
        .from(Start::new("wrapped", home::<LONG, 6, 5>))
        .from(Start::new("one block left", home::<LONG, 2, 0>))
        .from(Start::new("of no bytes, empty", home::<0, 0, 0>))
        .from(Start::new("of a byte, one room left", home::<1, 3, 0>))
        .from(Start::new("of 8 bytes, wrapped", home::<8, 6, 4>))
        .from(Start::new("of 24 bytes, one there", home::<24, 1, 0>))
}

pub fn send() -> Operation<Home, Sender<Value>> {
    from_sending(Operation::new("channel send", sender, send_one, look))
        .from(Start::new("no block, received from later", home::<LONG, 3, 0>).beside(receive_behind_the_gate))
        .from(Start::new("full, received from later", home::<24, 4, 0>).beside(receive_behind_the_gate))
}

fn send_one(home: &Home, sender: &mut Sender<Value>) {
    let _ = sender.send(value(9, home.length));
}

/// Each copy of a byte is an instruction here.
pub fn send_page() -> Operation<Home, Sender<Value>> {
    Operation::new("channel send, 4096 bytes", sender, send_one, look)
        .warm(warm)
        .unsteady(ALLOCATES)
        .from(Start::new("empty", home::<PAGE, 0, 0>))
        .from(Start::new("wrapped", home::<PAGE, 5, 5>))
}

fn from_receiving<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .unsteady(ALLOCATES)
        .from(Start::new("one in a block", home::<LONG, 1, 0>))
        .from(Start::new("two in blocks", home::<LONG, 2, 0>))
        .from(Start::new("no blocks left", home::<LONG, 3, 0>))
        .from(Start::new("in blocks, wrapped", home::<LONG, 7, 5>))
        .from(Start::new("of no bytes", home::<0, 1, 0>))
        .from(Start::new("of a byte, full", home::<1, 4, 0>))
        .from(Start::new("of 8 bytes, full and wrapped", home::<8, 6, 2>))
        .from(Start::new("of 24 bytes, about to wrap", home::<24, 5, 3>))
}

pub fn recv() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, receiver: &mut Receiver<Value>| {
        let _ = receiver.recv();
    };
    from_receiving(Operation::new("channel recv", receiver, act, look))
}

pub fn recv_page() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, receiver: &mut Receiver<Value>| {
        let _ = receiver.recv();
    };
    Operation::new("channel recv, 4096 bytes", receiver, act, look)
        .warm(warm)
        .unsteady(ALLOCATES)
        .from(Start::new("one", home::<PAGE, 1, 0>))
        .from(Start::new("one, wrapped", home::<PAGE, 5, 4>))
}

fn claim_and_be_done(_: &Home, receiver: &mut Receiver<Value>) {
    if let Ok(claim) = receiver.try_claim() {
        claim.done();
    }
}

/// Killed in between, it is there, and was claimed once more.
fn is_claimed_once_more(seen: &str) -> bool {
    seen.contains("), 2)")
}

pub fn claim_and_done() -> Operation<Home, Receiver<Value>> {
    from_receiving(Operation::new("channel claim, done", receiver, claim_and_be_done, look)).allow(is_claimed_once_more)
}

// ------------------------------------------------------------------------- beside others, and after one who died healing

/// All that is there, but for what the victim has; one more is sent and received, whatever it has. And what it keeps from others.
fn take_part(home: &Home) -> String {
    let (sender, receiver) = (other_sender(home), other_receiver(home));
    let mut there = Vec::new();
    while let Ok(value) = receiver.try_recv() {
        there.push(seen(&value));
    }
    let works = sender.try_send(value(60, 10)).is_ok() && receiver.try_recv() == Ok(value(60, 10));
    std::mem::forget((sender, receiver));
    let (first, last) = home.there;
    let one = seen(&value(first, home.length));
    let is_kept = first <= last && there.len() <= usize::from(last - first) && !there.contains(&one);
    let kept = if is_kept { format!(", without {one:?}") } else { String::new() };
    // Whoever comes next in a full ring comes to the place that is kept.
    let was_full = usize::from(last + 1 - first) == MESSAGES;
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
            seen == format!("[({first}, {attempts})], empty, works true, all blocks true, holds {MESSAGES}")
        })
    };
    dead && kept.is_some_and(is_there)
}

fn sit_receiving(home: &Home) {
    let receiver = other_receiver(home);
    home.receivers.borrow_mut().push(receiver);
}

/// Who comes upon what the dead has claimed or taken puts it right, and takes what comes first.
fn receive_one(home: &Home) {
    let receiver = home.receivers.borrow_mut().pop().expect("it has sat down");
    let _ = receiver.try_recv();
    std::mem::forget(receiver);
}

pub fn send_beside() -> Operation<Home, Sender<Value>> {
    let act = |home: &Home, sender: &mut Sender<Value>| {
        let _ = sender.try_send(value(9, home.length));
    };
    from_sending(Operation::new("channel try_send", sender, act, look))
        .from(Start::new("full", home::<24, 4, 0>))
        .from(Start::new("no block", home::<LONG, 3, 0>))
        .meanwhile(take_part, |_| false)
        .recovery(sit_receiving, receive_one, |_| false)
}

pub fn claim_beside() -> Operation<Home, Receiver<Value>> {
    from_receiving(Operation::new("channel try_claim, done", receiver, claim_and_be_done, look))
        .from(Start::new("empty", home::<24, 0, 0>))
        .allow(is_claimed_once_more)
        .meanwhile_without(take_part, is_without, is_back)
        .recovery(sit_receiving, receive_one, |_| false)
}
