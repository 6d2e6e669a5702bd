//! The two words of a slot that say whose it is: how one tenant follows another, and how the dead are told from the living.
//!
//! Words and names only: `tests/loom` compiles this file as it is, over words and a kernel of its own.

use super::name::TENURES;
use super::{AtomicU32, AtomicU64, OWNER_DIED, Ordering, Verdict, WAITERS};

/// What the life word says of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Nobody has locked it yet.
    Unused,
    Alive,
    Dead,
}

fn read(life: u32) -> Life {
    match life {
        _ if life & OWNER_DIED != 0 => Life::Dead,
        0 => Life::Unused,
        _ => Life::Alive,
    }
}

/// ```text
///   0                        8      12
///   | count << 1 | announced | task | (pad) 16
/// ```
///
/// The tenure goes round with the life word:
///
/// ```text
///   life:    0 -> TID -> TID|WAITERS -> OWNER_DIED|.. -> TID -> ..       (the thread locks; a watcher; the kernel)
///   tenure:  (0, vacant) -> (0, announced) -> (1, vacant) -> (1, announced) -> ..
///                       the holder of life          whoever has seen life dead
/// ```
///
/// The name of a thread is its slot and its count. It is dead when the tenure is another's, or when life says so. The
/// tenure changes from announced to vacant only from a value that was read *before* life was seen dead: were it read
/// after, the death could be that of the last tenant, and the next would be struck out alive.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Tenure {
    word: AtomicU64,
    /// What life holds while the tenant lives, but for the watchers' bit. Between a death and the next tenure, life may be the
    /// next thread's already, while the tenure is the dead one's: this tells them apart. For then the dead one came and
    /// ended while the next was between its look and its lock, so both were there at once, and had different numbers.
    task: AtomicU32,
}

impl Tenure {
    #[cfg(loom)]
    pub(super) fn new(count: u64) -> Tenure {
        Tenure { word: AtomicU64::new(count << 1), task: AtomicU32::new(0) }
    }

    /// `(count, announced)`.
    pub(super) fn now(&self) -> (u64, bool) {
        // Acquire: pairs with the Release in `announce`: who sees a tenure sees whose it is.
        let tenure = self.word.load(Ordering::Acquire);
        (tenure >> 1, tenure & 1 != 0)
    }

    /// Whether a thread may try to lock `life`. A tenant that is dead is struck out.
    pub(super) fn is_open(&self, life: &AtomicU32) -> bool {
        let (mut count, mut announced) = self.now();
        // Acquire: pairs with the kernel's mark, after all that the dead thread did. Read after the tenure: see above.
        let life = read(life.load(Ordering::Acquire));
        if seeded!("roster: tenure read after life") {
            (count, announced) = self.now();
        }
        match life {
            Life::Alive => false,
            Life::Dead if announced && !self.vacate(count) => false,
            Life::Dead | Life::Unused => has_room(count),
        }
    }

    /// Called by who has just locked life: its count. None if there is none left.
    pub(super) fn begin(&self) -> Option<u64> {
        loop {
            match self.now() {
                (count, false) => return has_room(count).then_some(count),
                // Between the look and the lock another came, was announced, and died. It is struck out here or by others.
                (count, true) => drop(self.vacate(count)),
            }
        }
    }

    /// The holder of life enters its name.
    pub(super) fn announce(&self, count: u64, life: &AtomicU32) {
        // Relaxed: this thread's own word, but for the watchers' bit. Release: pairs with the Acquire in `mark_dead`: who finds
        // this task finds the last tenant struck out.
        self.task.store(alive(life.load(Ordering::Relaxed)), Ordering::Release);
        // Release: pairs with the Acquire in `now`. From vacant only the holder of life changes it.
        self.word.store(count << 1 | 1, Ordering::Release);
    }

    /// Strikes out a tenant whose death was seen after `count` was read. Anybody may, and only the first does.
    fn vacate(&self, count: u64) -> bool {
        // Release: pairs with the Acquire in `now`; who sees the slot vacant sees its tenant's life as it was seen here.
        self.word.compare_exchange(count << 1 | 1, (count + 1) << 1, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// What the words say of the tenant that had `count` before it.
    pub(super) fn verdict(&self, count: u64, life: Option<&AtomicU32>) -> Verdict {
        match self.now() {
            (now, _) if count < now => Verdict::Dead,
            (now, announced) if count > now || !announced => Verdict::Corrupt,
            // Read after the tenure: a death that is seen is that of this tenant, or of one that came after it.
            _ if life.is_some_and(is_marked) => Verdict::Dead,
            _ => Verdict::Alive,
        }
    }

    /// Does what the kernel would have done, for a tenant that is dead.
    pub(super) fn mark_dead(&self, count: u64, life: &AtomicU32) {
        // Acquire: pairs with the Release in `announce`. The dead one's, if the tenure, looked at afterwards, still is.
        let task = self.task.load(Ordering::Acquire);
        // Acquire: see `is_marked`.
        let mut now = life.load(Ordering::Acquire);
        // Looked at after the word: a tenant that came since has changed the word, too, and the exchange fails.
        while self.now() == (count, true) && read(now) == Life::Alive {
            if alive(now) != task && !seeded!("roster: whoever is there is marked") {
                // The kernel had marked it, and somebody has locked this life since, and is about to strike out the dead: marked
                // again, the living one would be dead for everybody, and robbed of what it locks.
                self.vacate(count);
                break;
            }
            // Release: pairs with the Acquire in `is_marked`.
            match life.compare_exchange(now, now & WAITERS | OWNER_DIED, Ordering::Release, Ordering::Acquire) {
                Ok(_) => break,
                Err(changed) => now = changed,
            }
        }
    }
}

/// What a life word holds beside the watchers' bit.
pub(super) fn alive(life: u32) -> u32 {
    life & !WAITERS
}

/// Whether a slot with this count can take one more tenant.
fn has_room(count: u64) -> bool {
    count < TENURES - 1
}

/// Whether the kernel has marked a life.
fn is_marked(life: &AtomicU32) -> bool {
    // Acquire: pairs with the kernel's mark, which follows everything that the dead thread did.
    read(life.load(Ordering::Acquire)) == Life::Dead
}

/// Asks the kernel to wake who sleeps on this life when it ends: what to sleep on. None if nobody lives there.
pub(super) fn watch(life: &AtomicU32) -> Option<u32> {
    // Acquire: see `is_marked`.
    let mut now = life.load(Ordering::Acquire);
    loop {
        if read(now) != Life::Alive {
            return None;
        }
        if now & WAITERS != 0 {
            return Some(now);
        }
        // The kernel wakes nobody at a death without this bit. It stays for the life of the thread. From exactly this
        // value: on a word that nobody holds it would keep all from ever holding it. Relaxed: nothing is published.
        match life.compare_exchange(now, now | WAITERS, Ordering::Relaxed, Ordering::Acquire) {
            Ok(_) => return Some(now | WAITERS),
            Err(changed) => now = changed,
        }
    }
}
