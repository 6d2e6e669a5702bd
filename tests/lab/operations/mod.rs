//! What the lab is used on.
pub mod toy_lock;
pub mod toy_ring;
pub mod toy_share;
pub mod mutex;
pub mod spawn;
pub mod chunks;
pub mod event;
pub mod frames;
pub mod segment;
