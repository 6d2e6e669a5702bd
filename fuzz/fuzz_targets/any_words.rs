//! Any words in the header of any ring, at any time: see `src/channel/raw/any_words.rs`.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tine::channel::any_words(data));
