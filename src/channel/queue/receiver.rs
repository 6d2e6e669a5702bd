//! The receiving end.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::claim::Claim;
use super::store::Bytes;
use crate::channel::error::{Fault, RecvError, RecvTimeoutError, TryRecvError};
use crate::channel::iter::{IntoIter, Receive, iterators};
use crate::channel::many::{self, Claimed, Held, Received, Ring};
use crate::channel::park::{Spin, Until};
use crate::channel::raw::Corrupt;
use crate::sys::futex::Words;
use crate::wait::{Flag, Ready, Source, What};
use crate::wire::{Pass, Wire, from_bytes};

/// A receiving end of a [`channel`](super::channel). Each clone is a handle of its own: make one for each process, and each thread.
///
/// When the last is dropped, senders are told `Disconnected`. What was not received is gone then.
pub struct Receiver<T> {
    inner: RefCell<many::Receiver<Bytes>>,
    /// That of the inner one: a wait keeps its words for longer than it can borrow that.
    ring: Ring<Bytes>,
    values: PhantomData<fn() -> T>,
}

type Message = Result<Vec<u8>, Corrupt>;

/// Why no message was received.
enum Refused {
    NotNow,
    Other(RecvError),
}

impl Refused {
    /// Of an operation whose wait has no end.
    fn receiving(self) -> RecvError {
        match self {
            // Without a deadline the wait ends with a message only.
            Refused::NotNow => RecvError::Corrupt,
            Refused::Other(error) => error,
        }
    }
}

impl<T: Wire> Receiver<T> {
    pub(super) fn new(inner: many::Receiver<Bytes>) -> Receiver<T> {
        let ring = inner.ring.clone();
        Receiver { inner: RefCell::new(inner), ring, values: PhantomData }
    }

    /// Receives the next value; waits while there is none.
    ///
    /// # Errors
    ///
    /// Any [`RecvError`], after all that was sent was received, and what others have claimed is done;
    /// [`Decode`](RecvError::Decode) at any time.
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.get(Until::ENDLESS).map_err(Refused::receiving)
    }

    /// Receives the next value, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`recv`](Self::recv).
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.get(Until::Now).map_err(|refused| match refused {
            Refused::NotNow => TryRecvError::Empty,
            Refused::Other(error) => error.into(),
        })
    }

    /// As [`recv`](Self::recv), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`recv`](Self::recv).
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, RecvTimeoutError> {
        self.get(Until::within(limit)).map_err(|refused| match refused {
            Refused::NotNow => RecvTimeoutError::Timeout,
            Refused::Other(error) => error.into(),
        })
    }

    /// Claims the next value; waits while there is none. It is delivered again, unless it is [`done`](Claim::done).
    ///
    /// The value keeps its place in the channel until then, so there must be more places than claims that are held.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv). A message that does not decode is not delivered again.
    pub fn claim(&self) -> Result<Claim<T>, RecvError> {
        self.get_claim(Until::ENDLESS).map_err(Refused::receiving)
    }

    /// Claims the next value, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`], and as for [`claim`](Self::claim).
    pub fn try_claim(&self) -> Result<Claim<T>, TryRecvError> {
        self.get_claim(Until::Now).map_err(|refused| match refused {
            Refused::NotNow => TryRecvError::Empty,
            Refused::Other(error) => error.into(),
        })
    }

    /// As [`claim`](Self::claim), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`], and as for [`claim`](Self::claim).
    pub fn claim_timeout(&self, limit: Duration) -> Result<Claim<T>, RecvTimeoutError> {
        self.get_claim(Until::within(limit)).map_err(|refused| match refused {
            Refused::NotNow => RecvTimeoutError::Timeout,
            Refused::Other(error) => error.into(),
        })
    }

    fn get(&self, until: Until) -> Result<T, Refused> {
        let Received(message) = taken(self.inner.borrow_mut().get::<Received<Message>>(until))?;
        self.decode(message)
    }

    fn get_claim(&self, until: Until) -> Result<Claim<T>, Refused> {
        let Claimed(message, held, attempts) = taken(self.inner.borrow_mut().get::<Claimed<Message>>(until))?;
        let held = Held::new(self.inner.borrow().ring.clone(), held);
        match self.decode(message) {
            Ok(value) => Ok(Claim::new(value, held, attempts)),
            Err(refused) => {
                held.done();
                Err(refused)
            }
        }
    }

    fn decode(&self, message: Message) -> Result<T, Refused> {
        match message {
            Ok(bytes) => from_bytes(&bytes).map_err(|error| Refused::Other(RecvError::Decode(error))),
            Err(Corrupt) => {
                self.inner.borrow_mut().poison();
                Err(Refused::Other(RecvError::Corrupt))
            }
        }
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Receiver<T>> {
        Ok(Receiver::new(self.inner.borrow().try_clone()?))
    }

    /// A receiver of dead letters: of messages that were claimed as often as [`redeliver`](super::Builder::redeliver) allows, and not
    /// done. It belongs to the calling process, and is like any other, but that it receives nothing else; see
    /// [there](super::Builder::redeliver).
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the channel was built without that; `PermissionDenied` where this end is another process's; `OutOfMemory`
    /// where there are 64 already.
    pub fn dead_letters(&self) -> io::Result<Receiver<T>> {
        Ok(Receiver::new(self.inner.borrow().dead_letters()?))
    }

    /// Receives until the end: a clean close ends the iteration; a last sender that was killed is one `Err` before that. `for` takes the
    /// receiver itself, or a reference.
    ///
    /// ```
    /// # fn main() -> Result<(), tine::Error> {
    /// let (tx, rx) = tine::channel::<u8>(4)?;
    /// tx.send(7)?;
    /// drop(tx);
    /// for value in &rx {
    ///     assert_eq!(value?, 7);
    /// }
    /// assert!(rx.is_disconnected());
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> IntoIter<&Receiver<T>> {
        IntoIter::new(self)
    }

    /// How many messages the channel holds at most.
    pub fn capacity(&self) -> usize {
        self.inner.borrow().ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.inner.borrow().len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all places are taken. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.inner.borrow().ring.is_full()
    }

    /// Whether nothing more will be sent. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.inner.borrow().is_disconnected()
    }

    /// A descriptor that can be read when there may be something to receive, or an end or an error to be told. See
    /// [`spsc::Receiver::pollable`](crate::channel::spsc::Receiver::pollable).
    ///
    /// Each handle has its own, and a message makes all of them readable. What a thread has claimed that ends and leaves its claim
    /// behind (by [`forget`](std::mem::forget)) while its process goes on is noticed when something else makes it readable.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this end is another process's; no descriptor is left, or 16 handles have one already.
    pub fn pollable(&mut self) -> io::Result<BorrowedFd<'_>> {
        self.inner.get_mut().pollable()
    }

    /// How to wait for messages.
    pub fn set_spin(&self, spin: Spin) {
        self.inner.borrow_mut().patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was: see
    /// [`mpmc::Receiver::take_over`](crate::channel::mpmc::Receiver::take_over).
    ///
    /// # Errors
    ///
    /// What `/proc` says where it does not tell who this process is.
    pub fn take_over(&self) -> io::Result<()> {
        self.inner.borrow_mut().take_over()
    }
}

fn taken<R>(taken: Result<Option<R>, Fault>) -> Result<R, Refused> {
    match taken {
        Ok(Some(taken)) => Ok(taken),
        Ok(None) => Err(Refused::NotNow),
        Err(fault) => Err(Refused::Other(fault.receiving())),
    }
}

/// See [`Receiver::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Wire> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver::new(self.inner.borrow().clone_or_nobody())
    }
}

impl<T> Source for Receiver<T> {
    fn what(&self) -> What<'_> {
        What::Flag(self)
    }
}
impl<T> Ready for Receiver<T> {}

impl<T> Flag for Receiver<T> {
    fn is_raised(&self) -> bool {
        self.inner.borrow().is_raised()
    }

    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let signal = self.ring.asked();
        words.push_word(signal.word(), signal.announce());
        true
    }

    fn sleep_in_poll(&self) {
        self.inner.borrow().sleep_in_poll();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.inner.borrow().ring)
    }
}

iterators!(impl[T: Wire] Receiver<T>, T);

impl<T: Wire> Receive for &Receiver<T> {
    type Message = T;

    fn next_message(&mut self) -> Result<T, RecvError> {
        self.recv()
    }
}

impl<'a, T: Wire> IntoIterator for &'a Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = IntoIter<&'a Receiver<T>>;

    fn into_iter(self) -> IntoIter<&'a Receiver<T>> {
        self.iter()
    }
}

impl<T: Wire> Pass for Receiver<T> {}
