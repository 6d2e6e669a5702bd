//! One end, and how the two are made.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use super::receiving::Receiving;
use super::turn::Turn;
use crate::process::hand_over;
use crate::sys::owned::Owned;
use crate::wire::Pass;

/// The longest message that is sent or taken by default, in bytes: 1 GiB.
const MAX_MESSAGE: u64 = 1 << 30;

/// The most descriptors in one message by default.
const MAX_DESCRIPTORS: usize = 4096;

/// Makes a channel of two ends that both send and receive: the first sends `A` and receives `B`, the second the other way
/// round. Python's `Pipe`.
///
/// See the [module](self::super) for an example, and for what travels.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` when this process or the system is out of descriptors. Nothing is leaked.
///
/// # References
///
/// [socketpair(2)](https://man7.org/linux/man-pages/man2/socketpair.2.html),
/// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)
#[doc(alias("socketpair", "Pipe"))]
pub fn duplex<A: Pass, B: Pass>() -> io::Result<(Duplex<A, B>, Duplex<B, A>)> {
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    for end in [&one, &other] {
        // Half of what may be had. The other half is for the last word of an end whose messages nobody takes: see `farewell`.
        sockopt::set_socket_send_buffer_size(end, ALL_OF_IT)?;
        let most = sockopt::socket_send_buffer_size(end)?;
        // The kernel doubles what it is told.
        sockopt::set_socket_send_buffer_size(end, most / 4)?;
    }
    let me = std::process::id();
    let owners = Arc::new([AtomicU32::new(me), AtomicU32::new(me)]);
    Ok((Duplex::over(one, 0, Arc::clone(&owners))?, Duplex::over(other, 1, owners)?))
}

/// More than the kernel gives.
pub(super) const ALL_OF_IT: usize = 1 << 30;

/// One end of a channel on which both sides send and receive: sends `A`, receives `B`.
///
/// The threads of a process may share it: some may receive while others send. Dropped, it tells the other side.
///
/// It can be waited for together with children and events:
///
/// ```
/// use std::time::Duration;
/// use tine::channel::duplex;
///
/// # fn main() -> Result<(), tine::Error> {
/// let (here, there) = duplex::<(), u64>()?;
/// let child = tine::spawn(move || there.send(42).is_ok())?;
/// assert_eq!(tine::wait(&[&here], Some(Duration::from_secs(10)))?, Some(0));
/// assert_eq!(here.recv()?, 42);
/// assert!(child.join()?);
/// # Ok(())
/// # }
/// ```
///
/// To receive after a wait use [`try_recv`](Duplex::try_recv), and wait again where it says `Empty`: a socket can be read when half
/// of a large message is there, or the news that the other end has changed hands.
///
/// # When a process dies
///
/// See the [module](self::super).
pub struct Duplex<A: Pass, B: Pass> {
    pub(super) socket: Owned,
    /// Which of the two.
    pub(super) side: usize,
    /// The process that has each end, as far as this one was told; 0: not known. One for both ends, where both are in one process.
    pub(super) owners: Arc<[AtomicU32; 2]>,
    /// When this handle was made: see [`hand_over::heir`].
    pub(super) stamp: u64,
    /// It was encoded into a message. If that was sent, it has no last word here; if not, its owner is as before.
    pub(super) is_passing: AtomicBool,
    pub(super) max_message: u64,
    pub(super) max_descriptors: usize,
    pub(super) sending: Turn<()>,
    pub(super) receiving: Turn<Receiving>,
    values: PhantomData<fn(A) -> B>,
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    pub(super) fn over(socket: OwnedFd, side: usize, owners: Arc<[AtomicU32; 2]>) -> io::Result<Duplex<A, B>> {
        Ok(Duplex {
            socket: Owned::new(socket)?,
            side,
            owners,
            stamp: hand_over::stamp(),
            is_passing: AtomicBool::new(false),
            max_message: MAX_MESSAGE,
            max_descriptors: MAX_DESCRIPTORS,
            sending: Turn::new(()),
            receiving: Turn::new(Receiving::new(MAX_MESSAGE, MAX_DESCRIPTORS)),
            values: PhantomData,
        })
    }

    /// The longest message that this end sends or takes, in bytes. 1 GiB by default.
    pub fn max_message(mut self, bytes: u64) -> Duplex<A, B> {
        self.max_message = bytes;
        self.set_limits();
        self
    }

    /// The most descriptors in a message that this end sends or takes. 4096 by default; over 253 go in several packets.
    pub fn max_descriptors(mut self, descriptors: u32) -> Duplex<A, B> {
        self.max_descriptors = descriptors as usize;
        self.set_limits();
        self
    }

    pub(super) fn set_limits(&mut self) {
        let (bytes, descriptors) = (self.max_message, self.max_descriptors);
        if let Some(receiving) = self.receiving.get_mut() {
            receiving.assembler.set_limits(bytes, descriptors);
        }
    }
}

/// To wait on. In a process that it was not given to: a descriptor that is good for nothing.
impl<A: Pass, B: Pass> AsFd for Duplex<A, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<A: Pass, B: Pass> fmt::Debug for Duplex<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |side: usize| self.owners[side].load(Ordering::Relaxed);
        f.debug_struct("Duplex")
            .field("descriptor", &self.socket.as_fd())
            .field("owner", &of(self.side))
            .field("owner of the other end", &of(1 - self.side))
            .finish()
    }
}

static_assertions::assert_impl_all!(Duplex<std::rc::Rc<u8>, u8>: Send, Sync);
