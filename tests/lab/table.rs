//! What was done, as a table: one row for each campaign of each case, written by the cases and printed by the runner.
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::campaign::Mode;
use super::finding::{KINDS, Kind, Tally};

/// Where the cases of one runner leave their rows.
fn path(runner: u32) -> PathBuf {
    std::env::temp_dir().join(format!("tine-lab-{runner}"))
}

/// By a case.
pub fn add_row(operation: &str, mode: Mode, starts: usize, tally: &Tally) {
    let counts = [starts as u64, tally.instructions(), tally.points()];
    let found = KINDS.iter().filter(|(kind, _)| *kind != Kind::Missed).map(|(kind, _)| tally.of(*kind));
    let cells: Vec<String> = counts.into_iter().chain(found).map(|count| count.to_string()).collect();
    let row = format!("{operation}\t{mode}\t{}\n", cells.join("\t"));
    let file = OpenOptions::new().create(true).append(true).open(path(std::os::unix::process::parent_id()));
    // Without it only the table is missing.
    let _ = file.and_then(|mut file| file.write_all(row.as_bytes()));
}

const HEAD: [&str; 9] =
    ["operation", "what happens", "starts", "instructions", "points", "hang", "torn", "lost", "leaked"];

/// By the runner, at its end.
pub fn print() {
    let path = path(std::process::id());
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let _ = std::fs::remove_file(path);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    println!("| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in &rows {
        println!("| {} |", row.join(" | "));
    }
    let sum = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)?.parse::<u64>().ok());
        cells.sum::<u64>().to_string()
    };
    let sums: Vec<String> = (2..HEAD.len()).map(sum).collect();
    println!("| **all** | | {} |", sums.join(" | "));
}
