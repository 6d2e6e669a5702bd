//! What a process holds: descriptors and memory.
use std::fmt::Write;

use super::board::Text;
use super::process::read_short;

/// What this process holds, or how much more it holds than it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    pub descriptors: i64,
    /// Of address space, of any kind.
    pub pages: i64,
}

impl Held {
    /// What this process holds now. Allocates nothing.
    pub fn now() -> Held {
        let mut room = [0; 128];
        let text = read_short("/proc/self/statm\0", &mut room);
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        let pages = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        Held { descriptors: descriptors(), pages }
    }

    pub fn more_than(self, before: Held) -> Held {
        Held { descriptors: self.descriptors - before.descriptors, pages: self.pages - before.pages }
    }
}

/// Makes sure that the heap has room for a while: it grows by address space, which is not what is looked for.
pub fn fill_heap() {
    std::hint::black_box(Vec::<u8>::with_capacity(100 * 1024));
}

/// How many descriptors are open. Counted by asking for each number, up to the first hundreds: a lab has few.
fn descriptors() -> i64 {
    // SAFETY: asks for the flags of a descriptor, which may not be there.
    (0..MOST as i32).filter(|&number| unsafe { libc::fcntl(number, libc::F_GETFD) } != -1).count() as i64
}

/// The names in `directory` that contain `part`.
pub fn names(directory: &str, part: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.contains(part)).collect()
}

/// Numbers of descriptors, up to the first hundreds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers([u64; MOST / 64]);

const MOST: usize = 64;

impl Numbers {
    pub fn without(self, others: Numbers) -> Numbers {
        let mut left = self;
        left.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= !other);
        left
    }

    pub fn is_empty(self) -> bool {
        self.0 == [0; MOST / 64]
    }

    pub fn list(self) -> Vec<usize> {
        (0..MOST).filter(|number| self.0[number / 64] & 1 << (number % 64) != 0).collect()
    }
}

/// The descriptors of process `pid` that an exec would hand on. Allocates nothing.
pub fn inheritable(pid: i32) -> Numbers {
    let mut numbers = Numbers::default();
    for number in 0..MOST {
        if is_handed_on(pid, number) {
            numbers.0[number / 64] |= 1 << (number % 64);
        }
    }
    numbers
}

/// Whether the process has such a descriptor, without the flag that closes it at an exec.
fn is_handed_on(pid: i32, number: usize) -> bool {
    let mut path = Text::default();
    let _ = write!(path, "/proc/{pid}/fdinfo/{number}\0");
    let mut room = [0; 128];
    let text = str::from_utf8(read_short(&path, &mut room)).unwrap_or_default();
    let flags = text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_CLOEXEC == 0)
}
