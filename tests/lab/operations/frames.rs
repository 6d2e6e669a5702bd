//! `FrameWriter::send`: messages are whole, or not there.
use std::time::Duration;

use tine::Shared;
use tine::pipe::{FrameReader, FrameWriter, Reader, RecvFrameError, Writer, pipe};

use crate::lab::board::Gate;
use crate::lab::operation::{ALLOCATES, Operation, Start};

pub struct Room {
    reader: Reader,
    writer: Writer,
    gate: Shared<Gate>,
    /// What the victim sends, in words.
    length: usize,
}

fn room(length: usize) -> Room {
    let (reader, writer) = pipe().expect("a pipe");
    Room { reader, writer, gate: Shared::new(Gate::new()).expect("shared memory"), length }
}

fn small() -> Room {
    room(2)
}

/// Two pieces, since no more than 4096 bytes go in whole.
fn large() -> Room {
    room(520)
}

fn one_there() -> Room {
    let room = room(2);
    frames(&room).send(&vec![1; 3]).expect("there is room");
    room
}

/// A message that was begun by one who is dead.
fn torn_there() -> Room {
    let room = room(2);
    let mut frames = frames(&room);
    let long = vec![5_u64; 100_000];
    assert!(frames.send_timeout(&long, Duration::ZERO).is_err(), "it does not fit");
    room
}

fn frames(room: &Room) -> FrameWriter<Vec<u64>> {
    room.writer.try_clone().expect("a descriptor").frames()
}

fn send(room: &Room, writer: &mut FrameWriter<Vec<u64>>) {
    writer.send(&vec![9; room.length]).expect("there is a reader");
}

/// Makes room, when the gate opens.
fn drain(room: &Room) {
    room.gate.wait();
    let mut byte = vec![0; 65536];
    let _ = room.reader.read_timeout(&mut byte, Duration::ZERO);
}

/// What is there, and that the message of another writer gets through.
fn look(room: &Room) -> String {
    let mut reader = room.reader.try_clone().expect("a descriptor").frames::<Vec<u64>>();
    let there = receive(&mut reader);
    frames(room).send(&vec![77; 2]).expect("there is room");
    format!("{there:?}, then {:?}", receive(&mut reader))
}

fn receive(reader: &mut FrameReader<Vec<u64>>) -> Vec<String> {
    let next = || match reader.recv_timeout(Duration::ZERO) {
        Ok(message) if message.iter().all(|word| *word == message[0]) => {
            Some(format!("{} x {}", message.len(), message[0]))
        }
        Ok(_) => Some(String::from("a torn message")),
        Err(RecvFrameError::TimedOut) => None,
        Err(error) => Some(error.to_string()),
    };
    std::iter::from_fn(next).take(9).collect()
}

pub fn send_it() -> Operation<Room, FrameWriter<Vec<u64>>> {
    Operation::new("FrameWriter::send", frames, send, look)
        .wake(|room| room.gate.open())
        .unsteady(ALLOCATES)
        .from(Start::new("a small one", small))
        .from(Start::new("a small one behind another", one_there))
        .from(Start::new("one of two pieces", large))
        .from(Start::new("a small one, the pipe full of what a dead writer began", torn_there).beside(drain))
}
