//! Byte streams.
use std::io;
use std::os::fd::OwnedFd;
/// r
#[derive(Debug)]
pub struct Reader(OwnedFd);
/// w
#[derive(Debug)]
pub struct Writer(OwnedFd);
/// p
pub fn pipe() -> io::Result<(Reader, Writer)> {
    let (r, w) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((Reader(r), Writer(w)))
}
impl From<Reader> for OwnedFd {
    fn from(r: Reader) -> OwnedFd {
        r.0
    }
}
impl From<Writer> for OwnedFd {
    fn from(r: Writer) -> OwnedFd {
        r.0
    }
}
