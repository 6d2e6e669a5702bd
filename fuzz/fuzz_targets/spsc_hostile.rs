//! Any words in a ring's memory: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/spsc_hostile.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
