//! `Barrier`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::sync::{Barrier, BarrierError, BarrierWaitResult, Event};
use tine::{JoinHandle, Shared};

use crate::cases;
use crate::seen::{LONG, SLICES, all_sleep, go_on, halt, is_asleep, wakes_are_sent};
use crate::storm;
use crate::support::{Case, until};

pub const CASES: &[Case] = cases![
    all_pass_together_again_and_again,
    each_has_an_index_of_its_own,
    one_runs_the_action_before_any_goes_on,
    an_abort_breaks_it_for_all,
    a_reset_breaks_it_for_those_who_wait_only,
    after_abort_and_reset_it_is_as_new,
    a_limit_breaks_it_for_all,
    one_party_never_waits,
    no_party_and_too_many_are_refused,
    a_thousand_passes_keep_step,
    as_many_as_there_is_room_for,
    threads_and_processes_pass_together,
    more_users_than_parties,
    a_trip_sends_its_wakes,
    an_action_that_panics_breaks_it,
    an_action_that_waits_for_itself_is_told,
    a_broken_barrier_stays_broken_though_the_action_ran,
    a_copy_of_the_leader_trips_nothing,
    a_barrier_waits_through_a_storm_of_signals,
    a_barrier_is_what_its_model_is,
];

tine::share! {
    pub struct Meeting { pub all: Barrier, pub actions: AtomicU32, pub go: Event, pub sum: AtomicU64 }
}

pub fn meeting(parties: usize) -> Shared<Meeting> {
    let all = Barrier::new(parties);
    Shared::with_memfd(Meeting { all, actions: AtomicU32::new(0), go: Event::new(), sum: AtomicU64::new(0) }).unwrap()
}

/// How a wait ended, as a child can tell its parent: the index, or a letter.
pub fn told(end: Result<BarrierWaitResult, BarrierError>) -> Result<usize, String> {
    let text = match end {
        Ok(result) => return Ok(result.index()),
        Err(BarrierError::Broken) => "broken",
        Err(BarrierError::TimedOut) => "timed out",
        Err(BarrierError::Corrupt) => "corrupt",
        Err(BarrierError::Foreign) => "foreign",
        Err(BarrierError::Parties { .. }) => "parties",
        Err(error) => panic!("{error}"),
    };
    Err(text.to_owned())
}

pub type Waiter = JoinHandle<Result<usize, String>>;

/// Children that have come and sleep.
pub fn waiters(meeting: &Shared<Meeting>, n: usize) -> Vec<Waiter> {
    let before = meeting.all.waiting();
    let waiters: Vec<_> = (0..n).map(|_| tine::spawn(|| told(meeting.all.wait())).unwrap()).collect();
    until("they have come", || meeting.all.waiting() == before + n);
    all_sleep(&waiters);
    waiters
}

pub fn broken() -> Result<usize, String> {
    Err("broken".to_owned())
}

pub fn all_are_told_it_is_broken(waiters: Vec<Waiter>) {
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), broken());
    }
}

fn all_pass_together_again_and_again() {
    const PARTIES: usize = 5;
    let meeting = meeting(PARTIES);
    for _ in 0..10 {
        let waiters = waiters(&meeting, PARTIES - 1);
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        let mine = meeting.all.wait().unwrap();
        assert!(mine.is_leader());
        for waiter in waiters {
            assert!(waiter.join().unwrap().is_ok());
        }
        assert_eq!((meeting.all.waiting(), meeting.all.is_broken(), meeting.all.parties()), (0, false, PARTIES));
    }
}

fn each_has_an_index_of_its_own() {
    const PARTIES: usize = 4;
    let meeting = meeting(PARTIES);
    for _ in 0..30 {
        let go_round = || {
            meeting.go.wait();
            let result = meeting.all.wait().unwrap();
            (result.index(), result.is_leader())
        };
        let children: Vec<_> = (0..PARTIES).map(|_| tine::spawn(go_round).unwrap()).collect();
        meeting.go.set();
        let mut seen: Vec<_> = children.into_iter().map(|child| child.join().unwrap()).collect();
        meeting.go.clear();
        seen.sort_unstable();
        let expected: Vec<_> = (0..PARTIES).map(|index| (index, index == PARTIES - 1)).collect();
        assert_eq!(seen, expected);
    }
}

fn one_runs_the_action_before_any_goes_on() {
    const PARTIES: usize = 4;
    const TIMES: u32 = 50;
    let meeting = meeting(PARTIES);
    let go_round = || {
        (1..=TIMES).all(|time| {
            let action = || {
                std::thread::yield_now();
                meeting.actions.fetch_add(1, Ordering::Relaxed);
            };
            meeting.all.wait_timeout_with(LONG, action).unwrap();
            let actions = meeting.actions.load(Ordering::Relaxed);
            // Nobody runs the next before this one has come again.
            meeting.all.wait().unwrap();
            actions == time
        })
    };
    let children: Vec<_> = (0..PARTIES).map(|_| tine::spawn(go_round).unwrap()).collect();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
    assert_eq!(meeting.actions.load(Ordering::Relaxed), TIMES);
}

fn an_abort_breaks_it_for_all() {
    let meeting = meeting(5);
    let waiters = waiters(&meeting, 3);
    tine::spawn(|| meeting.all.abort()).unwrap().join().unwrap();
    all_are_told_it_is_broken(waiters);
    assert!(meeting.all.is_broken());
    for _ in 0..2 {
        assert_eq!(told(meeting.all.wait()), broken(), "and who comes later");
        assert_eq!(told(meeting.all.wait_timeout(LONG)), broken());
    }
    meeting.all.abort();
    assert!(meeting.all.is_broken());
}

fn a_reset_breaks_it_for_those_who_wait_only() {
    let meeting = meeting(3);
    for round in 0..5 {
        let before = waiters(&meeting, 2);
        let they_look_at_once = round % 2 == 0;
        if !they_look_at_once {
            before.iter().for_each(halt);
        }
        meeting.all.reset();
        assert!(!meeting.all.is_broken());
        assert_eq!(meeting.all.waiting(), 0);
        if they_look_at_once {
            all_are_told_it_is_broken(before);
        } else {
            // The next round is over before they look.
            let next = waiters(&meeting, 2);
            meeting.all.wait().unwrap();
            assert!(next.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
            before.iter().for_each(go_on);
            all_are_told_it_is_broken(before);
        }
        let after = waiters(&meeting, 2);
        assert_eq!(meeting.all.wait().unwrap().index(), 2);
        assert!(after.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
    }
    meeting.all.reset();
    assert!(!meeting.all.is_broken(), "with nobody there it changes nothing");
}

fn after_abort_and_reset_it_is_as_new() {
    const PARTIES: usize = 4;
    let meeting = meeting(PARTIES);
    for _ in 0..10 {
        let waiters = waiters(&meeting, 2);
        meeting.all.abort();
        all_are_told_it_is_broken(waiters);
        meeting.all.reset();
        assert!(!meeting.all.is_broken());
        let go_round = || (0..20).all(|_| meeting.all.wait().is_ok());
        let children: Vec<_> = (0..PARTIES).map(|_| tine::spawn(go_round).unwrap()).collect();
        assert!(children.into_iter().all(|child| child.join().unwrap()));
    }
}

fn a_limit_breaks_it_for_all() {
    let meeting = meeting(4);
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let waiters = waiters(&meeting, 2);
        let before = Instant::now();
        assert_eq!(told(meeting.all.wait_timeout(limit)), Err("timed out".to_owned()));
        assert!(before.elapsed() >= limit);
        assert!(meeting.all.is_broken());
        all_are_told_it_is_broken(waiters);
        assert_eq!(told(meeting.all.wait()), broken());
        meeting.all.reset();
    }
    // In time.
    let waiters = waiters(&meeting, 3);
    assert!(meeting.all.wait_timeout(Duration::ZERO).unwrap().is_leader());
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
}

fn one_party_never_waits() {
    let meeting = meeting(1);
    let mut actions = 0;
    for _ in 0..100 {
        let result = meeting.all.wait_with(|| actions += 1).unwrap();
        assert_eq!((result.index(), result.is_leader()), (0, true));
        meeting.all.wait_timeout(Duration::ZERO).unwrap();
    }
    assert_eq!(actions, 100);
    let child = tine::spawn(|| (0..100).all(|_| meeting.all.wait().is_ok_and(|result| result.index() == 0)));
    assert!(child.unwrap().join().unwrap());
}

fn no_party_and_too_many_are_refused() {
    for parties in [0, 31, usize::MAX] {
        let barrier = Shared::new(Barrier::new(parties)).unwrap();
        let error = barrier.wait_with(|| panic!("ran")).unwrap_err();
        assert!(matches!(error, BarrierError::Parties { parties: p, most: 30 } if p == parties as u64), "{error}");
        assert!(matches!(barrier.wait_timeout(Duration::ZERO), Err(BarrierError::Parties { .. })));
        barrier.abort();
        barrier.reset();
        assert_eq!((barrier.waiting(), barrier.is_broken(), barrier.parties()), (0, false, parties));
    }
}

fn a_thousand_passes_keep_step() {
    const PARTIES: u64 = 4;
    const PASSES: u64 = 1_000;
    let meeting = meeting(PARTIES as usize);
    let go_round = || {
        (0..PASSES).all(|pass| {
            let before = meeting.sum.fetch_add(1, Ordering::Relaxed);
            meeting.all.wait().unwrap();
            let after = meeting.sum.load(Ordering::Relaxed);
            // All have come this often, and none oftener than once more.
            (PARTIES * pass..PARTIES * (pass + 1)).contains(&before)
                && (PARTIES * (pass + 1)..PARTIES * (pass + 2)).contains(&after)
        })
    };
    let children: Vec<_> = (0..PARTIES).map(|_| tine::spawn(go_round).unwrap()).collect();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
    assert_eq!(meeting.sum.load(Ordering::Relaxed), PARTIES * PASSES);
}

fn as_many_as_there_is_room_for() {
    let meeting = meeting(30);
    let others = waiters(&meeting, 29);
    assert_eq!(meeting.all.wait().unwrap().index(), 29);
    let mut indexes: Vec<_> = others.into_iter().map(|waiter| waiter.join().unwrap().unwrap()).collect();
    indexes.sort_unstable();
    assert!(indexes.into_iter().eq(0..29));
    let large = Shared::new(Barrier::<50>::with_max(40)).unwrap();
    let children: Vec<_> = (0..40).map(|_| tine::spawn(|| large.wait().unwrap().index()).unwrap()).collect();
    let mut indexes: Vec<_> = children.into_iter().map(|child| child.join().unwrap()).collect();
    indexes.sort_unstable();
    assert!(indexes.into_iter().eq(0..40));
}

fn threads_and_processes_pass_together() {
    let meeting = meeting(6);
    let in_threads = || {
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..3).map(|_| s.spawn(|| (0..100).all(|_| meeting.all.wait().is_ok()))).collect();
            threads.into_iter().all(|thread| thread.join().unwrap())
        })
    };
    let children: Vec<_> = (0..2).map(|_| tine::spawn(in_threads).unwrap()).collect();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
}

fn more_users_than_parties() {
    let meeting = meeting(3);
    let children: Vec<_> = (0..7)
        .map(|_| {
            tine::spawn(|| {
                let (mut passes, mut sum) = (0, 0);
                while let Ok(result) = meeting.all.wait_with(|| _ = meeting.actions.fetch_add(1, Ordering::Relaxed)) {
                    passes += 1;
                    sum += result.index();
                }
                (passes, sum)
            })
            .unwrap()
        })
        .collect();
    until("there were many passes", || meeting.actions.load(Ordering::Relaxed) >= 500);
    meeting.all.abort();
    let each: Vec<(usize, usize)> = children.into_iter().map(|child| child.join().unwrap()).collect();
    let passes: usize = each.iter().map(|(passes, _)| passes).sum();
    let sum: usize = each.iter().map(|(_, sum)| sum).sum();
    assert_eq!((passes % 3, sum), (0, passes), "each pass was one of three, with the indexes 0, 1 and 2");
    let actions = meeting.actions.load(Ordering::Relaxed) as usize;
    assert!(actions - passes / 3 <= 1, "the last action may have been broken: {actions} and {passes}");
}

fn a_trip_sends_its_wakes() {
    let meeting = meeting(2);
    wakes_are_sent(|_| _ = meeting.all.wait().unwrap(), |_| _ = meeting.all.wait().unwrap());
}

fn an_action_that_panics_breaks_it() {
    let meeting = meeting(3);
    let waiters = waiters(&meeting, 2);
    let outcome = catch_unwind(|| meeting.all.wait_with(|| panic!("on purpose")));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"on purpose"));
    all_are_told_it_is_broken(waiters);
    assert!(meeting.all.is_broken());
}

fn an_action_that_waits_for_itself_is_told() {
    let meeting = meeting(2);
    let waiters = waiters(&meeting, 1);
    let mut told = None;
    let result = meeting.all.wait_with(|| told = Some(meeting.all.wait()));
    assert!(matches!(told, Some(Err(BarrierError::Deadlock))));
    assert!(result.unwrap().is_leader());
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
}

fn a_broken_barrier_stays_broken_though_the_action_ran() {
    let meeting = meeting(2);
    for reset in [false, true] {
        let waiters = waiters(&meeting, 1);
        let result = meeting.all.wait_with(|| if reset { meeting.all.reset() } else { meeting.all.abort() });
        assert_eq!(told(result), broken());
        all_are_told_it_is_broken(waiters);
        assert_eq!(meeting.all.is_broken(), !reset);
        meeting.all.reset();
    }
}

fn a_copy_of_the_leader_trips_nothing() {
    for panics in [false, true] {
        let meeting = meeting(2);
        let waiters = waiters(&meeting, 1);
        let mut child = None;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            meeting.all.wait_with(|| {
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
                        assert_eq!((meeting.all.waiting(), meeting.all.is_broken()), (2, false));
                    }
                }
            })
        }));
        if child.is_none() {
            let told = match outcome {
                Ok(end) => matches!(end, Err(BarrierError::NotOwner)),
                Err(_) => panics,
            };
            // SAFETY: ends this child.
            unsafe { libc::_exit(i32::from(!told)) };
        }
        assert!(outcome.unwrap().unwrap().is_leader());
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
    }
}

fn a_barrier_waits_through_a_storm_of_signals() {
    let meeting = meeting(2);
    let child = tine::spawn(|| {
        storm::start();
        while storm::signals() < 50 {
            let before = Instant::now();
            assert_eq!(told(meeting.all.wait_timeout(SLICES)), Err("timed out".to_owned()));
            assert!(before.elapsed() >= SLICES);
            meeting.all.reset();
        }
        meeting.go.set();
        let passed = meeting.all.wait().is_ok();
        storm::stop();
        passed
    })
    .unwrap();
    assert!(meeting.go.wait_timeout(LONG));
    until("it waits", || is_asleep(child.id()));
    std::thread::sleep(SLICES);
    meeting.all.wait().unwrap();
    assert!(child.join().unwrap());
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// As many of the others as stand ready come and sleep, or find it broken.
    Come,
    Wait,
    Abort,
    Reset,
}

fn a_barrier_is_what_its_model_is() {
    // The model: how many wait, of how many, and whether it is broken. The others are threads of one child, which come when
    // they are told to; the model says what each is told.
    let op = prop::sample::select(vec![Op::Come, Op::Come, Op::Come, Op::Wait, Op::Abort, Op::Reset]);
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(1..4_usize, prop::collection::vec(op, 0..12)), |(parties, ops)| {
        let barrier = Shared::new(Barrier::new(parties)).unwrap();
        let mut broken = false;
        let mut asleep: Vec<JoinHandle<Result<usize, String>>> = Vec::new();
        for op in ops {
            let mut ends = Vec::new();
            match op {
                Op::Come => {
                    let child = tine::spawn(|| told(barrier.wait())).unwrap();
                    if broken {
                        ends.push((child, Err("broken".to_owned())));
                    } else if asleep.len() + 1 < parties {
                        until("it has come", || barrier.waiting() == asleep.len() + 1);
                        asleep.push(child);
                    } else {
                        let others = asleep.drain(..).chain([child]).enumerate();
                        ends.extend(others.map(|(index, child)| (child, Ok(index))));
                    }
                }
                Op::Wait => {
                    let end = told(barrier.wait_timeout(Duration::ZERO));
                    if broken {
                        prop_assert_eq!(end, Err("broken".to_owned()));
                    } else if asleep.len() + 1 == parties {
                        prop_assert_eq!(end, Ok(asleep.len()));
                        ends.extend(asleep.drain(..).enumerate().map(|(index, child)| (child, Ok(index))));
                    } else {
                        prop_assert_eq!(end, Err("timed out".to_owned()));
                        broken = true;
                        ends.extend(asleep.drain(..).map(|child| (child, Err("broken".to_owned()))));
                    }
                }
                Op::Abort | Op::Reset => {
                    broken = matches!(op, Op::Abort);
                    if broken {
                        barrier.abort()
                    } else {
                        barrier.reset()
                    }
                    ends.extend(asleep.drain(..).map(|child| (child, Err("broken".to_owned()))));
                }
            }
            for (child, end) in ends {
                prop_assert_eq!(child.join().unwrap(), end);
            }
            prop_assert_eq!((barrier.is_broken(), barrier.waiting()), (broken, asleep.len()));
        }
        barrier.abort();
        asleep.into_iter().for_each(|child| drop(child.join().unwrap()));
        Ok(())
    });
    outcome.unwrap();
}
