//! Waiting for a descriptor: poll, with an absolute deadline.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::clock::{left_until, timespec};

/// Waits until `fd` is ready for `interest`, or has hung up or failed; false when the deadline came first.
///
/// It may be ready no longer when the caller gets to it: another process may hold the same end.
pub(crate) fn wait(fd: BorrowedFd<'_>, interest: PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = left_until(deadline).map(timespec);
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
