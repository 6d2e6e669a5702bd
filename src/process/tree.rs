//! A process and all that descends from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills the process behind `root` and all its descendants, those in other groups and sessions too.
///
/// A process that is killed before its children are known loses them: they go to another parent. So each is
/// stopped first, then its children are looked for, and again, until a look finds nobody new; a stopped process
/// makes no more children. Then all are killed. Descendants are found by their chain of living parents: one
/// whose middle ancestor had ended before this call is no longer a descendant, and is only found if it is still
/// in the process group or session of `root`, where `root` leads one.
pub(super) fn kill(root: BorrowedFd<'_>, pid: Pid) -> io::Result<()> {
    match pidfd_send_signal(root, Signal::STOP) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let mut held: BTreeMap<i32, OwnedFd> = BTreeMap::new();
    let mut refused = None;
    let root_pid = pid.as_raw_nonzero().get();
    loop {
        let mut found_new = false;
        for descendant in descendants(root_pid) {
            if held.contains_key(&descendant) {
                continue;
            }
            let Some(pid) = Pid::from_raw(descendant) else { continue };
            let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // The number may have changed hands between the look and the open: only what is still a
            // descendant, now that the descriptor pins it, is touched.
            if !descendants(root_pid).contains(&descendant) {
                continue;
            }
            match pidfd_send_signal(&fd, Signal::STOP) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => refused = Some(errno),
            }
            held.insert(descendant, fd);
            found_new = true;
        }
        // A stop takes effect when the process next leaves the kernel, until when it may still fork.
        let all_at_rest = at_rest(root_pid) && held.keys().all(|&pid| at_rest(pid));
        if !found_new && all_at_rest {
            break;
        }
        if !found_new {
            std::thread::yield_now();
        }
    }
    for fd in held.values() {
        let _ = pidfd_send_signal(fd.as_fd(), Signal::KILL);
    }
    match pidfd_send_signal(root, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => refused = Some(errno),
    }
    match refused {
        None => Ok(()),
        Some(errno) => Err(errno.into()),
    }
}

/// What `/proc/PID/stat` says of a process, as far as this needs it.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    session: i32,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too; what follows its last bracket is regular.
    let text = String::from_utf8_lossy(&text);
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    Some(Stat {
        state: words.next()?.chars().next()?,
        parent: words.next()?.parse().ok()?,
        group: words.next()?.parse().ok()?,
        session: words.next()?.parse().ok()?,
    })
}

/// Stopped, traced, or dead: it will make no children.
fn at_rest(pid: i32) -> bool {
    stat(pid).is_none_or(|stat| matches!(stat.state, 'T' | 't' | 'Z' | 'X'))
}

/// The living descendants of `root`: by parent, or by a group or session that `root` leads.
fn descendants(root: i32) -> BTreeSet<i32> {
    let all: Vec<(i32, Stat)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?))
        })
        .filter(|(_, stat)| !matches!(stat.state, 'Z' | 'X'))
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
