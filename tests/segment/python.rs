//! A real Python at the other end.
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tine::memory::{Frozen, Memfd, Origin, Segment, SegmentError, SharedSlice};
use tine::pipe::Socket;

use crate::support::{self, TempFile};
use crate::{exists, name};

/// The interpreter: `TINE_PYTHON`, or what is found.
fn interpreter() -> String {
    std::env::var("TINE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A Python that runs one expression or statement per line, and prints the value of an expression.
pub struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

const LOOP: &str = "
import struct, sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory, ShareableList

def open_untracked(name):
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    shm = SharedMemory(name)
    resource_tracker.unregister(shm._name, 'shared_memory')
    return shm

def show(sl, i):
    try:
        v = sl[i]
    except UnicodeDecodeError:
        return 'not utf-8'
    t = type(v).__name__
    return t + ' ' + {
        'float': lambda: struct.pack('>d', v).hex(),
        'str': lambda: v.encode().hex(),
        'bytes': lambda: v.hex(),
    }.get(t, lambda: str(v))()

def work():
    i = 0
    while not stop:
        sl[i % 2] = (5, 2.5, None, 'abc')[i // 2 % 4]
        i += 1

for line in sys.stdin:
    try:
        try:
            print(eval(line), flush=True)
        except SyntaxError:
            exec(line)
            print('done', flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
";

impl Python {
    /// Skips the case where there is no Python.
    pub fn start() -> Python {
        let started =
            Command::new(interpreter()).args(["-c", LOOP]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = started else { support::skip(&format!("there is no {}", interpreter())) };
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut python = Python { child, input, output };
        if python.ask("sys.version_info >= (3, 9)") != "True" {
            support::skip("this Python is older than 3.9, which has lists of another layout, or none");
        }
        python
    }

    /// One line of Python, and what it prints: the value of an expression, `done`, or the type of an exception.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    #[track_caller]
    pub fn run(&mut self, line: &str) {
        let answer = self.ask(line);
        assert!(["done", "None"].contains(&&*answer), "{line}: {answer}");
    }

    /// Closes its input, so that it ends by itself.
    pub fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn numpy() -> Python {
        let mut python = Python::start();
        if python.ask("import numpy as np") != "done" {
            python.end();
            support::skip(&format!("{} has no numpy", interpreter()));
        }
        python
    }
}

pub fn python_opens_what_rust_creates() {
    let mut python = Python::start();
    let segment = Segment::create(&name("rust"), 4999).unwrap();
    let bytes = segment.as_slice::<u8>().unwrap();
    bytes.copy_from(0, b"from Rust").unwrap();
    python.run(&format!("shm = open_untracked('{}')", segment.name()));
    assert_eq!(python.ask("shm.size, shm.name"), format!("(4999, '{}')", name("rust")));
    assert_eq!(python.ask("bytes(shm.buf[:9]), bytes(shm.buf[9:]).count(0)"), "(b'from Rust', 4990)");
    python.run("shm.buf[4990:] = b'of Python'");
    assert_eq!(bytes.range_to_vec(4990..).unwrap(), b"of Python");
    // It closes; the name stays. And it ends; the name stays.
    python.run("shm.close()");
    assert!(exists("rust"));
    python.run(&format!("shm = open_untracked('{}')", name("rust")));
    python.end();
    assert!(exists("rust"));
    drop(segment);
    let mut python = Python::start();
    assert_eq!(python.ask(&format!("SharedMemory('{}')", name("rust"))), "FileNotFoundError");
    python.end();
    assert_eq!(bytes.range_to_vec(4990..).unwrap(), b"of Python");
}

pub fn rust_opens_what_python_creates() {
    let mut python = Python::start();
    // A name of its own choice, and one of ours.
    for create in ["SharedMemory(create=True, size=12345)", &format!("SharedMemory('{}', True, 12345)", name("python"))]
    {
        python.run(&format!("shm = {create}"));
        let theirs = python.ask("shm.name");
        python.run("shm.buf[12344] = 44");
        assert!(matches!(Segment::create(&theirs, 1), Err(SegmentError::Exists { .. })));
        let segment = Segment::open(&theirs).unwrap();
        assert_eq!((segment.len(), segment.name(), segment.origin()), (12345, &*theirs, Origin::Opened));
        let bytes = segment.as_slice::<u8>().unwrap();
        assert_eq!(bytes.get(12344), Some(44));
        bytes.set(0, 55).unwrap();
        assert_eq!(python.ask("shm.buf[0]"), "55");
        assert_eq!(Segment::open_view::<u8>(&theirs).unwrap().get(0), Some(55));
        drop(segment);
        python.run(&format!("again = open_untracked('{theirs}')"));
        assert_eq!(python.ask("again.buf[0]"), "55");
        python.run("shm.unlink()");
        assert!(matches!(Segment::open(&theirs), Err(SegmentError::NotFound { .. })));
        assert_eq!(bytes.get(0), Some(55));
    }
    python.end();
}

pub fn either_removes_what_the_other_has_created() {
    let mut python = Python::start();
    let segment = Segment::create(&name("either"), 10).unwrap();
    python.run(&format!("shm = SharedMemory('{}')", name("either")));
    python.run("shm.unlink()");
    assert!(!exists("either"));
    drop(segment);
    python.run(&format!("shm = SharedMemory('{}', True, 10)", name("either")));
    Segment::unlink(&name("either")).unwrap();
    assert_eq!(python.ask("shm.unlink()"), "FileNotFoundError");
    // Else the tracker complains at its end.
    python.run("resource_tracker.unregister(shm._name, 'shared_memory')");
    python.end();
}

pub fn names_mean_the_same_to_both() {
    let mut python = Python::start();
    for bare in [name("plain"), name("with: colon, space"), format!("{:n<255}", name("long"))] {
        for theirs in [bare.clone(), format!("/{bare}")] {
            let segment = Segment::create(&format!("/{bare}"), 3).unwrap();
            // Python's tracker cannot deal with colons before 3.14, so it is not asked to remember any.
            python.run("import _posixshmem, os");
            assert_eq!(python.ask(&format!("os.fstat(_posixshmem.shm_open('/{theirs}', os.O_RDWR)).st_size")), "3");
            drop(segment);
        }
    }
    for bad in ["", "a/b"] {
        assert_eq!(python.ask(&format!("SharedMemory('{bad}')")), "OSError");
        assert!(matches!(Segment::open(bad), Err(SegmentError::InvalidName { .. })));
    }
    python.end();
}

/// Python's scenario 128, and the trap that it documents: up to Python 3.12 whoever opens a segment removes its name.
pub fn the_trackers_trap_and_its_cure() {
    let segment = Segment::create(&name("trap"), 10).unwrap();
    let mut python = Python::start();
    python.run(&format!("shm = SharedMemory('{}')", name("trap")));
    python.end();
    support::until("the tracker has removed the name", || !exists("trap"));
    // Our memory is untouched; and whoever has the name next keeps it.
    segment.as_slice::<u8>().unwrap().set(0, 1).unwrap();
    let next = Segment::create(&name("trap"), 20).unwrap();
    drop(segment);
    assert!(exists("trap"));
    let mut python = Python::start();
    python.run(&format!("shm = open_untracked('{}')", name("trap")));
    // The tracker has run, and has had something else to look after.
    python.run("other = SharedMemory(create=True, size=1)");
    let other = python.ask("other.name");
    python.end();
    support::until("the tracker has removed what it was told of", || {
        matches!(Segment::open(&other), Err(SegmentError::NotFound { .. }))
    });
    assert_eq!(Segment::open(&name("trap")).unwrap().len(), 20);
    drop(next);
}

pub fn a_dead_pythons_segment_is_taken_over_and_a_live_ones_too_unless_it_locks() {
    let mut python = Python::start();
    python.run(&format!("shm = SharedMemory('{}', True, 100)", name("lock")));
    python.run("resource_tracker.unregister(shm._name, 'shared_memory')");
    python.run("import fcntl");
    python.run("fcntl.flock(shm._fd, fcntl.LOCK_EX)");
    assert!(matches!(Segment::create_or_recover(&name("lock"), 1), Err(SegmentError::InUse { .. })));
    python.run("shm.buf[0] = 7");
    python.run("fcntl.flock(shm._fd, fcntl.LOCK_UN)");
    let segment = Segment::create_or_recover(&name("lock"), 50).unwrap();
    assert_eq!(segment.origin(), Origin::Recovered);
    // It keeps its memory all the same.
    assert_eq!(python.ask("shm.size, shm.buf[0]"), "(100, 7)");
    drop(segment);
    python.run(&format!("shm = SharedMemory('{}', True, 100)", name("lock")));
    python.run("resource_tracker.unregister(shm._name, 'shared_memory')");
    python.run("fcntl.flock(shm._fd, fcntl.LOCK_EX)");
    python.kill();
    assert!(exists("lock"));
    assert_eq!(Segment::create_or_recover(&name("lock"), 50).unwrap().origin(), Origin::Recovered);
}

pub fn numpy_and_rust_write_the_same_array() {
    let mut python = Python::numpy();
    // Rust's memory.
    let segment = Segment::create(&name("numpy"), 8 * 600).unwrap();
    let values = segment.as_slice::<f64>().unwrap();
    (0..600).for_each(|i| values.set(i, i as f64).unwrap());
    python.run(&format!("shm = open_untracked('{}')", name("numpy")));
    python.run("a = np.ndarray((20, 30), np.float64, shm.buf)");
    assert_eq!(python.ask("a[19, 29], a.sum()"), python.ask("np.float64(599.0), np.float64(600 * 599 / 2)"));
    python.run("a *= 2");
    assert!(values.iter().eq((0..600).map(|i| 2.0 * i as f64)));
    python.run("a[3] = np.arange(30)");
    assert_eq!(values.range_to_vec(88..92).unwrap(), [176.0, 178.0, 0.0, 1.0]);
    python.run("del a; shm.close()");
    // Python's memory.
    python.run("shm = SharedMemory(create=True, size=12)");
    python.run("a = np.ndarray(3, np.int32, shm.buf)");
    python.run("a[:] = [1, -2, 3]");
    let numbers = Segment::open(&python.ask("shm.name")).unwrap().as_slice::<i32>().unwrap();
    assert_eq!(numbers.to_vec(), [1, -2, 3]);
    numbers.set(1, 1000).unwrap();
    assert_eq!(python.ask("a.sum()"), "1004");
    python.run("del a; shm.unlink(); shm.close()");
    python.end();
}

/// The way without a name: a process that is no child gets a descriptor.
pub fn a_memfd_reaches_a_stranger_by_a_socket() {
    let file = TempFile::new("socket");
    std::fs::remove_file(file.path()).unwrap();
    let listener = listener(file.path());
    // Forked before there is any memory: it inherits nothing of it.
    let stranger = tine::spawn(|| {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::SEQPACKET, None).unwrap();
        rustix::net::connect(&socket, &address(file.path())).unwrap();
        let socket = Socket::adopt(socket).unwrap();
        let (_, [frozen, open]) = socket.recv_exactly::<2>().unwrap();
        assert_eq!(Frozen::<u32>::from_fd(frozen).unwrap()[..], [1, 2, 3]);
        let slice = Memfd::try_from(open).unwrap().into_slice::<u32>().unwrap();
        slice.set(1, 22).unwrap();
        socket.send(b"done", &[]).unwrap();
    })
    .unwrap();
    let here = Socket::adopt(rustix::net::accept(&listener).unwrap()).unwrap();
    let (frozen, slice) = (Frozen::from_slice(&[1_u32, 2, 3]).unwrap(), SharedSlice::<u32>::with_memfd(3).unwrap());
    here.send(b"frozen, open", &[frozen.as_fd(), slice.memfd().unwrap()]).unwrap();
    assert_eq!(here.recv().unwrap().bytes, b"done");
    assert_eq!(slice.to_vec(), [0, 22, 0]);
    stranger.join().unwrap();
}

pub fn a_memfd_reaches_python_by_a_socket() {
    let mut python = Python::start();
    let file = TempFile::new("socket");
    std::fs::remove_file(file.path()).unwrap();
    let listener = listener(file.path());
    python.run("import socket, mmap");
    python.run("s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)");
    python.run(&format!("s.connect('{}')", file.path()));
    let here = Socket::adopt(rustix::net::accept(&listener).unwrap()).unwrap();
    let slice = SharedSlice::<u8>::with_memfd(4999).unwrap();
    slice.copy_from(0, b"from Rust").unwrap();
    let frozen = Frozen::from_slice(b"frozen").unwrap();
    let segment = Segment::new(10).unwrap();
    here.send(b"size 4999", &[slice.memfd().unwrap(), frozen.as_fd(), segment.as_fd()]).unwrap();
    // Eight bytes of head, then the message.
    assert_eq!(python.ask("(m := socket.recv_fds(s, 100, 3))[0][8:]"), "b'size 4999'");
    python.run("a = mmap.mmap(m[1][0], 4999)");
    assert_eq!(python.ask("a[:9]"), "b'from Rust'");
    python.run("a[4990:] = b'of Python'");
    assert_eq!(slice.range_to_vec(4990..).unwrap(), b"of Python");
    // Nobody can write the frozen one, Python neither.
    assert_eq!(python.ask("mmap.mmap(m[1][1], 6)"), "PermissionError");
    assert_eq!(python.ask("mmap.mmap(m[1][1], 6, access=mmap.ACCESS_READ)[:]"), "b'frozen'");
    // A segment's descriptor is a cure of the tracker's trap: nobody tells it of a name.
    python.run("mmap.mmap(m[1][2], 10)[9] = 9");
    assert_eq!(segment.as_slice::<u8>().unwrap().get(9), Some(9));
    python.end();
    assert!(Segment::open(segment.name()).is_ok());
    // It is not to be taken for memory that cannot shrink.
    let fd = segment.as_fd().try_clone_to_owned().unwrap();
    assert!(Memfd::try_from(fd).is_err());
}

fn address(path: &str) -> rustix::net::SocketAddrUnix {
    rustix::net::SocketAddrUnix::new(path).unwrap()
}

fn listener(path: &str) -> std::os::fd::OwnedFd {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::SEQPACKET);
    let listener = rustix::net::socket_with(family, kind, flags, None).unwrap();
    rustix::net::bind(&listener, &address(path)).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    listener
}
