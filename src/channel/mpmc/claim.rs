//! A message that is delivered again, unless it is done.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::Ring;
use crate::channel::end::{Peers, Side};
use crate::channel::raw::mpmc::Held;
use crate::sys::fence::Light;
use crate::sys::generation;
use crate::wire::Plain;

/// A message that is this thread's, until it is [`done`](Claim::done). See [`Receiver::claim`](super::Receiver::claim).
///
/// Dropped otherwise, also by a panic, it is delivered again, as it is when the thread ends or is killed. It is the thread's
/// alone, so it cannot be sent to another; and in the child of a fork it is a copy, which does nothing.
///
/// ```compile_fail,E0277
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = tine::channel::mpmc::channel::<u64>(8)?;
/// tx.send(7)?;
/// let claim = rx.claim()?;
/// std::thread::spawn(move || claim.done()); // if this thread ended now, another would get the message, too
/// # Ok(())
/// # }
/// ```
#[must_use = "a claim that is dropped is delivered again"]
pub struct Claim<T: Plain> {
    ring: Ring<T>,
    value: T,
    held: Held,
    done: bool,
    attempts: u16,
    generation: u64,
    /// The word names this thread.
    not_send: PhantomData<*const ()>,
}

impl<T: Plain> Claim<T> {
    pub(super) fn new(ring: Ring<T>, value: T, held: Held, attempts: u16) -> Claim<T> {
        Claim { ring, value, held, done: false, attempts, generation: generation::current(), not_send: PhantomData }
    }

    /// The message is done, and will not be delivered again.
    pub fn done(mut self) {
        // By the drop.
        self.done = true;
    }

    /// How often it was claimed, this time included; no more than 65535. What was received otherwise, and not returned because
    /// of a kill, is not counted: nobody has seen it.
    pub fn attempts(&self) -> u32 {
        u32::from(self.attempts)
    }

    fn end(&self) {
        let (raw, header) = (self.ring.raw(), self.ring.header());
        if self.done {
            raw.done(&self.held);
        } else {
            raw.give_back(&self.held);
        }
        Light::here().fence();
        if !self.done {
            if header.filled.0.is_wanted() || header.asked.0.is_wanted() {
                self.ring.wake_receivers(1);
            }
            return;
        }
        if header.emptied.0.is_wanted() {
            header.emptied.0.wake(1);
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

impl<T: Plain> Deref for Claim<T> {
    type Target = T;

    /// The message, as it was when it was claimed.
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> Drop for Claim<T> {
    fn drop(&mut self) {
        // In the child of a fork it is a copy: the word is the parent's.
        if generation::is(self.generation) {
            self.end();
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Claim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?}, attempt {})", self.value, self.attempts)
    }
}
