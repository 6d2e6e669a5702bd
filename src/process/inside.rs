//! The child's side of a spawn: from the fork to `_exit`.
//!
//! ```text
//!   fork -> signals reset -> settings applied -> dies with its parent -> waits for GO
//!        -> signals unblocked -> hooks -> ENTERED -> closure -> outcome committed -> stdout flushed -> _exit
//! ```
//!
//! # Safety
//!
//! This file opens `unsafe` for a static pointer to a record that is never freed.
#![allow(unsafe_code)]

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use rustix::thread::futex;

use super::options::Settings;
use super::panic::{Panic, note_panics};
use super::slot::{BODY, Place, Slot, go, state};
use super::{child, hand_over, hooks};
use crate::sys::clock::timespec;
use crate::sys::fork::{exit_now, flush};
use crate::sys::{foreign, generation, listed, orphan, owned, roster, signals};
use crate::wire::{Wire, to_bytes};

/// The exit code of a child whose closure panicked; as of a Rust program whose main did.
const CODE_PANICKED: i32 = 101;
/// The exit code of a child that has no result for another reason than a panic.
const CODE_NO_RESULT: i32 = 70;

/// What a child knows of itself.
pub(super) struct Inside {
    pub(super) slot: Slot,
    pub(super) parent: orphan::Parent,
    pub(super) name: Option<String>,
    pub(super) parent_name: Option<String>,
    /// Whether the parent had other threads, whose locks may be held for ever here.
    careful: bool,
    /// A process that was forked from this one by other means has another.
    generation: u64,
}

/// The record of this process, if it is a child of ours (or was forked from one); null otherwise.
static INSIDE: AtomicPtr<Inside> = AtomicPtr::new(ptr::null_mut());

/// What this process, being a child of ours, knows of itself. None in other processes.
pub(super) fn inside() -> Option<&'static Inside> {
    // Acquire: pairs with the Release in `begin`.
    let inside = INSIDE.load(Ordering::Acquire);
    // SAFETY: null or a leaked record.
    let inside = unsafe { inside.as_ref() }?;
    (inside.generation == generation::current()).then_some(inside)
}

/// Ends the process if it is dropped: a child never returns into its caller, not even by unwinding.
struct NeverReturn;

impl Drop for NeverReturn {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// What the parent prepared for the child before the fork.
pub(super) struct Prepared<'a> {
    pub(super) slot: Slot,
    pub(super) parent: orphan::Parent,
    pub(super) parent_name: Option<String>,
    pub(super) epolls: &'a [RawFd],
    pub(super) settings: &'a Settings,
    pub(super) file: Option<&'a OwnedFd>,
    /// Whether this process has other threads, so that the child must keep off the locks of std.
    pub(super) careful: bool,
    /// Where a failed setting is told; None where no setting can fail.
    pub(super) report: Option<&'a OwnedFd>,
}

/// In the child, right after fork: everything up to the user's code. Returns when the parent says GO.
pub(super) fn begin(prepared: &Prepared<'_>, blocked: signals::Blocked) -> &'static Inside {
    let bomb = NeverReturn;
    blocked.into_child();
    hand_over::forget();
    child::forget_orphans();
    let Prepared { slot, parent, settings, .. } = *prepared;
    let header = slot.header();
    signals::leave_notes_in(&header.notes, &header.stop);

    let (timers, kept) = match set_up(prepared) {
        Ok(set_up) => set_up,
        Err((what, error)) => report_failure(prepared.report, &what, &error),
    };
    if settings.die_with_parent && !parent.is_mine() {
        // It died before the notice was armed.
        exit_now(CODE_NO_RESULT);
    }
    let inside = Box::leak(Box::new(Inside {
        slot,
        parent,
        name: settings.name.clone(),
        parent_name: prepared.parent_name.clone(),
        careful: prepared.careful,
        generation: generation::current(),
    }));
    // Release: pairs with the Acquire in `inside`.
    INSIDE.store(inside, Ordering::Release);
    if let Some(report) = prepared.report {
        // One byte of zero: all settings applied.
        let _ = rustix::io::write(report, &[0]);
    }
    wait_for_go(inside);
    // What this child was given it was given before GO.
    if kept.is_some_and(|kept| kept.of_what_is_not_mine().is_err()) {
        exit_now(CODE_NO_RESULT);
    }
    // Relaxed: written before GO.
    if slot.header().handed.load(Ordering::Relaxed) != 0 {
        // Others wait for what this process has now: they are to hear of its end at once. Where there is no place they look.
        let _ = roster::me();
    }
    // The clock of a deadline starts with the closure.
    if let (Some(timers), Some(limit)) = (timers, settings.timeout)
        && timers.start(limit, settings.grace).is_err()
    {
        exit_now(CODE_NO_RESULT);
    }
    signals::unblock_all();
    std::mem::forget(bomb);
    inside
}

type Failure = (String, std::io::Error);

/// Returns the timers of the deadline, if there is one; they stand still. And what it takes to let go of what was not given.
fn set_up(prepared: &Prepared<'_>) -> Result<(Option<signals::Timers>, Option<owned::LetGo>), Failure> {
    let Prepared { parent, settings, .. } = *prepared;
    let named = |what: &'static str| move |error: std::io::Error| (what.to_owned(), error);
    listed::let_go_of_inherited().map_err(named("the descriptors of the parent's handles"))?;
    let kept = owned::prepare().map_err(named("a descriptor in the place of the parent's ends of channels"))?;
    signals::notice_stack_overflow().map_err(named("the handler of stack overflows"))?;
    foreign::replace_epolls(prepared.epolls).map_err(named("new epoll instances in the place of inherited ones"))?;
    let mut lifeline = None;
    if settings.die_with_parent {
        lifeline = parent.die_with().map_err(named("the notice of the parent's death"))?;
    }
    orphan::let_go_of_parents_lifeline();
    settings.apply()?;
    if settings.die_with_parent && lifeline.is_none() && (settings.uid.is_some() || settings.gid.is_some()) {
        // Again: the kernel forgets it when the user or group id changes.
        parent.die_with().map_err(named("the notice of the parent's death"))?;
    }
    if settings.close_other_fds {
        let raw = |fd: &OwnedFd| std::os::fd::AsRawFd::as_raw_fd(fd);
        let own =
            [lifeline, prepared.file.map(raw), prepared.report.map(raw), kept.as_ref().map(|kept| raw(kept.dead()))];
        // Which of the ends of channels this child is given is not known yet.
        let own: Vec<RawFd> = own.into_iter().flatten().chain(owned::numbers()).collect();
        settings.close_others(&own).map_err(named("closing all other descriptors"))?;
    }
    let timers = match settings.timeout {
        Some(_) => Some(signals::Timers::new().map_err(named("the timers of the deadline"))?),
        None => None,
    };
    Ok((timers, kept))
}

/// Tells the parent which setting failed, as `errno (4 bytes) + words`, and ends.
fn report_failure(report: Option<&OwnedFd>, what: &str, error: &std::io::Error) -> ! {
    if let Some(report) = report {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes());
        bytes.extend_from_slice(what.as_bytes());
        // Shorter than PIPE_BUF, so it arrives whole or, if the parent is dead, not at all.
        bytes.truncate(2048);
        let _ = rustix::io::write(report, &bytes);
    }
    exit_now(CODE_NO_RESULT)
}

/// Waits until the parent has everything it needs to see this child's end. A child that went ahead could be
/// dead and reaped before its parent had a descriptor for it.
fn wait_for_go(inside: &Inside) {
    let word = &inside.slot.header().go;
    loop {
        // Looked at before the word: a parent that says GO and dies has said GO.
        let orphaned = !inside.parent.is_mine();
        // Acquire: pairs with the Release in `say`.
        match word.load(Ordering::Acquire) {
            go::GO => return,
            go::ABORT => exit_now(CODE_NO_RESULT),
            // Parent dead before GO: it never counted on this child, so nothing of it runs.
            _ if orphaned => exit_now(CODE_NO_RESULT),
            _ => {}
        }
        // Failure means that the parent has spoken; Relaxed, since the next turn loads again.
        if word.compare_exchange(go::WAIT, go::ASLEEP, Ordering::Relaxed, Ordering::Relaxed) == Err(go::ABORT) {
            continue;
        }
        // A parent that dies now leaves nobody to wake this. If the child dies with it, that is that; else it
        // looks every 100 ms.
        let slice = timespec(SLICE);
        let _ = futex::wait(word, futex::Flags::empty(), go::ASLEEP, Some(&slice));
    }
}

/// Runs the closure and ends the process. The last thing that a child does.
pub(super) fn run<F, T>(inside: &'static Inside, file: Option<OwnedFd>, f: F) -> !
where
    F: FnOnce() -> T,
    T: Wire,
{
    let _bomb = NeverReturn;
    let slot = inside.slot;
    if inside.careful {
        // The lock of the panic hook may be held for ever. A panic then has its message only.
    } else if cfg!(panic = "abort") {
        let file = file.as_ref().and_then(|f| f.try_clone().ok());
        note_panics(move |panic| store_panic(slot, file.as_ref(), panic));
    } else {
        note_panics(|_| ());
    }
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        hooks::run();
        slot.enter();
        let value = f();
        let encoded = to_bytes(&value);
        (value, encoded)
    }));
    if generation::current() != inside.generation {
        // The closure forked by other means, and this is that child, come back through the same frame. The
        // outcome is the first process's to tell.
        exit_now(0);
    }
    let code = match outcome {
        Ok((value, encoded)) => {
            let code = match encoded {
                Ok(bytes) => store(slot, file.as_ref(), state::RESULT, &bytes),
                Err(error) => {
                    // An error is text and always encodes.
                    let bytes = to_bytes(&error).unwrap_or_default();
                    store(slot, file.as_ref(), state::UNENCODABLE, &bytes);
                    CODE_NO_RESULT
                }
            };
            // After the commit: the value has gone to the parent, and whatever the drop of the copy here does, it
            // cannot take that back. Its panic is printed and goes no further.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                std::mem::forget(payload);
            }
            code
        }
        Err(payload) => panicked(slot, file.as_ref(), payload),
    };
    if !inside.careful {
        flush();
    }
    exit_now(code)
}

fn panicked(slot: Slot, file: Option<&OwnedFd>, payload: Box<dyn Any + Send>) -> i32 {
    let panic = Panic::caught(&*payload);
    // Its drop is the user's code, and may panic: it goes with the process.
    std::mem::forget(payload);
    store_panic(slot, file, panic);
    CODE_PANICKED
}

fn store_panic(slot: Slot, file: Option<&OwnedFd>, panic: Panic) {
    if !matches!(slot.state(), state::BORN | state::ENTERED) {
        // A program that aborts on panic comes here by a panic after the commit, too.
        return;
    }
    let whole = panic.encoded();
    if whole.len() > BODY && file.is_some() && write_file(file, &whole).is_ok() {
        slot.commit(state::PANICKED, Place::File(whole.len() as u64));
    } else {
        slot.commit(state::PANICKED, slot.fill(&panic.encode_within(BODY)));
    }
}

/// Commits `bytes` as the outcome, in the slot if they fit, else in the file. Returns the exit code.
fn store(slot: Slot, file: Option<&OwnedFd>, outcome: u32, bytes: &[u8]) -> i32 {
    if bytes.len() <= BODY {
        slot.commit(outcome, slot.fill(bytes));
        return 0;
    }
    match write_file(file, bytes) {
        Ok(()) => {
            slot.commit(outcome, Place::File(bytes.len() as u64));
            0
        }
        Err(errno) => {
            slot.commit(state::UNSTORED, slot.fill(&errno.raw_os_error().to_ne_bytes()));
            CODE_NO_RESULT
        }
    }
}

fn write_file(file: Option<&OwnedFd>, bytes: &[u8]) -> rustix::io::Result<()> {
    // A type that promised to be small was not: the only way here without a file.
    let file = file.ok_or(rustix::io::Errno::OVERFLOW)?;
    signals::block_file_size_signal();
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pwrite(file.as_fd(), &bytes[done..], done as u64) {
            Ok(0) => return Err(rustix::io::Errno::NOSPC),
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// How long a wait in slices sleeps at most before it looks for what no wake would tell.
pub(super) const SLICE: Duration = Duration::from_millis(100);
