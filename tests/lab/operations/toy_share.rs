//! A count of readers that a writer waits for, and a descriptor: two more ways to be wrong when somebody dies.
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tine::memory::Shared;

use crate::lab::board::futex_wait_for;
use crate::lab::operation::{Operation, Start};

tine::share! {
    pub struct Readers {
        count: AtomicU32,
        /// The readers by pid: what the right one asks when a writer waits for too long.
        pids: [AtomicU32; 4],
    }
}

type Toy = Shared<Readers>;

fn none() -> Toy {
    let pids = [const { AtomicU32::new(0) }; 4];
    Shared::new(Readers { count: AtomicU32::new(0), pids }).expect("shared memory")
}

impl Readers {
    /// The right one counts by its pid alone.
    fn read<const LEAKED: bool>(&self) {
        if LEAKED {
            self.count.fetch_add(1, SeqCst);
            self.count.fetch_sub(1, SeqCst);
            return;
        }
        let me = std::process::id();
        let slot = self.pids.iter().find(|slot| slot.compare_exchange(0, me, SeqCst, SeqCst).is_ok());
        slot.expect("there are fewer readers than slots").store(0, SeqCst);
    }

    /// Returns when nobody reads.
    fn write<const LEAKED: bool>(&self) {
        while LEAKED && self.count.load(SeqCst) != 0 {
            futex_wait_for(&self.count, 1, Some(Duration::from_secs(60)));
        }
        for slot in &self.pids {
            let pid = slot.load(SeqCst);
            // SAFETY: signal 0 is sent to nobody.
            while pid != 0 && slot.load(SeqCst) == pid && unsafe { libc::kill(pid as i32, 0) } == 0 {
                futex_wait_for(slot, pid, Some(Duration::from_millis(20)));
            }
        }
    }
}

/// A look at what is shared.
pub fn read<const LEAKED: bool>() -> Operation<Toy, ()> {
    let look = |readers: &Toy| {
        readers.write::<LEAKED>();
        String::from("written")
    };
    Operation::new("toy readers: read", |_| (), |readers, ()| readers.read::<LEAKED>(), look)
        .from(Start::new("nobody reads", none))
}

/// Memory with a descriptor.
pub fn open<const FORGOTTEN: bool>() -> Operation<(), Option<OwnedFd>> {
    let act = |(): &(), fd: &mut Option<OwnedFd>| {
        let flags = if FORGOTTEN { 0 } else { libc::MFD_CLOEXEC };
        // SAFETY: the name ends in a zero; what comes back is a new descriptor, or a failure.
        *fd = Some(unsafe {
            let number = libc::memfd_create(c"toy".as_ptr(), flags);
            assert!(number >= 0);
            OwnedFd::from_raw_fd(number)
        });
    };
    Operation::new("toy descriptor: open", |_| None, act, |()| String::new()).from(Start::new("closed", || ()))
}
