//! The writable shared mappings of this process, whoever made them.
//!
//! The kernel can be asked for them one by one (`PROCMAP_QUERY`, Linux 6.11): then the price is that of the shared
//! mappings, which are few. Before that, all mappings are read as text, which grows with all of them.
//!
//! # Safety
//!
//! This file opens `unsafe` for one ioctl that fills a plain struct.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;

/// The first range for which `wanted` says so; None where there is none.
///
/// A snapshot only where this process has one thread; with more, mappings may come and go meanwhile.
pub(crate) fn find(wanted: impl Fn(usize, usize) -> bool) -> io::Result<Option<(usize, usize)>> {
    let mut maps = File::open("/proc/self/maps")?;
    let mut from = 0;
    loop {
        match next(&maps, from) {
            Ok(Some((start, end))) if wanted(start, end) => return Ok(Some((start, end))),
            Ok(Some((_, end))) => from = end,
            Ok(None) => return Ok(None),
            // An older kernel, or a sandbox.
            Err(_) => return find_in_text(&mut maps, wanted),
        }
    }
}

fn find_in_text(maps: &mut File, wanted: impl Fn(usize, usize) -> bool) -> io::Result<Option<(usize, usize)>> {
    let text = read_whole(maps)?;
    let mappings = text.split(|&b| b == b'\n').filter_map(Mapping::parse);
    let mut shared = mappings.filter(|mapping| mapping.writable_shared).map(|mapping| (mapping.start, mapping.end));
    Ok(shared.find(|&(start, end)| wanted(start, end)))
}

/// A list of mappings, read in large pieces: each is a consistent run of lines.
pub(crate) fn read_whole(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(16 * 1024);
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// The first writable shared mapping that reaches beyond `from`.
fn next(maps: &File, from: usize) -> io::Result<Option<(usize, usize)>> {
    /// `struct procmap_query`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        address: u64,
        start: u64,
        end: u64,
        /// Permissions, page size, offset, inode, device: not looked at.
        rest: [u64; 5],
        /// Sizes and addresses of buffers for a name and a build id: zero, none is wanted.
        names: [u64; 3],
    }
    static_assertions::assert_eq_size!(Query, [u8; 104]);
    const WRITABLE: u64 = 0x02;
    const SHARED: u64 = 0x08;
    const COVERING_OR_NEXT: u64 = 0x10;
    /// `_IOWR('f', 17, struct procmap_query)`
    const PROCMAP_QUERY: u64 = (3 << 30) | ((size_of::<Query>() as u64) << 16) | ((b'f' as u64) << 8) | 17;

    let mut query = Query {
        size: size_of::<Query>() as u64,
        flags: WRITABLE | SHARED | COVERING_OR_NEXT,
        address: from as u64,
        ..Query::default()
    };
    // SAFETY: the request's number and the struct's first field carry its size, and the kernel writes no more.
    if unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY as _, &raw mut query) } == 0 {
        return Ok(Some((query.start as usize, query.end as usize)));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        error => Err(error),
    }
}

/// One line of `/proc/self/maps`: `start-end perms offset dev inode path`.
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) writable_shared: bool,
}

impl Mapping {
    /// None for lines of another form (smaps has many).
    pub(crate) fn parse(line: &[u8]) -> Option<Mapping> {
        let mut words = line.splitn(3, |&b| b == b' ');
        let range = words.next()?;
        let perms = words.next()?;
        let dash = range.iter().position(|&b| b == b'-')?;
        let (start, end) = (hex(&range[..dash])?, hex(&range[dash + 1..])?);
        Some(Mapping { start, end, writable_shared: perms.get(1) == Some(&b'w') && perms.get(3) == Some(&b's') })
    }
}

fn hex(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |n, &d| Some(n.checked_mul(16)? + (d as char).to_digit(16)? as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::map::{Map, Sharing};

    #[test]
    fn the_query_and_the_text_say_the_same() {
        // Apart, so that the kernel does not show the two as one.
        let maps = [3, 5].map(|pages| Map::anonymous(pages * 4096, Sharing::Shared, true).unwrap());
        let private = Map::anonymous(4096, Sharing::Private, false).unwrap();
        let is = |map: &Map, start, end| (start..end).contains(&(map.as_ptr().as_ptr() as usize));
        for map in &maps {
            let at = map.as_ptr().as_ptr() as usize;
            let range = Some((at, at + map.len()));
            assert_eq!(find(|start, end| is(map, start, end)).unwrap(), range);
            let mut file = File::open("/proc/self/maps").unwrap();
            assert_eq!(find_in_text(&mut file, |start, end| is(map, start, end)).unwrap(), range);
        }
        assert_eq!(find(|start, end| is(&private, start, end)).unwrap(), None);
    }

    #[test]
    fn lines_of_maps_are_parsed() {
        let parse = |line: &str| Mapping::parse(line.as_bytes()).map(|m| (m.start, m.end, m.writable_shared));
        assert_eq!(parse("1000-3000 rw-s 00000000 00:01 5 /x y"), Some((0x1000, 0x3000, true)));
        assert_eq!(parse("1000-3000 r--s 00000000 00:01 5"), Some((0x1000, 0x3000, false)));
        assert_eq!(parse("1000-3000 rw-p 00000000 00:00 0"), Some((0x1000, 0x3000, false)));
        assert_eq!(parse("Size:    8 kB"), None);
        assert_eq!(parse(""), None);
    }
}
