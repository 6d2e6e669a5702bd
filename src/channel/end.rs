//! Which process an end of a channel belongs to.
//!
//! Each handle has an entry in the channel's memory: one word that names the process that owns it, and the side. All that can
//! happen to a handle is one store to that word.
//!
//! | | entry |
//! |---|---|
//! | made, cloned | free -> P |
//! | moved into a child that P spawns | P -> C, by the drop of P's copy of the closure, before the child is let go |
//! | dropped | P -> free |
//! | P was killed | P -> free, by whoever finds it; P is noted as a casualty before |
//!
//! A copy of the handle in another process (each fork copies all handles) finds at its first use that the entry names another,
//! and is good for nothing there. So no later sibling keeps a channel open.
//!
//! The words may be overwritten by a peer that means harm. It can make ends look closed, or open as long as a process lives
//! that is not its own. It cannot make two processes own what is this one's: who owns is asked once, and then known.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::raw::primitive::Light;
use crate::process::hand_over;
use crate::sync::raw::primitive::spins;
use crate::sys::futex::SLICE;
use crate::sys::generation;
use crate::sys::identity::Identity;
use crate::sys::roster;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Side {
    Sender = 0,
    Receiver = 1,
}

/// The entries of a channel with up to `N` handles. Zeroes are an empty one.
///
/// ```text
///   entry:     63 .. 1                       0
///              the owner's Identity          Side      0: free
///   casualty:  the pid of the last that was found dead; 0: none
/// ```
#[derive(Debug)]
#[repr(C)]
pub(super) struct Ends<const N: usize> {
    /// For each side.
    casualties: [AtomicU32; 2],
    /// No entry from this number on was ever taken.
    high: AtomicU32,
    /// How often an entry was taken.
    takes: AtomicU32,
    entries: [AtomicU64; N],
}

impl<const N: usize> Ends<N> {
    pub(super) fn table(&self) -> Table<'_> {
        Table { casualties: &self.casualties, high: &self.high, takes: &self.takes, entries: &self.entries }
    }
}

/// The same, whatever their number.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    casualties: &'a [AtomicU32; 2],
    high: &'a AtomicU32,
    takes: &'a AtomicU32,
    entries: &'a [AtomicU64],
}

/// Who is there on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    /// Somebody.
    Alive,
    /// Nobody any more, and the last closed it.
    Closed,
    /// Nobody any more, and this process died without closing it.
    Died { pid: u32 },
}

impl<'a> Table<'a> {
    /// The entries that may be taken.
    fn used(&self) -> &'a [AtomicU64] {
        // Acquire: pairs with the Release in `take`: who hears of a handle finds its entry here. Checked: it is a peer's word, too.
        let high = self.high.load(Ordering::Acquire) as usize;
        &self.entries[..high.min(self.entries.len())]
    }

    /// Those who own an end, each as often as it does.
    pub(super) fn owners(&self) -> impl Iterator<Item = Identity> + use<'a> {
        // Acquire: pairs with the Release of who has written it.
        self.used().iter().filter_map(|entry| Identity::from_word(entry.load(Ordering::Acquire)))
    }

    /// Takes a free entry: its number. None if there is none.
    fn take(&self, who: Identity, side: Side) -> Option<usize> {
        let word = who.to_word() | side as u64;
        let take = |entry: &AtomicU64| {
            // Relaxed: nothing is published by the entry; who is given a handle has it from its owner.
            entry.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let index = self.entries.iter().position(take)?;
        // Release: see `used`. There are fewer than that.
        self.high.fetch_max(index as u32 + 1, Ordering::Release);
        // Release: pairs with the Acquire in `peers`: who sees the number sees the entry. Before any end is closed whose place this
        // one takes.
        self.takes.fetch_add(1, Ordering::Release);
        Some(index)
    }

    /// Who is there on `side`. `sure`: the kernel is asked, which takes microseconds; else a death may be missed that the
    /// kernel has not marked, or that of a process of which no thread has sat down.
    ///
    /// Those that are found dead are struck out.
    pub(super) fn peers(&self, side: Side, sure: bool) -> Peers {
        // A handle that is cloned may be behind this look, in an entry that was free, and the one it was made from not any more
        // before it. So nobody is there only if none was taken meanwhile.
        for _ in 0..LOOKS {
            // Acquire: pairs with the Release in `take`.
            let takes = self.takes.load(Ordering::Acquire);
            let found = self.look(side, sure);
            // Relaxed: whoever took one before it closed another has published that with the free entry that was found.
            if found == Peers::Alive
                || self.takes.load(Ordering::Relaxed) == takes
                || seeded!("channel: one look at the ends")
            {
                return found;
            }
        }
        // Somebody takes one after the other.
        Peers::Alive
    }

    /// For who closes an end of this side. The kernel is not asked.
    fn strike_out_the_dead(&self, side: Side) {
        for entry in self.used() {
            // Acquire, Release: as in `look`.
            let word = entry.load(Ordering::Acquire);
            if Identity::from_word(word).is_some_and(|who| word & 1 == side as u64 && is_over(who, false)) {
                let _ = entry.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed);
            }
        }
    }

    fn look(&self, side: Side, sure: bool) -> Peers {
        let casualty = &self.casualties[side as usize];
        for entry in self.used() {
            // Acquire: pairs with the Release in `End::drop_in`: who finds an end closed finds all that was sent by it.
            let word = entry.load(Ordering::Acquire);
            let Some(who) = Identity::from_word(word).filter(|_| word & 1 == side as u64) else { continue };
            if !is_over(who, sure) {
                return Peers::Alive;
            }
            // Noted first: killed between the two, this process leaves it to the next to find the same. Relaxed: published by the
            // exchange.
            casualty.store(who.pid(), Ordering::Relaxed);
            // Release: pairs with the Acquire of who finds the entry free. Failure: somebody else has found it.
            let _ = entry.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed);
        }
        // Relaxed: published with the entries that were found free.
        match casualty.load(Ordering::Relaxed) {
            0 => Peers::Closed,
            pid => Peers::Died { pid },
        }
    }
}

/// More than there are clones made in the time of a look, time after time.
const LOOKS: usize = 100;

/// Whether a process has ended.
fn is_over(who: Identity, sure: bool) -> bool {
    if Identity::mine().is_ok_and(|me| me == who) {
        return false;
    }
    match roster::living_thread_of(who) {
        Some(thread) if sure => {
            let over = who.has_left();
            if over {
                // Whoever else watches its threads is told.
                let _ = roster::look_for_the_truth(thread);
            }
            over
        }
        Some(_) => false,
        // A thread of it has ended, or none has sat down yet.
        None => who.has_left(),
    }
}

/// When to ask the kernel, for who only ever tries.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    looks: u32,
    next: Option<Instant>,
}

impl Doubt {
    /// Whether this look is to be sure: one in each slice that a sleep would have.
    pub(super) fn is_due(&mut self) -> bool {
        // The clock costs more than the look.
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(64) {
            return false;
        }
        let now = Instant::now();
        let due = self.next.is_some_and(|next| next <= now);
        if due || self.next.is_none() {
            self.next = Some(now + SLICE);
        }
        due
    }
}

/// One handle's entry, in its private memory.
#[derive(Debug)]
pub(super) struct End {
    /// Of the process in which nothing speaks against the short way: it owns the handle, its side of the fences is free, and no
    /// peer has written what cannot be. All that in one word, since it is asked for each message.
    swift: AtomicU64,
    index: usize,
    side: Side,
    /// Of the process that is known to own it.
    generation: AtomicU64,
    /// How that process makes its side of the fences.
    light: AtomicBool,
    /// A peer wrote what cannot be.
    corrupt: bool,
    /// When this handle was made: see [`hand_over::heir`].
    stamp: u64,
}

/// What the drop of a handle was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// The end is closed: who waits at the other side is to be told.
    Closed,
    /// It is the child's now.
    HandedOver,
    /// It was never this process's.
    NotOwner,
}

impl End {
    /// A new handle of this process.
    ///
    /// # Errors
    ///
    /// Where `/proc` does not tell who this process is; where there are as many handles as there can be.
    pub(super) fn new(table: Table<'_>, side: Side) -> io::Result<End> {
        let me = Identity::mine()?;
        let index = table.take(me, side).ok_or_else(|| {
            let why = format!("all {} handles of this channel are in use; drop some", table.entries.len());
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        })?;
        // Here, where the process has not yet chosen one CPU for itself.
        spins();
        let end = End { index, stamp: hand_over::stamp(), ..End::of_nobody(side) };
        end.is_mine_now();
        Ok(end)
    }

    /// A handle that is nobody's, and never will be.
    pub(super) fn of_nobody(side: Side) -> End {
        let nobodys = || AtomicU64::new(generation::NOBODYS);
        let light = AtomicBool::new(false);
        // No channel has so many entries.
        let (index, stamp) = (usize::MAX, u64::MAX);
        End { swift: nobodys(), index, side, generation: nobodys(), light, corrupt: false, stamp }
    }

    fn entry<'a>(&self, table: Table<'a>) -> Option<&'a AtomicU64> {
        table.entries.get(self.index)
    }

    fn word(&self, who: Identity) -> u64 {
        who.to_word() | self.side as u64
    }

    /// Whether nothing speaks against the short way: it is known, sound, and [`light`](Self::light) is
    /// [`Light::FREE`].
    #[inline]
    pub(super) fn is_swift(&self) -> bool {
        // Relaxed: the number is all that is asked.
        generation::is(self.swift.load(Ordering::Relaxed))
    }

    /// A peer wrote what cannot be.
    pub(super) fn poison(&mut self) {
        self.corrupt = true;
        *self.swift.get_mut() = generation::NOBODYS;
    }

    #[inline]
    pub(super) fn is_corrupt(&self) -> bool {
        self.corrupt
    }

    /// Whether the calling process owns it.
    #[inline]
    pub(super) fn is_known(&self) -> bool {
        // Relaxed: the number is all that is asked.
        generation::is(self.generation.load(Ordering::Relaxed))
    }

    /// What to pass between a commit and the look for sleepers.
    #[inline]
    pub(super) fn light(&self) -> Light {
        // Relaxed: see `adopt`.
        Light::known(self.light.load(Ordering::Relaxed))
    }

    /// Looks whether it was handed to the calling process, at its first use there.
    #[cold]
    pub(super) fn adopt(&self, table: Table<'_>) -> bool {
        let Ok(me) = Identity::mine() else { return false };
        // Acquire: pairs with the Release in `drop_in`: what the parent did with the handle was before.
        if self.entry(table).is_none_or(|entry| entry.load(Ordering::Acquire) != self.word(me)) {
            return false;
        }
        self.is_mine_now();
        true
    }

    /// Makes it the calling process's, whosever it was.
    ///
    /// # Errors
    ///
    /// Where `/proc` does not tell who this process is.
    pub(super) fn take_over(&self, table: Table<'_>) -> io::Result<()> {
        let me = Identity::mine()?;
        // Acquire: pairs with the Release of who had it. Release: as in `drop_in`.
        let entry = self
            .entry(table)
            .ok_or_else(|| io::Error::other("this handle was cloned where there was no room for it"))?;
        entry.swap(self.word(me), Ordering::AcqRel);
        self.is_mine_now();
        Ok(())
    }

    fn is_mine_now(&self) {
        // Death is noticed at once of those who have a place; where there is none, within 100 ms.
        let _ = roster::me();
        let (here, is_free) = (generation::current(), Light::here().is_free());
        let swift = if is_free && !self.corrupt { here } else { generation::NOBODYS };
        // Relaxed, all: whoever finds the generation in another thread of this process was given the handle.
        self.light.store(is_free, Ordering::Relaxed);
        self.generation.store(here, Ordering::Relaxed);
        self.swift.store(swift, Ordering::Relaxed);
    }

    /// Gives it up. Called once.
    pub(super) fn drop_in(&self, table: Table<'_>) -> Dropped {
        if !self.is_known() && !self.adopt(table) {
            return Dropped::NotOwner;
        }
        let Ok(me) = Identity::mine() else { return Dropped::NotOwner };
        let heir = hand_over::heir(self.stamp);
        let next = heir.map_or(0, |heir| self.word(heir));
        let Some(entry) = self.entry(table) else { return Dropped::NotOwner };
        if heir.is_none() {
            // Whoever died before, the last one has closed; those whom nobody has found yet, too. Of those who die later it is noted
            // later. Relaxed: published below.
            table.strike_out_the_dead(self.side);
            table.casualties[self.side as usize].store(0, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `adopt` and in `peers`. Failure: the word was overwritten, and stays so.
        let _ = entry.compare_exchange(self.word(me), next, Ordering::Release, Ordering::Relaxed);
        match heir {
            Some(_) => Dropped::HandedOver,
            None => Dropped::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// One handle after the other, each made before the last is dropped, while another looks.
    #[test]
    fn who_clones_before_it_closes_is_always_there() {
        let ends =
            Ends::<4> { casualties: Default::default(), high: 0.into(), takes: 0.into(), entries: Default::default() };
        let me = Identity::mine().unwrap();
        let mut held = ends.table().take(me, Side::Sender).unwrap();
        let (over, clones) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let next = ends.table().take(me, Side::Sender).unwrap();
                    ends.entries[held].store(0, Ordering::Release);
                    held = next;
                    clones.fetch_add(1, Ordering::Relaxed);
                }
            });
            let mut alive = true;
            while alive && clones.load(Ordering::Relaxed) < 3_000_000 {
                alive = ends.table().peers(Side::Sender, false) == Peers::Alive;
            }
            over.store(true, Ordering::Relaxed);
            assert!(alive, "somebody was there all the time");
        });
    }
}
