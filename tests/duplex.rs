//! Channels of two ends that both send and receive, between processes; what travels through them; and who harms them.

#[path = "pipe/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;

#[path = "duplex/death.rs"]
mod death;
#[path = "duplex/hostile.rs"]
mod hostile;
#[path = "duplex/messages.rs"]
mod messages;
#[path = "duplex/owner.rs"]
mod owner;
#[path = "duplex/passes.rs"]
mod passes;
#[path = "spsc/peers.rs"]
#[allow(dead_code)]
mod peers;

use std::time::Duration;

/// For what has to come.
const LONG: Duration = Duration::from_secs(30);

fn main() {
    let cases = [messages::CASES, passes::CASES, owner::CASES, death::CASES, hostile::CASES].concat();
    support::run(cases.leak());
}

/// Bytes that no shorter or shifted message has.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ seed) as u8).collect()
}
