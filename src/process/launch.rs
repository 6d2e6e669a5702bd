//! The parent's side of a spawn: from the checks to GO.
//!
//! ```text
//!   checks -> slot -> signals blocked -> fork -> pidfd -> (child reports its settings)
//!          -> the closure is dropped here -> GO -> signals unblocked
//! ```
//!
//! # Safety
//!
//! This file opens `unsafe` for the fork itself: it is where its conditions are checked.
#![allow(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::child::{Child, Fate, hold_orphans, say, sweep};
use super::error::SpawnError;
use super::handle::JoinHandle;
use super::inside::{self, Inside, Prepared};
use super::options::Settings;
use super::slot::{BODY, Slot, go, hold_table};
use super::stdio::{Ends, StderrTail};
use super::{hand_over, hooks, oom, panic};
use crate::sys::clock::{monotonic_nanos, timespec};
use crate::sys::fork::Side;
use crate::sys::listed::Listed;
use crate::sys::standard::{above_standard, pipe_above_standard};
use crate::sys::{foreign, fork, listed, loan, orphan, owned, roster, threads};
use crate::wire::Wire;

/// Which checks a fork passes before it is made. The loans are checked always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    All,
    /// The caller answers for foreign shared memory.
    AllowShared,
    /// The caller answers for everything.
    None,
}

/// A fork to be made: the settings, and the parent's ends of what was opened for the child.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) ends: Ends,
    pub(super) stderr: Option<StderrTail>,
}

impl Plan {
    fn timeout(&self) -> (Option<Duration>, Duration) {
        (self.settings.timeout, self.settings.grace)
    }
}

/// What the fork made: on each side its own. Made once and taken apart at once, so its size is no matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum Forked {
    Parent(Child),
    Child(&'static Inside, Option<OwnedFd>),
}

/// Whether a result of this type may need more room than a slot has.
fn needs_file<T: Wire>() -> bool {
    // A backtrace is long, too.
    T::MAX_SIZE.is_none_or(|max| max > BODY)
        || std::env::var_os("RUST_BACKTRACE").is_some()
        || std::env::var_os("RUST_LIB_BACKTRACE").is_some()
}

fn os(what: &'static str) -> impl Fn(io::Error) -> SpawnError {
    move |error| SpawnError::from_os(what, error)
}

/// Makes a child that waits for [`Child::release`]. In the child, returns when that has come.
///
/// # Safety
///
/// With [`Checks::All`] none is left to the caller but that the child's side ends in `_exit` and never returns
/// into code that the parent runs too. With less, the caller answers for what is not checked.
pub(super) unsafe fn launch(plan: Plan, checks: Checks, file: bool) -> Result<Forked, SpawnError> {
    sweep();
    if loan::held() > 0 {
        return Err(SpawnError::LoanHeld);
    }
    let others = match threads::others(checks != Checks::None) {
        // The caller answers for threads; that there may be some is enough for the child to be careful.
        Err(_) if checks == Checks::None => vec![String::from("(not known)")],
        others => others.map_err(os("counting threads"))?,
    };
    if checks != Checks::None && !others.is_empty() {
        return Err(SpawnError::MultiThreaded { threads: others });
    }
    let found = match checks {
        Checks::None => foreign::Foreign::default(),
        _ => foreign::look().map_err(os("looking for what the child would share"))?,
    };
    if let (Checks::All, Some(what)) = (checks, found.refused) {
        return Err(SpawnError::SharedMemory(what));
    }
    let Plan { settings, ends, stderr } = plan;
    let file = match file {
        true => Some(result_file().map_err(os("making a file for the result"))?),
        false => None,
    };
    let parent = orphan::Parent::here().map_err(os("making a lifeline"))?;
    let report = match settings.can_fail() || (settings.die_with_parent && parent.needs_lifeline()) {
        true => Some(pipe_above_standard().map_err(os("making a pipe for the settings"))?),
        false => None,
    };
    // Whatever both sides come to share later, they have the same roster.
    roster::ensure().map_err(os("making shared memory for the roster"))?;
    let slot = Slot::take().map_err(os("making shared memory for the result"))?;
    let oom_kills_before = oom::kills();
    let prepared = Prepared {
        slot,
        parent,
        parent_name: inside::inside().and_then(|me| me.name.clone()),
        epolls: &found.epolls,
        settings: &settings,
        careful: !others.is_empty(),
        file: file.as_ref(),
        report: report.as_ref().map(|(_, writer)| writer),
    };

    // Else both sides hold the same bytes, and they appear twice.
    fork::flush();
    // Held across the fork, in this order, so that another thread's use of them cannot leave the child with a
    // lock that nobody will ever open.
    let held = (hooks::hold(), panic::hold(), hold_orphans(), hold_table(), listed::hold(), owned::hold());
    let born = monotonic_nanos();
    // SAFETY: as the caller promises; the checks above cover what they name.
    let forked = unsafe { fork::fork_with_signals_blocked(others.is_empty()) };
    drop(held);
    let (side, blocked) = match forked {
        Ok(forked) => forked,
        Err(error) => {
            slot.give_back();
            return Err(SpawnError::from_os("fork", error));
        }
    };
    match side {
        Side::Child => {
            let inside = inside::begin(&prepared, blocked);
            // The parent's ends of the child's streams, its writing end of nothing: all but the result file.
            drop((ends, stderr, report));
            Ok(Forked::Child(inside, file))
        }
        Side::Parent(pid) => {
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
            let pidfd = match pidfd.and_then(above_standard) {
                Ok(pidfd) => pidfd,
                Err(error) => {
                    abort_child(slot, pid);
                    return Err(SpawnError::from_os("opening a descriptor for the child", error));
                }
            };
            let child = Child {
                pid,
                name: settings.name.clone(),
                pidfd: Listed::new(pidfd),
                slot,
                file: file.map(Listed::new),
                generation: crate::sys::generation::current(),
                born,
                deadline: None,
                oom_kills_before,
                stderr,
                ends: Mutex::new(ends),
                fate: Mutex::new(Fate::default()),
            };
            // The child's ends close here with the settings.
            drop(settings);
            // Before the wait for the settings, which may take as long as a file system likes.
            drop(blocked);
            if let Some((reader, writer)) = report {
                drop(writer);
                hear_report(&child, reader)?;
            }
            Ok(Forked::Parent(child))
        }
    }
}

fn result_file() -> io::Result<OwnedFd> {
    above_standard(rustix::fs::memfd_create("tine-result", rustix::fs::MemfdFlags::CLOEXEC)?)
}

/// The child cannot be kept: it is told to end, and reaped. It waits for GO, so its number is still its own.
fn abort_child(slot: Slot, pid: Pid) {
    say(slot, go::ABORT);
    // Ends when it is reaped, or there is nobody to reap (SIGCHLD is ignored).
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
    {
    }
    slot.give_back();
}

/// Waits until the child has applied its settings, or failed to, or died over it. Not inlined, because its buffer would
/// make the frame that the fork copies a page longer.
#[inline(never)]
fn hear_report(child: &Child, reader: OwnedFd) -> Result<(), SpawnError> {
    let mut bytes = [0; 4096];
    let mut dead = false;
    let length = loop {
        let mut fds = [PollFd::new(&reader, PollFlags::IN), PollFd::new(&child.pidfd, PollFlags::IN)];
        // What the dead have written is there: one more look does not wait.
        let limit = dead.then_some(timespec(Duration::ZERO));
        match poll(&mut fds, limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(SpawnError::from_os("waiting for the child's settings", errno.into())),
            Ok(_) => {}
        }
        // The death of the child counts even if somebody else holds the pipe's other end open.
        if fds[0].revents().is_empty() {
            if dead {
                break 0;
            }
            dead = true;
            continue;
        }
        match rustix::io::read(&reader, &mut bytes) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(length) => break length,
            Err(_) => break 0,
        }
    };
    match bytes[..length] {
        [0, ..] => Ok(()),
        [1, a, b, c, d, ref what @ ..] => {
            // The child is on its way out and needs no word.
            let _ = child.wait();
            let source = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
            Err(SpawnError::Setup { what: String::from_utf8_lossy(what).into_owned(), source })
        }
        _ => {
            let exit = child.wait();
            let how = exit.map_or_else(|e| e.to_string(), |exit| exit.to_string());
            Err(SpawnError::Io(io::Error::other(format!("the child died while it applied its settings: {how}"))))
        }
    }
}

/// Spawns a closure. On failure the closure comes back.
///
/// # Safety
///
/// With [`Checks::All`], none; with less, the caller answers for what is not checked.
pub(super) unsafe fn spawn<F, T>(plan: Plan, checks: Checks, f: F) -> Result<JoinHandle<T>, (SpawnError, F)>
where
    F: FnOnce() -> T,
    T: Wire,
{
    let (timeout, grace) = plan.timeout();
    let made_before = hand_over::stamp();
    // SAFETY: as the caller promises; the child goes into `run`, which never returns.
    let mut child = match unsafe { launch(plan, checks, needs_file::<T>()) } {
        Err(error) => return Err((error, f)),
        Ok(Forked::Child(inside, file)) => inside::run(inside, file, f),
        Ok(Forked::Parent(child)) => child,
    };
    // Where the captures have no drop, the mark that says to whom they went is not even touched: after a fork the first
    // write to a page costs a copy of it.
    let dropped = match needs_drop::<F>() {
        true => catch_unwind(AssertUnwindSafe(|| hand_over::to_child(&child, made_before, || drop(f)))),
        false => Ok(()),
    };
    child.release(timeout, grace);
    if let Err(payload) = dropped {
        // The child has its own copy and runs; the panic is this process's own.
        drop(child);
        resume_unwind(payload);
    }
    Ok(JoinHandle::new(child, PhantomData))
}

/// As [`spawn`], but the closure comes back beside the handle, undropped.
///
/// # Safety
///
/// As for [`spawn`].
pub(super) unsafe fn spawn_keeping<F, T>(
    plan: Plan,
    checks: Checks,
    f: F,
) -> Result<(JoinHandle<T>, F), (SpawnError, F)>
where
    F: FnOnce() -> T,
    T: Wire,
{
    let (timeout, grace) = plan.timeout();
    // SAFETY: as the caller promises; the child goes into `run`, which never returns.
    match unsafe { launch(plan, checks, needs_file::<T>()) } {
        Err(error) => Err((error, f)),
        Ok(Forked::Child(inside, file)) => inside::run(inside, file, f),
        Ok(Forked::Parent(mut child)) => {
            child.release(timeout, grace);
            Ok((JoinHandle::new(child, PhantomData), f))
        }
    }
}
