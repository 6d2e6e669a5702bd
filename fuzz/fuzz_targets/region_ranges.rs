//! Ranges of shared memory, with all extremes, against a vector.
#![no_main]

#[path = "../../tests/models/region_ranges.rs"]
mod region_ranges;

libfuzzer_sys::fuzz_target!(|data: &[u8]| region_ranges::run(data));
