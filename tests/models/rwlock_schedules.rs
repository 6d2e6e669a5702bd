//! Schedules of a reader-writer lock: several threads read, write, panic, end with what they hold, recover or leave it, in any
//! order; after each step the lock has answered as the model says. Shared by the property test and the fuzz target.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tine::Shared;
use tine::sync::{LockErrorOf, LockFailure, LockTimeoutErrorOf, RwLock, TryLockErrorOf};
use tine::sync::{ReadOwnerDied, RwLockReadGuard, RwLockWriteGuard, WriteOwnerDied};

use crate::actors::{self, ACTORS, Orders};

type Data = [u64; 2];
const READERS: usize = 4;
type Lock = RwLock<Data, READERS>;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    TryRead,
    /// With a limit of zero.
    ReadInTime,
    TryWrite,
    /// With a limit of zero.
    WriteInTime,
    /// Gives back what was taken last.
    Unlock,
    Write(u64),
    Recover,
    /// Unwinds through all guards.
    Panic,
    /// The thread ends, its guards forgotten.
    Die,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken(Data),
    OwnerDied(Data),
    WouldBlock,
    TimedOut,
    Deadlock,
    Nothing,
}

/// A rule of the model that can be taken out of it, to see that schedules tell the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    TheEndOfAShareByDeath,
    TheMarkOfAWritersDeath,
    TheMarkOfAWritersPanic,
    TheMarkOfWhatWasLeftUnrepaired,
    ReadersBesideEachOther,
    TheNumberOfReaders,
    Recovery,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    No,
    Clean,
    Undone,
}

struct Model {
    without: Without,
    reads: [usize; ACTORS],
    writes: [Writes; ACTORS],
    dirty: bool,
    data: Data,
}

impl Model {
    fn new(without: Without) -> Model {
        Model { without, reads: [0; ACTORS], writes: [Writes::No; ACTORS], dirty: false, data: [0; 2] }
    }

    /// Why this actor does not read now, if it does not: true where that is for its own sake.
    fn keeps_from_reading(&self, actor: usize) -> Option<bool> {
        let shares: usize = self.reads.iter().sum();
        if self.writes.iter().any(|&writes| writes != Writes::No) {
            return Some(self.writes[actor] != Writes::No);
        }
        let full = shares == READERS && self.without != Without::TheNumberOfReaders;
        let alone = shares > 0 && self.without == Without::ReadersBesideEachOther;
        (full || alone).then_some(self.reads[actor] == READERS)
    }

    fn keeps_from_writing(&self, actor: usize) -> Option<bool> {
        let held =
            self.reads.iter().any(|&shares| shares > 0) || self.writes.iter().any(|&writes| writes != Writes::No);
        held.then_some(self.reads[actor] > 0 || self.writes[actor] != Writes::No)
    }

    fn taken(&self) -> Outcome {
        if self.dirty { Outcome::OwnerDied(self.data) } else { Outcome::Taken(self.data) }
    }

    fn step(&mut self, actor: usize, step: Step) -> Outcome {
        match step {
            Step::TryRead | Step::ReadInTime => match (self.keeps_from_reading(actor), step) {
                (None, _) => {
                    self.reads[actor] += 1;
                    self.taken()
                }
                (Some(_), Step::TryRead) => Outcome::WouldBlock,
                (Some(own), _) => {
                    if own {
                        Outcome::Deadlock
                    } else {
                        Outcome::TimedOut
                    }
                }
            },
            Step::TryWrite | Step::WriteInTime => match (self.keeps_from_writing(actor), step) {
                (None, _) => {
                    self.writes[actor] = if self.dirty { Writes::Undone } else { Writes::Clean };
                    self.taken()
                }
                (Some(_), Step::TryWrite) => Outcome::WouldBlock,
                (Some(own), _) => {
                    if own {
                        Outcome::Deadlock
                    } else {
                        Outcome::TimedOut
                    }
                }
            },
            Step::Unlock if self.reads[actor] > 0 => {
                self.reads[actor] -= 1;
                Outcome::Nothing
            }
            Step::Die => {
                if self.without != Without::TheEndOfAShareByDeath {
                    self.reads[actor] = 0;
                }
                self.leave(actor, Without::TheMarkOfAWritersDeath)
            }
            Step::Panic => {
                self.reads[actor] = 0;
                self.leave(actor, Without::TheMarkOfAWritersPanic)
            }
            _ if self.writes[actor] == Writes::No => Outcome::Nothing,
            Step::Unlock => {
                let undone = self.writes[actor] == Writes::Undone;
                self.dirty = undone && self.without != Without::TheMarkOfWhatWasLeftUnrepaired;
                self.writes[actor] = Writes::No;
                Outcome::Nothing
            }
            Step::Write(value) => {
                // Half of what belongs together: so that what was left is seen.
                self.data[(value & 1) as usize] = value;
                Outcome::Nothing
            }
            Step::Recover => {
                if self.without != Without::Recovery {
                    (self.writes[actor], self.dirty) = (Writes::Clean, false);
                }
                Outcome::Nothing
            }
        }
    }

    fn leave(&mut self, actor: usize, rule: Without) -> Outcome {
        if self.writes[actor] != Writes::No {
            self.dirty = self.without != rule;
            self.writes[actor] = Writes::No;
        }
        Outcome::Nothing
    }
}

/// What an actor holds.
enum Held<'a> {
    Share(RwLockReadGuard<'a, Data>),
    LeftToRead(ReadOwnerDied<'a, Data>),
    Guard(RwLockWriteGuard<'a, Data>),
    Left(WriteOwnerDied<'a, Data>),
}

impl Held<'_> {
    fn outcome(&self) -> Outcome {
        match self {
            Held::Share(share) => Outcome::Taken(**share),
            Held::LeftToRead(left) => Outcome::OwnerDied(*left.get()),
            Held::Guard(guard) => Outcome::Taken(**guard),
            Held::Left(left) => Outcome::OwnerDied(*left.get()),
        }
    }
}

fn refused(failure: LockFailure) -> Outcome {
    match failure {
        LockFailure::WouldBlock => Outcome::WouldBlock,
        LockFailure::TimedOut => Outcome::TimedOut,
        LockFailure::Deadlock => Outcome::Deadlock,
        other => panic!("{other}"),
    }
}

fn take(lock: &Lock, step: Step) -> Result<Held<'_>, LockFailure> {
    match step {
        Step::TryRead => match lock.try_read() {
            Ok(share) => Ok(Held::Share(share)),
            Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(left))) => Ok(Held::LeftToRead(left)),
            Err(error) => Err(error.into_failure()),
        },
        Step::ReadInTime => match lock.read_timeout(Duration::ZERO) {
            Ok(share) => Ok(Held::Share(share)),
            Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(left))) => Ok(Held::LeftToRead(left)),
            Err(error) => Err(error.into_failure()),
        },
        Step::TryWrite => match lock.try_write() {
            Ok(guard) => Ok(Held::Guard(guard)),
            Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(left))) => Ok(Held::Left(left)),
            Err(error) => Err(error.into_failure()),
        },
        _ => match lock.write_timeout(Duration::ZERO) {
            Ok(guard) => Ok(Held::Guard(guard)),
            Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(left))) => Ok(Held::Left(left)),
            Err(error) => Err(error.into_failure()),
        },
    }
}

fn act(lock: &Lock, (steps, outcomes): Orders<Step, Outcome>) {
    let mut held = Vec::new();
    for step in steps {
        let mut outcome = Outcome::Nothing;
        match step {
            Step::TryRead | Step::ReadInTime | Step::TryWrite | Step::WriteInTime => match take(lock, step) {
                Ok(taken) => {
                    outcome = taken.outcome();
                    held.push(taken);
                }
                Err(failure) => outcome = refused(failure),
            },
            Step::Unlock => drop(held.pop()),
            Step::Write(value) => match held.last_mut() {
                Some(Held::Guard(guard)) => guard[(value & 1) as usize] = value,
                Some(Held::Left(left)) => left.get_mut()[(value & 1) as usize] = value,
                _ => {}
            },
            Step::Recover => match held.pop() {
                Some(Held::Left(left)) => held.push(Held::Guard(left.recover())),
                other => held.extend(other),
            },
            Step::Panic => {
                let falls = std::mem::take(&mut held);
                let caught = catch_unwind(AssertUnwindSafe(move || {
                    let _falls = falls;
                    // Without the hook, which would print.
                    resume_unwind(Box::new(()));
                }));
                assert!(caught.is_err());
            }
            Step::Die => {
                held.into_iter().for_each(std::mem::forget);
                return;
            }
        }
        outcomes.send(outcome).expect("the schedule waits for it");
    }
}

/// Reads a schedule.
pub fn schedule(data: &[u8]) -> Vec<(usize, Step)> {
    actors::schedule(data, |one, two| match one % 16 {
        0..=2 => Step::TryRead,
        3 | 4 => Step::ReadInTime,
        5 | 6 => Step::TryWrite,
        7 => Step::WriteInTime,
        8 | 9 => Step::Unlock,
        10 => Step::Write(u64::from(one) << 8 | u64::from(two)),
        11 | 12 => Step::Recover,
        13 => Step::Panic,
        _ => Step::Die,
    })
}

/// Runs a schedule; the first step at which the lock and the model differ, if there is one.
pub fn differs(schedule: &[(usize, Step)], without: Without) -> Option<(usize, Outcome, Outcome)> {
    let lock: Shared<Lock> = Shared::new(RwLock::with_readers([0; 2])).expect("memory");
    let mut model = Model::new(without);
    let is_death = |step| matches!(step, Step::Die);
    actors::differs(schedule, |orders| act(&lock, orders), is_death, |actor, step| model.step(actor, step))
}

/// Any input: the lock does what the model says.
pub fn check(data: &[u8]) {
    let schedule = schedule(data);
    if let Some((at, outcome, expected)) = differs(&schedule, Without::Nothing) {
        panic!("step {at} of {schedule:?}: {outcome:?}, but the model says {expected:?}");
    }
}
