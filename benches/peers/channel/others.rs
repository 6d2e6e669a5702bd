//! The same work between processes: shaq, cloudtoid-interprocess, ipc-channel.

use std::fs::File;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cloudtoid_interprocess::{Error, Options, Publisher, Subscriber};
use ipc_channel::ipc;
use shaq::spsc::{Consumer, Producer, minimum_file_size};

use crate::ours::{CAPACITY, Reading, reading};
use crate::race::{Part, forked, opened, steps, thousand, until_some};
use crate::support::so_many;

// shaq: senders cannot wait for room; receivers can wait in a futex, or look again. Here both look again,
// but for the receivers of many.

/// Memory that has a descriptor.
fn memory() -> File {
    rustix::fs::memfd_create("shaq", rustix::fs::MemfdFlags::CLOEXEC).expect("memory").into()
}

fn shaq_pair(capacity: usize) -> (Producer<u64>, Consumer<u64>) {
    let file = memory();
    // SAFETY: nobody else has the file: it is made once, and has one end of each kind.
    unsafe {
        let sender = Producer::create(&file, minimum_file_size::<u64>(capacity)).expect("memory");
        (sender, Consumer::join(&file).expect("the file is a queue"))
    }
}

fn write(tx: &mut Producer<u64>, value: u64) {
    while tx.try_write(value).is_err() {
        std::hint::spin_loop();
    }
}

fn read(rx: &mut Consumer<u64>) -> u64 {
    loop {
        match rx.try_read() {
            Some(value) => return value,
            None => std::hint::spin_loop(),
        }
    }
}

pub fn shaq_round_trips() -> Duration {
    let n = so_many(5_000);
    let (mut ask, mut asked) = shaq_pair(64);
    let (mut answer, mut answered) = shaq_pair(64);
    let near = steps(64, n, move |i| {
        write(&mut ask, i);
        assert_eq!(read(&mut answered), i);
    });
    let far = steps(64, n, move |_| write(&mut answer, read(&mut asked)));
    thousand(forked(vec![near, far]), n)
}

pub fn shaq_stream() -> Duration {
    let n = so_many(1 << 16);
    let (mut tx, mut rx) = shaq_pair(CAPACITY);
    let warm = CAPACITY as u32;
    let sender = steps(warm, n, move |i| write(&mut tx, i));
    let receiver = steps(warm, n, move |i| assert_eq!(read(&mut rx), i));
    thousand(forked(vec![sender, receiver]), n)
}

pub fn shaq_many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    use shaq::mpmc;
    let n = so_many(100_000).next_multiple_of(senders * receivers);
    let file = memory();
    // SAFETY: nobody else has the file: it is made once, and all ends are of the same type.
    let first = unsafe { mpmc::Producer::<u64>::create(&file, mpmc::minimum_file_size::<u64>(capacity)) };
    let _first = first.expect("memory");
    let warm = (capacity as u32).next_multiple_of(senders * receivers);
    let mut parts: Vec<Part> = Vec::new();
    for _ in 0..senders {
        // SAFETY: as above.
        let tx = unsafe { mpmc::Producer::<u64>::join(&file) }.expect("the file is a queue");
        parts.push(steps(warm / senders, n / senders, move |i| until_some(|| tx.try_write(i).ok())));
    }
    for _ in 0..receivers {
        // SAFETY: as above.
        let rx = unsafe { mpmc::Consumer::<u64>::join(&file) }.expect("the file is a queue");
        parts.push(steps(warm / receivers, n / receivers, move |_| {
            black_box(until_some(|| rx.read_timeout(Duration::from_secs(1)).ok()));
        }));
    }
    thousand(forked(parts), n)
}

// cloudtoid-interprocess: its waits sleep up to 5 ms, so here both sides look again. A message of 8 bytes takes 16.

fn queue(messages: usize) -> Options {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("tine-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    Options::new(name, 16 * messages).with_path("/dev/shm")
}

fn publish(tx: &Publisher, value: u64) {
    until_some(|| match tx.try_send(&value.to_ne_bytes()) {
        Ok(()) => Some(()),
        Err(Error::Full) => None,
        Err(e) => panic!("{e}"),
    });
}

fn consume(rx: &Subscriber) -> u64 {
    let mut word = [0; 8];
    until_some(|| rx.try_recv_into(&mut word).expect("the queue is whole"));
    u64::from_ne_bytes(word)
}

pub fn cloudtoid_round_trips() -> Duration {
    let n = so_many(4_000);
    let (ask, answer) = (queue(64), queue(64));
    // The last one out clears up.
    let _held = [&ask, &answer].map(|queue| Subscriber::open(queue).expect("a queue"));
    let near = {
        let (ask, answer) = (ask.clone(), answer.clone());
        opened(64, n, move || {
            let (tx, rx) = (Publisher::open(&ask).expect("a queue"), Subscriber::open(&answer).expect("a queue"));
            move |i| {
                publish(&tx, i);
                assert_eq!(consume(&rx), i);
            }
        })
    };
    let far = opened(64, n, move || {
        let (tx, rx) = (Publisher::open(&answer).expect("a queue"), Subscriber::open(&ask).expect("a queue"));
        move |_| publish(&tx, consume(&rx))
    });
    thousand(forked(vec![near, far]), n)
}

pub fn cloudtoid_many(senders: u32, receivers: u32, capacity: usize) -> Duration {
    let n = so_many(20_000).next_multiple_of(senders * receivers);
    let queue = queue(capacity);
    let _held = Subscriber::open(&queue).expect("a queue");
    let warm = (capacity as u32).next_multiple_of(senders * receivers);
    let mut parts: Vec<Part> = Vec::new();
    for queue in (0..senders).map(|_| queue.clone()) {
        parts.push(opened(warm / senders, n / senders, move || {
            let tx = Publisher::open(&queue).expect("a queue");
            move |i| publish(&tx, i)
        }));
    }
    for queue in (0..receivers).map(|_| queue.clone()) {
        parts.push(opened(warm / receivers, n / receivers, move || {
            let rx = Subscriber::open(&queue).expect("a queue");
            move |_| {
                black_box(consume(&rx));
            }
        }));
    }
    thousand(forked(parts), n)
}

// ipc-channel: a socket pair; long messages through a memfd.

pub fn ipc_round_trips() -> Duration {
    let n = so_many(100);
    let (ask, asked) = ipc::channel::<u64>().expect("a channel");
    let (answer, answered) = ipc::channel::<u64>().expect("a channel");
    let near = steps(2, n, move |i| {
        ask.send(i).expect("the other lives");
        assert_eq!(answered.recv().expect("the other lives"), i);
    });
    let far = steps(2, n, move |_| answer.send(asked.recv().expect("the other lives")).expect("the other lives"));
    thousand(forked(vec![near, far]), n)
}

pub fn ipc_stream() -> Duration {
    let n = so_many(4_000);
    let (tx, rx) = ipc::channel::<u64>().expect("a channel");
    let sender = steps(64, n, move |i| tx.send(i).expect("the receiver lives"));
    let receiver = steps(64, n, move |i| assert_eq!(rx.recv().expect("the sender lives"), i));
    thousand(forked(vec![sender, receiver]), n)
}

pub fn ipc_readings() -> Duration {
    let n = so_many(4_000);
    let (tx, rx) = ipc::channel::<Reading>().expect("a channel");
    let sender = steps(64, n, move |i| tx.send(reading(i)).expect("the receiver lives"));
    let receiver = steps(64, n, move |i| assert_eq!(rx.recv().expect("the sender lives").number, i));
    thousand(forked(vec![sender, receiver]), n)
}

/// A thousand messages of `len` bytes, written once; read where it was received.
pub fn ipc_large(len: usize, n: u32) -> Duration {
    let (tx, rx) = ipc::bytes_channel().expect("a channel");
    let mut message = vec![0; len];
    let sender = steps(2, n, move |i| {
        message.fill(i as u8);
        tx.send(&message).expect("the receiver lives");
    });
    let receiver = steps(2, n, move |_| {
        black_box(crate::ours::read(&rx.recv().expect("the sender lives")));
    });
    thousand(forked(vec![sender, receiver]), n)
}
