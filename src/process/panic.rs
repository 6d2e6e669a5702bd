//! A panic, as data that crosses.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use crate::sys::generation;
use crate::wire::{DecodeError, Decoder, EncodeError, Encoder, Wire, to_bytes};

/// A panic that happened in a child. `{:#}` prints its backtrace too, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// The message: what was given to `panic!`, or a remark that the payload was no text.
    pub message: String,
    /// Where it happened; None where the program replaced the panic hook in the child.
    pub location: Option<Location>,
    /// The backtrace, where `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)?;
        if let Some(location) = &self.location {
            write!(f, ", at {location}")?;
        }
        match &self.backtrace {
            Some(backtrace) if f.alternate() => write!(f, "\n{backtrace}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Wire for Panic {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.message.encode(out)?;
        let location = self.location.as_ref().map(|l| (l.file.clone(), l.line, l.column));
        location.encode(out)?;
        self.backtrace.encode(out)
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Panic, DecodeError> {
        let message = String::decode(input)?;
        let location = Option::<(String, u32, u32)>::decode(input)?;
        let location = location.map(|(file, line, column)| Location { file, line, column });
        Ok(Panic { message, location, backtrace: Option::decode(input)? })
    }
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Panic {
        let location =
            info.location().map(|l| Location { file: l.file().to_owned(), line: l.line(), column: l.column() });
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        Panic { message: message_of(info.payload()), location, backtrace }
    }

    /// The panic with this payload: as the hook saw it if it was the last that the hook saw. A panic that is
    /// raised anew by `resume_unwind` passes no hook, and has only its message.
    pub(super) fn caught(payload: &(dyn Any + Send)) -> Panic {
        let message = message_of(payload);
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        match last {
            Some(last) if last.message == message => last,
            _ => Panic { message, location: None, backtrace: None },
        }
    }

    /// The whole encoding: strings and numbers always encode.
    pub(super) fn encoded(&self) -> Vec<u8> {
        to_bytes(self).unwrap_or_default()
    }

    /// The encoding, cut to `limit` bytes: the backtrace goes first, then the end of the message.
    pub(super) fn encode_within(mut self, limit: usize) -> Vec<u8> {
        let bytes = self.encoded();
        if bytes.len() <= limit {
            return bytes;
        }
        self.backtrace = None;
        let over = self.encoded().len().saturating_sub(limit);
        let keep = floor_char_boundary(&self.message, self.message.len().saturating_sub(over));
        self.message.truncate(keep);
        self.encoded()
    }
}

/// `str::floor_char_boundary`, which the stated Rust version does not have.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

fn message_of(payload: &dyn Any) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a payload that is not text)".to_owned()
    }
}

/// The last panic that the hook saw in this process. Private memory: each child has its own.
static LAST: Mutex<Option<Panic>> = Mutex::new(None);

/// Keeps other threads out of it across a fork, so that the child finds it unlocked.
pub(super) fn hold() -> impl Sized {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In the child: has the hook note each panic before the program's own hook prints it. `at_abort` is called
/// with it where the program aborts on panic, since then nothing else will be.
pub(super) fn note_panics(at_abort: impl Fn(Panic) + Send + Sync + 'static) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = None;
    // Forked while unwinding: the hook cannot be changed. A panic then has its message only.
    if std::thread::panicking() {
        return;
    }
    let here = generation::current();
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A child of this child has a copy of this hook, and its panic is not this process's.
        if generation::current() != here {
            return previous(info);
        }
        let panic = Panic::of(info);
        if cfg!(panic = "abort") {
            at_abort(panic);
        } else {
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        previous(info);
    }));
}
