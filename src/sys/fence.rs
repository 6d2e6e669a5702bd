//! A pair of fences of which one costs nothing.
//!
//! Who publishes and who goes to sleep need a fence each (store, fence, look at the other's word), or both may miss the
//! other. The publisher does it for each message, the sleeper once in a while. So the sleeper does it for both:
//! [membarrier(2)](https://man7.org/linux/man-pages/man2/membarrier.2.html) makes every running thread of every process that has
//! registered pass a full fence; who does not run passes one when it is scheduled. The publisher then only has to keep the
//! compiler from exchanging its two accesses.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

use rustix::thread::{MembarrierCommand, membarrier};

use super::generation;

/// The generation of the process that has registered; what the kernel knows of its parent is not counted on.
static REGISTERED: AtomicU64 = AtomicU64::new(0);
/// The generation of the process that the kernel has refused.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// The publisher's side of this process: whether the kernel makes the fence where it is needed. Found out once for each
/// process, and kept in what publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Light {
    registered: bool,
}

impl Light {
    /// Registers this process, if it has not yet.
    pub(crate) fn here() -> Light {
        let here = generation::current();
        // Relaxed: what counts is that the kernel knows, and that was so before the word said so to any thread: the system
        // call is a full fence on each CPU that this process runs on.
        if REGISTERED.load(Ordering::Relaxed) == here {
            return Light { registered: true };
        }
        // Relaxed: as above.
        if REFUSED.load(Ordering::Relaxed) == here {
            return Light { registered: false };
        }
        let registered = membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok();
        // Relaxed: as above.
        if registered { &REGISTERED } else { &REFUSED }.store(here, Ordering::Relaxed);
        Light { registered }
    }

    /// Whether the fence costs nothing here: to be kept, and given to [`Light::known`].
    pub(crate) fn is_free(self) -> bool {
        self.registered
    }

    /// Where it costs nothing.
    pub(crate) const FREE: Light = Light { registered: true };

    /// As was found out by this process.
    #[inline]
    pub(crate) fn known(is_free: bool) -> Light {
        Light { registered: is_free }
    }

    /// Between a publisher's store and its look for sleepers. Pairs with [`heavy`].
    #[inline]
    pub(crate) fn fence(self) {
        if self.registered { compiler_fence(Ordering::SeqCst) } else { fence(Ordering::SeqCst) }
    }
}

/// Between a sleeper's announcement and its last look. Pairs with [`Light::fence`].
///
/// False where the kernel does not make the others' fences: then a publisher that counts on it may miss this sleeper, which
/// has to look again by itself, soon.
#[must_use]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    membarrier(MembarrierCommand::GlobalExpedited).is_ok()
}
