//! What was done, as a table: one row for each campaign of each case, written by the cases and printed by the runner.
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::campaign::Mode;
use super::finding::{KINDS, Kind, Tally, Times};

/// Where the cases of one runner leave their rows.
fn path(runner: u32) -> PathBuf {
    std::env::temp_dir().join(format!("tine-lab-{runner}"))
}

/// By a case.
pub fn add_row(operation: &str, mode: Mode, starts: usize, tally: &Tally) {
    let counts = [starts as u64, tally.instructions(), tally.points()];
    let found = KINDS.iter().filter(|(kind, _)| *kind != Kind::Missed).map(|(kind, _)| tally.of(*kind));
    let cells: Vec<String> = counts.into_iter().chain(found).map(|count| count.to_string()).collect();
    let row = format!("{operation}\t{mode}\t{}\t{}\n", cells.join("\t"), tally.times().to_text());
    let file = OpenOptions::new().create(true).append(true).open(path(std::os::unix::process::parent_id()));
    // Without it only the table is missing.
    let _ = file.and_then(|mut file| file.write_all(row.as_bytes()));
}

const HEAD: [&str; 11] = [
    "operation",
    "what happens",
    "starts",
    "instructions",
    "points",
    "hang",
    "torn",
    "lost",
    "leaked",
    "half, ms",
    "99 %, ms",
];
/// The first that are sums.
const COUNTS: std::ops::Range<usize> = 2..9;
const TIMES: usize = 9;

/// How the operations on channels begin.
const CHANNELS: [&str; 5] = ["spsc ", "bytes ", "mpmc ", "channel ", "duplex "];

/// By the runner, at its end.
pub fn print() {
    let path = path(std::process::id());
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let _ = std::fs::remove_file(path);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    println!("| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in &rows {
        println!("| {} | {} |", row[..TIMES].join(" | "), quantiles(std::iter::once(row)));
    }
    let is_channel = |row: &&Vec<&str>| CHANNELS.iter().any(|name| row[0].starts_with(name));
    let channels: Vec<&Vec<&str>> = rows.iter().filter(is_channel).collect();
    sum("channels", &channels);
    sum("all", &rows.iter().collect::<Vec<_>>());
}

fn sum(name: &str, rows: &[&Vec<&str>]) {
    let sum = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)?.parse::<u64>().ok());
        cells.sum::<u64>().to_string()
    };
    let sums: Vec<String> = COUNTS.map(sum).collect();
    println!("| **{name}** | | {} | {} |", sums.join(" | "), quantiles(rows.iter().copied()));
}

/// Of the times from a kill until all was well again.
fn quantiles<'a>(rows: impl Iterator<Item = &'a Vec<&'a str>>) -> String {
    let times = Times::from_texts(rows.filter_map(|row| row.get(TIMES).copied()));
    let shown =
        |time: Option<Duration>| time.map_or("".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0));
    format!("{} | {}", shown(times.quantile(0.5)), shown(times.quantile(0.99)))
}
