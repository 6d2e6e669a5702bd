//! Loans: live exclusive or read access to memory that other processes map too.
//!
//! While one is held a fork would give two holders of what is promised to one, so every fork path asks
//! [`held`] first and refuses. The count is private memory: a child made by someone else's `fork` inherits
//! its value together with the guards that make it up, and stays consistent.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many loans this thread holds.
    ///
    /// Of the thread, because a fork copies the calling thread only: a loan that another one holds has no holder in the
    /// child. And because an atomic count would cost as much as the lock that it counts.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A loan of shared memory, for as long as it lives. Not `Send`: it is given back where it was taken.
#[derive(Debug)]
pub(crate) struct Loan {
    not_send: PhantomData<*const ()>,
}

impl Loan {
    #[inline]
    pub(crate) fn take() -> Loan {
        HELD.set(HELD.get() + 1);
        Loan { not_send: PhantomData }
    }
}

impl Drop for Loan {
    #[inline]
    fn drop(&mut self) {
        HELD.set(HELD.get().wrapping_sub(1));
    }
}

/// How many loans the calling thread holds now.
pub(crate) fn held() -> usize {
    HELD.get()
}
