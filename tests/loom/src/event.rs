//! Scenes of `RawEvent`.

use std::cell::Cell;
use std::rc::Rc;

use crate::explore::{each_death, each_order};
use crate::guarded::Guarded;
use crate::primitive::Instant;
use crate::raw::Patience;
use crate::raw::event::RawEvent;
use crate::twins::{DEADLOCK, RACE};
use crate::world::{Before, died, give_back, i_am, is_asleep, the_deadline_comes, thread, thread_and_then};

/// An event, and what was done before it.
struct News {
    event: RawEvent,
    work: Guarded<u32>,
}

impl News {
    fn new() -> Rc<News> {
        Rc::new(News { event: RawEvent::new(), work: Guarded::new(0) })
    }

    fn wait(&self) {
        assert!(self.event.wait(Patience::Endless));
        assert_eq!(self.work.get(), 1);
    }

    fn tell(&self) {
        self.work.set(1);
        self.event.set();
    }

    fn wait_in(self: &Rc<News>, number: usize) -> loom::thread::JoinHandle<Option<()>> {
        let news = Rc::clone(self);
        thread(number, move |_| news.wait())
    }
}

#[test]
fn two_are_told() {
    each_order(|| {
        let news = News::new();
        let waiters = [2, 3].map(|number| news.wait_in(number));
        i_am(1);
        news.tell();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// Who finds it set sees what each of those who had set it did before, not only the first.
#[test]
fn two_who_set_it_are_both_seen() {
    each_order(|| {
        let event = Rc::new(RawEvent::new());
        let works = Rc::new([Guarded::new(0), Guarded::new(0)]);
        // Who has set it already, in the order of this run: not known to any thread of the model.
        let have_set = Rc::new([Cell::new(false), Cell::new(false)]);
        let setters = [0, 1].map(|index| {
            let (event, works, have_set) = (Rc::clone(&event), Rc::clone(&works), Rc::clone(&have_set));
            thread(index + 2, move |_| {
                works[index].set(1);
                event.set();
                have_set[index].set(true);
            })
        });
        i_am(1);
        if event.clear() {
            for (work, _) in works.iter().zip(&*have_set).filter(|(_, set)| set.get()) {
                assert_eq!(work.get(), 1);
            }
        }
        for setter in setters {
            setter.join().unwrap();
        }
    });
}

/// Set, and cleared before the sleeper looks.
#[test]
fn no_set_is_lost_on_a_sleeper() {
    each_order(|| {
        let news = News::new();
        let waiter = news.wait_in(2);
        i_am(1);
        news.work.set(1);
        let asleep = is_asleep(2);
        news.event.set();
        assert!(news.event.clear());
        if !asleep {
            news.event.set();
        }
        waiter.join().unwrap();
    });
}

/// What is seen by clearing is what was done before the set that is undone.
#[test]
fn who_clears_it_sees_what_was_done() {
    each_order(|| {
        let news = News::new();
        let teller = thread(2, {
            let news = Rc::clone(&news);
            move |_| news.tell()
        });
        i_am(1);
        if news.event.clear() {
            assert_eq!(news.work.get(), 1);
        }
        teller.join().unwrap();
    });
}

#[test]
fn the_impatient_go_on() {
    each_order(|| {
        let news = News::new();
        let waiter = news.wait_in(2);
        let impatient = thread(3, {
            let news = Rc::clone(&news);
            move |_| {
                let told = news.event.wait(Patience::Until(Instant));
                assert!(!told || news.work.get() == 1);
                told
            }
        });
        i_am(1);
        the_deadline_comes();
        news.tell();
        waiter.join().unwrap();
        impatient.join().unwrap();
        assert!(news.event.wait(Patience::None));
    });
}

#[test]
fn nothing_is_touched_after_the_set() {
    each_order(|| {
        let news = News::new();
        let teller = thread(2, {
            let news = Rc::clone(&news);
            move |_| news.tell()
        });
        i_am(1);
        news.wait();
        give_back(&news.event);
        teller.join().unwrap();
    });
}

/// Killed between the change and the wake, it has set the event, and all sleepers find that.
#[test]
fn who_sets_it_dies() {
    each_death(2, || {
        let news = News::new();
        let waiter = news.wait_in(3);
        let tell = |news: &Rc<News>| {
            let news = Rc::clone(news);
            move || news.tell()
        };
        let (first, second) = (tell(&news), tell(&news));
        let teller = thread_and_then(
            2,
            move |_| first(),
            move |told| {
                if told.is_none() && died(2) != Some(Before::Wake) {
                    second();
                }
            },
        );
        i_am(1);
        news.wait();
        waiter.join().unwrap();
        teller.join().unwrap();
    });
}

#[test]
fn who_waits_dies() {
    each_death(2, || {
        let news = News::new();
        let victim = news.wait_in(2);
        let waiter = news.wait_in(3);
        i_am(1);
        news.tell();
        waiter.join().unwrap();
        victim.join().unwrap();
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("two_are_told", "event without a wake", DEADLOCK),
            ("two_are_told", "event without a sleeper's mark", DEADLOCK),
            ("two_are_told", "nothing acquires", RACE),
            ("two_are_told", "nothing releases", RACE),
            ("who_sets_it_dies", "only the owner is watched", DEADLOCK),
            ("who_sets_it_dies", "the woken tells nobody", DEADLOCK),
        ],
    );
}
