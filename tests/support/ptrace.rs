//! The little of ptrace(2) that lets a test stop a child at an exact point in the kernel.
#![allow(dead_code)]

use std::io;

/// A process that is traced by this one.
pub struct Traced(pub i32);

impl Traced {
    /// Takes a child under trace and stops it; None where that is forbidden.
    pub fn seize(pid: u32, options: i32) -> Option<Traced> {
        let pid = i32::try_from(pid).expect("a pid fits");
        request(libc::PTRACE_SEIZE, pid, options as usize).ok()?;
        request(libc::PTRACE_INTERRUPT, pid, 0).ok()?;
        Traced(pid).stopped().then_some(Traced(pid))
    }

    /// Lets it run on to the next entry into, or return from, a system call.
    pub fn to_the_next_call(&self) {
        request(libc::PTRACE_SYSCALL, self.0, 0).expect("it is stopped");
    }

    /// Lets it run on.
    pub fn go_on(&self) {
        request(libc::PTRACE_CONT, self.0, 0).expect("it is stopped");
    }

    /// Waits until it stops; false if it ended instead.
    pub fn stopped(&self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a live int.
        while unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL) } == -1 {
            assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted);
        }
        libc::WIFSTOPPED(status)
    }

    /// Whether it has stopped, or ended, by now.
    pub fn has_stopped(&self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a live int.
        let stopped = unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL | libc::WNOHANG) };
        assert_ne!(stopped, -1, "{}", io::Error::last_os_error());
        stopped != 0
    }

    /// Of one that is stopped at a system call: whether it is yet to be made.
    pub fn is_about_to_call(&self) -> bool {
        let mut info = std::mem::MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
        let size = size_of::<libc::ptrace_syscall_info>();
        // SAFETY: the kernel writes up to `size` bytes there; all-zero bytes are a value of the type.
        let info = unsafe {
            let told = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, self.0, size, info.as_mut_ptr());
            assert!(told > 0, "{}", io::Error::last_os_error());
            info.assume_init()
        };
        info.op == libc::PTRACE_SYSCALL_INFO_ENTRY
    }

    /// Which system call it is stopped in; only to be asked at its entry or return.
    #[cfg(target_arch = "x86_64")]
    pub fn call(&self) -> i64 {
        // SAFETY: reads one word of the registers of a stopped tracee; no address of ours is involved.
        unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, self.0, 8 * libc::ORIG_RAX as usize, 0_usize) }
    }
}

fn request(request: libc::c_uint, pid: i32, data: usize) -> io::Result<()> {
    // SAFETY: these requests take a pid and a number.
    match unsafe { libc::ptrace(request, pid, 0_usize, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
