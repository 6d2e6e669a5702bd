//! The path of an operation through its instructions, and how to come to each of them again.
use std::collections::HashMap;

use super::tracee::{Expect, Stop, Tracee};

/// What was executed between two marks.
#[derive(Debug)]
pub struct Trace {
    /// Addresses, in the order of execution. Before `path[k]` the process can be stopped.
    path: Vec<usize>,
    /// How often `path[k]` had been *entered* before: what a breakpoint there counts. A string instruction that repeats
    /// itself (`rep movsb`) is one entry with many steps.
    entered: Vec<u32>,
    /// How many steps `k` is behind the entry into its string instruction; 0 for all others.
    repeats: Vec<u32>,
    /// Where the kernel or other processes could see something: system calls and locked instructions.
    visible: Vec<bool>,
    /// System calls, after which there may be a new descriptor.
    calls: Vec<bool>,
    /// The calls in which it slept until it was woken.
    pub sleeps: Vec<usize>,
    /// Where it stops when it is done.
    pub end: usize,
}

/// How to come to an instruction: to a breakpoint, so many times, then by single steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// None: it is near the beginning, and stepped to.
    pub breakpoint: Option<(usize, u32)>,
    pub steps: u32,
}

/// More than any operation that is worth it.
const LONGEST: usize = 2_000_000;

impl Trace {
    /// Steps `tracee`, which stands at its first mark, through to its second; `woken` is called when it sleeps.
    ///
    /// # Errors
    ///
    /// What stopped it.
    pub fn record(tracee: &mut Tracee, end: usize, mut wake: impl FnMut()) -> Result<Trace, Stop> {
        let mut trace = Trace {
            path: Vec::new(),
            entered: Vec::new(),
            repeats: Vec::new(),
            visible: Vec::new(),
            calls: Vec::new(),
            sleeps: Vec::new(),
            end,
        };
        let mut counts = HashMap::<usize, u32>::new();
        let mut at = tracee.here();
        while at != end {
            if trace.path.len() == LONGEST {
                return Err(Stop::Stuck);
            }
            let code = tracee.word(at).to_le_bytes();
            let repeated = trace.path.last() == Some(&at) && is_string_instruction(&code);
            let count = counts.entry(at).or_default();
            *count += u32::from(!repeated);
            trace.entered.push(*count - 1);
            trace.repeats.push(if repeated { trace.repeats.last().map_or(0, |n| n + 1) } else { 0 });
            trace.visible.push(is_visible(&code));
            trace.calls.push(is_call(&code));
            trace.path.push(at);
            at = match tracee.step(Expect::Running) {
                Stop::Asleep => {
                    trace.sleeps.push(trace.path.len() - 1);
                    wake();
                    match tracee.wait_on() {
                        Stop::At(at) => at,
                        other => return Err(other),
                    }
                }
                Stop::At(at) => at,
                other => return Err(other),
            };
        }
        Ok(trace)
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.path.len()
    }

    /// The address of the `k`-th.
    pub fn address(&self, k: usize) -> usize {
        self.path[k]
    }

    /// Whether the instruction before the `k`-th was a system call.
    pub fn is_after_call(&self, k: usize) -> bool {
        k.checked_sub(1).is_some_and(|before| self.calls[before])
    }

    /// The cheapest way to the `k`-th: a stop at a breakpoint costs about as much as a step.
    pub fn way(&self, k: usize) -> Way {
        let steps_only = (k as u32, Way { breakpoint: None, steps: k as u32 });
        // The first instruction is where the tracee stands: a breakpoint there may or may not be met.
        let first = self.path[0];
        let candidates = (k.saturating_sub(64)..=k).filter(|&i| self.repeats[i] == 0 && self.path[i] != first);
        let ways = candidates.map(|i| {
            let (hits, steps) = (self.entered[i] + 1, (k - i) as u32);
            (hits + steps + 1, Way { breakpoint: Some((self.path[i], hits)), steps })
        });
        let far = self.repeats[k] > 60;
        let entry = k - self.repeats[k] as usize;
        let from_entry = far.then(|| {
            (
                self.repeats[k] + 1,
                Way { breakpoint: Some((self.path[entry], self.entered[entry] + 1)), steps: (k - entry) as u32 },
            )
        });
        // A loop that was gone through very often is better left to fewer hits far before it.
        ways.chain(from_entry).chain([steps_only]).min_by_key(|(cost, _)| *cost).expect("there is always one").1
    }

    /// Up to `most` of the instructions, spread evenly, and with all those around what others can see.
    pub fn sample(&self, most: usize) -> Vec<usize> {
        let n = self.len();
        if n <= most {
            return (0..n).collect();
        }
        let near = |k: usize| self.visible[k] || (k > 0 && self.visible[k - 1]);
        let mut chosen: Vec<usize> = (0..n).filter(|&k| near(k)).collect();
        if chosen.len() > most / 2 {
            let all = chosen.len();
            chosen = (0..most / 2).map(|i| chosen[i * all / (most / 2)]).collect();
        }
        let rest = most - chosen.len();
        chosen.extend((0..rest).map(|i| i * n / rest));
        chosen.push(n - 1);
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Whether the two went the same way.
    pub fn is_same_as(&self, other: &Trace) -> bool {
        self.path == other.path && self.sleeps == other.sleeps
    }
}

/// `rep` before `movs`, `stos`, `cmps`, `scas`, `lods`: F3 or F2, perhaps more prefixes, A4..A7 or AA..AF.
fn is_string_instruction(code: &[u8]) -> bool {
    let mut rest = code.iter().skip_while(|&&byte| matches!(byte, 0x66 | 0x67));
    if !matches!(rest.next(), Some(0xF2 | 0xF3)) {
        return false;
    }
    let opcode = rest.find(|&&byte| !matches!(byte, 0x40..=0x4F | 0x66 | 0x67 | 0xF2 | 0xF3));
    matches!(opcode, Some(0xA4..=0xA7 | 0xAA..=0xAF))
}

/// `syscall`.
fn is_call(code: &[u8]) -> bool {
    code.starts_with(&[0x0F, 0x05])
}

/// A system call, whatever has the prefix `lock`, and `xchg` with memory, which needs no prefix.
fn is_visible(code: &[u8]) -> bool {
    if is_call(code) {
        return true;
    }
    let after = code.iter().take_while(|&&byte| matches!(byte, 0x40..=0x4F | 0x66)).count();
    code[..after.min(7) + 1].contains(&0xF0) || matches!(code.get(after), Some(0x86 | 0x87 | 0xF0))
}

/// The kinds of instructions that are told apart, by their bytes.
pub fn check_instructions() {
    assert!(is_string_instruction(&[0xF3, 0xA4, 0xC3]), "rep movsb");
    assert!(is_string_instruction(&[0xF3, 0x48, 0xA5]), "rep movsq");
    assert!(!is_string_instruction(&[0xF3, 0x90]), "pause");
    assert!(is_visible(&[0x0F, 0x05]), "syscall");
    assert!(is_visible(&[0xF0, 0x0F, 0xB1, 0x0F]), "lock cmpxchg");
    assert!(is_visible(&[0x87, 0x07]), "xchg");
    assert!(!is_visible(&[0x48, 0x89, 0x07]), "mov");
}
