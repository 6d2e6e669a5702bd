//! The lab finds what is known to be there: the library is built with bugs in it, and the lab has to catch each.

#[path = "support/seeded.rs"]
mod seeded;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bug, by its names in `seeded!` of the library; the case of `tests/lab.rs` that has to fail over it, and what that
/// case has to call it.
const BUGS: [(&str, &str, &str); 18] = [
    // Sleepers look again every 100 ms, which makes a lost wake a delay; where that is to be seen it is turned off.
    ("wake before store,no slices", "mutex_unlock", "Hang"),
    ("owner and word written apart", "mutex_lock", "Hang"),
    ("missing recheck,no slices", "mutex_lock", "Hang"),
    ("rwlock: writer does not look", "rwlock_count", "Torn"),
    ("recovery not idempotent", "mutex_lock", "Torn"),
    ("unlock then touch", "mutex_unlock", "Torn"),
    ("forgotten waiter flag,no slices", "mutex_lock", "Hang"),
    ("leaked reader share,no slices", "rwlock_write", "Hang"),
    ("only the owner is watched,no slices", "mutex_lock", "Hang"),
    ("forgotten CLOEXEC", "segment_create", "Leaked"),
    ("event without a wake,no slices", "event_set", "Hang"),
    ("channel: publish before payload", "spsc_send_three", "Torn"),
    ("mpmc: slot owner written apart", "mpmc_send", "Torn"),
    ("mpmc: publish before payload", "mpmc_send", "Torn"),
    ("channel: wake lost,no slices", "spsc_send_to_sleeper", "Hang"),
    ("bytes: tail before the word", "bytes_send", "Torn"),
    ("blocks: taken from a message that is not over", "queue_send_long", "Torn"),
    ("blocks: what the dead have taken is lost", "queue_send_long", "Torn"),
];

/// These find nothing, also where nobody looks again by himself: no wake is lost, whoever dies.
const SOUND: [&str; 12] = [
    "mutex_lock",
    "mutex_unlock",
    "mutex_recover",
    "rwlock_stop_reading",
    "rwlock_write",
    "semaphore_give_back",
    "condvar_wait",
    "once_call",
    "spsc_send",
    "spsc_recv",
    "bytes_send_long",
    "bytes_recv",
];

#[test]
fn the_lab_catches_each_seeded_bug() {
    let lab = seeded::build(&["lab"]).remove(0);
    let (_, text) = run(&lab, SOUND[0], "no slices", None);
    if text.contains("skipped: ") {
        println!("skipped: the lab says so\n{text}");
        return;
    }
    // Much of a case is waiting for those that hang.
    two_at_a_time(&SOUND, |case| {
        let (output, text) = run(&lab, case, "no slices", None);
        assert!(output.status.success(), "{case} finds something without a bug:\n{text}");
    });
    two_at_a_time(&BUGS, |(bug, case, kind)| {
        // Some show only in some orders of the processes: a second run is another.
        let (found, text) =
            find(&lab, case, bug, kind).or_else(|_| find(&lab, case, bug, kind)).unwrap_or_else(|text| {
                panic!("{case} does not catch {bug:?} as {kind}:\n{text}");
            });
        assert!(!text.is_empty());
        println!("{bug:?} is caught by {case}: {found}");
    });
}

fn two_at_a_time<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        // Relaxed: nothing but the number is shared.
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            each(one);
        }
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(work);
        work();
        // What it has said is above.
        assert!(second.join().is_ok(), "see above");
    });
}

/// What a case says of a bug, and all that it says; only the latter if it does not find it.
fn find(lab: &Path, case: &str, bug: &str, kind: &str) -> Result<(String, String), String> {
    let (output, text) = run(lab, case, bug, Some("one finding"));
    let found = text.lines().find(|line| line.starts_with(kind) && line[kind.len()..].starts_with(": "));
    match found.map(str::to_owned) {
        Some(found) if !output.status.success() => Ok((found, text)),
        _ => Err(text),
    }
}

fn run(lab: &Path, case: &str, bug: &str, extent: Option<&str>) -> (Output, String) {
    let mut command = Command::new(lab);
    command.args(["--exact", case]).env("TINE_SEEDED", bug).env_remove("TINE_LAB");
    if let Some(extent) = extent {
        command.env("TINE_LAB", extent);
    }
    let output = command.output().expect("the lab can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("running 1 test"), "the lab has no case {case}:\n{text}");
    (output, text)
}
