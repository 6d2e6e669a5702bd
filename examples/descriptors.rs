//! A worker that opens files for its parent: descriptors, and memory that was made after the fork, through a duplex channel.
//!
//! ```console
//! cargo run --example descriptors
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use tine::Frozen;
use tine::channel::duplex;

tine::pass! {
    enum Request {
        Open(String),
        Sum(Frozen<u64>),
    }

    enum Reply {
        Opened(Result<File, io::Error>),
        Sum(u64),
    }
}

fn main() -> Result<(), tine::Error> {
    let (ask, answer) = duplex::<Request, Reply>()?;
    let worker = tine::spawn(move || {
        for request in &answer {
            let reply = match request? {
                Request::Open(path) => Reply::Opened(File::open(path)),
                Request::Sum(table) => Reply::Sum(table.iter().sum()),
            };
            answer.send(reply)?;
        }
        Ok::<(), io::Error>(())
    })?;

    for path in ["/proc/version", "/no/such/file"] {
        ask.send(Request::Open(path.into()))?;
        match ask.recv()? {
            Reply::Opened(Ok(file)) => {
                let mut line = String::new();
                BufReader::new(file).read_line(&mut line)?;
                println!("{path}: {}", line.trim_end());
            }
            Reply::Opened(Err(error)) => println!("{path}: {error}"),
            Reply::Sum(_) => unreachable!("nothing was to be added up"),
        }
    }

    // The worker was forked before this memory existed. Only its descriptor travels, whatever its size.
    let table = Frozen::<u64>::build(1_000_000, |buffer| (0..).zip(buffer).for_each(|(n, slot)| *slot = n))?;
    ask.send(Request::Sum(table))?;
    if let Reply::Sum(sum) = ask.recv()? {
        println!("the sum of a million numbers, which were not copied: {sum}");
    }
    drop(ask); // ends the worker's loop
    worker.join()??;
    Ok(())
}
