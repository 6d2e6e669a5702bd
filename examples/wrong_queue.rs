//! Six queues that do not work, and what becomes of who waits for them. Chapter 7 of the book explains each.
//!
//! ```text
//! cargo run --example wrong_queue
//! ```
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use rustix::thread::futex;
use tine::wire::Wire;
use tine::{JoinHandle, Shared};

const SLOTS: usize = 4;

tine::share! {
    /// Whatever one of the six needs. Each access is SeqCst: nothing that happens here is a matter of orderings.
    struct Queue {
        tail: AtomicU64,
        head: AtomicU64,
        slots: [Slot; SLOTS],
        asleep: AtomicU32,
        length: AtomicU64,
    }

    /// `turn`, where the queue has it: position `p` is free to be filled at `p`, and full at `p + 1`.
    struct Slot { turn: AtomicU64, value: AtomicU64 }
}

fn main() -> Result<(), tine::Error> {
    println!("1. The tail, then the value. The sender is killed between the two.");
    let queue = new()?;
    for value in 1..=4 {
        queue.send_early(value, done);
        println!("   received: {}", queue.recv_early());
    }
    spawn(|| queue.send_early(5, die))?.join().unwrap_err();
    println!("   received: {}, in place of 5", queue.recv_early());

    println!("2. A position by compare-and-swap, then the value: lock-free. A sender is killed between the two.");
    let queue = new()?;
    spawn(|| queue.send(1, die))?.join().unwrap_err();
    queue.send(2, done);
    queue.send(3, done);
    queue.send(4, done);
    let (receiver, sender) = (spawn(|| queue.recv(done))?, spawn(|| queue.send(5, done))?);
    report("receiver", receiver, &queue)?;
    report("sender", sender, &queue)?;

    println!("3. The same, but a receiver passes over who is late. The sender was only stopped.");
    let queue = new()?;
    let slow = spawn(|| queue.send(1, stop))?;
    until_state(&slow, "T");
    let slow_id = slow.id();
    queue.pass_over();
    for value in 2..=4 {
        queue.send(value, done);
        println!("   received: {}", queue.recv(done));
    }
    queue.send(5, done);
    println!("   sent: 5, into the slot that was given up");
    slow.signal(Signal::CONT)?;
    slow.join()?;
    println!("   sent: 1, by process {slow_id} that goes on, into the same slot");
    report("receiver", spawn(|| queue.recv(done))?, &queue)?;

    println!("4. As 2. A receiver is killed when it has taken a position, and not yet the value.");
    let queue = new()?;
    queue.send(1, done);
    spawn(|| queue.recv(die))?.join().unwrap_err();
    for value in 2..=4 {
        queue.send(value, done);
        println!("   received: {}", queue.recv(done));
    }
    report("sender", spawn(|| queue.send(5, done))?, &queue)?;

    println!("5. The sender looks whether somebody sleeps, and then sends.");
    let queue = new()?;
    let sender = spawn(|| queue.look_then_send(1, stop))?;
    until_state(&sender, "T");
    let receiver = spawn(|| queue.recv_or_sleep())?;
    until_asleep(&receiver);
    sender.signal(Signal::CONT)?;
    sender.join()?;
    report("receiver", receiver, &queue)?;

    println!("6. The length of a message is read twice. Its sender means harm.");
    let queue = new()?;
    queue.length.store(2, SeqCst);
    let copied = queue.recv_long(|| queue.length.store(1000, SeqCst));
    println!("   the receiver has looked, and copies {copied} values out of {SLOTS} slots");
    Ok(())
}

impl Queue {
    fn slot(&self, position: u64) -> &Slot {
        &self.slots[position as usize % SLOTS]
    }

    /// `between` is what happens to this process between two steps.
    fn send_early(&self, value: u64, between: impl Fn()) {
        let at = self.tail.fetch_add(1, SeqCst);
        between();
        self.slot(at).value.store(value, SeqCst);
    }

    fn recv_early(&self) -> u64 {
        let at = self.head.load(SeqCst);
        wait_until(|| self.tail.load(SeqCst) > at);
        let value = self.slot(at).value.load(SeqCst);
        self.head.store(at + 1, SeqCst);
        value
    }

    /// Dmitry Vyukov's bounded queue.
    fn send(&self, value: u64, between: impl Fn()) {
        let at = take(&self.tail, |at| self.slot(at).turn.load(SeqCst) == at);
        between();
        self.slot(at).value.store(value, SeqCst);
        self.slot(at).turn.store(at + 1, SeqCst);
    }

    fn recv(&self, between: impl Fn()) -> u64 {
        let at = take(&self.head, |at| self.slot(at).turn.load(SeqCst) == at + 1);
        between();
        let value = self.slot(at).value.load(SeqCst);
        self.slot(at).turn.store(at + SLOTS as u64, SeqCst);
        value
    }

    /// By a receiver that has waited for long enough, as it thinks.
    fn pass_over(&self) {
        let at = self.head.fetch_add(1, SeqCst);
        self.slot(at).turn.store(at + SLOTS as u64, SeqCst);
    }

    fn look_then_send(&self, value: u64, between: impl Fn()) {
        let asleep = self.asleep.swap(0, SeqCst) != 0;
        between();
        self.send(value, done);
        if asleep {
            let _ = futex::wake(&self.asleep, futex::Flags::empty(), 1);
        }
    }

    fn recv_or_sleep(&self) -> u64 {
        self.asleep.store(1, SeqCst);
        while self.slot(self.head.load(SeqCst)).turn.load(SeqCst) == self.head.load(SeqCst) {
            let _ = futex::wait(&self.asleep, futex::Flags::empty(), 1, None);
        }
        self.recv(done)
    }

    /// How many values it copies.
    fn recv_long(&self, between: impl Fn()) -> u64 {
        if self.length.load(SeqCst) > SLOTS as u64 {
            return 0; // refused
        }
        between();
        self.length.load(SeqCst)
    }
}

/// Takes the next position, once that is there to be taken.
fn take(next: &AtomicU64, is_there: impl Fn(u64) -> bool) -> u64 {
    loop {
        let at = next.load(SeqCst);
        wait_until(|| is_there(at) || next.load(SeqCst) != at);
        if next.compare_exchange(at, at + 1, SeqCst, SeqCst).is_ok() {
            return at;
        }
    }
}

fn wait_until(happened: impl Fn() -> bool) {
    while !happened() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn new() -> Result<Shared<Queue>, tine::Error> {
    let slot = |turn| Slot { turn: AtomicU64::new(turn), value: AtomicU64::new(0) };
    Ok(Shared::new(Queue {
        tail: AtomicU64::new(0),
        head: AtomicU64::new(0),
        slots: [0, 1, 2, 3].map(slot),
        asleep: AtomicU32::new(0),
        length: AtomicU64::new(0),
    })?)
}

fn spawn<T: Wire>(what: impl FnOnce() -> T) -> Result<JoinHandle<T>, tine::Error> {
    Ok(tine::spawn(what)?)
}

fn done() {}

fn die() {
    let _ = kill_process(rustix::process::getpid(), Signal::KILL);
}

fn stop() {
    let _ = kill_process(rustix::process::getpid(), Signal::STOP);
}

/// What has become of who waits, after a second.
fn report<T: Wire>(who: &str, mut waiter: JoinHandle<T>, queue: &Queue) -> Result<(), tine::Error> {
    let outcome = match waiter.join_timeout(Duration::from_secs(1))? {
        Some(_) => "is done",
        None => "still waits after 1 s",
    };
    let (sent, received) = (queue.tail.load(SeqCst), queue.head.load(SeqCst));
    println!("   the {who} {outcome}; the tail is {sent}, the head {received}");
    waiter.kill()?;
    let _ = waiter.join();
    Ok(())
}

/// The letter in `/proc`: T is stopped.
fn until_state<T>(child: &JoinHandle<T>, letter: &str) {
    let stat = format!("/proc/{}/stat", child.id());
    until(|| std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(&format!(") {letter} "))));
}

fn until_asleep<T>(child: &JoinHandle<T>) {
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
