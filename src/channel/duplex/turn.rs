//! Turns at one direction of a channel, for the threads of a process: a lock with a deadline.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sys::clock::left_until;

/// What one thread at a time may use. It is lent out, so that a thread which sleeps with it keeps the others waiting for their
/// turn, but not beyond their deadlines.
#[derive(Debug)]
pub(super) struct Turn<S> {
    /// None while somebody has it.
    state: Mutex<Option<S>>,
    free: Condvar,
}

impl<S> Turn<S> {
    pub(super) fn new(state: S) -> Turn<S> {
        Turn { state: Mutex::new(Some(state)), free: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it; None when the deadline came first.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Taken<'_, S>> {
        let mut state = self.lock();
        loop {
            if let Some(state) = state.take() {
                return Some(Taken { turn: self, state: Some(state) });
            }
            state = match left_until(deadline) {
                None => self.free.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return None,
                Some(left) => self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Without a look whether somebody has it: nobody can.
    pub(super) fn get_mut(&mut self) -> Option<&mut S> {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }
}

/// A turn; over when it is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a, S> {
    turn: &'a Turn<S>,
    /// None only within the drop.
    state: Option<S>,
}

impl<S> Drop for Taken<'_, S> {
    fn drop(&mut self) {
        *self.turn.lock() = self.state.take();
        self.turn.free.notify_one();
    }
}

impl<S> Deref for Taken<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.state.as_ref().expect("it goes back in the drop alone")
    }
}

impl<S> DerefMut for Taken<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.state.as_mut().expect("it goes back in the drop alone")
    }
}
