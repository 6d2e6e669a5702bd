//! What a lab finds, and counts.
use std::sync::atomic::{AtomicU64, Ordering};

use tine::memory::Shared;

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
    pub what: String,
}

impl Finding {
    pub fn new(kind: Kind, what: impl Into<String>) -> Finding {
        Finding { kind, what: what.into() }
    }
}

/// Counts of all workers of a campaign.
///
/// Relaxed throughout: read when the workers have ended, which orders everything.
#[derive(Debug)]
pub struct Tally(Shared<[AtomicU64]>);

const POINTS: usize = 0;
const NEXT: usize = 1;
const INSTRUCTIONS: usize = 2;
const FIRST: usize = 3;

impl Tally {
    pub fn new() -> Tally {
        Tally(Shared::<[AtomicU64]>::from_fn(FIRST + KINDS.len(), |_| AtomicU64::new(0)).expect("shared memory"))
    }

    fn add(&self, word: usize, n: u64) -> u64 {
        self.0[word].fetch_add(n, Ordering::Relaxed)
    }

    /// The number of a piece of work that nobody has yet.
    pub fn next(&self) -> usize {
        self.add(NEXT, 1) as usize
    }

    /// One point is done.
    pub fn point(&self) {
        self.add(POINTS, 1);
    }

    /// A path of so many instructions is looked at.
    pub fn path(&self, instructions: usize) {
        self.add(INSTRUCTIONS, instructions as u64);
    }

    pub fn found(&self, kind: Kind) {
        self.add(FIRST + kind as usize, 1);
    }

    pub fn points(&self) -> u64 {
        self.0[POINTS].load(Ordering::Relaxed)
    }

    pub fn instructions(&self) -> u64 {
        self.0[INSTRUCTIONS].load(Ordering::Relaxed)
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.0[FIRST + kind as usize].load(Ordering::Relaxed)
    }

    pub fn findings(&self) -> u64 {
        KINDS.iter().map(|(kind, _)| self.of(*kind)).sum()
    }
}
