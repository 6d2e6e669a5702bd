//! Whose an end is, and how it changes hands.

use tine::channel::{RecvError, SendError, TryRecvError, TrySendError};
use tine::process::spawn_with;

use crate::support::{Case, in_child};
use crate::{cases, end_by, ring};

pub const CASES: &[Case] = cases![
    clones_move_into_children,
    clones_move_into_grandchildren,
    what_is_passed_is_the_childs,
    what_is_borrowed_stays_the_parents,
    a_copy_in_another_child_keeps_nothing_open,
    a_foreign_fork_owns_nothing,
    a_child_clones_what_it_was_given,
    a_panicking_child_closes_its_end,
];

fn clones_move_into_children() {
    let (tx, mut rx) = ring::<u64>(8);
    let children: Vec<_> = (0..4)
        .map(|child| {
            let mut tx = tx.clone();
            tine::spawn(move || (0..1000).for_each(|n| tx.send(child << 32 | n).unwrap())).unwrap()
        })
        .collect();
    drop(tx);
    let mut next = [0; 4];
    for received in rx.iter() {
        let received = received.unwrap();
        let (child, n) = (received >> 32, received & 0xffff_ffff);
        assert_eq!(n, next[child as usize]);
        next[child as usize] += 1;
    }
    assert_eq!(next, [1000; 4]);
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn clones_move_into_grandchildren() {
    let ((mut tx, rx), (up, mut sums)) = (ring::<u64>(8), ring::<u64>(8));
    let children: Vec<_> = (0..2)
        .map(|_| {
            let (rx, up) = (rx.clone(), up.clone());
            tine::spawn(move || {
                let grandchildren: Vec<_> = (0..2)
                    .map(|_| {
                        let (mut rx, mut up) = (rx.clone(), up.clone());
                        tine::spawn(move || up.send(rx.iter().map(Result::unwrap).sum()).unwrap()).unwrap()
                    })
                    .collect();
                drop((rx, up));
                grandchildren.into_iter().for_each(|child| child.join().unwrap());
            })
            .unwrap()
        })
        .collect();
    drop((rx, up));
    (1..=1000).for_each(|n| tx.send(n).unwrap());
    drop(tx);
    let sums: Vec<_> = sums.iter().map(Result::unwrap).collect();
    assert_eq!((sums.len(), sums.iter().sum::<u64>()), (4, 500_500));
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn what_is_passed_is_the_childs() {
    let (tx, mut rx) = ring::<u32>(4);
    let child = spawn_with((tx.clone(), 7), |(mut tx, n)| tx.send(n).is_ok()).unwrap();
    assert_eq!(rx.recv(), Ok(7));
    assert!(child.join().unwrap());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "one is the parent's still");
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn what_is_borrowed_stays_the_parents() {
    let (mut tx, mut rx) = ring::<u32>(4);
    let child = tine::spawn(|| {
        let refused = tx.try_clone().unwrap_err().kind() == std::io::ErrorKind::PermissionDenied;
        refused && tx.send(1) == Err(SendError::NotOwner(1)) && rx.recv() == Err(RecvError::NotOwner)
    })
    .unwrap();
    assert!(child.join().unwrap());
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

fn a_copy_in_another_child_keeps_nothing_open() {
    let (mut tx, mut rx) = ring::<u32>(4);
    let sibling = tine::spawn(crate::stay).unwrap();
    let child = tine::spawn(move || tx.send(1).unwrap()).unwrap();
    let other = tine::spawn(crate::stay).unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
    child.join().unwrap();
    for stays in [sibling, other] {
        stays.kill().unwrap();
        let _ = stays.join();
    }
}

fn a_foreign_fork_owns_nothing() {
    let (mut tx, mut rx) = ring::<u8>(2);
    tx.send(1).unwrap();
    let status = in_child(|| {
        assert_eq!(tx.try_send(2), Err(TrySendError::NotOwner(2)));
        assert_eq!(tx.send_slice(&[2, 3]), Err(SendError::NotOwner(0)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::NotOwner));
        assert!(rx.try_claim().is_err());
        let (mut own, mut end) = ring::<u8>(1);
        own.send(3).unwrap();
        assert_eq!(end.recv(), Ok(3));
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(rx.recv(), Ok(1));
    tx.send(4).unwrap();
    assert_eq!(rx.recv(), Ok(4));
}

fn a_child_clones_what_it_was_given() {
    let (tx, mut rx) = ring::<u64>(4);
    let child = tine::spawn(move || {
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let mut tx = tx.clone();
                std::thread::spawn(move || (0..100).for_each(|_| tx.send(n).unwrap()))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    })
    .unwrap();
    let mut counts = [0; 3];
    rx.iter().for_each(|n| counts[n.unwrap() as usize] += 1);
    assert_eq!(counts, [100; 3]);
    child.join().unwrap();
}

fn a_panicking_child_closes_its_end() {
    let (mut tx, mut rx) = ring::<u8>(2);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        end_by(|| panic!("on purpose"));
    })
    .unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)), "unwinding drops it");
    child.join().unwrap_err();
}
