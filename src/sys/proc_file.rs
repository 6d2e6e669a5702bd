//! Short files that the kernel writes as they are read, such as `/proc/self/status`.
//!
//! A spawn reads some, so they are read with three system calls and no allocation: `std::fs::read_to_string` takes
//! six, and each page of the heap that it writes is copied once more after every fork.

use std::io;

use rustix::fs::{Mode, OFlags};

/// What one read gives: the whole file, if `room` is larger than it. The kernel writes such a file into the reader's
/// room in one go, so a short answer is the end.
pub(crate) fn read(path: impl rustix::path::Arg, room: &mut [u8]) -> io::Result<&[u8]> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *room))?;
    Ok(&room[..length])
}

/// What follows `key` in the first line that begins with it. None if there is no such line, or it was cut off.
pub(crate) fn value<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    let line = text.split_inclusive(|&b| b == b'\n').find(|line| line.starts_with(key.as_bytes()))?;
    let value = line.strip_suffix(b"\n")?.strip_prefix(key.as_bytes())?;
    Some(str::from_utf8(value).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_or_none() {
        let text = b"Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000440\nTail:\t12";
        assert_eq!(value(text, "SigCgt:"), Some("0000000000000440"));
        assert_eq!(value(text, "Sig"), Some("Ign:\t0000000000001000"));
        assert_eq!(value(text, "Tail:"), None, "its line is cut off");
        assert_eq!(value(text, "Head:"), None);
    }

    #[test]
    fn a_file_is_read_as_far_as_there_is_room() {
        let whole = std::fs::read("/proc/self/limits").unwrap();
        assert_eq!(read("/proc/self/limits", &mut [0; 8192]).unwrap(), whole);
        assert_eq!(read("/proc/self/limits", &mut [0; 10]).unwrap(), &whole[..10]);
        assert_eq!(read("/proc/self/no", &mut [0; 10]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
