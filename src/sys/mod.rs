//! Floor 0: the raw calls that rustix does not make safe, each behind a wall of a few lines.
//!
//! | file | holds |
//! |---|---|
//! | `map` | the one `mmap`, the one `munmap`, and the list of what is ours |
//! | `futex` | sleeping on several words at once, and waking |
//! | `roster` | the threads that take part in what is shared, and which of them live |
//! | `listed` | descriptors that a child lets go of |
//! | `owned` | descriptors that a child lets go of unless it was given them |
//! | `loan` | the count of loans of shared memory that forbid a fork |
//! | `pagemap` | which pages are shared and which were copied |
//! | `identity` | a process, told apart from a later one with the same pid |
//! | `generation` | which side of which fork this process is on |
//! | `fork` | `fork` and `_exit` |
//! | `fence` | a pair of fences of which one costs nothing |
//! | `clock`, `ready` | deadlines; waiting for a descriptor until one |
//! | `standard` | numbers above those of the standard streams |
//! | `stat` | what `/proc/PID/stat` says |
//! | `threads` | is this process single-threaded? |
//! | `foreign` | what a child would share that could corrupt the parent |
//! | `shared_maps` | the writable shared mappings of this process |
//! | `signals` | blocked across a fork, reset in the child; the stack-overflow notice; timers |
//! | `orphan` | children that die with their parent |
//! | `proc_file` | short files of the kernel, read without allocation |
//! | `wait` | `waitid` on a pidfd, with the usage |
//!
//! Nothing here knows of the floors above.

pub(crate) mod clock;
pub(crate) mod fence;
pub(crate) mod foreign;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod generation;
pub(crate) mod identity;
pub(crate) mod listed;
pub(crate) mod loan;
pub(crate) mod map;
pub(crate) mod orphan;
pub(crate) mod owned;
pub(crate) mod pagemap;
pub(crate) mod proc_file;
pub(crate) mod ready;
pub(crate) mod roster;
pub(crate) mod shared_maps;
pub(crate) mod signals;
pub(crate) mod standard;
pub(crate) mod stat;
pub(crate) mod threads;
pub(crate) mod wait;
