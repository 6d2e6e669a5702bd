//! Processes that end without closing.

use std::time::Duration;

use tine::channel::{PeerDeath, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError};
use tine::process::Signal;
use tine::sync::Event;
use tine::{Shared, wait};

use crate::support::{Case, until};
use crate::{cases, end_by, ring, stay, until_asleep};

pub const CASES: &[Case] = cases![
    a_killed_sender_is_told_after_all_that_it_sent,
    a_killed_receiver_is_told_with_what_it_left,
    a_killed_receiver_is_told_again_where_there_is_room,
    a_parent_killed_in_the_midst_of_a_hand_over,
    a_killed_peer_wakes_who_sleeps,
    a_killed_peer_wakes_who_waits_for_many,
    an_iteration_tells_a_death_once,
    a_sender_that_exits_without_a_drop_has_died,
    a_sender_that_execs_has_died,
    a_child_killed_before_it_touched_its_end_has_died,
    a_parent_that_dies_is_told_to_its_children,
    a_stopped_sender_is_not_dead,
    a_killed_sender_leaves_no_half_batch,
    who_succeeds_the_dead_closes_for_good,
    a_thread_that_ends_is_not_the_death_of_its_process,
    a_death_that_the_kernel_does_not_mark_is_found,
    many_kills_while_both_work,
];

fn is_death(found: Result<u64, RecvError>, pid: u32) -> bool {
    matches!(found, Err(RecvError::PeerDied(PeerDeath { pid: dead, in_flight: 0, .. })) if dead == pid)
}

fn a_killed_sender_is_told_after_all_that_it_sent() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        tx.send_slice(&[1, 2, 3]).unwrap();
        std::mem::forget(tx);
        stay();
    })
    .unwrap();
    until("it has sent all", || rx.len() == 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((rx.recv(), rx.try_recv(), rx.recv()), (Ok(1), Ok(2), Ok(3)));
    assert!(rx.is_disconnected());
    let pid = child.id();
    assert!(is_death(rx.recv(), pid));
    assert_eq!(
        (rx.recv(), rx.try_recv()),
        (Err(RecvError::Disconnected), Err(TryRecvError::Disconnected)),
        "told once"
    );
}

fn a_killed_receiver_is_told_with_what_it_left() {
    let (mut tx, mut rx) = ring::<u64>(4);
    let child = tine::spawn(move || {
        rx.recv().unwrap();
        std::mem::forget(rx);
        stay();
    })
    .unwrap();
    tx.send_slice(&[1, 2, 3]).unwrap();
    until("it has received one", || tx.len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    tx.send_slice(&[4, 5]).unwrap_or_default();
    match tx.send(6) {
        Err(SendError::PeerDied(6, PeerDeath { pid, in_flight: 2..=4, .. })) => assert_eq!(pid, child.id()),
        other => panic!("{other:?}"),
    }
    assert!(tx.is_disconnected());
}

fn a_killed_receiver_is_told_again_where_there_is_room() {
    let (mut tx, rx) = ring::<u64>(2);
    let child = tine::spawn(move || {
        let _rx = rx;
        stay();
    })
    .unwrap();
    tx.send(1).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(tx.reserve(2), Err(SendError::PeerDied((), _))), "there is no room for two");
    assert!(matches!(tx.send(2), Err(SendError::PeerDied(2, _))), "there is for one, which nobody will have");
}

/// Says that it is dropped, and stays, in the process that spawns; in the child it is nothing.
struct StaysWhenDropped<'a> {
    dropped: &'a Event,
    in_process: u32,
}

impl Drop for StaysWhenDropped<'_> {
    fn drop(&mut self) {
        if std::process::id() == self.in_process {
            self.dropped.set();
            loop {
                std::thread::park();
            }
        }
    }
}

/// One end was given to a child that has not begun, and never will.
fn a_parent_killed_in_the_midst_of_a_hand_over() {
    let (tx, mut rx) = ring::<u64>(2);
    let dropped = Shared::new(Event::new()).unwrap();
    let ran = Shared::new(Event::new()).unwrap();
    let parent = tine::spawn(|| {
        let (tx, dropped, ran) = (tx, &*dropped, &*ran);
        let slow = StaysWhenDropped { dropped, in_process: std::process::id() };
        let grandchild = tine::spawn(move || {
            let given = (tx, slow);
            ran.set();
            stay();
            drop(given);
        });
        drop(grandchild);
    })
    .unwrap();
    assert!(dropped.wait_timeout(Duration::from_secs(30)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "somebody has the other end");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let found = rx.recv_timeout(Duration::from_secs(30));
    assert!(matches!(found, Err(RecvTimeoutError::PeerDied(_))), "{found:?}");
    assert!(!ran.is_set(), "it was never told to go");
}

fn a_killed_peer_wakes_who_sleeps() {
    for _ in 0..20 {
        let ((tx, mut rx), (mut up, down)) = (ring::<u64>(1), ring::<u64>(1));
        let ready = Shared::new(Event::new()).unwrap();
        let victim = tine::spawn({
            let ready = ready.clone();
            move || {
                let _keeps = (tx, down);
                ready.set();
                stay();
            }
        })
        .unwrap();
        ready.wait();
        let pid = victim.id();
        let receives = tine::spawn(move || is_death(rx.recv(), pid)).unwrap();
        let sends = tine::spawn(move || {
            up.send(1).unwrap();
            matches!(up.send(2), Err(SendError::PeerDied(2, PeerDeath { in_flight: 1, .. })))
        })
        .unwrap();
        until_asleep(&receives);
        until_asleep(&sends);
        victim.kill().unwrap();
        assert!(receives.join().unwrap() && sends.join().unwrap());
        victim.wait().unwrap();
    }
}

fn a_killed_peer_wakes_who_waits_for_many() {
    for with_descriptor in [false, true] {
        let (mut tx, rx) = ring::<u64>(1);
        let victim = tine::spawn(move || {
            tx.send(1).unwrap();
            stay();
        })
        .unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let waits = tine::spawn(move || {
            let mut rx = rx;
            let event = Event::new();
            let mut first = None;
            for _ in 0..2 {
                first = match with_descriptor {
                    true => wait(&[&event, &reader, &rx], Some(Duration::from_secs(20))).unwrap(),
                    false => wait(&[&event, &event, &rx], Some(Duration::from_secs(20))).unwrap(),
                };
                let _ = rx.try_recv();
            }
            (first, rx.try_recv() == Err(TryRecvError::Disconnected))
        })
        .unwrap();
        crate::until_in(&waits, &[libc::SYS_futex_waitv, libc::SYS_futex, libc::SYS_poll, libc::SYS_ppoll]);
        victim.kill().unwrap();
        assert_eq!(waits.join().unwrap(), (Some(2), true), "the death was told, and was no message");
        victim.wait().unwrap();
    }
}

fn an_iteration_tells_a_death_once() {
    let (mut tx, rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        tx.send_slice(&[1, 2]).unwrap();
        end_by(std::process::abort);
    })
    .unwrap();
    let all: Vec<_> = rx.into_iter().collect();
    assert_eq!(all[..2], [Ok(1), Ok(2)]);
    assert!(all.len() == 3 && is_death(all[2].clone(), child.id()));
    child.join().unwrap_err();
}

fn a_sender_that_exits_without_a_drop_has_died() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        end_by(|| std::process::exit(0));
    })
    .unwrap();
    let pid = child.id();
    assert!(rx.recv() == Ok(1) && is_death(rx.recv(), pid));
    let _ = child.join();
}

fn a_sender_that_execs_has_died() {
    use std::os::unix::process::CommandExt;
    let (mut tx, mut rx) = ring::<u64>(8);
    let (reader, _writer) = std::io::pipe().unwrap();
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        let error = std::process::Command::new("cat").stdin(reader).exec();
        eprintln!("{error}");
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    // The process lives, and is another program: its end of the channel is nobody's. It is found when it ends.
    assert_eq!(rx.recv_timeout(Duration::from_millis(10)), Err(RecvTimeoutError::Timeout));
    child.kill().unwrap();
    let pid = child.id();
    assert!(is_death(rx.recv(), pid));
    let _ = child.join();
}

fn a_child_killed_before_it_touched_its_end_has_died() {
    for _ in 0..10 {
        let (tx, mut rx) = ring::<u64>(8);
        let child = tine::spawn(move || {
            let _tx = tx;
            stay();
        })
        .unwrap();
        let pid = child.id();
        child.kill().unwrap();
        assert!(is_death(rx.recv(), pid));
        let _ = child.join();
    }
}

fn a_parent_that_dies_is_told_to_its_children() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let (mut up, mut told) = ring::<u64>(1);
    let ready = Shared::new(Event::new()).unwrap();
    // The child of the child outlives it.
    let child = tine::spawn({
        let ready = ready.clone();
        move || {
            let grandchild = tine::process::Builder::new().die_with_parent(false).spawn(move || {
                let found = rx.iter().last().unwrap();
                up.send(match found {
                    Err(RecvError::PeerDied(PeerDeath { pid, .. })) => u64::from(pid),
                    _ => 0,
                })
                .unwrap();
            });
            grandchild.unwrap().detach();
            tx.send(1).unwrap();
            ready.set();
            stay();
        }
    })
    .unwrap();
    let pid = child.id();
    ready.wait();
    child.kill().unwrap();
    assert_eq!(told.recv(), Ok(u64::from(pid)));
    assert_eq!(told.recv(), Err(RecvError::Disconnected));
    let _ = child.join();
}

fn a_stopped_sender_is_not_dead() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        tine::process::stop().wait();
        tx.send(2).unwrap();
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    child.signal(Signal::STOP).unwrap();
    assert_eq!(rx.recv_timeout(Duration::from_millis(250)), Err(RecvTimeoutError::Timeout));
    child.signal(Signal::CONT).unwrap();
    child.request_stop().unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Err(RecvError::Disconnected)));
    child.join().unwrap();
}

fn a_killed_sender_leaves_no_half_batch() {
    for turn in 0..30 {
        let (mut tx, mut rx) = ring::<[u64; 4]>(64);
        let child = tine::spawn(move || {
            for n in 0_u64.. {
                let batch: Vec<[u64; 4]> = (0..16).map(|i| [n, i, n ^ i, n + i]).collect();
                let mut room = tx.reserve(16).unwrap();
                room.copy_from(0, &batch).unwrap();
                room.commit();
            }
        })
        .unwrap();
        let mut received = 0_u64;
        let pid = child.id();
        let error = loop {
            match rx.recv() {
                Ok([n, i, xor, sum]) => {
                    assert_eq!((n, i, xor, sum), (received / 16, received % 16, n ^ i, n + i));
                    received += 1;
                    if received == 100 * (turn + 1) {
                        child.kill().unwrap();
                    }
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, RecvError::PeerDied(PeerDeath { pid: dead, .. }) if dead == pid), "{error:?}");
        assert_eq!(received % 16, 0, "a batch is received whole");
        let _ = child.join();
    }
}

fn who_succeeds_the_dead_closes_for_good() {
    let (mut tx, mut rx) = ring::<u64>(8);
    // Forked by other means, the child has a copy of the end, and takes it over.
    let status = crate::support::in_child(|| {
        tx.take_over().unwrap();
        tx.send(1).unwrap();
        end_by(std::process::abort);
    });
    assert!(!status.success());
    assert_eq!(rx.recv(), Ok(1));
    assert!(rx.is_disconnected(), "and the death is noted");
    tx.take_over().unwrap();
    tx.send(2).unwrap();
    drop(tx);
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Err(RecvError::Disconnected)));
}

fn a_thread_that_ends_is_not_the_death_of_its_process() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        // The first to touch it is a thread that ends.
        let mut tx = std::thread::spawn(move || {
            tx.send(1).unwrap();
            tx
        })
        .join()
        .unwrap();
        tine::process::stop().wait();
        tx.send(2).unwrap();
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.recv_timeout(Duration::from_millis(250)), Err(RecvTimeoutError::Timeout));
    child.request_stop().unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(2), Err(RecvError::Disconnected)));
    child.join().unwrap();
}

fn a_death_that_the_kernel_does_not_mark_is_found() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let child = tine::spawn(move || {
        tx.send(1).unwrap();
        // The list of the thread's robust mutexes, by which the kernel would know.
        // SAFETY: the kernel only notes that there is none.
        assert_eq!(unsafe { libc::syscall(libc::SYS_set_robust_list, 0_usize, 24_usize) }, 0);
        stay();
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    let pid = child.id();
    let receives = tine::spawn(move || (is_death(rx.recv(), pid), rx.recv() == Err(RecvError::Disconnected))).unwrap();
    until_asleep(&receives);
    child.kill().unwrap();
    assert_eq!(receives.join().unwrap(), (true, true));
    let _ = child.join();
}

fn many_kills_while_both_work() {
    for turn in 0..60_u64 {
        let ((mut tx, mut rx), (mut back, mut acks)) = (ring::<u64>(4), ring::<u64>(4));
        let sender = tine::spawn(move || {
            for n in 0.. {
                if tx.send(n).is_err() {
                    break;
                }
                let _ = acks.try_recv();
            }
        })
        .unwrap();
        let receiver = tine::spawn(move || {
            let mut expected = 0;
            loop {
                match rx.recv() {
                    Ok(n) if n == expected => expected += 1,
                    Ok(n) => panic!("{n} instead of {expected}"),
                    Err(RecvError::PeerDied(_) | RecvError::Disconnected) => break,
                    Err(other) => panic!("{other}"),
                }
                let _ = back.send_timeout(expected, Duration::from_micros(1)).map_err(|error| match error {
                    SendTimeoutError::Timeout(_)
                    | SendTimeoutError::PeerDied(..)
                    | SendTimeoutError::Disconnected(_) => {}
                    other => panic!("{other}"),
                });
            }
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(200 + 97 * turn));
        let (victim, other) = if turn % 2 == 0 { (sender, receiver) } else { (receiver, sender) };
        victim.kill().unwrap();
        let _ = victim.join();
        other.join().unwrap();
    }
}
