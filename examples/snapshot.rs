//! Saving a map while it keeps changing: the file holds the map as it was at one moment.
//!
//! ```text
//! cargo run --release --example snapshot
//! ```
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};

const ENTRIES: u64 = 500_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Every value is the same number, so a file that mixes two moments is seen at once.
    let mut map: BTreeMap<u64, u64> = (0..ENTRIES).map(|key| (key, 0)).collect();
    let path = std::env::temp_dir().join(format!("tine-snapshot-{}", std::process::id()));
    println!("a map of {ENTRIES} entries; a fork now would take about {:.1?}", tine::memory::fork_cost()?.time);

    let mut saved = tine::memory::snapshot(|| save(&map, &path))?;
    let mut rounds = 0;
    let entries = loop {
        // The parent goes on: each round changes every entry.
        map.values_mut().for_each(|value| *value += 1);
        rounds += 1;
        if rounds == 1 {
            println!("the parent has changed them all once; {} KiB are copied by now", saved.copied_bytes()? / 1024);
        }
        if let Some(entries) = saved.try_join()? {
            break entries?;
        }
    };
    println!("saved {entries} entries; meanwhile the parent changed the map {rounds} times");

    let lines = BufReader::new(std::fs::File::open(&path)?).lines();
    let values: std::collections::BTreeSet<String> = lines
        .map(|line| Ok(line?.split_once(' ').ok_or("a line without a value")?.1.to_owned()))
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    println!("values in the file: {values:?}; in the parent's map: {:?}", map.values().next());
    std::fs::remove_file(&path)?;
    assert_eq!(values.len(), 1, "the file mixes moments");
    Ok(())
}

/// Writes beside, then renames: a snapshot that is killed leaves no half file under the name.
fn save(map: &BTreeMap<u64, u64>, path: &std::path::Path) -> Result<u64, std::io::Error> {
    let beside = path.with_extension("new");
    let mut file = BufWriter::new(std::fs::File::create(&beside)?);
    for (key, value) in map {
        writeln!(file, "{key} {value}")?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(map.len() as u64)
}
