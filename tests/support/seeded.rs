//! Builds the library with its seeded bugs in it, and tests against that.

use std::path::{Path, PathBuf};
use std::process::Command;

/// All that are built here, for whichever test.
const TESTS: [&str; 3] = ["lab", "roster", "wait"];

/// Builds those of this library's own test binaries that are named, in a crate that needs nothing else, and says where each
/// is. Which bug is in them is chosen when they run, by the environment variable `TINE_SEEDED`.
pub fn build(tests: &[&str]) -> Vec<PathBuf> {
    let crate_root = env!("CARGO_MANIFEST_DIR");
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded");
    std::fs::create_dir_all(&here).expect("the directory for temporary files is writable");
    let own = std::fs::read_to_string(Path::new(crate_root).join("Cargo.toml")).expect("the manifest is there");
    let same = |name: &str| {
        let line = own.lines().find(|line| line.starts_with(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("the manifest names {name}")).to_owned()
    };
    let dependencies = ["libc", "rustix", "static_assertions"].map(same).join("\n");
    let mut manifest = format!(
        r#"
[package]
name = "seeded"
edition = "2024"

[features]
serde = []

[lib]
name = "tine"
path = "{crate_root}/src/lib.rs"

[dependencies]
{dependencies}

[dev-dependencies]
{}

[profile.test]
opt-level = 1

[workspace]
"#,
        same("libtest-mimic"),
    );
    for test in TESTS {
        manifest +=
            &format!("\n[[test]]\nname = \"{test}\"\npath = \"{crate_root}/tests/{test}.rs\"\nharness = false\n");
    }
    std::fs::write(here.join("Cargo.toml"), manifest).expect("the manifest is written");
    // The versions that the library itself was just built with, so that none has to be fetched.
    std::fs::copy(Path::new(crate_root).join("Cargo.lock"), here.join("Cargo.lock")).expect("the lock file is copied");
    let build = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--offline", "--message-format=json"])
        .args(tests.iter().flat_map(|test| ["--test", test]))
        .current_dir(&here)
        .env("CARGO_TARGET_DIR", here.join("target"))
        .env("RUSTFLAGS", "--cfg tine_seeded")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo can be started");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    // One line for each thing that was built; that of a test names its file.
    let told = String::from_utf8_lossy(&build.stdout);
    let path_of = |test: &&str| {
        let name = format!(r#""name":"{test}""#);
        let line = told.lines().find(|line| line.contains(&name) && line.contains(r#""executable":"/"#));
        let path = line.and_then(|line| line.split(r#""executable":""#).nth(1)?.split('"').next());
        PathBuf::from(path.unwrap_or_else(|| panic!("cargo names no executable of {test}:\n{told}")))
    };
    tests.iter().map(path_of).collect()
}
