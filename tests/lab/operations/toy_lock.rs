//! A small robust lock, and its wrong versions: the lab's test of itself.
//!
//! ```text
//!   31        30 .. 0
//!   WAITED    pid of the holder; 0: free
//! ```
//!
//! The lock knows that its holder is dead by asking the kernel for the pid, at each look; nobody wakes a sleeper when
//! the holder dies, so sleepers look again after a while. All that a real one does better is not what is tested here.
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tine::memory::Shared;

use crate::lab::board::{Gate, futex_wait_for, futex_wake};
use crate::lab::operation::{Operation, Start};

/// The right one.
pub const RIGHT: u8 = 0;
/// `unlock` wakes, and then lets go: who was woken finds it held, and sleeps on.
pub const WAKE_BEFORE_STORE: u8 = 1;
/// `lock` writes that it is held, and then by whom.
pub const OWNER_APART: u8 = 2;
/// A waiter says that it waits, and sleeps without another look.
pub const NO_RECHECK: u8 = 3;
/// Recovery counts what it has not written yet.
pub const RECOVER_TWICE: u8 = 4;
/// `unlock` lets go, and then writes to what it guarded.
pub const TOUCH_AFTER: u8 = 5;
/// Who has waited takes the lock without the word of others who wait.
pub const FORGOTTEN_FLAG: u8 = 6;

const WAITED: u32 = 1 << 31;
/// OWNER_APART: held, by nobody yet.
const NOBODY: u32 = i32::MAX as u32;

tine::share! {
    pub struct ToyLock {
        word: AtomicU32,
        /// Of what the lock guards, two halves that are equal when it is free.
        first: AtomicU32,
        second: AtomicU32,
        gate: Gate,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    Clean,
    OwnerDied,
}

fn me() -> u32 {
    std::process::id()
}

fn is_dead(pid: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody.
    pid != NOBODY && unsafe { libc::kill(pid as i32, 0) } == -1
}

impl ToyLock {
    fn new() -> Shared<ToyLock> {
        let zero = || AtomicU32::new(0);
        let lock = ToyLock { word: zero(), first: zero(), second: zero(), gate: Gate::new() };
        Shared::new(lock).expect("shared memory")
    }

    fn try_lock<const BUG: u8>(&self) -> Option<Got> {
        let new = if BUG == OWNER_APART { NOBODY } else { me() };
        let word = match self.word.compare_exchange(0, new, SeqCst, SeqCst) {
            Ok(_) => {
                if BUG == OWNER_APART {
                    self.word.store(me(), SeqCst);
                }
                return Some(Got::Clean);
            }
            Err(word) => word,
        };
        let taken =
            is_dead(word & !WAITED) && self.word.compare_exchange(word, me() | (word & WAITED), SeqCst, SeqCst).is_ok();
        taken.then_some(Got::OwnerDied)
    }

    fn lock<const BUG: u8>(&self) -> Got {
        let mut got = self.try_lock::<BUG>();
        let waited = got.is_none();
        while got.is_none() {
            let word = self.word.load(SeqCst);
            if word != 0 {
                let announced = word | WAITED;
                let said = self.word.compare_exchange(word, announced, SeqCst, SeqCst).is_ok();
                if BUG == NO_RECHECK {
                    // Whatever it is now.
                    let now = self.word.load(SeqCst);
                    futex_wait_for(&self.word, now, None);
                } else if said {
                    futex_wait_for(&self.word, announced, slice::<BUG>());
                }
            }
            got = self.try_lock::<BUG>();
        }
        if waited && BUG != FORGOTTEN_FLAG {
            // There may be others.
            self.word.fetch_or(WAITED, SeqCst);
        }
        got.expect("the loop ended with it")
    }

    fn unlock<const BUG: u8>(&self) {
        if BUG == WAKE_BEFORE_STORE {
            futex_wake(&self.word, 1);
            self.word.store(0, SeqCst);
            return;
        }
        let first = self.first.load(SeqCst);
        let word = self.word.swap(0, SeqCst);
        if BUG == TOUCH_AFTER {
            self.second.store(first, SeqCst);
        }
        if word & WAITED != 0 {
            futex_wake(&self.word, 1);
        }
    }

    /// Both halves one more.
    fn count(&self) {
        let next = self.first.load(SeqCst) + 1;
        self.first.store(next, SeqCst);
        self.second.store(next, SeqCst);
    }

    /// What the dead have left is made whole. May be done again, from anywhere.
    fn repair<const BUG: u8>(&self) {
        if BUG == RECOVER_TWICE {
            // Wrong: what was found is derived from what is being changed.
            self.first.store(self.first.load(SeqCst) + 100, SeqCst);
        }
        self.second.store(self.first.load(SeqCst), SeqCst);
    }

    /// Locks it, repairs if need be, and tells what is there.
    fn look<const BUG: u8>(&self) -> String {
        let got = self.lock::<BUG>();
        if got == Got::OwnerDied {
            self.repair::<BUG>();
        }
        let halves = (self.first.load(SeqCst), self.second.load(SeqCst));
        self.unlock::<BUG>();
        format!("{halves:?}")
    }
}

/// The sleepers of the wrong ones that lose a wake never look again by themselves: else they would only be late.
fn slice<const BUG: u8>() -> Option<Duration> {
    let forgiving = !matches!(BUG, WAKE_BEFORE_STORE | FORGOTTEN_FLAG);
    forgiving.then_some(Duration::from_millis(20))
}

type Toy = Shared<ToyLock>;

fn hold<const BUG: u8>(lock: &Toy) {
    lock.lock::<BUG>();
    lock.gate.wait();
    lock.unlock::<BUG>();
}

fn wait_and_count<const BUG: u8>(lock: &Toy) {
    let got = lock.lock::<BUG>();
    if got == Got::OwnerDied {
        lock.repair::<BUG>();
    }
    lock.count();
    lock.unlock::<BUG>();
}

/// Tries for a while.
fn count_if_free<const BUG: u8>(lock: &Toy) -> String {
    lock.gate.open();
    for _ in 0..20 {
        if let Some(got) = lock.try_lock::<BUG>() {
            if got == Got::OwnerDied {
                lock.repair::<BUG>();
            }
            lock.count();
            lock.unlock::<BUG>();
            return "counted".to_owned();
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    "busy".to_owned()
}

fn lock_and_repair<const BUG: u8>(lock: &Toy) {
    let got = lock.lock::<BUG>();
    if got == Got::OwnerDied {
        lock.repair::<BUG>();
    }
    lock.unlock::<BUG>();
}

/// A count of one, made under the lock: free, after a death, held by another, waited for by others.
pub fn count<const BUG: u8>() -> Operation<Toy, ()> {
    let act = |lock: &Toy, (): &mut ()| {
        let got = lock.lock::<BUG>();
        if got == Got::OwnerDied {
            lock.repair::<BUG>();
        }
        lock.count();
        lock.unlock::<BUG>();
    };
    Operation::new("toy lock: count", |_| (), act, |lock| lock.look::<BUG>())
        .wake(|lock| lock.gate.open())
        .meanwhile(count_if_free::<BUG>, |seen| seen == "busy")
        .recovery(|_| (), lock_and_repair::<BUG>, |_| false)
        .from(Start::new("free", ToyLock::new))
        .from(Start::new("its holder dead", || {
            let lock = ToyLock::new();
            // No process has this number: it is beyond the largest.
            lock.word.store(i32::MAX as u32 - 1, SeqCst);
            lock.first.store(7, SeqCst);
            lock
        }))
        .from(Start::new("held", ToyLock::new).beside(hold::<BUG>))
}

/// An unlock, with nobody and with others waiting.
pub fn unlock<const BUG: u8>() -> Operation<Toy, ()> {
    let prepare = |lock: &Toy| {
        lock.lock::<BUG>();
        lock.count();
    };
    Operation::new("toy lock: unlock", prepare, |lock, ()| lock.unlock::<BUG>(), |lock| lock.look::<BUG>())
        .meanwhile(count_if_free::<BUG>, |seen| seen == "busy")
        .from(Start::new("nobody waits", ToyLock::new))
        .from(Start::new("two wait", ToyLock::new).behind(wait_and_count::<BUG>).behind(wait_and_count::<BUG>))
}
