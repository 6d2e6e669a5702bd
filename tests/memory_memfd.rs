//! Memory files: what they refuse, what is refused of them, and memory that runs out.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Resource, Rlimit, setrlimit};
use support::in_child;
use tine::memory::{FreezeReason, Frozen, Memfd, MemfdError, Seals, SharedSlice, View};

fn main() {
    support::run(cases![
        frozen_memory_cannot_be_changed_by_any_means,
        a_foreign_descriptor_is_looked_at_before_it_is_mapped,
        a_sparse_file_is_filled_or_refused,
        a_slice_is_frozen_when_nobody_else_has_it,
        a_slice_that_others_have_comes_back,
        freezing_waits_for_no_child,
        a_fork_behind_our_back_keeps_memory_from_being_frozen,
        a_panic_in_build_leaves_nothing,
        who_gets_a_view_cannot_write,
        a_peer_cannot_cut_off_what_is_mapped,
        more_memory_than_the_machine_has_is_an_error,
        more_memory_than_the_cgroup_has_is_an_error,
        a_limit_of_file_sizes_is_an_error,
        descriptors_that_run_out_are_an_error,
        an_older_memfd_create_will_do,
    ]);
}

/// A writable mapping of `fd`, by hand; unmapped at once.
fn try_to_map_writable(fd: impl AsFd) -> Result<(), Errno> {
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping where there is none, which nobody uses.
    unsafe {
        let address = rustix::mm::mmap(std::ptr::null_mut(), 4096, prot, MapFlags::SHARED, fd, 0)?;
        rustix::mm::munmap(address, 4096)
    }
}

/// A memfd by hand, of `len` bytes that are not there yet.
fn bare(len: u64, seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, len).unwrap();
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

fn frozen_memory_cannot_be_changed_by_any_means() {
    let frozen = Frozen::<u64>::build(1024, |buffer| {
        assert!(buffer.iter().all(|&v| v == 0));
        buffer.iter_mut().zip(0..).for_each(|(v, i)| *v = i * i);
    })
    .unwrap();
    let status = in_child(|| {
        let fd = frozen.as_fd();
        assert_eq!(try_to_map_writable(fd), Err(Errno::PERM));
        assert_eq!(rustix::io::pwrite(fd, &[1], 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 1 << 20), Err(Errno::PERM));
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(fd, punch, 0, 4096), Err(Errno::PERM));
        assert_eq!(rustix::fs::fcntl_add_seals(fd, SealFlags::FUTURE_WRITE), Err(Errno::PERM));
        assert_eq!(frozen[31], 961);
    });
    assert_eq!(status.code(), Some(0));
    let again = frozen.clone();
    drop(frozen);
    assert!(again.iter().enumerate().all(|(i, &v)| v == (i * i) as u64));
    // The other way: by descriptor, also one that cannot be written, into a mapping of its own.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&again.as_fd()));
    let read_only = std::fs::File::open(path).unwrap();
    let theirs = Frozen::<u64>::from_fd(read_only.into()).unwrap();
    assert_eq!(theirs[..], again[..]);
    assert!(Frozen::<u64>::from_slice(&[]).unwrap().is_empty());
}

fn a_foreign_descriptor_is_looked_at_before_it_is_mapped() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut on_disk = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    on_disk.flush().unwrap();
    let strangers: [OwnedFd; 4] = [
        reader.into(),
        std::fs::File::open("/dev/zero").unwrap().into(),
        std::fs::File::open("/proc").unwrap().into(),
        on_disk.into(),
    ];
    for fd in strangers {
        assert!(matches!(Memfd::try_from(fd), Err(MemfdError::NotMemfd)));
    }
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    for (lacks, name) in [
        (SealFlags::SHRINK, "SHRINK"),
        (SealFlags::GROW, "GROW"),
        (SealFlags::WRITE, "WRITE"),
        (SealFlags::SEAL, "SEAL"),
    ] {
        let Err(error) = Frozen::<u64>::from_fd(bare(4096, all - lacks)) else { panic!("{name} was not missed") };
        assert!(matches!(error, MemfdError::Unsealed { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("Seals({name})")), "{error}");
    }
    assert_eq!(Frozen::<u64>::from_fd(bare(4096, all)).unwrap().len(), 512);
    let Err(MemfdError::Size { len: 4097, unit: 8 }) = Frozen::<u64>::from_fd(bare(4097, all)) else { panic!() };
    let memfd = |len| Memfd::try_from(bare(len, SealFlags::SHRINK)).unwrap();
    assert!(matches!(memfd(12).into_slice::<u64>(), Err(MemfdError::Size { len: 12, unit: 8 })));
    assert!(matches!(memfd(12).into_view::<u64>(), Err(MemfdError::Size { .. })));
    assert!(matches!(memfd(4).into_shared(AtomicU64::new(0)), Err(MemfdError::Size { len: 4, unit: 8 })));
    assert!(matches!(memfd(8).into_frozen::<u64>(), Err(MemfdError::Unsealed { .. })));
    assert_eq!(memfd(0).into_slice::<u64>().unwrap().len(), 0);
    assert_eq!(memfd(0).into_slice::<[u8; 0]>().unwrap().len(), 0);
    assert!(matches!(memfd(8).into_slice::<[u8; 0]>(), Err(MemfdError::Size { len: 8, unit: 0 })));
    let sealed = Memfd::try_from(bare(4096, all)).unwrap();
    let Err(MemfdError::Sealed { by: Seals::WRITE }) = sealed.into_slice::<u64>() else { panic!() };
    assert_eq!(Memfd::try_from(bare(4096, all)).unwrap().into_view::<u64>().unwrap().to_vec(), [0; 512]);
}

fn a_sparse_file_is_filled_or_refused() {
    let blocks = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_blocks;
    let sparse = bare(1 << 16, SealFlags::SHRINK);
    assert_eq!(blocks(&sparse), 0);
    let slice = Memfd::try_from(sparse).unwrap().into_slice::<u8>().unwrap();
    assert_eq!(blocks(&slice.memfd().unwrap().try_clone_to_owned().unwrap()), (1 << 16) / 512);
    // One that may only be read cannot be filled.
    let sparse = bare(1 << 16, SealFlags::SHRINK);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&sparse));
    let read_only: OwnedFd = std::fs::File::open(path).unwrap().into();
    assert!(matches!(Memfd::try_from(read_only), Err(MemfdError::Sparse(_))));
    // One that pretends to be large.
    let huge = bare(1 << 50, SealFlags::SHRINK);
    let Err(MemfdError::Sparse(error)) = Memfd::try_from(huge) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

fn a_slice_is_frozen_when_nobody_else_has_it() {
    let slice = SharedSlice::<u32>::with_memfd(5000).unwrap();
    let status = in_child(|| slice.copy_from(100, &[1, 2, 3]).unwrap());
    assert_eq!(status.code(), Some(0));
    let frozen = slice.freeze().unwrap();
    assert_eq!((frozen.len(), &frozen[99..104]), (5000, &[0, 1, 2, 3, 0][..]));
    assert_eq!(try_to_map_writable(&frozen), Err(Errno::PERM));
}

fn a_slice_that_others_have_comes_back() {
    let anonymous = SharedSlice::<u32>::from_slice(&[1, 2]).unwrap();
    let error = anonymous.freeze().unwrap_err();
    assert!(matches!(error.reason(), FreezeReason::NotMemfd));
    assert_eq!(error.into_slice().unwrap().to_vec(), [1, 2]);

    let slice = SharedSlice::<u32>::with_memfd(2).unwrap();
    slice.set(1, 7).unwrap();
    let view: View<u32> = (*slice).clone();
    let error = slice.freeze().unwrap_err();
    assert!(matches!(error.reason(), FreezeReason::OtherHandles));
    let slice = error.into_slice().unwrap();
    slice.set(0, 6).unwrap();
    assert_eq!(view.to_vec(), [6, 7]);
    drop(view);
    assert_eq!(slice.freeze().unwrap()[..], [6, 7]);
}

/// A child that lives has the memory mapped writable; the kernel knows.
fn freezing_waits_for_no_child() {
    let slice = SharedSlice::<u32>::with_memfd(2).unwrap();
    let child = Sleeper::start();
    slice.set(1, 7).unwrap();
    let error = slice.freeze().unwrap_err();
    assert!(matches!(error.reason(), FreezeReason::MappedElsewhere), "{error}");
    let slice = error.into_slice().unwrap();
    assert_eq!(slice.to_vec(), [0, 7]);
    child.end();
    assert_eq!(slice.freeze().unwrap()[..], [0, 7]);
}

fn a_fork_behind_our_back_keeps_memory_from_being_frozen() {
    let mut child = None;
    let error = Frozen::<u32>::build(2, |_| child = Some(Sleeper::start())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    child.unwrap().end();
}

fn a_panic_in_build_leaves_nothing() {
    let before = (support::descriptors(), support::shared_mappings());
    let panicked = std::panic::catch_unwind(|| Frozen::<u32>::build(2, |_| panic!("as asked")));
    assert!(panicked.is_err());
    assert_eq!((support::descriptors(), support::shared_mappings()), before);
}

/// A child that does nothing until it is told to end.
struct Sleeper {
    pid: rustix::process::Pid,
    end: std::io::PipeWriter,
}

impl Sleeper {
    fn start() -> Sleeper {
        let (mut reader, end) = std::io::pipe().unwrap();
        // SAFETY: a case is single-threaded; the child only reads and exits.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(end);
            let _ = std::io::Read::read(&mut reader, &mut [0]);
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(0) }
        }
        Sleeper { pid: rustix::process::Pid::from_raw(pid).expect("fork"), end }
    }

    fn end(self) {
        drop(self.end);
        rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty()).unwrap();
    }
}

fn who_gets_a_view_cannot_write() {
    let slice = SharedSlice::<u64>::with_memfd(512).unwrap();
    let view = slice.read_only_view().unwrap();
    slice.set(3, 4).unwrap();
    assert_eq!(view.get(3), Some(4));
    let fd = view.memfd().unwrap();
    assert_eq!(try_to_map_writable(fd), Err(Errno::PERM));
    assert_eq!(rustix::io::pwrite(fd, &[1], 0), Err(Errno::PERM));
    let theirs = Memfd::try_from(fd.try_clone_to_owned().unwrap()).unwrap();
    assert!(matches!(theirs.into_slice::<u64>(), Err(MemfdError::Sealed { by: Seals::FUTURE_WRITE })));
    let theirs = Memfd::try_from(fd.try_clone_to_owned().unwrap()).unwrap().into_view::<u64>().unwrap();
    // The view's own mapping cannot be made writable either.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rights: Vec<&str> =
        maps.lines().filter(|l| l.contains("memfd:tine")).filter_map(|l| l.split(' ').nth(1)).collect();
    assert_eq!(rights.iter().filter(|r| **r == "r--s").count(), 2, "{maps}");
    assert_eq!(rights.iter().filter(|r| **r == "rw-s").count(), 1, "{maps}");
    slice.copy_from(0, &[1, 2, 3]).unwrap();
    assert_eq!(theirs.range_to_vec(..4).unwrap(), [1, 2, 3, 4]);
    assert!(matches!(SharedSlice::<u64>::zeroed(1).unwrap().read_only_view(), Err(MemfdError::NotMemfd)));
}

/// Without the seal the `ftruncate` works, and the next access is a SIGBUS.
fn a_peer_cannot_cut_off_what_is_mapped() {
    let slice = SharedSlice::<u64>::with_memfd(512).unwrap();
    slice.set(511, 1).unwrap();
    let status = in_child(|| assert_eq!(rustix::fs::ftruncate(slice.memfd().unwrap(), 0), Err(Errno::PERM)));
    assert_eq!(status.code(), Some(0));
    assert_eq!(slice.get(511), Some(1));
}

/// Python's scenario 155.
fn more_memory_than_the_machine_has_is_an_error() {
    for len in [1 << 45, 1 << 60, isize::MAX as usize] {
        assert_eq!(Memfd::new(len).unwrap_err().kind(), ErrorKind::StorageFull, "{len}");
        assert_eq!(SharedSlice::<u8>::with_memfd(len).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(Frozen::<u8>::build(len, |_| unreachable!()).unwrap_err().kind(), ErrorKind::StorageFull);
    }
    assert_eq!(Memfd::new(usize::MAX).unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(Frozen::<u64>::build(usize::MAX / 4, |_| ()).unwrap_err().kind(), ErrorKind::OutOfMemory);
}

/// Scenario 155 with a wall that is near: a memory cgroup of 64 MiB.
fn more_memory_than_the_cgroup_has_is_an_error() {
    const LIMIT: usize = 64 << 20;
    let Some(cgroup) = Cgroup::with_limit(LIMIT) else { support::skip("needs root and a memory cgroup") };
    let status = in_child(|| {
        cgroup.enter();
        let error = Memfd::new(2 * LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("in the memory cgroup"), "{error}");
        // What fits is to be had, again and again, and can be written to its end.
        for _ in 0..4 {
            let half = SharedSlice::<u8>::with_memfd(LIMIT / 2).unwrap();
            half.copy_from(LIMIT / 4, &[1; 4096]).unwrap();
            assert!(SharedSlice::<u8>::with_memfd(LIMIT / 2).is_err());
        }
    });
    assert_eq!(status.code(), Some(0));
    // The twin: taking it without a look is answered by the OOM killer. (A child of its own: only it can be hit.)
    let status = in_child(|| {
        cgroup.enter();
        let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let _ = rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, 2 * LIMIT as u64);
    });
    assert_eq!(status.signal(), Some(libc::SIGKILL), "this kernel is kinder; is the look still needed? {status:?}");
}

/// A memory cgroup of our own below ours; gone when dropped.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn with_limit(bytes: usize) -> Option<Cgroup> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let name = format!("tine-test-{}", std::process::id());
        let v1 = own.lines().find_map(|l| l.split_once(":memory:"));
        let (dir, limit) = match v1 {
            Some((_, path)) => (format!("/sys/fs/cgroup/memory{path}/{name}"), "memory.limit_in_bytes"),
            None => {
                (format!("/sys/fs/cgroup{}/{name}", own.lines().find_map(|l| l.strip_prefix("0::"))?), "memory.max")
            }
        };
        std::fs::create_dir(&dir).ok()?;
        let cgroup = Cgroup(dir.into());
        std::fs::write(cgroup.0.join(limit), bytes.to_string()).ok()?;
        Some(cgroup)
    }

    fn enter(&self) {
        std::fs::write(self.0.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The kernel lets go of a dead member a moment after it was reaped.
        support::until("the cgroup is empty", || std::fs::remove_dir(&self.0).is_ok());
    }
}

/// The default action of SIGXFSZ would kill the child.
fn a_limit_of_file_sizes_is_an_error() {
    let status = in_child(|| {
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 16), maximum: None }).unwrap();
        assert_eq!(Memfd::new((1 << 16) + 1).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(Memfd::new(1 << 16).unwrap().len(), 1 << 16);
    });
    assert_eq!(status.code(), Some(0));
    // The twin: without the look it does.
    let status = in_child(|| {
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 16), maximum: None }).unwrap();
        let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let _ = rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, (1 << 16) + 1);
    });
    assert_eq!(status.signal(), Some(libc::SIGXFSZ));
}

fn descriptors_that_run_out_are_an_error() {
    let status = in_child(|| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(16), maximum: Some(16) }).unwrap();
        let mut files = Vec::new();
        let error = loop {
            match Memfd::new(4096) {
                Ok(memfd) => files.push(memfd),
                Err(error) => break error,
            }
            assert!(files.len() <= 16);
        };
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        assert!(Frozen::<u8>::build(1, |_| unreachable!()).is_err());
        files.pop();
        assert_eq!(Frozen::<u8>::from_slice(&[1]).unwrap()[..], [1]);
    });
    assert_eq!(status.code(), Some(0));
}

fn an_older_memfd_create_will_do() {
    let status = in_child(|| {
        let newest = (MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL).bits();
        refuse::refuse_call(libc::SYS_memfd_create, Some((1, newest)), libc::EINVAL);
        let memfd = Memfd::new(10).unwrap();
        assert!(memfd.seals().unwrap().contains(Seals::SHRINK | Seals::GROW));
        assert!(!format!("{memfd:?}").contains("EXEC"), "the call was not refused: {memfd:?}");
    });
    assert_eq!(status.code(), Some(0));
}
