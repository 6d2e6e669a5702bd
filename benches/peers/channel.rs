//! `cargo bench --manifest-path benches/peers/Cargo.toml --features iceoryx2 --bench channel`: tine's channels beside others.
//!
//! `-- spsc` behind it is one part; `-- --write` writes all of it to `docs/figures`, too.

#[path = "../support/figures.rs"]
mod figures;
#[path = "../channel/floors.rs"]
mod floors;
#[cfg(feature = "iceoryx2")]
#[path = "channel/iceoryx.rs"]
mod iceoryx;
#[path = "channel/others.rs"]
mod others;
#[path = "../channel/ours.rs"]
mod ours;
#[path = "../support/race.rs"]
mod race;
#[path = "../support/mod.rs"]
mod support;
#[path = "channel/threads.rs"]
mod threads;

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
    let about = "tine between processes, its peers between processes or, where it says so, between threads; one CPU each where there \
                 are enough. Made by a benchmark; how to read it is told in `benches/README.md`.";
    let lock = include_str!("Cargo.lock");
    let peers = ["tine", "rtrb", "crossbeam-channel", "shaq", "cloudtoid-interprocess", "ipc-channel", "iceoryx2"];
    let built = |peer: &&str| *peer != "iceoryx2" || cfg!(feature = "iceoryx2");
    let versions: Vec<_> = peers.into_iter().filter(built).map(|peer| (peer, version(lock, peer))).collect();
    Figures::new("channel-peers.md", "Channels beside others", about, &versions).run(&[
        ("round-trip", round_trip),
        ("spsc", spsc),
        ("mpmc", mpmc),
        ("queue", queue),
        ("large", large),
    ]);
}

/// Adds the row of iceoryx2, if it was built.
macro_rules! with_iceoryx {
    ($table:expr, $goal:expr, $slice:expr) => {{
        #[cfg(feature = "iceoryx2")]
        let table = $table.row("iceoryx2", $goal, $slice);
        #[cfg(not(feature = "iceoryx2"))]
        let table = $table;
        table
    }};
}

fn round_trip(figures: &mut Figures) {
    let table = Table::new("Round trip of 8 bytes, spinning", "tine spsc", || ours::round_trips(Spin::Always))
        .per(1000)
        .row("two cores and two lines: the floor", Goal::None, floors::round_trips)
        .row("rtrb (threads)", Goal::AtLeast(1.0), threads::rtrb_round_trips)
        .row("shaq spsc", Goal::AtLeast(1.0), others::shaq_round_trips)
        .row("crossbeam-channel (threads)", Goal::None, threads::crossbeam_round_trips)
        .row("cloudtoid-interprocess", Goal::None, others::cloudtoid_round_trips)
        .row("pipe (sleeping)", Goal::None, floors::pipe_round_trips)
        .row("ipc-channel (sleeping)", Goal::None, others::ipc_round_trips);
    let table = with_iceoryx!(table, Goal::None, iceoryx::round_trips);
    figures.table(&table.measure(PAIRS));
}

fn spsc(figures: &mut Figures) {
    let n = so_many(1 << 19);
    let table = Table::new("Stream of 8 bytes, one by one, capacity 1024", "tine spsc", || {
        ours::stream(CAPACITY, Spin::Adaptive, n)
    })
    .per(1000)
    .rate()
    .row("tine spsc, spinning", Goal::None, || ours::stream(CAPACITY, Spin::Always, n))
    .row("rtrb (threads)", Goal::AtLeast(1.0), || threads::rtrb_stream(CAPACITY, n))
    .row("shaq spsc", Goal::AtLeast(15.0), others::shaq_stream)
    .row("crossbeam-channel (threads)", Goal::None, || threads::crossbeam_many(1, 1, CAPACITY))
    .row("cloudtoid-interprocess", Goal::None, || others::cloudtoid_many(1, 1, CAPACITY))
    .row("pipe", Goal::None, || floors::pipe(8, so_many(5_000)))
    .row("ipc-channel", Goal::None, others::ipc_stream);
    let table = with_iceoryx!(table, Goal::None, iceoryx::stream);
    figures.table(&table.measure(PAIRS));

    let table = Table::new("Stream of 8 bytes, in batches of 256, capacity 1024", "tine spsc, slices", || {
        ours::slices(CAPACITY, Spin::Adaptive)
    })
    .per(1000)
    .rate()
    .row("tine spsc, slices, spinning", Goal::None, || ours::slices(CAPACITY, Spin::Always))
    .row("tine spsc, in place", Goal::None, || ours::in_place(CAPACITY))
    .row("rtrb, slices (threads)", Goal::AtLeast(1.0), || threads::rtrb_slices(CAPACITY))
    .row("rtrb, chunks in place (threads)", Goal::AtLeast(1.0), || threads::rtrb_chunks(CAPACITY));
    figures.table(&table.measure(PAIRS));
}

fn mpmc(figures: &mut Figures) {
    for (many, title) in [(1, "1 sender, 1 receiver"), (2, "2 senders, 2 receivers")] {
        for capacity in [64, 1024, 65536] {
            let title = format!("Stream of 8 bytes, {title}, capacity {capacity}");
            let crossbeam = move || threads::crossbeam_many(many, many, capacity);
            let mut table = Table::new(title, "tine mpmc", move || ours::many(many, many, capacity))
                .per(1000)
                .rate()
                .row("crossbeam-channel (threads)", Goal::AtLeast(1.0), crossbeam);
            if capacity == 1024 {
                table = table.row("shaq mpmc", Goal::None, move || others::shaq_many(many, many, capacity)).row(
                    "cloudtoid-interprocess",
                    Goal::None,
                    move || others::cloudtoid_many(many, many, capacity),
                );
            }
            figures.table(&table.measure(PAIRS));
        }
    }
}

fn queue(figures: &mut Figures) {
    let table = Table::new("Stream of structs of 100 bytes", "tine channel of any value", ours::readings)
        .per(1000)
        .rate()
        .row("ipc-channel", Goal::AtLeast(20.0), others::ipc_readings);
    figures.table(&table.measure(PAIRS));
}

fn large(figures: &mut Figures) {
    let (n, few) = (so_many(32), so_many(8));
    let table =
        Table::new("Messages of 1 MiB, written once, read in place", "tine bytes", || ours::large_in_place(MIB, n))
            .per(1000)
            .bytes(MIB as u64)
            .row("four buffers, a counter: the floor", Goal::None, || floors::hand_off(MIB, n, Then::Read));
    let table = with_iceoryx!(table, Goal::AtLeast(1.0), || iceoryx::large(MIB, n));
    let table = table.row("ipc-channel, copied in", Goal::None, || others::ipc_large(MIB, few)).row(
        "pipe, copied in and out",
        Goal::None,
        || floors::pipe(MIB, few),
    );
    figures.table(&table.measure(PAIRS));
}
