//! `cargo bench --manifest-path benches/peers/Cargo.toml`: tine beside other crates that do the same.

#[path = "../support/orders.rs"]
mod orders;
#[path = "../support/mod.rs"]
mod support;

use std::hint::black_box;

use orders::{Order, orders};
use support::{Goal, Table, per_call};

fn main() {
    // In a process that procspawn has started, this runs its function and does not return.
    procspawn::init();
    // Asked for backtraces, every child is given a file for its own, which would be measured too.
    // SAFETY: the program has one thread.
    unsafe { std::env::remove_var("RUST_BACKTRACE") };
    spawn_and_join();
    message();
}

fn spawn_and_join() {
    let ours = || tine::spawn(|| 1_u64).expect("a child").join().expect("its result");
    let mem_isolate = || mem_isolate::execute_in_isolated_process(|| 1_u64).expect("its result");
    let procspawn = || procspawn::spawn((), |()| 1_u64).join().expect("its result");
    Table::new("a process that returns 1_u64", "tine: spawn + join", || per_call(10, ours))
        .row("fork + _exit + waitpid (no result)", Goal::None, || per_call(10, support::bare_fork))
        .row("mem-isolate 0.1: execute_in_isolated_process", Goal::AtLeast(1.2), || per_call(10, mem_isolate))
        .row("procspawn 1.0: spawn + join", Goal::AtLeast(5.0), || per_call(5, procspawn))
        .print(51);
}

fn message() {
    const CALLS: u32 = 10;
    let orders = orders(1000);
    let config = bincode::config::standard();
    let tine = tine::wire::to_bytes(&orders).expect("it encodes");
    let postcard = postcard::to_allocvec(&orders).expect("it encodes");
    let bincode = bincode::encode_to_vec(&orders, config).expect("it encodes");
    // All three can do what is measured.
    assert_eq!(tine::wire::from_bytes::<Vec<Order>>(&tine).expect("it decodes"), orders);
    assert_eq!(postcard::from_bytes::<Vec<Order>>(&postcard).expect("it decodes"), orders);
    assert_eq!(bincode::decode_from_slice::<Vec<Order>, _>(&bincode, config).expect("it decodes").0, orders);
    println!(
        "\n1000 orders: tine {} bytes, postcard {} bytes, bincode {} bytes",
        tine.len(),
        postcard.len(),
        bincode.len()
    );

    Table::new("encode 1000 orders into a new Vec", "tine::wire", || {
        per_call(CALLS, || tine::wire::to_bytes(black_box(&orders)))
    })
    .row("postcard 1.1", Goal::None, || per_call(CALLS, || postcard::to_allocvec(black_box(&orders))))
    .row("bincode 2.0", Goal::None, || per_call(CALLS, || bincode::encode_to_vec(black_box(&orders), config)))
    .print(51);

    Table::new("decode 1000 orders", "tine::wire", || {
        per_call(CALLS, || tine::wire::from_bytes::<Vec<Order>>(black_box(&tine)))
    })
    .row("postcard 1.1", Goal::None, || per_call(CALLS, || postcard::from_bytes::<Vec<Order>>(black_box(&postcard))))
    .row("bincode 2.0", Goal::None, || {
        per_call(CALLS, || bincode::decode_from_slice::<Vec<Order>, _>(black_box(&bincode), config))
    })
    .print(51);
}
