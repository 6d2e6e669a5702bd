//! The roster: which threads, of which processes, take part in what is shared, and which of them live.
//!
//! | file | holds |
//! |---|---|
//! | `name` | a thread in one word, which locks and queues hold |
//! | `slot` | one thread's place, with the life word that the kernel marks when it ends |
//! | `tenancy` | how one thread follows another in a place |
//! | this one | the table, and how a thread gets its place |
//! | `bell` | how to wake a thread that sleeps on descriptors |
//! | `watch` | dead or alive; sleeping until a word changes or somebody dies |
//!
//! The table is mapped once, before anything that refers to it is shared, inherited by every child, and never unmapped.
//! A thread takes a place when it first needs a name, and keeps it to its last instruction: nothing is undone at its end,
//! the kernel's mark is the end.
//!
//! # Safety
//!
//! This file opens `unsafe` to lay the table over a mapping.
#![allow(unsafe_code)]

mod bell;
mod name;
mod slot;
mod tenancy;
mod watch;

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use rustix::thread::futex::{OWNER_DIED, WAITERS};
use static_assertions::const_assert;

pub(crate) use bell::{Bell, Doorbell, ring, ring_each};
pub(crate) use name::{FLAGS, Name};
pub(crate) use watch::{Verdict, judge, living_thread_of, look_for_the_truth, sleep, sleep_on, sleep_while};

use self::name::SLOTS;
use self::slot::{Slot, Taken};
use super::clock::monotonic_nanos;
use super::identity::Identity;
use super::map::Map;
use super::{futex, generation};

/// The table. Its pages are taken as they are touched: 32 threads to a page.
#[repr(C)]
struct Roster {
    header: Header,
    /// Number 0 lies where the header is: the slots start at number 1.
    slots: [Slot; SLOTS - 1],
}

#[repr(C, align(128))]
struct Header {
    /// Tells this roster from others, in every name.
    tag: AtomicU64,
    /// No slot above this number was ever taken.
    high: AtomicU32,
}

const_assert!(size_of::<Roster>() == SLOTS * 128);

static ROSTER: AtomicPtr<Roster> = AtomicPtr::new(ptr::null_mut());

/// The roster of this process's family, if there is one yet.
#[inline]
fn roster() -> Option<&'static Roster> {
    // Acquire: pairs with the Release in `ensure`, so that the tag is seen.
    let roster = ROSTER.load(Ordering::Acquire);
    // SAFETY: null, or a table that was laid over zeroed pages of its size (all of it is valid as zeroes) and is never
    // unmapped; a child inherits the mapping at the same address.
    unsafe { roster.as_ref() }
}

/// Makes the roster, so that whoever is forked from here on shares it. What holds names of threads is put into shared memory
/// only after this.
///
/// # Errors
///
/// What [memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html) and mmap say.
pub(crate) fn ensure() -> io::Result<()> {
    the_roster().map(drop)
}

fn the_roster() -> io::Result<&'static Roster> {
    if let Some(roster) = roster() {
        return Ok(roster);
    }
    let map = Map::kept_by_the_family(c"tine-roster", size_of::<Roster>())?;
    let new = map.as_ptr().cast::<Roster>().as_ptr();
    // SAFETY: as in `roster`; nobody else knows it yet.
    let header = unsafe { &(*new).header };
    // Relaxed: published by the Release below.
    header.tag.store(random_tag(), Ordering::Relaxed);
    // Release: pairs with the Acquire in `roster`. Failure: another thread was faster, and this mapping goes.
    match ROSTER.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire) {
        Ok(_) => std::mem::forget(map),
        Err(_) => drop(map),
    }
    Ok(roster().expect("it was there, or was made here"))
}

/// Not 0.
fn random_tag() -> u64 {
    random() % u64::from(u16::MAX) + 1
}

/// A number that others do not guess by accident. Seeded by the system's random numbers, once in a thread; a child goes on
/// from its parent's, so its own place is mixed in.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(monotonic_nanos());
    hasher.write_u32(std::process::id());
    hasher.finish()
}

impl Roster {
    fn tag(&self) -> u16 {
        // Relaxed: it never changes after the table was published.
        self.header.tag.load(Ordering::Relaxed) as u16
    }

    fn slot(&self, number: usize) -> Option<&Slot> {
        self.slots.get(number.checked_sub(1)?)
    }

    /// The numbers that may be taken.
    fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        // Relaxed: who is just coming may be missed by a few instructions.
        1..=(self.header.high.load(Ordering::Relaxed) as usize).min(SLOTS - 1)
    }
}

/// Where the calling thread sits, if it has sat down in this process.
#[derive(Clone, Copy)]
struct Seat {
    /// Of the process: a child inherits this memory, and has a name of its own.
    generation: u64,
    name: u64,
}

thread_local! {
    static SEAT: Cell<Seat> = const { Cell::new(Seat { generation: 0, name: 0 }) };
}

/// The calling thread's name. Cheap from the second time on.
///
/// # Errors
///
/// Where there is no memory for the roster, or no place on it.
#[inline]
pub(crate) fn me() -> io::Result<Name> {
    match seated() {
        Some(name) => Ok(name),
        None => sit_down(),
    }
}

/// The calling thread's name, if it has one already.
#[inline]
pub(crate) fn seated() -> Option<Name> {
    let seat = SEAT.get();
    if generation::is(seat.generation) { Name::in_word(seat.name) } else { None }
}

#[cold]
fn sit_down() -> io::Result<Name> {
    let roster = the_roster()?;
    let (who, namespaces) = Identity::me_with_namespaces().map_or((0, 0), |(who, spaces)| (who.to_word(), spaces));
    // The dead whose death the kernel has not marked are found when there is no other place.
    for (number, ask) in (1..SLOTS).map(|number| (number, false)).chain((1..SLOTS).map(|number| (number, true))) {
        let slot = &roster.slots[number - 1];
        let Some(life) = slot.life() else { break };
        if ask {
            look_for_the_truth(Name::new(roster.tag(), slot.tenure.now().0, number));
        }
        if !slot.tenure.is_open(life) {
            continue;
        }
        match slot.take_life() {
            Taken::Lost => continue,
            Taken::Unusable => break,
            Taken::Mine => {
                let name = announce(roster, slot, life, number, who, namespaces);
                // The kernel has told one watcher of the last tenant's death, and that one tells the others; but not if it
                // looks only now, and finds this thread alive here. Not before the tenure tells: who looked in between would
                // take the dead one for alive, and sleep again.
                futex::wake(life, i32::MAX as u32);
                match name {
                    Some(name) => return Ok(name),
                    // It keeps the life of a place that nobody can have again.
                    None => continue,
                }
            }
        }
    }
    let why = "no place is left on the roster of threads that use shared locks: 4095 threads of this family of processes \
               use them now (or the C library has no robust mutexes); let some end";
    Err(io::Error::new(io::ErrorKind::OutOfMemory, why))
}

/// None where others came just before, and have used up the place.
fn announce(roster: &Roster, slot: &Slot, life: &AtomicU32, number: usize, who: u64, namespaces: u64) -> Option<Name> {
    let count = slot.tenure.begin()?;
    // Relaxed: published by `announce`, with Release.
    slot.who.store(who, Ordering::Relaxed);
    slot.namespaces.store(namespaces, Ordering::Relaxed);
    slot.bell.store(0, Ordering::Relaxed);
    // Relaxed: see `numbers`.
    roster.header.high.fetch_max(number as u32, Ordering::Relaxed);
    slot.tenure.announce(count, life);
    let name = Name::new(roster.tag(), count, number);
    SEAT.set(Seat { generation: generation::current(), name: name.word() });
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_without_notice_is_not_the_next_ones() {
        // A place that no other test comes to.
        const NUMBER: usize = 300;
        let roster = the_roster().unwrap();
        let slot = &roster.slots[NUMBER - 1];
        let (me, namespaces) = Identity::me_with_namespaces().unwrap();
        // As the word of a process that had this one's number before.
        let gone = me.to_word() - 2;
        let sit = move |who: u64| {
            assert!(matches!(slot.take_life(), Taken::Mine));
            move || announce(roster, slot, slot.life().unwrap(), NUMBER, who, namespaces).unwrap()
        };
        let dead = std::thread::spawn(move || sit(gone)()).join().unwrap();
        while judge(dead) != Verdict::Dead {
            std::thread::yield_now();
        }
        std::thread::spawn(move || {
            // Has locked the dead one's life, and is just about to strike it out.
            let announce = sit(me.to_word());
            assert_eq!(std::thread::spawn(move || look_for_the_truth(dead)).join().unwrap(), Verdict::Dead);
            assert_eq!(judge(dead), Verdict::Dead, "and the next who waits for it need not ask");
            let name = announce();
            assert_eq!(judge(name), Verdict::Alive);
            assert_ne!(name, dead);
        })
        .join()
        .unwrap();
    }
}
