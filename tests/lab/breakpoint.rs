//! The debug registers of another process, by ptrace: one breakpoint on one instruction.
//!
//! The processor compares DR0 with the address of each instruction *before* it is done. So the process is stopped
//! with all that came before done and nothing of what is at that address.
use std::io;

/// DR7: breakpoint 0 is on, for this process, on the execution (not on a write) of what is at DR0.
const ON: usize = 1;

/// Where in `struct user` the debug register is.
fn register(number: usize) -> usize {
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<usize>()
}

fn poke(pid: i32, offset: usize, value: usize) -> io::Result<()> {
    // SAFETY: writes a word of the kernel's record of a stopped process that this one traces; no memory of this one.
    match unsafe { libc::ptrace(libc::PTRACE_POKEUSER, pid, offset, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// From now on `pid`, a stopped tracee, stops before each execution of the instruction at `address`.
pub fn set(pid: i32, address: usize) -> io::Result<()> {
    // The kernel takes an address first; a register that is on without one is refused.
    poke(pid, register(0), address)?;
    poke(pid, register(7), ON)
}

/// No breakpoint any more.
pub fn clear(pid: i32) -> io::Result<()> {
    poke(pid, register(7), 0)
}
