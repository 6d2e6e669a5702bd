//! Processes that are killed, or stopped.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::channel::{PeerDeath, RecvError, SendError};
use tine::process::Signal;

use crate::support::{Case, until};
use crate::{LONG, cases, end_by, ring, stay, until_asleep};

pub const CASES: &[Case] = cases![
    the_last_senders_death_is_told_after_all_that_was_sent,
    the_last_receivers_death_is_told_with_what_it_left,
    a_death_among_others_is_nobodys_end,
    a_killed_peer_wakes_who_sleeps,
    an_iteration_tells_a_death_once,
    a_death_that_the_kernel_does_not_mark_is_found,
    senders_are_killed_anywhere,
    receivers_are_killed_anywhere,
    a_stopped_sender_holds_up_nobody,
    a_stopped_receiver_holds_up_nobody_for_a_lap,
];

fn the_last_senders_death_is_told_after_all_that_was_sent() {
    let (tx, mut rx) = ring::<u64>(8);
    let mut other = rx.clone();
    let child = tine::spawn(move || {
        let mut tx = tx;
        tx.send_slice(&[1, 2]).unwrap();
        stay();
    })
    .unwrap();
    until("it has sent all", || rx.len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let death = RecvError::PeerDied(match rx.clone().iter().last() {
        Some(Err(RecvError::PeerDied(death))) => death,
        other => panic!("{other:?}"),
    });
    assert!(matches!(death, RecvError::PeerDied(PeerDeath { pid, in_flight: 0, .. }) if pid == child.id()));
    assert_eq!((rx.recv(), rx.recv()), (Err(death.clone()), Err(RecvError::Disconnected)), "each handle is told once");
    assert_eq!((other.recv(), other.recv()), (Err(death), Err(RecvError::Disconnected)));
}

fn the_last_receivers_death_is_told_with_what_it_left() {
    let (mut tx, rx) = ring::<u64>(4);
    let child = tine::spawn(move || {
        let mut rx = rx;
        rx.recv().unwrap();
        let _claim = rx.claim().unwrap();
        stay();
    })
    .unwrap();
    tx.send_slice(&[1, 2, 3]).unwrap();
    until("it has received one, and claimed one", || tx.len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    tx.send_slice(&[4, 5]).unwrap_or_default();
    match tx.send(6) {
        Err(SendError::PeerDied(6, PeerDeath { pid, in_flight: 2..=4, .. })) => assert_eq!(pid, child.id()),
        other => panic!("{other:?}"),
    }
    assert!(tx.is_disconnected());
}

fn a_death_among_others_is_nobodys_end() {
    let (tx, mut rx) = ring::<u64>(4);
    let mut kept = tx.clone();
    let child = tine::spawn(move || {
        let mut tx = tx;
        tx.send(1).unwrap();
        stay();
    })
    .unwrap();
    assert_eq!(rx.recv(), Ok(1));
    child.kill().unwrap();
    child.join().unwrap_err();
    kept.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
    drop(kept);
    // The last one has closed it properly. Nobody had looked at the dead one before.
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn a_killed_peer_wakes_who_sleeps() {
    for _ in 0..10 {
        let ((tx, mut rx), (mut up, down)) = (ring::<u64>(1), ring::<u64>(1));
        let victim = tine::spawn(move || {
            let _keeps = (tx, down);
            stay();
        })
        .unwrap();
        let receives = tine::spawn(move || matches!(rx.recv(), Err(RecvError::PeerDied(_)))).unwrap();
        let sends = tine::spawn(move || {
            up.send(1).unwrap();
            matches!(up.send(2), Err(SendError::PeerDied(2, PeerDeath { in_flight: 1, .. })))
        })
        .unwrap();
        until_asleep(&receives);
        until_asleep(&sends);
        victim.kill().unwrap();
        assert!(receives.join().unwrap() && sends.join().unwrap());
        let _ = victim.join();
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
    assert!(all.len() == 3 && matches!(all[2], Err(RecvError::PeerDied(PeerDeath { pid, .. })) if pid == child.id()));
    child.join().unwrap_err();
}

fn a_death_that_the_kernel_does_not_mark_is_found() {
    let (mut tx, rx) = ring::<u64>(8);
    tx.send(1).unwrap();
    let mut theirs = rx.clone();
    let child = tine::spawn(move || {
        let _claim = theirs.claim().unwrap();
        // The list of the thread's robust mutexes, by which the kernel would know.
        // SAFETY: the kernel only notes that there is none.
        assert_eq!(unsafe { libc::syscall(libc::SYS_set_robust_list, 0_usize, 24_usize) }, 0);
        stay();
    })
    .unwrap();
    until("it is claimed", || rx.is_empty());
    let mut theirs = rx.clone();
    let next = tine::spawn(move || theirs.claim().unwrap().attempts()).unwrap();
    until_asleep(&next);
    std::thread::sleep(Duration::from_millis(20));
    child.kill().unwrap();
    assert_eq!(next.join().unwrap(), 2);
    let _ = child.join();
}

const MOST: usize = 1_000_000;

/// Of each sender: how many it has sent; and of each of its messages how often it was received.
struct Book {
    sent: Shared<[AtomicU32]>,
    seen: Shared<[AtomicU32]>,
}

impl Book {
    fn new() -> Book {
        let zeroes = |n| Shared::<[AtomicU32]>::from_fn(n, |_| AtomicU32::new(0)).unwrap();
        Book { sent: zeroes(4), seen: zeroes(4 * MOST) }
    }

    fn see(&self, message: u64) {
        let (sender, n) = ((message >> 32) as usize, (message & 0xffff_ffff) as usize);
        assert_eq!(self.seen[sender * MOST + n].fetch_add(1, Ordering::Relaxed), 0, "{message:#x} came twice");
    }

    /// How many are missing of what was sent before the last.
    fn missing(&self, sender: usize) -> usize {
        let sent = self.sent[sender].load(Ordering::Relaxed) as usize;
        let seen = &self.seen[sender * MOST..(sender + 1) * MOST];
        assert!(seen[sent + 1..].iter().all(|seen| seen.load(Ordering::Relaxed) == 0), "what was never sent");
        seen[..sent].iter().filter(|seen| seen.load(Ordering::Relaxed) == 0).count()
    }
}

fn senders_are_killed_anywhere() {
    let book = Book::new();
    for turn in 0..40_u64 {
        let book = Book { sent: book.sent.clone(), seen: book.seen.clone() };
        book.sent.iter().chain(book.seen.iter()).filter(|word| word.load(Ordering::Relaxed) != 0).for_each(|word| {
            word.store(0, Ordering::Relaxed);
        });
        let (tx, mut rx) = ring::<u64>(1 + turn as usize % 5);
        let senders: Vec<_> = (0..3_u64)
            .map(|sender| {
                let (mut tx, sent) = (tx.clone(), book.sent.clone());
                tine::spawn(move || {
                    for n in 0..MOST as u64 - 1 {
                        tx.send(sender << 32 | n).unwrap();
                        sent[sender as usize].store(n as u32 + 1, Ordering::Relaxed);
                    }
                })
                .unwrap()
            })
            .collect();
        drop(tx);
        let mut senders = senders.into_iter();
        let mut next = [0; 3];
        let mut received = 0;
        let error = loop {
            match rx.recv() {
                Ok(message) => {
                    book.see(message);
                    let sender = (message >> 32) as usize;
                    assert_eq!(message & 0xffff_ffff, next[sender], "in order, and none is left out");
                    next[sender] += 1;
                    received += 1;
                    if received % (50 + 13 * turn) == 0
                        && let Some(victim) = senders.next()
                    {
                        victim.kill().unwrap();
                        let _ = victim.join();
                    }
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, RecvError::PeerDied(_)), "{error:?}");
        (0..3).for_each(|sender| assert_eq!(book.missing(sender), 0, "what was sent is received"));
    }
}

fn receivers_are_killed_anywhere() {
    let book = Book::new();
    let (tx, mut rx) = ring::<u64>(7);
    let receiver = || {
        let (mut rx, seen, sent) = (rx.clone(), book.seen.clone(), book.sent.clone());
        tine::spawn(move || {
            let book = Book { sent, seen };
            rx.iter().for_each(|message| book.see(message.unwrap()));
        })
        .unwrap()
    };
    let mut receivers: Vec<_> = (0..2).map(|_| receiver()).collect();
    let senders: Vec<_> = (0..2_u64)
        .map(|sender| {
            let (mut tx, sent) = (tx.clone(), book.sent.clone());
            tine::spawn(move || {
                for n in 0..20_000 {
                    tx.send(sender << 32 | n).unwrap();
                    sent[sender as usize].store(n as u32 + 1, Ordering::Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    drop(tx);
    let mut killed = 0;
    while killed < 150 && !senders.iter().all(|child| child.is_finished()) {
        std::thread::sleep(Duration::from_micros(200 + 97 * killed % 700));
        let victim = receivers.remove(0);
        victim.kill().unwrap();
        let _ = victim.join();
        killed += 1;
        receivers.push(receiver());
    }
    rx.iter().for_each(|message| book.see(message.unwrap()));
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
    // Each of the dead may have received one that it could not enter any more.
    let missing = book.missing(0) + book.missing(1);
    assert!(missing as u64 <= killed, "{missing} are missing after {killed} kills");
}

/// Wherever in a send it was stopped.
fn a_stopped_sender_holds_up_nobody() {
    let (tx, mut rx) = ring::<u64>(8);
    let mut busy = tx.clone();
    let stopped = tine::spawn(move || while busy.send(0).is_ok() {}).unwrap();
    let mut mine = tx;
    for turn in 1..=200 {
        for _ in 0..turn % 37 {
            rx.recv_timeout(LONG).unwrap();
        }
        stopped.signal(Signal::STOP).unwrap();
        until_stopped(&stopped);
        // What is there, and then as much as there is room for in a lap.
        while rx.try_recv().is_ok() {}
        for n in 1..=7 {
            mine.send_timeout(n, LONG).unwrap();
            assert_eq!(rx.recv_timeout(LONG), Ok(n));
        }
        stopped.signal(Signal::CONT).unwrap();
    }
    drop(rx);
    stopped.join().unwrap();
}

/// Wherever in a receive it was stopped: it has one place at most, and nobody waits for that before a lap is over.
fn a_stopped_receiver_holds_up_nobody_for_a_lap() {
    let (mut tx, mut rx) = ring::<u64>(8);
    let mut busy = rx.clone();
    let stopped = tine::spawn(move || while busy.recv().is_ok() {}).unwrap();
    for turn in 0..200 {
        for n in 0..turn % 37 {
            tx.send_timeout(n, LONG).unwrap();
        }
        stopped.signal(Signal::STOP).unwrap();
        until_stopped(&stopped);
        // What is behind that place already is of the same lap.
        let behind = std::iter::from_fn(|| rx.try_recv().ok()).count() as u64;
        for n in behind..7 {
            tx.send_timeout(n, LONG).unwrap();
            assert_eq!(rx.recv_timeout(LONG), Ok(n));
        }
        stopped.signal(Signal::CONT).unwrap();
        // The last of a whole lap has room when it has let go: the next turn begins with nothing held.
        (0..8).for_each(|n| tx.send_timeout(n, LONG).unwrap());
    }
    drop((tx, rx));
    stopped.join().unwrap();
}

fn until_stopped(child: &tine::JoinHandle<()>) {
    until("it is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
}
