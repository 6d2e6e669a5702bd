//! Sleeping on words: until one of several changes, or a deadline.
//!
//! `futex_waitv` (Linux 5.16) sleeps on up to 128 words at once. Where it is missing, the sleeper sleeps on the first
//! word and is told to look at the others by itself, often.
//!
//! Words of 64 bits are slept on by their low half: the kernel compares 32 bits. Words are never `PRIVATE`: the kernel
//! marks a dead owner's word with a shared wake, which a private sleeper would not hear.
//!
//! # Safety
//!
//! This file opens `unsafe` to name the low half of a word to the kernel. Rust code never accesses that half by itself.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};

use super::clock::{left_until, monotonic_nanos, timespec};

/// Most words that one call sleeps on. The kernel takes 128, at half a microsecond each.
pub(crate) const MOST: usize = 32;

/// Of a 64-bit word, the half that the kernel compares and a sleeper is queued on.
fn low(word: &AtomicU64) -> &AtomicU32 {
    const { assert!(cfg!(target_endian = "little"), "the low half of a word is its first on these machines only") };
    // SAFETY: the first four bytes of a live, aligned word of eight; only their address is used, by the kernel, which reads
    // them as one unit. No access of ours is that narrow.
    unsafe { &*std::ptr::from_ref(word).cast::<AtomicU32>() }
}

/// The words to sleep on, with what each is expected to hold.
pub(crate) struct Words<'a> {
    list: [Wait; MOST],
    len: usize,
    /// What is slept on where there can be one only.
    first: Option<(&'a AtomicU32, u32)>,
    /// Who changes a word may not know of the sleeper.
    unheard: bool,
}

impl<'a> Words<'a> {
    pub(crate) fn none() -> Words<'a> {
        Words { list: [const { Wait::new() }; MOST], len: 0, first: None, unheard: false }
    }

    /// One more 64-bit word; forgotten when the list is full. The first is the one that matters most.
    pub(crate) fn push_word(&mut self, word: &'a AtomicU64, expected: u64) {
        // The kernel compares the low half.
        self.push(low(word), expected as u32);
    }

    /// One more word; forgotten when the list is full.
    pub(crate) fn push(&mut self, word: &'a AtomicU32, expected: u32) {
        if let Some(wait) = self.list.get_mut(self.len) {
            wait.val = u64::from(expected);
            wait.uaddr = WaitPtr::new(std::ptr::from_ref(word).cast_mut().cast::<c_void>());
            wait.flags = WaitFlags::SIZE_U32;
            self.first.get_or_insert((word, expected));
            self.len += 1;
        }
    }

    /// Who changes one of the words may not wake this sleeper: it is to look again by itself, soon.
    pub(crate) fn are_unheard(&mut self) {
        self.unheard = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == MOST
    }
}

/// Why a sleep ended. A word may have changed in any case: the sleeper looks at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Woken, interrupted, or a word had changed already.
    Woken,
    /// The slice is over: time to look for what no wake tells.
    Slice,
    /// The deadline has come.
    TimedOut,
}

/// How long one sleep lasts at most. What a lost wake or a death without notice costs.
///
/// Without slices, everything but the notice of what the kernel does not mark must work as well: a test builds that.
pub(crate) const SLICE: Duration = Duration::from_millis(100);
/// The same where only one word can be slept on, so that a death is noticed only by looking, and for the unheard.
pub(crate) const SHORT_SLICE: Duration = Duration::from_millis(5);

/// Set where the kernel has no `futex_waitv`, or a sandbox forbids it.
static MISSING: AtomicBool = AtomicBool::new(false);

/// Sleeps until a word differs from what is expected, one is woken, a slice is over, or `deadline` comes.
pub(crate) fn sleep(words: &Words<'_>, deadline: Option<Instant>) -> Slept {
    let left = left_until(deadline);
    if left.is_some_and(|left| left.is_zero()) {
        return Slept::TimedOut;
    }
    // Relaxed: a wrong guess costs one system call.
    if words.len > 0 && !MISSING.load(Ordering::Relaxed) {
        let slice = match words.unheard {
            true => SHORT_SLICE,
            false if seeded!("no slices") => Duration::from_secs(3600),
            false => SLICE,
        };
        let limit = left.map_or(slice, |left| left.min(slice));
        match waitv(words, limit) {
            Some(slept) => return over(slept, left, limit),
            None => MISSING.store(true, Ordering::Relaxed),
        }
    }
    let limit = left.map_or(SHORT_SLICE, |left| left.min(SHORT_SLICE));
    /// Where there is nothing to wait for but the time.
    static NOTHING: AtomicU32 = AtomicU32::new(0);
    let (first, expected) = words.first.unwrap_or((&NOTHING, 0));
    over(wait(first, expected, limit), left, limit)
}

/// A slice that was cut short by the deadline is the deadline.
fn over(slept: Slept, left: Option<Duration>, limit: Duration) -> Slept {
    if slept == Slept::Slice && left == Some(limit) { Slept::TimedOut } else { slept }
}

/// None where the call is missing.
fn waitv(words: &Words<'_>, limit: Duration) -> Option<Slept> {
    // Absolute, on the clock of `Instant`.
    let end = monotonic_nanos().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    let end = timespec(Duration::from_nanos(end));
    match futex::waitv(&words.list[..words.len], WaitvFlags::empty(), Some(&end), ClockId::Monotonic) {
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => None,
        Err(Errno::TIMEDOUT) => Some(Slept::Slice),
        // Woken, changed already, or interrupted. Nothing else can come of live words; were it to, a look is right too.
        _ => Some(Slept::Woken),
    }
}

fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> Slept {
    match futex::wait(word, Flags::empty(), expected, Some(&timespec(limit))) {
        Err(Errno::TIMEDOUT) => Slept::Slice,
        _ => Slept::Woken,
    }
}

/// Wakes one who sleeps on `word`. How many did. The word itself is not touched: it may be gone by now.
pub(crate) fn wake_one(word: &AtomicU64) -> usize {
    wake(low(word), 1)
}

/// Wakes all who sleep on `word`. How many did.
pub(crate) fn wake_all(word: &AtomicU64) -> usize {
    wake(low(word), i32::MAX as u32)
}

/// Wakes up to `n` who sleep on `word`. How many did.
pub(crate) fn wake(word: &AtomicU32, n: u32) -> usize {
    // The only error is an address that is not mapped: then nobody sleeps there.
    futex::wake(word, Flags::empty(), n).unwrap_or(0)
}
