//! Built with `panic = "abort"` and run by `tests/panic_abort.rs`: there a panic ends the process at once, and
//! nothing can be caught.
use tine::process::{Cause, JoinError, Ran};

fn main() {
    if !cfg!(panic = "abort") {
        println!("built with panic = \"unwind\": nothing to show");
        return;
    }
    let panicked = |length: usize| {
        let child = tine::spawn(move || -> String { panic!("{}", "as asked ".repeat(length)) }).expect("a child");
        assert_eq!(child.wait().expect("its end").cause, Cause::Signal(tine::process::Signal::ABORT));
        child.join().expect_err("it panicked")
    };
    // One that fits the slot, and one that needs the file.
    for length in [1, 10_000] {
        let error = panicked(length);
        assert_eq!(error.ran(), Ran::Yes);
        let JoinError::Panicked(panic) = error else { panic!("{error:?}") };
        assert_eq!(panic.message, "as asked ".repeat(length));
        assert!(panic.location.expect("the hook saw it").file.ends_with("panic_abort.rs"));
    }
    // Of a child of the child, by the library's fork and by another: it is not the middle one's own.
    for foreign in [false, true] {
        let middle = tine::spawn(move || -> u64 {
            if foreign {
                // SAFETY: a child has one thread; what is forked here ends by its panic.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    panic!("of a stray copy");
                }
                // SAFETY: a null status is not written.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            } else {
                let inner = tine::spawn(|| -> u64 { panic!("of the grandchild") }).expect("a child");
                assert!(matches!(inner.join(), Err(JoinError::Panicked(p)) if p.message == "of the grandchild"));
            }
            // SAFETY: ends this process, without a result.
            unsafe { libc::_exit(3) }
        });
        let error = middle.expect("a child").join().expect_err("it has no result");
        assert_eq!(error.exit().map(|exit| (exit.cause, exit.ran)), Some((Cause::Code(3), Ran::Unknown)), "{error}");
    }
    // Of a thread of the child: it ends the child all the same.
    let child = tine::spawn(|| std::thread::spawn(|| panic!("in a thread")).join().is_ok()).expect("a child");
    let JoinError::Panicked(panic) = child.join().expect_err("it panicked") else { panic!("not told") };
    assert_eq!(panic.message, "in a thread");
    assert_eq!(tine::spawn(|| 7_u64).expect("a child").join().expect("a result"), 7);
    println!("all is well");
}
