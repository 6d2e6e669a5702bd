//! One thread's place on the roster.
//!
//! # Safety
//!
//! This file opens `unsafe` for a robust mutex of the C library in shared memory that is never unmapped. It is the only
//! kind of word that the kernel writes when its owner dies. It is tried, never waited for, and never unlocked.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use static_assertions::{assert_eq_size, const_assert};

use super::tenancy::Tenure;

/// ```text
///   0                        40       56       64           72
///   | life: a robust mutex   | tenure | who    | namespaces | bell   | (pad) ... 128
/// ```
///
/// | word | written by | how |
/// |---|---|---|
/// | life | its thread, once; the kernel, when that thread ends; watchers set its WAITERS bit | [`Tenure`] |
/// | tenure | its thread, which announces itself; whoever finds it dead | [`Tenure`] |
/// | the rest | its thread, before it announces itself; `bell` while it lives | |
#[repr(C, align(128))]
pub(super) struct Slot {
    life: UnsafeCell<libc::pthread_mutex_t>,
    pub(super) tenure: Tenure,
    /// The [`crate::sys::identity::Identity`] of the process; 0 where `/proc` does not tell.
    pub(super) who: AtomicU64,
    /// Which namespaces that identity is of.
    pub(super) namespaces: AtomicU64,
    /// The doorbell of a thread that sleeps in poll; 0 while it does not.
    pub(crate) bell: AtomicU64,
}

assert_eq_size!(Slot, [u8; 128]);
const_assert!(size_of::<libc::pthread_mutex_t>() <= 40);

// SAFETY: the words are atomics. The mutex is used through the C library's calls, which are made for several processes, and
// by atomic words (its life, and its kind before anybody uses it).
unsafe impl Sync for Slot {}

/// How this C library makes a robust mutex: the word that is its life, and the words that are not zero at first.
struct Template {
    life: usize,
    words: [u32; WORDS],
}

const WORDS: usize = size_of::<libc::pthread_mutex_t>() / 4;

/// Asked of the C library once: where is the word that holds the thread's number, and what is written before?
///
/// The robust list's own protocol is between the C library and the kernel: what is needed here is which word of the
/// mutex the kernel marks. It is the first that holds the number of the thread that has locked it.
fn template() -> Option<&'static Template> {
    static TEMPLATE: OnceLock<Option<Template>> = OnceLock::new();
    TEMPLATE.get_or_init(make_template).as_ref()
}

fn make_template() -> Option<Template> {
    /// On the heap, where it does not move while it is locked.
    fn words(mutex: *const libc::pthread_mutex_t) -> [u32; WORDS] {
        // SAFETY: a live mutex, whose bytes were all zeroed before it was made; this thread alone knows it.
        unsafe { ptr::read(mutex.cast()) }
    }
    let mutex =
        Box::into_raw(Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))).cast::<libc::pthread_mutex_t>();
    // SAFETY: the mutex is live until it is freed below, unlocked; the attributes are made before they are used.
    unsafe {
        ptr::write_bytes(mutex, 0, 1);
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::zeroed();
        let attributes = attributes.as_mut_ptr();
        let made = libc::pthread_mutexattr_init(attributes) == 0
            && libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) == 0
            && libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) == 0
            && libc::pthread_mutex_init(mutex, attributes) == 0;
        let template = made.then(|| words(mutex)).and_then(|fresh| {
            (libc::pthread_mutex_trylock(mutex) == 0).then_some(())?;
            let tid = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
            let life = words(mutex).iter().position(|&word| word == tid);
            libc::pthread_mutex_unlock(mutex);
            Some(Template { life: life.filter(|&life| fresh[life] == 0)?, words: fresh })
        });
        if made {
            libc::pthread_mutex_destroy(mutex);
        }
        libc::pthread_mutexattr_destroy(attributes);
        drop(Box::from_raw(mutex.cast::<UnsafeCell<libc::pthread_mutex_t>>()));
        template
    }
}

/// What came of the attempt to lock a slot's life.
pub(super) enum Taken {
    /// It is the calling thread's until that ends.
    Mine,
    /// Another was faster.
    Lost,
    /// This C library's mutexes are not known to be of use.
    Unusable,
}

impl Slot {
    fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: within the mutex, aligned, and live as the slot is; all that the library and we do there is atomic, but for
        // words that this file does not name.
        unsafe { AtomicU32::from_ptr(self.life.get().cast::<u32>().add(index)) }
    }

    /// The word that the kernel marks; None where this C library is not understood.
    pub(super) fn life(&self) -> Option<&AtomicU32> {
        Some(self.word(template()?.life))
    }

    /// Locks the life word for the rest of the calling thread's life.
    ///
    /// In a process made by a raw `clone` the kernel knows of no list, and the C library has the parent's number for this
    /// thread: such a life is never marked, and its end is found by the identity of its process.
    pub(super) fn take_life(&self) -> Taken {
        let Some(template) = template() else { return Taken::Unusable };
        for (index, &value) in template.words.iter().enumerate().filter(|(_, value)| **value != 0) {
            // What `pthread_mutex_init` would write, in a way that any number of threads may do at once, at any time: it
            // changes nothing where it is done already. Relaxed: everybody who uses the mutex has written it itself.
            let _ = self.word(index).compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
        }
        let mutex = self.life.get();
        // SAFETY: the mutex is made (above), never destroyed, and in memory that is never unmapped, so that the list of the
        // thread's robust mutexes, which it is now part of, stays good to its end.
        let taken = unsafe {
            match libc::pthread_mutex_trylock(mutex) {
                0 => true,
                libc::EOWNERDEAD => libc::pthread_mutex_consistent(mutex) == 0,
                _ => false,
            }
        };
        if taken { Taken::Mine } else { Taken::Lost }
    }
}
