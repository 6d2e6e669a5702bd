//! `cargo bench --bench process`: what a typed spawn and join costs over a bare fork, and what a gigabyte in the
//! parent costs a fork, by the kind of memory it is in.

#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::time::Duration;

use support::{Goal, Table, bare_fork, per_call, quick};
use tine::JoinHandle;
use tine::memory::{Advice, Private, SharedSlice};
use tine::pipe::{Reader, Writer, pipe};

fn main() {
    // Asked for backtraces, every child is given a file for its own, which would be measured too.
    // SAFETY: the program has one thread.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let wanted = |name| only.as_deref().is_none_or(|only| only == name);
    if wanted("spawn") {
        spawn_and_join();
    }
    if wanted("memory") {
        fork_by_memory();
    }
}

fn checked() -> u64 {
    tine::spawn(|| 1_u64).expect("a child").join().expect("its result")
}

fn unchecked() -> u64 {
    // SAFETY: this program has one thread, no epoll, no io_uring and no shared mapping of its own.
    unsafe { tine::process::spawn_unchecked(|| 1_u64) }.expect("a child").join().expect("its result")
}

fn spawn_and_join() {
    const SLICE: u32 = 20;
    Table::new("spawn(|| 1_u64) + join", "fork + _exit + waitpid", || per_call(SLICE, bare_fork))
        .row("spawn_unchecked + join", Goal::AtMost(1.15), || per_call(SLICE, unchecked))
        .row("spawn + join, all checks", Goal::AtMost(1.35), || per_call(SLICE, checked))
        .print(101);
}

/// A process that holds some memory and, when asked, tells what a spawn and join from it takes.
struct Holder {
    ask: Writer,
    answer: Reader,
    process: JoinHandle<()>,
}

const MEASURE: [u8; 1] = [1];
const END: [u8; 1] = [0];

impl Holder {
    /// `hold` makes the memory; `spawns` make a slice.
    fn new<M>(spawns: u32, hold: impl FnOnce() -> std::io::Result<M>) -> Holder {
        let (mut asked, ask) = pipe().expect("a pipe");
        let (answer, mut answers) = pipe().expect("a pipe");
        let process = tine::spawn(move || {
            let _memory = hold().expect("the memory");
            let mut word = [0];
            // An end of file would never come: this process inherited the writing end, too.
            while asked.read_exact(&mut word).is_ok() && word == MEASURE {
                let time = per_call(spawns, checked).as_nanos() as u64;
                answers.write_all(&time.to_ne_bytes()).expect("the asker reads");
            }
        });
        Holder { ask, answer, process: process.expect("a child") }
    }

    fn spawn_and_join(&mut self) -> Duration {
        let mut nanos = [0; 8];
        self.ask.write_all(&MEASURE).expect("the holder reads");
        self.answer.read_exact(&mut nanos).expect("the holder answers");
        Duration::from_nanos(u64::from_ne_bytes(nanos))
    }

    fn end(mut self) {
        self.ask.write_all(&END).expect("the holder reads");
        self.process.join().expect("the holder ends well");
    }
}

fn fork_by_memory() {
    const GIB: usize = 1 << 30;
    let needed = 5 * GIB;
    let bytes = if quick() { 1 << 20 } else { GIB };
    if !quick() && available_memory().is_none_or(|n| n < needed) {
        println!("\nskipped: spawn + join with 1 GiB in the parent: less than 5 GiB of memory is available");
        return;
    }
    let private = move |advice| {
        let memory = Private::<[u8]>::zeroed(bytes)?;
        memory.advise(advice)?;
        memory.advise(Advice::PopulateWrite)?;
        Ok(memory)
    };
    let mut empty = Holder::new(10, || Ok(()));
    let mut shared = Holder::new(10, || {
        let memory = SharedSlice::<u64>::zeroed(bytes / 8)?;
        memory.advise(Advice::PopulateWrite)?;
        Ok(memory)
    });
    let mut hidden = Holder::new(10, || private(Advice::NoHugePages)?.dont_fork());
    let mut huge = Holder::new(10, || private(Advice::HugePages));
    let mut small = Holder::new(1, || private(Advice::NoHugePages));
    Table::new("spawn + join from a parent with 1 GiB touched", "nothing", || empty.spawn_and_join())
        .row("SharedSlice", Goal::None, || shared.spawn_and_join())
        .row("Private, dont_fork", Goal::None, || hidden.spawn_and_join())
        .row("Private, pages of 2 MiB", Goal::None, || huge.spawn_and_join())
        .row("Private, pages of 4 KiB", Goal::None, || small.spawn_and_join())
        .print(25);
    for holder in [empty, shared, hidden, huge, small] {
        holder.end();
    }
}

/// What `/proc/meminfo` says could be had without swapping, in bytes.
fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024)
}
