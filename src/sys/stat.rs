//! What `/proc/PID/stat` says of a process, and `/proc/PID/task/TID/stat` of a task.

use std::io;
use std::path::Path;

/// The fields that are asked for here, by their numbers in proc_pid_stat(5):
///
/// ```text
///   4711 (any 15 bytes) S  1  1  1 .. flags .. threads .. start ..
///    1         2        3  4  5  6      9        20        22
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Up to 15 bytes of anything.
    pub(crate) name: Vec<u8>,
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    flags: u32,
    threads: u64,
    /// When it was started, in clock ticks since boot.
    pub(crate) start: u64,
}

impl Stat {
    /// # Errors
    ///
    /// `NotFound`, or ESRCH, where it is gone; `InvalidData` where the file says something else.
    pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Stat> {
        // Bytes, for the name need not be text.
        Stat::parse(&std::fs::read(path)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &[u8]) -> Option<Stat> {
        let open = text.iter().position(|&b| b == b'(')?;
        // The name may hold anything, brackets too; what follows its last bracket is regular.
        let close = text.windows(2).rposition(|two| two == b") ")?;
        let name = text.get(open + 1..close)?.to_vec();
        let mut fields = std::str::from_utf8(&text[close + 2..]).ok()?.split_ascii_whitespace();
        Some(Stat {
            name,
            state: *fields.next()?.as_bytes().first()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            flags: fields.nth(9 - 7)?.parse().ok()?,
            threads: fields.nth(20 - 10)?.parse().ok()?,
            start: fields.nth(22 - 21)?.parse().ok()?,
        })
    }

    /// Whether the process has ended. A main thread that ended before its fellows is shown as a zombie too, but
    /// their process lives.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }

    /// Whether the process, which has no other threads, is on its way out of the kernel.
    pub(crate) fn is_leaving(&self) -> bool {
        self.has_left() && self.threads <= 1
    }

    /// Whether the task has run its last instruction of the program's: it is dead, or on its way out of the kernel.
    pub(crate) fn has_left(&self) -> bool {
        /// Of the kernel's `linux/sched.h`: set before a joiner can be woken, never cleared.
        const PF_EXITING: u32 = 4;
        matches!(self.state, b'X' | b'Z') || self.flags & PF_EXITING != 0
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    fn stat(name: &[u8], state: u8, flags: u32, threads: u64) -> Stat {
        let mut text = b"7 (".to_vec();
        text.extend_from_slice(name);
        text.extend_from_slice(b") ");
        text.push(state);
        text.extend_from_slice(format!(" 1 5 6 0 -1 {flags} 1 0 0 0 0 0 0 0 20 0 {threads} 0 5150 1 1 1").as_bytes());
        let stat = Stat::parse(&text).expect("a line as the kernel writes it");
        assert_eq!((&stat.name[..], stat.state, stat.parent, stat.group), (name, state, 1, 5));
        assert_eq!((stat.session, stat.start), (6, 5150));
        stat
    }

    #[test]
    fn the_name_may_be_anything() {
        for name in [&b""[..], b"a name", b"a) R 1 (b", b"\xc3) Z (\xff", b")", b"(", b") "] {
            assert!(!stat(name, b'S', 0, 1).has_left());
        }
    }

    #[test]
    fn living_leaving_and_dead_are_told_apart() {
        let living = stat(b"a", b'S', 4_194_368, 1);
        assert!(!living.is_dead() && !living.has_left());
        // PF_EXITING, whatever the state.
        assert!(stat(b"a", b'R', 4_194_372, 1).has_left());
        for state in [b'Z', b'X'] {
            assert!(stat(b"a", state, 0, 1).has_left() && stat(b"a", state, 0, 1).is_dead());
            assert!(!stat(b"a", state, 0, 3).is_dead(), "its main thread has ended, others have not");
        }
    }

    #[test]
    fn what_is_torn_says_nothing() {
        let whole = b"7 (a) R 1 5 6 0 -1 0 1 0 0 0 0 0 0 0 20 0 3 0 5150";
        assert!(Stat::parse(whole).is_some());
        // Up to the last field: a part of that is a number too.
        for length in 0..whole.len() - 4 {
            assert_eq!(Stat::parse(&whole[..length]), None);
        }
        for torn in [&b") ("[..], b"7 (a) R x 5 6 0 -1 0 1 0 0 0 0 0 0 0 20 0 3 0 5150", b"\xff"] {
            assert_eq!(Stat::parse(torn), None);
        }
    }

    #[test]
    fn this_process_is_known() {
        let here = Stat::read("/proc/self/stat").expect("/proc is mounted");
        assert!(!here.is_dead() && here.start > 0 && here.parent > 0);
        assert!(Stat::read("/proc/self/status").is_err());
    }
}
