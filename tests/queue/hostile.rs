//! A process that writes what it likes into the memory of a queue, as fast as it can, while the ends are at work: they end, in time,
//! answer what can be, and take no more memory than a message can.
//!
//! Each case takes half a second; `TINE_HOSTILE_SECONDS=60` makes it a minute.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tine::channel::{Builder, Receiver, RecvError, SendError, Sender, Spin, TryRecvError, TrySendError};
use tine::wire;

use crate::support::Case;
use crate::{LONG, cases};

#[path = "../models/spsc_hostile.rs"]
mod spsc_hostile;

use spsc_hostile::{Page, Random};

pub const CASES: &[Case] = cases![any_words, words_that_are_possible, messages_that_are_possible];

const MESSAGES: usize = 4;
/// The longest message: of four blocks.
const LONGEST: usize = 4 * 2040;
/// How many words a slot and a block have: see the drawing in `src/channel/queue/store.rs`.
const SLOT: usize = 256 / 8;
const BLOCK: usize = 2048 / 8;

/// Remembers the largest piece that anybody asked for.
struct Largest(AtomicUsize);

// SAFETY: all is done by the system's.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static LARGEST: Largest = Largest(AtomicUsize::new(0));

fn time() -> Duration {
    let seconds = std::env::var("TINE_HOSTILE_SECONDS").ok();
    seconds.map_or(Duration::from_millis(500), |seconds| {
        Duration::from_secs(seconds.parse().expect("a number of seconds"))
    })
}

/// The memory of a queue.
struct Pages {
    /// Words of the slots and of the blocks.
    words: Page,
    /// The header and the messages.
    cells: Page,
    /// Where the messages begin.
    first: usize,
}

struct Ends {
    tx: Sender<Vec<u64>>,
    rx: Receiver<Vec<u64>>,
    letters: Receiver<Vec<u64>>,
}

fn queue() -> (Pages, Ends) {
    let (mut pages, (tx, rx)) = Page::each_of(|| {
        let built = Builder::<Vec<u64>>::new(MESSAGES).bytes(LONGEST).redeliver(2).build();
        built.expect("memory")
    });
    pages.sort_by_key(Page::words);
    let [words, cells] = pages[..] else { panic!("{} mappings are the queue's", pages.len()) };
    let letters = rx.dead_letters().expect("there are some");
    tx.set_spin(Spin::Never);
    rx.set_spin(Spin::Never);
    letters.set_spin(Spin::Never);
    // What is sent first lies in the first slot, behind its length.
    let value = vec![0x7469_6e65_u64];
    let sent = wire::to_bytes(&value).expect("it is encoded");
    tx.send(value).expect("there is room");
    let begins = |at: &usize| cells.read(*at) == sent.len() as u64 && cells.read(at + 1).to_ne_bytes() == sent[..8];
    let first = (0..cells.words() - 1).find(begins).expect("it is there");
    rx.recv().expect("it is there");
    (Pages { words, cells, first }, Ends { tx, rx, letters })
}

/// All operations, with limits, on new queues again and again: an end that was fooled is of no more use. Where one must be,
/// that is waited for.
fn work_beside(one_is_fooled: bool, write: fn(&Pages, &mut Random)) {
    let begun = Instant::now();
    let mut fooled = 0;
    let goes_on = |fooled| begun.elapsed() < if one_is_fooled && fooled == 0 { LONG } else { time() };
    while goes_on(fooled) {
        let (pages, ends) = queue();
        let vandal = tine::spawn(move || {
            let mut random = Random::default();
            while std::hint::black_box(true) {
                write(&pages, &mut random);
            }
        })
        .unwrap();
        LARGEST.0.store(0, Ordering::Relaxed);
        let mut round = 0;
        while goes_on(fooled) && !(round > 300 && ends.rx.try_recv() == Err(TryRecvError::Corrupt)) {
            round += 1;
            use_all(&ends, round);
        }
        let largest = LARGEST.0.load(Ordering::Relaxed);
        assert!(largest <= 2 * LONGEST, "{largest} bytes for a message of up to {LONGEST}");
        vandal.kill().unwrap();
        vandal.wait().unwrap();
        // With nobody writing any more each end answers what it is.
        if ends.rx.try_recv() == Err(TryRecvError::Corrupt) {
            fooled += 1;
            assert_eq!(ends.rx.recv(), Err(RecvError::Corrupt));
            assert!(matches!(ends.rx.try_claim(), Err(TryRecvError::Corrupt)));
        }
    }
    assert!(fooled > 0 || !one_is_fooled, "nothing was written into the memory of the queue");
}

fn use_all(Ends { tx, rx, letters }: &Ends, round: u64) {
    let moment = Duration::from_micros(20);
    let long = [1, 20, 100, 1000][round as usize % 4];
    match tx.try_send(vec![round; long]) {
        Ok(()) | Err(TrySendError::Full(_)) => {}
        Err(error) => assert_eq!(error.into_inner(), vec![round; long], "it comes back as it was"),
    }
    drop(tx.send_timeout(vec![round; 3], moment));
    for end in [rx, letters] {
        drop((end.try_recv(), end.recv_timeout(moment)));
        if let Ok(claim) = end.try_claim() {
            assert!(claim.len() <= LONGEST / 8);
            drop(claim);
        }
        if let Ok(claim) = end.claim_timeout(moment) {
            claim.done();
        }
        assert!(end.len() <= MESSAGES);
        let _ = (end.is_full(), end.is_disconnected());
    }
    assert!(tx.len() <= MESSAGES);
    match tx.wait_idle_timeout(moment) {
        Ok(_) | Err(SendError::Corrupt(()) | SendError::Disconnected(()) | SendError::PeerDied(..)) => {}
        Err(other) => panic!("{other:?}"),
    }
}

fn any_words() {
    work_beside(true, |Pages { words, cells, .. }, random| {
        words.write(random.below(2 * MESSAGES + 4), random.next());
        cells.write(random.below(cells.words()), random.next());
    });
}

/// Slots and blocks in any state, of anybody.
fn words_that_are_possible() {
    work_beside(false, |Pages { words, .. }, random| {
        let lap = random.below(3) as u64;
        let kind = (random.next() % 4) << 62;
        let word = match random.below(4) {
            0 => kind | lap,
            1 => kind | lap << 40 | (random.next() % (1 << 13)),
            2 => 3 << 61 | lap,
            _ => (random.below(MESSAGES) as u64) << 24 | lap << 2 | 2,
        };
        words.write(random.below(2 * MESSAGES + 4), word);
    });
}

/// Lengths, and numbers of blocks, that are nearly right.
fn messages_that_are_possible() {
    work_beside(true, |Pages { cells, first, .. }, random| {
        let at = match random.below(3) {
            0 => random.below(MESSAGES) * SLOT,
            1 => random.below(MESSAGES) * SLOT + 1,
            _ => MESSAGES * SLOT + random.below(4) * BLOCK,
        };
        let word = match random.below(3) {
            0 => random.below(6) as u64,
            1 => (LONGEST - 3 + random.below(6)) as u64,
            _ => 245 + random.below(6) as u64,
        };
        cells.write(first + at, word);
    });
}
