//! The runner for tests that fork: every case is a process of its own.
//!
//! libtest runs tests on threads, where a fork is refused; so these test binaries have `harness = false`
//! and call [`run`] from `main`. The runner re-executes its own binary once per case, with a deadline, and
//! takes the verdict from the exit status. Around each case it checks that nothing is left behind: no child,
//! no zombie, no descriptor, no shared mapping, no name in `/dev/shm`, no process that escaped.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// One case: its name, and what it does.
pub type Case = (&'static str, fn());

/// Makes the list of cases from function names: `cases![spawn_returns_the_result, a_panic_is_data]`.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}

const CASE: &str = "TINE_TEST_CASE";
const SKIPPED: i32 = 77;
/// A case that is not done by then is stuck.
const DEADLINE: Duration = Duration::from_secs(60);

/// Ends the case here as skipped; the reason is shown with the verdict.
pub fn skip(why: &str) -> ! {
    println!("skipped: {why}");
    std::process::exit(SKIPPED);
}

/// Runs `cases` as libtest would, each in a fresh process.
pub fn run(cases: &'static [Case]) {
    run_within(cases, deadline(), || ());
}

/// What a test that runs other tests may make shorter.
fn deadline() -> Duration {
    let seconds = std::env::var("TINE_TEST_DEADLINE").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(DEADLINE, Duration::from_secs)
}

/// As [`run`], with another deadline for each case, and with something to do when all have run.
pub fn run_within(cases: &'static [Case], deadline: Duration, after: impl FnOnce()) {
    if let Ok(name) = std::env::var(CASE) {
        return run_one(cases, &name);
    }
    let names: BTreeSet<_> = cases.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name, so one of them would never run");
    let mut arguments = Arguments::from_args();
    // The cases are processes; one at a time leaves both cores to what they start.
    arguments.test_threads = Some(1);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("Linux has had subreapers since 3.4");
    let trials =
        cases.iter().map(|&(name, _)| Trial::ignorable_test(name, move || supervise(name, deadline))).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    after();
    conclusion.exit();
}

/// In the case's own process: the case, between two looks at what this process holds.
fn run_one(cases: &[Case], name: &str) {
    let (_, case) = cases.iter().find(|(n, _)| *n == name).expect("the runner names only its own cases");
    let alone = own_shm();
    let before = Holdings::now(alone);
    case();
    if let Ok(status) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
        panic!("the case left a child behind: {status:?}");
    }
    let after = Holdings::now(alone);
    assert_eq!(before, after, "the case ended holding other things than it began with");
}

/// Gives this process and its children a `/dev/shm` of their own, where it may: what other programs do there is not seen.
fn own_shm() -> bool {
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: the calls take flags, and strings that live as long as they do. Only the mounts that this process sees change.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(c"none".as_ptr(), c"/".as_ptr(), c"".as_ptr(), libc::MS_REC | libc::MS_PRIVATE, none) == 0
            && libc::mount(c"tmpfs".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), 0, c"mode=1777".as_ptr().cast())
                == 0
    }
}

/// What a process holds that could leak.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: BTreeSet<(String, String)>,
    shared_mappings: usize,
    shm_names: BTreeSet<String>,
}

impl Holdings {
    /// `alone`: nobody else uses this `/dev/shm`. Where others do, names that are not of tests come and go.
    fn now(alone: bool) -> Holdings {
        let mut shm_names = names_in("/dev/shm");
        shm_names.retain(|name| alone || name.contains("tine"));
        Holdings {
            descriptors: descriptors(),
            // The library keeps a fixed number of its own shared pages mapped; they count as held from the start.
            shared_mappings: shared_mappings().saturating_sub(library_pages()),
            shm_names,
        }
    }
}

/// The open descriptors of this process, with what they refer to.
pub fn descriptors() -> BTreeSet<(String, String)> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            // The directory being read is itself a descriptor.
            (!target.ends_with("/fd")).then(|| (entry.file_name().to_string_lossy().into_owned(), target))
        })
        .collect()
}

/// How many MAP_SHARED mappings this process has.
pub fn shared_mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|p| p.ends_with('s'))).count()
}

/// The shared pages that the library itself keeps for the life of a process.
fn library_pages() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    maps.lines().filter(|line| line.contains("tine-slots") || line.contains("tine-roster")).count()
}

fn names_in(directory: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// In the runner: starts the case, waits for its end or its deadline, and looks for what escaped.
fn supervise(name: &'static str, deadline: Duration) -> Result<Completion, Failed> {
    let output = tempfile();
    let also = output.try_clone().map_err(|e| format!("cannot duplicate the output file: {e}"))?;
    let exe = std::env::current_exe().map_err(|e| format!("cannot find this test binary: {e}"))?;
    let mut child = Command::new(exe)
        .env(CASE, name)
        .stdin(Stdio::null())
        .stdout(also.try_clone().map_err(|e| e.to_string())?)
        .stderr(also)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot start the case: {e}"))?;
    let group = rustix::process::Pid::from_child(&child);
    let in_time = wait_until(&group, Instant::now() + deadline);
    if !in_time {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| format!("cannot wait for the case: {e}"))?;
    let escaped = reap_escaped(group);
    let text = read_back(output);
    if !in_time {
        return Err(format!("not done after {deadline:?}; killed\n{text}").into());
    }
    if status.code() == Some(SKIPPED) {
        let why = text.lines().rev().find(|l| l.starts_with("skipped: ")).unwrap_or("skipped: no reason given");
        return Ok(Completion::ignored_with(why.to_owned()));
    }
    if !status.success() {
        let how = match status.signal() {
            Some(signal) => format!("killed by signal {signal}"),
            None => format!("exit code {:?}", status.code()),
        };
        return Err(format!("{how}\n{text}").into());
    }
    match escaped {
        0 => Ok(Completion::Completed),
        n => Err(format!("{n} process(es) outlived the case\n{text}").into()),
    }
}

/// Waits for the end of `pid` without reaping it; false when `deadline` came first.
fn wait_until(pid: &rustix::process::Pid, deadline: Instant) -> bool {
    let Ok(fd) = rustix::process::pidfd_open(*pid, rustix::process::PidfdFlags::empty()) else { return true };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("poll on a pidfd: {e}"),
        }
    }
}

/// Orphans of a finished case come to the runner, which is a subreaper. None may be alive; all are reaped.
///
/// An orphan may still be on its way out (its parent's death kills it, but not at that very instant), so each
/// gets a moment to end by itself before it counts as escaped.
fn reap_escaped(group: rustix::process::Pid) -> usize {
    let mut escaped = 0;
    let grace = Instant::now() + Duration::from_secs(2);
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Err(_) => return escaped,
            Ok(Some(_)) => {}
            Ok(None) if Instant::now() < grace => {
                let orphans = children();
                if let Some(first) = orphans.first() {
                    wait_until(first, grace);
                }
            }
            Ok(None) => {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                for orphan in children() {
                    escaped += 1;
                    let _ = rustix::process::kill_process(orphan, rustix::process::Signal::KILL);
                    wait_until(&orphan, Instant::now() + Duration::from_secs(5));
                }
            }
        }
    }
}

/// The children of this process, by `/proc`.
pub fn children() -> Vec<rustix::process::Pid> {
    let me = std::process::id().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let pid: i32 = name.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in brackets may hold anything; what follows its last bracket is regular.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
            (parent == me).then(|| rustix::process::Pid::from_raw(pid))?
        })
        .collect()
}

fn tempfile() -> std::fs::File {
    rustix::fs::memfd_create("tine-test-output", rustix::fs::MemfdFlags::CLOEXEC)
        .expect("a memfd for the output of a case")
        .into()
}

fn read_back(mut file: std::fs::File) -> String {
    use std::io::Seek;
    let mut bytes = Vec::new();
    let _ = file.rewind();
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs `f` in a bare forked child (no library code on the way) and returns its exit status. For tests of the
/// floors below `process`. A panic in the child is exit code 101.
pub fn in_child(f: impl FnOnce()) -> std::process::ExitStatus {
    // SAFETY: a case runs single-threaded, so the child may use everything that the parent could.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            // SAFETY: ends the child without running the parent's destructors or flushing its buffers.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: `status` is a live int, and `pid` is our own unreaped child.
            while unsafe { libc::waitpid(pid, &mut status, 0) } == -1 {
                assert_eq!(std::io::Error::last_os_error().kind(), std::io::ErrorKind::Interrupted);
            }
            std::process::ExitStatus::from_raw(status)
        }
    }
}

/// Waits until `condition` holds, looking again each millisecond; panics with `what` after ten seconds. For
/// things that only `/proc` can tell; where there is a descriptor to wait on, wait on it.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting after ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `f` in a bare forked child whose stdout is a memory file, and returns what came out of it. What the
/// case itself has buffered is written out before.
pub fn output_of(f: impl FnOnce()) -> String {
    use std::io::Write;
    let _ = std::io::stdout().flush();
    let file = tempfile();
    let status = in_child(|| {
        rustix::stdio::dup2_stdout(&file).expect("stdout can be replaced");
        f();
        let _ = std::io::stdout().flush();
        // SAFETY: a null stream asks for all output streams to be flushed.
        unsafe { libc::fflush(std::ptr::null_mut()) };
    });
    assert_eq!(status.code(), Some(0), "the child that prints failed");
    read_back(file)
}

/// A file that is gone when this is dropped, in the process that made it.
pub struct TempFile {
    path: String,
    owner: u32,
}

impl TempFile {
    /// An empty one.
    pub fn new(name: &str) -> TempFile {
        let owner = std::process::id();
        let path = std::env::temp_dir().join(format!("tine-test-{name}-{owner}"));
        let path = path.to_str().expect("the temporary directory has a UTF-8 name").to_owned();
        std::fs::write(&path, "").expect("the temporary directory is writable");
        TempFile { path, owner }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if std::process::id() == self.owner {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// How many mappings this process has, of any kind.
pub fn all_mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted").lines().count()
}

/// A user that nobody else is, other runs of the tests on this machine included: its processes are counted alone.
pub fn nobodys_uid() -> u32 {
    1_000_000 + std::process::id()
}
