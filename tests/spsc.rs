//! Rings with one sender and one receiver: between threads, processes, the living and the dead.

#[path = "support/refuse.rs"]
mod refuse;
#[path = "pipe/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;

#[path = "spsc/basics.rs"]
mod basics;
#[path = "spsc/death.rs"]
mod death;
#[path = "spsc/hostile.rs"]
mod hostile;
#[path = "spsc/owner.rs"]
mod owner;
#[path = "spsc/peers.rs"]
mod peers;
#[path = "spsc/sleep.rs"]
mod sleep;

use tine::channel::spsc::{self, Receiver, Sender};
use tine::wire::Plain;

use peers::{end_by, stay, until_asleep, until_in};

fn main() {
    let cases = [basics::CASES, owner::CASES, death::CASES, sleep::CASES, hostile::CASES].concat();
    support::run(cases.leak());
}

fn ring<T: Plain>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    spsc::channel(capacity).unwrap()
}
