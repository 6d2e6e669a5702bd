//! Each system call that a spawn makes, refused by the kernel, with each error that it may give: the spawn works
//! all the same by another way, or says what is missing; and nothing is left.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use rustix::io::Errno;
use tine::process::{Cause, JoinError, SpawnError, Stdio};
use tine::{Builder, spawn};

fn main() {
    support::run(cases![
        what_a_plain_spawn_calls,
        what_the_settings_call,
        what_the_deadline_calls,
        what_the_parent_calls_to_wait,
    ]);
}

const ERRORS: [Errno; 5] = [Errno::PERM, Errno::NOSYS, Errno::NOMEM, Errno::MFILE, Errno::NOSPC];

/// Has `call` refused from now on in a process of its own, runs `check` there, and looks for what it left.
fn refused(call: (&str, i64), error: Errno, check: impl Fn()) {
    let status = support::in_child(|| {
        // What is made once and kept is there before.
        spawn(|| ()).unwrap().join().unwrap();
        let before = (support::descriptors(), support::all_mappings());
        refuse::refuse_call(call.1, None, error.raw_os_error());
        check();
        assert!(support::children().is_empty(), "a child was left");
        // Looking needs calls that may be refused here; where they are, there is nothing to compare.
        let after = support::descriptors();
        if !after.is_empty() {
            assert_eq!(before, (after, support::all_mappings()), "something was left");
        }
    });
    assert_eq!(status.code(), Some(0), "{} refused with {error:?}", call.0);
}

/// The spawn worked, or was refused by a typed error; a child that could not go on is told as dead.
fn worked_or_was_refused(outcome: Result<tine::JoinHandle<String>, SpawnError>) {
    match outcome.map(tine::JoinHandle::join) {
        Ok(Ok(result)) => assert_eq!(result, "result"),
        Ok(Err(JoinError::Died(exit))) => assert_eq!(exit.cause, Cause::Code(70), "{exit}"),
        Ok(Err(error)) => panic!("{error:?}"),
        Err(SpawnError::Io(error) | SpawnError::Limit(error)) => assert!(error.to_string().contains(": "), "{error}"),
        Err(SpawnError::Setup { what, .. }) => assert!(!what.is_empty()),
        Err(error) => panic!("{error:?}"),
    }
}

fn what_a_plain_spawn_calls() {
    let calls = [
        ("unshare", libc::SYS_unshare),
        ("openat", libc::SYS_openat),
        ("getdents64", libc::SYS_getdents64),
        ("readlinkat", libc::SYS_readlinkat),
        ("memfd_create", libc::SYS_memfd_create),
        ("clone", libc::SYS_clone),
        ("pidfd_open", libc::SYS_pidfd_open),
        ("prctl", libc::SYS_prctl),
        ("sigaltstack", libc::SYS_sigaltstack),
        ("ftruncate", libc::SYS_ftruncate),
    ];
    for call in calls {
        for error in ERRORS {
            refused(call, error, || worked_or_was_refused(spawn(|| String::from("result"))));
        }
    }
}

fn what_the_settings_call() {
    let calls = [
        ("pipe2", libc::SYS_pipe2),
        ("dup3", libc::SYS_dup3),
        ("setpriority", libc::SYS_setpriority),
        ("sched_setaffinity", libc::SYS_sched_setaffinity),
        ("prlimit64", libc::SYS_prlimit64),
        ("umask", libc::SYS_umask),
        ("chdir", libc::SYS_chdir),
        ("setsid", libc::SYS_setsid),
        ("fcntl", libc::SYS_fcntl),
    ];
    let cpu = 0;
    for call in calls {
        for error in ERRORS {
            refused(call, error, || {
                let builder = Builder::new()
                    .name("refused")
                    .nice(1)
                    .affinity([cpu])
                    .rlimit(tine::process::Resource::Core, Some(0), Some(0))
                    .umask(0o22)
                    .dir("/")
                    .new_session()
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .close_other_fds();
                worked_or_was_refused(builder.spawn(|| String::from("result")));
            });
        }
    }
}

fn what_the_deadline_calls() {
    for call in [("timer_create", libc::SYS_timer_create), ("timer_settime", libc::SYS_timer_settime)] {
        for error in ERRORS {
            refused(call, error, || {
                let limited = Builder::new().timeout(std::time::Duration::from_secs(60));
                worked_or_was_refused(limited.spawn(|| String::from("result")));
            });
        }
    }
}

fn what_the_parent_calls_to_wait() {
    // The status kept by newer kernels is a convenience: without it, it is unknown.
    refused(("ioctl", libc::SYS_ioctl), Errno::NOTTY, || {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let child = spawn(|| -> () { std::process::exit(3) });
        assert_eq!(child.unwrap().wait().unwrap().cause, Cause::Unknown);
        assert_eq!(spawn(|| 5_u64).unwrap().join().unwrap(), 5);
    });
}
