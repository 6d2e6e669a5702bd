//! The path of an operation through its instructions, and how to come to each of them again.
use std::collections::HashMap;
use std::ops::Range;

use super::tracee::{Expect, Stop, Tracee};

/// What was executed between two marks.
///
/// All its memory is taken when it is made. Victims are copies of the lab: if the lab's heap changed between the
/// recording and a run, theirs would too, and code that compares addresses could take another way.
#[derive(Debug)]
pub struct Trace {
    /// In the order of execution. Before each the process can be stopped.
    steps: Vec<Step>,
    /// The calls in which it slept until it was woken.
    pub sleeps: Vec<usize>,
    /// Where it stops when it is done.
    pub end: usize,
    /// While it is recorded: what is at an address, and how often it was entered.
    known: HashMap<usize, (Code, u32)>,
    /// What is chosen of it.
    sample: Vec<usize>,
    clock: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    address: usize,
    code: Code,
    /// How often this address had been *entered* before: what a breakpoint there counts. A string instruction that
    /// repeats itself (`rep movsb`) is one entry with many steps.
    entered: u32,
    /// How many steps this one is behind the entry into its string instruction; 0 for all others.
    repeats: u32,
}

/// What an instruction is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// A system call.
    Call,
    /// Another one whose effect processes on other CPUs see at once: with a lock.
    Locked,
    /// Repeats itself.
    String,
    Other,
}

/// How to come to an instruction: to a breakpoint, so many times, then by single steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// None: it is near the beginning, and stepped to.
    pub breakpoint: Option<(usize, u32)>,
    pub steps: u32,
}

impl Way {
    /// In stops.
    fn cost(&self) -> u32 {
        self.steps + self.breakpoint.map_or(0, |(_, hits)| hits + 1)
    }
}

/// Where the kernel has put the code that reads its clocks; the same in all children of a process.
fn clock_code() -> Range<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let ends = line.and_then(|line| line.split(' ').next()?.split_once('-'));
    let parse = |word: &str| usize::from_str_radix(word, 16).unwrap_or(0);
    ends.map_or(0..0, |(from, to)| parse(from)..parse(to))
}

/// More than any operation that is worth it.
const LONGEST: usize = 2_000_000;

impl Trace {
    pub fn new() -> Trace {
        Trace {
            steps: Vec::with_capacity(LONGEST),
            sleeps: Vec::with_capacity(LONGEST / 1000),
            end: 0,
            known: HashMap::with_capacity(1 << 16),
            sample: Vec::with_capacity(LONGEST),
            clock: clock_code(),
        }
    }

    /// Steps `tracee`, which stands at its first mark, through to its second, at `end`; `wake` is called when it sleeps.
    ///
    /// # Errors
    ///
    /// What stopped it.
    pub fn record(&mut self, tracee: &mut Tracee, end: usize, mut wake: impl FnMut()) -> Result<(), Stop> {
        self.steps.clear();
        self.sleeps.clear();
        self.known.clear();
        self.end = end;
        let mut at = tracee.here();
        while at != end {
            if self.steps.len() == LONGEST {
                return Err(Stop::Stuck);
            }
            let (code, count) = self.known.entry(at).or_insert_with(|| (Code::of(&tracee.word(at).to_le_bytes()), 0));
            let before = self.steps.last().filter(|last| *code == Code::String && last.address == at);
            let repeats = before.map_or(0, |last| last.repeats + 1);
            *count += u32::from(repeats == 0);
            self.steps.push(Step { address: at, code: *code, entered: *count - 1, repeats });
            at = match tracee.step(Expect::Running) {
                Stop::Asleep => {
                    self.sleeps.push(self.steps.len() - 1);
                    wake();
                    match tracee.wait_on() {
                        Stop::At(at) => at,
                        other => return Err(other),
                    }
                }
                Stop::At(at) => at,
                other => return Err(other),
            };
            if self.clock.contains(&at) {
                self.cut_detour(at);
            }
        }
        Ok(())
    }

    /// Reading a clock is done again where the kernel has written it meanwhile. Under the tracer, for which a hundred
    /// instructions take milliseconds, that happens all the time, and to a free victim hardly ever: its path is the one
    /// without the repetition.
    fn cut_detour(&mut self, at: usize) {
        let visit = self.steps.iter().rposition(|step| !self.clock.contains(&step.address)).map_or(0, |last| last + 1);
        if let Some(before) = self.steps[visit..].iter().position(|step| step.address == at) {
            for step in self.steps.drain(visit + before..) {
                self.known.entry(step.address).and_modify(|(_, count)| *count -= u32::from(step.repeats == 0));
            }
        }
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The address of the `k`-th.
    pub fn address(&self, k: usize) -> usize {
        self.steps[k].address
    }

    /// Whether the instruction before the `k`-th was a system call.
    pub fn is_after_call(&self, k: usize) -> bool {
        k.checked_sub(1).is_some_and(|before| self.steps[before].code == Code::Call)
    }

    /// The cheapest way to the `k`-th: a stop at a breakpoint costs about as much as a step.
    pub fn way(&self, k: usize) -> Way {
        /// How far back to look for an instruction that was not come by so often: before a loop.
        const BACK: usize = 64;
        let steps_only = Way { breakpoint: None, steps: k as u32 };
        // The first instruction is where the tracee stands: a breakpoint there may or may not be met.
        let usable = |i: &usize| self.steps[*i].repeats == 0 && self.steps[*i].address != self.steps[0].address;
        let entry = k - self.steps[k].repeats as usize;
        let ways = (k.saturating_sub(BACK)..=k).chain([entry]).filter(usable).map(|i| {
            let Step { address, entered, .. } = self.steps[i];
            Way { breakpoint: Some((address, entered + 1)), steps: (k - i) as u32 }
        });
        ways.chain([steps_only]).min_by_key(Way::cost).expect("there is always one")
    }

    /// Chooses up to `most` of the instructions, spread evenly, half of them among those around what others can see.
    pub fn choose(&mut self, most: usize) {
        let n = self.len();
        self.sample.clear();
        if n <= most {
            self.sample.extend(0..n);
            return;
        }
        let visible = |k: usize| matches!(self.steps[k].code, Code::Call | Code::Locked);
        let near = |k: &usize| visible(*k) || (*k > 0 && visible(*k - 1));
        let all = (0..n).filter(near).count();
        let part = all.min(most / 2).max(1);
        // Every so many of them.
        let taken = |(number, _): &(usize, usize)| number * part / all.max(1) != (number + 1) * part / all.max(1);
        self.sample.extend((0..n).filter(near).enumerate().filter(taken).map(|(_, k)| k));
        let rest = most - self.sample.len();
        self.sample.extend((0..rest).map(|i| i * n / rest));
        self.sample.push(n - 1);
        self.sample.sort_unstable();
        self.sample.dedup();
    }

    /// What was chosen.
    pub fn chosen(&self) -> &[usize] {
        &self.sample
    }

    /// Whether the two went the same way.
    pub fn is_same_as(&self, other: &Trace) -> bool {
        self.steps == other.steps && self.sleeps == other.sleeps
    }
}

impl Code {
    fn of(code: &[u8]) -> Code {
        if code.starts_with(&[0x0F, 0x05]) {
            return Code::Call;
        }
        let is_prefix = |byte: &u8| matches!(byte, 0x40..=0x4F | 0x66 | 0x67 | 0xF0 | 0xF2 | 0xF3);
        let length = code.iter().take_while(|byte| is_prefix(byte)).count();
        let (prefixes, opcode) = (&code[..length], code.get(length));
        match opcode {
            // `movs`, `cmps`, `stos`, `lods`, `scas` behind `rep`.
            Some(0xA4..=0xA7 | 0xAA..=0xAF) if prefixes.iter().any(|byte| matches!(byte, 0xF2 | 0xF3)) => Code::String,
            _ if prefixes.contains(&0xF0) => Code::Locked,
            // `xchg` with memory needs no prefix.
            Some(0x86 | 0x87) => Code::Locked,
            _ => Code::Other,
        }
    }
}

/// The kinds of instructions are told apart by their bytes.
pub fn check_instructions() {
    assert_eq!(Code::of(&[0xF3, 0xA4, 0xC3]), Code::String, "rep movsb");
    assert_eq!(Code::of(&[0xF3, 0x48, 0xA5]), Code::String, "rep movsq");
    assert_eq!(Code::of(&[0xF3, 0x90]), Code::Other, "pause");
    assert_eq!(Code::of(&[0x0F, 0x05]), Code::Call, "syscall");
    assert_eq!(Code::of(&[0xF0, 0x0F, 0xB1, 0x0F]), Code::Locked, "lock cmpxchg");
    assert_eq!(Code::of(&[0xF0, 0x48, 0x0F, 0xB1, 0x0F]), Code::Locked, "lock cmpxchg, 64 bits");
    assert_eq!(Code::of(&[0x48, 0x87, 0x07]), Code::Locked, "xchg");
    assert_eq!(Code::of(&[0x48, 0x89, 0x07]), Code::Other, "mov");
}
