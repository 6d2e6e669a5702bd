//! Several values at once, in place.

use std::fmt;

use super::{Receiver, Sender};
use crate::memory::OutOfRange;
use crate::sys::loan::Loan;
use crate::wire::Plain;

/// Room for some values in a ring, to be filled and sent by one store. See [`Sender::reserve`].
///
/// The memory is shared with the receiver, so values are written there, never borrowed from there. Dropped, it sends
/// nothing. While it lives, this process cannot be forked: two would fill the same room.
///
/// ```
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = tine::channel::spsc::channel::<u32>(8)?;
/// let mut room = tx.reserve(3)?;
/// room.write(0, 10)?;
/// room.copy_from(1, &[20, 30])?;
/// room.commit();
/// assert_eq!((rx.recv()?, rx.recv()?, rx.recv()?), (10, 20, 30));
/// # Ok(())
/// # }
/// ```
pub struct Reservation<'a, T: Plain> {
    sender: &'a mut Sender<T>,
    len: usize,
    _loan: Loan,
}

impl<'a, T: Plain> Reservation<'a, T> {
    pub(super) fn new(sender: &'a mut Sender<T>, len: usize) -> Reservation<'a, T> {
        Reservation { sender, len, _loan: Loan::take() }
    }

    /// For how many values there is room.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is room for nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes value number `index`. What is not written holds what was there before: values that were received long ago, or
    /// zeroes.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    #[inline]
    pub fn write(&mut self, index: usize, value: T) -> Result<(), OutOfRange> {
        if index >= self.len {
            return Err(OutOfRange { start: index, end: index.saturating_add(1), len: self.len });
        }
        let ring = &self.sender.ring;
        ring.cells().set(ring.place(self.sender.cursor.position() + index as u64), value)
    }

    /// Writes `values` from number `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] where they are more than there is room for; then nothing is written.
    pub fn copy_from(&mut self, offset: usize, values: &[T]) -> Result<(), OutOfRange> {
        let end = offset.saturating_add(values.len());
        if end > self.len {
            return Err(OutOfRange { start: offset, end, len: self.len });
        }
        let ring = &self.sender.ring;
        let place = ring.place(self.sender.cursor.position() + offset as u64);
        let (first, second) = values.split_at(values.len().min(ring.mask as usize + 1 - place));
        let cells = ring.cells();
        cells.copy_from(place, first)?;
        cells.copy_from(0, second)
    }

    /// Sends all of it.
    pub fn commit(self) {
        let len = self.len;
        self.commit_first(len);
    }

    /// Sends the first `n`; the rest is room again. More than there are is all.
    pub fn commit_first(self, n: usize) {
        let n = n.min(self.len);
        if n > 0 {
            self.sender.publish_filled(n);
        }
    }
}

impl<T: Plain> fmt::Debug for Reservation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation(room for {})", self.len)
    }
}

/// Some values in a ring, to be read in place and received by one store. See [`Receiver::peek`].
///
/// The memory is shared with the sender, so values are copied out, never borrowed. Dropped, it has received nothing. While it
/// lives, this process cannot be forked.
///
/// ```
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = tine::channel::spsc::channel::<u32>(8)?;
/// tx.send_slice(&[1, 2, 3])?;
/// let peek = rx.peek(8)?;
/// assert_eq!(peek.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// peek.consume_first(2);
/// assert_eq!(rx.recv()?, 3);
/// # Ok(())
/// # }
/// ```
pub struct Peek<'a, T: Plain> {
    receiver: &'a mut Receiver<T>,
    len: usize,
    _loan: Loan,
}

impl<'a, T: Plain> Peek<'a, T> {
    pub(super) fn new(receiver: &'a mut Receiver<T>, len: usize) -> Peek<'a, T> {
        Peek { receiver, len, _loan: Loan::take() }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none: none were asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Value number `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        let ring = &self.receiver.ring;
        ring.cells().get(ring.place(self.receiver.cursor.position() + index as u64))
    }

    /// Copies values out, from number `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] where there are not so many; then nothing is copied.
    pub fn copy_to(&self, offset: usize, values: &mut [T]) -> Result<(), OutOfRange> {
        let end = offset.saturating_add(values.len());
        if end > self.len {
            return Err(OutOfRange { start: offset, end, len: self.len });
        }
        self.receiver.copy_to(offset, values);
        Ok(())
    }

    /// All values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + '_ {
        (0..self.len).map(|index| self.get(index).expect("the index is within"))
    }

    /// Receives all of them: their room is the sender's again.
    pub fn consume(self) {
        let len = self.len;
        self.consume_first(len);
    }

    /// Receives the first `n`; the rest stays. More than there are is all.
    pub fn consume_first(self, n: usize) {
        let n = n.min(self.len);
        if n > 0 {
            self.receiver.consume_read(n);
        }
    }
}

impl<T: Plain> fmt::Debug for Peek<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peek({} values)", self.len)
    }
}
