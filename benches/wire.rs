//! `cargo bench --bench wire`: what turning values into bytes and back costs, against copying the same bytes.
//!
//! Each round measures every row once, in turn, so that whatever slows the machine down slows them all. A row's ratio
//! is the median over the rounds of the first row's time by its own: 1.00 is as fast, 0.50 takes twice as long.
use std::hint::black_box;
use std::time::{Duration, Instant};

use tine::wire::{self, Decoder, Encoder, Wire};

tine::wire! {
    #[derive(Clone)]
    struct Order {
        id: u64,
        customer: String,
        lines: Vec<Line>,
        placed: Duration,
        paid: Option<Payment>,
        gift: bool,
    }
    #[derive(Clone)]
    struct Line { article: u32, name: String, amount: u16, price: f64 }
    #[derive(Clone)]
    enum Payment {
        Cash,
        Card { number: [u8; 16], valid: (u8, u16) },
        Transfer(String),
    }
}

tine::plain! {
    #[derive(Clone, Copy)]
    struct Sample { at: u64, value: f32, channel: u32 }
}

fn orders(n: u64) -> Vec<Order> {
    let line = |i: u64| Line {
        article: i as u32,
        name: format!("article {i}"),
        amount: (i % 9) as u16,
        price: i as f64 * 0.25,
    };
    let payment = |i: u64| match i % 4 {
        0 => None,
        1 => Some(Payment::Cash),
        2 => Some(Payment::Card { number: [7; 16], valid: (12, 2030) }),
        _ => Some(Payment::Transfer(format!("account {i}"))),
    };
    let order = |id: u64| Order {
        id,
        customer: format!("customer number {id}"),
        lines: (0..1 + id % 7).map(line).collect(),
        placed: Duration::from_millis(id),
        paid: payment(id),
        gift: id.is_multiple_of(3),
    };
    (0..n).map(order).collect()
}

/// The honest copy: new memory, not zeroed, then one `memcpy`.
fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(bytes.len());
    copy.extend_from_slice(bytes);
    copy
}

fn timed<R>(times: u32, mut f: impl FnMut() -> R) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let result = black_box(f());
        total += start.elapsed();
        drop(result); // giving memory back is not what is measured
    }
    total / times
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// One row of a table: its name, and one measurement of it.
type Row<'a> = (&'a str, &'a dyn Fn() -> Duration);

fn table(title: &str, bytes: usize, rounds: usize, rows: &[Row<'_>]) {
    let mut times = vec![Vec::new(); rows.len()];
    for round in 0..=rounds {
        for (row, times) in rows.iter().zip(&mut times) {
            let time = row.1();
            // The first round warms up.
            if round > 0 {
                times.push(time.as_secs_f64());
            }
        }
    }
    println!("\n{title}, {bytes} bytes, median of {rounds} rounds");
    println!("{:<34} {:>12} {:>9} {:>7}", "", "time", "GB/s", "ratio");
    for (row, own) in rows.iter().zip(&times) {
        let time = median(own.clone());
        let ratio = median(times[0].iter().zip(own).map(|(first, own)| first / own).collect());
        println!("{:<34} {:>9.1} us {:>9.2} {:>7.2}", row.0, time * 1e6, bytes as f64 / time / 1e9, ratio);
    }
}

fn against_memcpy<T: Wire>(title: &str, value: &T, rounds: usize, times: u32) {
    let bytes = wire::to_bytes(value).expect("the value crosses");
    let reused = std::cell::RefCell::new(Encoder::new());
    table(
        title,
        bytes.len(),
        rounds,
        &[
            ("memcpy into a new Vec", &|| timed(times, || copied(black_box(&bytes)))),
            ("encode into a new Vec", &|| timed(times, || wire::to_bytes(black_box(value)).expect("it crosses"))),
            ("encode into a used buffer", &|| {
                timed(times, || {
                    let mut out = reused.borrow_mut();
                    out.clear();
                    value.encode(&mut out).expect("it crosses");
                    out.len()
                })
            }),
            ("decode", &|| timed(times, || T::decode(&mut Decoder::new(black_box(&bytes))).ok())),
        ],
    );
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, scale) = if quick { (1, 64) } else { (9, 1) };

    let numbers: Vec<f64> = (0..(64 << 20) / 8 / scale).map(|i| i as f64).collect();
    against_memcpy("Vec<f64>", &numbers, rounds, 5);

    let samples = vec![Sample { at: 1, value: 0.5, channel: 3 }; 4096];
    against_memcpy("Vec of 4096 plain structs", &samples, rounds, 1000 / scale as u32);

    let orders = orders(1000);
    against_memcpy("Vec of 1000 orders: text, options, enums, vectors", &orders, rounds, 200 / scale as u32 + 1);
}
