//! `Event`: set, clear and wait.
use std::time::Duration;

use tine::Shared;
use tine::sync::{Event, Mutex};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

tine::share! {
    pub struct Room {
        event: Event,
        /// For who has to sit down on the roster.
        other: Mutex<u32>,
        gate: Gate,
    }
}

type Home = Shared<Room>;

fn new() -> Home {
    Shared::new(Room { event: Event::new(), other: Mutex::new(0), gate: Gate::new() }).expect("shared memory")
}

fn set() -> Home {
    let home = new();
    home.event.set();
    home
}

fn cleared() -> Home {
    let home = set();
    home.event.clear();
    home
}

fn warm() {
    sit(&new());
    assert!(!new().event.wait_timeout(Duration::from_millis(1)));
}

fn wait(home: &Home) {
    home.event.wait();
}

fn set_behind_the_gate(home: &Home) {
    home.gate.wait();
    home.event.set();
}

fn set_and_clear_behind_the_gate(home: &Home) {
    home.gate.wait();
    home.event.set();
    home.event.clear();
}

/// What it is; and that all go on who wait.
fn let_go(home: &Home) -> String {
    let was = home.event.is_set();
    home.event.set();
    format!("set {was}")
}

fn look(home: &Home) -> String {
    let set = home.event.is_set();
    home.event.clear();
    home.event.set();
    let again = home.event.wait_timeout(Duration::ZERO);
    format!("set {set}, then {again}")
}

fn is_set(home: &Home) -> String {
    home.event.is_set().to_string()
}

/// Its death is noticed by those who sleep; else they would look for themselves after 100 ms, which takes that long.
fn sit(home: &Home) {
    drop(home.other.lock().expect("nobody else uses it"));
}

fn operation(name: &'static str, act: fn(&Home, &mut ())) -> Operation<Home, ()> {
    Operation::new(name, sit, act, look).warm(warm).wake(|home| home.gate.open()).help(let_go)
}

pub fn set_it() -> Operation<Home, ()> {
    operation("Event::set", |home, ()| home.event.set())
        .lets_go()
        .meanwhile(is_set, |_| false)
        .from(Start::new("nobody waits", new))
        .from(Start::new("set", set))
        .from(Start::new("cleared, one waits", cleared).behind(wait))
        .from(Start::new("one waits", new).behind(wait))
        .from(Start::new("three wait", new).behind(wait).behind(wait).behind(wait))
}

pub fn clear_it() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        home.event.clear();
    };
    operation("Event::clear", act)
        .meanwhile(is_set, |_| false)
        .from(Start::new("not set", new))
        .from(Start::new("set", set))
        .from(Start::new("cleared", cleared))
        .from(Start::new("one waits", new).beside(wait))
}

pub fn wait_for_it() -> Operation<Home, ()> {
    operation("Event::wait", |home, ()| home.event.wait())
        .meanwhile(is_set, |_| false)
        .from(Start::new("set", set))
        .from(Start::new("set when it sleeps", new).beside(set_behind_the_gate))
        .from(
            Start::new("set and cleared when it sleeps", new)
                .beside(set_and_clear_behind_the_gate)
                .passing()
                .unsteady("it goes on before the clear, or behind it"),
        )
        .from(Start::new("others wait, set when it sleeps", new).beside(wait).beside(wait).beside(set_behind_the_gate))
}

/// Nobody sets it in time.
pub fn wait_in_vain() -> Operation<Home, ()> {
    let act = |home: &Home, (): &mut ()| {
        let _ = home.event.wait_timeout(Duration::from_millis(2));
    };
    operation("Event::wait_timeout, in vain", act)
        .unsteady("the time that is left is subtracted with or without a borrow")
        .meanwhile(is_set, |_| false)
        .from(Start::new("not set", new))
        .from(Start::new("cleared", cleared))
        .from(Start::new("one waits", new).beside(wait))
        .from(Start::new("one waits behind it", new).behind(wait))
}
