//! Properties of a ring with one sender and one receiver: any operations, any words in its memory.

#[path = "models/spsc_hostile.rs"]
mod spsc_hostile;
#[path = "models/spsc_ops.rs"]
mod spsc_ops;

use std::sync::{Mutex, MutexGuard, PoisonError};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use spsc_ops::Without;

/// The memory of a ring is found by what is mapped when it is made: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn each(cases: u32, most: usize, check: fn(&[u8])) {
    let _alone = alone();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let run = |data: Vec<u8>| {
        check(&data);
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(any::<u8>(), 0..most), run).unwrap();
}

#[test]
fn a_ring_does_what_its_model_says() {
    each(1000, 300, spsc_ops::check);
}

#[test]
fn a_model_that_lacks_a_rule_is_found_out() {
    let _alone = alone();
    let rules = [
        Without::TheCapacityAskedFor,
        Without::DroppedReservations,
        Without::PartsOfReservations,
        Without::DroppedPeeks,
    ];
    for without in rules {
        let config = Config { cases: 500, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
        let found = TestRunner::new(config).run(&prop::collection::vec(any::<u8>(), 0..300), |data| {
            let outcome = std::panic::catch_unwind(|| spsc_ops::check_against(&data, without));
            outcome.map_err(|_| TestCaseError::fail("it differs"))
        });
        assert!(found.is_err(), "no list of operations tells that there is a rule: {without:?}");
    }
}

#[test]
fn any_memory_is_answered() {
    each(1500, 300, spsc_hostile::check);
}

/// What the fuzz targets began with, and what they found.
#[test]
fn the_corpus_is_answered() {
    let _alone = alone();
    for (name, check) in [("spsc_ops", spsc_ops::check as fn(&[u8])), ("spsc_hostile", spsc_hostile::check)] {
        let directory = format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut inputs = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs of {name}");
    }
}
