//! Properties of queues: any operations of any handles, with messages of any length.

#[path = "models/queue_ops.rs"]
mod queue_ops;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use queue_ops::Without;

fn runner(cases: u32, max_shrink_iters: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() })
}

fn inputs() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

#[test]
fn a_queue_does_what_its_model_says() {
    runner(500, 500)
        .run(&inputs(), |data| {
            queue_ops::check(&data);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_model_that_lacks_a_rule_is_found_out() {
    for without in [Without::Blocks, Without::PlacesOfClaims, Without::TheOldOrder, Without::DeadLetters] {
        let found = runner(500, 0).run(&inputs(), |data| {
            let outcome = std::panic::catch_unwind(|| queue_ops::check_against(&data, without));
            outcome.map_err(|_| TestCaseError::fail("it differs"))
        });
        assert!(found.is_err(), "no list of operations tells that there is a rule: {without:?}");
    }
}

/// What the fuzz target began with, and what it found.
#[test]
fn the_corpus_is_answered() {
    let directory = format!("{}/tests/corpus/queue_ops", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        queue_ops::check(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0);
}
