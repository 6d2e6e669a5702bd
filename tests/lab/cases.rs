//! The cases: first the lab itself, on toys that are right and toys that are wrong; then the library.
use super::campaign::{self, Mode, Plan};
use super::finding::{Kind, Tally};
use super::operation::Operation;
use super::operations::{
    barrier, bytes, chunks, condvar, duplex, event, frames, letters, mpmc, mutex, once, queue, rwlock, segment,
    semaphore, spawn, spsc, toy_lock, toy_ring, toy_share,
};
use super::{table, trace};
use crate::cases;
use crate::support::{self, Case};

/// Makes cases: `name: operation, mode and points of each start, ..;`.
macro_rules! campaigns {
    ($($name:ident: $operation:expr, $($mode:ident $most:literal),*;)*) => {
        $(fn $name() {
            survives(&$operation, &[$(Plan::new(Mode::$mode, $most)),*]);
        })*
        const CAMPAIGNS: &[Case] = cases![$($name),*];
    };
}

pub const CASES: &[Case] = &{
    let mut all = [ITSELF[0]; ITSELF.len() + CAMPAIGNS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < ITSELF.len() { ITSELF[i] } else { CAMPAIGNS[i - ITSELF.len()] };
        i += 1;
    }
    all
};

fn run<S, L>(operation: &Operation<S, L>, plans: &[Plan]) -> Vec<Tally> {
    if let Err(why) = campaign::probe() {
        support::skip(&why);
    }
    let since = std::time::Instant::now();
    let tallies = campaign::run(operation, plans);
    let counts: Vec<String> = plans.iter().zip(&tallies).map(|(p, t)| format!("{} {}", t.points(), p.mode)).collect();
    println!("{}: {} in {:?}", operation.name, counts.join(", "), since.elapsed());
    tallies
}

fn survives<S, L>(operation: &Operation<S, L>, plans: &[Plan]) {
    let tallies = run(operation, plans);
    for (plan, tally) in plans.iter().zip(&tallies) {
        table::add_row(operation.name, plan.mode, operation.starts.len(), tally);
    }
    is_clean(&tallies);
}

fn is_clean(tallies: &[Tally]) {
    assert!(tallies.iter().all(|tally| tally.points() > 0), "nothing was done");
    assert_eq!(tallies.iter().map(Tally::findings).sum::<u64>(), 0, "findings; they are above");
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
    fn survives<S, L>(operation: &Operation<S, L>, plans: &[(Mode, usize)]) {
        let plans: Vec<Plan> = plans.iter().map(|(mode, most)| Plan::new(*mode, *most)).collect();
        is_clean(&run(operation, &plans));
    }
    survives(&toy_ring::send::<false>(), &[(Mode::Kill, 200)]);
    survives(&toy_ring::receive(), &[(Mode::Kill, 200)]);
    survives(&toy_share::read::<false>(), &[(Mode::Kill, 200)]);
    survives(&toy_share::open::<false>(), &[(Mode::Kill, 500), (Mode::KillAtCalls, 1)]);
    let all = [(Mode::Kill, 100), (Mode::Wake, 60), (Mode::Freeze, 60), (Mode::Double, 60)];
    survives(&toy_lock::count::<{ toy_lock::RIGHT }>(), &all);
    survives(&toy_lock::unlock::<{ toy_lock::RIGHT }>(), &[(Mode::Kill, 60), (Mode::Freeze, 60)]);
}

/// A wrong version: it is caught, for what it is.
fn is_caught<S, L>(operation: &Operation<S, L>, mode: Mode, kind: Kind) {
    let tally = run(operation, &[Plan::new(mode, 500).until_found()]).remove(0);
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
    mutex_lock: mutex::lock(), Kill 130, Freeze 60, Wake 60;
    mutex_first_lock: mutex::first_lock(), KillAtCalls 1;
    mutex_try_lock: mutex::try_lock(), Kill 130, Freeze 60;
    mutex_lock_timeout: mutex::lock_timeout(), Kill 130, Freeze 60, Wake 60;
    mutex_lock_timeout_in_vain: mutex::lock_timeout_in_vain(), Kill 80;
    mutex_unlock: mutex::unlock(), Kill 200, Freeze 100, Double 100, Touch 1;
    mutex_recover: mutex::recover(), Kill 200, Freeze 100, Double 100;
    mutex_leave: mutex::leave(), Kill 130, Freeze 60, Double 60;
    mutex_count: mutex::count_once(), Kill 130, Freeze 60, Double 60;

    rwlock_read: rwlock::read_it(), Kill 90, Freeze 40, Wake 40;
    rwlock_stop_reading: rwlock::stop_reading(), Kill 110, Freeze 60;
    rwlock_try: rwlock::try_both(), Kill 110;
    rwlock_read_timeout: rwlock::read_timeout(), Kill 100, Wake 30;
    rwlock_write_timeout: rwlock::write_timeout(), Kill 100, Wake 30;
    rwlock_timeouts_in_vain: rwlock::timeouts_in_vain(), Kill 60;
    rwlock_write: rwlock::write_it(), Kill 110, Freeze 50, Wake 50;
    rwlock_stop_writing: rwlock::stop_writing(), Kill 110, Freeze 60, Double 60, Touch 1;
    rwlock_recover: rwlock::recover(), Kill 130, Freeze 60, Double 60;
    rwlock_count: rwlock::count_once(), Kill 110, Freeze 50;

    semaphore_acquire: semaphore::acquire(), Kill 110, Freeze 50, Wake 50;
    semaphore_acquire_and_forget: semaphore::acquire_and_forget(), Kill 110;
    semaphore_try_acquire: semaphore::try_acquire(), Kill 110;
    semaphore_acquire_timeout: semaphore::acquire_timeout(), Kill 100, Wake 30;
    semaphore_acquire_timeout_in_vain: semaphore::acquire_timeout_in_vain(), Kill 60;
    semaphore_give_back: semaphore::give_back(), Kill 110, Freeze 60;
    semaphore_add: semaphore::add(), Kill 110, Freeze 60;

    condvar_notify_one: condvar::notify_one(), Kill 110;
    condvar_notify_all: condvar::notify_all(), Kill 110;
    condvar_wait: condvar::wait(), Kill 110, Wake 50;
    condvar_wait_in_vain: condvar::wait_in_vain(), Kill 80;

    barrier_wait: barrier::wait(), Kill 90, Wake 40;
    barrier_wait_in_vain: barrier::wait_in_vain(), Kill 60;
    barrier_abort: barrier::abort(), Kill 100;
    barrier_reset: barrier::reset(), Kill 100;

    event_set: event::set_it(), Kill 130, Freeze 60;
    event_clear: event::clear_it(), Kill 130, Freeze 60;
    event_wait: event::wait_for_it(), Kill 110, Freeze 50, Wake 50;
    event_wait_in_vain: event::wait_in_vain(), Kill 80;

    once_call: once::call_once(), Kill 110, Freeze 60, Wake 50;
    once_wait: once::wait_for_it(), Kill 110, Freeze 50, Wake 50;

    segment_create: segment::create(), Kill 130;
    segment_create_or_recover: segment::create_or_recover(), Kill 130;
    segment_open: segment::open(), Kill 130;
    segment_unlink: segment::unlink(), Kill 130;
    segment_drop: segment::give_up(), Kill 130;

    frames_send: frames::send_it(), Kill 50;
    chunks_fill: chunks::run(), KillAtCalls 1;

    mpmc_send: mpmc::send::<u64>("mpmc send, 8 bytes"), Kill 200, Wake 40;
    mpmc_send_nothing: mpmc::send::<()>("mpmc send, 0 bytes"), Kill 50;
    mpmc_send_byte: mpmc::send::<u8>("mpmc send, 1 byte"), Kill 50;
    mpmc_send_three: mpmc::send::<[u64; 3]>("mpmc send, 24 bytes"), Kill 150;
    mpmc_send_page: mpmc::send::<[u64; 512]>("mpmc send, 4096 bytes"), Kill 10;
    mpmc_try_send: mpmc::send_beside::<[u64; 3]>("mpmc try_send, 24 bytes"), Kill 100, Freeze 100, Double 200;
    mpmc_recv: mpmc::recv::<u64>("mpmc recv, 8 bytes"), Kill 200, Wake 40;
    mpmc_recv_nothing: mpmc::recv::<()>("mpmc recv, 0 bytes"), Kill 50;
    mpmc_recv_byte: mpmc::recv::<u8>("mpmc recv, 1 byte"), Kill 50;
    mpmc_recv_three: mpmc::recv::<[u64; 3]>("mpmc recv, 24 bytes"), Kill 150;
    mpmc_recv_page: mpmc::recv::<[u64; 512]>("mpmc recv, 4096 bytes"), Kill 10;
    mpmc_try_recv: mpmc::recv_beside::<[u64; 3]>("mpmc try_recv, 24 bytes"), Kill 100, Freeze 100, Double 200;
    mpmc_recv_from_sleeper: mpmc::recv_from_sleeper(), Kill 200;
    mpmc_claim_done: mpmc::claim_done(), Kill 100, Wake 40;
    mpmc_try_claim_done: mpmc::claim_beside(), Kill 100, Freeze 100, Double 200;
    mpmc_claim_dropped: mpmc::claim_dropped(), Kill 100;

    spsc_send: spsc::send::<u64>("spsc send, 8 bytes"), Kill 200, Wake 60;
    spsc_send_nothing: spsc::send::<()>("spsc send, 0 bytes"), Kill 100;
    spsc_send_byte: spsc::send::<u8>("spsc send, 1 byte"), Kill 100;
    spsc_send_three: spsc::send::<[u64; 3]>("spsc send, 24 bytes"), Kill 150;
    spsc_send_page: spsc::send::<[u64; 512]>("spsc send, 4096 bytes"), Kill 20;
    spsc_send_to_sleeper: spsc::send_to_sleeper(), Kill 200;
    spsc_recv_from_sleeper: spsc::recv_from_sleeper(), Kill 200;
    spsc_send_to_poll: spsc::send_to_poll(), Kill 20;
    spsc_send_to_polled: spsc::send_to_polled(), Kill 100;
    spsc_try_send: spsc::try_send(), Kill 150;
    spsc_send_timeout_in_vain: spsc::send_timeout_in_vain(), Kill 200;
    spsc_send_slice: spsc::send_slice(), Kill 150;
    spsc_reserve: spsc::reserve(), Kill 150;
    spsc_close_sender: spsc::close_sender(), Kill 150;
    spsc_recv: spsc::recv::<u64>("spsc recv, 8 bytes"), Kill 200, Wake 60;
    spsc_recv_nothing: spsc::recv::<()>("spsc recv, 0 bytes"), Kill 100;
    spsc_recv_byte: spsc::recv::<u8>("spsc recv, 1 byte"), Kill 100;
    spsc_recv_three: spsc::recv::<[u64; 3]>("spsc recv, 24 bytes"), Kill 150;
    spsc_recv_page: spsc::recv::<[u64; 512]>("spsc recv, 4096 bytes"), Kill 20;
    spsc_try_recv: spsc::try_recv(), Kill 150;
    spsc_recv_timeout_in_vain: spsc::recv_timeout_in_vain(), Kill 200;
    spsc_recv_slice: spsc::recv_slice(), Kill 150;
    spsc_peek: spsc::peek(), Kill 150;
    spsc_close_receiver: spsc::close_receiver(), Kill 150;
    spsc_send_alone: spsc::send_alone::<u64>("spsc try_send, 8 bytes"), Kill 200, Freeze 100, Double 225;
    spsc_send_alone_nothing: spsc::send_alone::<()>("spsc try_send, 0 bytes"), Kill 50, Freeze 25, Double 25;
    spsc_send_alone_byte: spsc::send_alone::<u8>("spsc try_send, 1 byte"), Kill 50, Freeze 25, Double 25;
    spsc_send_alone_three: spsc::send_alone::<[u64; 3]>("spsc try_send, 24 bytes"), Kill 100, Freeze 50, Double 100;
    spsc_send_alone_page: spsc::send_alone::<[u64; 512]>("spsc try_send, 4096 bytes"), Kill 20, Freeze 15, Double 4;
    spsc_recv_alone: spsc::recv_alone::<u64>("spsc try_recv, 8 bytes"), Kill 200, Freeze 100, Double 225;
    spsc_recv_alone_nothing: spsc::recv_alone::<()>("spsc try_recv, 0 bytes"), Kill 50, Freeze 25, Double 25;
    spsc_recv_alone_byte: spsc::recv_alone::<u8>("spsc try_recv, 1 byte"), Kill 50, Freeze 25, Double 25;
    spsc_recv_alone_three: spsc::recv_alone::<[u64; 3]>("spsc try_recv, 24 bytes"), Kill 100, Freeze 50, Double 100;
    spsc_recv_alone_page: spsc::recv_alone::<[u64; 512]>("spsc try_recv, 4096 bytes"), Kill 20, Freeze 15, Double 4;
    duplex_send: duplex::send(), Kill 20;
    duplex_send_beside: duplex::send_beside(), Freeze 12, Double 9;
    duplex_recv: duplex::recv(), Kill 20, Freeze 12;
    duplex_drop: duplex::drop_end(), Kill 20;

    bytes_send: bytes::send(), Kill 130, Wake 30;
    bytes_send_long: bytes::send_long(), Kill 40, Wake 10;
    bytes_reserve: bytes::reserve(), Kill 80;
    bytes_close_sender: bytes::close_sender(), Kill 60;
    bytes_recv: bytes::recv(), Kill 130, Wake 30;
    bytes_recv_long: bytes::recv_long(), Kill 100;
    bytes_peek: bytes::peek(), Kill 80;

    bytes_try_send: bytes::send_alone(), Kill 80, Freeze 50, Double 36;
    bytes_try_recv: bytes::recv_alone(), Kill 80, Freeze 50, Double 36;

    queue_send_long: queue::send(), Kill 100;
    queue_send_page: queue::send_page(), Kill 30;
    queue_try_send: queue::send_beside(), Kill 60, Freeze 60, Double 49;
    queue_recv: queue::recv(), Kill 100;
    queue_recv_page: queue::recv_page(), Kill 30;
    queue_claim: queue::claim_and_done(), Kill 100;
    queue_try_claim: queue::claim_beside(), Kill 60, Freeze 60, Double 49;
    letters_last_claim: letters::last_claim_dropped(), Kill 50;
    letters_recv: letters::recv_letter(), Kill 20;
    letters_claim: letters::claim_letter(), Kill 20;

    spawn_and_join: spawn::spawn_and_join(), KillAtCalls 1;
    spawn_detached: spawn::spawn_detached(), KillAtCalls 1;
    join: spawn::join_it(), KillAtCalls 1;
}
