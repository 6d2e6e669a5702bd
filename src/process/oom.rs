//! How often the kernel has killed for want of memory, as the cgroup of this process counts it, or the machine.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The count now; None where nothing tells.
///
/// Version 2 of cgroups has it in `memory.events`, version 1 in `memory.oom_control`; without a memory cgroup (in
/// the root, say) there is the machine's own. The file is found once: a process that is moved to another cgroup
/// loses the notice, never gets a wrong one.
pub(super) fn kills() -> Option<u64> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(find).as_ref()?;
    count_in(&std::fs::read_to_string(file).ok()?)
}

fn find() -> Option<PathBuf> {
    let memberships = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let tells = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| count_in(&text).is_some());
    candidates(&memberships).into_iter().find(tells)
}

/// Where the count may be, the most specific first, for a process with this `/proc/self/cgroup`.
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
    of_cgroup.chain([PathBuf::from("/proc/vmstat")]).collect()
}

/// The number in the line `oom_kill N`.
fn count_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{candidates, count_in};

    #[test]
    fn all_sources_are_read() {
        assert_eq!(count_in("low 0\nhigh 0\nmax 3\noom 2\noom_kill 5\noom_group_kill 1\n"), Some(5));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\n"), None);
        let machine = std::fs::read_to_string("/proc/vmstat").expect("/proc is mounted");
        assert!(count_in(&machine).is_some());
    }

    #[test]
    fn the_most_specific_comes_first() {
        let names = |memberships| {
            let paths = candidates(memberships).into_iter();
            paths.map(|path| path.to_str().expect("built from text").to_owned()).collect::<Vec<_>>()
        };
        let v2 = "/sys/fs/cgroup/a/b/memory.events";
        assert_eq!(names("0::/a/b"), [v2, "/sys/fs/cgroup/unified/a/b/memory.events", "/proc/vmstat"]);
        let v1 = "/sys/fs/cgroup/memory/c:d/memory.oom_control";
        assert_eq!(names("9:cpu,cpuacct:/x\n4:hugetlb,memory:/c:d\n"), [v1, "/proc/vmstat"]);
        assert_eq!(names(""), ["/proc/vmstat"]);
    }
}
