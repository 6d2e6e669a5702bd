//! `RwLock`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tine::process::{Signal, SpawnError};
use tine::sync::{LockErrorOf, LockFailure, LockTimeoutErrorOf, RwLock, TryLockErrorOf};
use tine::{JoinHandle, Shared};

use crate::cases;
use crate::seen::{LONG, SLICES, all_sleep, garbage, go_on, halt, is_asleep, kill, state, words_of};
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
];

fn pair() -> Shared<RwLock<[u64; 2]>> {
    Shared::new(RwLock::new([0; 2])).unwrap()
}

fn flag() -> Shared<AtomicU32> {
    Shared::new(AtomicU32::new(0)).unwrap()
}

/// A child that has a share until it is asked to stop.
fn reader<const N: usize>(lock: &Shared<RwLock<[u64; 2], N>>) -> JoinHandle<[u64; 2]> {
    let has = flag();
    let child = tine::spawn(|| {
        let share = lock.read().unwrap();
        has.store(1, Ordering::Release);
        tine::process::stop().wait();
        *share
    })
    .unwrap();
    until("the child reads", || has.load(Ordering::Acquire) == 1);
    child
}

/// A child that has the lock for writing until it is asked to stop; it has changed one of two numbers, and then changes the other.
fn writer<const N: usize>(lock: &Shared<RwLock<[u64; 2], N>>) -> JoinHandle<()> {
    let has = flag();
    let child = tine::spawn(|| {
        let mut pair = lock.write_or_repair(|pair| pair[1] = pair[0]).unwrap();
        pair[0] += 1;
        has.store(1, Ordering::Release);
        tine::process::stop().wait();
        pair[1] += 1;
    })
    .unwrap();
    until("the child writes", || has.load(Ordering::Acquire) == 1);
    child
}

fn end<T: tine::wire::Wire>(child: JoinHandle<T>) -> T {
    child.request_stop().unwrap();
    child.join().unwrap()
}

/// Waits for a child, which comes if nobody is kept waiting.
fn comes<T: tine::wire::Wire>(mut child: JoinHandle<T>) -> T {
    child.join_timeout(LONG).unwrap().expect("somebody waits for ever")
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
    end(reads);
    drop(lock.try_write().unwrap());
    drop(lock.write_timeout(Duration::MAX).unwrap());
    let writes = writer(&lock);
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.read_timeout(Duration::ZERO), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.read_timeout(Duration::from_millis(30)), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(lock.write_timeout(Duration::from_millis(30)), Err(LockTimeoutErrorOf::TimedOut)));
    end(writes);
    assert_eq!(*lock.try_read().unwrap(), [1, 1]);
}

fn a_writer_that_waits_comes_before_readers_that_come() {
    let lock = pair();
    let first = reader(&lock);
    let writes = tine::spawn(|| *lock.write().unwrap() = [7, 7]).unwrap();
    until("the writer sleeps", || is_asleep(writes.id()));
    assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
    let second = tine::spawn(|| *lock.read().unwrap()).unwrap();
    until("the second reader sleeps", || is_asleep(second.id()));
    assert_eq!(end(first), [0, 0]);
    assert_eq!(comes(second), [7, 7], "after the writer");
    comes(writes);
}

fn a_writer_that_gave_up_lets_readers_in() {
    let lock = pair();
    let first = reader(&lock);
    let writes = tine::spawn(|| match lock.write_timeout(Duration::from_millis(300)) {
        Err(error) => matches!(error, LockTimeoutErrorOf::TimedOut),
        Ok(_) => false,
    })
    .unwrap();
    until("the writer sleeps, or has given up", || is_asleep(writes.id()) || state(writes.id()) == Some('Z'));
    assert_eq!(*lock.read().unwrap(), [0, 0], "at the latest when it has given up");
    assert!(comes(writes));
    end(first);
    drop(lock.try_write().unwrap());
}

fn one_reader_more_than_there_are_places_waits() {
    let lock: Shared<RwLock<_, 2>> = Shared::new(RwLock::with_readers([0; 2])).unwrap();
    for first_to_go in [0, 1] {
        let mut readers = vec![reader(&lock), reader(&lock)];
        assert!(matches!(lock.try_read(), Err(TryLockErrorOf::WouldBlock)));
        assert!(matches!(lock.read_timeout(Duration::from_millis(20)), Err(LockTimeoutErrorOf::TimedOut)));
        let waiting: Vec<_> = (0..3).map(|_| tine::spawn(|| *lock.read().unwrap()).unwrap()).collect();
        all_sleep(&waiting);
        end(readers.remove(first_to_go));
        for third in waiting {
            assert_eq!(comes(third), [0, 0]);
        }
        assert!(readers.into_iter().all(|reader| end(reader) == [0, 0]));
        drop(lock.try_write().unwrap());
    }
}

fn a_killed_reader_makes_room_for_a_reader() {
    let lock: Shared<RwLock<_, 1>> = Shared::new(RwLock::with_readers([0; 2])).unwrap();
    for asleep in [true, false] {
        let first = reader(&lock);
        let second = tine::spawn(|| *lock.read().unwrap()).unwrap();
        if asleep {
            until("the second sleeps", || is_asleep(second.id()));
        }
        kill(first);
        assert_eq!(comes(second), [0, 0]);
    }
}

fn a_killed_reader_lets_the_writer_in() {
    let lock = pair();
    for _ in 0..5 {
        let readers = [reader(&lock), reader(&lock), reader(&lock)];
        let writes = tine::spawn(|| lock.write().map(|_| ()).is_ok()).unwrap();
        until("the writer sleeps", || is_asleep(writes.id()));
        readers.into_iter().for_each(kill);
        assert!(comes(writes), "nothing was half done");
    }
    kill(reader(&lock));
    drop(lock.try_write().unwrap());
    assert_eq!(*lock.try_read().unwrap(), [0, 0]);
}

fn a_killed_writer_is_told_to_all_until_one_recovers() {
    let lock = pair();
    kill(writer(&lock));
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
    kill(writer(&lock));
    assert_eq!(*lock.write_or_repair(|pair| pair[1] = pair[0]).unwrap(), [2, 2]);
}

fn sleeping_readers_and_writers_are_told_of_a_writers_death() {
    let lock = pair();
    for _ in 0..5 {
        let dies = writer(&lock);
        let writers: Vec<_> =
            (0..2).map(|_| tine::spawn(|| lock.write_or_repair(|pair| pair[1] = pair[0]).is_ok()).unwrap()).collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                tine::spawn(|| match lock.read() {
                    Ok(pair) => pair[0] == pair[1],
                    Err(LockErrorOf::OwnerDied(left)) => left.get()[0] == left.get()[1] + 1,
                    Err(error) => panic!("{error}"),
                })
                .unwrap()
            })
            .collect();
        all_sleep(&writers);
        all_sleep(&readers);
        kill(dies);
        for child in writers.into_iter().chain(readers) {
            assert!(comes(child));
        }
    }
}

fn a_writer_killed_while_it_waits_leaves_no_mark() {
    let lock = pair();
    let reads = reader(&lock);
    for _ in 0..3 {
        let writes = tine::spawn(|| drop(lock.write())).unwrap();
        until("the writer sleeps", || is_asleep(writes.id()));
        let second = tine::spawn(|| lock.read().is_ok_and(|pair| *pair == [0, 0])).unwrap();
        until("the second reader sleeps", || is_asleep(second.id()));
        kill(writes);
        assert!(comes(second), "it waits for nobody any more, and nothing was written");
    }
    assert_eq!(*lock.try_read().unwrap(), [0, 0]);
    end(reads);
    *lock.write().unwrap() = [1, 1];
    // But a mark that was there before stays.
    kill(writer(&lock));
    let left = tine::spawn(|| {
        let Err(LockErrorOf::OwnerDied(left)) = lock.read() else { return false };
        tine::process::stop().wait();
        *left.get() == [2, 1]
    })
    .unwrap();
    until("the reader has its share", || matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    let writes = tine::spawn(|| drop(lock.write())).unwrap();
    until("the writer sleeps", || is_asleep(writes.id()));
    kill(writes);
    assert!(end(left));
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    drop(lock.write_or_repair(|pair| *pair = [2, 2]).unwrap());
    assert_eq!(*lock.read().unwrap(), [2, 2]);
}

fn a_repairing_writer_that_dies_leaves_the_mark() {
    let lock = pair();
    kill(writer(&lock));
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
    kill(writer(&lock));
    // It drops what it was told.
    assert!(matches!(lock.write().map(drop).unwrap_err().into_failure(), LockFailure::OwnerDied));
    // It does not get in: somebody reads what was left.
    let has = flag();
    let reads = tine::spawn(|| {
        let Err(LockErrorOf::OwnerDied(_left)) = lock.read() else { return false };
        has.store(1, Ordering::Release);
        tine::process::stop().wait();
        true
    })
    .unwrap();
    until("the child reads", || has.load(Ordering::Acquire) == 1);
    assert!(matches!(lock.write_timeout(Duration::from_millis(20)), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.try_write(), Err(TryLockErrorOf::WouldBlock)));
    assert!(end(reads));
    assert!(matches!(lock.read(), Err(LockErrorOf::OwnerDied(_))));
    assert!(matches!(lock.write(), Err(LockErrorOf::OwnerDied(_))));
}

fn killed_sleepers_keep_no_reader_or_writer_waiting() {
    let lock = pair();
    let holds = writer(&lock);
    let mut writers: Vec<_> = (0..3).map(|_| tine::spawn(|| lock.write().is_ok()).unwrap()).collect();
    let mut readers: Vec<_> = (0..3).map(|_| tine::spawn(|| lock.read().is_ok()).unwrap()).collect();
    all_sleep(&writers);
    all_sleep(&readers);
    kill(writers.remove(0));
    kill(readers.remove(1));
    end(holds);
    for child in writers.into_iter().chain(readers) {
        assert!(comes(child));
    }
    drop(lock.try_write().unwrap());
}

fn writers_are_served_when_the_woken_one_is_killed() {
    // Who unlocks wakes one of several writers. Stopped before, that one cannot pass it on; then it is killed.
    let lock = pair();
    for _ in 0..20 {
        let holds = writer(&lock);
        let mut sleepers: Vec<_> = (0..3)
            .map(|_| {
                let child = tine::spawn(|| lock.write_or_repair(|_| ()).is_ok()).unwrap();
                until("it sleeps", || is_asleep(child.id()));
                child
            })
            .collect();
        let first = sleepers.remove(0);
        halt(&first);
        end(holds);
        kill(first);
        for sleeper in sleepers {
            assert!(comes(sleeper));
        }
    }
}

fn readers_and_writers_are_served_when_a_dead_writers_heir_is_killed() {
    // As above, but the wake is the kernel's, for a death; and readers wait, too.
    let lock = pair();
    for reads in [true, false, true, false, true, false] {
        let holds = writer(&lock);
        let mut sleepers: Vec<_> = (0..4)
            .map(|i| {
                let reads = reads ^ (i % 2 == 0);
                let child = tine::spawn(|| match reads {
                    true => matches!(lock.read(), Ok(_) | Err(LockErrorOf::OwnerDied(_))),
                    false => lock.write_or_repair(|pair| pair[1] = pair[0]).is_ok(),
                })
                .unwrap();
                until("it sleeps", || is_asleep(child.id()));
                child
            })
            .collect();
        let first = sleepers.remove(0);
        halt(&first);
        kill(holds);
        kill(first);
        for sleeper in sleepers {
            assert!(comes(sleeper));
        }
    }
}

fn a_stopped_reader_or_writer_is_not_robbed() {
    let lock = pair();
    let reads = reader(&lock);
    halt(&reads);
    assert!(matches!(lock.write_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    drop(lock.try_read().unwrap());
    go_on(&reads);
    assert_eq!(end(reads), [0, 0]);
    let writes = writer(&lock);
    halt(&writes);
    assert!(matches!(lock.write_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    assert!(matches!(lock.read_timeout(SLICES), Err(LockTimeoutErrorOf::TimedOut)));
    go_on(&writes);
    end(writes);
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
    let reads = reader(&lock);
    reads.signal(Signal::KILL).unwrap();
    until("it has ended", || state(reads.id()) == Some('Z'));
    drop(lock.try_write().unwrap());
    let writes = writer(&lock);
    writes.signal(Signal::KILL).unwrap();
    until("it has ended", || state(writes.id()) == Some('Z'));
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
    kill(writer(&lock));
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
    assert_eq!(end(other), [3, 3]);
}

fn a_second_share_is_refused_where_a_writer_waits_for_the_first() {
    let lock = pair();
    let has = flag();
    let reads = tine::spawn(|| {
        let share = lock.read().unwrap();
        has.store(1, Ordering::Release);
        tine::process::stop().wait();
        let second = lock.read().map(drop);
        let writes = lock.write().map(drop);
        drop(share);
        drop(lock.read().unwrap());
        matches!(second, Err(LockErrorOf::Deadlock)) && matches!(writes, Err(LockErrorOf::Deadlock))
    })
    .unwrap();
    until("it reads", || has.load(Ordering::Acquire) == 1);
    let writes = tine::spawn(|| *lock.write().unwrap() = [1, 1]).unwrap();
    until("the writer sleeps", || is_asleep(writes.id()));
    assert!(end(reads));
    comes(writes);
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
