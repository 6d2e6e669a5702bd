//! The settings of a child, and how it applies them to itself.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Gid, Resource, Rlimit, Uid};

use super::stdio::Plugs;
use crate::sys::foreign;

/// One change of the environment.
#[derive(Clone, Debug)]
pub(super) enum EnvChange {
    Set(OsString, OsString),
    Remove(OsString),
    Clear,
}

/// Everything that a child does to itself before the closure.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    pub(super) nice: Option<i32>,
    pub(super) affinity: Option<Vec<usize>>,
    pub(super) rlimits: Vec<(Resource, Rlimit)>,
    pub(super) dir: Option<PathBuf>,
    pub(super) umask: Option<u32>,
    pub(super) env: Vec<EnvChange>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) plugs: Plugs,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) die_with_parent: bool,
    pub(super) new_process_group: bool,
    pub(super) new_session: bool,
    pub(super) close_other_fds: bool,
    pub(super) keep_fds: Vec<RawFd>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: None,
            nice: None,
            affinity: None,
            rlimits: Vec::new(),
            dir: None,
            umask: None,
            env: Vec::new(),
            uid: None,
            gid: None,
            plugs: Plugs::default(),
            timeout: None,
            grace: Duration::ZERO,
            die_with_parent: true,
            new_process_group: false,
            new_session: false,
            close_other_fds: false,
            keep_fds: Vec::new(),
        }
    }
}

type Failure = (String, io::Error);

impl Settings {
    /// Whether any setting could fail in the child, so that the parent must wait to hear.
    pub(super) fn can_fail(&self) -> bool {
        self.nice.is_some()
            || self.affinity.is_some()
            || !self.rlimits.is_empty()
            || self.dir.is_some()
            || self.umask.is_some()
            || !self.env.is_empty()
            || self.uid.is_some()
            || self.gid.is_some()
            || !self.plugs.is_empty()
            || self.timeout.is_some()
            || self.new_process_group
            || self.new_session
            || self.close_other_fds
    }

    /// In the child: applies all. What needs rights comes before the rights are given up.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        if let Some(name) = &self.name {
            // The kernel keeps 15 bytes; the builder has refused a NUL.
            let name = CString::new(name.as_bytes()).unwrap_or_default();
            let _ = rustix::thread::set_name(&name);
        }
        if self.new_session {
            rustix::process::setsid().map_err(|e| failure("a new session".into(), e))?;
        } else if self.new_process_group {
            rustix::process::setpgid(None, None).map_err(|e| failure("a new process group".into(), e))?;
        }
        self.plugs.plug_in().map_err(|e| ("the standard streams".to_owned(), e))?;
        for &(resource, limit) in &self.rlimits {
            rustix::process::setrlimit(resource, limit).map_err(|e| failure(limit_in_words(resource, limit), e))?;
        }
        if let Some(nice) = self.nice {
            rustix::process::nice(nice).map_err(|e| failure(format!("nice by {nice}"), e))?;
        }
        if let Some(cpus) = &self.affinity {
            set_affinity(cpus)?;
        }
        self.apply_environment();
        if let Some(mask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask));
        }
        self.give_up_rights()?;
        if let Some(dir) = &self.dir {
            rustix::process::chdir(dir).map_err(|e| failure(format!("the directory {}", dir.display()), e))?;
        }
        Ok(())
    }

    fn apply_environment(&self) {
        for change in &self.env {
            // SAFETY: a child has one thread, so nobody reads the environment meanwhile. The builder has
            // refused names and values that the functions would panic on.
            #[allow(unsafe_code)]
            unsafe {
                match change {
                    EnvChange::Set(key, value) => std::env::set_var(key, value),
                    EnvChange::Remove(key) => std::env::remove_var(key),
                    EnvChange::Clear => {
                        for (key, _) in std::env::vars_os() {
                            std::env::remove_var(key);
                        }
                    }
                }
            }
        }
    }

    fn give_up_rights(&self) -> Result<(), Failure> {
        if self.uid.is_some() && rustix::process::geteuid().is_root() {
            // Else the child would keep root's supplementary groups.
            let groups: Vec<Gid> = self.gid.map(Gid::from_raw).into_iter().collect();
            rustix::thread::set_thread_groups(&groups).map_err(|e| failure("the supplementary groups".into(), e))?;
        }
        // The calls act on the calling thread, which is the only one here.
        if let Some(gid) = self.gid {
            let id = Gid::from_raw(gid);
            rustix::thread::set_thread_res_gid(id, id, id).map_err(|e| failure(format!("group id {gid}"), e))?;
        }
        if let Some(uid) = self.uid {
            let id = Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(id, id, id).map_err(|e| failure(format!("user id {uid}"), e))?;
        }
        Ok(())
    }

    /// In the child: every descriptor but the standard streams, those kept, and `own` becomes a dead one.
    ///
    /// Closing them would be unsound: somewhere in the child's memory an `OwnedFd` still names the number, and
    /// would close or use whatever takes its place. So each number stays taken, by a descriptor on which every
    /// operation fails with EBADF; what it referred to is let go all the same.
    pub(super) fn close_others(&self, own: &[RawFd]) -> io::Result<()> {
        let dead = foreign::dead()?;
        let mut open = Vec::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            if let Some(fd) = entry?.file_name().to_str().and_then(|n| n.parse::<RawFd>().ok()) {
                open.push(fd);
            }
        }
        // The directory's own descriptor is in the list, and closed by now.
        open.retain(|&fd| fd > 2 && !self.keep_fds.contains(&fd) && !own.contains(&fd));
        for fd in open {
            if fd != std::os::fd::AsRawFd::as_raw_fd(&dead) && is_open(fd) {
                foreign::replace(dead.as_fd(), fd)?;
            }
        }
        Ok(())
    }
}

fn is_open(fd: RawFd) -> bool {
    rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()).is_ok()
}

fn failure(what: String, errno: rustix::io::Errno) -> Failure {
    (what, errno.into())
}

fn limit_in_words(resource: Resource, limit: Rlimit) -> String {
    let words = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
    format!("the limit {resource:?} (soft {}, hard {})", words(limit.current), words(limit.maximum))
}

fn set_affinity(cpus: &[usize]) -> Result<(), Failure> {
    let mut set = rustix::thread::CpuSet::new();
    for &cpu in cpus {
        if cpu >= rustix::thread::CpuSet::MAX_CPU {
            return Err((
                format!("CPU {cpu} (there are at most {})", rustix::thread::CpuSet::MAX_CPU),
                io::Error::from_raw_os_error(libc::EINVAL),
            ));
        }
        set.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &set).map_err(|e| failure(format!("the CPUs {cpus:?}"), e))
}
