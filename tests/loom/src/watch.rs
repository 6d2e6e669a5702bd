//! Scenes of sleeping alone: why a sleeper watches the lives of all, and why the one that is woken wakes the others. The words
//! are the simplest there can be; the rule is that of `src/sys/roster/watch.rs`.

use std::rc::Rc;

use crate::explore::{each_death, each_two_deaths};
use crate::primitive::{AtomicU64, Ordering, Verdict, judge, sleep, wake_all};
use crate::twins::DEADLOCK;
use crate::world::{i_am, name_of, thread};

/// Two sleep, on words of their own. One waits for what a third does, who dies. The kernel wakes one of the two; perhaps not the
/// one whom it concerns.
fn two_sleepers(the_bystander_may_die: bool) {
    i_am(1);
    let other = name_of(2);
    let words = Rc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let bystander = thread(3, {
        let words = Rc::clone(&words);
        move |_| {
            while words[0].load(Ordering::Acquire) == 0 {
                sleep(&words[0], 0, None, None);
            }
        }
    });
    let victim = thread(2, {
        let words = Rc::clone(&words);
        move |_| {
            words[1].store(1, Ordering::Release);
            wake_all(&words[1]);
        }
    });
    while words[1].load(Ordering::Acquire) == 0 && judge(other) == Verdict::Alive {
        sleep(&words[1], 0, Some(other), None);
    }
    victim.join().unwrap();
    words[0].store(1, Ordering::Release);
    wake_all(&words[0]);
    assert!(bystander.join().unwrap().is_some() || the_bystander_may_die);
}

#[test]
fn the_news_of_a_death_is_passed_on() {
    each_death(2, || two_sleepers(false));
}

#[test]
fn the_news_of_a_death_outlives_its_bearer() {
    each_two_deaths([2, 3], || two_sleepers(true));
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(module_path!(), &[("the_news_of_a_death_is_passed_on", "the woken tells nobody", DEADLOCK)]);
}
