//! What a receiver receives, one after the other.

use std::iter::FusedIterator;

use super::error::RecvError;

/// A receiver, for its iterators.
pub trait Receive {
    type Message;

    fn next_message(&mut self) -> Result<Self::Message, RecvError>;
}

/// The messages of a receiver, until its end: a clean close ends the iteration; any other error, as the death of the last sender, is
/// one `Err` before that. After a message that does not decode it goes on.
#[derive(Debug)]
pub struct Iter<'a, R> {
    receiver: &'a mut R,
    over: bool,
}

/// The same, and the receiver, or a reference to one, goes with it.
#[derive(Debug)]
pub struct IntoIter<R> {
    receiver: R,
    over: bool,
}

impl<'a, R> Iter<'a, R> {
    pub(super) fn new(receiver: &'a mut R) -> Iter<'a, R> {
        Iter { receiver, over: false }
    }
}

impl<R> IntoIter<R> {
    pub(super) fn new(receiver: R) -> IntoIter<R> {
        IntoIter { receiver, over: false }
    }
}

fn next<R: Receive>(receiver: &mut R, over: &mut bool) -> Option<Result<R::Message, RecvError>> {
    if *over {
        return None;
    }
    let next = receiver.next_message();
    // What does not decode is gone, and the next may.
    *over = matches!(&next, Err(error) if !matches!(error, RecvError::Decode(_)));
    if matches!(next, Err(RecvError::Disconnected)) { None } else { Some(next) }
}

impl<R: Receive> Iterator for Iter<'_, R> {
    type Item = Result<R::Message, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.receiver, &mut self.over)
    }
}

impl<R: Receive> Iterator for IntoIter<R> {
    type Item = Result<R::Message, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&mut self.receiver, &mut self.over)
    }
}

impl<R: Receive> FusedIterator for Iter<'_, R> {}
impl<R: Receive> FusedIterator for IntoIter<R> {}

/// The iterators of a type with `recv`.
macro_rules! iterators {
    (impl[$($generics:tt)*] $Receiver:ty, $Message:ty) => {
        impl<$($generics)*> $crate::channel::iter::Receive for $Receiver {
            type Message = $Message;

            fn next_message(&mut self) -> Result<$Message, $crate::channel::RecvError> {
                self.recv()
            }
        }

        impl<$($generics)*> IntoIterator for $Receiver {
            type Item = Result<$Message, $crate::channel::RecvError>;
            type IntoIter = $crate::channel::IntoIter<$Receiver>;

            fn into_iter(self) -> $crate::channel::IntoIter<$Receiver> {
                $crate::channel::IntoIter::new(self)
            }
        }

        impl<'a, $($generics)*> IntoIterator for &'a mut $Receiver {
            type Item = Result<$Message, $crate::channel::RecvError>;
            type IntoIter = $crate::channel::Iter<'a, $Receiver>;

            fn into_iter(self) -> $crate::channel::Iter<'a, $Receiver> {
                $crate::channel::Iter::new(self)
            }
        }
    };
}
pub(super) use iterators;
