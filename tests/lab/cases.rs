//! The cases: first the lab itself, on toys that are right and toys that are wrong; then the library.
use super::campaign::{self, Mode, Plan};
use super::finding::{Kind, Tally};
use super::operation::Operation;
use super::operations::{
    chunks, condvar, event, frames, mutex, once, rwlock, segment, semaphore, spawn, toy_lock, toy_ring, toy_share,
};
use super::{table, trace};
use crate::cases;
use crate::support::{self, Case};

/// Makes cases of campaigns: `name: Mode, points of each start, operation;`.
macro_rules! campaigns {
    ($($name:ident: $mode:ident, $most:literal, $operation:expr;)*) => {
        $(fn $name() {
            survives(&$operation, Mode::$mode, Plan::short($most));
        })*
        const CAMPAIGNS: &[Case] = cases![$($name),*];
    };
}

/// As above, for operations of very many instructions: in the short run they are killed at their system calls.
macro_rules! campaigns_by_calls {
    ($($name:ident: $operation:expr;)*) => {
        $(fn $name() {
            survives(&$operation, Mode::Kill, Plan::by_calls());
        })*
        const CAMPAIGNS_BY_CALLS: &[Case] = cases![$($name),*];
    };
}

pub const CASES: &[Case] = &{
    const PARTS: [&[Case]; 3] = [ITSELF, CAMPAIGNS, CAMPAIGNS_BY_CALLS];
    const N: usize = PARTS[0].len() + PARTS[1].len() + PARTS[2].len();
    let mut all = [PARTS[0][0]; N];
    let (mut i, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut j = 0;
        while j < PARTS[part].len() {
            all[i] = PARTS[part][j];
            (i, j) = (i + 1, j + 1);
        }
        part += 1;
    }
    all
};

fn run<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan) -> Tally {
    if let Err(why) = campaign::probe() {
        support::skip(&why);
    }
    let since = std::time::Instant::now();
    let tally = campaign::run(operation, mode, plan);
    println!("{}, {mode}: {} points in {:?}", operation.name, tally.points(), since.elapsed());
    tally
}

fn survives<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan) {
    let tally = run(operation, mode, plan);
    table::add_row(operation.name, mode, operation.starts.len(), &tally);
    is_clean(&tally);
}

fn is_clean(tally: &Tally) {
    assert!(tally.points() > 0, "nothing was done");
    assert_eq!(tally.findings(), 0, "findings; they are above");
}

// -------------------------------------------------------------------------------------------------- the lab itself

const ITSELF: &[Case] = cases![
    instructions_are_told_apart,
    the_right_toys_survive,
    a_head_published_early_is_torn,
    a_wake_before_the_store_hangs,
    an_owner_written_apart_hangs,
    a_missing_recheck_hangs,
    a_recovery_that_is_not_idempotent_tears,
    a_touch_after_the_unlock_tears,
    a_forgotten_waiter_flag_hangs,
    a_leaked_share_hangs,
    a_forgotten_cloexec_leaks,
];

fn instructions_are_told_apart() {
    trace::check_instructions();
}

fn the_right_toys_survive() {
    fn survives<S, L>(operation: &Operation<S, L>, mode: Mode, most: usize) {
        is_clean(&run(operation, mode, Plan::short(most)));
    }
    survives(&toy_ring::send::<false>(), Mode::Kill, 500);
    survives(&toy_ring::receive(), Mode::Kill, 500);
    survives(&toy_share::read::<false>(), Mode::Kill, 500);
    survives(&toy_share::open::<false>(), Mode::Kill, 500);
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Kill, 200);
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Wake, 200);
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Freeze, 100);
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), Mode::Double, 200);
    survives(&toy_lock::unlock::<{ toy_lock::RIGHT }>(), Mode::Kill, 100);
    survives(&toy_lock::unlock::<{ toy_lock::RIGHT }>(), Mode::Freeze, 100);
}

/// A wrong version: it is caught, for what it is.
fn is_caught<S, L>(operation: &Operation<S, L>, mode: Mode, kind: Kind) {
    let tally = run(operation, mode, Plan::short(500).until_found());
    assert!(tally.of(kind) > 0, "{} findings, but not one {kind:?}", tally.findings());
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
    is_caught(&toy_lock::count::<{ toy_lock::NO_RECHECK }>(), Mode::Wake, Kind::Hang);
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

// ----------------------------------------------------------------------------------------------------- the library

campaigns! {
    mutex_lock_killed: Kill, 300, mutex::lock();
    mutex_try_lock_killed: Kill, 300, mutex::try_lock();
    mutex_lock_timeout_killed: Kill, 300, mutex::lock_timeout();
    mutex_lock_in_vain_killed: Kill, 100, mutex::lock_timeout_in_vain();
    mutex_unlock_killed: Kill, 300, mutex::unlock();
    mutex_recover_killed: Kill, 300, mutex::recover();
    mutex_leave_killed: Kill, 300, mutex::leave();
    mutex_count_killed: Kill, 300, mutex::count_once();
    mutex_lock_frozen: Freeze, 100, mutex::lock();
    mutex_try_lock_frozen: Freeze, 100, mutex::try_lock();
    mutex_lock_timeout_frozen: Freeze, 100, mutex::lock_timeout();
    mutex_unlock_frozen: Freeze, 200, mutex::unlock();
    mutex_recover_frozen: Freeze, 200, mutex::recover();
    mutex_leave_frozen: Freeze, 200, mutex::leave();
    mutex_count_frozen: Freeze, 100, mutex::count_once();
    mutex_lock_woken: Wake, 100, mutex::lock();
    mutex_lock_timeout_woken: Wake, 100, mutex::lock_timeout();
    mutex_unlock_killed_twice: Double, 300, mutex::unlock();
    mutex_recover_killed_twice: Double, 300, mutex::recover();
    mutex_count_killed_twice: Double, 100, mutex::count_once();
    mutex_unlock_touches_nothing: Touch, 1, mutex::unlock();

    rwlock_read_killed: Kill, 200, rwlock::read_it();
    rwlock_stop_reading_killed: Kill, 200, rwlock::stop_reading();
    rwlock_try_killed: Kill, 200, rwlock::try_both();
    rwlock_write_killed: Kill, 200, rwlock::write_it();
    rwlock_stop_writing_killed: Kill, 200, rwlock::stop_writing();
    rwlock_recover_killed: Kill, 200, rwlock::recover();
    rwlock_count_killed: Kill, 200, rwlock::count_once();
    rwlock_read_frozen: Freeze, 60, rwlock::read_it();
    rwlock_stop_reading_frozen: Freeze, 100, rwlock::stop_reading();
    rwlock_write_frozen: Freeze, 60, rwlock::write_it();
    rwlock_stop_writing_frozen: Freeze, 100, rwlock::stop_writing();
    rwlock_recover_frozen: Freeze, 100, rwlock::recover();
    rwlock_count_frozen: Freeze, 60, rwlock::count_once();
    rwlock_read_woken: Wake, 60, rwlock::read_it();
    rwlock_write_woken: Wake, 60, rwlock::write_it();
    rwlock_stop_writing_killed_twice: Double, 100, rwlock::stop_writing();
    rwlock_recover_killed_twice: Double, 100, rwlock::recover();
    rwlock_stop_writing_touches_nothing: Touch, 1, rwlock::stop_writing();

    semaphore_acquire_killed: Kill, 200, semaphore::acquire();
    semaphore_acquire_and_forget_killed: Kill, 200, semaphore::acquire_and_forget();
    semaphore_try_acquire_killed: Kill, 200, semaphore::try_acquire();
    semaphore_give_back_killed: Kill, 200, semaphore::give_back();
    semaphore_add_killed: Kill, 200, semaphore::add();
    semaphore_acquire_frozen: Freeze, 60, semaphore::acquire();
    semaphore_give_back_frozen: Freeze, 100, semaphore::give_back();
    semaphore_add_frozen: Freeze, 100, semaphore::add();
    semaphore_acquire_woken: Wake, 60, semaphore::acquire();

    condvar_notify_one_killed: Kill, 200, condvar::notify_one();
    condvar_notify_all_killed: Kill, 200, condvar::notify_all();
    condvar_wait_killed: Kill, 200, condvar::wait();
    condvar_wait_in_vain_killed: Kill, 100, condvar::wait_in_vain();
    condvar_wait_woken: Wake, 100, condvar::wait();

    event_set_killed: Kill, 300, event::set_it();
    event_clear_killed: Kill, 300, event::clear_it();
    event_wait_killed: Kill, 200, event::wait_for_it();
    event_wait_in_vain_killed: Kill, 100, event::wait_in_vain();
    event_set_frozen: Freeze, 100, event::set_it();
    event_clear_frozen: Freeze, 100, event::clear_it();
    event_wait_frozen: Freeze, 60, event::wait_for_it();
    event_wait_woken: Wake, 100, event::wait_for_it();

    once_call_killed: Kill, 200, once::call_once();
    once_wait_killed: Kill, 200, once::wait_for_it();
    once_call_frozen: Freeze, 100, once::call_once();
    once_wait_frozen: Freeze, 60, once::wait_for_it();
    once_call_woken: Wake, 60, once::call_once();
    once_wait_woken: Wake, 60, once::wait_for_it();

    segment_create_killed: Kill, 200, segment::create();
    segment_create_or_recover_killed: Kill, 200, segment::create_or_recover();
    segment_open_killed: Kill, 200, segment::open();
    segment_unlink_killed: Kill, 200, segment::unlink();
    segment_drop_killed: Kill, 200, segment::give_up();

    frames_send_killed: Kill, 200, frames::send_it();
}

campaigns_by_calls! {
    mutex_first_lock_killed: mutex::first_lock();
    spawn_and_join_killed: spawn::spawn_and_join();
    spawn_detached_killed: spawn::spawn_detached();
    join_killed: spawn::join_it();
    chunks_killed: chunks::run();
}
