//! A campaign: an operation is stopped before every instruction, from each of its starts.
use std::fmt;
use std::io::{PipeReader, PipeWriter, Read, Write};

use super::board::Board;
use super::finding::{Finding, Tally};
use super::operation::{Operation, Start};
use super::process::{self, Ticks};
use super::run::Lab;
use super::trace::{Trace, Way};
use super::tracee::{Expect, Stop, Tracee, mark};

/// What is done to the victim at each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is killed.
    Kill,
    /// It is killed before and after each system call only: for operations of very many instructions.
    KillAtCalls,
    /// It stands still while others go on; then it goes on too, or is killed.
    Freeze,
    /// It stands still, on its way to a sleep or out of it, while what it waits for comes; then it goes on.
    Wake,
    /// It gives something up, and is watched: it is not to touch that any more.
    Touch,
    /// It is killed, and so is who recovers from its death, at each instruction of that.
    Double,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Kill => "killed",
            Mode::KillAtCalls => "killed at system calls",
            Mode::Freeze => "frozen",
            Mode::Wake => "woken",
            Mode::Touch => "watched",
            Mode::Double => "killed twice",
        })
    }
}

/// What is done in which mode, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub mode: Mode,
    /// Points of each start; of those that an operation has more, a sample is taken.
    pub most: usize,
    /// A start is left when it has so many findings.
    pub enough: u64,
}

impl Plan {
    /// `most` points of each start, or more, or less, as is [asked for](Extent).
    pub fn new(mode: Mode, most: usize) -> Plan {
        let extent = Extent::asked();
        let enough = if extent == Extent::OneFinding { 1 } else { 5 };
        let most = match extent {
            Extent::Short => most,
            Extent::Few => most.div_ceil(4),
            Extent::OneFinding => most * 3,
            Extent::All => usize::MAX,
        };
        match mode {
            Mode::KillAtCalls if extent == Extent::All => Plan { mode: Mode::Kill, most, enough },
            // All pairs of the locks' own operations, which are shorter than that; of longer paths a sample.
            Mode::Double if extent == Extent::All => Plan { mode, most: PAIRS, enough },
            // Of pairs there are as many: the root of each.
            Mode::Double => Plan { mode, most: most.isqrt(), enough },
            _ => Plan { mode, most, enough },
        }
    }

    /// The first finding is enough.
    pub fn until_found(self) -> Plan {
        Plan { enough: 1, ..self }
    }
}

/// How much is done, as the environment variable `TINE_LAB` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A quarter of the sample.
    Few,
    /// `sample`: of the instructions, as many as each case names.
    Short,
    /// `one finding`: three times as many, until there is one finding.
    OneFinding,
    /// `all`: each instruction.
    All,
}

impl Extent {
    /// # Panics
    ///
    /// If `TINE_LAB` is none of the words.
    pub fn asked() -> Extent {
        match std::env::var("TINE_LAB").as_deref() {
            Err(_) => Extent::Few,
            Ok("sample") => Extent::Short,
            Ok("one finding") => Extent::OneFinding,
            Ok("all") => Extent::All,
            Ok(other) => panic!("TINE_LAB is {other:?}: \"sample\", \"one finding\" and \"all\" are understood"),
        }
    }
}

/// Whether a process can be stopped at an instruction here.
///
/// # Errors
///
/// Why not, in words.
pub fn probe() -> Result<(), String> {
    let start = || Tracee::start(two_marks).map_err(|error| format!("no process can be traced here: {error}"));
    let mut first = start()?;
    first.step(Expect::Running);
    let Stop::At(address) = first.step(Expect::Running) else {
        return Err("no process can be stepped here".to_owned());
    };
    drop(first);
    match start()?.follow(Way { breakpoint: Some((address, 1)), steps: 0 }, false, &mut || ()) {
        Stop::At(at) if at == address => Ok(()),
        _ => Err("hardware breakpoints do not work here".to_owned()),
    }
}

fn two_marks() {
    mark();
    std::hint::black_box(1);
    std::hint::black_box(2);
    mark();
}

/// In the long run, of each of two who are killed, so many points.
const PAIRS: usize = 250;

/// Two, one for each CPU of a small machine.
const WORKERS: usize = 2;

/// How often an operation may show another path before that is a finding.
const ATTEMPTS: usize = 5;

/// How many pieces the points of a start are cut into. Each piece traces the operation anew; in the long run that is
/// little beside its points, and the workers end at about the same time.
pub fn slices() -> usize {
    if Extent::asked() == Extent::All { 8 } else { 1 }
}

/// Runs a campaign. Findings are printed, and counted in what is returned, one for each plan.
pub fn run<S, L>(operation: &Operation<S, L>, plans: &[Plan]) -> Vec<Tally> {
    // Work to be done, by number: whoever is free reads the next byte.
    let (mut pieces, mut writer) = std::io::pipe().expect("a pipe for the lab");
    let count = operation.starts.len() * slices();
    let numbers: Vec<u8> = (0..count).map(|n| u8::try_from(n).expect("there are few pieces")).collect();
    writer.write_all(&numbers).expect("a pipe holds them");
    drop(writer);
    let found = Found::new();
    // What is shared is made by each worker for itself, so that the processes of one are none to the other.
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let (reader, mut writer) = std::io::pipe().expect("a pipe for a worker of the lab");
            let pid = process::fork(|| {
                process::pin(number);
                for tally in work(operation, plans, &mut pieces, &found) {
                    tally.send(&mut writer).expect("the lab hears its workers");
                }
            });
            (pid.expect("a worker of the lab can be forked"), reader)
        })
        .collect();
    let totals: Vec<Tally> = plans.iter().map(|_| Tally::default()).collect();
    for (pid, mut reader) in workers {
        let status = process::reap(pid).expect("a worker is a child of this process");
        assert_eq!(status.code(), Some(0), "a worker of the lab ended otherwise: {}", status.describe());
        for total in &totals {
            total.receive(&mut reader).expect("a worker that ends well has sent its counts");
        }
    }
    totals
}

/// The paths that a worker has on its desk.
pub struct Records {
    pub trace: Trace,
    /// The same once more, where a victim did not take it.
    pub again: Trace,
    /// Of who recovers from the victim's death.
    pub second: Trace,
}

/// In a worker: piece after piece.
fn work<S, L>(operation: &Operation<S, L>, plans: &[Plan], pieces: &mut impl Read, found: &Found) -> Vec<Tally> {
    process::adopt_orphans();
    process::fix_depth();
    (operation.warm)();
    let _ticks = Ticks::start();
    let board = Board::new();
    let tallies: Vec<Tally> = plans.iter().map(|_| Tally::default()).collect();
    let mut records = Records { trace: Trace::new(), again: Trace::new(), second: Trace::new() };
    let mut piece = [0];
    while pieces.read_exact(&mut piece).is_ok() {
        let (start, slice) = (&operation.starts[usize::from(piece[0]) / slices()], usize::from(piece[0]) % slices());
        one_piece(&Piece { operation, start, slice, plans, board: &board, found }, &tallies, &mut records);
    }
    tallies
}

/// Tells the workers that one has found something, where that is all that is wanted.
pub struct Found {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Found {
    fn new() -> Found {
        let (reader, writer) = std::io::pipe().expect("a pipe for the lab");
        Found { reader, writer }
    }

    pub fn tell(&self) {
        if Extent::asked() == Extent::OneFinding {
            (&self.writer).write_all(&[1]).expect("a pipe holds a few bytes");
        }
    }

    /// Whether no more need be sought.
    pub fn is_enough(&self) -> bool {
        rustix::io::ioctl_fionread(&self.reader).expect("a pipe tells how full it is") > 0
    }
}

/// What a worker is to do.
struct Piece<'a, S: 'static, L: 'static> {
    operation: &'a Operation<S, L>,
    start: &'a Start<S>,
    slice: usize,
    plans: &'a [Plan],
    board: &'a Board,
    found: &'a Found,
}

fn one_piece<S, L>(piece: &Piece<S, L>, tallies: &[Tally], records: &mut Records) {
    let &Piece { operation, start, slice, plans, board, found } = piece;
    let mut recorded = false;
    for (plan, tally) in plans.iter().zip(tallies) {
        if found.is_enough() {
            return;
        }
        let lab = Lab { operation, start, slice, plan: *plan, board, tally, found };
        if let Err(finding) = one_mode(&lab, records, &mut recorded) {
            lab.report(&finding, "");
        }
    }
}

/// The path is recorded for the first mode that needs it.
fn one_mode<S, L>(lab: &Lab<'_, S, L>, records: &mut Records, recorded: &mut bool) -> Result<(), Finding> {
    let baseline = lab.baseline()?;
    match lab.plan.mode {
        Mode::Touch => return lab.watch_what_is_given_up(&baseline),
        Mode::KillAtCalls => return lab.all_calls(&baseline),
        // Where what it waits for may be over before it began to wait, it may wait for ever.
        Mode::Wake if lab.start.passes => return Ok(()),
        // Who is to come behind the victim may come before it here.
        Mode::Wake | Mode::Freeze if !lab.start.late.is_empty() => return Ok(()),
        Mode::Kill | Mode::Freeze | Mode::Wake | Mode::Double => {}
    }
    let frozen = if lab.plan.mode == Mode::Freeze { Some(lab.frozen()?) } else { None };
    if !*recorded {
        lab.record(&mut records.trace, &baseline)?;
        *recorded = true;
    }
    for attempt in 1..=ATTEMPTS {
        records.trace.choose(lab.plan.most);
        match lab.all_points(records, &baseline, frozen.as_ref()) {
            Ok(()) => break,
            // The way may depend on more than the start. It is looked at once more: two that agree are the way.
            Err((missed, k)) => {
                lab.record(&mut records.again, &baseline)?;
                if attempt == ATTEMPTS || records.again.is_same_as(&records.trace) {
                    lab.report(&missed, &lab.place(&records.trace, k));
                    break;
                }
                std::mem::swap(&mut records.trace, &mut records.again);
            }
        }
    }
    lab.tally.path(if lab.slice == 0 { records.trace.len() } else { 0 });
    if lab.slice == 0 && lab.plan.mode == Mode::Kill && !records.trace.sleeps.is_empty() {
        lab.kill_asleep(&baseline)?;
    }
    Ok(())
}
