//! A ring of bytes whose memory is overwritten with anything: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/bytes_frames.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
