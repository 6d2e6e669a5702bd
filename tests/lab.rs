//! Processes that are killed before every instruction of an operation: `docs/9-killed-anywhere.md`.
mod support;

#[path = "lab/mod.rs"]
mod lab;
#[path = "lab/operations/mod.rs"]
mod operations;

use lab::campaign::{self, Mode, Plan};
use lab::finding::{Kind, Tally};
use lab::operation::Operation;
use operations::{
    chunks, condvar, event, frames, mutex, once, rwlock, segment, semaphore, spawn, toy_lock, toy_ring, toy_share,
};

fn main() {
    support::run(cases![
        // The lab itself: what is right passes, what is wrong is caught.
        instructions_are_told_apart,
        the_right_toys_survive,
        the_right_toy_lock_survives_a_freeze,
        the_right_toy_lock_survives_two_kills,
        a_head_published_early_is_torn,
        a_wake_before_the_store_hangs,
        an_owner_written_apart_hangs,
        a_missing_recheck_hangs,
        a_recovery_that_is_not_idempotent_tears,
        a_touch_after_the_unlock_tears,
        a_forgotten_waiter_flag_hangs,
        a_leaked_share_hangs,
        a_forgotten_cloexec_leaks,
        // The library.
        mutex_lock,
        mutex_first_lock,
        mutex_unlock,
        mutex_recover,
        mutex_count,
        mutex_frozen,
        mutex_killed_twice,
        what_is_given_up_is_not_touched,
        no_wake_is_slept_through,
        spawn_and_join,
        spawn_detached,
        join,
        event_set,
        event_wait,
        event_frozen,
        chunks_filled,
        frames_sent,
        condvar,
        once,
        rwlock_read,
        rwlock_write,
        rwlock_frozen,
        rwlock_killed_twice,
        semaphore,
        semaphore_frozen,
        once_frozen,
        segment_created,
        segment_opened,
        segment_removed,
    ]);
}

fn run<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan) -> Tally {
    let since = std::time::Instant::now();
    let tally = campaign::run(operation, mode, plan);
    println!(
        "{} {mode:?}: {} points of {} instructions in {:?}",
        operation.name,
        tally.points(),
        tally.instructions(),
        since.elapsed()
    );
    tally
}

fn survives<S, L>(operation: &Operation<S, L>, mode: Mode, most: usize) {
    is_clean(&run(operation, mode, Plan::short(most)));
}

/// As above, for an operation of very many instructions.
fn survives_by_calls<S, L>(operation: &Operation<S, L>) {
    is_clean(&run(operation, Mode::Kill, Plan::by_calls()));
}

fn is_clean(tally: &Tally) {
    assert!(tally.points() > 0);
    assert_eq!(tally.findings(), 0);
}

/// A wrong version: it is caught, for what it is.
fn is_caught<S, L>(operation: &Operation<S, L>, mode: Mode, kind: Kind) {
    let tally = run(operation, mode, Plan::short(500).until_found());
    assert!(tally.of(kind) > 0, "{} findings, but not one {kind:?}", tally.findings());
}

fn instructions_are_told_apart() {
    lab::trace::check_instructions();
}

fn the_right_toys_survive() {
    survives(&toy_ring::send::<false>(), Mode::Kill, 500);
    survives(&toy_ring::receive(), Mode::Kill, 500);
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Kill, 500);
    survives(&toy_lock::unlock::<{ toy_lock::RIGHT }>(), Mode::Kill, 500);
    survives(&toy_share::read::<false>(), Mode::Kill, 500);
    survives(&toy_share::open::<false>(), Mode::Kill, 500);
}

fn the_right_toy_lock_survives_a_freeze() {
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Freeze, 100);
    survives(&toy_lock::unlock::<{ toy_lock::RIGHT }>(), Mode::Freeze, 100);
}

fn the_right_toy_lock_survives_two_kills() {
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Double, 500);
}

fn a_head_published_early_is_torn() {
    is_caught(&toy_ring::send::<true>(), Mode::Kill, Kind::Torn);
}

fn a_wake_before_the_store_hangs() {
    is_caught(&toy_lock::unlock::<{ toy_lock::WAKE_BEFORE_STORE }>(), Mode::Freeze, Kind::Hang);
}

fn an_owner_written_apart_hangs() {
    is_caught(&toy_lock::count::<{ toy_lock::OWNER_APART }>(), Mode::Kill, Kind::Hang);
}

fn a_missing_recheck_hangs() {
    is_caught(&toy_lock::count::<{ toy_lock::NO_RECHECK }>(), Mode::Freeze, Kind::Hang);
}

fn a_recovery_that_is_not_idempotent_tears() {
    is_caught(&toy_lock::count::<{ toy_lock::RECOVER_TWICE }>(), Mode::Double, Kind::Torn);
}

fn a_touch_after_the_unlock_tears() {
    is_caught(&toy_lock::unlock::<{ toy_lock::TOUCH_AFTER }>(), Mode::Freeze, Kind::Torn);
}

fn a_forgotten_waiter_flag_hangs() {
    is_caught(&toy_lock::unlock::<{ toy_lock::FORGOTTEN_FLAG }>(), Mode::Kill, Kind::Hang);
}

fn a_leaked_share_hangs() {
    is_caught(&toy_share::read::<true>(), Mode::Kill, Kind::Hang);
}

fn a_forgotten_cloexec_leaks() {
    is_caught(&toy_share::open::<true>(), Mode::Kill, Kind::Leaked);
}

fn mutex_lock() {
    survives(&mutex::lock(), Mode::Kill, 300);
    survives(&mutex::try_lock(), Mode::Kill, 300);
    survives(&mutex::lock_timeout(), Mode::Kill, 300);
    survives(&mutex::lock_timeout_in_vain(), Mode::Kill, 100);
}

fn mutex_first_lock() {
    survives_by_calls(&mutex::first_lock());
}

fn mutex_unlock() {
    survives(&mutex::unlock(), Mode::Kill, 300);
}

fn mutex_recover() {
    survives(&mutex::recover(), Mode::Kill, 300);
    survives(&mutex::leave(), Mode::Kill, 300);
}

fn mutex_count() {
    survives(&mutex::count_once(), Mode::Kill, 300);
}

fn mutex_frozen() {
    survives(&mutex::lock(), Mode::Freeze, 200);
    survives(&mutex::try_lock(), Mode::Freeze, 200);
    survives(&mutex::lock_timeout(), Mode::Freeze, 200);
    survives(&mutex::unlock(), Mode::Freeze, 200);
    survives(&mutex::recover(), Mode::Freeze, 200);
    survives(&mutex::leave(), Mode::Freeze, 200);
    survives(&mutex::count_once(), Mode::Freeze, 200);
}

fn mutex_killed_twice() {
    survives(&mutex::unlock(), Mode::Double, 500);
    survives(&mutex::recover(), Mode::Double, 500);
    survives(&mutex::count_once(), Mode::Double, 500);
}

fn spawn_and_join() {
    survives_by_calls(&spawn::spawn_and_join());
}

fn spawn_detached() {
    survives_by_calls(&spawn::spawn_detached());
}

fn join() {
    survives_by_calls(&spawn::join_it());
}

fn event_set() {
    survives(&event::set_it(), Mode::Kill, 300);
    survives(&event::clear_it(), Mode::Kill, 300);
}

fn event_wait() {
    survives(&event::wait_for_it(), Mode::Kill, 300);
    survives(&event::wait_in_vain(), Mode::Kill, 100);
}

fn event_frozen() {
    survives(&event::set_it(), Mode::Freeze, 200);
    survives(&event::clear_it(), Mode::Freeze, 200);
    survives(&event::wait_for_it(), Mode::Freeze, 200);
    survives(&event::wait_in_vain(), Mode::Freeze, 50);
}

fn chunks_filled() {
    survives_by_calls(&chunks::run());
}

fn frames_sent() {
    survives(&frames::send_it(), Mode::Kill, 300);
}

fn segment_created() {
    survives(&segment::create(), Mode::Kill, 200);
    survives(&segment::create_or_recover(), Mode::Kill, 200);
}

fn segment_opened() {
    survives(&segment::open(), Mode::Kill, 200);
}

fn segment_removed() {
    survives(&segment::unlink(), Mode::Kill, 200);
    survives(&segment::give_up(), Mode::Kill, 200);
}

fn condvar() {
    survives(&condvar::notify_one(), Mode::Kill, 300);
    survives(&condvar::notify_all(), Mode::Kill, 300);
    survives(&condvar::wait(), Mode::Kill, 200);
    survives(&condvar::wait_in_vain(), Mode::Kill, 100);
}

fn once() {
    survives(&once::call_once(), Mode::Kill, 300);
    survives(&once::wait_for_it(), Mode::Kill, 200);
}

fn once_frozen() {
    survives(&once::call_once(), Mode::Freeze, 200);
    survives(&once::wait_for_it(), Mode::Freeze, 100);
}

fn rwlock_read() {
    survives(&rwlock::read_it(), Mode::Kill, 200);
    survives(&rwlock::stop_reading(), Mode::Kill, 200);
    survives(&rwlock::try_both(), Mode::Kill, 200);
}

fn rwlock_write() {
    survives(&rwlock::write_it(), Mode::Kill, 200);
    survives(&rwlock::stop_writing(), Mode::Kill, 200);
    survives(&rwlock::recover(), Mode::Kill, 200);
    survives(&rwlock::count_once(), Mode::Kill, 200);
}

fn rwlock_frozen() {
    survives(&rwlock::read_it(), Mode::Freeze, 100);
    survives(&rwlock::stop_reading(), Mode::Freeze, 100);
    survives(&rwlock::write_it(), Mode::Freeze, 100);
    survives(&rwlock::stop_writing(), Mode::Freeze, 100);
    survives(&rwlock::recover(), Mode::Freeze, 100);
    survives(&rwlock::count_once(), Mode::Freeze, 100);
}

fn rwlock_killed_twice() {
    survives(&rwlock::stop_writing(), Mode::Double, 200);
    survives(&rwlock::recover(), Mode::Double, 200);
}

fn semaphore() {
    survives(&semaphore::acquire(), Mode::Kill, 200);
    survives(&semaphore::acquire_and_forget(), Mode::Kill, 200);
    survives(&semaphore::try_acquire(), Mode::Kill, 200);
    survives(&semaphore::give_back(), Mode::Kill, 200);
    survives(&semaphore::add(), Mode::Kill, 200);
}

fn semaphore_frozen() {
    survives(&semaphore::acquire(), Mode::Freeze, 100);
    survives(&semaphore::give_back(), Mode::Freeze, 100);
    survives(&semaphore::add(), Mode::Freeze, 100);
}

fn what_is_given_up_is_not_touched() {
    survives(&mutex::unlock(), Mode::Touch, 1);
    survives(&rwlock::stop_writing(), Mode::Touch, 1);
}

fn no_wake_is_slept_through() {
    survives(&mutex::lock(), Mode::Wake, 100);
    survives(&mutex::lock_timeout(), Mode::Wake, 100);
    survives(&rwlock::read_it(), Mode::Wake, 100);
    survives(&rwlock::write_it(), Mode::Wake, 100);
    survives(&semaphore::acquire(), Mode::Wake, 100);
    survives(&condvar::wait(), Mode::Wake, 100);
    survives(&event::wait_for_it(), Mode::Wake, 100);
    survives(&once::call_once(), Mode::Wake, 100);
    survives(&once::wait_for_it(), Mode::Wake, 100);
}
