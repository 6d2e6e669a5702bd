//! Pieces of messages, from any bytes: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tine::pipe::frame::Assembler;

#[path = "../../tests/models/pipe_frames.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(|| Assembler::new(model::MAX), data));
