//! A ring of messages of two words, for one sender and one receiver; and its wrong version.
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tine::memory::Shared;

use crate::lab::operation::{Operation, Start};

const SLOTS: u32 = 4;

tine::share! {
    pub struct ToyRing {
        /// Messages sent; the sender's. The store of it is what sends.
        head: AtomicU32,
        /// Messages received; the receiver's.
        tail: AtomicU32,
        first: [AtomicU32; SLOTS as usize],
        second: [AtomicU32; SLOTS as usize],
    }
}

type Toy = Shared<ToyRing>;

impl ToyRing {
    fn new() -> ToyRing {
        let zeroes = || [const { AtomicU32::new(0) }; SLOTS as usize];
        ToyRing { head: AtomicU32::new(0), tail: AtomicU32::new(0), first: zeroes(), second: zeroes() }
    }

    /// Both words of the message are `value`. With `EARLY` the head is published before them.
    fn send<const EARLY: bool>(&self, value: u32) -> bool {
        let head = self.head.load(SeqCst);
        if head.wrapping_sub(self.tail.load(SeqCst)) == SLOTS {
            return false;
        }
        if EARLY {
            self.head.store(head.wrapping_add(1), SeqCst);
        }
        let slot = (head % SLOTS) as usize;
        self.first[slot].store(value, SeqCst);
        self.second[slot].store(value, SeqCst);
        if !EARLY {
            self.head.store(head.wrapping_add(1), SeqCst);
        }
        true
    }

    fn receive(&self) -> Option<(u32, u32)> {
        let tail = self.tail.load(SeqCst);
        if self.head.load(SeqCst) == tail {
            return None;
        }
        let slot = (tail % SLOTS) as usize;
        let message = (self.first[slot].load(SeqCst), self.second[slot].load(SeqCst));
        self.tail.store(tail.wrapping_add(1), SeqCst);
        Some(message)
    }
}

/// A ring in which `sent` messages were sent and `received` of them received.
fn ring<const SENT: u32, const RECEIVED: u32>() -> Toy {
    let ring = ToyRing::new();
    for value in 1..=SENT {
        assert!(ring.send::<false>(value));
        if value <= RECEIVED {
            assert!(ring.receive().is_some());
        }
    }
    Shared::new(ring).expect("shared memory")
}

/// What is in it now, and that it still works.
fn look(ring: &Toy) -> String {
    let there: Vec<_> = std::iter::from_fn(|| ring.receive()).collect();
    let works = ring.send::<false>(77) && ring.receive() == Some((77, 77));
    format!("{there:?} {works}")
}

pub fn send<const EARLY: bool>() -> Operation<Toy, bool> {
    let act = |ring: &Toy, sent: &mut bool| *sent = ring.send::<EARLY>(9);
    Operation::new("toy ring: send", |_| false, act, look)
        .from(Start::new("empty", ring::<0, 0>))
        .from(Start::new("half full", ring::<2, 0>))
        .from(Start::new("about to wrap", ring::<7, 6>))
        .from(Start::new("full", ring::<4, 0>))
}

pub fn receive() -> Operation<Toy, Option<(u32, u32)>> {
    // What was received is the receiver's, and dies with it: only what remains is looked at.
    Operation::new("toy ring: receive", |_| None, |ring, got| *got = ring.receive(), look)
        .from(Start::new("empty", ring::<0, 0>))
        .from(Start::new("half full", ring::<2, 0>))
        .from(Start::new("about to wrap", ring::<8, 6>))
        .from(Start::new("full", ring::<4, 0>))
}
