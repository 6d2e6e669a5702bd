//! The words of a reader-writer lock.

use super::places::{Kind, Place, Places};
use super::primitive::{AtomicU64, FLAGS, Name, Ordering, Verdict, handshake, judge, wake_all, wake_one};
use super::waiting::Waiting;
use super::{Patience, Refusal};

pub(crate) use super::mutex::Found;

/// Writers may sleep on the writer's word: who unlocks wakes one.
const WRITERS_WAIT: u64 = 1;
/// Somebody died while writing, or left the work undone, and nobody has repaired that.
const DIRTY: u64 = 2;
/// Readers may sleep on the writer's word: who unlocks wakes all.
const READERS_WAIT: u64 = 4;
/// The writer waits for readers to leave, and has not begun to write: its death leaves no mark.
const DRAINING: u64 = 8;

/// ```text
///   0            8                     16
///   | writer     | gate                | reader 0 | reader 1 | .. | reader READERS-1 |
///                  of the readers' row   see `places`
///
///   writer:
///   63 .. 8                      3          2              1       0
///   | writer's name, 0: nobody | DRAINING | READERS_WAIT | DIRTY | WRITERS_WAIT |
///
///   0 ---- lock ----> owner ---- readers are there ----> owner|DRAINING ---- they have left ----> owner
///   |<---- unlock ------------------------------------------------------------------------------- |
///   |<---- give up in time ---------------------------------|
///
///   owner|.. (dead) ------------- the next locks ----> next|DIRTY|.. ---- recover ----> next|..
///   owner|DRAINING|.. (dead) ---- the next locks ----> next|..
/// ```
///
/// **The handshake.** A reader enters its name in a place, then looks at the writer's word. A writer enters its name in
/// that word, then looks at the places. All four are SeqCst, so at least one of the two sees the other: the
/// reader leaves again, or the writer waits for it. A reader that leaves and comes back finds the writer first; so a
/// writer waits only for those who were there before it, and each of them once.
///
/// A reader changes nothing in the writer's word but the sleepers' flags. Where a dead writer is found, readers leave
/// it there, and read beside it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawRwLock<const READERS: usize> {
    writer: Writer,
    readers: Places<READERS>,
}

/// The word that names the writer.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Writer {
    word: AtomicU64,
}

/// The right to read, of one reader. Nothing happens when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'a>(Place<'a>);

/// What is in the writer's word.
#[derive(Clone, Copy)]
enum State {
    /// Nobody writes. What the last writer left is so.
    Free(Found),
    /// The writer has died, and left it so.
    Left(Found),
    Held(Name),
}

fn state(now: u64) -> Result<State, Refusal> {
    let flags = now & FLAGS;
    let found = if flags & DIRTY != 0 { Found::Dirty } else { Found::Clean };
    let Some(owner) = Name::in_word(now) else {
        return if flags & !DIRTY == 0 { Ok(State::Free(found)) } else { Err(Refusal::Corrupt) };
    };
    if flags & !(WRITERS_WAIT | DIRTY | READERS_WAIT | DRAINING) != 0 {
        return Err(Refusal::Corrupt);
    }
    match judge(owner) {
        Verdict::Alive => Ok(State::Held(owner)),
        Verdict::Dead if flags & DRAINING != 0 => Ok(State::Left(found)),
        Verdict::Dead => Ok(State::Left(Found::Dirty)),
        Verdict::Foreign => Err(Refusal::Foreign),
        Verdict::Corrupt => Err(Refusal::Corrupt),
    }
}

impl<const READERS: usize> RawRwLock<READERS> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> RawRwLock<READERS> {
        const { assert!(READERS > 0, "a lock that nobody can read needs no readers: use a Mutex") };
        RawRwLock { writer: Writer { word: AtomicU64::new(0) }, readers: Places::new(READERS) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> RawRwLock<READERS> {
        RawRwLock { writer: Writer { word: AtomicU64::new(0) }, readers: Places::new(READERS) }
    }

    /// As [`RawRwLock::read_with`] without patience, where the place that is looked at first is free, and nobody writes;
    /// what was written is in order.
    #[inline]
    pub(crate) fn read_fast(&self, me: Name) -> Option<Share<'_>> {
        let place = self.readers.take_at(first::<READERS>(me), me)?;
        handshake();
        // SeqCst: the second half of the reader's handshake. As Acquire it pairs with the Release in `Writer::unlock`.
        if self.writer.word.load(Ordering::SeqCst) == 0 {
            return Some(Share(place));
        }
        place.give_back(Kind::Share);
        None
    }

    /// Takes a share, waiting as long as `patience` says.
    #[inline]
    pub(crate) fn read_with(&self, me: Name, patience: Patience) -> Result<(Share<'_>, Found), Refusal> {
        match self.read_fast(me) {
            Some(share) => Ok((share, Found::Clean)),
            None => self.read_slow(me, patience),
        }
    }

    #[cold]
    fn read_slow(&self, me: Name, patience: Patience) -> Result<(Share<'_>, Found), Refusal> {
        let mut for_writer = Waiting::new(patience);
        let mut for_room = Waiting::new(patience);
        loop {
            // Acquire: pairs with the Release of who entered the name, so that its tenure is seen. Before a place is taken: a
            // writer that waits is not to be kept from its sleep by readers that come and go.
            let now = self.writer.word.load(Ordering::Acquire);
            if let State::Held(owner) = state(now)? {
                // A writer that is not draining may be one that only tries, and will be gone at once.
                if owner == me || (now & DRAINING != 0 && self.readers.has(me)) {
                    return Err(Refusal::Deadlock);
                }
                for_writer.turn(&self.writer.word, now, READERS_WAIT, Some(owner))?;
                continue;
            }
            let Some(place) = self.readers.take(first::<READERS>(me), me, &for_room) else {
                self.readers.wait_for_one(Kind::Share, me, &mut for_room)?;
                continue;
            };
            match self.look_beside(me) {
                Ok(Some(found)) => return Ok((Share(place), found)),
                Ok(None) => place.give_back(Kind::Share),
                Err(refusal) => {
                    place.give_back(Kind::Share);
                    return Err(refusal);
                }
            }
        }
    }

    /// With a place taken: what there is to read; None if somebody writes.
    fn look_beside(&self, me: Name) -> Result<Option<Found>, Refusal> {
        debug_assert!(self.readers.has(me));
        handshake();
        if seeded!("rwlock: reader does not look") {
            return Ok(Some(Found::Clean));
        }
        // SeqCst: the second half of the reader's handshake.
        let now = self.writer.word.load(Ordering::SeqCst);
        match state(now)? {
            State::Held(_) => Ok(None),
            State::Free(found) => Ok(Some(found)),
            // What a dead writer's word said before its death was seen may not be the last that it said: it may have
            // begun to write. If it says the same now, it is. SeqCst: as above, if another has come in its place.
            State::Left(found) => Ok((self.writer.word.load(Ordering::SeqCst) == now).then_some(found)),
        }
    }

    /// Locks for writing, waiting as long as `patience` says.
    #[inline]
    pub(crate) fn write_with(&self, me: Name, patience: Patience) -> Result<Found, Refusal> {
        // A try that would fail is not to send away those who come to read meanwhile.
        if matches!(patience, Patience::None) && self.readers.is_any_held(Kind::Share) {
            return Err(if self.readers.has(me) { Refusal::Deadlock } else { Refusal::NotNow });
        }
        let found = if self.writer.enter(0, me.word()) { Found::Clean } else { self.enter_slow(me, patience)? };
        handshake();
        match self.drain(me, patience) {
            Ok(()) => Ok(found),
            Err(refusal) => {
                self.writer.unlock(found == Found::Dirty);
                Err(refusal)
            }
        }
    }

    /// Becomes the writer, of whom there is one; readers may still be there.
    #[cold]
    fn enter_slow(&self, me: Name, patience: Patience) -> Result<Found, Refusal> {
        let mut waiting = Waiting::new(patience);
        loop {
            // Acquire: as in `read_slow`.
            let now = self.writer.word.load(Ordering::Acquire);
            let (found, owed) = match state(now)? {
                State::Free(found) => (found, 0),
                // The dead one may have owed a wake.
                State::Left(found) => (found, WRITERS_WAIT),
                State::Held(owner) => {
                    if owner == me || self.readers.has(me) {
                        return Err(Refusal::Deadlock);
                    }
                    waiting.turn(&self.writer.word, now, WRITERS_WAIT, Some(owner))?;
                    continue;
                }
            };
            let dirty = if found == Found::Dirty { DIRTY } else { 0 };
            let sleepers = now & (WRITERS_WAIT | READERS_WAIT) | waiting.keep(WRITERS_WAIT) | owed;
            // From exactly the word that was judged.
            if self.writer.enter(now, me.word() | dirty | sleepers) {
                return Ok(found);
            }
        }
    }

    fn drain(&self, me: Name, patience: Patience) -> Result<(), Refusal> {
        if seeded!("rwlock: writer does not look") {
            return Ok(());
        }
        let mut waited = false;
        let outcome = self.readers.drain(me, patience, || {
            waited = true;
            // Relaxed: who finds it of a dead writer has it from after the death.
            let was = self.writer.word.fetch_or(DRAINING, Ordering::Relaxed);
            if was & READERS_WAIT != 0 {
                // One of them may read already, and would wait for itself.
                wake_all(&self.writer.word);
            }
        });
        if waited && outcome.is_ok() {
            // Relaxed: who judges this writer dead has seen all that it did, this and what it wrote.
            self.writer.word.fetch_and(!DRAINING, Ordering::Relaxed);
        }
        outcome
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }
}

/// Where `me` looks first: threads with neighbouring names look in different places, as far as there are any.
#[inline]
fn first<const READERS: usize>(me: Name) -> usize {
    (me.word() / (FLAGS + 1)) as usize % READERS
}

impl Writer {
    #[inline]
    fn enter(&self, now: u64, new: u64) -> bool {
        // SeqCst: the first half of the writer's handshake. As Acquire it pairs with the Release in `unlock`; as Release, with
        // the Acquire of who reads the name, and then the roster.
        self.word.compare_exchange(now, new, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Unlocks. Called by the writer. `undone`: the next is told that the data may be half changed.
    #[inline]
    pub(crate) fn unlock(&self, undone: bool) {
        let next = if undone { DIRTY } else { 0 };
        // Release: pairs with the Acquire of who reads the word next.
        let was = self.word.swap(next, Ordering::Release);
        if was & READERS_WAIT != 0 {
            wake_all(&self.word);
        } else if was & WRITERS_WAIT != 0 {
            wake_one(&self.word);
        }
    }

    /// The writer has repaired the data.
    pub(crate) fn set_clean(&self) {
        // Relaxed: the writer itself publishes the data, when it unlocks.
        self.word.fetch_and(!DIRTY, Ordering::Relaxed);
    }
}

impl Share<'_> {
    /// Called by the reader.
    #[inline]
    pub(crate) fn give_back(&self) {
        self.0.give_back(Kind::Share);
    }
}
