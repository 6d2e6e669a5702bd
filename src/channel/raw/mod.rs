//! The words of the rings, without what the rings carry.
//!
//! Each file is one algorithm over words of 64 bits, written against [`primitive`] only. The same files are compiled against
//! loom's atomics and a model of the rest by the crate in `tests/loom`.
//!
//! Whatever is read from these words may have been written by a peer that means harm: each is loaded once, checked, and then
//! used, and no loop is as long as a word says.

#[cfg(all(any(test, fuzzing), not(loom)))]
pub(crate) mod any_words;
pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod cursor;
pub(crate) mod mpmc;
#[cfg(not(loom))]
pub(crate) mod primitive;
pub(crate) mod signal;

#[cfg(loom)]
use crate::primitive;

/// A peer has written what no operation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;
