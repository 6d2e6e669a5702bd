//! Several processes, or threads, that begin at the same time, and how long they took.
//!
//! Where there are as many CPUs as parties, each has one to itself: which of them the kernel puts together otherwise is
//! the largest difference of all.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::thread::CpuSet;
use tine::Shared;

/// ```text
///   [READY]       parties that are ready to begin
///   [BEGAN]       when the first of them began, in nanoseconds
///   [ENDED]       when the last of them had done its work
/// ```
type Words = [AtomicU64; 3];

const READY: usize = 0;
const BEGAN: usize = 1;
const ENDED: usize = 2;

/// The clock of a slice. Each party begins, works, ends; what it does before and after is off the clock.
pub struct Race<'a> {
    words: &'a Words,
    parties: u64,
}

impl Race<'_> {
    /// Waits for the others.
    pub fn begin(&self) {
        // AcqRel and Acquire: nothing is handed over but the beginning.
        self.words[READY].fetch_add(1, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.words[READY].load(Ordering::Acquire) < self.parties {
            std::hint::spin_loop();
            looks += 1;
            // The other may need this very CPU.
            if looks.is_multiple_of(10_000) {
                std::thread::yield_now();
            }
        }
        self.words[BEGAN].fetch_min(nanos(), Ordering::Relaxed);
    }

    pub fn end(&self) {
        // Relaxed: read by who has waited for the end of this process or thread.
        self.words[ENDED].fetch_max(nanos(), Ordering::Relaxed);
    }
}

/// A party in a process of its own.
pub type Part<'a> = Box<dyn FnOnce(&Race<'_>) + 'a>;

/// A party in a thread of its own.
pub type ThreadPart<'a> = Box<dyn FnOnce(&Race<'_>) + Send + 'a>;

/// Runs the parts in children made by `tine::spawn`, to which the ends of channels travel.
pub fn spawned(parts: Vec<Part<'_>>) -> Duration {
    let (words, cpus, parties) = prepare(parts.len());
    let children: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| {
            let (words, cpus) = (&words, &cpus);
            tine::spawn(move || {
                run_on(cpus, place, parties);
                part(&Race { words, parties });
            })
            .expect("a child")
        })
        .collect();
    children.into_iter().for_each(|child| child.join().expect("it ends well"));
    took(&words)
}

/// Runs the parts in children of bare forks: for what `spawn` would refuse, memory that others share.
pub fn forked(parts: Vec<Part<'_>>) -> Duration {
    let (words, cpus, parties) = prepare(parts.len());
    let mut children = Vec::new();
    for (place, part) in parts.into_iter().enumerate() {
        // SAFETY: the program has one thread. The child never returns from here, nor unwinds.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                let run = || {
                    run_on(&cpus, place, parties);
                    part(&Race { words: &words, parties });
                };
                let status = i32::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
                // SAFETY: `_exit` has no preconditions.
                unsafe { libc::_exit(status) }
            }
            child => children.push(child),
        }
    }
    for child in children {
        let mut status = 0;
        // SAFETY: `status` is a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "a child failed");
    }
    took(&words)
}

/// Runs the parts in threads.
pub fn threads(parts: Vec<ThreadPart<'_>>) -> Duration {
    let (words, cpus, parties) = prepare(parts.len());
    std::thread::scope(|scope| {
        let (words, cpus) = (&words, &cpus);
        let threads: Vec<_> = parts
            .into_iter()
            .enumerate()
            .map(|(place, part)| {
                scope.spawn(move || {
                    run_on(cpus, place, parties);
                    part(&Race { words, parties });
                })
            })
            .collect();
        // Joined one by one: a scope alone ends before its threads have.
        threads.into_iter().for_each(|thread| thread.join().expect("it ends well"));
    });
    took(&words)
}

fn prepare(parties: usize) -> (Shared<Words>, Vec<usize>, u64) {
    let words = Shared::new([AtomicU64::new(0), AtomicU64::new(u64::MAX), AtomicU64::new(0)]).expect("memory");
    (words, cpus(), parties as u64)
}

fn took(words: &Words) -> Duration {
    let (began, ended) = (words[BEGAN].load(Ordering::Relaxed), words[ENDED].load(Ordering::Relaxed));
    assert!(ended >= began, "a party ended");
    Duration::from_nanos(ended - began)
}

/// The CPUs that this process may run on.
pub fn cpus() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).expect("the kernel tells");
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Gives this process or thread a CPU of its own, if there is one for each.
fn run_on(cpus: &[usize], place: usize, parties: u64) {
    if parties <= cpus.len() as u64 {
        let mut set = CpuSet::new();
        set.set(cpus[place]);
        rustix::thread::sched_setaffinity(None, &set).expect("it may run there");
    }
}

/// The time of the monotonic clock, which all processes share.
pub fn nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The time of a thousand operations, of which `n` took so long.
pub fn thousand(took: Duration, n: u32) -> Duration {
    took.mul_f64(1000.0 / f64::from(n))
}
