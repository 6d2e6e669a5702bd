//! A channel's settings.

use std::io;
use std::marker::PhantomData;

use super::store::Bytes;
use super::{Receiver, Sender};
use crate::channel::many;
use crate::wire::Wire;

/// Settings of a [`channel`](super::channel), by value.
#[derive(Clone, Debug)]
#[must_use = "a builder makes a channel by `build`"]
pub struct Builder<T> {
    messages: usize,
    bytes: usize,
    values: PhantomData<fn() -> T>,
}

/// What messages longer than a slot share, where nothing else is asked for.
const BYTES: usize = 1 << 20;

impl<T: Wire> Builder<T> {
    /// A channel for up to so many messages, at least 1.
    pub fn new(messages: usize) -> Builder<T> {
        Builder { messages, bytes: BYTES, values: PhantomData }
    }

    /// Room for so many bytes of messages that are longer than 248 bytes, all together: no message may be longer than that. The
    /// memory is taken as it is first used.
    pub fn bytes(self, bytes: usize) -> Builder<T> {
        Builder { bytes, ..self }
    }

    /// Makes the channel. Both ends belong to the calling process.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for no messages; `OutOfMemory` where the memory is not to be had, or the size is beyond the address
    /// space; what `/proc` says where it does not tell who this process is.
    pub fn build(self) -> io::Result<(Sender<T>, Receiver<T>)> {
        let store = Bytes::new(self.messages, self.bytes);
        let cells = store.cells().ok_or_else(|| {
            let why = format!("{} messages and {} bytes do not fit the address space", self.messages, self.bytes);
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        })?;
        let (sender, receiver) = many::channel::<u8, _>(self.messages, cells, store.words(), store)?;
        Ok((Sender::new(sender), Receiver::new(receiver)))
    }
}
