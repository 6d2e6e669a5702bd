//! Descriptors, as the types of std that own them.
//!
//! The kernel hands over the open file; what kind it is only its user knows. So each is looked at before it becomes a value of a
//! type that promises a kind.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::fs::{FileType, OFlags};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{DecodeError, EncodeError, Pass, Passing, Received};

macro_rules! descriptors {
    ($($(#[$doc:meta])* $name:ty: $is:expr, $what:literal;)*) => {$(
        $(#[$doc])*
        impl Pass for $name {
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                out.descriptor(self.as_fd());
                Ok(())
            }
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                let fd = input.descriptor()?;
                let is: fn(BorrowedFd<'_>) -> bool = $is;
                if is(fd.as_fd()) {
                    return Ok(fd.into());
                }
                Err(input.invalid(concat!("a descriptor came that is not ", $what, "; it was closed")))
            }
        }
    )*};
}
descriptors! {
    OwnedFd: |_| true, "a descriptor";
    /// A descriptor of any kind: so is a `File` that was made of one.
    File: |_| true, "a file";
    PipeReader: |fd| is_pipe(fd, OFlags::RDONLY), "the reading end of a pipe";
    PipeWriter: |fd| is_pipe(fd, OFlags::WRONLY), "the writing end of a pipe";
    TcpStream: |fd| is_inet(fd, SocketType::STREAM, false), "a TCP connection";
    TcpListener: |fd| is_inet(fd, SocketType::STREAM, true), "a TCP listener";
    UdpSocket: |fd| is_inet(fd, SocketType::DGRAM, false), "a UDP socket";
    UnixStream: |fd| is_unix(fd, SocketType::STREAM, false), "a connected Unix socket";
    UnixListener: |fd| is_unix(fd, SocketType::STREAM, true), "a Unix listener";
    UnixDatagram: |fd| is_unix(fd, SocketType::DGRAM, false), "a Unix datagram socket";
}

fn is_pipe(fd: BorrowedFd<'_>, access: OFlags) -> bool {
    let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let mode = rustix::fs::fcntl_getfl(fd).map(|flags| flags & OFlags::RWMODE);
    // A named pipe may be open for both.
    kind == Ok(FileType::Fifo) && (mode == Ok(access) || mode == Ok(OFlags::RDWR))
}

fn is_inet(fd: BorrowedFd<'_>, kind: SocketType, listens: bool) -> bool {
    matches!(sockopt::socket_domain(fd), Ok(AddressFamily::INET | AddressFamily::INET6)) && is_socket(fd, kind, listens)
}

fn is_unix(fd: BorrowedFd<'_>, kind: SocketType, listens: bool) -> bool {
    sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX) && is_socket(fd, kind, listens)
}

fn is_socket(fd: BorrowedFd<'_>, kind: SocketType, listens: bool) -> bool {
    sockopt::socket_type(fd) == Ok(kind) && sockopt::socket_acceptconn(fd) == Ok(listens)
}
