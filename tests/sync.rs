//! Locks between processes: what they promise while everybody lives, and when somebody dies.

#[path = "support/mod.rs"]
mod support;

#[path = "sync/mutex.rs"]
mod mutex;

fn main() {
    let mut cases = Vec::new();
    cases.extend_from_slice(mutex::CASES);
    support::run(cases.leak());
}
