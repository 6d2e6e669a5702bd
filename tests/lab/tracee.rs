//! A process that can be run to any of its instructions, and stopped there.
use std::io;

use super::breakpoint;
use super::process::{self, Sleep, Watch};
use super::trace::Way;

/// A forked child under ptrace. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Tracee {
    pid: i32,
    ended: bool,
}

/// Why a tracee does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A mark, a breakpoint, a single step: the address of the instruction that would come next.
    At(usize),
    /// It comes to a system call, or from one.
    Call,
    /// It sleeps in a system call, until somebody else does something. Told once for each call of a `run` or `step`.
    Asleep,
    /// It has ended, which no operation should do.
    Ended(process::Status),
    /// It neither stops nor sleeps for good: it hangs.
    Stuck,
}

/// How to wait for a tracee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// That it runs: whether it sleeps is looked at now and then.
    Running,
    /// That it will sleep: looked at all the time.
    Sleeping,
    /// That it has been told to be asleep: it has been woken, and is not reported again.
    Woken,
}

/// Stops here, if traced: `int3`, one byte. What is before it is done, what is behind it is not.
#[inline(always)]
pub fn mark() {
    // SAFETY: a trap, which the tracer takes. Memory is not touched; since this is not told to the compiler, it keeps
    // all accesses on their side.
    unsafe { std::arch::asm!("int3") }
}

impl Tracee {
    /// Forks a child that runs `body`, and lets it come to its first [`mark`].
    pub fn start(body: impl FnOnce()) -> io::Result<Tracee> {
        let pid = process::fork(|| {
            // SAFETY: asks to be traced by the parent; the other arguments are not read.
            if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } == -1 {
                process::exit(REFUSED);
            }
            process::at_the_same_depth(body);
        })?;
        let mut tracee = Tracee { pid, ended: false };
        match tracee.wait(Expect::Woken) {
            Stop::At(_) => {}
            Stop::Ended(status) if status.code() == Some(REFUSED) => {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "ptrace is forbidden here"));
            }
            other => return Err(io::Error::other(format!("the victim did not come to its operation: {other:?}"))),
        }
        // Who dies with the tracer does not run on into what nobody watches.
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
        tracee.request(libc::PTRACE_SETOPTIONS, options as usize)?;
        Ok(tracee)
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    fn request(&self, request: libc::c_uint, data: usize) -> io::Result<()> {
        // SAFETY: requests that change a stopped tracee of this process and write no memory of this one.
        match unsafe { libc::ptrace(request, self.pid, 0, data) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// The address of the instruction that comes next.
    pub fn here(&self) -> usize {
        let offset = std::mem::offset_of!(libc::user, regs) + std::mem::offset_of!(libc::user_regs_struct, rip);
        // SAFETY: returns a word of the kernel's record of a stopped tracee.
        unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, self.pid, offset, 0) as usize }
    }

    /// The eight bytes at `address` of the tracee.
    pub fn word(&self, address: usize) -> u64 {
        // SAFETY: returns a word of the tracee's memory, or -1.
        unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, address, 0) as u64 }
    }

    /// One instruction, then stops.
    pub fn step(&mut self, expect: Expect) -> Stop {
        self.go(libc::PTRACE_SINGLESTEP, expect)
    }

    /// On to the next mark or breakpoint.
    pub fn run(&mut self, expect: Expect) -> Stop {
        self.go(libc::PTRACE_CONT, expect)
    }

    /// On along `way`; `wake` is called when it sleeps. With `sleepy` it is known to sleep on the way.
    pub fn follow(&mut self, way: Way, sleepy: bool, wake: &mut dyn FnMut()) -> Stop {
        let expect = if sleepy { Expect::Sleeping } else { Expect::Running };
        let mut stop = Stop::At(self.here());
        if let Some((address, hits)) = way.breakpoint {
            if let Err(error) = breakpoint::set(self.pid, address) {
                panic!("setting a hardware breakpoint at {address:#x}: {error}");
            }
            for _ in 0..hits {
                stop = self.run(expect);
                if stop == Stop::Asleep {
                    wake();
                    stop = self.wait_on();
                }
                if stop != Stop::At(address) {
                    return stop;
                }
            }
            self.clear_breakpoint();
        }
        for _ in 0..way.steps {
            stop = self.step(expect);
            if stop == Stop::Asleep {
                wake();
                stop = self.wait_on();
            }
            if !matches!(stop, Stop::At(_)) {
                return stop;
            }
        }
        stop
    }

    /// On to the `number`-th entry into, or return from, a system call; no further than the next mark.
    pub fn run_to_call(&mut self, number: usize, wake: &mut dyn FnMut()) -> Stop {
        let mut stop = Stop::Call;
        for _ in 0..number {
            stop = self.go(libc::PTRACE_SYSCALL, Expect::Running);
            if stop == Stop::Asleep {
                wake();
                stop = self.wait_on();
            }
            if stop != Stop::Call {
                break;
            }
        }
        stop
    }

    /// On to the next mark.
    pub fn finish(&mut self, wake: &mut dyn FnMut()) -> Stop {
        match self.run(Expect::Running) {
            Stop::Asleep => {
                wake();
                self.wait_on()
            }
            other => other,
        }
    }

    /// After [`Stop::Asleep`]: waits on.
    pub fn wait_on(&mut self) -> Stop {
        self.wait(Expect::Woken)
    }

    /// On to the next mark, or to behind the next access to the 8 bytes at `address`.
    pub fn finish_without(&mut self, address: usize, wake: &mut dyn FnMut()) -> Stop {
        if let Err(error) = breakpoint::watch(self.pid, address) {
            panic!("setting a hardware breakpoint on the data at {address:#x}: {error}");
        }
        let stop = self.finish(wake);
        self.clear_breakpoint();
        stop
    }

    pub fn clear_breakpoint(&mut self) {
        // Fails where the tracee has ended, and needs none then.
        let _ = breakpoint::clear(self.pid);
    }

    fn go(&mut self, request: libc::c_uint, expect: Expect) -> Stop {
        process::breathe();
        let mut signal = 0;
        loop {
            if self.request(request, signal as usize).is_err() {
                // Killed from outside while it was stopped.
                return self.wait(expect);
            }
            match self.wait_raw(expect) {
                // A signal of the operation's own, on its way to it.
                Err(other) => signal = other,
                Ok(stop) => return stop,
            }
        }
    }

    /// Waits; signals that are not of the tracing are not delivered (before the first mark there are none).
    fn wait(&mut self, expect: Expect) -> Stop {
        loop {
            match self.wait_raw(expect) {
                Ok(stop) => return stop,
                Err(signal) => {
                    if self.request(libc::PTRACE_CONT, signal as usize).is_err() {
                        return Stop::Stuck;
                    }
                }
            }
        }
    }

    /// The next stop; a signal to be delivered as Err.
    fn wait_raw(&mut self, expect: Expect) -> Result<Stop, i32> {
        let mut watch = Watch::new();
        loop {
            let status = match process::wait(self.pid, expect == Expect::Sleeping) {
                process::Waited::Status(status) => status,
                process::Waited::NotYet => {
                    match watch.look(self.pid) {
                        Sleep::No => {}
                        // In one system call for a while, or for as long as a look takes where it is awaited.
                        Sleep::Asleep | Sleep::ForGood if expect != Expect::Woken => return Ok(Stop::Asleep),
                        Sleep::Asleep => {}
                        Sleep::ForGood | Sleep::Spins => return Ok(Stop::Stuck),
                    }
                    continue;
                }
                process::Waited::Nobody => return Ok(Stop::Stuck),
            };
            return match status.stop_signal() {
                Some(libc::SIGTRAP) => Ok(Stop::At(self.here())),
                Some(CALL) => Ok(Stop::Call),
                Some(signal) => Err(signal),
                None => {
                    self.ended = true;
                    Ok(Stop::Ended(status))
                }
            };
        }
    }

    /// Whether it still is where it was stopped or sleeps.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            process::kill(self.pid);
            process::reap(self.pid);
        }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// How the kernel reports a system call, by PTRACE_O_TRACESYSGOOD.
const CALL: i32 = libc::SIGTRAP | 0x80;

/// The exit code of a child that may not be traced.
const REFUSED: i32 = 98;
