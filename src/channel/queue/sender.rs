//! The sending end.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use super::store::Bytes;
use crate::channel::error::{Fault, SendError, SendTimeoutError, TrySendError};
use crate::channel::many;
use crate::channel::park::{Spin, Until};
use crate::wire::{EncodeError, Encoder, Pass, Wire};

/// A sending end of a [`channel`](super::channel). Each clone is a handle of its own: make one for each process, and each thread.
///
/// When the last is dropped, receivers receive what was sent, and are then told `Disconnected`.
pub struct Sender<T> {
    inner: RefCell<many::Sender<Bytes>>,
    /// Emptied, and used again.
    buffer: RefCell<Vec<u8>>,
    values: PhantomData<fn(T)>,
}

/// Why a message was not sent.
enum Refused {
    NotNow,
    Fault(Fault),
    Encode(EncodeError),
}

impl Refused {
    /// Of an operation whose wait has no end.
    fn sending<T>(self, value: T) -> SendError<T> {
        match self {
            // Without a deadline the wait ends with room only.
            Refused::NotNow => SendError::Corrupt(value),
            Refused::Fault(fault) => fault.sending(value),
            Refused::Encode(error) => SendError::Encode(value, error),
        }
    }
}

impl<T: Wire> Sender<T> {
    pub(super) fn new(inner: many::Sender<Bytes>) -> Sender<T> {
        Sender { inner: RefCell::new(inner), buffer: RefCell::new(Vec::new()), values: PhantomData }
    }

    /// Sends `value`; waits while the channel is full. When this returns, the value is in the channel, whatever becomes of this
    /// process.
    ///
    /// # Errors
    ///
    /// Any [`SendError`], with the value: also [`Encode`](SendError::Encode).
    #[doc(alias = "put")]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.put(&value, Until::ENDLESS).map_err(|refused| refused.sending(value))
    }

    /// Sends `value`, if there is room now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], and as for [`send`](Self::send).
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.put(&value, Until::Now) {
            Ok(()) => Ok(()),
            Err(Refused::NotNow) => Err(TrySendError::Full(value)),
            Err(refused) => Err(refused.sending(value).into()),
        }
    }

    /// As [`send`](Self::send), but gives up after `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], and as for [`send`](Self::send).
    pub fn send_timeout(&self, value: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.put(&value, Until::within(limit)) {
            Ok(()) => Ok(()),
            Err(Refused::NotNow) => Err(SendTimeoutError::Timeout(value)),
            Err(refused) => Err(refused.sending(value).into()),
        }
    }

    fn put(&self, value: &T, until: Until) -> Result<(), Refused> {
        // Encoding is the type's own code, which may send by this very handle.
        let mut encoder = Encoder::from_vec(self.buffer.take());
        encoder.clear();
        let encoded = value.encode(&mut encoder);
        let buffer = encoder.into_bytes();
        let put = encoded.map_err(Refused::Encode).and_then(|()| self.put_bytes(&buffer, until));
        self.buffer.replace(buffer);
        put
    }

    fn put_bytes(&self, bytes: &[u8], until: Until) -> Result<(), Refused> {
        let mut inner = self.inner.borrow_mut();
        let longest = inner.ring.store.longest();
        if bytes.len() > longest {
            let length = bytes.len();
            let why = format!(
                "the value takes {length} bytes, and the channel has room for {longest}; build it with more `bytes`"
            );
            return Err(Refused::Encode(EncodeError::new(why)));
        }
        match inner.put(bytes, until) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::NotNow),
            Err(fault) => Err(Refused::Fault(fault)),
        }
    }

    /// Waits until nothing is in the channel, and nothing that was claimed is still to be done.
    ///
    /// # Errors
    ///
    /// `Disconnected` or `PeerDied` where nobody is left who could receive what is there; `NotOwner`.
    #[doc(alias("join", "task_done"))]
    pub fn wait_idle(&self) -> Result<(), SendError<()>> {
        match self.inner.borrow_mut().wait_idle(Until::ENDLESS) {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.sending(())),
        }
    }

    /// As [`wait_idle`](Self::wait_idle), but gives up after `limit`: then false.
    ///
    /// # Errors
    ///
    /// As for [`wait_idle`](Self::wait_idle).
    pub fn wait_idle_timeout(&self, limit: Duration) -> Result<bool, SendError<()>> {
        self.inner.borrow_mut().wait_idle(Until::within(limit)).map_err(|fault| fault.sending(()))
    }

    /// Another handle, of the calling process.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` where this one is another process's; `OutOfMemory` where there are 1024 already.
    pub fn try_clone(&self) -> io::Result<Sender<T>> {
        Ok(Sender::new(self.inner.borrow().try_clone()?))
    }

    /// How many messages the channel holds at most.
    pub fn capacity(&self) -> usize {
        self.inner.borrow().ring.shape.slots()
    }

    /// How many messages can be received; those that are claimed are not counted. Others may send and receive at any
    /// moment. Looks at each.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.inner.borrow().ring.len()
    }

    /// Whether there is nothing to be received. There may be something by now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all places are taken. There may be some by now.
    pub fn is_full(&self) -> bool {
        self.inner.borrow().ring.is_full()
    }

    /// Whether nobody can receive any more. Asks the kernel, which takes some microseconds.
    pub fn is_disconnected(&self) -> bool {
        self.inner.borrow().is_disconnected()
    }

    /// How to wait for room.
    pub fn set_spin(&self, spin: Spin) {
        self.inner.borrow_mut().patience.set(spin);
    }

    /// Makes this handle the calling process's, whosever it was: see
    /// [`mpmc::Sender::take_over`](crate::channel::mpmc::Sender::take_over).
    ///
    /// # Errors
    ///
    /// What `/proc` says where it does not tell who this process is.
    pub fn take_over(&self) -> io::Result<()> {
        self.inner.borrow_mut().take_over()
    }
}

/// See [`Sender::try_clone`]. Where that fails the clone is good for nothing: each of its operations answers `NotOwner`.
impl<T: Wire> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender::new(self.inner.borrow().clone_or_nobody())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.inner.borrow().ring)
    }
}

impl<T: Wire> Pass for Sender<T> {}
