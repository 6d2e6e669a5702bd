//! Waiting for the first of several things.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::process::Stop;
use crate::sync::Event;
use crate::sys::clock::{deadline_in, left_until, timespec};
use crate::sys::fence::heavy;
use crate::sys::futex::{SHORT_SLICE, SLICE, Words};
use crate::sys::roster::{self, Bell};

/// What [`wait`] waits for.
///
/// | | is ready when |
/// |---|---|
/// | whatever has a descriptor ([`AsFd`]): files, sockets, pipes, [`pipe::Reader`](crate::pipe::Reader) | it can be read without blocking, has hung up or has failed |
/// | [`Child`](crate::process::Child), [`JoinHandle`](crate::JoinHandle) (their pidfd) | the child has ended |
/// | [`Event`] | it is set |
/// | [`channel::Receiver`](crate::channel::Receiver), [`channel::spsc::Receiver`](crate::channel::spsc::Receiver), [`channel::mpmc::Receiver`](crate::channel::mpmc::Receiver) | there is a message, or an end or an error to be told |
/// | [`channel::bytes::Receiver`](crate::channel::bytes::Receiver) | the same, or a part of a message that is longer than the ring |
/// | [`Stop`] | this process was asked to stop |
/// | [`Writable`] | it can be written without blocking, has hung up or has failed |
///
/// The trait is sealed: the list is as long as it is.
pub trait Ready: sealed::Source {}

mod sealed {
    use super::{BorrowedFd, PollFlags, Words};

    pub trait Source {
        fn what(&self) -> What<'_>;
    }

    pub enum What<'a> {
        Descriptor(BorrowedFd<'a>, PollFlags),
        Flag(&'a dyn Flag),
    }

    /// A word that others raise.
    pub trait Flag {
        fn is_raised(&self) -> bool;
        /// Says in the word that somebody sleeps on it, and adds it; false if it is raised. It is looked at once more after
        /// all have been told, and a heavy fence.
        #[allow(private_interfaces)]
        fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool;
        /// Says in the word that somebody sleeps in poll for it. It is looked at once more after that, and a heavy fence.
        fn sleep_in_poll(&self);
    }
}

pub(crate) use sealed::{Flag, Source, What};

impl<T: AsFd> Source for T {
    fn what(&self) -> What<'_> {
        What::Descriptor(self.as_fd(), PollFlags::IN)
    }
}
impl<T: AsFd> Ready for T {}

/// A descriptor that is waited for until it can be written. See [`writable`].
#[derive(Clone, Copy, Debug)]
pub struct Writable<'a>(BorrowedFd<'a>);

/// To [`wait`] until `fd` can be written, instead of read.
pub fn writable(fd: &impl AsFd) -> Writable<'_> {
    Writable(fd.as_fd())
}

impl Source for Writable<'_> {
    fn what(&self) -> What<'_> {
        What::Descriptor(self.0, PollFlags::OUT)
    }
}
impl Ready for Writable<'_> {}

impl Source for Event {
    fn what(&self) -> What<'_> {
        What::Flag(self)
    }
}
impl Ready for Event {}

impl Flag for Event {
    fn is_raised(&self) -> bool {
        self.is_set()
    }
    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        match self.raw().announce() {
            Some(expected) => words.push_word(self.raw().word(), expected),
            None => return false,
        }
        true
    }
    fn sleep_in_poll(&self) {
        self.raw().announce_in_poll();
    }
}

impl Source for Stop {
    fn what(&self) -> What<'_> {
        What::Flag(self)
    }
}
impl Ready for Stop {}

impl Flag for Stop {
    fn is_raised(&self) -> bool {
        self.is_requested()
    }
    #[allow(private_interfaces)]
    fn sleep_on<'a>(&'a self, words: &mut Words<'a>) -> bool {
        let Some(word) = self.word() else { return true };
        // Acquire: pairs with the Release of who asks.
        if word.load(Ordering::Acquire) != 0 {
            return false;
        }
        words.push(word, 0);
        true
    }
    // Who asks rings at everybody: it is not done often.
    fn sleep_in_poll(&self) {}
}

/// Waits until one of `items` is ready, and returns its place; the first of them if several are. None when `limit` came
/// first; without a limit it waits for as long as it takes.
///
/// Nothing is consumed: an item that is ready stays so until its own operation is called (a read, a join,
/// [`Event::clear`](crate::sync::Event::clear)). Another process that waits for the same thing may be faster.
///
/// ```
/// use std::time::Duration;
/// use tine::{Shared, sync::Event, wait};
///
/// # fn main() -> Result<(), tine::Error> {
/// let ready = Shared::new(Event::new())?;
/// let child = tine::spawn(|| {
///     ready.set();
///     tine::process::stop().wait();
/// })?;
/// assert_eq!(wait(&[&child, &*ready], None)?, Some(1)); // set, and the child lives
/// child.request_stop()?;
/// assert_eq!(wait(&[&child], Some(Duration::from_secs(10)))?, Some(0));
/// child.join()?;
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// A child that ended is ready. A process that is killed after it has set an event and before it has woken who waits leaves
/// the event set: those who wait for words alone are woken by the death, others see it at most 100 ms later.
///
/// # Errors
///
/// `InvalidInput`: no items and no limit, or a descriptor that is not open in this process, as that of a child's handle in
/// another process than its parent. What [poll(2)](https://man7.org/linux/man-pages/man2/poll.2.html) says.
///
/// Where events, receivers or the stop flag are waited for beside descriptors, or more than 16 of them, and nothing is ready
/// at the first look, it takes one descriptor more, and a place for the thread among those that use shared locks: too many
/// open files, or `OutOfMemory` where all 4095 places of this family of processes are taken.
#[doc(alias("poll", "select", "futex_waitv"))]
pub fn wait(items: &[&dyn Ready], limit: Option<Duration>) -> io::Result<Option<usize>> {
    if items.is_empty() && limit.is_none() {
        let why = "a wait for nothing, without a limit, would never end; give it items, or a limit";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // A limit that no clock reaches is none.
    let deadline = limit.and_then(deadline_in);
    let items = Items { all: items.iter().map(|item| item.what()).collect() };
    match items.words_alone() {
        true => Ok(items.wait_for_words(deadline)),
        false => items.wait_for_all(deadline),
    }
}

struct Items<'a> {
    all: Vec<What<'a>>,
}

impl Items<'_> {
    /// Whether one call sleeps on all of them: words, of which there is room for so many beside those of the living.
    fn words_alone(&self) -> bool {
        const FEW: usize = 16;
        self.all.len() <= FEW && self.all.iter().all(|item| matches!(item, What::Flag(_)))
    }

    fn wait_for_words(&self, deadline: Option<Instant>) -> Option<usize> {
        loop {
            let mut words = Words::none();
            let mut ready = None;
            for (place, item) in self.all.iter().enumerate() {
                if let What::Flag(flag) = item
                    && !flag.sleep_on(&mut words)
                {
                    ready = Some(place);
                    break;
                }
            }
            if !heavy() {
                words.are_unheard();
            }
            ready = ready.or_else(|| self.raised());
            if ready.is_some() || left_until(deadline).is_some_and(|left| left.is_zero()) {
                return ready;
            }
            roster::sleep_on(words, None, deadline);
        }
    }

    fn wait_for_all(&self, deadline: Option<Instant>) -> io::Result<Option<usize>> {
        let mut bell: Option<Bell> = None;
        // Who changes a word may die before it rings, or not see that somebody sleeps.
        let mut slice = SLICE;
        let has_flags = self.all.iter().any(|item| matches!(item, What::Flag(_)));
        loop {
            // With a bell that hangs already, this look cannot miss a change: it will ring.
            let asleep = bell.is_some() || !has_flags;
            if let Some(place) = self.look(asleep.then_some(bell.as_ref()), slice, deadline)? {
                return Ok(Some(place));
            }
            if left_until(deadline).is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            if has_flags {
                if bell.is_none() {
                    bell = Some(Bell::hang()?);
                }
                // Again each time: who rings takes the mark away.
                for item in &self.all {
                    if let What::Flag(flag) = item {
                        flag.sleep_in_poll();
                    }
                }
                slice = if heavy() { SLICE } else { SHORT_SLICE };
            }
        }
    }

    /// The first of the words that is raised.
    fn raised(&self) -> Option<usize> {
        self.all.iter().position(|item| matches!(item, What::Flag(flag) if flag.is_raised()))
    }

    /// Looks at all. With `sleep`, and where nothing is ready, sleeps first until a descriptor is, or the bell (if there is
    /// one) rings, or a slice is over.
    fn look(
        &self,
        sleep: Option<Option<&Bell>>,
        slice: Duration,
        deadline: Option<Instant>,
    ) -> io::Result<Option<usize>> {
        let raised = self.raised();
        let mut limit = left_until(deadline);
        if sleep.is_none() || raised.is_some() {
            limit = Some(Duration::ZERO);
        } else if sleep.flatten().is_some() {
            let slice = if seeded!("no slices") { Duration::from_secs(3600) } else { slice };
            limit = Some(limit.map_or(slice, |left| left.min(slice)));
        }
        let mut fds = Vec::with_capacity(self.all.len() + 1);
        let mut places = Vec::with_capacity(self.all.len());
        for (place, item) in self.all.iter().enumerate() {
            if let What::Descriptor(fd, interest) = item {
                fds.push(PollFd::from_borrowed_fd(*fd, *interest));
                places.push(place);
            }
        }
        if let Some(bell) = sleep.flatten() {
            fds.push(PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, limit.map(timespec).as_ref()) {
            Ok(_) => {}
            // The look that follows the next sleep finds what has changed; so does this one.
            Err(Errno::INTR) => return Ok(raised),
            Err(error) => return Err(error.into()),
        }
        if let Some(bell) = sleep.flatten() {
            bell.hear();
        }
        let mut first = raised;
        for (fd, &place) in fds.iter().zip(&places) {
            if fd.revents().contains(PollFlags::NVAL) {
                let why = format!(
                    "item {place} is not open in this process; a child's handle can be waited for in its parent only"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            if !fd.revents().is_empty() {
                first = Some(first.map_or(place, |first| first.min(place)));
            }
        }
        if first.is_none() {
            first = self.raised();
        }
        Ok(first)
    }
}
