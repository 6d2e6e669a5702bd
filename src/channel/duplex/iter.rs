//! What comes through a [`Duplex`], one after the other.

use super::{Duplex, DuplexRecvError};
use crate::wire::Pass;

/// The values that come through a [`Duplex`], until its other end is dropped: [`Duplex::iter`].
///
/// After an error that is the last word (a death, say) it ends; after one that costs a message only it goes on.
#[derive(Debug)]
pub struct Iter<'a, A: Pass, B: Pass> {
    duplex: &'a Duplex<A, B>,
    exhausted: bool,
}

/// The same, with the end inside.
#[derive(Debug)]
pub struct IntoIter<A: Pass, B: Pass> {
    duplex: Duplex<A, B>,
    exhausted: bool,
}

fn next<A: Pass, B: Pass>(duplex: &Duplex<A, B>, exhausted: &mut bool) -> Option<Result<B, DuplexRecvError>> {
    if *exhausted {
        return None;
    }
    let next = duplex.recv();
    *exhausted = next.as_ref().is_err_and(DuplexRecvError::is_final);
    if matches!(next, Err(DuplexRecvError::Disconnected)) { None } else { Some(next) }
}

impl<A: Pass, B: Pass> Iterator for Iter<'_, A, B> {
    type Item = Result<B, DuplexRecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.duplex, &mut self.exhausted)
    }
}

impl<A: Pass, B: Pass> Iterator for IntoIter<A, B> {
    type Item = Result<B, DuplexRecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&self.duplex, &mut self.exhausted)
    }
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    /// The values that come, until the other end is dropped.
    pub fn iter(&self) -> Iter<'_, A, B> {
        Iter { duplex: self, exhausted: false }
    }
}

impl<'a, A: Pass, B: Pass> IntoIterator for &'a Duplex<A, B> {
    type Item = Result<B, DuplexRecvError>;
    type IntoIter = Iter<'a, A, B>;

    fn into_iter(self) -> Iter<'a, A, B> {
        self.iter()
    }
}

impl<A: Pass, B: Pass> IntoIterator for Duplex<A, B> {
    type Item = Result<B, DuplexRecvError>;
    type IntoIter = IntoIter<A, B>;

    fn into_iter(self) -> IntoIter<A, B> {
        IntoIter { duplex: self, exhausted: false }
    }
}
