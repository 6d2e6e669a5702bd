//! A descriptor that can be read when there is something to be received: for epoll, and for runtimes built on it.
//!
//! It is an epoll instance of the process that receives, in which there are a [bell](crate::sys::roster) of its own, that hangs at
//! the signal of the channel and is rung by whoever sends, and the pidfd of each process that has a handle of the channel. So a
//! death is told, too, also of one that was killed between its commit and the ring.
//!
//! It stays readable until a receive finds nothing. That one takes in what was rung, says that somebody polls, and looks once
//! more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::end::Table;
use super::park::Look;
use super::raw::primitive::heavy;
use super::raw::signal::Signal;
use crate::sys::clock::timespec;
use crate::sys::futex::{SHORT_SLICE, SLICE};
use crate::sys::generation;
use crate::sys::identity::Identity;
use crate::sys::owned::Owned;
use crate::sys::roster::Doorbell;
use crate::sys::standard::above_standard;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Pollable {
    epoll: OwnedFd,
    bell: Doorbell,
    watched: Vec<Watched>,
    /// Runs where something may be missed: a slice later it is looked again.
    timer: Option<Owned>,
    generation: u64,
}

#[derive(Debug)]
struct Watched {
    who: Identity,
    pidfd: Owned,
}

/// What an event is about; every other number is that of an [`Identity`], which is even and not 0.
const BELL: u64 = 1;
const TIMER: u64 = 3;

/// How many events are taken in at once.
const EVENTS: usize = 32;

impl Pollable {
    /// One whose bell hangs at `signal`. Not armed.
    ///
    /// # Errors
    ///
    /// No descriptor; as many bells as there is room for.
    fn new(signal: &Signal) -> io::Result<Pollable> {
        let epoll = above_standard(epoll::create(CreateFlags::CLOEXEC)?)?;
        let bell = Doorbell::new()?;
        epoll::add(&epoll, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let hung = signal.bells().iter().any(|place| {
            // Release: pairs with the Acquire of who rings: who finds the number finds the name bound.
            place.compare_exchange(0, bell.number(), Ordering::Release, Ordering::Relaxed).is_ok()
        });
        if !hung {
            let why = format!(
                "all {} places for receivers with a descriptor are taken at this channel; drop one",
                signal.bells().len()
            );
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, why));
        }
        Ok(Pollable { epoll, bell, watched: Vec::new(), timer: None, generation: generation::current() })
    }

    /// The one that there is, if it is this process's own; else a new one. Armed, and readable if something `is_raised`.
    ///
    /// # Errors
    ///
    /// As for `new`.
    pub(super) fn open(
        own: Option<Box<Pollable>>,
        signal: &Signal,
        table: Table<'_>,
        is_raised: impl FnOnce() -> bool,
    ) -> io::Result<Box<Pollable>> {
        // What a fork has copied is the parent's, or was before the handle was given to this process.
        let mut own = match own.filter(|own| own.generation == generation::current()) {
            Some(own) => own,
            None => Box::new(Pollable::new(signal)?),
        };
        own.arm(signal, table);
        if is_raised() {
            own.ring();
        }
        Ok(own)
    }

    /// After a look that has found nothing: how to look once more, or None where nothing was rung and whoever sends will ring.
    #[cold]
    pub(super) fn arm(&mut self, signal: &Signal, table: Table<'_>) -> Option<Look> {
        if self.generation != generation::current() {
            return None;
        }
        let (rung, death) = self.hear();
        if !rung && !death && signal.is_polled() {
            return None;
        }
        let watch = self.watch(table);
        signal.announce_polled();
        let heard = heavy();
        let late = match watch {
            Ok(_) if !heard => self.tick(SHORT_SLICE),
            Ok(_) => Ok(()),
            Err(_) => self.tick(SLICE),
        };
        if late.is_err() {
            // Better readable for nothing than not readable.
            self.ring();
        }
        Some(if death || watch.is_ok_and(|gone| gone) { Look::Sure } else { Look::Peers })
    }

    /// Makes it readable.
    pub(super) fn ring(&self) {
        let _ = self.bell.ring();
    }

    /// Takes in all events: whether there was one, and whether somebody has died, or may have.
    fn hear(&mut self) -> (bool, bool) {
        let (mut rung, mut death) = (false, false);
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timespec(Duration::ZERO))) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                // It cannot be asked: look.
                Err(_) => return (true, true),
            }
            rung = true;
            for event in &events {
                match event.data.u64() {
                    BELL => self.bell.hear(),
                    TIMER => {
                        death = true;
                        let _ = self.tick(Duration::ZERO);
                    }
                    who => {
                        death = true;
                        self.forget(|watched| watched.who.to_word() == who);
                    }
                }
            }
        }
        (rung, death)
    }

    /// No longer watches those of whom `is_over` says so.
    fn forget(&mut self, is_over: impl Fn(&Watched) -> bool) {
        let epoll = &self.epoll;
        self.watched.retain(|watched| {
            let over = is_over(watched);
            if over {
                // By itself it goes only when no child has a copy of the pidfd.
                let _ = epoll::delete(epoll, &watched.pidfd);
            }
            !over
        });
    }

    /// Watches all processes that have a handle, and no others. Whether one of them is gone.
    ///
    /// # Errors
    ///
    /// One could not be watched.
    fn watch(&mut self, table: Table<'_>) -> io::Result<bool> {
        let me = Identity::mine()?;
        let there: Vec<Identity> = table.owners().filter(|&who| who != me).collect();
        self.forget(|watched| !there.contains(&watched.who));
        let mut gone = false;
        let mut missed = Ok(());
        for who in there {
            if self.watched.iter().any(|watched| watched.who == who) {
                continue;
            }
            match self.watch_one(who) {
                Ok(is_gone) => gone |= is_gone,
                Err(error) => missed = Err(error),
            }
        }
        missed.map(|()| gone)
    }

    fn watch_one(&mut self, who: Identity) -> io::Result<bool> {
        let Some(pid) = i32::try_from(who.pid()).ok().and_then(Pid::from_raw) else { return Ok(true) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Owned::new(pidfd)?,
            Err(Errno::SRCH) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        // Asked after the descriptor was opened: if it is not gone now, the descriptor is its own, and no younger process's.
        if who.is_gone() {
            return Ok(true);
        }
        epoll::add(&self.epoll, &pidfd, EventData::new_u64(who.to_word()), EventFlags::IN)?;
        self.watched.push(Watched { who, pidfd });
        Ok(false)
    }

    /// Readable so soon, once; not at all for zero.
    fn tick(&mut self, soon: Duration) -> io::Result<()> {
        let timer = match &self.timer {
            Some(timer) => timer,
            None => {
                let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
                let timer = Owned::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
                epoll::add(&self.epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
                self.timer.insert(timer)
            }
        };
        let when = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(soon) };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &when)?;
        Ok(())
    }

    /// Takes the bell down.
    pub(super) fn take_down(slot: &mut Option<Box<Pollable>>, signal: &Signal) {
        let Some(own) = slot.take().filter(|own| own.generation == generation::current()) else { return };
        for place in signal.bells() {
            // Relaxed: who rings too late rings in vain.
            let _ = place.compare_exchange(own.bell.number(), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
