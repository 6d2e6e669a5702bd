//! Processes that end without a word.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use tine::channel::{DuplexRecvError, DuplexSendError, duplex};

use crate::peers::{end_by, stay, until_in};
use crate::support::{Case, until};
use crate::{LONG, cases, pattern};

pub const CASES: &[Case] = cases![
    a_killed_peer_is_told_after_all_that_it_sent,
    a_killed_peer_is_told_to_who_sends,
    a_killed_peer_wakes_who_sleeps,
    a_killed_sender_leaves_no_half_message,
    a_kill_at_any_time_delivers_a_prefix,
    a_peer_that_exits_without_a_drop_has_died,
    a_peer_that_execs_has_died,
    a_child_killed_before_it_touched_its_end_has_died,
    a_parent_that_dies_is_told_to_its_children,
    a_clean_end_behind_a_full_channel_is_no_death,
    a_clean_end_is_told_to_who_sends,
    unread_messages_do_not_hide_the_end,
];

fn died<T: std::fmt::Debug>(found: Result<T, DuplexRecvError>) -> u32 {
    match found {
        Err(DuplexRecvError::PeerDied(death)) => death.pid,
        other => panic!("{other:?}"),
    }
}

fn a_killed_peer_is_told_after_all_that_it_sent() {
    let (here, there) = duplex::<(), u32>().unwrap();
    let child = tine::spawn(move || {
        (0..5).for_each(|n| there.send(n).unwrap());
        end_by(|| there.recv());
    })
    .unwrap();
    until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
    child.kill().unwrap();
    child.wait().unwrap();
    (0..5).for_each(|n| assert_eq!(here.recv().unwrap(), n));
    assert_eq!(died(here.recv()), child.id());
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)), "told once");
    match here.send(()) {
        Err(DuplexSendError::PeerDied((), death)) => assert_eq!(death.pid, child.id()),
        other => panic!("{other:?}"),
    }
}

fn a_killed_peer_is_told_to_who_sends() {
    let (here, there) = duplex::<Vec<u8>, u32>().unwrap();
    let child = tine::spawn(move || {
        there.send(1).unwrap();
        there.send(2).unwrap();
        std::mem::forget(there);
        stay();
    })
    .unwrap();
    assert_eq!(here.recv().unwrap(), 1);
    // Asleep in the middle of a message when it happens.
    let killer = tine::spawn(|| {
        until_in(&child, &[libc::SYS_futex]);
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(child.id() as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
    })
    .unwrap();
    match here.send(pattern(1, 10 << 20)) {
        Err(DuplexSendError::PeerDied(value, death)) => {
            assert!(value == pattern(1, 10 << 20));
            assert_eq!(death.pid, child.id());
        }
        other => panic!("{other:?}"),
    }
    killer.join().unwrap();
    assert_eq!(here.recv().unwrap(), 2, "the look for the reason has lost nothing");
    assert_eq!(died(here.recv()), child.id());
    assert!(child.join().is_err());
}

fn a_killed_peer_wakes_who_sleeps() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let (tell, told) = duplex::<u32, ()>().unwrap();
    let child = tine::spawn(move || {
        let pid = died(there.recv());
        tell.send(pid).unwrap();
    })
    .unwrap();
    let middle = tine::spawn(move || {
        std::mem::forget(here);
        stay();
    })
    .unwrap();
    until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
    middle.kill().unwrap();
    assert_eq!(told.recv_timeout(LONG).unwrap(), middle.id());
    child.join().unwrap();
    assert!(middle.join().is_err());
}

fn a_killed_sender_leaves_no_half_message() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let child = tine::spawn(move || {
        here.send(vec![7; 10]).unwrap();
        end_by(|| here.send(pattern(2, 50 << 20)));
    })
    .unwrap();
    until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(there.recv().unwrap(), [7; 10]);
    assert_eq!(died(there.recv()), child.id());
    assert!(matches!(there.recv(), Err(DuplexRecvError::Disconnected)));
}

fn a_kill_at_any_time_delivers_a_prefix() {
    for round in 0..40_u64 {
        let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
        let child = tine::spawn(move || {
            for i in 0.. {
                here.send(pattern(i, i * 4099 % 300_000)).unwrap();
            }
        })
        .unwrap();
        let mut got = 0;
        let kill_at = round * 3;
        loop {
            if got as u64 == kill_at {
                child.kill().unwrap();
            }
            match there.recv() {
                Ok(message) => assert!(message == pattern(got, got * 4099 % 300_000), "{got}"),
                Err(DuplexRecvError::PeerDied(death)) => {
                    assert_eq!(death.pid, child.id());
                    break;
                }
                Err(other) => panic!("{other}"),
            }
            got += 1;
        }
        assert!(got as u64 >= kill_at);
        assert!(child.join().is_err());
    }
}

fn a_peer_that_exits_without_a_drop_has_died() {
    for code in [0, 3] {
        let (here, there) = duplex::<u8, u8>().unwrap();
        let child = tine::spawn(move || {
            there.send(1).unwrap();
            end_by(|| std::process::exit(code));
        })
        .unwrap();
        assert_eq!(here.recv().unwrap(), 1);
        assert_eq!(died(here.recv()), child.id());
        let _ = child.join();
    }
}

fn a_peer_that_execs_has_died() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(move || {
        there.send(1).unwrap();
        end_by(|| std::process::Command::new("sleep").arg("60").exec());
    })
    .unwrap();
    assert_eq!(here.recv().unwrap(), 1);
    assert_eq!(died(here.recv_timeout(LONG)), child.id());
    child.kill().unwrap();
    assert!(child.join().is_err());
}

fn a_child_killed_before_it_touched_its_end_has_died() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(move || {
        stay();
        drop(there);
    })
    .unwrap();
    child.kill().unwrap();
    assert_eq!(died(here.recv()), child.id());
    assert!(child.join().is_err());
}

fn a_parent_that_dies_is_told_to_its_children() {
    let (tell, told) = duplex::<(u32, u32), ()>().unwrap();
    let parent = tine::spawn(move || {
        let (here, there) = duplex::<u8, u8>().unwrap();
        let child = tine::process::Builder::new()
            .die_with_parent(false)
            .spawn(move || {
                let pid = died(there.recv());
                tell.send((pid, std::process::id())).unwrap();
            })
            .unwrap();
        std::mem::forget(here);
        until_in(&child, &[libc::SYS_poll, libc::SYS_ppoll]);
        end_by(|| std::process::abort());
    })
    .unwrap();
    let (pid, child) = told.recv_timeout(LONG).unwrap();
    assert_eq!(pid, parent.id());
    assert!(parent.join().is_err());
    assert!(matches!(told.recv_timeout(LONG), Err(DuplexRecvError::Disconnected)));
    until("the child is gone", || {
        let _ = rustix::process::waitpid(
            rustix::process::Pid::from_raw(child as i32),
            rustix::process::WaitOptions::NOHANG,
        );
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

fn a_clean_end_behind_a_full_channel_is_no_death() {
    for size in [1, 1000, 60_000] {
        let (here, there) = duplex::<(), Vec<u8>>().unwrap();
        let child = tine::spawn(move || {
            let mut sent = 0;
            while there.try_send(vec![1; size]).is_ok() {
                sent += 1;
            }
            sent
        })
        .unwrap();
        let sent = child.join().unwrap();
        (0..sent).for_each(|_| assert_eq!(here.recv().unwrap().len(), size));
        assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)), "{size}");
    }
}

fn a_clean_end_is_told_to_who_sends() {
    let (here, there) = duplex::<Vec<u8>, u32>().unwrap();
    let child = tine::spawn(move || {
        there.send(1).unwrap();
        there.recv().unwrap();
    })
    .unwrap();
    here.send(vec![]).unwrap();
    child.join().unwrap();
    assert!(matches!(here.send(vec![1]), Err(DuplexSendError::Disconnected(value)) if value == [1]));
    assert!(matches!(here.send_timeout(vec![1], Duration::ZERO), Err(DuplexSendError::Disconnected(_))));
    assert_eq!(here.recv().unwrap(), 1);
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)));
}

fn unread_messages_do_not_hide_the_end() {
    let (here, there) = duplex::<u32, u32>().unwrap();
    (0..10).for_each(|n| here.send(n).unwrap());
    there.send(99).unwrap();
    drop(there);
    assert_eq!(here.recv().unwrap(), 99);
    assert!(matches!(here.recv(), Err(DuplexRecvError::Disconnected)));
}
