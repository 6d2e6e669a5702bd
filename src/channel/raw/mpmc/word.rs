//! The word of one slot.

use super::super::primitive::{Name, Verdict, judge};

/// What a slot's word says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Free,
    Full,
    /// Full, with what was claimed too often.
    Letter,
    Claimed,
    Taken,
}

/// ```text
///   63 62   61   60                   ..                        0
///   FREE    lap: whose turn it is
///   FULL    0    lap: of what is in it
///   FULL    1    lap: of what is in it, a dead letter
///
///   63 62   61 .. 40                39    ..    12   11  ..  0
///   CLAIMED the lap's low 22 bits   tenure           slot         <- of the owner's name
///   TAKEN
/// ```
///
/// All words of a ring are zero at first: free in lap 0. A lap is never repeated, so a FREE or FULL that was replaced does not
/// come back; nor does a CLAIMED or TAKEN of one that has died, since nobody else writes that name.
const KIND: u32 = 62;
const LAP: u64 = (1 << KIND) - 1;
const LETTER: u64 = 1 << (KIND - 1);
/// There are fewer positions than this.
const FULL_LAP: u64 = LETTER - 1;
const OWNER_BITS: u32 = 40;
const SHORT_LAP: u64 = (1 << (KIND - OWNER_BITS)) - 1;

pub(super) const fn free(lap: u64) -> u64 {
    lap & LAP
}

pub(super) const fn full(lap: u64) -> u64 {
    1 << KIND | lap & FULL_LAP
}

pub(super) const fn letter(lap: u64) -> u64 {
    full(lap) | LETTER
}

pub(super) fn claimed(lap: u64, me: Name) -> u64 {
    2 << KIND | (lap & SHORT_LAP) << OWNER_BITS | me.short()
}

pub(super) fn taken(lap: u64, me: Name) -> u64 {
    3 << KIND | (lap & SHORT_LAP) << OWNER_BITS | me.short()
}

pub(super) fn kind(word: u64) -> Kind {
    match word >> KIND {
        0 => Kind::Free,
        1 if word & LETTER != 0 => Kind::Letter,
        1 => Kind::Full,
        2 => Kind::Claimed,
        _ => Kind::Taken,
    }
}

/// The lap that a word speaks of. Of a CLAIMED or TAKEN it is the one nearest to `near`.
pub(super) fn lap(word: u64, near: u64) -> u64 {
    match kind(word) {
        Kind::Free => word & LAP,
        Kind::Full | Kind::Letter => word & FULL_LAP,
        Kind::Claimed | Kind::Taken => {
            let short = word >> OWNER_BITS & SHORT_LAP;
            let ahead = short.wrapping_sub(near) & SHORT_LAP;
            // In the upper half: behind.
            let wraps = if ahead > SHORT_LAP / 2 { SHORT_LAP + 1 } else { 0 };
            near.wrapping_add(ahead).wrapping_sub(wraps)
        }
    }
}

/// The low bits of the lap that a word speaks of, which all kinds of words have.
pub(super) fn short_lap(word: u64) -> u64 {
    match kind(word) {
        Kind::Free | Kind::Full | Kind::Letter => word & SHORT_LAP,
        Kind::Claimed | Kind::Taken => word >> OWNER_BITS & SHORT_LAP,
    }
}

/// Who has claimed or taken it, as a thread of the same roster as `me`.
pub(super) fn owner(word: u64, me: Name) -> Name {
    me.kin(word & ((1 << OWNER_BITS) - 1))
}

/// Whether who has claimed or taken it is dead.
pub(super) fn verdict(word: u64, me: Name) -> Verdict {
    judge(owner(word, me))
}

/// How a word stands to a lap that somebody has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is this lap's.
    This(Kind),
    /// The lap before is not over.
    Before(Kind),
    /// The lap is over.
    Over,
    /// It lies behind by more than a lap: nobody who comes here finds that.
    Odd,
}

pub(super) fn turn(word: u64, at: u64) -> Turn {
    match lap(word, at).wrapping_sub(at).cast_signed() {
        0 => Turn::This(kind(word)),
        -1 => Turn::Before(kind(word)),
        1.. => Turn::Over,
        _ => Turn::Odd,
    }
}
