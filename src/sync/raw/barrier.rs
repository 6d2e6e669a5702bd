//! The words of a barrier.

use super::mutex::{Found, RawMutex};
use super::primitive::{AtomicU64, Name, Ordering, Verdict, judge, wake_all};
use super::waiting::Waiting;
use super::{Patience, Refusal};

/// ```text
///   0       8         16     24       32
///   | phase | parties | lock | opened | arrival 0 | arrival 1 | .. | arrival MAX-1 |
/// ```
///
/// | word | says | written by |
/// |---|---|---|
/// | phase | which generation is open, and how the last ones ended: [`Phase`] | anybody, by one exchange |
/// | parties | how many it takes | nobody |
/// | opened | of which generation the arrivals are | who holds the lock |
/// | arrivals | the names of those who have arrived, in order | who holds the lock |
///
/// To arrive is to write one's name into the first arrival that is free, under the lock. Who takes the last one trips the
/// barrier, by one exchange of `phase`; until then anybody can break it, by another, without the lock. So there is no count
/// that a death could leave wrong, and each who has arrived is known by name: whoever finds one of them dead breaks it.
///
/// Whoever is killed with the lock has arrived, or has not; who locks it next finds nothing to repair.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawBarrier<const MAX: usize> {
    phase: AtomicU64,
    parties: AtomicU64,
    lock: RawMutex,
    opened: AtomicU64,
    arrivals: [AtomicU64; MAX],
}

/// What the word `phase` says.
///
/// ```text
///   63 .. 38                        37 .. 12            11 .. 2   1        0
///   | first generation since reset | generation        | resets  | BROKEN | WAITERS |
///
///   (r, g) ---- trip -----> (r, g+1) ---- trip ----> (r, g+2)
///     |    `--- reset ----> (r+1, g+1), first: g+1
///     `-- break --> (r, g)|BROKEN ---- reset ----> (r+1, g+1), first: g+1
/// ```
///
/// So who arrived in generation g and comes back later, however late, finds out how that ended: if there was no reset, or
/// one only. After two it is told that it was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase(u64);

/// Somebody may sleep: who changes the phase wakes all.
const WAITERS: u64 = 1;
const BROKEN: u64 = 1 << 1;
const RESETS: Field = Field { shift: 2, bits: 10 };
const GENERATION: Field = Field { shift: 12, bits: 26 };
const FIRST: Field = Field { shift: 38, bits: 26 };

/// Some bits of a word, that count round and round.
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    fn of(&self, word: u64) -> u64 {
        word >> self.shift & self.mask()
    }

    /// The word without it, and with `value` there.
    fn set(&self, word: u64, value: u64) -> u64 {
        word & !(self.mask() << self.shift) | (value & self.mask()) << self.shift
    }

    fn after(&self, value: u64) -> u64 {
        value.wrapping_add(1) & self.mask()
    }

    fn mask(&self) -> u64 {
        (1 << self.bits) - 1
    }
}

/// How a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Tripped,
    Broken,
}

impl Phase {
    fn is_broken(self) -> bool {
        self.0 & BROKEN != 0
    }

    /// The generation, told from all others.
    fn stamp(self) -> u64 {
        self.0 & !(WAITERS | BROKEN)
    }

    fn broken(self) -> Phase {
        Phase((self.0 | BROKEN) & !WAITERS)
    }

    fn tripped(self) -> Phase {
        Phase(GENERATION.set(self.0, GENERATION.after(GENERATION.of(self.0))) & !WAITERS)
    }

    fn reset(self) -> Phase {
        let next = GENERATION.after(GENERATION.of(self.0));
        let word = RESETS.set(self.0, RESETS.after(RESETS.of(self.0)));
        Phase(FIRST.set(GENERATION.set(word, next), next) & !(WAITERS | BROKEN))
    }

    /// How the generation that was open at this phase ended, if it has by `now`.
    fn end(self, now: Phase) -> Option<End> {
        let mine = GENERATION.of(self.0);
        let resets = RESETS.of(self.0);
        if RESETS.of(now.0) == resets {
            let is_open = mine == GENERATION.of(now.0) && !now.is_broken();
            let tripped = mine != GENERATION.of(now.0);
            return (!is_open).then_some(if tripped { End::Tripped } else { End::Broken });
        }
        let by_the_reset = FIRST.of(now.0) == GENERATION.after(mine);
        let one_reset = RESETS.of(now.0) == RESETS.after(resets);
        Some(if one_reset && !by_the_reset { End::Tripped } else { End::Broken })
    }
}

/// What came of an attempt to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrived {
    /// It is for others to come.
    First(Party),
    /// All others have come.
    Last(Party),
    /// The barrier was broken.
    Broken,
}

/// One that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    me: Name,
    at: Phase,
    pub(crate) index: usize,
}

/// What was found under the lock.
enum Entered {
    As(Party),
    /// All have come to this generation. The next one opens soon.
    Full(Phase),
    Broken,
}

impl<const MAX: usize> RawBarrier<MAX> {
    #[cfg(not(loom))]
    pub(crate) const fn new(parties: usize) -> RawBarrier<MAX> {
        RawBarrier {
            phase: AtomicU64::new(0),
            parties: AtomicU64::new(parties as u64),
            lock: RawMutex::new(),
            opened: AtomicU64::new(0),
            arrivals: [const { AtomicU64::new(0) }; MAX],
        }
    }

    #[cfg(loom)]
    pub(crate) fn new(parties: usize) -> RawBarrier<MAX> {
        RawBarrier {
            phase: AtomicU64::new(0),
            parties: AtomicU64::new(parties as u64),
            lock: RawMutex::new(),
            opened: AtomicU64::new(0),
            arrivals: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// As it was given; not as it must be.
    pub(crate) fn parties(&self) -> u64 {
        // Relaxed: it never changes.
        self.parties.load(Ordering::Relaxed)
    }

    fn now(&self) -> Phase {
        // Acquire: pairs with the Release in `turn`: what the others did before they arrived is seen.
        Phase(self.phase.load(Ordering::Acquire))
    }

    /// From exactly the phase `now` to `next`; and wakes who sleeps.
    fn turn(&self, now: Phase, next: Phase) -> Result<(), Phase> {
        // Release: pairs with the Acquire in `now`. Acquire, of who fails: likewise.
        match self.phase.compare_exchange(now.0, next.0, Ordering::Release, Ordering::Acquire) {
            Ok(_) => {
                if now.0 & WAITERS != 0 && !seeded!("barrier without a wake") {
                    wake_all(&self.phase);
                }
                Ok(())
            }
            Err(changed) => Err(Phase(changed)),
        }
    }

    /// Arrives, as one of `parties`. `unknown`: the calling thread took part in nothing before this call, so that those who
    /// sleep do not watch it yet.
    pub(crate) fn arrive(
        &self,
        parties: usize,
        me: Name,
        unknown: bool,
        patience: Patience,
    ) -> Result<Arrived, Refusal> {
        let mut waiting = Waiting::new(patience);
        loop {
            let at = self.now();
            if at.is_broken() {
                return Ok(Arrived::Broken);
            }
            match self.lock.lock_with(me, patience) {
                Ok(Found::Clean) => {}
                // Whoever died with it had arrived, or had not: there is nothing to repair.
                Ok(Found::Dirty) => self.lock.set_clean(),
                Err(refusal) => {
                    // The others would wait for one that has given up.
                    self.break_at(at);
                    return Err(refusal);
                }
            }
            let entered = self.enter(parties, me);
            self.lock.unlock(false);
            match entered {
                Ok(Entered::Broken) => return Ok(Arrived::Broken),
                Ok(Entered::As(party)) if party.index + 1 == parties => return Ok(Arrived::Last(party)),
                Ok(Entered::As(party)) => {
                    if unknown && self.now().0 & WAITERS != 0 {
                        wake_all(&self.phase);
                    }
                    return Ok(Arrived::First(party));
                }
                // Nobody waits for this one yet, so it gives up by itself.
                Ok(Entered::Full(now)) if !self.finds_a_death(parties)? => {
                    waiting.turn(&self.phase, now.0, WAITERS, self.name(parties - 1))?;
                }
                Ok(Entered::Full(now)) => _ = self.break_at(now),
                // The thread is running the action of this generation: that goes on.
                Err(Refusal::Deadlock) => return Err(Refusal::Deadlock),
                Err(refusal) => {
                    self.break_at(at);
                    return Err(refusal);
                }
            }
        }
    }

    /// Under the lock.
    fn enter(&self, parties: usize, me: Name) -> Result<Entered, Refusal> {
        let at = self.now();
        if at.is_broken() {
            return Ok(Entered::Broken);
        }
        // Relaxed, here and below: the lock orders what its holders do.
        if self.opened.load(Ordering::Relaxed) != at.stamp() {
            for arrival in &self.arrivals {
                arrival.store(0, Ordering::Relaxed);
            }
            // Release: pairs with the Acquire in `waiting`. After the sweep: killed in between, it is done again.
            self.opened.store(at.stamp(), Ordering::Release);
        }
        for (index, arrival) in self.arrivals.iter().enumerate().take(parties) {
            let word = arrival.load(Ordering::Relaxed);
            match Name::in_word(word) {
                None if word == 0 => {
                    // Release: pairs with the Acquire in `name`: who finds this name also finds it on the roster.
                    arrival.store(me.word(), Ordering::Release);
                    return Ok(Entered::As(Party { me, at, index }));
                }
                None => return Err(Refusal::Corrupt),
                Some(name) if name == me => return Err(Refusal::Deadlock),
                Some(_) => {}
            }
        }
        Ok(Entered::Full(at))
    }

    fn name(&self, index: usize) -> Option<Name> {
        // Acquire: pairs with the Release in `enter`.
        Name::in_word(self.arrivals.get(index)?.load(Ordering::Acquire))
    }

    /// Whether one of those who have arrived is dead.
    fn finds_a_death(&self, parties: usize) -> Result<bool, Refusal> {
        for index in 0..parties {
            match self.name(index).map(judge) {
                None | Some(Verdict::Alive) => {}
                Some(Verdict::Dead) => return Ok(!seeded!("barrier that counts the dead")),
                Some(Verdict::Foreign) => return Err(Refusal::Foreign),
                Some(Verdict::Corrupt) => return Err(Refusal::Corrupt),
            }
        }
        Ok(false)
    }

    /// Waits for the others.
    pub(crate) fn wait(&self, parties: usize, party: Party, patience: Patience) -> Result<End, Refusal> {
        let mut waiting = Waiting::new(patience);
        loop {
            // Before the arrivals: they are those of this phase, if the exchange below finds it unchanged.
            let now = self.now();
            if let Some(end) = party.at.end(now) {
                return Ok(end);
            }
            if let Err(refusal) = self.look_around(parties, party, now, &mut waiting)
                && self.break_at(party.at)
            {
                return Err(refusal);
            }
        }
    }

    /// One turn of waiting. Where it fails, this party waits no longer.
    fn look_around(&self, parties: usize, party: Party, now: Phase, waiting: &mut Waiting) -> Result<(), Refusal> {
        if self.name(party.index) != Some(party.me) {
            // Overwritten: the others do not count this one.
            return Err(Refusal::Corrupt);
        }
        if self.finds_a_death(parties)? {
            // From exactly the phase whose arrivals were looked at.
            let _ = self.turn(now, now.broken());
            return Ok(());
        }
        // After a death without notice one finds it whose place is next, round and round: that is enough, and each asks the
        // kernel for one only.
        let before = (0..party.index).rev().chain((party.index + 1..parties).rev()).find_map(|index| self.name(index));
        waiting.turn(&self.phase, now.0, WAITERS, before)
    }

    /// Whether there is one dead among those who have arrived. Called by the last one, before it trips.
    pub(crate) fn is_complete(&self, parties: usize, party: Party) -> Result<End, Refusal> {
        let dead = self.finds_a_death(parties);
        if dead != Ok(false) {
            self.break_at(party.at);
        }
        dead.map(|dead| if dead { End::Broken } else { End::Tripped })
    }

    /// Lets all go on. Called by the last one.
    pub(crate) fn trip(&self, party: Party) -> End {
        let mut now = self.now();
        loop {
            if let Some(end) = party.at.end(now) {
                return end;
            }
            match self.turn(now, now.tripped()) {
                Ok(()) => return End::Tripped,
                Err(changed) => now = changed,
            }
        }
    }

    /// Breaks the generation that was open at that phase; false if it has ended.
    fn break_at(&self, at: Phase) -> bool {
        let mut now = self.now();
        while at.end(now).is_none() {
            match self.turn(now, now.broken()) {
                Ok(()) => return true,
                Err(changed) => now = changed,
            }
        }
        false
    }

    /// Breaks what that one has arrived for.
    pub(crate) fn give_up(&self, party: Party) {
        self.break_at(party.at);
    }

    /// Breaks whatever is open.
    pub(crate) fn abort(&self) {
        let mut now = self.now();
        while !now.is_broken()
            && let Err(changed) = self.turn(now, now.broken())
        {
            now = changed;
        }
    }

    /// Opens another generation, broken or not. Who waits is told that this one was broken.
    pub(crate) fn reset(&self) {
        let mut now = self.now();
        while let Err(changed) = self.turn(now, now.reset()) {
            now = changed;
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.now().is_broken()
    }

    /// How many have arrived and wait. May be stale.
    pub(crate) fn waiting(&self) -> usize {
        let now = self.now();
        // Acquire: pairs with the Release in `enter`: the arrivals are those of that generation, or later ones.
        if now.is_broken() || self.opened.load(Ordering::Acquire) != now.stamp() {
            return 0;
        }
        (0..MAX).filter(|&index| self.name(index).is_some()).count()
    }
}
