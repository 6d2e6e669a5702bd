//! Blocks: room for messages that do not fit into their slots.
//!
//! A block belongs to the thread that fills it, and then to the message, by its slot and lap. So nobody has to free it: when the slot is
//! freed, by the one store that commits a receive, all blocks of its message are free; and so they are when the sender dies before
//! it has sent, since then its claim of the slot is taken back, or its name is that of a dead one.

use super::primitive::{AtomicU64, Name, Ordering, Verdict, judge};

/// ```text
///   63 .. 8    7 .. 2   1 .. 0
///   0                   0       free
///   name       0        1       being filled, by this thread
///   63 .. 24   23 .. 2  1 .. 0
///   slot       lap      2       of the message in this slot, while the slot is in this lap
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a>(pub(crate) &'a [AtomicU64]);

const KIND: u64 = 3;
const HELD: u64 = 1;
const OF_SLOT: u64 = 2;
const LAP: u64 = (1 << 22) - 1;

fn of_slot(slot: usize, lap: u64) -> u64 {
    (slot as u64) << 24 | (lap & LAP) << 2 | OF_SLOT
}

impl Blocks<'_> {
    /// Whether so many are free, as of several moments. Nothing is taken: who takes some, and gives them back since they are too few,
    /// keeps others from taking enough meanwhile, and has to wake them again, and again.
    pub(crate) fn are_free(&self, wanted: usize, lap_of: impl Fn(usize) -> Option<u64>) -> bool {
        // Acquire: as in `take`.
        let is_free = |word: &&AtomicU64| is_free(word.load(Ordering::Acquire), &lap_of);
        self.0.iter().filter(is_free).take(wanted).count() == wanted
    }

    /// Takes a free one, from number `from` on: its number. `lap_of` says in which lap a slot is; of one that there is not, nothing is.
    pub(crate) fn take(&self, me: Name, from: usize, lap_of: impl Fn(usize) -> Option<u64>) -> Option<usize> {
        let count = self.0.len();
        (0..count).map(|step| (from + step) % count).find(|&number| {
            let word = &self.0[number];
            // Acquire: pairs with the Release in `give_back`, and in `assign`.
            let now = word.load(Ordering::Acquire);
            let held = me.word() | HELD;
            if !is_free(now, &lap_of) {
                return false;
            }
            if seeded!("blocks: taken without the exact word") {
                word.store(held, Ordering::Release);
                return true;
            }
            // Acquire: as above. From exactly this word: of two who find it free one gets it.
            word.compare_exchange(now, held, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    }

    /// Says to which message a block belongs that the caller has taken, and filled. Before the slot is filled.
    pub(crate) fn assign(&self, number: usize, slot: usize, lap: u64) {
        // Release: pairs with the Acquire in `take`: who finds this looks at the slot then, and must not find that in a lap before, which
        // would seem to be another than this one.
        let ordering = if seeded!("blocks: assigned without the lap") { Ordering::Relaxed } else { Ordering::Release };
        self.0[number].store(of_slot(slot, lap), ordering);
    }

    /// By who has taken it, and does not need it.
    pub(crate) fn give_back(&self, number: usize) {
        // Release: pairs with the Acquire in `take`: what was written there was before.
        let ordering = if seeded!("blocks: given back early") { Ordering::Relaxed } else { Ordering::Release };
        self.0[number].store(0, ordering);
    }
}

fn is_free(word: u64, lap_of: impl Fn(usize) -> Option<u64>) -> bool {
    match word & KIND {
        HELD => {
            let is_dead = Name::in_word(word).is_none_or(|name| judge(name) == Verdict::Dead);
            is_dead && !seeded!("blocks: what the dead have taken is lost")
        }
        OF_SLOT => {
            let is_over = lap_of((word >> 24) as usize) != Some(word >> 2 & LAP);
            is_over || seeded!("blocks: taken from a message that is not over")
        }
        _ => true,
    }
}
