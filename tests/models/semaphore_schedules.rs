//! Schedules of a semaphore: several threads acquire, give back, use up, add, panic, and end with permits, in any order; after
//! each step the semaphore has answered as the model says. Shared by the property test and the fuzz target.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tine::Shared;
use tine::sync::{Semaphore, SemaphoreError};

use crate::actors::{self, ACTORS, Orders};

const MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Try,
    /// With a limit of zero.
    InTime,
    /// Gives back the permit that was acquired last.
    GiveBack,
    UseUp,
    Add,
    /// Unwinds through all permits.
    Panic,
    /// The thread ends, its permits forgotten as values, not as permits.
    Die,
}

/// What came of it, and how many permits can be had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acquired(usize),
    None(usize),
    Deadlock(usize),
    Full(usize),
    Nothing(usize),
}

/// A rule of the model that can be taken out of it, to see that schedules tell the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    TheReturnOfWhatTheDeadHeld,
    TheReturnOfWhatAPanicHeld,
    UsingUp,
    TheMost,
    Deadlock,
}

struct Model {
    without: Without,
    free: usize,
    held: [usize; ACTORS],
}

impl Model {
    fn step(&mut self, actor: usize, step: Step) -> Outcome {
        let held = self.held[actor];
        let outcome = match step {
            Step::Try | Step::InTime if self.free > 0 => {
                self.free -= 1;
                self.held[actor] += 1;
                Outcome::Acquired
            }
            Step::InTime if held == MAX && self.without != Without::Deadlock => Outcome::Deadlock,
            Step::Try | Step::InTime => Outcome::None,
            Step::Add if self.free + self.held.iter().sum::<usize>() < MAX || self.without == Without::TheMost => {
                self.free += 1;
                Outcome::Nothing
            }
            Step::Add => Outcome::Full,
            Step::GiveBack | Step::UseUp if held == 0 => Outcome::Nothing,
            Step::GiveBack | Step::UseUp => {
                self.held[actor] -= 1;
                if matches!(step, Step::GiveBack) || self.without == Without::UsingUp {
                    self.free += 1;
                }
                Outcome::Nothing
            }
            Step::Panic | Step::Die => {
                let rule = match step {
                    Step::Panic => Without::TheReturnOfWhatAPanicHeld,
                    _ => Without::TheReturnOfWhatTheDeadHeld,
                };
                if self.without != rule {
                    self.free += held;
                }
                self.held[actor] = 0;
                Outcome::Nothing
            }
        };
        outcome(self.free)
    }
}

fn act(semaphore: &Semaphore<MAX>, (steps, outcomes): Orders<Step, Outcome>) {
    let mut held = Vec::new();
    for step in steps {
        let outcome = match step {
            Step::Try | Step::InTime => {
                let tried = match step {
                    Step::Try => semaphore.try_acquire(),
                    _ => semaphore.acquire_timeout(Duration::ZERO),
                };
                match tried {
                    Ok(Some(permit)) => {
                        held.push(permit);
                        Outcome::Acquired
                    }
                    Ok(None) => Outcome::None,
                    Err(SemaphoreError::Deadlock) => Outcome::Deadlock,
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Add => match semaphore.add() {
                Ok(()) => Outcome::Nothing,
                Err(SemaphoreError::Full) => Outcome::Full,
                Err(error) => panic!("{error}"),
            },
            Step::GiveBack => {
                drop(held.pop());
                Outcome::Nothing
            }
            Step::UseUp => {
                if let Some(permit) = held.pop() {
                    permit.forget();
                }
                Outcome::Nothing
            }
            Step::Panic => {
                let falls = std::mem::take(&mut held);
                let caught = catch_unwind(AssertUnwindSafe(move || {
                    let _falls = falls;
                    // Without the hook, which would print.
                    resume_unwind(Box::new(()));
                }));
                assert!(caught.is_err());
                Outcome::Nothing
            }
            Step::Die => {
                held.into_iter().for_each(std::mem::forget);
                return;
            }
        };
        outcomes.send(outcome(semaphore.available())).expect("the schedule waits for it");
    }
}

/// Reads a schedule.
pub fn schedule(data: &[u8]) -> Vec<(usize, Step)> {
    actors::schedule(data, |one, _| match one % 12 {
        0..=2 => Step::Try,
        3 | 4 => Step::InTime,
        5 | 6 => Step::GiveBack,
        7 => Step::UseUp,
        8 | 9 => Step::Add,
        10 => Step::Panic,
        _ => Step::Die,
    })
}

/// Runs a schedule; the first step at which the semaphore and the model differ, if there is one.
pub fn differs(schedule: &[(usize, Step)], without: Without) -> Option<(usize, Outcome, Outcome)> {
    const PERMITS: usize = 3;
    let semaphore: Shared<Semaphore<MAX>> = Shared::new(Semaphore::with_max(PERMITS)).expect("memory");
    let mut model = Model { without, free: PERMITS, held: [0; ACTORS] };
    let is_death = |step| matches!(step, Step::Die);
    actors::differs(schedule, |orders| act(&semaphore, orders), is_death, |actor, step| model.step(actor, step))
}

/// Any input: the semaphore does what the model says.
pub fn check(data: &[u8]) {
    let schedule = schedule(data);
    if let Some((at, outcome, expected)) = differs(&schedule, Without::Nothing) {
        panic!("step {at} of {schedule:?}: {outcome:?}, but the model says {expected:?}");
    }
}
