//! What a lab finds, and counts.
use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Read, Write};

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
#[derive(Debug, Default)]
pub struct Tally {
    points: Cell<u64>,
    instructions: Cell<u64>,
    found: [Cell<u64>; KINDS.len()],
}

fn add(to: &Cell<u64>, n: u64) {
    to.set(to.get() + n);
}

impl Tally {
    /// One point is done.
    pub fn point(&self) {
        add(&self.points, 1);
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
        [&self.points, &self.instructions].into_iter().chain(&self.found)
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
