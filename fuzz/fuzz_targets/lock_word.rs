//! A mutex whose word is anything: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/lock_word.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
