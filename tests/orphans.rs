//! Children die with their parent: whenever it dies, whichever thread forked, whoever they have become.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use std::io::{Read, Write};
use std::time::Duration;

use refuse::refuse_call;
use rustix::process::{Pid, Signal};
use tine::{Builder, spawn};

fn main() {
    support::run(cases![
        children_and_grandchildren_die_with_their_parent,
        children_of_another_thread_die_with_the_process_not_the_thread,
        children_that_became_somebody_else_die_too,
        children_of_another_thread_that_became_somebody_else_die_too,
        a_parent_that_dies_while_the_child_starts,
        a_child_may_outlive_its_parent_if_told_so,
        descriptors_closed_and_lifeline_kept,
        a_lifeline_is_no_standard_stream,
        children_in_another_pid_namespace,
        a_lifeline_that_cannot_be_had_fails_the_spawn,
        a_child_whose_parent_dies_before_go_never_runs,
    ]);
}

fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(600));
    }
}

/// Runs `middle` in a bare forked child, which makes children that each hold `writer` and write one byte when they
/// are there; kills it when `children` bytes have come; then the pipe's end tells that all are gone.
fn killed_with(children: usize, middle: impl FnOnce(std::io::PipeWriter)) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: a case has one thread; the child never returns.
    let pid = match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            middle(writer);
            sleep()
        }
        pid => Pid::from_raw(pid).unwrap(),
    };
    drop(writer);
    let mut there = vec![0; children];
    reader.read_exact(&mut there).expect("all children are there");
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    let before = std::time::Instant::now();
    assert_eq!(reader.read(&mut there).unwrap(), 0);
    assert!(before.elapsed() < Duration::from_secs(20));
}

/// The body of a child that says that it is there and stays.
fn stays(writer: &std::io::PipeWriter) -> impl FnOnce() + use<> {
    let mut writer = writer.try_clone().unwrap();
    move || {
        writer.write_all(b"!").unwrap();
        sleep()
    }
}

fn children_and_grandchildren_die_with_their_parent() {
    killed_with(3, |writer| {
        spawn(stays(&writer)).unwrap().detach();
        let also = writer.try_clone().unwrap();
        spawn(move || {
            spawn(stays(&also)).unwrap().detach();
            stays(&also)();
        })
        .unwrap()
        .detach();
    });
}

fn children_of_another_thread_die_with_the_process_not_the_thread() {
    // The third that is there is the parent, when it has seen that its children outlive their threads.
    killed_with(3, |mut writer| {
        let mut children = Vec::new();
        for _ in 0..2 {
            let writer = writer.try_clone().unwrap();
            let forked = std::thread::spawn(move || {
                let (began, begins) = std::io::pipe().unwrap();
                let stay = stays(&writer);
                // SAFETY: the main thread only waits for this one, and holds nothing.
                let child = unsafe {
                    tine::process::spawn_unchecked(move || {
                        drop(begins);
                        stay()
                    })
                };
                // A child that has not begun has armed nothing yet, and would outlive this thread by luck.
                std::io::read_to_string(began).unwrap();
                child.unwrap()
            });
            children.push(forked.join().unwrap());
        }
        // Both threads have ended; their children must not have.
        for child in &children {
            assert!(child.wait_timeout(Duration::from_millis(50)).unwrap().is_none(), "it died with its thread");
        }
        writer.write_all(b"!").unwrap();
        std::mem::forget(children);
    });
}

fn children_that_became_somebody_else_die_too() {
    if !rustix::process::geteuid().is_root() {
        support::skip("only root can become somebody else");
    }
    killed_with(1, |writer| Builder::new().uid(65534).gid(65534).spawn(stays(&writer)).unwrap().detach());
}

fn children_of_another_thread_that_became_somebody_else_die_too() {
    if !rustix::process::geteuid().is_root() {
        support::skip("only root can become somebody else");
    }
    killed_with(1, |writer| {
        std::thread::spawn(move || {
            // SAFETY: the main thread only waits for this one, and holds nothing.
            let child = unsafe { Builder::new().uid(65534).gid(65534).spawn_unchecked(stays(&writer)) };
            child.unwrap().detach();
        })
        .join()
        .unwrap();
    });
}

fn a_parent_that_dies_while_the_child_starts() {
    for n in 0..200 {
        let (reader, writer) = std::io::pipe().unwrap();
        // SAFETY: a case has one thread; the child ends by its own hand.
        let pid = match unsafe { libc::fork() } {
            0 => {
                drop(reader);
                // The parent of the child to come is killed a little later each time: before, during and after
                // its fork.
                let _ = spawn(move || {
                    let _writer = &writer;
                    sleep()
                })
                .map(tine::JoinHandle::<()>::detach);
                for _ in 0..n * 50 {
                    std::hint::spin_loop();
                }
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            pid => Pid::from_raw(pid).unwrap(),
        };
        drop(writer);
        for _ in 0..n * 500 {
            std::hint::spin_loop();
        }
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
        // Whatever was made holds the pipe, and must let go of it by dying.
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }
}

fn a_child_may_outlive_its_parent_if_told_so() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (go_on, gate) = std::io::pipe().unwrap();
    // Not waited for here: the runner, a subreaper, inherits it.
    let status = support::in_child(move || {
        drop(gate);
        let child = Builder::new().die_with_parent(false).spawn(move || {
            writer.write_all(b"!").unwrap();
            std::io::read_to_string(go_on).unwrap();
            writer.write_all(b"still here").unwrap();
        });
        child.unwrap().detach();
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::io::read_to_string(reader).unwrap(), "!still here");
}

fn descriptors_closed_and_lifeline_kept() {
    // A child of another thread lives by a descriptor; taking all descriptors must not take that one.
    killed_with(1, |writer| {
        std::thread::spawn(move || {
            let builder = Builder::new().close_other_fds().keep_fd(&writer);
            let mut writer = writer;
            // SAFETY: the main thread only waits for this one, and holds nothing.
            let child = unsafe {
                builder.spawn_unchecked(move || {
                    writer.write_all(b"!").unwrap();
                    sleep()
                })
            };
            tine::JoinHandle::<()>::detach(child.unwrap());
        })
        .join()
        .unwrap();
    });
}

/// Where the program has closed its standard streams, the next descriptors take their numbers; what is printed then
/// must not be written into the pipe that children live by.
fn a_lifeline_is_no_standard_stream() {
    let (reader, writer) = std::io::pipe().unwrap();
    let status = support::in_child(move || {
        // SAFETY: this process's own descriptors; the standard library expects them to come and go.
        unsafe {
            libc::close(0);
            libc::close(1);
        }
        let (mut reader, mut writer) = (reader, writer);
        let forked = std::thread::spawn(move || {
            let there = move || {
                writer.write_all(b"!").unwrap();
                tine::process::stop().wait();
            };
            // SAFETY: the main thread only waits for this one, and holds nothing.
            unsafe { tine::process::spawn_unchecked(there).unwrap() }
        });
        let child = forked.join().unwrap();
        reader.read_exact(&mut [0]).unwrap();
        // SAFETY: the bytes are live. Nothing has number 1, or it is something of the test's.
        unsafe { libc::write(1, b"printed".as_ptr().cast(), 7) };
        assert!(child.wait_timeout(Duration::from_millis(100)).unwrap().is_none(), "it was killed by a print");
        child.request_stop().unwrap();
        child.join().unwrap();
    });
    assert_eq!(status.code(), Some(0));
}

/// There a child sees no parent: its parent's number is 0.
fn children_in_another_pid_namespace() {
    let status = support::in_child(|| {
        // SAFETY: changes only where future children are numbered.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            std::process::exit(77);
        }
        // The first is the init of the namespace.
        let init = spawn(|| tine::process::stop().wait()).unwrap();
        let seen = spawn(|| {
            let parent = tine::process::parent().unwrap();
            (std::process::id(), parent.is_alive(), parent.wait_timeout(Duration::ZERO).is_err())
        });
        assert_eq!(seen.unwrap().join().unwrap(), (2, true, true));
        init.request_stop().unwrap();
        init.join().unwrap();
    });
    match status.code() {
        Some(77) => support::skip("no pid namespace can be made here"),
        code => assert_eq!(code, Some(0)),
    }
    // They die with their parent all the same.
    killed_with(2, |writer| {
        // SAFETY: as above.
        unsafe { libc::unshare(libc::CLONE_NEWPID) };
        spawn(stays(&writer)).unwrap().detach();
        spawn(stays(&writer)).unwrap().detach();
    });
}

fn a_lifeline_that_cannot_be_had_fails_the_spawn() {
    let status = support::in_child(|| {
        refuse_call(libc::SYS_openat, None, libc::ENOENT);
        let forked = std::thread::spawn(|| {
            // SAFETY: the main thread only waits for this one, and holds nothing.
            let refused = unsafe { tine::process::spawn_unchecked(|| ()) };
            let Err(tine::process::SpawnError::Setup { what, source }) = refused else { panic!("{refused:?}") };
            assert!(what.contains("parent's death"), "{what}");
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
            // Who may outlive its parent needs none.
            // SAFETY: as above.
            let child = unsafe { Builder::new().die_with_parent(false).spawn_unchecked(|| 5_u64) };
            assert_eq!(child.unwrap().join().unwrap(), 5);
        });
        forked.join().unwrap();
        assert!(support::children().is_empty());
    });
    assert_eq!(status.code(), Some(0));
}

/// Even one that may outlive its parent: a parent that died before it said GO never counted on it.
fn a_child_whose_parent_dies_before_go_never_runs() {
    struct Deadly(u32);
    impl Drop for Deadly {
        fn drop(&mut self) {
            if std::process::id() == self.0 {
                let wchan = format!("/proc/{}/wchan", support::children()[0].as_raw_nonzero());
                let asleep = || std::fs::read_to_string(&wchan).is_ok_and(|wchan| wchan.contains("futex"));
                support::until("the child waits", asleep);
                rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
            }
        }
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    let status = support::in_child(move || {
        let deadly = Deadly(std::process::id());
        let child = Builder::new().die_with_parent(false).spawn(move || {
            let _deadly = &deadly;
            writer.write_all(b"ran").unwrap();
        });
        drop(child);
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    // The end of the pipe comes when the child is gone.
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}
