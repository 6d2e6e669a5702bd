//! The threads of one run, and the kernel beneath them.
//!
//! **Threads** have names, as the roster gives them. Some are *doomed*: the first dies before its step number n, where n is what
//! [`crate::explore`] tries one after the other. A step is a change of a word, a wake, the beginning or the end of a sleep, or a
//! place in the scene that calls [`may_die_here`]. To die is what a SIGKILL makes of a thread: it does nothing more; then the
//! kernel marks its life word and wakes *one* who watches that.
//!
//! **Sleeping** is as `sys::roster` and `futex_waitv` do it: look at the lives first; then the kernel compares and queues, not
//! interrupted by any wake; whoever is woken is still queued on its other words until it runs; who was woken by a death wakes
//! all others who watch that life. There are no slices of time: a wake that is lost is a deadlock, which loom reports.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::OnceLock;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Mutex, MutexGuard};
use loom::thread::{JoinHandle, Thread};

use crate::primitive::AtomicU64;
use crate::roster::{self, Name};

/// As the roster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub(crate) enum Verdict {
    Alive,
    Dead,
    Foreign,
    Corrupt,
}

/// As `sys::futex`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub(crate) enum Slept {
    Woken,
    Slice,
    TimedOut,
}

/// There is one deadline in a scene: [`the_deadline_comes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant;

/// What a thread was about to do when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Change,
    Wake,
    Sleep,
    /// Woken, and has done nothing yet.
    LookingAgain,
    /// In the scene itself.
    Work,
}

/// Who dies, and before which of its steps, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doom {
    pub(crate) number: usize,
    pub(crate) step: usize,
}

/// A thread with a word to sleep on, or a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Word(usize),
    Life(usize),
}

/// Numbers are below this; number 0 is nobody.
const SEATS: usize = 6;

struct Sleeper {
    number: usize,
    thread: Thread,
    timed: bool,
    woken: Cell<bool>,
    outcome: Cell<Slept>,
}

/// What is behind the kernel's spin locks.
#[derive(Default)]
struct Kernel {
    queues: VecDeque<(Key, Rc<Sleeper>)>,
    late: bool,
}

struct World {
    kernel: Mutex<Kernel>,
    /// 1 for each thread that has sat down; and whether the model has done it.
    seats: [(AtomicU32, Cell<bool>); SEATS],
    dooms: Vec<Doom>,
    /// One for each doom: 1 when it has come.
    lives: Vec<AtomicU32>,
    steps: Vec<Cell<usize>>,
    deaths: RefCell<Vec<(usize, Before)>>,
    /// The words that were touched, each with its memory.
    touched: RefCell<HashMap<usize, Rc<UnsafeCell<()>>>>,
    /// Memory that was given back.
    gone: RefCell<Vec<Range<usize>>>,
    every_look_counts: Cell<bool>,
    /// What was done, where that was asked for.
    trace: RefCell<Vec<String>>,
}

thread_local! {
    // All threads of a model run on one thread of the system.
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

loom::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(0);
    static SEQCST: Cell<bool> = Cell::new(false);
}

/// What `catch_unwind` sees of a death.
struct Died;

/// Called at the beginning of each run.
pub(crate) fn begin(dooms: &[Doom]) {
    let world = World {
        kernel: Mutex::new(Kernel::default()),
        seats: std::array::from_fn(|_| (AtomicU32::new(0), Cell::new(false))),
        dooms: dooms.to_vec(),
        lives: dooms.iter().map(|_| AtomicU32::new(0)).collect(),
        steps: dooms.iter().map(|_| Cell::new(0)).collect(),
        deaths: RefCell::default(),
        touched: RefCell::default(),
        gone: RefCell::default(),
        every_look_counts: Cell::new(false),
        trace: RefCell::default(),
    };
    WORLD.set(Some(Rc::new(world)));
}

/// Called at its end. Says who died.
pub(crate) fn end() -> Vec<usize> {
    let world = WORLD.take().expect("begun");
    world.deaths.borrow().iter().map(|&(number, _)| number).collect()
}

/// Takes down what a thread has just done, where `TINE_TRACE` is set; a scene that fails shows all of it.
pub(crate) fn trace(at: &Location<'_>, what: impl FnOnce() -> String) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("TINE_TRACE").is_some_and(|_| show_traces())) {
        world().trace.borrow_mut().push(format!("{}: {at}: {}", my_number(), what()));
    }
}

fn show_traces() -> bool {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let lines = WORLD.with_borrow(|world| world.as_ref().map(|world| world.trace.take()));
        eprintln!("{}", lines.unwrap_or_default().join("\n"));
        usual(panic);
    }));
    true
}

fn world() -> Rc<World> {
    WORLD.with_borrow(|world| Rc::clone(world.as_ref().expect("in a model")))
}

fn my_number() -> usize {
    NUMBER.with(Cell::get)
}

/// The scene's own thread takes a name.
pub(crate) fn i_am(number: usize) -> Name {
    NUMBER.with(|mine| mine.set(number));
    name_of(number)
}

/// For what a scene does in the name of a thread, before that is there.
pub(crate) fn name_of(number: usize) -> Name {
    let world = world();
    let (seat, taken) = &world.seats[number];
    if world.sits_down_late() && !taken.replace(true) {
        // Release: as the roster's `announce`.
        seat.store(1, Ordering::Release);
    }
    roster::name(number)
}

/// Another thread with a name. Joining it gives None if it died.
pub(crate) fn thread<R: 'static>(number: usize, life: impl FnOnce(Name) -> R + 'static) -> JoinHandle<Option<R>> {
    thread_and_then(number, life, |result| result)
}

/// The same, and what its parent does when it has ended.
pub(crate) fn thread_and_then<R: 'static, S: 'static>(
    number: usize,
    life: impl FnOnce(Name) -> R + 'static,
    then: impl FnOnce(Option<R>) -> S + 'static,
) -> JoinHandle<S> {
    loom::thread::spawn(move || {
        let me = i_am(number);
        let result = match catch_unwind(AssertUnwindSafe(|| life(me))) {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<Died>() => None,
            Err(payload) => resume_unwind(payload),
        };
        NUMBER.with(|mine| mine.set(0));
        then(result)
    })
}

/// What `number` was about to do when it died, if it has.
pub(crate) fn died(number: usize) -> Option<Before> {
    world().deaths.borrow().iter().find(|death| death.0 == number).map(|death| death.1)
}

/// Whether `number` sleeps, and nobody has woken it.
pub(crate) fn is_asleep(number: usize) -> bool {
    let world = world();
    let kernel = world.kernel();
    kernel.queues.iter().any(|(_, sleeper)| sleeper.number == number && !sleeper.woken.get())
}

/// A place where the doomed may die beside those in the library's code.
pub(crate) fn may_die_here() {
    step(Before::Work);
}

pub(crate) fn step(before: Before) {
    let world = world();
    if world.dooms.is_empty() {
        return;
    }
    let me = my_number();
    let Some(index) = world.dooms.iter().position(|doom| doom.number == me) else { return };
    let step = world.steps[index].replace(world.steps[index].get() + 1);
    if step == world.dooms[index].step {
        world.die(index, before);
    }
}

/// Called before the threads of a scene begin, whose words are looked at and then changed by the same thread.
///
/// Loom remembers one last look at a word only: where two threads have looked at it, and then the second changes it, it does not try
/// the change before the first one's look. With this it does; which takes many more runs.
pub(crate) fn every_look_counts() {
    world().every_look_counts.set(true);
}

pub(crate) fn does_every_look_count() -> bool {
    world().every_look_counts.get()
}

pub(crate) fn i_make_a_seqcst_change() {
    SEQCST.with(|made| made.set(true));
}

pub(crate) fn i_made_a_seqcst_change() -> bool {
    SEQCST.with(Cell::get)
}

/// The memory of `place` is given back. Loom panics where a touch of a word there does not come before this for certain.
#[track_caller]
pub(crate) fn give_back<T>(place: &T) {
    let start = std::ptr::from_ref(place).addr();
    let place = start..start + size_of::<T>();
    let world = world();
    let words = world.touched.borrow();
    words.iter().filter(|(word, _)| place.contains(*word)).for_each(|(_, memory)| memory.with_mut(|_| ()));
    world.gone.borrow_mut().push(place);
}

/// A word is touched, which is there, in that memory.
#[track_caller]
pub(crate) fn touch(address: usize, memory: &Rc<UnsafeCell<()>>) {
    let world = world();
    assert!(!world.gone.borrow().iter().any(|gone| gone.contains(&address)), "memory is touched that was given back");
    memory.with(|_| ());
    world.touched.borrow_mut().entry(address).or_insert_with(|| Rc::clone(memory));
}

/// From here on whoever sleeps with a deadline is late.
pub(crate) fn the_deadline_comes() {
    let world = world();
    let mut kernel = world.kernel();
    kernel.late = true;
    let timed: Vec<_> = kernel.queues.iter().map(|(_, sleeper)| Rc::clone(sleeper)).filter(|s| s.timed).collect();
    for sleeper in timed {
        kernel.queues.retain(|(_, other)| !Rc::ptr_eq(other, &sleeper));
        if !sleeper.woken.get() {
            sleeper.outcome.set(Slept::TimedOut);
            sleeper.rouse();
        }
    }
}

/// No death in the model is without notice, and no tenure ends.
pub(crate) fn judge(name: Name) -> Verdict {
    let world = world();
    let Some(number) = roster::number(name).filter(|&number| number < SEATS) else { return Verdict::Corrupt };
    // Acquire: as in the roster, which takes a name that it has not given for none of its own.
    if world.sits_down_late() && world.seats[number].0.load(Ordering::Acquire) == 0 {
        return Verdict::Corrupt;
    }
    if world.is_marked(number) { Verdict::Dead } else { Verdict::Alive }
}

pub(crate) fn look_for_the_truth(name: Name) -> Verdict {
    judge(name)
}

#[track_caller]
pub(crate) fn sleep(
    word: &AtomicU64,
    expected: u64,
    owners: impl IntoIterator<Item = Name>,
    deadline: Option<Instant>,
) -> Slept {
    sleep_while(word, expected, owners, || true, deadline)
}

#[track_caller]
pub(crate) fn sleep_while(
    word: &AtomicU64,
    expected: u64,
    owners: impl IntoIterator<Item = Name>,
    wanted: impl FnOnce() -> bool,
    deadline: Option<Instant>,
) -> Slept {
    sleep_and_watch(true, word, expected, owners, wanted, deadline)
}

/// Sleeps as who has not heard of any other yet, and is told of no death.
#[track_caller]
pub(crate) fn sleep_unaware(word: &AtomicU64, expected: u64) -> Slept {
    sleep_and_watch(false, word, expected, None, || true, None)
}

#[track_caller]
fn sleep_and_watch(
    watch: bool,
    word: &AtomicU64,
    expected: u64,
    owners: impl IntoIterator<Item = Name>,
    wanted: impl FnOnce() -> bool,
    deadline: Option<Instant>,
) -> Slept {
    step(Before::Sleep);
    word.touch();
    let world = world();
    let me = my_number();
    let owners: Vec<_> = owners.into_iter().filter_map(roster::number).collect();
    let mut watched = Vec::new();
    for number in world.dooms.iter().map(|doom| doom.number).filter(|&number| watch && number != me) {
        match world.is_marked(number) {
            true if owners.contains(&number) => return Slept::Woken,
            true => {}
            false => watched.push(number),
        }
    }
    if seeded!("only the owner is watched") {
        watched.retain(|number| owners.contains(number));
    }
    if !wanted() {
        return Slept::Woken;
    }
    let sleeper = {
        let mut kernel = world.kernel();
        if deadline.is_some() && kernel.late {
            return Slept::TimedOut;
        }
        if word.as_the_kernel_reads_it() != expected as u32 || watched.iter().any(|&number| world.is_marked(number)) {
            return Slept::Woken;
        }
        let sleeper = Rc::new(Sleeper {
            number: me,
            thread: loom::thread::current(),
            timed: deadline.is_some(),
            woken: Cell::new(false),
            outcome: Cell::new(Slept::Woken),
        });
        let keys = [Key::of(word)].into_iter().chain(watched.iter().map(|&number| Key::Life(number)));
        kernel.queues.extend(keys.map(|key| (key, Rc::clone(&sleeper))));
        sleeper
    };
    trace(Location::caller(), || format!("sleeps on {:?} expecting {expected:#x}, watches {watched:?}", Key::of(word)));
    loom::thread::park();
    trace(Location::caller(), || format!("is woken: {:?}", sleeper.outcome.get()));
    assert!(sleeper.woken.get(), "a thread of a scene parks nowhere else");
    step(Before::LookingAgain);
    if !watched.is_empty() {
        let mut kernel = world.kernel();
        kernel.forget(me);
        for number in watched {
            if world.is_marked(number) && !seeded!("the woken tells nobody") {
                kernel.wake(Key::Life(number), usize::MAX);
            }
        }
    }
    sleeper.outcome.get()
}

/// Nobody in the model sleeps on descriptors for several things.
pub(crate) fn ring() {}

/// Here a bell is a count of rings, on which who polls sleeps.
#[track_caller]
pub(crate) fn ring_each(bells: &[AtomicU64]) -> bool {
    for bell in bells {
        bell.fetch_add(1, Ordering::Release);
        wake_all(bell);
    }
    true
}

/// How many were woken.
#[track_caller]
pub(crate) fn wake_one(word: &AtomicU64) -> usize {
    wake(word, 1)
}

/// How many were woken.
#[track_caller]
pub(crate) fn wake_all(word: &AtomicU64) -> usize {
    wake(word, usize::MAX)
}

#[track_caller]
fn wake(word: &AtomicU64, most: usize) -> usize {
    step(Before::Wake);
    let woken = world().kernel().wake(Key::of(word), most);
    trace(Location::caller(), || format!("wakes {woken} on {:?}", Key::of(word)));
    woken
}

impl World {
    /// Whether it matters when a thread takes its name: not where it matters when one dies, which is enough for one scene.
    fn sits_down_late(&self) -> bool {
        self.dooms.is_empty()
    }

    /// Not held by any thread for longer than it runs without interruption, in the eyes of the others.
    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().expect("loom's are not poisoned")
    }

    fn is_marked(&self, number: usize) -> bool {
        let Some(index) = self.dooms.iter().position(|doom| doom.number == number) else { return false };
        // Acquire: as in the roster.
        self.lives[index].load(Ordering::Acquire) != 0
    }

    fn die(&self, index: usize, before: Before) -> ! {
        let number = self.dooms[index].number;
        trace(Location::caller(), || format!("dies before {before:?}"));
        self.deaths.borrow_mut().push((number, before));
        // Release: the kernel's mark follows all that the thread did.
        self.lives[index].store(1, Ordering::Release);
        let mut kernel = self.kernel();
        kernel.forget(number);
        kernel.wake(Key::Life(number), 1);
        drop(kernel);
        // No message: nothing is wrong.
        resume_unwind(Box::new(Died))
    }
}

impl Kernel {
    fn wake(&mut self, key: Key, most: usize) -> usize {
        let mut woken = 0;
        while woken < most
            && let Some(at) = self.queues.iter().position(|(queued, _)| *queued == key)
        {
            let (_, sleeper) = self.queues.remove(at).expect("found");
            sleeper.rouse();
            woken += 1;
        }
        woken
    }

    /// A thread is on no queue any more.
    fn forget(&mut self, number: usize) {
        self.queues.retain(|(_, sleeper)| sleeper.number != number);
    }
}

impl Sleeper {
    fn rouse(&self) {
        if !self.woken.replace(true) {
            self.thread.unpark();
        }
    }
}

impl Key {
    fn of(word: &AtomicU64) -> Key {
        Key::Word(std::ptr::from_ref(word).addr())
    }
}
