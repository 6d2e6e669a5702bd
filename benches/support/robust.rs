//! A robust mutex of the C library between processes, used as its manual says.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use tine::Shared;
use tine::wire::Share;

/// A number and the lock that guards it.
pub struct Robust(Shared<Both>);

struct Both {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    number: UnsafeCell<u64>,
}

// SAFETY: the mutex is made for several processes; the number is used under it only.
unsafe impl Sync for Both {}
// SAFETY: as above; no pointers of ours, no drop glue.
unsafe impl Share for Both {}

impl Robust {
    pub fn new() -> Robust {
        let both = Both { mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER), number: UnsafeCell::new(0) };
        let both = Shared::new(both).expect("memory");
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are made first; nobody else knows the mutex yet, and it stays where it is.
        unsafe {
            assert_eq!(libc::pthread_mutexattr_init(attributes), 0);
            assert_eq!(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED), 0);
            assert_eq!(libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST), 0);
            assert_eq!(libc::pthread_mutex_init(both.mutex.get(), attributes), 0);
        }
        Robust(both)
    }

    pub fn with(&self, f: impl FnOnce(&mut u64)) {
        // SAFETY: the mutex was made in `new`, and the number is used under it only.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock(self.0.mutex.get()), 0);
            f(&mut *self.0.number.get());
            assert_eq!(libc::pthread_mutex_unlock(self.0.mutex.get()), 0);
        }
    }
}
