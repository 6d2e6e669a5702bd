//! Packets of a duplex channel, from any bytes: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tine::channel::duplex::frame::Assembler;

#[path = "../../tests/models/duplex_frames.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(|| Assembler::new(model::MAX_BYTES, model::MAX_DESCRIPTORS), data));
