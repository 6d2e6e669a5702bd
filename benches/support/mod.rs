//! Comparing in pairs.
//!
//! On a machine that is shared, times drift several-fold within minutes; the ratio of two short slices measured
//! one right after the other does not. So each row of a table is measured against the first in pairs, whose order
//! alternates, and what counts is the median of the ratios, with the range they had.
#![allow(dead_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// No table takes much longer: on a machine where everything does, it has fewer pairs.
const LIMIT: Duration = Duration::from_secs(20);

/// What a ratio should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// Measures one slice: the time of one operation, out of as many as make a slice of some milliseconds.
type Slice<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// What is told beside the time of an operation.
#[derive(Clone, Copy)]
enum Rate {
    None,
    PerSecond,
    /// Each operation moves so many bytes.
    Bytes(u64),
}

/// A table of rows, each compared with the first.
pub struct Table<'a> {
    title: String,
    /// So many operations are in what a slice returns: one may take too few nanoseconds for a ratio of whole ones.
    per: u32,
    rate: Rate,
    base: (&'static str, Slice<'a>),
    rows: Vec<(&'static str, Goal, Slice<'a>)>,
}

impl<'a> Table<'a> {
    /// A table whose first row is `base`.
    pub fn new(title: impl Into<String>, base: &'static str, slice: impl FnMut() -> Duration + 'a) -> Table<'a> {
        Table { title: title.into(), per: 1, rate: Rate::None, base: (base, Box::new(slice)), rows: Vec::new() }
    }

    /// What the slices return is the time of `operations` operations; what is shown is that of one.
    pub fn per(mut self, operations: u32) -> Table<'a> {
        self.per = operations;
        self
    }

    /// Also shows how many operations a second has.
    pub fn rate(mut self) -> Table<'a> {
        self.rate = Rate::PerSecond;
        self
    }

    /// Also shows how many bytes a second has, of which an operation moves so many.
    pub fn bytes(mut self, bytes: u64) -> Table<'a> {
        self.rate = Rate::Bytes(bytes);
        self
    }

    /// Adds a row; `goal` is about its time divided by the base's.
    pub fn row(mut self, name: &'static str, goal: Goal, slice: impl FnMut() -> Duration + 'a) -> Table<'a> {
        self.rows.push((name, goal, Box::new(slice)));
        self
    }

    /// Measures `pairs` pairs for each row, and prints.
    pub fn print(self, pairs: usize) {
        self.measure(pairs).print();
    }

    /// Measures `pairs` pairs for each row.
    pub fn measure(mut self, pairs: usize) -> Measured {
        let pairs = if quick() { 1 } else { pairs };
        let mut base_times = Vec::new();
        let mut times = vec![Vec::new(); self.rows.len()];
        let mut ratios = vec![Vec::new(); self.rows.len()];
        let start = Instant::now();
        // Pair 0 warms up.
        for pair in 0..=pairs {
            if pair > 5 && start.elapsed() > LIMIT {
                break;
            }
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
        let pairs = ratios.first().map_or(pairs, Vec::len);
        let one = |times: &mut [f64]| median(times) / f64::from(self.per);
        let base = Row { name: self.base.0, time: one(&mut base_times), compared: None };
        let others = self.rows.iter().zip(&mut times).zip(&mut ratios);
        let others = others.map(|((&(name, goal, _), times), ratios)| {
            let ratio = median(ratios);
            let range = (ratios[0], ratios[ratios.len() - 1]);
            Row { name, time: one(times), compared: Some(Compared { ratio, range, goal }) }
        });
        let rows = std::iter::once(base).chain(others).collect();
        Measured { title: self.title, pairs, rate: self.rate, rows }
    }
}

/// What came out.
pub struct Measured {
    pub title: String,
    pub pairs: usize,
    rate: Rate,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    /// In seconds.
    time: f64,
    compared: Option<Compared>,
}

struct Compared {
    ratio: f64,
    range: (f64, f64),
    goal: Goal,
}

impl Measured {
    pub fn print(&self) {
        println!("\n{}, {} pairs", self.title, self.pairs);
        let head = match self.rate {
            Rate::None => "",
            _ => "per second",
        };
        println!("{:<44} {:>10} {head:>10} {:>7}   {:<16} goal", "", "time", "ratio", "min .. max");
        for row in &self.rows {
            let (name, time, rate) = (row.name, in_words(row.time), self.rate.in_words(row.time));
            match &row.compared {
                None => println!("{name:<44} {time:>10} {rate:>10} {:>7.2}", 1.0),
                Some(Compared { ratio, range: (least, most), goal }) => {
                    let range = format!("{least:.2} .. {most:.2}");
                    println!("{name:<44} {time:>10} {rate:>10} {ratio:>7.2}   {range:<16} {}", goal.in_words(*ratio));
                }
            }
        }
    }

    /// The same for a document.
    pub fn markdown(&self) -> String {
        let with_rate = !matches!(self.rate, Rate::None);
        let cell = |text: &str| if with_rate { format!(" {text} |") } else { String::new() };
        let mut text = format!("### {}\n\n{} pairs.\n\n", self.title, self.pairs);
        text += &format!("| | time |{} ratio | min .. max | goal |\n", cell("per second"));
        text += &format!("|---|---:|{}---:|---|---|\n", if with_rate { "---:|" } else { "" });
        for row in &self.rows {
            let rest = match &row.compared {
                None => String::from("1.00 | | |"),
                Some(Compared { ratio, range: (least, most), goal }) => {
                    format!("{ratio:.2} | {least:.2} .. {most:.2} | {} |", goal.in_words(*ratio))
                }
            };
            let rate = cell(&self.rate.in_words(row.time));
            text += &format!("| {} | {} |{rate} {rest}\n", row.name, in_words(row.time));
        }
        text
    }
}

impl Rate {
    fn in_words(self, seconds: f64) -> String {
        let of = |amount: f64, unit: &str| match amount {
            n if n >= 1e9 => format!("{:.1} G{unit}", n / 1e9),
            n if n >= 1e6 => format!("{:.1} M{unit}", n / 1e6),
            n => format!("{:.1} k{unit}", n / 1e3),
        };
        match self {
            Rate::None => String::new(),
            Rate::PerSecond => of(1.0 / seconds, ""),
            Rate::Bytes(bytes) => of(bytes as f64 / seconds, "B"),
        }
    }
}

impl Goal {
    fn in_words(self, ratio: f64) -> String {
        match self {
            Goal::AtMost(most) => format!("at most {most}: {}", verdict(ratio <= most)),
            Goal::AtLeast(least) => format!("at least {least}: {}", verdict(ratio >= least)),
            Goal::None => String::new(),
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

/// The parts of the benchmark that were asked for, by name; none is all.
pub fn wanted(part: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| name == part)
}

/// So many operations make a slice; a few where all that is asked is whether it runs.
pub fn so_many(operations: u32) -> u32 {
    if quick() { (operations / 1000).max(4) } else { operations }
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

pub fn in_words(seconds: f64) -> String {
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
