//! `cargo +nightly fuzz run wire_decode`: any bytes decode to an error, or to a value that survives the way back.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/wire/rich.rs"]
mod rich;

fuzz_target!(|bytes: &[u8]| rich::decodes_to_what_it_encodes(bytes));
