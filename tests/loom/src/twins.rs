//! A scene that cannot fail proves nothing. So each has a twin: the same scene, with a bug planted in the library's code
//! (`seeded!` there) or in the world beneath it, which must fail, and in the way that belongs to the bug.
//!
//! Twins run in processes of their own, which find the bug's name in their environment: loom may abort when a scene fails,
//! since the threads that are left are unwound outside the model.

use std::process::Command;

/// Somebody sleeps, and nobody is left to wake it.
pub(crate) const DEADLOCK: &str = "deadlock; threads = ";
/// Two have the data at once, or one has not seen what another did before.
pub(crate) const RACE: &str = "Causality violation";
/// Somebody looks again and again for what never comes.
pub(crate) const ENDLESS: &str = "exceeded maximum number of branches";

/// A name is seen before what tells that it was given.
pub(crate) const CORRUPT: &str = "Corrupt";

/// Runs each scene of `module` with the bug beside it, and panics unless each says what is beside that.
pub(crate) fn fail(module: &str, twins: &[(&str, &str, &str)]) {
    let (_, module) = module.split_once("::").expect("a module of this crate");
    let mut missed = Vec::new();
    for (scene, bug, sign) in twins {
        let out = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", &format!("{module}::{scene}"), "--nocapture"])
            .env("TINE_SEEDED", bug)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("this test runs again");
        let said = String::from_utf8_lossy(&out.stderr);
        println!("{module}::{scene} with `{bug}`: {}", said.lines().find(|line| line.contains(sign)).unwrap_or("?"));
        if out.status.success() || !said.contains(sign) {
            missed.push(format!("`{bug}` in {module}::{scene}: {}\n{said}", out.status));
        }
    }
    assert!(missed.is_empty(), "seeded bugs were not found, or not for what they are:\n{}", missed.join("\n"));
}
