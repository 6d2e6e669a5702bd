//! Work that several processes do chunk by chunk, each chunk whole or absent.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Private, Shared, SharedSlice};
use crate::sys::generation;
use crate::sys::identity::Identity;
use crate::wire::Plain;

/// A [`SharedSlice`] that several processes fill, chunk by chunk.
///
/// Each chunk is claimed by one process, written by it in private memory, copied into place, and then *committed* by
/// one store. A process that is killed anywhere, also in the middle of the copy, leaves a chunk that is not
/// committed: [`is_done`](Self::is_done) is false for it, [`read`](Self::read) gives nothing, and
/// [`retry_missing`](Self::retry_missing) does it again. So what is reported done is whole.
///
/// The handle is inherited by forked children and cloned for threads.
///
/// ```
/// use tine::memory::SharedSlice;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares = SharedSlice::<u64>::zeroed(1000)?;
/// let chunks = squares.fill_chunks(64)?;
///
/// let fill = || {
///     chunks.run(|range, values| {
///         for (i, value) in range.zip(values) {
///             *value = (i * i) as u64;
///         }
///     })
/// };
/// // In as many processes as you like, the parent among them.
/// let child = tine::spawn(fill)?;
/// let here = fill()?;
/// assert_eq!(here + child.join()??, chunks.len());
///
/// assert!(chunks.is_complete());
/// assert_eq!(squares.get(999), Some(998001));
/// # Ok(())
/// # }
/// ```
///
/// # When a process dies
///
/// Its chunk stays claimed. Whether the claimant is dead is not for the caller to guess: the claim names the
/// process (pid and start time), and `retry_missing` takes a chunk over only when the kernel says that this process
/// has ended. A worker that is merely slow or stopped keeps its chunk. All must be in the same PID namespace.
#[derive(Clone, Debug)]
pub struct FillChunks<T> {
    slice: SharedSlice<T>,
    /// `words[NEXT]` is the next chunk to claim, `words[FIRST + i]` the state of chunk `i`.
    words: Shared<[AtomicU64]>,
    chunk_len: usize,
}

const NEXT: usize = 0;
/// The counter has a cache line for itself: it is written by everybody all the time.
const FIRST: usize = 8;

/// The state of a chunk:
///
/// ```text
///   0                 FREE      nobody has it
///   identity | 0      CLAIMED   that process is at it, or died at it
///   identity | 1      DONE      committed by that process; never changes again
///
///           claim (CAS)              commit (store)
///   FREE ----------------> CLAIMED -----------------> DONE
///     ^                     |   ^
///     +---------------------+   +-- takeover: CAS from a dead process's identity to one's own
///      the closure panicked
/// ```
const FREE: u64 = 0;
const DONE: u64 = 1;

impl<T: Plain> FillChunks<T> {
    pub(super) fn new(slice: SharedSlice<T>, chunk_len: usize) -> io::Result<FillChunks<T>> {
        if chunk_len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "chunks of length 0 never fill anything"));
        }
        let n = slice.len().div_ceil(chunk_len);
        let words = n.checked_add(FIRST).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(FillChunks { slice, words: Shared::<[AtomicU64]>::from_fn(words, |_| AtomicU64::new(FREE))?, chunk_len })
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.words.len() - FIRST
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of chunk `chunk`; empty beyond the last one.
    pub fn range(&self, chunk: usize) -> Range<usize> {
        let start = chunk.saturating_mul(self.chunk_len).min(self.slice.len());
        start..start.saturating_add(self.chunk_len).min(self.slice.len())
    }

    /// Claims chunk after chunk until all are claimed, and fills each by `fill`, which gets the range of elements and
    /// a buffer of that length: zeroes at first, later what was left in it.
    ///
    /// Returns how many chunks this call committed. Others may still be at theirs; join them, then ask
    /// [`missing`](Self::missing).
    ///
    /// # Errors
    ///
    /// No memory for the buffer, or no `/proc` to tell who we are: before anything was claimed.
    ///
    /// # Panics
    ///
    /// If `fill` does; its chunk is free again, for [`retry_missing`](Self::retry_missing).
    pub fn run(&self, fill: impl FnMut(Range<usize>, &mut [T])) -> io::Result<usize> {
        let mut worker = Worker::new(self, fill)?;
        let mut done = 0;
        while worker.is_still_me() {
            // Relaxed: only the number counts, each is given out once; what it stands for is claimed by its own word.
            let chunk = self.words[NEXT].fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = usize::try_from(chunk).ok().filter(|&chunk| chunk < self.len()) else { break };
            // Taken already if we were stopped since the line above for so long that a retry came by.
            if worker.claim(chunk, FREE) {
                done += usize::from(worker.fill(chunk));
            }
        }
        Ok(done)
    }

    /// Fills what is neither committed nor in the hands of a living process: chunks of the dead, chunks whose closure
    /// panicked, and chunks that nobody came to. Several processes may do this at once.
    ///
    /// Returns how many chunks this call committed.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As for [`run`](Self::run).
    pub fn retry_missing(&self, fill: impl FnMut(Range<usize>, &mut [T])) -> io::Result<usize> {
        let mut worker = Worker::new(self, fill)?;
        let mut done = 0;
        for (chunk, word) in self.words[FIRST..].iter().enumerate() {
            // Relaxed: a hint; the claim is a CAS from exactly this word.
            let seen = word.load(Ordering::Relaxed);
            let abandoned = match Identity::from_word(seen) {
                None => true,
                Some(claimant) => seen & DONE == 0 && claimant.is_gone(),
            };
            if abandoned && worker.is_still_me() && worker.claim(chunk, seen) {
                done += usize::from(worker.fill(chunk));
            }
        }
        Ok(done)
    }

    /// Whether chunk `chunk` is committed, hence whole. Once true it stays true; false may be stale.
    pub fn is_done(&self, chunk: usize) -> bool {
        let word = chunk.checked_add(FIRST).and_then(|i| self.words.get(i));
        // Acquire: pairs with the Release in `Worker::fill`; who sees DONE sees the values that were copied before it.
        word.is_some_and(|word| word.load(Ordering::Acquire) & DONE != 0)
    }

    /// Whether all chunks are committed. Once true it stays true.
    pub fn is_complete(&self) -> bool {
        (0..self.len()).all(|chunk| self.is_done(chunk))
    }

    /// The chunks that are not committed: of the dead, but also those that living processes are at or have not come
    /// to. After all workers were joined these are the chunks that were lost.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.len()).filter(|&chunk| !self.is_done(chunk)).collect()
    }

    /// The values of chunk `chunk`, if it is committed.
    pub fn read(&self, chunk: usize) -> Option<Vec<T>> {
        self.is_done(chunk).then(|| self.slice.range_to_vec(self.range(chunk)).ok())?
    }

    /// The slice that is being filled.
    pub fn slice(&self) -> &SharedSlice<T> {
        &self.slice
    }
}

/// One process's part in the work.
struct Worker<'a, T, F> {
    chunks: &'a FillChunks<T>,
    fill: F,
    buffer: Private<[T]>,
    me: Identity,
    generation: u64,
}

impl<'a, T: Plain, F: FnMut(Range<usize>, &mut [T])> Worker<'a, T, F> {
    fn new(chunks: &'a FillChunks<T>, fill: F) -> io::Result<Worker<'a, T, F>> {
        let buffer = Private::<[T]>::zeroed(chunks.chunk_len.min(chunks.slice.len()))?;
        Ok(Worker { chunks, fill, buffer, me: Identity::me()?, generation: generation::current() })
    }

    /// False in the child of a bare fork that the closure made, which came back from there too. It is no worker: it
    /// would claim in its parent's name.
    fn is_still_me(&self) -> bool {
        generation::current() == self.generation
    }

    fn word(&self, chunk: usize) -> &'a AtomicU64 {
        &self.chunks.words[FIRST + chunk]
    }

    /// Makes a chunk ours that was `seen` to be free or a dead process's.
    fn claim(&self, chunk: usize, seen: u64) -> bool {
        // Acquire: pairs with the Release of a closure that panicked (`Unclaim`). Relaxed on failure: nothing is done
        // then.
        self.word(chunk).compare_exchange(seen, self.me.to_word(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Fills a chunk that is ours. False if the closure came back in another process than it was called in.
    fn fill(&mut self, chunk: usize) -> bool {
        let range = self.chunks.range(chunk);
        let word = self.word(chunk);
        let unclaim = Unclaim(word);
        (self.fill)(range.clone(), &mut self.buffer[..range.len()]);
        std::mem::forget(unclaim);
        if !self.is_still_me() {
            // The chunk is the parent's, who is at it too.
            return false;
        }
        // Private until here. A kill in this copy leaves a chunk that is half new, and its word says CLAIMED.
        let copied = self.chunks.slice.copy_from(range.start, &self.buffer[..range.len()]);
        debug_assert_eq!(copied, Ok(()));
        // The commit. Release: pairs with the Acquire in `is_done`; the volatile copy before it is seen by whoever
        // sees this.
        word.store(self.me.to_word() | DONE, Ordering::Release);
        true
    }
}

/// Frees the chunk when the closure panics.
struct Unclaim<'a>(&'a AtomicU64);

impl Drop for Unclaim<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `claim`.
        self.0.store(FREE, Ordering::Release);
    }
}
