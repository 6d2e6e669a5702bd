//! A row of places, each of which is one thread's at a time: the shares of readers, the permits of a semaphore.

use super::primitive::{AtomicU64, FLAGS, Name, Ordering, Verdict, judge, wake_all, wake_one};
use super::waiting::Waiting;
use super::{Patience, Refusal};

/// Somebody sleeps on this very word, until it is free.
const WATCHED: u64 = 1;
/// Somebody sleeps until any place is free.
const WANTED: u64 = 2;
/// The place is not to be had.
const ABSENT: u64 = 4;

/// ```text
///   gate: counts, round and round
///
///   one place:   63 .. 8                     2        1        0
///                | owner's name, 0: nobody | ABSENT | WANTED | WATCHED |
///
///        0 ---- take ----> owner ---- give back ------------------------> 0
///                          owner|.. ---- give back, wake ---------------> 0
///                          owner|.. (dead) ---- strike out, wake -------> 0
///                          owner ---- remove ----> ABSENT ---- add -----> 0
/// ```
///
/// Each step is one atomic operation, so whoever is killed between any two instructions has the place, or has it not.
/// There is no count that could be left wrong.
///
/// Who wants any of them reads `gate`, finds none free, marks each WANTED, and sleeps expecting `gate` as it was. Who gives
/// back one that is marked changes `gate` afterwards, and wakes. So the sleeper has found the place free, or finds
/// `gate` changed, or is asleep and is woken. What is not marked is given back by one swap.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Places<const N: usize> {
    gate: AtomicU64,
    row: [AtomicU64; N],
}

/// What the places are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Shares of readers. None is ever absent. Who sleeps for one may wait for the writer when it is woken, so all are
    /// woken.
    Share,
    /// Permits of a semaphore. One sleeper is woken: it takes the permit, or finds it taken, and marks it.
    Permit,
}

/// What is in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Absent,
    Held(Name),
    /// By one who died with it.
    Left,
}

fn state(now: u64, kind: Kind) -> Result<State, Refusal> {
    let flags = now & FLAGS;
    let Some(owner) = Name::in_word(now) else {
        return match flags {
            0 => Ok(State::Free),
            _ if flags & !WANTED == ABSENT && kind == Kind::Permit => Ok(State::Absent),
            _ => Err(Refusal::Corrupt),
        };
    };
    if flags & !(WATCHED | WANTED) != 0 {
        return Err(Refusal::Corrupt);
    }
    match judge(owner) {
        Verdict::Alive => Ok(State::Held(owner)),
        Verdict::Dead if seeded!("leaked reader share") => Ok(State::Held(owner)),
        Verdict::Dead => Ok(State::Left),
        Verdict::Foreign => Err(Refusal::Foreign),
        Verdict::Corrupt => Err(Refusal::Corrupt),
    }
}

impl<const N: usize> Places<N> {
    /// The first `free` are free, the others absent.
    #[cfg(not(loom))]
    pub(super) const fn new(free: usize) -> Places<N> {
        let mut row = [const { AtomicU64::new(ABSENT) }; N];
        let mut i = 0;
        while i < N && i < free {
            row[i] = AtomicU64::new(0);
            i += 1;
        }
        Places { gate: AtomicU64::new(0), row }
    }

    #[cfg(loom)]
    pub(super) fn new(free: usize) -> Places<N> {
        let row = std::array::from_fn(|i| AtomicU64::new(if i < free { 0 } else { ABSENT }));
        Places { gate: AtomicU64::new(0), row }
    }

    /// Place number `index`, if it is free.
    #[inline]
    pub(super) fn take_at(&self, index: usize, me: Name) -> Option<Place<'_>> {
        let word = self.row.get(index)?;
        take(word, me.word()).then_some(Place { word, gate: &self.gate })
    }

    /// Any place that is free, looked for from number `first` on.
    pub(super) fn take(&self, first: usize, me: Name, waiting: &Waiting) -> Option<Place<'_>> {
        let mine = me.word() | waiting.keep(WANTED);
        let (before, after) = self.row.split_at(first.min(N));
        // Relaxed: a guess, which the exchange makes good.
        let taken = |word: &&AtomicU64| word.load(Ordering::Relaxed) == 0 && take(word, mine);
        after.iter().chain(before).find(taken).map(|word| Place { word, gate: &self.gate })
    }

    /// Whether `me` holds one.
    pub(super) fn has(&self, me: Name) -> bool {
        // Relaxed: this thread alone writes that name, and takes it away.
        self.row.iter().any(|word| Name::in_word(word.load(Ordering::Relaxed)) == Some(me))
    }

    /// How many could be had now.
    pub(super) fn count_free(&self, kind: Kind) -> usize {
        // Acquire: so that the tenure of a name is seen with it. What was overwritten is not to be had.
        let states = self.row.iter().map(|word| state(word.load(Ordering::Acquire), kind));
        states.filter(|state| matches!(state, Ok(State::Free | State::Left))).count()
    }

    /// Whether one is held by somebody who lives.
    pub(super) fn is_any_held(&self, kind: Kind) -> bool {
        // Acquire: as in `count_free`.
        self.row.iter().any(|word| matches!(state(word.load(Ordering::Acquire), kind), Ok(State::Held(_))))
    }

    /// One turn of waiting until any place may be free.
    #[cold]
    pub(super) fn wait_for_one(&self, kind: Kind, me: Name, waiting: &mut Waiting) -> Result<(), Refusal> {
        // Acquire: pairs with the Release in `tell`: who finds the gate changed finds the place free that it tells of. So
        // it is read before the places.
        let gate = self.gate.load(Ordering::Acquire);
        let mut mine = 0;
        for word in &self.row {
            match self.look(kind, word)? {
                (_, State::Free) => return Ok(()),
                (_, State::Held(owner)) if owner == me => mine += 1,
                _ => {}
            }
        }
        if mine == N {
            return Err(Refusal::Deadlock);
        }
        waiting.check()?;
        for word in &self.row {
            // Acquire: not before the gate is read.
            let now = word.load(Ordering::Acquire);
            if now == 0 {
                return Ok(());
            }
            if now & WANTED != 0 || seeded!("places: forgotten mark") {
                continue;
            }
            // Relaxed: it only announces a sleeper, to who changes this word next.
            if word.compare_exchange(now, now | WANTED, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                return Ok(());
            }
        }
        // Acquire: as in `count_free`.
        let owners = || self.row.iter().filter_map(|word| Name::in_word(word.load(Ordering::Acquire)));
        // Killed after it has freed a place, and before it has changed the gate, one leaves the mark gone, and nobody who will
        // tell. Relaxed: what the dead did is seen; the living are watched.
        let is_marked = |word: &AtomicU64| word.load(Ordering::Relaxed) & WANTED != 0;
        let wanted = || seeded!("places: forgotten mark") || self.row.iter().all(is_marked);
        waiting.sleep(&self.gate, gate, owners, wanted)
    }

    /// Waits until each place, one after the other, has been seen free, where nobody who takes one keeps it any more.
    ///
    /// `before` is called when somebody is to be waited for.
    #[inline]
    pub(super) fn drain(&self, me: Name, patience: Patience, before: impl FnMut()) -> Result<(), Refusal> {
        // SeqCst: as in `look`. Mostly there is nobody.
        match self.row.iter().all(|word| word.load(Ordering::SeqCst) == 0) {
            true => Ok(()),
            false => self.drain_slow(me, patience, before),
        }
    }

    #[cold]
    fn drain_slow(&self, me: Name, patience: Patience, mut before: impl FnMut()) -> Result<(), Refusal> {
        let mut waiting = Waiting::new(patience);
        let mut waits = false;
        for word in &self.row {
            while let (now, State::Held(owner)) = self.look(Kind::Share, word)? {
                if !waits {
                    if self.has(me) {
                        return Err(Refusal::Deadlock);
                    }
                    waiting.check()?;
                    before();
                    waits = true;
                }
                waiting.turn(word, now, WATCHED, Some(owner))?;
            }
        }
        Ok(())
    }

    /// What is in a place. What the dead left there is given back, as they would have done.
    fn look(&self, kind: Kind, word: &AtomicU64) -> Result<(u64, State), Refusal> {
        loop {
            // SeqCst: the second half of the handshake of `rwlock`. As Acquire it pairs with the Release in `take` (the tenure
            // of a name is seen with it) and in `give_back` (so is what the last owner did).
            let now = word.load(Ordering::SeqCst);
            match state(now, kind)? {
                // From exactly the word that was judged. Release: who takes it next sees what the dead did, as was seen here.
                State::Left => {
                    if word.compare_exchange(now, 0, Ordering::Release, Ordering::Relaxed).is_ok() {
                        Place { word, gate: &self.gate }.wake(kind, now);
                    }
                }
                state => return Ok((now, state)),
            }
        }
    }

    /// Makes one free that was absent. False if none was.
    pub(super) fn add(&self) -> Result<bool, Refusal> {
        for word in &self.row {
            // Acquire: as in `count_free`.
            let mut now = word.load(Ordering::Acquire);
            while state(now, Kind::Permit)? == State::Absent {
                // Release: pairs with the Acquire in `take`: who gets it sees what was done before it was added.
                match word.compare_exchange(now, 0, Ordering::Release, Ordering::Acquire) {
                    Ok(_) => {
                        Place { word, gate: &self.gate }.wake(Kind::Permit, now);
                        return Ok(true);
                    }
                    Err(changed) => now = changed,
                }
            }
        }
        Ok(false)
    }
}

#[inline]
fn take(word: &AtomicU64, mine: u64) -> bool {
    // SeqCst: the first half of the handshake of `rwlock`. As Acquire it pairs with the Release in `give_back`; as Release,
    // with the Acquire of who reads the name, and then the roster.
    word.compare_exchange(0, mine, Ordering::SeqCst, Ordering::Relaxed).is_ok()
}

/// A place that was taken. Nothing happens when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    word: &'a AtomicU64,
    gate: &'a AtomicU64,
}

impl Place<'_> {
    /// Called by the owner.
    #[inline]
    pub(super) fn give_back(&self, kind: Kind) {
        // Release: pairs with the Acquire in `take`, and in `look` for who drains.
        let was = self.word.swap(0, Ordering::Release);
        if was & (WATCHED | WANTED) != 0 {
            self.wake(kind, was);
        }
    }

    /// The place is not to be had any more. Called by the owner.
    pub(super) fn remove(&self) {
        // The sleepers' mark stays, for who adds a place. Others only set that mark, so it ends after a turn or two.
        let mut now = self.word.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `take`, by the add that comes between. Relaxed: this thread's own word.
        while let Err(changed) =
            self.word.compare_exchange(now, ABSENT | now & WANTED, Ordering::Release, Ordering::Relaxed)
        {
            now = changed;
        }
    }

    /// Tells of a place that became free, to those that its last word, `was`, speaks of.
    #[cold]
    fn wake(&self, kind: Kind, was: u64) {
        if was & WATCHED != 0 {
            wake_one(self.word);
        }
        if was & WANTED != 0 {
            // Who gives back borrows the row until then, so unlike the words of others this one is still there. Release: pairs with the Acquire in `wait_for_one`.
            self.gate.fetch_add(1, Ordering::Release);
            match kind {
                Kind::Share => wake_all(self.gate),
                Kind::Permit => wake_one(self.gate),
            };
        }
    }
}
