//! `cargo bench --bench wire`: what turning values into bytes and back costs, against copying the same bytes.

#[path = "support/orders.rs"]
mod orders;
#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use orders::orders;
use support::{Goal, Table, per_call, quick};
use tine::wire::{self, Encoder, Wire};

tine::plain! {
    #[derive(Clone, Copy)]
    struct Sample { at: u64, value: f32, channel: u32 }
}

/// The honest copy: new memory, not zeroed, then one `memcpy`.
fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(bytes.len());
    copy.extend_from_slice(bytes);
    copy
}

fn against_memcpy<T: Wire>(title: &str, value: &T, goal: Goal, calls: u32, pairs: usize) {
    let bytes = wire::to_bytes(value).expect("the value crosses");
    let mut used = Encoder::new();
    Table::new(format!("{title}, {} bytes", bytes.len()), "memcpy into a new Vec", || {
        per_call(calls, || copied(black_box(&bytes)))
    })
    .row("encode into a new Vec", goal, || per_call(calls, || wire::to_bytes(black_box(value)).expect("it crosses")))
    .row("encode into a used buffer", Goal::None, || {
        per_call(calls, || {
            used.clear();
            black_box(value).encode(&mut used).expect("it crosses");
            used.as_bytes().len()
        })
    })
    .row("decode", goal, || per_call(calls, || wire::from_bytes::<T>(black_box(&bytes)).expect("what was encoded")))
    .print(pairs);
}

fn main() {
    let scale = if quick() { 64 } else { 1 };
    let numbers: Vec<f64> = (0..(64 << 20) / 8 / scale).map(|i| i as f64).collect();
    // 0.8 times the speed of memcpy.
    against_memcpy("Vec<f64>", &numbers, Goal::AtMost(1.25), 1, 31);
    let samples = vec![Sample { at: 1, value: 0.5, channel: 3 }; 4096];
    against_memcpy("Vec of 4096 plain structs", &samples, Goal::None, 200, 51);
    against_memcpy("Vec of 1000 orders: text, options, enums, vectors", &orders(1000), Goal::None, 10, 51);
}
