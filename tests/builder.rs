//! Settings of a child, each seen from outside: in `/proc`, by `ps`'s own sources.
mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use tine::process::{Child, Resource, SpawnError, Stdio, stop};
use tine::{Builder, JoinHandle, spawn};

fn main() {
    support::run(cases![
        name,
        a_long_name_is_cut_for_ps,
        nice,
        affinity,
        rlimit,
        directory_and_umask,
        environment,
        user_and_group,
        process_group_and_session,
        standard_streams_null_and_descriptor,
        standard_streams_piped,
        streams_where_the_parent_has_closed_its_own,
        stderr_is_kept,
        kept_stderr_is_bounded,
        close_other_fds,
        settings_that_are_wrong_are_named,
        a_failed_setting_leaves_nothing,
        a_child_that_dies_while_it_is_set_up,
    ]);
}

/// A child that stays until it is asked to stop.
fn waits(builder: Builder) -> JoinHandle<()> {
    builder.spawn(|| stop().wait()).unwrap()
}

fn end(child: JoinHandle<()>) {
    child.request_stop().unwrap();
    child.join().unwrap();
}

fn proc_file(child: &Child, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap()
}

/// A field of `/proc/PID/status`, its words joined by single spaces.
fn status(child: &Child, field: &str) -> String {
    let status = proc_file(child, "status");
    let line = status.lines().find(|l| l.starts_with(&format!("{field}:"))).unwrap_or_else(|| panic!("no {field}"));
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// A field of `/proc/PID/stat`, numbered as in proc(5).
fn stat(child: &Child, number: usize) -> String {
    proc_file(child, "stat").rsplit_once(") ").unwrap().1.split(' ').nth(number - 3).unwrap().to_owned()
}

fn name() {
    let child = waits(Builder::new().name("a worker (1)"));
    support::until("the name is set", || proc_file(&child, "comm") == "a worker (1)\n");
    end(child);
}

fn a_long_name_is_cut_for_ps() {
    let child = waits(Builder::new().name("twenty characters ok"));
    support::until("the name is set", || proc_file(&child, "comm") == "twenty characte\n");
    end(child);
}

fn nice() {
    let before: i32 = stat(&waits_and_ends(), 19).parse().unwrap();
    let child = waits(Builder::new().nice(5));
    assert_eq!(stat(&child, 19).parse::<i32>().unwrap(), (before + 5).min(19));
    end(child);
}

/// An ordinary child, for comparison; it ends with this process if not before.
fn waits_and_ends() -> Reference {
    Reference(Some(waits(Builder::new())))
}

struct Reference(Option<JoinHandle<()>>);

impl std::ops::Deref for Reference {
    type Target = Child;
    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        end(self.0.take().unwrap());
    }
}

fn affinity() {
    let allowed = status(&waits_and_ends(), "Cpus_allowed_list");
    let first: usize = allowed.split([',', '-']).next().unwrap().parse().unwrap();
    let child = waits(Builder::new().affinity([first]));
    assert_eq!(status(&child, "Cpus_allowed_list"), first.to_string());
    end(child);
}

fn rlimit() {
    let child =
        waits(Builder::new().rlimit(Resource::Nofile, Some(64), Some(128)).rlimit(Resource::Core, Some(0), None));
    let limits = proc_file(&child, "limits");
    let line = |name: &str| {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("Max open files"), "64 128");
    assert_eq!(line("Max core file size"), "0 unlimited");
    end(child);
}

fn directory_and_umask() {
    let child = waits(Builder::new().dir("/proc").umask(0o27));
    assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", child.id())).unwrap().to_str(), Some("/proc"));
    assert_eq!(status(&child, "Umask"), "0027");
    end(child);
    assert_ne!(std::env::current_dir().unwrap().to_str(), Some("/proc"));
}

fn environment() {
    let shown = |builder: Builder| {
        // The environment of a program is what its kernel shows; exec makes it that of the child.
        let (reader, writer) = std::io::pipe().unwrap();
        let child = builder.stdout(OwnedFd::from(writer)).spawn(|| -> u64 {
            let error = std::os::unix::process::CommandExt::exec(&mut std::process::Command::new("/usr/bin/env"));
            panic!("{error}")
        });
        let text = std::io::read_to_string(reader).unwrap();
        child.unwrap().wait().unwrap();
        text
    };
    // SAFETY: a case has one thread.
    unsafe { std::env::set_var("TINE_INHERITED", "yes") };
    let text = shown(Builder::new().env("TINE_SET", "a value"));
    assert!(text.contains("TINE_SET=a value\n") && text.contains("TINE_INHERITED=yes\n"), "{text}");
    assert!(!shown(Builder::new().env_remove("TINE_INHERITED")).contains("TINE_INHERITED"));
    assert_eq!(shown(Builder::new().env("TINE_GONE", "1").env_clear().env("TINE_ONLY", "1")), "TINE_ONLY=1\n");
    assert!(std::env::var("TINE_SET").is_err());
}

fn user_and_group() {
    if !rustix::process::geteuid().is_root() {
        support::skip("only root can become somebody else");
    }
    let child = waits(Builder::new().uid(65534).gid(65533));
    assert_eq!(status(&child, "Uid"), "65534 65534 65534 65534");
    assert_eq!(status(&child, "Gid"), "65533 65533 65533 65533");
    assert_eq!(status(&child, "Groups"), "65533");
    assert_eq!(status(&child, "CapEff"), "0000000000000000");
    end(child);
    // It cannot come back.
    let child = Builder::new().uid(65534).spawn(|| Builder::new().uid(0).spawn(|| ()).is_err());
    assert!(child.unwrap().join().unwrap());
}

fn process_group_and_session() {
    let (group, session) = (5, 6);
    let reference = waits_and_ends();
    let child = waits(Builder::new().new_process_group());
    assert_eq!(stat(&child, group), child.id().to_string());
    assert_eq!(stat(&child, session), stat(&reference, session));
    end(child);
    let child = waits(Builder::new().new_session());
    assert_eq!((stat(&child, group), stat(&child, session)), (child.id().to_string(), child.id().to_string()));
    end(child);
}

fn link(child: &Child, fd: u32) -> String {
    std::fs::read_link(format!("/proc/{}/fd/{fd}", child.id())).unwrap().to_str().unwrap().to_owned()
}

fn standard_streams_null_and_descriptor() {
    let file = support::TempFile::new("stream");
    let to = std::fs::File::options().append(true).open(file.path()).unwrap();
    let child = waits(Builder::new().stdin(Stdio::null()).stdout(to).stderr(Stdio::null()));
    assert_eq!(
        (link(&child, 0), link(&child, 1), link(&child, 2)),
        ("/dev/null".into(), file.path().into(), "/dev/null".into())
    );
    end(child);
    let to = std::fs::File::options().append(true).open(file.path()).unwrap();
    Builder::new().stdout(to).spawn(|| print!("said")).unwrap().join().unwrap();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "said");
    let reference = waits_and_ends();
    let own = std::fs::read_link("/proc/self/fd/1").unwrap();
    assert_eq!(link(&reference, 1), own.to_str().unwrap());
}

fn standard_streams_piped() {
    let child = Builder::new().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn(|| {
        let text = std::io::read_to_string(std::io::stdin()).unwrap();
        print!("out {text}");
        eprint!("err {text}");
    });
    let child = child.unwrap();
    let mut to = child.take_stdin().unwrap();
    assert!(child.take_stdin().is_none());
    to.write_all(b"words").unwrap();
    drop(to);
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "out words");
    text.clear();
    child.take_stderr().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "err words");
    child.join().unwrap();
}

fn streams_where_the_parent_has_closed_its_own() {
    let status = support::in_child(|| {
        // SAFETY: this process's own descriptors; the standard library expects them to come and go.
        unsafe {
            libc::close(0);
            libc::close(1);
        }
        // The pipes' ends are 0 and 1 now, and must not overwrite each other on their way.
        let child = Builder::new().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn(|| {
            print!("{}", std::io::read_to_string(std::io::stdin()).unwrap().to_uppercase());
        });
        let child = child.unwrap();
        child.take_stdin().unwrap().write_all(b"words").unwrap();
        let mut text = String::new();
        child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "WORDS");
        child.join().unwrap();
        // With no stdin at all.
        assert_eq!(spawn(|| 5_u64).unwrap().join().unwrap(), 5);
    });
    assert_eq!(status.code(), Some(0));
}

fn stderr_is_kept() {
    let child = Builder::new().keep_stderr(4096).spawn(|| -> u64 {
        eprintln!("first line");
        std::process::Command::new("/bin/sh").args(["-c", "echo from a program >&2"]).status().unwrap();
        panic!("last line")
    });
    let exit = child.unwrap().wait().unwrap();
    assert!(exit.stderr_tail.starts_with("first line\nfrom a program\n"), "{exit:?}");
    assert!(exit.stderr_tail.contains("last line") && exit.stderr_tail.contains("builder.rs"), "{exit:?}");
    assert_eq!(spawn(|| eprint!("")).unwrap().wait().unwrap().stderr_tail, "");
}

fn kept_stderr_is_bounded() {
    let child = Builder::new().keep_stderr(1000).spawn(|| {
        for n in 0..100_000 {
            eprintln!("line {n}");
        }
    });
    let exit = child.unwrap().wait().unwrap();
    assert!(exit.stderr_tail.len() <= 1000);
    assert!(exit.stderr_tail.starts_with("line ") && exit.stderr_tail.ends_with("line 99999\n"), "{exit:?}");
    // One line that is longer than the limit: its end.
    let child = Builder::new().keep_stderr(10).spawn(|| eprint!("{}", "0123456789".repeat(10)));
    assert_eq!(child.unwrap().wait().unwrap().stderr_tail, "0123456789");
}

fn close_other_fds() {
    let (mine, other) = std::io::pipe().unwrap();
    let (kept, kept_writer) = std::io::pipe().unwrap();
    let child = Builder::new().close_other_fds().keep_fd(&kept).spawn(|| {
        let taken = (&other).write(b"x").map_err(|e| e.raw_os_error());
        assert_eq!(taken, Err(Some(libc::EBADF)));
        // The numbers are taken, so nothing that is opened now can be closed by the drop of a copy.
        let fresh = std::fs::File::open("/proc/self/status").unwrap();
        let numbers = [std::os::fd::AsRawFd::as_raw_fd(&other), std::os::fd::AsRawFd::as_raw_fd(&mine)];
        assert!(!numbers.contains(&std::os::fd::AsRawFd::as_raw_fd(&fresh)));
        stop().wait();
        std::io::read_to_string(&kept).unwrap() + &"x".repeat(10_000)
    });
    let child = child.unwrap();
    (&kept_writer).write_all(b"kept").unwrap();
    drop(kept_writer);
    support::until("the child has let go", || {
        link(&child, std::os::fd::AsRawFd::as_raw_fd(&mine) as u32) == "/dev/null"
    });
    // Nobody but this process holds the pipe.
    drop(other);
    assert_eq!(std::io::read_to_string(&mine).unwrap(), "");
    child.request_stop().unwrap();
    // The result still came over its file, though that was a descriptor too.
    assert_eq!(child.join().unwrap().len(), 10_004);
}

fn settings_that_are_wrong_are_named() {
    let refused = |builder: Builder, named: &str| {
        let Err(SpawnError::Setup { what, source }) = builder.spawn(|| ()) else { panic!("{named} was accepted") };
        assert!(what.contains(named), "{what:?} does not name {named:?}");
        source.kind()
    };
    use std::io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
    assert_eq!(refused(Builder::new().name("with\0nul"), "name"), InvalidInput);
    assert_eq!(refused(Builder::new().dir("with\0nul"), "directory"), InvalidInput);
    assert_eq!(refused(Builder::new().dir("/nowhere/at/all"), "/nowhere/at/all"), NotFound);
    assert_eq!(refused(Builder::new().affinity([100_000]), "100000"), InvalidInput);
    assert_eq!(refused(Builder::new().affinity([1000]), "1000"), InvalidInput);
    assert_eq!(refused(Builder::new().affinity([]), "[]"), InvalidInput);
    assert_eq!(refused(Builder::new().rlimit(Resource::Nofile, Some(9), Some(3)), "Nofile"), InvalidInput);
    assert_eq!(refused(Builder::new().env("", "x"), "variable"), InvalidInput);
    assert_eq!(refused(Builder::new().env("a=b", "x"), "a=b"), InvalidInput);
    assert_eq!(refused(Builder::new().env("a", "x\0"), "value"), InvalidInput);
    assert_eq!(refused(Builder::new().env_remove("a\0"), "variable"), InvalidInput);
    if rustix::process::geteuid().is_root() {
        let outcome = Builder::new().uid(65534).gid(65534).spawn(move || {
            let kinds = [
                refused(Builder::new().uid(0), "user id 0"),
                refused(Builder::new().gid(0), "group id 0"),
                refused(Builder::new().nice(-5), "nice by -5"),
            ];
            kinds.iter().all(|k| *k == PermissionDenied)
        });
        assert!(outcome.unwrap().join().unwrap());
    }
}

fn a_failed_setting_leaves_nothing() {
    spawn(|| ()).unwrap().join().unwrap();
    let before = (support::descriptors(), support::all_mappings());
    for _ in 0..200 {
        let failed = Builder::new().dir("/nowhere/at/all").keep_stderr(100).stdin(Stdio::piped()).spawn(String::new);
        assert!(failed.is_err());
    }
    assert_eq!(before, (support::descriptors(), support::all_mappings()));
    assert!(support::children().is_empty());
}

fn a_child_that_dies_while_it_is_set_up() {
    // The limit on CPU time is applied before the directory, and a child over it is killed at once where it
    // has used any; else it lives. Either way the spawn returns, and leaves nothing.
    for _ in 0..50 {
        match Builder::new().rlimit(Resource::As, Some(1), Some(1)).dir("/").spawn(|| ()) {
            Ok(child) => drop(child.join()),
            Err(error) => assert!(matches!(error, SpawnError::Io(_) | SpawnError::Setup { .. } | SpawnError::Limit(_))),
        }
    }
    assert!(support::children().is_empty());
}
