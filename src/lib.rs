//! Processes that feel like threads: safe, checked `fork` for Rust on Linux, with typed results, copy-on-write
//! memory, shared memory, locks that survive their holders, and pipes.
//!
//! ```
//! fn main() -> Result<(), tine::Error> {
//!     let primes = vec![2_u64, 3, 5, 7, 11];
//!     // The child inherits everything that the closure uses, of any type, by copy-on-write.
//!     let child = tine::spawn(|| primes.iter().map(|p| p * p).sum::<u64>())?;
//!     assert_eq!(child.join()?, 208);
//!
//!     // Whatever happens to a child, its parent goes on and is told.
//!     let child = tine::spawn(|| -> u64 { std::process::abort() })?;
//!     println!("{}", child.join().unwrap_err()); // the child ended without a result: process 4711 was killed by ..
//!     Ok(())
//! }
//! ```
//!
//! # The floors
//!
//! A floor knows nothing of the floors above it.
//!
//! | floor | module | noun | what it holds |
//! |---|---|---|---|
//! | 3 | [`mod@channel`] | queue | [`channel()`], and rings in shared memory: what was sent is whole, whoever is killed |
//! | 2 | [`sync`] | locks | [`Mutex`](sync::Mutex) and its kin between processes, which survive their holders |
//! | 2 | [`process`] | process | [`spawn`], [`scope`], [`Builder`], handles, death certificates |
//! | 1 | [`memory`] | pages | private, shared, frozen and hidden memory; memory with names; snapshots; what a fork costs |
//! | 1 | [`pipe`] | byte stream | pipes, messages that never tear, descriptors that travel |
//! | 1 | [`mod@wire`] | what may cross | `Plain`, `Share`, `Wire`, `Pass`, and the macros that check them |
//! | 0 | `sys` | raw calls | the one `mmap`, the fork, the checks, who lives; private |
//!
//! Beside them stands [`mod@wait`]: for the first of several children, events, channels and descriptors.
//!
//! # What it does for you
//!
//! - **Refuses a fork that would be unsound**, with an error that names what is in the way: other threads, memory
//!   or an io_uring that both sides could write, a loan of shared memory. Inherited epoll instances are replaced.
//! - **Keeps the child in**: its closure's panic, return or exit never comes back into the parent's code; the
//!   parent's destructors do not run in it; what was buffered for stdout appears once.
//! - **Brings results and deaths back**: the result counts once it is committed, whatever happens to the child
//!   afterwards; a panic arrives with message and place, every other end with a certificate.
//! - **Keeps locks usable** whoever is killed with them: the next holder is told, and finds the data as they were left.
//! - **Leaves nothing behind**: no zombies, no orphans, no descriptors; no names in `/dev/shm` but that of a
//!   [`Segment`](memory::Segment) whose creator was killed, which the next one takes over.
//!
//! # What it does not do
//!
//! - It does not make `fork` safe in a program with threads: such a spawn is refused.
//! - It does not protect shared memory against a process that means harm: a child has all its parent's rights.
//! - It does not undo what a child did outside memory: files, sockets, and shared file offsets are shared.
//!
//! What remains to the caller's care is listed in `docs/safety.md`.
//!
//! # Features
//!
//! - `serde`: `wire::Serde<T>`, by which types that implement serde's traits can cross.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_os = "linux"))]
compile_error!("tine works on Linux only: it is built on fork, pidfd, memfd and futex as Linux has them");

#[cfg(target_os = "linux")]
#[macro_use]
mod seeded;

#[cfg(target_os = "linux")]
pub mod channel;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod pipe;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod sync;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
pub mod wait;
#[cfg(target_os = "linux")]
pub mod wire;

#[cfg(target_os = "linux")]
pub use channel::channel;
#[cfg(target_os = "linux")]
pub use error::Error;
#[cfg(target_os = "linux")]
pub use memory::{Frozen, Shared, SharedSlice};
#[cfg(target_os = "linux")]
pub use process::{Builder, JoinHandle, scope, spawn};
#[cfg(target_os = "linux")]
pub use wait::wait;

/// The example of the README is tested with the others.
#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../README.md")]
mod readme {}
