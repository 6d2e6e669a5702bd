//! Schedules of a mutex: several threads lock, write, panic, end with the lock, recover or leave it, in any order; after
//! each step the mutex has answered as the model says. Shared by the property test and the fuzz target.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tine::Shared;
use tine::sync::{LockErrorOf, LockTimeoutErrorOf, Mutex, MutexGuard, OwnerDied, TryLockErrorOf};

use crate::actors::{self, ACTORS, Orders};

type Data = [u64; 2];

#[derive(Clone, Copy, Debug)]
pub enum Step {
    TryLock,
    /// With a limit of zero.
    LockInTime,
    Unlock,
    Write(u64),
    Recover,
    /// Unwinds through the guard.
    Panic,
    /// The thread ends, its guard forgotten.
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
    TheMarkOfADeath,
    TheMarkOfAPanic,
    TheMarkOfWhatWasLeftUnrepaired,
    Recovery,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    No,
    Clean,
    Undone,
}

struct Model {
    without: Without,
    has: [Has; ACTORS],
    dirty: bool,
    data: Data,
}

impl Model {
    fn step(&mut self, actor: usize, step: Step) -> Outcome {
        let held = self.has.iter().any(|&has| has != Has::No);
        let mine = self.has[actor];
        match step {
            Step::TryLock if held => Outcome::WouldBlock,
            Step::LockInTime if mine != Has::No => Outcome::Deadlock,
            Step::LockInTime if held => Outcome::TimedOut,
            Step::TryLock | Step::LockInTime if self.dirty => {
                self.has[actor] = Has::Undone;
                Outcome::OwnerDied(self.data)
            }
            Step::TryLock | Step::LockInTime => {
                self.has[actor] = Has::Clean;
                Outcome::Taken(self.data)
            }
            _ if mine == Has::No => Outcome::Nothing,
            Step::Write(value) => {
                // Half of what belongs together: so that what was left is seen.
                self.data[(value & 1) as usize] = value;
                Outcome::Nothing
            }
            Step::Recover => {
                if self.without != Without::Recovery {
                    (self.has[actor], self.dirty) = (Has::Clean, false);
                }
                Outcome::Nothing
            }
            Step::Unlock => {
                self.dirty = mine == Has::Undone && self.without != Without::TheMarkOfWhatWasLeftUnrepaired;
                self.has[actor] = Has::No;
                Outcome::Nothing
            }
            Step::Panic | Step::Die => {
                let rule = match step {
                    Step::Panic => Without::TheMarkOfAPanic,
                    _ => Without::TheMarkOfADeath,
                };
                self.dirty = self.without != rule;
                self.has[actor] = Has::No;
                Outcome::Nothing
            }
        }
    }
}

/// What an actor holds.
enum Held<'a> {
    Nothing,
    Guard(MutexGuard<'a, Data>),
    Left(OwnerDied<'a, Data>),
}

fn taken<'a>(held: &mut Held<'a>, guard: MutexGuard<'a, Data>) -> Outcome {
    let outcome = Outcome::Taken(*guard);
    *held = Held::Guard(guard);
    outcome
}

fn left<'a>(held: &mut Held<'a>, left: OwnerDied<'a, Data>) -> Outcome {
    let outcome = Outcome::OwnerDied(*left.get());
    *held = Held::Left(left);
    outcome
}

fn act(mutex: &Mutex<Data>, (steps, outcomes): Orders<Step, Outcome>) {
    let mut held = Held::Nothing;
    for step in steps {
        let outcome = match step {
            Step::TryLock => match mutex.try_lock() {
                Ok(guard) => taken(&mut held, guard),
                Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(died))) => left(&mut held, died),
                Err(TryLockErrorOf::WouldBlock) => Outcome::WouldBlock,
                Err(error) => panic!("{error}"),
            },
            Step::LockInTime => match mutex.lock_timeout(Duration::ZERO) {
                Ok(guard) => taken(&mut held, guard),
                Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(died))) => left(&mut held, died),
                Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock)) => Outcome::Deadlock,
                Err(LockTimeoutErrorOf::TimedOut) => Outcome::TimedOut,
                Err(error) => panic!("{error}"),
            },
            Step::Unlock => {
                held = Held::Nothing;
                Outcome::Nothing
            }
            Step::Write(value) => {
                match &mut held {
                    Held::Nothing => {}
                    Held::Guard(guard) => guard[(value & 1) as usize] = value,
                    Held::Left(left) => left.get_mut()[(value & 1) as usize] = value,
                }
                Outcome::Nothing
            }
            Step::Recover => {
                held = match held {
                    Held::Left(left) => Held::Guard(left.recover()),
                    other => other,
                };
                Outcome::Nothing
            }
            Step::Panic => {
                let falls = std::mem::replace(&mut held, Held::Nothing);
                let caught = catch_unwind(AssertUnwindSafe(move || {
                    let _falls = falls;
                    // Without the hook, which would print.
                    resume_unwind(Box::new(()));
                }));
                assert!(caught.is_err());
                Outcome::Nothing
            }
            Step::Die => {
                std::mem::forget(held);
                return;
            }
        };
        outcomes.send(outcome).expect("the schedule waits for it");
    }
}

/// Reads a schedule.
pub fn schedule(data: &[u8]) -> Vec<(usize, Step)> {
    actors::schedule(data, |one, two| match one % 9 {
        0 | 1 => Step::TryLock,
        2 => Step::LockInTime,
        3 => Step::Unlock,
        4 => Step::Write(u64::from(one) << 8 | u64::from(two)),
        5 | 6 => Step::Recover,
        7 => Step::Panic,
        _ => Step::Die,
    })
}

/// Runs a schedule; the first step at which the mutex and the model differ, if there is one.
pub fn differs(schedule: &[(usize, Step)], without: Without) -> Option<(usize, Outcome, Outcome)> {
    let mutex = Shared::new(Mutex::new([0, 0])).expect("memory");
    let mut model = Model { without, has: [Has::No; ACTORS], dirty: false, data: [0, 0] };
    let is_death = |step| matches!(step, Step::Die);
    actors::differs(schedule, |orders| act(&mutex, orders), is_death, |actor, step| model.step(actor, step))
}

/// Any input: the mutex does what the model says.
pub fn check(data: &[u8]) {
    let schedule = schedule(data);
    if let Some((at, outcome, expected)) = differs(&schedule, Without::Nothing) {
        panic!("step {at} of {schedule:?}: {outcome:?}, but the model says {expected:?}");
    }
}
