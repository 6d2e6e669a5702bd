//! Scenes of `RawSemaphore`.

use std::rc::Rc;

use crate::explore::{each_death, each_death_in_a_crowd, each_order};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Instant, Name, Ordering};
use crate::raw::semaphore::{Permit, RawSemaphore, Without};
use crate::raw::{Patience, Refusal};
use crate::twins::{DEADLOCK, RACE};
use crate::world::{i_am, may_die_here, the_deadline_comes, thread, thread_and_then};

type Join<T> = loom::thread::JoinHandle<Option<T>>;

/// One permit, and what it guards.
struct Single {
    semaphore: RawSemaphore<1>,
    work: Guarded<u32>,
}

impl Single {
    fn new() -> Rc<Single> {
        Rc::new(Single { semaphore: RawSemaphore::new(1), work: Guarded::new(0) })
    }

    fn visit(&self, me: Name) {
        let permit = acquire(&self.semaphore, me);
        self.work.set(self.work.get() + 1);
        may_die_here();
        permit.give_back();
    }

    fn visit_in(self: &Rc<Single>, number: usize) -> Join<()> {
        let single = Rc::clone(self);
        thread(number, move |me| single.visit(me))
    }
}

fn acquire<const MAX: usize>(semaphore: &RawSemaphore<MAX>, me: Name) -> Permit<'_> {
    semaphore.acquire_with(me, Patience::Endless).expect("acquired")
}

#[test]
fn one_permit_excludes() {
    each_order(|| {
        let single = Single::new();
        let others = [2, 3].map(|number| single.visit_in(number));
        single.visit(i_am(1));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(single.work.get(), 3);
        assert_eq!(single.semaphore.available(), 1);
    });
}

#[test]
fn again_and_again() {
    each_order(|| {
        let single = Single::new();
        let other = thread(2, {
            let single = Rc::clone(&single);
            move |me| {
                single.visit(me);
                single.visit(me);
            }
        });
        let me = i_am(1);
        single.visit(me);
        single.visit(me);
        other.join().unwrap();
        assert_eq!(single.work.get(), 4);
    });
}

#[test]
fn two_permits_for_three() {
    each_order(|| {
        let semaphore = Rc::new(RawSemaphore::<2>::new(2));
        let inside = Rc::new(AtomicU64::new(0));
        let visit = |semaphore: &RawSemaphore<2>, inside: &AtomicU64, me| {
            let permit = acquire(semaphore, me);
            assert!(inside.fetch_add(1, Ordering::Relaxed) < 2, "more than there are permits");
            inside.fetch_sub(1, Ordering::Relaxed);
            permit.give_back();
        };
        let others = [2, 3].map(|number| {
            let (semaphore, inside) = (Rc::clone(&semaphore), Rc::clone(&inside));
            thread(number, move |me| visit(&semaphore, &inside, me))
        });
        visit(&semaphore, &inside, i_am(1));
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.available(), 2);
    });
}

/// As a signal: there is none at first, and each that is added lets one go on, who sees what was done before.
#[test]
fn what_is_added_is_had() {
    each_order(|| {
        let semaphore = Rc::new(RawSemaphore::<2>::new(0));
        let work = Rc::new(Guarded::new(0));
        let giver = thread(2, {
            let (semaphore, work) = (Rc::clone(&semaphore), Rc::clone(&work));
            move |_| {
                work.set(1);
                [semaphore.add(), semaphore.add()]
            }
        });
        let me = i_am(1);
        acquire(&semaphore, me).forget();
        assert_eq!(work.get(), 1);
        acquire(&semaphore, me).forget();
        assert_eq!(giver.join().unwrap(), Some([Ok(()), Ok(())]));
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn what_nobody_else_can_give_back_is_refused() {
    each_order(|| {
        let single = Single::new();
        let other = single.visit_in(2);
        let me = i_am(1);
        let permit = acquire(&single.semaphore, me);
        let again = single.semaphore.acquire_with(me, Patience::Endless).map(|_| ());
        assert_eq!(again, Err(Without::Refused(Refusal::Deadlock)));
        assert_eq!(single.semaphore.add(), Err(Without::Full));
        permit.give_back();
        other.join().unwrap();
    });
}

/// Who gives up takes no wake with it.
#[test]
fn the_impatient_harm_nobody() {
    each_order(|| {
        let single = Single::new();
        let patient = single.visit_in(2);
        let impatient = thread(3, {
            let single = Rc::clone(&single);
            move |me| match single.semaphore.acquire_with(me, Patience::Until(Instant)) {
                Ok(permit) => permit.give_back(),
                Err(without) => assert_eq!(without, Without::Refused(Refusal::NotNow)),
            }
        });
        let permit = single.semaphore.acquire_with(i_am(1), Patience::None);
        the_deadline_comes();
        if let Ok(permit) = permit {
            permit.give_back();
        }
        patient.join().unwrap();
        impatient.join().unwrap();
        assert_eq!(single.semaphore.available(), 1);
    });
}

/// The permit of a dead thread comes back.
#[test]
fn a_holder_dies() {
    each_death(2, || {
        let single = Single::new();
        let victim = single.visit_in(2);
        let me = i_am(1);
        single.visit(me);
        victim.join().unwrap();
        acquire(&single.semaphore, me).give_back();
        assert_eq!(single.semaphore.available(), 1);
    });
}

/// And a wake that dies with who gets it is made good.
#[test]
fn a_holder_dies_in_a_crowd() {
    each_death_in_a_crowd(2, || {
        let single = Single::new();
        let victim = single.visit_in(2);
        let other = single.visit_in(3);
        single.visit(i_am(1));
        victim.join().unwrap();
        other.join().unwrap();
        assert_eq!(single.semaphore.available(), 1);
    });
}

/// Who dies over adding a permit has added it or not; if it has, it is had.
#[test]
fn who_adds_dies() {
    each_death(2, || {
        let semaphore = Rc::new(RawSemaphore::<1>::new(0));
        let (theirs, ours) = (Rc::clone(&semaphore), Rc::clone(&semaphore));
        let giver = thread_and_then(
            2,
            move |_| theirs.add(),
            // Where there is none to be added, there is one already.
            move |whole| whole.is_some() || ours.add().is_ok(),
        );
        let me = i_am(1);
        acquire(&semaphore, me).give_back();
        giver.join().unwrap();
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("one_permit_excludes", "places: forgotten mark", DEADLOCK),
            ("one_permit_excludes", "nothing releases", RACE),
            ("a_holder_dies", "missing recheck", DEADLOCK),
            ("who_adds_dies", "missing recheck", DEADLOCK),
            ("a_holder_dies_in_a_crowd", "only the owner is watched", DEADLOCK),
        ],
    );
}
