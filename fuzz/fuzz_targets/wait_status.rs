//! Any wait status becomes the right cause: see the model.
#![no_main]

#[path = "../../tests/models/wait_status.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|raw: i32| model::check(raw));
