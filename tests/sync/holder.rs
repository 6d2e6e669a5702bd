//! A child that holds something, gives it back when it is told to, and lives on: so that nobody is woken by its death who
//! should have been woken by what it gave back.

use std::sync::atomic::{AtomicU32, Ordering};

use tine::wire::Wire;
use tine::{JoinHandle, Shared};

use crate::seen;
use crate::support::until;

const HOLDS: u32 = 1;
const LEAVES: u32 = 2;
const HAS_LEFT: u32 = 3;
const ENDS: u32 = 4;

pub struct Holder<T> {
    pub child: JoinHandle<T>,
    step: Shared<AtomicU32>,
}

impl<T: Wire> Holder<T> {
    /// A child that has taken what `take` takes; `leave` gives it back.
    pub fn start<G>(take: impl FnOnce() -> G, leave: impl FnOnce(G) -> T) -> Holder<T> {
        let step = Shared::new(AtomicU32::new(0)).unwrap();
        let child = tine::spawn(|| {
            let guard = take();
            step.store(HOLDS, Ordering::Release);
            wait_for(&step, LEAVES);
            let result = leave(guard);
            step.store(HAS_LEFT, Ordering::Release);
            wait_for(&step, ENDS);
            result
        })
        .unwrap();
        until("the child has what it takes", || step.load(Ordering::Acquire) == HOLDS);
        Holder { child, step }
    }

    /// A child that sleeps in `f` until it gets what it waits for, gives it back at once, and lives on.
    pub fn sleeping(f: impl FnOnce() -> T) -> Holder<T> {
        let step = Shared::new(AtomicU32::new(0)).unwrap();
        let child = tine::spawn(|| {
            let result = f();
            step.store(HAS_LEFT, Ordering::Release);
            wait_for(&step, ENDS);
            result
        })
        .unwrap();
        until("the child sleeps", || seen::is_asleep(child.id()));
        Holder { child, step }
    }

    /// Waits until it has had what it slept for, which comes if nobody is kept waiting.
    pub fn is_served(&self) {
        until("the sleeper has had what it waits for", || self.step.load(Ordering::Acquire) == HAS_LEFT);
    }

    /// It gives back what it has, and lives on.
    pub fn leave(&self) {
        self.step.store(LEAVES, Ordering::Release);
        self.is_served();
    }

    /// Its end, after it has given back what it had.
    pub fn end(self) -> T {
        if self.step.load(Ordering::Acquire) == HOLDS {
            self.leave();
        }
        self.is_served();
        self.step.store(ENDS, Ordering::Release);
        self.child.join().unwrap()
    }

    pub fn kill(self) {
        seen::kill(self.child);
    }
}

fn wait_for(step: &AtomicU32, wanted: u32) {
    while step.load(Ordering::Acquire) != wanted {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// From here on this process and its children take turns on one CPU, and nobody is pushed off it by who was just woken. So
/// who wakes another and kills it in the next moment kills it with the wake in its hand.
pub fn share_one_cpu() {
    // SAFETY: a zeroed set is an empty one, and zeroed parameters are those of a policy without priorities; both live until
    // the calls return, and are of the calling thread only.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap(), &mut cpus);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&cpus), &cpus), 0);
        assert_eq!(libc::sched_setscheduler(0, libc::SCHED_BATCH, &std::mem::zeroed()), 0);
    }
}

/// Whom to kill in the next moment.
pub struct Victim(Shared<AtomicU32>);

impl Victim {
    pub fn unknown() -> Victim {
        Victim(Shared::new(AtomicU32::new(0)).unwrap())
    }

    pub fn is<T>(&self, holder: &Holder<T>) {
        self.0.store(holder.child.id(), Ordering::Release);
    }

    /// In another child. The victim is its parent's child, which has not waited for it.
    pub fn kill(&self) {
        let pid = self.0.load(Ordering::Acquire).cast_signed();
        assert!(pid > 0, "it is known");
        // SAFETY: sends a signal.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// All of them get what they sleep for, while all of them live; then they end.
pub fn all_are_served<T: Wire>(sleepers: Vec<Holder<T>>) -> Vec<T> {
    sleepers.iter().for_each(Holder::is_served);
    sleepers.into_iter().map(Holder::end).collect()
}

/// Waits for a child, which comes if nobody is kept waiting.
pub fn comes<T: Wire>(mut child: JoinHandle<T>) -> T {
    child.join_timeout(seen::LONG).unwrap().expect("somebody waits for ever")
}

/// The name of a thread as it stands in a lock's word, but given by another roster: the upper 16 bits say by which, never 0.
pub fn of_another_family(word: u64) -> u64 {
    let (roster, rest) = (word >> 48, word & 0xffff_ffff_ff00);
    (roster % 0xffff + 1) << 48 | rest
}
