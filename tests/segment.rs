//! Named shared memory: what it is, what is refused, who dies over it, and Python.
#[path = "support/refuse.rs"]
mod refuse_call;
mod support;

#[path = "segment/death.rs"]
mod death;
#[path = "segment/list.rs"]
mod list;
#[path = "segment/own.rs"]
mod own;
#[path = "segment/python.rs"]
mod python;
#[path = "segment/refuse.rs"]
mod refuse;
#[path = "segment/steps.rs"]
mod steps;

use death::*;
use list::*;
use own::*;
use python::*;
use refuse::*;

fn main() {
    support::run(cases![
        // own
        a_segment_is_raw_bytes_of_exactly_its_size,
        who_opens_it_sees_what_is_written,
        sizes_that_do_not_fit_are_typed,
        a_name_is_created_once_found_once_and_removed_once,
        names_that_are_none_are_refused,
        drawn_names_are_in_pythons_form_and_taken_ones_are_passed_over,
        the_creator_removes_the_name_and_nobody_else,
        a_childs_drop_leaves_the_name,
        a_kept_name_stays_until_it_is_unlinked,
        a_name_that_leads_elsewhere_by_now_is_left_alone,
        the_umask_does_not_matter,
        descriptors_keep_off_the_standard_streams,
        who_cuts_it_off_ends_who_reads_there,
        what_python_has_not_taken_is_taken_when_it_is_opened,
        a_spawn_beside_segments_is_allowed,
        // refuse
        a_symbolic_link_is_refused,
        what_is_no_file_is_refused,
        a_mode_that_lets_others_in_is_refused,
        a_second_name_is_refused,
        another_users_name_is_refused,
        a_user_without_rights_has_segments_too,
        it_works_in_a_sandbox,
        a_full_file_system_is_an_error,
        a_machine_without_dev_shm_says_so,
        a_machine_without_proc_has_segments,
        a_limit_of_file_sizes_is_an_error,
        more_than_there_is_is_an_error,
        descriptors_that_run_out_are_an_error,
        a_taking_that_is_interrupted_goes_on_in_smaller_steps,
        any_refused_call_is_an_error_or_no_matter,
        // death
        a_kill_at_every_system_call_of_creating,
        a_kill_at_every_system_call_of_creating_in_a_sandbox,
        a_kill_of_who_takes_over_from_the_killed,
        a_kill_at_every_system_call_of_opening_changes_nothing,
        a_kill_at_every_system_call_of_removing,
        of_two_who_take_over_one_succeeds,
        of_two_stopped_anywhere_one_succeeds,
        who_creates_by_name_loses_whole_or_not_at_all,
        a_drop_never_takes_a_successors_name,
        of_many_who_take_over_one_succeeds,
        what_a_killed_creator_leaves_is_taken_over,
        who_has_only_opened_it_dies_without_harm,
        children_do_not_hold_the_creators_lock,
        a_foreign_fork_holds_the_creators_lock,
        // python
        python_opens_what_rust_creates,
        rust_opens_what_python_creates,
        either_removes_what_the_other_has_created,
        names_mean_the_same_to_both,
        the_trackers_trap_and_its_cure,
        a_dead_pythons_segment_is_taken_over_and_a_live_ones_too_unless_it_locks,
        numpy_and_rust_write_the_same_array,
        a_memfd_reaches_a_stranger_by_a_socket,
        a_memfd_reaches_python_by_a_socket,
        // list
        lists_of_python_are_read,
        an_empty_list_of_python_is_read,
        items_that_python_sets_are_seen,
        many_lists_of_python_are_read,
        a_list_is_read_while_python_writes_it,
    ]);
}

/// A name of this run's own.
fn name(of: &str) -> String {
    // The group is the case: its children have the same.
    format!("tine-test-{}-{of}", rustix::process::getpgrp().as_raw_pid())
}

/// Where that is.
fn path(of: &str) -> String {
    format!("/dev/shm/{}", name(of))
}

/// Whether there is something, if only a link that leads nowhere.
fn exists(of: &str) -> bool {
    std::fs::symlink_metadata(path(of)).is_ok()
}
