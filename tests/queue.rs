//! Queues of values of any type: between threads and processes, the living and the dead.

#[path = "support/mod.rs"]
mod support;

#[path = "queue/basics.rs"]
mod basics;
#[path = "queue/claims.rs"]
mod claims;
#[path = "queue/death.rs"]
mod death;
#[path = "queue/hostile.rs"]
mod hostile;
#[path = "queue/letters.rs"]
mod letters;
#[path = "spsc/peers.rs"]
mod peers;
#[path = "queue/sizes.rs"]
mod sizes;

use std::time::Duration;

use tine::channel;
use tine::channel::{Receiver, Sender};
use tine::wire::Wire;

use peers::{end_by, stay, until_asleep};

fn main() {
    let cases = [basics::CASES, sizes::CASES, claims::CASES, letters::CASES, death::CASES, hostile::CASES].concat();
    support::run(cases.leak());
}

fn queue<T: Wire>(messages: usize) -> (Sender<T>, Receiver<T>) {
    channel(messages).unwrap()
}

/// For what must come.
const LONG: Duration = Duration::from_secs(20);
/// For what must not.
const SHORT: Duration = Duration::from_millis(20);
