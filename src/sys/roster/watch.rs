//! Dead or alive; and sleeping until a word changes or somebody dies.
//!
//! Three things tell of a death, and each has its part:
//!
//! | what | when | what it is |
//! |---|---|---|
//! | the life word | at once: the kernel marks it and wakes one who watches | a notice. When it is there, it is true; it may be missing |
//! | the tenure | when the place was given to another | proof: that is done only to the dead |
//! | the identity | when somebody looks, every 100 ms | proof: the process is gone from `/proc`, or its number is another's |
//!
//! The notice is missing where the list of the thread's robust mutexes was gone before the kernel walked it: it lies in the
//! process's own memory, and the OOM killer frees that early.
//!
//! # Why a sleeper watches everybody
//!
//! A wake can die with who receives it: the unlocker wakes B, B is killed before it does anything, and C would sleep by a
//! free lock. And an unlocker can die before it wakes. So a sleeper watches the life words of all who take part (up to the 31
//! that one call takes beside the word itself): whoever dies with a wake in its hand, or owed, wakes one of them. That
//! one wakes all others who watch the dead, before it goes on; and if it is killed before it has, its own death wakes
//! the next. With more than 31 the slice of 100 ms covers the rest.
//!
//! *All who take part* are those who have sat down by the time of its look. Nobody adds to the list of one who sleeps
//! already: who sits down later, and dies with a wake in its hand or owed, is seen by what the sleeper looks at when its
//! slice is over, and is watched from its next sleep on.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::name::Name;
use super::slot::Slot;
use super::{Roster, roster, seated, tenancy};
use crate::sys::futex::{self, MOST, Slept, Words};
use crate::sys::identity::Identity;

/// What is known of a name in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No death is known; it may have died since.
    Alive,
    /// It has run its last instruction. For good.
    Dead,
    /// It is on another roster: a process that is no relative.
    Foreign,
    /// No roster has given this name: the word was overwritten.
    Corrupt,
}

/// What the words of the roster say of `name`. No system call.
pub(crate) fn judge(name: Name) -> Verdict {
    let Some(roster) = roster() else { return Verdict::Foreign };
    if name.tag() != roster.tag() {
        return if name.tag() == 0 { Verdict::Corrupt } else { Verdict::Foreign };
    }
    let Some(slot) = roster.slot(name.slot()) else { return Verdict::Corrupt };
    slot.tenure.verdict(name.tenure(), slot.life())
}

/// As [`judge`], but asks the kernel as well whether the process is there. What it finds it tells all who watch.
pub(crate) fn look_for_the_truth(name: Name) -> Verdict {
    let verdict = judge(name);
    if verdict != Verdict::Alive {
        return verdict;
    }
    let Some(slot) = roster().and_then(|roster| roster.slot(name.slot())) else { return verdict };
    // Relaxed: published with the tenure, which `judge` has read.
    let who = Identity::from_word(slot.who.load(Ordering::Relaxed));
    let namespaces = slot.namespaces.load(Ordering::Relaxed);
    // Of a process in another namespace `/proc` says nothing here, or something about somebody else.
    let Some(who) = who.filter(|_| Identity::namespaces() == Some(namespaces)) else { return verdict };
    if !who.is_gone() {
        return verdict;
    }
    mark_dead(slot, name);
    // The identity may have been that of the next tenant, if this one died at once: then the tenure tells.
    Verdict::Dead
}

/// A thread of a process that is on the roster, and lives. No system call.
///
/// None says nothing: no thread of it may have sat down. Then the kernel has to be asked ([`Identity::has_left`]).
pub(crate) fn living_thread_of(who: Identity) -> Option<Name> {
    let roster = roster()?;
    roster.numbers().find_map(|number| {
        let slot = roster.slot(number)?;
        let (count, announced) = slot.tenure.now();
        // Relaxed: published with the tenure, which was read before. Should another have sat down meanwhile, the name of the
        // old count is that of a dead one, and the verdict says so.
        let is_of_it = announced && slot.who.load(Ordering::Relaxed) == who.to_word();
        let alive = is_of_it && slot.tenure.verdict(count, slot.life()) == Verdict::Alive;
        alive.then(|| Name::new(roster.tag(), count, number))
    })
}

/// What the kernel would have done.
fn mark_dead(slot: &Slot, name: Name) {
    if let Some(life) = slot.life() {
        slot.tenure.mark_dead(name.tenure(), life);
        futex::wake(life, i32::MAX as u32);
    }
}

/// Sleeps until `word` is no longer `expected`, until somebody wakes it, or until one who takes part dies.
///
/// The `owners` are watched before all others. Returns for any reason, or none: the caller looks at its words, and judges
/// their owners, again; after [`Slept::Slice`] by [`look_for_the_truth`].
///
/// `word` holds what tells a waker that somebody sleeps, before this is called.
pub(crate) fn sleep(
    word: &AtomicU64,
    expected: u64,
    owners: impl IntoIterator<Item = Name>,
    deadline: Option<Instant>,
) -> Slept {
    sleep_while(word, expected, owners, || true, deadline)
}

/// As [`sleep`], but only if `wanted` is true once all are watched.
///
/// For who sleeps on one word, and is told by changes of others first: a waker that died between the two before it was
/// watched is not heard of any more, but all that it did is seen.
pub(crate) fn sleep_while(
    word: &AtomicU64,
    expected: u64,
    owners: impl IntoIterator<Item = Name>,
    wanted: impl FnOnce() -> bool,
    deadline: Option<Instant>,
) -> Slept {
    let mut words = Words::none();
    words.push_word(word, expected);
    watch(words, owners, wanted, deadline)
}

/// As [`sleep`], on any number of words.
pub(crate) fn sleep_on(words: Words<'_>, owners: impl IntoIterator<Item = Name>, deadline: Option<Instant>) -> Slept {
    watch(words, owners, || true, deadline)
}

fn watch(
    mut words: Words<'_>,
    owners: impl IntoIterator<Item = Name>,
    wanted: impl FnOnce() -> bool,
    deadline: Option<Instant>,
) -> Slept {
    let mut watched = Watched::none();
    if let Some(roster) = roster() {
        for owner in owners.into_iter().filter(|owner| owner.tag() == roster.tag()) {
            if !watched.add(roster, owner.slot(), &mut words) {
                return Slept::Woken;
            }
        }
        if !seeded!("only the owner is watched") {
            watched.add_all(roster, &mut words);
        }
    }
    if !wanted() {
        return Slept::Woken;
    }
    let slept = futex::sleep(&words, deadline);
    watched.tell_of_deaths();
    slept
}

/// The life words that a sleeper watches.
struct Watched {
    /// Each with what its life holds while who is watched lives, but for the watchers' bit.
    slots: [Option<(&'static Slot, u32)>; MOST],
    len: usize,
    /// The calling thread's own number.
    me: Option<usize>,
}

impl Watched {
    fn none() -> Watched {
        Watched { slots: [None; MOST], len: 0, me: seated().map(|me| me.slot()) }
    }

    /// All who live, as far as there is room.
    fn add_all(&mut self, roster: &'static Roster, words: &mut Words<'_>) {
        for number in roster.numbers() {
            if words.is_full() {
                break;
            }
            self.add(roster, number, words);
        }
    }

    /// False if it is dead, or nobody.
    fn add(&mut self, roster: &'static Roster, number: usize, words: &mut Words<'_>) -> bool {
        let Some(slot) = roster.slot(number) else { return false };
        let watched = self.slots[..self.len].iter().flatten().any(|&(watched, _)| ptr::eq(watched, slot));
        // Nobody waits for its own death; and for whom there is no room, there are the slices.
        if watched || self.me == Some(number) || words.is_full() {
            return true;
        }
        let Some(life) = slot.life() else { return false };
        let Some(now) = tenancy::watch(life) else { return false };
        words.push(life, now);
        self.slots[self.len] = Some((slot, tenancy::alive(now)));
        self.len += 1;
        true
    }

    /// The kernel woke one who watched the dead: this thread, perhaps. That one wakes the others.
    fn tell_of_deaths(&self) {
        for &(slot, alive) in self.slots[..self.len].iter().flatten() {
            // Not the mark alone: the next may have taken the place of the dead already. Acquire: pairs with the kernel's mark.
            let life = slot.life().filter(|life| tenancy::alive(life.load(Ordering::Acquire)) != alive);
            if let Some(life) = life {
                futex::wake(life, i32::MAX as u32);
            }
        }
    }
}
