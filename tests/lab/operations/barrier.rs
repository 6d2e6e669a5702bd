//! `Barrier`: all go on, or it is broken for all.
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tine::Shared;
use tine::sync::{Barrier, BarrierError, Mutex};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

tine::share! {
    pub struct Room {
        barrier: Barrier<4>,
        /// Of the bystanders, how many went on, and how many found it broken.
        through: AtomicU32,
        broken: AtomicU32,
        /// For who has to sit down before it counts.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;

fn of<const PARTIES: usize>() -> Home {
    let zero = || AtomicU32::new(0);
    let barrier = Barrier::with_max(PARTIES);
    let room = Room { barrier, through: zero(), broken: zero(), other: Mutex::new(0), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

/// In its second round.
fn second_round() -> Home {
    let home = of::<2>();
    home.barrier.abort();
    home.barrier.reset();
    home
}

fn broken() -> Home {
    let home = of::<2>();
    home.barrier.abort();
    home
}

fn warm() {
    let home = of::<2>();
    assert!(matches!(home.barrier.wait_timeout(Duration::from_millis(1)), Err(BarrierError::TimedOut)));
    assert!(of::<1>().barrier.wait().is_ok());
}

fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

fn arrive(home: &Home) {
    let count = match home.barrier.wait() {
        Ok(_) => &home.through,
        Err(BarrierError::Broken) => &home.broken,
        Err(error) => panic!("{error}"),
    };
    count.fetch_add(1, SeqCst);
}

fn arrive_behind_the_gate(home: &Home) {
    home.gate.wait();
    arrive(home);
}

/// How it ended for the bystanders, one way or the other for all; who waits still is let go.
fn let_go(home: &Home) -> String {
    let (through, broken) = (home.through.load(SeqCst), home.broken.load(SeqCst));
    let torn = if through > 0 && broken > 0 { ", torn" } else { "" };
    home.barrier.abort();
    format!("{through} through, {broken} found it broken{torn}")
}

fn look(home: &Home) -> String {
    home.barrier.reset();
    let fresh = !home.barrier.is_broken() && home.barrier.waiting() == 0;
    // Alone it is in time for nobody.
    let again = match home.barrier.wait_timeout(Duration::ZERO) {
        Ok(_) => "through",
        Err(BarrierError::TimedOut) => "too early",
        Err(_) => "broken",
    };
    format!("reset {fresh}, then {again}")
}

/// Who is killed while it waits breaks it.
fn is_whole(seen: &str) -> bool {
    !seen.contains("torn")
}

fn operation(name: &'static str, act: fn(&Home, &mut ())) -> Operation<Home, ()> {
    Operation::new(name, sit, act, look).warm(warm).wake(|home| home.gate.open()).help(let_go).allow(is_whole)
}

pub fn wait() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        let _ = home.barrier.wait();
    };
    operation("Barrier::wait", act)
        .lets_go()
        .from(Start::new("for itself only", of::<1>))
        .from(Start::new("the last of two", of::<2>).behind(arrive))
        .from(Start::new("the last of three", of::<3>).behind(arrive).behind(arrive))
        .from(Start::new("the first of two", of::<2>).beside(arrive_behind_the_gate))
        .from(Start::new("the second of three", of::<3>).beside(arrive_behind_the_gate).behind(arrive))
        .from(Start::new("the last of two, in another round", second_round).behind(arrive))
        .from(Start::new("broken", broken))
        .from(Start::new("one who had come is dead", of::<2>).after_the_death_of(arrive))
}

/// The others do not come in time: it is broken for those who come then.
pub fn wait_in_vain() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        let _ = home.barrier.wait_timeout(Duration::from_millis(2));
    };
    operation("Barrier::wait_timeout, in vain", act)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .from(Start::new("nobody else", of::<2>))
        .from(Start::new("one of three waits", of::<3>).behind(arrive))
        .from(Start::new("two of four wait", of::<4>).behind(arrive).behind(arrive))
        .from(Start::new("in another round", second_round))
}

pub fn abort() -> Operation<Home, ()> {
    operation("Barrier::abort", |home, ()| home.barrier.abort())
        .lets_go()
        .from(Start::new("nobody waits", of::<2>))
        .from(Start::new("one waits", of::<2>).behind(arrive))
        .from(Start::new("two wait", of::<3>).behind(arrive).behind(arrive))
        .from(Start::new("broken", broken))
}

pub fn reset() -> Operation<Home, ()> {
    operation("Barrier::reset", |home, ()| home.barrier.reset())
        .lets_go()
        .from(Start::new("nobody waits", of::<2>))
        .from(Start::new("one waits", of::<2>).behind(arrive))
        .from(Start::new("two wait", of::<3>).behind(arrive).behind(arrive))
        .from(Start::new("broken", broken))
}
