//! Six locks that do not work, and what becomes of who waits for them. Chapter 6 of the book explains each.
//!
//! ```text
//! cargo run --example wrong_locks
//! ```
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::thread::futex;
use tine::{JoinHandle, Shared};

tine::share! {
    struct Lock { word: AtomicU32, owner: AtomicU32 }
}

fn main() -> Result<(), tine::Error> {
    println!("1. One bit. The holder is killed.");
    let lock = new()?;
    spawn(|| lock.lock_bit(|| ()), die)?.join().unwrap_err();
    report(&lock, spawn(|| lock.lock_bit(|| ()), done)?)?;

    println!("2. The bit, then the owner's number beside it. The holder is killed between the two.");
    let lock = new()?;
    spawn(|| lock.lock_two(die), done)?.join().unwrap_err();
    report(&lock, spawn(|| lock.lock_two(|| ()), done)?)?;

    println!("3. The same. One is killed while it unlocks, another is slow while it locks, a third comes.");
    let lock = new()?;
    let first = spawn(|| lock.lock_two(|| ()), || lock.unlock_two(die))?;
    let dead = first.id();
    first.join().unwrap_err();
    let slow = spawn(|| lock.lock_two(stay), done)?;
    until(|| lock.word.load(SeqCst) == 1);
    println!("   process {} is locking; the word beside the bit still says {dead}, who is dead", slow.id());
    report(&lock, spawn(|| lock.lock_two(|| ()), done)?)?;
    println!("   and process {} goes on as the holder, too", slow.id());
    end(slow)?;

    println!("4. The owner's number is the word. The holder is killed, and its parent has not looked yet.");
    let lock = new()?;
    let zombie = spawn(|| lock.lock_number(), die)?;
    until(|| zombie.is_finished());
    report(&lock, spawn(|| lock.lock_number(), done)?)?;
    zombie.join().unwrap_err();

    println!("5. One bit. The holder wakes who sleeps, and then unlocks.");
    let lock = new()?;
    lock.lock_bit(|| ());
    let waiter = spawn(|| lock.lock_bit(|| lock.owner.store(1, SeqCst)), done)?;
    until_asleep(&waiter);
    wake_one(&lock.word);
    until(|| lock.owner.load(SeqCst) == 1); // it is awake; and finds the word as it was
    until_asleep(&waiter);
    lock.word.store(0, SeqCst);
    report(&lock, waiter)?;

    println!(
        "6. One bit. The holder unlocks and wakes one of two who sleep; that one is killed before it has the lock."
    );
    let lock = new()?;
    lock.lock_bit(|| ());
    let woken = spawn(|| lock.lock_bit(die), done)?;
    until_asleep(&woken);
    let waiter = spawn(|| lock.lock_bit(|| ()), done)?;
    until_asleep(&waiter);
    lock.word.store(0, SeqCst);
    wake_one(&lock.word);
    woken.join().unwrap_err();
    report(&lock, waiter)
}

impl Lock {
    /// `woken` is what happens to this process when it has slept.
    fn lock_bit(&self, woken: impl Fn()) {
        while self.word.swap(1, SeqCst) != 0 {
            sleep(&self.word, 1, None);
            woken();
        }
    }

    /// `between` is what happens to this process between two steps.
    fn lock_two(&self, between: impl Fn()) {
        while self.word.swap(1, SeqCst) != 0 {
            let owner = self.owner.load(SeqCst);
            if owner != 0 && is_dead(owner) {
                break; // taken over
            }
            sleep(&self.word, 1, Some(SLICE));
        }
        between();
        self.owner.store(std::process::id(), SeqCst);
    }

    fn unlock_two(&self, between: impl Fn()) {
        self.word.store(0, SeqCst);
        between();
        self.owner.store(0, SeqCst);
        wake_one(&self.word);
    }

    fn lock_number(&self) {
        let me = std::process::id();
        while let Err(owner) = self.word.compare_exchange(0, me, SeqCst, SeqCst) {
            if is_dead(owner) && self.word.compare_exchange(owner, me, SeqCst, SeqCst).is_ok() {
                break; // taken over
            }
            sleep(&self.word, owner, Some(SLICE));
        }
    }
}

const SLICE: futex::Timespec = futex::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Sleeps while the word is `expected`, until it is woken, or for a slice.
fn sleep(word: &AtomicU32, expected: u32, limit: Option<futex::Timespec>) {
    let _ = futex::wait(word, futex::Flags::empty(), expected, limit.as_ref());
}

fn wake_one(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}

/// Whether no process has this number.
fn is_dead(number: u32) -> bool {
    Pid::from_raw(number as i32).is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

fn new() -> Result<Shared<Lock>, tine::Error> {
    Ok(Shared::new(Lock { word: AtomicU32::new(0), owner: AtomicU32::new(0) })?)
}

/// A process that locks, and what it does then.
fn spawn(lock: impl FnOnce(), then: impl FnOnce()) -> Result<JoinHandle<()>, tine::Error> {
    Ok(tine::spawn(|| {
        lock();
        then();
    })?)
}

fn done() {}

fn die() {
    let _ = kill_process(rustix::process::getpid(), Signal::KILL);
}

fn stay() {
    tine::process::stop().wait();
}

/// What has become of who waits, after a second.
fn report(lock: &Lock, mut waiter: JoinHandle<()>) -> Result<(), tine::Error> {
    let outcome = match waiter.join_timeout(Duration::from_secs(1))? {
        Some(()) => "has the lock",
        None => "still waits after 1 s",
    };
    let (word, owner) = (lock.word.load(SeqCst), lock.owner.load(SeqCst));
    println!("   process {} {outcome}; the word is {word}, the one beside it {owner}", waiter.id());
    end(waiter)
}

fn end(child: JoinHandle<()>) -> Result<(), tine::Error> {
    child.kill()?;
    let _ = child.join();
    Ok(())
}

fn until_asleep(child: &JoinHandle<()>) {
    let call = format!("/proc/{}/syscall", child.id());
    let futex = format!("{} ", libc::SYS_futex);
    until(|| std::fs::read_to_string(&call).is_ok_and(|call| call.starts_with(&futex)));
}

fn until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
