//! Scenes of one slot. Nobody is struck out alive, nobody who died is taken for alive for good, and no name is given twice.

use std::rc::Rc;

use super::name::TENURES;
use super::tenancy::Tenure;
use super::{AtomicU32, AtomicU64, Name, OWNER_DIED, Ordering, TAG, Verdict, WAITERS};
use crate::explore::{each_death, each_order};
use crate::world::{i_am, may_die_here, thread, thread_and_then};

/// The only slot.
struct Slot {
    tenure: Tenure,
    life: AtomicU32,
    /// Whose identity it is.
    who: AtomicU64,
    /// A bit for each number of a thread that `/proc` does not show any more.
    gone: AtomicU64,
}

impl Slot {
    /// So many have had it before.
    fn new(count: u64) -> Rc<Slot> {
        Rc::new(Slot {
            tenure: Tenure::new(count),
            life: AtomicU32::new(0),
            who: AtomicU64::new(0),
            gone: AtomicU64::new(0),
        })
    }

    /// As the roster's `sit_down`, which goes on to the next slot where this one is not to be had.
    fn sit_down(&self, number: usize) -> Option<Name> {
        if !self.tenure.is_open(&self.life) || !self.lock_life(number as u32) {
            return None;
        }
        let count = self.tenure.begin()?;
        self.who.store(number as u64, Ordering::Relaxed);
        self.tenure.announce(count, &self.life);
        Some(Name::new(TAG, count, 1))
    }

    /// As `pthread_mutex_trylock` of a robust mutex, and `pthread_mutex_consistent`.
    fn lock_life(&self, tid: u32) -> bool {
        let mut now = 0;
        loop {
            let new = if now & OWNER_DIED != 0 { now & WAITERS | tid } else { tid };
            match self.life.compare_exchange(now, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return true,
                Err(changed) if changed & OWNER_DIED != 0 => now = changed,
                Err(_) => return false,
            }
        }
    }

    /// What the kernel does when a thread ends.
    fn end(&self, number: usize) {
        self.mark(number);
        // After the mark, if there is one.
        self.gone.fetch_or(1 << number, Ordering::Release);
    }

    fn mark(&self, number: usize) {
        let mut now = self.life.load(Ordering::Relaxed);
        while now & !(WAITERS | OWNER_DIED) == number as u32 {
            match self.life.compare_exchange(now, now & WAITERS | OWNER_DIED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(changed) => now = changed,
            }
        }
    }

    fn judge(&self, name: Name) -> Verdict {
        self.tenure.verdict(name.tenure(), Some(&self.life))
    }

    /// As the roster's.
    fn look_for_the_truth(&self, name: Name) -> Verdict {
        let verdict = self.judge(name);
        if verdict != Verdict::Alive {
            return verdict;
        }
        let who = self.who.load(Ordering::Relaxed);
        if self.gone.load(Ordering::Acquire) & 1 << who == 0 {
            return Verdict::Alive;
        }
        self.tenure.mark_dead(name.tenure(), &self.life);
        Verdict::Dead
    }

    /// A thread that sits down for a while, and ends.
    fn tenant(self: &Rc<Slot>, number: usize, life: impl FnOnce(Name) + 'static) -> loom::thread::JoinHandle<()> {
        let (slot, same) = (Rc::clone(self), Rc::clone(self));
        thread_and_then(number, move |_| slot.sit_down(number).map(life), move |_| same.end(number))
    }

    /// A thread that sits down, and stays.
    fn lasting(self: &Rc<Slot>, number: usize) -> loom::thread::JoinHandle<Option<Option<Name>>> {
        let slot = Rc::clone(self);
        thread(number, move |_| slot.sit_down(number))
    }
}

/// One sits down and ends just when another is about to; a third looks for the truth about the first.
#[test]
fn the_dead_do_not_drag_the_living_along() {
    each_order(|| {
        let slot = Slot::new(0);
        let first = Rc::new(AtomicU64::new(0));
        let brief = slot.tenant(2, {
            let first = Rc::clone(&first);
            move |name| first.store(name.word(), Ordering::Release)
        });
        let lasting = slot.lasting(3);
        i_am(1);
        let first = Name::in_word(first.load(Ordering::Acquire));
        let verdict = first.map(|first| slot.look_for_the_truth(first));
        brief.join().unwrap();
        let lasting = lasting.join().unwrap().unwrap();
        if let Some(name) = lasting {
            assert_eq!(slot.judge(name), Verdict::Alive, "struck out alive");
            assert_ne!(first, lasting, "a name given twice");
        }
        assert_ne!(verdict, Some(Verdict::Corrupt));
        if let Some(first) = first {
            assert_eq!(slot.judge(first), Verdict::Dead);
        }
    });
}

/// Two would sit down where one has died.
#[test]
fn one_follows_the_dead() {
    each_order(|| {
        let slot = Slot::new(0);
        let first = slot.sit_down(4).unwrap();
        slot.end(4);
        let two = [2, 3].map(|number| slot.lasting(number));
        i_am(1);
        assert_eq!(slot.judge(first), Verdict::Dead);
        let two = two.map(|lasting| lasting.join().unwrap().unwrap());
        assert!(two[0].is_none() || two[1].is_none(), "the place of one was given to two");
        for name in two.into_iter().flatten() {
            assert_eq!(slot.judge(name), Verdict::Alive, "struck out alive");
            assert_ne!(name, first, "a name given twice");
        }
    });
}

/// Who dies at any step of sitting down leaves a place that others can have.
#[test]
fn who_sits_down_dies() {
    each_death(2, || {
        let slot = Slot::new(0);
        let victim = slot.tenant(2, |_| may_die_here());
        let other = slot.lasting(3);
        i_am(1);
        victim.join().unwrap();
        let name = other.join().unwrap().unwrap().or_else(|| slot.sit_down(1));
        assert_eq!(slot.judge(name.expect("the place is free")), Verdict::Alive);
    });
}

/// Of a death that the kernel has not marked two find out, while a third would have the place.
#[test]
fn a_silent_death_is_found_out() {
    each_order(|| {
        let slot = Slot::new(0);
        let silent = slot.sit_down(4).unwrap();
        slot.gone.fetch_or(1 << 4, Ordering::Release);
        let other = thread(2, {
            let slot = Rc::clone(&slot);
            move |_| slot.look_for_the_truth(silent)
        });
        let lasting = slot.lasting(3);
        i_am(1);
        // Alive where the next tenant's identity is there already: no death is known so far.
        for verdict in [slot.look_for_the_truth(silent), other.join().unwrap().unwrap()] {
            assert_ne!(verdict, Verdict::Corrupt);
        }
        let name = lasting.join().unwrap().unwrap().or_else(|| slot.sit_down(1));
        assert_eq!(slot.judge(name.expect("the place is free")), Verdict::Alive, "struck out alive");
        assert_eq!(slot.judge(silent), Verdict::Dead);
    });
}

/// There is one tenure left for two.
#[test]
fn tenures_end() {
    each_order(|| {
        let slot = Slot::new(TENURES - 2);
        let brief = slot.tenant(2, |_| ());
        let lasting = slot.lasting(3);
        i_am(1);
        brief.join().unwrap();
        lasting.join().unwrap();
        assert_eq!(slot.sit_down(1), None);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("the_dead_do_not_drag_the_living_along", "roster: whoever is there is marked", "struck out alive"),
            ("one_follows_the_dead", "roster: tenure read after life", "struck out alive"),
            ("the_dead_do_not_drag_the_living_along", "nothing acquires", "a name given twice"),
        ],
    );
}
