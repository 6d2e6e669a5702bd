//! Pipes, frames and sockets between real processes. Each case is a process of its own.
mod support;

#[path = "pipe/frames.rs"]
mod frames;
#[path = "pipe/refuse.rs"]
mod refuse;
#[path = "pipe/sockets.rs"]
mod sockets;
#[path = "pipe/storm.rs"]
mod storm;
#[path = "pipe/streams.rs"]
mod streams;

use frames::*;
use sockets::*;
use streams::*;

fn main() {
    support::run(cases![
        // streams
        bytes_cross_a_fork_and_the_end_is_seen,
        a_forked_copy_of_the_writer_keeps_the_pipe_open,
        the_receiver_works_after_the_parent_closed_its_copy,
        sigpipe_at_its_default_is_not_raised,
        sigpipe_is_not_raised_by_an_old_kernel_either,
        a_sigpipe_of_the_program_is_left_alone,
        a_read_and_a_write_end_in_time,
        they_end_in_time_on_an_old_kernel,
        a_nonblocking_description_behaves_like_any_other,
        a_large_write_goes_in_by_parts,
        no_byte_is_lost_or_doubled_in_a_storm_of_signals,
        a_wrong_descriptor_is_named,
        a_closed_descriptor_is_named,
        capacity_is_read_and_set,
        out_of_descriptors_is_an_error_and_leaks_nothing,
        ends_serve_as_the_stdio_of_a_command,
        // frames
        messages_of_every_size_arrive_whole,
        the_end_and_a_torn_message_differ,
        a_killed_writer_leaves_no_half_message,
        a_kill_at_any_time_delivers_a_prefix,
        a_killed_writer_does_not_harm_the_others,
        large_messages_of_several_processes_do_not_mix,
        a_message_resumes_after_a_timeout_on_either_side,
        a_timeout_before_the_first_byte_sends_nothing,
        a_fork_in_the_middle_of_a_message_tears_nothing,
        a_value_that_does_not_encode_leaves_the_stream_untouched,
        a_value_that_does_not_decode_costs_itself_only,
        a_message_over_the_limit_costs_itself_only,
        foreign_bytes_are_corrupt_for_good,
        a_claimed_length_takes_no_memory,
        out_of_memory_costs_that_message_only,
        poll_takes_nothing_and_counts_whole_messages,
        frames_survive_a_storm_of_signals,
        frames_work_on_an_old_kernel,
        frames_over_a_nonblocking_description,
        frames_over_a_socket_resume_inside_a_piece,
        the_iterator_ends_cleanly,
        // sockets
        descriptors_from_none_to_the_most_are_passed,
        one_more_than_the_most_is_refused,
        a_large_descriptor_number_is_passed,
        a_passed_descriptor_keeps_its_access_and_is_closed_by_exec,
        a_missing_descriptor_is_an_error,
        an_extra_descriptor_is_closed,
        descriptors_that_do_not_fit_are_told_and_closed,
        a_foreign_message_is_refused_and_its_descriptors_closed,
        an_empty_message_is_not_the_end,
        messages_do_not_merge,
        a_message_too_long_is_refused_untouched,
        a_closed_peer_is_told_after_what_it_sent,
        a_peer_that_dies_with_unread_messages_is_the_end,
        a_killed_sender_leaves_whole_messages,
        sending_and_receiving_end_in_time,
        sockets_survive_a_storm_of_signals,
        a_nonblocking_socket_behaves_like_any_other,
        a_wrong_socket_is_named,
        what_nobody_received_is_closed,
    ]);
}
