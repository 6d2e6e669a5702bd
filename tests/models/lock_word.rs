//! A mutex whose word was overwritten with anything: it is free, or held, or says that it is corrupt; it does not hang, and
//! what it refuses it leaves as it is. Shared by the property test and the fuzz target.

use std::time::Duration;

use tine::memory::{Memfd, SharedSlice};
use tine::sync::{LockErrorOf, LockTimeoutErrorOf, Mutex, TryLockErrorOf};
use tine::{Shared, sync::LockFailure};

/// A mutex, and the same memory as words.
pub struct Overwritten {
    pub mutex: Shared<Mutex<u64>>,
    pub words: SharedSlice<u64>,
}

impl Overwritten {
    pub fn new() -> Overwritten {
        let mutex = Shared::with_memfd(Mutex::new(0)).expect("memory");
        let again = mutex.memfd().expect("it has one").try_clone_to_owned().expect("a descriptor");
        let words = Memfd::try_from(again).and_then(Memfd::into_slice).expect("the same memory");
        Overwritten { mutex, words }
    }
}

/// What is known of a word without the roster.
fn allowed(word: u64, me: u64) -> &'static [&'static str] {
    let (name, flags) = (word & !0xff, word & 0xff);
    let slot = word >> 8 & 0xfff;
    match name {
        0 if flags & !3 != 0 => &["corrupt"],
        0 if flags & 2 != 0 => &["owner died"],
        0 => &["taken"],
        _ if name >> 48 == 0 => &["corrupt"],
        _ if name >> 48 != me >> 48 => &["foreign"],
        _ if name == me => &["mine"],
        _ if slot == 0 => &["corrupt"],
        // Whoever that was: the roster knows.
        _ => &["corrupt", "owner died", "held"],
    }
}

/// Any input: a few words, each tried.
pub fn check(data: &[u8]) {
    let Overwritten { mutex, words } = Overwritten::new();
    let guard = mutex.lock().expect("a new one");
    let me = words.get(0).expect("the word") & !0xff;
    drop(guard);
    for chunk in data.chunks_exact(9).take(64) {
        let mut word = u64::from_le_bytes(chunk[1..].try_into().expect("eight bytes"));
        // Most numbers are names on no roster: let some be on ours, and some be this thread's own.
        match chunk[0] % 4 {
            0 => {}
            1 => word = word & 0x0000_ffff_ffff_ffff | me & 0xffff_0000_0000_0000,
            2 => word = word & 0xfff | me & !0xfff,
            _ => word &= 0xff,
        }
        let allowed = allowed(word, me);
        words.set(0, word).expect("the word");
        let tried = match mutex.try_lock() {
            Ok(guard) => {
                drop(guard);
                "taken"
            }
            Err(TryLockErrorOf::WouldBlock) if word & !0xff == me => "mine",
            Err(TryLockErrorOf::WouldBlock) => "held",
            Err(TryLockErrorOf::Lock(error)) => refused(error),
            Err(error) => panic!("{error}"),
        };
        assert!(allowed.contains(&tried), "{word:#x}: {tried}, which is none of {allowed:?}");
        if matches!(tried, "corrupt" | "foreign" | "held" | "mine") {
            assert_eq!(words.get(0), Some(word), "{tried}, but the word was changed");
        }
        words.set(0, word).expect("the word");
        let waited = match mutex.lock_timeout(Duration::ZERO) {
            Ok(guard) => {
                drop(guard);
                "taken"
            }
            Err(LockTimeoutErrorOf::TimedOut) => "held",
            Err(LockTimeoutErrorOf::Lock(LockErrorOf::Deadlock)) => "mine",
            Err(LockTimeoutErrorOf::Lock(error)) => refused(error),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(waited, tried, "{word:#x}");
        if tried == "owner died" {
            words.set(0, word).expect("the word");
            drop(mutex.lock_or_repair(|_| ()).expect("it is repaired"));
            assert_eq!(words.get(0), Some(0), "repaired and given up");
        }
    }
}

fn refused<D>(error: LockErrorOf<D>) -> &'static str {
    match error.into_failure() {
        LockFailure::OwnerDied => "owner died",
        LockFailure::Corrupt => "corrupt",
        LockFailure::Foreign => "foreign",
        other => panic!("{other}"),
    }
}
