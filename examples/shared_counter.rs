//! A counter, a histogram and a record in shared memory, changed by all workers at once.
//!
//! ```text
//! cargo run --release --example shared_counter
//! ```
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tine::Shared;
use tine::sync::Mutex;

const NUMBERS: u64 = 200_000;
const CHUNK: u64 = 1000;
const WIDTH: u64 = 30;

tine::share! {
    /// What all workers change. It holds nothing that points: atomics, locks, and arrays of both.
    struct State {
        /// The next number that nobody has taken.
        next: AtomicU64,
        /// One for each worker: no two write the same, and all may be read at any time.
        taken: [AtomicU64; 4],
        /// One lock for each bar, so that workers are seldom in each other's way.
        bars: [Mutex<Bar>; 12],
        record: Mutex<Record>,
    }
}

tine::plain! {
    /// Two numbers that change together: that is what the lock is for.
    #[derive(Clone, Copy, Default)]
    struct Bar { count: u64, steps: u64 }

    #[derive(Clone, Copy, Default)]
    struct Record { number: u64, steps: u64 }
}

fn main() -> Result<(), tine::Error> {
    let state = Shared::new(State {
        next: AtomicU64::new(1),
        taken: [const { AtomicU64::new(0) }; 4],
        bars: std::array::from_fn(|_| Mutex::default()),
        record: Mutex::default(),
    })?;
    let workers: Vec<_> = (0..4).map(|worker| tine::spawn(|| work(&state, worker))).collect::<Result<_, _>>()?;
    for worker in workers {
        worker.join()??;
    }

    println!("how many steps the numbers below {NUMBERS} take to 1, halved if even, else tripled and one more");
    let mut all = 0;
    for (n, bar) in (0..).zip(&state.bars) {
        let Bar { count, steps } = *bar.lock()?;
        all += count;
        let mean = steps as f64 / (count as f64).max(1.0);
        let line = "#".repeat((count * 200 / NUMBERS) as usize);
        println!("  {:>3} to {:>3}   {count:>6}   mean {mean:>5.1}   {line}", n * WIDTH, n * WIDTH + WIDTH - 1);
    }
    let record = *state.record.lock()?;
    println!("most: {} takes {} steps", record.number, record.steps);
    println!("taken by each worker: {:?}", state.taken.each_ref().map(|taken| taken.load(Relaxed)));
    assert_eq!(all, NUMBERS - 1, "some were lost, or counted twice");
    Ok(())
}

fn work(state: &State, worker: usize) -> std::io::Result<()> {
    loop {
        // No lock is needed to take a chunk: one instruction takes it.
        let first = state.next.fetch_add(CHUNK, Relaxed);
        if first >= NUMBERS {
            return Ok(());
        }
        for number in first..(first + CHUNK).min(NUMBERS) {
            let steps = steps(number);
            let mut bar = state.bars[((steps / WIDTH) as usize).min(state.bars.len() - 1)].lock()?;
            bar.count += 1;
            bar.steps += steps;
            drop(bar);
            let mut record = state.record.lock()?;
            if (steps, u64::MAX - number) > (record.steps, u64::MAX - record.number) {
                *record = Record { number, steps };
            }
            drop(record);
            state.taken[worker].fetch_add(1, Relaxed);
        }
    }
}

fn steps(mut number: u64) -> u64 {
    let mut steps = 0;
    while number != 1 {
        number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
        steps += 1;
    }
    steps
}
