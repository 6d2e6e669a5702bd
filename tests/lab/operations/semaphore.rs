//! `Semaphore`: permits acquired, given back, used up and added.
use std::time::Duration;

use tine::Shared;
use tine::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;

/// The most permits. Like the numbers that there are at first a power of two, so that which one is looked at first is the
/// same in each run.
const MOST: usize = 4;

tine::share! {
    pub struct Room {
        permits: Semaphore<MOST>,
        /// For who has to sit down before it counts.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;
type Permit = Option<SemaphorePermit<'static>>;

fn with<const PERMITS: usize>() -> Home {
    let room = Room { permits: Semaphore::with_max(PERMITS), other: Mutex::new(0), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

fn warm() {
    let home = with::<1>();
    let permit = home.permits.acquire().expect("a permit");
    assert!(home.permits.try_acquire().expect("no failure").is_none());
    drop(permit);
}

fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

fn hold(home: &Home) {
    let permit = home.permits.acquire().expect("a permit");
    home.gate.wait();
    drop(permit);
}

fn die_holding(home: &Home) {
    std::mem::forget(home.permits.acquire().expect("a permit"));
    process::exit(0);
}

/// Waits for one, and gives it back.
fn come_and_go(home: &Home) {
    drop(home.permits.acquire().expect("a permit"));
}

/// Waits for one, and uses it up.
fn use_up(home: &Home) {
    home.permits.acquire().expect("a permit").forget();
}

/// How many there are, that they can all be had, and that there is room for the others.
fn look(home: &Home) -> String {
    let available = home.permits.available();
    let permits: Vec<_> = (0..=MOST).map_while(|_| home.permits.try_acquire().ok().flatten()).collect();
    let had = permits.len();
    drop(permits);
    let added = (0..=MOST).take_while(|_| home.permits.add().is_ok()).count();
    format!("{available} available, {had} had, {added} added")
}

/// Beside a victim that stands still: one comes and goes, if there is a permit.
fn try_one(home: &Home) -> String {
    match home.permits.try_acquire() {
        Ok(Some(permit)) => {
            drop(permit);
            "one".to_owned()
        }
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// In the middle of it the victim may have one in its hands.
fn is_none(seen: &str) -> bool {
    seen == "none"
}

fn operation<L>(bare: Operation<Home, L>) -> Operation<Home, L> {
    bare.warm(warm).wake(|home| home.gate.open()).meanwhile(try_one, is_none)
}

fn from_anywhere<L>(bare: Operation<Home, L>) -> Operation<Home, L> {
    operation(bare)
        .from(Start::new("one free", with::<1>))
        .from(Start::new("one of two free", with::<2>).beside(hold))
        .from(
            Start::new("all held", with::<2>)
                .beside(hold)
                .beside(hold)
                .unsteady("it has the first permit that is given back, or finds both free"),
        )
        .from(Start::new("held by the dead", with::<2>).beside(die_holding).beside(die_holding))
        .from(Start::new("one held, one the dead's", with::<2>).beside(hold).beside(die_holding))
}

/// Held until the victim is killed: it comes back.
pub fn acquire() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| std::mem::forget(home.permits.acquire().expect("a permit"));
    from_anywhere(Operation::new("Semaphore::acquire", sit, act, look))
        .from(Start::new("held, and waited for", with::<1>).beside(hold).beside(come_and_go))
        .from(Start::new("held, and waited for behind it", with::<1>).beside(hold).then(come_and_go))
}

/// Used up: it does not come back, so nobody else waits for it.
pub fn acquire_and_forget() -> Operation<Home, ()> {
    from_anywhere(Operation::new("Semaphore::acquire, forget", sit, |home, ()| use_up(home), look))
}

pub fn try_acquire() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| std::mem::forget(home.permits.try_acquire().expect("no failure"));
    from_anywhere(Operation::new("Semaphore::try_acquire", sit, act, look))
}

pub fn acquire_timeout() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        std::mem::forget(home.permits.acquire_timeout(Duration::from_secs(20)).expect("no failure"));
    };
    from_anywhere(Operation::new("Semaphore::acquire_timeout", sit, act, look))
}

/// There is none in time: the gate stays shut.
pub fn acquire_timeout_in_vain() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        std::mem::forget(home.permits.acquire_timeout(Duration::from_millis(2)).expect("no failure"));
    };
    let open_the_gate = |home: &Home| {
        home.gate.open();
        String::new()
    };
    Operation::new("Semaphore::acquire_timeout, in vain", sit, act, look)
        .warm(warm)
        .help(open_the_gate)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .from(Start::new("held", with::<1>).beside(hold))
        .from(Start::new("all held", with::<2>).beside(hold).beside(hold))
        .from(Start::new("held, and waited for", with::<1>).beside(hold).beside(come_and_go))
        .from(Start::new("held, and waited for behind it", with::<1>).beside(hold).behind(come_and_go))
}

fn have_one(home: &Home) -> Permit {
    sit(home);
    let home: &'static Home = Box::leak(Box::new(home.clone()));
    Some(home.permits.acquire().expect("a permit"))
}

pub fn give_back() -> Operation<Home, Permit> {
    operation(Operation::new("SemaphorePermit::drop", have_one, |_, permit| drop(permit.take()), look))
        .lets_go()
        .from(Start::new("nobody waits", with::<1>))
        .from(Start::new("another is free", with::<2>))
        .from(Start::new("one waits", with::<1>).behind(come_and_go))
        .from(Start::new("three wait", with::<1>).behind(come_and_go).behind(come_and_go).behind(come_and_go))
        .from(Start::new("another is the dead's, one waits", with::<2>).beside(die_holding).behind(come_and_go))
}

/// One more. Who waits for it gives it back, so that others come by, too.
pub fn add() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| drop(home.permits.add());
    let help = |home: &Home| {
        // The first of those who wait, should nobody have added one.
        let available = home.permits.available();
        drop(home.permits.add());
        format!("{available} added")
    };
    operation(Operation::new("Semaphore::add", sit, act, look))
        .help(help)
        .from(Start::new("there are none", with::<0>))
        .from(Start::new("there are all", with::<MOST>))
        .from(Start::new("one waits", with::<0>).behind(come_and_go))
        .from(Start::new("three wait", with::<0>).behind(come_and_go).behind(come_and_go).behind(come_and_go))
}
