//! Sleeping and waking: deadlines, signals, kernels that lack a call.

use std::time::{Duration, Instant};

use tine::channel::{RecvError, RecvTimeoutError, Spin, TryRecvError};
use tine::sync::Event;
use tine::{Shared, wait};

use crate::support::{Case, in_child};
use crate::{cases, refuse, ring, stay, storm, until_asleep};

pub const CASES: &[Case] = cases![
    disconnect_wakes_receiver,
    disconnect_wakes_sender,
    a_message_wakes_a_receiver,
    room_wakes_a_sender,
    one_store_wakes_for_a_batch,
    a_receive_waits_through_a_storm_of_signals,
    a_send_waits_through_a_storm_of_signals,
    it_works_without_the_call_for_several_words,
    it_works_without_the_fence_of_the_kernel,
    it_works_where_one_side_lacks_the_fence,
    wait_takes_receivers,
    wait_takes_receivers_and_descriptors,
    wait_hears_each_message,
    who_never_sleeps_hears_of_the_end,
];

fn disconnect_wakes_receiver() {
    let (tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || rx.recv() == Err(RecvError::Disconnected)).unwrap();
    until_asleep(&child);
    drop(tx);
    assert!(child.join().unwrap());
}

fn disconnect_wakes_sender() {
    let (mut tx, rx) = ring::<u8>(1);
    let child = tine::spawn(move || (tx.send(1).is_ok(), tx.send(2).is_err())).unwrap();
    until_asleep(&child);
    drop(rx);
    assert_eq!(child.join().unwrap(), (true, true));
}

fn a_message_wakes_a_receiver() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || rx.iter().map(Result::unwrap).collect::<Vec<u8>>()).unwrap();
    for n in 0..5 {
        until_asleep(&child);
        tx.send(n).unwrap();
    }
    drop(tx);
    assert_eq!(child.join().unwrap(), [0, 1, 2, 3, 4]);
}

fn room_wakes_a_sender() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || (0..6).for_each(|n| tx.send(n).unwrap())).unwrap();
    for n in 0..5 {
        until_asleep(&child);
        assert_eq!(rx.recv(), Ok(n));
    }
    assert_eq!(rx.recv(), Ok(5));
    child.join().unwrap();
}

fn one_store_wakes_for_a_batch() {
    let (mut tx, mut rx) = ring::<u8>(8);
    let child = tine::spawn(move || {
        let mut all = [0; 8];
        let n = rx.recv_slice(&mut all).unwrap();
        all[..n].to_vec()
    })
    .unwrap();
    until_asleep(&child);
    tx.send_slice(&[1, 2, 3, 4]).unwrap();
    assert_eq!(child.join().unwrap(), [1, 2, 3, 4]);
}

const WHILE: Duration = Duration::from_millis(150);

fn a_receive_waits_through_a_storm_of_signals() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let ready = Shared::new(Event::new()).unwrap();
    let child = tine::spawn({
        let ready = ready.clone();
        move || {
            storm::start();
            while storm::signals() < 50 {
                let before = Instant::now();
                assert_eq!(rx.recv_timeout(WHILE), Err(RecvTimeoutError::Timeout));
                assert!(before.elapsed() >= WHILE);
            }
            ready.set();
            let received = rx.recv();
            storm::stop();
            received == Ok(1)
        }
    })
    .unwrap();
    ready.wait();
    tx.send(1).unwrap();
    assert!(child.join().unwrap());
}

fn a_send_waits_through_a_storm_of_signals() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let ready = Shared::new(Event::new()).unwrap();
    tx.send(0).unwrap();
    let child = tine::spawn({
        let ready = ready.clone();
        move || {
            storm::start();
            while storm::signals() < 50 {
                let before = Instant::now();
                assert!(tx.send_timeout(1, WHILE).is_err() && before.elapsed() >= WHILE);
            }
            ready.set();
            let sent = tx.send(1);
            storm::stop();
            sent.is_ok()
        }
    })
    .unwrap();
    ready.wait();
    assert_eq!((rx.recv(), rx.recv()), (Ok(0), Ok(1)));
    assert!(child.join().unwrap());
}

/// Messages there and back, by sleepers.
fn ping_pong() {
    let ((mut tx, mut there), (mut back, mut rx)) = (ring::<u64>(1), ring::<u64>(1));
    there.set_spin(Spin::Never);
    rx.set_spin(Spin::Never);
    let child = tine::spawn(move || {
        for received in there.iter() {
            back.send(received.unwrap() + 1).unwrap();
        }
    })
    .unwrap();
    for n in 0..200 {
        tx.send(n).unwrap();
        assert_eq!(rx.recv(), Ok(n + 1));
    }
    child.kill().unwrap();
    assert!(matches!(rx.recv(), Err(RecvError::PeerDied(_))));
    let _ = child.join();
}

fn it_works_without_the_call_for_several_words() {
    let status = in_child(|| {
        refuse::refuse_call(libc::SYS_futex_waitv, None, libc::ENOSYS);
        ping_pong();
    });
    assert_eq!(status.code(), Some(0));
}

fn it_works_without_the_fence_of_the_kernel() {
    let status = in_child(|| {
        refuse::refuse_call(libc::SYS_membarrier, None, libc::EPERM);
        ping_pong();
    });
    assert_eq!(status.code(), Some(0));
}

fn it_works_where_one_side_lacks_the_fence() {
    let ((mut tx, mut there), (mut back, mut rx)) = (ring::<u64>(1), ring::<u64>(1));
    let child = tine::spawn(move || {
        refuse::refuse_call(libc::SYS_membarrier, None, libc::EPERM);
        there.set_spin(Spin::Never);
        for received in there.iter() {
            back.send(received.unwrap() + 1).unwrap();
        }
    })
    .unwrap();
    for n in 0..200 {
        tx.send(n).unwrap();
        assert_eq!(rx.recv(), Ok(n + 1));
    }
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    child.join().unwrap();
}

const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn wait_takes_receivers() {
    let ((mut tx, rx), (_other_tx, other)) = (ring::<u8>(1), ring::<u8>(1));
    assert_eq!(wait(&[&other, &rx], Some(Duration::ZERO)).unwrap(), None);
    let child = tine::spawn(move || {
        let mut rx = rx;
        let mut found = Vec::new();
        while wait(&[&rx], LONG).unwrap() == Some(0) {
            match rx.try_recv() {
                Ok(n) => found.push(n),
                Err(error) => return (found, error == TryRecvError::Disconnected),
            }
        }
        (found, false)
    })
    .unwrap();
    until_asleep(&child);
    tx.send(1).unwrap();
    until_asleep(&child);
    tx.send(2).unwrap();
    drop(tx);
    assert_eq!(child.join().unwrap(), (vec![1, 2], true));
    drop(other);
}

fn wait_takes_receivers_and_descriptors() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let (reader, _writer) = std::io::pipe().unwrap();
    let child = tine::spawn(move || {
        let first = wait(&[&reader, &rx], LONG).unwrap();
        (first, rx.try_recv().ok())
    })
    .unwrap();
    crate::until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
    tx.send(5).unwrap();
    assert_eq!(child.join().unwrap(), (Some(1), Some(5)));
}

fn wait_hears_each_message() {
    let (mut tx, mut rx) = ring::<u32>(1);
    let (mut back, mut acks) = ring::<u32>(1);
    let (reader, _writer) = std::io::pipe().unwrap();
    let child = tine::spawn(move || {
        for n in 0..500 {
            assert_eq!(wait(&[&reader, &rx], LONG).unwrap(), Some(1));
            assert_eq!(rx.try_recv(), Ok(n));
            back.send(n).unwrap();
        }
    })
    .unwrap();
    for n in 0..500 {
        tx.send(n).unwrap();
        assert_eq!(acks.recv(), Ok(n));
    }
    child.join().unwrap();
}

fn who_never_sleeps_hears_of_the_end() {
    let ((mut tx, mut rx), (mut up, down)) = (ring::<u8>(1), ring::<u8>(1));
    tx.set_spin(Spin::Always);
    let victim = tine::spawn(move || {
        let _keeps = (tx, down);
        stay();
    })
    .unwrap();
    up.set_spin(Spin::Always);
    rx.set_spin(Spin::Always);
    assert_eq!(rx.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
    victim.kill().unwrap();
    assert!(matches!(rx.recv(), Err(RecvError::PeerDied(_))));
    while up.send(0).is_ok() {}
    let _ = victim.join();
}
