//! How often the kernel has killed for want of memory, as the cgroup of this process counts it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::sys::proc_file;

/// The count now; None where no memory cgroup tells.
///
/// Version 2 has it in `memory.events`, version 1 in `memory.oom_control`. The file is found once: a process
/// that is moved to another cgroup loses the notice, never gets a wrong one.
pub(super) fn kills() -> Option<u64> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(find).as_ref()?;
    count_at(file)
}

fn count_at(file: &Path) -> Option<u64> {
    count_in(proc_file::read(file, &mut [0; 512]).ok()?)
}

fn find() -> Option<PathBuf> {
    let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    candidates(&memberships).into_iter().find(|file| count_at(file).is_some())
}

/// Where the count may be for a process with this `/proc/self/cgroup`. The machine's own count is not among them: it
/// would tell of everybody's kills, and is slow to read.
fn candidates(memberships: &str) -> Vec<PathBuf> {
    let of_cgroup = memberships.lines().flat_map(|line| {
        // `id:controllers:path`, where version 2 is `0::path`.
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            vec![
                Path::new("/sys/fs/cgroup").join(path).join("memory.events"),
                Path::new("/sys/fs/cgroup/unified").join(path).join("memory.events"),
            ]
        } else if controllers.split(',').any(|c| c == "memory") {
            vec![Path::new("/sys/fs/cgroup/memory").join(path).join("memory.oom_control")]
        } else {
            Vec::new()
        }
    });
    of_cgroup.collect()
}

/// The number in the line `oom_kill N`.
fn count_in(text: &[u8]) -> Option<u64> {
    proc_file::value(text, "oom_kill ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{candidates, count_in};

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count_in(b"low 0\nhigh 0\nmax 3\noom 2\noom_kill 5\noom_group_kill 1\n"), Some(5));
        assert_eq!(count_in(b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count_in(b"oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn the_files_are_those_of_the_cgroup() {
        let names = |memberships| {
            let paths = candidates(memberships).into_iter();
            paths.map(|path| path.to_str().expect("built from text").to_owned()).collect::<Vec<_>>()
        };
        let v2 = "/sys/fs/cgroup/a/b/memory.events";
        assert_eq!(names("0::/a/b"), [v2, "/sys/fs/cgroup/unified/a/b/memory.events"]);
        let v1 = "/sys/fs/cgroup/memory/c:d/memory.oom_control";
        assert_eq!(names("9:cpu,cpuacct:/x\n4:hugetlb,memory:/c:d\n"), [v1]);
        assert!(names("").is_empty());
    }
}
