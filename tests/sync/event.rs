//! `Event`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::Shared;
use tine::process::stop;
use tine::sync::Event;

use crate::cases;
use crate::seen::{
    LONG, ROUNDS, SLICES, all_sleep, garbage, go_on, halt, kill, wakes_are_sent, without_the_call_for_several_words,
    words_of,
};
use crate::storm;
use crate::support::{Case, in_child};

pub const CASES: &[Case] = cases![
    an_event_is_set_and_cleared_and_waited_for,
    a_set_wakes_all_who_wait,
    a_set_sends_its_wakes,
    what_was_done_before_the_set_is_seen,
    a_set_that_is_taken_back_at_once_is_lost_on_nobody,
    one_of_those_who_clear_has_cleared_it,
    a_killed_sleeper_takes_no_wake_from_others,
    a_setter_killed_before_its_wake_leaves_nobody_asleep,
    a_set_without_a_wake_is_found,
    a_stopped_sleeper_keeps_nobody_from_going_on,
    an_event_waits_through_a_storm_of_signals,
    an_event_works_without_the_call_for_several_words,
    an_overwritten_event_hangs_nobody,
    an_event_works_after_a_fork_by_others,
    an_event_is_what_its_model_is,
];

fn an_event_is_set_and_cleared_and_waited_for() {
    let event = Shared::new(Event::new()).unwrap();
    assert!(!event.is_set());
    assert!(!event.wait_timeout(Duration::ZERO));
    let before = std::time::Instant::now();
    assert!(!event.wait_timeout(Duration::from_millis(20)));
    assert!(before.elapsed() >= Duration::from_millis(20), "not given up early");
    event.set();
    event.set();
    assert!(event.is_set());
    event.wait();
    assert!(event.wait_timeout(Duration::ZERO) && event.wait_timeout(Duration::MAX));
    let child = tine::spawn(|| {
        event.wait();
        event.clear()
    });
    assert!(child.unwrap().join().unwrap());
    assert!(!event.is_set() && !event.clear());
    // Python's own: a child sets what its parent waits for.
    let child = tine::spawn(|| event.set()).unwrap();
    assert!(event.wait_timeout(LONG));
    child.join().unwrap();
}

fn a_set_wakes_all_who_wait() {
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..5 {
        let children: Vec<_> = (0..6).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
        let threads = tine::spawn(|| {
            std::thread::scope(|s| {
                let threads: Vec<_> = (0..3).map(|_| s.spawn(|| event.wait_timeout(LONG))).collect();
                threads.into_iter().all(|thread| thread.join().unwrap())
            })
        });
        all_sleep(&children);
        event.set();
        assert!(children.into_iter().all(|child| child.join().unwrap()));
        assert!(threads.unwrap().join().unwrap());
        event.clear();
    }
}

fn a_set_sends_its_wakes() {
    let events = Shared::<[Event]>::from_fn(ROUNDS, |_| Event::new()).unwrap();
    wakes_are_sent(|round| events[round].wait(), |round| events[round].set());
}

tine::share! {
    struct PingPong { ball: AtomicU64, ping: Event, pong: Event }
}

fn what_was_done_before_the_set_is_seen() {
    // So many that the deadline of a case tells if sleepers had to look for themselves.
    const ROUNDS: u64 = 10_000;
    let table = Shared::new(PingPong { ball: AtomicU64::new(0), ping: Event::new(), pong: Event::new() }).unwrap();
    let other = tine::spawn(|| {
        for round in 0..ROUNDS {
            table.ping.wait();
            table.ping.clear();
            // Relaxed: what orders it is the event.
            assert_eq!(table.ball.swap(2 * round + 2, Ordering::Relaxed), 2 * round + 1);
            table.pong.set();
        }
    });
    for round in 0..ROUNDS {
        assert_eq!(table.ball.swap(2 * round + 1, Ordering::Relaxed), 2 * round);
        table.ping.set();
        table.pong.wait();
        table.pong.clear();
    }
    other.unwrap().join().unwrap();
}

fn a_set_that_is_taken_back_at_once_is_lost_on_nobody() {
    let event = Shared::new(Event::new()).unwrap();
    let children: Vec<_> = (0..3).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
    all_sleep(&children);
    // None of them can look while it is set.
    children.iter().for_each(halt);
    event.set();
    assert!(event.clear());
    children.iter().for_each(go_on);
    for child in children {
        assert!(child.join().unwrap());
    }
    assert!(!event.wait_timeout(Duration::ZERO), "who comes later waits");
}

tine::share! {
    struct Turn { event: Event, taken: AtomicU32, round: Event }
}

fn one_of_those_who_clear_has_cleared_it() {
    let turn = Shared::new(Turn { event: Event::new(), taken: AtomicU32::new(0), round: Event::new() }).unwrap();
    for round in 1..=50 {
        turn.event.set();
        let children: Vec<_> = (0..2)
            .map(|_| {
                tine::spawn(|| {
                    turn.round.wait();
                    u32::from(turn.event.clear())
                })
                .unwrap()
            })
            .collect();
        turn.round.set();
        let cleared: u32 = children.into_iter().map(|child| child.join().unwrap()).sum();
        assert_eq!(cleared, 1, "in round {round}");
        turn.round.clear();
    }
}

fn a_killed_sleeper_takes_no_wake_from_others() {
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..10 {
        let mut children: Vec<_> = (0..4).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
        all_sleep(&children);
        kill(children.remove(0));
        // This one gets its wake, and is killed before it can do anything with it.
        let second = children.remove(0);
        halt(&second);
        event.set();
        kill(second);
        assert!(children.into_iter().all(|child| child.join().unwrap()));
        event.clear();
    }
}

/// What `set` writes, by the drawing above the word.
fn set_without_a_wake(words: &tine::SharedSlice<u64>) {
    let now = words.get(0).unwrap();
    words.set(0, ((now + (1 << 8)) | 1) & !2).unwrap();
}

fn a_setter_killed_before_its_wake_leaves_nobody_asleep() {
    let event = Shared::with_memfd(Event::new()).unwrap();
    let words = words_of(&event);
    for _ in 0..10 {
        let setter = tine::spawn(|| -> () {
            // On the roster, by using a lock.
            drop(tine::sync::Mutex::new(0_u8).lock().unwrap());
            event.set();
            stop().wait();
            event.clear();
            set_without_a_wake(&words);
            std::process::abort();
        })
        .unwrap();
        event.wait();
        event.clear();
        let children: Vec<_> = (0..3).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
        all_sleep(&children);
        setter.request_stop().unwrap();
        assert!(children.into_iter().all(|child| child.join().unwrap()));
        assert!(setter.join().is_err());
        event.clear();
    }
}

fn a_set_without_a_wake_is_found() {
    // By a process that was not on the roster, or whose end the kernel did not tell of.
    let event = Shared::with_memfd(Event::new()).unwrap();
    let words = words_of(&event);
    let children: Vec<_> = (0..3).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
    all_sleep(&children);
    set_without_a_wake(&words);
    // And taken back before they have looked.
    event.clear();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
}

fn a_stopped_sleeper_keeps_nobody_from_going_on() {
    let event = Shared::new(Event::new()).unwrap();
    let mut children: Vec<_> = (0..3).map(|_| tine::spawn(|| event.wait_timeout(LONG)).unwrap()).collect();
    all_sleep(&children);
    let stopped = children.remove(0);
    halt(&stopped);
    event.set();
    assert!(children.into_iter().all(|child| child.join().unwrap()));
    go_on(&stopped);
    assert!(stopped.join().unwrap());
}

fn an_event_waits_through_a_storm_of_signals() {
    let event = Shared::new(Event::new()).unwrap();
    let last = Shared::new(Event::new()).unwrap();
    let child = tine::spawn(|| {
        storm::start();
        while storm::signals() < 50 {
            let before = std::time::Instant::now();
            assert!(!event.wait_timeout(SLICES));
            assert!(before.elapsed() >= SLICES, "a signal is not the end of the time");
        }
        last.set();
        event.wait();
        storm::stop();
    })
    .unwrap();
    last.wait();
    crate::support::until("it waits for good", || crate::seen::is_asleep(child.id()));
    std::thread::sleep(SLICES);
    event.set();
    child.join().unwrap();
}

fn an_event_works_without_the_call_for_several_words() {
    without_the_call_for_several_words();
    a_set_wakes_all_who_wait();
    a_setter_killed_before_its_wake_leaves_nobody_asleep();
    a_killed_sleeper_takes_no_wake_from_others();
}

fn an_overwritten_event_hangs_nobody() {
    let event = Shared::with_memfd(Event::new()).unwrap();
    let words = words_of(&event);
    let mut seed = 47;
    for _ in 0..200 {
        words.set(0, garbage(&mut seed)).unwrap();
        let _ = event.wait_timeout(Duration::from_millis(1));
        event.set();
        assert!(event.is_set());
        event.wait();
        event.clear();
        assert!(!event.is_set());
    }
    // Below sleepers: whatever is there then, the next set ends their wait.
    for _ in 0..5 {
        words.set(0, 0).unwrap();
        let children: Vec<_> = (0..2).map(|_| tine::spawn(|| event.wait()).unwrap()).collect();
        all_sleep(&children);
        words.set(0, garbage(&mut seed)).unwrap();
        event.set();
        for mut child in children {
            assert_eq!(child.join_timeout(LONG).unwrap(), Some(()));
        }
    }
}

fn an_event_works_after_a_fork_by_others() {
    let event = Shared::new(Event::new()).unwrap();
    assert!(in_child(|| event.set()).success());
    assert!(event.wait_timeout(LONG));
    static PRIVATE: Event = Event::new();
    assert!(in_child(|| PRIVATE.set()).success());
    assert!(!PRIVATE.is_set(), "the child's is its own");
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Set,
    Clear,
    IsSet,
    Wait,
    Overwrite(u64),
}

fn an_event_is_what_its_model_is() {
    let event = Shared::with_memfd(Event::new()).unwrap();
    let words = words_of(&event);
    let op = prop_oneof![
        Just(Op::Set),
        Just(Op::Clear),
        Just(Op::IsSet),
        Just(Op::Wait),
        any::<u64>().prop_map(Op::Overwrite),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(op, 0..40), |ops| {
        event.clear();
        let mut model = false;
        for op in ops {
            match op {
                Op::Set => {
                    event.set();
                    model = true;
                }
                Op::Clear => {
                    prop_assert_eq!(event.clear(), model);
                    model = false;
                }
                Op::IsSet => prop_assert_eq!(event.is_set(), model),
                Op::Wait => prop_assert_eq!(event.wait_timeout(Duration::ZERO), model),
                Op::Overwrite(word) => {
                    words.set(0, word).unwrap();
                    model = word & 1 != 0;
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
