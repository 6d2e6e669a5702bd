//! Sending: a value becomes a message, the message packets.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::end::Duplex;
use super::error::DuplexSendError;
use super::frame;
use super::hands::drop_sent;
use super::receiving::Over;
use crate::pipe::{SendFdsError, packet};
use crate::sys::clock::deadline_in;
use crate::wire::{EncodeError, Pass, Passing};

/// Why a message was not sent.
enum Unsent {
    Encode(EncodeError),
    TooLarge { bytes: u64, descriptors: usize },
    TimedOut,
    Over(Over),
    Io(io::Error),
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    /// Sends `value`; sleeps while there is no room. What it owns is the other side's then, and closed here.
    ///
    /// There is room for some hundred kilobytes; what is larger is on its way while the other side receives. Two sides that
    /// both send more than that and receive nothing wait for each other, for ever.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Full` and `Timeout`. No SIGPIPE.
    pub fn send(&self, value: A) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, None)
    }

    /// Sends `value` if there is room for all of it now.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Timeout`. A message larger than what the socket holds is always `Full`, unless the other
    /// side happens to take it meanwhile.
    pub fn try_send(&self, value: A) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, Some(Instant::now())).map_err(|error| match error {
            DuplexSendError::Timeout(value) => DuplexSendError::Full(value),
            other => other,
        })
    }

    /// Sends `value`, but sleeps for no longer than `timeout`. A message that is under way when the time is over is given up:
    /// the other side gets none of it.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Full`.
    pub fn send_timeout(&self, value: A, timeout: Duration) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, deadline_in(timeout))
    }

    fn send_until(&self, value: A, deadline: Option<Instant>) -> Result<(), DuplexSendError<A>> {
        if !self.is_mine() {
            return Err(DuplexSendError::NotOwner(value));
        }
        match self.transmit(&value, deadline) {
            Ok(()) => {
                drop_sent(value);
                Ok(())
            }
            Err(unsent) => Err(match unsent {
                Unsent::Encode(error) => DuplexSendError::Encode(value, error),
                Unsent::TooLarge { bytes, descriptors } => DuplexSendError::TooLarge { value, bytes, descriptors },
                Unsent::TimedOut => DuplexSendError::Timeout(value),
                Unsent::Over(over) => over.sending(value),
                Unsent::Io(error) => DuplexSendError::Io(value, error),
            }),
        }
    }

    fn transmit(&self, value: &A, deadline: Option<Instant>) -> Result<(), Unsent> {
        let mut message = Passing::new();
        value.encode_pass(&mut message).map_err(Unsent::Encode)?;
        let (bytes, descriptors) = (message.as_bytes(), message.descriptors());
        if bytes.len() as u64 > self.max_message || descriptors.len() > self.max_descriptors {
            return Err(Unsent::TooLarge { bytes: bytes.len() as u64, descriptors: descriptors.len() });
        }
        let _turn = self.sending.take(deadline).ok_or(Unsent::TimedOut)?;
        for piece in frame::pieces(bytes, descriptors.len()) {
            let descriptors = &descriptors[piece.descriptors()];
            match packet::send(self.socket.as_fd(), [piece.head(), piece.body()], descriptors, deadline) {
                Ok(()) => {}
                Err(SendFdsError::TimedOut) => return Err(Unsent::TimedOut),
                Err(SendFdsError::Closed) => return Err(Unsent::Over(self.why_closed())),
                Err(error) => return Err(Unsent::Io(error.into())),
            }
        }
        Ok(())
    }
}
