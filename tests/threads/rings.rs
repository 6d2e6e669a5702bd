//! One sender, one receiver, and a ring that is too small: each must wait for the other again and again.

use std::thread;

use tine::channel::{RecvError, Spin, TrySendError, bytes, spsc};
use tine::wire::Plain;

use crate::MANY;

/// To sleep and not to sleep are two ways through the code.
const SPINS: [(Spin, Spin); 3] =
    [(Spin::Adaptive, Spin::Adaptive), (Spin::Never, Spin::Never), (Spin::Always, Spin::Adaptive)];

fn ring<T: Plain>(capacity: usize, spins: (Spin, Spin)) -> (spsc::Sender<T>, spsc::Receiver<T>) {
    let (mut tx, mut rx) = spsc::channel(capacity).unwrap();
    tx.set_spin(spins.0);
    rx.set_spin(spins.1);
    (tx, rx)
}

/// `MANY` of what `value` makes, one by one.
fn one_by_one<T: Plain + PartialEq + std::fmt::Debug>(capacity: usize, spins: (Spin, Spin), value: fn(u64) -> T) {
    let (mut tx, mut rx) = ring(capacity, spins);
    thread::scope(|scope| {
        scope.spawn(move || (0..MANY).for_each(|n| tx.send(value(n)).unwrap()));
        (0..MANY).for_each(|n| assert_eq!(rx.recv(), Ok(value(n))));
        assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    });
}

pub fn rings_one_by_one() {
    for spins in SPINS {
        one_by_one(1, spins, |n| n);
        one_by_one(3, spins, |n| n as u8);
        one_by_one(64, spins, |n| n);
        one_by_one(2, spins, |_| ());
    }
}

pub fn rings_of_wide_values() {
    for spins in SPINS {
        one_by_one(1, spins, |n| [n; 3]);
        one_by_one(5, spins, |n| [n as u8; 24]);
        one_by_one(4, spins, |n| [n as u16; 2048]);
    }
}

pub fn rings_by_slices() {
    for spins in SPINS {
        let (mut tx, mut rx) = ring::<u32>(100, spins);
        thread::scope(|scope| {
            scope.spawn(move || {
                let all: Vec<u32> = (0..MANY as u32).collect();
                all.chunks(37).for_each(|values| tx.send_slice(values).unwrap());
            });
            let (mut next, mut values) = (0, [0; 29]);
            while let Ok(n) = rx.recv_slice(&mut values) {
                assert!(values[..n].iter().copied().eq(next..next + n as u32));
                next += n as u32;
            }
            assert_eq!(u64::from(next), MANY);
        });
    }
}

pub fn rings_in_place() {
    for spins in SPINS {
        let (mut tx, mut rx) = ring::<[u64; 2]>(7, spins);
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..MANY {
                    let mut room = tx.reserve(3).unwrap();
                    (0..2).for_each(|i| room.write(i, [n, i as u64]).unwrap());
                    room.commit_first(2);
                }
            });
            for n in 0..2 * MANY {
                let peek = rx.peek(1 + n as usize % 3).unwrap();
                assert_eq!(peek.get(0), Some([n / 2, n % 2]));
                peek.consume_first(1);
            }
        });
    }
}

/// A message whose bytes tell which it is, of many lengths, some longer than the ring.
fn message(n: u64) -> Vec<u8> {
    (0..n * 7 % 1500).map(|i| (n + i) as u8).collect()
}

fn byte_ring(spins: (Spin, Spin)) -> (bytes::Sender, bytes::Receiver) {
    let (mut tx, mut rx) = bytes::channel(1024).unwrap();
    tx.set_spin(spins.0);
    rx.set_spin(spins.1);
    (tx, rx)
}

pub fn rings_of_bytes() {
    for spins in SPINS {
        let (mut tx, mut rx) = byte_ring(spins);
        thread::scope(|scope| {
            scope.spawn(move || (0..MANY).for_each(|n| tx.send(&message(n)).unwrap()));
            for n in 0..MANY {
                assert_eq!(rx.recv().as_ref(), Ok(&message(n)));
            }
        });
    }
}

pub fn rings_of_bytes_in_place() {
    for spins in SPINS {
        let (mut tx, mut rx) = byte_ring(spins);
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..MANY {
                    let message = message(n);
                    let Ok(mut room) = tx.reserve(message.len()) else { panic!("the receiver is there") };
                    let middle = message.len() / 2;
                    room.write_at(0, &message[..middle]).unwrap();
                    room.write_at(middle, &message[middle..]).unwrap();
                    room.commit().unwrap();
                }
            });
            for n in 0..MANY {
                let (expected, found) = (message(n), rx.peek().unwrap());
                assert_eq!(found.len(), expected.len());
                let mut last = [0];
                if let Some(end) = expected.len().checked_sub(1) {
                    found.read_at(end, &mut last).unwrap();
                    assert_eq!(last[0], expected[end]);
                }
                // One in three comes again.
                if n.is_multiple_of(3) {
                    found.leave();
                    assert_eq!(rx.recv(), Ok(expected));
                }
            }
        });
    }
}

pub fn rings_of_bytes_in_slices() {
    let (tx, rx) = byte_ring(SPINS[0]);
    // SAFETY: both ends are in this process, which has no bad pointers and forks nowhere.
    let (mut tx, mut rx) = unsafe { (tx.trust(), rx.trust()) };
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..MANY {
                let message = message(n % 70);
                let mut room = tx.reserve(message.len()).unwrap();
                room.copy_from_slice(&message);
                room.commit().unwrap();
            }
        });
        for n in 0..MANY {
            assert_eq!(*rx.peek().unwrap(), *message(n % 70));
        }
    });
}

/// What is left of a ring goes with its last end, while the other thread is in the middle of something.
pub fn rings_that_are_closed() {
    for n in 0..MANY / 20 {
        let (mut tx, mut rx) = ring::<[u64; 4]>(2, SPINS[n as usize % SPINS.len()]);
        thread::scope(|scope| {
            scope.spawn(move || (0..n % 5).for_each(|n| assert_eq!(rx.recv(), Ok([n; 4]))));
            let sent = (0..).take_while(|&n| tx.send([n; 4]).is_ok()).count() as u64;
            assert!((n % 5..=n % 5 + 2).contains(&sent), "what was received, and what fits");
            assert!(matches!(tx.try_send([0; 4]), Err(TrySendError::Disconnected(_))));
        });
    }
}
