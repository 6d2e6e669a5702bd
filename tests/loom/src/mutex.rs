//! Scenes of `RawMutex`.

use std::rc::Rc;

use crate::explore::{each_death, each_order, each_two_deaths};
use crate::guarded::Guarded;
use crate::primitive::{Instant, Name};
use crate::raw::mutex::{Found, RawMutex};
use crate::raw::{Patience, Refusal};
use crate::twins::{DEADLOCK, ENDLESS, RACE};
use crate::world::{Before, died, give_back, i_am, may_die_here, the_deadline_comes, thread};

/// A mutex, and two numbers that are equal while nobody holds it.
struct Pair {
    mutex: RawMutex,
    both: Guarded<[u32; 2]>,
}

impl Pair {
    fn new() -> Rc<Pair> {
        Rc::new(Pair { mutex: RawMutex::new(), both: Guarded::new([0, 0]) })
    }

    fn lock(&self, me: Name) -> Found {
        self.mutex.lock_with(me, Patience::Endless).expect("locked")
    }

    /// Locks, counts, unlocks. How the mutex was found.
    fn count(&self, me: Name) -> Found {
        let found = self.lock(me);
        if found == Found::Dirty {
            self.repair();
        }
        self.change();
        self.mutex.unlock(false);
        found
    }

    /// The holder adds one to both.
    fn change(&self) {
        let [a, b] = self.both.get();
        assert_eq!(a, b, "half done, and nobody was told");
        self.both.set([a + 1, b]);
        may_die_here();
        self.both.set([a + 1, b + 1]);
    }

    fn repair(&self) {
        let [a, _] = self.both.get();
        self.both.set([a, a]);
        may_die_here();
        self.mutex.set_clean();
    }

    /// [`Pair::count`] in another thread. None if it died.
    fn count_in(self: &Rc<Pair>, number: usize) -> loom::thread::JoinHandle<Option<Found>> {
        let pair = Rc::clone(self);
        thread(number, move |me| pair.count(me))
    }
}

#[test]
fn two_exclude_each_other() {
    each_order(|| {
        let pair = Pair::new();
        let other = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| [pair.count(me), pair.count(me)]
        });
        let me = i_am(1);
        assert_eq!([pair.count(me), pair.count(me)], [Found::Clean; 2]);
        assert_eq!(other.join().unwrap(), Some([Found::Clean; 2]));
        assert_eq!(pair.both.get(), [4, 4]);
        assert!(!pair.mutex.is_locked());
    });
}

#[test]
fn three_exclude_each_other() {
    each_order(|| {
        let pair = Pair::new();
        let others = [2, 3].map(|number| pair.count_in(number));
        assert_eq!(pair.count(i_am(1)), Found::Clean);
        for other in others {
            assert_eq!(other.join().unwrap(), Some(Found::Clean));
        }
        assert_eq!(pair.both.get(), [3, 3]);
    });
}

#[test]
fn four_exclude_each_other() {
    each_order(|| {
        let pair = Pair::new();
        let others = [2, 3, 4].map(|number| pair.count_in(number));
        assert_eq!(pair.count(i_am(1)), Found::Clean);
        for other in others {
            assert_eq!(other.join().unwrap(), Some(Found::Clean));
        }
        assert_eq!(pair.both.get(), [4, 4]);
    });
}

#[test]
fn a_second_lock_is_refused() {
    each_order(|| {
        let pair = Pair::new();
        let other = pair.count_in(2);
        let me = i_am(1);
        pair.lock(me);
        assert_eq!(pair.mutex.lock_with(me, Patience::Endless), Err(Refusal::Deadlock));
        assert_eq!(pair.mutex.lock_with(me, Patience::None), Err(Refusal::Deadlock));
        pair.mutex.unlock(false);
        other.join().unwrap();
    });
}

#[test]
fn a_try_does_not_wait() {
    each_order(|| {
        let pair = Pair::new();
        let tries = |pair: Rc<Pair>, number| {
            thread(number, move |me| match pair.mutex.lock_with(me, Patience::None) {
                Ok(found) => {
                    assert_eq!(found, Found::Clean);
                    pair.change();
                    pair.mutex.unlock(false);
                    1
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::NotNow);
                    0
                }
            })
        };
        let early = tries(Rc::clone(&pair), 2);
        let me = i_am(1);
        pair.lock(me);
        assert_eq!(tries(Rc::clone(&pair), 3).join().unwrap(), Some(0));
        pair.change();
        pair.mutex.unlock(false);
        let had = early.join().unwrap().unwrap();
        assert_eq!(pair.both.get(), [1 + had; 2]);
    });
}

/// Who gives up takes no wake with it, and leaves no name.
#[test]
fn the_impatient_harm_nobody() {
    each_order(|| {
        let pair = Pair::new();
        let holder = pair.count_in(2);
        let patient = pair.count_in(3);
        let impatient = thread(4, {
            let pair = Rc::clone(&pair);
            move |me| match pair.mutex.lock_with(me, Patience::Until(Instant)) {
                Ok(_) => {
                    pair.change();
                    pair.mutex.unlock(false);
                    1
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::NotNow);
                    0
                }
            }
        });
        the_deadline_comes();
        holder.join().unwrap();
        patient.join().unwrap();
        let had = impatient.join().unwrap().unwrap();
        assert_eq!(pair.both.get(), [2 + had; 2]);
        assert!(!pair.mutex.is_locked());
    });
}

/// Whoever has counted last gives the memory back, while the other may still be in its `unlock`.
#[test]
fn nothing_is_touched_after_the_unlock() {
    each_order(|| {
        let pair = Pair::new();
        let other = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| count_and_give_back(&pair, me)
        });
        let me = i_am(1);
        count_and_give_back(&pair, me);
        other.join().unwrap();
    });

    fn count_and_give_back(pair: &Pair, me: Name) {
        pair.lock(me);
        pair.change();
        let last = pair.both.get() == [2, 2];
        pair.mutex.unlock(false);
        if last {
            give_back(&pair.mutex);
        }
    }
}

/// What is left undone is told to the next, and the next, until it is repaired.
#[test]
fn what_is_left_undone_is_told() {
    each_order(|| {
        let pair = Pair::new();
        let leave = |pair: &Pair, me: Name| {
            let found = pair.lock(me);
            pair.mutex.unlock(true);
            found
        };
        let me = i_am(1);
        assert_eq!(leave(&pair, me), Found::Clean);
        let other = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| [leave(&pair, me), leave(&pair, me)]
        });
        assert_eq!([leave(&pair, me), leave(&pair, me)], [Found::Dirty; 2]);
        assert_eq!(other.join().unwrap(), Some([Found::Dirty; 2]));
        assert_eq!(pair.count(me), Found::Dirty);
        assert_eq!(pair.count(me), Found::Clean);
    });
}

/// Thread `number` only counts. If it died as the holder, one was told; otherwise nobody.
fn told_if_it_died_holding(pair: &Pair, number: usize, found: &[Found]) {
    // Between its exchange and its return from `lock` there is no step: who dies before a change has either not locked, or is
    // about to unlock. Both numbers tell which.
    let told = found.iter().filter(|&&found| found == Found::Dirty).count();
    let [a, b] = pair.both.get();
    assert_eq!(a, b);
    let counted = found.len() as u32;
    match died(number) {
        // Its own half-done change is repaired to a whole one.
        Some(Before::Work) => assert_eq!((told, a), (1, counted + 1)),
        Some(Before::Wake) => assert_eq!((told, a), (0, counted + 1)),
        Some(Before::Change) if a == counted + 1 => assert_eq!(told, 1),
        Some(_) => assert_eq!((told, a), (0, counted)),
        None => assert_eq!((told, a), (0, counted + 1)),
    }
}

#[test]
fn a_death_is_told_to_one() {
    each_death(2, || {
        let pair = Pair::new();
        let other = pair.count_in(2);
        let me = i_am(1);
        let first = pair.count(me);
        other.join().unwrap();
        let last = pair.count(me);
        told_if_it_died_holding(&pair, 2, &[first, last]);
    });
}

#[test]
fn a_death_is_told_to_one_of_two() {
    each_death(2, || {
        let pair = Pair::new();
        let victim = pair.count_in(2);
        let other = pair.count_in(3);
        let me = i_am(1);
        let first = pair.count(me);
        victim.join().unwrap();
        let second = other.join().unwrap().unwrap();
        let last = pair.count(me);
        told_if_it_died_holding(&pair, 2, &[first, second, last]);
    });
}

/// The mark of a death stays until the repair is whole, whoever dies over it.
#[test]
fn a_repairer_dies() {
    each_two_deaths([2, 3], || {
        let pair = Pair::new();
        pair.count_in(2).join().unwrap();
        let repairer = pair.count_in(3);
        let me = i_am(1);
        pair.count(me);
        repairer.join().unwrap();
        pair.count(me);
        let [a, b] = pair.both.get();
        assert!(a == b && (2..=4).contains(&a));
        assert_eq!(pair.count(me), Found::Clean);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("two_exclude_each_other", "forgotten waiter flag", DEADLOCK),
            ("two_exclude_each_other", "wake before store", DEADLOCK),
            ("two_exclude_each_other", "nothing acquires", RACE),
            ("two_exclude_each_other", "nothing releases", RACE),
            ("nothing_is_touched_after_the_unlock", "unlock then touch", RACE),
            ("a_death_is_told_to_one", "owner and word written apart", ENDLESS),
            ("a_death_is_told_to_one_of_two", "only the owner is watched", DEADLOCK),
            ("a_death_is_told_to_one_of_two", "recovery not idempotent", "half done, and nobody was told"),
            ("a_repairer_dies", "recovery not idempotent", "half done, and nobody was told"),
        ],
    );
}
