//! Where the processes of a run write what the lab has to know.
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tine::memory::Shared;

use super::resources::Held;

/// The longest observation.
const ROOM: usize = 512;

tine::share! {
    pub struct Page {
        /// 1: the operation has returned to its caller.
        acknowledged: AtomicU32,
        /// What the survivor held more at its end than at its beginning.
        descriptors: AtomicU64,
        pages: AtomicU64,
        /// The bytes of the observation, plus one; 0: there is none.
        length: AtomicU32,
        text: [AtomicU8; ROOM],
        /// The bystanders that are done, by number.
        done: AtomicU32,
        /// Opened when all are, and may end.
        leave: Gate,
    }
}

/// One page for all runs of a lab.
///
/// All accesses are Relaxed or stronger by the way: whoever reads has waited for the end of the writer, which orders
/// everything.
#[derive(Debug, Clone)]
pub struct Board(Shared<Page>);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Board {
    pub fn new() -> Board {
        let page = Page {
            acknowledged: AtomicU32::new(0),
            descriptors: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            length: AtomicU32::new(0),
            text: [const { AtomicU8::new(0) }; ROOM],
            done: AtomicU32::new(0),
            leave: Gate::new(),
        };
        Board(Shared::new(page).expect("shared memory for the lab"))
    }

    pub fn wipe(&self) {
        self.0.acknowledged.store(0, Ordering::SeqCst);
        self.0.length.store(0, Ordering::SeqCst);
        self.0.done.store(0, Ordering::SeqCst);
        self.0.leave.shut();
    }

    /// Another operation begins, in the same run.
    pub fn begin_another(&self) {
        self.0.acknowledged.store(0, Ordering::SeqCst);
    }

    /// By a bystander that is done. Its end is an event, too, which may wake others: all are done before one ends.
    pub fn wait_to_leave(&self, number: usize) {
        self.0.done.fetch_or(1 << number, Ordering::SeqCst);
        self.0.leave.wait();
    }

    pub fn is_done(&self, number: usize) -> bool {
        self.0.done.load(Ordering::SeqCst) & 1 << number != 0
    }

    pub fn let_leave(&self) {
        self.0.leave.open();
    }

    /// The operation has returned: from here on it must have happened.
    pub fn acknowledge(&self) {
        self.0.acknowledged.store(1, Ordering::SeqCst);
    }

    pub fn is_acknowledged(&self) -> bool {
        self.0.acknowledged.load(Ordering::SeqCst) == 1
    }

    /// By the survivor: what it observed.
    pub fn say(&self, text: &str, more: Held) {
        assert!(text.len() <= ROOM, "an observation of {} bytes does not fit", text.len());
        for (at, byte) in text.bytes().enumerate() {
            self.0.text[at].store(byte, Ordering::Relaxed);
        }
        self.0.descriptors.store(more.descriptors as u64, Ordering::Relaxed);
        self.0.pages.store(more.pages as u64, Ordering::Relaxed);
        self.0.length.store(text.len() as u32 + 1, Ordering::SeqCst);
    }

    pub fn said(&self) -> Option<(Text, Held)> {
        let length = self.0.length.load(Ordering::SeqCst).checked_sub(1)? as usize;
        let mut text = Text::default();
        for (to, from) in text.bytes.iter_mut().zip(&self.0.text[..length]) {
            *to = from.load(Ordering::Relaxed);
        }
        text.length = length;
        let held = Held {
            descriptors: self.0.descriptors.load(Ordering::Relaxed) as i64,
            pages: self.0.pages.load(Ordering::Relaxed) as i64,
        };
        Some((text, held))
    }
}

/// A short text that is not on the heap: a victim is a copy of the lab, and is to find the same heap in each run, since
/// the way through an allocator depends on it.
#[derive(Clone, Copy)]
pub struct Text {
    length: usize,
    bytes: [u8; ROOM],
}

impl Default for Text {
    fn default() -> Text {
        Text { length: 0, bytes: [0; ROOM] }
    }
}

impl Text {
    /// As far as there is room.
    pub fn push(&mut self, text: &str) {
        let room = &mut self.bytes[self.length..];
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length += length;
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or("no text")
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

tine::share! {
    /// Where bystanders wait until it is opened. Made of a bare futex, not of what is tested with it.
    pub struct Gate {
        open: AtomicU32,
    }
}

impl Gate {
    pub const fn new() -> Gate {
        Gate { open: AtomicU32::new(0) }
    }

    fn shut(&self) {
        self.open.store(0, Ordering::SeqCst);
    }

    pub fn wait(&self) {
        while !self.is_open() {
            futex_wait(&self.open, 0);
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst) == 1
    }

    pub fn open(&self) {
        self.open.store(1, Ordering::SeqCst);
        futex_wake(&self.open, i32::MAX);
    }
}

/// Sleeps while `word` is `value`; returns for any reason.
pub fn futex_wait(word: &AtomicU32, value: u32) {
    futex_wait_for(word, value, None);
}

/// As [`futex_wait`], for no longer than `limit`.
pub fn futex_wait_for(word: &AtomicU32, value: u32, limit: Option<Duration>) {
    let limit = limit.map(|d| libc::timespec { tv_sec: d.as_secs() as _, tv_nsec: d.subsec_nanos() as _ });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the time are live; a shared futex, so that other processes can wake.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, limit) };
}

/// Wakes up to `n` of those who sleep on `word`.
pub fn futex_wake(word: &AtomicU32, n: i32) {
    // SAFETY: the word is live.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n) };
}
