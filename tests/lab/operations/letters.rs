//! `channel::channel`: what becomes a dead letter, and what is done about one.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::time::Duration;

use tine::channel::{Builder, Receiver, Sender, Spin, TryRecvError};

use crate::lab::operation::{ALLOCATES, Operation, Start};

type Value = Vec<u8>;
type End = RefCell<Option<Receiver<Value>>>;

pub struct Home {
    sender: RefCell<Option<Sender<Value>>>,
    receiver: End,
    letters: End,
}

const MESSAGES: usize = 3;
const MAX_ATTEMPTS: u32 = 2;

fn channel(messages: usize) -> (Sender<Value>, Receiver<Value>, Receiver<Value>) {
    let built = Builder::<Value>::new(messages).bytes(10_000).redeliver(MAX_ATTEMPTS).build();
    let (sender, receiver) = built.expect("shared memory");
    let letters = receiver.dead_letters().expect("there is room");
    // Where nobody looks again before it sleeps, a path depends on nobody's speed.
    sender.set_spin(Spin::Never);
    receiver.set_spin(Spin::Never);
    letters.set_spin(Spin::Never);
    (sender, receiver, letters)
}

/// A channel into which so many were sent, of `LENGTH` bytes; all but two were received, and the first that is there was claimed
/// `CLAIMED` times.
fn home<const LENGTH: usize, const SENT: u8, const CLAIMED: u32>() -> Home {
    let (sender, receiver, letters) = channel(MESSAGES);
    for n in 1..=SENT {
        sender.send(vec![n; LENGTH]).expect("there is room");
        if n + 2 <= SENT {
            assert_eq!(receiver.recv(), Ok(vec![n; LENGTH]));
        }
    }
    for _ in 0..CLAIMED {
        drop(receiver.claim());
    }
    Home {
        sender: RefCell::new(Some(sender)),
        receiver: RefCell::new(Some(receiver)),
        letters: RefCell::new(Some(letters)),
    }
}

fn take_over(end: &End) -> Receiver<Value> {
    let end = end.take().expect("each process takes it once");
    end.take_over().expect("/proc tells");
    end
}

/// All that a process does the first time only.
fn warm() {
    let (sender, receiver, letters) = channel(1);
    sender.send(vec![1; 300]).expect("there is room");
    assert!(sender.send_timeout(vec![2], Duration::from_micros(1)).is_err());
    drop(receiver.claim());
    drop(receiver.claim());
    drop(letters.claim());
    letters.recv().expect("it is there");
    assert!(letters.recv_timeout(Duration::from_micros(1)).is_err());
}

/// All that one receives: which, whether it is whole, and how often it was claimed.
fn all(end: &Receiver<Value>) -> String {
    let mut there = Vec::new();
    loop {
        match end.try_claim() {
            Ok(claim) => {
                let first = claim.first().copied().unwrap_or(0);
                there.push((first, claim.iter().all(|&byte| byte == first), claim.attempts()));
                claim.done();
            }
            Err(TryRecvError::Empty) => return format!("{there:?}"),
            Err(error) => return format!("{there:?} {error:?}"),
        }
    }
}

/// What is there; and that all places and all blocks can be used.
fn look(home: &Home) -> String {
    let sender = home.sender.take().expect("each process takes it once");
    sender.take_over().expect("/proc tells");
    let (receiver, letters) = (take_over(&home.receiver), take_over(&home.letters));
    let there = format!("messages {}, letters {}", all(&receiver), all(&letters));
    let works = (0..9).all(|n| sender.try_send(vec![n; 10]).is_ok() && receiver.try_recv() == Ok(vec![n; 10]));
    let blocks = sender.try_send(vec![1; 10_000]).is_ok() && receiver.try_recv() == Ok(vec![1; 10_000]);
    let fills = (0..=MESSAGES as u8).filter(|&n| sender.try_send(vec![n]).is_ok()).count();
    format!("{there}, works {works}, blocks {blocks}, holds {fills}")
}

fn from<L, const CLAIMED: u32>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .unsteady(ALLOCATES)
        .from(Start::new("in its slot", home::<10, 1, CLAIMED>))
        .from(Start::new("in blocks", home::<4_000, 2, CLAIMED>))
        .from(Start::new("wrapped", home::<300, 5, CLAIMED>))
}

/// Killed after it is claimed, or after it was dropped: a dead letter; before that, a message.
pub fn last_claim_dropped() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, receiver: &mut Receiver<Value>| drop(receiver.try_claim());
    let operation =
        Operation::new("channel claim, dropped for the last time", |home: &Home| take_over(&home.receiver), act, look);
    from::<_, { MAX_ATTEMPTS - 1 }>(operation)
}

pub fn recv_letter() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, letters: &mut Receiver<Value>| {
        let _ = letters.recv();
    };
    let operation = Operation::new("channel recv of a dead letter", |home: &Home| take_over(&home.letters), act, look);
    from::<_, MAX_ATTEMPTS>(operation)
}

/// Killed in between, it is there, and was claimed once more.
pub fn claim_letter() -> Operation<Home, Receiver<Value>> {
    let act = |_: &Home, letters: &mut Receiver<Value>| {
        if let Ok(claim) = letters.try_claim() {
            claim.done();
        }
    };
    let operation =
        Operation::new("channel claim of a dead letter, done", |home: &Home| take_over(&home.letters), act, look);
    from::<_, MAX_ATTEMPTS>(operation).allow(|seen| seen.contains("true, 4)"))
}
