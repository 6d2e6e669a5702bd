//! What was measured, as a document in `docs/figures`, with where and when and of what.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Measured, quick, wanted};

/// A part of a benchmark.
pub type Measure = fn(&mut Figures);

/// A document that is made while the tables are printed. It is written if that was asked for, by `--write`.
pub struct Figures {
    file: &'static str,
    text: String,
    write: bool,
}

impl Figures {
    /// `versions` are those of who is measured.
    pub fn new(file: &'static str, title: &str, about: &str, versions: &[(&str, String)]) -> Figures {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let write = arguments.iter().any(|argument| argument == "--write") && !quick();
        let parts = arguments.iter().any(|argument| !argument.starts_with('-'));
        assert!(!(write && parts), "--write makes the whole document: name no parts of it");
        let mut text = format!("# {title}\n\n{about}\n\n| | |\n|---|---|\n");
        let facts = machine().into_iter().chain(versions.iter().map(|(name, version)| (*name, version.clone())));
        for (name, fact) in facts {
            println!("{name:<24} {fact}");
            text += &format!("| {name} | {fact} |\n");
        }
        Figures { file, text, write }
    }

    /// Measures those of the parts that were asked for, by name, and ends.
    pub fn run(mut self, parts: &[(&str, Measure)]) {
        parts.iter().filter(|(name, _)| wanted(name)).for_each(|(_, measure)| measure(&mut self));
        self.end();
    }

    pub fn table(&mut self, table: &Measured) {
        table.print();
        self.add(&table.markdown());
    }

    /// Something else, in Markdown.
    pub fn add(&mut self, text: &str) {
        self.text += "\n";
        self.text += text;
    }

    /// Writes a picture beside the document.
    pub fn picture(&mut self, file: &str, title: &str, svg: &str) {
        if self.write {
            let path = directory().join(file);
            fs::write(&path, svg).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!("written: {}", path.display());
        }
        self.add(&format!("![{title}]({file})\n"));
    }

    fn end(self) {
        if self.write {
            let path = directory().join(self.file);
            fs::write(&path, self.text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!("\nwritten: {}", path.display());
        }
    }
}

fn directory() -> PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    // From the package of the peers, or from tine's own.
    let root = here.ancestors().find(|path| path.join("docs").is_dir()).expect("a directory above has `docs`");
    let figures = root.join("docs/figures");
    fs::create_dir_all(&figures).unwrap_or_else(|e| panic!("{}: {e}", figures.display()));
    figures
}

/// The version of a package that a lock file names; of several, the newest, which is the last.
pub fn version(lock: &str, package: &str) -> String {
    let (_, rest) =
        lock.rsplit_once(&format!("name = \"{package}\"\nversion = \"")).expect("a package of the lock file");
    rest.split('"').next().expect("the first always is").to_owned()
}

/// Where, when, and by what compiler.
fn machine() -> Vec<(&'static str, String)> {
    let first_line = |path: &str| fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or("").to_owned();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let fact = |name| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    let model = fact("model name").or_else(|| fact("CPU part")).unwrap_or_else(|| "unknown".into());
    let numbers = ["cpu family", "model\t", "stepping"].map(fact);
    let numbers = match numbers {
        [Some(family), Some(model), Some(stepping)] => {
            format!(" (family {family}, model {model}, stepping {stepping})")
        }
        _ => String::new(),
    };
    let hypervisor = match fact("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")) {
        true => ", of a virtual machine",
        false => "",
    };
    let rustc = std::process::Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    vec![
        ("CPU", model + &numbers),
        ("CPUs to run on", format!("{}{hypervisor}", crate::race::cpus().len())),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("load before", first_line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")),
        ("compiler", rustc.unwrap_or_else(|_| "unknown".into())),
        ("date", today()),
    ]
}

fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600 % 24, seconds / 60 % 60)
}

/// The day, so many days after the first of 1970. Years begin in March here, so that the odd day is their last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}
