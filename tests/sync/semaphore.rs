//! `Semaphore`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tine::Shared;
use tine::process::Signal;
use tine::sync::{Semaphore, SemaphoreError};

use crate::cases;
use crate::holder::{Holder, Victim, all_are_served, comes, of_another_family, share_one_cpu};
use crate::seen::{LONG, SLICES, garbage, go_on, halt, kill, state, without_the_call_for_several_words, words_of};
use crate::storm;
use crate::support::{Case, in_child, until};

pub const CASES: &[Case] = cases![
    permits_are_counted,
    no_more_than_there_are_permits_work_at_once,
    permits_survive_a_storm_of_signals,
    permits_that_are_added_and_used_up_are_neither_lost_nor_doubled,
    a_bounded_one_refuses_one_permit_too_many,
    a_permit_comes_back_when_its_scope_is_left_by_a_panic,
    waiting_for_a_permit_ends_in_time,
    each_permit_wakes_one_sleeper,
    the_permits_of_the_dead_come_back,
    a_permit_of_the_dead_is_had_without_waiting,
    a_killed_sleeper_keeps_no_permit,
    permits_reach_the_others_when_the_woken_one_is_killed,
    permits_reach_the_others_when_a_dead_holders_heir_is_killed,
    a_stopped_holder_keeps_its_permit,
    a_permit_of_who_execs_comes_back,
    a_permit_of_a_thread_that_ends_comes_back,
    a_permit_of_a_zombie_comes_back,
    a_fork_is_not_refused_and_its_copy_gives_nothing_back,
    who_holds_all_permits_is_told,
    a_semaphore_made_with_too_many_permits_says_so,
    overwritten_words_of_a_semaphore_are_told,
    a_semaphore_in_private_memory_works,
    permits_are_had_where_one_word_only_can_be_slept_on,
];

fn semaphore(permits: usize) -> Shared<Semaphore> {
    Shared::new(Semaphore::new(permits)).unwrap()
}

/// A child that has a permit.
fn holder<const N: usize>(semaphore: &Shared<Semaphore<N>>) -> Holder<()> {
    Holder::start(|| semaphore.acquire().unwrap(), drop)
}

/// Children that sleep until they get a permit, which they give back.
fn sleepers<const N: usize>(n: usize, semaphore: &Shared<Semaphore<N>>) -> Vec<Holder<()>> {
    (0..n).map(|_| Holder::sleeping(|| drop(semaphore.acquire().unwrap()))).collect()
}

fn permits_are_counted() {
    let semaphore = semaphore(2);
    assert_eq!(semaphore.available(), 2);
    let one = semaphore.acquire().unwrap();
    let two = semaphore.try_acquire().unwrap().expect("there are two");
    assert_eq!(semaphore.available(), 0);
    assert!(semaphore.try_acquire().unwrap().is_none());
    drop(one);
    assert_eq!(semaphore.available(), 1);
    two.forget();
    assert_eq!(semaphore.available(), 1, "one is used up");
    semaphore.add().unwrap();
    assert_eq!(semaphore.available(), 2);
    let elsewhere = tine::spawn(|| {
        let permit = semaphore.acquire().unwrap();
        let left = semaphore.available() as u32;
        drop(permit);
        left
    })
    .unwrap();
    assert_eq!(comes(elsewhere), 1, "one for all processes");
    assert_eq!(semaphore.available(), 2);
    assert_eq!(format!("{:?}", *semaphore), "Semaphore { available: 2, max: 30 }");
}

/// Threads of several processes acquire and give back until `enough`; no more than two are ever in between.
fn many(prepare: impl Fn(), enough: impl Fn(u32) -> bool + Sync) {
    let semaphore = semaphore(2);
    let working = Shared::new(AtomicU32::new(0)).unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| {
            tine::spawn(|| {
                prepare();
                std::thread::scope(|s| {
                    for _ in 0..2 {
                        s.spawn(|| {
                            let mut turn = 0;
                            while !enough(turn) {
                                turn += 1;
                                let _permit = semaphore.acquire().unwrap();
                                assert!(working.fetch_add(1, Ordering::AcqRel) < 2, "a third works");
                                std::hint::spin_loop();
                                working.fetch_sub(1, Ordering::AcqRel);
                            }
                        });
                    }
                });
                storm::stop();
            })
            .unwrap()
        })
        .collect();
    children.into_iter().for_each(comes);
    assert_eq!(semaphore.available(), 2);
}

fn no_more_than_there_are_permits_work_at_once() {
    many(|| (), |turn| turn == 5_000);
}

fn permits_survive_a_storm_of_signals() {
    many(storm::start, |_| storm::signals() >= 100);
}

fn permits_that_are_added_and_used_up_are_neither_lost_nor_doubled() {
    const EACH: u32 = 3_000;
    let todo: Shared<Semaphore<4>> = Shared::new(Semaphore::with_max(0)).unwrap();
    let room: Shared<Semaphore<4>> = Shared::new(Semaphore::with_max(4)).unwrap();
    let makers: Vec<_> = (0..2)
        .map(|_| {
            tine::spawn(|| {
                for _ in 0..EACH {
                    room.acquire().unwrap().forget();
                    todo.add().unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    let users: Vec<_> = (0..3)
        .map(|_| {
            tine::spawn(|| {
                for _ in 0..EACH * 2 / 3 {
                    todo.acquire().unwrap().forget();
                    room.add().unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    makers.into_iter().chain(users).for_each(comes);
    assert_eq!((todo.available(), room.available()), (0, 4));
}

fn a_bounded_one_refuses_one_permit_too_many() {
    let semaphore: Shared<Semaphore<2>> = Shared::new(Semaphore::with_max(2)).unwrap();
    assert!(matches!(semaphore.add(), Err(SemaphoreError::Full)));
    let permit = semaphore.acquire().unwrap();
    assert!(matches!(semaphore.add(), Err(SemaphoreError::Full)), "one that is held counts");
    assert_eq!(semaphore.available(), 1);
    permit.forget();
    semaphore.add().unwrap();
    assert!(matches!(semaphore.add(), Err(SemaphoreError::Full)));
    assert_eq!(semaphore.available(), 2);
    // One whose holder has died is not gone.
    holder(&semaphore).kill();
    assert!(matches!(semaphore.add(), Err(SemaphoreError::Full)));
}

fn a_permit_comes_back_when_its_scope_is_left_by_a_panic() {
    let semaphore = semaphore(1);
    let outcome = std::panic::catch_unwind(|| {
        let _permit = semaphore.acquire().unwrap();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    assert!(semaphore.try_acquire().unwrap().is_some());
}

fn waiting_for_a_permit_ends_in_time() {
    let semaphore = semaphore(1);
    let permit = semaphore.acquire_timeout(Duration::MAX).unwrap().expect("it is free");
    for limit in [Duration::ZERO, Duration::from_millis(1), SLICES] {
        let before = std::time::Instant::now();
        assert!(semaphore.acquire_timeout(limit).unwrap().is_none());
        assert!(before.elapsed() >= limit, "not before its time");
    }
    drop(permit);
    assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap().is_some());
}

fn each_permit_wakes_one_sleeper() {
    const SLEEPERS: usize = 4;
    let semaphore: Shared<Semaphore<SLEEPERS>> = Shared::new(Semaphore::with_max(0)).unwrap();
    for _ in 0..10 {
        let had = Shared::new(AtomicU32::new(0)).unwrap();
        let sleepers: Vec<_> = (0..SLEEPERS)
            .map(|_| {
                Holder::sleeping(|| {
                    semaphore.acquire().unwrap().forget();
                    had.fetch_add(1, Ordering::AcqRel);
                })
            })
            .collect();
        for n in 1..=SLEEPERS as u32 {
            semaphore.add().unwrap();
            until("one more has its permit", || had.load(Ordering::Acquire) == n);
        }
        all_are_served(sleepers);
    }
}

fn the_permits_of_the_dead_come_back() {
    let semaphore = semaphore(3);
    for _ in 0..5 {
        let holders = [(); 3].map(|()| holder(&semaphore));
        let sleepers = sleepers(3, &semaphore);
        holders.into_iter().for_each(Holder::kill);
        all_are_served(sleepers);
        assert_eq!(semaphore.available(), 3);
    }
    // One of them is enough for all.
    let [first, second, third] = [(); 3].map(|()| holder(&semaphore));
    let sleepers = sleepers(3, &semaphore);
    second.kill();
    all_are_served(sleepers);
    first.end();
    third.end();
}

fn a_permit_of_the_dead_is_had_without_waiting() {
    let semaphore = semaphore(1);
    for _ in 0..5 {
        holder(&semaphore).kill();
        assert_eq!(semaphore.available(), 1);
        assert!(semaphore.try_acquire().unwrap().is_some());
    }
}

fn a_killed_sleeper_keeps_no_permit() {
    let semaphore = semaphore(1);
    let holds = holder(&semaphore);
    let mut sleepers = sleepers(3, &semaphore);
    sleepers.remove(0).kill();
    holds.leave();
    all_are_served(sleepers);
    assert_eq!(semaphore.available(), 1);
    holds.end();
}

fn permits_reach_the_others_when_the_woken_one_is_killed() {
    // Who gives a permit back wakes one of several. That one dies before it does anything.
    share_one_cpu();
    let semaphore = semaphore(1);
    for _ in 0..20 {
        let victim = Victim::unknown();
        let leave = |permit| {
            drop(permit);
            victim.kill();
        };
        let holds = Holder::start(|| semaphore.acquire().unwrap(), leave);
        let mut sleepers = sleepers(3, &semaphore);
        let first = sleepers.remove(0);
        victim.is(&first);
        holds.leave();
        all_are_served(sleepers);
        first.kill();
        holds.end();
    }
}

fn permits_reach_the_others_when_a_dead_holders_heir_is_killed() {
    // As above, but the wake is the kernel's, for a death.
    share_one_cpu();
    let semaphore = semaphore(1);
    for _ in 0..20 {
        let holds = holder(&semaphore);
        let mut sleepers = sleepers(3, &semaphore);
        let first = sleepers.remove(0);
        holds.child.kill().unwrap();
        first.child.kill().unwrap();
        all_are_served(sleepers);
        first.kill();
        holds.kill();
    }
}

fn a_stopped_holder_keeps_its_permit() {
    let semaphore = semaphore(1);
    let holds = holder(&semaphore);
    halt(&holds.child);
    assert!(semaphore.acquire_timeout(SLICES).unwrap().is_none());
    assert_eq!(semaphore.available(), 0);
    go_on(&holds.child);
    holds.end();
    assert!(semaphore.try_acquire().unwrap().is_some());
}

fn a_permit_of_who_execs_comes_back() {
    use std::os::unix::process::CommandExt;
    let semaphore = semaphore(1);
    let child = tine::spawn(|| -> u8 {
        std::mem::forget(semaphore.acquire().unwrap());
        panic!("exec failed: {}", std::process::Command::new("sleep").arg("1000").exec());
    })
    .unwrap();
    until("it is another program", || {
        std::fs::read_to_string(format!("/proc/{}/comm", child.id())).is_ok_and(|name| name == "sleep\n")
    });
    assert!(semaphore.acquire_timeout(LONG).unwrap().is_some());
    assert!(child.try_wait().unwrap().is_none(), "the process itself lives");
    kill(child);
}

fn a_permit_of_a_thread_that_ends_comes_back() {
    let semaphore = semaphore(1);
    let child = tine::spawn(|| {
        let thread = std::thread::spawn({
            let semaphore = semaphore.clone();
            move || std::mem::forget(semaphore.acquire().unwrap())
        });
        thread.join().unwrap();
        semaphore.acquire_timeout(LONG).unwrap().is_some()
    })
    .unwrap();
    assert!(comes(child));
}

fn a_permit_of_a_zombie_comes_back() {
    let semaphore = semaphore(1);
    let holds = holder(&semaphore).child;
    holds.signal(Signal::KILL).unwrap();
    until("it has ended", || state(holds.id()) == Some('Z'));
    assert!(semaphore.try_acquire().unwrap().is_some());
    let _ = holds.join();
}

fn a_fork_is_not_refused_and_its_copy_gives_nothing_back() {
    let semaphore = semaphore(2);
    let mut dropped = Some(semaphore.acquire().unwrap());
    let mut forgotten = Some(semaphore.acquire().unwrap());
    let child = tine::spawn(|| semaphore.try_acquire().unwrap().is_none()).unwrap();
    assert!(comes(child), "they are the parent's");
    let status = in_child(|| {
        drop(dropped.take());
        forgotten.take().unwrap().forget();
        assert!(semaphore.try_acquire().unwrap().is_none(), "they are the parent's");
    });
    assert!(status.success());
    assert_eq!(semaphore.available(), 0);
    drop((dropped, forgotten));
    assert_eq!(semaphore.available(), 2);
}

fn who_holds_all_permits_is_told() {
    let semaphore: Shared<Semaphore<2>> = Shared::new(Semaphore::with_max(2)).unwrap();
    let (one, two) = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
    assert!(matches!(semaphore.acquire(), Err(SemaphoreError::Deadlock)));
    assert!(matches!(semaphore.acquire_timeout(LONG), Err(SemaphoreError::Deadlock)));
    assert!(semaphore.try_acquire().unwrap().is_none());
    drop(one);
    drop(semaphore.acquire().unwrap());
    // Where another could add one it is no deadlock.
    two.forget();
    let one = semaphore.acquire().unwrap();
    assert!(semaphore.acquire_timeout(Duration::from_millis(20)).unwrap().is_none());
    let adds = tine::spawn(|| semaphore.add().unwrap()).unwrap();
    drop(semaphore.acquire_timeout(LONG).unwrap().expect("the child adds one"));
    comes(adds);
    drop(one);
}

fn a_semaphore_made_with_too_many_permits_says_so() {
    let semaphore = semaphore(31);
    assert!(matches!(semaphore.acquire(), Err(SemaphoreError::TooMany)));
    assert!(matches!(semaphore.try_acquire(), Err(SemaphoreError::TooMany)));
    assert!(matches!(semaphore.acquire_timeout(LONG), Err(SemaphoreError::TooMany)));
    assert!(matches!(semaphore.add(), Err(SemaphoreError::TooMany)));
    assert_eq!(semaphore.available(), 0);
    assert!(matches!(Semaphore::new(usize::MAX).acquire(), Err(SemaphoreError::TooMany)));
    assert!(Semaphore::new(30).acquire().is_ok());
}

fn overwritten_words_of_a_semaphore_are_told() {
    const MAX: usize = 3;
    let mut seed = 2;
    for turn in 0..4_000 {
        let semaphore: Shared<Semaphore<MAX>> = Shared::with_memfd(Semaphore::with_max(MAX)).unwrap();
        let words = words_of(&semaphore);
        // How it was made, or all the permits. (The second word is only counted up.)
        for index in if turn % 2 == 0 { 0..1 } else { 2..2 + MAX } {
            let mut word = garbage(&mut seed);
            while [0, 4, 6].contains(&word) {
                // That is what a place holds that is free, or absent.
                word = garbage(&mut seed);
            }
            words.set(index, word).unwrap();
        }
        // Any answer will do, but there must be one.
        let tried = semaphore.try_acquire().map(|permit| permit.is_some());
        let waited = semaphore.acquire_timeout(LONG).map(|permit| permit.is_some());
        assert!(!matches!(waited, Ok(false)), "turn {turn}: nobody was there to wait for");
        assert_eq!(tried.is_ok(), waited.is_ok(), "turn {turn}");
        if turn % 2 == 1 {
            assert!(waited.is_err(), "turn {turn}: {MAX} words that nobody wrote");
            assert!(semaphore.add().is_err(), "turn {turn}");
        }
    }
    let semaphore = Shared::with_memfd(Semaphore::new(1)).unwrap();
    let words = words_of(&semaphore);
    for word in [1, 2, 3, 5, 7, 8, 0x80] {
        words.set(2, word).unwrap();
        assert!(matches!(semaphore.acquire(), Err(SemaphoreError::Corrupt)), "{word:#x}");
    }
    words.set(2, 0).unwrap();
    // A name that another family's roster gave.
    let permit = semaphore.acquire().unwrap();
    let foreign = of_another_family(words.get(2).unwrap());
    drop(permit);
    words.set(2, foreign).unwrap();
    assert!(matches!(semaphore.acquire(), Err(SemaphoreError::Foreign)), "{foreign:#x}");
    words.set(2, 0).unwrap();
    for begun in [0, 31, u64::MAX / 2] {
        words.set(0, begun).unwrap();
        let answers = [semaphore.acquire().map(drop), semaphore.add()];
        let told = answers.iter().all(|answer| matches!(answer, Ok(()) | Err(SemaphoreError::Corrupt)));
        assert!(told && answers[1].is_err() == (begun > 30), "{begun}: {answers:?}");
    }
}

fn a_semaphore_in_private_memory_works() {
    static SEMAPHORE: Semaphore = Semaphore::new(2);
    let child = tine::spawn(|| {
        SEMAPHORE.acquire().unwrap().forget();
        SEMAPHORE.available() as u32
    })
    .unwrap();
    assert_eq!(comes(child), 1);
    assert_eq!(SEMAPHORE.available(), 2, "the child's is its own");
}

fn permits_are_had_where_one_word_only_can_be_slept_on() {
    without_the_call_for_several_words();
    many(|| (), |turn| turn == 500);
    let semaphore = semaphore(1);
    for _ in 0..3 {
        let holds = holder(&semaphore);
        let sleepers = sleepers(1, &semaphore);
        holds.kill();
        all_are_served(sleepers);
    }
}
