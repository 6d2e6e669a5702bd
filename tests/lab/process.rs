//! Bare processes of the lab: forked without the library, waited for with a limit, and never left behind.
use std::cell::Cell;
use std::fmt::Write;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::board::Text;

/// How long a process may sleep, or compute, where it should be done at once.
const LIMIT: Duration = Duration::from_secs(1);
/// How long it may be kept from running by others, before that is taken for a hang too.
const STARVED: Duration = Duration::from_secs(30);
/// How often a wait is interrupted for a look at what is waited for.
const TICK: Duration = Duration::from_millis(20);

/// A wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    pub fn code(self) -> Option<i32> {
        libc::WIFEXITED(self.0).then(|| libc::WEXITSTATUS(self.0))
    }

    /// The signal that stopped it; None if it has ended.
    pub fn stop_signal(self) -> Option<i32> {
        libc::WIFSTOPPED(self.0).then(|| libc::WSTOPSIG(self.0))
    }

    pub fn describe(self) -> String {
        std::process::ExitStatus::from_raw(self.0).to_string()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Status(Status),
    /// A tick, or (where it was not to be slept) nothing new.
    NotYet,
    /// No such child.
    Nobody,
}

/// While this lives, a signal interrupts this process's waits each [`TICK`]. Not inherited by forked children.
#[derive(Debug)]
pub struct Ticks(());

impl Ticks {
    pub fn start() -> Ticks {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: an all-zero sigaction is valid, and without SA_RESTART, so that a wait is interrupted; the handler
        // does nothing. The pointers are to live values.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
            assert_eq!(libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()), 0);
        }
        // SAFETY: a number; the sleeps of this process end when they are to.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        set_interval(TICK);
        Ticks(())
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        set_interval(Duration::ZERO);
    }
}

fn set_interval(period: Duration) {
    let timer = libc::itimerval { it_interval: timeval(period), it_value: timeval(period) };
    // SAFETY: reads the live struct.
    unsafe { assert_eq!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()), 0) };
}

/// Ends this process, without anything of what an exit runs.
pub fn exit(code: i32) -> ! {
    // SAFETY: has no preconditions.
    unsafe { libc::_exit(code) }
}

fn timeval(time: Duration) -> libc::timeval {
    libc::timeval { tv_sec: time.as_secs() as _, tv_usec: time.subsec_micros() as _ }
}

/// Forks a child that runs `body` and ends: with code 0, or 101 if it panicked. It dies with this process.
pub fn fork(body: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: the lab has one thread, so its child may do what the lab could.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: reads its arguments only.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let outcome = catch_unwind(AssertUnwindSafe(body));
            exit(if outcome.is_ok() { 0 } else { PANICKED })
        }
        pid => Ok(pid),
    }
}

/// Where the stack of victims begins; 0: wherever they were forked.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// From here on all victims of this process begin at the same depth of the stack, which is deeper than any place of the lab.
///
/// They are forked from several of its functions, and where the stack is decides ways: a copy that would cross the end of a
/// page is made otherwise.
pub fn fix_depth() {
    const DEEP: usize = 128 * 1024;
    let here = 0_u8;
    // Relaxed: of this thread, and inherited by forks.
    DEPTH.store((&raw const here).addr() / 4096 * 4096 - DEEP, Ordering::Relaxed);
}

/// Runs `body` at the depth that was fixed. Ends the process if it panics.
pub fn at_the_same_depth(body: impl FnOnce()) {
    extern "C" fn run<F: FnOnce()>(body: *mut Option<F>) {
        // SAFETY: the caller's option, which lives until this returns.
        let body = unsafe { (*body).take() }.expect("it is run once");
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            exit(PANICKED);
        }
    }
    fn call<F: FnOnce()>(body: &mut Option<F>, depth: usize) {
        let run: extern "C" fn(*mut Option<F>) = run::<F>;
        // SAFETY: the same stack, further down: what is between is not used by anybody, and a stack grows by being used. The
        // stack pointer is a multiple of 16 before the call, and is put back behind it; the function does not unwind.
        unsafe {
            std::arch::asm!(
                "mov r12, rsp",
                "mov rsp, rsi",
                "call rdx",
                "mov rsp, r12",
                in("rdi") body, in("rsi") depth, in("rdx") run, out("r12") _, clobber_abi("C"),
            );
        }
    }
    // Relaxed: see `fix_depth`.
    match DEPTH.load(Ordering::Relaxed) {
        0 => body(),
        depth => call(&mut Some(body), depth),
    }
}

/// The exit code of a child whose body panicked.
pub const PANICKED: i32 = 101;

/// Lets all others on this CPU run, for a moment, if they have not for a while. Tracer and tracee hand the CPU to each other
/// a hundred thousand times a second, and the scheduler of some kernels (6.18) lets a third wait for a minute meanwhile.
pub fn breathe() {
    const WHILE: Duration = Duration::from_millis(5);
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    if LAST.get().is_none_or(|last| now.duration_since(last) > WHILE) {
        std::thread::sleep(MOMENT);
        LAST.set(Some(Instant::now()));
    }
}

/// Long enough for who is to run next.
const MOMENT: Duration = Duration::from_micros(20);

/// Waits for the next change of `pid`, or a tick; with `now`, does not wait, but for a moment.
pub fn wait(pid: i32, now: bool) -> Waited {
    let mut status = 0;
    let flags = libc::__WALL | if now { libc::WNOHANG } else { 0 };
    // SAFETY: `status` is a live int.
    match unsafe { libc::waitpid(pid, &raw mut status, flags) } {
        0 => {
            // Not `sched_yield`, by which one that is about to run may still be kept waiting.
            std::thread::sleep(MOMENT);
            Waited::NotYet
        }
        -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => Waited::NotYet,
        -1 => Waited::Nobody,
        _ => Waited::Status(Status(status)),
    }
}

/// Waits for the end of a child that was killed, and takes its status.
pub fn reap(pid: i32) -> Option<Status> {
    loop {
        match wait(pid, false) {
            Waited::Status(status) if status.stop_signal().is_none() => return Some(status),
            Waited::Nobody => return None,
            // The last stop of a tracee before it dies, or a tick.
            _ => {}
        }
    }
}

pub fn kill(pid: i32) {
    // SAFETY: a child of this process that is not reaped, so that the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// What a process that is waited for does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// It runs, or wants to.
    No,
    /// It sleeps.
    Asleep,
    /// It has slept, looked at again and again, for [`LIMIT`].
    ForGood,
    /// It has computed for [`LIMIT`] and is not done.
    Spins,
}

/// Tells who hangs from who is slow because the machine is busy.
#[derive(Debug)]
pub struct Watch {
    since: Instant,
}

impl Watch {
    pub fn new() -> Watch {
        Watch { since: Instant::now() }
    }

    pub fn look(&mut self, pid: i32) -> Sleep {
        let waited = self.since.elapsed();
        match state(pid) {
            b'S' if waited >= LIMIT => Sleep::ForGood,
            b'S' => Sleep::Asleep,
            _ if waited >= STARVED || (waited >= LIMIT && cpu_time(pid) >= LIMIT) => Sleep::Spins,
            _ => Sleep::No,
        }
    }
}

/// The letter of proc_pid_stat(5); `X` if there is no such process.
pub fn state(pid: i32) -> u8 {
    let mut room = [0; 256];
    let mut path = Text::default();
    let _ = write!(path, "/proc/{pid}/stat\0");
    let text = read_short(&path, &mut room);
    // The name in brackets may hold anything; what follows its last bracket is regular.
    let after = text.iter().rposition(|&byte| byte == b')').map(|at| at + 2);
    after.and_then(|at| text.get(at)).copied().unwrap_or(b'X')
}

fn cpu_time(pid: i32) -> Duration {
    let mut room = [0; 128];
    let mut path = Text::default();
    let _ = write!(path, "/proc/{pid}/schedstat\0");
    let text = str::from_utf8(read_short(&path, &mut room)).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// The start of a file of the kernel, without allocation. `path` ends in a zero.
pub fn read_short<'a>(path: &str, room: &'a mut [u8]) -> &'a [u8] {
    assert!(path.ends_with('\0'));
    // SAFETY: the path ends in a zero; the room is live and as long as said; the descriptor is closed.
    unsafe {
        let fd = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return &[];
        }
        let n = libc::read(fd, room.as_mut_ptr().cast(), room.len());
        libc::close(fd);
        &room[..usize::try_from(n).unwrap_or(0)]
    }
}

/// A forked child that is no tracee: a bystander or a survivor. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    ended: Option<Status>,
}

impl Process {
    pub fn start(body: impl FnOnce()) -> Process {
        let pid = fork(body).expect("a process of the lab can be forked");
        Process { pid, ended: None }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            kill(self.pid);
            self.ended = reap(self.pid);
        }
    }

    /// Waits until it sleeps or has ended, whichever is first. False if it does neither.
    pub fn settle(&mut self) -> bool {
        let mut watch = Watch::new();
        loop {
            match wait(self.pid, true) {
                Waited::Status(status) => self.ended = Some(status),
                Waited::Nobody => {}
                Waited::NotYet => match watch.look(self.pid) {
                    Sleep::No => continue,
                    Sleep::Spins => return false,
                    Sleep::Asleep | Sleep::ForGood => {}
                },
            }
            return true;
        }
    }

    /// Waits until it has said that it is done, or has ended. False if it hangs.
    pub fn done(&mut self, has_said_so: impl Fn() -> bool) -> bool {
        let mut watch = Watch::new();
        while self.ended.is_none() && !has_said_so() {
            match wait(self.pid, true) {
                Waited::Status(status) => self.ended = Some(status),
                Waited::Nobody => return false,
                Waited::NotYet if matches!(watch.look(self.pid), Sleep::ForGood | Sleep::Spins) => return false,
                Waited::NotYet => {}
            }
        }
        true
    }

    /// Waits for its end; None if it hangs.
    pub fn end(&mut self) -> Option<Status> {
        let mut watch = Watch::new();
        while self.ended.is_none() {
            match wait(self.pid, false) {
                Waited::Status(status) => self.ended = Some(status),
                Waited::Nobody => return None,
                Waited::NotYet => {
                    if matches!(watch.look(self.pid), Sleep::ForGood | Sleep::Spins) {
                        return None;
                    }
                }
            }
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            kill(self.pid);
            reap(self.pid);
        }
    }
}

/// Reaps children that nobody here knows: orphans of the victims. False if one lives on.
pub fn no_orphans() -> bool {
    let since = Instant::now();
    loop {
        match wait(-1, true) {
            Waited::Nobody => return true,
            Waited::Status(_) => {}
            Waited::NotYet if since.elapsed() >= LIMIT => return false,
            Waited::NotYet => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}

/// Keeps this process, and what it forks from here on, on one CPU: who was woken runs when the waker sleeps, and
/// no stop costs a message between CPUs. `number` counts the CPUs that this process may use.
pub fn pin(number: usize) {
    // SAFETY: an all-zero cpu_set_t is valid; the calls fill and read it.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&all), &raw mut all) != 0 {
            return;
        }
        let allowed: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &all)).collect();
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(allowed[number % allowed.len()], &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &raw const one);
    }
}

/// Orphans of what is forked here become children of this process, and are seen by [`no_orphans`].
pub fn adopt_orphans() {
    // SAFETY: reads its arguments only.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// What of this process is at `address`: `lab+0x1234`, to be looked up by `addr2line -e`.
pub fn place_of(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut base = 0;
    let mut last = "";
    for line in maps.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let parse = |word| usize::from_str_radix(word, 16).unwrap_or(0);
        let file = rest.rsplit(['/', ' ']).next().unwrap_or_default();
        if file != last {
            (base, last) = (parse(from), file);
        }
        if (parse(from)..parse(to)).contains(&address) {
            return format!("{file}+{:#x}", address - base);
        }
    }
    format!("{address:#x}")
}
