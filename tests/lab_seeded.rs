//! The lab finds what is known to be there: the library is built with bugs in it, and the lab has to catch each.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A bug, by its names in `seeded!` of the library; the case of `tests/lab.rs` that has to fail over it, and what that
/// case has to call it.
const BUGS: [(&str, &str, &str); 11] = [
    // Sleepers look again every 100 ms, which makes a lost wake a delay; where that is to be seen it is turned off.
    ("wake before store,no slices", "mutex_unlock", "Hang"),
    ("owner and word written apart", "mutex_lock", "Hang"),
    ("missing recheck,no slices", "mutex_lock", "Hang"),
    ("rwlock: writer does not look", "rwlock_count", "Torn"),
    ("recovery not idempotent", "mutex_lock", "Torn"),
    ("unlock then touch", "mutex_unlock", "Torn"),
    ("forgotten waiter flag,no slices", "mutex_lock", "Hang"),
    ("leaked reader share,no slices", "rwlock_write", "Hang"),
    ("only the owner is watched,no slices", "mutex_lock", "Hang"),
    ("forgotten CLOEXEC", "segment_create", "Leaked"),
    ("event without a wake,no slices", "event_set", "Hang"),
];

/// These find nothing, also where nobody looks again by himself: no wake is lost, whoever dies.
const SOUND: [&str; 8] = [
    "mutex_lock",
    "mutex_unlock",
    "mutex_recover",
    "rwlock_stop_reading",
    "rwlock_write",
    "semaphore_give_back",
    "condvar_wait",
    "once_call",
];

#[test]
fn the_lab_catches_each_seeded_bug() {
    let lab = build();
    for case in SOUND {
        let (output, text) = run(&lab, case, "no slices");
        if text.contains("skipped: ") {
            println!("skipped: the lab says so\n{text}");
            return;
        }
        assert!(output.status.success(), "{case} finds something without a bug:\n{text}");
    }
    for (bug, case, kind) in BUGS {
        // Some show only in some orders of the processes: a second run is another.
        let (found, text) =
            find(&lab, case, bug, kind).or_else(|_| find(&lab, case, bug, kind)).unwrap_or_else(|text| {
                panic!("{case} does not catch {bug:?} as {kind}:\n{text}");
            });
        assert!(!text.is_empty());
        println!("{bug:?} is caught by {case}: {found}");
    }
}

/// What a case says of a bug, and all that it says; only the latter if it does not find it.
fn find(lab: &Path, case: &str, bug: &str, kind: &str) -> Result<(String, String), String> {
    let (output, text) = run(lab, case, bug);
    let found = text.lines().find(|line| line.starts_with(kind) && line[kind.len()..].starts_with(": "));
    match found.map(str::to_owned) {
        Some(found) if !output.status.success() => Ok((found, text)),
        _ => Err(text),
    }
}

fn run(lab: &Path, case: &str, bug: &str) -> (Output, String) {
    let output = Command::new(lab).args(["--exact", case]).env("TINE_SEEDED", bug).env_remove("TINE_LAB").output();
    let output = output.expect("the lab can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// Builds the library with the bugs, and the lab with it, in a crate that needs nothing else.
fn build() -> PathBuf {
    let crate_root = env!("CARGO_MANIFEST_DIR");
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab-seeded");
    std::fs::create_dir_all(&here).expect("the directory for temporary files is writable");
    let own = std::fs::read_to_string(Path::new(crate_root).join("Cargo.toml")).expect("the manifest is there");
    let same = |name: &str| {
        let line = own.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("the manifest names {name}")).to_owned()
    };
    let manifest = format!(
        r#"
[package]
name = "lab_seeded"
edition = "2024"

[features]
serde = []

[lib]
name = "tine"
path = "{crate_root}/src/lib.rs"

[[test]]
name = "lab"
path = "{crate_root}/tests/lab.rs"
harness = false

[dependencies]
{}
{}
{}

[dev-dependencies]
{}

[workspace]
"#,
        same("libc"),
        same("rustix"),
        same("static_assertions"),
        same("libtest-mimic"),
    );
    std::fs::write(here.join("Cargo.toml"), manifest).expect("the manifest is written");
    // The versions that the library itself was just built with, so that none has to be fetched.
    std::fs::copy(Path::new(crate_root).join("Cargo.lock"), here.join("Cargo.lock")).expect("the lock file is copied");
    let build = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--offline", "--test", "lab", "--message-format=json"])
        .current_dir(&here)
        .env("CARGO_TARGET_DIR", here.join("target"))
        .env("RUSTFLAGS", "--cfg tine_seeded")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo can be started");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    // One line for each thing that was built; that of the test names its file.
    let told = String::from_utf8_lossy(&build.stdout);
    let of_lab = told.lines().find(|line| line.contains(r#""name":"lab""#) && line.contains(r#""executable":"/"#));
    let path = of_lab.and_then(|line| line.split(r#""executable":""#).nth(1)?.split('"').next());
    PathBuf::from(path.unwrap_or_else(|| panic!("cargo names no executable:\n{told}")))
}
