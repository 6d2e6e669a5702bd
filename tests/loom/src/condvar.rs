//! Scenes of `RawCondvar`.

use std::rc::Rc;

use crate::explore::{each_death, each_death_in_a_crowd, each_order};
use crate::guarded::Guarded;
use crate::primitive::{Instant, Name};
use crate::raw::Patience;
use crate::raw::condvar::RawCondvar;
use crate::raw::mutex::{Found, RawMutex};
use crate::twins::DEADLOCK;
use crate::world::{i_am, the_deadline_comes, thread, thread_and_then};

/// A number of things to have, which is guarded by a mutex; and a condition variable that tells when there are more.
struct Store {
    mutex: RawMutex,
    more: RawCondvar,
    things: Guarded<u32>,
}

impl Store {
    fn new() -> Rc<Store> {
        Rc::new(Store { mutex: RawMutex::new(), more: RawCondvar::new(), things: Guarded::new(0) })
    }

    fn lock(&self, me: Name) -> Found {
        self.mutex.lock_with(me, Patience::Endless).expect("locked")
    }

    /// Takes a thing. False if somebody died over it.
    fn take(&self, me: Name) -> bool {
        let mut found = self.lock(me);
        while found == Found::Clean && self.things.get() == 0 {
            let ticket = self.more.ticket();
            self.mutex.unlock(false);
            assert!(self.more.wait(ticket, &self.mutex, Patience::Endless));
            found = self.lock(me);
        }
        if found == Found::Clean {
            self.things.set(self.things.get() - 1);
        }
        self.mutex.unlock(found == Found::Dirty);
        found == Found::Clean
    }

    /// Waits until there is a thing, and leaves it there.
    fn see(&self, me: Name) {
        while self.lock(me) == Found::Clean && self.things.get() == 0 {
            let ticket = self.more.ticket();
            self.mutex.unlock(false);
            assert!(self.more.wait(ticket, &self.mutex, Patience::Endless));
        }
        self.mutex.unlock(false);
    }

    fn put(&self, me: Name, things: u32, notify: impl FnOnce(&RawCondvar)) {
        let found = self.lock(me);
        self.things.set(self.things.get() + things);
        self.mutex.unlock(found == Found::Dirty);
        notify(&self.more);
    }

    fn take_in(self: &Rc<Store>, number: usize) -> loom::thread::JoinHandle<Option<bool>> {
        let store = Rc::clone(self);
        thread(number, move |me| store.take(me))
    }
}

#[test]
fn one_is_told() {
    each_order(|| {
        let store = Store::new();
        let taker = store.take_in(2);
        store.put(i_am(1), 1, RawCondvar::notify_one);
        assert_eq!(taker.join().unwrap(), Some(true));
    });
}

#[test]
fn two_are_told_one_by_one() {
    each_order(|| {
        let store = Store::new();
        let takers = [2, 3].map(|number| store.take_in(number));
        let me = i_am(1);
        store.put(me, 1, RawCondvar::notify_one);
        store.put(me, 1, RawCondvar::notify_one);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Some(true));
        }
    });
}

#[test]
fn two_are_told_at_once() {
    each_order(|| {
        let store = Store::new();
        let takers = [2, 3].map(|number| store.take_in(number));
        store.put(i_am(1), 2, RawCondvar::notify_all);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Some(true));
        }
    });
}

/// A notification goes to nobody who has given up.
#[test]
fn the_impatient_take_no_notification() {
    each_order(|| {
        let store = Store::new();
        let taker = store.take_in(2);
        let impatient = thread(3, {
            let store = Rc::clone(&store);
            move |me| {
                store.lock(me);
                let ticket = store.more.ticket();
                store.mutex.unlock(false);
                store.more.wait(ticket, &store.mutex, Patience::Until(Instant));
                // Told or not, it leaves the thing to others.
                store.more.notify_one();
            }
        });
        let me = i_am(1);
        the_deadline_comes();
        store.put(me, 1, RawCondvar::notify_one);
        assert_eq!(taker.join().unwrap(), Some(true));
        impatient.join().unwrap();
    });
}

/// Who notifies dies over it, with the mutex. Who waits is told of the death, or finds what was put.
#[test]
fn who_notifies_dies() {
    each_death(2, || {
        let store = Store::new();
        let taker = store.take_in(3);
        let victim = thread(2, {
            let store = Rc::clone(&store);
            move |me| {
                let found = store.lock(me);
                store.things.set(store.things.get() + 1);
                store.more.notify_all();
                store.mutex.unlock(found == Found::Dirty);
            }
        });
        let whole = victim.join().unwrap().is_some();
        if !whole {
            // Whoever is told of the death, and repairs, notifies in the place of the dead.
            let me = i_am(1);
            let found = store.lock(me);
            let missing = found == Found::Dirty || store.things.get() == 0;
            store.mutex.unlock(found == Found::Dirty);
            if missing {
                store.put(me, 1, RawCondvar::notify_all);
            }
        }
        let had = taker.join().unwrap().unwrap();
        assert!(had || !whole);
    });
}

/// Who would notify dies with the mutex: who waits for it comes back, to be told when it locks.
#[test]
fn who_would_notify_dies() {
    each_death(2, || {
        let store = Store::new();
        let me = i_am(1);
        // As if it had locked, found nothing, and unlocked.
        let ticket = store.more.ticket();
        let (theirs, ours) = (Rc::clone(&store), Rc::clone(&store));
        let victim = thread_and_then(
            2,
            move |me| {
                theirs.lock(me);
                theirs.more.notify_one();
                theirs.mutex.unlock(false);
            },
            move |whole| {
                // It has died without the mutex: its parent notifies.
                if whole.is_none() && !ours.mutex.is_locked() {
                    ours.more.notify_one();
                }
            },
        );
        assert!(store.more.wait(ticket, &store.mutex, Patience::Endless));
        victim.join().unwrap();
        store.lock(me);
    });
}

/// A notification does not die with who gets it.
#[test]
fn who_is_told_dies() {
    each_death_in_a_crowd(2, || {
        let store = Store::new();
        let [victim, other] = [2, 3].map(|number| {
            let (store, same) = (Rc::clone(&store), Rc::clone(&store));
            thread_and_then(
                number,
                move |me| store.see(me),
                // Who has seen it tells the next.
                move |seen| seen.map(|()| same.more.notify_one()),
            )
        });
        store.put(i_am(1), 1, RawCondvar::notify_one);
        victim.join().unwrap();
        other.join().unwrap().unwrap();
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("one_is_told", "condvar without a wake", DEADLOCK),
            ("two_are_told_at_once", "condvar without a wake", DEADLOCK),
            ("who_is_told_dies", "only the owner is watched", DEADLOCK),
            ("who_would_notify_dies", "missing recheck", DEADLOCK),
        ],
    );
}
