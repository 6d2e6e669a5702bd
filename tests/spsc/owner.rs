//! Whose an end is, and how it changes hands.

use std::cell::RefCell;
use std::rc::Rc;

use tine::channel::spsc::{Receiver, Sender};
use tine::channel::{RecvError, SendError, TryRecvError, TrySendError};
use tine::process::{Builder, spawn_with};

use crate::support::{Case, in_child, until};
use crate::{cases, end_by, ring};

pub const CASES: &[Case] = cases![
    what_is_moved_into_a_closure_is_the_childs,
    what_is_passed_is_the_childs,
    what_is_borrowed_stays_the_parents,
    a_copy_that_was_not_handed_over_is_told_so,
    a_copy_in_another_child_keeps_nothing_open,
    both_ends_may_go_to_one_child,
    an_end_inside_of_something_goes_with_it,
    a_grandchild_gets_what_a_child_was_given,
    an_unused_end_goes_on_to_a_grandchild,
    siblings_talk_to_each_other,
    a_drop_inside_a_hand_over_may_spawn,
    what_a_drop_makes_is_not_handed_over,
    a_spawn_that_fails_hands_over_nothing,
    a_foreign_fork_owns_nothing,
    a_panicking_child_closes_its_end,
    a_child_that_keeps_its_captures_gets_nothing,
    reservations_keep_a_fork_away,
    threads_of_a_child_use_what_it_was_given,
    ten_thousand_channels_go_to_one_child,
];

fn what_is_moved_into_a_closure_is_the_childs() {
    let (mut tx, mut rx) = ring::<u32>(4);
    let child = tine::spawn(move || (1..=3).for_each(|n| tx.send(n).unwrap())).unwrap();
    assert_eq!(rx.iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    child.join().unwrap();
    let (mut tx, mut rx) = ring::<u32>(1);
    let child = tine::spawn(move || rx.iter().map(Result::unwrap).sum::<u32>()).unwrap();
    (1..=100).for_each(|n| tx.send(n).unwrap());
    drop(tx);
    assert_eq!(child.join().unwrap(), 5050);
}

fn what_is_passed_is_the_childs() {
    let (tx, mut rx) = ring::<u32>(4);
    let child = spawn_with(Some((tx, 7)), |given| {
        let (mut tx, n) = given.unwrap();
        tx.send(n).is_ok()
    })
    .unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(7), Err(RecvError::Disconnected)));
    assert!(child.join().unwrap());
}

fn what_is_borrowed_stays_the_parents() {
    let (mut tx, mut rx) = ring::<u32>(4);
    let child = tine::spawn(|| {
        let sent = tx.send(1) == Err(SendError::NotOwner(1)) && tx.try_send(1) == Err(TrySendError::NotOwner(1));
        let received = rx.recv() == Err(RecvError::NotOwner) && rx.try_recv() == Err(TryRecvError::NotOwner);
        (sent, received, tx.try_reserve(1).is_err(), rx.try_peek(1).is_err())
    });
    assert_eq!(child.unwrap().join().unwrap(), (true, true, true, true));
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
    let error = SendError::NotOwner(0).to_string();
    assert!(error.contains("move it into the closure"), "{error}");
}

fn a_copy_that_was_not_handed_over_is_told_so() {
    thread_local! {
        static KEPT: RefCell<Option<Sender<u8>>> = const { RefCell::new(None) };
    }
    let (tx, mut rx) = ring::<u8>(1);
    KEPT.set(Some(tx));
    let child = tine::spawn(|| {
        let mut copy = KEPT.take().unwrap();
        let refused = copy.send(1) == Err(SendError::NotOwner(1));
        drop(copy);
        refused
    })
    .unwrap();
    assert!(child.join().unwrap());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "the copy's drop has closed nothing");
    drop(KEPT.take());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

fn a_copy_in_another_child_keeps_nothing_open() {
    let (tx, mut rx) = ring::<u8>(1);
    let sibling = tine::spawn(|| tine::process::stop().wait()).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
    sibling.request_stop().unwrap();
    sibling.join().unwrap();
}

fn both_ends_may_go_to_one_child() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        let first = rx.recv() == Ok(1);
        drop(tx);
        first && rx.recv() == Err(RecvError::Disconnected)
    });
    assert!(child.unwrap().join().unwrap());
}

fn an_end_inside_of_something_goes_with_it() {
    let (tx, mut rx) = ring::<u8>(1);
    let shared = Rc::new(RefCell::new(vec![Some(Box::new(tx))]));
    let child = tine::spawn(move || shared.borrow_mut()[0].as_mut().unwrap().send(5).unwrap()).unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(5), Err(RecvError::Disconnected)));
    child.join().unwrap();
    // Where the parent keeps a share of it, nothing was dropped, so nothing has changed hands.
    let (tx, mut rx) = ring::<u8>(1);
    let shared = Rc::new(RefCell::new(tx));
    let copy = Rc::clone(&shared);
    let child = tine::spawn(move || copy.borrow_mut().send(5) == Err(SendError::NotOwner(5))).unwrap();
    assert!(child.join().unwrap());
    shared.borrow_mut().send(6).unwrap();
    assert_eq!(rx.recv(), Ok(6));
}

fn a_grandchild_gets_what_a_child_was_given() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        let grandchild = tine::spawn(move || tx.send(2).unwrap()).unwrap();
        grandchild.join().is_ok()
    })
    .unwrap();
    assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Ok(1), Ok(2), Err(RecvError::Disconnected)));
    assert!(child.join().unwrap());
}

fn an_unused_end_goes_on_to_a_grandchild() {
    let (mut tx, mut rx) = ring::<u8>(1);
    let child = tine::spawn(move || {
        let grandchild = tine::spawn(move || tine::spawn(move || tx.send(2).unwrap()).unwrap().join().is_ok()).unwrap();
        grandchild.join().unwrap()
    })
    .unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Err(RecvError::Disconnected)));
    assert!(child.join().unwrap());
}

fn siblings_talk_to_each_other() {
    let (mut tx, mut rx) = ring::<u64>(16);
    let sends = tine::spawn(move || (0..10_000).for_each(|n| tx.send(n).unwrap())).unwrap();
    let receives = tine::spawn(move || rx.iter().map(Result::unwrap).sum::<u64>()).unwrap();
    assert_eq!(receives.join().unwrap(), 9_999 * 5_000);
    sends.join().unwrap();
}

/// Spawns when it is dropped, in the process that dropped it first.
struct SpawnsAtDrop(Option<Sender<u8>>, u32);

impl Drop for SpawnsAtDrop {
    fn drop(&mut self) {
        if std::process::id() == self.1 {
            let mut tx = self.0.take().unwrap();
            tine::spawn(move || tx.send(9).unwrap()).unwrap().join().unwrap();
        }
    }
}

fn a_drop_inside_a_hand_over_may_spawn() {
    let ((inner_tx, mut inner_rx), (mut tx, mut rx)) = (ring::<u8>(1), ring::<u8>(1));
    let spawns = SpawnsAtDrop(Some(inner_tx), std::process::id());
    let child = tine::spawn(move || {
        let spawns = spawns;
        tx.send(u8::from(spawns.0.is_some())).unwrap();
        std::mem::forget(spawns);
    })
    .unwrap();
    assert_eq!((inner_rx.recv(), inner_rx.recv()), (Ok(9), Err(RecvError::Disconnected)));
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
    child.join().unwrap();
}

fn what_a_drop_makes_is_not_handed_over() {
    struct MakesAtDrop(Rc<RefCell<Option<Receiver<u8>>>>);
    impl Drop for MakesAtDrop {
        fn drop(&mut self) {
            let (tx, rx) = ring::<u8>(1);
            drop(tx);
            *self.0.borrow_mut() = Some(rx);
        }
    }
    let made = Rc::new(RefCell::new(None));
    let makes = MakesAtDrop(Rc::clone(&made));
    let child = tine::spawn(move || drop(makes)).unwrap();
    assert_eq!(made.take().unwrap().recv(), Err(RecvError::Disconnected), "it was dropped, and by nobody else");
    child.join().unwrap();
}

fn a_spawn_that_fails_hands_over_nothing() {
    let (tx, mut rx) = ring::<u8>(1);
    let f = move || {
        let mut tx = tx;
        tx.send(1).is_ok()
    };
    let stop = std::sync::Arc::new(std::sync::Barrier::new(2));
    let thread = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || stop.wait()
    });
    let (error, f) = Builder::new().try_spawn(f).unwrap_err();
    assert!(matches!(error, tine::process::SpawnError::MultiThreaded { .. }), "{error}");
    stop.wait();
    thread.join().unwrap();
    assert!(f(), "it is this process's still");
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Err(RecvError::Disconnected)));
}

fn a_foreign_fork_owns_nothing() {
    let (mut tx, mut rx) = ring::<u8>(2);
    tx.send(1).unwrap();
    let status = in_child(|| {
        assert_eq!(tx.send(2), Err(SendError::NotOwner(2)));
        assert_eq!(rx.recv(), Err(RecvError::NotOwner));
        let (mut own, mut end) = ring::<u8>(1);
        own.send(3).unwrap();
        assert_eq!(end.recv(), Ok(3));
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(rx.recv(), Ok(1));
    tx.send(4).unwrap();
    assert_eq!(rx.recv(), Ok(4));
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

fn a_child_that_keeps_its_captures_gets_nothing() {
    let (tx, mut rx) = ring::<u8>(1);
    let child = Builder::new().keep_captures().spawn(move || {
        let mut tx = tx;
        tx.send(1) == Err(SendError::NotOwner(1))
    });
    assert!(child.unwrap().join().unwrap());
    assert_eq!(rx.recv(), Err(RecvError::Disconnected), "kept until the child was joined, and dropped then");
}

fn reservations_keep_a_fork_away() {
    let (mut tx, mut rx) = ring::<u8>(2);
    let room = tx.reserve(1).unwrap();
    assert!(matches!(tine::spawn(|| ()).unwrap_err(), tine::process::SpawnError::LoanHeld));
    room.commit();
    let peek = rx.peek(1).unwrap();
    assert!(matches!(tine::spawn(|| ()).unwrap_err(), tine::process::SpawnError::LoanHeld));
    peek.consume();
    tine::spawn(|| ()).unwrap().join().unwrap();
}

fn threads_of_a_child_use_what_it_was_given() {
    let (mut tx, mut rx) = ring::<u64>(4);
    let child = tine::spawn(move || {
        let thread = std::thread::spawn(move || {
            tx.send(1).unwrap();
            tx
        });
        let mut tx = thread.join().unwrap();
        tx.send(2).unwrap();
        std::thread::spawn(move || tx.send(3).unwrap()).join().unwrap();
    })
    .unwrap();
    assert_eq!(rx.iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    child.join().unwrap();
}

fn ten_thousand_channels_go_to_one_child() {
    let (mut senders, mut receivers): (Vec<_>, Vec<_>) = (0..10_000).map(|_| ring::<u16>(1)).unzip();
    let kept = senders.split_off(5_000);
    let child = tine::spawn(move || {
        for (n, tx) in senders.iter_mut().enumerate() {
            tx.send(n as u16).unwrap();
        }
    })
    .unwrap();
    for (n, rx) in receivers.iter_mut().enumerate().take(5_000) {
        assert_eq!((rx.recv(), rx.recv()), (Ok(n as u16), Err(RecvError::Disconnected)));
    }
    assert!(receivers[5_000..].iter_mut().all(|rx| rx.try_recv() == Err(TryRecvError::Empty)));
    child.join().unwrap();
    drop(kept);
    until("all are closed", || receivers.iter_mut().all(|rx| rx.try_recv() == Err(TryRecvError::Disconnected)));
}
