//! A child process, as its parent sees it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use rustix::thread::futex;

use super::exit::{Cause, Exit, Ran, Usage, unknown_status};
use super::inside::SLICE;
use super::slot::{Slot, go, state};
use super::stdio::{Ends, StderrTail};
use super::{oom, tree};
use crate::pipe::{Reader, Writer};
use crate::sys::clock::{deadline_in, left_until, monotonic_nanos, timespec};
use crate::sys::listed::Listed;
use crate::sys::wait::{Reaped, status_after_reaping, try_reap};
use crate::sys::{generation, roster, signals};

/// A child process: what can be asked of it and done to it, all through `&self`, from any thread.
///
/// A [`JoinHandle`](super::JoinHandle) dereferences to its `Child`. The child is named by a pidfd, so no
/// signal ever reaches another process that was given the same number.
///
/// In a process that came to the handle by a fork (a child of the parent that holds it), every method answers
/// with an error of kind `InvalidInput`: only the parent can wait for, and should signal, its child.
#[derive(Debug)]
pub struct Child {
    pub(super) pid: Pid,
    pub(super) pidfd: Listed,
    pub(super) name: Option<String>,
    pub(super) slot: Slot,
    pub(super) file: Option<Listed>,
    /// Whose child it is.
    pub(super) generation: u64,
    pub(super) born: u64,
    /// Counted from GO: until then the closure cannot have begun.
    pub(super) deadline: Option<Deadline>,
    pub(super) oom_kills_before: Option<u64>,
    pub(super) stderr: Option<StderrTail>,
    pub(super) ends: Mutex<Ends>,
    pub(super) fate: Mutex<Fate>,
}

/// When a child must have ended by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// Then it is asked to.
    at: Instant,
    /// Then it is sent SIGTERM.
    warn: Option<Instant>,
    /// Then it is killed; None beyond what the clock can say.
    end: Option<Instant>,
}

impl Deadline {
    fn after(limit: Duration, grace: Duration) -> Option<Deadline> {
        let at = deadline_in(limit)?;
        Some(Deadline { at, warn: at.checked_add(grace / 2), end: at.checked_add(grace) })
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

/// What the parent has done to the child, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Fate {
    exit: Option<Exit>,
    /// A signal that ends processes was sent through this handle.
    signalled: bool,
    /// It was asked to stop.
    asked: bool,
    /// The parent has seen its deadline pass.
    timed_out: bool,
    /// And has sent it SIGTERM for that.
    warned: bool,
}

fn not_owner() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "this handle was copied here by a fork: the child belongs to the parent process, which alone can wait for it or signal it",
    )
}

/// Whether an error is the one that says so.
pub(super) fn is_not_owner(error: &io::Error) -> bool {
    // One of the system has a number, EINVAL among them.
    error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none()
}

impl Child {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    fn mine(&self) -> io::Result<()> {
        if generation::current() == self.generation { Ok(()) } else { Err(not_owner()) }
    }

    pub(super) fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the child begin. Until now it waited, whatever the scheduler did.
    pub(super) fn release(&mut self, timeout: Option<Duration>, grace: Duration) {
        self.deadline = timeout.and_then(|limit| Deadline::after(limit, grace));
        say(self.slot, go::GO);
    }

    /// Waits until the child has ended, and tells how.
    ///
    /// Right when its grandchildren live on, when it has called exec, when the program ignores SIGCHLD, and
    /// when several threads wait for the same child: all get the same answer, and it is reaped once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` in a process that only inherited the handle.
    #[doc(alias = "waitpid")]
    #[doc(alias = "waitid")]
    pub fn wait(&self) -> io::Result<Exit> {
        Ok(self.wait_until(None)?.expect("a wait without a deadline ends only with an answer"))
    }

    /// Looks whether the child has ended, without waiting.
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`].
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        self.wait_until(Some(Instant::now()))
    }

    /// Waits for the end of the child for at most `limit`; None if it lives on.
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`].
    pub fn wait_timeout(&self, limit: Duration) -> io::Result<Option<Exit>> {
        // A limit that no clock reaches is none.
        self.wait_until(deadline_in(limit))
    }

    /// Whether the child has ended. Once true it stays true; false may be stale by the time you look. In a process
    /// that only inherited the handle it is true: there is nobody to wait for.
    pub fn is_finished(&self) -> bool {
        self.mine().is_err()
            || self.fate().exit.is_some()
            || has_ended(self.pidfd.as_fd(), Some(Duration::ZERO)).unwrap_or(true)
    }

    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> io::Result<Option<Exit>> {
        self.mine()?;
        loop {
            if let Some(exit) = &self.fate().exit {
                return Ok(Some(exit.clone()));
            }
            let now = Instant::now();
            let mut limit = deadline.map(|d| d.saturating_duration_since(now));
            if let Some(Deadline { at, .. }) = self.deadline {
                // The child ends itself at its deadline; a parent that waits ends its descendants too.
                let left = at.saturating_duration_since(now);
                limit = Some(limit.map_or(left, |l| l.min(left)));
            }
            if self.stderr.is_some() {
                limit = Some(limit.map_or(SLICE, |l| l.min(SLICE)));
            }
            if let Some(exit) = self.ends_within(limit)? {
                return Ok(Some(exit));
            }
            if let Some(tail) = &self.stderr {
                tail.trim();
            }
            let now = Instant::now();
            if let Some(own) = self.deadline.filter(|own| now >= own.at) {
                self.end_overdue(own, deadline)?;
                if self.fate().exit.is_none() && deadline.is_some_and(|d| Instant::now() >= d) {
                    return Ok(None);
                }
                continue;
            }
            if deadline.is_some_and(|d| now >= d) {
                return Ok(None);
            }
        }
    }

    /// Waits for the end of the child and takes its status; None when `limit` came first, or a signal.
    fn ends_within(&self, limit: Option<Duration>) -> io::Result<Option<Exit>> {
        if !has_ended(self.pidfd.as_fd(), limit)? {
            return Ok(None);
        }
        let exit = self.reap()?;
        if exit.is_none() {
            // A tracer is told first, and until it has looked there is no status; nothing says when it has.
            const MOMENT: Duration = Duration::from_millis(1);
            std::thread::sleep(limit.map_or(MOMENT, |limit| limit.min(MOMENT)));
        }
        Ok(exit)
    }

    /// The deadline of the child has passed while its parent looks on: ask, warn after half of the grace, end the tree
    /// at its end. Each call does what is due, and waits for the next thing that will be.
    ///
    /// A child that became somebody else may be out of reach; it still has its timers, and the wait goes on.
    fn end_overdue(&self, own: Deadline, deadline: Option<Instant>) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.fate().timed_out, true);
        if first && !own.is_over() {
            self.ask_to_stop();
        }
        let due = own.warn.is_some_and(|warn| Instant::now() >= warn);
        if due && !std::mem::replace(&mut self.fate().warned, true) && !own.is_over() {
            // The child's own timer has done so too, unless it became another program.
            let _ = self.send(Signal::TERM);
        }
        let next = if due { own.end } else { own.warn };
        let until = [next, deadline].into_iter().flatten().min();
        while left_until(until).is_none_or(|left| !left.is_zero()) {
            if self.ends_within(left_until(until))?.is_some() {
                return Ok(());
            }
        }
        if own.is_over() {
            let _ = tree::kill(self.pidfd.as_fd(), self.pid);
            // SIGKILL is on its way; only the kernel stands between it and the end.
            self.ends_within(left_until(deadline))?;
        }
        Ok(())
    }

    /// Takes the status of a child that has ended; None if it has not. Exactly one caller reaps.
    fn reap(&self) -> io::Result<Option<Exit>> {
        let mut fate = self.fate();
        if let Some(exit) = &fate.exit {
            return Ok(Some(exit.clone()));
        }
        // Asked before the reaping, while `/proc` still knows the dead.
        let missed = self.may_have_missed_its_deadline(&fate);
        let Some((status, usage)) = reap(self.pidfd.as_fd())? else { return Ok(None) };
        let exit = self.certificate(&fate, status, usage, missed);
        fate.exit = Some(exit.clone());
        Ok(Some(exit))
    }

    fn has_noted(&self, note: u32) -> bool {
        // Relaxed: a note is read after the death of who left it, which orders everything.
        self.slot.header().notes.load(Ordering::Relaxed) & note != 0
    }

    /// Whether a child may have been killed because its deadline passed, though it has not noted that.
    ///
    /// It notes the deadline before it ends by it. That the deadline has passed *now* proves nothing: it may have
    /// been dead for long. So without a note it counts only where the child could not have left one.
    fn may_have_missed_its_deadline(&self, fate: &Fate) -> bool {
        !self.has_noted(signals::NOTE_TIMED_OUT)
            && !fate.signalled
            && self.deadline.is_some_and(|own| own.is_over())
            && signals::may_have_missed_its_deadline(self.pid)
    }

    fn certificate(&self, fate: &Fate, status: Option<i32>, usage: Usage, missed: bool) -> Exit {
        let status = status.map_or_else(unknown_status, ExitStatus::from_raw);
        let mut cause = Cause::from(status);
        if let Cause::Signal(signal) = cause {
            let overdue =
                fate.timed_out || self.has_noted(signals::NOTE_TIMED_OUT) || (missed && signal == Signal::KILL);
            cause = match signal {
                Signal::SEGV | Signal::BUS if self.has_noted(signals::NOTE_STACK_OVERFLOW) => Cause::StackOverflow,
                _ if overdue => Cause::TimedOut,
                Signal::KILL if !fate.signalled && self.was_killed_for_memory() => Cause::OutOfMemory,
                _ if fate.asked && matches!(signal, Signal::TERM | Signal::KILL) => Cause::Stopped,
                _ => cause,
            };
        }
        let ended = self.slot.finished_at().unwrap_or_else(monotonic_nanos);
        Exit {
            pid: self.id(),
            name: self.name.clone(),
            status,
            cause,
            usage,
            age: Duration::from_nanos(ended.saturating_sub(self.born)),
            ran: match self.slot.state() {
                state::BORN => Ran::No,
                state::ENTERED => Ran::Unknown,
                _ => Ran::Yes,
            },
            stderr_tail: self.stderr.as_ref().and_then(|tail| tail.tail().ok()).unwrap_or_default(),
        }
    }

    fn was_killed_for_memory(&self) -> bool {
        matches!((self.oom_kills_before, oom::kills()), (Some(before), Some(now)) if now > before)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        if matches!(signal, Signal::KILL | Signal::TERM) {
            self.fate().signalled = true;
        }
        match pidfd_send_signal(&self.pidfd, signal) {
            // It has ended, and may be reaped: there is nobody to tell.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a signal. To a child that has ended it does nothing.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where the child has changed its user; `InvalidInput` in a process that only
    /// inherited the handle.
    #[doc(alias = "kill")]
    #[doc(alias = "pidfd_send_signal")]
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.mine()?;
        self.send(signal)
    }

    /// Asks the child to end: SIGTERM.
    ///
    /// # Errors
    ///
    /// As for [`Child::signal`].
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends the child: SIGKILL. Its own children live on, unless they are this library's.
    ///
    /// # Errors
    ///
    /// As for [`Child::signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Ends the child and all its descendants, those that left its process group or session included.
    ///
    /// A descendant whose middle ancestor had already ended (a daemon that forked twice) belongs to another
    /// parent by now; it is found only if it is still in a process group or session that the child leads.
    ///
    /// # Errors
    ///
    /// As for [`Child::signal`]; all that could be ended is ended nevertheless.
    pub fn kill_tree(&self) -> io::Result<()> {
        self.mine()?;
        self.fate().signalled = true;
        tree::kill(self.pidfd.as_fd(), self.pid)
    }

    /// Asks the child to stop by the flag that it can see with [`stop`](super::stop). Nothing forces it to look.
    ///
    /// # Errors
    ///
    /// `InvalidInput` in a process that only inherited the handle.
    pub fn request_stop(&self) -> io::Result<()> {
        self.mine()?;
        self.ask_to_stop();
        Ok(())
    }

    fn ask_to_stop(&self) {
        // Who has ended has not ended because of it.
        if self.is_finished() {
            return;
        }
        self.fate().asked = true;
        let word = &self.slot.header().stop;
        // Release: pairs with the Acquire in `Stop::is_requested`.
        word.store(1, Ordering::Release);
        let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
        roster::ring();
    }

    /// Ends the child within about `grace`, as gently as it lets itself be ended, and tells how it ended.
    ///
    /// It is asked by its [`stop`](super::stop) flag; after half of `grace` by SIGTERM; at its end the child and
    /// all its descendants are killed. A child that ends in time by itself keeps its result.
    ///
    /// # Errors
    ///
    /// As for [`Child::signal`].
    pub fn shutdown(&self, grace: Duration) -> io::Result<Exit> {
        self.mine()?;
        self.ask_to_stop();
        if let Some(exit) = self.wait_timeout(grace / 2)? {
            return Ok(exit);
        }
        self.send(Signal::TERM)?;
        if let Some(exit) = self.wait_timeout(grace - grace / 2)? {
            return Ok(exit);
        }
        self.kill_tree()?;
        self.wait()
    }

    /// The writing end of the child's stdin, once, if it was [`Stdio::Piped`](super::Stdio::Piped).
    pub fn take_stdin(&self) -> Option<Writer> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).stdin.take()
    }

    /// The reading end of the child's stdout, once, if it was [`Stdio::Piped`](super::Stdio::Piped).
    pub fn take_stdout(&self) -> Option<Reader> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).stdout.take()
    }

    /// The reading end of the child's stderr, once, if it was [`Stdio::Piped`](super::Stdio::Piped).
    pub fn take_stderr(&self) -> Option<Reader> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).stderr.take()
    }
}

impl AsFd for Child {
    /// The pidfd: readable when the child has ended, for poll, epoll and async runtimes.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Waits until a pidfd tells the end of its process; false when `limit` came first, or a signal.
fn has_ended(pidfd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<bool> {
    match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.map(timespec).as_ref()) {
        Ok(0) | Err(Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Reaps a child that has ended: its wait status, where it can be known, and what it used. None while it lives.
fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<(Option<i32>, Usage)>> {
    match try_reap(pidfd) {
        Ok(None) => Ok(None),
        Ok(Some(Reaped { status, usage })) => Ok(Some((Some(status), usage.into()))),
        // Somebody else reaped it, or it is not ours to reap: only its pidfd tells whether it is dead.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
            let dead = has_ended(pidfd, Some(Duration::ZERO))?;
            Ok(dead.then(|| (status_after_reaping(pidfd), Usage::default())))
        }
        Err(error) => Err(error),
    }
}

/// Tells a child that waits to begin.
pub(super) fn say(slot: Slot, word: u32) {
    // Release: pairs with the Acquire in the child's wait: what the parent did before is done.
    if slot.header().go.swap(word, Ordering::Release) == go::ASLEEP {
        let _ = futex::wake(&slot.header().go, futex::Flags::empty(), 1);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot(state {})", self.state())
    }
}

/// A child that nobody holds a handle of any more: still to be reaped.
struct Orphan {
    pidfd: Listed,
    slot: Slot,
}

/// Those of this process. Swept by every spawn and every dropped handle, so they do not pile up.
static ORPHANS: Mutex<Vec<Orphan>> = Mutex::new(Vec::new());
/// Whether [`ORPHANS`] is empty, for the price of a load.
static ANY_ORPHANS: AtomicBool = AtomicBool::new(false);

/// Looks at this many of them at a time: more than are added, so the list shrinks to those that live.
const SWEEP: usize = 8;

/// Reaps what has ended among the children whose handles were dropped.
pub(super) fn sweep() {
    // Relaxed: a hint. Who misses an addition leaves it to the next sweep.
    if !ANY_ORPHANS.load(Ordering::Relaxed) {
        return;
    }
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    let looked_at = orphans.len().min(SWEEP);
    let mut kept = Vec::new();
    for orphan in orphans.drain(..looked_at) {
        match reap(orphan.pidfd.as_fd()) {
            Ok(Some(_)) => orphan.slot.give_back(),
            // It lives; or the system does not say, and then it may still write to its slot.
            Ok(None) | Err(_) => kept.push(orphan),
        }
    }
    // To the end of the line: the next sweep looks at others.
    orphans.append(&mut kept);
    ANY_ORPHANS.store(!orphans.is_empty(), Ordering::Relaxed);
}

/// In a child: its parent's abandoned children are not its own.
pub(super) fn forget_orphans() {
    std::mem::take(&mut *ORPHANS.lock().unwrap_or_else(PoisonError::into_inner));
    ANY_ORPHANS.store(false, Ordering::Relaxed);
}

/// Keeps other threads out of the list across a fork, so that the child finds it unlocked.
pub(super) fn hold_orphans() -> impl Sized {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Child {
    fn drop(&mut self) {
        // In another process only the copies of the descriptors are closed: the child and its slot are the parent's.
        if generation::current() != self.generation {
            return;
        }
        let ended = self.fate().exit.is_some() || self.reap().is_ok_and(|exit| exit.is_some());
        if ended {
            self.slot.give_back();
        } else {
            // Relaxed: only this process says GO, and it has the handle to itself here.
            if self.slot.header().go.load(Ordering::Relaxed) != go::GO {
                // Its spawn failed after the fork. It waits to be told, and would for ever.
                say(self.slot, go::ABORT);
            }
            let pidfd = self.pidfd.hand_on();
            ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).push(Orphan { pidfd, slot: self.slot });
            ANY_ORPHANS.store(true, Ordering::Relaxed);
        }
        sweep();
    }
}
