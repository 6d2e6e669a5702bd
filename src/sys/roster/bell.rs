//! Doorbells: how to wake a thread that sleeps on descriptors.
//!
//! No system call sleeps on words and on descriptors together. So a thread that waits for both sleeps in poll, with one
//! descriptor more: a datagram socket of its own. Its name, a random number, stands in the thread's slot for as long. Who
//! changes a word that such a thread may wait for sends an empty message to each name that stands on the roster. Who is
//! rung in vain looks, and sleeps again.
//!
//! The names are abstract ones (unix(7)): they are in no directory, and go with the socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::slot::Slot;
use super::{me, random, roster};
use crate::sys::generation;
use crate::sys::standard::above_standard;

/// A doorbell of the calling thread; it is taken down when dropped.
pub(crate) struct Bell {
    socket: OwnedFd,
    slot: &'static Slot,
    generation: u64,
}

impl Bell {
    /// Hangs one. Words are looked at *after* this: whoever changes one later rings.
    ///
    /// # Errors
    ///
    /// No place on the roster, no descriptor.
    pub(crate) fn hang() -> io::Result<Bell> {
        let slot = roster().zip(Some(me()?)).and_then(|(roster, me)| roster.slot(me.slot()));
        let slot = slot.expect("who has a name has a slot");
        let number = random() | 1;
        let socket = above_standard(socket()?)?;
        rustix::net::bind(&socket, &name(number)?)?;
        // Release: who sees the number finds the name bound.
        slot.bell.store(number, Ordering::Release);
        // SeqCst: pairs with the fence in `ring`. Either the words are looked at after they were changed, or the number is
        // seen there.
        fence(Ordering::SeqCst);
        Ok(Bell { socket, slot, generation: generation::current() })
    }

    /// Takes in what has been rung.
    pub(crate) fn hear(&self) {
        let mut nothing = [0; 1];
        while rustix::net::recv(&self.socket, &mut nothing, RecvFlags::DONTWAIT).is_ok() {}
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // In the child of a fork it is a copy: the slot is the parent's.
        if self.generation == generation::current() {
            // Relaxed: who rings too late rings in vain.
            self.slot.bell.store(0, Ordering::Relaxed);
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}

fn name(number: u64) -> rustix::io::Result<SocketAddrUnix> {
    let mut name = *b"tine-bell-________________";
    for (at, digit) in name[10..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * at) & 15) as usize];
    }
    SocketAddrUnix::new_abstract_name(&name)
}

/// Rings at everybody who sleeps on descriptors, after a word was changed.
///
/// What cannot be rung (no descriptor for the sender, another network namespace, a full queue, which is as good as rung)
/// looks by itself, every 100 ms.
#[cold]
pub(crate) fn ring() {
    // SeqCst: pairs with the fence in `hang`.
    fence(Ordering::SeqCst);
    let Some(roster) = roster().filter(|_| !seeded!("nobody rings")) else { return };
    let mut sender = None;
    for slot in roster.numbers().filter_map(|number| roster.slot(number)) {
        // Acquire: pairs with the Release in `hang`. That of a dead thread is nobody's name any more.
        let number = slot.bell.load(Ordering::Acquire);
        if number == 0 {
            continue;
        }
        let Some(socket) = sender.take().or_else(|| socket().ok()) else { return };
        if let Ok(name) = name(number) {
            let _ = rustix::net::sendto(&socket, &[], SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &name);
        }
        sender = Some(socket);
    }
}
