//! A message that is written in place.

use std::fmt;
use std::io;

use super::sender::Sender;
use crate::channel::error::SendError;
use crate::channel::raw::bytes::Frame;
use crate::memory::{OutOfRange, span};
use crate::sys::loan::Loan;

/// Room in the ring for one message. [`commit`](Self::commit) sends it; dropped, nothing happened.
///
/// What was not written is what an earlier message has left there, or zero.
///
/// It is also an [`io::Write`], which writes from the start on, up to [`len`](Self::len) bytes; how much was written so
/// does not change the length of the message: see [`truncate`](Self::truncate).
///
/// It is a loan of shared memory: while it lives, this thread cannot spawn.
///
/// ```
/// use std::io::Write;
/// use tine::channel::bytes;
///
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = bytes::channel(4096)?;
/// let mut message = tx.reserve(100)?;
/// write!(message, "{} bottles", 99)?;
/// let written = message.written();
/// message.truncate(written);
/// message.commit()?;
/// assert_eq!(rx.recv()?, b"99 bottles");
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it sends nothing"]
pub struct Reservation<'a> {
    sender: &'a mut Sender,
    /// Where its bytes lie, by the first view of the ring.
    at: usize,
    len: usize,
    written: usize,
    _loan: Loan,
}

impl Reservation<'_> {
    /// There is room for so many.
    pub(super) fn new(sender: &mut Sender, len: usize) -> Reservation<'_> {
        let at = sender.sending.place() as usize;
        Reservation { sender, at, len, written: 0, _loan: Loan::take() }
    }

    /// Of the message, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes were written by [`io::Write`].
    pub fn written(&self) -> usize {
        self.written
    }

    /// Makes the message shorter: its first `len` bytes, if it has more.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.written = self.written.min(len);
    }

    /// Writes `bytes` into the message, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], and nothing is written, where that goes beyond its end.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        span(offset, bytes.len(), self.len)?;
        self.sender.half.ring.cells().copy_from(self.at + offset, bytes)
    }

    /// Writes all of the message.
    ///
    /// # Panics
    ///
    /// If `message` is not just as long.
    pub fn copy_from_slice(&mut self, message: &[u8]) {
        assert_eq!(message.len(), self.len, "the lengths of a message and of what is to be in it differ");
        // Inside, as was just asserted.
        let _ = self.write_at(0, message);
    }

    /// Sends it, by one store.
    ///
    /// # Errors
    ///
    /// [`SendError::NotOwner`] in a process that has only a copy of this, by a fork that was none of this library's.
    pub fn commit(self) -> Result<(), SendError<()>> {
        self.sender.half.check().map_err(|fault| fault.sending(()))?;
        self.sender.commit(Frame::whole(self.len as u64));
        Ok(())
    }

    /// Where its bytes lie.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn sender(&self) -> &Sender {
        self.sender
    }
}

impl io::Write for Reservation<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.len - self.written);
        self.write_at(self.written, &bytes[..n])?;
        self.written += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} bytes)", self.len)
    }
}
