//! Scenes of `Ring`, the words of a queue of many senders and many receivers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use loom::thread::JoinHandle;

use crate::channel_raw::mpmc::{Bounds, Held, ReceiveCursor, Refusal, Ring, SendCursor, Shape};
use crate::explore::{each_death, each_death_in_a_crowd, each_order, each_order_in_a_crowd};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Name, Ordering};
use crate::queue_history::{History, Op};
use crate::twins::{CORRUPT, RACE};
use crate::world::{Before, died, every_look_counts, i_am, may_die_here, name_of, thread};

/// A queue of numbers, none of which is sent twice.
struct Queue {
    shape: Shape,
    bounds: Bounds,
    words: Vec<AtomicU64>,
    items: Vec<Guarded<u32>>,
    history: RefCell<History>,
    /// Makes what ended before something begins happen before it.
    clock: Option<AtomicU64>,
}

/// A thread's handles.
#[derive(Default)]
struct Handle {
    send: SendCursor,
    receive: ReceiveCursor,
}

impl Queue {
    fn new(slots: usize) -> Rc<Queue> {
        Rc::new(Queue::with(slots, false))
    }

    /// What ended before something else began is seen by that.
    fn with_clock(slots: usize) -> Rc<Queue> {
        Rc::new(Queue::with(slots, true))
    }

    fn with(slots: usize, clock: bool) -> Queue {
        every_look_counts();
        Queue {
            shape: Shape::new(slots).unwrap(),
            bounds: Bounds::new(),
            words: (0..2 * slots).map(|_| AtomicU64::new(0)).collect(),
            items: (0..slots).map(|_| Guarded::new(0)).collect(),
            history: RefCell::default(),
            clock: clock.then(|| AtomicU64::new(0)),
        }
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(self.shape, &self.bounds, &self.words)
    }

    fn tick(&self) {
        if let Some(clock) = &self.clock {
            clock.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether there was room.
    fn send(&self, handle: &mut Handle, me: Name, item: u32) -> bool {
        let begun = self.history.borrow_mut().begin(Op::Send(item));
        self.tick();
        let sent = self.ring().send(&mut handle.send, me, |index| {
            self.items[index].set(item);
            may_die_here();
        });
        let sent = is_now(sent).is_some();
        self.tick();
        self.history.borrow_mut().end(begun, if sent { Op::Send(item) } else { Op::Full });
        sent
    }

    fn receive(&self, handle: &mut Handle, me: Name) -> Option<u32> {
        let begun = self.history.borrow_mut().begin(Op::Unknown);
        self.tick();
        let received = is_now(self.ring().receive(&mut handle.receive, me, |index| {
            let item = self.items[index].get();
            may_die_here();
            item
        }));
        self.tick();
        self.history.borrow_mut().end(begun, received.map_or(Op::Empty, Op::Receive));
        received
    }

    fn claim(&self, handle: &mut Handle, me: Name) -> Option<(u32, Held, u16)> {
        is_now(self.ring().claim(&mut handle.receive, me, |index| self.items[index].get()))
    }

    /// All that is there, by one who comes anew.
    fn drain(&self, me: Name) -> Vec<u32> {
        let mut handle = Handle::default();
        std::iter::from_fn(|| self.receive(&mut handle, me)).collect()
    }

    /// Nothing is left, and every slot is good for a lap or two.
    fn is_whole(&self, me: Name) {
        assert_eq!(self.drain(me), [], "nothing is left");
        let mut handle = Handle::default();
        let slots = self.shape.slots() as u32;
        for lap in 0..2 {
            let items = 100 * lap..100 * lap + slots;
            items.clone().for_each(|item| assert!(self.send(&mut handle, me, item), "there is room"));
            assert_eq!(self.ring().count().full, slots as usize);
            assert!(self.ring().is_full(&handle.send));
            assert!(!self.send(&mut handle, me, 99), "there is no more room than that");
            assert_eq!(self.drain(me), items.collect::<Vec<_>>(), "in this order");
        }
    }

    /// Another thread that sends these. Which there was no room for; None if it died.
    fn send_in(self: &Rc<Self>, number: usize, items: &'static [u32]) -> JoinHandle<Option<Vec<u32>>> {
        let queue = Rc::clone(self);
        thread(number, move |me| {
            let mut handle = Handle::default();
            items.iter().copied().filter(|&item| !queue.send(&mut handle, me, item)).collect()
        })
    }

    /// Another thread that tries so often to receive. What it received; None if it died.
    fn receive_in(self: &Rc<Self>, number: usize, tries: usize) -> JoinHandle<Option<Vec<u32>>> {
        let queue = Rc::clone(self);
        thread(number, move |me| {
            let mut handle = Handle::default();
            (0..tries).filter_map(|_| queue.receive(&mut handle, me)).collect()
        })
    }
}

fn is_now<T>(done: Result<T, Refusal>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(Refusal::NotNow) => None,
        Err(Refusal::Corrupt) => panic!("Corrupt"),
    }
}

/// Whether these are all, each once.
fn are_all(mut found: Vec<u32>, expected: &[u32]) {
    found.sort_unstable();
    assert_eq!(found, expected, "each once");
}

#[test]
fn two_senders_and_a_receiver() {
    each_order_in_a_crowd(|| {
        let queue = Queue::new(2);
        let senders = [queue.send_in(2, &[1]), queue.send_in(3, &[2])];
        let (me, mut handle) = (i_am(1), Handle::default());
        let mut received: Vec<_> = (0..2).filter_map(|_| queue.receive(&mut handle, me)).collect();
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Some(vec![]), "there was room");
        }
        received.extend(queue.drain(me));
        are_all(received, &[1, 2]);
    });
}

#[test]
fn a_sender_and_two_receivers() {
    each_order_in_a_crowd(|| {
        let queue = Queue::new(1);
        let receivers = [2, 3].map(|number| queue.receive_in(number, 1));
        let (me, mut handle) = (i_am(1), Handle::default());
        assert!(queue.send(&mut handle, me, 1));
        let mut received: Vec<_> = receivers.into_iter().flat_map(|thread| thread.join().unwrap().unwrap()).collect();
        received.extend(queue.drain(me));
        are_all(received, &[1]);
    });
}

/// Who finds a bound raised finds the slots before it as they were for who raised it.
#[test]
fn a_bound_is_no_news() {
    each_order_in_a_crowd(|| {
        let queue = Queue::new(1);
        let receiver = queue.receive_in(2, 1);
        let (me, mut handle) = (i_am(1), Handle::default());
        assert!(queue.send(&mut handle, me, 1));
        let mut received: Vec<_> = (0..2).filter_map(|_| queue.receive(&mut handle, me)).collect();
        received.extend(receiver.join().unwrap().unwrap());
        received.extend(queue.drain(me));
        are_all(received, &[1]);
    });
}

/// One slot, lap after lap: what is written is not what somebody still reads.
#[test]
fn laps_over_one_slot() {
    each_order(|| {
        let queue = Queue::new(1);
        let receiver = queue.receive_in(2, 2);
        let (me, mut handle) = (i_am(1), Handle::default());
        let sent: Vec<_> = (1..=2).filter(|&item| queue.send(&mut handle, me, item)).collect();
        let mut received = receiver.join().unwrap().unwrap();
        received.extend(queue.drain(me));
        assert_eq!(received, sent, "all, in this order");
        queue.is_whole(me);
    });
}

/// As seen from outside, it is a queue.
#[test]
fn two_senders_are_linearizable() {
    each_order_in_a_crowd(|| {
        let queue = Queue::with_clock(4);
        let senders = [queue.send_in(2, &[1]), queue.send_in(3, &[2, 3])];
        let (me, mut handle) = (i_am(1), Handle::default());
        let _: Vec<_> = (0..3).filter_map(|_| queue.receive(&mut handle, me)).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        queue.drain(me);
        queue.history.borrow().check();
    });
}

/// Likewise with two who receive.
#[test]
fn two_receivers_are_linearizable() {
    each_order_in_a_crowd(|| {
        let queue = Queue::with_clock(2);
        let receiver = queue.receive_in(2, 1);
        let sender = queue.send_in(3, &[1, 2]);
        let (me, mut handle) = (i_am(1), Handle::default());
        queue.receive(&mut handle, me);
        queue.send(&mut handle, me, 3);
        receiver.join().unwrap();
        sender.join().unwrap();
        queue.drain(me);
        queue.history.borrow().check();
    });
}

/// A sender dies at each step of two laps over a ring of this size; another goes on. What was sent by it is there from the first to
/// one after which all is lost; nothing of the other's is lost.
fn a_sender_dies(slots: usize) {
    let queue = Queue::new(slots);
    let victim = queue.send_in(2, &[1, 2]);
    let (me, mut handle) = (i_am(1), Handle::default());
    let mut sent = vec![];
    sent.extend(queue.send(&mut handle, me, 11).then_some(11));
    let mut received: Vec<_> = queue.receive(&mut handle, me).into_iter().collect();
    let unsent = victim.join().unwrap();
    received.extend(queue.drain(me));
    let (theirs, mine): (Vec<u32>, Vec<u32>) = received.into_iter().partition(|&item| item < 10);
    assert_eq!(mine, sent, "nothing of the others is lost");
    match unsent {
        Some(unsent) => assert_eq!(theirs.len() + unsent.len(), 2),
        None => assert!(theirs.is_sorted() && theirs.len() <= 2),
    }
    queue.is_whole(me);
}

#[test]
fn a_sender_dies_beside_others() {
    each_death(2, || a_sender_dies(2));
}

#[test]
fn a_sender_dies_with_the_only_slot() {
    each_death(2, || a_sender_dies(1));
}

/// A receiver dies at each step. What it had not received yet is there for others.
fn a_receiver_dies(slots: usize) {
    let queue = Queue::new(slots);
    let me = i_am(1);
    let (mut handle, items) = (Handle::default(), 1..=slots as u32);
    items.clone().for_each(|item| assert!(queue.send(&mut handle, me, item)));
    let victim = queue.receive_in(2, 1);
    let mut received: Vec<_> = queue.receive(&mut handle, me).into_iter().collect();
    let theirs = victim.join().unwrap();
    received.extend(queue.drain(me));
    let all = received.len() + theirs.as_ref().map_or(0, Vec::len);
    let lost = items.count() - all;
    // Killed while it read, it has not received. Killed later, it may have.
    assert!(lost == 0 || lost == 1 && theirs.is_none() && died(2) != Some(Before::Work), "{lost} are lost");
    queue.is_whole(me);
}

#[test]
fn a_receiver_dies_beside_others() {
    each_death(2, || a_receiver_dies(2));
}

#[test]
fn a_receiver_dies_with_the_only_slot() {
    each_death(2, || a_receiver_dies(1));
}

/// One has claimed and dies over it; two come, and one of them has it then.
#[test]
fn a_claim_is_delivered_again() {
    each_death_in_a_crowd(2, || {
        let queue = Queue::new(1);
        let me = i_am(1);
        let mut handle = Handle::default();
        assert!(queue.send(&mut handle, me, 1));
        let asked = Rc::new(Cell::new(false));
        let victim = thread(2, {
            let (queue, asked) = (Rc::clone(&queue), Rc::clone(&asked));
            move |me| {
                let (item, held, attempts) = queue.claim(&mut Handle::default(), me)?;
                assert_eq!((item, attempts), (1, 1));
                asked.set(true);
                may_die_here();
                assert!(queue.ring().done(&held));
                Some(item)
            }
        });
        let other = queue.receive_in(3, 1);
        let mut received: Vec<_> = queue.receive(&mut handle, me).into_iter().collect();
        let done = victim.join().unwrap();
        received.extend(other.join().unwrap().unwrap());
        received.extend(queue.drain(me));
        match done {
            Some(Some(item)) => received.push(item),
            Some(None) => {}
            // Killed right after it was done.
            None if asked.get() && received.is_empty() && died(2) != Some(Before::Work) => received.push(1),
            None => {}
        }
        assert_eq!(received, [1], "once");
        queue.is_whole(me);
    });
}

/// It comes back to whoever has passed it already, with the number of times that it was seen. Likewise where who gives it back dies
/// before it has told of that.
#[test]
fn what_is_given_back_is_found() {
    each_death(2, || {
        let queue = Queue::new(2);
        let me = i_am(1);
        let mut handle = Handle::default();
        assert!(queue.send(&mut handle, me, 1));
        let other = thread(2, {
            let queue = Rc::clone(&queue);
            move |me| {
                let (item, held, attempts) = queue.claim(&mut Handle::default(), me)?;
                assert!(queue.ring().give_back(&held));
                Some((item, attempts))
            }
        });
        let early = queue.claim(&mut handle, me);
        let first = other.join().unwrap();
        let (item, held, attempts) = early.or_else(|| queue.claim(&mut handle, me)).expect("it is found");
        match first {
            Some(None) => assert_eq!((item, attempts), (1, 1)),
            Some(Some(first)) => assert_eq!((item, attempts + first.1), (1, 3), "one after the other"),
            None => assert!(item == 1 && attempts <= 2),
        }
        assert!(queue.ring().done(&held));
        queue.is_whole(me);
    });
}

/// A dead receiver's and a dead sender's slots, and two who come upon them from both sides.
#[test]
fn two_heal_the_same() {
    each_death_in_a_crowd(2, || {
        let queue = Queue::new(1);
        let me = i_am(1);
        let mut handle = Handle::default();
        assert!(queue.send(&mut handle, me, 1));
        let victim = queue.receive_in(2, 1);
        let theirs = victim.join().unwrap();
        let other = queue.send_in(3, &[2]);
        let mut received: Vec<_> = queue.receive(&mut handle, me).into_iter().collect();
        let unsent = other.join().unwrap().unwrap();
        received.extend(queue.drain(me));
        let gone = theirs.is_some_and(|theirs| theirs == [1]);
        let lost = !gone && !received.contains(&1);
        assert!(!lost || died(2) != Some(Before::Work), "it was not received");
        assert_eq!(received.contains(&2), unsent.is_empty());
        assert_eq!(received.len(), usize::from(!gone && !lost) + usize::from(unsent.is_empty()), "each once");
        queue.is_whole(me);
    });
}

/// A dead sender's slot, to which a receiver and a sender come at once.
#[test]
fn two_pass_over_a_dead_sender() {
    each_death_in_a_crowd(2, || {
        let queue = Queue::new(1);
        let me = i_am(1);
        let unsent = queue.send_in(2, &[1]).join().unwrap();
        let other = queue.receive_in(3, 1);
        let sent = queue.send(&mut Handle::default(), me, 2);
        let mut received = other.join().unwrap().unwrap();
        received.extend(queue.drain(me));
        let theirs = received.first() == Some(&1);
        assert!(theirs || unsent.is_none(), "what was sent is received");
        assert_eq!(received.len(), usize::from(theirs) + usize::from(sent), "each once");
        assert!(sent || theirs, "the dead have no place");
        queue.is_whole(me);
    });
}

/// A sender that is stopped in the middle holds up nobody.
#[test]
fn a_stopped_sender_holds_up_nobody() {
    each_order(|| {
        let queue = Queue::new(4);
        let (me, stopped, other) = (i_am(1), name_of(2), name_of(3));
        let mut handles: [Handle; 3] = Default::default();
        let [mine, theirs, others] = &mut handles;
        let sent = queue.ring().send(&mut theirs.send, stopped, |index| {
            queue.items[index].set(1);
            // Meanwhile:
            for item in 2..=4 {
                assert!(queue.send(others, other, item));
            }
            assert!(!queue.send(others, other, 5), "a lap is all that there is");
            for item in 2..=4 {
                assert_eq!(queue.receive(mine, me), Some(item), "passing over it");
            }
            assert_eq!(queue.receive(mine, me), None);
        });
        assert_eq!(sent, Ok(()));
        assert_eq!(queue.receive(mine, me), Some(1));
        queue.is_whole(me);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("two_senders_and_a_receiver", "mpmc: publish before payload", RACE),
            ("laps_over_one_slot", "mpmc: freed before it is read", RACE),
            ("a_sender_dies_with_the_only_slot", "nothing acquires", RACE),
            ("a_sender_dies_with_the_only_slot", "nothing releases", RACE),
            ("two_senders_and_a_receiver", "nothing acquires", CORRUPT),
            ("a_bound_is_no_news", "mpmc: bound read early", CORRUPT),
            ("a_sender_dies_with_the_only_slot", "mpmc: slot owner written apart", "there is room"),
            ("two_heal_the_same", "mpmc: heal without the exact word", "each once"),
            ("two_senders_are_linearizable", "mpmc: no look back", "not a queue"),
            ("what_is_given_back_is_found", "mpmc: nothing said without a look from the head", "it is found"),
        ],
    );
}
