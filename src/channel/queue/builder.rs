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
    attempts: Option<u32>,
    pollable: bool,
    values: PhantomData<fn() -> T>,
}

/// What messages longer than a slot share, where nothing else is asked for.
const BYTES: usize = 1 << 20;

impl<T: Wire> Builder<T> {
    /// A channel for up to so many messages, at least 1.
    pub fn new(messages: usize) -> Builder<T> {
        Builder { messages, bytes: BYTES, attempts: None, pollable: false, values: PhantomData }
    }

    /// Room for so many bytes of messages that are longer than 248 bytes, all together: no message may be longer than that. The
    /// memory is taken as it is first used.
    pub fn bytes(self, bytes: usize) -> Builder<T> {
        Builder { bytes, ..self }
    }

    /// Makes the receiver with its [descriptor](Receiver::pollable), so that it is now that you are told if there is none to be had. Its
    /// clones make theirs when they are asked.
    pub fn pollable(self) -> Builder<T> {
        Builder { pollable: true, ..self }
    }

    /// What was claimed `max_attempts` times, and not done, becomes a *dead letter*: it is not delivered again, but to those who ask for
    /// [`dead_letters`](Receiver::dead_letters). From 1 to 65,534. Without this, whatever is not done is delivered again for ever.
    ///
    /// Only claims are counted, from the moment of the claim: also the claim of a process that was killed, or whose `Claim` was dropped. A
    /// dead letter is a message whose place in the channel is as before, and whose word says what it is; so nothing is lost or doubled
    /// when processes are killed. It also means that a dead letter keeps its place until it is received: somebody has to receive
    /// them, or in the end there is no room for messages. [`wait_idle`](Sender::wait_idle) does not wait for dead letters.
    ///
    /// A dead letter can be claimed, too, and is delivered as a dead letter again, for ever. [`attempts`](super::Claim::attempts) goes on
    /// counting.
    ///
    /// Receivers of dead letters do not keep a channel open: senders are told `Disconnected` when there is no other receiver.
    /// They themselves receive all that there is, and are then told the end, when no more can come: the last sender or the last other
    /// receiver is gone, and what was claimed is done.
    ///
    /// ```
    /// use tine::channel::Builder;
    ///
    /// # fn main() -> Result<(), tine::Error> {
    /// let (tx, rx) = Builder::<String>::new(16).redeliver(2).build()?;
    /// let letters = rx.dead_letters()?;
    /// tx.send("the job that kills".into())?;
    /// tx.send("another".into())?;
    /// for _ in 0..2 {
    ///     let rx = rx.clone();
    ///     let worker = tine::spawn(move || {
    ///         let job = rx.claim().expect("a job");
    ///         std::process::abort();
    ///         #[allow(unreachable_code)]
    ///         job.done()
    ///     })?;
    ///     worker.join().unwrap_err();
    /// }
    /// assert_eq!(letters.recv()?, "the job that kills");
    /// assert_eq!(rx.recv()?, "another");
    /// # Ok(())
    /// # }
    /// ```
    pub fn redeliver(self, max_attempts: u32) -> Builder<T> {
        Builder { attempts: Some(max_attempts), ..self }
    }

    /// Makes the channel. Both ends belong to the calling process.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for no messages, and for a number of attempts beyond its limits; `OutOfMemory` where the memory is not to be had,
    /// or the size is beyond the address space; what `/proc` says where it does not tell who this process is.
    pub fn build(self) -> io::Result<(Sender<T>, Receiver<T>)> {
        let attempts = self.attempts.map_or(Ok(0), many::attempts)?;
        let store = Bytes::new(self.messages, self.bytes);
        let cells = store.cells().ok_or_else(|| {
            let why = format!("{} messages and {} bytes do not fit the address space", self.messages, self.bytes);
            io::Error::new(io::ErrorKind::OutOfMemory, why)
        })?;
        let (sender, receiver) = many::channel::<u8, _>(self.messages, attempts, cells, store.words(), store)?;
        let mut receiver = Receiver::new(receiver);
        if self.pollable {
            receiver.pollable()?;
        }
        Ok((Sender::new(sender), receiver))
    }
}
