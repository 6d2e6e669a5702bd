//! What a fork could corrupt, and how a spawn refuses it or makes it harmless. Where it can be shown, the same
//! thing is done with a bare fork first, and does its harm.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::time::Duration;

use refuse::refuse_call;
use tine::memory::{Frozen, Private, Shared, SharedSlice};
use tine::process::{SpawnError, raw, spawn_unchecked, stop};
use tine::{Builder, spawn};

fn main() {
    support::run(cases![
        threads_are_refused_by_name,
        a_thread_that_was_joined_is_no_thread,
        threads_are_counted_where_unshare_is_refused,
        a_process_that_shares_memory_counts_as_a_thread,
        unchecked_forks_with_threads,
        a_bare_fork_kills_a_tokio_parent,
        a_tokio_parent_lives,
        a_bare_fork_writes_the_parents_memory_by_io_uring,
        an_io_uring_is_refused_by_name,
        a_foreign_shared_mapping_is_refused_by_name,
        mappings_are_read_where_the_query_is_refused,
        a_foreign_mapping_that_stays_behind_is_no_matter,
        read_only_and_private_mappings_are_no_matter,
        our_own_shared_memory_is_welcome,
        an_inherited_epoll_is_replaced,
        a_loan_forbids_every_fork,
        foreign_forks_are_seen,
        a_hidden_region_is_a_hole_that_is_filled,
        a_thread_whose_name_is_no_text_is_refused,
        a_joined_thread_is_none_where_unshare_is_refused,
        an_unchecked_fork_needs_no_proc,
        an_epoll_beside_an_io_uring_is_replaced,
        a_borrowed_descriptor_of_a_handle_is_never_another_file,
        a_captured_handle_closes_only_its_own,
        forks_are_seen_where_pages_cannot_be_wiped,
        a_joined_thread_that_a_debugger_holds_is_named,
        a_joined_thread_that_is_slow_to_leave_is_waited_for,
        a_child_of_a_threaded_parent_keeps_off_the_panic_hook,
        a_thread_that_is_about_to_end_is_waited_for,
    ]);
}

fn threads_are_refused_by_name() {
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("the other one".into()).spawn(move || ended.recv()).unwrap();
    // The name is set by the new thread itself.
    support::until("the thread is named", || match spawn(|| 1_u64) {
        Err(SpawnError::MultiThreaded { threads }) => threads == ["the other one"],
        other => panic!("{other:?}"),
    });
    let (error, closure) = Builder::new().try_spawn(|| 1_u64).unwrap_err();
    assert!(error.to_string().contains("the other one") && error.to_string().contains("before starting threads"));
    assert_eq!(closure(), 1);
    drop(end);
    thread.join().unwrap().unwrap_err();
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
}

fn a_thread_that_was_joined_is_no_thread() {
    // The kernel counts a thread for some time after its join.
    for _ in 0..2000 {
        std::thread::spawn(|| ()).join().unwrap();
        spawn(|| ()).unwrap().join().unwrap();
    }
}

fn threads_are_counted_where_unshare_is_refused() {
    refuse_call(libc::SYS_unshare, None, libc::EPERM);
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || ended.recv());
    assert!(matches!(spawn(|| 1_u64), Err(SpawnError::MultiThreaded { .. })));
    drop(end);
    thread.join().unwrap().unwrap_err();
}

fn a_process_that_shares_memory_counts_as_a_thread() {
    extern "C" fn wait_for_word(word: *mut libc::c_void) -> i32 {
        // SAFETY: the word outlives the process, which is waited for.
        let word = unsafe { &*word.cast::<std::sync::atomic::AtomicU32>() };
        while word.load(std::sync::atomic::Ordering::Acquire) == 0 {
            let _ = rustix::thread::futex::wait(word, rustix::thread::futex::Flags::empty(), 0, None);
        }
        0
    }
    let word = std::sync::atomic::AtomicU32::new(0);
    let mut stack = vec![0_u128; 4096];
    // SAFETY: the stack and the word outlive the process, which uses neither locks nor thread-locals.
    let pid = unsafe {
        libc::clone(
            wait_for_word,
            stack.as_mut_ptr().add(4096).cast(),
            libc::CLONE_VM | libc::SIGCHLD,
            (&raw const word).cast_mut().cast(),
        )
    };
    assert!(pid > 0);
    let refused = spawn(|| 1_u64);
    word.store(1, std::sync::atomic::Ordering::Release);
    rustix::thread::futex::wake(&word, rustix::thread::futex::Flags::empty(), 1).unwrap();
    rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty()).unwrap();
    let Err(SpawnError::MultiThreaded { threads }) = refused else { panic!("{refused:?}") };
    assert!(threads[0].contains("CLONE_VM"), "{threads:?}");
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
}

fn unchecked_forks_with_threads() {
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || ended.recv());
    // SAFETY: glibc makes malloc usable in the child, and no other lock is used there.
    assert_eq!(unsafe { spawn_unchecked(|| 7_u64) }.unwrap().join().unwrap(), 7);
    drop(end);
    thread.join().unwrap().unwrap_err();
}

/// A single-threaded tokio program whose child uses the runtime that it inherited. Returns how the program ended.
fn tokio_parent(fork_with: fn(&mut dyn FnMut())) -> std::process::ExitStatus {
    support::in_child(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (told, tell) = std::io::pipe().unwrap();
            let (go_on, gate) = std::io::pipe().unwrap();
            fork_with(&mut || {
                // What the child allocates from here on lies where the parent has nothing mapped.
                for _ in 0..500_000 {
                    std::mem::forget(std::hint::black_box(Box::new([0_u8; 200])));
                }
                let (stream, other) = tokio::net::UnixStream::pair().unwrap();
                other.try_write(b"ready").unwrap();
                std::io::Write::write_all(&mut &tell, b"!").unwrap();
                let mut end = [0];
                let _ = std::io::Read::read(&mut &go_on, &mut end);
                drop((stream, other));
            });
            std::io::Read::read_exact(&mut &told, &mut [0]).unwrap();
            // The parent's reactor looks at its epoll.
            tokio::time::sleep(Duration::from_millis(20)).await;
            std::io::Write::write_all(&mut &gate, b"!").unwrap();
        });
    })
}

fn a_bare_fork_kills_a_tokio_parent() {
    let status = tokio_parent(|child| {
        // SAFETY: none: this is the mistake. The child ends here.
        unsafe {
            if libc::fork() == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                child();
                libc::_exit(0);
            }
        }
    });
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status:?}: the mistake has done no harm");
}

fn a_tokio_parent_lives() {
    let status = tokio_parent(|child| {
        spawn(child).unwrap().detach();
    });
    assert_eq!(status.code(), Some(0), "{status:?}");
}

fn a_ring() -> io_uring::IoUring {
    match io_uring::IoUring::new(8) {
        Ok(ring) => ring,
        Err(error) => support::skip(&format!("no io_uring can be had here: {error}")),
    }
}

fn a_bare_fork_writes_the_parents_memory_by_io_uring() {
    let mut ring = a_ring();
    let (reader, writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &writer, b"child").unwrap();
    let mut buffer = *b"mine!";
    let status = support::in_child(|| {
        let read = io_uring::opcode::Read::new(
            io_uring::types::Fd(reader.as_raw_fd()),
            buffer.as_mut_ptr(),
            buffer.len() as u32,
        );
        // SAFETY: none: this is the mistake. In this process the buffer is this process's own.
        unsafe { ring.submission().push(&read.build()).unwrap() };
    });
    assert_eq!(status.code(), Some(0));
    // The parent submits what it thinks is nothing.
    ring.submission().sync();
    ring.submit_and_wait(1).unwrap();
    assert_eq!(&std::hint::black_box(buffer), b"child", "the mistake has done no harm");
}

fn an_io_uring_is_refused_by_name() {
    let ring = a_ring();
    let Err(SpawnError::SharedMemory(what)) = spawn(|| 1_u64) else { panic!("not refused") };
    assert!(what.contains("io_uring") && what.contains(&ring.as_raw_fd().to_string()), "{what}");
    // SAFETY: the child does not use the ring.
    let child = unsafe { Builder::new().allow_shared() }.spawn(|| 1_u64);
    assert_eq!(child.unwrap().join().unwrap(), 1);
    // SAFETY: as above, and there is one thread.
    assert_eq!(unsafe { spawn_unchecked(|| 2_u64) }.unwrap().join().unwrap(), 2);
    drop(ring);
    assert_eq!(spawn(|| 3_u64).unwrap().join().unwrap(), 3);
}

/// A page mapped by somebody else.
struct Page(*mut libc::c_void);

impl Page {
    fn new(protection: i32, flags: i32) -> Page {
        // SAFETY: a new mapping.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        Page(page)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.0, 4096) };
    }
}

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn a_foreign_shared_mapping_is_refused_by_name() {
    let ours = Shared::new(std::sync::atomic::AtomicU64::new(1)).unwrap();
    let page = Page::new(READ_WRITE, libc::MAP_SHARED);
    let Err(SpawnError::SharedMemory(what)) = spawn(|| 1_u64) else { panic!("not refused") };
    assert!(what.contains(&format!("{:x}-", page.0 as usize)) && what.contains("DONTFORK"), "{what}");
    assert!(what.contains("/dev/zero"), "{what}");
    // SAFETY: the child does not touch the page.
    let child = unsafe { Builder::new().allow_shared() }.spawn(|| 1_u64);
    assert_eq!(child.unwrap().join().unwrap(), 1);
    drop(page);
    assert_eq!(spawn(|| 2_u64).unwrap().join().unwrap(), 2);
    drop(ours);
}

fn mappings_are_read_where_the_query_is_refused() {
    refuse::refuse_call(libc::SYS_ioctl, None, libc::ENOTTY);
    a_foreign_shared_mapping_is_refused_by_name();
}

fn a_foreign_mapping_that_stays_behind_is_no_matter() {
    let page = Page::new(READ_WRITE, libc::MAP_SHARED);
    assert!(spawn(|| 1_u64).is_err());
    // SAFETY: the page is ours to advise on.
    assert_eq!(unsafe { libc::madvise(page.0, 4096, libc::MADV_DONTFORK) }, 0);
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
    // One that stays behind does not hide another.
    let another = Page::new(READ_WRITE, libc::MAP_SHARED);
    assert!(matches!(spawn(|| 1_u64), Err(SpawnError::SharedMemory(_))));
    drop(another);
}

fn read_only_and_private_mappings_are_no_matter() {
    let _read_only = Page::new(libc::PROT_READ, libc::MAP_SHARED);
    let _private = Page::new(READ_WRITE, libc::MAP_PRIVATE);
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
}

fn our_own_shared_memory_is_welcome() {
    let counters = Shared::<[std::sync::atomic::AtomicU64]>::from_fn(10_000, |_| 0.into()).unwrap();
    let slice = SharedSlice::<u64>::zeroed(10_000).unwrap();
    let private = Private::<[u8]>::zeroed(10_000).unwrap();
    let frozen = Frozen::<u64>::build(1000, |buffer| buffer.fill(3)).unwrap();
    let child = spawn(|| {
        counters[9_999].store(7, std::sync::atomic::Ordering::Release);
        let _ = slice.set(5, 11);
        private.len() as u64 + frozen.iter().sum::<u64>()
    });
    assert_eq!(child.unwrap().join().unwrap(), 13_000);
    assert_eq!(counters[9_999].load(std::sync::atomic::Ordering::Acquire), 7);
    assert_eq!(slice.get(5), Some(11));
}

fn an_inherited_epoll_is_replaced() {
    use rustix::event::epoll;
    let instance = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    epoll::add(&instance, &reader, epoll::EventData::new_u64(1), epoll::EventFlags::IN).unwrap();
    let child = spawn(|| {
        // Empty, of the right type, and the child's own.
        let gone = epoll::delete(&instance, &reader) == Err(rustix::io::Errno::NOENT);
        let added = epoll::add(&instance, &writer, epoll::EventData::new_u64(2), epoll::EventFlags::OUT).is_ok();
        let flags = rustix::io::fcntl_getfd(&instance).unwrap();
        gone && added && flags.contains(rustix::io::FdFlags::CLOEXEC)
    });
    assert!(child.unwrap().join().unwrap());
    // The parent's registration is whole: removed once, by the parent.
    epoll::delete(&instance, &reader).unwrap();
    assert_eq!(epoll::delete(&instance, &writer), Err(rustix::io::Errno::NOENT));
}

fn a_loan_forbids_every_fork() {
    let mut refused = 0;
    let frozen = Frozen::<u64>::build(10, |buffer| {
        buffer[0] = 1;
        refused += u64::from(matches!(spawn(|| ()), Err(SpawnError::LoanHeld)));
        // SAFETY: one thread; refused in any case.
        refused += u64::from(matches!(unsafe { spawn_unchecked(|| ()) }, Err(SpawnError::LoanHeld)));
        // SAFETY: as above.
        refused += u64::from(matches!(unsafe { raw::fork() }, Err(SpawnError::LoanHeld)));
        buffer[1] = 2;
    });
    assert_eq!(refused, 3);
    assert_eq!(&frozen.unwrap()[..2], [1, 2]);
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
}

fn foreign_forks_are_seen() {
    let child = spawn(|| stop().wait()).unwrap();
    for _ in 0..2 {
        let status = support::in_child(|| {
            assert!(child.wait().is_err() && child.kill().is_err());
            // A spawn of its own works, from a table of its own.
            assert_eq!(spawn(|| 5_u64).unwrap().join().unwrap(), 5);
            assert!(tine::process::parent().is_none());
        });
        assert_eq!(status.code(), Some(0));
    }
    // A raw clone runs no atfork handlers.
    // SAFETY: no flags: it is a fork, and the child ends here.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if pid == 0 {
            libc::_exit(i32::from(child.kill().is_ok()));
        }
        let mut status = 0;
        libc::waitpid(pid as i32, &mut status, 0);
        assert_eq!(status, 0);
    }
    assert!(!child.is_finished());
    child.request_stop().unwrap();
    child.join().unwrap();
}

fn a_hidden_region_is_a_hole_that_is_filled() {
    let secret = Private::new([7_u64; 512]).unwrap().dont_fork().unwrap();
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let here = maps();
    let child = spawn(|| {
        // Whatever the child allocates, it is not where the secret was.
        let blocks: Vec<Vec<u8>> = (0..64).map(|_| vec![1_u8; 4 << 20]).collect();
        std::hint::black_box(&blocks);
        (secret.get().is_err(), maps(), 0_u64)
    });
    let (refused, there, _) = child.unwrap().join().unwrap();
    assert!(refused);
    // The page of the secret is in both lists: readable here, inaccessible there.
    let range = |maps: &str, perms: &str| -> Vec<String> {
        maps.lines().filter(|l| l.contains(perms)).map(|l| l.split(' ').next().unwrap().to_owned()).collect()
    };
    let holes = range(&there, "---p");
    assert!(range(&here, "rw-p").iter().any(|r| holes.contains(r)), "{here}\n{there}");
}

/// A name is 15 bytes of anything: one that was cut inside a character is not UTF-8.
fn a_thread_whose_name_is_no_text_is_refused() {
    let (end, ended) = mpsc::channel::<()>();
    let (named, name) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_name(c"cut \xc3").unwrap();
        named.send(()).unwrap();
        ended.recv()
    });
    name.recv().unwrap();
    let refused = || match spawn(|| 1_u64) {
        Err(SpawnError::MultiThreaded { threads }) => threads == ["cut \u{fffd}"],
        other => panic!("{other:?}"),
    };
    assert!(refused());
    refuse_call(libc::SYS_unshare, None, libc::EPERM);
    assert!(refused(), "the list of tasks misses the thread");
    drop(end);
    thread.join().unwrap().unwrap_err();
}

fn a_joined_thread_is_none_where_unshare_is_refused() {
    refuse_call(libc::SYS_unshare, None, libc::EPERM);
    // A joined thread is still listed while it is on its way out of the kernel.
    for _ in 0..2000 {
        std::thread::spawn(|| ()).join().unwrap();
        spawn(|| ()).unwrap().join().unwrap();
    }
}

fn an_unchecked_fork_needs_no_proc() {
    let status = support::in_child(|| {
        let (end, ended) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || ended.recv());
        refuse_call(libc::SYS_openat, None, libc::ENOENT);
        // SAFETY: the closure only ends the process.
        let child = unsafe { spawn_unchecked(|| libc::_exit(3)) };
        let exit = child.map(|child: tine::JoinHandle<()>| child.wait().unwrap());
        assert_eq!(exit.unwrap().status.code(), Some(3));
        // With the checks it is an error that names what could not be done.
        let Err(SpawnError::Io(error)) = spawn(|| ()) else { panic!("accepted") };
        assert!(error.to_string().contains("counting threads"), "{error}");
        drop(end);
        thread.join().unwrap().unwrap_err();
    });
    assert_eq!(status.code(), Some(0));
}

/// Who answers for an io_uring does not answer for an epoll.
fn an_epoll_beside_an_io_uring_is_replaced() {
    use rustix::event::epoll;
    let ring = a_ring();
    let instance = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    epoll::add(&instance, &reader, epoll::EventData::new_u64(1), epoll::EventFlags::IN).unwrap();
    // SAFETY: the child does not use the ring.
    let child = unsafe { Builder::new().allow_shared() };
    let child = child.spawn(|| epoll::delete(&instance, &reader) == Err(rustix::io::Errno::NOENT));
    assert!(child.unwrap().join().unwrap());
    epoll::delete(&instance, &reader).unwrap();
    drop(ring);
}

/// What was borrowed from a handle before the fork stays, in the child, a descriptor that can do nothing: were its
/// number free, the child's next file would get it, and be used by who holds the borrow.
fn a_borrowed_descriptor_of_a_handle_is_never_another_file() {
    let sibling = spawn(|| stop().wait()).unwrap();
    let borrowed = sibling.as_fd();
    let child = spawn(|| {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        assert!(files.iter().all(|file| file.as_raw_fd() != borrowed.as_raw_fd()), "its number was given away");
        let mut byte = [0];
        rustix::io::read(borrowed, &mut byte) == Err(rustix::io::Errno::BADF)
    });
    assert!(child.unwrap().join().unwrap());
    sibling.request_stop().unwrap();
    sibling.join().unwrap();
}

/// A handle that went into a child and is dropped there gives back its number, and no file that was opened since.
fn a_captured_handle_closes_only_its_own() {
    let sibling = spawn(|| stop().wait()).unwrap();
    let number = sibling.as_fd().as_raw_fd();
    let child = Builder::new().keep_captures().spawn(move || {
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        drop(sibling);
        assert!(files.iter().all(|file| rustix::io::fcntl_getfd(file).is_ok()), "a file of the child was closed");
        std::fs::read_link(format!("/proc/self/fd/{number}")).is_err()
    });
    let child = child.unwrap();
    assert!(child.wait().unwrap().success());
    // Dropping the kept captures drops the sibling's handle here; it is reaped when it has ended.
    assert!(child.join().unwrap());
    for pid in support::children() {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    support::until("it is reaped by a later spawn", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn forks_are_seen_where_pages_cannot_be_wiped() {
    // Before the library has looked for the first time.
    refuse_call(libc::SYS_madvise, Some((2, libc::MADV_WIPEONFORK as u32)), libc::EINVAL);
    let child = spawn(|| stop().wait()).unwrap();
    assert!(spawn(|| child.kill().is_err()).unwrap().join().unwrap());
    let status = support::in_child(|| {
        assert!(child.kill().is_err());
        assert_eq!(spawn(|| child.kill().is_err()).unwrap().join().ok(), Some(true));
    });
    assert_eq!(status.code(), Some(0));
    assert!(!child.is_finished());
    child.request_stop().unwrap();
    child.join().unwrap();
}

/// Ends a thread that is traced by a child, which looks at its end when `looks` returns; spawns meanwhile.
fn spawn_beside_a_held_thread(looks: fn()) -> Result<u64, SpawnError> {
    let (mut is_seized, seized) = std::io::pipe().unwrap();
    let (mut told, tell) = std::io::pipe().unwrap();
    let tracer = spawn(|| {
        let mut tid = [0; 4];
        std::io::Read::read_exact(&mut told, &mut tid).unwrap();
        // SAFETY: the call reads integers only.
        let answer = unsafe { libc::ptrace(libc::PTRACE_SEIZE, i32::from_ne_bytes(tid), 0, 0) };
        std::io::Write::write_all(&mut &seized, if answer == 0 { b"y" } else { b"n" }).unwrap();
        // Its end lets go of whom it traces.
        looks();
    });
    let tracer = tracer.unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &tell, &rustix::thread::gettid().as_raw_nonzero().get().to_ne_bytes()).unwrap();
        ended.recv().unwrap_err();
    });
    let mut answer = [0];
    std::io::Read::read_exact(&mut is_seized, &mut answer).unwrap();
    drop(end);
    thread.join().unwrap();
    let spawned = spawn(|| 1_u64).map(|child| child.join().unwrap());
    tracer.request_stop().unwrap();
    tracer.join().unwrap();
    if answer != *b"y" {
        support::skip("threads cannot be traced here");
    }
    spawned
}

/// A traced thread that has ended stays until its tracer has looked. While it does, the kernel cannot say whether this
/// process is alone with its memory.
fn a_joined_thread_that_a_debugger_holds_is_named() {
    let refused = spawn_beside_a_held_thread(|| stop().wait());
    let Err(SpawnError::MultiThreaded { threads }) = refused else { panic!("{refused:?}") };
    assert!(threads.len() == 1 && threads[0].contains("debugger"), "{threads:?}");
    assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
}

fn a_joined_thread_that_is_slow_to_leave_is_waited_for() {
    let spawned = spawn_beside_a_held_thread(|| assert!(!stop().wait_timeout(Duration::from_millis(60))));
    assert_eq!(spawned.unwrap(), 1);
}

/// A thread that panics holds the lock of the panic hook. The child of another, which has a copy of the lock and not of
/// the thread, must not want it.
fn a_child_of_a_threaded_parent_keeps_off_the_panic_hook() {
    let (hooked, is_hooked) = mpsc::sync_channel::<()>(1);
    let (end, ended) = mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    std::panic::set_hook(Box::new(move |_| {
        hooked.send(()).unwrap();
        let _ = ended.lock().unwrap().recv();
    }));
    let thread = std::thread::spawn(|| panic!("as asked"));
    is_hooked.recv().unwrap();
    // SAFETY: the closure only ends the process.
    let child: tine::JoinHandle<()> = unsafe { spawn_unchecked(|| libc::_exit(3)) }.unwrap();
    let exit = child.wait_timeout(Duration::from_secs(10)).unwrap();
    drop(end);
    thread.join().unwrap_err();
    drop(std::panic::take_hook());
    if exit.is_none() {
        child.kill().unwrap();
    }
    assert_eq!(exit.expect("the child waits for the hook's lock for ever").status.code(), Some(3));
}

/// `thread::scope` returns when its threads have left their closures, not when they have ended.
fn a_thread_that_is_about_to_end_is_waited_for() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    thread_local!(static SLOW: Slow = const { Slow });
    for refused in [false, true] {
        if refused {
            refuse_call(libc::SYS_unshare, None, libc::EPERM);
        }
        std::thread::scope(|s| drop(s.spawn(|| SLOW.with(|_| ()))));
        assert_eq!(spawn(|| 1_u64).unwrap().join().unwrap(), 1);
    }
}
