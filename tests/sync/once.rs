//! `Once`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::process::{SpawnError, stop};
use tine::sync::{Event, Once, OnceError};
use tine::{JoinHandle, Shared};

use crate::cases;
use crate::seen::{
    LONG, ROUNDS, SLICES, all_sleep, garbage, go_on, halt, is_asleep, kill, kill_without_a_mark, wakes_are_sent,
    without_the_call_for_several_words, words_of,
};
use crate::storm;
use crate::support::{Case, until};

pub const CASES: &[Case] = cases![
    one_of_many_processes_does_it,
    threads_and_processes_do_it_once,
    an_end_sends_its_wakes,
    a_call_from_inside_is_told_instead_of_hanging,
    a_killed_runner_is_succeeded_by_who_waits,
    a_killed_runner_is_succeeded_though_the_woken_one_is_killed,
    a_dead_runner_is_succeeded_by_who_comes_later,
    a_runner_whose_death_is_not_marked_is_succeeded,
    it_works_without_the_call_for_several_words,
    a_panic_is_the_callers_and_the_next_runs,
    who_only_waits_is_told_of_the_death,
    who_waits_in_spite_of_deaths_sleeps_through_them,
    a_run_without_a_wake_at_its_end_is_found_done,
    a_stopped_runner_is_not_robbed,
    a_runner_that_execs_has_died,
    a_once_waits_through_a_storm_of_signals,
    a_fork_inside_the_closure_is_refused,
    a_copy_of_the_runner_completes_nothing,
    an_overwritten_once_hangs_nobody,
    a_once_is_what_its_model_is,
];

tine::share! {
    struct Work { once: Once, runs: AtomicU32, deaths: AtomicU32, go: Event, begun: Event }
}

impl Work {
    fn new() -> Work {
        Work {
            once: Once::new(),
            runs: AtomicU32::new(0),
            deaths: AtomicU32::new(0),
            go: Event::new(),
            begun: Event::new(),
        }
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Does it, and takes some time. How it ended.
    fn call(&self) -> Result<(), OnceError> {
        self.once.call_once_force(|state| {
            self.deaths.fetch_add(u32::from(state.is_poisoned()), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            self.runs.fetch_add(1, Ordering::Relaxed);
        })
    }
}

/// A child that is inside the closure until it is asked to stop; then it dies there, or finishes.
fn runner(work: &Shared<Work>, dies: bool) -> JoinHandle<bool> {
    let work = work.clone();
    work.begun.clear();
    let child = tine::spawn({
        let work = work.clone();
        move || {
            let end = work.once.call_once(|| {
                work.begun.set();
                stop().wait();
                if dies {
                    std::process::abort();
                }
                work.runs.fetch_add(1, Ordering::Relaxed);
            });
            end.is_ok()
        }
    });
    let child = child.unwrap();
    assert!(work.begun.wait_timeout(LONG));
    child
}

fn callers(work: &Shared<Work>, n: usize) -> Vec<JoinHandle<bool>> {
    (0..n).map(|_| tine::spawn(|| work.call().is_ok() && work.runs() == 1).unwrap()).collect()
}

fn one_of_many_processes_does_it() {
    for _ in 0..20 {
        let work = Shared::new(Work::new()).unwrap();
        let children: Vec<_> = (0..5)
            .map(|_| {
                tine::spawn(|| {
                    work.go.wait();
                    work.call().unwrap();
                    work.runs()
                })
                .unwrap()
            })
            .collect();
        work.go.set();
        for child in children {
            assert_eq!(child.join().unwrap(), 1, "done when the call returns");
        }
        assert!(work.once.is_completed());
        work.once.call_once(|| panic!("a second time")).unwrap();
        work.once.try_call_once(|| panic!("a second time")).unwrap();
        work.once.wait().unwrap();
        work.once.wait_force().unwrap();
        work.once.wait_timeout(Duration::ZERO).unwrap();
        assert_eq!(work.deaths.load(Ordering::Relaxed), 0);
    }
}

fn threads_and_processes_do_it_once() {
    let onces = Shared::<[Work]>::from_fn(300, |_| Work::new()).unwrap();
    let once = |work: &Work| work.once.call_once(|| _ = work.runs.fetch_add(1, Ordering::Relaxed)).is_ok();
    let all = || onces.iter().all(once);
    let children: Vec<_> = (0..3)
        .map(|_| {
            tine::spawn(|| {
                std::thread::scope(|s| {
                    let threads: Vec<_> = (0..3).map(|_| s.spawn(all)).collect();
                    threads.into_iter().all(|thread| thread.join().unwrap())
                })
            })
            .unwrap()
        })
        .collect();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
    assert!(onces.iter().all(|work| work.runs() == 1));
}

fn an_end_sends_its_wakes() {
    let onces = Shared::<[Once]>::from_fn(ROUNDS, |_| Once::new()).unwrap();
    wakes_are_sent(|round| onces[round].wait().unwrap(), |round| onces[round].call_once(|| ()).unwrap());
}

fn a_call_from_inside_is_told_instead_of_hanging() {
    let once = Shared::new(Once::new()).unwrap();
    let mut told = Vec::new();
    once.call_once(|| {
        told.push(once.call_once(|| ()));
        told.push(once.try_call_once(|| ()));
        told.push(once.call_once_timeout(LONG, || ()));
        told.push(once.wait());
        told.push(once.wait_force());
        assert!(!once.is_completed());
    })
    .unwrap();
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|told| matches!(told, Err(OnceError::Deadlock))), "{told:?}");
    assert!(once.is_completed());
}

fn a_killed_runner_is_succeeded_by_who_waits() {
    for way in ["asked to die", "killed", "killed while it stands still"] {
        let work = Shared::new(Work::new()).unwrap();
        let runner = runner(&work, true);
        assert!(matches!(work.once.try_call_once(|| ()), Err(OnceError::Running)));
        let timed = work.once.call_once_timeout(Duration::from_millis(5), || ());
        assert!(matches!(timed, Err(OnceError::TimedOut)));
        let sleepers = callers(&work, 4);
        all_sleep(&sleepers);
        match way {
            "asked to die" => runner.request_stop().unwrap(),
            "killed" => runner.kill().unwrap(),
            _ => {
                halt(&runner);
                runner.kill().unwrap();
            }
        }
        assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()), "{way}: one of them did it");
        assert_eq!(work.deaths.load(Ordering::Relaxed), 1, "{way}: that one was told of the death");
        assert!(runner.join().is_err());
    }
}

fn a_killed_runner_is_succeeded_though_the_woken_one_is_killed() {
    for _ in 0..10 {
        let work = Shared::new(Work::new()).unwrap();
        let runner = runner(&work, true);
        let mut sleepers = callers(&work, 4);
        all_sleep(&sleepers);
        // The kernel tells one of them of the death. Stopped before, it cannot pass it on; then it is killed.
        let first = sleepers.remove(0);
        halt(&first);
        kill(runner);
        kill(first);
        assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()));
        assert_eq!(work.runs(), 1);
    }
}

fn a_dead_runner_is_succeeded_by_who_comes_later() {
    let work = Shared::new(Work::new()).unwrap();
    for _ in 0..3 {
        kill(runner(&work, true));
        assert!(!work.once.is_completed());
    }
    let mut told = false;
    work.once.call_once_force(|state| told = state.is_poisoned()).unwrap();
    assert!(told && work.once.is_completed());
    let fresh = Once::new();
    fresh.call_once_force(|state| told = state.is_poisoned()).unwrap();
    assert!(!told, "nobody died there");
}

fn a_runner_whose_death_is_not_marked_is_succeeded() {
    let work = Shared::new(Work::new()).unwrap();
    let runner = runner(&work, true);
    let only_waits = tine::spawn(|| matches!(work.once.wait(), Ok(()) | Err(OnceError::RunnerDied))).unwrap();
    let mut sleepers = callers(&work, 2);
    sleepers.push(only_waits);
    all_sleep(&sleepers);
    kill_without_a_mark(runner);
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()));
    assert_eq!(work.deaths.load(Ordering::Relaxed), 1);
}

fn it_works_without_the_call_for_several_words() {
    without_the_call_for_several_words();
    one_of_many_processes_does_it();
    a_killed_runner_is_succeeded_by_who_waits();
    who_only_waits_is_told_of_the_death();
}

fn a_panic_is_the_callers_and_the_next_runs() {
    let work = Shared::new(Work::new()).unwrap();
    for _ in 0..2 {
        let outcome = catch_unwind(|| work.once.call_once(|| panic!("on purpose")));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"on purpose"));
        assert!(!work.once.is_completed());
    }
    // One that panics while others sleep.
    let panicking = tine::Builder::new()
        .stderr(tine::process::Stdio::null())
        .spawn(|| {
            let _ = work.once.call_once(|| {
                work.begun.set();
                stop().wait();
                panic!("on purpose");
            });
        })
        .unwrap();
    assert!(work.begun.wait_timeout(LONG));
    let sleepers = callers(&work, 3);
    all_sleep(&sleepers);
    panicking.request_stop().unwrap();
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()));
    assert_eq!(work.deaths.load(Ordering::Relaxed), 1);
    assert!(panicking.join().is_err());
    tine::spawn(|| ()).unwrap().join().unwrap(); // the loan of the closure that panicked here was given back
}

fn who_only_waits_is_told_of_the_death() {
    let work = Shared::new(Work::new()).unwrap();
    assert!(matches!(work.once.wait_timeout(Duration::from_millis(5)), Err(OnceError::TimedOut)));
    let told = || matches!(work.once.wait(), Err(OnceError::RunnerDied));
    // Those who sleep while it is run, and those who slept before it was.
    for early in [true, false] {
        let before: Vec<_> = (0..2).filter(|_| early).map(|_| tine::spawn(told).unwrap()).collect();
        all_sleep(&before);
        let runner = runner(&work, true);
        let sleepers: Vec<_> = (0..2).map(|_| tine::spawn(told).unwrap()).collect();
        all_sleep(&sleepers);
        kill(runner);
        assert!(before.into_iter().chain(sleepers).all(|sleeper| sleeper.join().unwrap()));
        assert!(told(), "and those who come later");
    }
    work.call().unwrap();
    work.once.wait().unwrap();
    assert_eq!(work.deaths.load(Ordering::Relaxed), 1);
}

fn who_waits_in_spite_of_deaths_sleeps_through_them() {
    let work = Shared::new(Work::new()).unwrap();
    let sleepers: Vec<_> =
        (0..3).map(|_| tine::spawn(|| work.once.wait_force().is_ok() && work.runs() == 1).unwrap()).collect();
    all_sleep(&sleepers);
    for _ in 0..3 {
        kill(runner(&work, true));
    }
    assert!(sleepers.iter().all(|sleeper| !sleeper.is_finished()));
    all_sleep(&sleepers);
    work.call().unwrap();
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()));
}

/// What `complete` writes, by the drawing above the word.
const COMPLETE: u64 = 4;

fn a_run_without_a_wake_at_its_end_is_found_done() {
    let once = Shared::with_memfd(Once::new()).unwrap();
    let words = words_of(&once);
    for wakes_by_its_death in [true, false] {
        words.set(0, 0).unwrap();
        let begun = Shared::new(Event::new()).unwrap();
        let runner = tine::spawn(|| {
            let _ = once.call_once(|| {
                begun.set();
                stop().wait();
                words.set(0, COMPLETE).unwrap();
                if wakes_by_its_death {
                    std::process::abort();
                }
                std::thread::sleep(LONG);
            });
        })
        .unwrap();
        assert!(begun.wait_timeout(LONG));
        let sleepers: Vec<_> = (0..2).map(|_| tine::spawn(|| once.wait().is_ok()).unwrap()).collect();
        let callers: Vec<_> = (0..2).map(|_| tine::spawn(|| once.call_once(|| panic!()).is_ok()).unwrap()).collect();
        all_sleep(&sleepers);
        all_sleep(&callers);
        runner.request_stop().unwrap();
        assert!(sleepers.into_iter().chain(callers).all(|sleeper| sleeper.join().unwrap()));
        kill(runner);
    }
}

fn a_stopped_runner_is_not_robbed() {
    let work = Shared::new(Work::new()).unwrap();
    let runner = runner(&work, false);
    halt(&runner);
    assert!(matches!(work.once.call_once_timeout(SLICES, || ()), Err(OnceError::TimedOut)));
    assert!(matches!(work.once.wait_timeout(SLICES), Err(OnceError::TimedOut)));
    let sleepers = callers(&work, 2);
    all_sleep(&sleepers);
    runner.request_stop().unwrap();
    go_on(&runner);
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap()));
    assert!(runner.join().unwrap());
}

fn a_runner_that_execs_has_died() {
    use std::os::unix::process::CommandExt;
    let work = Shared::new(Work::new()).unwrap();
    let child = tine::spawn(|| -> () {
        let _ = work.once.call_once(|| {
            work.begun.set();
            panic!("exec failed: {}", std::process::Command::new("sleep").arg("1000").exec());
        });
    })
    .unwrap();
    assert!(work.begun.wait_timeout(LONG));
    work.once.call_once_timeout(LONG, || ()).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "the process itself lives");
    kill(child);
}

fn a_once_waits_through_a_storm_of_signals() {
    let work = Shared::new(Work::new()).unwrap();
    let runner = runner(&work, false);
    let sleeper = tine::spawn(|| {
        storm::start();
        while storm::signals() < 50 {
            let before = std::time::Instant::now();
            assert!(matches!(work.once.wait_timeout(SLICES), Err(OnceError::TimedOut)));
            assert!(before.elapsed() >= SLICES);
        }
        work.go.set();
        let told = work.once.call_once(|| panic!("not mine")).is_ok();
        storm::stop();
        told
    })
    .unwrap();
    assert!(work.go.wait_timeout(LONG));
    std::thread::sleep(SLICES);
    until("it sleeps", || is_asleep(sleeper.id()));
    runner.request_stop().unwrap();
    assert!(sleeper.join().unwrap());
    assert!(runner.join().unwrap());
}

fn a_fork_inside_the_closure_is_refused() {
    let once = Shared::new(Once::new()).unwrap();
    let mut refused = false;
    once.call_once(|| refused = matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld))).unwrap();
    assert!(refused);
    tine::spawn(|| ()).unwrap().join().unwrap();
}

fn a_copy_of_the_runner_completes_nothing() {
    for panics in [false, true] {
        let work = Shared::new(Work::new()).unwrap();
        let mut child = None;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            work.once.call_once(|| {
                // SAFETY: the case is single-threaded, and the child ends below, without running what is its parent's.
                match unsafe { libc::fork() } {
                    0 if panics => std::panic::resume_unwind(Box::new(())),
                    0 => {}
                    pid => {
                        child = Some(pid);
                        let mut status = 0;
                        // SAFETY: waits for the child made above.
                        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
                        assert_eq!(status, 0, "what the copy saw");
                        assert!(!work.once.is_completed());
                        assert!(
                            matches!(work.once.wait_timeout(Duration::ZERO), Err(OnceError::Deadlock)),
                            "still mine"
                        );
                    }
                }
            })
        }));
        if child.is_none() {
            let told = match outcome {
                Ok(end) => matches!(end, Err(OnceError::NotOwner)),
                Err(_) => panics,
            };
            let untouched = matches!(work.once.try_call_once(|| ()), Err(OnceError::Running));
            // SAFETY: ends this child.
            unsafe { libc::_exit(i32::from(!(told && untouched))) };
        }
        outcome.unwrap().unwrap();
        assert!(work.once.is_completed());
    }
}

fn an_overwritten_once_hangs_nobody() {
    let once = Shared::with_memfd(Once::new()).unwrap();
    let words = words_of(&once);
    let mut seed = 48;
    for _ in 0..300 {
        words.set(0, garbage(&mut seed)).unwrap();
        let limit = Duration::from_millis(1);
        let ends = [once.wait_timeout(limit), once.call_once_timeout(limit, || ())];
        for end in ends {
            let known = matches!(
                end,
                Ok(()) | Err(OnceError::Corrupt | OnceError::Foreign | OnceError::TimedOut | OnceError::RunnerDied)
            );
            assert!(known, "{end:?} of {:#x}", words.get(0).unwrap());
        }
    }
    // Flags that no operation leaves, with nobody's name and with somebody's.
    for word in [0x80, COMPLETE | 1, COMPLETE | 2, 0xdead_beef_dead_be00 | COMPLETE] {
        words.set(0, word).unwrap();
        assert!(!once.is_completed());
        assert!(matches!(once.wait(), Err(OnceError::Corrupt)), "{word:#x}");
        assert!(matches!(once.call_once(|| panic!("ran")), Err(OnceError::Corrupt)), "{word:#x}");
        assert!(matches!(once.try_call_once(|| panic!("ran")), Err(OnceError::Corrupt)), "{word:#x}");
    }
    // Below sleepers.
    for _ in 0..5 {
        words.set(0, 0).unwrap();
        let mut children: Vec<_> = (0..2).map(|_| tine::spawn(|| once.wait().is_ok()).unwrap()).collect();
        all_sleep(&children);
        words.set(0, garbage(&mut seed) | 0x80).unwrap();
        for child in &mut children {
            assert_eq!(child.join_timeout(LONG).unwrap(), Some(false));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Call,
    CallThatPanics,
    Try,
    Timed,
    Force,
    Wait,
    IsCompleted,
}

fn a_once_is_what_its_model_is() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Model {
        Fresh,
        Died,
        Done,
    }
    std::panic::set_hook(Box::new(|_| ()));
    let op = prop::sample::select(vec![
        Op::Call,
        Op::CallThatPanics,
        Op::CallThatPanics,
        Op::Try,
        Op::Timed,
        Op::Force,
        Op::Wait,
        Op::Wait,
        Op::IsCompleted,
    ]);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(op, 0..12), |ops| {
        let once = Shared::new(Once::new()).unwrap();
        let mut model = Model::Fresh;
        for op in ops {
            let mut ran = None;
            match op {
                Op::Call => once.call_once(|| ran = Some(model == Model::Died)).unwrap(),
                Op::Try => once.try_call_once(|| ran = Some(model == Model::Died)).unwrap(),
                Op::Timed => once.call_once_timeout(LONG, || ran = Some(model == Model::Died)).unwrap(),
                Op::Force => once.call_once_force(|state| ran = Some(state.is_poisoned())).unwrap(),
                Op::CallThatPanics => {
                    let panicked = catch_unwind(|| once.call_once(|| panic!())).is_err();
                    prop_assert_eq!(panicked, model != Model::Done);
                    if panicked {
                        model = Model::Died;
                    }
                    continue;
                }
                Op::Wait => {
                    let end = once.wait_timeout(Duration::ZERO);
                    prop_assert!(matches!(
                        (end, model),
                        (Ok(()), Model::Done)
                            | (Err(OnceError::RunnerDied), Model::Died)
                            | (Err(OnceError::TimedOut), Model::Fresh)
                    ));
                    continue;
                }
                Op::IsCompleted => {
                    prop_assert_eq!(once.is_completed(), model == Model::Done);
                    continue;
                }
            }
            let expected = match model {
                Model::Done => None,
                Model::Fresh => Some(false),
                Model::Died => Some(true),
            };
            prop_assert_eq!(ran, expected);
            model = Model::Done;
        }
        Ok(())
    });
    drop(std::panic::take_hook());
    outcome.unwrap();
}
