//! Sending.

use super::super::primitive::{Name, Ordering, Verdict};
use super::word::{self, Kind, Turn};
use super::{BEHIND, Refusal, Ring, Steps, raise, read};

/// What a sender knows by itself, in its private memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCursor {
    /// All positions before it were claimed.
    at: u64,
    /// What the tail was.
    tail: u64,
    /// It has put back what a dead receiver had taken: receivers are to be woken.
    pub(crate) returned: bool,
}

/// A slot that is this thread's, to be filled.
struct Claimed {
    position: u64,
    index: usize,
    lap: u64,
}

impl Ring<'_> {
    /// Sends what `write` puts into the slot with the number that it is given.
    #[inline]
    pub(crate) fn send(&self, cursor: &mut SendCursor, me: Name, write: impl FnOnce(usize)) -> Result<(), Refusal> {
        let claimed = match self.enter(cursor, me) {
            Some(claimed) => claimed,
            None => self.enter_slow(cursor, me)?,
        };
        let slot = &self.slots[claimed.index];
        if seeded!("mpmc: publish before payload") {
            slot.store(word::full(claimed.lap), Ordering::Release);
        }
        write(claimed.index);
        if !seeded!("mpmc: publish before payload") {
            // The commit. Release: pairs with the Acquire in `take`: who finds it full finds what was written. A plain store: nobody
            // else changes this word while its owner lives.
            slot.store(word::full(claimed.lap), Ordering::Release);
        }
        cursor.at = self.shape.after(claimed.position);
        if cursor.at - cursor.tail >= BEHIND {
            self.raise_tail(cursor);
        }
        Ok(())
    }

    /// Claims the position of the cursor, if that is free.
    #[inline]
    fn enter(&self, cursor: &SendCursor, me: Name) -> Option<Claimed> {
        let (index, lap) = self.shape.place(cursor.at);
        // Relaxed: a guess, which the exchange makes good.
        let is_free = self.slots.get(index)?.load(Ordering::Relaxed) == word::free(lap);
        (is_free && self.claim_slot(index, lap, me)).then_some(Claimed { position: cursor.at, index, lap })
    }

    #[inline]
    fn claim_slot(&self, index: usize, lap: u64, me: Name) -> bool {
        let slot = &self.slots[index];
        if seeded!("mpmc: slot owner written apart") {
            let nobody = word::claimed(lap, me.kin(0));
            let mine = slot.compare_exchange(word::free(lap), nobody, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            return mine && slot.swap(word::claimed(lap, me), Ordering::AcqRel) == nobody;
        }
        // Acquire: pairs with the Release in `free`: what was there was read before it is written over. Release: pairs with the Acquire
        // of who finds this name, and then looks for it on the roster.
        slot.compare_exchange(word::free(lap), word::claimed(lap, me), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn enter_slow(&self, cursor: &mut SendCursor, me: Name) -> Result<Claimed, Refusal> {
        let mut steps = self.shape.steps();
        let claimed = loop {
            cursor.tail = read(&self.bounds.tail);
            cursor.at = cursor.at.max(cursor.tail);
            match self.find_free(cursor, me, &mut steps)? {
                Found::Claimed(claimed) => break Ok(claimed),
                Found::NoRoom => break Err(Refusal::NotNow),
                Found::Changed if steps.one_more() => {}
                Found::Changed => break Err(Refusal::NotNow),
            }
        };
        self.raise_tail(cursor);
        claimed
    }

    /// From the cursor on, which is moved along.
    fn find_free(&self, cursor: &mut SendCursor, me: Name, steps: &mut Steps) -> Result<Found, Refusal> {
        while steps.one_more() {
            let position = cursor.at;
            let (index, lap) = self.shape.place(position);
            // Acquire: pairs with the Release of who has written it: its name is seen on the roster.
            let now = self.slot(index)?.load(Ordering::Acquire);
            match word::turn(now, lap) {
                Turn::This(Kind::Free) => {
                    if self.claim_slot(index, lap, me) {
                        return Ok(Found::Claimed(Claimed { position, index, lap }));
                    }
                }
                Turn::This(_) | Turn::Over => cursor.at = self.shape.after(position),
                Turn::Before(Kind::Full | Kind::Letter) => return Ok(self.no_room(position)),
                Turn::Before(kind @ (Kind::Claimed | Kind::Taken)) => match word::verdict(now, me) {
                    Verdict::Alive => return Ok(self.no_room(position)),
                    Verdict::Dead => {
                        let healed = self.heal(index, now, lap.wrapping_sub(1));
                        cursor.returned |= healed && kind == Kind::Taken;
                    }
                    Verdict::Foreign | Verdict::Corrupt => return self.is_this_so(position),
                },
                Turn::Before(Kind::Free) | Turn::Odd => return self.is_this_so(position),
            }
        }
        Ok(Found::Changed)
    }

    fn no_room(&self, position: u64) -> Found {
        if self.is_fresh(&self.bounds.tail, position) { Found::NoRoom } else { Found::Changed }
    }

    fn is_this_so(&self, position: u64) -> Result<Found, Refusal> {
        if self.is_fresh(&self.bounds.tail, position) { Err(Refusal::Corrupt) } else { Ok(Found::Changed) }
    }

    /// Those who come later need not go over what this one knows to be claimed.
    fn raise_tail(&self, cursor: &mut SendCursor) {
        if cursor.at - cursor.tail >= BEHIND {
            raise(&self.bounds.tail, cursor.tail, cursor.at);
            cursor.tail = cursor.at;
        }
    }

    /// Whether a send would find no room, by what the words say now. Nothing is done about the dead.
    pub(crate) fn is_full(&self, cursor: &SendCursor) -> bool {
        let mut at = cursor.at.max(read(&self.bounds.tail));
        let mut steps = self.shape.steps();
        while steps.one_more() {
            let (index, lap) = self.shape.place(at);
            let Ok(slot) = self.slot(index) else { break };
            // Relaxed: nothing is read on the strength of it.
            match word::turn(slot.load(Ordering::Relaxed), lap) {
                Turn::This(Kind::Free) => return false,
                Turn::This(_) | Turn::Over => at = self.shape.after(at),
                Turn::Before(_) | Turn::Odd => return true,
            }
        }
        false
    }
}

enum Found {
    Claimed(Claimed),
    NoRoom,
    /// Look again.
    Changed,
}
