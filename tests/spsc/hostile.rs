//! A process that writes what it likes into the ring's memory, as fast as it can, while the ends are at work.
//!
//! Each case takes a second; `TINE_HOSTILE_SECONDS=60` makes it a minute.

use std::time::{Duration, Instant};

use tine::JoinHandle;
use tine::channel::spsc::{Receiver, Sender};
use tine::channel::{RecvTimeoutError, Spin, TryRecvError, TrySendError};

use crate::cases;
use crate::support::Case;

#[path = "../models/spsc_hostile.rs"]
mod spsc_hostile;

use spsc_hostile::{EMPTIED, ENDS, FILLED, HEADER, Page, Random};

pub const CASES: &[Case] =
    cases![any_words, signals_that_never_wake, signals_that_always_wake, ends_of_anybody, positions_that_are_possible];

fn time() -> Duration {
    let seconds = std::env::var("TINE_HOSTILE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(1, |seconds| seconds.parse().expect("a number of seconds")))
}

/// Writes until it is killed.
fn vandal(page: Page, mut write: impl FnMut(&Page, &mut Random)) -> JoinHandle<()> {
    tine::spawn(move || {
        let mut random = Random::default();
        loop {
            write(&page, &mut random);
        }
    })
    .unwrap()
}

fn stop(vandal: JoinHandle<()>) {
    vandal.kill().unwrap();
    vandal.wait().unwrap();
}

/// All operations, with limits, on new rings again and again: an end that was fooled is of no more use.
fn work_beside(write: fn(&Page, &mut Random)) {
    let until = Instant::now() + time();
    while Instant::now() < until {
        let (page, mut tx, mut rx) = Page::with_ring(6);
        let vandal = vandal(page, write);
        let (mut sender_fooled, mut receiver_fooled) = (false, false);
        let mut round = 0;
        while Instant::now() < until && !(sender_fooled && receiver_fooled && round > 500) {
            round += 1;
            sender_fooled = send_in_all_ways(&mut tx, round, sender_fooled);
            receiver_fooled = receive_in_all_ways(&mut rx, receiver_fooled);
            assert!(tx.len() <= 6 && rx.len() <= 6);
            let _ = (tx.is_disconnected(), tine::wait(&[&rx], Some(Duration::from_micros(20))));
        }
        stop(vandal);
        // With nobody writing any more each end answers what it is.
        assert!(!sender_fooled || tx.try_send(0) == Err(TrySendError::Corrupt(0)));
        assert!(!receiver_fooled || rx.try_recv() == Err(TryRecvError::Corrupt));
    }
}

/// Whether it was fooled by now.
fn send_in_all_ways(tx: &mut Sender<u64>, round: u64, fooled: bool) -> bool {
    let at_first = matches!(tx.try_send(round), Err(TrySendError::Corrupt(_)));
    assert!(at_first || !fooled, "it is not believed again");
    let _ = tx.send_timeout(round, Duration::from_micros(20));
    let _ = tx.try_send_slice(&[round; 5]);
    if let Ok(mut room) = tx.try_reserve(3) {
        room.copy_from(0, &[round; 3]).unwrap();
        room.commit_first(2);
    }
    at_first
}

fn receive_in_all_ways(rx: &mut Receiver<u64>, fooled: bool) -> bool {
    let at_first = rx.try_recv() == Err(TryRecvError::Corrupt);
    assert!(at_first || !fooled, "it is not believed again");
    let _ = rx.recv_timeout(Duration::from_micros(20));
    assert!(rx.try_recv_slice(&mut [0; 9]).unwrap_or(0) <= 6);
    if let Ok(peek) = rx.try_peek(9) {
        assert!(peek.len() <= 6);
        peek.consume_first(2);
    }
    at_first
}

fn any_words() {
    work_beside(|page, random| {
        let at = random.next() as usize % (HEADER + 8);
        page.write(at, random.next());
    });
}

fn positions_that_are_possible() {
    work_beside(|page, random| {
        let at = [spsc_hostile::TAIL, spsc_hostile::HEAD][random.next() as usize % 2];
        page.write(at, random.next() % 10_000);
    });
}

fn ends_of_anybody() {
    work_beside(|page, random| {
        let me = u64::from(std::process::id()) << 42;
        let word = [random.next(), me | random.next() >> 24, random.next() % 4, 0][random.next() as usize % 4];
        page.write(ENDS + random.next() as usize % 4, word);
    });
}

/// Both ends wait on their own, by deadlines only; the words of the signals are another's.
fn wait_beside(write: fn(&Page, &mut Random)) {
    let (page, mut tx, mut rx) = Page::with_ring(2);
    tx.set_spin(Spin::Never);
    rx.set_spin(Spin::Never);
    let vandal = vandal(page, write);
    let (begun, cpu) = (Instant::now(), cpu_time());
    assert_eq!(rx.recv_timeout(time()), Err(RecvTimeoutError::Timeout));
    tx.try_send_slice(&[1, 2]).unwrap();
    assert!(tx.send_timeout(3, time()).is_err());
    let (took, cpu) = (begun.elapsed(), cpu_time() - cpu);
    stop(vandal);
    assert!(took >= 2 * time(), "it was woken, and gave up early");
    assert!(cpu < took / 2, "{cpu:?} of the CPU in {took:?}, for nothing");
    // What was sent is there.
    assert_eq!((rx.try_recv(), rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2), Err(TryRecvError::Empty)));
}

fn signals_that_never_wake() {
    // Without the marks, so that no waker finds a sleeper; the same word, so that none finds it changed.
    wait_beside(|page, _| [FILLED, EMPTIED].into_iter().for_each(|at| page.write(at, 0)));
}

/// Each write is another word, and each is followed by a wake, which the kernel sends to who sleeps there.
fn signals_that_always_wake() {
    wait_beside(|page, random| {
        for at in [FILLED, EMPTIED] {
            page.write(at, random.next());
            page.wake(at);
        }
    });
}

/// Of this process, in its own code and in the kernel.
fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one rusage there, for which zeroes are a value already.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
