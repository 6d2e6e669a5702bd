//! What a lab finds, and counts.
use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::time::Duration;

/// What is wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who should go on does not, within a second.
    Hang,
    /// The observation is neither that of "never" nor that of "happened".
    Torn,
    /// The operation had returned, and it did not happen.
    Lost,
    /// A descriptor, a mapping or a process is left.
    Leaked,
    /// The victim did not come to the point: its path was another one.
    Missed,
}

pub const KINDS: [(Kind, &str); 5] = [
    (Kind::Hang, "hang"),
    (Kind::Torn, "torn"),
    (Kind::Lost, "lost"),
    (Kind::Leaked, "leaked"),
    (Kind::Missed, "missed"),
];

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: Kind,
    pub what: Cow<'static, str>,
}

impl Finding {
    pub fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Finding {
        Finding { kind, what: what.into() }
    }
}

/// What was done, and found.
#[derive(Debug)]
pub struct Tally {
    points: Cell<u64>,
    instructions: Cell<u64>,
    found: [Cell<u64>; KINDS.len()],
    times: Times,
}

/// How often something took how long: eight classes for each doubling, so that a quantile is right to a tenth.
#[derive(Debug)]
pub struct Times([Cell<u64>; CLASSES]);

const CLASSES: usize = 8 * 40;

impl Times {
    fn new() -> Times {
        Times([const { Cell::new(0) }; CLASSES])
    }

    fn add(&self, time: Duration) {
        let class = (time.as_nanos().max(1) as f64).log2() * 8.0;
        add(&self.0[(class as usize).min(CLASSES - 1)], 1);
    }

    /// The time that so much of all (0.5: half) took at most; None where nothing was measured.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.0.iter().map(Cell::get).sum();
        let wanted = (all as f64 * part).ceil().max(1.0) as u64;
        let mut so_far = 0;
        let class = self.0.iter().position(|count| {
            so_far += count.get();
            so_far >= wanted
        })?;
        Some(Duration::from_nanos(((class + 1) as f64 / 8.0).exp2() as u64))
    }

    /// The counts of the classes that have any, as text, and from it.
    pub fn to_text(&self) -> String {
        let some = self.0.iter().enumerate().filter(|(_, count)| count.get() > 0);
        some.map(|(class, count)| format!("{class}:{}", count.get())).collect::<Vec<_>>().join(" ")
    }

    pub fn from_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Times {
        let times = Times::new();
        for (class, count) in texts.flat_map(str::split_whitespace).filter_map(|one| one.split_once(':')) {
            if let (Ok(class), Ok(count)) = (class.parse::<usize>(), count.parse()) {
                times.0.get(class).inspect(|cell| add(cell, count));
            }
        }
        times
    }
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { points: Cell::default(), instructions: Cell::default(), found: Default::default(), times: Times::new() }
    }
}

fn add(to: &Cell<u64>, n: u64) {
    to.set(to.get() + n);
}

impl Tally {
    /// One point is done.
    pub fn point(&self) {
        add(&self.points, 1);
    }

    /// From a kill until a survivor had found all well and at work took so long.
    pub fn took(&self, time: Duration) {
        self.times.add(time);
    }

    pub fn times(&self) -> &Times {
        &self.times
    }

    /// The last `n` points will be done again.
    pub fn forget_points(&self, n: u64) {
        self.points.set(self.points() - n);
    }

    /// A path of so many instructions is looked at.
    pub fn path(&self, instructions: usize) {
        add(&self.instructions, instructions as u64);
    }

    pub fn found(&self, kind: Kind) {
        add(&self.found[kind as usize], 1);
    }

    pub fn points(&self) -> u64 {
        self.points.get()
    }

    pub fn instructions(&self) -> u64 {
        self.instructions.get()
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.found[kind as usize].get()
    }

    pub fn findings(&self) -> u64 {
        self.found.iter().map(Cell::get).sum()
    }

    fn words(&self) -> impl Iterator<Item = &Cell<u64>> {
        [&self.points, &self.instructions].into_iter().chain(&self.found).chain(&self.times.0)
    }

    /// By a worker, when it is done.
    pub fn send(&self, to: &mut impl Write) -> io::Result<()> {
        self.words().try_for_each(|word| to.write_all(&word.get().to_ne_bytes()))
    }

    /// What a worker has sent is added.
    pub fn receive(&self, from: &mut impl Read) -> io::Result<()> {
        self.words().try_for_each(|word| {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            add(word, u64::from_ne_bytes(bytes));
            Ok(())
        })
    }
}
