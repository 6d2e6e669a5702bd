//! Whose an end is, and how it changes hands.

use tine::channel::{DuplexRecvError, DuplexSendError, duplex};
use tine::process::{Builder, stop};

use crate::support::{Case, in_child};
use crate::{LONG, cases};

pub const CASES: &[Case] = cases![
    what_is_borrowed_stays_the_parents,
    a_sibling_keeps_nothing_open,
    an_end_inside_of_something_goes_with_it,
    a_grandchild_gets_what_a_child_was_given,
    siblings_talk_to_each_other,
    both_ends_go_to_one_child,
    a_child_that_closes_all_else_keeps_what_it_was_given,
    a_spawn_that_fails_hands_over_nothing,
    a_foreign_fork_owns_nothing,
    a_foreign_copy_does_not_hide_a_clean_end,
    who_takes_over_goes_on_behind_what_was_begun,
    a_child_lets_go_of_what_it_was_not_given,
    captures_that_are_kept_are_not_handed_over,
    out_of_descriptors_is_an_error_and_leaks_nothing,
    a_panicking_child_closes_its_end,
    a_hundred_channels_go_to_one_child,
];

fn what_is_borrowed_stays_the_parents() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(|| {
        let sent = matches!(there.send(3), Err(DuplexSendError::NotOwner(3)))
            && matches!(there.try_send(3), Err(DuplexSendError::NotOwner(3)));
        let received = matches!(there.recv(), Err(DuplexRecvError::NotOwner))
            && matches!(there.try_recv(), Err(DuplexRecvError::NotOwner))
            && matches!(here.recv_timeout(LONG), Err(DuplexRecvError::NotOwner));
        (sent, received, there.send(3).unwrap_err().to_string(), there.iter().count())
    })
    .unwrap();
    let (sent, received, error, told) = child.join().unwrap();
    assert!(sent && received && error.contains("move it into the closure"), "{error}");
    assert_eq!(told, 1);
    here.send(1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
    there.send(2).unwrap();
    assert_eq!(here.recv().unwrap(), 2);
}

fn a_sibling_keeps_nothing_open() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let elder = tine::spawn(|| stop().wait()).unwrap();
    let child = tine::spawn(move || there.recv().unwrap()).unwrap();
    let younger = tine::spawn(|| stop().wait()).unwrap();
    here.send(7).unwrap();
    assert_eq!(child.join().unwrap(), 7);
    assert!(matches!(here.recv_timeout(LONG), Err(DuplexRecvError::Disconnected)));
    // The kernel itself says so: no copy of the socket is left.
    assert!(matches!(here.send(1), Err(DuplexSendError::Disconnected(1))));
    // And for a death, of which no word is left.
    let (here, there) = duplex::<u8, u8>().unwrap();
    let third = tine::spawn(|| stop().wait()).unwrap();
    let child = tine::spawn(move || -> () {
        there.recv().unwrap();
        std::process::abort();
    })
    .unwrap();
    let fourth = tine::spawn(|| stop().wait()).unwrap();
    here.send(7).unwrap();
    match here.recv_timeout(LONG) {
        Err(DuplexRecvError::PeerDied(death)) => assert_eq!(death.pid, child.id()),
        other => panic!("{other:?}"),
    }
    assert!(child.join().is_err());
    for sibling in [elder, younger, third, fourth] {
        sibling.request_stop().unwrap();
        sibling.join().unwrap();
    }
}

fn an_end_inside_of_something_goes_with_it() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let mut boxed = vec![Some(Box::new((1, there)))];
    let child = tine::spawn(move || {
        let (_, there) = *boxed.remove(0).unwrap();
        there.send(9).unwrap();
    })
    .unwrap();
    assert_eq!(here.recv().unwrap(), 9);
    child.join().unwrap();
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)));
}

fn a_grandchild_gets_what_a_child_was_given() {
    let (here, there) = duplex::<u8, u32>().unwrap();
    let child = tine::spawn(move || {
        // Used here first; and not used at all in the second round.
        there.send(std::process::id()).unwrap();
        let grandchild = tine::spawn(move || -> () {
            let n = there.recv().unwrap();
            there.send(std::process::id() + u32::from(n)).unwrap();
            std::mem::forget(there);
            std::process::abort()
        })
        .unwrap();
        let id = grandchild.id();
        assert!(grandchild.join().is_err());
        id
    })
    .unwrap();
    assert_eq!(here.recv().unwrap(), child.id());
    here.send(5).unwrap();
    let grandchild = here.recv().unwrap() - 5;
    match here.recv() {
        Err(DuplexRecvError::PeerDied(death)) => assert_eq!(death.pid, grandchild, "of the last owner"),
        other => panic!("{other:?}"),
    }
    assert_eq!(child.join().unwrap(), grandchild);

    let (here, there) = duplex::<u8, u32>().unwrap();
    let child = tine::spawn(move || tine::spawn(move || there.send(1).is_ok()).unwrap().join().unwrap()).unwrap();
    assert_eq!(here.recv().unwrap(), 1);
    assert!(child.join().unwrap());
}

fn siblings_talk_to_each_other() {
    let (one, other) = duplex::<u32, u32>().unwrap();
    let first = tine::spawn(move || {
        one.send(1).unwrap();
        let got = one.recv().unwrap();
        match one.recv() {
            Err(DuplexRecvError::PeerDied(death)) => (got, death.pid),
            other => panic!("{other:?}"),
        }
    })
    .unwrap();
    let second = tine::spawn(move || {
        let got = other.recv().unwrap();
        other.send(got + 1).unwrap();
        std::mem::forget(other);
    })
    .unwrap();
    assert_eq!(first.join().unwrap(), (2, second.id()));
    second.join().unwrap();
}

fn both_ends_go_to_one_child() {
    let ends = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(move || {
        let (one, other) = ends;
        one.send(1).unwrap();
        let got = other.recv().unwrap();
        drop(other);
        (got, matches!(one.recv(), Err(DuplexRecvError::Disconnected)))
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), (1, true));
}

fn a_child_that_closes_all_else_keeps_what_it_was_given() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let (other, _another) = duplex::<u8, u8>().unwrap();
    let child = Builder::new()
        .close_other_fds()
        .spawn(move || {
            let refused = matches!(other.send(1), Err(DuplexSendError::NotOwner(1)));
            let _ = &other;
            there.send(u8::from(refused)).unwrap();
        })
        .unwrap();
    assert_eq!(here.recv().unwrap(), 0, "moved, so it may send");
    child.join().unwrap();
}

fn a_spawn_that_fails_hands_over_nothing() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let (mut waker, sleeper) = (Some(()), std::sync::mpsc::channel::<()>());
    let thread = std::thread::spawn(move || sleeper.1.recv().is_ok());
    assert!(tine::spawn(move || drop(there)).is_err(), "there is a thread");
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)), "it was dropped with the closure");
    drop((waker.take(), sleeper.0));
    thread.join().unwrap();
}

fn a_foreign_fork_owns_nothing() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let status = in_child(|| {
        assert!(matches!(here.send(1), Err(DuplexSendError::NotOwner(1))));
        assert!(matches!(there.recv(), Err(DuplexRecvError::NotOwner)));
        // SAFETY: the copies that were moved out of are forgotten with this process, which ends without dropping them.
        let copies = unsafe { (std::ptr::read(&here), std::ptr::read(&there)) };
        drop(copies);
    });
    assert!(status.success());
    here.send(2).unwrap();
    assert_eq!(there.recv().unwrap(), 2, "its drop was none");
}

fn a_foreign_copy_does_not_hide_a_clean_end() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let (mut waiting, release) = std::io::pipe().unwrap();
    // SAFETY: a case has one thread; the child waits for the end of a pipe and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(release);
        let _ = std::io::Read::read(&mut waiting, &mut [0]);
        // SAFETY: as said.
        unsafe { libc::_exit(0) };
    }
    there.send(1).unwrap();
    drop(there);
    assert!(matches!(here.send(1), Err(DuplexSendError::Disconnected(1))));
    assert_eq!(here.recv_timeout(LONG).unwrap(), 1);
    assert!(matches!(here.recv_timeout(LONG), Err(DuplexRecvError::Disconnected)));
    drop(release);
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
}

fn a_child_lets_go_of_what_it_was_not_given() {
    let pairs: Vec<_> = (0..20).map(|_| duplex::<u8, u8>().unwrap()).collect();
    let (here, there) = duplex::<u8, u8>().unwrap();
    let sockets = || {
        let all = crate::support::descriptors();
        all.iter().filter(|(_, target)| target.starts_with("socket:")).count()
    };
    assert!(sockets() >= 42);
    let child = tine::spawn(move || {
        there.recv().unwrap();
        sockets()
    })
    .unwrap();
    here.send(1).unwrap();
    assert_eq!(child.join().unwrap(), 1);
    for (one, other) in &pairs {
        one.send(1).unwrap();
        assert_eq!(other.recv().unwrap(), 1);
    }
}

fn a_panicking_child_closes_its_end() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(move || {
        there.send(1).unwrap();
        if there.try_recv().is_err() {
            panic!("as it should");
        }
    })
    .unwrap();
    assert_eq!(here.recv().unwrap(), 1);
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)));
    assert!(child.join().is_err());
}

fn a_hundred_channels_go_to_one_child() {
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..100).map(|_| duplex::<u32, u32>().unwrap()).unzip();
    let child = tine::spawn(move || {
        for end in theirs {
            end.send(end.recv().unwrap() + 1).unwrap();
        }
    })
    .unwrap();
    for (n, end) in (0..).zip(&ours) {
        end.send(n).unwrap();
    }
    for (n, end) in (0..).zip(&ours) {
        assert_eq!(end.recv().unwrap(), n + 1);
        assert!(matches!(end.recv(), Err(DuplexRecvError::Disconnected)));
    }
    child.join().unwrap();
}

fn captures_that_are_kept_are_not_handed_over() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = Builder::new()
        .keep_captures()
        .spawn(move || matches!(there.send(1), Err(DuplexSendError::NotOwner(1))))
        .unwrap();
    let told = child.join().unwrap();
    assert!(told, "the parent dropped nothing, so it gave nothing");
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)), "it was dropped with the captures");
}

fn out_of_descriptors_is_an_error_and_leaks_nothing() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = crate::support::descriptors();
    let limits = getrlimit(Resource::Nofile);
    let limit = |n| setrlimit(Resource::Nofile, Rlimit { current: Some(n), maximum: limits.maximum }).unwrap();
    let mut fill = Vec::new();
    limit(before.len() as u64 + 10);
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fill.push(file);
    }
    for free in 0..2 {
        assert_eq!(duplex::<u8, u8>().unwrap_err().raw_os_error(), Some(libc::EMFILE), "with {free} free");
        drop(fill.pop());
    }
    let (here, there) = duplex::<u8, u8>().unwrap();
    here.send(1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
    drop((here, there, fill));
    setrlimit(Resource::Nofile, limits).unwrap();
    assert_eq!(crate::support::descriptors(), before);
}

fn who_takes_over_goes_on_behind_what_was_begun() {
    let (here, mut there) = duplex::<Vec<u8>, u8>().unwrap();
    let late = here.send_timeout(vec![1; 10 << 20], std::time::Duration::from_millis(10));
    assert!(late.is_err(), "some of it is in the socket");
    let status = in_child(|| {
        assert!(matches!(there.try_recv(), Err(DuplexRecvError::NotOwner)));
        // SAFETY: the copy is used and forgotten here; the original is not used by this process.
        let mut copy = std::mem::ManuallyDrop::new(unsafe { std::ptr::read(&there) });
        copy.take_over().unwrap();
        assert!(matches!(copy.try_recv(), Err(DuplexRecvError::Empty)), "a half");
        copy.send(5).unwrap();
    });
    assert!(status.success());
    assert_eq!(here.recv().unwrap(), 5);
    there.take_over().unwrap();
    here.send(vec![2, 3]).unwrap();
    assert_eq!(there.recv().unwrap(), [2, 3]);
    let child = tine::spawn(|| {
        // SAFETY: as above.
        let mut copy = std::mem::ManuallyDrop::new(unsafe { std::ptr::read(&there) });
        copy.take_over().unwrap_err().raw_os_error()
    });
    assert_eq!(child.unwrap().join().unwrap(), Some(libc::EBADF), "a child lets go of what it was not given");
}
