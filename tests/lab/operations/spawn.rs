//! `spawn` and `join`: operations that make a process themselves.
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tine::process::{Builder, JoinError, JoinHandle};
use tine::{Shared, spawn};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};

tine::share! {
    pub struct Room {
        /// Which start this is.
        start: AtomicU32,
        /// How often the child came to its work.
        ran: AtomicU32,
        /// Whether its parent was told.
        told: AtomicU32,
        gate: Gate,
    }
}

type Home = Shared<Room>;
type Handle = Option<JoinHandle<String>>;

const SMALL: &str = "small";
/// More than fits beside the words that parent and child share: by a file.
const LARGE: usize = 10_000;

/// Which result the child has, or who else is there.
const ALONE: u32 = 0;
const LONG_RESULT: u32 = 1;
const PANIC: u32 = 2;
const KILLED: u32 = 3;
const WITH_A_SIBLING: u32 = 4;
const WITH_A_ZOMBIE: u32 = 5;

fn new<const START: u32>() -> Home {
    let zero = || AtomicU32::new(0);
    let room = Room { start: AtomicU32::new(START), ran: zero(), told: zero(), gate: Gate::new() };
    Shared::new(room).expect("shared memory")
}

fn warm() {
    let child = spawn(|| SMALL.to_owned()).expect("a child");
    assert_eq!(child.join().expect("its result"), SMALL);
}

/// What is left of a child whose parent is dead: nothing but what it had done.
fn look(home: &Home) -> String {
    format!("ran {}, told {}", home.ran.load(SeqCst), home.told.load(SeqCst))
}

/// The child had done its work, or had not, when its parent died.
fn is_half(seen: &str) -> bool {
    seen == "ran 0, told 0" || seen == "ran 1, told 0"
}

/// The child.
fn run(home: &Home) -> String {
    home.ran.fetch_add(1, SeqCst);
    match home.start.load(SeqCst) {
        LONG_RESULT => "x".repeat(LARGE),
        // Not `panic!`, which prints.
        PANIC => std::panic::resume_unwind(Box::new("as asked")),
        KILLED => std::process::abort(),
        _ => SMALL.to_owned(),
    }
}

fn join(home: &Home, child: JoinHandle<String>) {
    match (child.join(), home.start.load(SeqCst)) {
        (Ok(result), LONG_RESULT) => assert_eq!(result.len(), LARGE),
        (Err(JoinError::Panicked(_)), PANIC) | (Err(JoinError::Died(_)), KILLED) => {}
        (result, _) => assert_eq!(result.expect("its result"), SMALL),
    }
    home.told.store(1, SeqCst);
}

/// Other children that the victim has.
fn others(home: &Home) -> Handle {
    let pause = || {
        home.gate.wait();
        String::new()
    };
    match home.start.load(SeqCst) {
        WITH_A_SIBLING => Some(spawn(pause).expect("a child")),
        WITH_A_ZOMBIE => {
            let child = spawn(String::new).expect("a child");
            child.wait().expect("its end");
            drop(child);
            None
        }
        _ => None,
    }
}

fn operation<L>(operation: Operation<Home, L>) -> Operation<Home, L> {
    operation.allow(is_half).warm(warm).unsteady("it reads numbers of varying length from /proc")
}

/// A process from before its first instruction to its result.
pub fn spawn_and_join() -> Operation<Home, Handle> {
    let act = |home: &Home, _: &mut Handle| join(home, spawn(|| run(home)).expect("a child"));
    operation(Operation::new("spawn, join", others, act, look))
        .from(Start::new("alone", new::<ALONE>))
        .from(Start::new("with a long result", new::<LONG_RESULT>))
        .from(Start::new("beside another child", new::<WITH_A_SIBLING>))
        .from(Start::new("after a child that nobody joined", new::<WITH_A_ZOMBIE>))
}

/// A child that lives on when its parent dies: it does its work, or was never there.
pub fn spawn_detached() -> Operation<Home, Handle> {
    let act = |home: &Home, _: &mut Handle| {
        let child = Builder::new().die_with_parent(false).spawn(|| run(home)).expect("a child");
        child.detach();
    };
    operation(Operation::new("Builder::spawn, detach", others, act, look))
        .from(Start::new("alone", new::<ALONE>))
        .from(Start::new("with a long result", new::<LONG_RESULT>))
        .from(Start::new("beside another child", new::<WITH_A_SIBLING>))
        .from(Start::new("after a child that nobody joined", new::<WITH_A_ZOMBIE>))
}

/// The victim has a child, which waits behind the gate.
fn start_one(home: &Home) -> Handle {
    let child = spawn(|| {
        home.gate.wait();
        run(home)
    });
    Some(child.expect("a child"))
}

pub fn join_it() -> Operation<Home, Handle> {
    let act = |home: &Home, child: &mut Handle| join(home, child.take().expect("prepared"));
    operation(Operation::new("JoinHandle::join", start_one, act, look))
        .wake(|home| home.gate.open())
        .from(Start::new("of one that returns", new::<ALONE>))
        .from(Start::new("of one with a long result", new::<LONG_RESULT>))
        .from(Start::new("of one that panics", new::<PANIC>))
        .from(Start::new("of one that dies", new::<KILLED>))
}
