//! Processes that are killed before every instruction of an operation: `docs/9-killed-anywhere.md`.
//!
//! `TINE_LAB=sample` takes a sample of the instructions, `cargo test` by itself a quarter of that, and
//! `TINE_LAB=all cargo test --release --test lab` takes all. `TINE_LAB="one finding"` takes three times the sample, but ends a
//! case with its first finding: where a bug is known to be there, or is hunted. At the end there is a table of what was done.
mod support;

#[cfg(target_arch = "x86_64")]
#[path = "lab/mod.rs"]
mod lab;

#[cfg(target_arch = "x86_64")]
fn main() {
    let deadline = std::time::Duration::from_secs(if lab::campaign::Extent::asked() == lab::campaign::Extent::All {
        4 * 3600
    } else {
        120
    });
    support::run_within(lab::cases::CASES, deadline, lab::table::print);
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    support::run(cases![nothing_is_killed]);
}

#[cfg(not(target_arch = "x86_64"))]
fn nothing_is_killed() {
    support::skip("the lab is only written for x86_64: breakpoints are set otherwise elsewhere");
}
