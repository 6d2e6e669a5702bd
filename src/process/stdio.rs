//! What a child's standard streams are.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::pipe::{Reader, Writer};
use crate::sys::standard::{above_standard, pipe_above_standard};

/// What one standard stream of a child is. The default is to inherit.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The parent's own, shared with it.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe, whose other end the [`Child`](super::Child) has.
    Piped,
    /// This descriptor.
    Fd(OwnedFd),
}

impl Stdio {
    /// The parent's own stream.
    pub fn inherit() -> Stdio {
        Stdio::Inherit
    }

    /// `/dev/null`.
    pub fn null() -> Stdio {
        Stdio::Null
    }

    /// A pipe, whose other end the [`Child`](super::Child) has.
    pub fn piped() -> Stdio {
        Stdio::Piped
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Stdio {
        Stdio::Fd(fd)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::Fd(file.into())
    }
}

impl From<Reader> for Stdio {
    fn from(reader: Reader) -> Stdio {
        Stdio::Fd(reader.into())
    }
}

impl From<Writer> for Stdio {
    fn from(writer: Writer) -> Stdio {
        Stdio::Fd(writer.into())
    }
}

/// The parent's ends of a child's piped streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<Writer>,
    pub(super) stdout: Option<Reader>,
    pub(super) stderr: Option<Reader>,
}

/// The child's side of its three streams: what to put at 0, 1 and 2. None is inherited.
#[derive(Debug, Default)]
pub(super) struct Plugs([Option<OwnedFd>; 3]);

/// Opens what the three settings ask for.
pub(super) fn open(settings: &mut [Stdio; 3]) -> io::Result<(Plugs, Ends)> {
    let mut plugs = Plugs::default();
    let mut ends = Ends::default();
    for (number, setting) in settings.iter_mut().enumerate() {
        plugs.0[number] = match std::mem::take(setting) {
            Stdio::Inherit => None,
            Stdio::Null => {
                let null = File::options().read(number == 0).write(number != 0).open("/dev/null")?;
                Some(above_standard(null.into())?)
            }
            Stdio::Fd(fd) => Some(above_standard(fd)?),
            Stdio::Piped => {
                let (reader, writer) = pipe_above_standard()?;
                Some(match number {
                    0 => {
                        ends.stdin = Some(writer.into());
                        reader
                    }
                    1 => {
                        ends.stdout = Some(reader.into());
                        writer
                    }
                    _ => {
                        ends.stderr = Some(reader.into());
                        writer
                    }
                })
            }
        };
    }
    Ok((plugs, ends))
}

impl Plugs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn set_stderr(&mut self, fd: OwnedFd) {
        self.0[2] = Some(fd);
    }

    /// In the child: puts the streams in their places.
    pub(super) fn plug_in(&self) -> io::Result<()> {
        for (number, plug) in self.0.iter().enumerate() {
            match (number, plug) {
                (_, None) => {}
                (0, Some(plug)) => rustix::stdio::dup2_stdin(plug)?,
                (1, Some(plug)) => rustix::stdio::dup2_stdout(plug)?,
                (_, Some(plug)) => rustix::stdio::dup2_stderr(plug)?,
            }
        }
        Ok(())
    }
}

/// The last of what a child wrote to stderr, kept in a memory file that all its writers append to.
#[derive(Debug)]
pub(super) struct StderrTail {
    file: OwnedFd,
    keep: usize,
}

impl StderrTail {
    /// Keeps the last `keep` bytes.
    pub(super) fn new(keep: usize) -> io::Result<StderrTail> {
        let file = rustix::fs::memfd_create("tine-stderr", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND)?;
        Ok(StderrTail { file: above_standard(file)?, keep })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives back the memory of what is too old to be kept.
    pub(super) fn trim(&self) {
        let Ok(stat) = rustix::fs::fstat(&self.file) else { return };
        let old = (stat.st_size as u64).saturating_sub(self.keep as u64);
        if old > 0 {
            let how = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
            // Advisory: where it fails, the memory stays until the file goes.
            let _ = rustix::fs::fallocate(&self.file, how, 0, old);
        }
    }

    /// The last whole lines within the limit (or the end of one line that is longer).
    pub(super) fn tail(&self) -> io::Result<String> {
        let size = rustix::fs::fstat(&self.file)?.st_size as u64;
        let start = size.saturating_sub(self.keep as u64);
        let mut bytes = vec![0; (size - start) as usize];
        let read = read_at(self.file.as_fd(), &mut bytes, start)?;
        bytes.truncate(read);
        if start > 0
            && let Some(newline) = bytes.iter().position(|&b| b == b'\n').filter(|&n| n + 1 < bytes.len())
        {
            bytes.drain(..=newline);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Reads at `offset` until `into` is full or the file ends; returns how many bytes there were.
pub(super) fn read_at(file: BorrowedFd<'_>, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match rustix::io::pread(file, &mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}
