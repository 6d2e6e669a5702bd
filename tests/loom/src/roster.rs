//! Who is who. The library's names, as they are.

#[path = "../../../src/sys/roster/name.rs"]
mod name;

pub(crate) use name::{FLAGS, Name};

/// The one roster there is.
const TAG: u16 = 7;

/// The name of the only thread that ever had this slot.
pub(crate) fn name(number: usize) -> Name {
    Name::new(TAG, 0, number)
}

pub(crate) fn number(name: Name) -> Option<usize> {
    (name.tag() == TAG && name.tenure() == 0).then(|| name.slot())
}
