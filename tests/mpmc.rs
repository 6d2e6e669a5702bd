//! Rings with many senders and many receivers: between threads, processes, the living, the stopped and the dead.

#[path = "loom/src/queue_history.rs"]
#[allow(dead_code)]
mod queue_history;
#[path = "support/mod.rs"]
mod support;

#[path = "mpmc/basics.rs"]
mod basics;
#[path = "mpmc/claims.rs"]
mod claims;
#[path = "mpmc/death.rs"]
mod death;
#[path = "mpmc/order.rs"]
mod order;
#[path = "mpmc/owner.rs"]
mod owner;
#[path = "spsc/peers.rs"]
mod peers;
#[path = "mpmc/sleep.rs"]
mod sleep;

use std::time::Duration;

use tine::channel::mpmc::{self, Receiver, Sender};
use tine::wire::Plain;

use peers::{end_by, stay, until_asleep, until_in};

fn main() {
    let cases = [basics::CASES, claims::CASES, owner::CASES, death::CASES, order::CASES, sleep::CASES].concat();
    support::run(cases.leak());
}

fn ring<T: Plain>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    mpmc::channel(capacity).unwrap()
}

/// For what must come.
const LONG: Duration = Duration::from_secs(20);
/// For what must not.
const SHORT: Duration = Duration::from_millis(50);
