//! `Condvar`: notify and wait.
use std::time::Duration;

use tine::Shared;
use tine::sync::{Condvar, CondvarError, LockErrorOf, LockTimeoutErrorOf, Mutex, MutexGuard};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

tine::share! {
    pub struct Room {
        /// How many there are to take.
        eggs: Mutex<u32>,
        more: Condvar,
        /// How many were taken.
        taken: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;
type Guard = Option<MutexGuard<'static, u32>>;

const LONG: Duration = Duration::from_secs(20);

fn with<const EGGS: u32>() -> Home {
    let room = Room { eggs: Mutex::new(EGGS), more: Condvar::new(), taken: Mutex::new(0), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

fn warm() {
    let home = with::<0>();
    let guard = home.eggs.lock().expect("a new mutex");
    assert!(matches!(home.eggs.lock(), Err(LockErrorOf::Deadlock)));
    drop(home.more.wait_timeout(guard, Duration::from_millis(1)).expect("a time-out"));
}

fn lock(home: &Home) -> MutexGuard<'_, u32> {
    home.eggs.lock_or_repair(|_| ()).expect("the mutex can be had")
}

/// Waits for one, and takes it; through the deaths of others.
fn take(home: &Home) {
    let mut eggs = lock(home);
    while *eggs == 0 {
        eggs = match home.more.wait(eggs) {
            Ok(eggs) => eggs,
            Err(CondvarError::Lock(LockErrorOf::OwnerDied(left))) => left.recover(),
            Err(error) => panic!("{error}"),
        };
    }
    *eggs -= 1;
    drop(eggs);
    *home.taken.lock().expect("nobody dies with it") += 1;
}

fn lay_behind_the_gate(home: &Home) {
    home.gate.wait();
    *lock(home) += 1;
    home.more.notify_one();
}

fn lay_all_behind_the_gate(home: &Home) {
    home.gate.wait();
    *lock(home) += 3;
    home.more.notify_all();
}

fn hold_behind_the_gate(home: &Home) {
    let eggs = lock(home);
    home.gate.wait();
    drop(eggs);
}

/// How many were taken without help; then there is enough for all.
fn lay_for_all(home: &Home) -> String {
    let taken = *home.taken.lock().expect("nobody dies with it");
    *lock(home) += 3;
    home.more.notify_all();
    format!("taken {taken}")
}

fn look(home: &Home) -> String {
    let eggs = match home.eggs.lock_timeout(LONG) {
        Ok(eggs) => eggs.to_string(),
        Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(left))) => {
            let eggs = format!("{}, the mutex's owner dead", left.get());
            drop(left.recover());
            eggs
        }
        Err(error) => return error.to_string(),
    };
    // Nobody waits: nothing happens, and nothing is left over for the next.
    home.more.notify_all();
    home.more.notify_one();
    format!("{eggs} left")
}

/// Its death is noticed by those who sleep: it is on the roster before they come.
fn sit(home: &Home) {
    drop(home.taken.lock().expect("nobody dies with it"));
}

/// It dies with the mutex, or waiting for it, or without; there are as many as there were, or more.
fn is_some_left(seen: &str) -> bool {
    seen.ends_with("left")
}

fn telling(name: &'static str, act: fn(&Home, &mut ())) -> Operation<Home, ()> {
    Operation::new(name, sit, act, look)
        .warm(warm)
        .wake(|home| home.gate.open())
        .help(lay_for_all)
        .allow(is_some_left)
        .from(Start::new("nobody waits", with::<0>))
        .from(Start::new("one waits", with::<0>).behind(take))
        .from(Start::new("three wait", with::<0>).behind(take).behind(take).behind(take))
        .from(Start::new("one waits, another has the mutex", with::<0>).behind(take).behind(hold_behind_the_gate))
}

pub fn notify_one() -> Operation<Home, ()> {
    telling("lock, change, unlock, Condvar::notify_one", |home, ()| {
        *lock(home) += 1;
        home.more.notify_one();
    })
}

pub fn notify_all() -> Operation<Home, ()> {
    telling("lock, change, unlock, Condvar::notify_all", |home, ()| {
        *lock(home) += 3;
        home.more.notify_all();
    })
    .lets_go()
}

fn hold(home: &Home) -> Guard {
    let home: &'static Home = Box::leak(Box::new(home.clone()));
    Some(lock(home))
}

/// Takes one, and holds the mutex then.
fn wait_and_take(home: &Home, guard: &mut Guard) {
    let eggs = guard.take().expect("prepared");
    match home.more.wait_while(eggs, |eggs| *eggs == 0) {
        Ok(mut eggs) => {
            *eggs -= 1;
            std::mem::forget(eggs);
        }
        Err(error) => std::mem::forget(error),
    }
}

pub fn wait() -> Operation<Home, Guard> {
    Operation::new("Condvar::wait", hold, wait_and_take, look)
        .warm(warm)
        .wake(|home| home.gate.open())
        .help(lay_for_all)
        .allow(is_some_left)
        .from(Start::new("there is one", with::<1>))
        .from(Start::new("told when it sleeps", with::<0>).beside(lay_behind_the_gate))
        .from(Start::new("all told when it sleeps", with::<0>).beside(lay_all_behind_the_gate))
        .from(
            Start::new("others wait, all told when it sleeps", with::<0>).beside(lay_all_behind_the_gate).beside(take),
        )
}

/// Nobody tells in time.
pub fn wait_in_vain() -> Operation<Home, Guard> {
    let act = |home: &Home, guard: &mut Guard| {
        let eggs = guard.take().expect("prepared");
        std::mem::forget(home.more.wait_timeout(eggs, Duration::from_millis(2)));
    };
    Operation::new("Condvar::wait_timeout, in vain", hold, act, look)
        .warm(warm)
        .wake(|home| home.gate.open())
        .help(lay_for_all)
        .allow(is_some_left)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .from(Start::new("nobody else", with::<0>))
        .from(Start::new("there is one", with::<1>))
        .from(Start::new("another waits", with::<0>).beside(take))
        .from(Start::new("another wants the mutex", with::<0>).behind(take))
}
