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

/// Of which three blocks are needed.
const LONG: usize = 5_000;

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
    sender: RefCell<Option<Sender<Value>>>,
    receiver: RefCell<Option<Receiver<Value>>>,
    gate: Shared<Gate>,
    /// What the victim sends, in bytes.
    length: usize,
}

const MESSAGES: usize = 4;
/// Blocks for two long values, and not for three.
const BYTES: usize = 13_000;

/// A channel into which `SENT` values of `LENGTH` bytes were sent, and all but two received.
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
    let gate = Shared::new(Gate::new()).expect("shared memory");
    Home { sender: RefCell::new(Some(sender)), receiver: RefCell::new(Some(receiver)), gate, length: LENGTH }
}

fn sender(home: &Home) -> Sender<Value> {
    let sender = home.sender.take().expect("each process takes it once");
    sender.take_over().expect("/proc tells");
    sender
}

fn receiver(home: &Home) -> Receiver<Value> {
    let receiver = home.receiver.take().expect("each process takes it once");
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
    let receiver = receiver(home);
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
    let all = sender.try_send(value(1, BYTES)).is_ok() && receiver.try_recv() == Ok(value(1, BYTES));
    let fills = (0..=MESSAGES as u8).filter(|&n| sender.try_send(value(n, 1)).is_ok()).count();
    format!("{there:?}, {end}, works {works}, all blocks {all}, holds {fills}")
}

fn send(home: &Home, sender: &mut Sender<Value>) {
    let _ = sender.send(value(9, home.length));
}

pub fn send_long() -> Operation<Home, Sender<Value>> {
    Operation::new("channel send, in blocks", sender, send, look)
        .warm(warm)
        .unsteady(ALLOCATES)
        .wake(|home| home.gate.open())
        .from(Start::new("empty", home::<LONG, 0, 0>))
        .from(Start::new("one there", home::<LONG, 1, 0>))
        .from(Start::new("wrapped", home::<LONG, 6, 5>))
        .from(Start::new("no blocks, received from later", home::<LONG, 2, 0>).beside(receive_behind_the_gate))
}

pub fn send_short() -> Operation<Home, Sender<Value>> {
    Operation::new("channel send, in its slot", sender, send, look)
        .warm(warm)
        .unsteady(ALLOCATES)
        .wake(|home| home.gate.open())
        .from(Start::new("empty", home::<100, 0, 0>))
        .from(Start::new("nothing to carry", home::<0, 0, 0>))
        .from(Start::new("one room left", home::<100, 3, 0>))
        .from(Start::new("wrapped", home::<100, 6, 5>))
        .from(Start::new("full, received from later", home::<100, 4, 0>).beside(receive_behind_the_gate))
}

fn from_receiving<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .unsteady(ALLOCATES)
        .from(Start::new("one in its slot", home::<100, 1, 0>))
        .from(Start::new("one in blocks", home::<LONG, 1, 0>))
        .from(Start::new("no blocks left", home::<LONG, 2, 0>))
        .from(Start::new("wrapped", home::<LONG, 7, 5>))
}

pub fn recv() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, receiver: &mut Receiver<Value>| {
        let _ = receiver.recv();
    };
    from_receiving(Operation::new("channel recv", receiver, act, look))
}

/// Killed in between, it is there, and was claimed once more.
pub fn claim_and_done() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, receiver: &mut Receiver<Value>| {
        if let Ok(claim) = receiver.try_claim() {
            claim.done();
        }
    };
    from_receiving(Operation::new("channel claim, done", receiver, act, look)).allow(|seen| seen.contains("), 2)"))
}
