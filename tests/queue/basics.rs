//! Sending and receiving, and what does not cross.

use std::collections::BTreeMap;
use std::time::Instant;

use tine::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

use crate::support::Case;
use crate::{SHORT, cases, queue, until_asleep};

pub const CASES: &[Case] = cases![
    values_of_any_type_cross,
    a_full_queue_gives_the_value_back,
    an_empty_queue_is_told_in_time,
    lengths_are_counted,
    a_value_that_does_not_encode_comes_back,
    what_does_not_decode_costs_itself_only,
    clones_work_in_children_and_grandchildren,
    ends_belong_to_whom_they_were_given,
    the_last_sender_ends_the_iteration,
    what_was_sent_is_there_at_once,
    what_is_there_at_a_fork_is_received_once,
    a_closed_end_wakes_who_sleeps,
    a_sender_beside_greedy_ones_gets_through,
    a_receiver_beside_greedy_ones_gets_its_share,
];

fn values_of_any_type_cross() {
    type Value = (String, Option<Vec<u64>>, BTreeMap<u8, String>);
    let value =
        |n: u8| -> Value { (n.to_string(), Some(vec![u64::from(n); 5]), BTreeMap::from([(n, "x".repeat(40))])) };
    let (tx, rx) = queue::<Value>(4);
    let child = tine::spawn(move || (0..50).for_each(|n| tx.send(value(n)).unwrap())).unwrap();
    for n in 0..50 {
        assert_eq!(rx.recv(), Ok(value(n)));
    }
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    child.join().unwrap();
}

fn a_full_queue_gives_the_value_back() {
    let (tx, rx) = queue::<String>(1);
    tx.send("one".into()).unwrap();
    assert_eq!(tx.try_send("two".into()), Err(TrySendError::Full("two".into())));
    let before = Instant::now();
    assert_eq!(tx.send_timeout("two".into(), SHORT), Err(SendTimeoutError::Timeout("two".into())));
    assert!(before.elapsed() >= SHORT);
    assert_eq!(rx.recv(), Ok("one".into()));
    tx.try_send("three".into()).unwrap();
    drop(rx);
    assert_eq!(tx.send("four".into()), Err(SendError::Disconnected("four".into())));
}

fn an_empty_queue_is_told_in_time() {
    let (tx, rx) = queue::<u8>(1);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let before = Instant::now();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(before.elapsed() >= SHORT);
    tx.send(1).unwrap();
    assert_eq!(rx.recv_timeout(SHORT), Ok(1));
}

fn lengths_are_counted() {
    let (tx, rx) = queue::<u8>(2);
    for (step, expected) in [(0, 0), (1, 1), (1, 2), (-1, 1), (-1, 0)] {
        match step {
            1 => tx.send(7).unwrap(),
            -1 => drop(rx.recv().unwrap()),
            _ => {}
        }
        assert_eq!(
            (tx.len(), rx.len(), tx.is_empty(), tx.is_full()),
            (expected, expected, expected == 0, expected == 2)
        );
    }
    assert_eq!((tx.capacity(), rx.capacity()), (2, 2));
}

/// Which numbers cannot be encoded, and which cannot be decoded.
#[derive(Debug, PartialEq)]
struct Picky(u32);
impl Wire for Picky {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        if self.0 == 13 { Err(EncodeError::new("thirteen does not cross")) } else { self.0.encode(out) }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Picky, DecodeError> {
        match u32::decode(input)? {
            17 => Err(DecodeError::new("seventeen does not arrive")),
            n => Ok(Picky(n)),
        }
    }
}
impl Pass for Picky {}

fn a_value_that_does_not_encode_comes_back() {
    let (tx, rx) = queue::<Picky>(1);
    assert!(matches!(tx.send(Picky(13)), Err(SendError::Encode(Picky(13), _))));
    assert!(matches!(tx.try_send(Picky(13)), Err(TrySendError::Encode(Picky(13), _))));
    tx.try_send(Picky(14)).unwrap();
    assert_eq!(rx.recv(), Ok(Picky(14)));
}

fn what_does_not_decode_costs_itself_only() {
    let (tx, rx) = queue::<Picky>(8);
    for n in 16..20 {
        tx.send(Picky(n)).unwrap();
    }
    tx.send(Picky(17)).unwrap();
    drop(tx);
    let seen: Vec<_> =
        rx.iter().take(4).map(|next| next.map_err(|error| matches!(error, RecvError::Decode(_)))).collect();
    assert_eq!(seen, [Ok(Picky(16)), Err(true), Ok(Picky(18)), Ok(Picky(19))]);
    assert!(matches!(rx.claim().unwrap_err(), RecvError::Decode(_)), "and it is not delivered again");
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn clones_work_in_children_and_grandchildren() {
    let (tx, rx) = queue::<(u32, String)>(4);
    let children: Vec<_> = (0..3)
        .map(|who| {
            let tx = tx.clone();
            tine::spawn(move || {
                let ours = tx.clone();
                let grandchild =
                    tine::spawn(move || (0..20).for_each(|n| ours.send((who * 100 + n, "g".into())).unwrap()));
                (20..40).for_each(|n| tx.send((who * 100 + n, "c".into())).unwrap());
                grandchild.unwrap().join().unwrap();
            })
            .unwrap()
        })
        .collect();
    drop(tx);
    let mut all: Vec<u32> = rx.iter().map(|next| next.unwrap().0).collect();
    all.sort_unstable();
    assert_eq!(all, (0..3).flat_map(|who| (0..40).map(move |n| who * 100 + n)).collect::<Vec<_>>());
    for child in children {
        child.join().unwrap();
    }
}

fn ends_belong_to_whom_they_were_given() {
    let (tx, rx) = queue::<u8>(1);
    let child = tine::spawn(|| (tx.send(1) == Err(SendError::NotOwner(1)), rx.recv() == Err(RecvError::NotOwner)));
    assert_eq!(child.unwrap().join().unwrap(), (true, true));
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

fn the_last_sender_ends_the_iteration() {
    let (tx, rx) = queue::<u8>(4);
    let other = tx.clone();
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    other.send(2).unwrap();
    drop(other);
    assert_eq!(rx.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2]);
}

fn what_was_sent_is_there_at_once() {
    let (tx, rx) = queue::<String>(3);
    for n in 0..1_000 {
        tx.send(n.to_string()).unwrap();
        assert_eq!((rx.len(), rx.is_empty()), (1, false));
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(n.to_string()), Err(TryRecvError::Empty)));
    }
}

fn what_is_there_at_a_fork_is_received_once() {
    let (tx, rx) = queue::<u32>(64);
    (0..30).for_each(|n| tx.send(n).unwrap());
    let children: Vec<_> = (0..3)
        .map(|_| {
            let rx = rx.clone();
            tine::spawn(move || rx.iter().map(Result::unwrap).collect::<Vec<u32>>()).unwrap()
        })
        .collect();
    drop(rx);
    (30..60).for_each(|n| tx.send(n).unwrap());
    drop(tx);
    let mut all: Vec<u32> = children.into_iter().flat_map(|child| child.join().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..60));
}

fn a_closed_end_wakes_who_sleeps() {
    let (tx, rx) = queue::<u8>(1);
    let receives = {
        let rx = rx.clone();
        tine::spawn(move || rx.recv() == Err(RecvError::Disconnected)).unwrap()
    };
    until_asleep(&receives);
    drop(tx);
    assert!(receives.join().unwrap());

    let (tx, rx) = queue::<u8>(1);
    tx.send(1).unwrap();
    let sends = {
        let tx = tx.clone();
        tine::spawn(move || tx.send(2) == Err(SendError::Disconnected(2))).unwrap()
    };
    let waits = tine::spawn(move || tx.wait_idle() == Err(SendError::Disconnected(()))).unwrap();
    until_asleep(&sends);
    until_asleep(&waits);
    drop(rx);
    assert!(sends.join().unwrap() && waits.join().unwrap());
}

/// How many times a modest one is served beside others who want all.
const SHARE: usize = 50;

fn a_sender_beside_greedy_ones_gets_through() {
    let (tx, rx) = queue::<bool>(2);
    let greedy = [tx.clone(), tx.clone()].map(|tx| tine::spawn(move || while tx.send(false).is_ok() {}).unwrap());
    let modest = tine::spawn(move || (0..SHARE).for_each(|_| tx.send(true).unwrap())).unwrap();
    assert_eq!(rx.iter().filter(|next| *next == Ok(true)).take(SHARE).count(), SHARE);
    modest.join().unwrap();
    drop(rx);
    greedy.into_iter().for_each(|greedy| greedy.join().unwrap());
}

fn a_receiver_beside_greedy_ones_gets_its_share() {
    let (tx, rx) = queue::<u8>(2);
    let greedy = [rx.clone(), rx.clone()].map(|rx| tine::spawn(move || while rx.recv().is_ok() {}).unwrap());
    let modest = tine::spawn(move || (0..SHARE).all(|_| rx.recv().is_ok())).unwrap();
    let sender = tine::spawn(move || while tx.send(0).is_ok() {}).unwrap();
    assert!(modest.join().unwrap());
    sender.kill().unwrap();
    greedy.into_iter().for_each(|greedy| greedy.join().unwrap());
    sender.join().unwrap_err();
}
