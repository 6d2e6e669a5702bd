//! A value that is delivered again, unless it is done.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::store::Bytes;
use crate::channel::many::Held;

/// A value that is this thread's, until it is [`done`](Claim::done). See [`Receiver::claim`](super::Receiver::claim).
///
/// Dropped otherwise, also by a panic, it is delivered again, as it is when the thread ends or is killed. It is the thread's
/// alone, so it cannot be sent to another; and in the child of a fork it is a copy, which does nothing.
#[must_use = "a claim that is dropped is delivered again"]
pub struct Claim<T> {
    value: T,
    held: Held<Bytes>,
    attempts: u16,
}

impl<T> Claim<T> {
    pub(super) fn new(value: T, held: Held<Bytes>, attempts: u16) -> Claim<T> {
        Claim { value, held, attempts }
    }

    /// The value is done, and will not be delivered again.
    #[doc(alias = "task_done")]
    pub fn done(self) {
        self.held.done();
    }

    /// The same, with the value.
    pub fn into_done(self) -> T {
        self.held.done();
        self.value
    }

    /// How often it was claimed, this time included; no more than 65535.
    pub fn attempts(&self) -> u32 {
        u32::from(self.attempts)
    }
}

impl<T> Deref for Claim<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Of this process's copy: delivered again, it is as it was sent.
impl<T> DerefMut for Claim<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Claim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?}, attempt {})", self.value, self.attempts)
    }
}
