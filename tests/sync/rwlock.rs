//! `RwLock`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tine::process::{Signal, SpawnError};
use tine::sync::{LockErrorOf, LockFailure, LockTimeoutErrorOf, RwLock, TryLockErrorOf};
use tine::{JoinHandle, Shared};

use crate::cases;
use crate::holder::{Holder, Victim, all_are_served, comes, of_another_family, share_one_cpu};
use crate::seen::{LONG, SLICES, garbage, go_on, halt, kill, state, without_the_call_for_several_words, words_of};
use crate::storm;
use crate::support::{Case, in_child, until};

pub const CASES: &[Case] = cases![
    readers_read_at_once,
    readers_and_writers_of_all_processes_exclude_each_other,
    readers_and_writers_survive_a_storm_of_signals,
    readers_and_writers_wait_as_long_as_they_say,
    a_writer_that_waits_comes_before_readers_that_come,
    a_writer_that_gave_up_lets_readers_in,
    one_reader_more_than_there_are_places_waits,
    a_killed_reader_makes_room_for_a_reader,
    a_killed_reader_lets_the_writer_in,
    a_killed_writer_is_told_to_all_until_one_recovers,
    sleeping_readers_and_writers_are_told_of_a_writers_death,
    a_writer_killed_while_it_waits_leaves_no_mark,
    a_repairing_writer_that_dies_leaves_the_mark,
    a_repairing_writer_that_gives_up_leaves_the_mark,
    killed_sleepers_keep_no_reader_or_writer_waiting,
    writers_are_served_when_the_woken_one_is_killed,
    readers_and_writers_are_served_when_a_dead_writers_heir_is_killed,
    a_stopped_reader_or_writer_is_not_robbed,
    a_reader_or_writer_that_execs_has_died,
    a_thread_that_ends_reading_or_writing_has_died,
    a_zombie_neither_reads_nor_writes,
    a_fork_while_reading_or_writing_is_refused,
    copied_read_and_write_guards_unlock_nothing,
    a_reader_or_writer_that_would_wait_for_itself_is_told,
    a_second_share_is_refused_where_a_writer_waits_for_the_first,
    all_places_taken_by_one_thread_are_told,
    a_panic_leaves_a_writers_mark_and_no_readers,
    overwritten_words_of_a_rwlock_are_told,
    a_rwlock_in_private_memory_works,
    readers_and_writers_manage_where_one_word_only_can_be_slept_on,
];

fn pair() -> Shared<RwLock<[u64; 2]>> {
    Shared::new(RwLock::new([0; 2])).unwrap()
}

fn flag() -> Shared<AtomicU32> {
    Shared::new(AtomicU32::new(0)).unwrap()
}

/// A child that has a share.
fn reader<const N: usize>(lock: &Shared<RwLock<[u64; 2], N>>) -> Holder<[u64; 2]> {
    Holder::start(|| lock.read().unwrap(), |share| *share)
}

/// A child that has the lock for writing; it has changed one of two numbers, and changes the other when it leaves.
fn writer<const N: usize>(lock: &Shared<RwLock<[u64; 2], N>>) -> Holder<()> {
    let take = || {
        let mut pair = lock.write_or_repair(|pair| pair[1] = pair[0]).unwrap();
        pair[0] += 1;
        pair
    };
    Holder::start(take, |mut pair| pair[1] += 1)
}

fn readers_read_at_once() {
    const READERS: u32 = 5;
    let lock = pair();
    let reading = flag();
    let children: Vec<_> = (0..READERS)
        .map(|_| {
            tine::spawn(|| {
                let _share = lock.read().unwrap();
                reading.fetch_add(1, Ordering::AcqRel);
                until("all read", || reading.load(Ordering::Acquire) == READERS);
            })
            .unwrap()
        })
        .collect();
    children.into_iter().for_each(comes);
    let (one, two) = (lock.read().unwrap(), lock.try_read().unwrap());
    assert_eq!(*one, *two);
}

/// Threads of several processes read and write until `enough`; each changes two numbers together.
fn many(prepare: impl Fn(), enough: impl Fn(u32) -> bool + Sync) {
    let lock = pair();
    let writes = flag();
    let children: Vec<_> = (0..3)
        .map(|_| {
            tine::spawn(|| {
                prepare();
                std::thread::scope(|s| {
                    for writes_often in [false, true] {
                        let (lock, writes, enough) = (&lock, &writes, &enough);
                        s.spawn(move || {
                            let mut turn = 0;
                            while !enough(turn) {
                                turn += 1;
                                if writes_often || turn % 16 == 0 {
                                    let mut pair = lock.write().unwrap();
                                    let [a, b] = *pair;
                                    assert_eq!(a, b, "seen half done by a writer");
                                    pair[0] = a + 1;
                                    pair[1] = b + 1;
                                    writes.fetch_add(1, Ordering::Relaxed);
                                } else {
                                    let pair = lock.read().unwrap();
                                    assert_eq!(pair[0], pair[1], "seen half done by a reader");
                                }
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
    let writes = u64::from(writes.load(Ordering::Relaxed));
    assert_eq!(*lock.read().unwrap(), [writes; 2]);
}

fn readers_and_writers_of_all_processes_exclude_each_other() {
    many(|| (), |turn| turn == 3_000);
}

fn readers_and_writers_survive_a_storm_of_signals() {
    many(storm::start, |_| storm::signals() >= 100);
}

fn readers_and_writers_wait_as_long_as_they_say() {
    let lock = pair();
    let reads = reader(&lock);
    drop(lock.try_read().unwrap());
    drop(lock.read_timeout(Duration::ZERO).unwrap());
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.write_timeout(Duration::ZERO), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.write_timeout(Duration::from_millis(30)), Err(LockTimeoutErrorOf::TimedOut)));
    reads.end();
    drop(lock.try_write().unwrap());
    drop(lock.write_timeout(Duration::MAX).unwrap());
    let writes = writer(&lock);
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.read_timeout(Duration::ZERO), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.read_timeout(Duration::from_millis(30)), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.write_timeout(Duration::from_millis(30)), Err(LockTimeoutErrorOf::TimedOut)));
    writes.end();
    assert_eq!(*lock.try_read().unwrap(), [1, 1]);
}

fn a_writer_that_waits_comes_before_readers_that_come() {
    let lock = pair();
    let first = reader(&lock);
    let writes = Holder::sleeping(|| *lock.write().unwrap() = [7, 7]);
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    let second = Holder::sleeping(|| *lock.read().unwrap());
    first.leave();
    second.is_served();
    writes.is_served();
    assert_eq!(first.end(), [0, 0]);
    assert_eq!(second.end(), [7, 7], "after the writer");
    writes.end();
}

fn a_writer_that_gave_up_lets_readers_in() {
    let lock = pair();
    let first = reader(&lock);
    let writes = tine::spawn(|| match lock.write_timeout(SLICES) {
        Err(error) => matches!(error, LockTimeoutErrorOf::TimedOut),
        Ok(_) => false,
    })
    .unwrap();
    until("it has come, or gone already", || lock.try_read().is_err() || writes.is_finished());
    assert_eq!(*lock.read_timeout(LONG).unwrap(), [0, 0], "at the latest when it has given up");
    assert!(comes(writes));
    first.end();
    drop(lock.try_write().unwrap());
}

fn one_reader_more_than_there_are_places_waits() {
    let lock: Shared<RwLock<_, 2>> = Shared::new(RwLock::with_readers([0; 2])).unwrap();
    for first_to_go in [0, 1] {
        let readers = [reader(&lock), reader(&lock)];
        assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
        assert!(matches!(lock.read_timeout(Duration::from_millis(20)), Err(LockTimeoutErrorOf::TimedOut)));
        let more: Vec<_> = (0..3).map(|_| Holder::sleeping(|| *lock.read().unwrap())).collect();
        readers[first_to_go].leave();
        assert_eq!(all_are_served(more), [[0, 0]; 3]);
        assert_eq!(readers.map(Holder::end), [[0, 0]; 2]);
        drop(lock.try_write().unwrap());
    }
}

fn a_killed_reader_makes_room_for_a_reader() {
    let lock: Shared<RwLock<_, 1>> = Shared::new(RwLock::with_readers([0; 2])).unwrap();
    for _ in 0..5 {
        let first = reader(&lock);
        let second = Holder::sleeping(|| *lock.read().unwrap());
        first.kill();
        assert_eq!(second.end(), [0, 0]);
    }
    reader(&lock).kill();
    drop(lock.try_read().unwrap());
}

fn a_killed_reader_lets_the_writer_in() {
    let lock = pair();
    for _ in 0..5 {
        let readers = [reader(&lock), reader(&lock), reader(&lock)];
        let writes = Holder::sleeping(|| lock.write().is_ok());
        readers.into_iter().for_each(Holder::kill);
        assert!(writes.end(), "nothing was half done");
    }
    reader(&lock).kill();
    drop(lock.try_write().unwrap());
    assert_eq!(*lock.try_read().unwrap(), [0, 0]);
}

fn a_killed_writer_is_told_to_all_until_one_recovers() {
    let lock = pair();
    writer(&lock).kill();
    for _ in 0..2 {
        let Err(LockErrorOf::OwnerDied(one)) = lock.read() else { panic!("not told") };
        let Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(two))) = lock.try_read() else { panic!("not told") };
        assert_eq!((one.get(), two.get()), (&[1, 0], &[1, 0]));
        assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)), "they are shares");
    }
    let elsewhere = tine::spawn(|| matches!(lock.read(), Err(LockErrorOf::OwnerDied(_)))).unwrap();
    assert!(comes(elsewhere));
    let Err(LockErrorOf::OwnerDied(mut left)) = lock.write() else { panic!("not told") };
    assert_eq!(*left.get(), [1, 0]);
    left.get_mut()[1] = 1;
    drop(left.recover());
    assert_eq!(*lock.read().unwrap(), [1, 1]);
    drop(lock.write().unwrap());
    writer(&lock).kill();
    assert_eq!(*lock.write_or_repair(|pair| pair[1] = pair[0]).unwrap(), [2, 2]);
}

fn sleeping_readers_and_writers_are_told_of_a_writers_death() {
    let lock = pair();
    for _ in 0..5 {
        let dies = writer(&lock);
        let mut sleepers: Vec<_> =
            (0..2).map(|_| Holder::sleeping(|| lock.write_or_repair(|pair| pair[1] = pair[0]).is_ok())).collect();
        sleepers.extend((0..2).map(|_| {
            Holder::sleeping(|| match lock.read() {
                Ok(pair) => pair[0] == pair[1],
                Err(LockErrorOf::OwnerDied(left)) => left.get()[0] == left.get()[1] + 1,
                Err(error) => panic!("{error}"),
            })
        }));
        dies.kill();
        assert_eq!(all_are_served(sleepers), [true; 4]);
    }
}

fn a_writer_killed_while_it_waits_leaves_no_mark() {
    let lock = pair();
    let reads = reader(&lock);
    for _ in 0..3 {
        let writes = Holder::sleeping(|| drop(lock.write()));
        let second = Holder::sleeping(|| lock.read().is_ok_and(|pair| *pair == [0, 0]));
        writes.kill();
        assert!(second.end(), "it waits for nobody any more, and nothing was written");
    }
    assert_eq!(*lock.try_read().unwrap(), [0, 0]);
    reads.end();
    *lock.write().unwrap() = [1, 1];
    // But a mark that was there before stays.
    writer(&lock).kill();
    let reads = Holder::start(|| lock.read().unwrap_err(), drop);
    Holder::sleeping(|| drop(lock.write())).kill();
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(left)) if *left.get() == [2, 1]));
    reads.end();
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    drop(lock.write_or_repair(|pair| *pair = [2, 2]).unwrap());
    assert_eq!(*lock.read().unwrap(), [2, 2]);
}

fn a_repairing_writer_that_dies_leaves_the_mark() {
    let lock = pair();
    writer(&lock).kill();
    for dies_after_recover in [false, true] {
        let child = tine::spawn(|| -> u8 {
            let Err(LockErrorOf::OwnerDied(left)) = lock.write() else { return 0 };
            if dies_after_recover {
                std::mem::forget(left.recover());
            }
            std::process::abort();
        })
        .unwrap();
        assert!(child.join().is_err());
        assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    }
    assert!(matches!(lock.write(), Err(LockErrorOf::OwnerDied(_))));
}

fn a_repairing_writer_that_gives_up_leaves_the_mark() {
    let lock = pair();
    writer(&lock).kill();
    // It drops what it was told.
    assert!(matches!(lock.write().map(drop).unwrap_err().into_failure(), LockFailure::OwnerDied));
    // It does not get in: somebody reads what was left.
    let reads = Holder::start(|| lock.read().unwrap_err(), drop);
    assert!(matches!(lock.write_timeout(Duration::from_millis(20)), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    reads.end();
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    assert!(matches!(lock.write(), Err(LockErrorOf::OwnerDied(_))));
}

fn killed_sleepers_keep_no_reader_or_writer_waiting() {
    let lock = pair();
    let holds = writer(&lock);
    let mut sleepers: Vec<_> = (0..3).map(|_| Holder::sleeping(|| lock.write().is_ok())).collect();
    sleepers.extend((0..3).map(|_| Holder::sleeping(|| lock.read().is_ok())));
    sleepers.remove(4).kill();
    sleepers.remove(0).kill();
    holds.leave();
    assert_eq!(all_are_served(sleepers), [true; 4]);
    holds.end();
    drop(lock.try_write().unwrap());
}

fn writers_are_served_when_the_woken_one_is_killed() {
    // Who unlocks wakes one of several writers. That one dies before it does anything.
    share_one_cpu();
    let lock = pair();
    for _ in 0..20 {
        let victim = Victim::unknown();
        let leave = |guard| {
            drop(guard);
            victim.kill();
        };
        let holds = Holder::start(|| lock.write_or_repair(|_| ()).unwrap(), leave);
        let mut sleepers: Vec<_> = (0..3).map(|_| Holder::sleeping(|| lock.write_or_repair(|_| ()).is_ok())).collect();
        let first = sleepers.remove(0);
        victim.is(&first);
        holds.leave();
        assert_eq!(all_are_served(sleepers), [true; 2]);
        first.kill();
        holds.end();
    }
}

fn readers_and_writers_are_served_when_a_dead_writers_heir_is_killed() {
    // As above, but the wake is the kernel's, for a death; and readers wait, too.
    share_one_cpu();
    let lock = pair();
    for reads_first in [true, false].repeat(10) {
        let holds = writer(&lock);
        let mut sleepers: Vec<_> = (0..4)
            .map(|i| {
                let reads = reads_first ^ (i % 2 == 1);
                Holder::sleeping(|| match reads {
                    true => matches!(lock.read(), Ok(_) | Err(LockErrorOf::OwnerDied(_))),
                    false => lock.write_or_repair(|pair| pair[1] = pair[0]).is_ok(),
                })
            })
            .collect();
        let first = sleepers.remove(0);
        holds.child.kill().unwrap();
        first.child.kill().unwrap();
        assert_eq!(all_are_served(sleepers), [true; 3]);
        first.kill();
        holds.kill();
    }
}

fn a_stopped_reader_or_writer_is_not_robbed() {
    let lock = pair();
    let reads = reader(&lock);
    halt(&reads.child);
    assert!(matches!(lock.write_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    drop(lock.try_read().unwrap());
    go_on(&reads.child);
    assert_eq!(reads.end(), [0, 0]);
    let writes = writer(&lock);
    halt(&writes.child);
    assert!(matches!(lock.write_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.read_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    go_on(&writes.child);
    writes.end();
    assert_eq!(*lock.read().unwrap(), [1, 1]);
}

fn a_reader_or_writer_that_execs_has_died() {
    use std::os::unix::process::CommandExt;
    let lock = pair();
    for writes in [false, true] {
        let has = flag();
        let child = tine::spawn(|| -> u8 {
            if writes {
                std::mem::forget(lock.write().unwrap());
            } else {
                std::mem::forget(lock.read().unwrap());
            }
            has.store(1, Ordering::Release);
            panic!("exec failed: {}", std::process::Command::new("sleep").arg("1000").exec());
        })
        .unwrap();
        until("it has the lock", || has.load(Ordering::Acquire) == 1);
        match lock.write_timeout(LONG) {
            Ok(_) => assert!(!writes),
            Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_))) => assert!(writes),
            Err(error) => panic!("{error}"),
        }
        assert!(child.try_wait().unwrap().is_none(), "the process itself lives");
        kill(child);
    }
}

fn a_thread_that_ends_reading_or_writing_has_died() {
    let lock = pair();
    let child = tine::spawn(|| {
        let ends_with = |writes: bool| {
            let lock = lock.clone();
            std::thread::spawn(move || match writes {
                true => std::mem::forget(lock.write().unwrap()),
                false => std::mem::forget(lock.read().unwrap()),
            })
            .join()
            .unwrap();
        };
        ends_with(false);
        drop(lock.write_timeout(LONG).unwrap());
        ends_with(true);
        assert!(matches!(lock.read_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
        assert!(matches!(lock.write_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
    })
    .unwrap();
    comes(child);
}

fn a_zombie_neither_reads_nor_writes() {
    let lock = pair();
    let zombie = |child: JoinHandle<()>| {
        child.signal(Signal::KILL).unwrap();
        until("it has ended", || state(child.id()) == Some('Z'));
        child
    };
    let reads = zombie(Holder::start(|| lock.read().unwrap(), drop).child);
    drop(lock.try_write().unwrap());
    let writes = zombie(writer(&lock).child);
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
    let _ = (reads.join(), writes.join());
}

fn a_fork_while_reading_or_writing_is_refused() {
    let lock = pair();
    let share = lock.read().unwrap();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    drop(share);
    let guard = lock.write().unwrap();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    drop(guard);
    writer(&lock).kill();
    let left = lock.read().map(drop).unwrap_err();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    drop(left);
    tine::spawn(|| ()).unwrap().join().unwrap();
}

fn copied_read_and_write_guards_unlock_nothing() {
    let lock = pair();
    let mut share = Some(lock.read().unwrap());
    let status = in_child(|| {
        drop(share.take());
        assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)), "the parent reads");
    });
    assert!(status.success());
    assert!(matches!(lock.write(), Err(LockErrorOf::Deadlock)), "still held here");
    drop(share);
    let mut guard = Some(lock.write().unwrap());
    let status = in_child(|| {
        drop(guard.take());
        assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)), "the parent writes");
    });
    assert!(status.success());
    assert!(matches!(lock.read(), Err(LockErrorOf::Deadlock)), "still held here");
    drop(guard);
    drop(lock.try_write().unwrap());
}

fn a_reader_or_writer_that_would_wait_for_itself_is_told() {
    let lock = pair();
    let guard = lock.write().unwrap();
    assert!(matches!(lock.write(), Err(LockErrorOf::Deadlock)));
    assert!(matches!(lock.read(), Err(LockErrorOf::Deadlock)));
    assert!(matches!(lock.write_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock))));
    assert!(matches!(lock.read_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock))));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    drop(guard);
    let share = lock.read().unwrap();
    assert!(matches!(lock.write(), Err(LockErrorOf::Deadlock)));
    assert!(matches!(lock.write_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock))));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    drop(lock.read().unwrap());
    drop(share);
    *lock.write().unwrap() = [3, 3];
    // Nor does another reader hide it.
    let other = reader(&lock);
    let share = lock.read().unwrap();
    assert!(matches!(lock.write(), Err(LockErrorOf::Deadlock)));
    drop(share);
    assert_eq!(other.end(), [3, 3]);
}

fn a_second_share_is_refused_where_a_writer_waits_for_the_first() {
    let lock = pair();
    let leave = |share| {
        let second = lock.read().map(drop);
        let writes = lock.write().map(drop);
        drop(share);
        matches!(second, Err(LockErrorOf::Deadlock)) && matches!(writes, Err(LockErrorOf::Deadlock))
    };
    let reads = Holder::start(|| lock.read().unwrap(), leave);
    let writes = Holder::sleeping(|| *lock.write().unwrap() = [1, 1]);
    reads.leave();
    writes.is_served();
    assert!(reads.end());
    writes.end();
}

fn all_places_taken_by_one_thread_are_told() {
    let lock: RwLock<u64, 2> = RwLock::with_readers(0);
    let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
    assert!(matches!(lock.read(), Err(LockErrorOf::Deadlock)));
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.read_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock))));
    drop((one, two));
    drop(lock.try_write().unwrap());
}

fn a_panic_leaves_a_writers_mark_and_no_readers() {
    let lock = pair();
    let outcome = std::panic::catch_unwind(|| {
        let _share = lock.read().unwrap();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    drop(lock.write().unwrap());
    let outcome = std::panic::catch_unwind(|| {
        let _guard = lock.write().unwrap();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    assert!(matches!(lock.write(), Err(LockErrorOf::OwnerDied(_))));
}

fn overwritten_words_of_a_rwlock_are_told() {
    const READERS: usize = 3;
    let mut seed = 1;
    for turn in 0..4_000 {
        let lock: Shared<RwLock<u64, READERS>> = Shared::with_memfd(RwLock::with_readers(0)).unwrap();
        let words = words_of(&lock);
        // The writer's word, all readers' words, or any of them. (The second is only counted up.)
        let range = match turn % 3 {
            0 => 0..1,
            1 => 2..2 + READERS,
            _ => 0..2 + READERS,
        };
        for index in range {
            words.set(index, garbage(&mut seed)).unwrap();
        }
        // Any answer will do, but there must be one: a garbage name of one who lives is the only thing to wait for.
        let answers = [
            lock.try_read().map(drop).map_err(TryLockErrorOf::into_failure),
            lock.try_write().map(drop).map_err(TryLockErrorOf::into_failure),
            lock.read_timeout(LONG).map(drop).map_err(LockTimeoutErrorOf::into_failure),
            lock.write_timeout(LONG).map(drop).map_err(LockTimeoutErrorOf::into_failure),
        ];
        for answer in &answers {
            assert!(!matches!(answer, Err(LockFailure::TimedOut)), "turn {turn}: nobody was there to wait for");
        }
        if turn % 3 == 1 {
            assert!(answers[3].is_err(), "turn {turn}: {READERS} words that no reader wrote");
        }
    }
    let lock = Shared::with_memfd(RwLock::new(0_u64)).unwrap();
    let words = words_of(&lock);
    for (index, word) in [(0, 0x10), (0, 1), (0, 4), (0, 8), (2, 1), (2, 4), (2, 0x80), (31, 4)] {
        words.set(index, word).unwrap();
        let failure = lock.write().map(drop).unwrap_err().into_failure();
        assert!(matches!(failure, LockFailure::Corrupt), "{index}, {word:#x}: {failure}");
        words.set(index, 0).unwrap();
        drop(lock.write().unwrap());
    }
    // A name that another family's roster gave.
    let guard = lock.write().unwrap();
    let foreign = of_another_family(words.get(0).unwrap());
    drop(guard);
    for (index, reads) in [(0, true), (0, false), (2, false)] {
        words.set(index, foreign).unwrap();
        let failure = match reads {
            true => lock.read().map(drop).unwrap_err().into_failure(),
            false => lock.write().map(drop).unwrap_err().into_failure(),
        };
        assert!(matches!(failure, LockFailure::Foreign), "{index}, {foreign:#x}: {failure}");
        words.set(index, 0).unwrap();
        drop(lock.write().unwrap());
    }
}

fn a_rwlock_in_private_memory_works() {
    static LOCK: RwLock<u64> = RwLock::new(5);
    *LOCK.write().unwrap() += 1;
    let child = tine::spawn(|| {
        *LOCK.write().unwrap() += 10;
        *LOCK.read().unwrap()
    })
    .unwrap();
    assert_eq!(comes(child), 16);
    assert_eq!(*LOCK.read().unwrap(), 6, "the child's is its own");
}

fn readers_and_writers_manage_where_one_word_only_can_be_slept_on() {
    without_the_call_for_several_words();
    many(|| (), |turn| turn == 500);
    let lock = pair();
    for dies_reading in [true, false] {
        let dies = match dies_reading {
            true => Holder::start(|| std::mem::forget(lock.read().unwrap()), drop),
            false => writer(&lock),
        };
        let writes = Holder::sleeping(|| lock.write_or_repair(|pair| pair[1] = pair[0]).is_ok());
        // Not before the writer sleeps: beside another reader it would read, and be gone.
        let reads = Holder::sleeping(|| matches!(lock.read(), Ok(_) | Err(LockErrorOf::OwnerDied(_))));
        dies.kill();
        assert_eq!(all_are_served(vec![writes, reads]), [true; 2]);
    }
}
