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
//!
//! # What goes wrong at first
//!
//! - **`NotOwner`**: the closure has only borrowed its end. Write `move`; where several are to have one, clone it before. Note that a
//!   loop `while let Ok(job) = jobs.recv()` ends with any error, and says nothing; `for job in jobs` shows each error, and ends
//!   without one only where the channel was closed.
//! - **It never ends**: a receiver waits as long as there is a sender, and the one that you have made the clones from is one, too. Drop
//!   what this process does not use itself. In the same way a sender that waits for room waits as long as there is a receiver.
//! - **A worker's job is gone with it**, if it was received: [`claim`](Receiver::claim) it instead, and say when it is
//!   [`done`](Claim::done).
//! - **A value is too long**: a [`channel()`] has 1 MiB for long values, if it was not built with [more](Builder::bytes). Large data
//!   need not be copied at all: a [`SharedSlice`](crate::SharedSlice) or [`Frozen`](crate::Frozen) that the closure captures is
//!   there, and one that is made later goes through a [`duplex()`] channel.
//! - **`spawn` is refused** since there is a thread already: spawn first. No thread is needed to feed a channel.
//!
//! ```
//! use tine::channel::channel;
//!
//! # fn main() -> Result<(), tine::Error> {
//! let (jobs, theirs) = channel::<u64>(16)?;
//! let (results, all) = channel::<u64>(16)?;
//! let mut workers = Vec::new();
//! for _ in 0..2 {
//!     let (jobs, results) = (theirs.clone(), results.clone()); // for this worker
//!     workers.push(tine::spawn(move || {
//!         for job in jobs {
//!             let job = job.expect("the end is this worker's, and the parent lives");
//!             results.send(job * job).expect("the parent receives");
//!         }
//!     })?);
//! }
//! drop((theirs, results)); // this process neither works nor sends results
//! for job in 1..=10 {
//!     jobs.send(job)?;
//! }
//! drop(jobs); // ends the workers' loops, and so in the end this one
//! let sum: u64 = all.into_iter().sum::<Result<_, _>>()?;
//! assert_eq!(sum, 385);
//! for worker in workers {
//!     worker.join()?;
//! }
//! # Ok(())
//! # }
//! ```

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
/// For the fuzzer, which nobody else's build is for.
#[cfg(fuzzing)]
#[doc(hidden)]
pub use raw::any_words::check as any_words;
