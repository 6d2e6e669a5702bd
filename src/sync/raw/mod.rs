//! The words of the locks, without the data that they guard.
//!
//! Each file is one algorithm over words of 64 bits, written against [`primitive`] only: atomics, "who am I", "is that one
//! alive", "sleep until this word changes or somebody dies". The same files are compiled against loom's atomics and a model of
//! the rest by the crate in `tests/loom`.
//!
//! What all of them have in common:
//!
//! - **A word that says "held" says by whom**, in the same 64 bits, put there by one compare-and-swap. So there is no instant
//!   at which a killed holder cannot be named.
//! - **Whoever finds the dead carries on from there** by one compare-and-swap from exactly the word it judged.
//! - **To sleep**: say so in the word, then sleep expecting that very word. **To wake**: change the word, then wake, naming only
//!   its address: the memory may be gone by then.
//! - **A wake that is lost** with who was to send or to pass it on is made good by the sleepers themselves: they watch the
//!   lives of all who take part.

pub(crate) mod barrier;
pub(crate) mod condvar;
pub(crate) mod event;
pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod phase;
mod places;
#[cfg(not(loom))]
pub(crate) mod primitive;
pub(crate) mod rwlock;
pub(crate) mod semaphore;
mod waiting;

#[cfg(loom)]
use crate::primitive;

/// Why a word was not changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not free now, or was not until the deadline.
    NotNow,
    /// The calling thread holds it, and would wait for itself.
    Deadlock,
    /// It is held by a process of another family, of which nobody here can tell whether it lives.
    Foreign,
    /// It holds what no operation writes.
    Corrupt,
}

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Once.
    None,
    /// Until a point in time.
    Until(primitive::Instant),
    /// For ever.
    Endless,
}

impl Patience {
    fn deadline(self) -> Option<primitive::Instant> {
        match self {
            Patience::Until(deadline) => Some(deadline),
            Patience::None | Patience::Endless => None,
        }
    }
}
