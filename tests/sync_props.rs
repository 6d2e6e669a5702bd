//! Properties of locks: any schedule, any word.

#[path = "models/actors.rs"]
mod actors;
#[path = "models/lock_word.rs"]
mod lock_word;
#[path = "models/mutex_schedules.rs"]
mod mutex_schedules;
#[path = "models/rwlock_schedules.rs"]
mod rwlock_schedules;
#[path = "models/semaphore_schedules.rs"]
mod semaphore_schedules;

use mutex_schedules::{Without, differs, schedule};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() })
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

#[test]
fn a_mutex_does_what_its_model_says() {
    let check = |data: Vec<u8>| {
        mutex_schedules::check(&data);
        Ok(())
    };
    runner(200).run(&bytes(120), check).unwrap();
}

#[test]
fn a_model_that_lacks_a_rule_is_found_out() {
    let rules = [
        Without::TheMarkOfADeath,
        Without::TheMarkOfAPanic,
        Without::TheMarkOfWhatWasLeftUnrepaired,
        Without::Recovery,
    ];
    for without in rules {
        let found = runner(400).run(&bytes(120), |data| {
            prop_assert_eq!(differs(&schedule(&data), without), None);
            Ok(())
        });
        assert!(found.is_err(), "no schedule tells that there is a rule: {without:?}");
    }
}

#[test]
fn any_word_is_answered() {
    let check = |data: Vec<u8>| {
        lock_word::check(&data);
        Ok(())
    };
    runner(500).run(&bytes(600), check).unwrap();
}

#[test]
fn a_rwlock_does_what_its_model_says() {
    let check = |data: Vec<u8>| {
        rwlock_schedules::check(&data);
        Ok(())
    };
    runner(200).run(&bytes(120), check).unwrap();
}

#[test]
fn a_model_of_a_rwlock_that_lacks_a_rule_is_found_out() {
    use rwlock_schedules::{Without, differs, schedule};
    let rules = [
        Without::TheEndOfAShareByDeath,
        Without::TheMarkOfAWritersDeath,
        Without::TheMarkOfAWritersPanic,
        Without::TheMarkOfWhatWasLeftUnrepaired,
        Without::ReadersBesideEachOther,
        Without::TheNumberOfReaders,
        Without::Recovery,
    ];
    for without in rules {
        let found = runner(400).run(&bytes(120), |data| {
            prop_assert_eq!(differs(&schedule(&data), without), None);
            Ok(())
        });
        assert!(found.is_err(), "no schedule tells that there is a rule: {without:?}");
    }
}

#[test]
fn a_semaphore_does_what_its_model_says() {
    let check = |data: Vec<u8>| {
        semaphore_schedules::check(&data);
        Ok(())
    };
    runner(200).run(&bytes(120), check).unwrap();
}

#[test]
fn a_model_of_a_semaphore_that_lacks_a_rule_is_found_out() {
    use semaphore_schedules::{Without, differs, schedule};
    let rules = [
        Without::TheReturnOfWhatTheDeadHeld,
        Without::TheReturnOfWhatAPanicHeld,
        Without::UsingUp,
        Without::TheMost,
        Without::Deadlock,
    ];
    for without in rules {
        let found = runner(400).run(&bytes(120), |data| {
            prop_assert_eq!(differs(&schedule(&data), without), None);
            Ok(())
        });
        assert!(found.is_err(), "no schedule tells that there is a rule: {without:?}");
    }
}
