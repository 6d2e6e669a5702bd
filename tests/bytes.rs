//! Rings of bytes between processes.

#[path = "pipe/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;

#[path = "bytes/death.rs"]
mod death;
#[path = "bytes/hostile.rs"]
mod hostile;
#[path = "bytes/in_place.rs"]
mod in_place;
#[path = "bytes/sizes.rs"]
mod sizes;
#[path = "bytes/waiting.rs"]
mod waiting;

fn main() {
    let cases = [sizes::CASES, in_place::CASES, waiting::CASES, death::CASES, hostile::CASES];
    support::run(cases.concat().leak());
}

/// Bytes that tell where they belong.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ seed.wrapping_mul(167)) as u8).collect()
}
