//! What a queue is, alone and between threads.

use std::thread;
use std::time::Instant;

use tine::channel::mpmc;
use tine::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, Spin, TryRecvError, TrySendError};
use tine::wire::Plain;

use crate::support::Case;
use crate::{LONG, SHORT, cases, ring};

pub const CASES: &[Case] = cases![
    smoke,
    capacity_is_what_was_asked_for,
    len_empty_full,
    a_capacity_of_zero_is_refused,
    sizes_beyond_the_address_space_are_refused,
    try_recv,
    recv,
    recv_timeout,
    try_send,
    send,
    send_timeout,
    send_after_disconnect,
    recv_after_disconnect,
    a_slice_is_sent_in_order,
    stress_oneshot,
    stress_iter,
    stress_timeout_two_threads,
    spsc_between_threads,
    mpmc_between_threads,
    mpmc_with_every_way_to_wait,
    handles_are_counted,
    all_sizes_cross,
];

fn smoke() {
    let (mut tx, mut rx) = ring::<u64>(1);
    tx.send(7).unwrap();
    assert_eq!(rx.try_recv(), Ok(7));
    tx.try_send(8).unwrap();
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    assert_eq!(rx.recv(), Ok(8));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
}

fn capacity_is_what_was_asked_for() {
    for capacity in [1, 2, 3, 5, 7, 64, 100] {
        let (mut tx, mut rx) = ring::<u16>(capacity);
        assert_eq!((tx.capacity(), rx.capacity()), (capacity, capacity));
        for round in 0..30 {
            for n in 0..capacity {
                tx.try_send(n as u16 + round).unwrap();
            }
            assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)));
            for n in 0..capacity {
                assert_eq!(rx.try_recv(), Ok(n as u16 + round));
            }
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

fn len_empty_full() {
    let (mut tx, mut rx) = ring::<u8>(2);
    let now = |tx: &mpmc::Sender<u8>, rx: &mpmc::Receiver<u8>| {
        assert_eq!((tx.len(), tx.is_empty(), tx.is_full()), (rx.len(), rx.is_empty(), rx.is_full()));
        (rx.len(), rx.is_empty(), rx.is_full())
    };
    for _ in 0..50 {
        assert_eq!(now(&tx, &rx), (0, true, false));
        tx.send(1).unwrap();
        assert_eq!(now(&tx, &rx), (1, false, false));
        tx.send(2).unwrap();
        assert_eq!(now(&tx, &rx), (2, false, true));
        rx.recv().unwrap();
        assert_eq!(now(&tx, &rx), (1, false, false));
        rx.recv().unwrap();
    }
    assert!(!tx.is_disconnected() && !rx.is_disconnected());
}

fn a_capacity_of_zero_is_refused() {
    assert_eq!(mpmc::channel::<u8>(0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

fn sizes_beyond_the_address_space_are_refused() {
    for capacity in [usize::MAX, usize::MAX / 2, 1 << 62, 1 << 60] {
        assert_eq!(mpmc::channel::<u64>(capacity).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory, "{capacity}");
    }
}

fn try_recv() {
    let (tx, mut rx) = ring::<i32>(100);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let sender = thread::spawn(move || tx.clone().send(7).unwrap());
    sender.join().unwrap();
    assert_eq!(rx.try_recv(), Ok(7));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

fn recv() {
    let (mut tx, mut rx) = ring::<i32>(100);
    let receiver = thread::spawn(move || [rx.recv(), rx.recv(), rx.recv(), rx.recv()]);
    tx.send_slice(&[7, 8, 9]).unwrap();
    drop(tx);
    assert_eq!(receiver.join().unwrap(), [Ok(7), Ok(8), Ok(9), Err(RecvError::Disconnected)]);
}

fn recv_timeout() {
    let (mut tx, mut rx) = ring::<i32>(100);
    let before = Instant::now();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(before.elapsed() >= SHORT);
    let receiver = thread::spawn(move || (rx.recv_timeout(LONG), rx.recv_timeout(LONG)));
    tx.send(7).unwrap();
    drop(tx);
    assert_eq!(receiver.join().unwrap(), (Ok(7), Err(RecvTimeoutError::Disconnected)));
}

fn try_send() {
    let (mut tx, mut rx) = ring::<i32>(1);
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    let receiver = thread::spawn(move || rx.recv());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    assert_eq!(tx.try_send(4), Err(TrySendError::Disconnected(4)));
}

fn send() {
    let (mut tx, mut rx) = ring::<i32>(1);
    let sender = thread::spawn(move || (7..=10).for_each(|n| tx.send(n).unwrap()));
    assert_eq!(rx.iter().collect::<Vec<_>>(), [Ok(7), Ok(8), Ok(9), Ok(10)]);
    sender.join().unwrap();
}

fn send_timeout() {
    let (mut tx, mut rx) = ring::<i32>(2);
    assert_eq!((tx.send_timeout(1, SHORT), tx.send_timeout(2, SHORT)), (Ok(()), Ok(())));
    let before = Instant::now();
    assert_eq!(tx.send_timeout(3, SHORT), Err(SendTimeoutError::Timeout(3)));
    assert!(before.elapsed() >= SHORT);
    let sender = thread::spawn(move || (tx.send_timeout(4, LONG), tx));
    assert_eq!(rx.recv(), Ok(1));
    let (sent, mut tx) = sender.join().unwrap();
    assert_eq!(sent, Ok(()));
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Ok(4)));
    drop(rx);
    assert_eq!(tx.send_timeout(5, LONG), Err(SendTimeoutError::Disconnected(5)));
}

fn send_after_disconnect() {
    let (mut tx, rx) = ring::<i32>(100);
    let other = rx.clone();
    tx.send(1).unwrap();
    drop(rx);
    tx.send(2).unwrap();
    drop(other);
    assert_eq!(tx.send(4), Err(SendError::Disconnected(4)));
    assert_eq!(tx.try_send(5), Err(TrySendError::Disconnected(5)));
    assert_eq!(tx.send_timeout(6, LONG), Err(SendTimeoutError::Disconnected(6)));
    assert_eq!(tx.send_slice(&[7, 8]), Err(SendError::Disconnected(0)));
    assert!(tx.is_disconnected());
}

fn recv_after_disconnect() {
    let (mut tx, mut rx) = ring::<i32>(100);
    let other = tx.clone();
    tx.send_slice(&[1, 2, 3]).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok(1));
    drop(other);
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Ok(3)));
    assert_eq!((rx.recv(), rx.try_recv()), (Err(RecvError::Disconnected), Err(TryRecvError::Disconnected)));
    assert!(rx.is_disconnected());
}

fn a_slice_is_sent_in_order() {
    let (mut tx, mut rx) = ring::<u32>(7);
    let sender = thread::spawn(move || {
        let values: Vec<u32> = (0..10_000).collect();
        values.chunks(97).for_each(|values| tx.send_slice(values).unwrap());
        tx.send_slice(&[]).unwrap();
    });
    assert!(rx.iter().map(Result::unwrap).eq(0..10_000));
    sender.join().unwrap();
}

fn stress_oneshot() {
    for _ in 0..300 {
        let (mut tx, mut rx) = ring::<i32>(1);
        let receiver = thread::spawn(move || rx.recv());
        tx.send(0).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(0));
    }
}

/// There and back, each as much as there is.
fn stress_iter() {
    let ((mut request, mut requests), (mut response, mut responses)) = (ring::<u8>(100), ring::<u32>(1));
    let counter = thread::spawn(move || {
        let mut count = 0;
        loop {
            loop {
                match requests.try_recv() {
                    Ok(n) => count += u32::from(n),
                    Err(TryRecvError::Empty) => break,
                    Err(_) => return,
                }
            }
            match response.try_send(count) {
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(_) => return,
            }
        }
    });
    for _ in 0..1000 {
        let _ = request.try_send(1);
    }
    while responses.recv().unwrap() < 100 {
        request.send(1).unwrap();
    }
    drop((request, responses));
    counter.join().unwrap();
}

fn stress_timeout_two_threads() {
    let (mut tx, mut rx) = ring::<usize>(2);
    let sender = thread::spawn(move || {
        for n in 0..50 {
            if n % 2 == 0 {
                thread::sleep(SHORT / 10);
            }
            while tx.send_timeout(n, SHORT / 20).is_err() {}
        }
    });
    for n in 0..50 {
        if n % 3 == 0 {
            thread::sleep(SHORT / 10);
        }
        let received = loop {
            match rx.recv_timeout(SHORT / 20) {
                Ok(received) => break received,
                Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
            }
        };
        assert_eq!(received, n);
    }
    sender.join().unwrap();
}

fn spsc_between_threads() {
    for capacity in [1, 3, 64] {
        let (mut tx, mut rx) = ring::<u32>(capacity);
        let receiver = thread::spawn(move || {
            (0..30_000).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
            assert_eq!(rx.recv(), Err(RecvError::Disconnected));
        });
        (0..30_000).for_each(|n| tx.send(n).unwrap());
        drop(tx);
        receiver.join().unwrap();
    }
}

/// Each once, and of each sender in order.
fn exchange(senders: u64, receivers: usize, capacity: usize, messages: u64, spin: Spin) {
    let (tx, rx) = ring::<u64>(capacity);
    let sending: Vec<_> = (0..senders)
        .map(|sender| {
            let mut tx = tx.clone();
            tx.set_spin(spin);
            thread::spawn(move || (0..messages).for_each(|n| tx.send(sender << 32 | n).unwrap()))
        })
        .collect();
    let receiving: Vec<_> = (0..receivers)
        .map(|_| {
            let mut rx = rx.clone();
            rx.set_spin(spin);
            thread::spawn(move || {
                let mut next = vec![0; senders as usize];
                let mut all = Vec::new();
                for received in rx.iter() {
                    let received = received.unwrap();
                    let (sender, n) = (received >> 32, received & 0xffff_ffff);
                    assert!(n >= next[sender as usize], "in order");
                    next[sender as usize] = n + 1;
                    all.push(received);
                }
                all
            })
        })
        .collect();
    drop((tx, rx));
    sending.into_iter().for_each(|thread| thread.join().unwrap());
    let mut all: Vec<_> = receiving.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..senders).flat_map(|sender| (0..messages).map(move |n| sender << 32 | n))));
}

fn mpmc_between_threads() {
    for capacity in [1, 2, 3, 64] {
        exchange(4, 4, capacity, 3_000, Spin::Adaptive);
    }
    exchange(1, 4, 5, 10_000, Spin::Adaptive);
    exchange(4, 1, 5, 3_000, Spin::Adaptive);
}

fn mpmc_with_every_way_to_wait() {
    for spin in [Spin::Adaptive, Spin::Never] {
        exchange(3, 3, 4, 2_000, spin);
    }
    // More of them than CPUs would keep each other from running.
    exchange(1, 1, 4, 1_000, Spin::Always);
}

fn handles_are_counted() {
    let (tx, mut rx) = ring::<u8>(1);
    let mut clones: Vec<_> = (0..1022).map(|_| tx.try_clone().unwrap()).collect();
    assert_eq!(tx.try_clone().unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
    assert_eq!(rx.try_clone().unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
    let (mut good_for_nothing, mut this_too) = (tx.clone(), rx.clone());
    assert_eq!(good_for_nothing.send(Default::default()), Err(SendError::NotOwner(Default::default())));
    assert_eq!(this_too.try_recv(), Err(TryRecvError::NotOwner));
    assert!(this_too.take_over().is_err());
    clones.pop();
    clones.push(tx.try_clone().unwrap());
    clones.last_mut().unwrap().send(1).unwrap();
    drop((clones, tx));
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
}

fn all_sizes_cross() {
    fn cross<T: Plain + PartialEq + std::fmt::Debug>(values: [T; 3]) {
        let (mut tx, mut rx) = ring::<T>(2);
        for value in values {
            tx.send(value).unwrap();
            assert_eq!(rx.recv(), Ok(value));
        }
    }
    cross([0_u8, 1, 255]);
    cross([0_u16, 1, u16::MAX]);
    cross([0_u128, 1, u128::MAX]);
    cross([[0_u8; 3], [1; 3], [255; 3]]);
    cross([[0_u64; 1000], [1; 1000], [u64::MAX; 1000]]);
    cross([(), (), ()]);
}
