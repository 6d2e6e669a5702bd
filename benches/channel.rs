//! `cargo bench --bench channel`: channels between processes against the least that the same work can cost.
//!
//! `cargo bench --bench channel -- spsc` is one part; `-- --write` writes all of it to `docs/figures`, too.

#[path = "support/figures.rs"]
mod figures;
#[path = "channel/floors.rs"]
mod floors;
#[path = "channel/ours.rs"]
mod ours;
#[path = "support/race.rs"]
mod race;
#[path = "support/mod.rs"]
mod support;

use figures::{Figures, version};
use floors::Then;
use ours::{CAPACITY, MIB};
use support::{Goal, Table, so_many};
use tine::channel::Spin;

const PAIRS: usize = 51;

fn main() {
    // Asked for backtraces, every child is given a file for its own.
    // SAFETY: the program has one thread.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
    let about = "Between processes, one CPU each where there are enough, against the least that the same work can cost. \
                 Made by a benchmark; how to read it is told in `benches/README.md`.";
    let versions = [("tine", version(include_str!("../Cargo.lock"), "tine"))];
    Figures::new("channel.md", "Channels against floors", about, &versions).run(&[
        ("round-trip", round_trip),
        ("spsc", spsc),
        ("mpmc", mpmc),
        ("large", large),
        ("wake", wake),
    ]);
}

fn round_trip(figures: &mut Figures) {
    let table = Table::new("Round trip of 8 bytes", "two cores and two lines: the floor", floors::round_trips)
        .per(1000)
        .row("spsc, spinning", Goal::AtMost(1.1), || ours::round_trips(Spin::Always))
        .row("spsc, as it is made", Goal::None, || ours::round_trips(Spin::Adaptive));
    figures.table(&table.measure(2 * PAIRS));
}

fn spsc(figures: &mut Figures) {
    let one_by_one = |spin| move || ours::stream(CAPACITY, spin, so_many(1 << 19));
    let table = Table::new("Stream of 8 bytes, capacity 1024", "spsc, send and recv", one_by_one(Spin::Adaptive))
        .per(1000)
        .rate()
        .row("the same, spinning", Goal::None, one_by_one(Spin::Always))
        .row("send_slice and recv_slice, 256", Goal::None, || ours::slices(CAPACITY, Spin::Adaptive))
        .row("the same, spinning", Goal::None, || ours::slices(CAPACITY, Spin::Always))
        .row("reserve and peek, 256", Goal::None, || ours::in_place(CAPACITY));
    figures.table(&table.measure(PAIRS));
}

fn mpmc(figures: &mut Figures) {
    let table =
        Table::new("Stream of 8 bytes, senders : receivers", "mpmc 1:1, capacity 1024", || ours::many(1, 1, 1024))
            .per(1000)
            .rate()
            .row("1:1, capacity 64", Goal::None, || ours::many(1, 1, 64))
            .row("1:1, capacity 65536", Goal::None, || ours::many(1, 1, 65536))
            .row("2:2, capacity 64", Goal::None, || ours::many(2, 2, 64))
            .row("2:2, capacity 1024", Goal::None, || ours::many(2, 2, 1024))
            .row("2:2, capacity 65536", Goal::None, || ours::many(2, 2, 65536))
            .row("channel of any value, 100 bytes, 1:1", Goal::None, ours::readings);
    figures.table(&table.measure(PAIRS));
}

fn large(figures: &mut Figures) {
    let n = so_many(32);
    let table = Table::new("Messages of 1 MiB, written once, read in place", "four buffers, a counter", || {
        floors::hand_off(MIB, n, Then::Read)
    })
    .per(1000)
    .bytes(MIB as u64)
    .row("bytes, both ends trust", Goal::None, || ours::large_in_place(MIB, n));
    figures.table(&table.measure(PAIRS));
    let table = Table::new("Messages of 1 MiB, written once, copied out", "four buffers, a counter, memcpy", || {
        floors::hand_off(MIB, n, Then::CopyOut)
    })
    .per(1000)
    .bytes(MIB as u64)
    // 0.9 times the speed.
    .row("bytes, recv_into", Goal::AtMost(1.11), || ours::large_copied_out(MIB, n))
    .row("bytes, copied in by send, too", Goal::None, || ours::large_copied(MIB, n));
    figures.table(&table.measure(PAIRS));
}

fn wake(figures: &mut Figures) {
    for (title, q) in
        [("Wake of a sleeper, half are sooner (p50)", 0.5), ("The same, 99 of 100 are sooner (p99)", 0.99)]
    {
        let table = Table::new(title, "a bare futex", || floors::wake(q)).row(
            "spsc, never spinning",
            Goal::AtMost(1.1),
            || ours::wake(q),
        );
        figures.table(&table.measure(25));
    }
}
