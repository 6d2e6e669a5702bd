//! Operations of a ring: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/spsc_ops.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
