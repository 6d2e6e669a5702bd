//! A process that is stopped before and after each of its system calls, to be killed or left there.
//!
//! What is in `/dev/shm`, and who holds which lock, changes by system calls only. So a kill at each stop is a kill at
//! each instruction, as far as others can tell.
use std::io::{PipeReader, Read, Write};

/// A child that runs some code under this eye.
pub struct Stepped {
    pid: libc::pid_t,
    /// What the code said at its end.
    said: PipeReader,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Stopped,
    Free,
    Reaped,
}

impl Stepped {
    /// Forks a child that will run `f`, and say what it returned. It then lives on, with all that it has, until it is
    /// killed. None where tracing is forbidden.
    pub fn start(f: impl FnOnce() -> u8) -> Option<Stepped> {
        let (said, mut say) = std::io::pipe().unwrap();
        // SAFETY: a case is single-threaded, so the child may use everything that the parent could.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(said);
            // SAFETY: integers only; the stop is what the parent waits for.
            unsafe {
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
                    libc::_exit(1);
                }
                libc::raise(libc::SIGSTOP);
            }
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(b'!');
            let _ = say.write_all(&[code]);
            loop {
                // SAFETY: only waits for a signal.
                unsafe { libc::pause() };
            }
        }
        assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
        let mut stepped = Stepped { pid, said, state: State::Free };
        if !stepped.wait_for_stop() {
            return None;
        }
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        // SAFETY: integers only, about our own stopped child.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) }, 0);
        Some(stepped)
    }

    fn wait_for_stop(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a live int, and the child is ours.
        assert_eq!(unsafe { libc::waitpid(self.pid, &mut status, 0) }, self.pid);
        let stopped = libc::WIFSTOPPED(status);
        self.state = if stopped { State::Stopped } else { State::Reaped };
        stopped
    }

    /// Goes on to the next stop; false where the code has come to its end before.
    pub fn step(&mut self) -> bool {
        // SAFETY: integers only, about our own stopped child.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, self.pid, 0, 0) }, 0);
        self.wait_for_stop() && !self.has_said()
    }

    /// `n` steps; false where the code has come to its end before.
    pub fn steps(&mut self, n: usize) -> bool {
        (0..n).all(|_| self.step())
    }

    fn has_said(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.said, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())) == Ok(1)
    }

    /// Kills it where it is.
    pub fn kill(self) {
        // By its drop.
    }

    /// Lets it run on, to the end of its code, and tells what that said. It lives on.
    pub fn run(&mut self) -> u8 {
        if self.state == State::Stopped {
            // SAFETY: integers only, about our own stopped child.
            assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, 0) }, 0);
            self.state = State::Free;
        }
        let mut code = [0];
        self.said.read_exact(&mut code).expect("it says something before it ends");
        code[0]
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        if self.state == State::Reaped {
            return;
        }
        // SAFETY: integers only, about our own child, which was not reaped.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            loop {
                let mut status = 0;
                if libc::waitpid(self.pid, &mut status, 0) != self.pid || !libc::WIFSTOPPED(status) {
                    break;
                }
            }
        }
    }
}
