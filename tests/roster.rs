//! Who is dead, who lives, and that all who wait are told: the roster, seen through a mutex.

#[path = "support/ptrace.rs"]
mod ptrace;
#[path = "support/refuse.rs"]
mod refuse;
#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use ptrace::Traced;
use refuse::refuse_call;
use support::{in_child, skip, until};
use tine::process::{Builder, Signal};
use tine::sync::{Event, LockErrorOf, LockTimeoutErrorOf, Mutex};
use tine::{JoinHandle, Shared};

fn main() {
    support::run(cases![
        a_wake_that_dies_with_its_receiver_is_made_good,
        an_unlockers_wake_that_dies_with_its_receiver_is_made_good,
        a_death_that_one_is_told_of_is_told_to_all,
        a_place_that_is_taken_again_hides_no_death,
        a_death_that_the_kernel_does_not_mark_is_noticed,
        a_number_that_was_given_again_is_somebody_else,
        a_traced_process_is_alive,
        a_child_in_another_namespace_is_seen_alive_and_dead,
        relatives_who_see_the_proc_of_others_do_not_rob_each_other,
        a_process_that_others_forked_takes_part,
        a_process_of_a_raw_clone_takes_part,
        deaths_are_noticed_without_the_call_for_several_words,
        names_are_not_given_twice,
        places_are_used_again,
        more_threads_than_one_call_can_watch,
        a_grandchild_and_its_grandparent_share_a_roster,
        a_lock_of_strangers_is_told_as_such,
    ]);
}

const LONG: Duration = Duration::from_secs(20);

/// A child that takes the lock and keeps it.
fn holder(mutex: &Shared<Mutex<u64>>) -> JoinHandle<()> {
    let child = Builder::new()
        .spawn(|| {
            let _guard = mutex.lock_or_repair(|_| ()).unwrap();
            tine::process::stop().wait();
        })
        .unwrap();
    until("the child holds the lock", || mutex.is_locked());
    child
}

fn served(mutex: &Shared<Mutex<u64>>) -> JoinHandle<bool> {
    tine::spawn(|| mutex.lock_or_repair(|_| ()).is_ok()).unwrap()
}

/// Which system call a process sleeps in.
fn sleeps_in(pid: u32) -> Option<i64> {
    std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?.split(' ').next()?.parse().ok()
}

fn until_asleep<T: tine::wire::Wire>(child: &JoinHandle<T>) {
    until("it sleeps on words", || sleeps_in(child.id()) == Some(libc::SYS_futex_waitv));
}

fn owner_died<T>(outcome: Result<T, tine::sync::LockTimeoutError<'_, u64>>) -> bool {
    matches!(outcome, Err(LockTimeoutErrorOf::Lock(LockErrorOf::OwnerDied(_))))
}

/// The kernel wakes one of those who watch the dead. It is stopped on its way out of the call, before its first
/// instruction, and killed there. Whoever else waits is told by that second death, not by a slice: a build without slices
/// passes this, and one that watches the owner only does not.
///
/// Of that death, too, the kernel tells one: the `bystander`, if there is one, who waits for another lock.
#[cfg(target_arch = "x86_64")]
fn kill_the_woken_one(bystander: bool) {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let other_mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    for _ in 0..20 {
        let holder = holder(&mutex);
        let first = served(&mutex);
        until_asleep(&first);
        let Some(traced) = seize_asleep(&first) else {
            holder.kill().unwrap();
            let _ = (holder.join(), first.join());
            skip("ptrace is forbidden here");
        };
        let bystander = bystander.then(|| {
            let other_holder = self::holder(&other_mutex);
            let bystander = served(&other_mutex);
            until_asleep(&bystander);
            (other_holder, bystander)
        });
        let others = [served(&mutex), served(&mutex)];
        others.iter().for_each(until_asleep);
        holder.kill().unwrap();
        let _ = holder.join();
        assert!(traced.stopped(), "it was woken");
        first.kill().unwrap();
        let _ = first.join();
        for mut other in others {
            assert_eq!(other.join_timeout(LONG).unwrap(), Some(true), "it was told");
        }
        if let Some((other_holder, bystander)) = bystander {
            other_holder.request_stop().unwrap();
            other_holder.join().unwrap();
            assert!(bystander.join().unwrap());
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn a_wake_that_dies_with_its_receiver_is_made_good() {
    kill_the_woken_one(false);
}

#[cfg(target_arch = "x86_64")]
fn a_death_that_one_is_told_of_is_told_to_all() {
    kill_the_woken_one(true);
}

/// As above, but who had the lock lives on: its one wake, which dies, is that of its unlock.
#[cfg(target_arch = "x86_64")]
fn an_unlockers_wake_that_dies_with_its_receiver_is_made_good() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    for _ in 0..20 {
        let leave = Shared::new(Event::new()).unwrap();
        let unlocker = tine::spawn(|| {
            let guard = mutex.lock_or_repair(|_| ()).unwrap();
            leave.wait();
            drop(guard);
            tine::process::stop().wait();
        })
        .unwrap();
        until("the child holds the lock", || mutex.is_locked());
        let first = served(&mutex);
        until_asleep(&first);
        let Some(traced) = seize_asleep(&first) else {
            leave.set();
            unlocker.request_stop().unwrap();
            let _ = (unlocker.join(), first.join());
            skip("ptrace is forbidden here");
        };
        let others = [served(&mutex), served(&mutex)];
        others.iter().for_each(until_asleep);
        leave.set();
        assert!(traced.stopped(), "it was woken");
        first.kill().unwrap();
        let _ = first.join();
        for mut other in others {
            assert_eq!(other.join_timeout(LONG).unwrap(), Some(true), "it was told");
        }
        unlocker.request_stop().unwrap();
        unlocker.join().unwrap();
    }
}

#[cfg(target_arch = "x86_64")]
fn a_place_that_is_taken_again_hides_no_death() {
    // As above; and before the one that the kernel has told of the death looks, others have taken the places of the dead. It
    // sees living ones there, and tells of the deaths all the same, since the words are not what they were.
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let other_mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let new_mutexes = Shared::new([const { Mutex::new(0_u64) }; 2]).unwrap();
    let others_holder = holder(&other_mutex);
    for _ in 0..20 {
        let holder = holder(&mutex);
        let first = served(&mutex);
        until_asleep(&first);
        let bystander = served(&other_mutex);
        until_asleep(&bystander);
        let (Some(first_traced), Some(bystander_traced)) = (seize_asleep(&first), seize_asleep(&bystander)) else {
            for child in [first, bystander] {
                child.kill().unwrap();
                let _ = child.join();
            }
            for child in [holder, others_holder] {
                child.kill().unwrap();
                let _ = child.join();
            }
            skip("ptrace is forbidden here");
        };
        let mut other = served(&mutex);
        until_asleep(&other);
        holder.kill().unwrap();
        let _ = holder.join();
        assert!(first_traced.stopped(), "it was woken");
        first.kill().unwrap();
        let _ = first.join();
        assert!(bystander_traced.stopped(), "it was told of the second death");
        let new = [0, 1].map(|i| {
            let child = tine::spawn(|| {
                let _guard = new_mutexes[i].lock().unwrap();
                tine::process::stop().wait();
            });
            until("the new one has a place", || new_mutexes[i].is_locked());
            child.unwrap()
        });
        bystander_traced.go_on();
        assert_eq!(other.join_timeout(LONG).unwrap(), Some(true), "it was told");
        bystander.kill().unwrap();
        let _ = bystander.join();
        for child in new {
            child.request_stop().unwrap();
            child.join().unwrap();
        }
    }
    others_holder.request_stop().unwrap();
    others_holder.join().unwrap();
}

/// Takes a child that sleeps under trace. It stops on its way out of that sleep. None where that is forbidden.
#[cfg(target_arch = "x86_64")]
fn seize_asleep(child: &JoinHandle<bool>) -> Option<Traced> {
    let traced = Traced::seize(child.id(), libc::PTRACE_O_TRACESYSGOOD)?;
    // The interruption has ended its sleep; it goes back to it.
    loop {
        traced.to_the_next_call();
        assert!(traced.stopped());
        if traced.is_about_to_call() && traced.call() == libc::SYS_futex_waitv {
            traced.to_the_next_call();
            let mut came_out = false;
            until("it sleeps, or does not need to", || {
                came_out = traced.has_stopped();
                came_out || (sleeps_in(child.id()) == Some(libc::SYS_futex_waitv) && sleeps(child.id()))
            });
            if !came_out {
                return Some(traced);
            }
        }
    }
}

/// Whether a process is asleep; not so one that is held by its tracer.
#[cfg(target_arch = "x86_64")]
fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

#[cfg(not(target_arch = "x86_64"))]
fn a_wake_that_dies_with_its_receiver_is_made_good() {
    skip("the registers of a tracee are read on x86-64 only");
}

#[cfg(not(target_arch = "x86_64"))]
fn an_unlockers_wake_that_dies_with_its_receiver_is_made_good() {
    skip("the registers of a tracee are read on x86-64 only");
}

#[cfg(not(target_arch = "x86_64"))]
fn a_death_that_one_is_told_of_is_told_to_all() {
    skip("the registers of a tracee are read on x86-64 only");
}

#[cfg(not(target_arch = "x86_64"))]
fn a_place_that_is_taken_again_hides_no_death() {
    skip("the registers of a tracee are read on x86-64 only");
}

fn a_death_that_the_kernel_does_not_mark_is_noticed() {
    // What the OOM reaper does: the memory of a dying process is freed before the kernel walks the list of its robust locks,
    // which lies there. The process is held on its way out meanwhile.
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    for _ in 0..5 {
        let holder = holder(&mutex);
        let waiter = tine::spawn(|| owner_died(mutex.lock_timeout(LONG))).unwrap();
        until_asleep(&waiter);
        let Some(traced) = Traced::seize(holder.id(), libc::PTRACE_O_TRACEEXIT) else {
            holder.kill().unwrap();
            let _ = (holder.join(), waiter.join());
            skip("ptrace is forbidden here");
        };
        traced.go_on();
        holder.kill().unwrap();
        assert!(traced.stopped(), "it is about to end");
        let pidfd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&holder));
        // SAFETY: takes a descriptor and flags.
        if unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd, 0) } == -1 {
            let error = std::io::Error::last_os_error();
            traced.go_on();
            let _ = (holder.join(), waiter.join());
            skip(&format!("process_mrelease: {error}"));
        }
        traced.go_on();
        let _ = holder.join();
        assert!(waiter.join().unwrap(), "the waiter is told of the death");
        drop(mutex.lock_or_repair(|_| ()).unwrap());
    }
}

fn a_number_that_was_given_again_is_somebody_else() {
    // As above, and the dead one's number is given to another process before anybody looks.
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let holder = holder(&mutex);
    let pid = holder.id();
    // By number and start they are told apart, and starts are told in ticks of 10 ms.
    let born = std::time::Instant::now();
    until("the next process starts in another tick", || born.elapsed() > Duration::from_millis(20));
    let Some(traced) = Traced::seize(pid, libc::PTRACE_O_TRACEEXIT) else {
        holder.kill().unwrap();
        let _ = holder.join();
        skip("ptrace is forbidden here");
    };
    traced.go_on();
    holder.kill().unwrap();
    assert!(traced.stopped(), "it is about to end");
    let pidfd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&holder));
    // SAFETY: takes a descriptor and flags.
    let released = unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd, 0) } == 0;
    traced.go_on();
    let _ = holder.join();
    if !released || std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
        skip("the kernel frees no memory of the dying, or gives no say in the next number");
    }
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let same = stranger.id() == pid;
    let told = same.then(|| owner_died(mutex.lock_timeout(LONG)));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    match told {
        None => skip("another process got the number first"),
        Some(told) => assert!(told),
    }
}

fn a_traced_process_is_alive() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let holder = holder(&mutex);
    let Some(traced) = Traced::seize(holder.id(), 0) else {
        holder.kill().unwrap();
        let _ = holder.join();
        skip("ptrace is forbidden here");
    };
    // It stands still, as one in a debugger. Over several slices nobody takes its lock.
    let outcome = mutex.lock_timeout(Duration::from_millis(250)).map(|_| ());
    assert!(matches!(outcome, Err(LockTimeoutErrorOf::TimedOut)), "{outcome:?}");
    traced.go_on();
    holder.request_stop().unwrap();
    drop(mutex.lock_timeout(LONG).unwrap());
    holder.join().unwrap();
}

fn a_child_in_another_namespace_is_seen_alive_and_dead() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let middle = tine::spawn(|| {
        // SAFETY: takes flags; the children of this process are then in a namespace of their own.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } == -1 {
            return None;
        }
        let holder = Builder::new().die_with_parent(false).spawn(|| {
            assert_eq!(std::process::id(), 1, "the first of its namespace");
            let _guard = mutex.lock_or_repair(|_| ()).unwrap();
            tine::process::stop().wait();
        });
        let holder = holder.unwrap();
        until("the child holds the lock", || mutex.is_locked());
        // Over several looks at a `/proc` that knows it by another number, or that has another process by its number.
        let alive = matches!(mutex.lock_timeout(Duration::from_millis(250)), Err(LockTimeoutErrorOf::TimedOut));
        holder.kill().unwrap();
        Some(alive && owner_died(mutex.lock_timeout(LONG)))
    })
    .unwrap();
    match middle.join().unwrap() {
        None => skip("no permission for a namespace of pids"),
        Some(right) => assert!(right),
    }
}

fn relatives_who_see_the_proc_of_others_do_not_rob_each_other() {
    // As after `unshare --pid --fork`, without `--mount-proc`: both are in a namespace of pids that is not the one of the
    // `/proc` that they see. By the holder's number that has another process, of another start.
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let middle = tine::spawn(|| {
        // SAFETY: takes flags; the children of this process are then in a namespace of their own.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } == -1 {
            return None;
        }
        let first = Builder::new().die_with_parent(false).spawn(|| {
            let holder = Builder::new().die_with_parent(false).spawn(|| {
                assert_eq!(std::process::id(), 2, "the second of its namespace");
                let _guard = mutex.lock().unwrap();
                tine::process::stop().wait();
            });
            let holder = holder.unwrap();
            until("the child holds the lock", || mutex.is_locked());
            // Over several looks.
            let alive = matches!(mutex.lock_timeout(Duration::from_millis(350)), Err(LockTimeoutErrorOf::TimedOut));
            holder.kill().unwrap();
            alive && owner_died(mutex.lock_timeout(LONG))
        });
        Some(first.unwrap().join().unwrap())
    })
    .unwrap();
    match middle.join().unwrap() {
        None => skip("no permission for a namespace of pids"),
        Some(right) => assert!(right, "a live holder was taken for dead"),
    }
}

/// Forks in a way that this library does not see, and lets the child run `f`.
fn foreign_child(raw: bool, f: impl FnOnce()) -> i32 {
    let fork = || match raw {
        // SAFETY: this process has one thread, so that the child may run anything.
        false => unsafe { libc::fork() },
        // SAFETY: as above; without flags it is a fork without the C library's bookkeeping.
        true => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 },
    };
    let pid = fork();
    if pid == 0 {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0, "{}", std::io::Error::last_os_error());
    pid
}

fn foreign(raw: bool) {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    // The parent has a place, and its child a copy of what says so.
    *mutex.lock().unwrap() += 1;
    let pid = foreign_child(raw, || {
        std::mem::forget(mutex.lock().unwrap());
        tine::process::stop().wait();
    });
    until("the child holds the lock", || mutex.is_locked());
    let alive = mutex.lock_timeout(Duration::from_millis(250)).map(|_| ());
    assert!(matches!(alive, Err(LockTimeoutErrorOf::TimedOut)), "{alive:?}");
    // SAFETY: our own child, not reaped.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert!(owner_died(mutex.lock_timeout(LONG)));
    // SAFETY: a null status is allowed.
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
}

fn a_process_that_others_forked_takes_part() {
    foreign(false);
}

fn a_process_of_a_raw_clone_takes_part() {
    foreign(true);
}

fn deaths_are_noticed_without_the_call_for_several_words() {
    let status = in_child(|| {
        refuse_call(libc::SYS_futex_waitv, None, libc::ENOSYS);
        let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
        for _ in 0..5 {
            let holder = holder(&mutex);
            let waiters = [served(&mutex), served(&mutex), served(&mutex)];
            // Each by itself: they look around every five milliseconds.
            for waiter in &waiters {
                until("it sleeps", || sleeps_in(waiter.id()) == Some(libc::SYS_futex));
            }
            holder.kill().unwrap();
            let _ = holder.join();
            for mut waiter in waiters {
                assert_eq!(waiter.join_timeout(LONG).unwrap(), Some(true));
            }
        }
        let count = Shared::new(Mutex::new(0_u64)).unwrap();
        let add = || (0..1000).for_each(|_| *count.lock().unwrap() += 1);
        let children = [tine::spawn(add).unwrap(), tine::spawn(add).unwrap()];
        children.into_iter().for_each(|child| child.join().unwrap());
        assert_eq!(*count.lock().unwrap(), 2000);
    });
    assert!(status.success());
}

fn names_are_not_given_twice() {
    // Each thread takes the place of the one before it. A lock that an earlier one kept is not taken for the later one's.
    let mutexes = Shared::<[Mutex<u64>]>::from_fn(8, |_| Mutex::new(0)).unwrap();
    let child = tine::spawn(|| {
        for i in 0..8 {
            std::thread::scope(|s| s.spawn(|| std::mem::forget(mutexes[i].lock().unwrap())).join().unwrap());
            // The thread is out of the kernel when its lock can be taken over.
            until("the thread has ended", || {
                matches!(mutexes[i].try_lock(), Err(tine::sync::TryLockErrorOf::Lock(LockErrorOf::OwnerDied(_))))
            });
        }
        let last = std::thread::scope(|s| {
            s.spawn(|| mutexes.iter().filter(|mutex| owner_died(mutex.lock_timeout(LONG))).count()).join().unwrap()
        });
        last as u64
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), 8);
}

fn places_are_used_again() {
    // More processes than there are places, one after the other.
    let count = Shared::new(Mutex::new(0_u64)).unwrap();
    let child = tine::spawn(|| {
        for _ in 0..5000 {
            std::thread::scope(|s| s.spawn(|| *count.lock().unwrap() += 1).join().unwrap());
        }
    })
    .unwrap();
    child.join().unwrap();
    assert_eq!(*count.lock().unwrap(), 5000);
}

fn more_threads_than_one_call_can_watch() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let holder = holder(&mutex);
    let crowd = tine::spawn(|| {
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..60).map(|_| s.spawn(|| mutex.lock_or_repair(|_| ()).is_ok())).collect();
            threads.into_iter().all(|thread| thread.join().unwrap())
        })
    })
    .unwrap();
    let tasks = format!("/proc/{}/task", crowd.id());
    let asleep = |task: std::io::Result<std::fs::DirEntry>| {
        let call = std::fs::read_to_string(task.ok()?.path().join("syscall")).ok()?;
        (call.split(' ').next()?.parse() == Ok(libc::SYS_futex_waitv)).then_some(())
    };
    until("all threads sleep", || std::fs::read_dir(&tasks).unwrap().filter_map(asleep).count() == 60);
    holder.signal(Signal::KILL).unwrap();
    let _ = holder.join();
    assert!(crowd.join().unwrap());
}

fn a_grandchild_and_its_grandparent_share_a_roster() {
    let mutex = Shared::new(Mutex::new(0_u64)).unwrap();
    let middle = tine::spawn(|| {
        let grandchild = tine::spawn(|| -> u8 {
            std::mem::forget(mutex.lock().unwrap());
            std::process::abort();
        })
        .unwrap();
        grandchild.join().is_err()
    })
    .unwrap();
    assert!(middle.join().unwrap());
    assert!(owner_died(mutex.lock_timeout(LONG)));
}

fn a_lock_of_strangers_is_told_as_such() {
    // Two children of a program that had no roster when it forked them: each makes its own. The memory was there before.
    use std::os::fd::{AsFd, AsRawFd};
    let memfd = tine::memory::Memfd::new(4096).unwrap();
    let attach = |again: std::os::fd::BorrowedFd<'_>| {
        let memfd = tine::memory::Memfd::try_from(again.try_clone_to_owned().unwrap()).unwrap();
        // SAFETY: zeroes are an unlocked mutex, and nobody writes there but through it.
        unsafe { Shared::<Mutex<u64>>::attach(memfd) }.unwrap()
    };
    let (reader, writer) = std::io::pipe().unwrap();
    let pid = foreign_child(false, || {
        let mutex = attach(memfd.as_fd());
        std::mem::forget(mutex.lock().unwrap());
        std::io::Write::write_all(&mut &writer, b"held").unwrap();
        tine::process::stop().wait();
    });
    drop(writer);
    let status = in_child(|| {
        let mut word = [0; 4];
        std::io::Read::read_exact(&mut &reader, &mut word).unwrap();
        let mutex = attach(memfd.as_fd());
        assert!(matches!(mutex.lock(), Err(LockErrorOf::Foreign)));
    });
    assert!(status.success());
    assert!(reader.as_raw_fd() > 0);
    // SAFETY: our own child, not reaped; a null status is allowed.
    unsafe {
        assert_eq!(libc::kill(pid, libc::SIGKILL), 0);
        assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), 0), pid);
    }
}
