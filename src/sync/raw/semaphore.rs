//! The words of a semaphore.

use super::places::{Kind, Place, Places};
use super::primitive::{AtomicU64, FLAGS, Name, Ordering};
use super::waiting::Waiting;
use super::{Patience, Refusal};

/// In place of a number of permits, where there were to be more than there are places.
const TOO_MANY: u64 = u64::MAX;

/// ```text
///   0         8                       16
///   | begun   | gate                  | permit 0 | permit 1 | .. | permit MAX-1 |
///     with      of the permits' row     see `places`
/// ```
///
/// `begun` never changes: where to look first for a permit follows from it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawSemaphore<const MAX: usize> {
    begun: AtomicU64,
    permits: Places<MAX>,
}

/// A permit that was acquired. Nothing happens when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a>(Place<'a>);

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// The semaphore was made with more permits than it has places.
    TooMany,
    /// All places are permits already.
    Full,
    Refused(Refusal),
}

impl From<Refusal> for Without {
    fn from(refusal: Refusal) -> Without {
        Without::Refused(refusal)
    }
}

impl<const MAX: usize> RawSemaphore<MAX> {
    #[cfg(not(loom))]
    pub(crate) const fn new(permits: usize) -> RawSemaphore<MAX> {
        const { assert!(MAX > 0 && MAX <= u32::MAX as usize, "a semaphore needs a place for at least one permit") };
        if permits > MAX {
            return RawSemaphore { begun: AtomicU64::new(TOO_MANY), permits: Places::new(0) };
        }
        RawSemaphore { begun: AtomicU64::new(permits as u64), permits: Places::new(permits) }
    }

    #[cfg(loom)]
    pub(crate) fn new(permits: usize) -> RawSemaphore<MAX> {
        RawSemaphore { begun: AtomicU64::new(permits as u64), permits: Places::new(permits) }
    }

    /// As [`RawSemaphore::acquire_with`] without patience, where the permit that is looked at first is free.
    #[inline]
    pub(crate) fn acquire_fast(&self, me: Name) -> Option<Permit<'_>> {
        self.permits.take_at(self.first(me), me).map(Permit)
    }

    /// Acquires a permit, waiting as long as `patience` says.
    #[inline]
    pub(crate) fn acquire_with(&self, me: Name, patience: Patience) -> Result<Permit<'_>, Without> {
        match self.acquire_fast(me) {
            Some(permit) => Ok(permit),
            None => self.acquire_slow(me, patience),
        }
    }

    #[cold]
    fn acquire_slow(&self, me: Name, patience: Patience) -> Result<Permit<'_>, Without> {
        self.check()?;
        let mut waiting = Waiting::new(patience);
        loop {
            if let Some(place) = self.permits.take(self.first(me), me, &waiting) {
                return Ok(Permit(place));
            }
            if waiting.check().is_ok() && waiting.may_look_again() {
                continue;
            }
            self.permits.wait_for_one(Kind::Permit, me, &mut waiting)?;
        }
    }

    /// One permit more.
    pub(crate) fn add(&self) -> Result<(), Without> {
        self.check()?;
        if self.permits.add()? { Ok(()) } else { Err(Without::Full) }
    }

    /// How many could be had now.
    pub(crate) fn available(&self) -> usize {
        self.permits.count_free(Kind::Permit)
    }

    fn check(&self) -> Result<(), Without> {
        // Relaxed: it never changes.
        match self.begun.load(Ordering::Relaxed) {
            TOO_MANY => Err(Without::TooMany),
            begun if begun > MAX as u64 => Err(Without::Refused(Refusal::Corrupt)),
            _ => Ok(()),
        }
    }

    /// Where `me` looks first: threads with neighbouring names look in different places, as far as there are any.
    #[inline]
    fn first(&self, me: Name) -> usize {
        // Relaxed: it never changes. A wrong one is only a bad place to begin with.
        let begun = self.begun.load(Ordering::Relaxed) as u32;
        ((me.word() / (FLAGS + 1)) as u32).checked_rem(begun).unwrap_or(0) as usize
    }
}

impl Permit<'_> {
    /// Called by the thread that acquired it.
    #[inline]
    pub(crate) fn give_back(&self) {
        self.0.give_back(Kind::Permit);
    }

    /// There is one permit less, until one is added. Called by the thread that acquired it.
    pub(crate) fn forget(&self) {
        self.0.remove();
    }
}
