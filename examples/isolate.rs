//! A function that crashes in every way there is, called a hundred times: every failure is a typed error, and the
//! program that calls it lives.
//!
//! ```text
//! cargo run --example isolate
//! ```
use std::collections::BTreeMap;
use std::time::Duration;

use tine::process::{JoinError, Ran, Stdio};

fn main() -> Result<(), tine::Error> {
    let mut outcomes: BTreeMap<String, (usize, Ran)> = BTreeMap::new();
    for n in 0..100_u32 {
        // What the children print while they crash is not shown here.
        let child =
            tine::Builder::new().timeout(Duration::from_millis(500)).stderr(Stdio::null()).spawn(move || crashes(n))?;
        let (outcome, ran) = match child.join() {
            Ok(value) => (format!("returned {value}"), Ran::Yes),
            Err(error) => (describe(&error), error.ran()),
        };
        outcomes.entry(outcome).or_insert((0, ran)).0 += 1;
    }
    for (outcome, (times, ran)) in &outcomes {
        println!("{times:>3} times  ran: {ran:?}{:width$}  {outcome}", "", width = 7 - format!("{ran:?}").len());
    }
    println!("and process {} is well", std::process::id());
    Ok(())
}

fn describe(error: &JoinError) -> String {
    match error {
        JoinError::Panicked(panic) => format!("panicked: {}", panic.message),
        JoinError::Died(exit) | JoinError::TimedOut(exit) => exit.cause.to_string(),
        other => other.to_string(),
    }
}

/// Something from a library that is not to be trusted.
fn crashes(n: u32) -> u64 {
    match n % 10 {
        0 => panic!("index out of reach"),
        1 => std::process::exit(3),
        2 => std::process::abort(),
        3 => endless_recursion(0),
        // SAFETY: none. Nothing is mapped there, so this ends in SIGSEGV, which is the point of the example.
        4 => unsafe { std::ptr::without_provenance::<u64>(8).read_volatile() },
        // Only a few: each takes its whole time.
        5 if n < 20 => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        _ => u64::from(n % 10),
    }
}

#[allow(unconditional_recursion)]
fn endless_recursion(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 32]);
    std::hint::black_box(endless_recursion(depth + 1)) + frame[0]
}
