//! What a segment is, whose it is, and when its name goes.
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;

use tine::memory::{Origin, Segment, SegmentError};

use crate::support::{self, in_child};
use crate::{exists, name, path};

pub fn a_segment_is_raw_bytes_of_exactly_its_size() {
    for len in [1, 5, 4095, 4096, 4097, 100_000] {
        let segment = Segment::create(&name("size"), len).unwrap();
        assert_eq!((segment.len(), segment.origin()), (len, Origin::Created));
        let file = std::fs::metadata(path("size")).unwrap();
        assert_eq!((file.len(), file.permissions().mode()), (len as u64, 0o100_600));
        assert!(file.blocks() * 512 >= len as u64, "not all of its memory is there");
        let bytes = segment.as_slice::<u8>().unwrap();
        assert_eq!(bytes.to_vec(), vec![0; len]);
        bytes.set(len - 1, 7).unwrap();
        assert_eq!(std::fs::read(path("size")).unwrap()[len - 1], 7);
    }
}

pub fn who_opens_it_sees_what_is_written() {
    let segment = Segment::create(&format!("/{}", name("seen")), 64).unwrap();
    assert_eq!(segment.name(), name("seen"));
    let slice = segment.as_slice::<u64>().unwrap();
    let status = in_child(|| {
        let theirs = Segment::open(&name("seen")).unwrap();
        assert_eq!((theirs.len(), theirs.origin()), (64, Origin::Opened));
        let numbers = theirs.as_slice::<u64>().unwrap();
        numbers.set(3, 33).unwrap();
        // The same memory, as values of another type.
        theirs.as_slice::<u16>().unwrap().set(4 * 4, 44).unwrap();
        let view = Segment::open_view::<u64>(&name("seen")).unwrap();
        assert_eq!(view.range_to_vec(3..5).unwrap(), [33, 44]);
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(slice.range_to_vec(2..6).unwrap(), [0, 33, 44, 0]);
    assert_eq!(segment.as_view::<u64>().unwrap().get(3), Some(33));
}

pub fn sizes_that_do_not_fit_are_typed() {
    let segment = Segment::create(&name("fit"), 12).unwrap();
    assert_eq!(segment.as_slice::<u32>().unwrap().len(), 3);
    assert!(matches!(segment.as_slice::<u64>(), Err(SegmentError::Size { len: 12, unit: 8 })));
    assert!(matches!(segment.as_view::<[u8; 5]>(), Err(SegmentError::Size { len: 12, unit: 5 })));
    assert!(matches!(segment.as_view::<[u8; 0]>(), Err(SegmentError::Size { len: 12, unit: 0 })));
    assert!(matches!(Segment::open_view::<u64>(&name("fit")), Err(SegmentError::Size { len: 12, unit: 8 })));
    assert!(matches!(Segment::create(&name("none"), 0), Err(SegmentError::Empty { .. })));
    assert!(matches!(Segment::new(0), Err(SegmentError::Empty { .. })));
    assert!(!exists("none"));
}

/// Python's scenario 125, of names.
pub fn a_name_is_created_once_found_once_and_removed_once() {
    assert!(matches!(Segment::open(&name("once")), Err(SegmentError::NotFound { .. })));
    assert!(matches!(Segment::unlink(&name("once")), Err(SegmentError::NotFound { .. })));
    let segment = Segment::create(&name("once"), 1).unwrap();
    let error = Segment::create(&name("once"), 1).unwrap_err();
    assert!(matches!(error, SegmentError::Exists { .. }), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::AlreadyExists);
    Segment::unlink(&name("once")).unwrap();
    assert!(matches!(Segment::unlink(&name("once")), Err(SegmentError::NotFound { .. })));
    // Python's scenario 126: who comes after that finds nothing.
    assert!(matches!(Segment::open(&name("once")), Err(SegmentError::NotFound { .. })));
    // The memory is still there for who has it, and its drop is no error.
    segment.as_slice::<u8>().unwrap().set(0, 1).unwrap();
}

pub fn names_that_are_none_are_refused() {
    for bad in ["", "/", ".", "..", "a/b", "//a", "a\0b", &"n".repeat(256)] {
        for result in [
            Segment::create(bad, 1).map(drop),
            Segment::create_or_recover(bad, 1).map(drop),
            Segment::open(bad).map(drop),
            Segment::open_view::<u8>(bad).map(drop),
            Segment::unlink(bad),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(&error, SegmentError::InvalidName { name, .. } if name == bad), "{error}");
            assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
        }
    }
    let long = format!("{:n<255}", name("long"));
    let odd = format!("{}: ä?*", name("odd"));
    for good in [long.as_str(), odd.as_str()] {
        let segment = Segment::create(good, 1).unwrap();
        assert_eq!(segment.name(), good);
        Segment::open(good).unwrap();
    }
}

pub fn drawn_names_are_in_pythons_form_and_taken_ones_are_passed_over() {
    let segments: Vec<_> = (0..50).map(|_| Segment::new(1).unwrap()).collect();
    for segment in &segments {
        let digits = segment.name().strip_prefix("psm_").unwrap();
        assert!(digits.len() == 8 && digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')), "{segment:?}");
    }
    // A child draws the numbers that its parent draws next, which are taken then.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let status = in_child(|| {
        let theirs: Vec<_> = (0..50).map(|_| Segment::new(1).unwrap().keep()).collect();
        use std::io::Write;
        (&writer).write_all(theirs.iter().map(|s| s.name().to_owned() + "\n").collect::<String>().as_bytes()).unwrap();
    });
    assert_eq!(status.code(), Some(0));
    drop(writer);
    let mut theirs = String::new();
    std::io::Read::read_to_string(&mut reader, &mut theirs).unwrap();
    let ours: Vec<_> = (0..50).map(|_| Segment::new(1).unwrap()).collect();
    assert!(ours.iter().all(|s| !theirs.contains(s.name())));
    theirs.lines().for_each(|name| Segment::unlink(name).unwrap());
}

pub fn the_creator_removes_the_name_and_nobody_else() {
    let segment = Segment::create(&name("owner"), 8).unwrap();
    drop(Segment::open(&name("owner")).unwrap());
    drop(Segment::open_view::<u8>(&name("owner")).unwrap());
    assert!(exists("owner"));
    let slice = segment.as_slice::<u64>().unwrap();
    drop(segment);
    assert!(!exists("owner"));
    // Slices outlive it.
    slice.set(0, 1).unwrap();
    assert_eq!(slice.get(0), Some(1));
}

pub fn a_childs_drop_leaves_the_name() {
    let segment = Segment::create(&name("child"), 8).unwrap();
    // A fork by other code, in which the copy is dropped.
    let copy = std::panic::AssertUnwindSafe(&segment);
    let status = in_child(|| {
        // SAFETY: a bitwise copy, as a fork makes; the parent's is in another process, and this one's is never used.
        drop(unsafe { std::ptr::read(*copy) });
        assert!(exists("child"));
    });
    assert_eq!(status.code(), Some(0));
    assert!(exists("child"));
    // One of ours, which is also given a child to let go of the lock.
    let slice = segment.as_slice::<u64>().unwrap();
    let inside = tine::Builder::new().keep_captures().spawn(move || {
        slice.set(0, 5).unwrap();
        let again = Segment::open(segment.name()).unwrap();
        drop(segment);
        (exists("child"), again.as_slice::<u64>().unwrap().get(0))
    });
    assert_eq!(inside.unwrap().join().unwrap(), (true, Some(5)));
    assert!(!exists("child"), "the parent's own copy was dropped after the join");
}

pub fn a_kept_name_stays_until_it_is_unlinked() {
    let segment = Segment::create(&name("kept"), 8).unwrap().keep();
    segment.as_slice::<u64>().unwrap().set(0, 9).unwrap();
    drop(segment);
    assert_eq!(Segment::open_view::<u64>(&name("kept")).unwrap().get(0), Some(9));
    Segment::unlink(&name("kept")).unwrap();
    assert!(!exists("kept"));
}

pub fn a_name_that_leads_elsewhere_by_now_is_left_alone() {
    let first = Segment::create(&name("again"), 8).unwrap();
    Segment::unlink(&name("again")).unwrap();
    let second = Segment::create(&name("again"), 8).unwrap();
    drop(first);
    assert!(exists("again"), "the first one's drop took the second one's name");
    drop(second);
    assert!(!exists("again"));
}

pub fn the_umask_does_not_matter() {
    for mask in [0, 0o022, 0o077, 0o777] {
        let status = in_child(|| {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
            let _segment = Segment::create(&name("umask"), 8).unwrap();
            assert_eq!(std::fs::metadata(path("umask")).unwrap().mode(), 0o100_600);
            Segment::open(&name("umask")).unwrap();
        });
        assert_eq!(status.code(), Some(0), "{mask:o}");
    }
}

pub fn descriptors_keep_off_the_standard_streams() {
    let status = in_child(|| {
        // SAFETY: nobody in this child uses them any more.
        unsafe {
            for number in 0..3 {
                libc::close(number);
            }
        }
        let segment = Segment::create(&name("streams"), 8).unwrap();
        let theirs = Segment::open(&name("streams")).unwrap();
        let all = [segment.as_fd().as_raw_fd(), theirs.as_fd().as_raw_fd()];
        if all.into_iter().any(|fd| fd < 3)
            || support::descriptors().iter().any(|(n, _)| ["0", "1", "2"].contains(&&**n))
        {
            // SAFETY: ends this child, which has no stderr to panic on.
            unsafe { libc::_exit(9) }
        }
    });
    assert_eq!(status.code(), Some(0));
}

/// Nothing can seal it, so that is how it is.
pub fn who_cuts_it_off_ends_who_reads_there() {
    let segment = Segment::create(&name("cut"), 8192).unwrap();
    let slice = segment.as_slice::<u8>().unwrap();
    assert_eq!(slice.get(8191), Some(0));
    std::fs::OpenOptions::new().write(true).open(path("cut")).unwrap().set_len(4096).unwrap();
    let status = in_child(|| {
        assert_eq!(slice.get(4095), Some(0));
        slice.get(4096);
    });
    assert_eq!(status.signal(), Some(libc::SIGBUS));
    let error = rustix::fs::fcntl_add_seals(&segment, rustix::fs::SealFlags::SHRINK);
    assert_eq!(error, Err(rustix::io::Errno::PERM), "this kernel can seal it: then it should be");
}

pub fn what_python_has_not_taken_is_taken_when_it_is_opened() {
    // As Python does it.
    let file = std::fs::OpenOptions::new().create_new(true).read(true).write(true).open(path("sparse")).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Segment::open(&name("sparse")), Err(SegmentError::Empty { .. })));
    file.set_len(1 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().blocks(), 0);
    drop(Segment::open_view::<u8>(&name("sparse")).unwrap());
    assert_eq!(file.metadata().unwrap().blocks(), (1 << 20) / 512);
    // One that pretends to be larger than the machine.
    file.set_len(1 << 50).unwrap();
    let error = Segment::open(&name("sparse")).unwrap_err();
    assert!(matches!(&error, SegmentError::NoSpace(e) if e.kind() == std::io::ErrorKind::StorageFull), "{error}");
    assert_eq!(file.metadata().unwrap().len(), 1 << 50);
    Segment::unlink(&name("sparse")).unwrap();
}

pub fn a_spawn_beside_segments_is_allowed() {
    let segment = Segment::create(&name("spawn"), 800).unwrap();
    let theirs = Segment::open(&name("spawn")).unwrap();
    let squares = segment.as_slice::<u64>().unwrap();
    tine::scope(|s| {
        for part in 0..4 {
            let squares = &squares;
            s.spawn(move || (0..25).map(|i| part * 25 + i).for_each(|i| squares.set(i, (i * i) as u64).unwrap()))
                .unwrap();
        }
    })
    .unwrap();
    assert!(theirs.as_slice::<u64>().unwrap().iter().eq((0..100).map(|i| i * i)));
}
