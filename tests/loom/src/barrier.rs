//! Scenes of `RawBarrier`.

use std::rc::Rc;

use crate::explore::{each_death, each_death_in_a_crowd, each_order};
use crate::guarded::Guarded;
use crate::primitive::{Instant, Name};
use crate::raw::barrier::{Arrived, Party, RawBarrier};
use crate::raw::phase::End;
use crate::raw::{Patience, Refusal};
use crate::twins::{CORRUPT, DEADLOCK, ENDLESS};
use crate::world::{i_am, name_of, the_deadline_comes, thread, thread_and_then};

type Join<T> = loom::thread::JoinHandle<Option<T>>;

/// A barrier for so many, and what each has done before it comes there.
struct Round<const PARTIES: usize> {
    barrier: RawBarrier<PARTIES>,
    works: [Guarded<usize>; PARTIES],
}

impl<const PARTIES: usize> Round<PARTIES> {
    fn new() -> Rc<Round<PARTIES>> {
        Rc::new(Round { barrier: RawBarrier::new(PARTIES), works: std::array::from_fn(|_| Guarded::new(0)) })
    }

    /// As the library's `wait`: which one it was, if all came.
    fn meet(&self, me: Name, patience: Patience) -> Result<Option<usize>, Refusal> {
        match self.barrier.arrive(PARTIES, me, false, patience)? {
            Arrived::Broken => Ok(None),
            Arrived::First(party) => self.wait(party, patience),
            Arrived::Last(party) => {
                if self.barrier.is_complete(PARTIES, party)? == End::Broken {
                    return Ok(None);
                }
                Ok((self.barrier.trip(party) == End::Tripped).then_some(party.index))
            }
        }
    }

    fn wait(&self, party: Party, patience: Patience) -> Result<Option<usize>, Refusal> {
        let end = self.barrier.wait(PARTIES, party, patience)?;
        Ok((end == End::Tripped).then_some(party.index))
    }

    fn meet_in(self: &Rc<Self>, number: usize, patience: Patience) -> Join<Result<Option<usize>, Refusal>> {
        let round = Rc::clone(self);
        thread(number, move |me| round.meet(me, patience))
    }

    /// One that comes before anything else happens.
    fn first(&self, number: usize) -> Party {
        match self.barrier.arrive(PARTIES, name_of(number), false, Patience::Endless) {
            Ok(Arrived::First(party)) => party,
            other => panic!("{other:?}"),
        }
    }

    /// Works, meets the others, sees what they have done, and meets them again.
    fn go(&self, me: Name, mine: usize) -> [usize; 2] {
        self.works[mine].set(1);
        let first = self.meet(me, Patience::Endless).unwrap().expect("all came");
        assert!(self.works.iter().all(|work| work.get() == 1));
        let second = self.meet(me, Patience::Endless).unwrap().expect("all came");
        self.works[mine].set(2);
        [first, second]
    }
}

#[test]
fn two_meet_twice() {
    each_order(|| {
        let round = Round::<2>::new();
        let other = thread(2, {
            let round = Rc::clone(&round);
            move |me| round.go(me, 1)
        });
        let mine = round.go(i_am(1), 0);
        let theirs = other.join().unwrap().unwrap();
        assert_eq!([mine[0] + theirs[0], mine[1] + theirs[1]], [1, 1], "each has a number of its own");
    });
}

#[test]
fn three_meet() {
    each_order(|| {
        let round = Round::<3>::new();
        let others = [2, 3].map(|number| round.meet_in(number, Patience::Endless));
        let mine = round.meet(i_am(1), Patience::Endless).unwrap().unwrap();
        let theirs = others.map(|other| other.join().unwrap().unwrap().unwrap().unwrap());
        assert_eq!(mine + theirs[0] + theirs[1], 3);
    });
}

/// Who gives up breaks it for all, or none does.
#[test]
fn the_impatient_break_it_for_all() {
    each_order(|| {
        let round = Round::<2>::new();
        let impatient = round.meet_in(2, Patience::Until(Instant));
        let other = round.meet_in(3, Patience::Endless);
        i_am(1);
        the_deadline_comes();
        let other = other.join().unwrap().unwrap();
        match impatient.join().unwrap().unwrap() {
            Ok(Some(_)) => assert!(matches!(other, Ok(Some(_)))),
            impatient => {
                assert!(matches!(impatient, Ok(None) | Err(Refusal::NotNow)));
                assert_eq!(other, Ok(None));
            }
        }
    });
}

/// What was open when it was reset is broken for who had come; the next round is whole.
#[test]
fn a_reset_breaks_what_was_open() {
    each_order(|| {
        let round = Round::<2>::new();
        let party = round.first(2);
        let waiter = thread(2, {
            let round = Rc::clone(&round);
            move |me| [round.wait(party, Patience::Endless), round.meet(me, Patience::Endless)].map(Result::unwrap)
        });
        let me = i_am(1);
        round.barrier.reset();
        let mine = round.meet(me, Patience::Endless).unwrap();
        let [first, second] = waiter.join().unwrap().unwrap();
        assert_eq!(first, None);
        assert!(mine.is_some() && second.is_some());
    });
}

/// Broken, it is broken for who had come and for who comes.
#[test]
fn an_abort_breaks_what_is_open() {
    each_order(|| {
        let round = Round::<3>::new();
        let party = round.first(2);
        let waiter = thread(2, {
            let round = Rc::clone(&round);
            move |_| round.wait(party, Patience::Endless)
        });
        let other = round.meet_in(3, Patience::Endless);
        let me = i_am(1);
        round.barrier.abort();
        assert_eq!(round.meet(me, Patience::Endless), Ok(None));
        assert_eq!(waiter.join().unwrap(), Some(Ok(None)));
        assert_eq!(other.join().unwrap(), Some(Ok(None)));
        assert!(round.barrier.is_broken());
    });
}

/// Two wait for each other, and one dies: before it comes, when it has, or over tripping. The other does not wait for ever, and
/// both are told the same.
#[test]
fn the_other_dies() {
    each_death(2, || one_of_them_dies(&Round::<2>::new(), None));
}

/// Likewise among three.
#[test]
fn one_of_three_dies() {
    each_death_in_a_crowd(2, || {
        let round = Round::<3>::new();
        let third = round.meet_in(3, Patience::Endless);
        one_of_them_dies(&round, Some(third));
    });
}

fn one_of_them_dies<const PARTIES: usize>(
    round: &Rc<Round<PARTIES>>,
    third: Option<Join<Result<Option<usize>, Refusal>>>,
) {
    i_am(1);
    let party = round.first(1);
    let (theirs, ours) = (Rc::clone(round), Rc::clone(round));
    let victim = thread_and_then(
        2,
        move |me| theirs.meet(me, Patience::Endless).unwrap(),
        move |met| {
            // One that has not come will not come.
            if met.is_none() && ours.barrier.waiting() < PARTIES {
                ours.barrier.abort();
            }
            met
        },
    );
    let mine = round.wait(party, Patience::Endless).unwrap();
    let theirs = victim.join().unwrap();
    let third = third.map(|third| third.join().unwrap().unwrap().unwrap());
    for met in [theirs, third].into_iter().flatten() {
        assert_eq!(met.is_some(), mine.is_some(), "one round, two ends");
    }
    assert!(theirs.is_none() || mine.is_some(), "broken by nobody");
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("two_meet_twice", "barrier without a wake", DEADLOCK),
            ("two_meet_twice", "nothing acquires", CORRUPT),
            ("two_meet_twice", "nothing releases", CORRUPT),
            ("the_other_dies", "barrier that counts the dead", ENDLESS),
            ("the_other_dies", "missing recheck", DEADLOCK),
        ],
    );
}
