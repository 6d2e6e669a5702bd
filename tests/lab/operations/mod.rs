//! What the lab is used on.
pub mod barrier;
pub mod bytes;
pub mod chunks;
pub mod condvar;
pub mod event;
pub mod frames;
pub mod mpmc;
pub mod mutex;
pub mod once;
pub mod rwlock;
pub mod segment;
pub mod semaphore;
pub mod spawn;
pub mod spsc;
pub mod toy_lock;
pub mod toy_ring;
pub mod toy_share;
