//! Bytes: the end, deadlines, signals, wrong descriptors.
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use tine::pipe::{Found, Reader, Writer, WrongDescriptor, pipe, socket_pair};

use crate::refuse::become_an_old_kernel;
use crate::{storm, support};

/// Long enough never to be reached.
pub const LONG: Duration = Duration::from_secs(50);
pub const SHORT: Duration = Duration::from_millis(5);

/// Forks; `f` runs in the child, which ends with it.
pub fn fork(f: impl FnOnce()) -> Pid {
    // SAFETY: a case runs single-threaded, so the child may use everything that the parent could.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
        }
        pid => Pid::from_raw(pid).unwrap(),
    }
}

/// Reaps `child`; its exit code, or None when a signal ended it.
pub fn reap(child: Pid) -> Option<i32> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(status) => return status.unwrap().1.exit_status(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("waitpid: {error}"),
        }
    }
}

pub fn kill(child: Pid) {
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    assert_eq!(reap(child), None);
}

/// Bytes that tell where they belong.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed * 77) >> 32) as u8).collect()
}

pub fn set_nonblocking(fd: impl AsFd) {
    let flags = rustix::fs::fcntl_getfl(&fd).unwrap();
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
}

pub fn default_sigpipe() {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

pub fn bytes_cross_a_fork_and_the_end_is_seen() {
    let (mut reader, mut writer) = pipe().unwrap();
    let child = fork(|| writer.write_all(&pattern(1, 1 << 20)).unwrap());
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert!(bytes == pattern(1, 1 << 20));
    assert_eq!(reap(child), Some(0));
}

pub fn a_forked_copy_of_the_writer_keeps_the_pipe_open() {
    let (reader, writer) = pipe().unwrap();
    let (_hold, held) = pipe().unwrap();
    let child = fork(|| {
        let _ = held.as_fd();
        loop {
            let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 1, tv_nsec: 0 });
        }
    });
    drop(writer);
    // The child never uses its copy, and yet nobody can know that.
    assert_eq!(reader.read_timeout(&mut [0; 8], SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    kill(child);
    assert_eq!(reader.read_timeout(&mut [0; 8], LONG).unwrap(), 0);
}

pub fn the_receiver_works_after_the_parent_closed_its_copy() {
    let (reader, mut writer) = pipe().unwrap();
    let (mut answer, mut answers) = pipe().unwrap();
    let (mut here, gone) = (reader.try_clone().unwrap(), reader);
    let child = fork(|| {
        let mut question = [0; 4];
        here.read_exact(&mut question).unwrap();
        answers.write_all(&question.map(|b| b + 1)).unwrap();
    });
    drop((here, gone, answers));
    writer.write_all(&[1, 2, 3, 4]).unwrap();
    let mut got = Vec::new();
    answer.read_to_end(&mut got).unwrap();
    assert_eq!(got, [2, 3, 4, 5]);
    assert_eq!(reap(child), Some(0));
}

/// Everything that writes, with nobody to read.
fn write_to_nobody() {
    let (reader, mut writer) = pipe().unwrap();
    drop(reader);
    assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(writer.write_timeout(b"x", LONG).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(writer.write_timeout(&pattern(1, 100_000), SHORT).unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut frames = writer.frames::<u64>();
    assert!(matches!(frames.send(&1), Err(tine::pipe::SendFrameError::Closed)));
    assert!(matches!(frames.send_timeout(&1, LONG), Err(tine::pipe::SendFrameError::Closed)));
    let (a, b) = socket_pair().unwrap();
    drop(b);
    assert!(matches!(a.send(b"x", &[]), Err(tine::pipe::SendFdsError::Closed)));
    // Linux raises it for stream sockets only, and one may have been wrapped unseen.
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(b);
    let a = tine::pipe::Socket::from(OwnedFd::from(a));
    assert!(matches!(a.send(b"x", &[]), Err(tine::pipe::SendFdsError::Closed)));
}

/// That the disposition does end a process is seen first; otherwise this could not fail.
pub fn sigpipe_at_its_default_is_not_raised() {
    use std::os::unix::process::ExitStatusExt;
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let bare = support::in_child(|| {
        default_sigpipe();
        let _ = rustix::io::write(&writer, b"x");
    });
    assert_eq!(bare.signal(), Some(libc::SIGPIPE));
    let ours = support::in_child(|| {
        default_sigpipe();
        write_to_nobody();
    });
    assert_eq!(ours.code(), Some(0), "{ours:?}");
}

pub fn sigpipe_is_not_raised_by_an_old_kernel_either() {
    for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM] {
        let old = support::in_child(|| {
            default_sigpipe();
            crate::refuse::refuse(&[libc::SYS_pwritev2], errno);
            write_to_nobody();
        });
        assert_eq!(old.code(), Some(0), "{old:?}");
    }
}

/// Where SIGPIPE is blocked and one is pending, it belongs to the program: it is neither taken nor unblocked.
pub fn a_sigpipe_of_the_program_is_left_alone() {
    fn pending_and_blocked() -> (bool, bool) {
        // SAFETY: the sets are on this stack and filled by the calls.
        unsafe {
            let (mut pending, mut blocked) = std::mem::zeroed();
            libc::sigpending(&mut pending);
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut blocked);
            (libc::sigismember(&pending, libc::SIGPIPE) == 1, libc::sigismember(&blocked, libc::SIGPIPE) == 1)
        }
    }
    for old in [false, true] {
        let status = support::in_child(|| {
            default_sigpipe();
            if old {
                become_an_old_kernel();
            }
            write_to_nobody();
            assert_eq!(pending_and_blocked(), (false, false));
            // SAFETY: the set is on this stack.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGPIPE);
                libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            }
            write_to_nobody();
            assert_eq!(pending_and_blocked(), (false, true), "ours is taken, the mask is as it was");
            // SAFETY: sends this thread a signal that it blocks.
            unsafe { libc::raise(libc::SIGPIPE) };
            write_to_nobody();
            assert_eq!(pending_and_blocked(), (true, true), "theirs is still there");
        });
        assert_eq!(status.code(), Some(0), "old kernel: {old}, {status:?}");
    }
}

fn ends_in_time() {
    let (mut reader, mut writer) = pipe().unwrap();
    let mut buf = [0; 10];
    for timeout in [Duration::ZERO, SHORT] {
        assert_eq!(reader.read_timeout(&mut buf, timeout).unwrap_err().kind(), ErrorKind::TimedOut);
    }
    assert_eq!(writer.write_timeout(b"abc", Duration::ZERO).unwrap(), 3);
    assert_eq!(reader.read_timeout(&mut buf, Duration::ZERO).unwrap(), 3);
    // Longer than any clock can hold.
    assert_eq!(writer.write_timeout(b"abc", Duration::MAX).unwrap(), 3);
    assert_eq!(reader.read_timeout(&mut buf, Duration::MAX).unwrap(), 3);

    let mut written = 0;
    let full = loop {
        match writer.write_timeout(&pattern(3, 5000), SHORT) {
            Ok(n) => written += n,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::TimedOut);
    // Less than its capacity, since a page is not shared by two writes that do not fit it together.
    assert!(written >= writer.capacity().unwrap() / 2, "{written}");
    let mut drained = vec![0; written];
    reader.read_exact(&mut drained).unwrap();
    writer.write_all(b"d").unwrap();
    assert_eq!(reader.read_timeout(&mut buf, LONG).unwrap(), 1);
    // Somebody else's blocking read on the same description must still block: nothing was set on it.
    for flags in [rustix::fs::fcntl_getfl(&reader).unwrap(), rustix::fs::fcntl_getfl(&writer).unwrap()] {
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    }
    drop(writer);
    assert_eq!(reader.read_timeout(&mut buf, LONG).unwrap(), 0);
}

pub fn a_read_and_a_write_end_in_time() {
    ends_in_time();
}

pub fn they_end_in_time_on_an_old_kernel() {
    let status = support::in_child(|| {
        become_an_old_kernel();
        ends_in_time();
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
}

pub fn a_nonblocking_description_behaves_like_any_other() {
    let (mut reader, mut writer) = pipe().unwrap();
    set_nonblocking(&reader);
    set_nonblocking(&writer);
    assert_eq!(reader.read_timeout(&mut [0; 8], SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
    let child = fork(|| {
        // Far more than the pipe holds: a bare write would say EAGAIN.
        writer.write_all(&pattern(5, 1 << 20)).unwrap();
    });
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert!(bytes == pattern(5, 1 << 20));
    assert_eq!(reap(child), Some(0));
}

pub fn a_large_write_goes_in_by_parts() {
    let (mut reader, writer) = pipe().unwrap();
    let bytes = pattern(9, 1 << 20);
    let (mut written, mut read) = (0, Vec::new());
    let mut parts = 0;
    while written < bytes.len() {
        written += writer.write_timeout(&bytes[written..], Duration::ZERO).unwrap();
        parts += 1;
        let before = read.len();
        read.resize(written, 0);
        reader.read_exact(&mut read[before..]).unwrap();
    }
    assert!(read == bytes);
    assert!(parts >= (1 << 20) / writer.capacity().unwrap(), "the pipe took more than it holds");
}

/// Waits until this process has had two more signals: the other side meanwhile sleeps in its call.
fn linger() {
    let until = storm::signals() + 2;
    support::until("signals come", || storm::signals() >= until);
}

/// Blocking and timed calls; once with a slow writer, so that the reader sleeps, once the other way round.
pub fn no_byte_is_lost_or_doubled_in_a_storm_of_signals() {
    for (timed, slow_writer) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut reader, mut writer) = pipe().unwrap();
        let block = pattern(11, 70_001);
        let child = fork(|| {
            storm::start();
            for _ in 0..20 {
                if slow_writer {
                    linger();
                }
                if timed {
                    let mut rest = &block[..];
                    while !rest.is_empty() {
                        rest = &rest[writer.write_timeout(rest, LONG).unwrap()..];
                    }
                } else {
                    // Not write_all, which would forgive an Interrupted.
                    let mut rest = &block[..];
                    while !rest.is_empty() {
                        rest = &rest[writer.write(rest).unwrap()..];
                    }
                }
            }
        });
        drop(writer);
        storm::start();
        let mut got = vec![0; block.len()];
        for _ in 0..20 {
            if !slow_writer {
                linger();
            }
            let mut n = 0;
            while n < got.len() {
                let more = if timed { reader.read_timeout(&mut got[n..], LONG) } else { reader.read(&mut got[n..]) };
                let more = more.unwrap();
                assert!(more > 0, "the stream ended inside a block");
                n += more;
            }
            assert!(got == block);
        }
        assert_eq!(reader.read_timeout(&mut got, LONG).unwrap(), 0);
        assert_eq!(reap(child), Some(0));
        storm::stop();
    }
}

fn wrong(error: &std::io::Error) -> &WrongDescriptor {
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.get_ref().unwrap().downcast_ref().unwrap()
}

pub fn a_wrong_descriptor_is_named() {
    let (reader, writer) = pipe().unwrap();
    let mut not_writer = Writer::from(OwnedFd::from(reader.try_clone().unwrap()));
    let error = not_writer.write(b"x").unwrap_err();
    assert_eq!(wrong(&error).found(), Found::ReadOnly);
    assert_eq!(wrong(&error).number(), not_writer.as_raw_fd());
    assert_eq!(wrong(&not_writer.write_timeout(b"x", LONG).unwrap_err()).found(), Found::ReadOnly);
    let not_reader = Reader::from(OwnedFd::from(writer.try_clone().unwrap()));
    assert_eq!(wrong(&not_reader.read_timeout(&mut [0], LONG).unwrap_err()).found(), Found::WriteOnly);

    let back = Reader::adopt(not_reader).unwrap_err();
    assert_eq!(back.wrong().found(), Found::WriteOnly);
    Writer::adopt(back.into_fd()).unwrap();

    let file = || std::fs::File::open("/proc/self/exe").unwrap();
    let directory = || std::fs::File::open("/").unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let is = |kind| Found::Kind(kind);
    assert_eq!(Reader::adopt(file()).unwrap_err().wrong().found(), is("a regular file"));
    assert_eq!(Reader::adopt(directory()).unwrap_err().wrong().found(), is("a directory"));
    assert_eq!(Writer::adopt(null).unwrap_err().wrong().found(), is("a character device"));
    assert_eq!(Reader::adopt(socket_pair().unwrap().0).unwrap_err().wrong().found(), is("a socket"));
    let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    let odd = Reader::adopt(epoll).unwrap_err();
    assert_eq!(odd.wrong().found(), is("a descriptor without a file, such as an eventfd"));
    assert_eq!(wrong(&Reader::from(OwnedFd::from(directory())).read(&mut [0]).unwrap_err()).found(), is("a directory"));
    assert_eq!(wrong(&Reader::from(OwnedFd::from(file())).capacity().unwrap_err()).found(), is("a regular file"));
    let message = Reader::adopt(file()).unwrap_err().to_string();
    assert!(message.contains("a regular file") && message.contains("reading end"), "{message}");
    Reader::adopt(reader).unwrap();
}

pub fn a_closed_descriptor_is_named() {
    closed_is_named();
    let status = support::in_child(|| {
        become_an_old_kernel();
        closed_is_named();
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
}

fn closed_is_named() {
    let (reader, writer) = pipe().unwrap();
    // SAFETY: the owners are forgotten below, so nobody closes these numbers again.
    unsafe {
        libc::close(reader.as_raw_fd());
        libc::close(writer.as_raw_fd());
    }
    let errors = [
        (&reader).read(&mut [0]).unwrap_err(),
        reader.read_timeout(&mut [0], LONG).unwrap_err(),
        (&writer).write(b"x").unwrap_err(),
        writer.write_timeout(b"x", LONG).unwrap_err(),
        reader.capacity().unwrap_err(),
        writer.set_capacity(4096).unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(wrong(error).found(), Found::Closed, "{error}");
    }
    std::mem::forget((reader, writer));
}

pub fn capacity_is_read_and_set() {
    let (reader, mut writer) = pipe().unwrap();
    let page = rustix::param::page_size();
    assert_eq!(writer.set_capacity(3 * page).unwrap(), 4 * page);
    assert_eq!(reader.capacity().unwrap(), 4 * page);
    writer.write_all(&vec![1; 2 * page]).unwrap();
    assert_eq!(reader.set_capacity(page).unwrap_err().kind(), ErrorKind::ResourceBusy);
    for absurd in [(1 << 31) + 1, usize::MAX] {
        let error = reader.set_capacity(absurd).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("pipe-max-size"), "{error}");
    }
    assert_eq!(reader.capacity().unwrap(), 4 * page);
}

pub fn out_of_descriptors_is_an_error_and_leaks_nothing() {
    let (reader, writer) = pipe().unwrap();
    let (socket, _peer) = socket_pair().unwrap();
    let before = support::descriptors();
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let taken = before.len() as u64 + 8;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(taken), maximum: limits.maximum }).unwrap();
    let mut fill: Vec<Reader> = std::iter::from_fn(|| reader.try_clone().ok()).collect();
    assert_eq!(reader.try_clone().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    assert_eq!(writer.try_clone().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    assert_eq!(socket.try_clone().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    for _ in 0..2 {
        // First with none free, then with one, where a pair needs two.
        assert_eq!(pipe().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        assert_eq!(socket_pair().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        fill.pop().unwrap();
    }
    pipe().unwrap();
    drop(fill);
    rustix::process::setrlimit(Resource::Nofile, limits).unwrap();
    assert_eq!(support::descriptors(), before);
}

pub fn ends_serve_as_the_stdio_of_a_command() {
    let (input, mut to_command) = pipe().unwrap();
    let (mut from_command, output) = pipe().unwrap();
    // The command's two ends are moved into it, and closed here when it is dropped.
    let mut cat = std::process::Command::new("cat").stdin(input).stdout(output).spawn().unwrap();
    to_command.write_all(b"through another program").unwrap();
    drop(to_command);
    let mut text = String::new();
    from_command.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through another program");
    assert!(cat.wait().unwrap().success());
}
