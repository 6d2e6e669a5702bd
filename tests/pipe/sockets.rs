//! Descriptors that travel: how many, how large their numbers, what is lost, what is closed.
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit};
use tine::pipe::{Found, Reader, RecvFdsError, SendFdsError, Socket, Writer, pipe, socket_pair};

use crate::streams::{LONG, SHORT, default_sigpipe, fork, kill, pattern, reap, set_nonblocking};
use crate::{storm, support};

/// What a descriptor refers to.
fn identity(fd: impl AsFd) -> (u64, u64) {
    let stat = rustix::fs::fstat(fd).unwrap();
    (stat.st_dev, stat.st_ino)
}

pub fn descriptors_from_none_to_the_most_are_passed() {
    let (here, there) = socket_pair().unwrap();
    let pipes: Vec<Reader> = (0..Socket::MAX_DESCRIPTORS).map(|_| pipe().unwrap().0).collect();
    for n in [0, 1, 2, 252, 253] {
        let fds: Vec<BorrowedFd<'_>> = pipes[..n].iter().map(AsFd::as_fd).collect();
        let child = fork(|| here.send(&pattern(1, n), &fds).unwrap());
        let before = support::descriptors();
        let message = there.recv().unwrap();
        assert_eq!(reap(child), Some(0));
        assert_eq!(message.bytes, pattern(1, n));
        let got: Vec<_> = message.descriptors.iter().map(identity).collect();
        let wanted: Vec<_> = pipes[..n].iter().map(identity).collect();
        assert_eq!(got, wanted, "each is what was sent, in the order in which it was sent");
        drop(message);
        assert_eq!(support::descriptors(), before);
    }
}

pub fn one_more_than_the_most_is_refused() {
    let (here, there) = socket_pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let fds = vec![reader.as_fd(); Socket::MAX_DESCRIPTORS + 1];
    assert!(matches!(here.send(b"x", &fds), Err(SendFdsError::TooMany { count: 254 })));
    assert!(matches!(there.recv_timeout(Duration::ZERO), Err(RecvFdsError::TimedOut)));
}

pub fn a_large_descriptor_number_is_passed() {
    let (here, there) = socket_pair().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    for least in [256, 257, 1000] {
        let high = rustix::io::fcntl_dupfd_cloexec(&reader, least).unwrap();
        assert!(high.as_raw_fd() >= least);
        here.send(b"", &[high.as_fd()]).unwrap();
    }
    for _ in 0..3 {
        let (_, [fd]) = there.recv_exactly::<1>().unwrap();
        writer.write_all(b"z").unwrap();
        let mut byte = [0];
        Reader::adopt(fd).unwrap().read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"z");
    }
}

pub fn a_passed_descriptor_keeps_its_access_and_is_closed_by_exec() {
    let (here, there) = socket_pair().unwrap();
    let (reader, writer) = pipe().unwrap();
    let child = fork(|| {
        let (_, [read, write]) = there.recv_exactly::<2>().unwrap();
        for fd in [&read, &write] {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        let swapped = Reader::adopt(write).unwrap_err();
        assert_eq!(swapped.wrong().found(), Found::WriteOnly);
        let mut writer = Writer::adopt(swapped.into_fd()).unwrap();
        let read = Writer::adopt(read).unwrap_err();
        assert_eq!(read.wrong().found(), Found::ReadOnly);
        writer.write_all(b"from the child").unwrap();
    });
    here.send(b"both ends", &[reader.as_fd(), writer.as_fd()]).unwrap();
    drop(writer);
    assert_eq!(reap(child), Some(0));
    let mut bytes = [0; 14];
    (&reader).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"from the child");
}

pub fn a_missing_descriptor_is_an_error() {
    let (here, there) = socket_pair().unwrap();
    here.send(b"none", &[]).unwrap();
    match there.recv_exactly::<1>() {
        Err(RecvFdsError::WrongCount { bytes, expected: 1, sent: 0 }) => assert_eq!(bytes, b"none"),
        other => panic!("{other:?}"),
    }
}

pub fn an_extra_descriptor_is_closed() {
    let (here, there) = socket_pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let before = support::descriptors();
    here.send(b"three", &[reader.as_fd(); 3]).unwrap();
    match there.recv_exactly::<1>() {
        Err(RecvFdsError::WrongCount { bytes, expected: 1, sent: 3 }) => assert_eq!(bytes, b"three"),
        other => panic!("{other:?}"),
    }
    assert_eq!(support::descriptors(), before);
}

/// With room for none, one and two of three.
pub fn descriptors_that_do_not_fit_are_told_and_closed() {
    let (here, there) = socket_pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let before = support::descriptors();
    for free in 0..=3 {
        here.send(b"three", &[reader.as_fd(); 3]).unwrap();
        here.send(b"next", &[]).unwrap();
        let limit = Rlimit { current: Some(before.len() as u64 + 8), maximum: limits.maximum };
        rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
        let mut fill: Vec<Reader> = std::iter::from_fn(|| reader.try_clone().ok()).collect();
        fill.truncate(fill.len() - free);
        match there.recv() {
            Err(RecvFdsError::Lost { bytes, sent: 3, arrived }) if arrived == free && free < 3 => {
                assert_eq!(bytes, b"three");
            }
            Ok(message) if free == 3 => assert_eq!(message.descriptors.len(), 3),
            other => panic!("with {free} free: {other:?}"),
        }
        // As many are free as before, and the stream of messages goes on.
        assert_eq!(std::iter::from_fn(|| reader.try_clone().ok()).collect::<Vec<_>>().len(), free);
        assert_eq!(there.recv().unwrap().bytes, b"next");
        drop(fill);
        rustix::process::setrlimit(Resource::Nofile, limits).unwrap();
    }
    assert_eq!(support::descriptors(), before);
}

pub fn a_foreign_message_is_refused_and_its_descriptors_closed() {
    let (here, there) = socket_pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    let before = support::descriptors();
    let fds = [reader.as_fd()];
    let large = vec![0; Socket::MAX_BYTES + 100];
    let lies = {
        // The right head for one descriptor, with a length that is not so.
        let mut lies = b"fd\x01\0\x10\0\0\0".to_vec();
        lies.extend_from_slice(b"short");
        lies
    };
    for bytes in [&b"x"[..], b"seven b", b"not a head", &lies, &large, b"fd\0\0\0\0\0\0"] {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&here, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
        assert!(matches!(there.recv(), Err(RecvFdsError::Corrupt)));
        assert_eq!(support::descriptors(), before);
    }
    here.send(b"and on", &[]).unwrap();
    assert_eq!(there.recv().unwrap().bytes, b"and on");
}

pub fn an_empty_message_is_not_the_end() {
    let (here, there) = socket_pair().unwrap();
    here.send(b"", &[]).unwrap();
    here.send(b"", &[there.as_fd()]).unwrap();
    drop(here);
    assert!(there.recv().unwrap().bytes.is_empty());
    let second = there.recv().unwrap();
    assert!(second.bytes.is_empty() && second.descriptors.len() == 1);
    for _ in 0..2 {
        assert!(matches!(there.recv(), Err(RecvFdsError::Closed)));
    }
}

pub fn messages_do_not_merge() {
    let (here, there) = socket_pair().unwrap();
    let words: [&[u8]; 5] = [b"a", b"", b"bc", b"", b"def"];
    words.iter().for_each(|word| here.send(word, &[]).unwrap());
    words.iter().for_each(|word| assert_eq!(there.recv().unwrap().bytes, *word));
}

pub fn a_message_too_long_is_refused_untouched() {
    let (here, there) = socket_pair().unwrap();
    let longest = pattern(1, Socket::MAX_BYTES);
    let longer = pattern(1, Socket::MAX_BYTES + 1);
    assert!(matches!(here.send(&longer, &[]), Err(SendFdsError::TooLarge { len: 65537 })));
    here.send(&longest, &[]).unwrap();
    assert!(there.recv().unwrap().bytes == longest);
}

pub fn a_closed_peer_is_told_after_what_it_sent() {
    let (here, there) = socket_pair().unwrap();
    let child = fork(|| (0..5).for_each(|i| here.send(&pattern(i, 100), &[]).unwrap()));
    drop(here);
    assert_eq!(reap(child), Some(0));
    (0..5).for_each(|i| assert_eq!(there.recv().unwrap().bytes, pattern(i, 100)));
    assert!(matches!(there.recv(), Err(RecvFdsError::Closed)));
    assert!(matches!(there.send(b"x", &[]), Err(SendFdsError::Closed)));
}

/// Linux tells a reset, once and ahead of what is still to be received.
pub fn a_peer_that_dies_with_unread_messages_is_the_end() {
    let (here, there) = socket_pair().unwrap();
    there.send(b"never read", &[]).unwrap();
    here.send(b"last words", &[]).unwrap();
    drop(here);
    assert_eq!(there.recv_timeout(LONG).unwrap().bytes, b"last words");
    assert!(matches!(there.recv_timeout(LONG), Err(RecvFdsError::Closed)));
}

pub fn a_killed_sender_leaves_whole_messages() {
    for received in 0..30 {
        let (here, there) = socket_pair().unwrap();
        let size = |i: u64| (i * 7919 % 60_001) as usize;
        let child = fork(|| {
            for i in 0.. {
                here.send(&pattern(i, size(i)), &[here.as_fd()]).unwrap();
            }
        });
        drop(here);
        let mut i = 0;
        loop {
            if i == received {
                kill(child);
            }
            match there.recv() {
                Ok(message) => {
                    assert!(message.bytes == pattern(i, size(i)));
                    assert_eq!(message.descriptors.len(), 1);
                }
                Err(RecvFdsError::Closed) => break,
                Err(other) => panic!("{other:?}"),
            }
            i += 1;
        }
        assert!(i >= received);
    }
}

pub fn sending_and_receiving_end_in_time() {
    let (here, there) = socket_pair().unwrap();
    assert!(matches!(there.recv_timeout(Duration::ZERO), Err(RecvFdsError::TimedOut)));
    assert!(matches!(there.recv_timeout(SHORT), Err(RecvFdsError::TimedOut)));
    let mut sent = 0;
    let full = loop {
        match here.send_timeout(&pattern(sent, 50_000), &[here.as_fd()], SHORT) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendFdsError::TimedOut), "{full:?}");
    assert!(sent > 0);
    (0..sent).for_each(|i| assert!(there.recv_timeout(LONG).unwrap().bytes == pattern(i, 50_000)));
    assert!(matches!(there.recv_timeout(Duration::ZERO), Err(RecvFdsError::TimedOut)), "the refused one was not sent");
}

fn exchange(prepare: fn(), enough: fn() -> bool) {
    let (here, there) = socket_pair().unwrap();
    let child = fork(|| {
        prepare();
        default_sigpipe();
        let mut i = 0;
        while !enough() || i < 50 {
            here.send(&pattern(i, 40_000), &[here.as_fd(), there.as_fd()]).unwrap();
            i += 1;
        }
    });
    drop(here);
    prepare();
    for i in 0.. {
        let message = if i % 2 == 0 { there.recv() } else { there.recv_timeout(LONG) };
        match message {
            Ok(message) => {
                assert!(message.bytes == pattern(i, 40_000));
                assert_eq!(message.descriptors.len(), 2);
            }
            Err(RecvFdsError::Closed) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(reap(child), Some(0));
}

pub fn sockets_survive_a_storm_of_signals() {
    exchange(storm::start, || storm::signals() >= 100);
    storm::stop();
    assert!(storm::signals() > 0);
}

pub fn a_nonblocking_socket_behaves_like_any_other() {
    let (here, there) = socket_pair().unwrap();
    set_nonblocking(&here);
    set_nonblocking(&there);
    let child = fork(|| (0..50).for_each(|i| here.send(&pattern(i, 40_000), &[]).unwrap()));
    drop(here);
    (0..50).for_each(|i| assert!(there.recv().unwrap().bytes == pattern(i, 40_000)));
    assert!(matches!(there.recv(), Err(RecvFdsError::Closed)));
    assert_eq!(reap(child), Some(0));
}

pub fn a_wrong_socket_is_named() {
    let (reader, _writer) = pipe().unwrap();
    let error = Socket::adopt(reader).unwrap_err();
    assert_eq!(error.wrong().found(), Found::Kind("a pipe"));
    match Socket::from(error.into_fd()).send(b"x", &[]) {
        Err(SendFdsError::Io(error)) => assert!(error.to_string().contains("a pipe"), "{error}"),
        other => panic!("{other:?}"),
    }
    let (stream, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = Socket::adopt(stream).unwrap_err();
    assert_eq!(error.wrong().found(), Found::Kind("a socket of another family or type"));
    let (socket, _peer) = socket_pair().unwrap();
    Socket::adopt(OwnedFd::from(socket)).unwrap();
}

/// The kernel closes what is under way when the receiving end goes.
pub fn what_nobody_received_is_closed() {
    let (here, there) = socket_pair().unwrap();
    let (reader, writer) = pipe().unwrap();
    here.send(b"never received", &[writer.as_fd()]).unwrap();
    drop(writer);
    assert_eq!(reader.read_timeout(&mut [0], SHORT).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(there);
    assert_eq!(reader.read_timeout(&mut [0], LONG).unwrap(), 0);
}
