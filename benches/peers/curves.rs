//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench curves`: what a message costs as the capacity, the length
//! of messages and the number of channels grow.
//!
//! `-- size` behind it is one of them; `-- --write` writes and draws all of them in `docs/figures`.

#[path = "curves/draw.rs"]
mod draw;
#[path = "../support/figures.rs"]
mod figures;
#[path = "../channel/floors.rs"]
mod floors;
#[path = "curves/number.rs"]
mod number;
#[path = "../channel/ours.rs"]
mod ours;
#[path = "../support/race.rs"]
mod race;
#[path = "../support/mod.rs"]
mod support;
#[path = "channel/threads.rs"]
mod threads;

use std::time::{Duration, Instant};

use draw::{Curve, Picture};
use figures::{Figures, version};
use floors::Then;
use ours::MIB;
use support::{quick, so_many};
use tine::channel::Spin;

/// For one picture, more or less.
const LIMIT: Duration = Duration::from_secs(40);

fn main() {
    // Asked for backtraces, every child is given a file for its own.
    // SAFETY: the program has one thread.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
    let about = "Medians of slices that were measured in turns, between processes but for those of threads. \
                 Made by a benchmark; how to read it is told in `benches/README.md`.";
    let versions = ["tine", "rtrb", "crossbeam-channel"].map(|peer| (peer, version(include_str!("Cargo.lock"), peer)));
    Figures::new("channel-curves.md", "Channels as they grow", about, &versions).run(&[
        ("capacity", capacity),
        ("size", size),
        ("number", number),
    ]);
}

/// One of the things that are compared: measures one slice, and returns the time of one operation, in seconds.
type Slice = fn(usize) -> f64;

/// Measures each of `what` at each of `places`, in turns, and takes the medians. Fewer rounds where they take too long.
fn curves(what: &[(&'static str, Slice)], places: &[usize], rounds: usize) -> Vec<Curve> {
    let rounds = if quick() { 1 } else { rounds };
    let mut times = vec![vec![Vec::new(); places.len()]; what.len()];
    let start = Instant::now();
    for round in 0..rounds {
        if start.elapsed() > LIMIT {
            println!("\nonly {round} rounds of {rounds}: the time was up");
            break;
        }
        for (place, &x) in places.iter().enumerate() {
            for ((_, slice), times) in what.iter().zip(&mut times) {
                times[place].push(slice(x));
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let curve = |((name, _), mut times): (&(&'static str, Slice), Vec<Vec<f64>>)| Curve {
        name,
        points: places.iter().zip(&mut times).map(|(&x, times)| (x as f64, median(times))).collect(),
    };
    what.iter().zip(times).map(curve).collect()
}

fn each(thousand: Duration) -> f64 {
    thousand.as_secs_f64() / 1000.0
}

fn capacity(figures: &mut Figures) {
    const WHAT: [(&str, Slice); 4] = [
        ("tine spsc", |capacity| each(ours::stream(capacity, Spin::Adaptive, so_many(few(capacity))))),
        ("rtrb (threads)", |capacity| each(threads::rtrb_stream(capacity, so_many(few(capacity))))),
        ("tine mpmc, 1:1", |capacity| each(ours::many_of(1, 1, capacity, so_many(few(capacity) / 2)))),
        ("crossbeam-channel, 1:1 (threads)", |capacity| {
            each(threads::crossbeam_many_of(1, 1, capacity, so_many(few(capacity) / 2)))
        }),
    ];
    /// In a small ring, each message waits for the one before.
    fn few(capacity: usize) -> u32 {
        if capacity < 64 { 20_000 } else { 200_000 }
    }
    let places: Vec<_> = (0..=18).step_by(2).map(|power| 1 << power).collect();
    let picture = Picture {
        file: "capacity.svg",
        title: "8 bytes, one by one, as the capacity grows",
        x: "capacity, messages",
        base: 4.0,
        y: "nanoseconds a message",
        unit: 1e-9,
        scale: &|x| x.to_string(),
    };
    picture.show(figures, &curves(&WHAT, &places, 9));
}

fn size(figures: &mut Figures) {
    const WHAT: [(&str, Slice); 5] = [
        ("tine bytes, in place", |len| each(ours::large_in_place(len, times(len)))),
        ("four buffers, a counter", |len| each(floors::hand_off(len, times(len), Then::Read))),
        ("tine bytes, copied", |len| each(ours::large_copied(len, times(len)))),
        ("four buffers, a counter, memcpy", |len| each(floors::hand_off(len, times(len), Then::CopyOut))),
        ("pipe", |len| each(floors::pipe(len, (times(len) / 8).max(2)))),
    ];
    /// In a slice.
    fn times(len: usize) -> u32 {
        so_many((32 * MIB / len).clamp(4, 50_000) as u32)
    }
    let places: Vec<_> = (3..=23).step_by(2).chain([24]).map(|power| 1 << power).collect();
    let picture = Picture {
        file: "size.svg",
        title: "One message, as it grows",
        x: "bytes",
        base: 4.0,
        y: "microseconds a message",
        unit: 1e-6,
        scale: &|x| match x {
            x if x >= MIB => format!("{} MiB", x / MIB),
            x if x >= 1024 => format!("{} KiB", x / 1024),
            x => format!("{x} B"),
        },
    };
    picture.show(figures, &curves(&WHAT, &places, 7));
}

fn number(figures: &mut Figures) {
    const WHAT: [(&str, Slice); 4] = [
        ("spsc, a message on each in turn", |n| each(number::spsc(n))),
        ("mpmc, a message on each in turn", |n| each(number::mpmc(n))),
        ("wait for all, the last is ready", |n| each(number::wait(n))),
        ("making one more spsc", |n| each(number::make(n))),
    ];
    let places = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000];
    let places = if quick() { &places[..6] } else { &places[..] };
    let picture = Picture {
        file: "number.svg",
        title: "8 bytes, as the number of channels grows",
        x: "channels",
        base: 10.0,
        y: "microseconds",
        unit: 1e-6,
        scale: &|x| x.to_string(),
    };
    picture.show(figures, &curves(&WHAT, places, 7));
}
