//! Who dies over a segment, at each of his system calls; and who comes after.
use std::os::unix::process::ExitStatusExt;

use tine::memory::{Origin, Segment, SegmentError};

use crate::refuse_call::refuse_call;
use crate::steps::Stepped;
use crate::support::{self, in_child};
use crate::{exists, name, path};

const LEN: usize = 5000;

/// What came of it, in a byte. A segment is not dropped: its creator lives on with it, or dies.
fn told(result: Result<Segment, SegmentError>) -> u8 {
    match result {
        Ok(segment) => {
            segment.as_slice::<u8>().unwrap().set(0, b'!').unwrap();
            std::mem::forget(segment);
            b'o'
        }
        Err(SegmentError::InUse { .. }) => b'u',
        Err(SegmentError::Exists { .. }) => b'e',
        Err(error) => {
            println!("{error:?}");
            b'?'
        }
    }
}

fn stepped(f: impl FnOnce() -> u8) -> Stepped {
    Stepped::start(f).unwrap_or_else(|| support::skip("needs ptrace"))
}

/// A sandbox in which files have their names from the start.
fn no_files_without_names() {
    refuse_call(libc::SYS_linkat, None, libc::EPERM);
}

/// Leaves what a creator leaves who is killed.
fn leave_dead(of: &str, len: usize) {
    let status = in_child(|| {
        std::mem::forget(Segment::create(&name(of), len).unwrap());
        // SAFETY: ends this child.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert!(exists(of));
}

/// Whoever comes next has a new segment, and nothing is left of it either.
fn the_next_one_succeeds(of: &str) {
    let origin = if exists(of) { Origin::Recovered } else { Origin::Created };
    let segment = Segment::create_or_recover(&name(of), 100).unwrap();
    assert_eq!((segment.origin(), segment.len()), (origin, 100));
    assert_eq!(segment.as_slice::<u8>().unwrap().to_vec(), [0; 100]);
    drop(segment);
    assert!(!exists(of));
}

/// Calls `check` with a number of steps, 0 and more, until it says that the code under it has come to its end.
fn at_each_step(mut check: impl FnMut(usize) -> bool) {
    let steps = (0..).find(|&n| !check(n)).expect("endless");
    println!("{steps} stops");
    assert!(steps > 3, "only {steps} stops: was it traced?");
}

pub fn a_kill_at_every_system_call_of_creating() {
    let mut whole = 0;
    at_each_step(|n| {
        let mut creator = stepped(|| told(Segment::create(&name("create"), LEN)));
        let going = creator.steps(n);
        creator.kill();
        // No name, or a whole one.
        match Segment::open(&name("create")) {
            Ok(segment) => {
                whole += 1;
                assert_eq!(segment.as_slice::<u8>().unwrap().range_to_vec(1..).unwrap(), [0; LEN - 1]);
            }
            Err(SegmentError::NotFound { .. }) => assert_eq!(whole, 0),
            Err(error) => panic!("after {n} steps: {error:?}"),
        }
        the_next_one_succeeds("create");
        going
    });
    assert!(whole > 1);
}

pub fn a_kill_at_every_system_call_of_creating_in_a_sandbox() {
    let mut empty = 0;
    at_each_step(|n| {
        let mut creator = stepped(|| {
            no_files_without_names();
            told(Segment::create(&name("create"), LEN))
        });
        let going = creator.steps(n);
        creator.kill();
        match Segment::open(&name("create")) {
            Ok(segment) => assert_eq!(segment.len(), LEN),
            Err(SegmentError::NotFound { .. }) => {}
            Err(SegmentError::Empty { .. }) => empty += 1,
            Err(error) => panic!("after {n} steps: {error:?}"),
        }
        the_next_one_succeeds("create");
        going
    });
    assert!(empty > 1, "the other way was not taken");
}

/// What a creator leaves at each step, taken over by somebody who is killed at each step.
pub fn a_kill_of_who_takes_over_from_the_killed() {
    let mut steps = 0;
    for by_name in [false, true] {
        at_each_step(|first| {
            let make = || {
                let mut creator = stepped(|| {
                    if by_name {
                        no_files_without_names();
                    }
                    told(Segment::create_or_recover(&name("grid"), LEN))
                });
                // Two stops to a call: before it, which is as after the one before, and after it.
                let going = creator.steps(2 * first);
                creator.kill();
                going
            };
            let mut second = 0;
            loop {
                let going = make();
                let mut successor = stepped(|| told(Segment::create_or_recover(&name("grid"), LEN)));
                let successor_going = successor.steps(2 * second);
                successor.kill();
                the_next_one_succeeds("grid");
                steps += 1;
                if !successor_going {
                    break going;
                }
                second += 1;
            }
        });
    }
    println!("{steps} pairs");
}

pub fn a_kill_at_every_system_call_of_opening_changes_nothing() {
    let segment = Segment::create(&name("open"), LEN).unwrap();
    at_each_step(|n| {
        let mut opener = stepped(|| {
            let opened = Segment::open(&name("open")).unwrap();
            drop(opened);
            b'o'
        });
        let going = opener.steps(n);
        opener.kill();
        assert!(exists("open"));
        assert!(matches!(Segment::create_or_recover(&name("open"), 1), Err(SegmentError::InUse { .. })));
        going
    });
    drop(segment);
}

pub fn a_kill_at_every_system_call_of_removing() {
    at_each_step(|n| {
        let mut owner = stepped(|| {
            drop(Segment::create(&name("drop"), LEN).unwrap());
            b'o'
        });
        let going = owner.steps(n);
        owner.kill();
        assert!(going || !exists("drop"));
        the_next_one_succeeds("drop");
        going
    });
    at_each_step(|n| {
        leave_dead("unlink", LEN);
        let mut remover = stepped(|| u8::from(Segment::unlink(&name("unlink")).is_err()));
        let going = remover.steps(n);
        remover.kill();
        assert!(going || !exists("unlink"));
        match Segment::unlink(&name("unlink")) {
            Ok(()) => assert!(going),
            Err(SegmentError::NotFound { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(!exists("unlink"));
        going
    });
}

/// One is stopped at each of its system calls, for as long as the other needs.
pub fn of_two_who_take_over_one_succeeds() {
    for by_name in [false, true] {
        let mut results = std::collections::BTreeMap::new();
        at_each_step(|n| {
            leave_dead("two", LEN);
            let mut slow = stepped(|| {
                if by_name {
                    no_files_without_names();
                }
                told(Segment::create_or_recover(&name("two"), LEN))
            });
            let going = slow.steps(n);
            let fast = Segment::create_or_recover(&name("two"), LEN);
            let slow_told = slow.run();
            match (&fast, slow_told) {
                (Ok(_), b'u') | (Err(SegmentError::InUse { .. }), b'o') => {}
                other => panic!("after {n} steps: {other:?}"),
            }
            // The name leads to the memory of who succeeded.
            let first = Segment::open_view::<u8>(&name("two")).unwrap().get(0).unwrap();
            assert_eq!(first == b'!', slow_told == b'o');
            *results.entry(slow_told).or_insert(0) += 1;
            drop(fast);
            assert_eq!(exists("two"), slow_told == b'o');
            slow.kill();
            the_next_one_succeeds("two");
            going
        });
        println!("{results:?}");
        assert!(results.len() == 2 && results.values().all(|&n| n > 2), "{results:?}");
    }
}

/// Both are stopped, each after each of its system calls; then the first goes on to its end, and then the second.
pub fn of_two_stopped_anywhere_one_succeeds() {
    let recover = || told(Segment::create_or_recover(&name("both"), LEN));
    let create_by_name = || {
        no_files_without_names();
        told(Segment::create(&name("both"), LEN))
    };
    let dead = || leave_dead("both", LEN);
    let nothing = || ();
    type Side<'a> = &'a dyn Fn() -> u8;
    let pairs: [(&dyn Fn(), Side<'_>, Side<'_>); 2] =
        [(&dead, &recover, &recover), (&nothing, &create_by_name, &recover)];
    for (prepare, one, other) in pairs {
        let mut results = std::collections::BTreeMap::new();
        at_each_step(|n| {
            for m in 0.. {
                prepare();
                let (mut first, mut second) = (stepped(one), stepped(other));
                let first_going = first.steps(2 * n);
                let second_going = second.steps(2 * m);
                let result = [first.run(), second.run()];
                assert_eq!(result.iter().filter(|&&told| told == b'o').count(), 1, "{n}, {m}: {result:?}");
                assert!(result.iter().all(|told| b"oue".contains(told)), "{n}, {m}: {result:?}");
                *results.entry(result).or_insert(0) += 1;
                // The name leads to the memory of who succeeded, and who failed has not cleared it away.
                let first_byte = Segment::open_view::<u8>(&name("both")).unwrap().get(0);
                assert_eq!(first_byte, Some(b'!'), "{n}, {m}: {result:?}");
                first.kill();
                second.kill();
                the_next_one_succeeds("both");
                if !second_going {
                    return first_going;
                }
            }
            false
        });
        println!("{results:?}");
    }
}

/// Where files have their names from the start, who creates one may lose it to who thinks him dead, but nothing more.
pub fn who_creates_by_name_loses_whole_or_not_at_all() {
    let mut results = std::collections::BTreeMap::new();
    at_each_step(|n| {
        let mut slow = stepped(|| {
            no_files_without_names();
            told(Segment::create(&name("race"), LEN))
        });
        let going = slow.steps(n);
        let fast = Segment::create_or_recover(&name("race"), LEN);
        let slow_told = slow.run();
        match (&fast, slow_told) {
            (Ok(_), b'e') | (Err(SegmentError::InUse { .. }), b'o') => {}
            other => panic!("after {n} steps: {other:?}"),
        }
        let first = Segment::open_view::<u8>(&name("race")).unwrap().get(0).unwrap();
        assert_eq!(first == b'!', slow_told == b'o');
        *results.entry(slow_told).or_insert(0) += 1;
        drop(fast);
        slow.kill();
        the_next_one_succeeds("race");
        going
    });
    println!("{results:?}");
    assert!(results.len() == 2 && results.values().all(|&n| n > 2), "{results:?}");
}

pub fn a_drop_never_takes_a_successors_name() {
    let mut successors = 0;
    at_each_step(|n| {
        let mut owner = stepped(|| match Segment::create(&name("late"), LEN) {
            Ok(segment) => {
                drop(segment);
                b'o'
            }
            refused => told(refused),
        });
        let going = owner.steps(n);
        let successor = Segment::create_or_recover(&name("late"), LEN);
        // Where the successor was first, there is nothing to create, and to drop.
        let owner_told = owner.run();
        match successor {
            Ok(segment) => {
                successors += u32::from(owner_told == b'o');
                assert_eq!(Segment::open(&name("late")).map(|s| s.len()).unwrap(), LEN, "after {n} steps");
                drop(segment);
            }
            Err(SegmentError::InUse { .. }) => assert_eq!(owner_told, b'o'),
            Err(error) => panic!("{error:?}"),
        }
        assert!(!exists("late"));
        owner.kill();
        going
    });
    assert!(successors > 1);
}

/// Again and again, without stops, several at once.
pub fn of_many_who_take_over_one_succeeds() {
    const ROUNDS: usize = 150;
    const PROCESSES: usize = 5;
    use std::io::{Read, Write};
    leave_dead("many", LEN);
    for round in 0..ROUNDS {
        let (mut go, start) = std::io::pipe().unwrap();
        let (mut told_here, mut tell) = std::io::pipe().unwrap();
        let (mut until_all, all) = std::io::pipe().unwrap();
        let pids: Vec<_> = (0..PROCESSES)
            .map(|_| {
                // SAFETY: a case is single-threaded, so the child may use everything that the parent could.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    drop((start.try_clone(), all.try_clone()));
                    // SAFETY: the parent's ends, of which this child has copies that are of no use to it.
                    unsafe {
                        use std::os::fd::AsRawFd;
                        libc::close(start.as_raw_fd());
                        libc::close(all.as_raw_fd());
                    }
                    let _ = go.read(&mut [0]);
                    let _ = tell.write_all(&[told(Segment::create_or_recover(&name("many"), LEN))]);
                    let _ = until_all.read(&mut [0]);
                    // SAFETY: ends this child without a destructor, as a kill does.
                    unsafe { libc::_exit(0) }
                }
                assert!(pid > 0);
                pid
            })
            .collect();
        drop(start);
        let mut results = [0; PROCESSES];
        told_here.read_exact(&mut results).unwrap();
        results.sort_unstable();
        assert_eq!(results, *b"ouuuu", "round {round}");
        drop(all);
        for pid in pids {
            // SAFETY: our own child; no status is asked for.
            assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
        }
    }
    the_next_one_succeeds("many");
}

/// Python's scenarios 127 and 156.
pub fn what_a_killed_creator_leaves_is_taken_over() {
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV] {
        let status = in_child(|| {
            let _segment = Segment::create(&name("killed"), LEN).unwrap();
            // SAFETY: ends this child.
            unsafe {
                libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        });
        assert_eq!(status.signal(), Some(signal));
        // Who has it open, or opens it now, has the old memory, also afterwards.
        let old = Segment::open(&name("killed")).unwrap();
        let new = Segment::create_or_recover(&name("killed"), LEN).unwrap();
        assert_eq!(new.origin(), Origin::Recovered);
        old.as_slice::<u8>().unwrap().set(0, 1).unwrap();
        assert_eq!(new.as_slice::<u8>().unwrap().get(0), Some(0));
        drop(old);
        assert!(exists("killed"));
        drop(new);
        assert!(!exists("killed"));
    }
}

/// Python's scenarios 128 and 156.
pub fn who_has_only_opened_it_dies_without_harm() {
    let segment = Segment::create(&name("opened"), LEN).unwrap();
    for signal in [0, libc::SIGKILL, libc::SIGTERM] {
        let status = in_child(|| {
            let opened = Segment::open(&name("opened")).unwrap();
            opened.as_slice::<u8>().unwrap().set(1, 2).unwrap();
            // SAFETY: ends this child, or not.
            unsafe {
                libc::signal(libc::SIGTERM, libc::SIG_DFL);
                libc::raise(signal);
            }
        });
        assert_eq!(status.signal(), (signal != 0).then_some(signal));
        assert!(exists("opened"));
    }
    assert!(matches!(Segment::create_or_recover(&name("opened"), 1), Err(SegmentError::InUse { .. })));
    assert_eq!(segment.as_slice::<u8>().unwrap().get(1), Some(2));
}

/// A worker that outlives the creator has the memory, and does not stand in the way.
pub fn children_do_not_hold_the_creators_lock() {
    let (mut ready, mut tell) = tine::pipe::pipe().unwrap();
    let (mut wait, end) = tine::pipe::pipe().unwrap();
    use std::io::{Read, Write};
    let status = in_child(|| {
        let segment = Segment::create(&name("worker"), LEN).unwrap();
        let slice = segment.as_slice::<u8>().unwrap();
        let worker = tine::Builder::new().die_with_parent(false).spawn(|| {
            // SAFETY: the copy of an end that only the case may hold.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&end))) };
            tell.write_all(b"!").unwrap();
            let _ = wait.read(&mut [0]);
            slice.set(0, 1).unwrap();
        });
        worker.unwrap().detach();
        // SAFETY: ends this child.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    ready.read_exact(&mut [0]).unwrap();
    the_next_one_succeeds("worker");
    drop(end);
    drop(tell);
    // Ended: it was the last to have the pipe open.
    assert_eq!(ready.read(&mut [0]).unwrap(), 0);
}

/// A fork by other code takes the lock along: in doubt the creator lives.
pub fn a_foreign_fork_holds_the_creators_lock() {
    let mut creator = stepped(|| told(Segment::create(&name("fork"), LEN)));
    assert_eq!(creator.run(), b'o');
    assert!(matches!(Segment::create_or_recover(&name("fork"), 1), Err(SegmentError::InUse { .. })));
    creator.kill();
    let (mut wait, end) = std::io::pipe().unwrap();
    let (mut ended, hold) = std::io::pipe().unwrap();
    let status = in_child(|| {
        let _segment = Segment::create_or_recover(&name("fork"), LEN).unwrap();
        // SAFETY: single-threaded.
        if unsafe { libc::fork() } == 0 {
            // SAFETY: the copy of an end that only the case may hold; and the end of this process.
            unsafe {
                libc::close(std::os::fd::AsRawFd::as_raw_fd(&end));
                let _ = std::io::Read::read(&mut wait, &mut [0]);
                libc::_exit(0);
            }
        }
        // SAFETY: ends this child.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert!(matches!(Segment::create_or_recover(&name("fork"), 1), Err(SegmentError::InUse { .. })));
    drop((end, hold));
    std::io::Read::read(&mut ended, &mut [0]).unwrap();
    support::until("the copy is closed", || Segment::create_or_recover(&name("fork"), 1).is_ok());
    assert!(!std::path::Path::new(&path("fork")).exists());
}
