//! Measures what a fork costs on this machine, and what `tine::memory::fork_cost` says it costs.
//!
//! `cargo run --release --example fork_cost`

use std::io;
use std::time::{Duration, Instant};

use tine::memory::{Advice, Frozen, Private, SharedSlice, fork_cost};

const ROUNDS: usize = 15;

fn main() -> io::Result<()> {
    println!("{:<44} {:>12} {:>12}", "what the parent has", "measured", "estimated");
    report("nothing")?;
    for mib in [16, 64, 256, 1024] {
        let region = Private::<[u8]>::zeroed(mib << 20)?;
        region.advise(Advice::NoHugePages)?;
        region.advise(Advice::PopulateWrite)?;
        report(&format!("{mib} MiB private, pages of 4 KiB"))?;
    }
    for mib in [16, 64, 256, 1024] {
        let region = Private::<[u8]>::zeroed(mib << 20)?;
        region.advise(Advice::HugePages)?;
        region.advise(Advice::PopulateWrite)?;
        report(&format!("{mib} MiB private, huge pages"))?;
    }
    {
        let region = Private::<[u8]>::zeroed(1 << 30)?;
        region.advise(Advice::NoHugePages)?;
        region.advise(Advice::PopulateWrite)?;
        let _hidden = region.dont_fork()?;
        report("1024 MiB private, dont_fork")?;
    }
    {
        let region = SharedSlice::<u8>::zeroed(1 << 30)?;
        region.advise(Advice::PopulateWrite)?;
        report("1024 MiB SharedSlice")?;
    }
    {
        let _frozen = Frozen::<u8>::build(1 << 30, |_| ())?;
        report("1024 MiB Frozen")?;
    }
    {
        // Guards keep the kernel from joining neighbours: three mappings each.
        let regions: Vec<_> = (0..5000).map(|_| Private::<[u8]>::zeroed_guarded(4096)).collect::<Result<_, _>>()?;
        report(&format!("{} regions with guard pages, not touched", regions.len()))?;
    }
    Ok(())
}

fn report(what: &str) -> io::Result<()> {
    let estimate = fork_cost()?.time;
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| bare_fork()).collect();
    times.sort();
    println!("{what:<44} {:>9} us {:>9} us", times[ROUNDS / 2].as_micros(), estimate.as_micros());
    Ok(())
}

/// The time from the call of fork to its return in the parent.
fn bare_fork() -> Duration {
    let start = Instant::now();
    // SAFETY: the child only exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above.
        unsafe { libc::_exit(0) }
    }
    let time = start.elapsed();
    let pid = rustix::process::Pid::from_raw(pid).expect("fork");
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    time
}
