//! Shared memory that nobody can change any more.
//!
//! # Safety
//!
//! This file opens `unsafe` to give out `&[T]` into memory of a memfd, after the seals were read that forbid
//! everybody to change it, and `&mut [T]` before its descriptor exists for anybody else.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::{Memfd, MemfdError, Region, Seals, SharedSlice, assert_page_aligned, bytes_of};
use crate::sys::loan::Loan;
use crate::sys::map::Access;
use crate::wire::Plain;

/// Plain values in shared memory that were written once and can never change again: honestly a `&[T]`.
///
/// The kernel keeps that promise, not we: the memory is a memfd sealed against writing, shrinking, growing and
/// further seals ([`Seals::FROZEN`]). Cloning shares it, and so does a fork; [`AsFd`] gives the descriptor to hand to
/// other processes, where [`from_fd`](Self::from_fd) checks the seals before it maps anything.
///
/// A fork copies neither the pages nor their page tables: this is the place for large tables that many processes read.
///
/// ```
/// use tine::memory::Frozen;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let primes = Frozen::<u64>::build(4, |buffer| buffer.copy_from_slice(&[2, 3, 5, 7]))?;
/// assert_eq!(primes.iter().sum::<u64>(), 17);
///
/// let descriptor = std::os::fd::AsFd::as_fd(&primes).try_clone_to_owned()?; // goes over a socket
/// let theirs = Frozen::<u64>::from_fd(descriptor)?;
/// assert_eq!(theirs[..], primes[..]);
/// # Ok(())
/// # }
/// ```
pub struct Frozen<T> {
    ptr: NonNull<T>,
    len: usize,
    region: Arc<Region>,
    values: PhantomData<T>,
}

// SAFETY: immutable memory, shared like an Arc<[T]>.
unsafe impl<T: Send + Sync> Send for Frozen<T> {}
// SAFETY: as for Send.
unsafe impl<T: Send + Sync> Sync for Frozen<T> {}

static_assertions::assert_impl_all!(Frozen<u64>: Send, Sync);

impl<T> Frozen<T> {
    /// `n` values, written by `fill` into memory of all zero bytes, then sealed.
    ///
    /// While `fill` runs it has the memory for itself: a fork in it is refused, because the child would have it too.
    ///
    /// # Errors
    ///
    /// As for [`Memfd::new`]. `ResourceBusy` where a child that was forked behind this library's back still has the
    /// writable mapping.
    ///
    /// # Panics
    ///
    /// If `fill` does; nothing leaks.
    pub fn build(n: usize, fill: impl FnOnce(&mut [T])) -> io::Result<Frozen<T>>
    where
        T: Plain,
    {
        const { assert_page_aligned::<T>() };
        let memfd = Memfd::new(bytes_of::<T>(n)?)?;
        let map = memfd.map(Access::ReadWrite)?;
        let loan = Loan::take();
        // SAFETY: the mapping holds `n` values of zero bytes, which are valid (`Plain`), and is page aligned. The
        // descriptor was not given to anybody, and no fork of ours happens while the loan is out, so nobody else
        // writes there. The slice ends with the call, before the mapping does.
        fill(unsafe { slice::from_raw_parts_mut(map.as_ptr().cast().as_ptr(), n) });
        drop(loan);
        drop(map);
        memfd.seal(Seals::FROZEN)?;
        Ok(Frozen::over(memfd)?)
    }

    /// A copy of `values`.
    ///
    /// # Errors
    ///
    /// As for [`Memfd::new`].
    pub fn from_slice(values: &[T]) -> io::Result<Frozen<T>>
    where
        T: Plain,
    {
        Frozen::build(values.len(), |buffer| buffer.copy_from_slice(values))
    }
}

impl<T: Plain> Frozen<T> {
    /// The values in a memfd that another process sealed.
    ///
    /// # Errors
    ///
    /// A descriptor of another kind, a seal that lacks, a size that is no whole number of `T`; see [`MemfdError`].
    /// Nothing was mapped.
    pub fn from_fd(fd: OwnedFd) -> Result<Frozen<T>, MemfdError> {
        Memfd::try_from(fd)?.into_frozen()
    }

    /// Seals a memfd of which this process has no mapping.
    pub(super) fn seal(memfd: Memfd) -> Result<Frozen<T>, FreezeError<T>> {
        match memfd.seal(Seals::FROZEN) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                return Err(FreezeError::unmapped(memfd, FreezeReason::MappedElsewhere));
            }
            Err(e) => return Err(FreezeError::unmapped(memfd, FreezeReason::Io(e))),
        }
        // The memory is frozen now, so its slice cannot be given back; mapping a few pages is all that can fail here.
        Frozen::over(memfd).map_err(|e| FreezeError { slice: None, reason: FreezeReason::Io(e.into()) })
    }

    pub(super) fn over(memfd: Memfd) -> Result<Frozen<T>, MemfdError> {
        const { assert_page_aligned::<T>() };
        let seals = memfd.seals()?;
        if !seals.contains(Seals::FROZEN) {
            return Err(MemfdError::Unsealed { missing: Seals::FROZEN.without(seals) });
        }
        let len = memfd.count_of::<T>()?;
        let map = memfd.map(Access::Read)?;
        let ptr = map.as_ptr().cast();
        Ok(Frozen { ptr, len, region: Arc::new(Region { map, memfd: Some(memfd) }), values: PhantomData })
    }
}

impl<T> Deref for Frozen<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the region holds `len` values from its start (`count_of`), page aligned and mapped while `self`
        // lives; every pattern of bytes is a valid `T`. Nobody can change it: its seals were read when this handle
        // was made, and seals never go. Even a hole punched into it is refused by the write seal.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Frozen<T> {
        Frozen { ptr: self.ptr, len: self.len, region: Arc::clone(&self.region), values: PhantomData }
    }
}

impl<T> AsFd for Frozen<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.region.memfd.as_ref().expect("a frozen region is made of a memfd").as_fd()
    }
}

impl<T: fmt::Debug> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frozen").field(&&**self).finish()
    }
}

/// Why a [`SharedSlice`] was not frozen.
#[derive(Debug)]
#[non_exhaustive]
pub enum FreezeReason {
    /// The memory is anonymous, and only a memfd can be sealed: make it by [`SharedSlice::with_memfd`].
    NotMemfd,
    /// Other handles to the memory exist in this process, clones or views.
    OtherHandles,
    /// It is mapped writable elsewhere: in another process, usually a child that still runs.
    MappedElsewhere,
    /// The system refused a call.
    Io(io::Error),
}

impl fmt::Display for FreezeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FreezeReason::NotMemfd => {
                f.write_str("the memory is anonymous; only a slice made by with_memfd can be frozen")
            }
            FreezeReason::OtherHandles => {
                f.write_str("other handles to the memory exist in this process; drop the clones and views first")
            }
            FreezeReason::MappedElsewhere => {
                f.write_str("another process has the memory mapped writable; join the children that inherited it first")
            }
            FreezeReason::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FreezeReason {}

impl From<FreezeReason> for io::Error {
    /// The error of the system, or [`ResourceBusy`](io::ErrorKind::ResourceBusy) where somebody else has the memory, or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    fn from(reason: FreezeReason) -> io::Error {
        match reason {
            FreezeReason::Io(error) => error,
            FreezeReason::NotMemfd => io::Error::new(io::ErrorKind::InvalidInput, reason),
            _ => io::Error::new(io::ErrorKind::ResourceBusy, reason),
        }
    }
}

/// A [`SharedSlice`] was not frozen. It is still there.
pub struct FreezeError<T> {
    slice: Option<Unfrozen<T>>,
    reason: FreezeReason,
}

/// What is left of a slice after an attempt to freeze it.
enum Unfrozen<T> {
    Whole(SharedSlice<T>),
    /// Had to be unmapped for the attempt.
    Unmapped(Memfd),
}

impl<T> FreezeError<T> {
    pub(super) fn whole(slice: SharedSlice<T>, reason: FreezeReason) -> FreezeError<T> {
        FreezeError { slice: Some(Unfrozen::Whole(slice)), reason }
    }

    fn unmapped(memfd: Memfd, reason: FreezeReason) -> FreezeError<T> {
        FreezeError { slice: Some(Unfrozen::Unmapped(memfd)), reason }
    }

    /// Why.
    pub fn reason(&self) -> &FreezeReason {
        &self.reason
    }

    /// Why; the slice is dropped.
    pub fn into_reason(self) -> FreezeReason {
        self.reason
    }
}

impl<T: Plain> FreezeError<T> {
    /// The slice, with its values.
    ///
    /// # Errors
    ///
    /// Where it had to be unmapped for the attempt and cannot be mapped again; and where it was sealed, but could not
    /// be mapped as frozen memory: then its values are lost.
    pub fn into_slice(self) -> io::Result<SharedSlice<T>> {
        match (self.slice, self.reason) {
            (Some(Unfrozen::Whole(slice)), _) => Ok(slice),
            (Some(Unfrozen::Unmapped(memfd)), _) => Ok(memfd.into_slice()?),
            (None, FreezeReason::Io(error)) => Err(error),
            (None, reason) => Err(io::Error::other(reason.to_string())),
        }
    }
}

impl<T> fmt::Debug for FreezeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreezeError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for FreezeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory was not frozen: {}", self.reason)
    }
}

impl<T> std::error::Error for FreezeError<T> {}

impl<T> From<FreezeError<T>> for io::Error {
    fn from(error: FreezeError<T>) -> io::Error {
        error.reason.into()
    }
}

/// The child reads the same memory.
/// The seals of what arrives are looked at before it is mapped: it is as frozen as here, whoever sent it.
impl<T: Plain> crate::wire::Pass for Frozen<T> {
    fn encode_pass<'a>(&'a self, out: &mut crate::wire::Passing<'a>) -> Result<(), crate::wire::EncodeError> {
        out.descriptor(self.as_fd());
        Ok(())
    }
    fn decode_pass(input: &mut crate::wire::Received<'_>) -> Result<Self, crate::wire::DecodeError> {
        Memfd::receive(input, Memfd::into_frozen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::loan;

    #[test]
    fn building_is_a_loan() {
        // Other tests build, too; what counts is that ours is among the loans.
        Frozen::<u64>::build(1, |_| assert!(loan::held() >= 1)).unwrap();
        let panicked = std::panic::catch_unwind(|| Frozen::<u64>::build(1, |_| panic!("as asked")));
        assert!(panicked.is_err());
        // Tests on other threads may hold one for a moment; a loan that was not given back stays for ever.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while loan::held() > 0 {
            assert!(std::time::Instant::now() < deadline, "a loan was not given back");
            std::thread::yield_now();
        }
    }
}
