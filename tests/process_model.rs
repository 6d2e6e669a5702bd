//! Arbitrary lives of children against a model that knows which ends are possible.
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tine::process::{Cause, JoinError, Ran, Signal, stop};
use tine::{Builder, JoinHandle};

fn main() {
    support::run(cases![arbitrary_lives, a_model_that_is_wrong_is_caught]);
}

/// What a child does when it is left alone.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Returns(u64),
    ReturnsMuch(u16),
    Panics,
    Exits(u8),
    WaitsThenReturns(u64),
}

/// What its parent does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Spawn(Kind),
    AskToStop(usize),
    Kill(usize),
    Terminate(usize),
    TryJoin(usize),
    JoinTimeout(usize),
    Wait(usize),
    Drop(usize),
}

/// How a child ended, as far as the model tells ends apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Result(u64),
    Panicked,
    Code(i32),
    Signal(i32),
}

/// One child, and the ends that are possible by now.
struct Life {
    handle: Option<JoinHandle<Vec<u8>>>,
    kind: Kind,
    possible: BTreeSet<End>,
    asked: bool,
    joined: bool,
}

fn spawn(kind: Kind) -> Life {
    let builder = Builder::new().stderr(tine::process::Stdio::null());
    let handle = builder.spawn(move || match kind {
        Kind::Returns(n) => n.to_ne_bytes().to_vec(),
        Kind::ReturnsMuch(n) => vec![7; usize::from(n)],
        Kind::Panics => panic!("as asked"),
        Kind::Exits(code) => std::process::exit(code.into()),
        Kind::WaitsThenReturns(n) => {
            stop().wait();
            n.to_ne_bytes().to_vec()
        }
    });
    let natural = match kind {
        Kind::Returns(n) => Some(End::Result(n)),
        Kind::ReturnsMuch(n) => Some(End::Result(n.into())),
        Kind::Panics => Some(End::Panicked),
        Kind::Exits(code) => Some(End::Code(code.into())),
        // Not before it is asked.
        Kind::WaitsThenReturns(_) => None,
    };
    Life { handle: Some(handle.unwrap()), kind, possible: natural.into_iter().collect(), asked: false, joined: false }
}

impl Life {
    fn ends_by_itself(&self) -> bool {
        !self.possible.is_empty()
    }

    fn asked(&mut self) {
        self.asked = true;
        if let Kind::WaitsThenReturns(n) = self.kind {
            self.possible.insert(End::Result(n));
        }
    }

    fn judge(&mut self, outcome: Result<Vec<u8>, JoinError>) -> Result<(), TestCaseError> {
        let (end, ran) = match outcome {
            Ok(bytes) => (End::Result(self.number(&bytes)), Ran::Yes),
            Err(JoinError::AlreadyJoined) if self.joined => return Ok(()),
            Err(error) => {
                let end = match &error {
                    JoinError::Panicked(_) => End::Panicked,
                    JoinError::Died(exit) => match exit.cause {
                        Cause::Code(code) => End::Code(code),
                        Cause::Signal(signal) => End::Signal(signal.as_raw()),
                        // A child that was asked to stop and then ended by a signal was stopped.
                        Cause::Stopped if self.asked => {
                            End::Signal(std::os::unix::process::ExitStatusExt::signal(&exit.status).unwrap_or(0))
                        }
                        other => return Err(TestCaseError::fail(format!("an end that nothing caused: {other:?}"))),
                    },
                    other => return Err(TestCaseError::fail(format!("an error that nothing caused: {other:?}"))),
                };
                (end, error.ran())
            }
        };
        prop_assert!(!self.joined, "joined twice");
        self.joined = true;
        prop_assert!(
            self.possible.contains(&end),
            "{:?} ended by {end:?}; possible were {:?}",
            self.kind,
            self.possible
        );
        match end {
            End::Result(_) | End::Panicked => prop_assert_eq!(ran, Ran::Yes),
            End::Code(_) => prop_assert_eq!(ran, Ran::Unknown),
            // It may not have come to the closure.
            End::Signal(_) => prop_assert_ne!(ran, Ran::Yes),
        }
        Ok(())
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        match self.kind {
            Kind::ReturnsMuch(_) if bytes.iter().all(|&b| b == 7) => bytes.len() as u64,
            _ => bytes.try_into().map_or(u64::MAX, u64::from_ne_bytes),
        }
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        any::<u64>().prop_map(Kind::Returns),
        (4000_u16..20_000).prop_map(Kind::ReturnsMuch),
        Just(Kind::Panics),
        any::<u8>().prop_map(Kind::Exits),
        any::<u64>().prop_map(Kind::WaitsThenReturns),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let one = 0..6_usize;
    prop_oneof![
        4 => kinds().prop_map(Step::Spawn),
        1 => one.clone().prop_map(Step::AskToStop),
        1 => one.clone().prop_map(Step::Kill),
        1 => one.clone().prop_map(Step::Terminate),
        1 => one.clone().prop_map(Step::TryJoin),
        1 => one.clone().prop_map(Step::JoinTimeout),
        1 => one.clone().prop_map(Step::Wait),
        1 => one.prop_map(Step::Drop),
    ]
}

/// Lives the steps out. `forget_kills` is the seeded mistake: a model that does not know what a kill does.
fn live(steps: &[Step], forget_kills: bool) -> Result<(), TestCaseError> {
    let mut lives: Vec<Life> = Vec::new();
    for &step in steps {
        if let Step::Spawn(kind) = step {
            lives.push(spawn(kind));
            continue;
        }
        let (Step::AskToStop(i)
        | Step::Kill(i)
        | Step::Terminate(i)
        | Step::TryJoin(i)
        | Step::JoinTimeout(i)
        | Step::Wait(i)
        | Step::Drop(i)) = step
        else {
            unreachable!("a spawn is no step of a child")
        };
        let Some(life) = lives.get_mut(i) else { continue };
        let ends = life.ends_by_itself();
        let Some(handle) = life.handle.as_mut() else { continue };
        match step {
            Step::AskToStop(_) => {
                handle.request_stop().unwrap();
                life.asked();
            }
            Step::Kill(_) | Step::Terminate(_) => {
                let signal = if matches!(step, Step::Kill(_)) { Signal::KILL } else { Signal::TERM };
                handle.signal(signal).unwrap();
                if !forget_kills {
                    life.possible.insert(End::Signal(signal.as_raw()));
                }
            }
            Step::TryJoin(_) | Step::JoinTimeout(_) => {
                let limit = if matches!(step, Step::TryJoin(_)) { Duration::ZERO } else { Duration::from_micros(300) };
                if let Some(outcome) = handle.join_timeout(limit).transpose() {
                    life.judge(outcome)?;
                }
            }
            Step::Wait(_) if ends => {
                let exit = handle.wait().unwrap();
                prop_assert_eq!(exit.pid, handle.id());
                prop_assert!(handle.is_finished());
            }
            Step::Drop(_) => life.handle = None,
            _ => {}
        }
    }
    for life in &mut lives {
        let Some(handle) = life.handle.take() else { continue };
        if !life.ends_by_itself() {
            prop_assert!(!handle.is_finished(), "it ended without a cause");
            handle.request_stop().unwrap();
            life.asked();
        }
        life.judge(handle.join())?;
    }
    // What was dropped may wait for a word that will not come: it is ended from outside, and reaped by spawns.
    for pid in support::children() {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    support::until("the abandoned are reaped", || {
        drop(tine::spawn(|| ()).unwrap().join());
        support::children().is_empty()
    });
    Ok(())
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 50, ..Config::default() })
}

fn arbitrary_lives() {
    runner(60).run(&prop::collection::vec(steps(), 0..30), |steps| live(&steps, false)).unwrap();
}

fn a_model_that_is_wrong_is_caught() {
    let found = runner(200).run(&prop::collection::vec(steps(), 10..30), |steps| live(&steps, true));
    assert!(found.is_err(), "the harness does not see a killed child");
    // The run was cut off in the middle: what it left is nobody's any more.
    for pid in support::children() {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    support::until("all are reaped", || {
        drop(tine::spawn(|| ()).unwrap().join());
        support::children().is_empty()
    });
}
