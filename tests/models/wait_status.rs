//! Any wait status becomes a cause, and the right one: an independent reading of the bits in wait(2).
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use tine::process::Cause;

/// Checks one status.
pub fn check(raw: i32) {
    let cause = Cause::from(ExitStatus::from_raw(raw));
    let low = raw & 0x7f;
    // The low seven bits: 0 is an exit, 0x7f a stop or a continuation, else a signal; 0x80 says "core dumped".
    match low {
        0 => assert_eq!(cause, Cause::Code((raw >> 8) & 0xff)),
        0x7f => assert_eq!(cause, Cause::Unknown),
        signal if signal <= 64 => {
            assert!(matches!(cause, Cause::Signal(s) if s.as_raw() == signal), "{raw:#x} is {cause:?}");
        }
        _ => assert_eq!(cause, Cause::Unknown),
    }
    assert!(!cause.to_string().is_empty());
}
