//! Messages that are written and read in place.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tine::channel::bytes;
use tine::channel::{SendError, TryRecvError, TrySendError};
use tine::process::SpawnError;

use crate::cases;
use crate::pattern;
use crate::support::Case;

pub const CASES: &[Case] = cases![
    a_reservation_that_is_dropped_sends_nothing,
    a_reservation_is_written_by_parts,
    a_reservation_is_a_writer,
    a_reservation_longer_than_the_ring_is_a_mistake,
    a_message_is_read_by_parts,
    a_message_that_is_left_comes_again,
    a_forgotten_message_comes_again,
    loans_forbid_a_fork,
    copies_in_a_foreign_fork_do_nothing,
    slices_between_those_who_trust,
    slices_of_messages_longer_than_the_ring,
];

fn a_reservation_that_is_dropped_sends_nothing() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let mut room = tx.reserve(4088).unwrap();
    room.write_at(0, &[9; 4088]).unwrap();
    drop(room);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert!(tx.is_empty());
    tx.reserve(0).unwrap().commit().unwrap();
    assert_eq!(rx.recv().unwrap(), b"");
}

fn a_reservation_is_written_by_parts() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let mut room = tx.try_reserve(10).unwrap();
    assert_eq!((room.len(), room.is_empty()), (10, false));
    room.write_at(7, b"hij").unwrap();
    room.write_at(0, b"abcdefg").unwrap();
    room.write_at(10, b"").unwrap();
    for (offset, bytes) in [(8, &b"xyz"[..]), (10, b"x"), (11, b""), (usize::MAX, b"xy")] {
        let error = room.write_at(offset, bytes).unwrap_err();
        assert!(error.to_string().contains("10"), "{error}");
    }
    room.truncate(20);
    room.truncate(9);
    room.commit().unwrap();
    assert_eq!(rx.recv().unwrap(), b"abcdefghi");
}

fn a_reservation_is_a_writer() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let mut room = tx.reserve(8).unwrap();
    write!(room, "{}", 12345).unwrap();
    assert_eq!(room.written(), 5);
    assert_eq!(room.write(b"abcdef").unwrap(), 3);
    assert_eq!(room.write(b"x").unwrap(), 0);
    assert_eq!(room.write_all(b"x").unwrap_err().kind(), std::io::ErrorKind::WriteZero);
    room.commit().unwrap();
    let mut message = rx.peek().unwrap();
    let mut text = String::new();
    message.read_to_string(&mut text).unwrap();
    assert_eq!(text, "12345abc");
}

fn a_reservation_longer_than_the_ring_is_a_mistake() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let refused = tx.reserve(4089).unwrap_err().to_string();
    assert!(refused.contains("4089 bytes") && refused.contains("up to 4088"), "{refused}");
    assert!(matches!(tx.try_reserve(4089), Err(TrySendError::Encode(..))));
    let refused = catch_unwind(AssertUnwindSafe(|| tx.reserve(3).unwrap().copy_from_slice(b"four")));
    assert!(refused.is_err());
    tx.send(b"goes on").unwrap();
    assert_eq!(rx.recv().unwrap(), b"goes on");
    // No loan is left behind.
    tine::spawn(|| ()).unwrap().join().unwrap();
}

fn a_message_is_read_by_parts() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"0123456789").unwrap();
    tx.send(b"next").unwrap();
    let message = rx.try_peek().unwrap();
    assert_eq!((message.len(), message.is_empty()), (10, false));
    let mut part = [0; 4];
    message.read_at(6, &mut part).unwrap();
    assert_eq!(&part, b"6789");
    for offset in [7, 10, 11, usize::MAX] {
        assert!(message.read_at(offset, &mut part).is_err(), "not into what is behind it");
    }
    message.read_at(10, &mut []).unwrap();
    assert!(message.copy_to(&mut [0; 9]).is_err());
    let mut all = [b'x'; 12];
    assert_eq!(message.copy_to(&mut all), Ok(10));
    assert_eq!(&all, b"0123456789xx");
    drop(message);
    assert_eq!(rx.recv().unwrap(), b"next");
}

fn a_message_that_is_left_comes_again() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"first").unwrap();
    rx.peek().unwrap().leave();
    assert_eq!(rx.recv().unwrap(), b"first");
    let long = pattern(1, 10_000);
    let child = tine::spawn(|| {
        let mut tx = tx;
        tx.send(&long).unwrap();
        tx.send(b"last").unwrap();
    })
    .unwrap();
    rx.peek().unwrap().leave();
    rx.peek().unwrap().leave();
    assert!(rx.recv().unwrap() == long);
    assert_eq!(rx.recv().unwrap(), b"last");
    child.join().unwrap();
}

fn a_forgotten_message_comes_again() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"first").unwrap();
    std::mem::forget(rx.peek().unwrap());
    std::mem::forget(tx.reserve(1000).unwrap());
    tx.send(b"second").unwrap();
    assert_eq!(rx.recv().unwrap(), b"first");
    assert_eq!(rx.recv().unwrap(), b"second");
}

fn loans_forbid_a_fork() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"in place").unwrap();
    let message = rx.peek().unwrap();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    drop(message);
    let room = tx.reserve(8).unwrap();
    assert!(matches!(tine::spawn(|| ()), Err(SpawnError::LoanHeld)));
    room.commit().unwrap();
    tine::spawn(|| ()).unwrap().join().unwrap();
}

/// A copy of a loan, made by a fork that is none of the library's: it neither sends nor releases.
fn copies_in_a_foreign_fork_do_nothing() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"first").unwrap();
    tx.send(b"second").unwrap();
    let room = tx.reserve(5).unwrap();
    let message = rx.peek().unwrap();
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let refused = room.commit();
            drop(message);
            let code = i32::from(refused != Err(SendError::NotOwner(())));
            // SAFETY: ends the child, as intended.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let pid = rustix::process::Pid::from_raw(pid).expect("fork");
            let (_, status) =
                rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(status.exit_status(), Some(0));
        }
    }
    assert_eq!(message.to_vec(), b"first");
    drop(room);
    assert_eq!(tx.len(), 16 + 16, "the room of what is being read is not the sender's");
    drop(message);
    assert_eq!(tx.len(), 16);
    assert_eq!(rx.recv().unwrap(), b"second");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

fn slices_between_those_who_trust() {
    let (tx, rx) = bytes::channel(4096).unwrap();
    // SAFETY: nobody but these two ends writes to the channel.
    let (mut tx, mut rx) = unsafe { (tx.trust(), rx.trust()) };
    for i in 0..2000 {
        let message = pattern(i, i * 13 % 4089);
        let mut room = tx.reserve(message.len()).unwrap();
        room.copy_from_slice(&message);
        room.commit().unwrap();
        assert_eq!(rx.peek().unwrap()[..], message, "{i}");
        let mut room = tx.try_reserve(100).unwrap();
        room.fill(7);
        room.truncate(50);
        room.commit().unwrap();
        assert_eq!(rx.try_peek().unwrap()[..], [7; 50]);
    }
    tx.send(b"copied").unwrap();
    assert_eq!((rx.recv().unwrap(), rx.is_empty()), (b"copied".to_vec(), true));
    let (mut tx, mut rx) = (tx.into_inner(), rx.into_inner());
    tx.send(b"again").unwrap();
    assert_eq!(rx.recv().unwrap(), b"again");
}

fn slices_of_messages_longer_than_the_ring() {
    let (mut tx, rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        for i in 0..20 {
            tx.send(&pattern(i, i * 1000)).unwrap();
        }
    })
    .unwrap();
    // SAFETY: the child writes by its end only.
    let mut rx = unsafe { rx.trust() };
    for i in 0..20 {
        assert!(rx.peek().unwrap()[..] == pattern(i, i * 1000), "{i}");
    }
    child.join().unwrap();
}
