//! Operations of a queue: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/queue_ops.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
