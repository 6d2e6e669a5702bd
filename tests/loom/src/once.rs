//! Scenes of `RawOnce`.

use std::rc::Rc;

use crate::explore::{each_death, each_order};
use crate::guarded::Guarded;
use crate::primitive::{Instant, Name};
use crate::raw::once::{Begun, RawOnce, Waited};
use crate::raw::{Patience, Refusal};
use crate::twins::{DEADLOCK, RACE};
use crate::world::{Before, died, give_back, i_am, may_die_here, the_deadline_comes, thread};

/// A once, and two numbers that are equal when it is done.
struct Made {
    once: RawOnce,
    both: Guarded<[u32; 2]>,
}

impl Made {
    fn new() -> Rc<Made> {
        Rc::new(Made { once: RawOnce::new(), both: Guarded::new([0, 0]) })
    }

    /// Makes it, unless it is made. What came of that.
    fn make(&self, me: Name) -> Begun {
        let begun = self.once.begin(me, Patience::Endless).expect("begun");
        if let Begun::Run { after_death } = begun {
            let [a, b] = self.both.get();
            assert!(after_death || [a, b] == [0, 0], "an earlier run, and nobody was told");
            self.both.set([a + 1, b]);
            may_die_here();
            self.both.set([a + 1, a + 1]);
            self.once.complete();
        } else {
            self.look();
        }
        begun
    }

    fn look(&self) {
        let [a, b] = self.both.get();
        assert!(a == b && a > 0);
    }

    fn make_in(self: &Rc<Made>, number: usize) -> loom::thread::JoinHandle<Option<Begun>> {
        let made = Rc::clone(self);
        thread(number, move |me| made.make(me))
    }
}

const RUN: Begun = Begun::Run { after_death: false };
const AGAIN: Begun = Begun::Run { after_death: true };

#[test]
fn one_of_three_runs() {
    each_order(|| {
        let made = Made::new();
        let others = [2, 3].map(|number| made.make_in(number));
        let mine = made.make(i_am(1));
        let all = [Some(mine)].into_iter().chain(others.map(|other| other.join().unwrap()));
        assert_eq!(all.filter(|&begun| begun == Some(RUN)).count(), 1);
        assert!(made.once.is_complete());
        assert_eq!(made.both.get(), [1, 1]);
    });
}

#[test]
fn who_waits_sees_what_was_made() {
    each_order(|| {
        let made = Made::new();
        let waiter = thread(2, {
            let made = Rc::clone(&made);
            move |_| {
                assert_eq!(made.once.wait(None, false, Patience::Endless), Ok(Waited::Complete));
                made.look();
            }
        });
        let looker = thread(3, {
            let made = Rc::clone(&made);
            move |_| {
                if made.once.is_complete() {
                    made.look();
                }
            }
        });
        made.make(i_am(1));
        waiter.join().unwrap();
        looker.join().unwrap();
    });
}

/// What is given up is begun again, by one who is told.
#[test]
fn what_is_given_up_is_told() {
    each_order(|| {
        let made = Made::new();
        let me = i_am(1);
        assert_eq!(made.once.begin(me, Patience::Endless), Ok(RUN));
        let other = made.make_in(2);
        let waiter = thread(3, {
            let made = Rc::clone(&made);
            move |me| made.once.wait(Some(me), true, Patience::Endless)
        });
        made.both.set([1, 0]);
        made.once.give_up();
        assert_eq!(other.join().unwrap(), Some(AGAIN));
        assert_eq!(waiter.join().unwrap(), Some(Ok(Waited::Complete)));
        assert_eq!(made.both.get(), [2, 2]);
    });
}

#[test]
fn a_run_within_a_run_is_refused() {
    each_order(|| {
        let made = Made::new();
        let other = made.make_in(2);
        let me = i_am(1);
        if made.once.begin(me, Patience::Endless) == Ok(RUN) {
            assert_eq!(made.once.begin(me, Patience::Endless), Err(Refusal::Deadlock));
            assert_eq!(made.once.wait(Some(me), false, Patience::Endless), Err(Refusal::Deadlock));
            made.both.set([1, 1]);
            made.once.complete();
        }
        other.join().unwrap();
    });
}

#[test]
fn the_impatient_go_on() {
    each_order(|| {
        let made = Made::new();
        let me = i_am(1);
        assert_eq!(made.once.begin(me, Patience::Endless), Ok(RUN));
        let patient = made.make_in(2);
        let impatient = thread(3, {
            let made = Rc::clone(&made);
            move |me| match made.once.begin(me, Patience::Until(Instant)) {
                Ok(Begun::Complete) => made.look(),
                other => assert_eq!(other, Err(Refusal::NotNow)),
            }
        });
        the_deadline_comes();
        made.both.set([1, 1]);
        made.once.complete();
        assert_eq!(patient.join().unwrap(), Some(Begun::Complete));
        impatient.join().unwrap();
    });
}

#[test]
fn nothing_is_touched_after_the_end() {
    each_order(|| {
        let made = Made::new();
        let other = thread(2, {
            let made = Rc::clone(&made);
            move |me| {
                assert_eq!(made.once.begin(me, Patience::Endless), Ok(RUN));
                made.both.set([1, 1]);
                made.once.complete();
            }
        });
        let me = i_am(1);
        assert_eq!(made.once.wait(Some(me), false, Patience::Endless), Ok(Waited::Complete));
        give_back(&made.once);
        other.join().unwrap();
    });
}

/// A run that dies is run again, by one; nobody waits for it for ever; and a run that was finished is not run again.
#[test]
fn who_runs_dies() {
    each_death(2, || {
        let made = Made::new();
        let victim = made.make_in(2);
        let other = made.make_in(3);
        let mine = made.make(i_am(1));
        let theirs = other.join().unwrap().unwrap();
        let his = victim.join().unwrap();
        let [a, b] = made.both.get();
        assert_eq!(a, b);
        assert!(made.once.is_complete());
        let runs = [mine, theirs].into_iter().filter(|&begun| begun != Begun::Complete).count();
        let told = [mine, theirs].contains(&AGAIN);
        match (his, died(2)) {
            // It counted its own run in the second number or not; the next has seen one of the two.
            (None, Some(Before::Work)) => assert!(runs == 1 && told && a == 2),
            (None, Some(Before::Wake)) => assert!(runs == 0 && a == 1),
            (None, Some(Before::Change)) => assert!(runs == 1 && told == (a == 2)),
            (None, _) => assert!(runs == 1 && !told && a == 1),
            (Some(RUN), _) => assert!(runs == 0 && a == 1),
            (Some(_), _) => assert!(runs == 1 && !told && a == 1),
        }
    });
}

/// Who only waits is told that the last run has died, and does not wait beside a word that nobody will change.
#[test]
fn who_waits_is_told_of_a_death() {
    each_death(2, || {
        let made = Made::new();
        let victim = made.make_in(2);
        let waiter = thread(3, {
            let made = Rc::clone(&made);
            // Without a name.
            move |_| made.once.wait(None, false, Patience::Endless)
        });
        let me = i_am(1);
        let his = victim.join().unwrap();
        let begun = made.make(me);
        match waiter.join().unwrap() {
            Some(Ok(Waited::Complete)) => made.look(),
            Some(Ok(Waited::Died)) => assert!(his.is_none() && begun == AGAIN),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("one_of_three_runs", "once without a wake", DEADLOCK),
            ("one_of_three_runs", "nothing acquires", RACE),
            ("one_of_three_runs", "nothing releases", RACE),
            ("who_runs_dies", "the woken tells nobody", DEADLOCK),
        ],
    );
}
