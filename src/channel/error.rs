//! Why a message was not sent, or none received.

use std::error::Error;
use std::fmt;
use std::io;

use crate::wire::{DecodeError, EncodeError};

/// What is known of the death of those at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerDeath {
    /// The process that died last without closing its end.
    pub pid: u32,
    /// How many messages were sent and not received when this was found: what a dead receiver has left in the channel. 0 for
    /// a receiver, which is told only when it has received all.
    pub in_flight: usize,
}

impl fmt::Display for PeerDeath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} died without closing its end of the channel", self.pid)?;
        match self.in_flight {
            0 => Ok(()),
            n => write!(f, "; {n} messages were not received"),
        }
    }
}

const DISCONNECTED_SEND: &str = "nobody can receive any more: the last receiver was dropped";
const DISCONNECTED_RECV: &str =
    "nothing more will come: the last sender was dropped, and all that was sent is received";
pub(super) const NOT_OWNER: &str = "this end of the channel belongs to another process; move it into the closure that is spawned (or \
                         pass it by `spawn_with`), instead of borrowing it or keeping a copy across a fork";
pub(super) const CORRUPT: &str =
    "a peer has written into the channel's memory what no operation writes; this end is of no more use";

/// What keeps an end from sending or receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Disconnected,
    PeerDied(PeerDeath),
    NotOwner,
    Corrupt,
}

impl Fault {
    pub(super) fn sending<T>(self, value: T) -> SendError<T> {
        match self {
            Fault::Disconnected => SendError::Disconnected(value),
            Fault::PeerDied(death) => SendError::PeerDied(value, death),
            Fault::NotOwner => SendError::NotOwner(value),
            Fault::Corrupt => SendError::Corrupt(value),
        }
    }

    pub(super) fn receiving(self) -> RecvError {
        match self {
            Fault::Disconnected => RecvError::Disconnected,
            Fault::PeerDied(death) => RecvError::PeerDied(death),
            Fault::NotOwner => RecvError::NotOwner,
            Fault::Corrupt => RecvError::Corrupt,
        }
    }
}

macro_rules! send_errors {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$more_doc:meta])* $More:ident: $text:literal, $kind:ident;)? })*) => {$(
        $(#[$doc])*
        ///
        /// The value comes back: it was not sent.
        #[derive(Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $Name<T> {
            $($(#[$more_doc])* $More(T),)?
            /// The last receiver was dropped.
            Disconnected(T),
            /// The last receiver was killed, or ended without dropping its end.
            PeerDied(T, PeerDeath),
            /// This end belongs to another process.
            NotOwner(T),
            /// The channel's memory was overwritten.
            Corrupt(T),
            /// The value cannot be encoded, or is longer than the channel can hold. The channel is as it was.
            Encode(T, EncodeError),
        }

        impl<T> $Name<T> {
            /// The value that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    $($Name::$More(value) => value,)?
                    $Name::Disconnected(value) | $Name::PeerDied(value, _) | $Name::NotOwner(value) | $Name::Corrupt(value) | $Name::Encode(value, _) => value,
                }
            }

            /// The same of another value.
            #[allow(dead_code)]
            pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> $Name<U> {
                match self {
                    $($Name::$More(value) => $Name::$More(map(value)),)?
                    $Name::Disconnected(value) => $Name::Disconnected(map(value)),
                    $Name::PeerDied(value, death) => $Name::PeerDied(map(value), death),
                    $Name::NotOwner(value) => $Name::NotOwner(map(value)),
                    $Name::Corrupt(value) => $Name::Corrupt(map(value)),
                    $Name::Encode(value, error) => $Name::Encode(map(value), error),
                }
            }

            fn kind(&self) -> io::ErrorKind {
                match self {
                    $($Name::$More(_) => io::ErrorKind::$kind,)?
                    $Name::Disconnected(_) | $Name::PeerDied(..) => io::ErrorKind::BrokenPipe,
                    $Name::NotOwner(_) => io::ErrorKind::InvalidInput,
                    $Name::Corrupt(_) => io::ErrorKind::InvalidData,
                    $Name::Encode(..) => io::ErrorKind::InvalidInput,
                }
            }
        }

        /// What Display says, since this is what `main` and `unwrap` print; the variant with `{:#?}`. Without the value, which may be
        /// anything.
        impl<T> fmt::Debug for $Name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if !f.alternate() {
                    return fmt::Display::fmt(self, f);
                }
                match self {
                    $($Name::$More(_) => f.write_str(concat!(stringify!($More), "(..)")),)?
                    $Name::Disconnected(_) => f.write_str("Disconnected(..)"),
                    $Name::PeerDied(_, death) => f.debug_tuple("PeerDied").field(&format_args!("..")).field(death).finish(),
                    $Name::NotOwner(_) => f.write_str("NotOwner(..)"),
                    $Name::Corrupt(_) => f.write_str("Corrupt(..)"),
                    $Name::Encode(_, error) => f.debug_tuple("Encode").field(&format_args!("..")).field(error).finish(),
                }
            }
        }

        impl<T> fmt::Display for $Name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($Name::$More(_) => f.write_str($text),)?
                    $Name::Disconnected(_) => f.write_str(DISCONNECTED_SEND),
                    $Name::PeerDied(_, death) => death.fmt(f),
                    $Name::NotOwner(_) => f.write_str(NOT_OWNER),
                    $Name::Corrupt(_) => f.write_str(CORRUPT),
                    $Name::Encode(_, error) => error.fmt(f),
                }
            }
        }

        impl<T> Error for $Name<T> {}

        /// The value is dropped.
        impl<T> From<$Name<T>> for io::Error {
            fn from(error: $Name<T>) -> io::Error {
                io::Error::new(error.kind(), error.map(drop))
            }
        }

        /// The value is dropped.
        impl<T> From<$Name<T>> for crate::Error {
            fn from(error: $Name<T>) -> crate::Error {
                crate::Error::Io(error.into())
            }
        }
    )*};
}

send_errors! {
    /// A message was not sent.
    SendError {}
    /// A message was not sent at once.
    TrySendError {
        /// There is no room now.
        Full: "the channel is full; wait with `send`, or receive something first", WouldBlock;
    }
    /// A message was not sent in time.
    SendTimeoutError {
        /// There was no room until then.
        Timeout: "the channel stayed full until the time was over", TimedOut;
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(error: SendError<T>) -> TrySendError<T> {
        match error {
            SendError::Disconnected(value) => TrySendError::Disconnected(value),
            SendError::PeerDied(value, death) => TrySendError::PeerDied(value, death),
            SendError::NotOwner(value) => TrySendError::NotOwner(value),
            SendError::Corrupt(value) => TrySendError::Corrupt(value),
            SendError::Encode(value, error) => TrySendError::Encode(value, error),
        }
    }
}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(error: SendError<T>) -> SendTimeoutError<T> {
        match error {
            SendError::Disconnected(value) => SendTimeoutError::Disconnected(value),
            SendError::PeerDied(value, death) => SendTimeoutError::PeerDied(value, death),
            SendError::NotOwner(value) => SendTimeoutError::NotOwner(value),
            SendError::Corrupt(value) => SendTimeoutError::Corrupt(value),
            SendError::Encode(value, error) => SendTimeoutError::Encode(value, error),
        }
    }
}

macro_rules! recv_errors {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$more_doc:meta])* $More:ident: $text:literal, $kind:ident;)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$more_doc])* $More,)?
            /// All that was sent is received, and the last sender was dropped.
            Disconnected,
            /// All that was sent is received, and the last sender was killed, or ended without dropping its end.
            PeerDied(PeerDeath),
            /// This end belongs to another process.
            NotOwner,
            /// The channel's memory was overwritten.
            Corrupt,
            /// A message was received, and is not the encoding of a value. It is gone; the channel lives on.
            Decode(DecodeError),
        }

        /// What Display says, since this is what `main` and `unwrap` print; the variant with `{:#?}`.
        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if !f.alternate() {
                    return fmt::Display::fmt(self, f);
                }
                match self {
                    $($Name::$More => f.write_str(stringify!($More)),)?
                    $Name::Disconnected => f.write_str("Disconnected"),
                    $Name::PeerDied(death) => f.debug_tuple("PeerDied").field(death).finish(),
                    $Name::NotOwner => f.write_str("NotOwner"),
                    $Name::Corrupt => f.write_str("Corrupt"),
                    $Name::Decode(error) => f.debug_tuple("Decode").field(error).finish(),
                }
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($Name::$More => f.write_str($text),)?
                    $Name::Disconnected => f.write_str(DISCONNECTED_RECV),
                    $Name::PeerDied(death) => death.fmt(f),
                    $Name::NotOwner => f.write_str(NOT_OWNER),
                    $Name::Corrupt => f.write_str(CORRUPT),
                    $Name::Decode(error) => error.fmt(f),
                }
            }
        }

        impl Error for $Name {}

        impl From<$Name> for io::Error {
            fn from(error: $Name) -> io::Error {
                let kind = match error {
                    $($Name::$More => io::ErrorKind::$kind,)?
                    $Name::Disconnected | $Name::PeerDied(_) => io::ErrorKind::UnexpectedEof,
                    $Name::NotOwner => io::ErrorKind::InvalidInput,
                    $Name::Corrupt | $Name::Decode(_) => io::ErrorKind::InvalidData,
                };
                io::Error::new(kind, error)
            }
        }

        impl From<$Name> for crate::Error {
            fn from(error: $Name) -> crate::Error {
                crate::Error::Io(error.into())
            }
        }
    )*};
}

recv_errors! {
    /// No message was received.
    RecvError {}
    /// No message was received at once.
    TryRecvError {
        /// There is none now.
        Empty: "the channel is empty; wait with `recv`", WouldBlock;
    }
    /// No message was received in time.
    RecvTimeoutError {
        /// None came until then.
        Timeout: "no message came until the time was over", TimedOut;
    }
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> TryRecvError {
        match error {
            RecvError::Disconnected => TryRecvError::Disconnected,
            RecvError::PeerDied(death) => TryRecvError::PeerDied(death),
            RecvError::NotOwner => TryRecvError::NotOwner,
            RecvError::Corrupt => TryRecvError::Corrupt,
            RecvError::Decode(error) => TryRecvError::Decode(error),
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> RecvTimeoutError {
        match error {
            RecvError::Disconnected => RecvTimeoutError::Disconnected,
            RecvError::PeerDied(death) => RecvTimeoutError::PeerDied(death),
            RecvError::NotOwner => RecvTimeoutError::NotOwner,
            RecvError::Corrupt => RecvTimeoutError::Corrupt,
            RecvError::Decode(error) => RecvTimeoutError::Decode(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a worker that only borrowed its end says when it ends by `unwrap`: the cure, not a bare name.
    #[test]
    fn unwrap_says_what_to_do() {
        let (send, recv) = (SendError::NotOwner(7), TryRecvError::NotOwner);
        for text in [format!("{send:?}"), format!("{recv:?}")] {
            assert!(text.contains("move it into the closure"), "{text}");
        }
        assert_eq!((format!("{send:#?}"), format!("{recv:#?}")), ("NotOwner(..)".into(), "NotOwner".into()));
        let died = RecvError::PeerDied(PeerDeath { pid: 7, in_flight: 0 });
        assert!(format!("{died:?}").starts_with("process 7 died") && format!("{died:#?}").starts_with("PeerDied("));
    }
}
