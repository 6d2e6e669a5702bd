//! How children end, and what their parents are told: certificates, errors, signals, deadlines.
mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use tine::process::{Cause, JoinError, Ran, Signal, SpawnError, spawn_unchecked, stop};
use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Wire};
use tine::{Builder, JoinHandle, scope, spawn};

fn main() {
    support::run(cases![
        exit_in_the_closure_is_not_success,
        exit_codes_arrive,
        abort_is_a_signal,
        a_fatal_signal_is_named,
        a_fault_is_not_a_stack_overflow,
        a_stack_overflow_is_named,
        a_stack_overflow_on_a_stack_without_an_alternate,
        a_panic_with_a_string_and_with_no_text,
        a_panic_brings_its_backtrace_where_asked,
        a_long_panic_is_cut_to_fit,
        a_panic_in_a_payloads_drop_is_no_second_one,
        a_panic_in_a_captures_drop_is_a_panic,
        a_panic_in_a_result_that_encodes,
        a_result_is_committed_before_its_copy_is_dropped,
        a_panic_that_was_caught_is_none,
        an_unencodable_result,
        an_undecodable_result,
        a_result_that_leaves_bytes_over,
        a_result_larger_than_promised,
        a_result_over_the_file_size_limit,
        errors_of_users_cross,
        killed_before_it_began_ran_no,
        killed_in_the_closure_ran_unknown,
        killed_after_the_commit_is_a_result,
        joining_twice,
        try_join_and_join_timeout,
        join_timeout_in_spite_of_grandchildren,
        wait_after_exec,
        wait_from_several_threads,
        is_finished_and_the_pidfd,
        a_program_that_ignores_sigchld,
        a_program_that_reaps_by_itself,
        a_signal_to_the_dead_hits_nobody,
        who_was_killed_before_it_was_asked_was_not_stopped,
        terminate_runs_no_handler_of_the_parent,
        a_signal_right_after_fork_runs_no_handler_of_the_parent,
        ignored_signals_stay_ignored,
        blocked_signals_are_unblocked,
        kill_tree_takes_those_that_left,
        shutdown_asks_then_terms_then_kills,
        a_timeout_ends_the_child,
        a_timeout_holds_though_nobody_waits,
        a_timeout_with_grace_asks_first,
        a_result_in_the_grace_counts,
        usage_and_age,
        the_oom_killer_is_named,
        waits_survive_a_storm_of_signals,
        a_scope_joins_everybody,
        a_scope_joins_when_its_body_panics,
        a_scope_returns_what_nobody_joined,
        a_scope_in_a_child_does_nothing,
        a_child_whose_death_a_debugger_holds_back,
        a_grace_without_end,
        a_deadline_starts_with_the_closure,
        a_death_before_the_deadline_that_is_looked_at_after_it,
        a_timeout_of_a_child_that_blocks_signals,
        kill_tree_in_spite_of_a_vfork,
        kill_tree_of_a_fork_bomb,
        kill_tree_spares_its_caller,
        a_long_scope_holds_nothing_of_the_joined,
        a_foreign_forks_stack_overflow_is_not_the_childs,
        kill_tree_in_the_middle_of_a_fork,
        a_result_that_was_taken_from_its_file,
    ]);
}

/// What a join that must fail says.
fn failure<T: Wire + std::fmt::Debug>(handle: JoinHandle<T>) -> JoinError {
    handle.join().expect_err("this child has no result")
}

fn exit_in_the_closure_is_not_success() {
    let error = failure(spawn(|| -> u64 { std::process::exit(0) }).unwrap());
    let JoinError::Died(exit) = &error else { panic!("{error:?}") };
    assert_eq!((exit.cause, exit.ran), (Cause::Code(0), Ran::Unknown));
    assert!(exit.success());
}

fn exit_codes_arrive() {
    for code in [0, 1, 3, 101, 255] {
        let child = spawn(move || std::process::exit(code)).unwrap();
        let exit = child.wait().unwrap();
        assert_eq!((exit.cause, exit.status.code()), (Cause::Code(code), Some(code)));
        assert!(matches!(failure::<()>(child), JoinError::Died(_)));
    }
    assert_eq!(spawn(|| ()).unwrap().wait().unwrap().cause, Cause::Code(0));
}

fn abort_is_a_signal() {
    let error = failure(spawn(|| -> u64 { std::process::abort() }).unwrap());
    assert_eq!(error.exit().unwrap().cause, Cause::Signal(Signal::ABORT));
    assert_eq!(error.ran(), Ran::Unknown);
}

fn a_fatal_signal_is_named() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::USR1, Signal::FPE] {
        let error = failure(
            spawn(move || -> u64 {
                rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
                unreachable!()
            })
            .unwrap(),
        );
        assert_eq!(error.exit().unwrap().cause, Cause::Signal(signal));
    }
}

fn a_fault_is_not_a_stack_overflow() {
    let error = failure(
        spawn(|| -> u64 {
            // SAFETY: none. It faults, which is the point.
            unsafe { std::ptr::without_provenance::<u64>(16).read_volatile() }
        })
        .unwrap(),
    );
    assert_eq!(error.exit().unwrap().cause, Cause::Signal(Signal::SEGV));
}

#[allow(unconditional_recursion)]
fn endless(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    std::hint::black_box(endless(n + 1)) + frame[(n % 64) as usize]
}

fn a_stack_overflow_is_named() {
    let error = failure(spawn(|| endless(0)).unwrap());
    let exit = error.exit().unwrap();
    assert_eq!(exit.cause, Cause::StackOverflow, "{exit:?}");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&exit.status), Some(libc::SIGSEGV));
}

fn a_stack_overflow_on_a_stack_without_an_alternate() {
    let error = failure(
        spawn(|| {
            // As in a program whose main is C: no alternate stack was ever set up.
            // SAFETY: a disabled stack needs no memory.
            unsafe {
                let off = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                assert_eq!(libc::sigaltstack(&off, std::ptr::null_mut()), 0);
            }
            let inner = failure(spawn(|| endless(0)).unwrap());
            assert_eq!(inner.exit().unwrap().cause, Cause::StackOverflow);
            endless(0)
        })
        .unwrap(),
    );
    // Without a stack to note it on, the outer one is a plain fault.
    assert_eq!(error.exit().unwrap().cause, Cause::Signal(Signal::SEGV));
}

fn panic_of<T: Wire + std::fmt::Debug>(handle: JoinHandle<T>) -> tine::process::Panic {
    match failure(handle) {
        JoinError::Panicked(panic) => panic,
        other => panic!("{other:?}"),
    }
}

fn a_panic_with_a_string_and_with_no_text() {
    let seven = 7;
    let panic = panic_of(spawn(|| -> u64 { panic!("number {seven}") }).unwrap());
    assert_eq!(panic.message, "number 7");
    assert_eq!(panic.location.unwrap().file, file!());
    let panic = panic_of(spawn(|| -> u64 { std::panic::panic_any(7_u64) }).unwrap());
    assert_eq!(panic.message, "(a payload that is not text)");
    let panic = panic_of(spawn(|| -> u64 { std::panic::resume_unwind(Box::new("raised anew")) }).unwrap());
    assert_eq!((panic.message.as_str(), panic.location), ("raised anew", None));
}

fn a_panic_brings_its_backtrace_where_asked() {
    // The standard library reads the variable once: each answer in a process of its own.
    let asked = |value: &str| {
        let value = value.to_owned();
        let child = Builder::new().env("RUST_BACKTRACE", &value).env_remove("RUST_LIB_BACKTRACE");
        child.spawn(move || panic_of(spawn(|| -> u64 { panic!("as asked") }).unwrap()).backtrace).unwrap()
    };
    let backtrace = asked("1").join().unwrap().expect("it was asked for");
    assert!(backtrace.contains("a_panic_brings_its_backtrace_where_asked"), "{backtrace}");
    assert!(asked("0").join().unwrap().is_none());
}

fn a_long_panic_is_cut_to_fit() {
    // A result of a fixed size gets no file, so the slot has to do; `é` takes two bytes, so a cut may not fall anywhere.
    let child = Builder::new().env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").spawn(|| {
        // SAFETY: a child has one thread.
        unsafe { std::env::remove_var("RUST_BACKTRACE") };
        let panic = panic_of(spawn(|| -> u64 { panic!("{}", "é".repeat(10_000)) }).unwrap());
        panic.message
    });
    let message = child.unwrap().join().unwrap();
    assert!(message.chars().all(|c| c == 'é'));
    assert!((3000..5000).contains(&message.len()), "{}", message.len());
    // With a file it arrives whole.
    let panic = panic_of(spawn(|| -> String { panic!("{}", "é".repeat(10_000)) }).unwrap());
    assert_eq!(panic.message.len(), 20_000);
}

fn a_panic_in_a_payloads_drop_is_no_second_one() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("from the payload");
        }
    }
    let panic = panic_of(spawn(|| -> u64 { std::panic::panic_any(Payload) }).unwrap());
    assert_eq!(panic.message, "(a payload that is not text)");
}

fn a_panic_in_a_captures_drop_is_a_panic() {
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if std::process::id() != self.0 {
                panic!("from the capture");
            }
        }
    }
    let bomb = Bomb(std::process::id());
    let panic = panic_of(
        spawn(move || {
            let _bomb = &bomb;
            1_u64
        })
        .unwrap(),
    );
    assert_eq!(panic.message, "from the capture");
}

/// A result that misbehaves as it is told.
#[derive(Debug)]
struct Awkward(u64);

impl Wire for Awkward {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match self.0 {
            0 => panic!("from encode"),
            1 => return Err(EncodeError::new("not today")),
            2 => out.write(&[1]),
            _ => out.write(&[0; 9]),
        }
        Ok(())
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Awkward, DecodeError> {
        u64::decode(input).map(Awkward)
    }
}

fn a_panic_in_a_result_that_encodes() {
    assert_eq!(panic_of(spawn(|| Awkward(0)).unwrap()).message, "from encode");
}

fn a_result_is_committed_before_its_copy_is_dropped() {
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            match self.0 {
                0 => {}
                1 => panic!("from the drop of the result"),
                _ => std::process::abort(),
            }
        }
    }
    impl Wire for Bomb {
        fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
            self.0.encode(out)
        }
        // What arrives is harmless.
        fn decode(input: &mut Decoder<'_>) -> Result<Bomb, DecodeError> {
            u32::decode(input).map(|_| Bomb(0))
        }
    }
    for kind in [0, 1, 2] {
        let child = spawn(move || Bomb(kind)).unwrap();
        assert_eq!(child.wait().unwrap().ran, Ran::Yes);
        assert_eq!(child.join().map(|bomb| bomb.0).unwrap(), 0);
    }
}

fn a_panic_that_was_caught_is_none() {
    let child = spawn(|| u64::from(std::panic::catch_unwind(|| panic!("inside")).is_err()));
    assert_eq!(child.unwrap().join().unwrap(), 1);
}

fn an_unencodable_result() {
    let error = failure(spawn(|| Awkward(1)).unwrap());
    assert_eq!(error.ran(), Ran::Yes);
    let JoinError::Encode(why) = error else { panic!("{error:?}") };
    assert!(why.to_string().contains("not today"), "{why}");
}

fn an_undecodable_result() {
    let error = failure(spawn(|| Awkward(2)).unwrap());
    assert!(matches!(error, JoinError::Decode(_)), "{error:?}");
    assert_eq!(error.ran(), Ran::Yes);
}

fn a_result_that_leaves_bytes_over() {
    assert!(matches!(failure(spawn(|| Awkward(3)).unwrap()), JoinError::Decode(_)));
}

fn a_result_larger_than_promised() {
    #[derive(Debug)]
    struct Liar;
    impl Wire for Liar {
        const MAX_SIZE: Option<usize> = Some(1);
        fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
            out.write(&[0; 100_000]);
            Ok(())
        }
        fn decode(_: &mut Decoder<'_>) -> Result<Liar, DecodeError> {
            Ok(Liar)
        }
    }
    let child = Builder::new().env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").spawn(|| {
        let error = failure(spawn(|| Liar).unwrap());
        assert_eq!(error.ran(), Ran::Yes);
        matches!(error, JoinError::Io(e) if e.raw_os_error() == Some(libc::EOVERFLOW))
    });
    assert!(child.unwrap().join().unwrap());
}

fn a_result_over_the_file_size_limit() {
    let limited = Builder::new().rlimit(tine::process::Resource::Fsize, Some(10_000), Some(10_000));
    let error = failure(limited.spawn(|| "x".repeat(100_000)).unwrap());
    let JoinError::Io(why) = &error else { panic!("{error:?}") };
    assert_eq!((why.raw_os_error(), error.ran()), (Some(libc::EFBIG), Ran::Yes));
}

fn errors_of_users_cross() {
    let child = spawn(|| -> Result<u64, std::io::Error> {
        std::fs::File::open("/nowhere/at/all")?;
        Ok(1)
    });
    assert_eq!(child.unwrap().join().unwrap().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let child = spawn(|| -> Result<u64, Box<dyn std::error::Error + Send + Sync>> { Ok("x1".parse::<u64>()?) });
    assert!(child.unwrap().join().unwrap().unwrap_err().to_string().contains("invalid digit"));
}

fn killed_before_it_began_ran_no() {
    // The hook runs before the closure is entered.
    tine::process::after_fork_in_child(|| {
        rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
    });
    let error = failure(spawn(|| 1_u64).unwrap());
    assert!(matches!(error, JoinError::Died(_)));
    assert_eq!(error.ran(), Ran::No);
}

fn killed_in_the_closure_ran_unknown() {
    let child = spawn(|| -> u64 { endless_sleep() }).unwrap();
    child.kill().unwrap();
    let error = failure(child);
    // It may not have come that far.
    assert!(matches!(error.ran(), Ran::Unknown | Ran::No));
    assert_eq!(error.exit().unwrap().cause, Cause::Signal(Signal::KILL));
}

fn endless_sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(600));
    }
}

fn killed_after_the_commit_is_a_result() {
    // The flush of stdout comes after the commit: a full pipe holds the child there.
    let (reader, writer) = std::io::pipe().unwrap();
    let (done, doing) = std::io::pipe().unwrap();
    let child = Builder::new().stdout(OwnedFd::from(writer)).spawn(move || {
        // Larger than the pipe, without a newline, in the buffer of a LineWriter: some stays buffered.
        rustix::io::ioctl_fionbio(std::io::stdout(), true).unwrap();
        let filler = [b'x'; 4096];
        while rustix::io::write(std::io::stdout(), &filler).is_ok() {}
        rustix::io::ioctl_fionbio(std::io::stdout(), false).unwrap();
        print!("held in the buffer");
        drop(doing);
        42_u64
    });
    let child = child.unwrap();
    std::io::read_to_string(done).unwrap();
    let stat = format!("/proc/{}/wchan", child.id());
    support::until("the child is stuck in its flush", || {
        std::fs::read_to_string(&stat).is_ok_and(|w| w.contains("pipe")) && !child.is_finished()
    });
    child.kill().unwrap();
    let exit = child.wait().unwrap();
    assert_eq!((exit.cause, exit.ran), (Cause::Signal(Signal::KILL), Ran::Yes));
    assert_eq!(child.join().unwrap(), 42);
    drop(reader);
}

fn joining_twice() {
    let mut child = spawn(|| 5_u64).unwrap();
    child.wait().unwrap();
    assert_eq!(child.try_join().unwrap(), Some(5));
    assert!(matches!(child.try_join(), Err(JoinError::AlreadyJoined)));
    assert!(matches!(child.join(), Err(JoinError::AlreadyJoined)));
}

fn try_join_and_join_timeout() {
    let mut child = spawn(|| {
        stop().wait();
        5_u64
    })
    .unwrap();
    assert_eq!(child.try_join().unwrap(), None);
    assert_eq!(child.join_timeout(Duration::ZERO).unwrap(), None);
    let before = Instant::now();
    assert_eq!(child.join_timeout(Duration::from_millis(50)).unwrap(), None);
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert!(!child.is_finished());
    child.request_stop().unwrap();
    // A limit beyond any clock is none.
    assert_eq!(child.join_timeout(Duration::MAX).unwrap(), Some(5));
}

fn join_timeout_in_spite_of_grandchildren() {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = spawn(|| {
        // Outlives the child, and holds what the child would have told its end by: everything but `writer`.
        let grandchild = Builder::new().die_with_parent(false).close_other_fds().keep_fd(&reader);
        grandchild.spawn(|| std::io::read_to_string(&reader).map(|_| ())).unwrap().detach();
        7_u64
    });
    let mut child = child.unwrap();
    assert_eq!(child.join_timeout(Duration::from_secs(20)).unwrap(), Some(7));
    drop(writer);
}

fn wait_after_exec() {
    let child = spawn(|| -> u64 {
        let error =
            std::os::unix::process::CommandExt::exec(std::process::Command::new("/bin/sh").args(["-c", "exit 9"]));
        panic!("{error}")
    });
    let error = failure(child.unwrap());
    assert_eq!(error.exit().unwrap().cause, Cause::Code(9));
}

fn wait_from_several_threads() {
    for _ in 0..20 {
        let child = spawn(|| {
            stop().wait();
            3_u64
        })
        .unwrap();
        std::thread::scope(|s| {
            let waiters: Vec<_> = (0..8).map(|_| s.spawn(|| child.wait().unwrap().cause)).collect();
            child.request_stop().unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Cause::Code(0));
            }
        });
        assert_eq!(child.join().unwrap(), 3);
    }
}

fn is_finished_and_the_pidfd() {
    let child = spawn(|| stop().wait()).unwrap();
    let ready = |limit| {
        let mut fds = [rustix::event::PollFd::new(&child, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: limit, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(!child.is_finished() && !ready(0));
    child.request_stop().unwrap();
    assert!(ready(20) && child.is_finished());
    let _ = child.as_fd();
    child.join().unwrap();
}

fn a_program_that_ignores_sigchld() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for n in 0..100_u64 {
        assert_eq!(spawn(move || n).unwrap().join().unwrap(), n);
    }
    let child = spawn(|| std::process::exit(3)).unwrap();
    // Linux 6.15 and later keep the status of what nobody reaped; before, it is unknown.
    let exit = child.wait().unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut version = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let kept = (version.next(), version.next()) >= (Some(6), Some(15));
    assert_eq!(exit.cause, if kept { Cause::Code(3) } else { Cause::Unknown }, "{exit:?}");
    assert!(matches!(failure::<()>(child), JoinError::Died(_)));
    let panic = panic_of(spawn(|| -> u64 { panic!("as asked") }).unwrap());
    assert_eq!(panic.message, "as asked");
}

fn a_program_that_reaps_by_itself() {
    let child = spawn(|| 5_u64).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    let exit = child.wait().unwrap();
    assert!(matches!(exit.cause, Cause::Code(0) | Cause::Unknown), "{exit:?}");
    assert_eq!(child.join().unwrap(), 5);
    // A handler that reaps everything, as old programs have.
    extern "C" fn reap_all(_: i32) {
        // SAFETY: waitpid is async-signal-safe.
        unsafe { while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {} }
    }
    // SAFETY: the handler is async-signal-safe.
    unsafe { libc::signal(libc::SIGCHLD, reap_all as *const () as usize) };
    for n in 0..200_u64 {
        assert_eq!(spawn(move || n).unwrap().join().unwrap(), n);
    }
}

fn a_signal_to_the_dead_hits_nobody() {
    let child = spawn(|| 1_u64).unwrap();
    child.wait().unwrap();
    // Reaped: the number is free for others, and the handle still cannot reach them.
    child.kill().unwrap();
    child.terminate().unwrap();
    child.kill_tree().unwrap();
    child.request_stop().unwrap();
    assert_eq!(child.shutdown(Duration::ZERO).unwrap().cause, Cause::Code(0));
    assert_eq!(child.join().unwrap(), 1);
}

fn who_was_killed_before_it_was_asked_was_not_stopped() {
    let child = spawn(|| -> u64 { endless_sleep() }).unwrap();
    child.kill().unwrap();
    support::until("it has ended", || child.is_finished());
    child.request_stop().unwrap();
    assert_eq!(child.shutdown(Duration::ZERO).unwrap().cause, Cause::Signal(Signal::KILL));
}

extern "C" fn the_parents_handler(_: i32) {
    // SAFETY: `_exit` is async-signal-safe.
    unsafe { libc::_exit(77) }
}

fn terminate_runs_no_handler_of_the_parent() {
    // SAFETY: the handler only ends the process.
    unsafe { libc::signal(libc::SIGTERM, the_parents_handler as *const () as usize) };
    let child = spawn(|| -> u64 { endless_sleep() }).unwrap();
    child.terminate().unwrap();
    assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::TERM));
}

fn a_signal_right_after_fork_runs_no_handler_of_the_parent() {
    // SAFETY: the handler only ends the process.
    unsafe { libc::signal(libc::SIGTERM, the_parents_handler as *const () as usize) };
    for _ in 0..500 {
        let child = spawn(|| -> u64 { endless_sleep() }).unwrap();
        // It is somewhere between the fork and the closure.
        child.terminate().unwrap();
        assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::TERM));
    }
}

/// A field of `/proc/PID/status` that is a mask of signals.
fn mask(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn ignored_signals_stay_ignored() {
    // SAFETY: ignoring a signal runs no code; the handler only ends the process.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGUSR1, the_parents_handler as *const () as usize);
    }
    let inside = spawn(|| (mask(std::process::id(), "SigIgn:"), mask(std::process::id(), "SigCgt:"), 0_u64)).unwrap();
    let (ignored_inside, caught_inside, _) = inside.join().unwrap();
    assert_ne!(ignored_inside & bit(libc::SIGHUP), 0);
    assert_ne!(ignored_inside & bit(libc::SIGPIPE), 0, "Rust programs ignore it");
    assert_eq!(caught_inside & bit(libc::SIGUSR1), 0);
}

fn blocked_signals_are_unblocked() {
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    let inside = spawn(|| mask(std::process::id(), "SigBlk:")).unwrap();
    assert_eq!(inside.join().unwrap(), 0);
    assert_eq!(mask(std::process::id(), "SigBlk:"), bit(libc::SIGTERM), "the parent's own mask is back");
}

fn kill_tree_takes_those_that_left() {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = spawn(move || {
        let leave = || Builder::new().die_with_parent(false).new_session();
        let there = writer.try_clone().unwrap();
        let grandchild = leave().spawn(move || {
            let also = there.try_clone().unwrap();
            let great = leave().spawn(move || {
                std::io::Write::write_all(&mut &also, b"g").unwrap();
                endless_sleep()
            });
            let _great: JoinHandle<()> = great.unwrap();
            std::io::Write::write_all(&mut &there, b"c").unwrap();
            endless_sleep()
        });
        let _grandchild: JoinHandle<()> = grandchild.unwrap();
        let group = Builder::new().die_with_parent(false).spawn(|| endless_sleep());
        let _group: JoinHandle<()> = group.unwrap();
        std::io::Write::write_all(&mut &writer, b"p").unwrap();
        endless_sleep()
    });
    let child: JoinHandle<()> = child.unwrap();
    let mut there = [0; 3];
    std::io::Read::read_exact(&mut &reader, &mut there).unwrap();
    child.kill_tree().unwrap();
    assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::KILL));
    // All of them held the pipe's other end: its end of file is theirs.
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}

fn shutdown_asks_then_terms_then_kills() {
    let gentle = spawn(|| {
        stop().wait();
        5_u64
    })
    .unwrap();
    assert_eq!(gentle.shutdown(Duration::from_secs(40)).unwrap().cause, Cause::Code(0));
    assert_eq!(gentle.join().unwrap(), 5);

    let deaf = spawn(|| -> u64 { endless_sleep() }).unwrap();
    let exit = deaf.shutdown(Duration::from_millis(20)).unwrap();
    assert_eq!(exit.cause, Cause::Stopped);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&exit.status), Some(libc::SIGTERM));

    let (reader, writer) = std::io::pipe().unwrap();
    let stubborn = spawn(move || -> u64 {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        drop(writer);
        endless_sleep()
    })
    .unwrap();
    std::io::read_to_string(reader).unwrap();
    let exit = stubborn.shutdown(Duration::from_millis(20)).unwrap();
    assert_eq!(exit.cause, Cause::Stopped);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&exit.status), Some(libc::SIGKILL));
}

fn a_timeout_ends_the_child() {
    let child = Builder::new().timeout(Duration::from_millis(30)).spawn(|| -> u64 { endless_sleep() }).unwrap();
    let error = failure(child);
    let JoinError::TimedOut(exit) = &error else { panic!("{error:?}") };
    assert_eq!((exit.cause, exit.ran), (Cause::TimedOut, Ran::Unknown));
    assert!(exit.age >= Duration::from_millis(30));
    let quick = Builder::new().timeout(Duration::from_secs(600)).spawn(|| 1_u64).unwrap();
    assert_eq!(quick.join().unwrap(), 1);
    let for_ever = Builder::new().timeout(Duration::MAX).grace(Duration::MAX).spawn(|| 1_u64).unwrap();
    assert_eq!(for_ever.join().unwrap(), 1);
}

fn a_timeout_holds_though_nobody_waits() {
    let child = Builder::new().timeout(Duration::from_millis(30)).spawn(|| -> u64 {
        // Deaf to everything that can be ignored or blocked.
        for signal in 1..=64 {
            // SAFETY: ignoring signals runs no code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        loop {
            std::hint::spin_loop();
        }
    });
    let child = child.unwrap();
    // Only looks; does not wait in the library.
    support::until("the kernel has ended it", || child.is_finished());
    assert!(matches!(failure(child), JoinError::TimedOut(_)));
}

fn a_timeout_with_grace_asks_first() {
    let (reader, writer) = std::io::pipe().unwrap();
    let limited = || Builder::new().timeout(Duration::from_millis(30)).grace(Duration::from_secs(20));
    let child = limited().spawn(move || -> u64 {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        stop().wait();
        std::io::Write::write_all(&mut &writer, b"asked").unwrap();
        std::process::abort()
    });
    let child = child.unwrap();
    assert_eq!(std::io::read_to_string(reader).unwrap(), "asked");
    assert!(matches!(failure(child), JoinError::TimedOut(_)));
    // Deaf to the flag, not to SIGTERM.
    let limited = Builder::new().timeout(Duration::from_millis(30)).grace(Duration::from_millis(200));
    let error = failure(limited.spawn(|| -> u64 { endless_sleep() }).unwrap());
    let JoinError::TimedOut(exit) = error else { panic!("{error:?}") };
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&exit.status), Some(libc::SIGTERM));
    assert!(exit.age >= Duration::from_millis(130), "before half of the grace: {exit}");
}

fn a_result_in_the_grace_counts() {
    // Cooperative, and no more: SIGTERM, which would end it, comes later.
    let limited = Builder::new().timeout(Duration::from_millis(30)).grace(Duration::from_secs(40));
    let child = limited.spawn(|| {
        stop().wait();
        11_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 11);
}

fn usage_and_age() {
    let child = spawn(|| {
        let used = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let mut memory = vec![0_u8; 32 << 20];
        memory.iter_mut().step_by(4096).for_each(|b| *b = 1);
        let mut n = 0_u64;
        while (used().tv_sec, used().tv_nsec) < (0, 60_000_000) {
            n = std::hint::black_box(n + 1);
        }
        std::hint::black_box(&memory);
    });
    let exit = child.unwrap().wait().unwrap();
    assert!(exit.usage.user + exit.usage.system >= Duration::from_millis(50), "{exit:?}");
    assert!(exit.usage.peak_memory >= 32 << 20, "{exit:?}");
    assert!(exit.usage.minor_faults >= 32 * 256, "{exit:?}");
    assert!(exit.age >= Duration::from_millis(60), "{exit:?}");
    assert!(exit.to_string().contains("exited with code 0"), "{exit}");
}

fn the_oom_killer_is_named() {
    let root = std::path::Path::new("/sys/fs/cgroup/memory");
    let group = root.join(format!("tine-test-{}", std::process::id()));
    if std::fs::create_dir(&group).is_err() {
        support::skip("no memory cgroup of version 1 can be made here");
    }
    let outcome = support::in_child(|| {
        std::fs::write(group.join("memory.limit_in_bytes"), "67108864").unwrap();
        let _ = std::fs::write(group.join("memory.memsw.limit_in_bytes"), "67108864");
        std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        // A SIGKILL that is not for want of memory is not taken for one.
        let child = spawn(|| -> u64 { endless_sleep() }).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(child.id() as i32).unwrap(), Signal::KILL)
            .unwrap();
        assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::KILL));
        let child = spawn(|| {
            let mut hog = vec![0_u8; 512 << 20];
            hog.iter_mut().step_by(4096).for_each(|b| *b = 1);
            std::hint::black_box(&hog);
            1_u64
        });
        let error = failure(child.unwrap());
        assert_eq!(error.exit().unwrap().cause, Cause::OutOfMemory, "{error}");
    });
    support::until("the cgroup is empty", || std::fs::remove_dir(&group).is_ok());
    assert_eq!(outcome.code(), Some(0));
}

/// A thousand signals a second, whose handler interrupts system calls.
fn storm() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing; the structs are valid when zero.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
        libc::setitimer(
            libc::ITIMER_REAL,
            &libc::itimerval { it_interval: every, it_value: every },
            std::ptr::null_mut(),
        );
    }
}

fn waits_survive_a_storm_of_signals() {
    storm();
    let mut child = spawn(|| {
        storm();
        stop().wait_timeout(Duration::from_millis(100));
        7_u64
    })
    .unwrap();
    let before = Instant::now();
    assert_eq!(child.join_timeout(Duration::from_millis(30)).unwrap(), None);
    assert!(before.elapsed() >= Duration::from_millis(30));
    assert_eq!(child.join().unwrap(), 7);
    for n in 0..50_u64 {
        assert_eq!(Builder::new().name("stormy").umask(0o22).spawn(move || n).unwrap().join().unwrap(), n);
    }
    assert_eq!(spawn(|| "x".repeat(1 << 20)).unwrap().join().unwrap().len(), 1 << 20);
    // SAFETY: a zero timer is off.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &std::mem::zeroed(), std::ptr::null_mut()) };
}

fn a_scope_joins_everybody() {
    let numbers = [1_u64, 2, 3, 4];
    let mut sums = Vec::new();
    let quiet = scope(|s| {
        let handles: Vec<_> = numbers.chunks(2).map(|c| s.spawn(|| c.iter().sum::<u64>()).unwrap()).collect();
        s.spawn(|| ()).unwrap();
        Builder::new().name("scoped").spawn_scoped(s, || ()).unwrap();
        sums.extend(handles.into_iter().map(|h| h.join().unwrap()));
        "done"
    });
    assert_eq!((quiet.unwrap(), sums), ("done", vec![3, 7]));
    assert!(support::children().is_empty());
}

fn a_scope_joins_when_its_body_panics() {
    /// Lets the child go on when the body is being unwound, and not before.
    struct Unwinding(std::io::PipeWriter);
    impl Drop for Unwinding {
        fn drop(&mut self) {
            std::io::Write::write_all(&mut self.0, b"!").unwrap();
        }
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let (gate, opens) = std::io::pipe().unwrap();
    let panicked = std::panic::catch_unwind(|| {
        scope(|s| {
            let _unwinding = Unwinding(opens);
            s.spawn(|| {
                std::io::Read::read_exact(&mut &gate, &mut [0]).unwrap();
                std::io::Write::write_all(&mut &writer, b"done").unwrap();
            })
            .unwrap();
            panic!("the body");
        })
        .map(|(): ()| ())
    });
    assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "the body");
    assert!(support::children().is_empty(), "the child was not joined");
    drop(writer);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "done");
}

fn a_scope_returns_what_nobody_joined() {
    let one = scope(|s| {
        s.spawn(|| -> u64 { panic!("first") }).unwrap();
        assert!(s.spawn(|| -> u64 { panic!("taken") }).unwrap().join().is_err());
        s.spawn(|| 1_u64).unwrap();
    });
    assert!(matches!(one, Err(JoinError::Panicked(p)) if p.message == "first"));
    let two = scope(|s| {
        s.spawn(|| -> u64 { panic!("first") }).unwrap();
        s.spawn(|| -> u64 { std::process::exit(4) }).unwrap();
    });
    let Err(JoinError::Several(all)) = two else { panic!("{two:?}") };
    assert!(matches!(&all[..], [JoinError::Panicked(_), JoinError::Died(_)]), "{all:?}");
}

fn a_scope_in_a_child_does_nothing() {
    scope(|s| {
        let sibling = s.spawn(|| stop().wait()).unwrap();
        let refused = s.spawn(|| matches!(s.spawn(|| ()), Err(SpawnError::NotOwner))).unwrap();
        assert!(refused.join().unwrap());
        assert!(!sibling.is_finished());
        sibling.request_stop().unwrap();
    })
    .unwrap();
    // A child made by other means that comes back through the scope's end waits for nobody, and finds no failures.
    let here = std::process::id();
    let ended = scope(|s| {
        let sibling = s.spawn(|| stop().wait()).unwrap();
        // SAFETY: a case has one thread, and the child ends right behind the scope.
        let pid = unsafe { libc::fork() };
        if pid > 0 {
            let mut status = 0;
            // SAFETY: our own child and a live int.
            unsafe { libc::waitpid(pid, &mut status, 0) };
            assert_eq!(status, 0);
            sibling.request_stop().unwrap();
        }
    });
    if std::process::id() != here {
        // SAFETY: ends the copy.
        unsafe { libc::_exit(i32::from(ended.is_err())) }
    }
    ended.unwrap();
    // SAFETY: a case has one thread; the loan check is in this path too, and nothing is checked besides.
    let child = unsafe { spawn_unchecked(|| 1_u64) };
    assert_eq!(child.unwrap().join().unwrap(), 1);
}

/// A traced process that has ended is told to its tracer first. Until that has looked, its parent sees it ended but
/// cannot reap it: waits with a limit end in time, and the others do not burn the processor.
fn a_child_whose_death_a_debugger_holds_back() {
    let mut child = spawn(|| -> u64 { endless_sleep() }).unwrap();
    let pid = child.id() as i32;
    let (reader, writer) = std::io::pipe().unwrap();
    let tracer = spawn(move || {
        // SAFETY: these calls read integers only.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
        std::io::Write::write_all(&mut &writer, if seized == 0 { b"y" } else { b"n" }).unwrap();
        stop().wait();
    })
    .unwrap();
    let mut seized = [0];
    std::io::Read::read_exact(&mut &reader, &mut seized).unwrap();
    if seized != *b"y" {
        tracer.kill().unwrap();
        child.kill().unwrap();
        let _ = (tracer.wait(), child.wait());
        support::skip("processes cannot be traced here");
    }
    child.kill().unwrap();
    support::until("it has ended", || child.is_finished());
    assert!(child.try_join().unwrap().is_none());
    let before = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    assert!(child.join_timeout(Duration::from_millis(200)).unwrap().is_none());
    let after = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let burnt = (after.tv_sec - before.tv_sec) * 1_000_000_000 + after.tv_nsec - before.tv_nsec;
    assert!(burnt < 100_000_000, "{burnt} ns of processor time in 200 ms of waiting");
    // The tracer's end lets go of it.
    tracer.request_stop().unwrap();
    tracer.join().unwrap();
    assert_eq!(failure(child).exit().unwrap().cause, Cause::Signal(Signal::KILL));
}

fn a_grace_without_end() {
    let limited = Builder::new().timeout(Duration::from_millis(20)).grace(Duration::MAX);
    let child = limited.spawn(|| {
        stop().wait();
        11_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 11);
}

fn a_deadline_starts_with_the_closure() {
    const LIMIT: Duration = Duration::from_secs(1);
    /// A capture that the parent takes longer to drop than the child may run.
    struct Slow(u32);
    impl Drop for Slow {
        fn drop(&mut self) {
            let start = Instant::now();
            while std::process::id() == self.0 && start.elapsed() <= LIMIT {
                std::thread::yield_now();
            }
        }
    }
    let slow = Slow(std::process::id());
    let child = Builder::new().timeout(LIMIT).spawn(move || {
        let _slow = &slow;
        // Long enough for the parent to look meanwhile.
        std::thread::sleep(Duration::from_millis(20));
        5_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 5);
}

fn a_death_before_the_deadline_that_is_looked_at_after_it() {
    const LIMIT: Duration = Duration::from_millis(300);
    let start = Instant::now();
    let child = Builder::new().timeout(LIMIT).spawn(|| -> u64 { endless_sleep() }).unwrap();
    // By somebody who is not the handle.
    rustix::process::kill_process(rustix::process::Pid::from_raw(child.id() as i32).unwrap(), Signal::KILL).unwrap();
    support::until("it is dead", || child.is_finished());
    if start.elapsed() >= LIMIT {
        support::skip("this machine is too slow to tell the two apart");
    }
    std::thread::sleep(LIMIT);
    assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::KILL));
    assert!(matches!(failure(child), JoinError::Died(_)));
}

fn a_timeout_of_a_child_that_blocks_signals() {
    let child = Builder::new().timeout(Duration::from_millis(30)).spawn(|| -> u64 {
        // SAFETY: the set is filled before it is used.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        }
        endless_sleep()
    });
    let child = child.unwrap();
    support::until("the kernel has ended it", || child.is_finished());
    assert!(matches!(failure(child), JoinError::TimedOut(_)));
}

/// Who waits for a vfork cannot be stopped, and never returns while its child is stopped.
fn kill_tree_in_spite_of_a_vfork() {
    extern "C" fn pause(_: *mut libc::c_void) -> i32 {
        loop {
            // SAFETY: has no preconditions.
            unsafe { libc::pause() };
        }
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let child = spawn(move || -> u64 {
        let mut stack = vec![0_u128; 4096];
        std::io::Write::write_all(&mut &writer, b"!").unwrap();
        // SAFETY: the process on the stack never returns, and neither does this one.
        unsafe {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(pause, stack.as_mut_ptr().add(4096).cast(), flags, std::ptr::null_mut());
        }
        endless_sleep()
    })
    .unwrap();
    std::io::Read::read_exact(&mut &reader, &mut [0]).unwrap();
    let state = format!("/proc/{}/stat", child.id());
    support::until("it waits for its vfork", || std::fs::read_to_string(&state).unwrap().contains(") D "));
    child.kill_tree().unwrap();
    assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::KILL));
    assert_eq!(std::io::read_to_string(reader).unwrap(), "", "all who held the pipe are gone");
}

fn kill_tree_of_a_fork_bomb() {
    if !rustix::process::geteuid().is_root() {
        support::skip("only root can become a user that nobody else is, whose processes are counted alone");
    }
    for n in 0..3 {
        let (mut reader, writer) = std::io::pipe().unwrap();
        // Zombies count as well, so each has a user of its own.
        let nobody_else = support::nobodys_uid() + 10_000_000 * n;
        let bomb = Builder::new().uid(nobody_else).rlimit(tine::process::Resource::Nproc, Some(60), Some(60));
        let bomb = bomb.spawn(move || -> u64 {
            let mut told = false;
            loop {
                // SAFETY: one thread, and all of them go on in this loop. They end with the test.
                if unsafe { libc::fork() } == -1 && !told {
                    told = true;
                    let _ = std::io::Write::write_all(&mut &writer, b"!");
                }
            }
        });
        let bomb = bomb.unwrap();
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        bomb.kill_tree().unwrap();
        assert_eq!(bomb.wait().unwrap().cause, Cause::Signal(Signal::KILL));
        // The end of the pipe comes when the last of them is gone.
        std::io::read_to_string(reader).unwrap();
    }
}

/// A parent may join the process group that its child leads.
fn kill_tree_spares_its_caller() {
    let status = support::in_child(|| {
        let bystander = spawn(|| stop().wait()).unwrap();
        let leader = Builder::new().new_process_group().spawn(|| -> u64 { endless_sleep() }).unwrap();
        let group = rustix::process::Pid::from_raw(leader.id() as i32);
        rustix::process::setpgid(None, group).unwrap();
        leader.kill_tree().unwrap();
        leader.wait().unwrap();
        assert!(!bystander.is_finished(), "another child of the caller was taken for a descendant");
        bystander.request_stop().unwrap();
        bystander.join().unwrap();
    });
    assert_eq!(status.code(), Some(0));
}

fn a_long_scope_holds_nothing_of_the_joined() {
    spawn(|| ()).unwrap().join().unwrap();
    let before = support::descriptors().len();
    let outcome = scope(|s| {
        let kept = s.spawn(|| stop().wait()).unwrap();
        for n in 0..200_u64 {
            assert_eq!(s.spawn(move || n).unwrap().join().unwrap(), n);
            assert!(support::descriptors().len() < before + 40, "descriptors of joined children pile up");
        }
        assert!(s.spawn(|| -> u64 { panic!("taken") }).unwrap().join().is_err());
        s.spawn(|| -> u64 { panic!("left") }).unwrap();
        for n in 0..200_u64 {
            s.spawn(move || n).unwrap().join().unwrap();
        }
        kept.request_stop().unwrap();
    });
    assert!(matches!(outcome, Err(JoinError::Panicked(p)) if p.message == "left"));
}

fn a_foreign_forks_stack_overflow_is_not_the_childs() {
    let error = failure(
        spawn(|| -> u64 {
            let status = support::in_child(|| assert_eq!(endless(0), 0));
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGSEGV));
            // SAFETY: none. It faults, which is the point.
            unsafe { std::ptr::without_provenance::<u64>(16).read_volatile() }
        })
        .unwrap(),
    );
    assert_eq!(error.exit().unwrap().cause, Cause::Signal(Signal::SEGV));
}

/// A stop takes effect when its process next leaves the kernel: a fork that has begun is finished first, and its child
/// is not stopped.
fn kill_tree_in_the_middle_of_a_fork() {
    for _ in 0..5 {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = spawn(move || -> u64 {
            // Ten thousand mappings make a fork take long.
            // SAFETY: the pages are new, and nobody looks at them.
            unsafe {
                const PAGES: usize = 10_000;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let pages = libc::mmap(std::ptr::null_mut(), PAGES * 4096, libc::PROT_READ, flags, -1, 0);
                for page in (0..PAGES).step_by(2) {
                    libc::mprotect(pages.byte_add(page * 4096), 4096, libc::PROT_NONE);
                }
            }
            for _ in 0..20 {
                // SAFETY: a child has one thread, and so has its child, which stays here.
                if unsafe { libc::fork() } == 0 {
                    let _ = std::io::Write::write_all(&mut &writer, b"!");
                    endless_sleep();
                }
            }
            endless_sleep()
        });
        let child = child.unwrap();
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        child.kill_tree().unwrap();
        assert_eq!(child.wait().unwrap().cause, Cause::Signal(Signal::KILL));
        // The end of the pipe comes when the last of them is gone.
        std::io::read_to_string(reader).unwrap();
    }
}

/// The length of a result is the child's word, the size of its file is the kernel's.
fn a_result_that_was_taken_from_its_file() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let child = spawn(move || {
        let here = std::process::id();
        // SAFETY: a child has one thread. The copy ends here.
        if unsafe { libc::fork() } == 0 {
            support::until("the result is there", || std::os::unix::process::parent_id() != here);
            for (number, what) in support::descriptors() {
                if what.contains("tine-result") {
                    let file = std::fs::File::options().write(true).open(format!("/proc/self/fd/{number}"));
                    file.and_then(|file| file.set_len(100)).unwrap();
                }
            }
            drop(writer);
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        "x".repeat(1 << 20)
    })
    .unwrap();
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    let error = failure(child);
    assert!(matches!(&error, JoinError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof), "{error}");
}
