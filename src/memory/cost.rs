//! What a fork costs before anything is written: the page tables.

use std::io;
use std::time::Duration;

use rustix::process::Pid;

use crate::sys::map::page_size;

/// What a fork of this process would copy now, and how long that takes.
///
/// A fork copies no memory, but it copies the *page tables* of private memory, entry by entry: one for each 4 KiB page
/// that is present (or in swap), one for each huge page of 2 MiB. That dominates from about 10 MiB on. Shared memory
/// ([`Shared`](super::Shared), [`Frozen`](super::Frozen), program text) costs nothing, since its entries can be made
/// anew at the next access; [`Hidden`](super::Hidden) memory costs nothing, since the child does not get it.
///
/// To make a fork cheaper, in this order: keep large tables in `Frozen` or `SharedSlice`; give what the
/// child does not need [`dont_fork`](super::Private::dont_fork); use huge pages
/// ([`Advice::HugePages`](super::Advice::HugePages)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForkCost {
    /// How many mappings the child gets.
    pub mappings: usize,
    /// Entries for ordinary pages to copy.
    pub pages: usize,
    /// Entries for huge pages to copy.
    pub huge_pages: usize,
    /// Private memory that the child will share until one side writes, in bytes.
    pub private_bytes: u64,
    /// Memory that is kept from children, in bytes.
    pub hidden_bytes: u64,
    /// The size of this process's page tables, in bytes. The child's will be at most as large.
    pub page_table_bytes: u64,
    /// About how long the fork will take: within a factor of two or three for pages of 4 KiB on the AMD EPYC machine where
    /// the prices were measured (1 GiB: 11 ms are told, 6 to 19 ms were seen), cruder for huge pages and elsewhere.
    pub time: Duration,
}

/// The price of each part, in nanoseconds: from medians of 15 forks each, four runs, on 2 busy cores of an AMD EPYC
/// virtual machine with Linux 6.18. `cargo run --release --example fork_cost` measures them where you are.
///
/// A page costs more where the kernel's records of pages (64 bytes each) no longer fit the caches or lie out of
/// order, and that is nothing a process can look up. So one price in the middle stands for the range.
mod price {
    /// A fork of a small process: 21 to 50 us.
    pub(super) const BASE: u64 = 30_000;
    /// One more mapping: 10,000 to 20,000 untouched ones took 1.8 to 4.7 ms.
    pub(super) const MAPPING: u64 = 200;
    /// One more page: 19 to 30 ns with 256 MiB of them, 23 to 74 ns with 1 GiB.
    pub(super) const PAGE: u64 = 40;
    /// One more huge page: 0.2 to 1.1 us with 256 MiB of them, 0.4 to 1.0 us with 1 GiB.
    pub(super) const HUGE_PAGE: u64 = 500;
}

/// What a fork of this process would cost now.
///
/// This asks the kernel to walk all page tables (`/proc/self/smaps`), which takes about as long as the fork would.
/// The answer is stale as soon as memory is touched; the time is an estimate.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let before = tine::memory::fork_cost()?;
/// let table = vec![1u8; 64 << 20];
/// let after = tine::memory::fork_cost()?;
/// assert!(after.private_bytes > before.private_bytes + table.len() as u64 / 2); // other threads free some, too
/// assert!(after.time > before.time);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Where `/proc` is not mounted or not readable.
pub fn fork_cost() -> io::Result<ForkCost> {
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mut cost = add_up(&smaps);
    cost.page_table_bytes = field(&status, "VmPTE").unwrap_or(0);
    Ok(cost)
}

/// How many bytes a process has written that nobody shares with it, all mappings together (`Private_Dirty`); None
/// asks for the calling process.
///
/// In a snapshot this starts near nothing and grows by a page for each page that the other side copied.
pub(crate) fn private_dirty(pid: Option<Pid>) -> io::Result<u64> {
    let rollup = match pid {
        Some(pid) => std::fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero())),
        None => std::fs::read_to_string("/proc/self/smaps_rollup"),
    }?;
    field(&rollup, "Private_Dirty").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The value of a line `Name:  123 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| kib(line, name))
}

fn kib(line: &str, name: &str) -> Option<u64> {
    let value = line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB")?;
    value.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// One mapping's part of `/proc/PID/smaps`.
#[derive(Default)]
struct Mapping {
    rss: u64,
    anonymous: u64,
    huge: u64,
    swap: u64,
    shared: bool,
    hidden: bool,
}

fn add_up(smaps: &str) -> ForkCost {
    const HUGE_PAGE: u64 = 2 << 20;
    let mut cost = ForkCost {
        mappings: 0,
        pages: 0,
        huge_pages: 0,
        private_bytes: 0,
        hidden_bytes: 0,
        page_table_bytes: 0,
        time: Duration::ZERO,
    };
    let mut mapping = Mapping::default();
    for line in smaps.lines() {
        for (name, value) in [
            ("Rss", &mut mapping.rss),
            ("Anonymous", &mut mapping.anonymous),
            ("AnonHugePages", &mut mapping.huge),
            ("Swap", &mut mapping.swap),
        ] {
            if let Some(bytes) = kib(line, name) {
                *value = bytes;
            }
        }
        // The last line of each mapping.
        let Some(flags) = line.strip_prefix("VmFlags:") else { continue };
        for flag in flags.split_ascii_whitespace() {
            match flag {
                "sh" => mapping.shared = true,
                "dc" => mapping.hidden = true,
                _ => {}
            }
        }
        let mapping = std::mem::take(&mut mapping);
        if mapping.hidden {
            cost.hidden_bytes += mapping.rss;
            continue;
        }
        cost.mappings += 1;
        // Of a mapping without any page of its own the kernel copies nothing: faults bring the entries back.
        if mapping.shared || mapping.anonymous + mapping.swap == 0 {
            continue;
        }
        // Otherwise it copies all entries, those of unwritten file pages too.
        cost.pages += (mapping.rss.saturating_sub(mapping.huge) + mapping.swap) as usize / page_size();
        cost.huge_pages += (mapping.huge / HUGE_PAGE) as usize;
        cost.private_bytes += mapping.anonymous + mapping.swap;
    }
    let nanos = price::BASE
        + price::MAPPING * cost.mappings as u64
        + price::PAGE * cost.pages as u64
        + price::HUGE_PAGE * cost.huge_pages as u64;
    cost.time = Duration::from_nanos(nanos);
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55e0 r-xp 00000000 fe:00 1 /bin/x
Rss:                 400 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f00-7f80 rw-p 00000000 00:00 0
Rss:                4104 kB
Anonymous:          4104 kB
AnonHugePages:      4096 kB
Swap:                  4 kB
SwapPss:               4 kB
VmFlags: rd wr mr mw me ac
7f90-7fa0 rw-s 00000000 00:01 7 /dev/zero (deleted)
Rss:                1024 kB
Anonymous:             0 kB
VmFlags: rd wr sh mr mw me
7fb0-7fc0 rw-p 00000000 00:00 0
Rss:                  64 kB
Anonymous:            64 kB
VmFlags: rd wr mr mw me dc
";

    #[test]
    fn mappings_are_added_up() {
        let cost = add_up(SMAPS);
        assert_eq!((cost.mappings, cost.huge_pages), (3, 2));
        assert_eq!(cost.pages * page_size(), (8 + 4) << 10);
        assert_eq!((cost.private_bytes, cost.hidden_bytes), (4108 << 10, 64 << 10));
        let expected = price::BASE + 3 * price::MAPPING + cost.pages as u64 * price::PAGE + 2 * price::HUGE_PAGE;
        assert_eq!(cost.time, Duration::from_nanos(expected));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("SwapPss: 4 kB\nSwap:      3 kB\n", "Swap"), Some(3072));
        assert_eq!(field("Swap: x kB\n", "Swap"), None);
    }

    #[test]
    fn what_is_written_shows_as_private_and_dirty() {
        let is_seen = || {
            let before = private_dirty(None).unwrap();
            // Pages of its own: an allocator may give out what others have written before.
            let mut written = crate::memory::Private::<[u8]>::zeroed(8 << 20).unwrap();
            written.fill(1);
            let after = private_dirty(Some(rustix::process::getpid())).unwrap();
            after >= before + (written.len() / 2) as u64
        };
        // Other tests on other threads come and go, with as much: one look that none of them disturbs is enough.
        assert!((0..100).any(|_| is_seen()));
    }
}
