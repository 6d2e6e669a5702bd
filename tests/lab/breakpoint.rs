//! The debug registers of another process, by ptrace: one breakpoint, on an instruction or on data.
//!
//! The processor compares DR0 with the address of each instruction *before* it is done. So the process is stopped
//! with all that came before done and nothing of what is at that address. Of data it compares the addresses of what an
//! instruction reads and writes, and stops *behind* it.
use std::io;

/// DR7: breakpoint 0 is on, for this process, on the execution (not on a write) of what is at DR0.
const ON: usize = 1;
/// DR7: breakpoint 0 is on, on any access to one of the 8 bytes at what is in DR0.
const ON_DATA: usize = 1 | 0b11 << 16 | 0b10 << 18;

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

/// From now on `pid`, a stopped tracee, stops behind each instruction that reads or writes one of the 8 bytes at `address`,
/// a multiple of 8. What the kernel reads and writes for it does not count.
pub fn watch(pid: i32, address: usize) -> io::Result<()> {
    poke(pid, register(7), 0)?;
    poke(pid, register(0), address)?;
    poke(pid, register(7), ON_DATA)
}

/// No breakpoint any more.
pub fn clear(pid: i32) -> io::Result<()> {
    poke(pid, register(7), 0)
}
