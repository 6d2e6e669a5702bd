//! Channels: messages from process to process, through shared memory.
//!
//! | | sends | ends |
//! |---|---|---|
//! | [`channel()`] | any value, encoded | any number of senders and receivers; messages that are delivered again |
//! | [`spsc`] | values of one size, bytes as they are | one sender, one receiver; the fastest |
//! | [`bytes`] | messages of any length, in place or copied | one sender, one receiver |
//! | [`mpmc`] | values of one size, bytes as they are | any number of senders and receivers; messages that are delivered again |
//! | [`duplex()`] | any value, with descriptors and shared memory inside | two ends that both send and receive, over a socket pair |
//!
//! How they work is told in `docs/7-channels.md`.
//!
//! # Whose an end is
//!
//! An end belongs to one process, at first to the one that made the channel. It goes to a child with the closure that
//! captured it by move, or as the argument of [`spawn_with`](crate::process::spawn_with); in the parent it is gone then. What is
//! only borrowed stays the parent's. Each fork copies all memory, so other children have copies of the handle, too: they are
//! good for nothing (`NotOwner`), and keep nothing open.
//!
//! ```
//! use tine::channel::spsc;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (mut tx, mut rx) = spsc::channel::<u64>(8)?;
//! let sender = tine::spawn(move || tx.send(7).is_ok())?; // tx is the child's now
//! let sibling = tine::spawn(|| tine::process::stop().wait())?; // knows nothing of it
//! assert_eq!(rx.recv(), Ok(7));
//! assert!(sender.join()?);
//! assert!(rx.recv().is_err(), "the only sender is gone, although the sibling lives");
//! sibling.request_stop()?;
//! sibling.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! # When a process dies
//!
//! A process that ends without dropping an end (it was killed, it called `exit` or exec) leaves no half message, and
//! blocks nobody. The other side is told `PeerDied`, with the pid, once it has received all that was sent; who waits
//! is woken.

pub mod bytes;
pub mod duplex;
mod end;
mod error;
mod iter;
mod many;
mod memory;
pub mod mpmc;
mod park;
mod pollable;
mod queue;
pub(crate) mod raw;
pub mod spsc;

pub use duplex::{Duplex, DuplexRecvError, DuplexSendError, duplex};
pub use error::{PeerDeath, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub use iter::{IntoIter, Iter};
pub use park::Spin;
pub use queue::{Builder, Claim, Receiver, Sender, channel};
