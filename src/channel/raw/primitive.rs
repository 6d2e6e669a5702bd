//! All that the words of the rings are built on. `tests/loom` has another file in this one's place.

pub(crate) use crate::sync::raw::primitive::*;
pub(crate) use crate::sys::fence::{Light, heavy};
