//! Any bytes as a list of Python's in shared memory, while somebody writes to it.
#![no_main]

#[path = "../../tests/models/segment_list.rs"]
mod segment_list;

libfuzzer_sys::fuzz_target!(|data: &[u8]| segment_list::run(data));
