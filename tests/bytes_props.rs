//! Properties of a ring of bytes: any operations, any page.

#[path = "models/bytes_frames.rs"]
mod bytes_frames;
#[path = "models/bytes_ops.rs"]
mod bytes_ops;

use bytes_ops::Without;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() })
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

#[test]
fn a_ring_of_bytes_does_what_its_model_says() {
    let check = |data: Vec<u8>| {
        bytes_ops::check(&data);
        Ok(())
    };
    runner(300).run(&bytes(300), check).unwrap();
}

#[test]
fn a_model_that_lacks_a_rule_is_found_out() {
    let rules =
        [Without::TheWordOfAFrame, Without::DroppedReservations, Without::Leaving, Without::PartsOfWhatWasGivenUp];
    for without in rules {
        let mut runner =
            TestRunner::new(Config { cases: 500, failure_persistence: None, max_shrink_iters: 0, ..Config::default() });
        let found = runner.run(&bytes(300), |data| {
            let outcome = std::panic::catch_unwind(|| bytes_ops::check_against(&data, without));
            outcome.map_err(|_| TestCaseError::fail("it differs"))
        });
        assert!(found.is_err(), "no list of operations tells that there is a rule: {without:?}");
    }
}

#[test]
fn any_page_is_answered() {
    let check = |data: Vec<u8>| {
        bytes_frames::check(&data);
        Ok(())
    };
    runner(1000).run(&bytes(400), check).unwrap();
}

/// What the fuzz targets began with, and what they found.
#[test]
fn the_corpus_is_answered() {
    for (name, check) in [("bytes_ops", bytes_ops::check as fn(&[u8])), ("bytes_frames", bytes_frames::check)] {
        let directory = format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut inputs = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs of {name}");
    }
}
