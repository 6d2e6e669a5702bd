//! Three processes in a row, of which the one in the middle is slow: the ring before it fills up, and from then on the first goes no
//! faster than the second.
//!
//! ```text
//! cargo run --release --example pipeline -- SECONDS      for so long; 2, if nothing is said
//! ```
//!
//! Kill one of them from another terminal (the pids are printed): its neighbours are told, and end.
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tine::channel::{self, bytes};
use tine::{Builder, Shared};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
/// How many messages a process has passed on, or what has kept it from doing more.
type Outcome = std::result::Result<u64, String>;
/// A line of text, and how many words are in it.
type Counted = (String, u64);

tine::share! {
    /// What the three write down for who looks on. It is only to be shown, so nobody waits for it.
    #[derive(Default)]
    struct Board {
        read: AtomicU64,
        counted: AtomicU64,
        written: AtomicU64,
        bytes_between: AtomicU64,
        results_between: AtomicU64,
    }
}

fn main() -> Result<()> {
    let limit = match std::env::args().nth(1) {
        None => Duration::from_secs(2),
        Some(text) => seconds(&text).ok_or_else(|| format!("{text} is no number of seconds"))?,
    };
    let board = Shared::new(Board::default())?;

    // Each end goes to the process that is spawned with it. This one keeps none, and so it keeps nothing open.
    let (lines_in, lines_out) = bytes::channel(4096)?;
    let (results_in, results_out) = channel::channel::<Counted>(32)?;
    let room = (lines_in.capacity() as u64, results_in.capacity() as u64);
    let reader = Builder::new().name("reader").spawn(|| read(&board, lines_in))?;
    let counter = Builder::new().name("counter").spawn(|| count(&board, lines_out, results_in))?;
    let writer = Builder::new().name("writer").spawn(|| write(&board, results_out))?;
    println!("{} reads lines, {} counts their words, {} writes them down", reader.id(), counter.id(), writer.id());

    let start = Instant::now();
    let mut shown = Shown::new(&board, room);
    while start.elapsed() < limit && writer.wait_timeout(Duration::from_millis(250))?.is_none() {
        shown.show();
    }
    // The first ends. What it has sent is received, and then the next ends, too: nobody has to be told.
    reader.request_stop()?;
    while writer.wait_timeout(Duration::from_millis(250))?.is_none() {
        shown.show();
    }
    shown.end();
    let mut outcomes = Vec::new();
    for (what, child) in [("read", reader), ("counted", counter), ("written", writer)] {
        match child.join() {
            Ok(Ok(lines)) => outcomes.push((what, lines)),
            Ok(Err(why)) => println!("{what}: not all: {why}"),
            Err(error) => println!("{what}: not all: {error}"),
        }
    }
    for (what, lines) in &outcomes {
        println!("{what}: {lines} lines");
    }
    if let [(_, read), .., (_, written)] = outcomes[..]
        && outcomes.len() == 3
    {
        assert_eq!(read, written, "all that was sent was received");
    }
    Ok(())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// The first: as fast as it may.
fn read(board: &Board, mut lines: bytes::Sender) -> Outcome {
    let mut count = 0;
    while !tine::process::stop().is_requested() {
        let line = format!("{count}:{}", " the quick brown fox".repeat(1 + count as usize % 4));
        // Returns when there is room for it. That is the brake.
        lines.send(line.as_bytes()).map_err(|error| error.to_string())?;
        count += 1;
        board.read.store(count, Relaxed);
        board.bytes_between.store(lines.len() as u64, Relaxed);
    }
    Ok(count)
}

/// The second: a millisecond for each.
fn count(board: &Board, lines: bytes::Receiver, results: channel::Sender<Counted>) -> Outcome {
    let mut count = 0;
    for line in lines {
        // A clean end ends the loop. The death of the first would come as an error, after all that it has sent.
        let line = String::from_utf8(line.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(1));
        let words = line.split_whitespace().count() as u64;
        results.send((line, words)).map_err(|error| error.to_string())?;
        count += 1;
        board.counted.store(count, Relaxed);
        board.results_between.store(results.len() as u64, Relaxed);
    }
    Ok(count)
}

/// The third: has nearly nothing to do.
fn write(board: &Board, results: channel::Receiver<Counted>) -> Outcome {
    let mut file = std::io::sink();
    let mut count = 0;
    for result in results {
        let (line, words) = result.map_err(|error| error.to_string())?;
        writeln!(file, "{words} {line}").map_err(|error| error.to_string())?;
        count += 1;
        board.written.store(count, Relaxed);
    }
    Ok(count)
}

/// The line of rates.
struct Shown<'a> {
    board: &'a Board,
    room: (u64, u64),
    before: (Instant, [u64; 3]),
    /// Then the line is written over.
    is_terminal: bool,
}

impl Shown<'_> {
    fn new(board: &Board, room: (u64, u64)) -> Shown<'_> {
        Shown { board, room, before: (Instant::now(), [0; 3]), is_terminal: std::io::stdout().is_terminal() }
    }

    fn show(&mut self) {
        let board = self.board;
        let now = [&board.read, &board.counted, &board.written].map(|count| count.load(Relaxed));
        let seconds = self.before.0.elapsed().as_secs_f64();
        let [read, counted, written] = std::array::from_fn(|i| (now[i] - self.before.1[i]) as f64 / seconds);
        self.before = (Instant::now(), now);
        let bytes = gauge(board.bytes_between.load(Relaxed), self.room.0);
        let results = gauge(board.results_between.load(Relaxed), self.room.1);
        let line = format!("{read:>6.0}/s read {bytes} {counted:>5.0}/s counted {results} {written:>5.0}/s written");
        if self.is_terminal {
            print!("\r{line}\x1b[K");
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn end(&self) {
        if self.is_terminal {
            println!();
        }
    }
}

/// How full a ring is.
fn gauge(now: u64, room: u64) -> String {
    let full = (now * 16).div_ceil(room) as usize;
    format!("[{:<16}] {now:>4} of {room}", "#".repeat(full))
}
