//! One number there and back, again and again, between two processes: how long that takes, by how they wait.
//!
//! ```text
//! cargo run --release --example ping_pong -- SECONDS     for so long in each way of waiting; 1, if nothing is said
//! ```
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tine::channel::{Spin, spsc};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let limit = match std::env::args().nth(1) {
        None => Duration::from_secs(1),
        Some(text) => seconds(&text).ok_or_else(|| format!("{text} is no number of seconds"))?,
    };
    let cpus = sched_getaffinity(None)?;
    println!(
        "8 bytes there and 8 bytes back, between two processes, on {} CPUs; a # more for twice as many",
        cpus.count()
    );
    for (spin, what) in [
        (Spin::Always, "Spin::Always: looks again and again, and never sleeps"),
        (Spin::Adaptive, "Spin::Adaptive: looks again for about as long as a wake takes, then sleeps"),
        (Spin::Never, "Spin::Never: sleeps at once, and has to be woken"),
    ] {
        println!("\n{what}");
        show(&round_trips(spin, limit, &cpus)?);
    }
    Ok(())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// How long each round trip took, in nanoseconds.
fn round_trips(spin: Spin, limit: Duration, cpus: &CpuSet) -> Result<Histogram<u64>> {
    let (mut to, mut there) = spsc::channel::<u64>(1)?;
    let (mut back, mut from) = spsc::channel::<u64>(1)?;
    from.set_spin(spin);
    there.set_spin(spin);
    let echo = tine::spawn(move || {
        let _ = stay_on(1, cpus);
        while let Ok(number) = there.recv() {
            if back.send(number).is_err() {
                break;
            }
        }
    })?;
    let _ = stay_on(0, cpus);

    let mut taken = Histogram::new(3)?;
    let start = Instant::now();
    let mut before = start;
    for number in 0.. {
        to.send(number)?;
        assert_eq!(from.recv()?, number);
        let now = Instant::now();
        // The first are those of a process that is just beginning.
        if now - start > limit / 10 {
            taken.record((now - before).as_nanos() as u64)?;
        }
        if now - start > limit {
            break;
        }
        before = now;
    }
    drop(to); // the end of the child's loop
    echo.join()?;
    Ok(taken)
}

/// Stays on the first CPU, or on the second. A child begins where its parent is, and who is woken comes to who has woken it: there
/// they would only take turns, and no looking again would help.
fn stay_on(which: usize, cpus: &CpuSet) -> rustix::io::Result<()> {
    let Some(cpu) = (0..CpuSet::MAX_CPU).filter(|&cpu| cpus.is_set(cpu)).nth(which) else { return Ok(()) };
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)
}

fn show(taken: &Histogram<u64>) {
    let rows = taken.iter_log(64, 2.0).map(|row| (row.value_iterated_to(), row.count_since_last_iteration()));
    for (most, count) in rows.skip_while(|&(_, count)| count == 0) {
        let bar = "#".repeat(count.checked_ilog2().map_or(0, |log| 1 + log as usize));
        println!("  up to {:>12}  {count:>9}  {bar}", micros(most));
    }
    println!("  of {} round trips", taken.len());
    for (quantile, what) in [(0.5, "half"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (1.0, "all")] {
        println!("  {what:>8}: {:>12}", micros(taken.value_at_quantile(quantile)));
    }
}

fn micros(nanos: u64) -> String {
    format!("{:.2} us", nanos as f64 / 1000.0)
}
