//! Which side of which fork this process is on: a number that changes in every child, whoever forked it.
//!
//! # Safety
//!
//! This file opens `unsafe` to read one word of a page that the kernel wipes in each child
//! (`MADV_WIPEONFORK`). The page is mapped once and never unmapped.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::map::{Map, Sharing};

/// The page that a fork wipes. Its first word is the generation, or 0 in a process that has not looked yet. So that it need not
/// be asked whether there is one, this is a word that stays 0 until there is.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NO_PAGE).cast_mut());
static NO_PAGE: AtomicU64 = AtomicU64::new(0);

/// What is never the generation of a process.
pub(crate) const NOBODYS: u64 = u64::MAX;

/// The last generation that this process or one of its forebears has seen. Private memory, so a child starts
/// from its parent's number and takes the next: a handle made before the fork then has a smaller number.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The generation of the calling process; never 0.
///
/// A handle that was made at an earlier generation belongs to another process. This sees forks that were not
/// ours (nix, daemonize, `pre_exec`), raw `clone` included, for the price of two loads.
#[inline]
pub(crate) fn current() -> u64 {
    // Acquire: pairs with the Release in `first`, so that the page is seen mapped.
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: PAGE points to a static, or to a live page that is never unmapped (a fork copies the mapping).
    let word = unsafe { &*page };
    // Relaxed: the number itself is all that is asked; nothing is published through it.
    match word.load(Ordering::Relaxed) {
        0 if std::ptr::eq(word, &NO_PAGE) => first(),
        0 => renew(word),
        generation => generation,
    }
}

/// Whether the calling process is of this generation. For the paths where a call counts: no branch of it makes one.
#[inline]
pub(crate) fn is(generation: u64) -> bool {
    // Acquire: as in `current`.
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: as in `current`. Relaxed: as there. A child that has not looked yet finds 0, which no handle has.
    unsafe { (*page).load(Ordering::Relaxed) == generation }
}

/// In a child that this library forked, first thing: takes the child's number.
///
/// As [`current`], but writes to the wiped page without reading it first, which would be one more page fault.
pub(crate) fn take() {
    // Acquire: as in `current`.
    let page = PAGE.load(Ordering::Acquire);
    if !std::ptr::eq(page, &NO_PAGE) {
        // SAFETY: as in `current`.
        renew(unsafe { &*page });
    }
}

#[cold]
fn first() -> u64 {
    let page = match wiped_page() {
        Some(page) => page,
        None => atfork_word(),
    };
    // Release: pairs with the Acquire in `current`. Nothing is read through the result: the loser of a race leaks its
    // page, once in a lifetime, and goes on with the winner's.
    let _ = PAGE.compare_exchange((&raw const NO_PAGE).cast_mut(), page, Ordering::Release, Ordering::Relaxed);
    current()
}

/// A page that reads as zero after each fork, or None where the kernel refuses the advice.
fn wiped_page() -> Option<*mut AtomicU64> {
    let map = Map::anonymous(super::map::page_size(), Sharing::Private, false).ok()?;
    let page = map.as_ptr();
    // SAFETY: the range is the mapping just made; the advice only changes what a child will find there, and
    // the one word read from it is an atomic for which zero is valid.
    let advised = unsafe {
        rustix::mm::madvise(page.as_ptr().cast(), super::map::page_size(), rustix::mm::Advice::LinuxWipeOnFork)
    };
    if advised.is_err() {
        return None;
    }
    std::mem::forget(map);
    Some(page.as_ptr().cast())
}

/// Without the advice: an ordinary word that an atfork handler clears. It misses raw `clone`, which is why
/// the page comes first.
fn atfork_word() -> *mut AtomicU64 {
    static WORD: AtomicU64 = AtomicU64::new(0);
    extern "C" fn clear() {
        // Relaxed: a child has one thread.
        WORD.store(0, Ordering::Relaxed);
    }
    // SAFETY: `clear` is a plain store to a static, which is async-signal-safe. An error (no memory for an entry
    // of its list, on a kernel that refuses the advice) would leave forks unseen; nothing is left to try then.
    let _ = unsafe { libc::pthread_atfork(None, None, Some(clear)) };
    (&raw const WORD).cast_mut()
}

#[cold]
fn renew(word: &AtomicU64) -> u64 {
    // Relaxed throughout: only the numbers matter, and they only grow.
    let next = LAST.load(Ordering::Relaxed) + 1;
    // LAST first: another thread may fork between the two lines, and its child must not take `next` again.
    LAST.fetch_max(next, Ordering::Relaxed);
    match word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(generation) => generation,
    }
}
