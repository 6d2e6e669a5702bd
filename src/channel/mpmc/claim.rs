//! A message that is delivered again, unless it is done.

use std::fmt;
use std::ops::Deref;

use super::Cells;
use crate::channel::many::Held;
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
    value: T,
    held: Held<Cells<T>>,
    attempts: u16,
}

impl<T: Plain> Claim<T> {
    pub(super) fn new(held: Held<Cells<T>>, value: T, attempts: u16) -> Claim<T> {
        Claim { value, held, attempts }
    }

    /// The message is done, and will not be delivered again.
    pub fn done(self) {
        self.held.done();
    }

    /// How often it was claimed, this time included; no more than 65535. What was received otherwise, and not returned because
    /// of a kill, is not counted: nobody has seen it.
    pub fn attempts(&self) -> u32 {
        u32::from(self.attempts)
    }
}

impl<T: Plain> Deref for Claim<T> {
    type Target = T;

    /// The message, as it was when it was claimed.
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Claim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?}, attempt {})", self.value, self.attempts)
    }
}
