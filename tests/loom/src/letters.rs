//! Scenes of dead letters: of a `Ring` where a message may be claimed once.

use std::cell::Cell;
use std::rc::Rc;

use crate::channel_raw::mpmc::{Bounds, ReceiveCursor, Refusal, Ring, SendCursor, Shape};
use crate::explore::{each_death_in_a_crowd, each_order_in_a_crowd};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Name};
use crate::world::{every_look_counts, i_am, may_die_here, thread};

struct Queue {
    shape: Shape,
    bounds: Bounds,
    words: [AtomicU64; 2],
    item: Guarded<u32>,
    /// The claimant has seen it.
    seen: Cell<bool>,
}

impl Queue {
    fn new() -> Rc<Queue> {
        every_look_counts();
        Rc::new(Queue {
            shape: Shape::new(1).unwrap().with_attempts(1),
            bounds: Bounds::new(),
            words: [AtomicU64::new(0), AtomicU64::new(0)],
            item: Guarded::new(0),
            seen: Cell::new(false),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(self.shape, &self.bounds, &self.words)
    }

    fn send(&self, me: Name, item: u32) -> bool {
        self.ring().send(&mut SendCursor::default(), me, |_| self.item.set(item)).is_ok()
    }

    fn receive(&self, mut cursor: ReceiveCursor, me: Name) -> Option<u32> {
        let received = self.ring().receive(&mut cursor, me, |_| self.item.get());
        assert_ne!(received, Err(Refusal::Corrupt));
        received.ok()
    }

    fn message(&self, me: Name) -> Option<u32> {
        self.receive(ReceiveCursor::default(), me)
    }

    fn letter(&self, me: Name) -> Option<u32> {
        self.receive(ReceiveCursor::of_letters(), me)
    }

    /// Claims it, and gives it back.
    fn spoil(&self, me: Name) {
        let mut cursor = ReceiveCursor::default();
        let claimed = self.ring().claim(&mut cursor, me, |_| {
            may_die_here();
            self.seen.set(true);
            self.item.get()
        });
        if let Ok((1, held, attempts)) = claimed {
            assert_eq!(attempts, 1, "once");
            assert!(self.ring().give_back(&held));
        }
    }
}

/// What one claims once is a letter for others, whoever looks when.
fn a_claimant(dies: bool) {
    let queue = Queue::new();
    let me = i_am(1);
    assert!(queue.send(me, 1));
    let claimant = thread(2, {
        let queue = Rc::clone(&queue);
        move |me| queue.spoil(me)
    });
    // Beside one who dies it would take a minute.
    let reader = (!dies).then(|| {
        let queue = Rc::clone(&queue);
        thread(3, move |me| queue.letter(me))
    });
    let message = queue.message(me);
    let ended = claimant.join().unwrap().is_some();
    assert!(ended || dies);
    let messages: Vec<_> = message.into_iter().chain(queue.message(me)).collect();
    let theirs = reader.and_then(|reader| reader.join().unwrap().unwrap());
    let letters: Vec<_> = theirs.into_iter().chain(queue.letter(me)).collect();
    assert_eq!([&messages[..], &letters[..]].concat(), [1], "one, once");
    assert!(messages.is_empty() || !queue.seen.get(), "what was seen once is no message");
    assert_eq!((queue.message(me), queue.letter(me)), (None, None));
    assert!(queue.send(me, 2));
    assert_eq!((queue.letter(me), queue.message(me)), (None, Some(2)), "the next is another");
}

#[test]
fn what_is_given_back_is_a_letter() {
    each_order_in_a_crowd(|| a_claimant(false));
}

#[test]
fn what_the_dead_have_claimed_is_a_letter() {
    each_death_in_a_crowd(2, || a_claimant(true));
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("what_is_given_back_is_a_letter", "mpmc: letters are messages", "is no message"),
            ("what_the_dead_have_claimed_is_a_letter", "mpmc: counted after it is seen", "is no message"),
        ],
    );
}
