//! A message that is delivered again, unless it is done.

use std::marker::PhantomData;

use super::{Ring, Store};
use crate::channel::end::{Peers, Side};
use crate::channel::raw::mpmc;
use crate::sys::fence::Light;
use crate::sys::generation;

/// The place of a message that is this thread's. Given back when it is dropped, unless it is done.
pub(in crate::channel) struct Held<S: Store> {
    ring: Ring<S>,
    held: mpmc::Held,
    done: bool,
    generation: u64,
    /// The word names this thread.
    not_send: PhantomData<*const ()>,
}

impl<S: Store> Held<S> {
    pub(in crate::channel) fn new(ring: Ring<S>, held: mpmc::Held) -> Held<S> {
        Held { ring, held, done: false, generation: generation::current(), not_send: PhantomData }
    }

    /// The message will not be delivered again.
    pub(in crate::channel) fn done(mut self) {
        // By the drop.
        self.done = true;
    }

    fn end(&self) {
        let (raw, header) = (self.ring.raw(), self.ring.header());
        let buried = !self.done && raw.is_last_attempt(&self.held);
        if self.done {
            raw.done(&self.held);
        } else {
            raw.give_back(&self.held);
        }
        Light::here().fence();
        if !self.done && !buried {
            if header.filled.0.is_wanted() || header.asked.0.is_wanted() {
                self.ring.wake_receivers(1);
            }
            return;
        }
        if buried {
            self.ring.wake_letter_receivers();
        } else if header.emptied.0.is_wanted() {
            self.ring.store.wake_senders(&header.emptied.0);
        }
        if header.idle.0.is_wanted() {
            header.idle.0.wake_all();
        }
        // Those of dead letters, too, if nobody is left who receives.
        if header.filled.0.is_gone() {
            self.ring.wake_letter_receivers();
        }
        // Receivers may wait for nothing but the end of this claim, if nobody is left who sends.
        if header.emptied.0.is_gone() {
            header.emptied.0.clear_gone();
            if self.ring.table().peers(Side::Sender, false) != Peers::Alive {
                header.emptied.0.set_gone();
                self.ring.wake_all_receivers();
            }
        }
    }
}

impl<S: Store> Drop for Held<S> {
    fn drop(&mut self) {
        // In the child of a fork it is a copy: the word is the parent's.
        if generation::is(self.generation) {
            self.end();
        }
    }
}
