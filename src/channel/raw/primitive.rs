//! All that the words of the rings are built on. `tests/loom` has another file in this one's place.

pub(crate) use crate::sync::raw::primitive::*;
pub(crate) use crate::sys::fence::{Light, heavy};
pub(crate) use crate::sys::roster::ring_each;

/// How many handles on one side of a channel may have a descriptor to be polled.
pub(crate) const BELLS: usize = 16;
