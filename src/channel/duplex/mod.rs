//! Two ends that both send and receive, as Python's `Pipe`; what goes through may have descriptors and shared memory in it.
//!
//! ```
//! use tine::channel::duplex;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (here, there) = duplex::<String, usize>()?;
//! let child = tine::spawn(move || {
//!     for text in &there {
//!         there.send(text?.len())?;
//!     }
//!     Ok::<(), std::io::Error>(())
//! })?;
//! here.send("how long?".into())?;
//! assert_eq!(here.recv()?, 9);
//! drop(here); // ends the child's loop
//! child.join()??;
//! # Ok(())
//! # }
//! ```
//!
//! # What travels
//!
//! Every [`Pass`] type: all that is [`Wire`](crate::wire::Wire); files, sockets and the ends of pipes;
//! [`Frozen`](crate::Frozen), and [`SharedSlice`](crate::SharedSlice) and [`Shared`](crate::Shared) where they were made by
//! `with_memfd`; ends of other such channels; and tuples, collections and [`pass!`](crate::pass!) types of those. A descriptor
//! that arrives is a new number for the same open file, as after a fork. It is closed by an exec.
//!
//! # Why a socket, and what it costs
//!
//! Only a socket hands over descriptors, and the kernel tells both sides when the other is gone, however it went. The
//! price is two system calls and two copies for each message: see [`spsc`](crate::channel::spsc) for what has none. A pair is made
//! of `SOCK_SEQPACKET`, where one send is one receive or nothing, so that no kill cuts a packet; [`frame`] says how messages
//! larger than a packet are cut.
//!
//! # Whose an end is
//!
//! As with all [channels](mod@crate::channel): it goes to a child with the closure that captured it by move. The kernel keeps the
//! owner with the open socket (`F_SETOWN`). A spawned child lets go of all ends that it was not given, so no later
//! sibling keeps a channel open. In a process that was forked by other means the copy of an end answers `NotOwner`
//! too, but it is a copy: when the owner is killed, the other side is told once that process has ended as well.
//!
//! # What can be told of the other side
//!
//! | the other end | told as |
//! |---|---|
//! | was dropped | `Disconnected`, by a last word on the socket |
//! | closed without that word: its process was killed, called `exit` or exec, or unmoved it lay in a message that nobody took | `PeerDied`, with the pid of the process that had it last, as it was told; 0 where nobody has told |
//!
//! All that was sent before comes first. A message of which the sender did not live to send all is dropped.

mod end;
mod error;
pub mod frame;
mod hands;
mod iter;
mod receiving;
mod sending;
mod turn;

pub use end::{Duplex, duplex};
pub use error::{DuplexRecvError, DuplexSendError};
pub use iter::{IntoIter, Iter};

#[allow(unused_imports, reason = "for the documentation")]
use crate::wire::Pass;
