//! Receiving, and claims.

use super::super::primitive::{Name, Ordering, Verdict};
use super::word::{self, Kind, Turn};
use super::{BEHIND, Refusal, Ring, Steps, raise, read};

/// What a receiver knows by itself, in its private memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiveCursor {
    /// All positions before it were taken, or are over; but for what was put back since.
    at: u64,
    /// What the head was.
    head: u64,
    /// How many had been put back when this was so.
    returned: u64,
    /// Whether it is for dead letters, which messages are passed over for; else it is the other way round.
    letters: bool,
}

impl ReceiveCursor {
    /// For dead letters.
    pub(crate) fn of_letters() -> ReceiveCursor {
        ReceiveCursor { letters: true, ..ReceiveCursor::default() }
    }

    pub(crate) fn is_of_letters(&self) -> bool {
        self.letters
    }

    /// The word of a slot that holds what it is for.
    #[inline]
    fn wanted(&self, lap: u64) -> u64 {
        if self.letters { word::letter(lap) } else { word::full(lap) }
    }

    fn wants(&self, kind: Kind) -> bool {
        kind == if self.letters { Kind::Letter } else { Kind::Full }
    }
}

/// A slot that is this thread's, until it is done with, or gives it back.
#[derive(Debug)]
pub(crate) struct Held {
    index: usize,
    lap: u64,
    owner: Name,
}

impl Held {
    fn word(&self) -> u64 {
        word::taken(self.lap, self.owner)
    }
}

impl Ring<'_> {
    /// Receives what `read` gets from the slot with the number that it is given.
    #[inline]
    pub(crate) fn receive<R>(
        &self,
        cursor: &mut ReceiveCursor,
        me: Name,
        read: impl FnOnce(usize) -> R,
    ) -> Result<R, Refusal> {
        let held = self.take(cursor, me)?;
        let slot = &self.slots[held.index];
        if seeded!("mpmc: freed before it is read") {
            slot.store(word::free(held.lap + 1), Ordering::Release);
        }
        let value = read(held.index);
        if !seeded!("mpmc: freed before it is read") {
            // The commit. Release: pairs with the Acquire in `claim_slot`: what was here was read before it is written over. A
            // plain store: nobody else changes this word while its owner lives.
            slot.store(word::free(held.lap + 1), Ordering::Release);
        }
        if cursor.at.saturating_sub(cursor.head) >= BEHIND {
            self.raise_head(cursor, me);
        }
        Ok(value)
    }

    /// The same, but it stays in its slot, until it is [`done`](Ring::done) with; and how often it was claimed, this time
    /// included.
    pub(crate) fn claim<R>(
        &self,
        cursor: &mut ReceiveCursor,
        me: Name,
        read: impl FnOnce(usize) -> R,
    ) -> Result<(R, Held, u16), Refusal> {
        let held = self.take(cursor, me)?;
        let attempt = self.attempts(held.index, held.lap).saturating_add(1);
        // Relaxed: published with the slot, whose owner alone touches it. Counted before it is seen: killed in between, it is
        // counted, and nobody has seen it.
        let count = || self.attempts[held.index].store(held.lap << 16 | u64::from(attempt), Ordering::Relaxed);
        let late = seeded!("mpmc: counted after it is seen");
        if !late {
            count();
        }
        let value = read(held.index);
        if late {
            count();
        }
        if cursor.at.saturating_sub(cursor.head) >= BEHIND {
            self.raise_head(cursor, me);
        }
        Ok((value, held, attempt))
    }

    /// It is received. False if it is not the caller's any more, which only happens where the words were overwritten.
    pub(crate) fn done(&self, held: &Held) -> bool {
        // Release: as in `receive`.
        let done = word::free(held.lap + 1);
        self.slots[held.index].compare_exchange(held.word(), done, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Whether it becomes a dead letter when it is given back.
    pub(crate) fn is_last_attempt(&self, held: &Held) -> bool {
        word::kind(self.put_back(held.index, held.lap)) == Kind::Letter
    }

    /// It was not received: the next receiver gets it, or one of dead letters. False as for [`done`](Ring::done).
    pub(crate) fn give_back(&self, held: &Held) -> bool {
        // Release: who takes it next sees what this one has counted.
        let back = self.put_back(held.index, held.lap);
        let slot = &self.slots[held.index];
        let given = slot.compare_exchange(held.word(), back, Ordering::Release, Ordering::Relaxed).is_ok();
        if given {
            self.count_returned();
        }
        given
    }

    #[inline]
    fn take(&self, cursor: &mut ReceiveCursor, me: Name) -> Result<Held, Refusal> {
        let (index, lap) = self.shape.place(cursor.at);
        // Relaxed: where something is put back just now, it comes a little later.
        let is_first = self.bounds.returned.0.load(Ordering::Relaxed) == cursor.returned;
        // Relaxed: a guess, which the exchange makes good.
        let wanted = cursor.wanted(lap);
        let is_there = self.slot(index)?.load(Ordering::Relaxed) == wanted;
        if is_first && is_there && self.take_slot(index, wanted, lap, me) {
            cursor.at = self.shape.after(cursor.at);
            return Ok(Held { index, lap, owner: me });
        }
        self.take_slow(cursor, me)
    }

    #[inline]
    fn take_slot(&self, index: usize, now: u64, lap: u64, me: Name) -> bool {
        // Acquire: pairs with the Release in `send`. Release: pairs with the Acquire of who finds this name, and then looks for it on
        // the roster.
        let slot = &self.slots[index];
        slot.compare_exchange(now, word::taken(lap, me), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn take_slow(&self, cursor: &mut ReceiveCursor, me: Name) -> Result<Held, Refusal> {
        let mut steps = self.shape.steps();
        while steps.one_more() {
            // Acquire: pairs with the Release in `count_returned`. Read before the slots.
            let returned = self.bounds.returned.0.load(Ordering::Acquire);
            let head = read(&self.bounds.head);
            cursor.head = head;
            let known = returned == cursor.returned && cursor.at > head;
            cursor.returned = returned;
            if known {
                match self.find_full(cursor.at, cursor, me, &mut steps)? {
                    Found::Taken(held) => return Ok(held),
                    Found::Changed => continue,
                    Found::Nothing if seeded!("mpmc: nothing said without a look from the head") => {
                        return Err(Refusal::NotNow);
                    }
                    Found::Nothing => {}
                }
            }
            // Nothing is said to be there before all was seen that is not over: something may have been put back.
            match self.find_full(head, cursor, me, &mut steps)? {
                Found::Taken(held) => return Ok(held),
                Found::Changed => {}
                Found::Nothing => return Err(Refusal::NotNow),
            }
        }
        Err(Refusal::NotNow)
    }

    /// From `start` on, before which nothing is to be had. The cursor is moved along.
    fn find_full(&self, start: u64, cursor: &mut ReceiveCursor, me: Name, steps: &mut Steps) -> Result<Found, Refusal> {
        let mut position = start;
        // All from the start to here is over.
        let mut over = start;
        let mut skipped = Skipped::default();
        cursor.at = start;
        while steps.one_more() {
            let (index, lap) = self.shape.place(position);
            // Acquire: pairs with the Release of who has written it: its name is seen on the roster.
            let now = self.slot(index)?.load(Ordering::Acquire);
            let turn = word::turn(now, lap);
            let after = self.shape.after(position);
            match turn {
                Turn::Over => {
                    over = if over == position { after } else { over };
                }
                Turn::This(Kind::Taken | Kind::Claimed) => match word::verdict(now, me) {
                    Verdict::Alive if turn == Turn::This(Kind::Taken) => {}
                    Verdict::Alive => skipped.add(position),
                    Verdict::Dead => {
                        self.heal(index, now, lap);
                        continue;
                    }
                    Verdict::Foreign | Verdict::Corrupt => return self.is_that_so(position),
                },
                // Of the lap before: it was put back.
                Turn::This(kind) | Turn::Before(kind) if cursor.wants(kind) => {
                    if !self.are_still_claimed(&skipped, position) {
                        return Ok(Found::Changed);
                    }
                    let this = matches!(turn, Turn::This(_));
                    let lap = if this { lap } else { lap.wrapping_sub(1) };
                    if !self.take_slot(index, now, lap, me) {
                        continue;
                    }
                    cursor.at = if this && skipped.none() { after } else { cursor.at };
                    self.raise_to(start, over, cursor);
                    return Ok(Found::Taken(Held { index, lap, owner: me }));
                }
                Turn::Before(Kind::Taken | Kind::Claimed) if word::verdict(now, me) == Verdict::Dead => {
                    self.heal(index, now, lap.wrapping_sub(1));
                    continue;
                }
                // For others.
                Turn::This(Kind::Full | Kind::Letter) => {}
                // No sender has come here yet.
                Turn::This(Kind::Free) | Turn::Before(Kind::Full | Kind::Letter | Kind::Taken | Kind::Claimed) => {
                    let fresh = self.is_fresh(&self.bounds.head, position);
                    if !fresh || !self.are_still_claimed(&skipped, position) {
                        return Ok(Found::Changed);
                    }
                    self.raise_to(start, over, cursor);
                    return Ok(Found::Nothing);
                }
                Turn::Before(Kind::Free) | Turn::Odd => return self.is_that_so(position),
            }
            position = after;
            if skipped.none() {
                cursor.at = position;
            }
        }
        Ok(Found::Changed)
    }

    /// Whether nothing that was skipped is to be had now.
    ///
    /// Otherwise it would come first: its sender may have ended before that of the one found at `end` began. And that there is nothing
    /// was never true, if one of them was filled before another was emptied. What is claimed has not been otherwise in this
    /// lap, so it is enough that there are as many.
    fn are_still_claimed(&self, skipped: &Skipped, end: u64) -> bool {
        if skipped.none() || seeded!("mpmc: no look back") {
            return true;
        }
        let mut position = skipped.first;
        let mut claimed = 0;
        while position != end && claimed < skipped.count {
            let (index, lap) = self.shape.place(position);
            // Acquire: not before what was found at the end.
            let now = self.slots[index].load(Ordering::Acquire);
            claimed += usize::from(word::turn(now, lap) == Turn::This(Kind::Claimed));
            position = self.shape.after(position);
        }
        claimed == skipped.count
    }

    fn is_that_so(&self, position: u64) -> Result<Found, Refusal> {
        if self.is_fresh(&self.bounds.head, position) { Err(Refusal::Corrupt) } else { Ok(Found::Changed) }
    }

    /// Where all was looked at from the head on.
    fn raise_to(&self, start: u64, over: u64, cursor: &mut ReceiveCursor) {
        if start == cursor.head {
            raise(&self.bounds.head, cursor.head, over);
            cursor.head = over;
        }
    }

    /// Those who come later need not go over what is over. And what somebody has died with is found.
    #[cold]
    fn raise_head(&self, cursor: &mut ReceiveCursor, me: Name) {
        let from = read(&self.bounds.head);
        let mut head = from;
        for _ in 0..4 * BEHIND {
            let (index, lap) = self.shape.place(head);
            // Acquire: pairs with the Release of who has written it: who finds the bound raised finds it, too.
            let Some(now) = self.slots.get(index).map(|slot| slot.load(Ordering::Acquire)) else { break };
            match word::turn(now, lap) {
                Turn::Over => head = self.shape.after(head),
                Turn::This(Kind::Taken | Kind::Claimed) if word::verdict(now, me) == Verdict::Dead => {
                    self.heal(index, now, lap);
                    break;
                }
                _ => break,
            }
        }
        raise(&self.bounds.head, from, head);
        // Not before so many more were received.
        cursor.head = head.max(cursor.at.saturating_sub(BEHIND / 2));
    }
}

/// What was passed over because it is claimed, and not yet filled.
#[derive(Default)]
struct Skipped {
    first: u64,
    count: usize,
}

impl Skipped {
    fn none(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, position: u64) {
        if self.none() {
            self.first = position;
        }
        self.count += 1;
    }
}

enum Found {
    Taken(Held),
    Nothing,
    /// Look again.
    Changed,
}
