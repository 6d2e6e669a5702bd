//! `Mutex`: every way to take and give back.
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tine::Shared;
use tine::sync::{LockErrorOf, LockTimeoutErrorOf, Mutex, MutexGuard, OwnerDied, TryLockErrorOf};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;

/// Two halves that are equal when all is well.
type Pair = [u32; 2];

tine::share! {
    pub struct Room {
        mutex: Mutex<Pair>,
        /// For who has to sit down before it counts.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;
type Guard = Option<MutexGuard<'static, Pair>>;
type Left = Option<OwnerDied<'static, Pair>>;

const LONG: Duration = Duration::from_secs(20);

// ------------------------------------------------------------------------------------------------- where it starts

fn new() -> Home {
    Shared::new(Room { mutex: Mutex::new([0; 2]), other: Mutex::new(0), gate: Gate::new() }).expect("shared memory")
}

/// What a lab does once: the roster is made, and what the locks ask of the system the first time is asked.
pub fn warm() {
    let home = new();
    let guard = home.mutex.lock().expect("a new mutex");
    assert!(matches!(home.mutex.lock(), Err(LockErrorOf::Deadlock)));
    drop(guard);
}

/// By a victim: sits down on the roster.
fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

/// A holder who dies, with half of its work done.
fn die_holding(home: &Home) {
    let mut guard = home.mutex.lock().expect("the first");
    guard[0] += 10;
    std::mem::forget(guard);
    process::exit(0);
}

/// Finds that its owner has died, and repairs nothing.
fn see_and_leave(home: &Home) {
    let Err(LockErrorOf::OwnerDied(left)) = home.mutex.lock() else { panic!("the owner has died") };
    drop(left);
}

/// Holds it until the gate opens.
fn hold(home: &Home) {
    let guard = home.mutex.lock().expect("the first");
    let before = *guard;
    home.gate.wait();
    assert_eq!(*guard, before, "somebody wrote beside the holder");
}

fn repair(pair: &mut Pair) {
    pair[1] = pair[0];
}

fn count(home: &Home) {
    let mut pair = home.mutex.lock_or_repair(repair).expect("the lock can be had");
    pair[0] += 1;
    pair[1] += 1;
}

/// The ways to find it, for who wants to lock it.
fn from_anywhere<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .wake(|home| home.gate.open())
        .from(Start::new("free", new))
        .from(Start::new("held", new).beside(hold))
        .from(Start::new("held, and waited for", new).beside(hold).beside(count).also(is_repaired))
        .from(Start::new("held, and waited for behind it", new).beside(hold).then(count).also(is_repaired))
        .from(Start::new("held, who waited for it dead", new).beside(hold).after_the_death_of(count))
        .from(Start::new("its owner dead", new).beside(die_holding))
        .from(Start::new("left unrepaired", new).beside(die_holding).beside(see_and_leave))
}

// ---------------------------------------------------------------------------------------------------- what is seen

/// What is there, and that it can be locked, repaired and locked again.
fn look(home: &Home) -> String {
    let found = match home.mutex.lock_timeout(LONG) {
        Ok(pair) => format!("{:?}", *pair),
        Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(mut left))) => {
            let found = format!("{:?}, its owner dead", left.get());
            repair(left.get_mut());
            drop(left.recover());
            found
        }
        Err(error) => return error.to_string(),
    };
    match home.mutex.try_lock() {
        Ok(pair) => format!("{found}, then {:?}", *pair),
        Err(error) => format!("{found}, then: {error}"),
    }
}

/// Beside a victim that stands still. Counted up by a hundred: that others count before or after is then the same.
fn try_count(home: &Home) -> String {
    let (how, mut pair) = match home.mutex.try_lock() {
        Ok(pair) => ("counted", pair),
        Err(TryLockErrorOf::WouldBlock) => return BUSY.to_owned(),
        Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(mut left))) => {
            repair(left.get_mut());
            ("repaired and counted", left.recover())
        }
        Err(error) => return error.to_string(),
    };
    let [first, second] = *pair;
    *pair = [first + 100, second + 100];
    if first == second { how.to_owned() } else { format!("{how} what was half done") }
}

/// As above, where one who waits may repair it before or after.
fn try_count_anyhow(home: &Home) -> String {
    try_count(home).replace("repaired and ", "")
}

const BUSY: &str = "busy";

fn is_busy(seen: &str) -> bool {
    seen == BUSY
}

/// Who is killed while it holds the lock leaves the mark, and half of its work or all of it.
fn is_owner_dead(seen: &str) -> bool {
    seen.contains("its owner dead")
}

/// Who waits beside it comes after it, and repairs what it left.
fn is_repaired(seen: &str) -> bool {
    ["[1, 1], then [1, 1]", "[2, 2], then [2, 2]", "[101, 101], then [101, 101]"].contains(&seen)
}

/// By a victim, whose memory goes with it: what is borrowed from it lives as long.
fn forever(home: &Home) -> &'static Home {
    Box::leak(Box::new(home.clone()))
}

// -------------------------------------------------------------------------------------------------- the operations

pub fn lock() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.mutex.lock() {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    from_anywhere(Operation::new("Mutex::lock", sit, act, look)).meanwhile(try_count, is_busy)
}

/// The first lock of a process: it takes its place on the roster.
pub fn first_lock() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.mutex.lock() {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    from_anywhere(Operation::new("Mutex::lock, the first of a process", |_| (), act, look))
        .unsteady("it reads numbers of varying length from /proc")
}

pub fn try_lock() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.mutex.try_lock() {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    from_anywhere(Operation::new("Mutex::try_lock", sit, act, look)).meanwhile(try_count, is_busy)
}

pub fn lock_timeout() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.mutex.lock_timeout(LONG) {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    from_anywhere(Operation::new("Mutex::lock_timeout", sit, act, look)).meanwhile(try_count, is_busy)
}

/// Its end comes before the lock is free: the gate stays shut.
pub fn lock_timeout_in_vain() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| match home.mutex.lock_timeout(Duration::from_millis(2)) {
        Ok(guard) => std::mem::forget(guard),
        Err(error) => std::mem::forget(error),
    };
    Operation::new("Mutex::lock_timeout, in vain", sit, act, look)
        .warm(warm)
        .help(open_the_gate)
        .meanwhile(try_count, is_busy)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .from(Start::new("held", new).beside(hold))
        .from(Start::new("held, and waited for", new).beside(hold).beside(count))
        .from(Start::new("held, and waited for by two", new).beside(hold).beside(count).beside(count))
        .from(Start::new("held, and waited for behind it", new).beside(hold).behind(count))
}

fn open_the_gate(home: &Home) -> String {
    home.gate.open();
    String::new()
}

/// Locked, both halves counted up, unlocked; what the dead have left is repaired before.
pub fn count_once() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| count(home);
    from_anywhere(Operation::new("Mutex::lock_or_repair, change, unlock", sit, act, look))
        .allow(is_owner_dead)
        .lets_go()
        .meanwhile(try_count, is_busy)
        .recovery(sit, lock_and_repair, is_owner_dead)
}

/// Whoever finds it dirty repairs it; nothing else.
fn lock_and_repair(home: &Home) {
    drop(home.mutex.lock_or_repair(repair).expect("the lock can be had"));
}

/// The victim holds it, and has changed what it guards.
fn hold_and_count(home: &Home) -> Guard {
    sit(home);
    let mut guard = forever(home).mutex.lock_or_repair(repair).expect("the first");
    *guard = [guard[0] + 1, guard[1] + 1];
    Some(guard)
}

/// The first of its words names its holder.
fn word(home: &Home) -> &AtomicU64 {
    // SAFETY: eight bytes of a live value, aligned for them, that are an atomic there too.
    unsafe { AtomicU64::from_ptr((&raw const home.mutex).cast_mut().cast()) }
}

pub fn unlock() -> Operation<Home, Guard> {
    Operation::new("MutexGuard::drop", hold_and_count, |_, guard| drop(guard.take()), look)
        .warm(warm)
        .meanwhile(try_count, is_busy)
        .recovery(sit, lock_and_repair, is_owner_dead)
        .gives_up(word)
        .lets_go()
        .from(Start::new("nobody waits", new))
        .from(Start::new("one waits", new).behind(count))
        .from(Start::new("three wait", new).behind(count).behind(count).behind(count))
        .from(Start::new("taken from the dead", new).beside(die_holding))
        .from(Start::new("one waits, taken from the dead", new).beside(die_holding).behind(count))
}

fn find_dead(home: &Home) -> Left {
    sit(home);
    match forever(home).mutex.lock() {
        Err(LockErrorOf::OwnerDied(left)) => Some(left),
        other => panic!("the owner has died, and there is {other:?}"),
    }
}

/// The starts for who holds what the dead have left.
fn from_the_dead<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation
        .warm(warm)
        .meanwhile(try_count, is_busy)
        .recovery(sit, lock_and_repair, is_owner_dead)
        .from(Start::new("its owner dead", new).beside(die_holding))
        .from(Start::new("left unrepaired", new).beside(die_holding).beside(see_and_leave))
        .from(Start::new("its owner dead, one waits", new).beside(die_holding).behind(count))
        .from(
            Start::new("its owner dead, three wait", new).beside(die_holding).behind(count).behind(count).behind(count),
        )
}

/// Repaired, and then told so; the lock stays held.
pub fn recover() -> Operation<Home, Left> {
    let act = |_: &Home, left: &mut Left| {
        let mut left = left.take().expect("prepared");
        repair(left.get_mut());
        std::mem::forget(left.recover());
    };
    from_the_dead(Operation::new("OwnerDied::recover", find_dead, act, look)).allow(is_owner_dead)
}

/// Given back unrepaired.
pub fn leave() -> Operation<Home, Left> {
    let act = |_: &Home, left: &mut Left| drop(left.take());
    from_the_dead(Operation::new("OwnerDied::drop", find_dead, act, look))
        .meanwhile(try_count_anyhow, is_busy)
        .lets_go()
}
