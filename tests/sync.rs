//! Locks between processes: what they promise while everybody lives, and when somebody dies.

#[path = "support/ptrace.rs"]
mod ptrace;
#[path = "support/refuse.rs"]
mod refuse;
#[path = "pipe/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;

#[path = "sync/barrier.rs"]
mod barrier;
#[path = "sync/barrier_deaths.rs"]
mod barrier_deaths;
#[path = "sync/condvar.rs"]
mod condvar;
#[path = "sync/event.rs"]
mod event;
#[path = "sync/holder.rs"]
mod holder;
#[path = "sync/mutex.rs"]
mod mutex;
#[path = "sync/once.rs"]
mod once;
#[path = "sync/rwlock.rs"]
mod rwlock;
#[path = "sync/seen.rs"]
mod seen;
#[path = "sync/semaphore.rs"]
mod semaphore;

fn main() {
    let mut cases = Vec::new();
    cases.extend_from_slice(barrier::CASES);
    cases.extend_from_slice(barrier_deaths::CASES);
    cases.extend_from_slice(condvar::CASES);
    cases.extend_from_slice(event::CASES);
    cases.extend_from_slice(mutex::CASES);
    cases.extend_from_slice(rwlock::CASES);
    cases.extend_from_slice(semaphore::CASES);
    cases.extend_from_slice(once::CASES);
    support::run(cases.leak());
}
