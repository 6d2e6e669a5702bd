//! What somebody else has put in the way, and what runs out.
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;

use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use tine::memory::{Origin, Segment, SegmentError};

use crate::refuse_call::refuse_call;
use crate::support::{self, in_child};
use crate::{exists, name, path};

/// What each way to a segment says of the name.
fn all_ways(of: &str) -> [Result<(), SegmentError>; 4] {
    [
        Segment::open(&name(of)).map(drop),
        Segment::open_view::<u8>(&name(of)).map(drop),
        Segment::create_or_recover(&name(of), 1).map(drop),
        Segment::create(&name(of), 1).map(drop),
    ]
}

/// Each way refuses it; creating, because there is something.
#[track_caller]
fn refused_by_all(of: &str, expected: impl Fn(&SegmentError) -> bool) {
    let [open, view, recover, create] = all_ways(of).map(Result::unwrap_err);
    for error in [open, view, recover] {
        assert!(expected(&error), "{error:?}");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::PermissionDenied);
    }
    assert!(matches!(create, SegmentError::Exists { .. }), "{create:?}");
    assert!(exists(of), "it was removed");
}

fn file(of: &str, len: u64, mode: u32) -> std::fs::File {
    let file = std::fs::File::create_new(path(of)).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    file.set_len(len).unwrap();
    file
}

pub fn a_symbolic_link_is_refused() {
    let target = support::TempFile::new("target");
    std::fs::write(target.path(), "precious").unwrap();
    let segment = Segment::create(&name("real"), 8).unwrap();
    for leads_to in [target.path(), &path("real"), &path("nowhere"), &path("link")] {
        symlink(leads_to, path("link")).unwrap();
        refused_by_all("link", |e| matches!(e, SegmentError::NotRegular { .. }));
        assert!(matches!(Segment::unlink(&name("link")), Err(SegmentError::NotRegular { .. })));
        std::fs::remove_file(path("link")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(target.path()).unwrap(), "precious");
    assert!(!exists("nowhere"));
    drop(segment);
}

pub fn what_is_no_file_is_refused() {
    let refused = || {
        refused_by_all("thing", |e| matches!(e, SegmentError::NotRegular { .. }));
        assert!(matches!(Segment::unlink(&name("thing")), Err(SegmentError::NotRegular { .. })));
    };
    std::fs::create_dir(path("thing")).unwrap();
    refused();
    std::fs::remove_dir(path("thing")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(path("thing")).unwrap();
    refused();
    std::fs::remove_file(path("thing")).unwrap();
    drop(socket);
    // Nobody writes into it: who opens it must not wait.
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path("thing"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    refused();
    std::fs::remove_file(path("thing")).unwrap();
}

pub fn a_mode_that_lets_others_in_is_refused() {
    for mode in [0o000, 0o400, 0o200, 0o700, 0o640, 0o620, 0o660, 0o604, 0o602, 0o666, 0o644, 0o1600, 0o4600] {
        let _file = file("mode", 8, mode);
        refused_by_all("mode", |e| matches!(e, SegmentError::WrongMode { mode: m, .. } if *m == mode));
        // Its owner may remove it all the same.
        Segment::unlink(&name("mode")).unwrap();
    }
    let _file = file("mode", 8, 0o600);
    drop(Segment::open(&name("mode")).unwrap());
    Segment::unlink(&name("mode")).unwrap();
}

pub fn a_second_name_is_refused() {
    let segment = Segment::create(&name("one"), 8).unwrap();
    std::fs::hard_link(path("one"), path("two")).unwrap();
    refused_by_all("two", |e| matches!(e, SegmentError::HardLinked { .. }));
    refused_by_all("one", |e| matches!(e, SegmentError::HardLinked { .. }));
    // Its creator still knows which name is his.
    drop(segment);
    assert!(!exists("one") && exists("two"));
    Segment::unlink(&name("two")).unwrap();
}

/// Makes this child another user, who may do nothing.
fn become_user(id: u32) {
    // SAFETY: integers only.
    unsafe { assert!(libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(id) == 0 && libc::setuid(id) == 0) };
}

fn needs_root() {
    if !geteuid().is_root() {
        support::skip("needs root, to be two users");
    }
}

pub fn another_users_name_is_refused() {
    needs_root();
    let uid = support::nobodys_uid();
    let status = in_child(|| {
        become_user(uid);
        drop(Segment::create(&name("theirs"), 8).unwrap().keep());
    });
    assert_eq!(status.code(), Some(0));
    // Root could open it; that is what he must not do.
    refused_by_all("theirs", |e| matches!(e, SegmentError::WrongOwner { uid: u, .. } if *u == uid));
    assert!(matches!(Segment::unlink(&name("theirs")), Err(SegmentError::WrongOwner { .. })));
    // One that invites him.
    std::fs::set_permissions(path("theirs"), std::fs::Permissions::from_mode(0o666)).unwrap();
    refused_by_all("theirs", |e| matches!(e, SegmentError::WrongOwner { .. }));
    // The other way: who cannot even open it is told whose it is.
    let ours = Segment::create(&name("ours"), 8).unwrap();
    let status = in_child(|| {
        become_user(uid);
        refused_by_all("ours", |e| matches!(e, SegmentError::WrongOwner { uid: 0, .. }));
        assert!(matches!(Segment::unlink(&name("ours")), Err(SegmentError::WrongOwner { .. })));
        // A squatter's link to it.
        symlink(path("ours"), path("link")).unwrap();
        refused_by_all("link", |e| matches!(e, SegmentError::NotRegular { .. }));
        Segment::unlink(&name("theirs")).unwrap();
        std::fs::remove_file(path("link")).unwrap();
    });
    assert_eq!(status.code(), Some(0));
    drop(ours);
}

pub fn a_user_without_rights_has_segments_too() {
    needs_root();
    let uid = support::nobodys_uid();
    let status = in_child(|| {
        become_user(uid);
        let segment = Segment::create(&name("user"), 8).unwrap();
        assert!(link_of(&segment).contains("(deleted)"), "it was not made without a name: {}", link_of(&segment));
        Segment::open(&name("user")).unwrap();
        drop(segment);
        std::fs::File::create_new(path("user"))
            .unwrap()
            .set_permissions(std::fs::Permissions::from_mode(0o600))
            .unwrap();
        assert_eq!(Segment::create_or_recover(&name("user"), 8).unwrap().origin(), Origin::Recovered);
    });
    assert_eq!(status.code(), Some(0));
}

/// What the kernel calls the file: one that was made without a name keeps being called so.
fn link_of(segment: &Segment) -> String {
    let link = format!("/proc/self/fd/{}", segment.as_fd().as_raw_fd());
    std::fs::read_link(link).unwrap().to_string_lossy().into_owned()
}

/// Where files cannot be made without a name, or be given one later, the other way does the same.
pub fn it_works_in_a_sandbox() {
    let check = |refuse: &dyn Fn()| {
        let status = in_child(|| {
            refuse();
            let segment = Segment::create(&name("box"), 5000).unwrap();
            assert_eq!(link_of(&segment), path("box"), "it was made without a name: the call was not refused");
            assert!(matches!(Segment::create(&name("box"), 5000), Err(SegmentError::Exists { .. })));
            assert!(matches!(Segment::create_or_recover(&name("box"), 5000), Err(SegmentError::InUse { .. })));
            let file = std::fs::metadata(path("box")).unwrap();
            assert_eq!((file.len(), file.mode(), file.nlink()), (5000, 0o100_600, 1));
            drop(segment);
            assert!(!exists("box"));
            // What cannot be completed leaves no name.
            assert!(matches!(Segment::create(&name("box"), 1 << 45), Err(SegmentError::NoSpace(_))));
            assert!(!exists("box"));
            drop(file_of_a_dead_creator("box"));
            assert_eq!(Segment::create_or_recover(&name("box"), 1).unwrap().origin(), Origin::Recovered);
        });
        assert_eq!(status.code(), Some(0));
    };
    // As rustix asks: for large files too, and by the older call where there is one.
    let unnamed = (OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::LARGEFILE).bits();
    #[cfg(target_arch = "x86_64")]
    let (open, argument) = (libc::SYS_open, 1);
    #[cfg(not(target_arch = "x86_64"))]
    let (open, argument) = (libc::SYS_openat, 2);
    for errno in [libc::EOPNOTSUPP, libc::EISDIR, libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EACCES] {
        check(&|| refuse_call(open, Some((argument, unnamed)), errno));
    }
    for errno in [libc::ENOENT, libc::EPERM, libc::EACCES, libc::ENOSYS] {
        check(&|| refuse_call(libc::SYS_linkat, None, errno));
    }
}

fn file_of_a_dead_creator(of: &str) -> std::fs::File {
    file(of, 100, 0o600)
}

/// Enters a mount namespace of its own in which `prepare` has been done, and runs `f` there.
fn in_mounts(prepare: &[(&str, &str, &str, libc::c_ulong, &str)], f: impl FnOnce()) {
    if !geteuid().is_root() {
        support::skip("needs root, to mount");
    }
    let c = |text: &str| std::ffi::CString::new(text).unwrap();
    let status = in_child(|| {
        // SAFETY: strings that live until the calls return, and integers.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                libc::_exit(77);
            }
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            assert_eq!(libc::mount(c("none").as_ptr(), c("/").as_ptr(), std::ptr::null(), flags, std::ptr::null()), 0);
            for &(source, target, kind, flags, options) in prepare {
                let answer = match kind {
                    "gone" => libc::umount2(c(target).as_ptr(), libc::MNT_DETACH),
                    _ => libc::mount(
                        c(source).as_ptr(),
                        c(target).as_ptr(),
                        c(kind).as_ptr(),
                        flags,
                        c(options).as_ptr().cast(),
                    ),
                };
                assert_eq!(answer, 0, "{target}: {}", std::io::Error::last_os_error());
            }
        }
        f();
    });
    match status.code() {
        Some(77) => support::skip("needs mount namespaces"),
        code => assert_eq!(code, Some(0), "{status:?}"),
    }
}

/// Python's scenario 155: an error, and no SIGBUS.
pub fn a_full_file_system_is_an_error() {
    in_mounts(&[("none", "/dev/shm", "tmpfs", 0, "size=64k")], || {
        let error = Segment::create(&name("large"), 64 * 1024 + 1).unwrap_err();
        assert!(matches!(&error, SegmentError::NoSpace(e) if e.kind() == ErrorKind::StorageFull), "{error:?}");
        let half = Segment::create(&name("half"), 40 * 1024).unwrap();
        assert!(matches!(Segment::create(&name("other"), 40 * 1024), Err(SegmentError::NoSpace(_))));
        let slice = half.as_slice::<u8>().unwrap();
        slice.copy_from(0, &[1; 40 * 1024]).unwrap();
        // What has no memory yet, and cannot have it, is not mapped.
        let sparse = file("sparse", 40 * 1024, 0o600);
        assert!(matches!(Segment::open(&name("sparse")), Err(SegmentError::NoSpace(_))));
        assert!(matches!(Segment::open_view::<u8>(&name("sparse")), Err(SegmentError::NoSpace(_))));
        drop((half, slice));
        Segment::open(&name("sparse")).unwrap();
        drop(sparse);
        // A dead one's memory is there for its successor.
        assert_eq!(Segment::create_or_recover(&name("sparse"), 60 * 1024).unwrap().origin(), Origin::Recovered);
        assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
    });
    in_mounts(&[("none", "/dev/shm", "tmpfs", 0, "size=64k,nr_inodes=2")], || {
        let first = Segment::create(&name("first"), 1).unwrap();
        assert!(matches!(Segment::create(&name("second"), 1), Err(SegmentError::NoSpace(_))));
        drop(first);
        Segment::create(&name("second"), 1).unwrap();
    });
}

pub fn a_machine_without_dev_shm_says_so() {
    let check = |origin: &str| {
        for result in [Segment::create("x", 1), Segment::new(1), Segment::create_or_recover("x", 1)] {
            assert!(matches!(result, Err(SegmentError::NoTmpfs)), "{origin}: {result:?}");
        }
    };
    in_mounts(&[("none", "/dev", "tmpfs", 0, "")], || {
        check("no directory");
        assert!(matches!(Segment::open("x"), Err(SegmentError::NotFound { .. })));
    });
    // A directory of a disk.
    let target = format!("{}/shm-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir(&target).unwrap();
    in_mounts(&[(&target, "/dev/shm", "", libc::MS_BIND, "")], || {
        check("a disk");
        let _file = file("disk", 8, 0o600);
        assert!(matches!(Segment::open(&name("disk")), Err(SegmentError::NoTmpfs)));
        std::fs::remove_file(path("disk")).unwrap();
    });
    std::fs::remove_dir(&target).expect("it is empty");
}

pub fn a_machine_without_proc_has_segments() {
    in_mounts(&[("", "/proc", "gone", 0, "")], || {
        assert!(std::fs::metadata("/proc/self").is_err());
        let segment = Segment::create(&name("proc"), 5000).unwrap();
        assert!(matches!(Segment::create_or_recover(&name("proc"), 5000), Err(SegmentError::InUse { .. })));
        assert_eq!(Segment::open(&name("proc")).unwrap().len(), 5000);
        drop(segment);
        assert!(!exists("proc"));
    });
}

/// The default action of SIGXFSZ would kill the child.
pub fn a_limit_of_file_sizes_is_an_error() {
    let status = in_child(|| {
        let large = file("large", 1 << 17, 0o600);
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 16), maximum: None }).unwrap();
        let error = Segment::create(&name("size"), (1 << 16) + 1).unwrap_err();
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::FileTooLarge);
        assert!(!exists("size"));
        assert_eq!(Segment::create(&name("size"), 1 << 16).unwrap().len(), 1 << 16);
        // What has its size already only gets its memory.
        assert_eq!(Segment::open(&name("large")).unwrap().len(), 1 << 17);
        drop(large);
        Segment::unlink(&name("large")).unwrap();
    });
    assert_eq!(status.code(), Some(0), "{:?}", status.signal());
}

pub fn more_than_there_is_is_an_error() {
    for len in [1 << 45, 1 << 60, isize::MAX as usize, usize::MAX] {
        assert!(matches!(Segment::create(&name("huge"), len), Err(SegmentError::NoSpace(_))), "{len}");
        assert!(matches!(Segment::new(len), Err(SegmentError::NoSpace(_))));
        assert!(!exists("huge"));
    }
}

/// With 0, 1, 2 .. descriptors to be had: each way works, or says what lacks, and leaves nothing.
pub fn descriptors_that_run_out_are_an_error() {
    let status = in_child(|| {
        let dead = || drop(file_of_a_dead_creator("dead"));
        type Way<'a> = &'a dyn Fn() -> Result<(), SegmentError>;
        let ways: [(&str, Way<'_>); 4] = [
            ("create", &|| Segment::create(&name("few"), 100).map(drop)),
            ("new", &|| Segment::new(100).map(drop)),
            ("open", &|| Segment::open(&name("there")).map(drop)),
            ("recover", &|| Segment::create_or_recover(&name("dead"), 100).map(drop)),
        ];
        let _there = Segment::create(&name("there"), 100).unwrap();
        // The numbers that are taken may have gaps between them.
        let used = rustix::io::dup(std::io::stdin()).unwrap().as_raw_fd() as u64;
        for (way, f) in ways {
            let mut refused = 0;
            for room in 0.. {
                dead();
                let before = (support::descriptors(), support::all_mappings());
                setrlimit(Resource::Nofile, Rlimit { current: Some(used + room), maximum: Some(1000) }).unwrap();
                let result = f();
                setrlimit(Resource::Nofile, Rlimit { current: Some(1000), maximum: Some(1000) }).unwrap();
                assert_eq!(before, (support::descriptors(), support::all_mappings()), "{way} left something");
                let _ = std::fs::remove_file(path("dead"));
                assert!(!exists("few"));
                match result {
                    Ok(()) => break,
                    Err(SegmentError::Io(error)) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{way}"),
                    Err(error) => panic!("{way}: {error:?}"),
                }
                refused += 1;
                assert!(room < 8, "{way} still has too few descriptors");
            }
            assert!(refused > 0, "{way} was never refused: {:?}", support::descriptors());
        }
    });
    assert_eq!(status.code(), Some(0));
}

/// On older kernels a signal interrupts the taking of memory, and undoes what that call took. Where they come fast, a call
/// must not want more than it can have between two. Here all calls that want 8 MiB and more are interrupted.
pub fn a_taking_that_is_interrupted_goes_on_in_smaller_steps() {
    const LEN: usize = (100 << 20) + 5;
    let status = in_child(|| {
        for mebibytes in [8, 16, 32, 36, 64] {
            refuse_call(libc::SYS_fallocate, Some((3, mebibytes << 20)), libc::EINTR);
        }
        let segment = Segment::create(&name("steps"), LEN).unwrap();
        let memfd = tine::memory::Memfd::new(LEN).unwrap();
        let stats = [rustix::fs::fstat(&segment), rustix::fs::fstat(&memfd)].map(Result::unwrap);
        assert_eq!(stats.map(|stat| stat.st_size as usize), [LEN; 2]);
        assert!(stats.iter().all(|stat| stat.st_blocks as usize * 512 >= LEN));
    });
    assert_eq!(status.code(), Some(0));
}

/// Each call that any way to a segment makes, refused with each error: it works by another way, or is told by a typed
/// error, and nothing is left but what cannot be removed.
pub fn any_refused_call_is_an_error_or_no_matter() {
    #[cfg(target_arch = "x86_64")]
    let by_path = [("open", libc::SYS_open), ("fstatat", libc::SYS_newfstatat), ("fstat", libc::SYS_fstat)];
    #[cfg(not(target_arch = "x86_64"))]
    let by_path = [("open", libc::SYS_openat), ("fstatat", libc::SYS_newfstatat), ("fstat", libc::SYS_fstat)];
    let others = [
        ("flock", libc::SYS_flock),
        ("fstatfs", libc::SYS_fstatfs),
        ("fchmod", libc::SYS_fchmod),
        ("fallocate", libc::SYS_fallocate),
        ("linkat", libc::SYS_linkat),
        ("unlinkat", libc::SYS_unlinkat),
        ("fcntl", libc::SYS_fcntl),
        ("mmap", libc::SYS_mmap),
    ];
    let calls = by_path.into_iter().chain(others);
    type Way = fn() -> Result<(), SegmentError>;
    let ways: [(&str, Way); 4] = [
        ("create", || Segment::create(&name("new"), 100).map(drop)),
        ("recover", || Segment::create_or_recover(&name("dead"), 100).map(drop)),
        ("open", || Segment::open(&name("there")).map(drop)),
        ("unlink", || Segment::unlink(&name("dead"))),
    ];
    let mut refused = std::collections::BTreeMap::new();
    let there = Segment::create(&name("there"), 100).unwrap();
    for (call, number) in calls {
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EMFILE, libc::ENOSPC, libc::EIO] {
            for (way, f) in ways {
                drop(file_of_a_dead_creator("dead"));
                let status = in_child(|| {
                    refuse_call(number, None, errno);
                    match f() {
                        Ok(()) => {}
                        Err(error) => {
                            assert!(!error.to_string().is_empty());
                            assert!(!matches!(error, SegmentError::InvalidName { .. } | SegmentError::Empty { .. }));
                            // SAFETY: ends this child.
                            unsafe { libc::_exit(7) }
                        }
                    }
                });
                assert!(matches!(status.code(), Some(0 | 7)), "{way}, {call} with {errno}: {status:?}");
                *refused.entry(call).or_insert(0) += u32::from(status.code() == Some(7));
                // A creator that is not let look or remove leaves his name.
                let left = exists("new");
                assert!(!left || ["unlinkat", "fstatat"].contains(&call), "{way}, {call} with {errno} left a name");
                assert_eq!(Segment::create_or_recover(&name("new"), 1).unwrap().origin() == Origin::Recovered, left);
                let _ = Segment::unlink(&name("dead"));
            }
        }
    }
    drop(there);
    println!("{refused:?}");
    // Descriptors are moved only where the standard streams are closed.
    assert!(refused.iter().all(|(call, &n)| n > 0 || *call == "fcntl" || *call == "linkat"), "{refused:?}");
}
