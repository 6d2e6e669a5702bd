//! The words of a ring with any number of senders and receivers, each of whom may be killed, or stopped, anywhere.
//!
//! It is Vyukov's bounded queue, but that a slot which is being written or read says by whom, in the word that says so; and that
//! nothing else says what is in the ring.
//!
//! ```text
//!              CAS                store                 CAS              store
//!   FREE(lap) -----> CLAIMED(me) -------> FULL(lap) --------> TAKEN(me) -------> FREE(lap+1)
//!                        |       the         ^       ^           |       the
//!                        |       commit      |       |           |       commit
//!                        |       of a send   |       +-----------+       of a receive
//!                        |                   |     given back, or dead
//!                        +-- dead ---------> FREE(lap+1): its receivers pass on
//! ```
//!
//! Where what is taken has been claimed as often as it may be, it does not become FULL again but a LETTER, by the same store. That is
//! one of FULL's bits: who receives messages passes over letters, and who receives letters over messages. So a letter is never on its way
//! from one queue to another, where a kill could lose or double it.
//!
//! Positions count up; position `p` has its turn in slot `p % capacity`, in lap `p / capacity`.
//!
//! - **A sender** takes the first position that is free: all before it have been claimed by somebody.
//! - **A receiver** takes the first that is full. It passes over what others have taken. It also passes over what a living sender has
//!   claimed and not filled, but then looks back before it takes anything (or finds nothing): had one of those been filled
//!   meanwhile, it would come first. So a stopped sender holds up nobody but for the slot that it has, and the order is still
//!   that of a queue: who begins to send after another has ended is received after it.
//! - **What is taken** is not received until the slot is freed. Of a receiver that was killed between the two nobody has seen
//!   anything, so the item is put back, in its place. A claim is the same, held for longer.
//! - **Of the dead** the word is replaced by whoever finds it, from exactly the word that was judged. The living are never
//!   robbed, however long they are stopped: so their commits are plain stores, into a word that is theirs alone.
//!
//! `tail` and `head` are lower bounds: all before `tail` were claimed, all before `head` are over. They are raised now and then, and
//! it does not matter who is killed over it. That there is nothing, or no room, is said by slots only.
//!
//! A word whose owner is named by 22 bits of its lap could be taken for that of another lap by who was stopped over millions of laps.
//! So whatever is done about it, or said because of it, is first compared with a bound that was read after the word: while a position is
//! not over, neither bound is more than some laps away from it.

mod receive;
mod send;
#[cfg(all(test, not(loom)))]
mod tests;
mod word;

use super::Corrupt;
use super::cursor::Line;
use super::primitive::{AtomicU64, Name, Ordering, Verdict, look_for_the_truth};
use word::{Kind, Turn};

pub(crate) use receive::{Held, ReceiveCursor};
pub(crate) use send::SendCursor;

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is nothing to receive, or no room.
    NotNow,
    /// The words hold what no operation writes.
    Corrupt,
}

impl From<Corrupt> for Refusal {
    fn from(Corrupt: Corrupt) -> Refusal {
        Refusal::Corrupt
    }
}

/// ```text
///   0        128      256
///   | tail   | head   | returned |
/// ```
///
/// Zeroes are those of an empty ring.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bounds {
    /// All positions before it were claimed.
    tail: Line<AtomicU64>,
    /// All positions before it are over.
    head: Line<AtomicU64>,
    /// How many were put back after they were taken. A receiver that finds another number than before begins at the head. Should
    /// who has put one back be killed before it counts it here, it is found when there seems to be nothing else.
    returned: Line<AtomicU64>,
}

impl Bounds {
    /// As a peer might: one of them, to what `next` makes of it.
    #[cfg(all(any(test, fuzzing), not(loom)))]
    pub(crate) fn overwrite(&self, number: usize, next: impl FnOnce(u64) -> Option<u64>) -> Option<()> {
        let word = [&self.tail.0, &self.head.0, &self.returned.0][number % 3];
        word.store(next(word.load(Ordering::Relaxed))?, Ordering::Relaxed);
        Some(())
    }

    #[cfg(any(loom, test, fuzzing))]
    pub(crate) fn new() -> Bounds {
        let [tail, head, returned] = [0, 0, 0].map(|zero| Line(AtomicU64::new(zero)));
        Bounds { tail, head, returned }
    }
}

/// How many slots there are, and how often a message may be claimed; known to each process by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    slots: u64,
    /// 0: as often as it is given back.
    attempts: u16,
    /// A position is its lap and its slot, side by side, so that no division is needed. Slots beyond the last are left out.
    lap_shift: u32,
}

/// Positions are less than this. At one in a nanosecond it is reached in 73 years.
const POSITIONS: u64 = 1 << 61;
/// How far a bound may lie behind before somebody raises it.
const BEHIND: u64 = 8;
/// Most steps over slots in one attempt, beside those of four laps. More than there are threads that could be faster, again
/// and again; and an end to it where a peer changes words only to keep others going.
const STEPS: usize = 10_000;

impl Shape {
    /// None where there is no slot, or more than can be.
    pub(crate) fn new(slots: usize) -> Option<Shape> {
        let lap = slots.checked_next_power_of_two().filter(|&lap| slots > 0 && lap <= 1 << 40)?;
        Some(Shape { slots: slots as u64, attempts: 0, lap_shift: lap.trailing_zeros() })
    }

    /// The same, where a message that was claimed so often becomes a dead letter when it is given back.
    pub(crate) fn with_attempts(self, attempts: u16) -> Shape {
        Shape { attempts, ..self }
    }

    /// Whether there are dead letters.
    pub(crate) fn has_letters(self) -> bool {
        self.attempts != 0
    }

    pub(crate) fn slots(self) -> usize {
        self.slots as usize
    }

    /// Slot and lap.
    #[inline]
    fn place(self, position: u64) -> (usize, u64) {
        ((position & ((1 << self.lap_shift) - 1)) as usize, position >> self.lap_shift)
    }

    #[inline]
    fn after(self, position: u64) -> u64 {
        let next = position + 1;
        if self.place(next).0 as u64 == self.slots {
            ((position >> self.lap_shift) + 1) << self.lap_shift
        } else {
            next
        }
    }

    fn steps(self) -> Steps {
        Steps(self.slots().saturating_mul(4).saturating_add(STEPS))
    }
}

/// How many steps are left.
struct Steps(usize);

impl Steps {
    fn one_more(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 -= usize::from(left);
        left
    }
}

/// How many messages there are in a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// To be received.
    pub(crate) full: usize,
    /// In somebody's hands, and perhaps put back.
    pub(crate) taken: usize,
    /// Dead letters to be received.
    pub(crate) letters: usize,
    /// Dead letters that are claimed, and perhaps put back.
    pub(crate) letters_taken: usize,
}

impl Count {
    /// Whether there is nothing that could ever be received as a message. Dead letters cannot.
    pub(crate) fn is_idle(self) -> bool {
        self.full + self.taken == 0
    }

    fn all(self) -> usize {
        self.full + self.taken + self.letters + self.letters_taken
    }

    fn add_taken(&mut self, is_letter: bool) {
        *(if is_letter { &mut self.letters_taken } else { &mut self.taken }) += 1;
    }
}

/// A ring: its words, wherever they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<'a> {
    shape: Shape,
    bounds: &'a Bounds,
    slots: &'a [AtomicU64],
    /// How often what is in a slot was claimed: the lap's low 48 bits, and 16 bits of a number. Written by who has it.
    attempts: &'a [AtomicU64],
}

impl<'a> Ring<'a> {
    /// Two words for each slot.
    #[inline]
    pub(crate) fn new(shape: Shape, bounds: &'a Bounds, words: &'a [AtomicU64]) -> Ring<'a> {
        let (slots, attempts) = words.split_at(shape.slots());
        Ring { shape, bounds, slots, attempts }
    }

    /// The word of a slot. None where a bound was overwritten, and there is no such slot.
    #[inline]
    fn slot(&self, index: usize) -> Result<&'a AtomicU64, Corrupt> {
        self.slots.get(index).ok_or(Corrupt)
    }

    /// Whether a word that was found at `position` is what it seems. Not known yet where a bound has been raised beyond: then the
    /// look was too long ago.
    fn is_fresh(&self, bound: &Line<AtomicU64>, position: u64) -> bool {
        read(bound) <= position
    }

    /// The low 22 bits of the lap that a slot is in; None where there is no such slot. What lies elsewhere and belongs to a message
    /// says by the slot and these bits to which: when they are others, that message is over.
    pub(crate) fn lap_of(&self, index: usize) -> Option<u64> {
        // Acquire: pairs with the Release of who has freed the slot: what belonged to its message was read before.
        let ordering = if seeded!("mpmc: lap read early") { Ordering::Relaxed } else { Ordering::Acquire };
        Some(word::short_lap(self.slots.get(index)?.load(ordering)))
    }

    /// Replaces a word of the dead. False if it was not that any more, or may be of another lap.
    fn heal(&self, index: usize, now: u64, lap: u64) -> bool {
        // Read after the word. What was taken or claimed, and stays so, is not over, so the head is not beyond it; nor can it be behind
        // by more than a lap, and by those few that nobody has counted yet.
        let (_, near) = self.shape.place(read(&self.bounds.head));
        if word::lap(now, near) != lap {
            return false;
        }
        let (next, returns) = match word::kind(now) {
            Kind::Claimed => (word::free(lap + 1), false),
            // By what the dead has counted. Should another put it back meanwhile, and it is counted once more, the word is not
            // this one any more.
            Kind::Taken => (self.put_back(index, lap), true),
            Kind::Free | Kind::Full | Kind::Letter => return false,
        };
        let slot = &self.slots[index];
        if seeded!("mpmc: heal without the exact word") {
            slot.store(next, Ordering::Release);
        // AcqRel: what the dead did is seen (`judge`), and who finds the new word sees it, too.
        } else if slot.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        if returns {
            self.count_returned();
        }
        true
    }

    /// How often what is in a slot was claimed.
    fn attempts(&self, index: usize, lap: u64) -> u16 {
        // Relaxed: published with the slot.
        let number = self.attempts[index].load(Ordering::Relaxed);
        if number >> 16 == lap & (u64::MAX >> 16) { number as u16 } else { 0 }
    }

    /// What a slot's word is to be when what was taken from it is put back.
    fn put_back(&self, index: usize, lap: u64) -> u64 {
        let most = self.shape.attempts;
        let spent = most != 0 && self.attempts(index, lap) >= most;
        if spent && !seeded!("mpmc: letters are messages") { word::letter(lap) } else { word::full(lap) }
    }

    /// Whether what is taken from a slot is a dead letter. What is claimed as often as it may be is none yet.
    fn is_taken_letter(&self, index: usize, lap: u64) -> bool {
        let most = self.shape.attempts;
        most != 0 && self.attempts(index, lap) > most
    }

    fn count_returned(&self) {
        // Release: pairs with the Acquire in `take_slow`: who finds the number changed finds what was put back.
        self.bounds.returned.0.fetch_add(1, Ordering::Release);
    }

    /// How many there are. As of several moments, where others send and receive; but never more than slots.
    pub(crate) fn count(&self) -> Count {
        let mut count = Count::default();
        let mut at = read(&self.bounds.head);
        let mut steps = self.shape.steps();
        while count.all() < self.shape.slots() && steps.one_more() {
            let (index, lap) = self.shape.place(at);
            let Ok(slot) = self.slot(index) else { break };
            // Relaxed: nothing is read on the strength of it.
            match word::turn(slot.load(Ordering::Relaxed), lap) {
                Turn::This(Kind::Full) => count.full += 1,
                Turn::This(Kind::Letter) => count.letters += 1,
                Turn::This(Kind::Taken) => count.add_taken(self.is_taken_letter(index, lap)),
                Turn::This(Kind::Claimed) | Turn::Over => {}
                Turn::This(Kind::Free) | Turn::Before(_) | Turn::Odd => break,
            }
            at = self.shape.after(at);
        }
        count
    }

    /// The same, and what the dead have left is put right before it is counted. What this thread has taken is not counted.
    pub(crate) fn tend(&self, me: Name) -> Result<Count, Corrupt> {
        let mut count = Count::default();
        let mut at = read(&self.bounds.head);
        let mut steps = self.shape.steps();
        while steps.one_more() {
            let (index, lap) = self.shape.place(at);
            // Acquire: pairs with the Release of who has written it: its name is seen on the roster.
            let now = self.slot(index)?.load(Ordering::Acquire);
            match word::turn(now, lap) {
                Turn::This(Kind::Full) => count.full += 1,
                Turn::This(Kind::Letter) => count.letters += 1,
                Turn::This(Kind::Claimed | Kind::Taken) if word::verdict(now, me) == Verdict::Dead => {
                    self.heal(index, now, lap);
                    continue;
                }
                Turn::This(Kind::Taken) if word::owner(now, me) != me => {
                    count.add_taken(self.is_taken_letter(index, lap));
                }
                Turn::This(Kind::Taken | Kind::Claimed) | Turn::Over => {}
                Turn::This(Kind::Free) | Turn::Before(_) | Turn::Odd => break,
            }
            at = self.shape.after(at);
        }
        Ok(count)
    }

    /// Asks the kernel for those who have claimed or taken a slot: their deaths may have had no notice. Whether one was found.
    #[cold]
    pub(crate) fn look_for_the_truth(&self, me: Name) -> bool {
        let mut asked = Vec::new();
        for slot in self.slots {
            // Acquire: pairs with the Release of who has written the name.
            let now = slot.load(Ordering::Acquire);
            if matches!(word::kind(now), Kind::Free | Kind::Full | Kind::Letter) {
                continue;
            }
            let owner = word::owner(now, me);
            if !asked.contains(&owner) {
                asked.push(owner);
                if look_for_the_truth(owner) == Verdict::Dead {
                    return true;
                }
            }
            if asked.len() == MOST_ASKED {
                break;
            }
        }
        false
    }
}

/// Each takes some microseconds.
const MOST_ASKED: usize = 64;

/// A bound. Checked: beyond this no position is written.
fn read(bound: &Line<AtomicU64>) -> u64 {
    // Acquire: pairs with the Release in `raise`: who finds a bound finds the slots before it in the state that it tells of, or a
    // later one.
    let ordering = if seeded!("mpmc: bound read early") { Ordering::Relaxed } else { Ordering::Acquire };
    bound.0.load(ordering) & (POSITIONS - 1)
}

/// Raises a bound. It never goes back, not even where somebody was stopped here for years.
fn raise(bound: &Line<AtomicU64>, from: u64, to: u64) {
    if from < to {
        // Release: pairs with the Acquire in `read`. Failure: somebody else has raised it.
        let _ = bound.0.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed);
    }
}
