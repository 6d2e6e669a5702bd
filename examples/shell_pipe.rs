//! A pipeline as a shell builds it: `a | b | c`.
//!
//! ```text
//! cargo run --example shell_pipe -- 'ls / | sort -r | head -n 3'
//! ```
use std::error::Error;
use std::io;
use std::process::{Command, Stdio};

use tine::pipe::{Reader, pipe};

fn main() -> Result<(), Box<dyn Error>> {
    let line = std::env::args().nth(1).unwrap_or_else(|| "ls / | sort -r | head -n 3".to_owned());

    let mut children = Vec::new();
    let mut from_last: Option<Reader> = None;
    for stage in line.split('|') {
        let mut words = stage.split_whitespace();
        let program = words.next().ok_or("a stage of the pipeline is empty")?;
        let (reader, writer) = pipe()?;
        let input = from_last.replace(reader).map_or_else(Stdio::inherit, Stdio::from);
        // Our copies of both ends go into the Command, and are closed with it at the end of this statement. Were
        // `writer` still open here, the next stage would wait for an end that never comes.
        let child = Command::new(program).args(words).stdin(input).stdout(writer).spawn();
        children.push((program, child.map_err(|error| format!("{program}: {error}"))?));
    }

    // What the last stage writes comes out here; it ends when that stage, and all that it started, are gone.
    if let Some(mut output) = from_last {
        let bytes = io::copy(&mut output, &mut io::stdout())?;
        eprintln!("-- {bytes} bytes came through {} stages", children.len());
    }
    for (program, mut child) in children {
        eprintln!("-- {program}: {}", child.wait()?);
    }
    Ok(())
}
