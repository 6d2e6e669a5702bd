//! The words of a condition variable.

use super::Patience;
use super::mutex::RawMutex;
use super::primitive::{AtomicU64, Ordering, wake_all, wake_one};
use super::waiting::Waiting;

/// Somebody may sleep: who notifies wakes.
const WAITERS: u64 = 1;
/// One notification.
const NOTIFIED: u64 = 1 << 1;

/// ```text
///   word:    63 .. 1                      0
///            | how often it was notified | WAITERS |
///   mutex:   how far its mutex is from it; 0: none yet
///
///   n ---- notify ----> n+1
///   n ---- a waiter sleeps ----> n|WAITERS ---- notify one, wake one ----> n+1|WAITERS
///                                n|WAITERS ---- notify all, wake all ----> n+1
///                                          n+1|WAITERS, nobody was there ----> n+2  (and wake all: somebody may have come)
/// ```
///
/// Who waits takes down the count while it has the mutex, and waits until it is another. So nothing is lost: not on who
/// gives up the mutex and does not sleep yet, and not with a notifier, or a woken one, that dies. The wake only makes it
/// prompt. WAITERS goes only together with a change of the count, so that nobody sleeps on unseen.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawCondvar {
    word: AtomicU64,
    mutex: AtomicU64,
}

/// How often it had been notified when a wait began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

impl RawCondvar {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> RawCondvar {
        RawCondvar { word: AtomicU64::new(0), mutex: AtomicU64::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawCondvar {
        RawCondvar { word: AtomicU64::new(0), mutex: AtomicU64::new(0) }
    }

    /// Whether `mutex` is the one that this is used with: the first one becomes that.
    ///
    /// The two lie in one region, which processes may have at different addresses, or in regions that a fork left at the
    /// same addresses: their distance is the same for all.
    pub(crate) fn is_used_with(&self, mutex: &RawMutex) -> bool {
        let distance = (std::ptr::from_ref(mutex).addr()).wrapping_sub(std::ptr::from_ref(self).addr()) as u64;
        // Relaxed: nothing is read on the strength of it.
        match self.mutex.compare_exchange(0, distance, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(first) => first == distance,
        }
    }

    /// A wait begins. Called by the owner of the mutex, which it gives up then.
    pub(crate) fn ticket(&self) -> Ticket {
        // Relaxed: who notifies after a change that this thread has not seen locked the mutex after this thread gave it up,
        // so its notification is later than what is read here.
        Ticket(self.word.load(Ordering::Relaxed) / NOTIFIED)
    }

    /// Waits, without the mutex, for a notification since the ticket was taken; or until the mutex was left by somebody
    /// who died, which is to be told to who locks it, and who might have been the one to notify. False if neither came in
    /// time.
    pub(crate) fn wait(&self, ticket: Ticket, mutex: &RawMutex, patience: Patience) -> bool {
        let mut waiting = Waiting::new(patience);
        // Relaxed: what was done before the notification is seen by locking the mutex.
        let is_over = |now: u64| now / NOTIFIED != ticket.0;
        loop {
            let now = self.word.load(Ordering::Relaxed);
            if is_over(now) || mutex.is_left() {
                return true;
            }
            // Who locks the mutex and dies with it changes the mutex, and not this word.
            let wanted = || !mutex.is_left();
            if waiting.turn_while(&self.word, now, WAITERS, mutex.owner(), wanted).is_err() {
                // In the last moment it may have come, perhaps to nobody else.
                return is_over(self.word.load(Ordering::Relaxed));
            }
        }
    }

    /// Lets one of those who wait go on.
    #[inline]
    pub(crate) fn notify_one(&self) {
        // Relaxed: see `wait`.
        let was = self.word.fetch_add(NOTIFIED, Ordering::Relaxed);
        if was & WAITERS != 0 {
            self.wake_one(was.wrapping_add(NOTIFIED));
        }
    }

    #[cold]
    fn wake_one(&self, now: u64) {
        if seeded!("condvar without a wake") || wake_one(&self.word) > 0 {
            return;
        }
        // Nobody slept. Whoever comes to sleep from here on is to say so again.
        let next = now.wrapping_add(NOTIFIED) & !WAITERS;
        // Relaxed: see `wait`. From exactly this word: where it has changed, others see to it.
        if self.word.compare_exchange(now, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // Some may have come before this, relying on the mark.
            wake_all(&self.word);
        }
    }

    /// Lets all who wait go on.
    #[inline]
    pub(crate) fn notify_all(&self) {
        // Relaxed: see `wait`.
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            let next = now.wrapping_add(NOTIFIED) & !WAITERS;
            match self.word.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(changed) => now = changed,
            }
        }
        if now & WAITERS != 0 && !seeded!("condvar without a wake") {
            wake_all(&self.word);
        }
    }
}
