//! Loans: live exclusive or read access to memory that other processes map too.
//!
//! While one is held a fork would give two holders of what is promised to one, so every fork path asks
//! [`held`] first and refuses. The count is private memory: a child made by someone else's `fork` inherits
//! its value together with the guards that make it up, and stays consistent.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many loans this process holds.
///
/// `Relaxed` throughout: a fork only copies the calling thread, so the only loans that matter to its
/// soundness are those taken earlier in program order by the same thread; loans of other threads are
/// counted as a courtesy and may be missed by a few instructions.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A loan of shared memory, for as long as it lives. Not `Send`: it is given back where it was taken.
#[derive(Debug)]
pub(crate) struct Loan {
    not_send: PhantomData<*const ()>,
}

impl Loan {
    pub(crate) fn take() -> Loan {
        HELD.fetch_add(1, Ordering::Relaxed);
        Loan { not_send: PhantomData }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many loans are held now.
pub(crate) fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}
