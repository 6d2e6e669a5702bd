//! Receiving: packets become a message, the message a value.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::end::Duplex;
use super::error::{DuplexRecvError, DuplexSendError};
use super::frame::{Assembler, Fault, News};
use crate::channel::PeerDeath;
use crate::pipe::{RecvFdsError, packet};
use crate::sys::clock::{deadline_in, left_until};
use crate::wire::{Pass, decode_whole};

/// How many packets are looked at beyond a deadline: more than a socket holds, so that what was sent before is found by a call that
/// may not wait; and so few that a peer which sends nothing but halves keeps nobody for long.
const GRACE: u32 = 1000;

/// What is kept of messages that came while this side was looking for the reason why it cannot send, in bytes.
const INBOX: usize = 64 << 20;

/// What the receiving side of an end keeps.
pub(super) struct Receiving {
    /// Room for one packet, from the first on.
    buffer: Vec<u8>,
    pub(super) assembler: Assembler<OwnedFd>,
    /// What came while this side was looking for something else.
    inbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    over: Option<Over>,
    /// A death is told once to who receives.
    was_told: bool,
}

impl Receiving {
    pub(super) fn new(max_bytes: u64, max_descriptors: usize) -> Receiving {
        Receiving {
            buffer: Vec::new(),
            assembler: Assembler::new(max_bytes, max_descriptors),
            inbox: VecDeque::new(),
            over: None,
            was_told: false,
        }
    }

    /// Whether it holds nothing that would be lost with it.
    pub(super) fn is_fresh(&self) -> bool {
        self.inbox.is_empty() && !self.assembler.is_inside() && self.over.is_none()
    }
}

/// Why nothing will come any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    Disconnected,
    PeerDied(PeerDeath),
    Corrupt,
}

impl Over {
    pub(super) fn receiving(self) -> DuplexRecvError {
        match self {
            Over::Disconnected => DuplexRecvError::Disconnected,
            Over::PeerDied(death) => DuplexRecvError::PeerDied(death),
            Over::Corrupt => DuplexRecvError::Corrupt,
        }
    }

    pub(super) fn sending<T>(self, value: T) -> DuplexSendError<T> {
        match self {
            Over::Disconnected => DuplexSendError::Disconnected(value),
            Over::PeerDied(death) => DuplexSendError::PeerDied(value, death),
            Over::Corrupt => DuplexSendError::Corrupt(value),
        }
    }
}

/// What one packet was.
enum Step {
    Message,
    /// A piece, or news of the channel itself.
    Less,
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    /// Receives the next value; sleeps until one comes.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Empty` and `Timeout`.
    pub fn recv(&self) -> Result<B, DuplexRecvError> {
        self.recv_until(None)
    }

    /// Receives the next value if it is there.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Timeout`.
    pub fn try_recv(&self) -> Result<B, DuplexRecvError> {
        self.recv_until(Some(Instant::now())).map_err(|error| match error {
            DuplexRecvError::Timeout => DuplexRecvError::Empty,
            other => other,
        })
    }

    /// Receives the next value if it comes within `timeout`.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Empty`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<B, DuplexRecvError> {
        self.recv_until(deadline_in(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<B, DuplexRecvError> {
        if !self.is_mine() {
            return Err(DuplexRecvError::NotOwner);
        }
        let Some(mut receiving) = self.receiving.take(deadline) else { return Err(DuplexRecvError::Timeout) };
        let (bytes, descriptors) = match self.next_message(&mut receiving, deadline) {
            Err(DuplexRecvError::PeerDied(_)) if std::mem::replace(&mut receiving.was_told, true) => {
                return Err(DuplexRecvError::Disconnected);
            }
            next => next?,
        };
        drop(receiving);
        decode_whole(&bytes, descriptors).map_err(DuplexRecvError::Decode)
    }

    fn next_message(
        &self,
        receiving: &mut Receiving,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), DuplexRecvError> {
        let mut late = 0;
        loop {
            if let Some(message) = receiving.inbox.pop_front() {
                return Ok(message);
            }
            if let Step::Less = self.step(receiving, deadline)?
                && left_until(deadline).is_some_and(|left| left.is_zero())
            {
                late += 1;
                if late > GRACE {
                    return Err(DuplexRecvError::Timeout);
                }
            }
        }
    }

    /// Takes one packet from the socket; a message that it completes goes into the inbox.
    fn step(&self, receiving: &mut Receiving, deadline: Option<Instant>) -> Result<Step, DuplexRecvError> {
        let Receiving { buffer, assembler, inbox, over, .. } = receiving;
        if let Some(over) = *over {
            return Err(over.receiving());
        }
        if buffer.is_empty() {
            *buffer = vec![0; packet::ROOM];
        }
        let news = match packet::recv(self.socket.as_fd(), buffer, deadline) {
            Ok((len, descriptors)) => assembler.take(&buffer[packet::HEAD..][..len], descriptors),
            Err(RecvFdsError::Lost { bytes, sent, arrived }) => {
                assembler.take_lost(&bytes, sent, arrived).map(|()| News::Piece)
            }
            Err(RecvFdsError::Corrupt) => Err(assembler.poison("a packet that no channel sends")),
            Err(RecvFdsError::TimedOut) => return Err(DuplexRecvError::Timeout),
            Err(RecvFdsError::Closed) => {
                // Without a last word. Relaxed: told by this socket, or by this process.
                let pid = self.owners[1 - self.side].load(Ordering::Relaxed);
                let over = over.insert(Over::PeerDied(PeerDeath { pid, in_flight: 0 }));
                return Err(over.receiving());
            }
            Err(error) => return Err(DuplexRecvError::Io(error.into())),
        };
        match news {
            Ok(News::Message(bytes, descriptors)) => {
                inbox.push_back((bytes.into_owned(), descriptors));
                Ok(Step::Message)
            }
            Ok(News::Piece) => Ok(Step::Less),
            Ok(News::Owner(pid)) => {
                // Relaxed: the number is all that is told.
                self.owners[1 - self.side].store(pid, Ordering::Relaxed);
                Ok(Step::Less)
            }
            Ok(News::Bye) => Err(over.insert(Over::Disconnected).receiving()),
            Err(Fault::Corrupt(_)) => Err(over.insert(Over::Corrupt).receiving()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Why nobody can receive any more: the reason stands behind all that was sent to this side.
    #[cold]
    pub(super) fn why_closed(&self) -> Over {
        // Whoever has it is told by the same socket, at once.
        let Some(mut receiving) = self.receiving.take(Some(Instant::now())) else { return Over::Disconnected };
        let mut held = 0;
        while receiving.over.is_none() && held < INBOX {
            match self.step(&mut receiving, Some(Instant::now())) {
                Ok(Step::Message) => held += receiving.inbox.back().map_or(0, |(bytes, _)| bytes.len()) + 4096,
                Ok(Step::Less) => held += 4096,
                // What is wrong with a message that nobody asked for yet: it is skipped, as it would be then.
                Err(DuplexRecvError::TooLarge { .. } | DuplexRecvError::Lost { .. }) => held += 4096,
                Err(_) => break,
            }
        }
        receiving.over.unwrap_or(Over::Disconnected)
    }
}
