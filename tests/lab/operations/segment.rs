//! `Segment`: created, opened, taken over, removed.
use tine::Shared;
use tine::memory::{Segment, SegmentError};

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;
use crate::lab::resources::names;

pub struct Room {
    name: String,
    gate: Shared<Gate>,
}

const OLD: usize = 100;
const NEW: usize = 200;

fn new() -> Room {
    let name = format!("tine-lab-{}", std::process::id());
    // Of a run that was broken off.
    let _ = Segment::unlink(&name);
    Room { name, gate: Shared::new(Gate::new()).expect("shared memory") }
}

fn warm() {
    let room = new();
    drop(Segment::create(&room.name, OLD).expect("a segment"));
    assert!(Segment::open(&room.name).is_err());
}

/// Creates it, and dies.
fn leave_it(room: &Room) {
    std::mem::forget(Segment::create(&room.name, OLD).expect("the first"));
    process::exit(0);
}

/// Has it until the gate opens.
fn hold(room: &Room) {
    let segment = Segment::create(&room.name, OLD).expect("the first");
    room.gate.wait();
    drop(segment);
}

/// Has it open until the gate opens.
fn use_it(room: &Room) {
    let segment = Segment::open(&room.name).expect("it is there");
    let values = segment.as_slice::<u8>().expect("bytes");
    room.gate.wait();
    let old = values.get(0);
    values.set(0, 7).expect("within");
    assert!(matches!((old, values.get(0)), (Some(0 | 7), Some(7))), "the memory of who has it open stays");
}

fn remove(room: &Room) {
    Segment::unlink(&room.name).expect("it is there");
}

/// What has the name; that somebody can have it now; that nothing is left.
fn look(room: &Room) -> String {
    let there = match Segment::open(&room.name) {
        Ok(segment) => {
            let zero = segment.as_slice::<u8>().expect("bytes").to_vec().iter().all(|byte| matches!(byte, 0 | 7));
            format!("{} bytes, {}", segment.len(), if zero { "whole" } else { "torn" })
        }
        Err(SegmentError::NotFound { .. }) => String::from("nothing"),
        Err(error) => error.to_string(),
    };
    let next = match Segment::create_or_recover(&room.name, 300) {
        Ok(segment) => segment.len().to_string(),
        Err(error) => error.to_string(),
    };
    let _ = Segment::unlink(&room.name);
    format!("{there}, then {next}, left {:?}", names("/dev/shm", &room.name))
}

fn operation<L>(bare: Operation<Room, L>) -> Operation<Room, L> {
    bare.warm(warm).wake(|room| room.gate.open())
}

fn nothing(_: &Room) -> Option<Segment> {
    None
}

type Own = Option<Segment>;

fn from_anywhere(name: &'static str, act: fn(&Room, &mut Own)) -> Operation<Room, Own> {
    operation(Operation::new(name, nothing, act, look))
        .from(Start::new("nothing there", new))
        .from(Start::new("left by a dead creator", new).beside(leave_it))
        .from(Start::new("left by a dead creator, in use", new).beside(leave_it).beside(use_it))
        .from(Start::new("its creator alive", new).beside(hold))
}

pub fn create() -> Operation<Room, Own> {
    from_anywhere("Segment::create", |room, own| *own = Segment::create(&room.name, NEW).ok())
}

/// Between the removal of the old one and the new one there is nothing.
pub fn create_or_recover() -> Operation<Room, Own> {
    from_anywhere("Segment::create_or_recover", |room, own| *own = Segment::create_or_recover(&room.name, NEW).ok())
        .allow(|seen| seen.starts_with("nothing, then 300, left []"))
}

pub fn open() -> Operation<Room, Own> {
    from_anywhere("Segment::open", |room, own| *own = Segment::open(&room.name).ok())
}

pub fn unlink() -> Operation<Room, Own> {
    from_anywhere("Segment::unlink", |room, _| drop(Segment::unlink(&room.name)))
}

/// The creator gives it up.
pub fn give_up() -> Operation<Room, Own> {
    let create = |room: &Room| Some(Segment::create(&room.name, NEW).expect("the first"));
    operation(Operation::new("Segment::drop", create, |_, own| drop(own.take()), look))
        .from(Start::new("alone", new))
        .from(Start::new("in use", new).behind(use_it))
        .from(Start::new("in use by two", new).behind(use_it).behind(use_it))
        .from(Start::new("removed already", new).behind(remove))
}
