//! Whole messages: sizes, kills, timeouts in the middle, several writers.
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use tine::pipe::frame::PIECE;
use tine::pipe::{FrameReader, FrameWriter, Reader, RecvFrameError, SendFrameError, Writer, pipe};
use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Wire};

use crate::refuse::become_an_old_kernel;
use crate::streams::{LONG, SHORT, fork, kill, pattern, reap, set_nonblocking};
use crate::{storm, support};

const MIB: usize = 1 << 20;

/// Bytes, as they are.
#[derive(Debug, PartialEq)]
pub struct Bytes(Vec<u8>);

impl Wire for Bytes {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write(&self.0);
        Ok(())
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Bytes(input.take(input.remaining())?.to_vec()))
    }
}

/// Not to be printed when it is wrong: a megabyte of numbers helps nobody.
fn assert_same(got: &Bytes, wanted: &[u8]) {
    let at = got.0.iter().zip(wanted).position(|(g, w)| g != w);
    assert!(got.0 == wanted, "{} bytes came for {}, first difference at {at:?}", got.0.len(), wanted.len());
}

fn frames() -> (FrameReader<Bytes>, FrameWriter<Bytes>) {
    let (reader, writer) = pipe().unwrap();
    (reader.frames(), writer.frames())
}

/// How many bytes are in the pipe.
fn in_pipe(reader: &FrameReader<Bytes>) -> usize {
    rustix::io::ioctl_fionread(reader).unwrap() as usize
}

pub fn messages_of_every_size_arrive_whole() {
    let sizes = [
        0,
        1,
        PIECE - 25,
        PIECE - 24,
        PIECE - 23,
        PIECE - 9,
        PIECE - 8,
        PIECE - 7,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        2 * (PIECE - 24) - 1,
        2 * (PIECE - 24),
        2 * (PIECE - 24) + 1,
        64 * 1024 - 1,
        64 * 1024,
        64 * 1024 + 1,
        16 * MIB,
    ];
    let (mut reader, mut writer) = frames();
    let child = fork(|| {
        for (seed, &size) in sizes.iter().enumerate() {
            writer.send(&Bytes(pattern(seed as u64, size))).unwrap();
        }
    });
    drop(writer);
    for (seed, &size) in sizes.iter().enumerate() {
        assert_same(&reader.recv().unwrap(), &pattern(seed as u64, size));
    }
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
    assert_eq!(reap(child), Some(0));
}

/// The end at each byte of a stream of two messages: only between them it is clean.
pub fn the_end_and_a_torn_message_differ() {
    let stream = {
        let (mut raw, writer) = pipe().unwrap();
        let mut writer = writer.frames();
        writer.send(&Bytes(pattern(1, 20))).unwrap();
        writer.send(&Bytes(pattern(2, 5000))).unwrap();
        drop(writer);
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut raw, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(stream.len(), 8 + 20 + 24 + 4072 + 24 + 928);
    for end in 0..=stream.len() {
        let (reader, mut writer) = pipe().unwrap();
        let mut reader = reader.frames::<Bytes>();
        writer.write_all(&stream[..end]).unwrap();
        drop(writer);
        let whole = [28, stream.len()].iter().filter(|&&at| at <= end).count();
        for seed in 1..=whole as u64 {
            assert_same(&reader.recv().unwrap(), &pattern(seed, if seed == 1 { 20 } else { 5000 }));
        }
        let clean = [0, 28, stream.len()].contains(&end);
        match reader.recv() {
            Err(RecvFrameError::Closed) => assert!(clean, "an end at byte {end} was taken for a clean one"),
            Err(RecvFrameError::Torn { got, of }) => {
                assert!(!clean, "an end at byte {end} was taken for a torn message");
                match end {
                    8..28 => assert_eq!((got, of), (end as u64 - 8, Some(20))),
                    52..4124 => assert_eq!((got, of), (end as u64 - 52, Some(5000))),
                    4148..5076 => assert_eq!((got, of), (end as u64 - 76, Some(5000))),
                    _ => {}
                }
            }
            other => panic!("at byte {end}: {other:?}"),
        }
    }
}

pub fn a_killed_writer_leaves_no_half_message() {
    let (mut reader, mut writer) = frames();
    let child = fork(|| {
        writer.send(&Bytes(pattern(1, 100))).unwrap();
        writer.send(&Bytes(pattern(2, 16 * MIB))).unwrap();
    });
    drop(writer);
    assert_same(&reader.recv().unwrap(), &pattern(1, 100));
    // It sleeps in the middle of the second one when the pipe is full; some of it is read already.
    support::until("the pipe is full", || in_pipe(&reader) >= 15 * PIECE);
    kill(child);
    match reader.recv() {
        Err(RecvFrameError::Torn { got, of: Some(of) }) => {
            assert_eq!(of, 16 * MIB as u64);
            assert!(got > 0 && got < of && got % 4072 == 0, "{got}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
}

/// Killed after each of many counts of received messages, wherever it then is.
pub fn a_kill_at_any_time_delivers_a_prefix() {
    let size = |i: u64| (i * 7919 % 30_011) as usize;
    let (mut torn, mut clean) = (0, 0);
    for received in 0..60 {
        let (mut reader, mut writer) = frames();
        let child = fork(|| {
            for i in 0.. {
                writer.send(&Bytes(pattern(i, size(i)))).unwrap();
            }
        });
        drop(writer);
        for i in 0..received {
            assert_same(&reader.recv().unwrap(), &pattern(i, size(i)));
        }
        kill(child);
        let mut i = received;
        loop {
            match reader.recv() {
                Ok(message) => assert_same(&message, &pattern(i, size(i))),
                Err(RecvFrameError::Torn { got, of }) => {
                    assert_eq!(of, Some(size(i) as u64));
                    assert!(got < size(i) as u64);
                    torn += 1;
                    break;
                }
                Err(RecvFrameError::Closed) => {
                    clean += 1;
                    break;
                }
                Err(other) => panic!("{other:?}"),
            }
            i += 1;
        }
    }
    assert!(torn > 0, "no kill hit a message: {torn} torn, {clean} clean");
}

pub fn a_killed_writer_does_not_harm_the_others() {
    let (mut reader, writer) = frames();
    let mut doomed = writer.try_clone().unwrap();
    let child = fork(|| doomed.send(&Bytes(pattern(1, MIB))).unwrap());
    support::until("the pipe is full", || in_pipe(&reader) >= 15 * PIECE);
    kill(child);
    drop(doomed);
    let mut writer = writer;
    let other = fork(|| {
        for seed in 0..20 {
            writer.send(&Bytes(pattern(seed, 50_000))).unwrap();
        }
    });
    drop(writer);
    for seed in 0..20 {
        assert_same(&reader.recv().unwrap(), &pattern(seed, 50_000));
    }
    assert!(matches!(reader.recv(), Err(RecvFrameError::Torn { of: Some(of), .. }) if of == MIB as u64));
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
    assert_eq!(reap(other), Some(0));
}

/// A message begins with who sent it and which one it is, and the rest follows from that.
pub fn large_messages_of_several_processes_do_not_mix() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 40;
    let size = |who: u64, i: u64| 16 + ((who * 31 + i * 7919) % 200_003) as usize;
    let message = |who: u64, i: u64| {
        let mut bytes = pattern(who * 1000 + i, size(who, i));
        bytes[..8].copy_from_slice(&who.to_le_bytes());
        bytes[8..16].copy_from_slice(&i.to_le_bytes());
        bytes
    };
    let (mut reader, mut writer) = frames();
    // All use the one writer that they inherited.
    let children: Vec<_> = (0..WRITERS)
        .map(|who| fork(|| (0..EACH).for_each(|i| writer.send(&Bytes(message(who, i))).unwrap())))
        .collect();
    drop(writer);
    let mut next = [0; WRITERS as usize];
    let mut turns = 0;
    let mut last = WRITERS;
    for received in &mut reader {
        let bytes = received.unwrap();
        let who = u64::from_le_bytes(bytes.0[..8].try_into().unwrap());
        let i = u64::from_le_bytes(bytes.0[8..16].try_into().unwrap());
        assert_eq!(i, next[who as usize], "messages of one writer keep their order");
        assert_same(&bytes, &message(who, i));
        next[who as usize] += 1;
        turns += u64::from(who != last);
        last = who;
    }
    assert_eq!(next, [EACH; WRITERS as usize]);
    assert!(turns > WRITERS, "the writers took turns only at their ends: nothing was tested");
    for child in children {
        assert_eq!(reap(child), Some(0));
    }
}

/// Both ends are here and neither may sleep, so each step stops in the middle of the message.
pub fn a_message_resumes_after_a_timeout_on_either_side() {
    let (mut reader, mut writer) = frames();
    let sent = Bytes(pattern(1, MIB));
    assert!(matches!(writer.send_timeout(&sent, Duration::ZERO), Err(SendFrameError::Unfinished)));
    let mut steps = 0;
    loop {
        // A second message must wait for the first: it is not sent at all, and says so.
        assert!(matches!(writer.send_timeout(&Bytes(pattern(2, 10)), Duration::ZERO), Err(SendFrameError::TimedOut)));
        assert!(matches!(reader.recv_timeout(SHORT), Err(RecvFrameError::TimedOut)));
        match writer.flush_timeout(Duration::ZERO) {
            Ok(()) => break,
            Err(SendFrameError::Unfinished) => steps += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(steps > 5, "{steps}");
    writer.send_timeout(&Bytes(pattern(3, 10)), LONG).unwrap();
    assert_same(&reader.recv_timeout(LONG).unwrap(), &sent.0);
    assert_same(&reader.recv_timeout(LONG).unwrap(), &pattern(3, 10));
    // What is unfinished is finished by the next send, before its own message.
    assert!(matches!(writer.send_timeout(&sent, Duration::ZERO), Err(SendFrameError::Unfinished)));
    let child = fork(|| {
        assert_same(&reader.recv().unwrap(), &sent.0);
        assert_same(&reader.recv().unwrap(), &pattern(4, 10));
    });
    writer.send(&Bytes(pattern(4, 10))).unwrap();
    assert_eq!(reap(child), Some(0));
}

pub fn a_timeout_before_the_first_byte_sends_nothing() {
    let (mut reader, mut writer) = frames();
    for size in [10, 4088, 50_000] {
        let mut sent = 0;
        // Small ones first, so that the last one meets a pipe that is exactly full.
        loop {
            match writer.send_timeout(&Bytes(pattern(sent, 4088)), SHORT) {
                Ok(()) => sent += 1,
                Err(SendFrameError::TimedOut) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(sent > 0);
        for timeout in [Duration::ZERO, SHORT] {
            let refused = writer.send_timeout(&Bytes(pattern(99, size)), timeout);
            assert!(matches!(refused, Err(SendFrameError::TimedOut)), "{refused:?}");
        }
        for seed in 0..sent {
            assert_same(&reader.recv().unwrap(), &pattern(seed, 4088));
        }
        assert!(matches!(reader.recv_timeout(Duration::ZERO), Err(RecvFrameError::TimedOut)));
    }
}

/// The parent goes on with what it began, the child begins its own; neither takes the other's for its own.
pub fn a_fork_in_the_middle_of_a_message_tears_nothing() {
    let (mut reader, mut writer) = frames();
    assert!(matches!(writer.send_timeout(&Bytes(pattern(1, MIB)), Duration::ZERO), Err(SendFrameError::Unfinished)));
    let child = fork(|| writer.send(&Bytes(pattern(2, MIB))).unwrap());
    // Read by another process, so that both writers may sleep.
    let receiver = fork(|| {
        let mut got = [reader.recv().unwrap(), reader.recv().unwrap()];
        got.sort_by_key(|bytes| bytes.0 != pattern(1, MIB));
        assert_same(&got[0], &pattern(1, MIB));
        assert_same(&got[1], &pattern(2, MIB));
    });
    writer.flush().unwrap();
    assert_eq!(reap(child), Some(0));
    assert_eq!(reap(receiver), Some(0));
}

/// Even numbers only, on both sides.
#[derive(Debug, PartialEq)]
struct Even(u64);

impl Wire for Even {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write(b"what is written before the refusal must not be sent");
        if self.0 % 2 == 1 { Err(EncodeError::new("odd")) } else { self.0.encode(&mut { Encoder::new() }) }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match u64::decode(input)? {
            n if n % 2 == 0 => Ok(Even(n)),
            _ => Err(DecodeError::new("odd")),
        }
    }
}

pub fn a_value_that_does_not_encode_leaves_the_stream_untouched() {
    let (reader, writer) = pipe().unwrap();
    let mut writer = writer.frames::<Even>();
    assert!(matches!(writer.send(&Even(1)), Err(SendFrameError::Encode(_))));
    assert_eq!(rustix::io::ioctl_fionread(&reader).unwrap(), 0);
    writer.send(&Even(2)).unwrap();
    assert!(rustix::io::ioctl_fionread(&reader).unwrap() > 0);
}

pub fn a_value_that_does_not_decode_costs_itself_only() {
    let (reader, writer) = pipe().unwrap();
    let mut numbers = writer.try_clone().unwrap().frames::<u64>();
    let mut bytes = writer.frames::<Bytes>();
    let mut evens = reader.frames::<Even>();
    numbers.send(&2).unwrap();
    numbers.send(&3).unwrap();
    // Too short, too long, and far too long: not a byte of theirs may be taken for the next.
    for size in [0, 7, 9, 100_000] {
        if size > 50_000 {
            assert!(matches!(
                bytes.send_timeout(&Bytes(vec![0; size]), Duration::ZERO),
                Err(SendFrameError::Unfinished)
            ));
        } else {
            bytes.send(&Bytes(vec![0; size])).unwrap();
        }
    }
    assert_eq!(evens.recv().unwrap(), Even(2));
    for _ in 0..4 {
        let refused = evens.recv();
        assert!(matches!(refused, Err(RecvFrameError::Decode(_))), "{refused:?}");
    }
    assert!(matches!(evens.recv_timeout(SHORT), Err(RecvFrameError::TimedOut)));
    bytes.flush().unwrap();
    numbers.send(&4).unwrap();
    drop((bytes, numbers));
    assert!(matches!(evens.recv(), Err(RecvFrameError::Decode(_))));
    assert_eq!(evens.recv().unwrap(), Even(4));
    assert!(matches!(evens.recv(), Err(RecvFrameError::Closed)));
}

pub fn a_message_over_the_limit_costs_itself_only() {
    let (reader, writer) = frames();
    let (mut reader, mut writer) = (reader.max_frame(5000), writer.max_frame(100_000));
    assert!(matches!(
        writer.send(&Bytes(vec![0; 100_001])),
        Err(SendFrameError::TooLarge { len: 100_001, max: 100_000 })
    ));
    assert_eq!(in_pipe(&reader), 0, "a refused message leaves the stream untouched");
    let sizes = [5000, 5001, 10, 100_000, 4999];
    let child = fork(|| sizes.iter().for_each(|&size| writer.send(&Bytes(pattern(1, size))).unwrap()));
    drop(writer);
    for size in sizes {
        match reader.recv() {
            Ok(message) => assert_same(&message, &pattern(1, size)),
            Err(RecvFrameError::TooLarge { len, max: 5000 }) => assert!(len == size as u64 && size > 5000),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
    assert_eq!(reap(child), Some(0));
}

pub fn foreign_bytes_are_corrupt_for_good() {
    let (reader, writer) = pipe().unwrap();
    let mut raw = writer.try_clone().unwrap();
    let mut writer = writer.frames::<u64>();
    let mut reader = reader.frames::<u64>();
    writer.send(&1).unwrap();
    raw.write_all(b"printf debugging\n").unwrap();
    writer.send(&2).unwrap();
    assert_eq!(reader.recv().unwrap(), 1);
    for _ in 0..3 {
        assert!(matches!(reader.recv(), Err(RecvFrameError::Corrupt(_))));
    }
    assert!(reader.poll(Duration::ZERO), "an error is something to receive");
    assert!(matches!(reader.next(), Some(Err(RecvFrameError::Corrupt(_)))));
    assert!(reader.next().is_none());
}

/// Address space for `bytes` more than are mapped now.
fn limit_memory(bytes: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = pages * rustix::param::page_size() as u64 + bytes;
    rustix::process::setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: Some(limit) }).unwrap();
}

/// Were the length trusted, the reader would ask for a gigabyte that its limit does not allow.
pub fn a_claimed_length_takes_no_memory() {
    let status = support::in_child(|| {
        let (mut reader, mut writer) = frames();
        let large = Bytes(vec![1; 1 << 30]);
        assert!(matches!(writer.send_timeout(&large, Duration::ZERO), Err(SendFrameError::Unfinished)));
        drop((large, writer));
        limit_memory(64 << 20);
        match reader.recv() {
            Err(RecvFrameError::Torn { got, of }) => assert!(got < 65536 && of == Some(1 << 30)),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
}

pub fn out_of_memory_costs_that_message_only() {
    let (mut reader, mut writer) = frames();
    let child = fork(|| {
        writer.send(&Bytes(vec![1; 100 << 20])).unwrap();
        writer.send(&Bytes(pattern(1, 5000))).unwrap();
    });
    drop(writer);
    let status = support::in_child(|| {
        limit_memory(64 << 20);
        match reader.recv() {
            Err(RecvFrameError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory),
            other => panic!("{:?}", other.map(|bytes| bytes.0.len())),
        }
        assert_same(&reader.recv().unwrap(), &pattern(1, 5000));
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
    assert_eq!(reap(child), Some(0));
}

pub fn poll_takes_nothing_and_counts_whole_messages() {
    let (mut reader, mut writer) = frames();
    assert!(!reader.poll(Duration::ZERO));
    assert!(!reader.poll(SHORT));
    writer.send(&Bytes(Vec::new())).unwrap();
    assert!(reader.poll(LONG), "an empty message is a message");
    assert!(reader.poll(Duration::ZERO), "asking again changes nothing");
    assert_same(&reader.recv().unwrap(), b"");
    assert!(!reader.poll(Duration::ZERO));

    let words: [&[u8]; 4] = [b"", b"a", b"bc", b""];
    words.iter().for_each(|word| writer.send(&Bytes(word.to_vec())).unwrap());
    for word in words {
        assert!(reader.poll(Duration::ZERO));
        assert_same(&reader.recv_timeout(Duration::ZERO).unwrap(), word);
    }
    assert!(!reader.poll(Duration::ZERO));

    let large = Bytes(pattern(1, 100_000));
    assert!(matches!(writer.send_timeout(&large, Duration::ZERO), Err(SendFrameError::Unfinished)));
    assert!(!reader.poll(SHORT), "part of a message is nothing to receive");
    writer.flush().unwrap();
    assert!(reader.poll(LONG));
    assert_same(&reader.recv().unwrap(), &large.0);
    drop(writer);
    assert!(reader.poll(LONG), "the end is something to receive");
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
}

fn many_messages(between: impl Fn(), enough: impl Fn() -> bool) {
    let size = |i: u64| (i * 7919 % 150_001) as usize;
    let (mut reader, mut writer) = frames();
    let child = fork(|| {
        between();
        let mut i = 0;
        while !enough() || i < 50 {
            if i % 2 == 0 {
                writer.send(&Bytes(pattern(i, size(i)))).unwrap();
            } else {
                match writer.send_timeout(&Bytes(pattern(i, size(i))), SHORT) {
                    Ok(()) => {}
                    Err(SendFrameError::Unfinished) => writer.flush_timeout(LONG).unwrap(),
                    Err(SendFrameError::TimedOut) => continue,
                    Err(other) => panic!("{other:?}"),
                }
            }
            i += 1;
        }
    });
    drop(writer);
    between();
    for i in 0.. {
        let message = if i % 2 == 0 { reader.recv() } else { reader.recv_timeout(LONG) };
        match message {
            Ok(message) => assert_same(&message, &pattern(i, size(i))),
            Err(RecvFrameError::Closed) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(reap(child), Some(0));
}

pub fn frames_survive_a_storm_of_signals() {
    many_messages(storm::start, || storm::signals() >= 100);
    storm::stop();
    assert!(storm::signals() > 0);
}

pub fn frames_work_on_an_old_kernel() {
    let status = support::in_child(|| {
        become_an_old_kernel();
        many_messages(|| (), || true);
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
}

pub fn frames_over_a_nonblocking_description() {
    let (reader, writer) = pipe().unwrap();
    set_nonblocking(&reader);
    set_nonblocking(&writer);
    let (mut reader, mut writer) = (reader.frames::<Bytes>(), writer.frames::<Bytes>());
    let child = fork(|| (0..20).for_each(|i| writer.send(&Bytes(pattern(i, 70_000))).unwrap()));
    drop(writer);
    (0..20).for_each(|i| assert_same(&reader.recv().unwrap(), &pattern(i, 70_000)));
    assert!(matches!(reader.recv(), Err(RecvFrameError::Closed)));
    assert_eq!(reap(child), Some(0));
}

/// A stream socket takes part of a piece, which no pipe does.
pub fn frames_over_a_socket_resume_inside_a_piece() {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&here, 4608).unwrap();
    let mut writer = Writer::from(OwnedFd::from(here)).frames::<Bytes>();
    let mut reader = Reader::from(OwnedFd::from(there)).frames::<Bytes>();
    for seed in 0..20 {
        let sent = pattern(seed, 30_001);
        let mut sending = writer.send_timeout(&Bytes(sent.clone()), Duration::ZERO);
        while let Err(SendFrameError::Unfinished) = sending {
            assert!(matches!(reader.recv_timeout(Duration::ZERO), Err(RecvFrameError::TimedOut)));
            sending = writer.flush_timeout(Duration::ZERO);
        }
        sending.unwrap();
        assert_same(&reader.recv_timeout(LONG).unwrap(), &sent);
    }
}

pub fn the_iterator_ends_cleanly() {
    let (mut reader, mut writer) = frames();
    (0..3).for_each(|i| writer.send(&Bytes(pattern(i, 10))).unwrap());
    let _ = writer.send_timeout(&Bytes(pattern(9, MIB)), Duration::ZERO);
    drop(writer);
    let got: Vec<_> = (&mut reader).collect();
    assert_eq!(got.len(), 4);
    assert!(got[..3].iter().all(Result::is_ok));
    assert!(matches!(got[3], Err(RecvFrameError::Torn { .. })), "{:?}", got[3]);
    assert!(reader.next().is_none());
}
