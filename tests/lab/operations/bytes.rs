//! `channel::bytes`: sending, receiving and closing; in place, copied, and in parts.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::channel::bytes::{self, Receiver, Sender};
use tine::channel::{Spin, TryRecvError};

use crate::lab::board::Gate;
use crate::lab::operation::{ALLOCATES, Operation, Start};

tine::share! {
    pub struct Page {
        gate: Gate,
        /// What a bystander has received, plus one; or that it was told of the end.
        got: AtomicU64,
    }
}

const TOLD: u64 = 1 << 40;
const TORN: u64 = 1 << 41;
const CAPACITY: usize = 4096;
/// Two and a bit of it fill the ring.
const SOME: usize = 1500;
/// Longer than the ring.
const LONG: usize = 6000;

pub struct Home {
    sender: RefCell<Option<Sender>>,
    receiver: RefCell<Option<Receiver>>,
    page: Shared<Page>,
    /// What the victim sends, in bytes.
    length: usize,
}

fn message(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + n) as u8).collect()
}

/// The number of a message: its length, if it is whole.
fn number(message: &[u8]) -> u64 {
    let n = usize::from(message.first().copied().unwrap_or(0));
    if message == self::message(n, message.len()) { message.len() as u64 } else { TORN }
}

/// A ring into which `SENT` were sent, and of these `RECEIVED` received.
fn home<const SENT: usize, const RECEIVED: usize>() -> Home {
    let (mut sender, mut receiver) = bytes::channel(CAPACITY).expect("shared memory");
    for n in 1..=SENT {
        sender.send(&message(n, SOME + n)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(receiver.recv().expect("it was sent").len(), SOME + n);
        }
    }
    // Where nobody looks again before it sleeps, a path depends on nobody's speed.
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    let page = Shared::new(Page { gate: Gate::new(), got: AtomicU64::new(0) }).expect("shared memory");
    Home { sender: RefCell::new(Some(sender)), receiver: RefCell::new(Some(receiver)), page, length: SOME + 9 }
}

fn sender(home: &Home) -> Sender {
    let mut sender = home.sender.take().expect("each process takes it once");
    sender.take_over().expect("the page is whole");
    sender
}

fn receiver(home: &Home) -> Receiver {
    let mut receiver = home.receiver.take().expect("each process takes it once");
    receiver.take_over().expect("the page is whole");
    receiver
}

/// All that a process does the first time only.
fn warm() {
    let (mut sender, mut receiver) = bytes::channel(CAPACITY).expect("shared memory");
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    sender.send(&[0; CAPACITY - 8]).expect("there is room");
    assert!(sender.send_timeout(b"", Duration::from_micros(1)).is_err());
    assert!(receiver.recv().is_ok());
    assert!(receiver.recv_timeout(Duration::from_micros(1)).is_err());
    drop(receiver);
    assert!(sender.try_send(b"").is_err());
}

fn receive(home: &Home) {
    let mut receiver = receiver(home);
    let noted = receiver.recv().map_or(TOLD, |message| number(&message) + 1);
    home.page.got.store(noted, Ordering::SeqCst);
    // Its end stays open: the victim is not to hear of it.
    std::mem::forget(receiver);
}

fn receive_behind_the_gate(home: &Home) {
    home.page.gate.wait();
    receive(home);
}

fn close_receiver_behind_the_gate(home: &Home) {
    let receiver = receiver(home);
    home.page.gate.wait();
    drop(receiver);
}

fn send_one(home: &Home) {
    let mut sender = sender(home);
    let sent = sender.send(&message(50, SOME + 50)).is_ok();
    home.page.got.store(if sent { 51 } else { TOLD }, Ordering::SeqCst);
    std::mem::forget(sender);
}

fn send_behind_the_gate(home: &Home) {
    home.page.gate.wait();
    send_one(home);
}

fn send_long_behind_the_gate(home: &Home) {
    home.page.gate.wait();
    let mut sender = sender(home);
    let sent = sender.send(&message(60, LONG)).is_ok();
    home.page.got.store(if sent { 61 } else { TOLD }, Ordering::SeqCst);
    std::mem::forget(sender);
}

fn kind(error: TryRecvError) -> &'static str {
    match error {
        TryRecvError::Empty => "empty",
        TryRecvError::Disconnected => "closed",
        TryRecvError::PeerDied(_) => "died",
        TryRecvError::NotOwner => "not owner",
        _ => "corrupt",
    }
}

/// What is in the ring, and how it ends; what a bystander got; and that the ring works.
fn look(home: &Home) -> String {
    let got = home.page.got.load(Ordering::SeqCst);
    let mut receiver = receiver(home);
    let mut there = Vec::new();
    let end = loop {
        match receiver.try_recv() {
            Ok(message) => there.push(number(&message)),
            Err(error) => break kind(error),
        }
    };
    let mut sender = sender(home);
    let works = (0..9).all(|n| {
        let message = message(n, n * 400);
        sender.try_send(&message).is_ok() && receiver.try_recv() == Ok(message)
    });
    let fills = (0..10).filter(|&n| sender.try_send(&message(n, 1016)).is_ok()).count();
    format!("{there:?}, {end}, got {got}, works {works}, holds {fills}")
}

fn from_sending<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .from(Start::new("empty", home::<0, 0>))
        .from(Start::new("one there", home::<1, 0>))
        .from(Start::new("about to wrap", home::<2, 1>))
        .from(Start::new("empty, about to wrap", home::<2, 2>))
        .from(Start::new("empty, wrapped", home::<3, 3>))
        .from(Start::new("one there, wrapped", home::<3, 2>))
        .from(Start::new("little room", home::<2, 0>).beside(receive_behind_the_gate))
        .from(Start::new("empty, received from asleep", home::<2, 2>).behind(receive))
}

pub fn send() -> Operation<Home, (Sender, Vec<u8>)> {
    let act = |_: &Home, (sender, message): &mut (Sender, Vec<u8>)| {
        let _ = sender.send(message);
    };
    from_sending(Operation::new("bytes send", |home| (sender(home), message(9, SOME + 9)), act, look))
        .from(Start::new("full, closed later", home::<2, 0>).beside(close_receiver_behind_the_gate))
}

/// In parts: there is a message when the last is there.
pub fn send_long() -> Operation<Home, (Sender, Vec<u8>)> {
    let act = |_: &Home, (sender, message): &mut (Sender, Vec<u8>)| {
        let _ = sender.send(message);
    };
    Operation::new("bytes send, longer than the ring", |home| (sender(home), message(9, LONG)), act, look)
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .unsteady("how often it waits for room depends on how fast the receiver makes some")
        .from(Start::new("empty, received from asleep", home::<2, 2>).behind(receive))
        .from(Start::new("closed later", home::<2, 2>).beside(close_receiver_behind_the_gate))
}

pub fn reserve() -> Operation<Home, (Sender, Vec<u8>)> {
    let act = |_: &Home, (sender, message): &mut (Sender, Vec<u8>)| {
        if let Ok(mut room) = sender.try_reserve(200) {
            let _ = room.write_at(0, &message[..100]);
            let _ = room.write_at(100, &message[100..]);
            let _ = room.commit();
        }
    };
    let prepare = |home: &Home| (sender(home), message(9, 200));
    from_sending(Operation::new("bytes reserve, write, commit", prepare, act, look))
}

pub fn close_sender() -> Operation<Home, Option<Sender>> {
    let act = |_: &Home, sender: &mut Option<Sender>| drop(sender.take());
    from_sending(Operation::new("bytes Sender::drop", |home| Some(sender(home)), act, look))
}

fn from_receiving<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .from(Start::new("one there", home::<1, 0>))
        .from(Start::new("two there", home::<2, 0>))
        .from(Start::new("wrapped", home::<4, 2>))
        .from(Start::new("one there, about to wrap", home::<3, 2>))
        .from(Start::new("two there, about to wrap", home::<3, 1>))
        .from(Start::new("one there, wrapped", home::<4, 3>))
        .from(Start::new("one there, wrapped twice", home::<6, 5>))
        .from(Start::new("full, sent to asleep", home::<2, 0>).behind(send_one))
}

pub fn recv() -> Operation<Home, (Receiver, Vec<u8>)> {
    let act = |_: &Home, (receiver, message): &mut (Receiver, Vec<u8>)| {
        let _ = receiver.recv_into(message);
    };
    from_receiving(Operation::new("bytes recv_into", |home| (receiver(home), Vec::with_capacity(LONG)), act, look))
        .from(Start::new("empty, sent to later", home::<2, 2>).beside(send_behind_the_gate))
}

pub fn recv_long() -> Operation<Home, Receiver> {
    let act = |_: &Home, receiver: &mut Receiver| {
        let _ = receiver.recv();
    };
    Operation::new("bytes recv, longer than the ring", receiver, act, look)
        .warm(warm)
        .wake(|home| home.page.gate.open())
        .unsteady(ALLOCATES)
        .from(Start::new("empty, sent to later", home::<2, 2>).beside(send_long_behind_the_gate))
}

pub fn peek() -> Operation<Home, Receiver> {
    let act = |_: &Home, receiver: &mut Receiver| {
        if let Ok(message) = receiver.try_peek() {
            let _ = message.read_at(message.len() / 2, &mut [0; 50]);
        }
    };
    from_receiving(Operation::new("bytes peek, read, drop", receiver, act, look))
}

// ------------------------------------------------------------------------- beside others, and after one who died healing

/// A ring with messages of `LEN` bytes in it.
fn filled<const LEN: usize, const SENT: usize, const RECEIVED: usize>() -> Home {
    let home = home::<0, 0>();
    let (mut sender, mut receiver) = (home.sender.borrow_mut(), home.receiver.borrow_mut());
    let (Some(tx), Some(rx)) = (sender.as_mut(), receiver.as_mut()) else { unreachable!("both are there") };
    for n in 1..=SENT {
        tx.send(&message(n, LEN)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(rx.recv().expect("it was sent").len(), LEN);
        }
    }
    drop((sender, receiver));
    Home { length: LEN, ..home }
}

fn from_alone<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .from(Start::new("empty, of nothing", filled::<0, 0, 0>))
        .from(Start::new("some of nothing", filled::<0, 3, 0>))
        .from(Start::new("one of a byte", filled::<1, 1, 0>))
        .from(Start::new("some of 8 bytes", filled::<8, 5, 2>))
        .from(Start::new("some of 24 bytes", filled::<24, 9, 5>))
        .from(Start::new("about to wrap", filled::<1350, 2, 1>))
        .from(Start::new("full", filled::<1350, 3, 0>))
        .from(Start::new("empty, of all its room", filled::<4088, 1, 1>))
        .from(Start::new("full of one", filled::<4088, 1, 0>))
}

/// All that is there.
fn receive_all(home: &Home) -> String {
    let mut receiver = receiver(home);
    let mut there = Vec::new();
    while let Ok(message) = receiver.try_recv() {
        there.push(number(&message));
    }
    std::mem::forget(receiver);
    format!("{there:?}")
}

/// As many as there is room for, up to some.
fn send_all(home: &Home) -> String {
    let mut sender = sender(home);
    let sent = (50..53).take_while(|&n| sender.try_send(&message(n, 1000 + n)).is_ok()).count();
    std::mem::forget(sender);
    format!("{sent} sent")
}

pub fn send_alone() -> Operation<Home, (Sender, Vec<u8>)> {
    let act = |_: &Home, (sender, message): &mut (Sender, Vec<u8>)| {
        let _ = sender.try_send(message);
    };
    let sit = |home: &Home| {
        let receiver = receiver(home);
        home.receiver.replace(Some(receiver));
    };
    let receive = |home: &Home| {
        let mut receiver = home.receiver.take().expect("it has sat down");
        // Received when it is dropped.
        drop(receiver.peek());
        std::mem::forget(receiver);
    };
    from_alone(Operation::new("bytes try_send", |home| (sender(home), message(9, home.length)), act, look))
        .meanwhile(receive_all, |_| false)
        .recovery(sit, receive, |_| false)
}

/// As [`look`], where it makes no difference whether the sender lives: one comes to make good, and may be killed.
fn look_at_the_ring(home: &Home) -> String {
    look(home).replace("], died,", "], empty,")
}

pub fn recv_alone() -> Operation<Home, (Receiver, Vec<u8>)> {
    let act = |_: &Home, (receiver, message): &mut (Receiver, Vec<u8>)| {
        let _ = receiver.try_recv_into(message);
    };
    let sit = |home: &Home| {
        let sender = sender(home);
        home.sender.replace(Some(sender));
    };
    let send = |home: &Home| {
        let mut sender = home.sender.take().expect("it has sat down");
        let _ = sender.send(&[70; 1]);
        std::mem::forget(sender);
    };
    let prepare = |home: &Home| (receiver(home), Vec::with_capacity(LONG));
    from_alone(Operation::new("bytes try_recv_into", prepare, act, look_at_the_ring))
        .meanwhile(send_all, |_| false)
        .recovery(sit, send, |_| false)
}
