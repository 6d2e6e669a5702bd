//! `Condvar`.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tine::process::stop;
use tine::sync::{Condvar, CondvarError, Event, LockErrorOf, LockFailure, Mutex, MutexGuard};
use tine::{JoinHandle, Shared};

use crate::cases;
use crate::seen::{
    LONG, SLICES, all_sleep, garbage, go_on, halt, is_asleep, kill, kill_without_a_mark, wakes_are_sent,
    without_the_call_for_several_words, words_of,
};
use crate::storm;
use crate::support::{Case, until};

pub const CASES: &[Case] = cases![
    one_notification_serves_one,
    as_many_are_served_as_notified,
    all_are_served_though_some_gave_up_before,
    a_wait_ends_in_time_with_the_mutex,
    a_wait_for_a_condition_ends_with_it_or_in_time,
    a_child_notifies_its_parent,
    the_mutex_is_free_while_they_wait,
    no_notification_falls_between_unlock_and_sleep,
    notifications_send_their_wakes,
    a_notification_to_nobody_is_lost,
    another_mutex_is_refused,
    the_mutex_is_known_at_any_address,
    a_killed_holder_of_the_mutex_ends_the_waits,
    a_killed_holder_who_came_later_ends_the_waits,
    a_killed_holder_is_told_to_each_until_it_is_repaired,
    a_holder_whose_death_is_not_marked_ends_the_waits,
    a_condvar_works_without_the_call_for_several_words,
    a_holder_that_panicked_ends_the_waits,
    a_wait_that_is_over_is_told_of_the_dead_holder,
    a_stopped_holder_ends_no_wait,
    a_killed_sleeper_takes_no_notification_from_others,
    a_woken_one_that_is_killed_takes_no_notification_from_others,
    a_woken_one_that_is_stopped_takes_no_notification_from_others,
    a_notifier_killed_before_its_wake_leaves_nobody_asleep,
    a_notification_without_a_wake_is_found,
    a_condvar_waits_through_a_storm_of_signals,
    an_overwritten_condvar_hangs_nobody,
    an_overwritten_mutex_ends_the_waits,
    a_condvar_is_what_its_model_is,
];

tine::share! {
    struct Basket { eggs: Mutex<u32>, more: Condvar, go: Event, held: Event, come: AtomicU32 }
}

/// Where the words of the basket lie.
const MUTEX: usize = 0;
const WORD: usize = 2;
const DISTANCE: usize = 3;

fn basket() -> Shared<Basket> {
    let (go, held, come) = (Event::new(), Event::new(), AtomicU32::new(0));
    let basket = Basket { eggs: Mutex::new(0), more: Condvar::new(), go, held, come };
    Shared::with_memfd(basket).unwrap()
}

impl Basket {
    /// Takes one egg, when there is one.
    fn take(&self) {
        let mut eggs = self.more.wait_while(self.eggs.lock().unwrap(), |eggs| *eggs == 0).unwrap();
        *eggs -= 1;
    }

    /// The mutex, of one who goes on to wait.
    fn come(&self) -> MutexGuard<'_, u32> {
        let guard = self.eggs.lock().unwrap();
        // Relaxed: under the mutex.
        self.come.fetch_add(1, Ordering::Relaxed);
        guard
    }

    /// Until they all [have come](Self::come), and sleep: for the condition, not for each other's mutex.
    fn all_wait<T>(&self, children: &[JoinHandle<T>]) {
        until("all have come", || {
            // Who has come leaves the mutex only by waiting.
            let _guard = self.eggs.lock().unwrap();
            self.come.load(Ordering::Relaxed) as usize == children.len()
        });
        all_sleep(children);
    }

    fn add(&self, eggs: u32) {
        *self.eggs.lock().unwrap() += eggs;
    }
}

fn takers(basket: &Shared<Basket>, n: usize) -> Vec<JoinHandle<()>> {
    let takers: Vec<_> = (0..n).map(|_| tine::spawn(|| basket.take()).unwrap()).collect();
    all_sleep(&takers);
    takers
}

fn finished<T>(children: &[JoinHandle<T>]) -> usize {
    children.iter().filter(|child| child.is_finished()).count()
}

fn one_notification_serves_one() {
    let basket = basket();
    let children = takers(&basket, 3);
    for served in 1..=3 {
        basket.add(1);
        basket.more.notify_one();
        until("one more is served", || finished(&children) == served);
        assert_eq!(*basket.eggs.lock().unwrap(), 0);
    }
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn as_many_are_served_as_notified() {
    let basket = basket();
    let children = takers(&basket, 6);
    for (n, served) in [(2, 2), (3, 5), (1, 6)] {
        basket.add(n);
        for _ in 0..n {
            basket.more.notify_one();
        }
        until("so many are served", || finished(&children) == served);
        assert_eq!(*basket.eggs.lock().unwrap(), 0);
    }
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn all_are_served_though_some_gave_up_before() {
    let basket = basket();
    let impatient = |limit| {
        let (_eggs, result) =
            basket.more.wait_timeout_while(basket.eggs.lock().unwrap(), limit, |eggs| *eggs == 0).unwrap();
        result.timed_out()
    };
    let gave_up: Vec<_> = (0..2).map(|_| tine::spawn(|| impatient(Duration::from_millis(5))).unwrap()).collect();
    let children: Vec<_> = (0..3).map(|_| tine::spawn(|| impatient(LONG)).unwrap()).collect();
    let threads = tine::spawn(|| {
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..3).map(|_| s.spawn(|| impatient(LONG))).collect();
            threads.into_iter().any(|thread| thread.join().unwrap())
        })
    })
    .unwrap();
    assert!(gave_up.into_iter().all(|child| child.join().unwrap()));
    all_sleep(&children);
    basket.add(1);
    basket.more.notify_all();
    for child in children.into_iter().chain([threads]) {
        assert!(!child.join().unwrap());
    }
}

fn a_wait_ends_in_time_with_the_mutex() {
    let basket = basket();
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let before = Instant::now();
        let (guard, result) = basket.more.wait_timeout(basket.eggs.lock().unwrap(), limit).unwrap();
        assert!(result.timed_out());
        assert!(before.elapsed() >= limit);
        assert!(matches!(basket.eggs.lock(), Err(LockErrorOf::Deadlock)), "it is held again");
        drop(guard);
    }
    assert!(!basket.eggs.is_locked());
}

fn a_wait_for_a_condition_ends_with_it_or_in_time() {
    let basket = basket();
    let child = tine::spawn(|| {
        let eggs = basket.more.wait_while(basket.eggs.lock().unwrap(), |eggs| *eggs < 4).unwrap();
        *eggs
    })
    .unwrap();
    for _ in 0..4 {
        until("it waits", || is_asleep(child.id()));
        basket.add(1);
        basket.more.notify_one();
    }
    assert_eq!(child.join().unwrap(), 4);
    let lock = || basket.eggs.lock().unwrap();
    let (_, result) = basket.more.wait_timeout_while(lock(), Duration::ZERO, |eggs| *eggs < 4).unwrap();
    assert!(!result.timed_out(), "it is so already");
    let before = Instant::now();
    let limit = Duration::from_millis(20);
    let (_, result) = basket.more.wait_timeout_while(lock(), limit, |eggs| *eggs < 5).unwrap();
    assert!(result.timed_out() && before.elapsed() >= limit);
}

fn a_child_notifies_its_parent() {
    let basket = basket();
    let guard = basket.eggs.lock().unwrap();
    drop(guard);
    let child = tine::spawn(|| {
        basket.go.wait();
        // Not before the parent waits: it has the mutex until then.
        basket.add(1);
        basket.more.notify_one();
    })
    .unwrap();
    let guard = basket.eggs.lock().unwrap();
    basket.go.set();
    let (eggs, result) = basket.more.wait_timeout(guard, LONG).unwrap();
    assert!(!result.timed_out());
    assert_eq!(*eggs, 1);
    drop(eggs);
    child.join().unwrap();
}

fn the_mutex_is_free_while_they_wait() {
    let basket = basket();
    let children = takers(&basket, 4);
    assert!(!basket.eggs.is_locked());
    basket.add(4);
    basket.more.notify_all();
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn no_notification_falls_between_unlock_and_sleep() {
    // Two who hand one number to each other; one for each, so that a notification that falls through is never made good by
    // the next. Were some lost, a slice each would add up to the deadline of a case.
    const HANDS: u32 = 10_000;
    let basket = basket();
    let play = |me: u32| {
        for round in 0..HANDS {
            let turn = 2 * round + me;
            let mut eggs = basket.more.wait_while(basket.eggs.lock().unwrap(), |eggs| *eggs != turn).unwrap();
            *eggs += 1;
            if turn.is_multiple_of(3) {
                basket.more.notify_one();
                drop(eggs);
            } else {
                drop(eggs);
                basket.more.notify_one();
            }
        }
    };
    let child = tine::spawn(|| play(1)).unwrap();
    play(0);
    child.join().unwrap();
    assert_eq!(*basket.eggs.lock().unwrap(), 2 * HANDS);
}

fn notifications_send_their_wakes() {
    let basket = basket();
    wakes_are_sent(
        |_| basket.take(),
        |round| {
            basket.add(1);
            if round % 2 == 0 { basket.more.notify_one() } else { basket.more.notify_all() }
        },
    );
}

fn a_notification_to_nobody_is_lost() {
    let basket = basket();
    for _ in 0..3 {
        basket.more.notify_one();
        basket.more.notify_all();
    }
    let (_, result) = basket.more.wait_timeout(basket.eggs.lock().unwrap(), Duration::from_millis(5)).unwrap();
    assert!(result.timed_out());
    // Also where one was there who has given up, and whose mark is still in the word.
    basket.more.notify_one();
    let (_, result) = basket.more.wait_timeout(basket.eggs.lock().unwrap(), Duration::from_millis(5)).unwrap();
    assert!(result.timed_out());
}

tine::share! {
    struct Three { first: Mutex<u32>, condvar: Condvar, second: Mutex<u32>, third: Mutex<u32> }
}

fn three() -> Three {
    Three { first: Mutex::new(1), condvar: Condvar::new(), second: Mutex::new(2), third: Mutex::new(3) }
}

fn another_mutex_is_refused() {
    let three = Shared::new(three()).unwrap();
    let first = three.condvar.wait_timeout(three.first.lock().unwrap(), Duration::ZERO).unwrap();
    drop(first);
    let refused = || {
        let mut second = three.second.lock().unwrap();
        *second += 1;
        let Err(CondvarError::OtherMutex(guard)) = three.condvar.wait(second) else { panic!("not refused") };
        let value = *guard;
        assert!(three.second.is_locked(), "nothing happened to the guard");
        drop(guard);
        assert!(!three.second.is_locked());
        value
    };
    assert_eq!(refused(), 3);
    assert_eq!(tine::spawn(refused).unwrap().join().unwrap(), 4, "in every process");
    let error = three.condvar.wait_timeout(three.third.lock().unwrap(), LONG).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("another mutex"), "{error}");
    assert!(matches!(error.into_failure(), LockFailure::OtherMutex));
    drop(three.condvar.wait_timeout(three.first.lock().unwrap(), Duration::ZERO).unwrap());
}

fn the_mutex_is_known_at_any_address() {
    use std::os::fd::AsFd;
    let here = basket();
    let memfd = here.memfd().unwrap().as_fd().try_clone_to_owned().unwrap();
    // SAFETY: the memory holds a basket, and all who have it use it as one.
    let there = unsafe { Shared::<Basket>::attach(tine::memory::Memfd::try_from(memfd).unwrap()) }.unwrap();
    assert!(!std::ptr::eq(&*here, &*there));
    let child = tine::spawn(|| there.take()).unwrap();
    until("it waits", || is_asleep(child.id()));
    drop(here.more.wait_timeout(here.eggs.lock().unwrap(), Duration::ZERO).unwrap());
    here.add(1);
    here.more.notify_one();
    child.join().unwrap();
}

/// A child that takes the mutex when it is told to, and has it until it is asked to stop.
///
/// It has a place on the roster from the start, as everybody who used a lock before: those who sleep later watch it.
fn holder(basket: &Shared<Basket>) -> JoinHandle<()> {
    let holder = tine::spawn({
        let basket = basket.clone();
        move || {
            drop(basket.eggs.lock().unwrap());
            basket.held.set();
            basket.go.wait();
            let mut eggs = basket.eggs.lock().unwrap();
            *eggs += 7;
            basket.held.set();
            stop().wait();
        }
    })
    .unwrap();
    assert!(basket.held.wait_timeout(LONG));
    basket.held.clear();
    holder
}

impl Basket {
    /// Tells the holder to take the mutex.
    fn hold(&self) {
        self.go.set();
        assert!(self.held.wait_timeout(LONG));
        self.held.clear();
        self.go.clear();
    }
}

fn a_killed_holder_of_the_mutex_ends_the_waits() {
    for _ in 0..10 {
        let basket = basket();
        let holder = holder(&basket);
        // Each waits for what never comes. One is told, and makes it come.
        let children: Vec<_> = (0..4)
            .map(|_| {
                tine::spawn(|| {
                    let mut told = 0;
                    let mut guard = basket.come();
                    while *guard < 100 {
                        guard = match basket.more.wait(guard) {
                            Ok(guard) => guard,
                            Err(CondvarError::Lock(LockErrorOf::OwnerDied(mut left))) => {
                                told += 1;
                                *left.get_mut() = 100;
                                basket.more.notify_all();
                                left.recover()
                            }
                            Err(error) => panic!("{error}"),
                        };
                    }
                    told
                })
                .unwrap()
            })
            .collect();
        basket.all_wait(&children);
        basket.hold();
        assert_eq!(finished(&children), 0);
        kill(holder);
        let told: u32 = children.into_iter().map(|child| child.join().unwrap()).sum();
        assert_eq!(told, 1);
    }
}

fn a_killed_holder_who_came_later_ends_the_waits() {
    let basket = basket();
    let child = tine::spawn(|| {
        let end = basket.more.wait(basket.eggs.lock().unwrap());
        matches!(end, Err(CondvarError::Lock(LockErrorOf::OwnerDied(_))))
    })
    .unwrap();
    until("it waits", || is_asleep(child.id()));
    // Nobody can watch whom nobody knows: it is found at the next look.
    let holder = holder(&basket);
    basket.hold();
    kill(holder);
    assert!(child.join().unwrap());
}

fn a_killed_holder_is_told_to_each_until_it_is_repaired() {
    let basket = basket();
    let holder = holder(&basket);
    let children: Vec<_> = (0..3)
        .map(|_| {
            tine::spawn(|| {
                let end = basket.more.wait(basket.come());
                matches!(end.map(|_| ()).map_err(CondvarError::into_failure), Err(LockFailure::OwnerDied))
            })
            .unwrap()
        })
        .collect();
    basket.all_wait(&children);
    basket.hold();
    kill(holder);
    assert!(children.into_iter().all(|child| child.join().unwrap()));
    assert_eq!(*basket.eggs.lock_or_repair(|eggs| *eggs += 1).unwrap(), 8);
}

fn a_holder_whose_death_is_not_marked_ends_the_waits() {
    let basket = basket();
    let holder = holder(&basket);
    let child = tine::spawn(|| {
        let end = basket.more.wait(basket.eggs.lock().unwrap());
        matches!(end, Err(CondvarError::Lock(LockErrorOf::OwnerDied(_))))
    })
    .unwrap();
    until("it waits", || is_asleep(child.id()));
    basket.hold();
    kill_without_a_mark(holder);
    assert!(child.join().unwrap());
}

fn a_condvar_works_without_the_call_for_several_words() {
    without_the_call_for_several_words();
    one_notification_serves_one();
    all_are_served_though_some_gave_up_before();
    a_killed_holder_of_the_mutex_ends_the_waits();
    a_woken_one_that_is_killed_takes_no_notification_from_others();
}

fn a_holder_that_panicked_ends_the_waits() {
    let basket = basket();
    let child = tine::spawn(|| {
        let end = basket.more.wait(basket.eggs.lock().unwrap());
        matches!(end, Err(CondvarError::Lock(LockErrorOf::OwnerDied(_))))
    })
    .unwrap();
    until("it waits", || is_asleep(child.id()));
    let panicked = catch_unwind(|| {
        let _guard = basket.eggs.lock().unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert!(child.join().unwrap());
}

fn a_wait_that_is_over_is_told_of_the_dead_holder() {
    let basket = basket();
    let child = tine::spawn(|| {
        let mut guard = basket.eggs.lock().unwrap();
        loop {
            match basket.more.wait_timeout(guard, Duration::from_millis(1)) {
                Ok((again, _)) => guard = again,
                Err(CondvarError::Lock(LockErrorOf::OwnerDied(left))) => break *left.recover() == 7,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .unwrap();
    until("it has begun to wait", || is_asleep(child.id()));
    // While it is locked each wait that is over goes on, for the mutex.
    let holder = holder(&basket);
    basket.hold();
    std::thread::sleep(Duration::from_millis(20));
    until("it waits", || is_asleep(child.id()));
    kill(holder);
    assert!(child.join().unwrap());
    drop(basket.eggs.lock().unwrap());
}

fn a_stopped_holder_ends_no_wait() {
    let basket = basket();
    let holder = holder(&basket);
    let children = takers(&basket, 2);
    basket.hold();
    halt(&holder);
    std::thread::sleep(SLICES);
    assert_eq!(finished(&children), 0);
    all_sleep(&children);
    go_on(&holder);
    holder.request_stop().unwrap();
    holder.join().unwrap();
    basket.more.notify_all();
    children.into_iter().for_each(|child| child.join().unwrap());
    assert_eq!(*basket.eggs.lock().unwrap(), 5);
}

fn a_killed_sleeper_takes_no_notification_from_others() {
    for _ in 0..10 {
        let basket = basket();
        let mut children = takers(&basket, 4);
        kill(children.remove(0));
        kill(children.remove(2));
        basket.add(2);
        basket.more.notify_one();
        basket.more.notify_one();
        children.into_iter().for_each(|child| child.join().unwrap());
    }
}

fn a_woken_one_that_is_killed_takes_no_notification_from_others() {
    for _ in 0..10 {
        let basket = basket();
        let mut children = takers(&basket, 1);
        // The first that slept is the first that is woken.
        let first = children.remove(0);
        children.extend(takers(&basket, 2));
        halt(&first);
        basket.add(2);
        basket.more.notify_one();
        kill(first);
        basket.more.notify_one();
        children.into_iter().for_each(|child| child.join().unwrap());
        assert_eq!(*basket.eggs.lock().unwrap(), 0);
    }
}

fn a_woken_one_that_is_stopped_takes_no_notification_from_others() {
    let basket = basket();
    let first = takers(&basket, 1).remove(0);
    let second = takers(&basket, 1).remove(0);
    halt(&first);
    basket.add(1);
    basket.more.notify_one();
    second.join().unwrap();
    go_on(&first);
    basket.add(1);
    basket.more.notify_one();
    first.join().unwrap();
}

fn a_notifier_killed_before_its_wake_leaves_nobody_asleep() {
    for _ in 0..10 {
        let basket = basket();
        let words = words_of(&basket);
        let notifier = tine::spawn(|| -> () {
            basket.add(3);
            *basket.eggs.lock().unwrap() -= 3;
            basket.go.set();
            stop().wait();
            basket.add(3);
            // What a notification writes, by the drawing above the word.
            words.set(WORD, words.get(WORD).unwrap() + 2).unwrap();
            std::process::abort();
        })
        .unwrap();
        assert!(basket.go.wait_timeout(LONG));
        let children = takers(&basket, 3);
        notifier.request_stop().unwrap();
        children.into_iter().for_each(|child| child.join().unwrap());
        assert!(notifier.join().is_err());
    }
}

fn a_notification_without_a_wake_is_found() {
    let basket = basket();
    let words = words_of(&basket);
    let children = takers(&basket, 3);
    basket.add(3);
    words.set(WORD, words.get(WORD).unwrap() + 2).unwrap();
    children.into_iter().for_each(|child| child.join().unwrap());
}

fn a_condvar_waits_through_a_storm_of_signals() {
    let basket = basket();
    let child = tine::spawn(|| {
        storm::start();
        let mut guard = basket.eggs.lock().unwrap();
        while storm::signals() < 50 {
            let before = Instant::now();
            let (again, result) = basket.more.wait_timeout(guard, SLICES).unwrap();
            assert!(result.timed_out() && before.elapsed() >= SLICES, "a signal is neither an end nor a notification");
            guard = again;
        }
        basket.go.set();
        let guard = basket.more.wait(guard).unwrap();
        storm::stop();
        *guard == 1
    })
    .unwrap();
    assert!(basket.go.wait_timeout(LONG));
    until("it waits", || is_asleep(child.id()));
    std::thread::sleep(SLICES);
    basket.add(1);
    basket.more.notify_one();
    assert!(child.join().unwrap());
}

fn an_overwritten_condvar_hangs_nobody() {
    let basket = basket();
    let words = words_of(&basket);
    let mut seed = 49;
    drop(basket.more.wait_timeout(basket.eggs.lock().unwrap(), Duration::ZERO).unwrap());
    for _ in 0..200 {
        words.set(WORD, garbage(&mut seed)).unwrap();
        let (guard, _) = basket.more.wait_timeout(basket.eggs.lock().unwrap(), Duration::from_millis(1)).unwrap();
        drop(guard);
        basket.more.notify_one();
        words.set(WORD, garbage(&mut seed)).unwrap();
        basket.more.notify_all();
    }
    // Below sleepers: their next notification, or what is there now, ends the wait.
    for _ in 0..5 {
        let children = takers(&basket, 3);
        words.set(WORD, garbage(&mut seed)).unwrap();
        basket.add(3);
        basket.more.notify_one();
        basket.more.notify_all();
        children.into_iter().for_each(|child| child.join().unwrap());
    }
    // Without the sleepers' mark, while the count stays: they find by themselves that it is gone.
    let children = takers(&basket, 2);
    words.set(WORD, words.get(WORD).unwrap() & !1).unwrap();
    until("the mark is back", || words.get(WORD).unwrap() & 1 != 0);
    basket.add(2);
    basket.more.notify_all();
    children.into_iter().for_each(|child| child.join().unwrap());
    // Which mutex it was.
    words.set(DISTANCE, garbage(&mut seed) | 1).unwrap();
    let end = basket.more.wait(basket.eggs.lock().unwrap());
    assert!(matches!(end, Err(CondvarError::OtherMutex(_))));
}

fn an_overwritten_mutex_ends_the_waits() {
    let mut seed = 50;
    for _ in 0..5 {
        let basket = basket();
        let words = words_of(&basket);
        let children: Vec<_> = (0..2)
            .map(|_| {
                tine::spawn(|| {
                    let end = basket.more.wait(basket.come());
                    matches!(end, Err(CondvarError::Lock(LockErrorOf::Corrupt | LockErrorOf::Foreign)))
                })
                .unwrap()
            })
            .collect();
        basket.all_wait(&children);
        words.set(MUTEX, garbage(&mut seed) | 0x80).unwrap();
        assert!(children.into_iter().all(|child| child.join().unwrap()));
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// With which of three mutexes.
    Wait(usize),
    WaitWhile(usize, u32),
    NotifyOne,
    NotifyAll,
}

fn a_condvar_is_what_its_model_is() {
    let op = prop_oneof![
        (0..3_usize).prop_map(Op::Wait),
        (0..3_usize, 0..4_u32).prop_map(|(mutex, rounds)| Op::WaitWhile(mutex, rounds)),
        Just(Op::NotifyOne),
        Just(Op::NotifyAll),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(op, 0..20), |ops| {
        let three = Shared::new(three()).unwrap();
        let mutexes = [&three.first, &three.second, &three.third];
        // All that one thread can tell: which mutex it belongs to, and that nobody notifies it but itself.
        let mut model = None;
        for op in ops {
            match op {
                Op::NotifyOne => three.condvar.notify_one(),
                Op::NotifyAll => three.condvar.notify_all(),
                Op::Wait(which) => {
                    let end = three.condvar.wait_timeout(mutexes[which].lock().unwrap(), Duration::ZERO);
                    let mine = *model.get_or_insert(which) == which;
                    match end {
                        Ok((_, result)) => prop_assert!(mine && result.timed_out()),
                        Err(CondvarError::OtherMutex(_)) => prop_assert!(!mine),
                        Err(error) => panic!("{error}"),
                    }
                }
                Op::WaitWhile(which, rounds) => {
                    let mut looks = 0;
                    let guard = mutexes[which].lock().unwrap();
                    let end = three.condvar.wait_timeout_while(guard, Duration::ZERO, |_| {
                        looks += 1;
                        looks <= rounds
                    });
                    // It looks once before it waits, and once after.
                    let waits = rounds > 0;
                    let mine = !waits || *model.get_or_insert(which) == which;
                    match end {
                        Ok((_, result)) => prop_assert!(mine && result.timed_out() == (rounds > 1)),
                        Err(CondvarError::OtherMutex(_)) => prop_assert!(!mine),
                        Err(error) => panic!("{error}"),
                    }
                    prop_assert_eq!(looks, if waits && mine { 2 } else { 1 });
                }
            }
            prop_assert!(mutexes.iter().all(|mutex| !mutex.is_locked()));
        }
        Ok(())
    });
    outcome.unwrap();
}
