//! A message that is read in place.

use std::fmt;
use std::io;

use super::receiver::{Next, Receiver};
use crate::memory::{OutOfRange, span};
use crate::sys::loan::Loan;

/// A message that is still in the ring. Dropped, it is received, and its room is the sender's again.
///
/// Its bytes are copied out, by any part, as they are at that moment: a sender that means harm may change them between two
/// looks. Where the other process is to be trusted, [`Receiver::trust`] gives them as a slice.
///
/// It is also an [`io::Read`], from the start on.
///
/// It is a loan of shared memory: while it lives, this thread cannot spawn.
///
/// ```
/// use tine::channel::bytes;
///
/// # fn main() -> Result<(), tine::Error> {
/// let (mut tx, mut rx) = bytes::channel(4096)?;
/// tx.send(b"ping: 17")?;
/// let message = rx.peek()?;
/// let mut tag = [0; 4];
/// message.read_at(0, &mut tag)?;
/// assert_eq!((&tag, message.len()), (b"ping", 8));
/// drop(message);
/// assert!(rx.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Message<'a> {
    receiver: &'a mut Receiver,
    next: Next,
    read: usize,
    left: bool,
    _loan: Loan,
}

impl Message<'_> {
    pub(super) fn new(receiver: &mut Receiver, next: Next) -> Message<'_> {
        Message { receiver, next, read: 0, left: false, _loan: Loan::take() }
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        match self.next {
            Next::InPlace(frame) => frame.len as usize,
            Next::Gathered => self.receiver.gathered().len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies what is there from `offset` on: as many bytes as `target` has.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], and nothing is copied, where that goes beyond the end of the message.
    pub fn read_at(&self, offset: usize, target: &mut [u8]) -> Result<(), OutOfRange> {
        match self.next {
            Next::InPlace(frame) => self.receiver.bytes_of(frame).copy_to(offset, target),
            Next::Gathered => {
                let bytes = self.receiver.gathered();
                target.copy_from_slice(&bytes[span(offset, target.len(), bytes.len())?]);
                Ok(())
            }
        }
    }

    /// Copies all of it to the start of `target`, and returns its length.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], and nothing is copied, where `target` is shorter.
    pub fn copy_to(&self, target: &mut [u8]) -> Result<usize, OutOfRange> {
        let all = span(0, self.len(), target.len())?;
        self.read_at(0, &mut target[all])?;
        Ok(self.len())
    }

    /// All of it.
    pub fn to_vec(&self) -> Vec<u8> {
        match self.next {
            Next::InPlace(frame) => self.receiver.bytes_of(frame).to_vec(),
            Next::Gathered => self.receiver.gathered().to_vec(),
        }
    }

    /// Leaves it where it is: it is not received, and is the next again.
    pub fn leave(mut self) {
        self.left = true;
    }

    pub(super) fn next(&self) -> Next {
        self.next
    }

    pub(super) fn receiver(&self) -> &Receiver {
        self.receiver
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        match self.next {
            _ if self.left => {}
            // In a process that has only a copy of this, by a fork that was none of this library's, it is not to be released.
            Next::InPlace(frame) if self.receiver.half.check().is_ok() => self.receiver.release(frame),
            Next::InPlace(_) => {}
            Next::Gathered => self.receiver.forget_gathered(),
        }
    }
}

impl io::Read for Message<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let n = target.len().min(self.len() - self.read);
        self.read_at(self.read, &mut target[..n])?;
        self.read += n;
        Ok(n)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes)", self.len())
    }
}
