//! What can be handed to another process at all.
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

/// Can be handed to another process: every [`Wire`](super::Wire) type, and descriptors and shared memory besides.
///
/// An `OwnedFd` is a number, but the number alone is worth nothing to another process: the kernel has to hand over what
/// it stands for, by a fork or through a socket. So it is `Pass` and not `Wire`, and a channel of bytes refuses it at
/// compile time. Tuples, `Option`, `Vec` and the other containers of `Pass` types are `Pass`.
///
/// ```
/// use std::net::TcpStream;
/// use tine::wire::Pass;
///
/// fn hand_over<T: Pass>(_: T) {}
/// hand_over((7_u32, "seven".to_string()));
/// hand_over::<Option<(TcpStream, u64)>>(None);
/// ```
///
/// ```compile_fail,E0277
/// fn as_bytes<T: tine::wire::Wire>(_: T) {}
/// as_bytes(std::fs::File::open("/dev/null").unwrap());
/// ```
///
/// # Implementing
/// The macros implement it for their types. Beside a `Wire` written by hand goes an empty `impl Pass for Name {}`; it
/// is not derived from `Wire` by a blanket, since then a tuple with a descriptor in it could not be `Pass`. Methods
/// that have a default for such types may be added.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed to another process",
    label = "not `Pass`",
    note = "types inside `tine::wire! {{ .. }}` or `tine::plain! {{ .. }}` are; beside your own `Wire` add `impl Pass`",
    note = "a forked closure inherits whatever it captures, of any type: capture the value instead of passing it"
)]
pub trait Pass: Sized {}

macro_rules! descriptors {
    ($($name:ty),*) => { $(impl Pass for $name {})* };
}
descriptors!(
    OwnedFd,
    File,
    PipeReader,
    PipeWriter,
    TcpStream,
    TcpListener,
    UdpSocket,
    UnixStream,
    UnixListener,
    UnixDatagram
);
