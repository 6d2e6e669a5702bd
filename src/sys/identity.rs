//! A process, told apart from a later one that was given the same pid: pid and start time.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Pid;

use super::generation;
use super::stat::Stat;

/// Pid and start time in one word; never 0, and the lowest bit is always 0.
///
/// ```text
///   63 .. 42   41 .. 1                                   0
///   pid        start time, in ticks of 1/100 s since     free for
///   (22 bits)  boot (41 bits: 697 years)                 the user
/// ```
///
/// It may be kept in shared memory, where other processes of the family judge by it, in the same namespaces of
/// pid and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64);

// The kernel's limit of pids (PID_MAX_LIMIT) is 2 to the power of 22 on 64-bit machines.
const PID_SHIFT: u32 = 42;
const TICKS: u64 = (1 << 41) - 1;

impl Identity {
    /// The calling process.
    ///
    /// # Errors
    ///
    /// Where `/proc` is not mounted, or is that of another namespace of pids.
    pub(crate) fn me() -> io::Result<Identity> {
        if !proc_is_ours() {
            let why =
                "/proc is not that of this process's namespace of pids, so it cannot tell who is who; mount it there";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(Identity::new(std::process::id(), Stat::read("/proc/self/stat")?.start))
    }

    /// As [`Identity::me`], found out once in each process.
    ///
    /// # Errors
    ///
    /// As for [`Identity::me`].
    pub(crate) fn mine() -> io::Result<Identity> {
        static WORD: AtomicU64 = AtomicU64::new(0);
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        let here = generation::current();
        // Acquire: pairs with the Release below, so that the word is this process's.
        if GENERATION.load(Ordering::Acquire) == here {
            // Relaxed: see above.
            return Ok(Identity(WORD.load(Ordering::Relaxed)));
        }
        let me = Identity::me()?;
        // All threads of a process store the same. Release: pairs with the Acquire above.
        WORD.store(me.0, Ordering::Relaxed);
        GENERATION.store(here, Ordering::Release);
        Ok(me)
    }

    /// A process that is a child of this one and was not reaped, in the same namespaces.
    ///
    /// # Errors
    ///
    /// As for [`Identity::me`], and where `/proc` hides the child.
    pub(crate) fn of_child(pid: Pid) -> io::Result<Identity> {
        Identity::mine()?;
        let pid = pid.as_raw_nonzero().get();
        Ok(Identity::new(pid as u32, Stat::read(format!("/proc/{pid}/stat"))?.start))
    }

    /// The number of the process, in its namespace.
    pub(crate) fn pid(self) -> u32 {
        (self.0 >> PID_SHIFT) as u32
    }

    /// The calling process, with the namespaces in which that means something.
    pub(crate) fn me_with_namespaces() -> io::Result<(Identity, u64)> {
        let me = Identity::me()?;
        Ok((me, Identity::namespaces().ok_or(io::ErrorKind::NotFound)?))
    }

    /// Which namespaces of pid and time this process is in; None where `/proc` does not tell.
    pub(crate) fn namespaces() -> Option<u64> {
        // The kernel numbers its namespaces with 32 bits.
        let number = |path| rustix::fs::stat(path).ok().map(|stat| stat.st_ino & u64::from(u32::MAX));
        let pid = number("/proc/self/ns/pid")?;
        // None on kernels that were built without them: then all are in the same.
        let time = number("/proc/self/ns/time").unwrap_or(0);
        Some(pid << 32 | time)
    }

    fn new(pid: u32, start: u64) -> Identity {
        Identity(u64::from(pid) << PID_SHIFT | (start & TICKS) << 1)
    }

    /// The word to keep.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    /// From a kept word; the lowest bit is ignored. None for 0.
    pub(crate) fn from_word(word: u64) -> Option<Identity> {
        let word = word & !1;
        (word != 0).then_some(Identity(word))
    }

    /// As [`Identity::is_gone`], and also of one that has run its last instruction and is on its way out of the kernel, where
    /// that takes down its memory.
    pub(crate) fn has_left(self) -> bool {
        self.ended(|stat| stat.is_dead() || stat.is_leaving())
    }

    /// Whether this process has surely ended: gone, or a zombie, or its pid belongs to a younger process.
    ///
    /// In doubt (`/proc` hides it, or is not mounted) the answer is false.
    pub(crate) fn is_gone(self) -> bool {
        self.ended(Stat::is_dead)
    }

    /// Whether it is not there any more, or `has_ended` says so of what `/proc` tells.
    fn ended(self, has_ended: impl FnOnce(&Stat) -> bool) -> bool {
        let pid = (self.0 >> PID_SHIFT) as i32;
        if !proc_is_ours() {
            return does_not_exist(pid);
        }
        match Stat::read(format!("/proc/{pid}/stat")) {
            Ok(stat) => Identity::new(pid as u32, stat.start) != self || has_ended(&stat),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => false,
            // hidepid makes living processes of other users look absent here; the kernel itself knows better.
            Err(_) => does_not_exist(pid),
        }
    }
}

/// Whether the kernel knows of no process with this number, in the namespace of the calling one.
fn does_not_exist(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid);
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// Whether `/proc` numbers processes as this one does. After `unshare --pid` without a `/proc` of its own it does not: by a
/// living process's number it shows another, or none.
fn proc_is_ours() -> bool {
    // Only there it shows this process with one number: elsewhere with one for each namespace, from that of `/proc` to this
    // process's own. Without such a line the kernel has no such namespaces.
    let Ok(status) = std::fs::read("/proc/self/status") else { return false };
    let numbers = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    numbers.is_none_or(|numbers| numbers.trim_ascii().split(|byte| byte.is_ascii_whitespace()).count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_am_here() {
        let me = Identity::me().unwrap();
        assert!(!me.is_gone());
        assert_eq!(Identity::from_word(me.to_word() | 1), Some(me));
        assert_eq!(Identity::from_word(1), None);
    }

    #[test]
    fn the_same_pid_with_another_start_time_is_somebody_else() {
        let me = Identity::me().unwrap();
        assert!(Identity(me.0 - 2).is_gone());
    }

    #[test]
    fn a_child_is_gone_when_it_is_a_zombie_and_when_it_was_reaped() {
        let mut child = std::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn().unwrap();
        let stat = Stat::read(format!("/proc/{}/stat", child.id())).unwrap();
        let identity = Identity::new(child.id(), stat.start);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::waitid(
            rustix::process::WaitId::Pid(pid),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert!(identity.is_gone(), "a zombie");
        child.wait().unwrap();
        assert!(identity.is_gone(), "reaped");
    }
}
