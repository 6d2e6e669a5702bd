//! Sleepers look again by themselves every 100 ms, which hides a wake that is lost. Built without that, everything but the
//! deaths that the kernel does not mark is still noticed; and where the wake is missing on purpose, it is not.

#[path = "support/seeded.rs"]
mod seeded;

use std::path::Path;
use std::process::Command;

/// What wakes alone make good.
const SOUND: [(&str, &str); 13] = [
    ("roster", "a_wake_that_dies_with_its_receiver_is_made_good"),
    ("roster", "an_unlockers_wake_that_dies_with_its_receiver_is_made_good"),
    ("roster", "a_death_that_one_is_told_of_is_told_to_all"),
    ("roster", "a_place_that_is_taken_again_hides_no_death"),
    ("roster", "a_process_that_others_forked_takes_part"),
    ("roster", "names_are_not_given_twice"),
    ("wait", "an_event_set_by_another_process_wakes"),
    ("wait", "an_event_wakes_who_sleeps_on_descriptors_too"),
    ("wait", "the_stop_flag_wakes_who_sleeps_on_descriptors_too"),
    ("wait", "a_descriptor_wakes_who_waits_for_events_too"),
    ("wait", "one_of_many_events_wakes"),
    ("wait", "many_waiters_are_all_woken"),
    ("wait", "signals_do_not_end_a_wait"),
];

/// What each bug makes hang.
const BUGS: [(&str, &str, &str); 4] = [
    ("only the owner is watched", "roster", "a_wake_that_dies_with_its_receiver_is_made_good"),
    ("only the owner is watched", "roster", "an_unlockers_wake_that_dies_with_its_receiver_is_made_good"),
    ("nobody rings", "wait", "an_event_wakes_who_sleeps_on_descriptors_too"),
    ("event without a wake", "wait", "an_event_set_by_another_process_wakes"),
];

#[test]
fn wakes_alone_are_enough_and_each_is_needed() {
    let names = ["roster", "wait"];
    let built = seeded::build(&names);
    let path = |test: &str| built[names.iter().position(|name| *name == test).expect("it was built")].as_path();
    for (test, case) in SOUND {
        assert!(passes(path(test), case, "no slices", 60), "{test}::{case} without slices");
    }
    for (bug, test, case) in BUGS {
        // It fails by a deadline of its own, which need not be waited for.
        assert!(!passes(path(test), case, &format!("no slices,{bug}"), 3), "{test}::{case} passes with {bug:?}");
    }
}

/// Whether a case passes (or cannot be run here) in so many seconds.
fn passes(test: &Path, case: &str, seeds: &str, seconds: u32) -> bool {
    let run = Command::new(test)
        .args(["--exact", case])
        .env("TINE_SEEDED", seeds)
        .env("TINE_TEST_DEADLINE", seconds.to_string())
        .output()
        .expect("the test can be started");
    run.status.success()
}
