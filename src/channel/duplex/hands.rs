//! How an end changes hands: with a closure, through another channel, or to nobody.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::net::{Shutdown, shutdown, sockopt};

use super::end::{ALL_OF_IT, Duplex};
use super::frame;
use super::turn::Taken;
use crate::pipe::{SendFdsError, Socket, packet};
use crate::process::hand_over;
use crate::wire::{DecodeError, EncodeError, Pass, Passing, Received};

thread_local! {
    /// Whether this thread is dropping a value that was sent.
    static SENT: Cell<bool> = const { Cell::new(false) };
}

/// Drops a value that was sent: ends of channels in it live on at the other side.
pub(super) fn drop_sent<T>(value: T) {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SENT.set(self.0);
        }
    }
    let _restore = Restore(SENT.replace(true));
    drop(value);
}

impl<A: Pass, B: Pass> Duplex<A, B> {
    /// Whether this process may use it. Before each use, since it may have changed hands.
    pub(super) fn is_mine(&self) -> bool {
        if !self.socket.is_mine() {
            return false;
        }
        // Relaxed: it is this process's own, and what it was encoded into was not sent, or it would be gone.
        if self.is_passing.load(Ordering::Relaxed) && self.is_passing.swap(false, Ordering::Relaxed) {
            self.tell_owner(std::process::id());
        }
        true
    }

    /// Makes this end the calling process's, whosever it was, and goes on with what that one has not taken yet.
    ///
    /// For ends that were copied by a fork that is none of [`spawn`](crate::spawn)'s, which nobody hands over; and for who takes
    /// the place of a process that has died. The one who had it must not use it any more: of two that receive by one end
    /// each gets a part of the messages, and the halves of large ones are lost.
    ///
    /// ```
    /// use tine::channel::{DuplexRecvError, duplex};
    ///
    /// let (here, mut there) = duplex::<u8, ()>()?;
    /// // SAFETY: this program has one thread, and the child ends in `_exit`.
    /// match unsafe { libc::fork() } {
    ///     0 => {
    ///         let refused = matches!(there.recv(), Err(DuplexRecvError::NotOwner));
    ///         let taken = there.take_over().is_ok() && there.recv().is_ok_and(|n| n == 7);
    ///         unsafe { libc::_exit(i32::from(!(refused && taken))) }
    ///     }
    ///     child => {
    ///         here.send(7)?;
    ///         let mut status = 0;
    ///         unsafe { libc::waitpid(child, &mut status, 0) };
    ///         assert_eq!(status, 0);
    ///     }
    /// }
    /// # Ok::<(), tine::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `EBADF` in a child of [`spawn`](crate::spawn), which has let go of what it was not given.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.socket.take_over()?;
        if let Some(receiving) = self.receiving.get_mut() {
            receiving.assembler.resume();
        }
        self.tell_owner(std::process::id());
        Ok(())
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
