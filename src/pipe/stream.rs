//! A pipe: bytes in at one end, out at the other.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pipe::{PIPE_BUF, PipeFlags};

use super::descriptor::{self, AdoptError, Wanted, is_a_descriptor};
use super::frame_reader::FrameReader;
use super::frame_writer::FrameWriter;
use super::quiet::{self, Sleep};
use crate::sys::{clock, ready};
use crate::wire::Wire;

/// `pipe2(O_CLOEXEC)`: creates a pipe.
///
/// Both ends survive a fork (each process then holds both: drop what you do not use) and are closed by an exec,
/// unless they are given to the new program as its standard input or output.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` when this process or the system is out of descriptors. Nothing is leaked.
///
/// # References
///
/// [pipe(2)](https://man7.org/linux/man-pages/man2/pipe.2.html),
/// [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html)
#[doc(alias = "pipe2")]
pub fn pipe() -> io::Result<(Reader, Writer)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Reader { fd: reader }, Writer { fd: writer }))
}

/// The reading end of a pipe.
///
/// [`read`](Read::read) returns what is there, sleeps while nothing is, and returns 0 at the end: when the last
/// writer, of any process, has closed its end or died, and everything was read.
///
/// ```
/// use std::io::ErrorKind;
/// use std::time::Duration;
///
/// let (reader, writer) = tine::pipe::pipe()?;
/// let nothing_yet = reader.read_timeout(&mut [0; 8], Duration::from_millis(1));
/// assert_eq!(nothing_yet.unwrap_err().kind(), ErrorKind::TimedOut);
///
/// drop(writer);
/// assert_eq!(reader.read_timeout(&mut [0; 8], Duration::from_secs(1))?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    fd: OwnedFd,
}

/// The writing end of a pipe.
///
/// A write of at most 4096 bytes (`PIPE_BUF`) goes in whole, not mixed with what other processes write; a larger
/// one may be interleaved with theirs, and cut where its writer is killed. [`FrameWriter`] lifts that limit.
///
/// ```
/// use std::io::{ErrorKind, Write};
///
/// let (reader, mut writer) = tine::pipe::pipe()?;
/// drop(reader);
/// assert_eq!(writer.write(b"anybody?").unwrap_err().kind(), ErrorKind::BrokenPipe); // and no SIGPIPE
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    fd: OwnedFd,
}

impl Reader {
    /// Takes over a descriptor after a look at it: a pipe or FIFO that can be read.
    ///
    /// `Reader::from` takes any descriptor unseen; a wrong one then fails when it is read.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which says what the descriptor is and gives it back.
    pub fn adopt(fd: impl Into<OwnedFd>) -> Result<Reader, AdoptError> {
        descriptor::adopt(fd.into(), Wanted::ReadEnd).map(|fd| Reader { fd })
    }

    /// Reads as [`read`](Read::read) does, but for no longer than `timeout`. Zero means: only what is there.
    ///
    /// For what poll can wait for: a pipe, a socket, a terminal. A file is always ready for poll, and the disk is waited
    /// for by asking again and again.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when nothing came; nothing was consumed. [`WrongDescriptor`] where the
    /// descriptor cannot be read. Where the kernel has no `RWF_NOWAIT` for pipes (older ones), a second process
    /// that reads from the same pipe can take the bytes this one was promised, and the call then outlasts its time.
    ///
    /// [`WrongDescriptor`]: super::WrongDescriptor
    pub fn read_timeout(&self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.read_until(buf, clock::deadline_in(timeout))?.ok_or_else(|| timed_out("read from", timeout))
    }

    /// Reads until `deadline` (None: for ever); None when it came first.
    pub(super) fn read_until(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        let fd = self.as_fd();
        if deadline.is_none() {
            return read(fd, || rustix::io::read(fd, &mut *buf)).map(Some);
        }
        loop {
            let refused = match quiet::read_now(fd, buf) {
                Ok(n) => return Ok(Some(n)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => false,
                Err(error) if quiet::unsupported(error) => true,
                Err(error) => return Err(descriptor::explain(fd, Wanted::ReadEnd, error)),
            };
            if !ready::wait(fd, PollFlags::IN, deadline)? {
                return Ok(None);
            }
            if refused {
                match rustix::io::read(fd, &mut *buf) {
                    Ok(n) => return Ok(Some(n)),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(error) => return Err(descriptor::explain(fd, Wanted::ReadEnd, error)),
                }
            }
        }
    }

    /// A second handle to this end, in this process. It shares the stream: what one reads the other does not see.
    ///
    /// # Errors
    ///
    /// `EMFILE` when this process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Reader> {
        Ok(Reader { fd: self.fd.try_clone()? })
    }

    /// How many bytes the pipe can hold; 65536 unless somebody changed it.
    ///
    /// # Errors
    ///
    /// [`WrongDescriptor`](super::WrongDescriptor) where this is no pipe.
    #[doc(alias = "F_GETPIPE_SZ")]
    pub fn capacity(&self) -> io::Result<usize> {
        capacity(self.as_fd(), Wanted::ReadEnd)
    }

    /// Makes the pipe hold at least `bytes`, for both ends; returns what it holds now, a power of two of pages.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) over the limit in `/proc/sys/fs/pipe-max-size`,
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) when more than that is in it now.
    #[doc(alias = "F_SETPIPE_SZ")]
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        set_capacity(self.as_fd(), Wanted::ReadEnd, bytes)
    }

    /// Typed messages out of this pipe; see [`FrameReader`].
    pub fn frames<T: Wire>(self) -> FrameReader<T> {
        FrameReader::new(self)
    }
}

impl Writer {
    /// Takes over a descriptor after a look at it: a pipe or FIFO that can be written.
    ///
    /// `Writer::from` takes any descriptor unseen; a wrong one then fails when it is written.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which says what the descriptor is and gives it back.
    pub fn adopt(fd: impl Into<OwnedFd>) -> Result<Writer, AdoptError> {
        descriptor::adopt(fd.into(), Wanted::WriteEnd).map(|fd| Writer { fd })
    }

    /// Writes as [`write`](Write::write) does, but for no longer than `timeout`; returns how many bytes went in,
    /// which may be fewer than all. Zero means: only what fits now.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when nothing was written. [`BrokenPipe`](io::ErrorKind::BrokenPipe) when
    /// no reader is left. [`WrongDescriptor`] where the descriptor cannot be written. Where the kernel has no
    /// `RWF_NOWAIT` for pipes (older ones), a second writer can take the room this one was promised, and the call
    /// then outlasts its time.
    ///
    /// [`WrongDescriptor`]: super::WrongDescriptor
    pub fn write_timeout(&self, buf: &[u8], timeout: Duration) -> io::Result<usize> {
        self.write_until(&[], buf, clock::deadline_in(timeout))?.ok_or_else(|| timed_out("write to", timeout))
    }

    /// Writes `head` and `body` in one call until `deadline` (None: for ever); None when it came first and
    /// nothing was written.
    pub(super) fn write_until(&self, head: &[u8], body: &[u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        let fd = self.as_fd();
        if deadline.is_none() {
            return write(fd, &[IoSlice::new(head), IoSlice::new(body)]).map(Some);
        }
        loop {
            let refused = match quiet::write(fd, &[IoSlice::new(head), IoSlice::new(body)], Sleep::Never) {
                Ok(n) => return Ok(Some(n)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => false,
                Err(error) if quiet::unsupported(error) => true,
                Err(error) => return Err(descriptor::explain(fd, Wanted::WriteEnd, error)),
            };
            if !ready::wait(fd, PollFlags::OUT, deadline)? {
                return Ok(None);
            }
            if refused {
                // A pipe that polls writable has room for PIPE_BUF bytes; more could sleep past the deadline.
                let body = &body[..body.len().min(PIPE_BUF.saturating_sub(head.len()))];
                match quiet::write(fd, &[IoSlice::new(head), IoSlice::new(body)], Sleep::May) {
                    Ok(n) => return Ok(Some(n)),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(error) => return Err(descriptor::explain(fd, Wanted::WriteEnd, error)),
                }
            }
        }
    }

    /// A second handle to this end, in this process. The reader sees the end only when both are gone.
    ///
    /// # Errors
    ///
    /// `EMFILE` when this process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Writer> {
        Ok(Writer { fd: self.fd.try_clone()? })
    }

    /// How many bytes the pipe can hold; see [`Reader::capacity`].
    ///
    /// # Errors
    ///
    /// [`WrongDescriptor`](super::WrongDescriptor) where this is no pipe.
    pub fn capacity(&self) -> io::Result<usize> {
        capacity(self.as_fd(), Wanted::WriteEnd)
    }

    /// Makes the pipe hold at least `bytes`; see [`Reader::set_capacity`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        set_capacity(self.as_fd(), Wanted::WriteEnd, bytes)
    }

    /// Typed messages into this pipe; see [`FrameWriter`].
    pub fn frames<T: Wire>(self) -> FrameWriter<T> {
        FrameWriter::new(self)
    }
}

/// Makes `call` until it is neither interrupted nor refused for an O_NONBLOCK that somebody else set.
fn read(fd: BorrowedFd<'_>, mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Ok(n) => return Ok(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                ready::wait(fd, PollFlags::IN, None)?;
            }
            Err(error) => return Err(descriptor::explain(fd, Wanted::ReadEnd, error)),
        }
    }
}

/// As [`read`], for the other direction.
fn write(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match quiet::write(fd, bufs, Sleep::May) {
            Ok(n) => return Ok(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                ready::wait(fd, PollFlags::OUT, None)?;
            }
            Err(error) => return Err(descriptor::explain(fd, Wanted::WriteEnd, error)),
        }
    }
}

#[cold]
fn timed_out(what: &str, timeout: Duration) -> io::Error {
    let message = format!("no {what} the pipe was possible within {timeout:?}; the other side is slow or stuck");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

fn capacity(fd: BorrowedFd<'_>, wanted: Wanted) -> io::Result<usize> {
    rustix::pipe::fcntl_getpipe_size(fd).map_err(|error| descriptor::explain(fd, wanted, error))
}

fn set_capacity(fd: BorrowedFd<'_>, wanted: Wanted, bytes: usize) -> io::Result<usize> {
    let refused = |kind, why: &str| io::Error::new(kind, format!("a pipe cannot be made to hold {bytes} bytes: {why}"));
    // The kernel takes an int and rounds up to a power of two; over half of its range it would wrap.
    let asked = if bytes > 1 << 30 { Err(Errno::PERM) } else { rustix::pipe::fcntl_setpipe_size(fd, bytes) };
    match asked {
        Ok(size) => Ok(size),
        Err(Errno::PERM) => {
            let why = "it is over the limit; ask for less, or raise /proc/sys/fs/pipe-max-size or pipe-user-pages-soft";
            Err(refused(io::ErrorKind::PermissionDenied, why))
        }
        Err(Errno::BUSY) => Err(refused(io::ErrorKind::ResourceBusy, "more is in it now; read first")),
        Err(error) => Err(descriptor::explain(fd, wanted, error)),
    }
}

impl Read for &Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(self.as_fd(), || rustix::io::read(&self.fd, &mut *buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        read(self.as_fd(), || rustix::io::readv(&self.fd, bufs))
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for &Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write(self.as_fd(), &[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write(self.as_fd(), bufs)
    }

    /// Nothing to do: bytes are in the pipe when `write` returns.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    /// Nothing to do: bytes are in the pipe when `write` returns.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

is_a_descriptor!(Reader, Writer);

impl crate::wire::Pass for Reader {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.as_fd());
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        Reader::adopt(input.descriptor()?).map_err(|error| input.invalid(error.to_string()))
    }
}

impl crate::wire::Pass for Writer {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.as_fd());
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        Writer::adopt(input.descriptor()?).map_err(|error| input.invalid(error.to_string()))
    }
}
