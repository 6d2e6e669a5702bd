//! Schedules of a semaphore, with deaths: see the model.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/models/actors.rs"]
mod actors;
#[path = "../../tests/models/semaphore_schedules.rs"]
mod model;

fuzz_target!(|data: &[u8]| model::check(data));
