//! Floor 0: the raw calls that rustix does not make safe, each behind a wall of a few lines.
//!
//! | file | holds |
//! |---|---|
//! | `map` | the one `mmap`, the one `munmap`, and the list of what is ours |
//! | `loan` | the count of loans of shared memory that forbid a fork |
//! | `pagemap` | which pages are shared and which were copied |
//! | `identity` | a process, told apart from a later one with the same pid |
//! | `generation` | which side of which fork this process is on |
//!
//! Nothing here knows of the floors above.

pub(crate) mod generation;
pub(crate) mod identity;
pub(crate) mod loan;
pub(crate) mod map;
pub(crate) mod pagemap;
