//! The word that says how far a barrier is.

/// What the word `phase` says.
///
/// ```text
///   63 .. 38                        37 .. 12            11 .. 2   1        0
///   | first generation since reset | generation        | resets  | BROKEN | WAITERS |
///
///   (r, g) ---- trip -----> (r, g+1) ---- trip ----> (r, g+2)
///     |    `--- reset ----> (r+1, g+1), first: g+1
///     `-- break --> (r, g)|BROKEN ---- reset ----> (r+1, g+1), first: g+1
/// ```
///
/// So who arrived in generation g and comes back later, however late, finds out how that ended: if there was no reset, or
/// one only. After two it is told that it was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase(u64);

const BROKEN: u64 = 1 << 1;
const RESETS: Field = Field { shift: 2, bits: 10 };
const GENERATION: Field = Field { shift: 12, bits: 26 };
const FIRST: Field = Field { shift: 38, bits: 26 };

/// Some bits of a word, that count round and round.
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    fn of(&self, word: u64) -> u64 {
        word >> self.shift & self.mask()
    }

    /// The word without it, and with `value` there.
    fn set(&self, word: u64, value: u64) -> u64 {
        word & !(self.mask() << self.shift) | (value & self.mask()) << self.shift
    }

    fn after(&self, value: u64) -> u64 {
        value.wrapping_add(1) & self.mask()
    }

    fn mask(&self) -> u64 {
        (1 << self.bits) - 1
    }
}

/// How a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Tripped,
    Broken,
}

impl Phase {
    /// Somebody may sleep: who changes the phase wakes all.
    pub(super) const WAITERS: u64 = 1;

    pub(super) fn of(word: u64) -> Phase {
        Phase(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn is_broken(self) -> bool {
        self.0 & BROKEN != 0
    }

    /// The generation, told from all others.
    pub(super) fn stamp(self) -> u64 {
        self.0 & !(Phase::WAITERS | BROKEN)
    }

    pub(super) fn broken(self) -> Phase {
        Phase((self.0 | BROKEN) & !Phase::WAITERS)
    }

    pub(super) fn tripped(self) -> Phase {
        Phase(GENERATION.set(self.0, GENERATION.after(GENERATION.of(self.0))) & !Phase::WAITERS)
    }

    pub(super) fn reset(self) -> Phase {
        let next = GENERATION.after(GENERATION.of(self.0));
        let word = RESETS.set(self.0, RESETS.after(RESETS.of(self.0)));
        Phase(FIRST.set(GENERATION.set(word, next), next) & !(Phase::WAITERS | BROKEN))
    }

    /// How the generation that was open at this phase ended, if it has by `now`.
    pub(super) fn end(self, now: Phase) -> Option<End> {
        let mine = GENERATION.of(self.0);
        let resets = RESETS.of(self.0);
        if RESETS.of(now.0) == resets {
            let tripped = GENERATION.of(now.0) != mine;
            return if tripped { Some(End::Tripped) } else { now.is_broken().then_some(End::Broken) };
        }
        let by_the_reset = FIRST.of(now.0) == GENERATION.after(mine);
        let one_reset = RESETS.of(now.0) == RESETS.after(resets);
        Some(if one_reset && !by_the_reset { End::Tripped } else { End::Broken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_late_learns_how_its_own_generation_ended() {
        let mut seed = 62_u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for round in 0..200 {
            // Also near the end of the numbers.
            let last = Phase(!(Phase::WAITERS | BROKEN));
            let mut now = if round % 2 == 0 { Phase(0) } else { last };
            // How each generation ended, and after how many resets.
            let mut ends = Vec::new();
            let mut resets = 0;
            for _ in 0..60 {
                assert_eq!(now.end(now), None);
                assert_eq!(Phase(now.0 | Phase::WAITERS).end(now), None);
                let end = match random(8) {
                    0 => End::Broken,
                    _ => End::Tripped,
                };
                if end == End::Tripped {
                    ends.push((now, end, resets));
                    now = now.tripped();
                } else {
                    assert_eq!(now.end(now.broken()), Some(End::Broken));
                    assert!(now.broken().is_broken() && !now.is_broken());
                    assert_eq!(now.stamp(), now.broken().stamp());
                    let broken = if random(2) == 0 { now.broken() } else { now };
                    ends.push((now, end, resets));
                    now = broken.reset();
                    resets += 1;
                }
                assert_eq!(now.word() & (Phase::WAITERS | BROKEN), 0);
                for &(at, end, before) in &ends {
                    // One that was broken counts its own reset.
                    let told = if resets - before <= 1 { end } else { End::Broken };
                    assert_eq!(at.end(now), Some(told), "{at:?} at {now:?}");
                    assert_ne!(at.stamp(), now.stamp());
                }
            }
        }
    }
}
