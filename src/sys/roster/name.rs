//! The name of a thread, in one word.

/// A thread that is, or was, on a roster. Never 0; the low byte is 0, free for the flags of the words that hold it.
///
/// ```text
///   63 .. 48   47 .. 20                 19 .. 8     7 .. 0
///   roster     tenure: how many had     slot        0 (flags of the word
///   (16 bits)  this slot before         (12 bits)   that the name is in)
///              (28 bits)
/// ```
///
/// One compare-and-swap puts it into a lock word, so that a word never says "held" without saying by whom. No name is
/// given twice: a slot whose tenures are used up is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u64);

/// The bits of a word that are not the name's.
pub(crate) const FLAGS: u64 = 0xff;

const SLOT_SHIFT: u32 = 8;
const TENURE_SHIFT: u32 = 20;
const TAG_SHIFT: u32 = 48;

/// How many tenures a slot has.
pub(super) const TENURES: u64 = 1 << (TAG_SHIFT - TENURE_SHIFT);
/// How many slots a name can tell apart; number 0 is no slot.
pub(super) const SLOTS: usize = 1 << (TENURE_SHIFT - SLOT_SHIFT);

impl Name {
    pub(super) fn new(tag: u16, tenure: u64, slot: usize) -> Name {
        debug_assert!(tag != 0 && tenure < TENURES && slot < SLOTS);
        Name(u64::from(tag) << TAG_SHIFT | tenure << TENURE_SHIFT | (slot as u64) << SLOT_SHIFT)
    }

    /// The name in a word; None if there is none. The flags are ignored.
    #[inline]
    pub(crate) fn in_word(word: u64) -> Option<Name> {
        let name = word & !FLAGS;
        (name != 0).then_some(Name(name))
    }

    /// The word with this name and no flags.
    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// What tells it from all other names of its roster: its 40 bits of tenure and slot.
    #[inline]
    pub(crate) fn short(self) -> u64 {
        self.0 << (64 - TAG_SHIFT) >> (64 - TAG_SHIFT + SLOT_SHIFT)
    }

    /// The name on this one's roster of which these are the [`short`](Name::short) bits.
    #[inline]
    pub(crate) fn kin(self, short: u64) -> Name {
        Name(self.0 >> TAG_SHIFT << TAG_SHIFT | (short << SLOT_SHIFT & ((1 << TAG_SHIFT) - 1)))
    }

    /// Which roster gave it; never 0 in a name that a roster gave.
    pub(super) fn tag(self) -> u16 {
        (self.0 >> TAG_SHIFT) as u16
    }

    pub(super) fn tenure(self) -> u64 {
        self.0 >> TENURE_SHIFT & (TENURES - 1)
    }

    pub(super) fn slot(self) -> usize {
        (self.0 >> SLOT_SHIFT) as usize & (SLOTS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back() {
        for (tag, tenure, slot) in [(1, 0, 1), (u16::MAX, TENURES - 1, SLOTS - 1), (7, 5, 4095), (0x8000, 1 << 27, 1)] {
            let name = Name::new(tag, tenure, slot);
            assert_eq!((name.tag(), name.tenure(), name.slot()), (tag, tenure, slot));
            assert_eq!(name.word() & FLAGS, 0);
            assert_eq!(Name::in_word(name.word() | 0xff), Some(name));
            let other = Name::new(tag, 77, 77);
            assert!(name.short() < 1 << 40);
            assert_eq!(other.kin(name.short()), name);
        }
        assert_eq!(Name::in_word(0xff), None);
    }
}
