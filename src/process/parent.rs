//! The parent of this process, if that was one of ours.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::inside::inside;
use crate::sys::clock::deadline_in;
use crate::sys::orphan;
use crate::sys::ready;

/// The process that spawned this one. See [`parent`].
#[derive(Clone, Copy, Debug)]
pub struct Parent {
    pid: Pid,
    name: Option<&'static str>,
}

/// In a child of this library: its parent. None in a program's first process, and in one that was forked by
/// other means.
///
/// # Examples
///
/// ```
/// assert!(tine::process::parent().is_none());
/// let here = std::process::id();
/// let child = tine::spawn(move || tine::process::parent().is_some_and(|p| p.id() == here))?;
/// assert!(child.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "getppid")]
pub fn parent() -> Option<Parent> {
    let inside = inside()?;
    Some(Parent { pid: inside.parent.pid, name: inside.parent_name.as_deref() })
}

impl Parent {
    /// Its process id, as it sees it itself. If it is dead, another process may have the number.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Its name, if it was given one with [`Builder::name`](super::Builder::name) when it was itself a child.
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// Whether it lives. True may be stale by the time you look; false stays. Always true in a child in another pid
    /// namespace than its parent's, from where it cannot be seen.
    pub fn is_alive(&self) -> bool {
        orphan::is_parent(self.pid).unwrap_or(true)
    }

    /// Waits until the parent has ended, for at most `limit`; false if it lives on. Of use in a child that was
    /// built with [`die_with_parent(false)`](super::Builder::die_with_parent): others do not see its end.
    ///
    /// # Errors
    ///
    /// When no descriptor can be had for the parent; of kind `Unsupported` in another pid namespace than its.
    pub fn wait_timeout(&self, limit: Duration) -> io::Result<bool> {
        let deadline = deadline_in(limit);
        if orphan::is_parent(self.pid).is_none() {
            let why = "the parent is in another pid namespace, and cannot be seen from this one";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let pidfd = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        };
        // Opened, so pinned; and still our parent, so it is the right one and not one with its number.
        if !self.is_alive() {
            return Ok(true);
        }
        ready::wait(pidfd.as_fd(), PollFlags::IN, deadline)
    }
}
