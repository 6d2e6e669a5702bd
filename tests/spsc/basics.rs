//! What a queue is, alone and between two.

use std::time::{Duration, Instant};

use tine::channel::spsc;
use tine::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, Spin, TryRecvError, TrySendError};
use tine::wire::Plain;

use crate::support::Case;
use crate::{cases, ring};

pub const CASES: &[Case] = cases![
    smoke,
    capacity_is_what_was_asked_for,
    len_empty_full,
    a_capacity_of_zero_is_refused,
    sizes_beyond_the_address_space_are_refused,
    slices_go_round_the_end,
    reserved_room_is_sent_by_its_commit_only,
    peeked_values_stay_until_they_are_consumed,
    a_range_beyond_a_batch_is_refused,
    recv_timeout,
    send_timeout,
    recv_after_disconnect,
    send_after_disconnect,
    spsc_between_threads,
    spsc_between_processes,
    stress_with_every_way_to_wait,
    all_sizes_cross,
    errors_say_what_to_do,
];

fn smoke() {
    let (mut tx, mut rx) = ring::<u64>(1);
    tx.send(7).unwrap();
    assert_eq!(rx.try_recv(), Ok(7));
    tx.try_send(8).unwrap();
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    assert_eq!(rx.recv(), Ok(8));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

fn capacity_is_what_was_asked_for() {
    for capacity in [1, 2, 3, 5, 64, 100] {
        let (mut tx, mut rx) = ring::<u16>(capacity);
        assert_eq!((tx.capacity(), rx.capacity()), (capacity, capacity));
        for round in 0..3 {
            for n in 0..capacity {
                tx.try_send(n as u16 + round).unwrap();
            }
            assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)));
            for n in 0..capacity {
                assert_eq!(rx.try_recv(), Ok(n as u16 + round));
            }
        }
    }
}

fn len_empty_full() {
    let (mut tx, mut rx) = ring::<u8>(2);
    let now = |tx: &spsc::Sender<u8>, rx: &spsc::Receiver<u8>| {
        assert_eq!((tx.len(), tx.is_empty(), tx.is_full()), (rx.len(), rx.is_empty(), rx.is_full()));
        (rx.len(), rx.is_empty(), rx.is_full())
    };
    assert_eq!(now(&tx, &rx), (0, true, false));
    tx.send(1).unwrap();
    assert_eq!(now(&tx, &rx), (1, false, false));
    tx.send(2).unwrap();
    assert_eq!(now(&tx, &rx), (2, false, true));
    rx.recv().unwrap();
    assert_eq!(now(&tx, &rx), (1, false, false));
    assert!(!tx.is_disconnected() && !rx.is_disconnected());
}

fn a_capacity_of_zero_is_refused() {
    assert_eq!(spsc::channel::<u8>(0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

fn sizes_beyond_the_address_space_are_refused() {
    for capacity in [usize::MAX, usize::MAX / 2, 1 << 62, 1 << 60] {
        assert_eq!(spsc::channel::<u64>(capacity).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory, "{capacity}");
    }
}

fn slices_go_round_the_end() {
    let (mut tx, mut rx) = ring::<u32>(7);
    let (mut next, mut expected) = (0_u32, 0_u32);
    for round in 0..200 {
        let values: Vec<u32> = (next..next + round % 8).collect();
        next += values.len() as u32;
        tx.send_slice(&values).unwrap();
        let mut received = [0; 7];
        while !rx.is_empty() {
            let n = rx.try_recv_slice(&mut received[..1 + round as usize % 7]).unwrap();
            for value in &received[..n] {
                assert_eq!(*value, expected);
                expected += 1;
            }
        }
    }
    assert_eq!(expected, next);
    // More than fit: as many as there is room for.
    assert_eq!(tx.try_send_slice(&[0; 10]), Ok(7));
    assert_eq!(tx.try_send_slice(&[0; 10]), Err(TrySendError::Full(0)));
    assert_eq!((tx.try_send_slice(&[]), rx.recv_slice(&mut [])), (Ok(0), Ok(0)));
}

fn reserved_room_is_sent_by_its_commit_only() {
    let (mut tx, mut rx) = ring::<u64>(4);
    for start in 0..9 {
        let mut room = tx.try_reserve(3).unwrap();
        room.copy_from(0, &[start, 0, 0]).unwrap();
        room.write(1, start + 1).unwrap();
        drop(room);
        assert!(tx.is_empty());
        let mut room = tx.reserve(3).unwrap();
        room.copy_from(0, &[start, start + 1, start + 2]).unwrap();
        room.commit_first(2);
        assert_eq!((rx.recv(), rx.recv(), rx.try_recv()), (Ok(start), Ok(start + 1), Err(TryRecvError::Empty)));
    }
    tx.send_slice(&[1, 2]).unwrap();
    assert_eq!(tx.try_reserve(3).unwrap_err(), TrySendError::Full(()));
    assert_eq!(tx.try_reserve(2).unwrap().len(), 2);
    assert!(tx.reserve(0).unwrap().is_empty());
    let refused = tx.reserve(5).unwrap_err().to_string();
    assert!(refused.contains("5 values") && refused.contains("which holds 4"), "{refused}");
    assert!(matches!(tx.try_reserve(5), Err(TrySendError::Encode(..))));
}

fn peeked_values_stay_until_they_are_consumed() {
    let (mut tx, mut rx) = ring::<u8>(3);
    assert_eq!(rx.try_peek(1).unwrap_err(), TryRecvError::Empty);
    for turn in 0..10 {
        tx.send_slice(&[turn, turn + 1, turn + 2]).unwrap();
        let peek = rx.peek(2).unwrap();
        assert_eq!((peek.len(), peek.get(0), peek.get(1), peek.get(2)), (2, Some(turn), Some(turn + 1), None));
        drop(peek);
        let peek = rx.peek(9).unwrap();
        let mut two = [0; 2];
        peek.copy_to(1, &mut two).unwrap();
        assert_eq!((peek.iter().collect::<Vec<_>>(), two), (vec![turn, turn + 1, turn + 2], [turn + 1, turn + 2]));
        peek.consume_first(1);
        assert_eq!(rx.recv(), Ok(turn + 1));
        rx.peek(1).unwrap().consume();
        assert!(rx.is_empty());
    }
}

fn a_range_beyond_a_batch_is_refused() {
    let (mut tx, mut rx) = ring::<u8>(8);
    let mut room = tx.reserve(2).unwrap();
    for (offset, n) in [(0, 3), (2, 1), (3, 0), (usize::MAX, 2)] {
        room.copy_from(offset, &[9; 3][..n]).unwrap_err();
    }
    room.copy_from(2, &[]).unwrap();
    room.copy_from(0, &[1, 2]).unwrap();
    room.commit();
    let peek = rx.peek(8).unwrap();
    for (offset, n) in [(0, 3), (2, 1), (3, 0), (usize::MAX, 2)] {
        peek.copy_to(offset, &mut [9; 3][..n]).unwrap_err();
    }
}

const SHORT: Duration = Duration::from_millis(20);

fn recv_timeout() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let before = Instant::now();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(before.elapsed() >= SHORT);
    tx.send(1).unwrap();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(1));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    drop(tx);
    assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
}

fn send_timeout() {
    let (mut tx, mut rx) = ring::<u8>(1);
    tx.send_timeout(1, Duration::ZERO).unwrap();
    let before = Instant::now();
    assert_eq!(tx.send_timeout(2, SHORT), Err(SendTimeoutError::Timeout(2)));
    assert!(before.elapsed() >= SHORT);
    assert_eq!(rx.recv(), Ok(1));
    tx.send_timeout(3, Duration::MAX).unwrap();
    drop(rx);
    assert_eq!(tx.send_timeout(4, Duration::MAX), Err(SendTimeoutError::Disconnected(4)));
}

fn recv_after_disconnect() {
    let (mut tx, mut rx) = ring::<u8>(4);
    tx.send_slice(&[1, 2, 3]).unwrap();
    drop(tx);
    assert!(rx.is_disconnected());
    assert_eq!((rx.recv(), rx.try_recv(), rx.recv_timeout(SHORT)), (Ok(1), Ok(2), Ok(3)));
    assert_eq!((rx.recv(), rx.try_recv()), (Err(RecvError::Disconnected), Err(TryRecvError::Disconnected)));
    assert_eq!(rx.iter().next(), None);
    assert_eq!(rx.into_iter().next(), None);
}

fn send_after_disconnect() {
    let (mut tx, rx) = ring::<u8>(4);
    tx.send(1).unwrap();
    drop(rx);
    assert!(tx.is_disconnected());
    assert_eq!(tx.send(2), Err(SendError::Disconnected(2)), "although there is room");
    assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
    assert_eq!(tx.send_slice(&[4, 5]), Err(SendError::Disconnected(0)));
    assert_eq!(tx.try_reserve(1).unwrap_err(), TrySendError::Disconnected(()));
    assert_eq!(tx.len(), 1, "what was not received is there for nobody");
}

const MANY: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

fn spsc_between_threads() {
    let (mut tx, mut rx) = ring::<u64>(3);
    let sender = std::thread::spawn(move || (0..MANY).for_each(|n| tx.send(n).unwrap()));
    for (expected, received) in rx.iter().enumerate() {
        assert_eq!(received, Ok(expected as u64));
    }
    sender.join().unwrap();
}

fn spsc_between_processes() {
    let ((mut tx, mut rx), (mut back, mut sums)) = (ring::<u64>(100), ring::<u64>(1));
    let child = tine::spawn(move || {
        let mut sum = 0;
        for received in rx.iter() {
            sum += received.unwrap();
            back.send(sum).unwrap();
        }
    })
    .unwrap();
    let mut expected = 0;
    for n in 0..10_000 {
        tx.send(n).unwrap();
        expected += n;
        assert_eq!(sums.recv(), Ok(expected));
    }
    drop(tx);
    assert_eq!(sums.recv(), Err(RecvError::Disconnected));
    child.join().unwrap();
}

fn stress_with_every_way_to_wait() {
    for (of_sender, of_receiver) in [
        (Spin::Always, Spin::Always),
        (Spin::Never, Spin::Never),
        (Spin::Adaptive, Spin::Never),
        (Spin::Never, Spin::Adaptive),
    ] {
        for capacity in [1, 2, 1000] {
            let (mut tx, mut rx) = ring::<u64>(capacity);
            tx.set_spin(of_sender);
            rx.set_spin(of_receiver);
            let n = if capacity == 1 { 2_000 } else { 20_000 };
            let child = tine::spawn(move || (0..n).for_each(|n| tx.send(n).unwrap())).unwrap();
            for expected in 0..n {
                assert_eq!(rx.recv(), Ok(expected));
            }
            assert_eq!(rx.recv(), Err(RecvError::Disconnected));
            child.join().unwrap();
        }
    }
}

fn all_sizes_cross() {
    fn crosses<T: Plain + PartialEq + std::fmt::Debug>(make: impl Fn(u8) -> T) {
        let (mut tx, mut rx) = ring::<T>(3);
        let child = tine::spawn(|| ()).unwrap();
        for n in 0..10 {
            tx.send(make(n)).unwrap();
            assert_eq!(rx.recv(), Ok(make(n)));
        }
        child.join().unwrap();
    }
    crosses(|_| ());
    crosses(|n| n);
    crosses(|n| [n, 1, n]);
    crosses(|n| u64::from(n) << 50);
    crosses(|n| [u64::from(n), 2, 3]);
    crosses(|n| u128::from(n) << 100);
    crosses(|n| [n; 4096]);
}

fn errors_say_what_to_do() {
    let (mut tx, rx) = ring::<u8>(1);
    drop(rx);
    let error = tx.send(1).unwrap_err();
    assert_eq!(error.to_string(), "nobody can receive any more: the last receiver was dropped");
    assert_eq!((format!("{error:?}"), error.clone().into_inner()), (error.to_string(), 1), "as `unwrap` prints it");
    assert_eq!(std::io::Error::from(error.clone()).kind(), std::io::ErrorKind::BrokenPipe);
    assert!(tine::Error::from(error.clone()).to_string().contains("nobody can receive"));
    let error = std::io::Error::from(TryRecvError::Empty);
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}
