//! Settings for a child.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use super::error::SpawnError;
use super::handle::JoinHandle;
use super::launch::{self, Checks, Plan};
use super::options::{EnvChange, Settings};
use super::scope::{Scope, ScopedJoinHandle};
use super::stdio::{self, StderrTail, Stdio};
use crate::wire::Wire;

/// Makes children with other settings than the default, as [`std::thread::Builder`] does for threads and
/// [`std::process::Command`] for programs.
///
/// A setting that the kernel refuses is told by the spawn, as [`SpawnError::Setup`]; no process is left then.
/// All settings are applied in the child, in an order that lets root give up its rights last.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let child = tine::Builder::new()
///     .name("indexer")
///     .nice(10)
///     .timeout(Duration::from_secs(60))
///     .keep_stderr(4096)
///     .spawn(|| 6_u64 * 7)?;
/// assert_eq!(child.join()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    settings: Settings,
    stdio: [Stdio; 3],
    keep_stderr: usize,
    checks: Checks,
    /// The first setting that can be seen to be wrong without asking the kernel.
    wrong: Option<(String, &'static str)>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// The settings of [`spawn`](super::spawn): everything inherited, and the child dies with its parent.
    pub fn new() -> Builder {
        Builder {
            settings: Settings::default(),
            stdio: Default::default(),
            keep_stderr: 0,
            checks: Checks::All,
            wrong: None,
        }
    }

    fn wrong(&mut self, what: String, why: &'static str) {
        self.wrong.get_or_insert((what, why));
    }

    /// The child's name, as `ps -o comm` and `/proc/PID/comm` show it: the kernel keeps the first 15 bytes.
    /// [`parent`](super::parent) tells it whole to the child's own children. A NUL in it fails the spawn.
    /// Default: the parent's.
    #[doc(alias = "PR_SET_NAME")]
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        let name = name.into();
        if name.contains('\0') {
            self.wrong(format!("the name {name:?}"), "a name cannot contain a NUL");
        }
        self.settings.name = Some(name);
        self
    }

    /// Added to the nice value: positive is less urgent; negative needs a right. Default: 0.
    pub fn nice(mut self, by: i32) -> Builder {
        self.settings.nice = Some(by);
        self
    }

    /// The CPUs that the child may run on, by number. An empty list, or only CPUs that do not exist, fails the
    /// spawn. Default: the parent's.
    #[doc(alias = "sched_setaffinity")]
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Builder {
        self.settings.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// One resource limit; None is unlimited. A soft limit over the hard one fails the spawn. May be called for
    /// several resources. Default: the parent's.
    #[doc(alias = "setrlimit")]
    pub fn rlimit(mut self, resource: Resource, soft: Option<u64>, hard: Option<u64>) -> Builder {
        self.settings.rlimits.push((resource, Rlimit { current: soft, maximum: hard }));
        self
    }

    /// The working directory. Default: the parent's.
    #[doc(alias = "chdir")]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Builder {
        let dir = dir.as_ref();
        if dir.as_os_str().as_bytes().contains(&0) {
            self.wrong(format!("the directory {dir:?}"), "a path cannot contain a NUL");
        }
        self.settings.dir = Some(dir.to_owned());
        self
    }

    /// Which permission bits new files lack, as for `umask(2)`. Default: the parent's.
    pub fn umask(mut self, mask: u32) -> Builder {
        self.settings.umask = Some(mask);
        self
    }

    /// Sets one variable of the environment. Default: the parent's environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_env_key(key);
        if value.as_bytes().contains(&0) {
            self.wrong(format!("the value of the variable {key:?}"), "a value cannot contain a NUL");
        }
        self.settings.env.push(EnvChange::Set(key.to_owned(), value.to_owned()));
        self
    }

    /// Removes one variable of the environment.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Builder {
        self.check_env_key(key.as_ref());
        self.settings.env.push(EnvChange::Remove(key.as_ref().to_owned()));
        self
    }

    /// Removes all variables that the child would inherit; those set by later calls stay.
    pub fn env_clear(mut self) -> Builder {
        self.settings.env.push(EnvChange::Clear);
        self
    }

    fn check_env_key(&mut self, key: &OsStr) {
        let bytes = key.as_bytes();
        if bytes.is_empty() || bytes.contains(&0) || bytes.contains(&b'=') {
            self.wrong(format!("the variable {key:?}"), "a name is not empty and contains neither NUL nor '='");
        }
    }

    /// The user to become: real, effective and saved. Root's supplementary groups are given up with it.
    /// Default: the parent's.
    #[doc(alias = "setresuid")]
    pub fn uid(mut self, uid: u32) -> Builder {
        self.settings.uid = Some(uid);
        self
    }

    /// The group to become: real, effective and saved. Default: the parent's.
    #[doc(alias = "setresgid")]
    pub fn gid(mut self, gid: u32) -> Builder {
        self.settings.gid = Some(gid);
        self
    }

    /// The standard input. Default: the parent's.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Builder {
        self.stdio[0] = stdin.into();
        self
    }

    /// The standard output. Default: the parent's.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Builder {
        self.stdio[1] = stdout.into();
        self
    }

    /// The standard error. Default: the parent's.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Builder {
        self.stdio[2] = stderr.into();
        self
    }

    /// Keeps the last `bytes` of what the child and its descendants write to stderr, for
    /// [`Exit::stderr_tail`](super::Exit::stderr_tail), instead of showing it. It is kept in memory, which grows
    /// with what is written while nobody waits for the child, and is cut to about `bytes` ten times a second
    /// while somebody does. Overrides [`Builder::stderr`]. Where the closure panics, call [`Child::wait`] before the
    /// join: the panic comes without the certificate. Default: 0, nothing is kept.
    ///
    /// [`Child::wait`]: super::Child::wait
    pub fn keep_stderr(mut self, bytes: usize) -> Builder {
        self.keep_stderr = bytes;
        self
    }

    /// How long the closure may take, from its first instruction. Then the child is ended, whether or not
    /// anybody waits for it: the timer is the kernel's. Who waits gets [`JoinError::TimedOut`](super::JoinError::TimedOut),
    /// and ends the child's descendants too. An exec in the child ends the timer; who waits still counts.
    /// Default: for ever.
    #[doc(alias = "timer_create")]
    pub fn timeout(mut self, limit: Duration) -> Builder {
        self.settings.timeout = Some(limit);
        self
    }

    /// How long a child is given after its [`timeout`](Builder::timeout) to end by itself. It is asked by its
    /// [`stop`](super::stop) flag at once, by SIGTERM after half of the grace, and killed at its end. A result that is
    /// committed in time is a result, and no timeout. Default: zero.
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.settings.grace = grace;
        self
    }

    /// Whether the child is killed when its parent ends, however that happens. Closed against a parent that
    /// dies while the child is being made, and against a forking thread that ends before its process does. Children
    /// of other threads than the main one lose it with an exec, and keep it only as long as nobody but the parent
    /// holds its descriptors (a copy of the parent that was forked by other means does).
    /// Default: true.
    #[doc(alias = "PR_SET_PDEATHSIG")]
    pub fn die_with_parent(mut self, die: bool) -> Builder {
        self.settings.die_with_parent = die;
        self
    }

    /// Makes the child the leader of a new process group, out of the reach of the terminal's Ctrl-C.
    /// Default: the parent's group.
    #[doc(alias = "setpgid")]
    pub fn new_process_group(mut self) -> Builder {
        self.settings.new_process_group = true;
        self
    }

    /// Makes the child the leader of a new session (and process group), without a terminal.
    #[doc(alias = "setsid")]
    pub fn new_session(mut self) -> Builder {
        self.settings.new_session = true;
        self
    }

    /// Takes every descriptor from the child but the standard streams and those given to [`Builder::keep_fd`].
    ///
    /// What they refer to is let go: a pipe whose other holders end is at its end. The *numbers* stay taken, by
    /// a descriptor on which every operation fails with EBADF, because somewhere in the copied memory an
    /// `OwnedFd` still names each of them and will close it: were the numbers free, it would close whatever
    /// the child had opened meanwhile. Descriptors that the closure captured are taken too.
    #[doc(alias = "close_range")]
    pub fn close_other_fds(mut self) -> Builder {
        self.settings.close_other_fds = true;
        self
    }

    /// A descriptor that [`Builder::close_other_fds`] spares: it has to be open when the child is made.
    pub fn keep_fd(mut self, fd: &impl AsFd) -> Builder {
        self.settings.keep_fds.push(fd.as_fd().as_raw_fd());
        self
    }

    /// Has the parent keep its copy of the captures until it has joined the child. Without it the parent drops
    /// its copy at once, which is right for memory and wrong for what stands for something outside it: the
    /// parent's copy of a temporary directory would remove it under the child. (See also
    /// [`Moved`](struct@super::Moved), for which the child's drop is the one that counts.)
    pub fn keep_captures(self) -> KeepCaptures {
        KeepCaptures { builder: self }
    }

    /// Lets the fork be made although memory that this library did not map, or an io_uring, is shared with
    /// the child.
    ///
    /// # Safety
    ///
    /// The child uses none of it, or parent and child are each prepared for the other's writes.
    #[allow(unsafe_code)]
    pub unsafe fn allow_shared(mut self) -> Builder {
        if self.checks == Checks::All {
            self.checks = Checks::AllowShared;
        }
        self
    }

    pub(super) fn plan(mut self) -> Result<(Plan, Checks), SpawnError> {
        if let Some((what, why)) = self.wrong {
            return Err(SpawnError::Setup { what, source: io::Error::new(io::ErrorKind::InvalidInput, why) });
        }
        let opened = |error| SpawnError::from_os("opening the child's standard streams", error);
        let (plugs, ends) = stdio::open(&mut self.stdio).map_err(opened)?;
        self.settings.plugs = plugs;
        let mut stderr = None;
        if self.keep_stderr > 0 {
            let tail = StderrTail::new(self.keep_stderr).map_err(opened)?;
            self.settings.plugs.set_stderr(tail.as_fd().try_clone_to_owned().map_err(opened)?);
            stderr = Some(tail);
        }
        Ok((Plan { settings: self.settings, ends, stderr }, self.checks))
    }

    /// Makes the child. See [`spawn`](super::spawn).
    ///
    /// # Errors
    ///
    /// Any [`SpawnError`].
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T,
        T: Wire,
    {
        self.try_spawn(f).map_err(|(error, _)| error)
    }

    /// Makes the child, or gives the closure back with what was in the way.
    ///
    /// # Errors
    ///
    /// Any [`SpawnError`], with the closure: nothing of it ran.
    pub fn try_spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, (SpawnError, F)>
    where
        F: FnOnce() -> T,
        T: Wire,
    {
        match self.plan() {
            Err(error) => Err((error, f)),
            // SAFETY: all checks are made, but those that the caller of `allow_shared` answers for.
            #[allow(unsafe_code)]
            Ok((plan, checks)) => unsafe { launch::spawn(plan, checks, f) },
        }
    }

    /// Makes a child of a scope. See [`scope`](super::scope).
    ///
    /// # Errors
    ///
    /// Any [`SpawnError`].
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + 'scope,
        T: Wire + 'scope,
    {
        scope.adopt(|| self.spawn(f))
    }

    /// Makes the child without looking for threads, foreign shared memory, io_uring and epoll.
    ///
    /// # Errors
    ///
    /// As for [`Builder::spawn`], without what is not looked for. Loans are looked for here too.
    ///
    /// # Safety
    ///
    /// - If other threads exist, the closure uses only what is async-signal-safe (no allocation, no locks, no
    ///   printing): in the child, a lock that another thread held is never opened. For the same reason no variable
    ///   of the environment is set for the child while another thread may look at one.
    /// - The child does not register or remove descriptors in an epoll instance that it inherited, does not
    ///   use an inherited io_uring, and does not break what the parent relies on in memory that both share.
    #[allow(unsafe_code)]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T,
        T: Wire,
    {
        let (plan, _) = self.plan()?;
        // SAFETY: the caller answers for what is not checked.
        unsafe { launch::spawn(plan, Checks::None, f) }.map_err(|(error, _)| error)
    }
}

/// A [`Builder`] whose children's captures are kept by the parent, too, until it has joined them.
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct KeepCaptures {
    builder: Builder,
}

impl KeepCaptures {
    /// Makes the child. The closure's captures are dropped here when the child has been joined, or with the
    /// handle; and in the child, as always, when the closure ends there.
    ///
    /// # Errors
    ///
    /// Any [`SpawnError`].
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Wire,
    {
        let (plan, checks) = self.builder.plan()?;
        // SAFETY: all checks are made, but those that the caller of `allow_shared` answers for.
        #[allow(unsafe_code)]
        let (handle, f) = unsafe { launch::spawn_keeping(plan, checks, f) }.map_err(|(error, _)| error)?;
        Ok(handle.keep(Box::new(f)))
    }
}
