//! Doorbells: how to wake a thread that sleeps on descriptors.
//!
//! No system call sleeps on words and on descriptors together. So a thread that waits for both sleeps in poll, with one
//! descriptor more: a datagram socket of its own. Its name, a random number, stands in the thread's slot for as long. Who
//! changes a word that such a thread may wait for sends an empty message to each name that stands on the roster. Who is
//! rung in vain looks, and sleeps again.
//!
//! The names are abstract ones (unix(7)): they are in no directory, and go with the socket.
//!
//! A bell may also hang at one thing alone, which keeps its number: see [`ring_each`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::slot::Slot;
use super::{me, random, roster};
use crate::sys::generation;
use crate::sys::owned::Owned;

/// A doorbell: the socket, and its name.
#[derive(Debug)]
pub(crate) struct Doorbell {
    /// In a child, its copy would keep the name.
    socket: Owned,
    number: u64,
}

impl Doorbell {
    /// # Errors
    ///
    /// No descriptor.
    pub(crate) fn new() -> io::Result<Doorbell> {
        let number = random() | 1;
        let socket = Owned::new(socket()?)?;
        rustix::net::bind(&socket, &name(number)?)?;
        Ok(Doorbell { socket, number })
    }

    /// Its name; never 0.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Takes in what has been rung.
    pub(crate) fn hear(&self) {
        let mut nothing = [0; 1];
        while rustix::net::recv(&self.socket, &mut nothing, RecvFlags::DONTWAIT).is_ok() {}
    }

    /// Rings by itself, so that it is found rung.
    pub(crate) fn ring(&self) -> rustix::io::Result<()> {
        send(&self.socket, self.number).map(drop)
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The doorbell of the calling thread; it is taken down when dropped.
pub(crate) struct Bell {
    doorbell: Doorbell,
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
        let doorbell = Doorbell::new()?;
        // Release: who sees the number finds the name bound.
        slot.bell.store(doorbell.number, Ordering::Release);
        // SeqCst: pairs with the fence in `ring`. Either the words are looked at after they were changed, or the number is
        // seen there.
        fence(Ordering::SeqCst);
        Ok(Bell { doorbell, slot, generation: generation::current() })
    }

    /// Takes in what has been rung.
    pub(crate) fn hear(&self) {
        self.doorbell.hear();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
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
        let _ = send(&socket, number);
        sender = Some(socket);
    }
}

/// Rings all whose numbers stand in `bells`; those that nobody hears any more are struck out. False if there was no descriptor
/// to do it with.
#[cold]
pub(crate) fn ring_each(bells: &[AtomicU64]) -> bool {
    let mut sender = None;
    for bell in bells {
        // Acquire: pairs with the Release of who has hung it.
        let number = bell.load(Ordering::Acquire);
        if number == 0 {
            continue;
        }
        let Some(socket) = sender.take().or_else(|| socket().ok()) else { return false };
        if send(&socket, number) == Ok(Heard::ByNobody) {
            // Relaxed: its place is free. Failure: it is another's already.
            let _ = bell.compare_exchange(number, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        sender = Some(socket);
    }
    true
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    BySomebody,
    ByNobody,
}

fn send(socket: &impl AsFd, number: u64) -> rustix::io::Result<Heard> {
    match rustix::net::sendto(socket, &[], SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &name(number)?) {
        // A full queue is as good as rung.
        Ok(_) | Err(Errno::AGAIN) => Ok(Heard::BySomebody),
        Err(Errno::CONNREFUSED) => Ok(Heard::ByNobody),
        Err(error) => Err(error),
    }
}
