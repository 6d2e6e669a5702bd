//! Byte streams between processes: pipes, typed messages on them, and a socket that carries descriptors.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let (mut reader, mut writer) = tine::pipe::pipe()?;
//! writer.write_all(b"across")?;
//! drop(writer); // the last writer gone: the reader sees the end
//!
//! let mut text = String::new();
//! reader.read_to_string(&mut text)?;
//! assert_eq!(text, "across");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | to | use | may fail with |
//! |---|---|---|
//! | send bytes, with deadlines, without SIGPIPE | [`pipe`], [`Reader`], [`Writer`] | [`io::Error`](std::io::Error), [`WrongDescriptor`] |
//! | send values, whole or not at all | [`FrameWriter`], [`FrameReader`] | [`SendFrameError`], [`RecvFrameError`] |
//! | send descriptors | [`socket_pair`], [`Socket`] | [`SendFdsError`], [`RecvFdsError`] |
//! | cut messages without a descriptor at hand | [`frame`] | [`frame::Fault`] |
//!
//! # Who sees the end
//!
//! A reader sees the end when the *last* copy of the writing end is closed, and a fork copies every descriptor.
//! So after a fork each side drops the end it does not use. A parent that keeps a [`Writer`] while it waits on
//! the [`Reader`] waits for itself, for ever; so does one whose other children inherited a copy. A process that
//! is killed has its descriptors closed by the kernel: the end is seen then too.
//!
//! # Signals, time, and flags of others
//!
//! * A call that a signal interrupts goes on, with the time that remains. Nothing is lost or done twice.
//! * Timeouts are kept by `CLOCK_MONOTONIC`. One too long for the clock to hold means: no limit.
//! * `O_NONBLOCK` belongs to the *open file description*, which forked processes share: whoever sets it sets it for
//!   all. These types never set it, and behave the same whether or not somebody else did.
//! * Writing to a pipe without a reader is [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). SIGPIPE is not raised,
//!   whatever its disposition.
//!
//! # What is not done
//!
//! No buffering of bytes (std has `BufReader` and `BufWriter`), no `splice` (rustix has it), no waiting for many
//! at once (poll what [`AsFd`](std::os::fd::AsFd) gives).
mod descriptor;
pub mod frame;
mod frame_reader;
mod frame_writer;
pub(crate) mod packet;
mod quiet;
mod socket;
mod stream;

pub use descriptor::{AdoptError, Found, WrongDescriptor};
pub use frame_reader::{FrameReader, RecvFrameError};
pub use frame_writer::{FrameWriter, SendFrameError};
pub use socket::{Message, RecvFdsError, SendFdsError, Socket, socket_pair};
pub use stream::{Reader, Writer, pipe};
