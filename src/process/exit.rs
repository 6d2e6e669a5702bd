//! How a process ended: its death certificate.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::sys::signals;

/// How a child ended: the certificate that [`Child::wait`](super::Child::wait) gives, SIGKILL included.
///
/// # Examples
///
/// ```
/// let child = tine::spawn(|| -> u64 { std::process::exit(3) })?;
/// let exit = child.wait()?;
/// assert_eq!(exit.cause, tine::process::Cause::Code(3));
/// println!("pid {} lived {:?} and used {:?}", exit.pid, exit.age, exit.usage.user);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exit {
    /// The process id that it had. It may belong to another process by now.
    pub pid: u32,
    /// The name that it was given with [`Builder::name`](super::Builder::name).
    pub name: Option<String>,
    /// The wait status. Where somebody else took it (see [`Cause::Unknown`]) it has neither a code nor a signal.
    pub status: ExitStatus,
    /// Why it ended.
    pub cause: Cause,
    /// What it used, its waited-for children included. Zero where the cause is [`Cause::Unknown`].
    pub usage: Usage,
    /// How long it lived. Exact to the end of the closure if that ended; else to the moment when its death was
    /// noticed, which is an upper bound.
    pub age: Duration,
    /// Whether the closure ran.
    pub ran: Ran,
    /// The last lines that it wrote to stderr, where [`Builder::keep_stderr`](super::Builder::keep_stderr) kept
    /// them; else empty. Bytes that are not UTF-8 are replaced.
    pub stderr_tail: String,
}

impl Exit {
    /// Whether it ended by itself with code 0. That says nothing of the result: only a committed result does.
    pub fn success(&self) -> bool {
        self.cause == Cause::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        write!(f, " {}, after {:.1?}", self.cause, self.age)?;
        if let Some(last) = self.stderr_tail.lines().next_back() {
            write!(f, "; its last words were {last:?}")?;
        }
        Ok(())
    }
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it.
    Signal(Signal),
    /// It ran over the end of its stack (which is a SIGSEGV).
    StackOverflow,
    /// The kernel killed it for want of memory (which is a SIGKILL): the count of such kills of its memory cgroup
    /// rose while it lived. Where there is no memory cgroup it is a `Signal(KILL)` like any other.
    OutOfMemory,
    /// Its deadline passed ([`Builder::timeout`](super::Builder::timeout)).
    TimedOut,
    /// [`Child::shutdown`](super::Child::shutdown) ended it, or it ended by a signal after it was asked to.
    Stopped,
    /// It is dead, but its status was taken by somebody else: the program ignores SIGCHLD, or reaps children
    /// that are not its own. Linux 6.15 and later know it all the same.
    Unknown,
}

impl From<ExitStatus> for Cause {
    /// What the status alone tells. A status that is neither an exit nor a death (a stop, say) is `Unknown`.
    fn from(status: ExitStatus) -> Cause {
        if let Some(code) = status.code() {
            return Cause::Code(code);
        }
        match status.signal().and_then(signals::from_number) {
            Some(signal) => Cause::Signal(signal),
            None => Cause::Unknown,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Code(code) => write!(f, "exited with code {code}"),
            Cause::Signal(signal) => write!(f, "was killed by {}", signals::name(*signal)),
            Cause::StackOverflow => f.write_str("overflowed its stack"),
            Cause::OutOfMemory => f.write_str("was killed by the kernel for want of memory"),
            Cause::TimedOut => f.write_str("was ended because its deadline passed"),
            Cause::Stopped => f.write_str("was stopped as asked"),
            Cause::Unknown => f.write_str("ended in a way that is not known, since somebody else reaped it"),
        }
    }
}

/// A wait status that is neither an exit nor a death by signal: that of a process whose end is not known.
pub(super) fn unknown_status() -> ExitStatus {
    // What wait gives for "continued", which no ended process has.
    ExitStatus::from_raw(0xffff)
}

/// Whether the work of a child was done, when the child itself cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// The closure was never called: doing it again is safe.
    No,
    /// The closure ran to its end, by returning or by a panic.
    Yes,
    /// The closure was called and cut off: how much of it happened is not known.
    Unknown,
}

/// What a process used, as `getrusage` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "rusage")]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The most memory that was resident at once, in bytes; what is shared with the parent counts too.
    pub peak_memory: u64,
    /// Page faults served without I/O: first touches and copies on write.
    pub minor_faults: u64,
    /// Page faults that waited for I/O.
    pub major_faults: u64,
    /// Times it gave up the CPU to wait for something.
    pub voluntary_switches: u64,
    /// Times the CPU was taken from it.
    pub involuntary_switches: u64,
}

impl From<libc::rusage> for Usage {
    fn from(r: libc::rusage) -> Usage {
        let time = |t: libc::timeval| {
            Duration::from_secs(t.tv_sec as u64).saturating_add(Duration::from_micros(t.tv_usec as u64))
        };
        Usage {
            user: time(r.ru_utime),
            system: time(r.ru_stime),
            // The kernel counts in KiB.
            peak_memory: (r.ru_maxrss as u64).saturating_mul(1024),
            minor_faults: r.ru_minflt as u64,
            major_faults: r.ru_majflt as u64,
            voluntary_switches: r.ru_nvcsw as u64,
            involuntary_switches: r.ru_nivcsw as u64,
        }
    }
}
