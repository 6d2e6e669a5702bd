//! One end: sending, receiving, and changing hands.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair, sockopt};

use super::error::{DuplexRecvError, DuplexSendError};
use super::frame::{self, Assembler, Fault, News};
use super::turn::{Taken, Turn};
use crate::channel::PeerDeath;
use crate::pipe::{RecvFdsError, SendFdsError, Socket, packet};
use crate::process::hand_over;
use crate::sys::clock::{deadline_in, left_until};
use crate::sys::owned::Owned;
use crate::wire::{DecodeError, EncodeError, Pass, Passing, Received, decode_whole};

/// The longest message that is sent or taken by default, in bytes: 1 GiB.
const MAX_MESSAGE: u64 = 1 << 30;

/// The most descriptors in one message by default.
const MAX_DESCRIPTORS: usize = 4096;

/// How many packets are looked at beyond a deadline: more than a socket holds, so that what was sent before is found by a call that
/// may not wait; and so few that a peer which sends nothing but halves keeps nobody for long.
const GRACE: u32 = 1000;

/// What is kept of messages that came while this side was looking for the reason why it cannot send, in bytes.
const INBOX: usize = 64 << 20;

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
const ALL_OF_IT: usize = 1 << 30;

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
    socket: Owned,
    /// Which of the two.
    side: usize,
    /// The process that has each end, as far as this one was told; 0: not known. One for both ends, where both are in one process.
    owners: Arc<[AtomicU32; 2]>,
    /// When this handle was made: see [`hand_over::heir`].
    stamp: u64,
    /// It was encoded into a message. If that was sent, it has no last word here; if not, its owner is as before.
    is_passing: AtomicBool,
    max_message: u64,
    max_descriptors: usize,
    sending: Turn<()>,
    receiving: Turn<Receiving>,
    values: PhantomData<fn(A) -> B>,
}

struct Receiving {
    /// Room for one packet, from the first on.
    buffer: Vec<u8>,
    assembler: Assembler<OwnedFd>,
    /// What came while this side was looking for something else.
    inbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    over: Option<Over>,
}

/// Why nothing will come any more.
#[derive(Clone, Copy, Debug)]
enum Over {
    Disconnected,
    PeerDied(PeerDeath),
    Corrupt,
}

impl Over {
    fn receiving(self) -> DuplexRecvError {
        match self {
            Over::Disconnected => DuplexRecvError::Disconnected,
            Over::PeerDied(death) => DuplexRecvError::PeerDied(death),
            Over::Corrupt => DuplexRecvError::Corrupt,
        }
    }

    fn sending<T>(self, value: T) -> DuplexSendError<T> {
        match self {
            Over::Disconnected => DuplexSendError::Disconnected(value),
            Over::PeerDied(death) => DuplexSendError::PeerDied(value, death),
            Over::Corrupt => DuplexSendError::Corrupt(value),
        }
    }
}

/// What one packet was.
enum Step {
    Message,
    /// A piece, or news of the channel itself.
    Less,
}

thread_local! {
    /// Whether this thread is dropping a value that was sent.
    static SENT: Cell<bool> = const { Cell::new(false) };
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    fn over(socket: OwnedFd, side: usize, owners: Arc<[AtomicU32; 2]>) -> io::Result<Duplex<A, B>> {
        let receiving = Receiving {
            buffer: Vec::new(),
            assembler: Assembler::new(MAX_MESSAGE, MAX_DESCRIPTORS),
            inbox: VecDeque::new(),
            over: None,
        };
        Ok(Duplex {
            socket: Owned::new(socket)?,
            side,
            owners,
            stamp: hand_over::stamp(),
            is_passing: AtomicBool::new(false),
            max_message: MAX_MESSAGE,
            max_descriptors: MAX_DESCRIPTORS,
            sending: Turn::new(()),
            receiving: Turn::new(receiving),
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

    fn set_limits(&mut self) {
        let (bytes, descriptors) = (self.max_message, self.max_descriptors);
        if let Some(receiving) = self.receiving.get_mut() {
            receiving.assembler.set_limits(bytes, descriptors);
        }
    }

    /// Sends `value`; sleeps while there is no room. What it owns is the other side's then, and closed here.
    ///
    /// There is room for some hundred kilobytes; what is larger is on its way while the other side receives. Two sides that
    /// both send more than that and receive nothing wait for each other, for ever.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Full` and `Timeout`. No SIGPIPE.
    pub fn send(&self, value: A) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, None)
    }

    /// Sends `value` if there is room for all of it now.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Timeout`. A message larger than what the socket holds is always `Full`, unless the other
    /// side happens to take it meanwhile.
    pub fn try_send(&self, value: A) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, Some(Instant::now())).map_err(|error| match error {
            DuplexSendError::Timeout(value) => DuplexSendError::Full(value),
            other => other,
        })
    }

    /// Sends `value`, but sleeps for no longer than `timeout`. A message that is under way when the time is over is given up:
    /// the other side gets none of it.
    ///
    /// # Errors
    ///
    /// Each [`DuplexSendError`] but `Full`.
    pub fn send_timeout(&self, value: A, timeout: Duration) -> Result<(), DuplexSendError<A>> {
        self.send_until(value, deadline_in(timeout))
    }

    /// Receives the next value; sleeps until one comes.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Empty` and `Timeout`.
    pub fn recv(&self) -> Result<B, DuplexRecvError> {
        self.recv_until(None)
    }

    /// Receives the next value if it is there.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Timeout`.
    pub fn try_recv(&self) -> Result<B, DuplexRecvError> {
        self.recv_until(Some(Instant::now())).map_err(|error| match error {
            DuplexRecvError::Timeout => DuplexRecvError::Empty,
            other => other,
        })
    }

    /// Receives the next value if it comes within `timeout`.
    ///
    /// # Errors
    ///
    /// Each [`DuplexRecvError`] but `Empty`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<B, DuplexRecvError> {
        self.recv_until(deadline_in(timeout))
    }

    /// Whether this process may use it. Before each use, since it may have changed hands.
    fn is_mine(&self) -> bool {
        if !self.socket.is_mine() {
            return false;
        }
        // Relaxed: it is this process's own, and what it was encoded into was not sent, or it would be gone.
        if self.is_passing.load(Ordering::Relaxed) && self.is_passing.swap(false, Ordering::Relaxed) {
            self.tell_owner(std::process::id());
        }
        true
    }

    fn send_until(&self, value: A, deadline: Option<Instant>) -> Result<(), DuplexSendError<A>> {
        if !self.is_mine() {
            return Err(DuplexSendError::NotOwner(value));
        }
        match self.transmit(&value, deadline) {
            Ok(()) => {
                drop_sent(value);
                Ok(())
            }
            Err(unsent) => Err(match unsent {
                Unsent::Encode(error) => DuplexSendError::Encode(value, error),
                Unsent::TooLarge { bytes, descriptors } => DuplexSendError::TooLarge { value, bytes, descriptors },
                Unsent::TimedOut => DuplexSendError::Timeout(value),
                Unsent::Over(over) => over.sending(value),
                Unsent::Io(error) => DuplexSendError::Io(value, error),
            }),
        }
    }

    fn transmit(&self, value: &A, deadline: Option<Instant>) -> Result<(), Unsent> {
        let mut message = Passing::new();
        value.encode_pass(&mut message).map_err(Unsent::Encode)?;
        let (bytes, descriptors) = (message.as_bytes(), message.descriptors());
        if bytes.len() as u64 > self.max_message || descriptors.len() > self.max_descriptors {
            return Err(Unsent::TooLarge { bytes: bytes.len() as u64, descriptors: descriptors.len() });
        }
        let _turn = self.sending.take(deadline).ok_or(Unsent::TimedOut)?;
        for piece in frame::pieces(bytes, descriptors.len()) {
            let descriptors = &descriptors[piece.descriptors()];
            match packet::send(self.socket.as_fd(), [piece.head(), piece.body()], descriptors, deadline) {
                Ok(()) => {}
                Err(SendFdsError::TimedOut) => return Err(Unsent::TimedOut),
                Err(SendFdsError::Closed) => return Err(Unsent::Over(self.why_closed())),
                Err(error) => return Err(Unsent::Io(error.into())),
            }
        }
        Ok(())
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<B, DuplexRecvError> {
        if !self.is_mine() {
            return Err(DuplexRecvError::NotOwner);
        }
        let Some(mut receiving) = self.receiving.take(deadline) else { return Err(DuplexRecvError::Timeout) };
        let (bytes, descriptors) = self.next_message(&mut receiving, deadline)?;
        drop(receiving);
        decode_whole(&bytes, descriptors).map_err(DuplexRecvError::Decode)
    }

    fn next_message(
        &self,
        receiving: &mut Receiving,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), DuplexRecvError> {
        let mut late = 0;
        loop {
            if let Some(message) = receiving.inbox.pop_front() {
                return Ok(message);
            }
            if let Step::Less = self.step(receiving, deadline)?
                && left_until(deadline).is_some_and(|left| left.is_zero())
            {
                late += 1;
                if late > GRACE {
                    return Err(DuplexRecvError::Timeout);
                }
            }
        }
    }

    /// Takes one packet from the socket; a message that it completes goes into the inbox.
    fn step(&self, receiving: &mut Receiving, deadline: Option<Instant>) -> Result<Step, DuplexRecvError> {
        let Receiving { buffer, assembler, inbox, over } = receiving;
        if let Some(over) = *over {
            return Err(over.receiving());
        }
        if buffer.is_empty() {
            *buffer = vec![0; packet::ROOM];
        }
        let news = match packet::recv(self.socket.as_fd(), buffer, deadline) {
            Ok((len, descriptors)) => assembler.take(&buffer[packet::HEAD..][..len], descriptors),
            Err(RecvFdsError::Lost { bytes, sent, arrived }) => {
                assembler.take_lost(&bytes, sent, arrived).map(|()| News::Piece)
            }
            Err(RecvFdsError::Corrupt) => Err(assembler.poison("a packet that no channel sends")),
            Err(RecvFdsError::TimedOut) => return Err(DuplexRecvError::Timeout),
            Err(RecvFdsError::Closed) => {
                // Without a last word. Relaxed: told by this socket, or by this process.
                let pid = self.owners[1 - self.side].load(Ordering::Relaxed);
                let over = over.insert(Over::PeerDied(PeerDeath { pid, in_flight: 0 }));
                return Err(over.receiving());
            }
            Err(error) => return Err(DuplexRecvError::Io(error.into())),
        };
        match news {
            Ok(News::Message(bytes, descriptors)) => {
                inbox.push_back((bytes.into_owned(), descriptors));
                Ok(Step::Message)
            }
            Ok(News::Piece) => Ok(Step::Less),
            Ok(News::Owner(pid)) => {
                // Relaxed: the number is all that is told.
                self.owners[1 - self.side].store(pid, Ordering::Relaxed);
                Ok(Step::Less)
            }
            Ok(News::Bye) => Err(over.insert(Over::Disconnected).receiving()),
            Err(Fault::Corrupt(_)) => Err(over.insert(Over::Corrupt).receiving()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Why nobody can receive any more: the reason stands behind all that was sent to this side.
    #[cold]
    fn why_closed(&self) -> Over {
        // Whoever has it is told by the same socket, at once.
        let Some(mut receiving) = self.receiving.take(Some(Instant::now())) else { return Over::Disconnected };
        let mut held = 0;
        while receiving.over.is_none() && held < INBOX {
            match self.step(&mut receiving, Some(Instant::now())) {
                Ok(Step::Message) => held += receiving.inbox.back().map_or(0, |(bytes, _)| bytes.len()) + 4096,
                Ok(Step::Less) => held += 4096,
                // What is wrong with a message that nobody asked for yet: it is skipped, as it would be then.
                Err(DuplexRecvError::TooLarge { .. } | DuplexRecvError::Lost { .. }) => held += 4096,
                Err(_) => break,
            }
        }
        receiving.over.unwrap_or(Over::Disconnected)
    }

    /// Tells the other end whose this one is, where that is in another process.
    fn tell_owner(&self, pid: u32) {
        // Relaxed: the numbers are all that is told.
        self.owners[self.side].store(pid, Ordering::Relaxed);
        let is_here = self.owners[1 - self.side].load(Ordering::Relaxed) == std::process::id();
        // An end that came through a socket shares its knowledge with none.
        if !is_here || Arc::strong_count(&self.owners) == 1 {
            self.last_word(&frame::owner(pid));
        }
    }

    /// Sends a packet for which there is always room: this end keeps half of its buffer for that. Without waiting.
    fn last_word(&self, packet: &[u8]) {
        let send = || packet::send(self.socket.as_fd(), [packet, &[]], &[], Some(Instant::now()));
        if let Err(SendFdsError::TimedOut) = send() {
            let before = sockopt::socket_send_buffer_size(&self.socket);
            let _ = sockopt::set_socket_send_buffer_size(&self.socket, ALL_OF_IT);
            let _ = send();
            if let Ok(before) = before {
                // The kernel doubles what it is told.
                let _ = sockopt::set_socket_send_buffer_size(&self.socket, before / 2);
            }
        }
    }
}

/// Why a message was not sent.
enum Unsent {
    Encode(EncodeError),
    TooLarge { bytes: u64, descriptors: usize },
    TimedOut,
    Over(Over),
    Io(io::Error),
}

/// Drops a value that was sent: ends of channels in it live on at the other side.
fn drop_sent<T>(value: T) {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SENT.set(self.0);
        }
    }
    let _restore = Restore(SENT.replace(true));
    drop(value);
}

impl<A: Pass, B: Pass> Drop for Duplex<A, B> {
    fn drop(&mut self) {
        let was_sent = *self.is_passing.get_mut() && SENT.try_with(Cell::get).unwrap_or(false);
        if was_sent || !self.is_mine() {
            return;
        }
        if let Some(heir) = hand_over::heir(self.stamp)
            && self.socket.give_to(heir.pid()).is_ok()
        {
            self.tell_owner(heir.pid());
            return;
        }
        self.last_word(&frame::bye());
        // Copies in processes that were forked by other means keep the socket open, but not connected.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}

/// Travels itself: whoever receives it has it from then on. Refused while half of a message is in it.
impl<A: Pass, B: Pass> Pass for Duplex<A, B> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        if !self.is_mine() {
            return Err(EncodeError::new(crate::channel::error::NOT_OWNER));
        }
        let receiving = self.receiving.take(Some(Instant::now()));
        if receiving.is_none_or(|receiving: Taken<'_, _>| !receiving.is_fresh()) {
            let why = "something was received by this end and not taken yet, or its channel is over; receive before it is sent";
            return Err(EncodeError::new(why));
        }
        // From here to its arrival it is nobody's that the other side knows.
        self.tell_owner(0);
        self.is_passing.store(true, Ordering::Relaxed);
        let other = self.owners[1 - self.side].load(Ordering::Relaxed);
        out.wire(&(other, self.max_message, self.max_descriptors as u64))?;
        out.descriptor(self.socket.as_fd());
        Ok(())
    }

    fn decode_pass(input: &mut Received<'_>) -> Result<Duplex<A, B>, DecodeError> {
        let (other, max_message, max_descriptors) = input.wire::<(u32, u64, u64)>()?;
        let socket = Socket::adopt(input.descriptor()?).map_err(|error| input.invalid(error.to_string()))?;
        let me = std::process::id();
        // Each process has its own knowledge of both, from here on; even where the other end happens to be here, too.
        let owners = Arc::new([AtomicU32::new(me), AtomicU32::new(other)]);
        let mut duplex = Duplex::over(socket.into(), 0, owners).map_err(|error| input.invalid(error.to_string()))?;
        duplex.max_message = max_message;
        duplex.max_descriptors = usize::try_from(max_descriptors).unwrap_or(usize::MAX);
        duplex.set_limits();
        duplex.last_word(&frame::owner(me));
        Ok(duplex)
    }
}

impl Receiving {
    /// Whether it holds nothing that would be lost with it.
    fn is_fresh(&self) -> bool {
        self.inbox.is_empty() && !self.assembler.is_inside() && self.over.is_none()
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
