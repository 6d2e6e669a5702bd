//! `channel::spsc`: sending, receiving and closing, of payloads of several sizes.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::channel::spsc::{self, Receiver, Sender};
use tine::channel::{Spin, TryRecvError, TrySendError};
use tine::sync::Event;
use tine::wire::Plain;

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

/// What is sent: any number makes one, and each tells whether it is whole.
pub trait Load: Plain + PartialEq + Debug {
    fn of(n: u64) -> Self;
    /// None if it is torn.
    fn number(&self) -> Option<u64>;
}

impl Load for () {
    fn of(_: u64) {}
    fn number(&self) -> Option<u64> {
        Some(0)
    }
}

impl Load for u8 {
    fn of(n: u64) -> u8 {
        n as u8
    }
    fn number(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Load for u64 {
    fn of(n: u64) -> u64 {
        n | !n << 32
    }
    fn number(&self) -> Option<u64> {
        let n = self & u64::from(u32::MAX);
        (*self == u64::of(n)).then_some(n)
    }
}

impl<const N: usize> Load for [u64; N] {
    fn of(n: u64) -> [u64; N] {
        [u64::of(n); N]
    }
    fn number(&self) -> Option<u64> {
        self.iter().all(|word| *word == self[0]).then(|| self[0].number())?
    }
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

pub struct Home<T: Load> {
    sender: RefCell<Option<Sender<T>>>,
    receiver: RefCell<Option<Receiver<T>>>,
    page: Shared<Page>,
}

/// The ring has room for this many.
const CAPACITY: usize = 4;

/// A ring into which `SENT` were sent, and of these `RECEIVED` received.
fn home<T: Load, const SENT: u64, const RECEIVED: u64>() -> Home<T> {
    let (mut sender, mut receiver) = spsc::channel::<T>(CAPACITY).expect("shared memory");
    for n in 1..=SENT {
        sender.send(T::of(n)).expect("there is room");
        if n <= RECEIVED {
            assert_eq!(receiver.recv(), Ok(T::of(n)));
        }
    }
    // Where nobody looks again before it sleeps, a path depends on nobody's speed.
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    let page = Page { gate: Gate::new(), got: AtomicU64::new(0), event: Event::new() };
    Home {
        sender: RefCell::new(Some(sender)),
        receiver: RefCell::new(Some(receiver)),
        page: Shared::new(page).expect("shared memory"),
    }
}

fn sender<T: Load>(home: &Home<T>) -> Sender<T> {
    let mut sender = home.sender.take().expect("each process takes it once");
    sender.take_over().expect("the page is whole");
    sender
}

fn receiver<T: Load>(home: &Home<T>) -> Receiver<T> {
    let mut receiver = home.receiver.take().expect("each process takes it once");
    receiver.take_over().expect("the page is whole");
    receiver
}

/// All that a process does the first time only. What a process has to do for itself is done by the take-over.
fn warm<T: Load>() {
    let (mut sender, mut receiver) = spsc::channel::<T>(1).expect("shared memory");
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    sender.send(T::of(1)).expect("there is room");
    assert!(sender.send_timeout(T::of(2), Duration::from_micros(1)).is_err());
    assert!(receiver.recv().is_ok());
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
    let mut receiver = receiver(home);
    note(home, receiver.recv().ok());
    // Its end stays open: the victim is not to hear of it.
    std::mem::forget(receiver);
}

fn receive_behind_the_gate<T: Load>(home: &Home<T>) {
    home.page.gate.wait();
    receive(home);
}

fn receive_in_poll<T: Load>(home: &Home<T>) {
    let mut receiver = receiver(home);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let ready = tine::wait(&[&reader, &receiver], Some(Duration::from_secs(10))).expect("a place and a descriptor");
    assert_eq!(ready, Some(1));
    note(home, receiver.try_recv().ok());
    std::mem::forget(receiver);
}

fn receive_polled<T: Load>(home: &Home<T>) {
    let mut receiver = receiver(home);
    let received = loop {
        match receiver.try_recv() {
            Err(TryRecvError::Empty) => {}
            other => break other.ok(),
        }
        let fd = receiver.pollable().expect("descriptors");
        let ready = tine::wait(&[&fd], Some(Duration::from_secs(10))).expect("an open descriptor");
        assert_eq!(ready, Some(0), "nobody told");
    };
    note(home, received);
    std::mem::forget(receiver);
}

fn close_receiver_behind_the_gate<T: Load>(home: &Home<T>) {
    let receiver = receiver(home);
    home.page.gate.wait();
    drop(receiver);
}

fn send_one<T: Load>(home: &Home<T>) {
    let mut sender = sender(home);
    let sent = sender.send(T::of(50)).is_ok();
    home.page.got.store(if sent { 51 } else { TOLD }, Ordering::SeqCst);
    std::mem::forget(sender);
}

fn send_behind_the_gate<T: Load>(home: &Home<T>) {
    home.page.gate.wait();
    send_one(home);
}

fn close_sender_behind_the_gate<T: Load>(home: &Home<T>) {
    let sender = sender(home);
    home.page.gate.wait();
    drop(sender);
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
fn look<T: Load>(home: &Home<T>) -> String {
    let got = home.page.got.load(Ordering::SeqCst);
    let mut receiver = receiver(home);
    let mut there = Vec::new();
    let end = loop {
        match receiver.try_recv() {
            Ok(value) => there.push(value.number()),
            Err(error) => break kind(error),
        }
    };
    let mut sender = sender(home);
    let works: Vec<bool> =
        (0..9).map(|n| sender.try_send(T::of(n)).is_ok() && receiver.try_recv() == Ok(T::of(n))).collect();
    let fills = (0..=CAPACITY as u64).filter(|&n| sender.try_send(T::of(n)).is_ok()).count();
    format!("{there:?}, {end}, got {got}, works {}, holds {fills}", works.iter().all(|works| *works))
}

/// The same, where the victim was the receiver: how the sender is told.
fn look_of_sender<T: Load>(home: &Home<T>) -> String {
    let got = home.page.got.load(Ordering::SeqCst);
    let mut sender = sender(home);
    let end = match sender.try_reserve(0).map(drop) {
        Ok(()) if sender.is_disconnected() => "gone",
        Ok(()) => "there",
        Err(TrySendError::Disconnected(())) => "closed",
        Err(TrySendError::PeerDied((), _)) => "died",
        Err(_) => "otherwise",
    };
    std::mem::forget(sender);
    format!("{end}, got {got}")
}

fn from_sending<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .warm(warm::<T>)
        .wake(|home| home.page.gate.open())
        .from(Start::new("empty", home::<T, 0, 0>))
        .from(Start::new("empty, wrapped", home::<T, 5, 5>))
        .from(Start::new("one there", home::<T, 1, 0>))
        .from(Start::new("half full", home::<T, 2, 0>))
        .from(Start::new("one room left", home::<T, 3, 0>))
        .from(Start::new("about to wrap", home::<T, 7, 6>))
        .from(Start::new("empty, received from asleep", home::<T, 3, 3>).behind(receive))
        .from(Start::new("its receiver dead", home::<T, 2, 0>).after_the_death_of(die_receiving_asleep))
}

fn die_receiving_asleep<T: Load>(home: &Home<T>) {
    let mut receiver = receiver(home);
    while receiver.recv().is_ok() {}
}

fn full<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .from(Start::new("full, received from later", home::<T, 4, 0>).beside(receive_behind_the_gate))
        .from(Start::new("full, closed later", home::<T, 4, 0>).beside(close_receiver_behind_the_gate))
}

pub fn send<T: Load>(name: &'static str) -> Operation<Home<T>, Sender<T>> {
    let act = |_: &Home<T>, sender: &mut Sender<T>| {
        let _ = sender.send(T::of(9));
    };
    full(from_sending(Operation::new(name, sender, act, look)))
}

/// The sleeper goes on by the wake, not by the death of who owed it.
pub fn send_to_sleeper() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        let _ = sender.send(u64::of(9));
    };
    Operation::new("spsc send, to one asleep", sender, act, look)
        .warm(warm::<u64>)
        .lets_go()
        .from(Start::new("empty", home::<u64, 0, 0>).behind(receive))
        .from(Start::new("empty, wrapped", home::<u64, 5, 5>).behind(receive))
}

/// As [`send_to_sleeper`], the other way round.
pub fn recv_from_sleeper() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        let _ = receiver.recv();
    };
    Operation::new("spsc recv, from one asleep", receiver, act, look)
        .warm(warm::<u64>)
        .lets_go()
        .from(Start::new("full", home::<u64, 4, 0>).behind(send_one))
        .from(Start::new("full, wrapped", home::<u64, 7, 3>).behind(send_one))
}

/// Who sleeps in poll does not hear of deaths: it looks for itself, after 100 ms, which the points after the commit take.
pub fn send_to_poll() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        let _ = sender.send(u64::of(9));
    };
    Operation::new("spsc send, to one in poll", sender, act, look)
        .warm(warm::<u64>)
        .from(Start::new("empty", home::<u64, 0, 0>).behind(receive_in_poll))
}

pub fn send_to_polled() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        let _ = sender.send(u64::of(9));
    };
    Operation::new("spsc send, to one that polls a descriptor", sender, act, look)
        .warm(warm::<u64>)
        .from(Start::new("empty", home::<u64, 0, 0>).behind(receive_polled))
}

pub fn try_send() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        let _ = sender.try_send(u64::of(9));
    };
    from_sending(Operation::new("spsc try_send", sender, act, look)).from(Start::new("full", home::<u64, 4, 0>))
}

pub fn send_timeout_in_vain() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        assert!(sender.send_timeout(u64::of(9), Duration::from_millis(2)).is_err());
    };
    Operation::new("spsc send_timeout, in vain", sender, act, look)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .warm(warm::<u64>)
        .from(Start::new("full", home::<u64, 4, 0>))
        .from(Start::new("full, wrapped", home::<u64, 7, 3>))
}

pub fn send_slice() -> Operation<Home<[u64; 3]>, Sender<[u64; 3]>> {
    let act = |_: &Home<[u64; 3]>, sender: &mut Sender<[u64; 3]>| {
        let _ = sender.try_send_slice(&[Load::of(9), Load::of(10), Load::of(11)]);
    };
    from_sending(Operation::new("spsc try_send_slice", sender, act, look))
}

pub fn reserve() -> Operation<Home<u64>, Sender<u64>> {
    let act = |_: &Home<u64>, sender: &mut Sender<u64>| {
        if let Ok(mut room) = sender.try_reserve(2) {
            let _ = room.write(0, Load::of(9));
            let _ = room.write(1, Load::of(10));
            room.commit();
        }
    };
    from_sending(Operation::new("spsc reserve, fill, commit", sender, act, look))
}

pub fn close_sender() -> Operation<Home<u64>, Option<Sender<u64>>> {
    let act = |_: &Home<u64>, sender: &mut Option<Sender<u64>>| drop(sender.take());
    from_sending(Operation::new("spsc Sender::drop", |home| Some(sender(home)), act, look))
}

fn from_receiving<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .warm(warm::<T>)
        .wake(|home| home.page.gate.open())
        .from(Start::new("one there", home::<T, 1, 0>))
        .from(Start::new("half full", home::<T, 2, 0>))
        .from(Start::new("about to wrap", home::<T, 8, 6>))
        .from(Start::new("half full, wrapped", home::<T, 6, 4>))
        .from(Start::new("full", home::<T, 4, 0>))
        .from(Start::new("full, wrapped", home::<T, 7, 3>))
        .from(Start::new("full, sent to asleep", home::<T, 4, 0>).behind(send_one))
        .from(Start::new("its sender dead", home::<T, 4, 2>).after_the_death_of(die_sending_asleep))
}

fn die_sending_asleep<T: Load>(home: &Home<T>) {
    let mut sender = sender(home);
    while sender.send(T::of(60)).is_ok() {}
}

fn empty<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .from(Start::new("empty, sent to later", home::<T, 2, 2>).beside(send_behind_the_gate))
        .from(Start::new("empty, closed later", home::<T, 2, 2>).beside(close_sender_behind_the_gate))
}

pub fn recv<T: Load>(name: &'static str) -> Operation<Home<T>, Receiver<T>> {
    let act = |_: &Home<T>, receiver: &mut Receiver<T>| {
        let _ = receiver.recv();
    };
    empty(from_receiving(Operation::new(name, receiver, act, look)))
}

pub fn try_recv() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        let _ = receiver.try_recv();
    };
    from_receiving(Operation::new("spsc try_recv", receiver, act, look)).from(Start::new("empty", home::<u64, 0, 0>))
}

pub fn recv_timeout_in_vain() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        assert!(receiver.recv_timeout(Duration::from_millis(2)).is_err());
    };
    Operation::new("spsc recv_timeout, in vain", receiver, act, look)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .warm(warm::<u64>)
        .from(Start::new("empty", home::<u64, 0, 0>))
        .from(Start::new("empty, wrapped", home::<u64, 5, 5>))
}

pub fn recv_slice() -> Operation<Home<[u64; 3]>, Receiver<[u64; 3]>> {
    let act = |_: &Home<[u64; 3]>, receiver: &mut Receiver<[u64; 3]>| {
        let _ = receiver.try_recv_slice(&mut [[0; 3]; 2]);
    };
    from_receiving(Operation::new("spsc try_recv_slice", receiver, act, look))
}

pub fn peek() -> Operation<Home<u64>, Receiver<u64>> {
    let act = |_: &Home<u64>, receiver: &mut Receiver<u64>| {
        if let Ok(peek) = receiver.try_peek(2) {
            let _ = (peek.get(0), peek.get(1));
            peek.consume();
        }
    };
    from_receiving(Operation::new("spsc peek, consume", receiver, act, look))
}

pub fn close_receiver() -> Operation<Home<u64>, Option<Receiver<u64>>> {
    let act = |_: &Home<u64>, receiver: &mut Option<Receiver<u64>>| drop(receiver.take());
    let prepare = |home: &Home<u64>| Some(receiver(home));
    from_receiving(Operation::new("spsc Receiver::drop", prepare, act, look_of_sender))
}

// ------------------------------------------------------------------------- beside others, and after one who died healing

/// The ways to find it, with nobody else there: others come when the victim stands still.
fn from_alone<T: Load, L>(operation: Operation<Home<T>, L>) -> Operation<Home<T>, L> {
    operation
        .warm(warm::<T>)
        .from(Start::new("empty", home::<T, 0, 0>))
        .from(Start::new("empty, wrapped", home::<T, 5, 5>))
        .from(Start::new("one there", home::<T, 1, 0>))
        .from(Start::new("half full", home::<T, 2, 0>))
        .from(Start::new("one room left", home::<T, 3, 0>))
        .from(Start::new("about to wrap", home::<T, 7, 6>))
        .from(Start::new("full", home::<T, 4, 0>))
        .from(Start::new("full, wrapped", home::<T, 7, 3>))
}

/// All that is there.
fn receive_all<T: Load>(home: &Home<T>) -> String {
    let mut receiver = receiver(home);
    let mut there = Vec::new();
    while let Ok(value) = receiver.try_recv() {
        there.push(value.number());
    }
    std::mem::forget(receiver);
    format!("{there:?}")
}

/// As many as there is room for.
fn send_all<T: Load>(home: &Home<T>) -> String {
    let mut sender = sender(home);
    let sent = (50..60).take_while(|&n| sender.try_send(T::of(n)).is_ok()).count();
    std::mem::forget(sender);
    format!("{sent} sent")
}

/// Beside a sender; a receiver comes upon a dead one.
pub fn send_alone<T: Load>(name: &'static str) -> Operation<Home<T>, Sender<T>> {
    let act = |_: &Home<T>, sender: &mut Sender<T>| {
        let _ = sender.try_send(T::of(9));
    };
    let sit = |home: &Home<T>| {
        let receiver = receiver(home);
        home.receiver.replace(Some(receiver));
    };
    let receive = |home: &Home<T>| {
        let mut receiver = home.receiver.take().expect("it has sat down");
        let _ = receiver.recv();
        std::mem::forget(receiver);
    };
    from_alone(Operation::new(name, sender, act, look))
        .meanwhile(receive_all, |_| false)
        .recovery(sit, receive, |_| false)
}

/// As [`look`], where it makes no difference whether the sender lives: one comes to make good, and may be killed.
fn look_at_the_ring<T: Load>(home: &Home<T>) -> String {
    look(home).replace("], died,", "], empty,")
}

/// Beside a receiver; a sender comes upon a dead one.
pub fn recv_alone<T: Load>(name: &'static str) -> Operation<Home<T>, Receiver<T>> {
    let act = |_: &Home<T>, receiver: &mut Receiver<T>| {
        let _ = receiver.try_recv();
    };
    let sit = |home: &Home<T>| {
        let sender = sender(home);
        home.sender.replace(Some(sender));
    };
    let send = |home: &Home<T>| {
        let mut sender = home.sender.take().expect("it has sat down");
        let _ = sender.send(T::of(70));
        std::mem::forget(sender);
    };
    from_alone(Operation::new(name, receiver, act, look_at_the_ring)).meanwhile(send_all, |_| false).recovery(
        sit,
        send,
        |_| false,
    )
}
