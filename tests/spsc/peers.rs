//! Other processes, and what is seen of them.

use tine::JoinHandle;
use tine::wire::Wire;

/// Waits until a child sleeps in the system call by which one waits for words.
pub fn until_asleep<T: Wire>(child: &JoinHandle<T>) {
    until_in(child, &[libc::SYS_futex_waitv, libc::SYS_futex]);
}

pub fn until_in<T: Wire>(child: &JoinHandle<T>, calls: &[libc::c_long]) {
    crate::support::until("it sleeps", || {
        let now = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap_or_default();
        let number = now.split(' ').next().and_then(|number| number.parse().ok());
        number.is_some_and(|number| calls.contains(&number))
    });
}

/// Until it is killed.
pub fn stay() {
    end_by(|| {
        loop {
            std::thread::park();
        }
    });
}

/// For a closure whose result is to be nothing rather than never.
pub fn end_by<Never>(end: impl FnOnce() -> Never) {
    let _ = end();
}
