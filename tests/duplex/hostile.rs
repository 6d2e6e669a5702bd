//! What a peer that keeps to no rule can do: end its own channel, and nothing else.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit};
use tine::Frozen;
use tine::channel::duplex::frame::pieces;
use tine::channel::{DuplexRecvError, DuplexSendError, duplex};
use tine::memory::{Memfd, Seals};
use tine::wire::Pass;

use crate::cases;
use crate::support::{Case, descriptors, until};

pub const CASES: &[Case] = cases![
    packets_that_no_channel_sends_end_it,
    a_value_of_another_type_costs_itself_only,
    descriptors_of_another_kind_are_refused_and_closed,
    memory_that_could_change_is_not_mapped,
    too_few_and_too_many_descriptors_are_refused,
    a_flood_of_descriptors_is_skipped,
    a_length_that_lies_takes_no_memory,
    descriptors_that_do_not_fit_are_told_and_closed,
    a_flood_of_news_holds_up_nobody,
    halves_without_end_hold_up_nobody,
];

/// Sends one packet as a channel does, with whatever is in it.
fn send_packet(fd: impl AsFd, parts: [&[u8]; 2], fds: &[BorrowedFd<'_>]) {
    let mut head = b"fd".to_vec();
    head.extend((fds.len() as u16).to_le_bytes());
    head.extend(((parts[0].len() + parts[1].len()) as u32).to_le_bytes());
    send_raw(fd, &[&head, parts[0], parts[1]].concat(), fds);
}

fn send_raw(fd: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(fd, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

/// Sends a message of these bytes and descriptors, as if it were a value.
fn send_message(fd: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    for piece in pieces(bytes, fds.len()) {
        send_packet(&fd, [piece.head(), piece.body()], &fds[piece.descriptors()]);
    }
}

fn head(kind: u8, middle: u32, last: u64) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &middle.to_le_bytes(), &last.to_le_bytes()].concat()
}

fn packets_that_no_channel_sends_end_it() {
    let null = File::open("/dev/null").unwrap();
    let bad: [(Vec<u8>, Vec<u8>, usize); 12] = [
        (vec![], vec![], 0),
        (vec![b'f'; 15], vec![], 0),
        (head(b'x', 0, 0), vec![], 0),
        (head(b'f', 0, 3), b"four".to_vec(), 0),
        (head(b'f', 1, 4), b"four".to_vec(), 0),
        (head(b'f', 0, 4), b"four".to_vec(), 1),
        (head(b'f', 0, u64::MAX), b"four".to_vec(), 0),
        (head(b'm', 1, 4), b"four".to_vec(), 0),
        (head(b'o', 1, 1), vec![], 0),
        (head(b'o', 1, 0), b"more".to_vec(), 0),
        (head(b'b', 1, 0), vec![], 0),
        (head(b'b', 0, 0), vec![], 1),
    ];
    for (head, body, fds) in bad {
        let (here, there) = duplex::<String, String>().unwrap();
        here.send("good".into()).unwrap();
        let before = descriptors();
        send_packet(&here, [&head, &body], &vec![null.as_fd(); fds]);
        here.send("too late".into()).unwrap();
        assert_eq!(there.recv().unwrap(), "good");
        for _ in 0..3 {
            assert!(matches!(there.recv(), Err(DuplexRecvError::Corrupt)), "{head:?}");
        }
        assert_eq!(descriptors(), before, "{head:?}");
        there.send("the other direction".into()).unwrap();
        assert_eq!(here.recv().unwrap(), "the other direction");
    }
    for raw in [&b"x"[..], b"fd\x01\0\x05\0\0\0short", &[0; 70_000]] {
        let (here, there) = duplex::<String, String>().unwrap();
        let before = descriptors();
        send_raw(&here, raw, &[null.as_fd(), null.as_fd()]);
        assert!(matches!(there.recv(), Err(DuplexRecvError::Corrupt)));
        drop(here);
        assert!(matches!(there.send(String::new()), Err(DuplexSendError::Corrupt(_))));
        assert!(descriptors().is_subset(&before));
    }
}

fn a_value_of_another_type_costs_itself_only() {
    let (here, there) = duplex::<Vec<bool>, ()>().unwrap();
    here.send(vec![true]).unwrap();
    for bytes in [&b"\x01\x02"[..], b"\x01\x01\x01", b"\x05\x01", b""] {
        send_message(&here, bytes, &[]);
    }
    here.send(vec![false]).unwrap();
    assert_eq!(there.recv().unwrap(), [true]);
    for _ in 0..4 {
        let error = there.recv().unwrap_err();
        assert!(matches!(error, DuplexRecvError::Decode(_)), "{error}");
    }
    assert_eq!(there.recv().unwrap(), [false]);
}

/// Sends `fds` where a `T` is expected, and says what is wrong with that; none of them stays open.
fn refused<T: Pass>(bytes: &[u8], fds: &[BorrowedFd<'_>]) -> String {
    let (here, there) = duplex::<T, ()>().unwrap();
    let before = descriptors();
    send_message(&here, bytes, fds);
    let error = match there.recv() {
        Err(DuplexRecvError::Decode(error)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("taken for one"),
    };
    assert_eq!(descriptors(), before);
    assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)), "and the channel lives on");
    error
}

fn descriptors_of_another_kind_are_refused_and_closed() {
    let null = File::open("/dev/null").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for fd in [null.as_fd(), reader.as_fd(), udp.as_fd(), listener.as_fd()] {
        assert!(refused::<TcpStream>(b"", &[fd]).contains("not a TCP connection"));
    }
    assert!(refused::<std::io::PipeWriter>(b"", &[reader.as_fd()]).contains("writing end"));
    assert!(refused::<std::io::PipeReader>(b"", &[writer.as_fd()]).contains("reading end"));
    assert!(refused::<tine::pipe::Reader>(b"", &[writer.as_fd()]).contains("reading end"));
    assert!(refused::<std::os::unix::net::UnixStream>(b"", &[udp.as_fd()]).contains("Unix"));
    assert!(refused::<std::net::TcpListener>(b"", &[udp.as_fd()]).contains("listener"));
    assert!(refused::<tine::channel::Duplex<u8, u8>>(&[0; 20], &[udp.as_fd()]).contains("SEQPACKET"));
    // A good one before the bad one is closed as well.
    assert!(refused::<(File, TcpStream)>(b"", &[null.as_fd(), null.as_fd()]).contains("TCP"));
}

fn memory_that_could_change_is_not_mapped() {
    let mappings = crate::support::shared_mappings();
    let null = File::open("/dev/null").unwrap();
    let writable = Memfd::new(4096).unwrap();
    let odd = Memfd::new(4097).unwrap();
    odd.seal(Seals::FROZEN).unwrap();
    let bare = rustix::fs::memfd_create("bare", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&bare, 4096).unwrap();
    assert!(refused::<Frozen<u64>>(b"", &[null.as_fd()]).contains("not a memfd"));
    assert!(refused::<Frozen<u64>>(b"", &[writable.as_fd()]).contains("lacks"));
    assert!(refused::<Frozen<u64>>(b"", &[odd.as_fd()]).contains("4097 bytes"));
    assert!(refused::<Frozen<u64>>(b"", &[bare.as_fd()]).contains("lacks"));
    assert!(refused::<tine::SharedSlice<u64>>(b"", &[bare.as_fd()]).contains("lacks"));
    let frozen = Frozen::<u64>::from_slice(&[1]).unwrap();
    assert!(refused::<tine::SharedSlice<u64>>(b"", &[frozen.as_fd()]).contains("WRITE"));
    let of_another_type = refused::<tine::Shared<std::sync::atomic::AtomicU64>>(&[1; 16], &[writable.as_fd()]);
    assert!(of_another_type.contains("another type"), "{of_another_type}");
    assert_eq!(crate::support::shared_mappings(), mappings);
}

fn too_few_and_too_many_descriptors_are_refused() {
    let null = File::open("/dev/null").unwrap();
    assert!(refused::<(File, u8)>(b"\x07", &[]).contains("fewer descriptors"));
    assert!(refused::<(File, u8)>(b"\x07", &[null.as_fd(); 2]).contains("1 descriptors are left over"));
    assert!(refused::<u8>(b"\x07", &[null.as_fd(); 3]).contains("3 descriptors are left over"));
}

fn a_flood_of_descriptors_is_skipped() {
    let (here, there) = duplex::<Vec<OwnedFd>, ()>().unwrap();
    let there = there.max_descriptors(100);
    let null = File::open("/dev/null").unwrap();
    let before = descriptors();
    let flood = tine::wire::to_bytes(&vec![(); 600]).unwrap();
    send_message(&here, &flood, &vec![null.as_fd(); 600]);
    here.send(vec![null.try_clone().unwrap().into()]).unwrap();
    match there.recv() {
        Err(DuplexRecvError::TooLarge { descriptors: 600, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(there.recv().unwrap().len(), 1);
    assert_eq!(descriptors(), before);
}

fn a_length_that_lies_takes_no_memory() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let there = there.max_message(1 << 46);
    let body = vec![0; tine::channel::duplex::frame::BODY];
    let child = tine::process::Builder::new()
        .rlimit(Resource::As, Some(1 << 30), Some(1 << 30))
        .spawn(move || there.recv().map_err(|error| error.to_string()));
    let child = match child {
        Ok(child) => child,
        Err(error) => crate::support::skip(&format!("the limit of memory cannot be set: {error}")),
    };
    send_packet(&here, [&head(b'f', 0, 1 << 45), &body], &[]);
    here.send(vec![5]).unwrap();
    assert_eq!(child.join().unwrap().unwrap(), [5]);
}

/// With room for none, one and two of three.
fn descriptors_that_do_not_fit_are_told_and_closed() {
    let (here, there) = duplex::<Vec<OwnedFd>, ()>().unwrap();
    let null = File::open("/dev/null").unwrap();
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let before = descriptors();
    let three = || (0..3).map(|_| null.try_clone().unwrap().into()).collect::<Vec<OwnedFd>>();
    for free in 0..=3 {
        here.send(three()).unwrap();
        here.send(vec![]).unwrap();
        let limit = Rlimit { current: Some(before.len() as u64 + 12), maximum: limits.maximum };
        rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
        let mut fill: Vec<File> = std::iter::from_fn(|| null.try_clone().ok()).collect();
        fill.truncate(fill.len() - free);
        match there.recv() {
            Err(DuplexRecvError::Lost { sent: 3, arrived }) if arrived == free && free < 3 => {}
            Ok(all) if free == 3 => assert_eq!(all.len(), 3),
            other => panic!("with {free} free: {other:?}"),
        }
        assert!(there.recv().unwrap().is_empty(), "the next message");
        drop(fill);
        rustix::process::setrlimit(Resource::Nofile, limits).unwrap();
    }
    assert_eq!(descriptors(), before);
}

fn a_flood_of_news_holds_up_nobody() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let child = tine::spawn(move || {
        loop {
            let mut space = [];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let packet = [&b"fd\0\0\x10\0\0\0"[..], &head(b'o', 7, 0)].concat();
            if sendmsg(&here, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL).is_err() {
                return;
            }
        }
    })
    .unwrap();
    for _ in 0..50 {
        assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
        assert!(matches!(there.recv_timeout(Duration::from_millis(1)), Err(DuplexRecvError::Timeout)));
    }
    drop(there);
    child.join().unwrap();
}

fn halves_without_end_hold_up_nobody() {
    let (here, there) = duplex::<Vec<u8>, u8>().unwrap();
    let child = tine::spawn(move || {
        let body = vec![0; tine::channel::duplex::frame::BODY];
        loop {
            let first = head(b'f', 0, 1 << 29);
            let packet = [&b"fd\0\0"[..], &(65536_u32).to_le_bytes(), &first, &body].concat();
            let mut space = [];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if sendmsg(&here, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL).is_err() {
                return;
            }
        }
    })
    .unwrap();
    for _ in 0..10 {
        assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
        assert!(matches!(there.recv_timeout(Duration::from_millis(5)), Err(DuplexRecvError::Timeout)));
    }
    let held = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    until("memory is as small as it was", || held() < 200_000);
    drop(there);
    child.join().unwrap();
}
