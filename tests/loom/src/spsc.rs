//! Scenes of the ring with one sender and one receiver, and of the signals by which its ends sleep and wake: `Cursors` and
//! `Signal` as they are, in the order in which `channel::spsc` and `channel::park` call them.

use std::rc::Rc;

use crate::channel_raw::cursor::{Cursors, ReceiveCursor, SendCursor};
use crate::channel_raw::signal::Signal;
use crate::explore::{each_death, each_order};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Ordering, Verdict, heavy, judge, light_fence, sleep_while};
use crate::twins::{DEADLOCK, RACE};
use crate::world::{i_am, may_die_here, name_of, sleep_unaware, thread};

/// What both have mapped.
struct Page {
    cursors: Cursors,
    filled: Signal,
    emptied: Signal,
    /// The entry of each end in the table of owners: the number of a thread; 0 when it is closed.
    sender: AtomicU64,
    receiver: AtomicU64,
    cells: Vec<Guarded<u64>>,
}

impl Page {
    fn new(capacity: usize) -> Rc<Page> {
        Rc::new(Page {
            cursors: Cursors::new(0),
            filled: Signal::new(),
            emptied: Signal::new(),
            sender: AtomicU64::new(SENDER as u64),
            receiver: AtomicU64::new(RECEIVER as u64),
            cells: (0..capacity).map(|_| Guarded::new(0)).collect(),
        })
    }

    fn capacity(&self) -> u64 {
        self.cells.len() as u64
    }
}

/// The receiver is the scene's own thread, unless it is the one who dies.
const RECEIVER: usize = 1;
const SENDER: usize = 2;

/// Nobody is there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gone;

/// Whether the one of that entry is there: as `Table::peers`.
fn is_there(entry: &AtomicU64) -> bool {
    // Acquire: as there.
    match entry.load(Ordering::Acquire) {
        0 => false,
        // Who has not sat down yet is not dead.
        number => judge(name_of(number as usize)) != Verdict::Dead,
    }
}

/// As `End::drop_in`, and what the drops of both ends do next.
fn close(entry: &AtomicU64, their_signal: &Signal) {
    // Release: as there.
    let _ = entry.compare_exchange(entry.load(Ordering::Relaxed), 0, Ordering::Release, Ordering::Relaxed);
    light_fence();
    their_signal.wake_all();
}

/// As `Patience::wait`, once it is done with looking again.
fn wait<R>(signal: &Signal, mut look: impl FnMut(bool) -> Option<R>) -> R {
    loop {
        let expected = signal.announce();
        assert!(heavy());
        // A death between a look at the peers and the sleep is heard of only if all were watched before that look.
        let early = seeded!("channel: peers before the watch");
        if let Some(found) = look(early) {
            return found;
        }
        let mut found = None;
        let wanted = || {
            found = look(!early);
            found.is_none()
        };
        sleep_while(signal.word(), expected, None, wanted, None);
        if let Some(found) = found.or_else(|| look(false)) {
            return found;
        }
    }
}

struct Sender {
    page: Rc<Page>,
    cursor: SendCursor,
}

impl Sender {
    fn of(page: &Rc<Page>) -> Sender {
        Sender { page: Rc::clone(page), cursor: SendCursor::new(page.capacity()) }
    }

    fn try_send(&mut self, value: u64) -> bool {
        let page = &self.page;
        if self.cursor.room(&page.cursors, 1).expect("nobody means harm") == 0 {
            return false;
        }
        may_die_here();
        page.cells[(self.cursor.position() % page.capacity()) as usize].set(value);
        may_die_here();
        self.cursor.advance(&page.cursors, 1);
        light_fence();
        if page.filled.is_wanted() {
            page.filled.wake_all();
        }
        true
    }

    fn send(&mut self, value: u64) -> Result<(), Gone> {
        while !self.try_send(value) {
            let (page, cursor) = (&self.page, &mut self.cursor);
            wait(&page.emptied, |at_peers| match cursor.room(&page.cursors, 1).expect("nobody means harm") {
                0 if at_peers && !is_there(&page.receiver) => Some(Err(Gone)),
                0 => None,
                _ => Some(Ok(())),
            })?;
        }
        Ok(())
    }

    fn close(self) {
        close(&self.page.sender, &self.page.filled);
    }
}

struct Receiver {
    page: Rc<Page>,
    cursor: ReceiveCursor,
}

impl Receiver {
    fn of(page: &Rc<Page>) -> Receiver {
        Receiver { page: Rc::clone(page), cursor: ReceiveCursor::new(page.capacity()) }
    }

    fn try_recv(&mut self) -> Option<u64> {
        let page = &self.page;
        if self.cursor.filled(&page.cursors, 1).expect("nobody means harm") == 0 {
            return None;
        }
        may_die_here();
        let value = page.cells[(self.cursor.position() % page.capacity()) as usize].get();
        may_die_here();
        self.cursor.advance(&page.cursors, 1);
        light_fence();
        if page.emptied.is_wanted() {
            page.emptied.wake_all();
        }
        Some(value)
    }

    fn recv(&mut self) -> Result<u64, Gone> {
        loop {
            if let Some(value) = self.try_recv() {
                return Ok(value);
            }
            let (page, cursor) = (&self.page, &mut self.cursor);
            wait(&page.filled, |at_peers| {
                let mut filled = || cursor.filled(&page.cursors, 1).expect("nobody means harm") > 0;
                match filled() {
                    true => Some(Ok(())),
                    false if !at_peers || is_there(&page.sender) => None,
                    // What was sent before it closed is seen now.
                    false => Some(if filled() { Ok(()) } else { Err(Gone) }),
                }
            })?;
        }
    }

    fn close(self) {
        close(&self.page.receiver, &self.page.emptied);
    }
}

/// Nobody sleeps: each looks a few times.
fn in_passing(capacity: usize) {
    let page = Page::new(capacity);
    let sender = thread(SENDER, {
        let mut sender = Sender::of(&page);
        move |_| (1..=3).take_while(|&value| sender.try_send(value)).count()
    });
    i_am(RECEIVER);
    let mut receiver = Receiver::of(&page);
    let early: Vec<u64> = (0..2).filter_map(|_| receiver.try_recv()).collect();
    let sent = sender.join().unwrap().expect("unharmed");
    let late = std::iter::from_fn(|| receiver.try_recv());
    let got: Vec<u64> = early.into_iter().chain(late).collect();
    assert!(sent >= capacity, "there was room");
    assert_eq!(got, (1..=sent as u64).collect::<Vec<_>>());
}

#[test]
fn values_arrive_in_order_around_a_ring_of_one() {
    each_order(|| in_passing(1));
}

#[test]
fn values_arrive_in_order_around_a_ring_of_two() {
    each_order(|| in_passing(2));
}

/// `values` are sent and received, each end sleeping where it has to.
fn in_sleep(capacity: usize, values: u64) {
    let page = Page::new(capacity);
    let sender = thread(SENDER, {
        let mut sender = Sender::of(&page);
        move |_| (1..=values).for_each(|value| sender.send(value).expect("the receiver is there"))
    });
    i_am(RECEIVER);
    let mut receiver = Receiver::of(&page);
    (1..=values).for_each(|value| assert_eq!(receiver.recv(), Ok(value)));
    sender.join().unwrap();
}

#[test]
fn a_receiver_that_goes_to_sleep_is_woken() {
    each_order(|| in_sleep(1, 1));
}

#[test]
fn a_sender_that_goes_to_sleep_is_woken() {
    each_order(|| in_sleep(1, 2));
}

#[test]
fn both_sleep_by_turns() {
    each_order(|| in_sleep(2, 3));
}

/// Closed while the other goes to sleep; what was sent before is received.
#[test]
fn a_close_is_seen_by_who_goes_to_sleep() {
    each_order(|| {
        let page = Page::new(2);
        let sender = thread(SENDER, {
            let mut sender = Sender::of(&page);
            move |_| {
                assert!(sender.try_send(1));
                sender.close();
            }
        });
        i_am(RECEIVER);
        let mut receiver = Receiver::of(&page);
        assert_eq!(receiver.recv(), Ok(1), "sent before the close");
        assert_eq!(receiver.recv(), Err(Gone));
        sender.join().unwrap();
    });
}

#[test]
fn a_close_is_seen_by_who_waits_for_room() {
    each_order(|| {
        let page = Page::new(1);
        let mut sender = Sender::of(&page);
        i_am(SENDER);
        assert!(sender.try_send(1));
        let receiver = thread(RECEIVER, {
            let receiver = Receiver::of(&page);
            move |_| receiver.close()
        });
        assert_eq!(sender.send(2), Err(Gone));
        receiver.join().unwrap();
    });
}

/// Killed anywhere, the sender has sent a value or has not; and the receiver does not sleep on.
#[test]
fn a_sender_dies() {
    each_death(SENDER, || {
        let page = Page::new(2);
        let sender = thread(SENDER, {
            let mut sender = Sender::of(&page);
            move |_| {
                sender.send(1).expect("there is room");
                sender.send(2).expect("there is room");
                sender.close();
            }
        });
        i_am(RECEIVER);
        let mut receiver = Receiver::of(&page);
        let got: Vec<u64> = std::iter::from_fn(|| receiver.recv().ok()).collect();
        let unharmed = sender.join().unwrap().is_some();
        assert!([&[][..], &[1], &[1, 2]].contains(&&got[..]), "{got:?}");
        assert!(!unharmed || got.len() == 2, "{got:?}");
    });
}

/// Killed anywhere, the receiver has given back the room of a value or has not; and the sender does not sleep on.
#[test]
fn a_receiver_dies() {
    each_death(RECEIVER, || {
        let page = Page::new(1);
        let mut sender = Sender::of(&page);
        i_am(SENDER);
        assert!(sender.try_send(1));
        let receiver = thread(RECEIVER, {
            let mut receiver = Receiver::of(&page);
            move |_| {
                assert_eq!(receiver.recv(), Ok(1));
                receiver.close();
            }
        });
        // There may be room for one more, which it may see or not.
        if sender.send(2).is_ok() {
            assert_eq!(sender.send(3), Err(Gone));
        }
        receiver.join().unwrap();
    });
}

/// Things of which each taker takes one, as it finds them.
struct Pile {
    things: AtomicU64,
    signal: Signal,
}

impl Pile {
    fn put_one(&self) {
        self.things.fetch_add(1, Ordering::Release);
        light_fence();
        if self.signal.is_wanted() {
            self.signal.wake(1);
        }
    }

    fn take_one(&self) {
        let take = || {
            let now = self.things.load(Ordering::Relaxed);
            let taken =
                now > 0 && self.things.compare_exchange(now, now - 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
            taken.then_some(())
        };
        if take().is_none() {
            wait(&self.signal, |_| take());
        }
    }
}

/// One wake for each thing: the mark stays for the other sleeper.
#[test]
fn two_sleepers_are_woken_one_by_one() {
    each_order(|| {
        let pile = Pile::new();
        let takers = [2, 3].map(|number| {
            let pile = Rc::clone(&pile);
            thread(number, move |_| pile.take_one())
        });
        i_am(1);
        pile.put_one();
        pile.put_one();
        for taker in takers {
            taker.join().unwrap();
        }
    });
}

/// As `Pollable`: a bell, on which this thread sleeps in the place of poll.
fn poll<R>(signal: &Signal, mut look: impl FnMut() -> Option<R>, sleep: impl Fn(&AtomicU64, u64)) -> R {
    let bell = &signal.bells()[0];
    // What was rung, and is taken in now.
    let mut heard = bell.load(Ordering::Acquire);
    let mut armed = false;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let now = bell.load(Ordering::Acquire);
        let nothing_new = now == heard && armed;
        heard = now;
        if !(nothing_new && signal.is_polled()) {
            signal.announce_polled();
            armed = true;
            assert!(heavy());
            if let Some(found) = look() {
                return found;
            }
        }
        sleep(bell, heard);
    }
}

impl Pile {
    fn new() -> Rc<Pile> {
        Rc::new(Pile { things: AtomicU64::new(0), signal: Signal::new() })
    }

    /// Takes all there is.
    fn take_all(&self) -> Option<u64> {
        // A load first, as rings do: a change would see the last value in any case.
        let there = self.things.load(Ordering::Acquire) > 0;
        there.then(|| self.things.swap(0, Ordering::AcqRel))
    }
}

/// One by one, from two who ring: the mark that was set again is not taken away by who rang for the one before.
#[test]
fn who_polls_is_rung_for_each() {
    each_order(|| {
        let pile = Pile::new();
        let givers = [2, 3].map(|number| {
            let pile = Rc::clone(&pile);
            thread(number, move |_| pile.put_one())
        });
        i_am(1);
        let mut taken = 0;
        while taken < 2 {
            let sleep = |bell: &AtomicU64, heard| drop(sleep_unaware(bell, heard));
            taken += poll(&pile.signal, || pile.take_all(), sleep);
        }
        for giver in givers {
            giver.join().unwrap();
        }
    });
}

/// One that rings is killed anywhere, and who polls had not heard of it: what the other sends is not lost with it.
#[test]
fn a_ring_is_not_lost_with_another() {
    each_death(2, || {
        let pile = Pile::new();
        let doomed = thread(2, {
            let pile = Rc::clone(&pile);
            move |_| pile.put_one()
        });
        let living = thread(3, {
            let pile = Rc::clone(&pile);
            move |_| {
                // Told apart from the other's.
                pile.things.fetch_add(100, Ordering::Release);
                light_fence();
                if pile.signal.is_wanted() {
                    pile.signal.wake_all();
                }
            }
        });
        i_am(1);
        let mut taken = 0;
        while taken < 100 {
            let sleep = |bell: &AtomicU64, heard| drop(sleep_unaware(bell, heard));
            taken += poll(&pile.signal, || pile.take_all(), sleep);
        }
        living.join().unwrap();
        doomed.join().unwrap();
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("values_arrive_in_order_around_a_ring_of_one", "channel: tail read early", RACE),
            ("values_arrive_in_order_around_a_ring_of_one", "channel: head before copy", RACE),
            ("values_arrive_in_order_around_a_ring_of_two", "nothing acquires", RACE),
            ("values_arrive_in_order_around_a_ring_of_two", "nothing releases", RACE),
            ("a_receiver_that_goes_to_sleep_is_woken", "channel: wake lost", DEADLOCK),
            ("a_receiver_that_goes_to_sleep_is_woken", "channel: no light fence", DEADLOCK),
            ("a_receiver_that_goes_to_sleep_is_woken", "channel: no heavy fence", DEADLOCK),
            ("a_sender_that_goes_to_sleep_is_woken", "channel: no light fence", DEADLOCK),
            ("a_sender_that_goes_to_sleep_is_woken", "channel: no heavy fence", DEADLOCK),
            ("a_close_is_seen_by_who_goes_to_sleep", "channel: no light fence", DEADLOCK),
            ("a_close_is_seen_by_who_goes_to_sleep", "channel: no heavy fence", DEADLOCK),
            ("a_close_is_seen_by_who_goes_to_sleep", "nothing releases", RACE),
            ("a_close_is_seen_by_who_waits_for_room", "channel: no light fence", DEADLOCK),
            ("a_sender_dies", "channel: peers before the watch", DEADLOCK),
            ("a_receiver_dies", "channel: peers before the watch", DEADLOCK),
            ("two_sleepers_are_woken_one_by_one", "channel: one wake takes the mark", DEADLOCK),
            ("two_sleepers_are_woken_one_by_one", "channel: the mark goes without a wake", DEADLOCK),
            ("who_polls_is_rung_for_each", "channel: unmarked from any word", DEADLOCK),
            ("who_polls_is_rung_for_each", "channel: no light fence", DEADLOCK),
            ("who_polls_is_rung_for_each", "channel: no heavy fence", DEADLOCK),
            ("a_ring_is_not_lost_with_another", "channel: unmarked before the ring", DEADLOCK),
        ],
    );
}
