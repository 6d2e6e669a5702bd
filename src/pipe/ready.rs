//! Waiting for a descriptor: poll, with an absolute deadline.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The instant at which `timeout` is over; None where the clock cannot hold it, which means never.
///
/// `Instant` is CLOCK_MONOTONIC. Deadlines are absolute so that a call which is interrupted a thousand times
/// a second still ends in time.
pub(super) fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Waits until `fd` is ready for `interest`, or has hung up or failed; false when the deadline came first.
///
/// It may be ready no longer when the caller gets to it: another process may hold the same end.
pub(super) fn wait(fd: BorrowedFd<'_>, interest: PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = deadline.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            // Both fit: the difference of two instants has no more seconds than an instant itself.
            Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ }
        });
        let mut fds = [PollFd::from_borrowed_fd(fd, interest)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            // Ready, hung up, failed, or closed behind our back: the call that follows tells which.
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
