//! `FillChunks`: chunks are whole, or absent.
use tine::SharedSlice;
use tine::memory::FillChunks;

use crate::lab::board::Gate;
use crate::lab::operation::{Operation, Start};
use crate::lab::process;

pub struct Room {
    chunks: FillChunks<u64>,
    gate: tine::Shared<Gate>,
}

const CHUNKS: usize = 3;
const LENGTH: usize = 4;

fn new() -> Room {
    let slice = SharedSlice::<u64>::zeroed(CHUNKS * LENGTH).expect("shared memory");
    let chunks = slice.fill_chunks(LENGTH).expect("shared memory");
    Room { chunks, gate: tine::Shared::new(Gate::new()).expect("shared memory") }
}

/// One chunk is committed.
fn begun() -> Room {
    let room = new();
    let mut filled = 0;
    let one = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        room.chunks.run(|range, values| {
            if filled == 1 {
                std::panic::resume_unwind(Box::new(()));
            }
            filled += 1;
            fill(range, values);
        })
    }));
    assert!(one.is_err());
    room
}

fn warm() {
    drop(begun());
}

fn fill(range: std::ops::Range<usize>, values: &mut [u64]) {
    for (at, value) in range.zip(values) {
        *value = 1000 + at as u64;
    }
}

fn fill_all(room: &Room, (): &mut ()) {
    room.chunks.run(fill).expect("memory for a buffer");
    room.chunks.retry_missing(fill).expect("memory for a buffer");
}

/// Dies with a chunk in its hands.
fn die_at_it(room: &Room) {
    let _ = room.chunks.run(|_, _| process::exit(0));
}

/// Has a chunk in its hands until the gate opens.
fn hold_one(room: &Room) {
    let mut first = true;
    let done = room.chunks.run(|range, values| {
        if std::mem::take(&mut first) {
            room.gate.wait();
        }
        fill(range, values);
    });
    done.expect("memory for a buffer");
}

/// What is committed, whether it is whole, and that the rest can be done.
fn look(room: &Room) -> String {
    let done: Vec<bool> = (0..CHUNKS).map(|chunk| room.chunks.is_done(chunk)).collect();
    let is_whole = |chunk: usize| {
        let values = room.chunks.read(chunk);
        values.is_none_or(|values| room.chunks.range(chunk).map(|at| 1000 + at as u64).eq(values))
    };
    let whole = (0..CHUNKS).all(is_whole);
    let rest = room.chunks.retry_missing(fill).map_err(|error| error.to_string());
    let complete = room.chunks.is_complete() && (0..CHUNKS).all(is_whole);
    let all =
        if whole && complete && rest == Ok(done.iter().filter(|done| !**done).count()) { "whole" } else { "torn" };
    format!("{all}, {done:?}")
}

/// Fewer chunks are done than would be; none is torn.
fn is_whole(seen: &str) -> bool {
    seen.starts_with("whole")
}

pub fn run() -> Operation<Room, ()> {
    Operation::new("FillChunks::run, retry_missing", |_| (), fill_all, look)
        .allow(is_whole)
        .warm(warm)
        .wake(|room| room.gate.open())
        .unsteady("it reads numbers of varying length from /proc")
        .from(Start::new("nothing is done", new))
        .from(Start::new("one is done", begun))
        .from(Start::new("one is a dead process's", new).beside(die_at_it))
        .from(Start::new("one is in another's hands", new).beside(hold_one))
}
