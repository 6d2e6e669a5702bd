//! A process and all that descends from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use crate::sys::stat::Stat;

/// How long a search goes on when it finds nobody new, but some do not come to rest: those that
/// may not be signalled, and those that sleep too deep for a stop. Not all of these ever wake: who waits for a vfork
/// does not return before its child does, and that is stopped.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long it goes on at all.
const LIMIT: Duration = Duration::from_secs(10);

/// Kills the process behind `root` and all its descendants, those in other groups and sessions too.
///
/// A process that is killed before its children are known loses them: they go to another parent. So each is
/// stopped first, then its children are looked for, and again, until a look finds nobody new; a stopped process
/// makes no more children. Then all are killed. Descendants are found by their chain of living parents: one
/// whose middle ancestor had ended before this call is no longer a descendant, and is only found if it is still
/// in the process group or session of `root`, where `root` leads one. The calling process is none of them, whatever
/// group it has joined.
pub(super) fn kill(root: BorrowedFd<'_>, pid: Pid) -> io::Result<()> {
    let root_number = number(pid);
    let start = Instant::now();
    let mut held: BTreeMap<i32, OwnedFd> = BTreeMap::new();
    let mut refused: Option<io::Error> = None;
    // A stop takes effect when the process next leaves the kernel, until when it may still fork. So the last look
    // is one that begins when all are at rest.
    let mut rest = Rest::Busy;
    let mut found_at = start;
    loop {
        let new = pin_new(root_number, &held);
        // The numbers may have changed hands between the look and the open: only what is still a descendant, now
        // that its descriptor pins it, is touched.
        let family = if new.is_empty() { BTreeSet::new() } else { descendants(root_number) };
        // And as long as `root` can be signalled its number is its own, so the looks were at its family.
        match pidfd_send_signal(root, Signal::STOP) {
            Ok(()) => {}
            Err(Errno::SRCH) => break,
            Err(errno) => refused = Some(errno.into()),
        }
        let known = held.len();
        for (number, fd) in new.into_iter().filter(|(number, _)| family.contains(number)) {
            match pidfd_send_signal(&fd, Signal::STOP) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => refused = Some(errno.into()),
            }
            held.insert(number, fd);
        }
        let now = Instant::now();
        if held.len() > known {
            found_at = now;
        } else {
            let is_hopeless = rest == Rest::Deep || refused.is_some();
            if rest == Rest::Still || (is_hopeless && now - found_at >= PATIENCE) {
                break;
            }
        }
        if now - start >= LIMIT {
            let why = "descendants are made faster than they can be stopped; those that were found are killed";
            refused = Some(io::Error::new(io::ErrorKind::TimedOut, why));
            break;
        }
        rest = held.keys().copied().chain([root_number]).map(rest_of).max().unwrap_or(Rest::Still);
        if rest != Rest::Still {
            std::thread::yield_now();
        }
    }
    for fd in held.values() {
        let _ = pidfd_send_signal(fd.as_fd(), Signal::KILL);
    }
    match pidfd_send_signal(root, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => refused = Some(errno.into()),
    }
    refused.map_or(Ok(()), Err)
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// Descriptors for those who look like descendants of `root` and are not held.
fn pin_new(root: i32, held: &BTreeMap<i32, OwnedFd>) -> Vec<(i32, OwnedFd)> {
    let new = descendants(root).into_iter().filter(|number| !held.contains_key(number));
    new.filter_map(|number| Some((number, pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?))).collect()
}

/// Whether a process can still make children.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    /// Stopped, traced, or dead: it makes none.
    Still,
    /// In a sleep that signals do not end: it may, when it wakes.
    Deep,
    /// On its way.
    Busy,
}

/// A process is at rest when all its threads are.
fn rest_of(pid: i32) -> Rest {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let states = tasks.filter_map(|task| Stat::read(task.path().join("stat")).ok());
    let rest = states.map(|stat| match stat.state {
        b'T' | b't' | b'Z' | b'X' => Rest::Still,
        b'D' => Rest::Deep,
        _ => Rest::Busy,
    });
    rest.max().unwrap_or(Rest::Still)
}

/// The living descendants of `root`: by parent, or by a group or session that `root` leads.
fn descendants(root: i32) -> BTreeSet<i32> {
    let me = number(getpid());
    let all: Vec<(i32, Stat)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, Stat::read(format!("/proc/{pid}/stat")).ok()?))
        })
        .filter(|(pid, stat)| !stat.is_dead() && *pid != me)
        .collect();
    let mut family = BTreeSet::from([root]);
    loop {
        let before = family.len();
        for (pid, stat) in &all {
            if family.contains(&stat.parent) || stat.group == root || stat.session == root {
                family.insert(*pid);
            }
        }
        if family.len() == before {
            break;
        }
    }
    family.remove(&root);
    family
}
