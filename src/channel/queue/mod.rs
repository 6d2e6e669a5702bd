//! Queues of values of any type that crosses: Python's `Queue` and `JoinableQueue`.

mod builder;
mod claim;
mod receiver;
mod sender;
mod store;

pub use builder::Builder;
pub use claim::Claim;
pub use receiver::Receiver;
pub use sender::Sender;

use std::io;

use crate::wire::Wire;

/// A channel for up to `messages` values of any type that crosses, with any number of senders and receivers.
///
/// [`send`](Sender::send) returns when the value is in the channel: no thread or buffer stands in between. Values that are longer
/// than a slot has room for share 1 MiB, or what is [asked for](Builder::bytes).
///
/// ```
/// # fn main() -> Result<(), tine::Error> {
/// let (tx, rx) = tine::channel::<(u32, String)>(16)?;
/// let workers = (0..2)
///     .map(|_| {
///         let rx = rx.clone();
///         tine::spawn(move || rx.into_iter().map(|job| job.expect("a job").1.len()).sum::<usize>())
///     })
///     .collect::<Result<Vec<_>, _>>()?;
/// drop(rx);
/// for n in 0..100 {
///     tx.send((n, "x".repeat(n as usize)))?;
/// }
/// drop(tx);
/// let mut sum = 0;
/// for worker in workers {
///     sum += worker.join()?;
/// }
/// assert_eq!(sum, 4950);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`Builder::build`].
#[doc(alias("Queue", "SimpleQueue", "JoinableQueue"))]
pub fn channel<T: Wire>(messages: usize) -> io::Result<(Sender<T>, Receiver<T>)> {
    Builder::new(messages).build()
}
