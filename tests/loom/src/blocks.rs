//! Scenes of `Blocks`, beside the slots whose messages they belong to.

use std::rc::Rc;

use crate::channel_raw::blocks::Blocks;
use crate::channel_raw::mpmc::{Bounds, ReceiveCursor, Refusal, Ring, SendCursor, Shape};
use crate::explore::{each_death_in_a_crowd, each_order, each_order_in_a_crowd};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Name};
use crate::twins::RACE;
use crate::world::{Before, died, every_look_counts, i_am, may_die_here, thread};

/// Messages of which each is a number, in a block.
struct Post {
    shape: Shape,
    bounds: Bounds,
    words: Vec<AtomicU64>,
    owners: Vec<AtomicU64>,
    /// Which block, of each slot; none of a message without.
    slots: Vec<Guarded<Option<usize>>>,
    parts: Vec<Guarded<u32>>,
}

impl Post {
    fn new(slots: usize, blocks: usize) -> Rc<Post> {
        every_look_counts();
        Rc::new(Post {
            shape: Shape::new(slots).unwrap(),
            bounds: Bounds::new(),
            words: (0..2 * slots).map(|_| AtomicU64::new(0)).collect(),
            owners: (0..blocks).map(|_| AtomicU64::new(0)).collect(),
            slots: (0..slots).map(|_| Guarded::new(None)).collect(),
            parts: (0..blocks).map(|_| Guarded::new(0)).collect(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(self.shape, &self.bounds, &self.words)
    }

    fn take(&self, me: Name) -> Option<usize> {
        let lap_of = |slot| self.ring().lap_of(slot);
        let blocks = Blocks(&self.owners);
        blocks.are_free(1, lap_of).then(|| blocks.take(me, 0, lap_of)).flatten()
    }

    /// As the store of the queues does it. Whether there was room.
    fn send(&self, me: Name, item: u32) -> bool {
        let taken = self.take(me).or_else(|| {
            self.ring().tend(me).expect("no Corrupt");
            self.take(me)
        });
        let Some(number) = taken else { return false };
        let sent = self.send_by(me, Some(number), || {
            self.parts[number].set(item);
            may_die_here();
        });
        if !sent {
            Blocks(&self.owners).give_back(number);
        }
        sent
    }

    fn send_by(&self, me: Name, block: Option<usize>, fill: impl FnOnce()) -> bool {
        let sent = self.ring().send(&mut SendCursor::default(), me, |index| {
            self.slots[index].set(block);
            fill();
            if let Some(number) = block {
                Blocks(&self.owners).assign(number, index, self.ring().lap_of(index).unwrap());
            }
        });
        assert_ne!(sent, Err(Refusal::Corrupt));
        sent.is_ok()
    }

    /// 0 for a message without a block.
    fn receive(&self, me: Name) -> Option<u32> {
        let received = self.ring().receive(&mut ReceiveCursor::default(), me, |index| {
            let item = self.slots[index].get().map_or(0, |number| self.parts[number].get());
            may_die_here();
            item
        });
        assert_ne!(received, Err(Refusal::Corrupt));
        received.ok()
    }

    /// Nothing is left, and each block can be used.
    fn is_whole(&self, me: Name) {
        assert_eq!(self.receive(me), None);
        for lap in 0..2 {
            let blocks = self.parts.len().min(self.shape.slots()) as u32;
            (1..=blocks).for_each(|n| assert!(self.send(me, 100 * lap + n), "no block is lost"));
            (1..=blocks).for_each(|n| assert_eq!(self.receive(me), Some(100 * lap + n), "in this order"));
        }
    }

    /// Another thread that sends this one. Whether there was room; None if it died.
    fn send_in(self: &Rc<Self>, number: usize, item: u32) -> loom::thread::JoinHandle<Option<bool>> {
        let post = Rc::clone(self);
        thread(number, move |me| post.send(me, item))
    }

    fn receive_in(self: &Rc<Self>, number: usize) -> loom::thread::JoinHandle<Option<Option<u32>>> {
        let post = Rc::clone(self);
        thread(number, move |me| post.receive(me))
    }
}

/// What is written into a block was read by who received the message before.
#[test]
fn a_block_is_used_again_when_its_message_was_read() {
    each_order(|| {
        let post = Post::new(2, 1);
        let receiver = post.receive_in(2);
        let me = i_am(1);
        assert!(post.send(me, 1));
        let again = post.send(me, 2);
        let first = receiver.join().unwrap().unwrap();
        assert!(!again || first == Some(1), "its block");
        let mut received: Vec<_> = first.into_iter().collect();
        received.extend(std::iter::from_fn(|| post.receive(me)));
        assert_eq!(received, if again { vec![1, 2] } else { vec![1] });
    });
}

/// Of two who find it free one gets it.
#[test]
fn one_of_two_gets_a_block() {
    each_order_in_a_crowd(|| {
        let post = Post::new(2, 1);
        let other = post.send_in(2, 2);
        let me = i_am(1);
        let mine = post.send(me, 1);
        let theirs = other.join().unwrap().unwrap();
        assert!(mine || theirs, "the block is for the first");
        let mut received: Vec<_> = std::iter::from_fn(|| post.receive(me)).collect();
        received.sort_unstable();
        let sent: Vec<_> = [(mine, 1), (theirs, 2)].into_iter().filter(|sent| sent.0).map(|sent| sent.1).collect();
        assert_eq!(received, sent, "each its own");
        post.is_whole(me);
    });
}

/// Who finds that a block belongs to a lap of a slot finds the slot in that lap, or later; however long it has not looked at it.
#[test]
fn a_block_of_a_lap_is_not_taken_before_that() {
    each_order(|| {
        let post = Post::new(1, 1);
        let other = thread(2, {
            let post = Rc::clone(&post);
            move |me| {
                let Some(number) = post.take(me) else { return };
                post.parts[number].set(99);
                Blocks(&post.owners).give_back(number);
            }
        });
        let me = i_am(1);
        assert!(post.send_by(me, None, || ()));
        assert_eq!(post.receive(me), Some(0));
        if post.send(me, 1) {
            assert_eq!(post.receive(me), Some(1), "torn");
        }
        other.join().unwrap();
        post.is_whole(me);
    });
}

/// With the block, at each step; another wants it meanwhile.
#[test]
fn a_sender_dies_with_a_block() {
    each_death_in_a_crowd(2, || {
        let post = Post::new(2, 1);
        let victim = post.send_in(2, 2);
        let me = i_am(1);
        let mine = post.send(me, 1);
        let theirs = victim.join().unwrap();
        let mut received: Vec<_> = std::iter::from_fn(|| post.receive(me)).collect();
        received.sort_unstable();
        assert_eq!(received.contains(&1), mine);
        assert!(theirs.is_none_or(|theirs| received.contains(&2) == theirs));
        assert!(received.len() <= 1, "there is one block: {received:?}");
        post.is_whole(me);
    });
}

/// Over the message, at each step: its block stays with it. Another wants it meanwhile.
#[test]
fn a_receiver_dies_over_a_block() {
    each_death_in_a_crowd(2, || {
        let post = Post::new(2, 1);
        let me = i_am(1);
        assert!(post.send(me, 1));
        let victim = post.receive_in(2);
        let again = post.send(me, 2);
        let theirs = victim.join().unwrap();
        let mut received: Vec<_> = theirs.flatten().into_iter().collect();
        received.extend(std::iter::from_fn(|| post.receive(me)));
        let lost = !received.contains(&1);
        assert!(!lost || theirs.is_none() && died(2) != Some(Before::Work), "it was not received");
        let expected: Vec<_> = (!lost).then_some(1).into_iter().chain(again.then_some(2)).collect();
        assert_eq!(received, expected);
        post.is_whole(me);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("a_block_of_a_lap_is_not_taken_before_that", "mpmc: lap read early", RACE),
            (
                "a_block_is_used_again_when_its_message_was_read",
                "blocks: taken from a message that is not over",
                "its block",
            ),
            ("one_of_two_gets_a_block", "blocks: taken without the exact word", "each its own"),
            ("a_block_of_a_lap_is_not_taken_before_that", "blocks: assigned without the lap", RACE),
            ("a_block_of_a_lap_is_not_taken_before_that", "blocks: given back early", RACE),
            ("a_sender_dies_with_a_block", "blocks: what the dead have taken is lost", "no block is lost"),
        ],
    );
}
