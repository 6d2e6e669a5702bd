//! Queues of values of any type: between threads and processes, the living and the dead.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::until;
use tine::channel::{
    Builder, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
    channel,
};
use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

fn main() {
    support::run(cases![
        values_of_any_type_cross,
        a_full_queue_gives_the_value_back,
        an_empty_queue_is_told_in_time,
        lengths_are_counted,
        messages_of_every_size_arrive,
        blocks_are_used_again,
        a_message_that_is_too_long_comes_back,
        many_long_messages_wait_for_room,
        a_value_that_does_not_encode_comes_back,
        what_does_not_decode_costs_itself_only,
        clones_work_in_children_and_grandchildren,
        ends_belong_to_whom_they_were_given,
        the_last_sender_ends_the_iteration,
        a_killed_last_sender_is_told_once,
        a_killed_receiver_costs_at_most_what_it_had,
        claims_come_back_with_their_attempts,
        idle_is_when_all_is_done,
        idle_is_never_where_nobody_receives,
        workers_are_killed_and_all_is_done,
        senders_are_killed_while_they_fill_blocks,
    ]);
}

fn queue<T: Wire>(messages: usize) -> (Sender<T>, Receiver<T>) {
    channel(messages).unwrap()
}

const SHORT: Duration = Duration::from_millis(20);

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

fn messages_of_every_size_arrive() {
    let (tx, rx) = Builder::<Vec<u8>>::new(3).bytes(200_000).build().unwrap();
    let sizes = [0, 1, 240, 246, 247, 248, 249, 250, 2_030, 2_040, 2_041, 4_079, 4_080, 4_081, 65_536, 199_000];
    let child = tine::spawn(move || {
        for (turn, size) in sizes.into_iter().enumerate() {
            tx.send(vec![turn as u8; size]).unwrap();
        }
    })
    .unwrap();
    for (turn, size) in sizes.into_iter().enumerate() {
        assert!(rx.recv().unwrap() == vec![turn as u8; size], "{size} bytes");
    }
    child.join().unwrap();
}

fn blocks_are_used_again() {
    let (tx, rx) = Builder::<Vec<u8>>::new(2).bytes(10_000).build().unwrap();
    for turn in 0..200_u32 {
        let message = vec![turn as u8; 9_000];
        tx.try_send(message.clone()).unwrap();
        assert_eq!(tx.try_send(message.clone()), Err(TrySendError::Full(message.clone())), "no blocks, though a place");
        tx.try_send(vec![1]).unwrap();
        assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (message, vec![1]));
    }
}

fn a_message_that_is_too_long_comes_back() {
    let (tx, rx) = Builder::<Vec<u8>>::new(2).bytes(5_000).build().unwrap();
    let long = vec![0; 100_000];
    match tx.send(long.clone()) {
        Err(SendError::Encode(value, error)) => {
            assert_eq!(value, long);
            assert!(error.to_string().contains("bytes"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    tx.send(vec![1]).unwrap();
    assert_eq!(rx.recv(), Ok(vec![1]));
}

fn many_long_messages_wait_for_room() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(8).bytes(40_000).build().unwrap();
    let senders: Vec<_> = (0..3_u32)
        .map(|who| {
            let tx = tx.clone();
            tine::spawn(move || {
                for n in 0..60_u32 {
                    let size = 1_000 + (n as usize * 977 + who as usize * 5_000) % 30_000;
                    tx.send((who << 16 | n, vec![n as u8; size])).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    drop(tx);
    let mut next = [0; 3];
    for received in rx.iter() {
        let (number, bytes) = received.unwrap();
        let (who, n) = (number as usize >> 16, number & 0xffff);
        assert_eq!(n, next[who], "each sender's messages come in order");
        assert!(bytes.iter().all(|&byte| byte == n as u8));
        next[who] += 1;
    }
    assert_eq!(next, [60; 3]);
    for sender in senders {
        sender.join().unwrap();
    }
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

fn stay(why: &str) {
    eprintln!("{why}");
    while std::hint::black_box(true) {
        std::thread::park();
    }
}

fn a_killed_last_sender_is_told_once() {
    let (tx, rx) = queue::<String>(4);
    let child = tine::spawn(move || {
        tx.send("last words".into()).unwrap();
        stay("until it is killed");
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok("last words".into()));
    child.kill().unwrap();
    let all: Vec<_> = rx.iter().collect();
    assert!(matches!(&all[..], [Err(RecvError::PeerDied(death))] if death.pid == child.id()), "{all:?}");
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    child.join().unwrap_err();
}

fn a_killed_receiver_costs_at_most_what_it_had() {
    for _ in 0..20 {
        let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(16).bytes(100_000).build().unwrap();
        let theirs = rx.clone();
        let (count_tx, count_rx) = queue::<u32>(1_000);
        let victim = tine::spawn(move || {
            for received in theirs.iter() {
                count_tx.send(received.unwrap().0).unwrap();
            }
        })
        .unwrap();
        let sender = tine::spawn(move || (0..300).for_each(|n| tx.send((n, vec![n as u8; 700])).unwrap())).unwrap();
        let mut seen = vec![count_rx.recv().unwrap()];
        victim.kill().unwrap();
        seen.extend(rx.iter().map(|next| {
            let (n, bytes) = next.unwrap();
            assert!(bytes == vec![n as u8; 700]);
            n
        }));
        seen.extend(count_rx.iter().map_while(Result::ok));
        seen.sort_unstable();
        let unique: std::collections::BTreeSet<u32> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "nothing is received twice");
        assert!(seen.len() >= 299, "what is missing was in the dead one's hands: {}", seen.len());
        sender.join().unwrap();
        // It may have been quicker than its death.
        let _ = victim.join();
    }
}

fn claims_come_back_with_their_attempts() {
    let (tx, rx) = queue::<String>(4);
    tx.send("job".into()).unwrap();
    for attempt in 1..=3 {
        let theirs = rx.clone();
        let child = tine::spawn(move || {
            let claim = theirs.claim().unwrap();
            let attempts = claim.attempts();
            assert_eq!(attempts, attempt);
            std::mem::forget(claim);
            std::process::abort();
            #[allow(unreachable_code)]
            ()
        });
        child.unwrap().join().unwrap_err();
    }
    let mut claim = rx.claim().unwrap();
    claim.push_str(" changed");
    assert_eq!((claim.attempts(), &claim[..]), (4, "job changed"));
    drop(claim);
    let claim = rx.claim().unwrap();
    assert_eq!((claim.attempts(), &claim[..]), (5, "job"));
    claim.done();
    assert!(rx.is_empty());
}

fn idle_is_when_all_is_done() {
    let (tx, rx) = queue::<u32>(8);
    tx.wait_idle().unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let rx = rx.clone();
            tine::spawn(move || {
                let mut sum = 0;
                while let Ok(claim) = rx.claim() {
                    sum += *claim;
                    claim.done();
                }
                sum
            })
            .unwrap()
        })
        .collect();
    for n in 0..500 {
        tx.send(n).unwrap();
    }
    tx.wait_idle().unwrap();
    assert!(tx.is_empty());
    tx.send(1).unwrap();
    let mine = rx.claim_timeout(Duration::from_millis(1));
    assert!(tx.wait_idle_timeout(SHORT).unwrap() == mine.is_err(), "what this thread has claimed is to be done, too");
    drop(mine);
    tx.wait_idle().unwrap();
    drop(tx);
    let sum: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(sum, 499 * 250 + 1);
}

fn idle_is_never_where_nobody_receives() {
    let (tx, rx) = queue::<u32>(8);
    tx.send(1).unwrap();
    assert_eq!(tx.wait_idle_timeout(SHORT), Ok(false));
    drop(rx);
    assert_eq!(tx.wait_idle(), Err(SendError::Disconnected(())));
}

fn workers_are_killed_and_all_is_done() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(16).bytes(60_000).build().unwrap();
    let (done_tx, done_rx) = queue::<u32>(2_000);
    let start = || {
        let (rx, done_tx) = (rx.clone(), done_tx.clone());
        tine::spawn(move || {
            while let Ok(claim) = rx.claim() {
                assert!(claim.1.iter().all(|&byte| byte == claim.0 as u8));
                done_tx.send(claim.0).unwrap();
                claim.done();
            }
        })
        .unwrap()
    };
    let mut workers = vec![start(), start()];
    for n in 0..400 {
        tx.send((n, vec![n as u8; (n as usize * 37) % 5_000])).unwrap();
        if n % 40 == 0 {
            workers.push(start());
            let victim = workers.remove(0);
            victim.kill().unwrap();
            let _ = victim.join();
        }
    }
    tx.wait_idle().unwrap();
    drop((tx, rx, done_tx));
    for worker in workers {
        worker.join().unwrap();
    }
    let done: std::collections::BTreeSet<u32> = done_rx.iter().map_while(Result::ok).collect();
    assert_eq!(done.len(), 400, "each was done at least once");
}

fn senders_are_killed_while_they_fill_blocks() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(4).bytes(150_000).build().unwrap();
    for turn in 0..40 {
        let theirs = tx.clone();
        let victim = tine::spawn(move || {
            for n in 0.. {
                if theirs.send((n, vec![n as u8; 100_000])).is_err() {
                    break;
                }
            }
        })
        .unwrap();
        for expected in 0..3 {
            assert_eq!(rx.recv().unwrap(), (expected, vec![expected as u8; 100_000]));
        }
        std::thread::sleep(Duration::from_micros(37 * turn));
        victim.kill().unwrap();
        victim.join().unwrap_err();
        // What it had sent is whole.
        while let Ok((n, bytes)) = rx.try_recv() {
            assert!(bytes == vec![n as u8; 100_000]);
        }
    }
    // And no block is lost.
    tx.try_send((7, vec![7; 149_000])).unwrap();
    assert_eq!(rx.recv().unwrap().1.len(), 149_000);
    until("nothing is left", || rx.is_empty());
}
