//! A process, told apart from a later one that was given the same pid: pid and start time.

use std::io;

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
    /// Where `/proc` is not mounted.
    pub(crate) fn me() -> io::Result<Identity> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let stat = Stat::parse(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Identity::new(std::process::id(), stat.start))
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

    /// Whether this process has surely ended: gone, or a zombie, or its pid belongs to a younger process.
    ///
    /// In doubt (`/proc` hides it, or is not mounted) the answer is false.
    pub(crate) fn is_gone(self) -> bool {
        let pid = (self.0 >> PID_SHIFT) as i32;
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => match Stat::parse(&stat) {
                Some(stat) => Identity::new(pid as u32, stat.start) != self || stat.is_zombie(),
                None => false,
            },
            // hidepid makes living processes of other users look absent here; the kernel itself knows better.
            Err(_) => {
                let pid = rustix::process::Pid::from_raw(pid);
                pid.is_none_or(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
            }
        }
    }
}

/// What `/proc/PID/stat` says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    threads: u64,
    start: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The name in brackets may hold anything; what follows its last bracket is regular, from field 3 on.
        let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let threads = fields.nth(20 - 4)?.parse().ok()?;
        let start = fields.nth(22 - 21)?.parse().ok()?;
        Some(Stat { state, threads, start })
    }

    /// A main thread that ended before its fellows is shown as a zombie too, but their process lives.
    fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
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
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let identity = Identity::new(child.id(), Stat::parse(&stat).unwrap().start);
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

    #[test]
    fn stat_is_parsed_behind_a_hostile_name() {
        let text = "7 (a) R 1 (b) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 5150 1 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { state: b'Z', threads: 3, start: 5150 });
        assert!(!stat.is_zombie());
        assert_eq!(Stat::parse("7 (a) R"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
