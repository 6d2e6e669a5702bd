//! Signals: blocked across a fork, reset in the child, then unblocked; the notice of a stack overflow; the
//! timers of a deadline.
//!
//! # Safety
//!
//! This file opens `unsafe` to read and set signal dispositions and masks. The two handlers installed here do
//! only what signal-safety(7) allows: atomic operations and raw system calls that leave errno alone.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::generation;
use super::map::{Map, Sharing};
use super::proc_file;

/// All signals of the calling thread are blocked while this lives; dropping it restores the mask.
///
/// A signal that arrives between fork and the child's reset would otherwise run the parent's handler in the
/// child, with the parent's ideas of what to clean up.
pub(crate) struct Blocked {
    before: libc::sigset_t,
    /// What a child will have inherited; None where another thread may change it before the fork.
    caught: Option<Caught>,
}

impl Blocked {
    /// `alone` says that this process has one thread: then nobody, not even a handler, changes a disposition until the
    /// fork. (Atfork handlers can. What they install for the child is theirs, and stays.)
    pub(crate) fn all(alone: bool) -> io::Result<Blocked> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset fills `all` before it is read; both pointers are to live sets.
        let error = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
        };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: the call succeeded, so it wrote the old mask.
        let before = unsafe { before.assume_init() };
        Ok(Blocked { before, caught: alone.then(Caught::look) })
    }

    /// In the child: signals stay blocked until [`unblock_all`], the parent's mask is forgotten, and so are
    /// its handlers.
    pub(crate) fn into_child(self) {
        reset(self.caught.unwrap_or_else(Caught::ask));
        std::mem::forget(self);
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` is the mask that was read when blocking.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

/// The signals for which a process has handlers: bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caught(u64);

impl Caught {
    /// Those of this process: read at once from `/proc`, which costs half of asking for each, or asked for.
    fn look() -> Caught {
        Caught::in_proc().unwrap_or_else(Caught::ask)
    }

    fn in_proc() -> Option<Caught> {
        // The line stands in the first three quarters, unless the process has tens of supplementary groups. More room
        // would be one more page of the stack, to be copied after each fork.
        let mut room = [0; 1024];
        let status = proc_file::read("/proc/self/status", &mut room).ok()?;
        Some(Caught(u64::from_str_radix(proc_file::value(status, "SigCgt:")?, 16).ok()?))
    }

    /// Asks for each.
    fn ask() -> Caught {
        let caught = (1..=64).filter(|&signal| is_caught(signal));
        Caught(caught.fold(0, |set, signal| set | 1 << (signal - 1)))
    }
}

fn is_caught(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only reads; the struct is live. Numbers that libc keeps for itself fail.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: zeroed, then filled by the call.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// Caught signals back to their defaults. Ignored ones stay ignored, as across an exec. Those that libc keeps for
/// itself (it refuses their numbers) stay, too.
fn reset(caught: Caught) {
    for signal in 1..=64 {
        if caught.0 & 1 << (signal - 1) != 0 {
            set_default(signal);
        }
    }
}

fn set_default(signal: i32) {
    // SAFETY: an all-zero sigaction is SIG_DFL with an empty mask and no flags.
    unsafe {
        let action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// In the child: the last step before the user's code.
pub(crate) fn unblock_all() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set before it is read.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Blocks SIGXFSZ for this thread, so that a write over RLIMIT_FSIZE is an EFBIG and not the end.
pub(crate) fn block_file_size_signal() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set before it is read.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// The child ran over the end of its stack.
pub(crate) const NOTE_STACK_OVERFLOW: u32 = 1;
/// The child's deadline passed.
pub(crate) const NOTE_TIMED_OUT: u32 = 2;

/// Where this process leaves notes on its own death for its parent; null where nobody reads them.
static NOTES: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// The word that asks this process to stop; null where nobody asks.
static STOP: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The process that [`NOTES`] and [`STOP`] are of. Who was forked from it by other means has copies of the handlers,
/// and must not write there: the words may be another child's by then.
static NOTED_BY: AtomicU64 = AtomicU64::new(0);

/// Names the words that the handlers of this process write. They are in memory that is never unmapped.
pub(crate) fn leave_notes_in(notes: &'static AtomicU32, stop: &'static AtomicU32) {
    // Relaxed: written before the handlers are installed and other threads started; read on the same thread, or by
    // handlers of this process.
    NOTED_BY.store(generation::current(), Ordering::Relaxed);
    NOTES.store(ptr::from_ref(notes).cast_mut(), Ordering::Relaxed);
    STOP.store(ptr::from_ref(stop).cast_mut(), Ordering::Relaxed);
}

fn note(bit: u32) {
    // Relaxed: see `leave_notes_in`.
    let notes = NOTES.load(Ordering::Relaxed);
    if !notes.is_null() && NOTED_BY.load(Ordering::Relaxed) == generation::current() {
        // SAFETY: NOTES points to a word that is never unmapped. Relaxed: the parent reads it after the death
        // of this process, which orders everything.
        unsafe { (*notes).fetch_or(bit, Ordering::Relaxed) };
    }
}

/// In the child: a fault beside the stack pointer is noted as a stack overflow. The signal then has its
/// default effect: the process dies of SIGSEGV, with a core where cores are kept.
pub(crate) fn notice_stack_overflow() -> io::Result<()> {
    ensure_alternate_stack()?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        install(signal, on_fault, libc::SA_SIGINFO | libc::SA_ONSTACK)?;
    }
    Ok(())
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

fn install(signal: i32, handler: Handler, flags: i32) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is valid; the handler has the signature that SA_SIGINFO asks for.
    let result = unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A handler for an overflowed stack needs another stack. Rust's main has one; a C main may not.
fn ensure_alternate_stack() -> io::Result<()> {
    let mut now = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: a null new stack only reads.
    let now = unsafe {
        if libc::sigaltstack(ptr::null(), now.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        now.assume_init()
    };
    if now.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    // getauxval(AT_MINSIGSTKSZ) is at most some ten KiB (AVX-512, AMX); this leaves room for either.
    let map = Map::anonymous(64 * 1024, Sharing::Private, true)?;
    let stack = libc::stack_t { ss_sp: map.as_ptr().as_ptr().cast(), ss_flags: 0, ss_size: map.len() };
    // SAFETY: the memory is ours, and is kept for the life of the process.
    if unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    std::mem::forget(map);
    Ok(())
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a live siginfo and ucontext to an SA_SIGINFO handler.
    let (address, code, stack) = unsafe { ((*info).si_addr() as usize, (*info).si_code, stack_pointer(context)) };
    // A stack grows by touching the page below it, so the faulting address is near the stack pointer: within
    // a page, since the compiler probes larger frames page by page. A wild pointer practically never is.
    const NEAR: usize = 64 * 1024;
    if code > 0 && address.abs_diff(stack) <= NEAR {
        note(NOTE_STACK_OVERFLOW);
    }
    set_default(signal);
    if code <= 0 {
        // Sent by a process, not by a fault: nothing would raise it again on return.
        // SAFETY: `raise` has no preconditions; the signal is delivered when this handler returns.
        unsafe { libc::raise(signal) };
    }
}

/// The stack pointer of the interrupted code.
///
/// # Safety
/// `context` is what the kernel passed to an SA_SIGINFO handler.
unsafe fn stack_pointer(context: *mut libc::c_void) -> usize {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller passes a live ucontext.
    return unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] as usize };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller passes a live ucontext.
    return unsafe { (*context).uc_mcontext.sp as usize };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        // Nowhere near any address: overflows are then plain segmentation faults.
        usize::MAX / 2
    }
}

/// In the child: its own deadline, which holds whether or not anybody waits for it.
///
/// The timers live in the kernel: no thread, nothing that a busy child could starve. They end with an exec.
pub(crate) struct Timers {
    ask: libc::timer_t,
    warn: libc::timer_t,
    kill: libc::timer_t,
}

/// Whether the handler of the deadline ends its process: where there is no grace.
static END_AT_DEADLINE: AtomicBool = AtomicBool::new(false);

/// The signal of the deadline: a real-time one that no program is likely to use.
fn deadline_signal() -> i32 {
    libc::SIGRTMAX() - 1
}

impl Timers {
    /// Makes them; they stand still.
    pub(crate) fn new() -> io::Result<Timers> {
        install(deadline_signal(), on_deadline, libc::SA_SIGINFO | libc::SA_RESTART)?;
        Ok(Timers { ask: timer(deadline_signal())?, warn: timer(libc::SIGTERM)?, kill: timer(libc::SIGKILL)? })
    }

    /// After `limit` the process notes its deadline and is asked to end (its stop word is set); after half of `grace`
    /// it is sent SIGTERM, and at the end of `grace` the kernel kills it. Without a grace it kills itself when it
    /// has noted.
    pub(crate) fn start(self, limit: Duration, grace: Duration) -> io::Result<()> {
        /// What a process that is deaf to the first signal lives longer than a grace of zero: time for the others
        /// to note why they end.
        const MARGIN: Duration = Duration::from_millis(10);
        // Relaxed: read by a signal handler of this process, later.
        END_AT_DEADLINE.store(grace.is_zero(), Ordering::Relaxed);
        start_timer(self.ask, limit)?;
        if !grace.is_zero() {
            start_timer(self.warn, limit.saturating_add(grace / 2))?;
        }
        start_timer(self.kill, limit.saturating_add(grace.max(MARGIN)))
    }
}

extern "C" fn on_deadline(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    note(NOTE_TIMED_OUT);
    // Relaxed: see `leave_notes_in`.
    let stop = STOP.load(Ordering::Relaxed);
    if !stop.is_null() && NOTED_BY.load(Ordering::Relaxed) == generation::current() {
        // SAFETY: STOP points to a word that is never unmapped.
        let stop = unsafe { &*stop };
        // Release: pairs with the Acquire in `Stop::is_requested`.
        stop.store(1, Ordering::Release);
        let _ = rustix::thread::futex::wake(stop, rustix::thread::futex::Flags::empty(), i32::MAX as u32);
    }
    // Relaxed: stored before the timer was started.
    if END_AT_DEADLINE.load(Ordering::Relaxed) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

fn timer(signal: i32) -> io::Result<libc::timer_t> {
    // SAFETY: all-zero bytes are valid for both types; the pointers are to live values; CLOCK_MONOTONIC exists; the
    // number is a valid signal.
    unsafe {
        let mut event = MaybeUninit::<libc::sigevent>::zeroed().assume_init();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        let mut timer = MaybeUninit::<libc::timer_t>::zeroed().assume_init();
        match libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) {
            0 => Ok(timer),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn start_timer(timer: libc::timer_t, after: Duration) -> io::Result<()> {
    // A timer of zero is no timer: the least is a nanosecond. The most is far away.
    let after = after.clamp(Duration::from_nanos(1), Duration::from_secs(i32::MAX as u64));
    // SAFETY: all-zero bytes are valid for the struct, which lives through the call; `timer` made the timer, in this
    // process, and nobody deletes it.
    let result = unsafe {
        let mut when = MaybeUninit::<libc::itimerspec>::zeroed().assume_init();
        when.it_value.tv_sec = after.as_secs() as _;
        when.it_value.tv_nsec = after.subsec_nanos() as _;
        libc::timer_settime(timer, 0, &raw const when, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a dead child that is not yet reaped, and has left no note of its deadline, may have been killed by it
/// nevertheless: because the signal still waits to be handled (it was blocked, or the process stood still), or
/// because the process no longer had the handler (it ignored the signal, or is another program).
pub(crate) fn may_have_missed_its_deadline(child: rustix::process::Pid) -> bool {
    let Ok(status) = std::fs::read(format!("/proc/{}/status", child.as_raw_nonzero())) else { return true };
    let has = |field: &str| {
        let line = status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(field.as_bytes()));
        let mask = line.and_then(|mask| u64::from_str_radix(std::str::from_utf8(mask).ok()?.trim(), 16).ok());
        mask.map(|mask| mask & (1 << (deadline_signal() - 1)) != 0)
    };
    match (has("ShdPnd:"), has("SigCgt:")) {
        (Some(waiting), Some(caught)) => waiting || !caught,
        _ => true,
    }
}

/// The signal of a number that the kernel reported; real-time ones included.
pub(crate) fn from_number(number: i32) -> Option<rustix::process::Signal> {
    let valid = (1..=64).contains(&number);
    // SAFETY: the number is one that Linux has. The caller reports it; sending the few that libc keeps for
    // itself is what the function's own documentation warns of, and does no harm to memory.
    valid.then(|| unsafe { rustix::process::Signal::from_raw_unchecked(number) })
}

/// The name of a signal as signal(7) has it.
pub(crate) fn name(signal: rustix::process::Signal) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let number = signal.as_raw();
    match usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index)) {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn names_are_those_of_the_numbers() {
        for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::KILL, "SIGKILL"), (Signal::SYS, "SIGSYS")] {
            assert_eq!(super::name(signal), name);
        }
        assert_eq!(super::name(from_number(libc::SIGVTALRM).unwrap()), "SIGVTALRM");
        assert_eq!(super::name(from_number(40).unwrap()), "signal 40");
        assert!(from_number(0).is_none() && from_number(65).is_none());
    }

    #[test]
    fn what_proc_tells_is_what_asking_tells() {
        extern "C" fn nothing(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
        install(libc::SIGWINCH, nothing, libc::SA_SIGINFO).unwrap();
        let last = libc::SIGRTMAX();
        install(last, nothing, libc::SA_SIGINFO).unwrap();
        let asked = Caught::ask();
        assert_ne!(asked.0 & 1 << (libc::SIGWINCH - 1), 0);
        assert_ne!(asked.0 & 1 << (last - 1), 0);
        // Two are libc's own, and nobody is told.
        let of_libc = 1 << 31 | 1 << 32;
        assert_eq!(Caught::in_proc().unwrap().0 & !of_libc, asked.0);
    }
}
