//! Comparing in pairs.
//!
//! On a machine that is shared, times drift several-fold within minutes; the ratio of two short slices measured
//! one right after the other does not. So each row of a table is measured against the first in pairs, whose order
//! alternates, and what counts is the median of the ratios, with the range they had.
#![allow(dead_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What a ratio should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// Measures one slice: the time of one operation, out of as many as make a slice of some milliseconds.
type Slice<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// A table of rows, each compared with the first.
pub struct Table<'a> {
    title: String,
    base: (&'static str, Slice<'a>),
    rows: Vec<(&'static str, Goal, Slice<'a>)>,
}

impl<'a> Table<'a> {
    /// A table whose first row is `base`.
    pub fn new(title: impl Into<String>, base: &'static str, slice: impl FnMut() -> Duration + 'a) -> Table<'a> {
        Table { title: title.into(), base: (base, Box::new(slice)), rows: Vec::new() }
    }

    /// Adds a row; `goal` is about its time divided by the base's.
    pub fn row(mut self, name: &'static str, goal: Goal, slice: impl FnMut() -> Duration + 'a) -> Table<'a> {
        self.rows.push((name, goal, Box::new(slice)));
        self
    }

    /// Measures `pairs` pairs for each row, and prints.
    pub fn print(mut self, pairs: usize) {
        let pairs = if quick() { 1 } else { pairs };
        let mut base_times = Vec::new();
        let mut times = vec![Vec::new(); self.rows.len()];
        let mut ratios = vec![Vec::new(); self.rows.len()];
        // Pair 0 warms up.
        for pair in 0..=pairs {
            for (row, (_, _, slice)) in self.rows.iter_mut().enumerate() {
                let (base, own) = if (pair + row).is_multiple_of(2) {
                    let base = self.base.1();
                    (base, slice())
                } else {
                    let own = slice();
                    (self.base.1(), own)
                };
                if pair > 0 {
                    base_times.push(base.as_secs_f64());
                    times[row].push(own.as_secs_f64());
                    ratios[row].push(own.as_secs_f64() / base.as_secs_f64());
                }
            }
        }
        println!("\n{}, {pairs} pairs", self.title);
        println!("{:<44} {:>10} {:>7}   {:<16} goal", "", "time", "ratio", "min .. max");
        println!("{:<44} {:>10} {:>7.2}", self.base.0, in_words(median(&mut base_times)), 1.0);
        for (((name, goal, _), mut times), mut ratios) in self.rows.into_iter().zip(times).zip(ratios) {
            let ratio = median(&mut ratios);
            let range = format!("{:.2} .. {:.2}", ratios[0], ratios[ratios.len() - 1]);
            let goal = match goal {
                Goal::AtMost(most) => format!("at most {most}: {}", verdict(ratio <= most)),
                Goal::AtLeast(least) => format!("at least {least}: {}", verdict(ratio >= least)),
                Goal::None => String::new(),
            };
            println!("{name:<44} {:>10} {ratio:>7.2}   {range:<16} {goal}", in_words(median(&mut times)));
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Whether this is `cargo test --benches`, which only wants to know that the benchmarks run.
pub fn quick() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// The time of one call of `f`: the median of `calls` of them, since one that was interrupted is no measure. What it
/// returns is dropped off the clock.
pub fn per_call<R>(calls: u32, mut f: impl FnMut() -> R) -> Duration {
    let calls = if quick() { 1 } else { calls };
    let mut times = Vec::with_capacity(calls as usize);
    for _ in 0..calls {
        let start = Instant::now();
        let result = black_box(f());
        times.push(start.elapsed());
        drop(result);
    }
    times.sort();
    times[times.len() / 2]
}

/// Sorts, and returns the value in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn in_words(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} us", s * 1e6),
        s => format!("{:.2} ms", s * 1e3),
    }
}

/// A floor: the least that a process can cost. The child ends at once; the parent waits for exactly it.
pub fn bare_fork() {
    // SAFETY: the program has one thread; the child calls only `_exit`, which is async-signal-safe.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        // SAFETY: `_exit` has no preconditions.
        0 => unsafe { libc::_exit(0) },
        child => {
            let mut status = 0;
            // SAFETY: `status` is a live int.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}
