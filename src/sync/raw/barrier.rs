//! The words of a barrier.

use super::mutex::RawMutex;
use super::phase::{End, Phase};
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
        Phase::of(self.phase.load(Ordering::Acquire))
    }

    /// From exactly the phase `now` to `next`; and wakes who sleeps.
    fn turn(&self, now: Phase, next: Phase) -> Result<(), Phase> {
        // Release: pairs with the Acquire in `now`. Acquire, of who fails: likewise.
        match self.phase.compare_exchange(now.word(), next.word(), Ordering::Release, Ordering::Acquire) {
            Ok(_) => {
                if now.word() & Phase::WAITERS != 0 && !seeded!("barrier without a wake") {
                    wake_all(&self.phase);
                }
                Ok(())
            }
            Err(changed) => Err(Phase::of(changed)),
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
                // Clean or not: who died with it had arrived, or had not, and left nothing to repair.
                Ok(_) => {}
                // One that is just arriving has the lock: not a reason to give up, even for who does not wait.
                Err(Refusal::NotNow) if waiting.may_look_again() => continue,
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
                    if unknown && self.now().word() & Phase::WAITERS != 0 {
                        wake_all(&self.phase);
                    }
                    return Ok(Arrived::First(party));
                }
                // Nobody waits for this one yet, so it gives up by itself.
                Ok(Entered::Full(now)) if !self.finds_a_death(parties)? => {
                    let wanted = || self.finds_a_death(parties) == Ok(false);
                    waiting.turn_while(&self.phase, now.word(), Phase::WAITERS, self.name(parties - 1), wanted)?;
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
        // Who comes and dies changes an arrival, and not the phase.
        waiting.turn_while(&self.phase, now.word(), Phase::WAITERS, before, || self.finds_a_death(parties) == Ok(false))
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
