//! What a child would share with its parent that could corrupt the parent.
//!
//! A forked child has its own memory, but not its own kernel objects. Three kinds let code that is sound in
//! each process alone break the other:
//!
//! - an **epoll** instance: a descriptor that the child registers plants the child's pointer in the list that
//!   the parent reads back and follows;
//! - an **io_uring**: what the child queues runs against the parent's memory;
//! - a **writable shared mapping** that somebody else made: both sides hold `&mut` to the same bytes.
//!
//! The first is replaced in the child. The other two are refused by name.
//!
//! # Safety
//!
//! This file opens `unsafe` in two functions, to look at a descriptor by its number and to replace what it refers to.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::FileType;

use super::map;
use super::shared_maps::{self, Mapping};

/// What the look found.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// What forbids the fork, in words.
    pub(crate) refused: Option<String>,
    /// The epoll instances that the child must replace.
    pub(crate) epolls: Vec<RawFd>,
}

/// Looks at the descriptors and the mappings of this process.
pub(crate) fn look() -> io::Result<Foreign> {
    let mut found = descriptors()?;
    if found.refused.is_none() {
        found.refused = mappings()?;
    }
    Ok(found)
}

fn descriptors() -> io::Result<Foreign> {
    let mut found = Foreign::default();
    let directory = rustix::fs::open(
        "/proc/self/fd",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    // On the stack: what is written to the heap is copied page by page after each fork.
    let mut room = [MaybeUninit::uninit(); 1024];
    let mut entries = rustix::fs::RawDir::new(&directory, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = name.to_str().ok().and_then(|n| n.parse::<RawFd>().ok()) else { continue };
        if !may_be_anonymous(fd) {
            continue;
        }
        let mut target = [0_u8; 32];
        // Only the first bytes matter, and a buffer on the stack spares an allocation for each descriptor.
        let Ok(length) = rustix::fs::readlinkat_raw(&directory, name, &mut target) else { continue };
        match &target[..length] {
            b"anon_inode:[eventpoll]" => found.epolls.push(fd),
            // Looked at to the end all the same: a caller who answers for the ring does not answer for epolls.
            b"anon_inode:[io_uring]" => {
                found.refused.get_or_insert_with(|| {
                    format!(
                        "descriptor {fd} is an io_uring: what a child queues on it would run against this process's \
                         memory; close it before the fork"
                    )
                });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Whether a descriptor could be an epoll instance or an io_uring. No for what has another type: asking for the
/// type costs a quarter of asking for the name.
#[allow(unsafe_code)]
fn may_be_anonymous(fd: RawFd) -> bool {
    // SAFETY: it was listed a moment ago. (Were it closed by another thread since, the call fails.)
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
    // Anonymous inodes have no type; that they will never be called regular files is not written anywhere.
    !matches!(
        kind,
        Ok(FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Directory)
    )
}

fn mappings() -> io::Result<Option<String>> {
    let registry = map::registry();
    let suspect = shared_maps::find(|start, end| !map::ours(&registry, start, end))?;
    drop(registry);
    match suspect {
        None => Ok(None),
        // Whether a mapping stays out of children is told only by smaps, which costs a walk of all pages.
        Some(_) => inherited_suspect(),
    }
}

/// The first foreign writable shared mapping that a child would inherit.
fn inherited_suspect() -> io::Result<Option<String>> {
    let text = shared_maps::read_whole(&mut File::open("/proc/self/smaps")?)?;
    let registry = map::registry();
    let mut suspect: Option<&[u8]> = None;
    for line in text.split(|&b| b == b'\n') {
        if let Some(mapping) = Mapping::parse(line) {
            let bad = mapping.writable_shared && !map::ours(&registry, mapping.start, mapping.end);
            suspect = bad.then_some(line);
        } else if let (Some(flags), Some(mapping)) = (line.strip_prefix(b"VmFlags:"), suspect) {
            // `dc` is "do not copy on fork": MADV_DONTFORK was given, so no child will see it.
            if !flags.split(|&b| b == b' ').any(|f| f == b"dc") {
                let mapping = String::from_utf8_lossy(mapping);
                let words: Vec<&str> = mapping.split_whitespace().collect();
                let name = words.get(5..).map(|w| w.join(" ")).unwrap_or_default();
                return Ok(Some(format!(
                    "the writable shared mapping {} ({}) was not made by this library: parent and child could both hold \
                     it by `&mut`; unmap it, or give it MADV_DONTFORK, before the fork",
                    words.first().copied().unwrap_or_default(),
                    if name.is_empty() { "no name" } else { &name },
                )));
            }
            suspect = None;
        }
    }
    Ok(None)
}

/// In a child: puts a new, empty epoll instance in the place of each inherited one.
///
/// The parent's registrations are then out of the child's reach, and the descriptor number stays taken by
/// something of the right type, so that its owner's methods still work and its drop closes the right thing.
pub(crate) fn replace_epolls(epolls: &[RawFd]) -> io::Result<()> {
    for &number in epolls {
        let fresh = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)?;
        replace(fresh.as_fd(), number)?;
    }
    Ok(())
}

/// A descriptor on which every operation fails with EBADF, to take a number out of use without freeing it.
pub(crate) fn dead() -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let open = |path: &str| rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    // Where there is no /dev there is still a root. As a directory it can be a starting point, but no more.
    Ok(open("/dev/null").or_else(|_| open("/"))?)
}

/// Makes descriptor `number`, which is open, refer to what `with` refers to. The number never goes unowned.
#[allow(unsafe_code)]
pub(crate) fn replace(with: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: `number` is an open descriptor of this process, and stays open: dup3 replaces what it refers to
    // in one step. It is not ours to close, so the OwnedFd is forgotten again.
    let mut place = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup3(with, &mut place, rustix::io::DupFlags::CLOEXEC)?;
    Ok(())
}
