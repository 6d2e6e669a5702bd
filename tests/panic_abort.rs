//! A program that aborts on panic still learns of its children's panics as data.

use std::path::Path;
use std::process::Command;

#[test]
fn panics_arrive_in_a_program_that_aborts_on_panic() {
    // Tests themselves are always built to unwind, so the program is built here, as a crate of its own that
    // needs nothing but the library and libc.
    let crate_root = env!("CARGO_MANIFEST_DIR");
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic-abort");
    std::fs::create_dir_all(&here).expect("the directory for temporary files is writable");
    let manifest = format!(
        r#"
[package]
name = "panic_abort"
edition = "2024"

[dependencies]
tine = {{ path = {crate_root:?} }}
libc = "0.2"

[[bin]]
name = "panic_abort"
path = "{crate_root}/tests/programs/panic_abort.rs"

[profile.dev]
panic = "abort"

[workspace]
"#
    );
    std::fs::write(here.join("Cargo.toml"), manifest).expect("the manifest is written");
    // The versions that the library itself was just built with, so that none has to be fetched.
    std::fs::copy(Path::new(crate_root).join("Cargo.lock"), here.join("Cargo.lock")).expect("the lock file is copied");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline"])
        .current_dir(&here)
        .env("CARGO_TARGET_DIR", here.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo can be started");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let run = Command::new(here.join("target/debug/panic_abort")).output().expect("the program can be started");
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{:?}\n{told}", run.status);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "all is well\n");
}
