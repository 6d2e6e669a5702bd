//! Private, hidden, wiped and shared memory across a fork.
#[path = "support/refuse.rs"]
mod refuse;
mod support;

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use support::in_child;
use tine::memory::{Advice, CowStats, Hidden, HiddenError, Private, Shared, SharedSlice, fork_cost};

fn main() {
    support::run(cases![
        pages_are_copied_when_they_are_written,
        counting_without_pagemap_scan_gives_the_same,
        the_pages_of_a_huge_page_are_counted_one_by_one,
        dropping_drops_once_per_process,
        guard_pages_stop_who_runs_out_of_bounds,
        empty_regions_work,
        sizes_near_the_end_of_the_address_space_are_errors,
        advice_leaves_the_contents_alone,
        advice_that_the_kernel_does_not_know_is_an_error,
        a_hidden_region_is_not_in_a_child,
        dropping_a_hidden_region_in_a_child_leaves_what_is_there_now,
        a_wiped_region_is_zero_in_each_child,
        a_child_writes_shared_values,
        a_child_drops_its_own_handle_only,
        a_slice_is_zeroed_sliced_and_copied,
        a_shared_region_reaches_who_gets_its_descriptor,
        mappings_that_run_out_are_an_error,
        the_cost_of_a_fork_counts_what_is_copied,
    ]);
}

fn counts(stats: CowStats) -> (usize, usize, usize, usize) {
    assert_eq!(stats.pages(), stats.shared + stats.private + stats.swapped + stats.absent);
    (stats.shared, stats.private, stats.swapped, stats.absent)
}

/// Eight pages of which no two are ever handled as one.
fn eight_pages() -> (Private<[u8]>, usize) {
    let page = rustix::param::page_size();
    let region = Private::<[u8]>::zeroed(8 * page).unwrap();
    region.advise(Advice::NoHugePages).unwrap();
    (region, page)
}

fn pages_are_copied_when_they_are_written() {
    let (mut region, page) = eight_pages();
    assert_eq!(counts(region.cow_stats().unwrap()), (0, 0, 0, 8));
    region[0] = 1;
    region[page] = 1;
    assert_eq!(std::hint::black_box(region[2 * page]), 0);
    // Read but never written: the kernel's page of zeroes.
    assert_eq!(counts(region.cow_stats().unwrap()), (1, 2, 0, 5));
    let status = in_child(|| {
        assert_eq!(counts(region.cow_stats().unwrap()), (3, 0, 0, 5));
        region[0] = 2;
        region[3 * page] = 2;
        assert_eq!(counts(region.cow_stats().unwrap()), (2, 2, 0, 4));
        // To a grandchild everything is shared: with its parent, which has copied two of the pages, or with both.
        let status = in_child(|| assert_eq!(counts(region.cow_stats().unwrap()), (4, 0, 0, 4)));
        assert_eq!(status.code(), Some(0));
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!((region[0], region[page], region[3 * page]), (1, 1, 0), "a child's write was seen");
    // The child is gone, and everything that was shared with it is ours again. (Page 3 was just read.)
    assert_eq!(counts(region.cow_stats().unwrap()), (2, 2, 0, 4));
}

fn counting_without_pagemap_scan_gives_the_same() {
    let (mut region, page) = eight_pages();
    region[page] = 1;
    region[5 * page] = 1;
    let expected = counts(region.cow_stats().unwrap());
    const PAGEMAP_SCAN: u32 = 0xc060_6610;
    let status = in_child(|| {
        refuse::refuse_call(libc::SYS_ioctl, Some((1, PAGEMAP_SCAN)), libc::ENOTTY);
        region[5 * page] = 2;
        let (shared, private, swapped, absent) = counts(region.cow_stats().unwrap());
        assert_eq!((shared + private, swapped, absent), (expected.1, 0, expected.3));
        assert_eq!((shared, private), (1, 1));
    });
    assert_eq!(status.code(), Some(0));
}

fn the_pages_of_a_huge_page_are_counted_one_by_one() {
    const HUGE: usize = 2 << 20;
    let page = rustix::param::page_size();
    let mut region = Private::<[u8]>::zeroed(2 * HUGE).unwrap();
    if region.advise(Advice::HugePages).is_err() {
        support::skip("this kernel has no transparent huge pages");
    }
    let start = region.as_ptr().align_offset(HUGE);
    region[start] = 1;
    let before = region.cow_stats().unwrap();
    if before.private < HUGE / page {
        support::skip("no huge page was to be had");
    }
    let status = in_child(|| {
        let stats = region.cow_stats().unwrap();
        assert_eq!((stats.shared, stats.private), (before.private, 0));
        region[start + page] = 2;
        let stats = region.cow_stats().unwrap();
        assert_eq!((stats.shared, stats.private), (before.private - 1, 1), "the copy is of one small page");
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(region.cow_stats().unwrap(), before);
}

fn dropping_drops_once_per_process() {
    let drops = Shared::new(AtomicU64::new(0)).unwrap();
    struct Counts(Shared<AtomicU64>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let value = Private::new(Counts(drops.clone())).unwrap();
    let status = in_child(move || drop(value));
    assert_eq!(status.code(), Some(0));
    // The closure moved it; `in_child` dropped the parent's copy when it returned.
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

fn guard_pages_stop_who_runs_out_of_bounds() {
    let page = rustix::param::page_size();
    let region = Private::<[u8]>::zeroed_guarded(2 * page).unwrap();
    assert!(region.iter().all(|&b| b == 0));
    let first = region.as_ptr();
    for outside in [first.wrapping_sub(1), first.wrapping_sub(page), first.wrapping_add(2 * page)] {
        // SAFETY: none, and that is the point: the process that reads there dies.
        let status = in_child(|| assert_ne!(unsafe { ptr::read_volatile(outside) }, 1));
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{outside:?} around {first:?}");
    }
    let last = first.wrapping_add(2 * page - 1);
    // SAFETY: the last byte of the region. This is the twin: the harness can tell a byte that may be read.
    let status = in_child(|| assert_eq!(unsafe { ptr::read_volatile(last) }, 0));
    assert_eq!(status.code(), Some(0));
}

fn empty_regions_work() {
    let mut private = Private::<[u64]>::zeroed(0).unwrap();
    assert!(private.is_empty() && private.iter_mut().next().is_none());
    assert_eq!(private.cow_stats().unwrap().pages(), 0);
    private.advise(Advice::HugePages).unwrap();
    private.advise_range(0..0, Advice::PopulateWrite).unwrap();
    assert!(Private::<[u64]>::zeroed_guarded(0).unwrap().is_empty());
    assert!(private.dont_fork().unwrap().is_empty());
    assert!(Private::<[u64]>::zeroed(0).unwrap().wipe_on_fork().unwrap().get(0).is_none());

    let slice = SharedSlice::<u64>::zeroed(0).unwrap();
    assert_eq!((slice.len(), slice.get(0), slice.to_vec()), (0, None, vec![]));
    assert!(slice.set(0, 1).is_err());
    slice.copy_from(0, &[]).unwrap();
    assert!(slice.fill_chunks(3).unwrap().is_complete());
    assert!(Shared::<[AtomicU64]>::from_fn(0, |_| unreachable!()).unwrap().is_empty());

    // A type of size zero needs no memory, however many there are.
    let nothing = SharedSlice::<[u8; 0]>::zeroed(usize::MAX).unwrap();
    assert_eq!((nothing.len(), nothing.get(usize::MAX - 1), nothing.get(usize::MAX)), (usize::MAX, Some([]), None));
    assert_eq!(Private::<[[u8; 0]]>::zeroed(7).unwrap().len(), 7);
}

fn sizes_near_the_end_of_the_address_space_are_errors() {
    let sizes = [usize::MAX, usize::MAX - 1, usize::MAX / 8, usize::MAX / 8 + 1, isize::MAX as usize, 1 << 60];
    for n in sizes {
        for result in [
            Private::<[u64]>::zeroed(n).map(drop),
            Private::<[u64]>::zeroed_guarded(n).map(drop),
            SharedSlice::<u64>::zeroed(n).map(drop),
            Shared::<[AtomicU64]>::from_fn(n, |_| AtomicU64::new(0)).map(drop),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::OutOfMemory, "{n}");
        }
    }
}

fn advice_leaves_the_contents_alone() {
    let page = rustix::param::page_size();
    let mut private = Private::<[u64]>::zeroed(page).unwrap();
    let shared = SharedSlice::<u64>::zeroed(page).unwrap();
    let pattern: Vec<u64> = (0..page as u64).map(|i| i * 7 + 1).collect();
    private.copy_from_slice(&pattern);
    shared.copy_from(0, &pattern).unwrap();
    use Advice::*;
    let all = [
        Normal,
        Sequential,
        Random,
        WillNeed,
        HugePages,
        NoHugePages,
        PopulateRead,
        PopulateWrite,
        Cold,
        PageOut,
        NoDump,
        Dump,
        Lock,
        Unlock,
    ];
    for advice in all {
        for result in [private.advise(advice), shared.advise(advice), private.advise_range(5..700, advice)] {
            // An old kernel, or one without huge pages, refuses some; nothing else may go wrong.
            assert!(result.as_ref().map_or_else(|e| e.kind() == ErrorKind::InvalidInput, |()| true), "{result:?}");
        }
        assert!(private.advise_range(page..page + 1, advice).is_err());
        assert!(shared.advise_range(..=usize::MAX, advice).is_err());
        assert_eq!(private[..], pattern, "{advice:?}");
        assert_eq!(shared.to_vec(), pattern, "{advice:?}");
    }
    // And they do arrive: populating is seen.
    let fresh = Private::<[u8]>::zeroed(4 * page).unwrap();
    fresh.advise(NoHugePages).unwrap();
    fresh.advise_range(page..page + 1, PopulateWrite).unwrap();
    assert_eq!(counts(fresh.cow_stats().unwrap()), (0, 1, 0, 3));
}

fn advice_that_the_kernel_does_not_know_is_an_error() {
    let region = Private::<[u8]>::zeroed(4096).unwrap();
    let status = in_child(|| {
        refuse::refuse_call(libc::SYS_madvise, Some((2, libc::MADV_POPULATE_WRITE as u32)), libc::EINVAL);
        assert_eq!(region.advise(Advice::PopulateWrite).unwrap_err().kind(), ErrorKind::InvalidInput);
        region.advise(Advice::Normal).unwrap();
    });
    assert_eq!(status.code(), Some(0));
}

fn a_hidden_region_is_not_in_a_child() {
    let mut key = Private::new([7u8; 32]).unwrap().dont_fork().unwrap();
    let mut table = Private::<[u64]>::from_slice(&[1, 2, 3]).unwrap().dont_fork().unwrap();
    let expect_nothing = |key: &mut Hidden<[u8; 32]>, table: &mut Hidden<[u64]>| {
        assert!(!key.is_here());
        assert_eq!(key.get(), Err(HiddenError::NotHere));
        assert_eq!(key.set([0; 32]), Err(HiddenError::NotHere));
        assert_eq!(table.len(), 3);
        assert_eq!(table.get(0), Err(HiddenError::NotHere));
        assert_eq!(table.set(0, 1), Err(HiddenError::NotHere));
        assert_eq!(table.copy_to(0, &mut [0]), Err(HiddenError::NotHere));
        assert_eq!(table.copy_from(0, &[0]), Err(HiddenError::NotHere));
        assert_eq!(table.advise(Advice::Normal).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!format!("{key:?} {table:?}").contains('7'), "a secret was printed");
    };
    // A bare fork, which nobody told the library about, and a child of that child.
    let status = in_child(|| {
        expect_nothing(&mut key, &mut table);
        assert_eq!(in_child(|| expect_nothing(&mut key, &mut table)).code(), Some(0));
    });
    assert_eq!(status.code(), Some(0));
    // In the parent everything is as it was.
    assert!(key.is_here());
    assert_eq!(key.get(), Ok([7; 32]));
    table.set(2, 9).unwrap();
    assert!(matches!(table.get(3), Err(HiddenError::OutOfRange(_))));
    assert!(matches!(table.copy_from(2, &[0, 0]), Err(HiddenError::OutOfRange(_))));
    let mut all = [0; 3];
    table.copy_to(0, &mut all).unwrap();
    assert_eq!(all, [1, 2, 9]);
    assert_eq!(in_child(|| assert!(table.discard().is_err())).code(), Some(0));
    table.discard().unwrap();
    assert_eq!((table.get(0), table.get(2)), (Ok(0), Ok(0)));
}

/// In the child of a bare fork the range of a hidden region is free. Whoever takes it must not lose it to the drop of
/// the inherited handle. (With an unconditional unmap in `Hidden::drop` the child dies here by SIGSEGV.)
fn dropping_a_hidden_region_in_a_child_leaves_what_is_there_now() {
    let region = Private::<[u8]>::zeroed(4096).unwrap();
    let address = region.as_ptr().cast_mut();
    let hidden = region.dont_fork().unwrap();
    let status = in_child(move || {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: takes free address space only, and then uses nothing but that.
        unsafe {
            let taken = mmap_anonymous(address.cast(), 4096, ProtFlags::READ | ProtFlags::WRITE, flags).unwrap();
            ptr::write_volatile(taken.cast::<u8>(), 42);
            drop(hidden);
            assert_eq!(ptr::read_volatile(taken.cast::<u8>()), 42);
        }
    });
    assert_eq!(status.code(), Some(0));
}

fn a_wiped_region_is_zero_in_each_child() {
    let mut seed = Private::new(0x5eed_u64).unwrap().wipe_on_fork().unwrap();
    let mut table = Private::<[u32]>::from_slice(&[1, 2, 3]).unwrap().wipe_on_fork().unwrap();
    let status = in_child(|| {
        assert_eq!(seed.get(), 0);
        let mut all = [9; 3];
        table.copy_to(0, &mut all).unwrap();
        assert_eq!(all, [0; 3]);
        seed.set(1);
        table.copy_from(1, &[5, 6]).unwrap();
        assert_eq!((seed.get(), table.get(2)), (1, Some(6)));
        assert_eq!(in_child(|| assert_eq!((seed.get(), table.get(2)), (0, Some(0)))).code(), Some(0));
        assert_eq!(seed.get(), 1);
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!((seed.get(), table.get(2), table.get(3)), (0x5eed, Some(3), None));
    assert!(table.set(3, 0).is_err());
    table.discard().unwrap();
    table.set(1, 8).unwrap();
    assert_eq!((table.get(0), table.get(1), table.get(2)), (Some(0), Some(8), Some(0)));
}

fn a_child_writes_shared_values() {
    let counters = Shared::<[AtomicU64]>::from_fn(3, |i| AtomicU64::new(i as u64)).unwrap();
    for _ in 0..4 {
        let status = in_child(|| {
            counters[2].fetch_add(10, Ordering::SeqCst);
            assert_eq!(in_child(|| assert!(counters[1].fetch_add(1, Ordering::SeqCst) < 5)).code(), Some(0));
        });
        assert_eq!(status.code(), Some(0));
    }
    let values: Vec<u64> = counters.iter().map(|c| c.load(Ordering::SeqCst)).collect();
    assert_eq!(values, [0, 5, 42]);
}

fn a_child_drops_its_own_handle_only() {
    let value = Shared::new(AtomicU64::new(1)).unwrap();
    let slice = SharedSlice::<u64>::from_slice(&[1, 2]).unwrap();
    let mappings = support::shared_mappings();
    let status = in_child({
        let (value, slice) = (value.clone(), slice.clone());
        move || {
            value.store(2, Ordering::SeqCst);
            drop((value, slice));
        }
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(support::shared_mappings(), mappings);
    assert_eq!((value.load(Ordering::SeqCst), slice.to_vec()), (2, vec![1, 2]));
    let again = value.clone();
    assert!(Shared::ptr_eq(&value, &again));
    drop(value);
    assert_eq!(again.load(Ordering::SeqCst), 2);
    drop((again, slice));
    assert_eq!(support::shared_mappings(), mappings - 2);
}

/// Python's scenario 124: from size zeroed; set in a child visible; slicing; copies of whole structs.
fn a_slice_is_zeroed_sliced_and_copied() {
    type Point = [f64; 2];
    let points = SharedSlice::<Point>::zeroed(5).unwrap();
    assert_eq!(points.to_vec(), [[0.0; 2]; 5]);
    let status = in_child(|| {
        points.set(1, [1.5, -2.5]).unwrap();
        points.copy_from(3, &[[3.0, 4.0], [5.0, 6.0]]).unwrap();
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(points.get(1), Some([1.5, -2.5]));
    assert_eq!(points.range_to_vec(3..).unwrap(), [[3.0, 4.0], [5.0, 6.0]]);
    assert_eq!(points.range_to_vec(..=0).unwrap(), [[0.0; 2]]);
    assert_eq!(points.iter().next_back(), Some([5.0, 6.0]));
    assert_eq!(points.get(5), None);
    let error = points.copy_from(4, &[[0.0; 2]; 2]).unwrap_err();
    assert_eq!((error.start, error.end, error.len), (4, 6, 5));
    assert_eq!(points.get(4), Some([5.0, 6.0]), "a refused copy wrote something");
}

fn a_shared_region_reaches_who_gets_its_descriptor() {
    assert!(Shared::new(AtomicU64::new(0)).unwrap().memfd().is_none());
    let ours = Shared::with_memfd(AtomicU64::new(5)).unwrap();
    let fd = ours.memfd().unwrap().try_clone_to_owned().unwrap();
    // A mapping of its own, as in a process that is no child of ours.
    // SAFETY: the same program put an AtomicU64 there, above.
    let theirs = unsafe { Shared::<AtomicU64>::attach(fd.try_into().unwrap()) }.unwrap();
    assert!(!Shared::ptr_eq(&ours, &theirs));
    assert_eq!(in_child(|| assert_eq!(theirs.fetch_add(1, Ordering::SeqCst), 5)).code(), Some(0));
    assert_eq!(ours.load(Ordering::SeqCst), 6);
}

/// Python's scenario 123, the failing half: no room is an error, and what exists is not touched.
fn mappings_that_run_out_are_an_error() {
    let status = in_child(|| {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let kept = Private::<[u8]>::from_slice(&[1, 2, 3]).unwrap();
        let limit = Some(64 << 20);
        setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
        let mut regions = Vec::new();
        let error = loop {
            match Private::<[u8]>::zeroed(8 << 20) {
                Ok(region) => regions.push(region),
                Err(error) => break error,
            }
            assert!(regions.len() < 8);
        };
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(SharedSlice::<u8>::zeroed(64 << 20).unwrap_err().kind(), ErrorKind::OutOfMemory);
        regions.pop();
        assert!(Private::<[u8]>::zeroed(8 << 20).is_ok() || regions.is_empty(), "what was given back can be had");
        assert_eq!(kept[..], [1, 2, 3]);
    });
    assert_eq!(status.code(), Some(0));
}

fn the_cost_of_a_fork_counts_what_is_copied() {
    const SIZE: usize = 16 << 20;
    let page = rustix::param::page_size();
    let before = fork_cost().unwrap();
    assert!(before.pages > 0 && before.mappings > 0 && before.page_table_bytes > 0);
    let mut private = Private::<[u8]>::zeroed(SIZE).unwrap();
    private.advise(Advice::NoHugePages).unwrap();
    private.fill(1);
    let after = fork_cost().unwrap();
    // The test's own heap moves by a few pages between the two looks.
    let more = (after.pages - before.pages).abs_diff(SIZE / page);
    assert!(more < 64, "{before:?}\n{after:?}");
    assert!(after.time > before.time);
    assert!(after.page_table_bytes > before.page_table_bytes);

    // Shared memory is not copied, and hidden memory neither.
    let shared = SharedSlice::<u8>::zeroed(SIZE).unwrap();
    shared.copy_from(0, &private).unwrap();
    assert!(fork_cost().unwrap().pages.abs_diff(after.pages) < 64);
    let hidden = private.dont_fork().unwrap();
    let last = fork_cost().unwrap();
    assert!(last.pages.abs_diff(before.pages) < 64, "{before:?}\n{last:?}");
    assert_eq!(last.hidden_bytes, hidden.len() as u64);
}
