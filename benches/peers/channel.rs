//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench channel`: tine's channels beside others.

#[path = "../channel/ours.rs"]
mod ours;
#[path = "../support/race.rs"]
mod race;
#[path = "../support/mod.rs"]
mod support;
#[path = "channel/threads.rs"]
mod threads;

use support::{Goal, Table, wanted};
use tine::channel::Spin;

fn main() {
    if wanted("round-trip") {
        round_trip();
    }
    if wanted("spsc") {
        spsc();
    }
    if wanted("mpmc") {
        mpmc();
    }
}

fn round_trip() {
    Table::new("round trip of 8 bytes, spinning", "tine spsc", ours::round_trips)
        .per(1000)
        .row("rtrb (threads)", Goal::AtLeast(1.0), threads::rtrb_round_trips)
        .row("crossbeam-channel (threads)", Goal::None, threads::crossbeam_round_trips)
        .measure(25)
        .print();
}

fn spsc() {
    const CAPACITY: usize = 1024;
    Table::new("stream of 8 bytes, one by one", "tine spsc", || ours::stream(CAPACITY, Spin::Adaptive))
        .per(1000)
        .rate()
        .row("tine spsc, always spinning", Goal::None, || ours::stream(CAPACITY, Spin::Always))
        .row("rtrb (threads)", Goal::AtLeast(1.0), || threads::rtrb_stream(CAPACITY))
        .row("crossbeam-channel (threads)", Goal::None, || threads::crossbeam_many(1, 1, CAPACITY))
        .measure(25)
        .print();
    Table::new("stream of 8 bytes, in batches of 256", "tine spsc", || ours::batches(CAPACITY, Spin::Adaptive))
        .per(1000)
        .rate()
        .row("tine spsc, always spinning", Goal::None, || ours::batches(CAPACITY, Spin::Always))
        .row("rtrb slices (threads)", Goal::AtLeast(1.0), || threads::rtrb_batches(CAPACITY))
        .row("rtrb chunks (threads)", Goal::AtLeast(1.0), || threads::rtrb_chunks(CAPACITY))
        .measure(25)
        .print();
}

fn mpmc() {
    for (many, title) in [(1, "1 sender, 1 receiver"), (2, "2 senders, 2 receivers")] {
        for capacity in [64, 1024, 65536] {
            let title = format!("stream of 8 bytes, {title}, capacity {capacity}");
            Table::new(title, "tine mpmc", || ours::many(many, many, capacity))
                .per(1000)
                .rate()
                .row("crossbeam-channel (threads)", Goal::AtLeast(1.0), || {
                    threads::crossbeam_many(many, many, capacity)
                })
                .measure(25)
                .print();
        }
    }
}
