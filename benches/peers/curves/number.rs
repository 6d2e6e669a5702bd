//! Many channels at once. Each function measures one slice: the time of a thousand operations.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tine::channel::{mpmc, spsc};
use tine::wait::Ready;

use crate::race::{spawned, steps, thousand};
use crate::support::so_many;

/// Of each ring.
const CAPACITY: usize = 16;

/// Each channel gets as many, but so many are sent in all.
fn laps(channels: usize) -> u32 {
    so_many(100_000).div_ceil(channels as u32).max(2)
}

/// A message on each channel in turn, from one process to another.
pub fn spsc(channels: usize) -> Duration {
    let laps = laps(channels);
    let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..channels).map(|_| spsc::channel::<u64>(CAPACITY).expect("memory")).unzip();
    let sender = steps(1, laps, move |i| {
        senders.iter_mut().for_each(|tx| tx.send(i).expect("the receiver lives"));
    });
    let receiver = steps(1, laps, move |i| {
        receivers.iter_mut().for_each(|rx| assert_eq!(rx.recv().expect("the sender lives"), i));
    });
    thousand(spawned(vec![sender, receiver]), laps * channels as u32)
}

/// The same, by rings for many.
pub fn mpmc(channels: usize) -> Duration {
    let laps = laps(channels);
    let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..channels).map(|_| mpmc::channel::<u64>(CAPACITY).expect("memory")).unzip();
    let sender = steps(1, laps, move |i| {
        senders.iter_mut().for_each(|tx| tx.send(i).expect("the receiver lives"));
    });
    let receiver = steps(1, laps, move |i| {
        receivers.iter_mut().for_each(|rx| assert_eq!(rx.recv().expect("the sender lives"), i));
    });
    thousand(spawned(vec![sender, receiver]), laps * channels as u32)
}

/// Waits for all of them, of which the last has a message.
pub fn wait(channels: usize) -> Duration {
    let waits = so_many(50_000).div_ceil(channels as u32).max(2);
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..channels).map(|_| spsc::channel::<u64>(CAPACITY).expect("memory")).unzip();
    senders[channels - 1].send(1).expect("there is room");
    let items: Vec<_> = receivers.iter().map(|rx| rx as &dyn Ready).collect();
    let start = Instant::now();
    for _ in 0..waits {
        let ready = tine::wait(&items, None).expect("descriptors to be had");
        assert_eq!(ready, Some(channels - 1));
    }
    thousand(start.elapsed(), waits)
}

/// Makes and drops a channel, where there are so many.
pub fn make(channels: usize) -> Duration {
    let times = so_many(300);
    let held: Vec<_> = (0..channels).map(|_| spsc::channel::<u64>(CAPACITY).expect("memory")).collect();
    let start = Instant::now();
    for _ in 0..times {
        black_box(spsc::channel::<u64>(CAPACITY).expect("memory"));
    }
    let took = start.elapsed();
    drop(held);
    thousand(took, times)
}
