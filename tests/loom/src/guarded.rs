//! Data that a lock guards: loom panics where two threads have it at once, or where one does not see what another wrote.

use loom::cell::UnsafeCell;

pub(crate) struct Guarded<T> {
    data: UnsafeCell<T>,
}

impl<T: Copy> Guarded<T> {
    pub(crate) fn new(data: T) -> Guarded<T> {
        Guarded { data: UnsafeCell::new(data) }
    }

    #[track_caller]
    pub(crate) fn get(&self) -> T {
        // SAFETY: the pointer is good while the cell is, and loom panics where another thread writes.
        self.data.with(|data| unsafe { *data })
    }

    #[track_caller]
    pub(crate) fn set(&self, data: T) {
        // SAFETY: the pointer is good while the cell is, and loom panics where another thread reads or writes.
        self.data.with_mut(|place| unsafe { *place = data });
    }
}
