//! The library's words of locks and channels, each file unchanged, under [loom](https://docs.rs/loom): every order in which threads may run
//! (with up to three preemptions; two where somebody dies in a crowd), every value that a load may return, and a death at
//! every step.
//!
//! ```console
//! cargo test --release --manifest-path tests/loom/Cargo.toml                    # two to five minutes
//! TINE_LOOM=more cargo test --release --manifest-path tests/loom/Cargo.toml     # with one preemption more each: a night
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `raw` | the library's `src/sync/raw`, as it is |
//! | `channel_raw` | the library's `src/channel/raw`, as it is |
//! | `primitive` | what those files are built on: loom's atomics; who lives; sleeping and waking, as the kernel does it |
//! | `world` | the threads of one run: their names, which of them dies and when, who sleeps on what |
//! | `explore` | running a scene in all orders, and again for each step at which the doomed thread may die |
//! | `twins` | each scene must fail when a bug is planted that it is there to find |
//! | the others | the scenes |

#![cfg(test)]

#[macro_use]
#[path = "../../../src/seeded.rs"]
mod seeded;

#[path = "../../../src/sync/raw/mod.rs"]
#[allow(dead_code)]
mod raw;

#[path = "../../../src/channel/raw/mod.rs"]
#[allow(dead_code)]
mod channel_raw;

mod explore;
mod guarded;
mod primitive;
mod queue_history;
mod roster;
mod twins;
mod world;

mod barrier;
mod blocks;
mod bytes;
mod condvar;
mod event;
mod letters;
mod mpmc;
mod mutex;
mod once;
mod rwlock;
mod semaphore;
mod spsc;
mod watch;
