//! `Once`: done by one for all.
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tine::Shared;
use tine::sync::{Mutex, Once, OnceError};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;

tine::share! {
    pub struct Room {
        once: Once,
        /// What is done, in two halves.
        first: AtomicU32,
        second: AtomicU32,
        /// For who has to sit down before it counts.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;

fn new() -> Home {
    let zero = || AtomicU32::new(0);
    let room = Room { once: Once::new(), first: zero(), second: zero(), other: Mutex::new(0), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

fn done() -> Home {
    let home = new();
    do_it(&home);
    home
}

fn warm() {
    let home = new();
    let inside = || assert!(matches!(home.once.call_once(|| ()), Err(OnceError::Deadlock)));
    home.once.call_once(inside).expect("a new one");
}

fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

fn work(home: &Home) {
    home.first.store(1, SeqCst);
    home.second.store(1, SeqCst);
}

fn do_it(home: &Home) {
    home.once.call_once(|| work(home)).expect("it can be done");
}

fn die_at_it(home: &Home) {
    let _ = home.once.call_once(|| {
        home.first.store(1, SeqCst);
        process::exit(0);
    });
}

fn do_it_behind_the_gate(home: &Home) {
    let slowly = || {
        home.gate.wait();
        work(home);
    };
    home.once.call_once(slowly).expect("the first");
}

fn wait(home: &Home) {
    home.once.wait_force().expect("somebody does it");
    assert_eq!((home.first.load(SeqCst), home.second.load(SeqCst)), (1, 1));
}

/// Whether it is done, and whole; by now somebody does it.
fn finish(home: &Home) -> String {
    let done = home.once.is_completed();
    let halves = (home.first.load(SeqCst), home.second.load(SeqCst));
    let whole = if done && halves != (1, 1) { "torn" } else { "whole" };
    do_it(home);
    format!("done {done}, {whole}")
}

fn look(home: &Home) -> String {
    do_it(home);
    format!("done {}, {:?}", home.once.is_completed(), (home.first.load(SeqCst), home.second.load(SeqCst)))
}

/// Beside a victim that stands still.
fn try_it(home: &Home) -> String {
    match home.once.try_call_once(|| work(home)) {
        Ok(()) => format!("done, {:?}", (home.first.load(SeqCst), home.second.load(SeqCst))),
        Err(OnceError::Running) => "busy".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn operation(name: &'static str, act: fn(&Home, &mut ())) -> Operation<Home, ()> {
    Operation::new(name, sit, act, look)
        .warm(warm)
        .wake(|home| home.gate.open())
        .help(finish)
        .meanwhile(try_it, |seen| seen == "busy")
}

pub fn call_once() -> Operation<Home, ()> {
    operation("Once::call_once", |home, ()| do_it(home))
        .lets_go()
        .from(Start::new("not done", new))
        .from(Start::new("done", done))
        .from(Start::new("being done", new).beside(do_it_behind_the_gate))
        .from(Start::new("who did it is dead", new).beside(die_at_it))
        .from(Start::new("two wait for it", new).behind(wait).behind(wait))
}

pub fn wait_for_it() -> Operation<Home, ()> {
    operation("Once::wait_force", |home, ()| wait(home))
        .from(Start::new("done", done))
        .from(Start::new("being done", new).beside(do_it_behind_the_gate))
        .from(Start::new("being done, others wait", new).beside(do_it_behind_the_gate).beside(wait))
        .from(Start::new("who did it is dead, another does it", new).beside(die_at_it).beside(do_it_behind_the_gate))
}
