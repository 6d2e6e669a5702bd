//! One send on a socket that keeps boundaries, and one receive: bytes, and exactly the descriptors that were sent with them.
//!
//! The kernel says "0 bytes" for an empty message and for the end alike, and a lost descriptor leaves only a flag. So
//! each packet begins with a head that says what was sent:
//!
//! ```text
//! | "fd" : 16 | descriptors : 16 | bytes : 32 |   then the bytes
//! ```

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::descriptor::{self, Wanted};
use super::socket::{RecvFdsError, SendFdsError, Socket};
use crate::sys::ready;

const TAG: [u8; 2] = *b"fd";

/// How many bytes stand in front of those that were sent.
pub(crate) const HEAD: usize = 8;

/// How many bytes a receiver has to have room for: one more than can be sent, so that a foreign, longer packet is seen and
/// not taken for a full one.
pub(crate) const ROOM: usize = HEAD + Socket::MAX_BYTES + 1;

/// Sends the two parts as one, with copies of `descriptors`. The caller has checked both against the limits.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    parts: [&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> Result<(), SendFdsError> {
    let len = parts[0].len() + parts[1].len();
    let head = head(descriptors.len(), len);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Socket::MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "the space is for the most that is allowed");
    }
    loop {
        let parts = [IoSlice::new(&head), IoSlice::new(parts[0]), IoSlice::new(parts[1])];
        // DONTWAIT for this one call: O_NONBLOCK would be set for everybody who shares the description.
        match sendmsg(fd, &parts, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !ready::wait(fd, PollFlags::OUT, deadline).map_err(SendFdsError::Io)? {
                    return Err(SendFdsError::TimedOut);
                }
            }
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(SendFdsError::Closed),
            Err(Errno::MSGSIZE) => return Err(SendFdsError::TooLarge { len }),
            Err(error) => return Err(SendFdsError::Io(descriptor::explain(fd, Wanted::Socket, error))),
        }
    }
}

/// Receives one packet into `buffer`, which has [`ROOM`]. Returns how many bytes stand behind the [`HEAD`], and the descriptors.
pub(crate) fn recv(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    deadline: Option<Instant>,
) -> Result<(usize, Vec<OwnedFd>), RecvFdsError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Socket::MAX_DESCRIPTORS))];
    loop {
        // Whatever is left in it is closed when it is dropped.
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        match recvmsg(fd, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(received) if received.bytes == 0 => return Err(RecvFdsError::Closed),
            Ok(received) => {
                let descriptors: Vec<OwnedFd> = control.drain().flat_map(rights).collect();
                let bytes = buffer.get(..received.bytes).unwrap_or_default();
                return check(bytes, descriptors, received.flags);
            }
            Err(Errno::INTR) => {}
            // The other end was closed before everything sent to it was read. The kernel tells it once, ahead of
            // what it sent to us, which is still to be received.
            Err(Errno::CONNRESET) => {}
            Err(Errno::AGAIN) => {
                if !ready::wait(fd, PollFlags::IN, deadline).map_err(RecvFdsError::Io)? {
                    return Err(RecvFdsError::TimedOut);
                }
            }
            Err(error) => return Err(RecvFdsError::Io(descriptor::explain(fd, Wanted::Socket, error))),
        }
    }
}

fn head(descriptors: usize, bytes: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..2].copy_from_slice(&TAG);
    // Neither is cut: both were checked against their limits.
    head[2..4].copy_from_slice(&(descriptors as u16).to_le_bytes());
    head[4..].copy_from_slice(&(bytes as u32).to_le_bytes());
    head
}

/// The descriptors of one control message.
fn rights(control: RecvAncillaryMessage<'_>) -> impl Iterator<Item = OwnedFd> {
    match control {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// Compares what arrived with what its head says was sent. What is not returned is closed.
fn check(bytes: &[u8], descriptors: Vec<OwnedFd>, flags: ReturnFlags) -> Result<(usize, Vec<OwnedFd>), RecvFdsError> {
    let [t0, t1, d0, d1, b0, b1, b2, b3, ref sent_bytes @ ..] = bytes[..] else { return Err(RecvFdsError::Corrupt) };
    let sent = usize::from(u16::from_le_bytes([d0, d1]));
    let length = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
    if [t0, t1] != TAG || length != sent_bytes.len() || flags.contains(ReturnFlags::TRUNC) {
        return Err(RecvFdsError::Corrupt);
    }
    let arrived = descriptors.len();
    // The kernel stops at the first descriptor that it cannot open, and says so by this flag alone.
    if flags.contains(ReturnFlags::CTRUNC) || arrived < sent {
        return Err(RecvFdsError::Lost { bytes: sent_bytes.to_vec(), sent, arrived });
    }
    if arrived > sent {
        return Err(RecvFdsError::Corrupt);
    }
    Ok((length, descriptors))
}
