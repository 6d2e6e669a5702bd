//! Who is who: the library's names, and how one thread follows another on the roster.

#[path = "../../../src/sys/roster/name.rs"]
mod name;
#[path = "../../../src/sys/roster/tenancy.rs"]
#[allow(dead_code)]
mod tenancy;

mod scenes;

pub(crate) use name::{FLAGS, Name};

// For `tenancy`.
use crate::primitive::{AtomicU32, AtomicU64, Ordering, Verdict};

/// As the kernel's.
const OWNER_DIED: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;

/// The one roster there is.
const TAG: u16 = 7;

/// The name of the only thread that ever had this slot.
pub(crate) fn name(number: usize) -> Name {
    Name::new(TAG, 0, number)
}

pub(crate) fn number(name: Name) -> Option<usize> {
    (name.tag() == TAG && name.tenure() == 0).then(|| name.slot())
}
