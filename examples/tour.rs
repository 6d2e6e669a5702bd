//! The tour: three small programs that prove what a process is, then a real job on real files.
//!
//! ```text
//! cargo run --release --example tour -- PATH     counts the words of every text file under PATH
//! cargo run --release --example tour             .. under the current directory
//! cargo run --release --example tour -- --kill PATH   .. and kills one of its own workers on the way
//! ```
//!
//! While it counts, kill a worker from another terminal (the pids are printed): it costs the files that the
//! worker had, which are named, and nothing else.
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tine::process::JoinError;
use tine::{Builder, Frozen, JoinHandle, Shared, SharedSlice, spawn};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut kill_one = false;
    let mut path = PathBuf::from(".");
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--kill") => kill_one = true,
            _ => path = argument.into(),
        }
    }
    if !path.is_dir() {
        return Err(format!("{} is not a directory", path.display()).into());
    }
    squares_and_cubes()?;
    a_list_that_the_parent_never_sees()?;
    one_result_three_ways()?;
    count_words(&path, kill_one)
}

/// Says that something is so, having looked.
fn fact(holds: bool, what: &str) -> Result<()> {
    if holds {
        println!("  ok  {what}");
        Ok(())
    } else {
        Err(format!("this should hold and does not: {what}").into())
    }
}

fn squares_and_cubes() -> Result<()> {
    println!("Squares and cubes, by two processes");
    let numbers: Vec<u64> = (1..=5).collect();
    let squares = spawn(|| (std::process::id(), numbers.iter().map(|n| n * n).collect::<Vec<_>>()))?;
    let cubes = spawn(|| (std::process::id(), numbers.iter().map(|n| n * n * n).collect::<Vec<_>>()))?;
    let ((first, squares), (second, cubes)) = (squares.join()?, cubes.join()?);
    fact(squares == [1, 4, 9, 16, 25], "the squares of 1 to 5 came back from one child")?;
    fact(cubes == [1, 8, 27, 64, 125], "their cubes came back from another")?;
    let pids = [std::process::id(), first, second];
    fact(pids[0] != first && pids[0] != second && first != second, &format!("three processes were at work: {pids:?}"))
}

fn a_list_that_the_parent_never_sees() -> Result<()> {
    println!("A child has a copy of everything, and keeps it to itself");
    let mut list: Vec<u64> = Vec::new();
    let in_child = spawn(|| {
        list.extend([1, 2, 3]);
        list.clone()
    })?
    .join()?;
    fact(in_child == [1, 2, 3], "the child's list holds what the child pushed")?;
    fact(list.is_empty(), "the parent's list, the same variable, is still empty")?;
    list.push(9);
    fact(list == [9], "and what the parent pushes is the parent's")
}

fn one_result_three_ways() -> Result<()> {
    println!("The same numbers brought back three ways");
    let numbers: Vec<u64> = (1..=5).collect();
    let expected = [1, 4, 9, 16, 25];

    let returned = spawn(|| numbers.iter().map(|n| n * n).collect::<Vec<_>>())?.join()?;
    fact(returned == expected, "as the result of the closure")?;

    let (reader, writer) = tine::pipe::pipe()?;
    let (mut squares, mut sender) = (reader.frames::<u64>(), writer.frames::<u64>());
    let child = tine::process::spawn_with((), |()| -> std::result::Result<(), String> {
        numbers.iter().try_for_each(|n| sender.send(&(n * n))).map_err(|error| error.to_string())
    })?;
    // The parent's copy of the writing end: while it is open the pipe has no end.
    drop(sender);
    let received = squares.by_ref().collect::<std::result::Result<Vec<_>, _>>()?;
    child.join()??;
    fact(received == expected, "as messages through a pipe, one by one")?;

    let shared = SharedSlice::<u64>::with_memfd(numbers.len())?;
    spawn(|| numbers.iter().enumerate().for_each(|(i, n)| _ = shared.set(i, n * n)))?.join()?;
    fact(shared.to_vec() == expected, "in memory that both processes share")?;
    let frozen: Frozen<u64> = shared.freeze()?;
    fact(frozen[..] == expected, "which, once frozen, nobody can change any more")
}

/// What the workers share while they count.
struct Board {
    /// The next file that nobody has taken.
    next: Shared<AtomicU64>,
    /// Who took each file: the worker's number, from 1.
    taken_by: Shared<[AtomicU32]>,
    done: Shared<AtomicU64>,
    bytes: Shared<AtomicU64>,
    /// With `--kill`: the first worker stays on one file, so that there is something to lose.
    hold: Shared<AtomicBool>,
}

type Counts = HashMap<String, u64>;

fn count_words(path: &Path, kill_one: bool) -> Result<()> {
    let files = files_under(path)?;
    let workers = std::thread::available_parallelism()?.get();
    println!("Counting the words of {} files under {} in {workers} processes", files.len(), path.display());
    println!("  (directories named `target`, and those whose name begins with a dot, are left out)");

    let board = Board {
        next: Shared::new(AtomicU64::new(0))?,
        taken_by: Shared::<[AtomicU32]>::from_fn(files.len(), |_| AtomicU32::new(0))?,
        done: Shared::new(AtomicU64::new(0))?,
        bytes: Shared::new(AtomicU64::new(0))?,
        hold: Shared::new(AtomicBool::new(kill_one))?,
    };
    let start = Instant::now();
    let mut at_work = Vec::new();
    for number in 1..=workers as u32 {
        // The list of files is inherited: it is not sent anywhere, however long it is.
        let worker = Builder::new().name(format!("counter {number}")).spawn(|| work(number, &files, &board))?;
        println!("  worker {number} is process {}", worker.id());
        at_work.push((number, worker));
    }
    if kill_one {
        kill_the_first(&at_work, &board)?;
    }
    show_progress(&at_work, &board, files.len());

    let mut counts = Counts::new();
    let mut texts = 0;
    for (number, worker) in at_work {
        match worker.join() {
            Ok((some, more)) => {
                texts += more;
                for (word, times) in some {
                    *counts.entry(word).or_default() += times;
                }
            }
            Err(error) => report_loss(number, &error, &files, &board),
        }
    }
    let mut ranking: Vec<_> = counts.iter().collect();
    ranking.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let total: u64 = counts.values().sum();
    println!(
        "  {total} words, {} different, in {texts} text files ({:.1} MB read) in {:.2?}",
        counts.len(),
        board.bytes.load(Ordering::Relaxed) as f64 / 1e6,
        start.elapsed(),
    );
    for (word, times) in ranking.iter().take(10) {
        println!("  {times:>9}  {word}");
    }
    let taken = board.taken_by.iter().filter(|by| by.load(Ordering::Relaxed) != 0).count();
    fact(taken == files.len(), "every file was taken by exactly one worker")
}

/// One worker: takes files until none are left. Returns its counts, and how many of its files were text.
fn work(number: u32, files: &[PathBuf], board: &Board) -> (Counts, u64) {
    let mut counts = Counts::new();
    let mut texts = 0;
    loop {
        // Relaxed: the number itself is all that is asked; the list of files was inherited by the fork.
        let index = board.next.fetch_add(1, Ordering::Relaxed) as usize;
        let Some(file) = files.get(index) else { return (counts, texts) };
        board.taken_by[index].store(number, Ordering::Relaxed);
        while number == 1 && board.hold.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Ok(bytes) = std::fs::read(file) {
            board.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            texts += u64::from(count_text(&bytes, &mut counts));
        }
        board.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Adds the words of a text; false if it is none.
fn count_text(bytes: &[u8], counts: &mut Counts) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if text.contains('\0') {
        return false;
    }
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match counts.get_mut(word) {
            Some(times) => *times += 1,
            None => _ = counts.insert(word.to_owned(), 1),
        }
    }
    true
}

type Worker = (u32, JoinHandle<(Counts, u64)>);

fn kill_the_first(at_work: &[Worker], board: &Board) -> Result<()> {
    let Some((number, worker)) = at_work.first() else { return Ok(()) };
    // It holds a file by now, or will: until it does there is nothing to lose. If there are no files it ends.
    while !worker.is_finished() && !board.taken_by.iter().any(|by| by.load(Ordering::Relaxed) == *number) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("  killing worker {number}, as asked");
    worker.kill()?;
    board.hold.store(false, Ordering::Relaxed);
    Ok(())
}

fn show_progress(at_work: &[Worker], board: &Board, files: usize) {
    let terminal = std::io::stderr().is_terminal();
    // Each turn waits for a worker's end, and looks at the board when there was none for a while.
    for (_, worker) in at_work {
        while let Ok(None) = worker.wait_timeout(Duration::from_millis(100)) {
            if terminal {
                eprint!("\r  {} of {files} files", board.done.load(Ordering::Relaxed));
            }
        }
    }
    let done = board.done.load(Ordering::Relaxed);
    eprintln!("{}  {done} of {files} files", if terminal { "\r" } else { "" });
}

fn report_loss(number: u32, error: &JoinError, files: &[PathBuf], board: &Board) {
    let lost: Vec<_> = (0..files.len()).filter(|&i| board.taken_by[i].load(Ordering::Relaxed) == number).collect();
    println!("  worker {number} is lost: {error}");
    println!("  its share is not counted: {} file(s)", lost.len());
    for &index in lost.iter().take(5) {
        println!("    {}", files[index].display());
    }
    if lost.len() > 5 {
        println!("    .. and {} more", lost.len() - 5);
    }
}

/// All files under `path`, in the order of their names. Links are not followed.
fn files_under(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        // A directory that cannot be read costs itself.
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
