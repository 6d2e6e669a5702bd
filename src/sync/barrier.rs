//! A point that all have to reach before any goes on.
//!
//! # Safety
//!
//! This file opens `unsafe` to promise that a barrier may be used in place by several processes.
#![allow(unsafe_code)]

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::raw::barrier::{Arrived, Party, RawBarrier};
use super::raw::phase::End;
use super::raw::{Patience, Refusal};
use crate::sys::roster::{self, Name};
use crate::wire::Share;

/// Where a number of threads, of several processes, wait for each other: std's `Barrier` with Python's ways out, in shared
/// memory, that breaks when one of them dies.
///
/// It is made in place (`new` is `const`), lives in [`Shared`](crate::Shared), alone, in arrays, or as a field of a
/// [`share!`](crate::share) struct, and needs no destruction. It is used again and again: the next round opens when the last
/// is over.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tine::{Shared, sync::Barrier};
///
/// tine::share! { struct Steps { sum: AtomicU64, all: Barrier } }
///
/// # fn main() -> Result<(), tine::Error> {
/// let steps = Shared::new(Steps { sum: AtomicU64::new(0), all: Barrier::new(3) })?;
/// let children: Vec<_> = (1..=3)
///     .map(|n| {
///         tine::spawn({
///             let steps = steps.clone();
///             move || {
///                 steps.sum.fetch_add(n, Ordering::Relaxed);
///                 steps.all.wait().unwrap();
///                 steps.sum.load(Ordering::Relaxed) // of all three
///             }
///         })
///     })
///     .collect::<Result<_, _>>()?;
/// for child in children {
///     assert_eq!(child.join()?, 6);
/// }
/// # Ok(())
/// # }
/// ```
///
/// What each did before it arrived is seen by all who go on.
///
/// # When it breaks
///
/// For all who wait, and all who come, until [`reset`](Self::reset), each call returns [`BarrierError::Broken`]:
///
/// - when one who has arrived **dies** before the last has come. Those who wait are woken at once (at most 100 ms later if the
///   kernel killed for want of memory, or if over 30 threads take part in what is shared, or if the dead one first took part
///   in something, and not in this barrier, after they fell asleep);
/// - when one who waits has waited for its [limit](Self::wait_timeout);
/// - when the action of a [`wait_with`](Self::wait_with) panics;
/// - by [`abort`](Self::abort).
///
/// Whoever dies before it has arrived is not missed by the barrier: it does not know who is to come. Wait with a limit, or for
/// the [child](crate::process::Child), where that matters. Who dies after the last has come takes nothing from the others.
/// One that was stopped is alive.
///
/// # Room
///
/// There is room for 30 parties if nothing else is said: each who arrives is known by name, in a word of 8 bytes.
/// `Barrier::<100>::with_max(100)` has room for 100. There may be more users than parties: who comes when all have come waits
/// for the next round.
///
/// See [futex(7)](https://man7.org/linux/man-pages/man7/futex.7.html).
#[doc(alias = "pthread_barrier_t")]
#[repr(transparent)]
pub struct Barrier<const MAX: usize = 30> {
    raw: RawBarrier<MAX>,
}

// SAFETY: atomic words, some of them under a lock that works between processes; no pointers, no drop.
unsafe impl<const MAX: usize> Share for Barrier<MAX> {}

static_assertions::assert_eq_size!(Barrier, [u64; 34]);
static_assertions::assert_impl_all!(Barrier: Send, Sync, std::panic::RefUnwindSafe, std::panic::UnwindSafe);

/// Which of those who went on together this one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: usize,
    leader: bool,
}

impl BarrierWaitResult {
    /// True for one of them: the last that came.
    pub fn is_leader(&self) -> bool {
        self.leader
    }

    /// A number of its own for each, from 0 up: the order in which they came.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// Why a thread did not go on with the others.
#[derive(Debug)]
#[non_exhaustive]
pub enum BarrierError {
    /// One who had arrived died, or gave up, or somebody broke the barrier. It stays so until it is
    /// [reset](Barrier::reset).
    Broken,
    /// The others had not come until this call's limit was over. For them the barrier is broken.
    TimedOut,
    /// The call came from the action of the same barrier, and would wait for its own end.
    Deadlock,
    /// The barrier was made for no party, or for more than its type has room for.
    Parties {
        /// For how many it was made.
        parties: u64,
        /// How many there is room for.
        most: usize,
    },
    /// One who has arrived is no relative of this process, so nobody here can tell whether it lives. For the others the
    /// barrier is broken.
    Foreign,
    /// The barrier's words hold what no operation writes there: something has overwritten them.
    Corrupt,
    /// The calling thread could not be put on the roster of those who are watched. It has not arrived.
    NoPlace(io::Error),
    /// This process was forked inside the action, by other means than this library's: its parent is the party.
    NotOwner,
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BarrierError::Broken => {
                "the barrier is broken: one of those who waited died or gave up; see to that, then reset() it"
            }
            BarrierError::TimedOut => {
                "not all had come to the barrier until the time was over, and it is broken for those who had; reset() it"
            }
            BarrierError::Deadlock => "the action of the barrier waits for the same barrier, which waits for its end",
            BarrierError::Parties { parties, most } => {
                return write!(
                    f,
                    "the barrier was made for {parties} parties and has room for 1 to {most}; make it by \
                     Barrier::<MAX>::with_max(..)"
                );
            }
            BarrierError::Foreign => {
                "a process that is not forked from the same one waits at the barrier, so whether it lives cannot be told; \
                 share barriers among relatives only"
            }
            BarrierError::Corrupt => {
                "the barrier's words hold what no barrier writes, so its memory was overwritten; make it anew"
            }
            BarrierError::NoPlace(error) => return write!(f, "this thread cannot wait at barriers: {error}"),
            BarrierError::NotOwner => {
                "this process was forked inside the action of a barrier and is not the party that runs it"
            }
        })
    }
}

impl StdError for BarrierError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            BarrierError::NoPlace(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BarrierError> for io::Error {
    fn from(error: BarrierError) -> io::Error {
        let kind = match &error {
            BarrierError::Broken => io::ErrorKind::BrokenPipe,
            BarrierError::TimedOut => io::ErrorKind::TimedOut,
            BarrierError::Deadlock => io::ErrorKind::Deadlock,
            BarrierError::Parties { .. } => io::ErrorKind::InvalidInput,
            BarrierError::Foreign => io::ErrorKind::Unsupported,
            BarrierError::Corrupt => io::ErrorKind::InvalidData,
            BarrierError::NoPlace(error) => error.kind(),
            BarrierError::NotOwner => io::ErrorKind::PermissionDenied,
        };
        io::Error::new(kind, error)
    }
}

impl From<Refusal> for BarrierError {
    fn from(refusal: Refusal) -> BarrierError {
        match refusal {
            Refusal::NotNow => BarrierError::TimedOut,
            Refusal::Deadlock => BarrierError::Deadlock,
            Refusal::Foreign => BarrierError::Foreign,
            Refusal::Corrupt => BarrierError::Corrupt,
        }
    }
}

impl Barrier {
    /// For so many parties, 1 to 30. For others every wait is refused: [`BarrierError::Parties`].
    pub const fn new(parties: usize) -> Barrier {
        Barrier::with_max(parties)
    }
}

impl<const MAX: usize> Barrier<MAX> {
    /// For so many parties, 1 to `MAX`. For others every wait is refused: [`BarrierError::Parties`].
    ///
    /// ```
    /// use tine::sync::{Barrier, BarrierError};
    ///
    /// static ALONE: Barrier<1> = Barrier::with_max(1);
    /// assert_eq!(ALONE.wait().unwrap().index(), 0);
    ///
    /// let crowd = Barrier::<1>::with_max(2);
    /// assert!(matches!(crowd.wait(), Err(BarrierError::Parties { parties: 2, most: 1 })));
    /// ```
    pub const fn with_max(parties: usize) -> Barrier<MAX> {
        Barrier { raw: RawBarrier::new(parties) }
    }

    /// Waits until all others have come, too.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`]: one of them died, or gave up; the barrier is to be [reset](Self::reset). Others of
    /// [`BarrierError`] where the barrier is wrongly made or used, or overwritten.
    #[doc(alias = "pthread_barrier_wait")]
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_for(Patience::Endless, || ())
    }

    /// As [`wait`](Self::wait); the last that comes runs `action` before any goes on.
    ///
    /// If somebody breaks the barrier meanwhile, all are told that it is broken, although the action was run.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use tine::{Shared, sync::Barrier};
    ///
    /// tine::share! { struct Rounds { all: Barrier, done: AtomicU64 } }
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let rounds = Shared::new(Rounds { all: Barrier::new(2), done: AtomicU64::new(0) })?;
    /// let go_round = || {
    ///     for round in 1..=10 {
    ///         rounds.all.wait_with(|| _ = rounds.done.fetch_add(1, Ordering::Relaxed)).unwrap();
    ///         assert!(rounds.done.load(Ordering::Relaxed) >= round);
    ///     }
    /// };
    /// let child = tine::spawn(go_round)?;
    /// go_round();
    /// child.join()?;
    /// assert_eq!(rounds.done.load(Ordering::Relaxed), 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If `action` does. The barrier is broken then.
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_for(Patience::Endless, action)
    }

    /// As [`wait`](Self::wait), for at most `limit`. If that is over first, the barrier is broken for the others. A limit of
    /// zero goes on if all others have come; a signal does not end the wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tine::sync::{Barrier, BarrierError};
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(matches!(barrier.wait_timeout(Duration::from_millis(5)), Err(BarrierError::TimedOut)));
    /// assert!(matches!(barrier.wait(), Err(BarrierError::Broken)));
    /// barrier.reset();
    /// assert!(!barrier.is_broken());
    /// ```
    ///
    /// # Errors
    ///
    /// [`BarrierError::TimedOut`]; else as for [`wait`](Self::wait).
    pub fn wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_for(Patience::within(limit), || ())
    }

    /// As [`wait_timeout`](Self::wait_timeout) and [`wait_with`](Self::wait_with). What the action takes is not limited.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    ///
    /// As for [`wait_with`](Self::wait_with).
    pub fn wait_timeout_with(&self, limit: Duration, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_for(Patience::within(limit), action)
    }

    /// Breaks the barrier: all who wait, and all who come, are told so, until it is [reset](Self::reset).
    pub fn abort(&self) {
        self.raw.abort();
    }

    /// Opens a new round, whether the barrier is broken or not. Who waits for the last one is told that that was broken; who
    /// comes from now on waits for the new one.
    pub fn reset(&self) {
        self.raw.reset();
    }

    /// Whether it is broken now. May be stale by the time you look.
    pub fn is_broken(&self) -> bool {
        self.raw.is_broken()
    }

    /// For how many parties it was made.
    pub fn parties(&self) -> usize {
        self.raw.parties() as usize
    }

    /// How many have come and wait for the others. May be stale by the time you look.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.raw.waiting()
    }

    fn wait_for(&self, patience: Patience, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        let parties = match usize::try_from(self.raw.parties()) {
            Ok(parties) if (1..=MAX).contains(&parties) => parties,
            _ => return Err(BarrierError::Parties { parties: self.raw.parties(), most: MAX }),
        };
        let unknown = roster::seated().is_none();
        let me = roster::me().map_err(BarrierError::NoPlace)?;
        let (end, index) = match self.raw.arrive(parties, me, unknown, patience)? {
            Arrived::Broken => return Err(BarrierError::Broken),
            Arrived::First(party) => (self.raw.wait(parties, party, patience)?, party.index),
            Arrived::Last(party) => {
                if self.raw.is_complete(parties, party)? == End::Broken {
                    return Err(BarrierError::Broken);
                }
                let last = Last { barrier: self, party, me, over: false };
                action();
                (last.trip()?, party.index)
            }
        };
        match end {
            End::Tripped => Ok(BarrierWaitResult { index, leader: index + 1 == parties }),
            End::Broken => Err(BarrierError::Broken),
        }
    }
}

/// The last that came, while it runs the action. Dropped by a panic, it breaks the barrier.
struct Last<'a, const MAX: usize> {
    barrier: &'a Barrier<MAX>,
    party: Party,
    me: Name,
    over: bool,
}

impl<const MAX: usize> Last<'_, MAX> {
    /// Not in the child of a fork that was not ours: there this is a copy, and the party is the parent.
    fn is_mine(&self) -> bool {
        roster::seated() == Some(self.me)
    }

    fn trip(mut self) -> Result<End, BarrierError> {
        self.over = true;
        if self.is_mine() { Ok(self.barrier.raw.trip(self.party)) } else { Err(BarrierError::NotOwner) }
    }
}

impl<const MAX: usize> Drop for Last<'_, MAX> {
    fn drop(&mut self) {
        if !self.over && self.is_mine() {
            self.barrier.raw.give_up(self.party);
        }
    }
}

impl<const MAX: usize> fmt::Debug for Barrier<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}
