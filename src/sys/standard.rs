//! Numbers above those of the standard streams.
//!
//! Where the program has closed one of those, the next descriptor that is opened takes its number. In a child it would
//! be overwritten by the stream that belongs there, its owner would close that stream, and what is printed would go
//! into it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The same descriptor under a number above the standard streams'.
pub(crate) fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?) }
}

/// A pipe, reader and writer, both of whose numbers are above the standard streams'.
pub(crate) fn pipe_above_standard() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((above_standard(reader)?, above_standard(writer)?))
}
