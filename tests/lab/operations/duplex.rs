//! `channel::duplex`: messages, with a descriptor or without, are whole or not there.
//!
//! The processes of the lab are forked bare, so nothing hands the ends over: each takes over the end that it uses.
use std::cell::RefCell;
use std::fs::File;
use std::mem::ManuallyDrop;

use tine::channel::{Duplex, DuplexRecvError, duplex};

use crate::lab::operation::{ALLOCATES, Operation, Start};

type Load = (Vec<u64>, Option<File>);

pub struct Room {
    here: RefCell<Option<Duplex<Load, ()>>>,
    there: RefCell<Option<Duplex<(), Load>>>,
    /// What the victim sends, in words, and whether with a descriptor.
    length: usize,
    with_file: bool,
}

/// With this many messages in it already, each of so many words.
fn room(length: usize, with_file: bool, there: usize) -> Room {
    let (here, other) = duplex().expect("a pair");
    for _ in 0..there {
        here.send(load(1, length, with_file)).expect("there is room");
    }
    Room { here: RefCell::new(Some(here)), there: RefCell::new(Some(other)), length, with_file }
}

fn load(n: u64, length: usize, with_file: bool) -> Load {
    (vec![n; length], with_file.then(|| File::open("/dev/null").expect("there is one")))
}

/// Two packets: behind what the victim has begun.
const LARGE: usize = 10_000;

fn empty() -> Room {
    room(2, false, 0)
}
fn two_there() -> Room {
    room(3, true, 2)
}
fn three_there() -> Room {
    room(3, true, 3)
}

fn sender(room: &Room) -> ManuallyDrop<Duplex<Load, ()>> {
    let mut end = room.here.take().expect("each process takes it once");
    end.take_over().expect("a bare fork lets go of nothing");
    ManuallyDrop::new(end)
}

fn receiver(room: &Room) -> ManuallyDrop<Duplex<(), Load>> {
    let mut end = room.there.take().expect("each process takes it once");
    end.take_over().expect("a bare fork lets go of nothing");
    ManuallyDrop::new(end)
}

/// What is there, and that other messages get through in both directions.
fn look(room: &Room) -> String {
    let (here, there) = (sender(room), receiver(room));
    let mut found = Vec::new();
    let end = loop {
        match there.try_recv() {
            Ok((words, file)) if words.iter().all(|word| *word == words[0]) => {
                found.push(format!(
                    "{} x {} and {}",
                    words.len(),
                    words[0],
                    file.is_some_and(|f| f.metadata().is_ok())
                ));
            }
            Ok(_) => found.push(String::from("a torn message")),
            Err(DuplexRecvError::Empty) => break String::from("empty"),
            Err(error) => break error.to_string(),
        }
    };
    let works = here.send(load(7, LARGE, true)).is_ok()
        && there.try_recv().is_ok_and(|(words, file)| words == vec![7; LARGE] && file.is_some())
        && there.try_send(()).is_ok()
        && here.try_recv().is_ok();
    format!("{found:?}, then {end}, works: {works}")
}

pub fn send() -> Operation<Room, ManuallyDrop<Duplex<Load, ()>>> {
    fn act(room: &Room, end: &mut ManuallyDrop<Duplex<Load, ()>>) {
        end.send(load(9, room.length, room.with_file)).expect("there is a receiver");
    }
    Operation::new("Duplex::send", sender, act, look)
        .unsteady(ALLOCATES)
        .from(Start::new("a small one", empty))
        .from(Start::new("one with a descriptor, behind two others", two_there))
}

pub fn recv() -> Operation<Room, ManuallyDrop<Duplex<(), Load>>> {
    fn act(_: &Room, end: &mut ManuallyDrop<Duplex<(), Load>>) {
        end.recv().expect("one is there");
    }
    /// The room for a packet is made with the first: to fill it with zeroes takes more steps than all the rest.
    fn with_room(room: &Room) -> ManuallyDrop<Duplex<(), Load>> {
        let end = receiver(room);
        end.recv().expect("three are there");
        end
    }
    Operation::new("Duplex::recv", with_room, act, look).unsteady(ALLOCATES).from(Start::new("one of two", three_there))
}

pub fn drop_end() -> Operation<Room, ManuallyDrop<Duplex<Load, ()>>> {
    fn act(_: &Room, end: &mut ManuallyDrop<Duplex<Load, ()>>) {
        // What is left in its place is empty.
        let (empty, _) = duplex().expect("a pair");
        drop(ManuallyDrop::into_inner(std::mem::replace(end, ManuallyDrop::new(empty))));
    }
    fn look_for_the_end(room: &Room) -> String {
        let there = receiver(room);
        let end = std::iter::from_fn(|| there.try_recv().err()).next();
        let is_over = matches!(end, Some(DuplexRecvError::Disconnected | DuplexRecvError::PeerDied(_)));
        format!("over: {is_over}")
    }
    Operation::new("drop of a Duplex", sender, act, look_for_the_end)
        .unsteady(ALLOCATES)
        .from(Start::new("with nothing in it", empty))
}
