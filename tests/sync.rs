//! Locks between processes: what they promise while everybody lives, and when somebody dies.

#[path = "support/refuse.rs"]
mod refuse;
#[path = "pipe/storm.rs"]
mod storm;
#[path = "support/mod.rs"]
mod support;

#[path = "sync/condvar.rs"]
mod condvar;
#[path = "sync/event.rs"]
mod event;
#[path = "sync/mutex.rs"]
mod mutex;
#[path = "sync/once.rs"]
mod once;
#[path = "sync/seen.rs"]
mod seen;

fn main() {
    let mut cases = Vec::new();
    cases.extend_from_slice(condvar::CASES);
    cases.extend_from_slice(event::CASES);
    cases.extend_from_slice(mutex::CASES);
    cases.extend_from_slice(once::CASES);
    support::run(cases.leak());
}
