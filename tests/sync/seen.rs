//! What can be seen of a lock, and of those who wait for it, from outside: sleepers in `/proc`, words through another mapping.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tine::memory::Memfd;
use tine::process::Signal;
use tine::{JoinHandle, Shared, SharedSlice};

use crate::ptrace::Traced;
use crate::refuse::refuse_call;
use crate::support::{skip, until};

/// Longer than anything here takes, shorter than the deadline of a case.
pub const LONG: Duration = Duration::from_secs(20);
/// Longer than a sleeper sleeps without looking.
pub const SLICES: Duration = Duration::from_millis(250);

/// The letter that `/proc` has for what a process does.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process sleeps on a lock's word: in `futex_waitv`, which nothing else here uses; or in what replaces it, where
/// it looks around every five milliseconds, so that this is true most of the time only: to be waited for, of each by itself.
///
/// It says nothing of what a process will do. One that is seen asleep sleeps because others made it: they have come, and
/// are seen to have come, before it is started.
pub fn is_asleep(pid: u32) -> bool {
    let sleep = if REFUSED.load(Ordering::Relaxed) { libc::SYS_futex } else { libc::SYS_futex_waitv };
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split(' ').next().and_then(|number| number.parse().ok()) == Some(sleep)
}

pub fn all_sleep<T>(children: &[JoinHandle<T>]) {
    for child in children {
        until("all who wait sleep", || is_asleep(child.id()));
    }
}

pub fn halt<T>(child: &JoinHandle<T>) {
    child.signal(Signal::STOP).unwrap();
    until("it stands still", || state(child.id()) == Some('T'));
}

pub fn go_on<T>(child: &JoinHandle<T>) {
    child.signal(Signal::CONT).unwrap();
}

/// Kills it, and waits for its end.
pub fn kill<T>(child: JoinHandle<T>) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills it, and waits for its end, which the kernel marks nowhere: the memory of the dying process is freed before the list of
/// its robust locks is walked, as the OOM reaper does it. The case is skipped where that cannot be done.
pub fn kill_without_a_mark<T>(child: JoinHandle<T>) {
    let Some(traced) = Traced::seize(child.id(), libc::PTRACE_O_TRACEEXIT) else { skip("ptrace is forbidden here") };
    traced.go_on();
    child.kill().unwrap();
    assert!(traced.stopped(), "it is about to end");
    let pidfd = child.as_fd().as_raw_fd();
    // SAFETY: takes a descriptor and flags.
    let released = unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd, 0) } == 0;
    traced.go_on();
    child.wait().unwrap();
    if !released {
        skip("the kernel frees no memory of the dying");
    }
}

/// From here on, in this process and its children, there is no sleep on several words at once.
pub fn without_the_call_for_several_words() {
    refuse_call(libc::SYS_futex_waitv, None, libc::ENOSYS);
    REFUSED.store(true, Ordering::Relaxed);
}

static REFUSED: AtomicBool = AtomicBool::new(false);

/// The words of what is in a shared region, as somebody sees (and overwrites) them who knows nothing of locks.
pub fn words_of<T: tine::wire::Share>(shared: &Shared<T>) -> SharedSlice<u64> {
    let memfd = shared.memfd().expect("made with a memfd").as_fd().try_clone_to_owned().unwrap();
    Memfd::try_from(memfd).unwrap().into_slice().unwrap()
}

/// Words that look like no lock's, or nearly like one's: made from `seed`, another each time.
pub fn garbage(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let noise = *seed ^ *seed >> 29;
    match noise >> 60 {
        0 => noise & 0xff,
        1 => noise & 0xffff_ff00,
        2 => !0,
        3 => noise | 0xff,
        4 => noise & 0xffff_ffff,
        _ => noise,
    }
}

/// How many rounds [`wakes_are_sent`] goes.
pub const ROUNDS: usize = 700;

/// A child that sleeps again and again, and this process that wakes it. Were the wakes not sent, the child would find by
/// itself what has happened, a slice later; so many slices are past the deadline of a case.
pub fn wakes_are_sent(sleep: impl Fn(usize), wake: impl Fn(usize)) {
    let done = Shared::new(AtomicUsize::new(0)).unwrap();
    let child = tine::spawn(|| {
        for round in 0..ROUNDS {
            sleep(round);
            done.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    for round in 0..ROUNDS {
        until("it sleeps", || done.load(Ordering::Relaxed) == round && is_asleep(child.id()));
        wake(round);
    }
    child.join().unwrap();
}
