//! `Mutex`.

use std::sync::atomic::{AtomicU64, Ordering};

use tine::Shared;
use tine::process::{Cause, SpawnError};
use tine::sync::{Event, LockErrorOf, LockFailure, LockTimeoutErrorOf, Mutex, TryLockErrorOf};

use crate::cases;
use crate::holder::{Holder, Victim, all_are_served, share_one_cpu};
use crate::seen::{LONG, SLICES, all_sleep, go_on, halt, state};
use crate::support::{Case, in_child, until};

pub const CASES: &[Case] = cases![
    a_second_lock_is_told_instead_of_hanging,
    processes_exclude_each_other,
    threads_and_processes_exclude_each_other,
    a_dead_owner_is_told_and_the_data_are_readable,
    dropping_it_unrepaired_leaves_the_mark,
    a_repairer_that_dies_leaves_the_mark,
    sleepers_are_woken_by_the_death_of_the_owner,
    all_sleepers_are_served_when_the_woken_one_is_killed,
    all_sleepers_are_served_when_a_dead_owners_heir_is_killed,
    all_sleepers_are_served_while_nobody_dies,
    a_stopped_owner_is_not_robbed,
    an_owner_that_execs_has_died,
    a_thread_that_ends_with_the_lock_has_died,
    a_zombie_is_dead,
    a_fork_with_a_guard_is_refused,
    a_copied_guard_unlocks_nothing,
    a_panic_leaves_the_mark,
    a_forgotten_guard_leaves_the_memory_alone,
    a_lock_in_private_memory_works,
    three_thousand_locks_of_one_who_dies_come_back,
    a_child_that_inherits_a_forgotten_lock_waits_for_its_owner,
];

fn a_second_lock_is_told_instead_of_hanging() {
    let mutex = Shared::new(Mutex::new(0_u32)).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.try_lock(), Err(TryLockErrorOf::WouldBlock)));
    assert!(matches!(mutex.lock(), Err(LockErrorOf::Deadlock)));
    assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock))));
    assert!(mutex.is_locked());
    drop(guard);
    assert!(!mutex.is_locked());
    *mutex.lock().unwrap() += 1;
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

fn processes_exclude_each_other() {
    let pair = Shared::new(Mutex::new([0_u64; 2])).unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            tine::spawn(|| {
                for _ in 0..5_000 {
                    let mut pair = pair.lock().unwrap();
                    let [a, b] = *pair;
                    assert_eq!(a, b, "seen half done");
                    pair[0] = a + 1;
                    pair[1] = b + 1;
                }
            })
            .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(*pair.lock().unwrap(), [20_000; 2]);
}

fn threads_and_processes_exclude_each_other() {
    let count = Shared::new(Mutex::new(0_u64)).unwrap();
    let children: Vec<_> = (0..2)
        .map(|_| {
            tine::spawn(|| {
                std::thread::scope(|s| {
                    for _ in 0..3 {
                        s.spawn(|| {
                            for _ in 0..3_000 {
                                *count.lock().unwrap() += 1;
                            }
                        });
                    }
                });
            })
            .unwrap()
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(*count.lock().unwrap(), 18_000);
}

/// A child that dies with the lock, having changed the first of two numbers.
fn die_with(pair: &Shared<Mutex<[u64; 2]>>) {
    let child = tine::spawn(|| -> u8 {
        let mut pair = pair.lock().unwrap();
        pair[0] += 1;
        std::process::abort();
    })
    .unwrap();
    assert!(child.join().is_err());
}

fn a_dead_owner_is_told_and_the_data_are_readable() {
    let pair = Shared::new(Mutex::new([0_u64; 2])).unwrap();
    die_with(&pair);
    let Err(LockErrorOf::OwnerDied(mut left)) = pair.lock() else { panic!("not told") };
    assert_eq!(*left.get(), [1, 0]);
    left.get_mut()[1] = 1;
    let guard = left.recover();
    assert_eq!(*guard, [1, 1]);
    drop(guard);
    assert_eq!(*pair.lock().unwrap(), [1, 1], "told once, recovered for good");
    die_with(&pair);
    assert!(matches!(pair.try_lock(), Err(TryLockErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
    let repaired = pair.lock_or_repair(|pair| pair[1] = pair[0]).unwrap();
    assert_eq!(*repaired, [2, 2]);
}

fn dropping_it_unrepaired_leaves_the_mark() {
    let pair = Shared::new(Mutex::new([0_u64; 2])).unwrap();
    die_with(&pair);
    for _ in 0..3 {
        let failure = pair.lock().map(|_| ()).unwrap_err().into_failure();
        assert!(matches!(failure, LockFailure::OwnerDied));
    }
    let elsewhere = tine::spawn(|| matches!(pair.lock(), Err(LockErrorOf::OwnerDied(_)))).unwrap();
    assert!(elsewhere.join().unwrap(), "the next process is asked the same");
    drop(pair.lock_or_repair(|_| ()).unwrap());
    drop(pair.lock().unwrap());
}

fn a_repairer_that_dies_leaves_the_mark() {
    let pair = Shared::new(Mutex::new([0_u64; 2])).unwrap();
    die_with(&pair);
    for dies_after_recover in [false, true] {
        let child = tine::spawn(|| -> u8 {
            let Err(LockErrorOf::OwnerDied(left)) = pair.lock() else { return 0 };
            if dies_after_recover {
                std::mem::forget(left.recover());
            }
            std::process::abort();
        })
        .unwrap();
        let error = child.join().unwrap_err();
        assert!(error.exit().is_some_and(|exit| matches!(exit.cause, Cause::Signal(_))), "{error}");
    }
    assert!(matches!(pair.lock(), Err(LockErrorOf::OwnerDied(_))));
}

fn sleepers_are_woken_by_the_death_of_the_owner() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let holder = tine::spawn(|| {
        let _guard = mutex.lock().unwrap();
        tine::process::stop().wait();
    })
    .unwrap();
    until("the child holds the lock", || mutex.is_locked());
    let sleepers: Vec<_> = (0..4)
        .map(|_| {
            tine::spawn(|| match mutex.lock_timeout(LONG) {
                Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(left))) => {
                    drop(left.recover());
                    1_u32
                }
                Ok(_) => 0,
                Err(error) => panic!("{error}"),
            })
            .unwrap()
        })
        .collect();
    all_sleep(&sleepers);
    holder.kill().unwrap();
    let told: u32 = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).sum();
    assert_eq!(told, 1, "one is told of the death, the others find it recovered");
    let _ = holder.join();
}

fn all_sleepers_are_served_when_the_woken_one_is_killed() {
    // Who unlocks wakes one of several. That one dies before it does anything. That the others are told of it at once, and not
    // a slice later, is shown where wakes alone are enough: in `tests/roster.rs`, built without slices by `tests/seeded.rs`.
    share_one_cpu();
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    for _ in 0..20 {
        let victim = Victim::unknown();
        let leave = |guard| {
            drop(guard);
            victim.kill();
        };
        let holds = Holder::start(|| mutex.lock_or_repair(|_| ()).unwrap(), leave);
        let mut sleepers: Vec<_> = (0..3).map(|_| Holder::sleeping(|| mutex.lock_or_repair(|_| ()).is_ok())).collect();
        let first = sleepers.remove(0);
        victim.is(&first);
        holds.leave();
        assert_eq!(all_are_served(sleepers), [true; 2]);
        first.kill();
        holds.end();
    }
}

fn all_sleepers_are_served_when_a_dead_owners_heir_is_killed() {
    // As above, but the wake is the kernel's, for a death.
    share_one_cpu();
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    for _ in 0..20 {
        let holds = Holder::start(|| mutex.lock_or_repair(|_| ()).unwrap(), drop);
        let mut sleepers: Vec<_> = (0..3).map(|_| Holder::sleeping(|| mutex.lock_or_repair(|_| ()).is_ok())).collect();
        let first = sleepers.remove(0);
        holds.child.kill().unwrap();
        first.child.kill().unwrap();
        assert_eq!(all_are_served(sleepers), [true; 2]);
        first.kill();
        holds.kill();
    }
}

fn all_sleepers_are_served_while_nobody_dies() {
    // A process that ends wakes those who still sleep. Here none ends before all have had the lock: each unlock has to wake
    // the next. (So would a slice: what fails here fails in a build without them.)
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let go = Shared::new(Event::new()).unwrap();
    let served = Shared::new(AtomicU64::new(0)).unwrap();
    for _ in 0..20 {
        go.clear();
        served.store(0, Ordering::Relaxed);
        let holder = tine::spawn(|| {
            let guard = mutex.lock().unwrap();
            go.wait();
            drop(guard);
            tine::process::stop().wait();
        })
        .unwrap();
        until("the child holds the lock", || mutex.is_locked());
        let sleeper = || {
            tine::spawn(|| {
                *mutex.lock().unwrap() += 1;
                served.fetch_add(1, Ordering::Relaxed);
                tine::process::stop().wait();
            })
            .unwrap()
        };
        let sleepers = [sleeper(), sleeper(), sleeper()];
        all_sleep(&sleepers);
        go.set();
        until("all have had it", || served.load(Ordering::Relaxed) == 3);
        for child in sleepers.into_iter().chain([holder]) {
            child.request_stop().unwrap();
            child.join().unwrap();
        }
    }
    assert_eq!(*mutex.lock().unwrap(), 60);
}

fn a_stopped_owner_is_not_robbed() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let holder = tine::spawn(|| {
        let mut guard = mutex.lock().unwrap();
        tine::process::stop().wait();
        *guard = 1;
    })
    .unwrap();
    until("the child holds the lock", || mutex.is_locked());
    halt(&holder);
    // Longer than a slice, in which it looks for the truth.
    let outcome = mutex.lock_timeout(SLICES).map(|_| ());
    assert!(matches!(outcome, Err(LockTimeoutErrorOf::TimedOut)));
    go_on(&holder);
    holder.request_stop().unwrap();
    assert_eq!(*mutex.lock().unwrap(), 1);
    holder.join().unwrap();
}

fn an_owner_that_execs_has_died() {
    use std::os::unix::process::CommandExt;
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let child = tine::spawn(|| -> u8 {
        std::mem::forget(mutex.lock().unwrap());
        panic!("exec failed: {}", std::process::Command::new("sleep").arg("1000").exec());
    })
    .unwrap();
    until("the child holds the lock", || mutex.is_locked());
    assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
    assert!(child.try_wait().unwrap().is_none(), "the process itself lives");
    child.kill().unwrap();
    let _ = child.join();
}

fn a_thread_that_ends_with_the_lock_has_died() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let child = tine::spawn(|| {
        let thread = std::thread::spawn({
            let mutex = mutex.clone();
            move || std::mem::forget(mutex.lock().unwrap())
        });
        until("the thread has the lock", || mutex.is_locked());
        let told = matches!(mutex.lock_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_))));
        thread.join().unwrap();
        told
    })
    .unwrap();
    assert!(child.join().unwrap());
}

fn a_zombie_is_dead() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let child = tine::spawn(|| -> u8 {
        std::mem::forget(mutex.lock().unwrap());
        std::process::abort();
    })
    .unwrap();
    until("it has ended", || state(child.id()) == Some('Z'));
    assert!(matches!(mutex.lock(), Err(LockErrorOf::OwnerDied(_))));
    let _ = child.join();
}

fn a_fork_with_a_guard_is_refused() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    drop(guard);
    tine::spawn(|| ()).unwrap().join().unwrap();
}

fn a_copied_guard_unlocks_nothing() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let mut guard = Some(mutex.lock().unwrap());
    let status = in_child(|| {
        drop(guard.take());
        assert!(matches!(mutex.try_lock(), Err(TryLockErrorOf::WouldBlock)), "it is the parent's");
    });
    assert!(status.success());
    assert!(matches!(mutex.lock(), Err(LockErrorOf::Deadlock)), "still held here");
    drop(guard);
    drop(mutex.lock().unwrap());
}

fn a_panic_leaves_the_mark() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let outcome = std::panic::catch_unwind(|| {
        let _guard = mutex.lock().unwrap();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    assert!(matches!(mutex.lock(), Err(LockErrorOf::OwnerDied(_))));
}

fn a_forgotten_guard_leaves_the_memory_alone() {
    // A robust mutex of the C library, forgotten while it is locked, stays on its thread's list; when its memory is used
    // for other things, the kernel writes there at the thread's end, if it finds the thread's number. So: a thread forgets
    // guards, unmaps the locks, maps the same address anew, fills it with its own number, and ends.
    const PAGE: usize = 4096;
    let child = tine::spawn(|| {
        let page = std::thread::spawn(|| {
            let mutexes = Shared::new([const { Mutex::new(0_u64) }; PAGE / 16]).unwrap();
            for mutex in mutexes.iter() {
                std::mem::forget(mutex.lock().unwrap());
            }
            let address = std::ptr::from_ref(&*mutexes).cast::<u32>().cast_mut();
            drop(mutexes);
            // SAFETY: a free page, which nobody else uses, becomes this test's.
            unsafe {
                let page = libc::mmap(
                    address.cast(),
                    PAGE,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                    -1,
                    0,
                );
                assert_eq!(page, address.cast(), "the address is free again");
                let tid = libc::gettid().cast_unsigned();
                std::slice::from_raw_parts_mut(address, PAGE / 4).fill(tid);
                (address.addr(), tid)
            }
        });
        let (address, tid) = page.join().unwrap();
        until("the thread has left the kernel", || !std::path::Path::new(&format!("/proc/self/task/{tid}")).exists());
        // SAFETY: the page that was mapped above, which nobody writes any more.
        let words = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u32>(address), PAGE / 4) };
        assert!(words.iter().all(|&word| word == tid), "somebody wrote into memory that is no lock any more");
    })
    .unwrap();
    child.join().unwrap();
}

fn a_lock_in_private_memory_works() {
    static MUTEX: Mutex<u64> = Mutex::new(5);
    *MUTEX.lock().unwrap() += 1;
    let child = tine::spawn(|| {
        *MUTEX.lock().unwrap() += 10;
        *MUTEX.lock().unwrap()
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), 16);
    assert_eq!(*MUTEX.lock().unwrap(), 6, "the child's is its own");
}

fn three_thousand_locks_of_one_who_dies_come_back() {
    // The kernel walks a list of 2048 robust mutexes at most; these are on no list.
    let mutexes = Shared::<[Mutex<u64>]>::from_fn(3000, |_| Mutex::new(0)).unwrap();
    let child = tine::spawn(|| -> u8 {
        for mutex in mutexes.iter() {
            std::mem::forget(mutex.lock().unwrap());
        }
        std::process::abort();
    })
    .unwrap();
    let _ = child.join();
    assert!(mutexes.iter().all(|mutex| matches!(mutex.lock(), Err(LockErrorOf::OwnerDied(_)))));
}

fn a_child_that_inherits_a_forgotten_lock_waits_for_its_owner() {
    // The guard is forgotten, so that a fork is not refused; the lock is the parent's all the same.
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let middle = tine::spawn(|| {
        std::mem::forget(mutex.lock().unwrap());
        in_child(|| {
            assert!(matches!(mutex.try_lock(), Err(TryLockErrorOf::WouldBlock)));
        })
        .success()
    })
    .unwrap();
    assert!(middle.join().unwrap());
    assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_)))));
}
