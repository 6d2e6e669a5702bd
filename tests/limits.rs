//! Out of everything: descriptors, processes, memory. Each is a typed error, and nothing is left behind.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use refuse::refuse_call;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tine::process::{SpawnError, Stdio};
use tine::{Builder, spawn};

fn main() {
    support::run(cases![
        out_of_descriptors,
        out_of_processes_by_rlimit,
        out_of_processes_by_cgroup,
        out_of_memory,
        spawn_and_join_from_eight_threads,
        a_handle_dropped_without_descriptors_is_reaped,
        out_of_file_size,
        a_slot_stays_with_a_child_that_cannot_be_reaped,
        an_error_of_the_system_is_not_taken_for_another_owner,
        a_spawn_that_fails_after_the_fork_leaves_no_child,
        no_timers,
        a_spawn_waits_for_no_lock_while_it_holds_one,
        no_lock_of_another_thread_is_held_in_a_child,
    ]);
}

fn limit(resource: Resource, soft: u64) -> impl Drop {
    struct Restore(Resource, Rlimit);
    impl Drop for Restore {
        fn drop(&mut self) {
            setrlimit(self.0, self.1).unwrap();
        }
    }
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(soft), maximum: before.maximum }).unwrap();
    Restore(resource, before)
}

/// How a spawn that uses all that a spawn can open ends.
fn everything() -> Result<String, SpawnError> {
    let child = Builder::new()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .keep_stderr(100)
        .umask(0)
        .spawn(|| "x".repeat(9000))?;
    Ok(child.join().unwrap())
}

fn out_of_descriptors() {
    spawn(|| ()).unwrap().join().unwrap();
    let before = (support::descriptors(), support::all_mappings());
    let highest = 3 + before.0.len() as u64;
    let mut refused = 0;
    let mut made = 0;
    for room in 0..24 {
        let limited = limit(Resource::Nofile, highest + room);
        match everything() {
            Ok(result) => {
                assert_eq!(result.len(), 9000);
                made += 1;
            }
            Err(SpawnError::Limit(error)) => {
                assert!(error.to_string().contains("descriptor"), "{error}");
                refused += 1;
            }
            // The child met the limit when it applied its settings.
            Err(SpawnError::Setup { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(libc::EMFILE));
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
        drop(limited);
        assert!(support::children().is_empty(), "a child was left at {room}");
        assert_eq!(before, (support::descriptors(), support::all_mappings()), "something was left at {room}");
    }
    assert!(refused > 3 && made > 3, "the sweep missed the edge: {refused} refused, {made} made");
}

fn out_of_processes_by_rlimit() {
    if !rustix::process::geteuid().is_root() {
        support::skip("root is exempt from RLIMIT_NPROC, and only root can become a user that nobody else is");
    }
    let child = Builder::new().uid(support::nobodys_uid()).rlimit(Resource::Nproc, Some(1), Some(1)).spawn(|| {
        let before = support::descriptors();
        let Err(SpawnError::Limit(error)) = spawn(|| ()) else { return String::from("not refused") };
        assert!(error.to_string().contains("RLIMIT_NPROC"), "{error}");
        assert_eq!(before, support::descriptors());
        assert!(support::children().is_empty());
        String::from("refused")
    });
    assert_eq!(child.unwrap().join().unwrap(), "refused");
}

fn out_of_processes_by_cgroup() {
    let group = std::path::Path::new("/sys/fs/cgroup/pids").join(format!("tine-test-{}", std::process::id()));
    if std::fs::create_dir(&group).is_err() {
        support::skip("no pids cgroup of version 1 can be made here");
    }
    let status = support::in_child(|| {
        std::fs::write(group.join("pids.max"), "3").unwrap();
        std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        let first = spawn(|| tine::process::stop().wait()).unwrap();
        let second = spawn(|| tine::process::stop().wait()).unwrap();
        let Err(SpawnError::Limit(_)) = spawn(|| ()) else { panic!("not refused") };
        for child in [first, second] {
            child.request_stop().unwrap();
            child.join().unwrap();
        }
        // Room again.
        assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
    });
    support::until("the cgroup is empty", || std::fs::remove_dir(&group).is_ok());
    assert_eq!(status.code(), Some(0));
}

fn out_of_memory() {
    let status = support::in_child(|| {
        spawn(|| ()).unwrap().join().unwrap();
        let pages: u64 =
            std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
        let before = (support::descriptors(), support::all_mappings());
        // No room for the next 64 slots, nor for a stack to note overflows on.
        let limited = limit(Resource::As, pages * 4096 + 64 * 1024);
        let mut children = Vec::new();
        let error = loop {
            match spawn(|| ()) {
                Ok(child) => children.push(child),
                Err(error) => break error,
            }
            assert!(children.len() < 1000, "never refused");
        };
        drop(limited);
        assert!(matches!(&error, SpawnError::Limit(e) if e.kind() == std::io::ErrorKind::OutOfMemory), "{error:?}");
        for child in children {
            child.join().unwrap();
        }
        assert_eq!(before, (support::descriptors(), support::all_mappings()));
    });
    assert_eq!(status.code(), Some(0));
}

/// Ends the process at once.
fn end_with(code: i32) {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Eight threads, each making and joining a hundred children: every exit code is exact, and every descriptor
/// comes back. With threads the spawn is unchecked; the closure uses nothing that another thread could hold.
fn spawn_and_join_from_eight_threads() {
    spawn(|| ()).unwrap().join().unwrap();
    let before = support::descriptors();
    std::thread::scope(|s| {
        for thread in 0..8 {
            s.spawn(move || {
                for n in 0..100 {
                    let code = (thread * 31 + n) % 256;
                    // SAFETY: the closure only ends the process.
                    let child = unsafe { tine::process::spawn_unchecked(move || end_with(code)) };
                    let exit = child.unwrap().wait().unwrap();
                    assert_eq!(exit.status.code(), Some(code));
                }
            });
        }
    });
    // A lifeline is made for children of other threads, once, and kept.
    let after: Vec<_> = support::descriptors().difference(&before).cloned().collect();
    assert!(after.len() <= 2 && after.iter().all(|(_, what)| what.starts_with("pipe:")), "{after:?}");
    for (number, _) in after {
        // So that the case ends as it began; nothing uses the lifeline any more.
        // SAFETY: the number is open, and its owner never looks at it again in this process.
        unsafe { libc::close(number.parse().unwrap()) };
    }
}

fn a_handle_dropped_without_descriptors_is_reaped() {
    let (go_on, gate) = std::io::pipe().unwrap();
    let child = spawn(|| std::io::Read::read(&mut &go_on, &mut [0]).is_ok());
    let limited = limit(Resource::Nofile, 3);
    drop(child);
    drop(limited);
    std::io::Write::write_all(&mut &gate, b"!").unwrap();
    support::until("it is reaped by a later spawn", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

/// The library's own memory is no file of the program's: the limit on those must not end it.
fn out_of_file_size() {
    let child = Builder::new().rlimit(Resource::Fsize, Some(0), Some(0)).spawn(|| {
        let small = spawn(|| 7_u64).unwrap().join().unwrap();
        let large = spawn(|| "x".repeat(9000)).unwrap().join();
        (small, matches!(large, Err(tine::process::JoinError::Io(e)) if e.raw_os_error() == Some(libc::EFBIG)))
    });
    assert_eq!(child.unwrap().join().unwrap(), (7, true));
}

fn a_slot_stays_with_a_child_that_cannot_be_reaped() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let status = support::in_child(|| {
        refuse_call(libc::SYS_waitid, None, libc::EPERM);
        let mut there = writer.try_clone().unwrap();
        let elder = spawn(move || {
            std::io::Write::write_all(&mut there, b"!").unwrap();
            tine::process::stop().wait();
            std::io::Write::write_all(&mut there, b"took another's word").unwrap();
        });
        let pid = rustix::process::Pid::from_raw(elder.as_ref().unwrap().id() as i32).unwrap();
        drop(elder);
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        let younger = spawn(|| tine::process::stop().wait()).unwrap();
        younger.request_stop().unwrap();
        support::until("the younger has ended", || younger.is_finished());
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let nobody = rustix::process::WaitOptions::empty();
        while rustix::process::wait(nobody).is_ok() {}
        drop(younger);
    });
    assert_eq!(status.code(), Some(0));
    drop(writer);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}

fn an_error_of_the_system_is_not_taken_for_another_owner() {
    let status = support::in_child(|| {
        refuse_call(libc::SYS_waitid, None, libc::EINVAL);
        let joined = spawn(|| ()).unwrap().join();
        assert!(matches!(&joined, Err(tine::process::JoinError::Wait(_))), "{joined:?}");
        let nobody = rustix::process::WaitOptions::empty();
        while rustix::process::wait(nobody).is_ok() {}
    });
    assert_eq!(status.code(), Some(0));
}

fn a_spawn_that_fails_after_the_fork_leaves_no_child() {
    for call in [libc::SYS_ppoll, libc::SYS_pidfd_open] {
        let status = support::in_child(|| {
            refuse_call(call, None, libc::ENOMEM);
            // A setting, so that the parent waits to hear of it.
            let Err(SpawnError::Limit(_)) = Builder::new().umask(0o22).spawn(|| ()) else { panic!("accepted") };
            let left = support::children();
            for child in &left {
                let stat = format!("/proc/{}/stat", child.as_raw_nonzero());
                let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
                support::until("it has ended without having begun", ended);
            }
            drop(spawn(|| ()));
            assert!(
                support::children().iter().all(|child| !left.contains(child)),
                "it was not reaped by a later spawn"
            );
            let nobody = rustix::process::WaitOptions::empty();
            while rustix::process::wait(nobody).is_ok() {}
        });
        assert_eq!(status.code(), Some(0), "{call}");
    }
}

fn no_timers() {
    spawn(|| ()).unwrap().join().unwrap();
    let before = support::descriptors();
    let limited = limit(Resource::Sigpending, 0);
    let refused = Builder::new().timeout(std::time::Duration::from_secs(60)).spawn(|| ());
    drop(limited);
    let Err(SpawnError::Setup { what, source }) = refused else { panic!("{refused:?}") };
    assert!(what.contains("deadline"), "{what}");
    assert_eq!(source.raw_os_error(), Some(libc::EAGAIN));
    assert_eq!(before, support::descriptors());
    assert!(support::children().is_empty());
}

/// A thread that holds the lock of stdout drops a handle; another, which spawns, wants stdout. Neither may hold what
/// the other needs.
fn a_spawn_waits_for_no_lock_while_it_holds_one() {
    let child = spawn(|| tine::process::stop().wait()).unwrap();
    child.request_stop().unwrap();
    let main = std::process::id();
    let (locked, is_locked) = std::sync::mpsc::channel();
    std::thread::scope(|s| {
        s.spawn(move || {
            let stdout = std::io::stdout().lock();
            locked.send(()).unwrap();
            let wchan = format!("/proc/self/task/{main}/wchan");
            support::until("the other thread waits for stdout", || {
                std::fs::read_to_string(&wchan).is_ok_and(|w| w.contains("futex"))
            });
            drop(child);
            drop(stdout);
        });
        is_locked.recv().unwrap();
        // SAFETY: the closure only ends the process.
        let child = unsafe { tine::process::spawn_unchecked(|| end_with(3)) };
        assert_eq!(child.unwrap().wait().unwrap().status.code(), Some(3));
    });
    support::until("all are reaped", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

/// Another thread maps memory, adds hooks, drops handles: whatever lock of the library it holds at the moment of a
/// fork, the child finds it open. (Each lock that is not held across the fork hangs some of these children.)
fn no_lock_of_another_thread_is_held_in_a_child() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let before = support::descriptors();
    let map = || drop(tine::memory::Private::<[u8]>::zeroed(4096));
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    map();
                    // SAFETY: the closure only ends the process.
                    drop(unsafe { tine::process::spawn_unchecked(|| end_with(0)) });
                }
            });
        }
        for _ in 0..300 {
            let uses_all = move || {
                map();
                end_with(5);
            };
            // SAFETY: glibc makes malloc usable in the child; the closure uses no lock but that and the library's.
            let child = unsafe { tine::process::spawn_unchecked(uses_all) }.unwrap();
            let exit = child.wait_timeout(std::time::Duration::from_secs(5)).unwrap();
            if exit.is_none() {
                done.store(true, Ordering::Relaxed);
                child.kill().unwrap();
            }
            assert_eq!(exit.expect("the child waits for a lock for ever").status.code(), Some(5));
        }
        done.store(true, Ordering::Relaxed);
    });
    support::until("all are reaped", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
    // The lifeline of children of other threads is kept; it is not needed any more here.
    for (number, what) in support::descriptors().difference(&before) {
        assert!(what.starts_with("pipe:"), "{what}");
        // SAFETY: the number is open, and its owner never looks at it again in this process.
        unsafe { libc::close(number.parse().unwrap()) };
    }
}
