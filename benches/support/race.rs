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
        until_some(|| (self.words[READY].load(Ordering::Acquire) >= self.parties).then_some(()));
        self.words[BEGAN].fetch_min(nanos(), Ordering::Relaxed);
    }

    pub fn end(&self) {
        // Relaxed: read by who has waited for the end of this process or thread.
        self.words[ENDED].fetch_max(nanos(), Ordering::Relaxed);
    }
}

/// What one party does, in a process or thread of its own.
pub type Part<'a> = Box<dyn FnOnce(&Race<'_>) + Send + 'a>;

/// A part that does `step` for each number up to `n`; and before that, off the clock, `warm` times, so that all memory was
/// touched.
pub fn steps<'a>(warm: u32, n: u32, step: impl FnMut(u64) + Send + 'a) -> Part<'a> {
    opened(warm, n, || step)
}

/// The same, where the other side is opened in the new process.
pub fn opened<'a, S: FnMut(u64)>(warm: u32, n: u32, open: impl FnOnce() -> S + Send + 'a) -> Part<'a> {
    Box::new(move |race| {
        let mut step = open();
        (0..u64::from(warm)).for_each(&mut step);
        race.begin();
        (0..u64::from(n)).for_each(&mut step);
        race.end();
    })
}

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
                // SAFETY: it takes a number, and changes nothing in memory.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
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
pub fn threads(parts: Vec<Part<'_>>) -> Duration {
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

/// For who has no way to sleep: looks again at once, and lets others run if that was often in vain.
pub fn until_some<R>(mut look: impl FnMut() -> Option<R>) -> R {
    let mut looks = 0_u32;
    loop {
        if let Some(found) = look() {
            return found;
        }
        looks += 1;
        match looks.is_multiple_of(200) {
            true => std::thread::yield_now(),
            false => std::hint::spin_loop(),
        }
    }
}

/// The time below which the part `q` of `times` is.
pub fn quantile(times: &mut [u64], q: f64) -> u64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * q) as usize]
}
