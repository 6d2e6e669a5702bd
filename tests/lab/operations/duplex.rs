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

fn with<const LENGTH: usize, const WITH_FILE: bool, const THERE: usize>() -> Room {
    room(LENGTH, WITH_FILE, THERE)
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
    look_with::<LARGE>(room)
}

fn look_with<const WORDS: usize>(room: &Room) -> String {
    let (here, there) = (sender(room), receiver(room));
    let mut found = Vec::new();
    let end = loop {
        match there.try_recv() {
            Ok((words, file)) if words.iter().all(|word| Some(word) == words.first()) => {
                found.push(format!(
                    "{} x {} and {}",
                    words.len(),
                    words.first().copied().unwrap_or(0),
                    file.is_some_and(|f| f.metadata().is_ok())
                ));
            }
            Ok(_) => found.push(String::from("a torn message")),
            Err(DuplexRecvError::Empty) => break String::from("empty"),
            Err(error) => break error.to_string(),
        }
    };
    let works = here.send(load(7, WORDS, true)).is_ok()
        && there.try_recv().is_ok_and(|(words, file)| words == vec![7; WORDS] && file.is_some())
        && there.try_send(()).is_ok()
        && here.try_recv().is_ok();
    format!("{found:?}, then {end}, works: {works}")
}

fn send_it(room: &Room, end: &mut ManuallyDrop<Duplex<Load, ()>>) {
    end.send(load(9, room.length, room.with_file)).expect("there is a receiver");
}

pub fn send() -> Operation<Room, ManuallyDrop<Duplex<Load, ()>>> {
    Operation::new("duplex send", sender, send_it, look)
        .unsteady(ALLOCATES)
        .from(Start::new("of nothing", with::<0, false, 0>))
        .from(Start::new("8 bytes", with::<1, false, 0>))
        .from(Start::new("24 bytes, behind another", with::<3, false, 1>))
        .from(Start::new("4096 bytes", with::<512, false, 0>))
        .from(Start::new("a descriptor", with::<0, true, 0>))
        .from(Start::new("with a descriptor, behind two others", with::<3, true, 2>))
        .from(Start::new("behind many", with::<1, false, 20>))
        .from(Start::new("4096 bytes with a descriptor, behind another", with::<512, true, 1>))
}

/// Beside a receiver, and before one who goes on where a sender has died.
pub fn send_beside() -> Operation<Room, ManuallyDrop<Duplex<Load, ()>>> {
    Operation { observe: look_with::<50>, ..send() }.meanwhile(receive_all, |_| false).recovery(
        sit_sending,
        send_another,
        |_| false,
    )
}

pub fn recv() -> Operation<Room, ManuallyDrop<Duplex<(), Load>>> {
    fn act(_: &Room, end: &mut ManuallyDrop<Duplex<(), Load>>) {
        let _ = end.try_recv();
    }
    Operation::new("duplex try_recv", with_room, act, look_with::<50>)
        .unsteady(ALLOCATES)
        .from(Start::new("nothing there", with::<1, false, 1>))
        .from(Start::new("of nothing", with::<0, false, 2>))
        .from(Start::new("8 bytes", with::<1, false, 2>))
        .from(Start::new("24 bytes, before another", with::<3, false, 3>))
        .from(Start::new("4096 bytes", with::<512, false, 2>))
        .from(Start::new("a descriptor", with::<0, true, 2>))
        .from(Start::new("with a descriptor, before another", with::<3, true, 3>))
        .from(Start::new("4096 bytes with a descriptor, before others", with::<512, true, 4>))
        .meanwhile(send_others, |_| false)
}

/// The room for a packet is made with the first: to fill it with zeroes takes more steps than all the rest.
fn with_room(room: &Room) -> ManuallyDrop<Duplex<(), Load>> {
    let end = receiver(room);
    end.recv().expect("one is there");
    end
}

/// Beside a sender: what is there, and an answer.
fn receive_all(room: &Room) -> String {
    let there = receiver(room);
    let mut found = Vec::new();
    while let Ok((words, file)) = there.try_recv() {
        found.push((words.len(), words.first().copied(), file.is_some()));
    }
    format!("{found:?}, answered {}", there.try_send(()).is_ok())
}

/// Beside a receiver.
fn send_others(room: &Room) -> String {
    format!("sent {}", sender(room).try_send(load(5, 2, true)).is_ok())
}

fn sit_sending(room: &Room) {
    let end = sender(room);
    room.here.replace(Some(ManuallyDrop::into_inner(end)));
}

fn send_another(room: &Room) {
    let end = ManuallyDrop::new(room.here.take().expect("it has sat down"));
    let _ = end.try_send(load(5, 2, true));
}

pub fn drop_end() -> Operation<Room, ManuallyDrop<Duplex<Load, ()>>> {
    fn act(_: &Room, end: &mut ManuallyDrop<Duplex<Load, ()>>) {
        // What is left in its place is empty.
        let (empty, _) = duplex().expect("a pair");
        drop(ManuallyDrop::into_inner(std::mem::replace(end, ManuallyDrop::new(empty))));
    }
    fn look_for_the_end(room: &Room) -> String {
        let there = receiver(room);
        let mut found = 0;
        let end = loop {
            match there.try_recv() {
                Ok(_) => found += 1,
                Err(end) => break end,
            }
        };
        let is_over = matches!(end, DuplexRecvError::Disconnected | DuplexRecvError::PeerDied(_));
        format!("{found}, over: {is_over}")
    }
    Operation::new("duplex drop", sender, act, look_for_the_end)
        .unsteady(ALLOCATES)
        .from(Start::new("with nothing in it", with::<1, false, 0>))
        .from(Start::new("with one in it", with::<1, false, 1>))
        .from(Start::new("with one of nothing in it", with::<0, false, 1>))
        .from(Start::new("with some in it", with::<3, false, 5>))
        .from(Start::new("with many in it", with::<1, false, 20>))
        .from(Start::new("with a page in it", with::<512, false, 1>))
        .from(Start::new("with a descriptor in it", with::<0, true, 1>))
        .from(Start::new("with pages and descriptors in it", with::<512, true, 2>))
}
