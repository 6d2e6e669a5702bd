//! Makes the kernel refuse one system call, as an older kernel or a sandbox would: seccomp.

/// From here on, in this process and its children, `call` fails with `errno`; with `argument` (number, value of the
/// low 32 bits) only where it has that value. Use in a child: there is no way back.
pub fn refuse_call(call: libc::c_long, argument: Option<(u32, u32)>, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }, little endian.
    let (offset, value) = argument.map_or((0, call as u32), |(number, value)| (16 + 8 * number, value));
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(IF_EQUAL, 0, 3, call as u32),
        step(LOAD, 0, 0, offset),
        step(IF_EQUAL, 0, 1, value),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: two calls that read integers and the program above, which lives until they return.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let answer = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter);
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    }
}
