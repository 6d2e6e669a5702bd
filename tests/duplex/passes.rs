//! What travels beside bytes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};

use tine::channel::{Duplex, DuplexRecvError, DuplexSendError, duplex};
use tine::memory::Memfd;
use tine::pipe::{FrameReader, FrameWriter, Reader, Socket, Writer, pipe, socket_pair};
use tine::sync::Mutex;
use tine::{Frozen, Shared, SharedSlice};

use crate::support::{Case, descriptors};
use crate::{cases, pattern};

pub const CASES: &[Case] = cases![
    descriptors_travel_inside_of_anything,
    sockets_and_pipes_arrive_as_what_they_are,
    more_descriptors_than_one_packet_holds,
    descriptors_and_bytes_of_many_packets,
    types_of_the_macro_travel,
    a_descriptor_is_the_receivers_and_closed_by_exec,
    a_large_descriptor_number_travels,
    what_nobody_receives_is_closed,
    frozen_memory_travels,
    shared_memory_travels,
    memory_without_a_descriptor_comes_back,
    an_end_travels_through_another,
    an_end_that_was_not_sent_goes_on,
    both_ends_travel,
    an_end_that_holds_half_a_message_stays,
    frames_and_their_limits_travel,
];

tine::pass! {
    /// With all that a struct can have.
    #[derive(Debug)]
    pub struct Job {
        pub input: File,
        name: String,
        more: Vec<(OwnedFd, u8)>,
    }

    #[derive(Debug)]
    struct Pair<A, B>(A, B);

    struct Nothing;

    #[derive(Debug)]
    enum Order<T>
    where
        T: Clone,
    {
        Do(Job, T),
        Nested { orders: Vec<Order<T>>, inner: Option<Box<Order<T>>> },
        Stop,
    }
}

tine::wire! {
    #[derive(Debug, Clone, PartialEq)]
    enum Note {
        Text(String),
        Number { n: u64 },
    }
}

/// A file with these words in it.
fn file(words: &str) -> File {
    let mut file: File = rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into();
    file.write_all(words.as_bytes()).unwrap();
    file
}

fn words(file: impl AsFd) -> String {
    let mut bytes = [0; 64];
    let n = rustix::io::pread(file, &mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

fn descriptors_travel_inside_of_anything() {
    type Value = (
        Option<File>,
        VecDeque<(String, OwnedFd)>,
        Result<u8, Box<File>>,
        BTreeMap<u32, [File; 2]>,
        Vec<u64>,
        (Vec<File>, std::ops::Range<u8>, std::cmp::Reverse<bool>),
    );
    let (here, there) = duplex::<Value, ()>().unwrap();
    let child = tine::spawn(move || {
        let map = [(7, [file("e"), file("f")]), (3, [file("g"), file("h")])].into();
        let two: VecDeque<_> = [("b".to_string(), file("c").into())].into();
        let last = (vec![file("i")], 1..4, std::cmp::Reverse(true));
        here.send((Some(file("a")), two, Err(Box::new(file("d"))), map, vec![1, 2, 3], last)).unwrap();
        here.send((None, VecDeque::new(), Ok(9), BTreeMap::new(), vec![], (vec![], 0..0, std::cmp::Reverse(false))))
            .unwrap();
    })
    .unwrap();
    let (a, two, d, map, numbers, (i, range, _)) = there.recv().unwrap();
    assert_eq!(words(a.unwrap()), "a");
    assert_eq!((two[0].0.as_str(), words(&two[0].1)), ("b", "c".into()));
    assert_eq!(words(*d.unwrap_err()), "d");
    assert_eq!([&map[&7][0], &map[&7][1], &map[&3][0], &map[&3][1]].map(words), ["e", "f", "g", "h"]);
    assert_eq!((numbers, words(&i[0]), range), (vec![1, 2, 3], "i".into(), 1..4));
    let (none, _, nine, ..) = there.recv().unwrap();
    assert!(none.is_none() && nine.unwrap() == 9);
    child.join().unwrap();
}

fn sockets_and_pipes_arrive_as_what_they_are() {
    type All = (TcpListener, UdpSocket, UnixStream, PipeReader, PipeWriter, (Reader, Writer), Socket, Memfd);
    let (here, there) = duplex::<(All, UnixListener), TcpStream>().unwrap();
    let child = tine::spawn(move || {
        let (all, _unix_listener) = there.recv().unwrap();
        let (listener, _udp, mut stream, mut reader, mut writer, (mut r, mut w), socket, memfd) = all;
        stream.write_all(b"s").unwrap();
        writer.write_all(b"w").unwrap();
        let mut bytes = [0; 2];
        reader.read_exact(&mut bytes[..1]).unwrap();
        w.write_all(&bytes[..1]).unwrap();
        r.read_exact(&mut bytes[1..]).unwrap();
        assert_eq!(bytes, *b"ww");
        socket.send(b"packet", &[]).unwrap();
        assert_eq!(memfd.len(), 4096);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        there.send(listener.accept().unwrap().0).unwrap();
        drop(client);
    })
    .unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (socket, their_socket) = socket_pair().unwrap();
    let (pipe_reader, pipe_writer) = std::io::pipe().unwrap();
    let directory = std::env::temp_dir().join(format!("tine-test-duplex-{}", std::process::id()));
    let unix_listener = UnixListener::bind(&directory).unwrap();
    std::fs::remove_file(&directory).unwrap();
    let all = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        theirs,
        pipe_reader,
        pipe_writer,
        pipe().unwrap(),
        their_socket,
        Memfd::new(4096).unwrap(),
    );
    here.send((all, unix_listener)).unwrap();
    let mut byte = [0];
    (&ours).read_exact(&mut byte).unwrap();
    assert_eq!((byte, socket.recv().unwrap().bytes), (*b"s", b"packet".to_vec()));
    let mut accepted = here.recv().unwrap();
    assert_eq!(accepted.read(&mut byte).unwrap(), 0, "the client is gone");
    child.join().unwrap();
}

fn more_descriptors_than_one_packet_holds() {
    let (here, there) = duplex::<Vec<File>, usize>().unwrap();
    let child = tine::spawn(move || {
        for files in &there {
            let files = files.unwrap();
            assert!(files.iter().enumerate().all(|(i, file)| words(file) == i.to_string()));
            there.send(files.len()).unwrap();
        }
    })
    .unwrap();
    let source: Vec<File> = (0..300).map(|i: i32| file(&i.to_string())).collect();
    for n in [0, 1, 252, 253, 254, 300] {
        let copies = source[..n].iter().map(|file| file.try_clone().unwrap()).collect();
        here.send(copies).unwrap();
        assert_eq!(here.recv().unwrap(), n);
    }
    let here = here.max_descriptors(10);
    let eleven: Vec<File> = source[..11].iter().map(|file| file.try_clone().unwrap()).collect();
    match here.send(eleven) {
        Err(DuplexSendError::TooLarge { value, descriptors: 11, .. }) => assert_eq!(words(&value[10]), "10"),
        other => panic!("{other:?}"),
    }
    drop(here);
    child.join().unwrap();
}

fn descriptors_and_bytes_of_many_packets() {
    let (here, there) = duplex::<(Vec<u8>, Vec<File>), ()>().unwrap();
    let child = tine::spawn(move || {
        for (len, n) in [(1_000_000, 1), (10, 506), (200_000, 507), (70_000, 253)] {
            here.send((pattern(n, len), (0..n).map(|i| file(&i.to_string())).collect())).unwrap();
        }
    })
    .unwrap();
    for (len, n) in [(1_000_000, 1), (10, 506), (200_000, 507), (70_000, 253)] {
        let (bytes, files) = there.recv().unwrap();
        assert!(bytes == pattern(n, len));
        assert!(files.len() == n && files.iter().enumerate().all(|(i, file)| words(file) == i.to_string()));
    }
    child.join().unwrap();
}

fn types_of_the_macro_travel() {
    let (here, there) = duplex::<Pair<Order<Note>, Nothing>, Note>().unwrap();
    let job = |name: &str| Job { input: file(name), name: name.into(), more: vec![(file("more").into(), 5)] };
    let inner = Some(Box::new(Order::Do(job("inner"), Note::Number { n: 9 })));
    let orders = vec![Order::Stop, Order::Do(job("first"), Note::Text("t".into())), Order::Stop];
    here.send(Pair(Order::Nested { orders, inner }, Nothing)).unwrap();
    let Pair(Order::Nested { orders, inner }, Nothing) = there.recv().unwrap() else { panic!() };
    let [Order::Stop, Order::Do(first, Note::Text(t)), Order::Stop] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(
        (words(&first.input), first.name.as_str(), words(&first.more[0].0)),
        ("first".into(), "first", "more".into())
    );
    assert_eq!((first.more[0].1, t.as_str()), (5, "t"));
    let Some(Order::Do(job, Note::Number { n: 9 })) = inner.map(|boxed| *boxed) else { panic!() };
    assert_eq!(words(&job.input), "inner");
    there.send(Note::Text("back".into())).unwrap();
    assert_eq!(here.recv().unwrap(), Note::Text("back".into()));
}

fn a_descriptor_is_the_receivers_and_closed_by_exec() {
    let (here, there) = duplex::<PipeWriter, ()>().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    here.send(writer).unwrap();
    let received = there.recv().unwrap();
    let flags = rustix::io::fcntl_getfd(&received).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    drop(received);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the sender's copy was closed when it was sent");
}

fn a_large_descriptor_number_travels() {
    let (here, there) = duplex::<OwnedFd, ()>().unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(file("high"), 900).unwrap();
    here.send(high).unwrap();
    assert_eq!(words(there.recv().unwrap()), "high");
}

fn what_nobody_receives_is_closed() {
    let before = descriptors();
    let (here, there) = duplex::<PipeWriter, ()>().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    here.send(writer).unwrap();
    drop(there);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    drop((here, reader));
    assert_eq!(descriptors(), before);
}

fn frozen_memory_travels() {
    let (here, there) = duplex::<Frozen<u32>, u64>().unwrap();
    let child = tine::spawn(move || {
        for table in &there {
            there.send(table.unwrap().iter().map(|&n| u64::from(n)).sum()).unwrap();
        }
    })
    .unwrap();
    // Made after the fork, so it is not inherited.
    for n in [0, 1, 100_000] {
        here.send(Frozen::build(n, |buffer| buffer.fill(3)).unwrap()).unwrap();
        assert_eq!(here.recv().unwrap(), 3 * n as u64);
    }
    drop(here);
    child.join().unwrap();
}

fn shared_memory_travels() {
    type Both = (Shared<[AtomicU64; 2]>, SharedSlice<u16>);
    let (here, there) = duplex::<(Both, Shared<Mutex<u64>>), ()>().unwrap();
    let child = tine::spawn(move || {
        let ((counters, slice), lock) = there.recv().unwrap();
        counters[1].fetch_add(5, Ordering::Relaxed);
        slice.set(2, 7).unwrap();
        *lock.lock().unwrap() += 1;
        there.send(()).unwrap();
    })
    .unwrap();
    let counters = Shared::with_memfd([AtomicU64::new(1), AtomicU64::new(2)]).unwrap();
    let slice = SharedSlice::with_memfd(3).unwrap();
    let lock = Shared::with_memfd(Mutex::new(10)).unwrap();
    here.send(((counters.clone(), slice.clone()), lock.clone())).unwrap();
    here.recv().unwrap();
    assert_eq!(counters[1].load(Ordering::Relaxed), 7);
    assert_eq!(slice.to_vec(), [0, 0, 7]);
    assert_eq!(*lock.lock().unwrap(), 11);
    child.join().unwrap();
}

fn memory_without_a_descriptor_comes_back() {
    let (here, there) = duplex::<(Option<Shared<AtomicU64>>, SharedSlice<u8>), ()>().unwrap();
    let anonymous = Shared::new(AtomicU64::new(1)).unwrap();
    let Err(DuplexSendError::Encode((Some(back), _), error)) =
        here.send((Some(anonymous), SharedSlice::with_memfd(1).unwrap()))
    else {
        panic!("sent")
    };
    assert_eq!(back.load(Ordering::Relaxed), 1);
    assert!(error.to_string().contains("with_memfd"), "{error}");
    assert!(matches!(here.send((None, SharedSlice::zeroed(1).unwrap())), Err(DuplexSendError::Encode(..))));
    assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
    here.send((None, SharedSlice::with_memfd(2).unwrap())).unwrap();
    assert_eq!(there.recv().unwrap().1.len(), 2);
}

fn an_end_travels_through_another() {
    let (here, there) = duplex::<Duplex<String, u32>, ()>().unwrap();
    let child = tine::spawn(move || -> () {
        let end = there.recv().unwrap();
        end.send("from the child".into()).unwrap();
        assert_eq!(end.recv().unwrap(), 4);
        end.send(std::process::id().to_string()).unwrap();
        std::mem::forget(end);
        tine::process::stop().wait();
        std::process::abort();
    })
    .unwrap();
    // Made after the fork: the child has it by the socket alone.
    let (ours, theirs) = duplex::<u32, String>().unwrap();
    ours.send(4).unwrap(); // before it travels
    here.send(theirs).unwrap();
    assert_eq!(ours.recv().unwrap(), "from the child");
    assert_eq!(ours.recv().unwrap(), child.id().to_string());
    child.request_stop().unwrap();
    match ours.recv() {
        Err(DuplexRecvError::PeerDied(death)) => assert_eq!(death.pid, child.id()),
        other => panic!("{other:?}"),
    }
    assert!(child.join().is_err());
}

fn an_end_that_was_not_sent_goes_on() {
    let (here, there) = duplex::<Duplex<u8, u8>, ()>().unwrap();
    let (ours, theirs) = duplex::<u8, u8>().unwrap();
    let here = here.max_message(1);
    let Err(DuplexSendError::TooLarge { value: theirs, .. }) = here.send(theirs) else { panic!("sent") };
    theirs.send(1).unwrap();
    assert_eq!(ours.recv().unwrap(), 1);
    drop(there);
    let here = here.max_message(100);
    let Err(DuplexSendError::Disconnected(theirs)) = here.send(theirs) else { panic!("sent") };
    drop(theirs);
    assert!(matches!(ours.recv(), Err(DuplexRecvError::Disconnected)), "dropped here, and told as such");
}

fn both_ends_travel() {
    let (here, there) = duplex::<(Duplex<u8, u8>, Duplex<u8, u8>), ()>().unwrap();
    let child = tine::spawn(move || {
        let (one, other) = there.recv().unwrap();
        one.send(1).unwrap();
        other.send(2).unwrap();
        let got = (one.recv().unwrap(), other.recv().unwrap());
        drop(one);
        (got, matches!(other.recv(), Err(DuplexRecvError::Disconnected)))
    })
    .unwrap();
    here.send(duplex().unwrap()).unwrap();
    assert_eq!(child.join().unwrap(), ((2, 1), true));
}

fn an_end_that_holds_half_a_message_stays() {
    let (carrier, _other) = duplex::<Duplex<(), Vec<u8>>, ()>().unwrap();
    let (end, sender) = duplex::<(), Vec<u8>>().unwrap();
    let late = sender.send_timeout(pattern(1, 5 << 20), std::time::Duration::from_millis(5));
    assert!(matches!(late, Err(DuplexSendError::Timeout(_))));
    assert!(matches!(end.try_recv(), Err(DuplexRecvError::Empty)));
    let Err(DuplexSendError::Encode(end, error)) = carrier.send(end) else { panic!("sent") };
    assert!(error.to_string().contains("receive before it is sent"), "{error}");
    sender.send(vec![1]).unwrap();
    assert_eq!(end.recv().unwrap(), [1]);
    carrier.send(end).unwrap();
}

fn frames_and_their_limits_travel() {
    let (here, there) = duplex::<FrameWriter<String>, FrameReader<String>>().unwrap();
    let child = tine::spawn(move || {
        let mut writer = there.recv().unwrap();
        let too_large = writer.send(&"x".repeat(200)).is_err();
        writer.send(&"short".into()).unwrap();
        there.recv().unwrap().send(&"more".into()).unwrap();
        too_large
    })
    .unwrap();
    let (reader, writer) = pipe().unwrap();
    here.send(writer.try_clone().unwrap().frames().max_frame(100)).unwrap();
    here.send(writer.frames()).unwrap();
    let mut reader = reader.frames::<String>();
    assert_eq!((reader.recv().unwrap(), reader.recv().unwrap()), ("short".into(), "more".into()));
    assert!(child.join().unwrap());
}
