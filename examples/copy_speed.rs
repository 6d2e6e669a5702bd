//! Measures copies into and out of a `SharedSlice` against `memcpy` of the same memory.
//!
//! `cargo run --release --example copy_speed`

use std::hint::black_box;
use std::io;
use std::time::Instant;

use tine::memory::{Private, SharedSlice};

fn main() -> io::Result<()> {
    println!(
        "{:>10}  {:>8}  {:>14}  {:>14}  {:>13}",
        "bytes", "address", "in / memcpy", "out / memcpy", "memcpy, GB/s"
    );
    for misalignment in [0, 3] {
        for (len, times) in [(64, 1 << 20), (4096, 1 << 17), (1 << 16, 1 << 13), (1 << 18, 1 << 11), (1 << 26, 6)] {
            let source = vec![1u8; len + misalignment];
            let source = &source[misalignment..];
            let mut target = vec![2u8; len + misalignment];
            let target = &mut target[misalignment..];
            let mut other = vec![3u8; len + misalignment];
            let other = &mut other[misalignment..];
            let slice = SharedSlice::<u8>::zeroed(len)?;
            let mut plain = Private::<[u8]>::from_slice(source)?;
            slice.copy_from(0, source)?;

            let into = ratio(
                times,
                || slice.copy_from(0, black_box(source)).expect("it fits"),
                || black_box(&mut plain).copy_from_slice(black_box(source)),
            );
            let out = ratio(
                times,
                || slice.copy_to(0, black_box(&mut *target)).expect("it fits"),
                || black_box(&mut *other).copy_from_slice(black_box(source)),
            );
            let speed = len as f64 / into.1 / 1e9;
            println!("{len:>10}  {:>8}  {:>14.2}  {:>14.2}  {speed:>13.1}", format!("+{misalignment}"), into.0, out.0);
        }
    }
    Ok(())
}

/// How many times as fast as `base` `ours` is, and the time of `base` in seconds: medians of 9 pairs.
fn ratio(times: usize, mut ours: impl FnMut(), mut base: impl FnMut()) -> (f64, f64) {
    fn time(times: usize, f: &mut impl FnMut()) -> f64 {
        let start = Instant::now();
        (0..times).for_each(|_| f());
        start.elapsed().as_secs_f64() / times as f64
    }
    let mut pairs: Vec<(f64, f64)> = (0..9)
        .map(|_| {
            let base = time(times, &mut base);
            (base / time(times, &mut ours), base)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs[4]
}
