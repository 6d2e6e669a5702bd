//! Properties: for any sequence of writes by parent, child and grandchild, private memory is private, shared memory is
//! shared, and the pages are counted as a model counts them.
#[path = "models/region_ranges.rs"]
mod region_ranges;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tine::memory::{Advice, Private, Shared, SharedSlice};

fn main() {
    support::run(cases![
        no_write_crosses_a_fork_of_private_memory,
        every_write_crosses_a_fork_of_shared_memory,
        shared_memory_that_claims_to_be_private_is_caught,
        private_memory_that_claims_to_be_shared_is_caught,
        a_page_too_many_is_caught,
        ranges_behave_like_a_vector,
        mappings_come_and_go_without_touching_each_other,
    ]);
}

fn runner(cases: u32) -> TestRunner {
    // No file of failures: the smallest failing input is printed.
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() })
}

// --- The processes -----------------------------------------------------------------------------------------------

const PLACES: usize = 4;
/// In the region each slot is a page of its own.
const SLOTS: usize = 8;

fn page_words() -> usize {
    rustix::param::page_size() / size_of::<u64>()
}

/// One write, by process 0 (parent), 1 (child) or 2 (grandchild).
#[derive(Clone, Copy, Debug)]
struct Op {
    actor: usize,
    place: usize,
    slot: usize,
    value: u64,
}

/// What happens: writes by the parent alone; fork; writes by two; the child forks; writes by three; the grandchild
/// ends; the child ends. After each step everybody tells what it sees.
type Story = [Vec<Op>; 3];

fn stories() -> impl Strategy<Value = Story> {
    let ops = |actors: usize, most: usize| {
        let op = (0..actors, 0..PLACES, 0..SLOTS, 1..u64::MAX);
        prop::collection::vec(op.prop_map(|(actor, place, slot, value)| Op { actor, place, slot, value }), 0..most)
    };
    [ops(1, 12).boxed(), ops(2, 16).boxed(), ops(3, 24).boxed()]
}

/// The memory that is told about.
trait Subject {
    fn write(&self, place: usize, slot: usize, value: u64);
    fn read(&self, place: usize, slot: usize) -> u64;
    /// Pages of the region: shared, private, absent.
    fn pages(&self) -> [u64; 3];
}

/// What one process sees: its pages, and then all values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    pages: [u64; 3],
    values: Vec<u64>,
}

const VIEW_WORDS: usize = 3 + PLACES * SLOTS;

impl View {
    fn of(subject: &dyn Subject) -> View {
        // The pages first: reading the values makes absent pages present.
        let pages = subject.pages();
        let values = (0..PLACES * SLOTS).map(|i| subject.read(i / SLOTS, i % SLOTS)).collect();
        View { pages, values }
    }
}

/// The words of the parent to a child, one byte each, except that `WRITE` is followed by the index of an op.
const WRITE: u8 = 0;
const LOOK: u8 = 1;
const FORK: u8 = 2;
const END: u8 = 3;

/// A child as the parent sees it: it does one thing at a time, and answers when it is done.
struct Remote {
    orders: PipeWriter,
    answers: PipeReader,
}

/// The child's ends of the same pipes.
struct Post {
    orders: PipeReader,
    answers: PipeWriter,
}

fn a_line() -> (Remote, Post) {
    let (orders_out, orders) = pipe().unwrap();
    let (answers, answers_in) = pipe().unwrap();
    (Remote { orders, answers }, Post { orders: orders_out, answers: answers_in })
}

impl Remote {
    fn order(&mut self, order: &[u8]) {
        self.orders.write_all(order).unwrap();
        self.answers.read_exact(&mut [0]).unwrap();
    }

    fn look(&mut self) -> View {
        self.order(&[LOOK]);
        let mut bytes = [0; VIEW_WORDS * 8];
        self.answers.read_exact(&mut bytes).unwrap();
        let words: Vec<u64> = bytes.chunks(8).map(|b| u64::from_ne_bytes(b.try_into().unwrap())).collect();
        View { pages: [words[0], words[1], words[2]], values: words[3..].to_vec() }
    }
}

/// The child's life; `below` is the post of the child that it may be told to fork.
fn serve(subject: &dyn Subject, ops: &[Op], mut post: Post, mut below: Option<Post>) {
    let mut children = 0;
    loop {
        let mut order = [0];
        post.orders.read_exact(&mut order).unwrap();
        let mut answer = vec![order[0]];
        match order[0] {
            WRITE => {
                let mut index = [0];
                post.orders.read_exact(&mut index).unwrap();
                let op = ops[usize::from(index[0])];
                subject.write(op.place, op.slot, op.value);
            }
            LOOK => {
                let view = View::of(subject);
                answer.extend(view.pages.iter().chain(&view.values).flat_map(|word| word.to_ne_bytes()));
            }
            FORK => {
                let below = below.take().unwrap();
                if fork_a_child() {
                    return serve(subject, ops, below, None);
                }
                children += 1;
            }
            _ => {
                // What the child had must be unmapped before anybody counts pages again.
                (0..children).for_each(|_| reap_one());
                post.answers.write_all(&answer).unwrap();
                return;
            }
        }
        post.answers.write_all(&answer).unwrap();
    }
}

/// True in the child. A bare fork: these are tests of the floor below `process`.
fn fork_a_child() -> bool {
    // SAFETY: a case is single-threaded, so the child may use everything that the parent could.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        pid => pid == 0,
    }
}

fn reap_one() {
    let (_, status) = rustix::process::wait(rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
}

/// Plays a story in three processes; after each step the views of those who live, by actor.
fn play(subject: &dyn Subject, story: &Story) -> Vec<Vec<View>> {
    let ops: Vec<Op> = story.iter().flatten().copied().collect();
    let (mut child, child_post) = a_line();
    let (mut grandchild, grandchild_post) = a_line();
    let mut views = Vec::new();
    let mut index = 0;
    for op in &story[0] {
        subject.write(op.place, op.slot, op.value);
        index += 1;
    }
    views.push(vec![View::of(subject)]);
    if fork_a_child() {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            serve(subject, &ops, child_post, Some(grandchild_post));
        }));
        // SAFETY: ends the child, or the grandchild that came back through it, without the parent's destructors.
        unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
    }
    drop((child_post, grandchild_post));
    let mut act = |op: &Op, child: &mut Remote, grandchild: &mut Remote| {
        match op.actor {
            0 => subject.write(op.place, op.slot, op.value),
            1 => child.order(&[WRITE, index]),
            _ => grandchild.order(&[WRITE, index]),
        }
        index += 1;
    };
    story[1].iter().for_each(|op| act(op, &mut child, &mut grandchild));
    views.push(vec![View::of(subject), child.look()]);
    child.order(&[FORK]);
    story[2].iter().for_each(|op| act(op, &mut child, &mut grandchild));
    views.push(vec![View::of(subject), child.look(), grandchild.look()]);
    grandchild.order(&[END]);
    child.order(&[END]);
    reap_one();
    views.push(vec![View::of(subject)]);
    views
}

// --- The models --------------------------------------------------------------------------------------------------

/// What a process should see: its own values, and frames that are shared by those who have the same number.
#[derive(Clone)]
struct Process {
    values: Vec<u64>,
    frames: [Frame; SLOTS],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Absent,
    /// Read before it was written.
    Zero,
    Number(u32),
}

/// All processes, each with memory of its own.
struct Private3 {
    processes: Vec<Process>,
    next: u32,
}

impl Private3 {
    fn write(&mut self, op: &Op) {
        self.processes[op.actor].values[op.place * SLOTS + op.slot] = op.value;
        if op.place == 0 {
            let frame = self.processes[op.actor].frames[op.slot];
            if matches!(frame, Frame::Absent | Frame::Zero) || self.users(op.slot, frame) > 1 {
                self.next += 1;
                self.processes[op.actor].frames[op.slot] = Frame::Number(self.next);
            }
        }
    }

    fn users(&self, slot: usize, frame: Frame) -> usize {
        self.processes.iter().filter(|p| p.frames[slot] == frame).count()
    }

    fn look(&mut self, actor: usize) -> View {
        let mut pages = [0; 3];
        for slot in 0..SLOTS {
            let frame = self.processes[actor].frames[slot];
            match frame {
                Frame::Absent => pages[2] += 1,
                Frame::Number(_) if self.users(slot, frame) == 1 => pages[1] += 1,
                _ => pages[0] += 1,
            }
            if frame == Frame::Absent {
                self.processes[actor].frames[slot] = Frame::Zero;
            }
        }
        View { pages, values: self.processes[actor].values.clone() }
    }
}

/// What the views should be if nothing crosses a fork.
fn private_model(story: &Story) -> Vec<Vec<View>> {
    let parent = Process { values: vec![0; PLACES * SLOTS], frames: [Frame::Absent; SLOTS] };
    let mut model = Private3 { processes: vec![parent], next: 0 };
    let mut views = Vec::new();
    for ops in story {
        ops.iter().for_each(|op| model.write(op));
        views.push((0..model.processes.len()).map(|actor| model.look(actor)).collect());
        let youngest = model.processes.last().unwrap().clone();
        model.processes.push(youngest);
    }
    // The grandchild and the child have ended (and the loop's last copy never was).
    model.processes.truncate(1);
    views.push(vec![model.look(0)]);
    views
}

/// What the values should be if everything crosses: the last write wins, for everybody.
fn shared_model(story: &Story) -> Vec<Vec<Vec<u64>>> {
    let mut values = vec![0; PLACES * SLOTS];
    let mut views = Vec::new();
    for (step, ops) in story.iter().enumerate() {
        ops.iter().for_each(|op| values[op.place * SLOTS + op.slot] = op.value);
        views.push(vec![values.clone(); step + 1]);
    }
    views.push(vec![values]);
    views
}

// --- The subjects ------------------------------------------------------------------------------------------------

static STATICS: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

/// Memory that a fork copies: a region, the heap, the stack, statics.
struct Copied<'a> {
    region: RefCell<Private<[u64]>>,
    heap: Box<[Cell<u64>; SLOTS]>,
    stack: &'a [Cell<u64>; SLOTS],
    /// A seeded bug: each write touches the next page, too, without changing what it holds.
    sloppy: bool,
}

impl Subject for Copied<'_> {
    fn write(&self, place: usize, slot: usize, value: u64) {
        match place {
            0 => {
                let mut region = self.region.borrow_mut();
                region[slot * page_words()] = value;
                if self.sloppy {
                    region[(slot + 1) % SLOTS * page_words() + 1] = 0;
                }
            }
            1 => self.heap[slot].set(value),
            2 => self.stack[slot].set(value),
            _ => STATICS[slot].store(value, Ordering::Relaxed),
        }
    }
    fn read(&self, place: usize, slot: usize) -> u64 {
        match place {
            0 => self.region.borrow()[slot * page_words()],
            1 => self.heap[slot].get(),
            2 => self.stack[slot].get(),
            _ => STATICS[slot].load(Ordering::Relaxed),
        }
    }
    fn pages(&self) -> [u64; 3] {
        let stats = self.region.borrow().cow_stats().unwrap();
        assert_eq!(stats.swapped, 0, "this test counts pages that are in memory");
        [stats.shared, stats.private, stats.absent].map(|n| n as u64)
    }
}

fn play_copied(story: &Story, sloppy: bool) -> Vec<Vec<View>> {
    STATICS.iter().for_each(|s| s.store(0, Ordering::Relaxed));
    let region = Private::<[u64]>::zeroed(SLOTS * page_words()).unwrap();
    region.advise(Advice::NoHugePages).unwrap();
    let stack = [const { Cell::new(0) }; SLOTS];
    let heap = Box::new([const { Cell::new(0) }; SLOTS]);
    play(&Copied { region: RefCell::new(region), heap, stack: &stack, sloppy }, story)
}

/// Memory that a fork does not copy: each kind of region is a place.
struct Merged {
    words: Shared<[AtomicU64]>,
    array: Shared<[AtomicU64; SLOTS]>,
    slice: SharedSlice<u64>,
    memfd: SharedSlice<u64>,
}

impl Subject for Merged {
    fn write(&self, place: usize, slot: usize, value: u64) {
        match place {
            0 => self.words[slot].store(value, Ordering::Relaxed),
            1 => self.array[slot].store(value, Ordering::Relaxed),
            2 => self.slice.set(slot, value).unwrap(),
            _ => self.memfd.copy_from(slot, &[value]).unwrap(),
        }
    }
    fn read(&self, place: usize, slot: usize) -> u64 {
        match place {
            0 => self.words[slot].load(Ordering::Relaxed),
            1 => self.array[slot].load(Ordering::Relaxed),
            2 => self.slice.get(slot).unwrap(),
            _ => self.memfd.range_to_vec(slot..=slot).unwrap()[0],
        }
    }
    fn pages(&self) -> [u64; 3] {
        [0; 3]
    }
}

fn play_merged(story: &Story) -> Vec<Vec<View>> {
    let merged = Merged {
        words: Shared::<[AtomicU64]>::from_fn(SLOTS, |_| AtomicU64::new(0)).unwrap(),
        array: Shared::with_memfd([const { AtomicU64::new(0) }; SLOTS]).unwrap(),
        slice: SharedSlice::zeroed(SLOTS).unwrap(),
        memfd: SharedSlice::with_memfd(SLOTS).unwrap(),
    };
    play(&merged, story)
}

// --- The properties ----------------------------------------------------------------------------------------------

fn values(views: Vec<Vec<View>>) -> Vec<Vec<Vec<u64>>> {
    views.into_iter().map(|step| step.into_iter().map(|view| view.values).collect()).collect()
}

fn same<T: PartialEq + Debug>(seen: T, expected: T) -> Result<(), TestCaseError> {
    if seen == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("seen\n{seen:x?}\nexpected\n{expected:x?}")))
}

fn holds(property: impl Fn(&Story) -> Result<(), TestCaseError>) {
    if let Err(error) = runner(64).run(&stories(), |story| property(&story)) {
        panic!("{error}");
    }
}

/// The harness proves itself: what is wrong is found, and by a mismatch, not by a crash.
fn is_caught(property: impl Fn(&Story) -> Result<(), TestCaseError>) {
    match runner(64).run(&stories(), |story| property(&story)) {
        Err(TestError::Fail(reason, story)) => {
            assert!(reason.to_string().starts_with("seen"), "{reason}");
            assert!(!story.iter().flatten().collect::<Vec<_>>().is_empty());
        }
        other => panic!("the seeded bug was not found: {other:?}"),
    }
}

fn no_write_crosses_a_fork_of_private_memory() {
    holds(|story| same(play_copied(story, false), private_model(story)));
}

fn every_write_crosses_a_fork_of_shared_memory() {
    holds(|story| same(values(play_merged(story)), shared_model(story)));
}

fn shared_memory_that_claims_to_be_private_is_caught() {
    is_caught(|story| same(values(play_merged(story)), values(private_model(story))));
}

fn private_memory_that_claims_to_be_shared_is_caught() {
    is_caught(|story| same(values(play_copied(story, false)), shared_model(story)));
}

fn a_page_too_many_is_caught() {
    // The values are right; only the count can tell.
    holds(|story| same(values(play_copied(story, true)), values(private_model(story))));
    is_caught(|story| same(play_copied(story, true), private_model(story)));
}

fn ranges_behave_like_a_vector() {
    let lists = prop::collection::vec(any::<u8>(), 0..400);
    let result = runner(256).run(&lists, |bytes| {
        region_ranges::run(&bytes);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Python's scenario 123, for mappings in place of a heap: made and dropped in any order, none overlaps another, each
/// keeps what was written to it, and at the end nothing is left.
fn mappings_come_and_go_without_touching_each_other() {
    enum Any {
        Private(Private<[u8]>),
        Guarded(Private<[u8]>),
        Slice(SharedSlice<u8>),
        Memfd(SharedSlice<u8>),
    }
    impl Any {
        fn write(&mut self, value: u8) {
            match self {
                Any::Private(r) | Any::Guarded(r) => r.fill(value),
                Any::Slice(r) | Any::Memfd(r) => r.copy_from(0, &vec![value; r.len()]).unwrap(),
            }
        }
        fn read(&self) -> Vec<u8> {
            match self {
                Any::Private(r) | Any::Guarded(r) => r.to_vec(),
                Any::Slice(r) | Any::Memfd(r) => r.to_vec(),
            }
        }
    }
    let regions_of_mine = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|l| l.contains("memfd:tine") || l.contains("/dev/zero")).count()
    };
    let before = (regions_of_mine(), support::descriptors().len());
    let acts = prop::collection::vec((any::<bool>(), 0..4u8, 1..40_000usize, any::<u8>()), 1..40);
    let result = runner(48).run(&acts, |acts| {
        let mut living: BTreeMap<usize, (Any, Vec<u8>)> = BTreeMap::new();
        for (i, (make, kind, len, value)) in acts.into_iter().enumerate() {
            if make || living.is_empty() {
                let mut region = match kind {
                    0 => Any::Private(Private::<[u8]>::zeroed(len).unwrap()),
                    1 => Any::Guarded(Private::<[u8]>::zeroed_guarded(len).unwrap()),
                    2 => Any::Slice(SharedSlice::zeroed(len).unwrap()),
                    _ => Any::Memfd(SharedSlice::with_memfd(len).unwrap()),
                };
                prop_assert!(region.read().iter().all(|&b| b == 0), "new memory is zero");
                region.write(value);
                living.insert(i, (region, vec![value; len]));
            } else {
                let oldest_from = living.range(len % i..).next().or(living.iter().next());
                let key = *oldest_from.unwrap().0;
                living.remove(&key);
            }
            for (region, expected) in living.values() {
                prop_assert_eq!(&region.read(), expected);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert_eq!((regions_of_mine(), support::descriptors().len()), before);
}
