//! `Barrier`: those who die, stand still, or are overwritten.

use std::time::Duration;

use tine::process::stop;
use tine::sync::BarrierError;

use crate::barrier::{Waiter, all_are_told_it_is_broken, broken, meeting, told, waiters};
use crate::cases;
use crate::seen::{
    LONG, SLICES, garbage, go_on, halt, is_asleep, kill, kill_without_a_mark, without_the_call_for_several_words,
    words_of,
};
use crate::support::{Case, until};

pub const CASES: &[Case] = cases![
    a_killed_party_breaks_it_for_the_others,
    a_party_killed_before_the_last_comes_breaks_it,
    a_party_whose_death_is_not_marked_breaks_it,
    a_barrier_works_without_the_call_for_several_words,
    a_killed_leader_breaks_it_for_the_others,
    a_leader_killed_before_its_wake_leaves_nobody_asleep,
    a_trip_without_a_wake_is_found,
    a_woken_one_that_is_killed_takes_nothing_from_others,
    a_party_killed_while_it_arrives_leaves_nothing_to_repair,
    a_stopped_party_breaks_nothing,
    one_that_was_stopped_for_many_rounds_learns_how_its_own_ended,
    a_party_that_execs_has_died,
    a_party_killed_anywhere_hangs_nobody,
    an_overwritten_barrier_hangs_nobody,
];

/// Where the words of the meeting lie: those of the barrier.
const PHASE: usize = 0;
const PARTIES: usize = 1;
const LOCK: usize = 2;
const OPENED: usize = 3;
const ARRIVALS: usize = 4;

fn a_killed_party_breaks_it_for_the_others() {
    for which in 0..4 {
        let meeting = meeting(5);
        let mut waiters = waiters(&meeting, 4);
        kill(waiters.remove(which));
        all_are_told_it_is_broken(waiters);
        assert_eq!(told(meeting.all.wait()), broken());
        meeting.all.reset();
        assert!(!meeting.all.is_broken());
    }
    // The same, of one that stood still.
    let meeting = meeting(4);
    let mut waiters = waiters(&meeting, 3);
    let stopped = waiters.remove(1);
    halt(&stopped);
    kill(stopped);
    all_are_told_it_is_broken(waiters);
}

fn a_party_killed_before_the_last_comes_breaks_it() {
    for _ in 0..10 {
        let meeting = meeting(2);
        kill(waiters(&meeting, 1).remove(0));
        let mut ran = false;
        assert_eq!(told(meeting.all.wait_with(|| ran = true)), broken());
        assert!(!ran);
        meeting.all.reset();
        let other = waiters(&meeting, 1);
        meeting.all.wait().unwrap();
        assert!(other.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
    }
}

fn a_party_whose_death_is_not_marked_breaks_it() {
    for which in 0..3 {
        let meeting = meeting(4);
        let mut waiters = waiters(&meeting, 3);
        kill_without_a_mark(waiters.remove(which));
        all_are_told_it_is_broken(waiters);
    }
}

fn a_barrier_works_without_the_call_for_several_words() {
    without_the_call_for_several_words();
    a_killed_party_breaks_it_for_the_others();
    a_killed_leader_breaks_it_for_the_others();
    a_woken_one_that_is_killed_takes_nothing_from_others();
}

fn a_killed_leader_breaks_it_for_the_others() {
    for _ in 0..5 {
        let meeting = meeting(4);
        let waiters = waiters(&meeting, 3);
        let leader = tine::spawn(|| {
            let action = || {
                meeting.go.set();
                stop().wait();
            };
            told(meeting.all.wait_with(action))
        })
        .unwrap();
        assert!(meeting.go.wait_timeout(LONG));
        // One more than there are parties: it waits for the next round, and is told that there is none.
        let one_more = tine::spawn(|| told(meeting.all.wait())).unwrap();
        until("it waits", || is_asleep(one_more.id()));
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        kill(leader);
        all_are_told_it_is_broken(waiters);
        assert_eq!(one_more.join().unwrap(), broken());
    }
}

/// What a trip writes, by the drawing above the word.
fn trip(words: &tine::SharedSlice<u64>) {
    words.set(PHASE, (words.get(PHASE).unwrap() + (1 << 12)) & !1).unwrap();
}

fn a_leader_killed_before_its_wake_leaves_nobody_asleep() {
    for _ in 0..5 {
        let meeting = meeting(4);
        let words = words_of(&meeting);
        let leader = tine::spawn(|| {
            // Known before the others sleep.
            drop(tine::sync::Mutex::new(0_u8).lock().unwrap());
            meeting.go.set();
            stop().wait();
            let action = || {
                trip(&words);
                std::process::abort();
            };
            meeting.all.wait_with(action).is_ok()
        })
        .unwrap();
        assert!(meeting.go.wait_timeout(LONG));
        let waiters = waiters(&meeting, 3);
        leader.request_stop().unwrap();
        let mut indexes: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap().unwrap()).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, [0, 1, 2], "it has tripped, so the death is none of theirs");
        assert!(leader.join().is_err());
        assert!(!meeting.all.is_broken());
    }
}

fn a_trip_without_a_wake_is_found() {
    let meeting = meeting(4);
    let words = words_of(&meeting);
    let waiters = waiters(&meeting, 3);
    trip(&words);
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
}

fn a_woken_one_that_is_killed_takes_nothing_from_others() {
    for _ in 0..10 {
        let meeting = meeting(4);
        let mut waiters = waiters(&meeting, 3);
        let first = waiters.remove(0);
        halt(&first);
        meeting.all.wait().unwrap();
        kill(first);
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
        assert!(!meeting.all.is_broken(), "all had come");
    }
}

fn a_party_killed_while_it_arrives_leaves_nothing_to_repair() {
    let meeting = meeting(3);
    let words = words_of(&meeting);
    kill(waiters(&meeting, 1).remove(0));
    let dead = words.get(ARRIVALS).unwrap();
    meeting.all.reset();
    // With the lock, before anything was written, and with some of the old arrivals swept.
    for swept in [false, true] {
        words.set(LOCK, dead).unwrap();
        if swept {
            words.set(ARRIVALS, 0).unwrap();
        }
        let waiters = waiters(&meeting, 2);
        assert!(meeting.all.wait().unwrap().is_leader());
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
        assert_eq!(words.get(LOCK).unwrap() & !1, 0, "the lock is as new");
    }
}

fn a_stopped_party_breaks_nothing() {
    let meeting = meeting(4);
    let waiters = waiters(&meeting, 3);
    waiters.iter().take(2).for_each(halt);
    // Longer than the third one sleeps without looking for the truth.
    std::thread::sleep(SLICES);
    assert!(!meeting.all.is_broken());
    meeting.all.wait().unwrap();
    waiters.iter().for_each(go_on);
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_ok()));
}

fn one_that_was_stopped_for_many_rounds_learns_how_its_own_ended() {
    let meeting = meeting(2);
    let many = || {
        let other = tine::spawn(|| (0..300).all(|_| meeting.all.wait().is_ok())).unwrap();
        assert!((0..300).all(|_| meeting.all.wait().is_ok()));
        assert!(other.join().unwrap());
    };
    let stopped = || {
        let waiter = waiters(&meeting, 1).remove(0);
        halt(&waiter);
        waiter
    };
    let learns = |waiter: Waiter| {
        go_on(&waiter);
        waiter.join().unwrap()
    };
    let passed = stopped();
    meeting.all.wait().unwrap();
    many();
    assert_eq!(learns(passed), Ok(0));

    let passed = stopped();
    meeting.all.wait().unwrap();
    many();
    let broken_by_abort = stopped();
    meeting.all.abort();
    meeting.all.reset();
    many();
    assert_eq!(learns(passed), Ok(0));
    assert_eq!(learns(broken_by_abort), broken());

    let broken_by_reset = stopped();
    meeting.all.reset();
    let passed = stopped();
    meeting.all.wait().unwrap();
    many();
    meeting.all.reset();
    many();
    assert_eq!(learns(broken_by_reset), broken());
    assert_eq!(learns(passed), Ok(0));

    // Two resets are beyond what the words remember: that is told on the safe side.
    let passed = stopped();
    meeting.all.wait().unwrap();
    meeting.all.reset();
    meeting.all.reset();
    assert_eq!(learns(passed), broken());
}

fn a_party_that_execs_has_died() {
    use std::os::unix::process::CommandExt;
    let meeting = meeting(3);
    let waiters = waiters(&meeting, 1);
    let child = tine::spawn(|| {
        std::thread::scope(|s| {
            // The thread that waits is gone with the program.
            s.spawn(|| meeting.all.wait().is_ok());
            meeting.go.wait();
            panic!("exec failed: {}", std::process::Command::new("sleep").arg("1000").exec());
        });
    })
    .unwrap();
    until("the thread waits", || meeting.all.waiting() == 2);
    meeting.go.set();
    all_are_told_it_is_broken(waiters);
    assert!(child.try_wait().unwrap().is_none(), "the process itself lives");
    kill(child);
}

fn a_party_killed_anywhere_hangs_nobody() {
    let meeting = meeting(3);
    let mut seed = 54_u64;
    let mut found = 0;
    for _ in 0..40 {
        let others: Vec<_> = (0..2)
            .map(|_| {
                tine::spawn(|| {
                    // To be killed, or to be left.
                    while meeting.all.wait().is_ok() {}
                })
                .unwrap()
            })
            .collect();
        let [first, second] = <[_; 2]>::try_from(others).unwrap();
        meeting.all.wait().unwrap();
        let pause = Duration::from_micros(garbage(&mut seed) % 3_000);
        let pid = first.id().cast_signed();
        let killer = tine::spawn(|| {
            std::thread::sleep(pause);
            // SAFETY: a signal to a process that nobody has reaped yet.
            assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        })
        .unwrap();
        let error = loop {
            match meeting.all.wait_timeout(Duration::from_millis(150)) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        match error {
            BarrierError::Broken => found += 1,
            // It had not come yet.
            BarrierError::TimedOut => {}
            error => panic!("{error}"),
        }
        second.join().unwrap();
        killer.join().unwrap();
        let _ = first.join();
        meeting.all.reset();
    }
    assert!(found > 0, "it was never killed inside");
}

fn an_overwritten_barrier_hangs_nobody() {
    let meeting = meeting(2);
    let words = words_of(&meeting);
    let mut seed = 55;
    let fresh: Vec<u64> = (PHASE..ARRIVALS + 30).map(|word| words.get(word).unwrap()).collect();
    // Each word alone, then all of them.
    for word in [PHASE, PARTIES, LOCK, OPENED, ARRIVALS, ARRIVALS + 1, usize::MAX] {
        for _ in 0..20 {
            words.copy_from(0, &fresh).unwrap();
            if word == usize::MAX {
                (PHASE..ARRIVALS + 2).for_each(|word| words.set(word, garbage(&mut seed)).unwrap());
            } else {
                words.set(word, garbage(&mut seed)).unwrap();
            }
            // Whatever it says: it comes back.
            let _ = told(meeting.all.wait_timeout(Duration::from_millis(1)));
            meeting.all.abort();
            assert!(meeting.all.is_broken());
            meeting.all.reset();
            assert!(!meeting.all.is_broken());
            let _ = format!("{:?}", meeting.all);
        }
    }
    // Below sleepers, who wait without a limit for one that never comes.
    for word in [OPENED, ARRIVALS, ARRIVALS + 1] {
        for _ in 0..3 {
            words.copy_from(0, &fresh).unwrap();
            words.set(PARTIES, 4).unwrap();
            let waiters = waiters(&meeting, 2);
            words.set(word, garbage(&mut seed) | 0x80).unwrap();
            // One who comes finds it, or they do by themselves.
            let _ = told(meeting.all.wait_timeout(Duration::from_millis(1)));
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_err()));
        }
    }
    // Told by name: who comes finds it, and it is broken for those who wait.
    for (word, found) in [(LOCK, "corrupt"), (ARRIVALS + 2, "corrupt"), (LOCK, "foreign")] {
        words.copy_from(0, &fresh).unwrap();
        words.set(PARTIES, 4).unwrap();
        let waiters = waiters(&meeting, 2);
        let garbage = if found == "foreign" { !0xff } else { 0x80 };
        words.set(word, garbage).unwrap();
        assert_eq!(told(meeting.all.wait()), Err(found.to_owned()));
        all_are_told_it_is_broken(waiters);
    }
    // One who has arrived, and is not there any more: it finds that by itself.
    words.copy_from(0, &fresh).unwrap();
    words.set(PARTIES, 4).unwrap();
    let both = waiters(&meeting, 2);
    words.set(ARRIVALS, 0).unwrap();
    let ends: Vec<_> = both.into_iter().map(|waiter| waiter.join().unwrap().unwrap_err()).collect();
    assert!(ends.contains(&"corrupt".to_owned()) && ends.contains(&"broken".to_owned()), "{ends:?}");
    for word in [PHASE, ARRIVALS] {
        words.copy_from(0, &fresh).unwrap();
        let waiters = waiters(&meeting, 1);
        words.set(word, 0xdead_beef_dead_beef).unwrap();
        for mut waiter in waiters {
            assert!(waiter.join_timeout(LONG).unwrap().is_some());
        }
    }
}
