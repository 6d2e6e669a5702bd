//! Whether so much memory is to be had, asked before it is taken; and the taking.
//!
//! `fallocate` on a memfd takes page after page. Where a file system on disk would answer ENOSPC, a memfd has no
//! size limit of its own, and the one that hits the wall is the OOM killer: in a memory cgroup of 64 MiB,
//! preallocating 200 MB ended the process by SIGKILL (Linux 6.18, cgroup v1). A file in `/dev/shm` has the limit of
//! that file system, which may be larger than what the cgroup has. So the walls are looked up first: the limit of file
//! sizes, the memory available on the machine, and each memory cgroup above this process.
//!
//! Between the look and the taking others may take too; so large files are taken in steps, with a look before
//! each. What remains is the race of any allocation.

use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Up to here the memory is simply taken: the answer would cost more than the question is worth (about 0.1 ms), and
/// any `Vec` takes as much without asking.
const SMALL: u64 = 1 << 20;

/// How much is taken between two looks, and at once.
const STEP: u64 = 64 << 20;

/// And at least: this takes some microseconds.
const LEAST_STEP: u64 = 64 << 10;

/// Takes all of the memory of the first `len` bytes of a file now. What is there already stays as it is.
///
/// The file becomes longer where it is shorter, unless `flags` say that it keeps its size.
pub(super) fn take(file: impl AsFd, len: u64, flags: FallocateFlags) -> io::Result<()> {
    check_available(len)?;
    let mut at = 0;
    let mut most = STEP;
    while at < len {
        let step = (len - at).min(most);
        if at > 0 {
            check_available(step)?;
        }
        match rustix::fs::fallocate(&file, flags, at, step) {
            // Older kernels let any signal interrupt it, which undoes what the call took. Where signals come faster
            // than that, only a smaller step ever ends.
            Err(Errno::INTR) => most = (most / 2).max(LEAST_STEP),
            Err(errno) => return Err(errno.into()),
            Ok(()) => at += step,
        }
    }
    Ok(())
}

/// Whether a file may become `len` bytes long.
///
/// Growing one beyond RLIMIT_FSIZE raises SIGXFSZ, which kills who does not expect it.
pub(super) fn check_file_size(len: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if len > limit => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("a file of {len} bytes is over this process's limit of file sizes, {limit} bytes (RLIMIT_FSIZE)"),
        )),
        _ => Ok(()),
    }
}

/// Whether `len` bytes more are to be had.
///
/// One sixteenth of what is available is left: page tables and everybody else live from it.
fn check_available(len: u64) -> io::Result<()> {
    if len <= SMALL {
        return Ok(());
    }
    let refuse = |available: u64, place: &dyn Display| {
        if len <= available - available / 16 {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{len} bytes of memory do not fit: {available} bytes are available {place}; ask for less"),
        ))
    };
    // Where /proc is not mounted there is nothing to go by.
    if let Some(available) = read(Path::new("/proc/meminfo")).and_then(|text| machine(&text)) {
        refuse(available, &"on this machine (MemAvailable and SwapFree of /proc/meminfo)")?;
    }
    for (dir, version) in cgroups() {
        if let Some(available) = version.available(&dir) {
            refuse(available, &format_args!("in the memory cgroup {}", dir.display()))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// What `/proc/meminfo` says is available, in bytes.
fn machine(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some((kib("MemAvailable")? + kib("SwapFree").unwrap_or(0)).saturating_mul(1024))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    /// What is left in the cgroup at `dir`: its limit less its use, of which clean and dirty file pages do not
    /// count because they can be dropped. None where there is no limit.
    fn available(self, dir: &Path) -> Option<u64> {
        let (limit, usage) = match self {
            Version::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            Version::V2 => ("memory.max", "memory.current"),
        };
        // "max" is no number, and no limit.
        let limit: u64 = read(&dir.join(limit))?.trim().parse().ok()?;
        let usage: u64 = read(&dir.join(usage))?.trim().parse().ok()?;
        let stat = read(&dir.join("memory.stat")).unwrap_or_default();
        Some(limit.saturating_sub(usage.saturating_sub(self.droppable(&stat))))
    }

    fn droppable(self, stat: &str) -> u64 {
        let names = match self {
            Version::V1 => ["total_inactive_file ", "total_active_file "],
            Version::V2 => ["inactive_file ", "active_file "],
        };
        let value = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok();
        names.into_iter().filter_map(value).sum()
    }
}

/// The directories of the memory cgroups that this process is in, from its own up to the root of the mount.
fn cgroups() -> Vec<(PathBuf, Version)> {
    let (Some(own), Some(mounts)) = (read(Path::new("/proc/self/cgroup")), read(Path::new("/proc/self/mountinfo")))
    else {
        return Vec::new();
    };
    let Some((mount, inside, version)) = locate(&own, &mounts) else { return Vec::new() };
    let mut dirs = Vec::new();
    let mut dir = mount.join(&inside);
    while dir.starts_with(&mount) {
        dirs.push((dir.clone(), version));
        if !dir.pop() {
            break;
        }
    }
    dirs
}

/// Where the hierarchy with the memory controller is mounted, and where in it this process is.
fn locate(own: &str, mounts: &str) -> Option<(PathBuf, PathBuf, Version)> {
    // Lines of "ID:controllers:path". Version 1 first: where both are mounted, memory belongs to one only.
    let path_of = |wanted: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            wanted(fields.next()?).then(|| fields.next())?
        })
    };
    let v1 = path_of(&|controllers| controllers.split(',').any(|c| c == "memory"));
    let (path, version) = match v1 {
        Some(path) => (path, Version::V1),
        None => (path_of(&str::is_empty)?, Version::V2),
    };
    // "ID parent major:minor root mountpoint options .. - type source super-options"
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut right = right.split(' ');
        let kind = right.next();
        let fits = match version {
            Version::V1 => kind == Some("cgroup") && right.nth(1)?.split(',').any(|option| option == "memory"),
            Version::V2 => kind == Some("cgroup2"),
        };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mount)) = (left.next(), left.next()) else { continue };
        if !fits {
            continue;
        }
        // In a container the mount may show only a part of the hierarchy, below `root`.
        let inside = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        return Some((PathBuf::from(mount), inside.to_owned(), version));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_parsed() {
        let text = "MemTotal: 99 kB\nMemAvailable:   24101 kB\nSwapTotal: 9 kB\nSwapFree:  3 kB\n";
        assert_eq!(machine(text), Some(24104 * 1024));
        assert_eq!(machine("MemTotal: 99 kB\n"), None);
        assert_eq!(machine("MemAvailable: x kB\n"), None);
    }

    #[test]
    fn a_cgroup_of_version_1_is_found() {
        let own = "9:name=systemd:/\n4:cpu,memory:/a/b:c\n0::/\n";
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,cpu,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = locate(own, mounts).unwrap();
        assert_eq!(found, (PathBuf::from("/sys/fs/cgroup/memory"), PathBuf::from("a/b:c"), Version::V1));
    }

    #[test]
    fn a_cgroup_of_version_2_is_found_also_where_the_mount_shows_a_part() {
        let own = "0::/docker/abc/inner\n";
        let mounts =
            "1 1 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 /docker/abc /sys/fs/cgroup ro,x shared:1 - cgroup2 cgroup rw\n";
        let found = locate(own, mounts).unwrap();
        assert_eq!(found, (PathBuf::from("/sys/fs/cgroup"), PathBuf::from("inner"), Version::V2));
        assert_eq!(locate("", mounts), None);
        assert_eq!(locate(own, "broken"), None);
    }

    #[test]
    fn file_pages_do_not_count_as_used() {
        assert_eq!(Version::V1.droppable("cache 5\ninactive_file 1\ntotal_inactive_file 7\ntotal_active_file 8\n"), 15);
        assert_eq!(Version::V2.droppable("anon 3\ninactive_file 7\nactive_file 8\n"), 15);
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        let error = check_available(1 << 60).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("are available"), "{error}");
        check_available(1 << 12).unwrap();
    }
}
