//! The memory of a ring, overwritten with anything between the operations of both ends: whatever is there, they answer; they
//! receive nothing but what the cells hold, count no more than the capacity, and once one has said that it was fooled it says
//! nothing else. Shared by the property test, the fuzz target and the test with a hostile process.
#![allow(dead_code)]

use std::collections::HashSet;
use std::time::Duration;

use tine::channel::spsc::{self, Receiver, Sender};
use tine::channel::{RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};

/// How many words are before the cells: see the drawing in `src/channel/spsc/mod.rs`.
pub const HEADER: usize = 640 / 8;
/// The words that any operation looks at: the first of each line; of the ends, all of them.
pub const TAIL: usize = 0;
pub const HEAD: usize = 128 / 8;
pub const FILLED: usize = 256 / 8;
pub const EMPTIED: usize = 384 / 8;
pub const ENDS: usize = 512 / 8;

/// The memory of a ring, by its address.
#[derive(Clone, Copy)]
pub struct Page {
    base: usize,
    words: usize,
}

impl Page {
    /// A ring, and its memory. No other thread maps anything meanwhile.
    pub fn with_ring(capacity: usize) -> (Page, Sender<u64>, Receiver<u64>) {
        let (pages, (tx, rx)) = Page::each_of(|| spsc::channel::<u64>(capacity).expect("memory"));
        assert_eq!(pages.len(), 1, "one mapping is the ring's");
        (pages[0], tx, rx)
    }

    /// Something that is made, and the memory that this maps. No other thread maps anything meanwhile.
    pub fn each_of<R>(make: impl FnOnce() -> R) -> (Vec<Page>, R) {
        // What the first channel of a process maps beside its memory.
        drop(spsc::channel::<u64>(1).expect("memory"));
        let before = shared_mappings();
        let made = make();
        let mut new = shared_mappings();
        new.retain(|mapping| !before.contains(mapping));
        (new.into_iter().map(|(base, end)| Page { base, words: (end - base) / 8 }).collect(), made)
    }

    pub fn words(&self) -> usize {
        self.words
    }

    pub fn read(&self, at: usize) -> u64 {
        assert!(at < self.words);
        // SAFETY: as in `write`.
        unsafe { std::ptr::with_exposed_provenance::<u64>(self.base + at * 8).read_volatile() }
    }

    pub fn write(&self, at: usize, word: u64) {
        assert!(at < self.words);
        // SAFETY: a word of the ring's memory, which is mapped while its ends live. The ends count on others writing there.
        unsafe { std::ptr::with_exposed_provenance_mut::<u64>(self.base + at * 8).write_volatile(word) };
    }
}

impl Page {
    /// Wakes who sleeps on that word.
    pub fn wake(&self, at: usize) {
        assert!(at < self.words);
        // SAFETY: an address of memory that is mapped, which the call only hashes.
        unsafe { libc::syscall(libc::SYS_futex, self.base + at * 8, libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// Numbers of no meaning.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}

/// From where to where they are.
fn shared_mappings() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
    let shared = maps.lines().filter(|line| line.ends_with("/dev/zero (deleted)"));
    let range = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
    };
    shared.map(|line| range(line).expect("a line of maps")).collect()
}

/// One end, and whether it has said that it was fooled.
#[derive(Default)]
struct Fooled(bool);

impl Fooled {
    fn answers(&mut self, what: &str, is_corrupt: bool) {
        assert!(is_corrupt || !self.0, "{what}: it was corrupt, and is not any more");
        self.0 |= is_corrupt;
    }
}

/// Any input: a list of operations.
pub fn check(data: &[u8]) {
    let mut input = data.iter().copied();
    let capacity = usize::from(input.next().unwrap_or(0)) % 9 + 1;
    let (page, mut tx, mut rx) = Page::with_ring(capacity);
    // All that any cell ever held.
    let mut held = HashSet::from([0]);
    let (mut sender, mut receiver) = (Fooled::default(), Fooled::default());
    while let Some(operation) = input.next() {
        let mut byte = || u64::from(input.next().unwrap_or(0));
        let n = byte();
        let values: Vec<u64> = (0..n % 12).map(|i| n << 8 | i).collect();
        let mut buffer = vec![0; n as usize % 12];
        match operation % 20 {
            0 | 1 => {
                let word = (0..8).fold(0, |word, _| word << 8 | byte());
                page.write([TAIL, HEAD, FILLED, EMPTIED][n as usize % 4], word);
            }
            // Near to what is there.
            2 | 3 => page.write([TAIL, HEAD][n as usize % 2], byte() % 16),
            4 => page.write([FILLED, EMPTIED][n as usize % 2], byte()),
            5 => page.write(ENDS + n as usize % 4, (0..8).fold(0, |word, _| word << 8 | byte())),
            6 => page.write(ENDS + n as usize % 4, byte() % 4),
            7 => {
                let word = byte();
                held.insert(word);
                page.write(HEADER + n as usize % 16, word);
            }
            8 => {
                held.insert(n);
                let sent = tx.try_send(n);
                sender.answers("try_send", sent == Err(TrySendError::Corrupt(n)));
            }
            9 => {
                held.insert(n);
                let sent = tx.send_timeout(n, Duration::ZERO);
                sender.answers("send_timeout", sent == Err(SendTimeoutError::Corrupt(n)));
            }
            10 if !values.is_empty() => {
                held.extend(&values);
                let sent = tx.try_send_slice(&values);
                assert!(sent.is_err() || sent.as_ref().is_ok_and(|&sent| sent <= capacity.min(values.len())));
                sender.answers("try_send_slice", sent == Err(TrySendError::Corrupt(0)));
            }
            11 => {
                let room = tx.try_reserve(values.len().min(capacity));
                sender.answers("try_reserve", matches!(room, Err(TrySendError::Corrupt(()))));
                if let Ok(mut room) = room {
                    let values = &values[..room.len()];
                    held.extend(values);
                    room.copy_from(0, values).expect("within it");
                    room.commit_first(n as usize % 3);
                }
            }
            12 => {
                let got = rx.try_recv();
                receiver.answers("try_recv", got == Err(TryRecvError::Corrupt));
                assert!(got.is_err() || got.is_ok_and(|value| held.contains(&value)));
            }
            13 => {
                let got = rx.recv_timeout(Duration::ZERO);
                receiver.answers("recv_timeout", got == Err(RecvTimeoutError::Corrupt));
                assert!(got.is_err() || got.is_ok_and(|value| held.contains(&value)));
            }
            14 if !buffer.is_empty() => {
                let got = rx.try_recv_slice(&mut buffer);
                receiver.answers("try_recv_slice", got == Err(TryRecvError::Corrupt));
                assert!(got.is_err() || got.is_ok_and(|got| got <= capacity.min(buffer.len())));
                assert!(buffer.iter().all(|value| held.contains(value)));
            }
            15 => {
                let peek = rx.try_peek(n as usize);
                receiver.answers("try_peek", matches!(peek, Err(TryRecvError::Corrupt)));
                if let Ok(peek) = peek {
                    assert!(peek.len() <= capacity && peek.iter().all(|value| held.contains(&value)));
                    peek.consume_first(n as usize % 3);
                }
            }
            16 => sender.answers("take_over", tx.take_over().is_err() || sender.0),
            17 => receiver.answers("take_over", rx.take_over().is_err() || receiver.0),
            18 => drop((tx.is_disconnected(), rx.is_disconnected())),
            _ => drop(tine::wait(&[&rx], Some(Duration::ZERO))),
        }
        assert!(tx.len() <= capacity && rx.len() <= capacity);
    }
    if receiver.0 {
        assert_eq!(rx.recv(), Err(RecvError::Corrupt));
    }
}
