//! `RwLock`: many readers, or one writer.
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tine::Shared;
use tine::sync::{
    LockErrorOf, LockTimeoutErrorOf, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockErrorOf, WriteOwnerDied,
};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;

/// Two halves that are equal when all is well.
type Pair = [u32; 2];
/// Few places make short paths. A power of two, so that where a reader looks first depends on its slot on the roster, which
/// is the same in each run, and not on how many had that before.
const READERS: usize = 4;

tine::share! {
    pub struct Room {
        lock: RwLock<Pair, READERS>,
        /// For who has to sit down before it counts.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;
type Reading = Option<RwLockReadGuard<'static, Pair>>;
type Writing = Option<RwLockWriteGuard<'static, Pair>>;
type Left = Option<WriteOwnerDied<'static, Pair>>;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(2);

// ------------------------------------------------------------------------------------------------- where it starts

fn new() -> Home {
    let room = Room { lock: RwLock::with_readers([0; 2]), other: Mutex::new(0), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

fn warm() {
    let home = new();
    let guard = home.lock.write().expect("a new lock");
    assert!(matches!(home.lock.write(), Err(LockErrorOf::Deadlock)));
    drop(guard);
    drop(home.lock.read().expect("a free lock"));
}

fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

fn die_writing(home: &Home) {
    let mut guard = home.lock.write().expect("the first");
    guard[0] += 10;
    std::mem::forget(guard);
    process::exit(0);
}

fn die_reading(home: &Home) {
    std::mem::forget(home.lock.read().expect("the first"));
    process::exit(0);
}

fn see_and_leave(home: &Home) {
    let Err(LockErrorOf::OwnerDied(left)) = home.lock.write() else { panic!("the writer has died") };
    drop(left);
}

fn write_behind_the_gate(home: &Home) {
    let guard = home.lock.write().expect("the first");
    let before = *guard;
    home.gate.wait();
    assert_eq!(*guard, before, "somebody wrote beside a writer");
}

/// All places but one are taken.
fn full(start: Start<Home>) -> Start<Home> {
    (1..READERS).fold(start, |start, _| start.beside(read_behind_the_gate))
}

fn read_behind_the_gate(home: &Home) {
    let guard = home.lock.read().expect("nobody writes");
    let before = *guard;
    home.gate.wait();
    assert_eq!(*guard, before, "somebody wrote beside a reader");
}

fn repair(pair: &mut Pair) {
    pair[1] = pair[0];
}

fn count(home: &Home) {
    let mut pair = home.lock.write_or_repair(repair).expect("the lock can be had");
    *pair = [pair[0] + 1, pair[1] + 1];
}

/// Reads, and if what it reads is not in order, repairs it first.
fn read(home: &Home) {
    match home.lock.read() {
        Ok(pair) => assert_eq!(pair[0], pair[1]),
        Err(LockErrorOf::OwnerDied(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

// ---------------------------------------------------------------------------------------------------- what is seen

/// What is there; and that all can read then, and one write.
fn look(home: &Home) -> String {
    let found = match home.lock.write_timeout(LONG) {
        Ok(pair) => format!("{:?}", *pair),
        Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(mut left))) => {
            let found = format!("{:?}, its writer dead", left.get());
            repair(left.get_mut());
            drop(left.recover());
            found
        }
        Err(error) => return error.to_string(),
    };
    let readers: Vec<_> = (0..READERS + 1).map_while(|_| home.lock.try_read().ok()).collect();
    let places = readers.len();
    let whole = readers.iter().all(|pair| pair[0] == pair[1]);
    drop(readers);
    format!("{found}, then whole {whole}, {places} readers, writer {}", home.lock.try_write().is_ok())
}

/// Who waits beside it comes after it, and repairs what it left.
fn is_repaired(seen: &str) -> bool {
    seen.starts_with("[1, 1], then whole true, 4 readers, writer true")
}

fn is_writer_dead(seen: &str) -> bool {
    seen.contains("its writer dead")
}

/// Beside a victim that stands still: reads, and counts up by a hundred.
fn read_and_count(home: &Home) -> String {
    let read = match home.lock.try_read() {
        Ok(pair) if pair[0] == pair[1] => "read",
        Ok(_) => "read what was half done",
        Err(TryLockErrorOf::WouldBlock) => BUSY,
        Err(_) => "read what the dead have left",
    };
    let (write, mut pair) = match home.lock.try_write() {
        Ok(pair) => ("counted", pair),
        Err(TryLockErrorOf::WouldBlock) => return format!("{read}, {BUSY}"),
        Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(mut left))) => {
            repair(left.get_mut());
            ("repaired and counted", left.recover())
        }
        Err(error) => return error.to_string(),
    };
    *pair = [pair[0] + 100, pair[1] + 100];
    format!("{read}, {write}")
}

const BUSY: &str = "busy";

/// Nothing could be changed.
fn is_busy(seen: &str) -> bool {
    ["busy, busy", "read, busy", "read what the dead have left, busy"].contains(&seen)
}

fn forever(home: &Home) -> &'static Home {
    Box::leak(Box::new(home.clone()))
}

fn operation<L>(bare: Operation<Home, L>) -> Operation<Home, L> {
    bare.warm(warm).wake(|home| home.gate.open()).meanwhile(read_and_count, is_busy)
}

/// Somebody comes upon what is there, and counts.
fn recoverable<L>(bare: Operation<Home, L>) -> Operation<Home, L> {
    operation(bare).recovery(sit, lock_and_repair, is_writer_dead)
}

fn lock_and_repair(home: &Home) {
    drop(home.lock.write_or_repair(repair).expect("the lock can be had"));
}

// -------------------------------------------------------------------------------------------------- the operations

pub fn read_it() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.lock.read() {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    operation(Operation::new("RwLock::read", sit, act, look))
        .from(Start::new("free", new))
        .from(Start::new("read by another", new).beside(read_behind_the_gate))
        .from(Start::new("a dead reader's place", new).beside(die_reading))
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("a writer waits for a reader", new).beside(read_behind_the_gate).beside(count))
        .from(
            full(Start::new("no place left", new))
                .beside(read_behind_the_gate)
                .unsteady("it has the first place that is given back, or finds more of them free"),
        )
        .from(Start::new("its writer dead", new).beside(die_writing))
        .from(Start::new("left unrepaired", new).beside(die_writing).beside(see_and_leave))
}

pub fn write_it() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.lock.write() {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    recoverable(Operation::new("RwLock::write", sit, act, look))
        .from(Start::new("free", new))
        .from(Start::new("read", new).beside(read_behind_the_gate))
        .from(Start::new("read by two, one dead", new).beside(die_reading).beside(read_behind_the_gate))
        .from(
            Start::new("written, and waited for behind it", new)
                .beside(write_behind_the_gate)
                .then(count)
                .also(is_repaired),
        )
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("its writer dead", new).beside(die_writing))
        .from(Start::new("left unrepaired", new).beside(die_writing).beside(see_and_leave))
}

pub fn read_timeout() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.lock.read_timeout(LONG) {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    operation(Operation::new("RwLock::read_timeout", sit, act, look))
        .from(Start::new("free", new))
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("a writer waits for a reader", new).beside(read_behind_the_gate).beside(count))
        .from(Start::new("its writer dead", new).beside(die_writing))
}

pub fn write_timeout() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.lock.write_timeout(LONG) {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    operation(Operation::new("RwLock::write_timeout", sit, act, look))
        .from(Start::new("free", new))
        .from(Start::new("read", new).beside(read_behind_the_gate))
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("its writer dead", new).beside(die_writing))
}

/// Both give up: the gate stays shut.
pub fn timeouts_in_vain() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        drop(home.lock.read_timeout(SHORT));
        drop(home.lock.write_timeout(SHORT));
    };
    let open_the_gate = |home: &Home| {
        home.gate.open();
        String::new()
    };
    Operation::new("RwLock::read_timeout, write_timeout, in vain", sit, act, look)
        .warm(warm)
        .help(open_the_gate)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("read, a writer waits", new).beside(read_behind_the_gate).beside(count))
        .from(Start::new("written, a writer waits", new).beside(write_behind_the_gate).beside(count))
        .from(Start::new("written, a reader comes behind it", new).beside(write_behind_the_gate).behind(read))
}

/// Which of several it tries, at once.
pub fn try_both() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        drop(home.lock.try_read());
        drop(home.lock.try_write());
    };
    operation(Operation::new("RwLock::try_read, try_write", sit, act, look))
        .allow(is_writer_dead)
        .lets_go()
        .from(Start::new("free", new))
        .from(Start::new("read", new).beside(read_behind_the_gate))
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("its writer dead", new).beside(die_writing))
        .from(Start::new("left unrepaired", new).beside(die_writing).beside(see_and_leave))
}

fn hold_reading(home: &Home) -> Reading {
    sit(home);
    Some(forever(home).lock.read().expect("nobody writes"))
}

pub fn stop_reading() -> Operation<Home, Reading> {
    operation(Operation::new("RwLockReadGuard::drop", hold_reading, |_, guard| drop(guard.take()), look))
        .lets_go()
        .from(Start::new("alone", new))
        .from(Start::new("beside another", new).beside(read_behind_the_gate))
        .from(Start::new("a writer waits", new).behind(count))
        .from(Start::new("a writer and a reader wait", new).behind(count).behind(read))
        .from(full(Start::new("no place is left, one waits", new)).behind(read))
}

fn hold_writing(home: &Home) -> Writing {
    sit(home);
    let mut guard = forever(home).lock.write_or_repair(repair).expect("the first");
    *guard = [guard[0] + 1, guard[1] + 1];
    Some(guard)
}

/// The first of its words names its writer.
fn word(home: &Home) -> &AtomicU64 {
    // SAFETY: eight bytes of a live value, aligned for them, that are an atomic there too.
    unsafe { AtomicU64::from_ptr((&raw const home.lock).cast_mut().cast()) }
}

pub fn stop_writing() -> Operation<Home, Writing> {
    recoverable(Operation::new("RwLockWriteGuard::drop", hold_writing, |_, guard| drop(guard.take()), look))
        .gives_up(word)
        .lets_go()
        .from(Start::new("nobody waits", new))
        .from(Start::new("a reader waits", new).behind(read))
        .from(Start::new("a writer waits", new).behind(count))
        .from(Start::new("two readers and two writers wait", new).behind(read).behind(count).behind(read).behind(count))
        .from(Start::new("taken from the dead, a reader waits", new).beside(die_writing).behind(read))
}

fn find_dead(home: &Home) -> Left {
    sit(home);
    match forever(home).lock.write() {
        Err(LockErrorOf::OwnerDied(left)) => Some(left),
        _ => panic!("the writer has died"),
    }
}

pub fn recover() -> Operation<Home, Left> {
    let act = |_: &Home, left: &mut Left| {
        let mut left = left.take().expect("prepared");
        repair(left.get_mut());
        std::mem::forget(left.recover());
    };
    recoverable(Operation::new("WriteOwnerDied::recover", find_dead, act, look))
        .allow(is_writer_dead)
        .from(Start::new("its writer dead", new).beside(die_writing))
        .from(Start::new("left unrepaired", new).beside(die_writing).beside(see_and_leave))
        .from(Start::new("its writer dead, a reader waits", new).beside(die_writing).behind(read))
        .from(Start::new("its writer dead, a writer waits", new).beside(die_writing).behind(count))
}

/// Locked, both halves counted up, unlocked; what the dead have left is repaired before.
pub fn count_once() -> Operation<Home, ()> {
    recoverable(Operation::new("RwLock::write_or_repair, change, unlock", sit, |home, ()| count(home), look))
        .allow(is_writer_dead)
        .lets_go()
        .from(Start::new("free", new))
        .from(Start::new("read", new).beside(read_behind_the_gate))
        .from(Start::new("written", new).beside(write_behind_the_gate))
        .from(Start::new("its writer dead", new).beside(die_writing))
        .from(Start::new("left unrepaired", new).beside(die_writing).beside(see_and_leave))
}
