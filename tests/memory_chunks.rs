//! Chunks are whole or absent, wherever a worker is killed.
mod support;

use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use support::in_child;
use tine::memory::{FillChunks, Shared, SharedSlice};

fn main() {
    support::run(cases![
        three_processes_fill_all_chunks_once,
        chunks_have_ranges,
        a_worker_killed_in_its_closure_loses_that_chunk_only,
        a_kill_at_every_page_of_the_copy_leaves_whole_chunks_or_none,
        committing_before_copying_is_caught,
        a_kill_from_outside_leaves_whole_chunks_or_none,
        a_stopped_worker_keeps_its_chunk,
        a_panic_frees_the_chunk,
        a_fork_in_the_closure_commits_once,
    ]);
}

/// What element `i` must be at the end; never 0, so that what was not written is seen.
fn expected(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn fill(range: Range<usize>, values: &mut [u64]) {
    range.zip(values).for_each(|(i, value)| *value = expected(i));
}

/// All that is reported done is whole.
fn check_whole(chunks: &FillChunks<u64>) {
    for chunk in 0..chunks.len() {
        match chunks.read(chunk) {
            Some(values) => assert!(values.into_iter().eq(chunks.range(chunk).map(expected)), "chunk {chunk} is torn"),
            None => assert!(chunks.missing().contains(&chunk)),
        }
    }
}

fn start(f: impl FnOnce()) -> Pid {
    // SAFETY: a case is single-threaded, so the child may use everything that the parent could.
    match unsafe { libc::fork() } {
        0 => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
        }
        pid => Pid::from_raw(pid).expect("fork"),
    }
}

fn reap(pid: Pid) -> rustix::process::WaitStatus {
    waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap().1
}

fn three_processes_fill_all_chunks_once() {
    let slice = SharedSlice::<u64>::zeroed(10_000).unwrap();
    let chunks = slice.fill_chunks(33).unwrap();
    let calls = Shared::new(AtomicU64::new(0)).unwrap();
    let work = || {
        chunks.run(|range, values| {
            calls.fetch_add(1, Ordering::Relaxed);
            fill(range, values);
        })
    };
    let children = [0, 1].map(|_| start(|| assert!(work().is_ok())));
    work().unwrap();
    for child in children {
        assert_eq!(reap(child).exit_status(), Some(0));
    }
    assert!(chunks.is_complete());
    assert_eq!(chunks.missing(), []);
    assert_eq!(calls.load(Ordering::Relaxed), chunks.len() as u64);
    assert!(slice.iter().eq((0..10_000).map(expected)));
    // Nothing is left to do, in either way.
    assert_eq!(
        (chunks.run(|_, _| unreachable!()).unwrap(), chunks.retry_missing(|_, _| unreachable!()).unwrap()),
        (0, 0)
    );
}

fn chunks_have_ranges() {
    let slice = SharedSlice::<u64>::zeroed(10).unwrap();
    let chunks = slice.fill_chunks(4).unwrap();
    assert_eq!((0..5).map(|c| chunks.range(c)).collect::<Vec<_>>(), [0..4, 4..8, 8..10, 10..10, 10..10]);
    assert_eq!((chunks.len(), chunks.range(usize::MAX)), (3, 10..10));
    assert!(!chunks.is_done(usize::MAX) && chunks.read(3).is_none());
    assert!(slice.fill_chunks(0).is_err());
    let one = slice.fill_chunks(usize::MAX).unwrap();
    assert_eq!((one.len(), one.range(0), one.run(fill).unwrap()), (1, 0..10, 1));
    assert!(slice.iter().eq((0..10).map(expected)));
}

fn a_worker_killed_in_its_closure_loses_that_chunk_only() {
    for victim in 0..6 {
        let slice = SharedSlice::<u64>::zeroed(600).unwrap();
        let chunks = slice.fill_chunks(100).unwrap();
        let status = in_child(|| {
            let _ = chunks.run(|range, values| {
                if range.start == victim * 100 {
                    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
                }
                fill(range, values);
            });
        });
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        check_whole(&chunks);
        assert_eq!(chunks.missing(), (victim..6).collect::<Vec<_>>(), "it was alone: the rest is not begun");
        // The next worker comes to what was not begun; the dead one's chunk needs a retry.
        assert_eq!(chunks.run(fill).unwrap(), 5 - victim);
        assert_eq!(chunks.missing(), [victim]);
        assert_eq!(chunks.retry_missing(fill).unwrap(), 1);
        assert!(chunks.is_complete());
        check_whole(&chunks);
    }
}

/// Something that fills chunks in a child, and says which are done.
trait Filler {
    fn run(&self);
    fn is_done(&self, chunk: usize) -> bool;
}

const PAGES: usize = 6;

fn page_words() -> usize {
    rustix::param::page_size() / size_of::<u64>()
}

/// One and a half pages: chunks begin and end inside pages, too.
fn chunk_len() -> usize {
    page_words() * 3 / 2
}

/// Kills a worker at each page boundary of its copies, and looks whether anything that is reported done is not whole:
/// the first such chunk. In the worker one page of the region is made inaccessible, so its copy ends there by
/// SIGSEGV, with everything before it copied: a kill at exactly that place.
fn torn_by_a_kill(filler: impl Fn(&SharedSlice<u64>) -> Box<dyn Filler>) -> Option<(usize, usize)> {
    for page in 0..PAGES {
        let slice = SharedSlice::<u64>::zeroed(PAGES * page_words()).unwrap();
        let filler = filler(&slice);
        let status = in_child(|| {
            make_inaccessible(&slice, page);
            filler.run();
        });
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "page {page} was not touched");
        let values = slice.to_vec();
        let whole = |chunk: usize| (chunk * chunk_len()..(chunk + 1) * chunk_len()).all(|i| values[i] == expected(i));
        assert!(values[..page * page_words()].iter().all(|&v| v != 0), "killed before page {page}");
        if let Some(chunk) = (0..values.len() / chunk_len()).find(|&chunk| filler.is_done(chunk) && !whole(chunk)) {
            return Some((page, chunk));
        }
    }
    None
}

/// Page `page` of a slice cannot be touched by this process any more. (Its address is found by its contents: nothing
/// public tells it.)
fn make_inaccessible(slice: &SharedSlice<u64>, page: usize) {
    const MARK: u64 = 0x7469_6e65_7469_6e65;
    slice.set(0, MARK).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = maps.lines().filter(|line| line.contains("rw-s")).find_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        // Neighbouring mappings may be shown as one.
        (start..end).step_by(page_words() * 8).find(|&address| {
            // SAFETY: a readable page of this process, as the kernel just said.
            let first = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() };
            first == MARK
        })
    });
    slice.set(0, 0).unwrap();
    let start = start.expect("the slice is mapped somewhere");
    let address = std::ptr::with_exposed_provenance_mut(start + page * page_words() * 8);
    // SAFETY: this child dies of what it does here, and nobody else is affected.
    unsafe { rustix::mm::mprotect(address, page_words() * 8, rustix::mm::MprotectFlags::empty()) }.unwrap();
}

impl Filler for FillChunks<u64> {
    fn run(&self) {
        let _ = FillChunks::run(self, fill);
    }
    fn is_done(&self, chunk: usize) -> bool {
        FillChunks::is_done(self, chunk)
    }
}

fn a_kill_at_every_page_of_the_copy_leaves_whole_chunks_or_none() {
    let torn = torn_by_a_kill(|slice| {
        let chunks = slice.fill_chunks(chunk_len()).unwrap();
        Box::new(chunks)
    });
    assert_eq!(torn, None);
}

/// The twin of [`FillChunks`] that commits before it copies.
struct CommitsFirst {
    slice: SharedSlice<u64>,
    done: Shared<[AtomicU64]>,
}

impl Filler for CommitsFirst {
    fn run(&self) {
        for (chunk, done) in self.done.iter().enumerate() {
            let range = chunk * chunk_len()..(chunk + 1) * chunk_len();
            let mut values = vec![0; chunk_len()];
            fill(range.clone(), &mut values);
            done.store(1, Ordering::Release);
            self.slice.copy_from(range.start, &values).unwrap();
        }
    }
    fn is_done(&self, chunk: usize) -> bool {
        self.done[chunk].load(Ordering::Acquire) != 0
    }
}

fn committing_before_copying_is_caught() {
    let torn = torn_by_a_kill(|slice| {
        let done = Shared::<[AtomicU64]>::from_fn(slice.len() / chunk_len(), |_| AtomicU64::new(0)).unwrap();
        Box::new(CommitsFirst { slice: slice.clone(), done })
    });
    assert!(torn.is_some(), "the harness does not see a chunk that is reported done and is not whole");
}

/// SIGKILL while the copy of a large chunk is under way, seen by its first words having arrived.
fn a_kill_from_outside_leaves_whole_chunks_or_none() {
    const LEN: usize = 4 << 20;
    let mut in_the_middle = 0;
    for _ in 0..20 {
        let slice = SharedSlice::<u64>::zeroed(LEN).unwrap();
        let chunks = slice.fill_chunks(LEN).unwrap();
        let child = start(|| assert!(chunks.run(fill).is_ok()));
        support::until("the copy has begun", || {
            let begun = (0..10_000).any(|_| slice.get(64) != Some(0));
            begun || chunks.is_done(0)
        });
        let _ = kill_process(child, Signal::KILL);
        reap(child);
        check_whole(&chunks);
        if chunks.is_done(0) {
            continue;
        }
        in_the_middle += usize::from(slice.get(LEN - 1) == Some(0));
        assert_eq!(chunks.retry_missing(fill).unwrap(), 1);
        check_whole(&chunks);
        if in_the_middle == 2 {
            return;
        }
    }
    support::skip("no kill of 20 hit the copy: this machine is too busy; the other cases do not depend on luck");
}

/// Stopped is not dead: who is slow is not robbed, so two never write to one chunk.
fn a_stopped_worker_keeps_its_chunk() {
    let slice = SharedSlice::<u64>::zeroed(300).unwrap();
    let chunks = slice.fill_chunks(100).unwrap();
    let child = start(|| {
        let mine = chunks.run(|range, values| {
            if range.start == 100 {
                kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
            }
            fill(range, values);
        });
        assert!(mine.unwrap() >= 2);
    });
    let (_, status) = waitpid(Some(child), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped());
    assert_eq!(chunks.retry_missing(fill).unwrap(), 1, "chunk 2, which nobody had begun");
    assert_eq!(chunks.missing(), [1]);
    kill_process(child, Signal::CONT).unwrap();
    assert_eq!(reap(child).exit_status(), Some(0));
    assert!(chunks.is_complete());
    check_whole(&chunks);
}

fn a_panic_frees_the_chunk() {
    let slice = SharedSlice::<u64>::zeroed(300).unwrap();
    let chunks = slice.fill_chunks(100).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = chunks.run(|range, values| {
            fill(range.clone(), values);
            assert_ne!(range.start, 100, "as asked");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(chunks.missing(), [1, 2]);
    // The same, living process may take it again.
    assert_eq!(chunks.retry_missing(fill).unwrap(), 2);
    check_whole(&chunks);
}

/// A bare fork that returns from the closure makes a second worker out of one. It must not write to the first one's
/// chunk.
fn a_fork_in_the_closure_commits_once() {
    let slice = SharedSlice::<u64>::zeroed(300).unwrap();
    let chunks = slice.fill_chunks(100).unwrap();
    let parent = rustix::process::getpid();
    let mut child = None;
    let done = chunks.run(|range, values| {
        if range.start == 0 {
            // SAFETY: a case is single-threaded; the child leaves below.
            child = Pid::from_raw(unsafe { libc::fork() });
            match child {
                None => return values.fill(666),
                // The child runs to its end first: it has every opportunity.
                Some(child) => assert_eq!(reap(child).exit_status(), Some(0), "the child committed something"),
            }
        }
        fill(range, values);
    });
    if rustix::process::getpid() != parent {
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(done.map_or(101, |n| n as i32)) }
    }
    assert_eq!(done.unwrap(), 3);
    assert!(chunks.is_complete());
    check_whole(&chunks);
}
