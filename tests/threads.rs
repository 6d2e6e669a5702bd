//! Channels and locks between threads of one process, over one mapping: what ThreadSanitizer can see.
//!
//! It follows what threads write and read, and by which atomics they have told each other; two processes it cannot follow, nor
//! two mappings of one memory. The words and the payload are the same either way. Run as other tests are these only look at
//! what arrives; `.ci/sanitize` runs them under the sanitizers.

mod support;

#[path = "threads/locks.rs"]
mod locks;
#[path = "threads/queues.rs"]
mod queues;
#[path = "threads/rings.rs"]
mod rings;

fn main() {
    const CASES: &[support::Case] = cases![
        rings_one_by_one,
        rings_of_wide_values,
        rings_by_slices,
        rings_in_place,
        rings_of_bytes,
        rings_of_bytes_in_place,
        rings_of_bytes_in_slices,
        rings_that_are_closed,
        queues_of_many,
        queues_with_claims,
        queues_of_values,
        queues_of_values_with_claims,
        queues_that_are_closed,
        pairs_both_ways,
        mutexes,
        conditions,
        readers_and_writers,
        semaphores,
        barriers,
        events,
        once,
        a_read_behind_the_end,
    ];
    use locks::*;
    use queues::*;
    use rings::*;
    support::run(CASES);
}

/// Between any two threads of a test, so many.
const MANY: u64 = 2_000;

/// Proves that AddressSanitizer is there, and in the standard library too: the read is one of `fmt`.
fn a_read_behind_the_end() {
    if std::env::var_os("TINE_PLANTED").is_none() {
        support::skip("it reads where it must not; `.ci/sanitize` runs it, and wants a report");
    }
    let ten = std::hint::black_box(vec![1_u8; 10]);
    // SAFETY: none. It is what the sanitizer is to find, at the latest where the byte is read.
    println!("{}", unsafe { &*ten.as_ptr().add(11) });
}
