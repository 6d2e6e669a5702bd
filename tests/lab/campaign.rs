//! A campaign: an operation is stopped before every instruction, from each of its starts.
use std::collections::BTreeSet;

use super::board::Board;
use super::finding::{Finding, Kind, Tally};
use super::operation::{Operation, Start};
use super::process::{self, Process, Ticks};
use super::resources::{Held, fill_heap, inheritable};
use super::trace::{Trace, Way};
use super::tracee::{Expect, Stop, Tracee, mark};

/// What is done to the victim at each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is killed.
    Kill,
    /// It stands still while others go on; then it goes on too, or is killed.
    Freeze,
    /// It is killed, and so is who recovers from its death, at each instruction of that.
    Double,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Points of each start; of those that an operation has more, a sample is taken.
    pub most: usize,
    /// A start is left when it has so many findings.
    pub enough: u64,
}

impl Plan {
    /// `most` points of each start; all of them where `TINE_LAB=all`.
    pub fn short(most: usize) -> Plan {
        Plan { most: if is_long() { usize::MAX } else { most }, enough: 5 }
    }
}

/// Whether the long run is asked for.
pub fn is_long() -> bool {
    std::env::var_os("TINE_LAB").is_some_and(|value| value == "all")
}

/// Two, one for each CPU of a small machine.
const WORKERS: usize = 2;
/// Pieces that the points of a start are cut into, so that workers end at about the same time.
const SLICES: usize = 4;

/// Runs a campaign. Findings are printed, and counted in what is returned.
pub fn run<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan) -> Tally {
    let tally = Tally::new();
    let workers: Vec<i32> = (0..WORKERS)
        .map(|number| {
            process::fork(|| {
                process::pin(number);
                process::adopt_orphans();
                let _ticks = Ticks::start();
                let board = Board::new();
                loop {
                    let piece = tally.next();
                    let Some(start) = operation.starts.get(piece / SLICES) else { break };
                    let lab = Lab { operation, start, slice: piece % SLICES, plan, board: &board, tally: &tally };
                    if let Err(finding) = lab.work(mode) {
                        lab.report(&finding, "");
                    }
                }
            })
            .expect("a worker of the lab can be forked")
        })
        .collect();
    for worker in workers {
        let status = process::reap(worker).expect("a worker is a child of this process");
        assert_eq!(status.code(), Some(0), "a worker of the lab ended otherwise: {}", status.describe());
    }
    tally
}

/// One start of an operation, as one worker looks at it.
struct Lab<'a, S: 'static, L: 'static> {
    operation: &'a Operation<S, L>,
    start: &'a Start<S>,
    slice: usize,
    plan: Plan,
    board: &'a Board,
    tally: &'a Tally,
}

/// The world at the start: the shared state, and who else lives.
struct Stage<S> {
    state: S,
    bystanders: Vec<Process>,
}

/// What survivors see at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    said: String,
    /// How much more the survivor holds than before it looked.
    more: Held,
}

/// What is right.
struct Baseline {
    never: Seen,
    happened: Seen,
    /// The address behind the second mark.
    end: usize,
    /// Descriptors that an exec hands on, before the operation.
    inheritable: BTreeSet<i32>,
}

/// What is right where others act while the victim stands still.
struct Frozen {
    /// What the others see before the operation began, and when it is done.
    meanwhile: [String; 2],
    /// What is seen at the end: the others first, the operation first, the others without the operation.
    after: [Seen; 3],
}

impl<S, L> Lab<'_, S, L> {
    fn work(&self, mode: Mode) -> Result<(), Finding> {
        let baseline = self.baseline()?;
        let trace = self.trace(&baseline)?;
        if self.slice == 0 {
            self.tally.path(trace.len());
            if self.operation.unsteady.is_none() && !trace.is_same_as(&self.trace(&baseline)?) {
                return Err(Finding::new(Kind::Missed, "the path is not the same each time"));
            }
        }
        let before = self.tally.findings();
        // Of pairs there are as many in a short run: the root of each.
        let most = if mode == Mode::Double && !is_long() { self.plan.most.isqrt() } else { self.plan.most };
        let points = trace.sample(most);
        let frozen = if mode == Mode::Freeze { Some(self.frozen()?) } else { None };
        for (number, &k) in points.iter().enumerate() {
            if number % SLICES != self.slice {
                continue;
            }
            let result = match (mode, &frozen) {
                (Mode::Freeze, Some(frozen)) => self.freeze_at(k, &trace, frozen, &baseline, number / SLICES % 2 == 0),
                (Mode::Double, _) => self.kill_twice(k, &trace, &baseline, most),
                _ => self.kill_at(k, &trace, &baseline),
            };
            if let Err(finding) = result {
                self.report(&finding, &self.place(&trace, k));
            }
            if self.tally.findings() - before >= self.plan.enough {
                return Ok(());
            }
        }
        if self.slice == 0 && mode == Mode::Kill && !trace.sleeps.is_empty() {
            self.kill_asleep(&baseline)?;
        }
        Ok(())
    }

    fn report(&self, finding: &Finding, place: &str) {
        self.tally.found(finding.kind);
        println!("{:?}: {}, {}{place}: {}", finding.kind, self.operation.name, self.start.name, finding.what);
    }

    /// In words that can be looked up: `addr2line -e BINARY ADDRESS`.
    fn place(&self, trace: &Trace, k: usize) -> String {
        format!(", before instruction {k} of {} ({:#x})", trace.len(), trace.address(k) - process::image_base())
    }

    // ------------------------------------------------------------------------------------------- parts of a run

    /// A new run: the victim stands before its operation, and all others are at their places.
    fn begin(&self) -> Result<(Stage<S>, Tracee), Finding> {
        self.board.wipe();
        let mut stage = Stage { state: (self.start.setup)(), bystanders: Vec::new() };
        self.bystanders(&mut stage, &self.start.before)?;
        let victim = self.victim(&stage)?;
        self.bystanders(&mut stage, &self.start.after)?;
        Ok((stage, victim))
    }

    fn bystanders(&self, stage: &mut Stage<S>, bodies: &[fn(&S)]) -> Result<(), Finding> {
        for body in bodies {
            let mut bystander = Process::start(|| body(&stage.state));
            if !bystander.settle() {
                return Err(Finding::new(Kind::Hang, "a bystander does not come to its place"));
            }
            stage.bystanders.push(bystander);
        }
        Ok(())
    }

    fn victim(&self, stage: &Stage<S>) -> Result<Tracee, Finding> {
        let start = Tracee::start(|| {
            let mut local = (self.operation.prepare)(&stage.state);
            mark();
            (self.operation.act)(&stage.state, &mut local);
            self.board.acknowledge();
            mark();
            // What the victim holds it holds until it is killed.
            std::mem::forget(local);
        });
        start.map_err(|error| Finding::new(Kind::Hang, error.to_string()))
    }

    /// A process that stands before the recovery.
    fn recoverer(&self, stage: &Stage<S>) -> Result<Tracee, Finding> {
        self.board.wipe();
        let recover = self.operation.recover.expect("the operation says how it is recovered from");
        let start = Tracee::start(|| {
            mark();
            recover(&stage.state);
            self.board.acknowledge();
            mark();
        });
        start.map_err(|error| Finding::new(Kind::Hang, error.to_string()))
    }

    /// On to the `k`-th instruction, from the first mark.
    fn bring(&self, tracee: &mut Tracee, trace: &Trace, k: usize, stage: &Stage<S>) -> Result<(), Finding> {
        let sleepy = trace.sleeps.first().is_some_and(|&sleep| sleep < k);
        let mut wake = || (self.operation.wake)(&stage.state);
        match tracee.follow(trace.way(k), sleepy, &mut wake) {
            Stop::At(address) if address == trace.address(k) => Ok(()),
            Stop::At(_) => Err(Finding::new(Kind::Missed, "the victim did not come by")),
            other => Err(stopped(other)),
        }
    }

    /// A run with a victim that stands before the `k`-th instruction.
    fn at(&self, k: usize, trace: &Trace) -> Result<(Stage<S>, Tracee), Finding> {
        let (stage, mut victim) = self.begin()?;
        match self.bring(&mut victim, trace, k, &stage) {
            Ok(()) => Ok((stage, victim)),
            Err(missed) if missed.kind == Kind::Missed && self.operation.unsteady.is_some() => {
                drop((victim, stage));
                let (stage, mut victim) = self.begin()?;
                // Wherever so many steps lead this time. If the operation is done before, its end is as good.
                for _ in 0..k {
                    match victim.follow(Way { breakpoint: None, steps: 1 }, false, &mut || {
                        (self.operation.wake)(&stage.state);
                    }) {
                        Stop::At(address) if address == trace.end => break,
                        Stop::At(_) => {}
                        other => return Err(stopped(other)),
                    }
                }
                Ok((stage, victim))
            }
            Err(other) => Err(other),
        }
    }

    fn ask(&self, stage: &Stage<S>, act: fn(&S) -> String) -> Result<Seen, Finding> {
        let mut survivor = Process::start(|| {
            fill_heap();
            let before = Held::now();
            let said = act(&stage.state);
            let more = Held::now().more_than(before);
            self.board.say(&said, more);
        });
        match survivor.end() {
            None => Err(Finding::new(Kind::Hang, "a survivor hangs")),
            Some(status) => match self.board.said() {
                Some((said, more)) => Ok(Seen { said, more }),
                None => Err(Finding::new(Kind::Torn, format!("a survivor ended otherwise: {}", status.describe()))),
            },
        }
    }

    /// The end of a run, when the victim is dead: what is seen, and what is left.
    fn conclude(&self, mut stage: Stage<S>) -> Result<Seen, Finding> {
        let alone = stage.bystanders.is_empty();
        if alone && !process::no_orphans() {
            return Err(Finding::new(Kind::Leaked, "a process of the victim's lives on"));
        }
        (self.operation.wake)(&stage.state);
        if let Some(help) = self.operation.help {
            self.ask(&stage, help)?;
        }
        for bystander in &mut stage.bystanders {
            match bystander.end() {
                None => return Err(Finding::new(Kind::Hang, "a bystander hangs")),
                Some(status) if status.code() != Some(0) => {
                    return Err(Finding::new(Kind::Torn, format!("a bystander ended otherwise: {}", status.describe())));
                }
                Some(_) => {}
            }
        }
        let seen = self.ask(&stage, self.operation.observe)?;
        if !process::no_orphans() {
            return Err(Finding::new(Kind::Leaked, "a process lives on"));
        }
        Ok(seen)
    }

    // ------------------------------------------------------------------------------------------ what is right

    fn baseline(&self) -> Result<Baseline, Finding> {
        let never = || {
            let (stage, victim) = self.begin()?;
            let inheritable = inheritable(victim.pid());
            victim.kill();
            Ok((self.conclude(stage)?, inheritable))
        };
        let happened = || {
            let (stage, mut victim) = self.begin()?;
            let end = self.to_end(&mut victim, &stage)?;
            victim.kill();
            Ok((self.conclude(stage)?, end))
        };
        // Twice: what is seen must depend on nothing but the state.
        let ((never, inheritable), (again, _)) = (never()?, never()?);
        assert_eq!(never, again, "{}, {}: two runs without the operation differ", self.operation.name, self.start.name);
        let ((happened, end), (again, _)) = (happened()?, happened()?);
        assert_eq!(happened, again, "{}, {}: two runs with the operation differ", self.operation.name, self.start.name);
        Ok(Baseline { never, happened, end, inheritable })
    }

    fn to_end(&self, victim: &mut Tracee, stage: &Stage<S>) -> Result<usize, Finding> {
        match victim.finish(&mut || (self.operation.wake)(&stage.state)) {
            Stop::At(end) => Ok(end),
            other => Err(stopped(other)),
        }
    }

    fn trace(&self, baseline: &Baseline) -> Result<Trace, Finding> {
        let (stage, mut victim) = self.begin()?;
        let trace = Trace::record(&mut victim, baseline.end, || (self.operation.wake)(&stage.state));
        victim.kill();
        let trace = trace.map_err(stopped)?;
        self.conclude(stage)?;
        Ok(trace)
    }

    fn judge(&self, seen: &Seen, never: &Seen, happened: &Seen) -> Result<(), Finding> {
        let acknowledged = self.board.is_acknowledged();
        if seen.said == happened.said {
        } else if seen.said == never.said || (self.operation.allowed)(&seen.said) {
            if acknowledged {
                let what = format!("it had returned, but seen is {:?}, not {:?}", seen.said, happened.said);
                return Err(Finding::new(Kind::Lost, what));
            }
        } else {
            let what = format!("seen is {:?}, neither {:?} nor {:?}", seen.said, never.said, happened.said);
            return Err(Finding::new(Kind::Torn, what));
        }
        self.judge_held(seen, &[never.more, happened.more])
    }

    fn judge_held(&self, seen: &Seen, right: &[Held]) -> Result<(), Finding> {
        if right.contains(&seen.more) {
            return Ok(());
        }
        Err(Finding::new(
            Kind::Leaked,
            format!("a survivor holds more at its end than at its beginning: {:?}", seen.more),
        ))
    }

    // ------------------------------------------------------------------------------------------------ the modes

    fn kill_at(&self, k: usize, trace: &Trace, baseline: &Baseline) -> Result<(), Finding> {
        let (stage, victim) = self.at(k, trace)?;
        if trace.is_after_call(k) {
            let more: Vec<i32> = inheritable(victim.pid()).difference(&baseline.inheritable).copied().collect();
            if !more.is_empty() {
                let what = format!("an exec of another thread would hand on the new descriptors {more:?}");
                return Err(Finding::new(Kind::Leaked, what));
            }
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened)
    }

    /// Killed in its sleep. (Where it sleeps in its first sleep; others are instants of the kernel like this one.)
    fn kill_asleep(&self, baseline: &Baseline) -> Result<(), Finding> {
        let (stage, mut victim) = self.begin()?;
        if victim.run(Expect::Sleeping) != Stop::Asleep {
            // It was woken before it was seen asleep.
            return Ok(());
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened)
    }

    fn frozen(&self) -> Result<Frozen, Finding> {
        let meanwhile = self.operation.meanwhile.as_ref().expect("the operation says what others do").act;
        // The others first, then the operation.
        let (stage, mut victim) = self.begin()?;
        let before = self.ask(&stage, meanwhile)?.said;
        self.to_end(&mut victim, &stage)?;
        victim.kill();
        let others_first = self.conclude(stage)?;
        // The operation first, then the others.
        let (stage, mut victim) = self.begin()?;
        self.to_end(&mut victim, &stage)?;
        let after = self.ask(&stage, meanwhile)?.said;
        victim.kill();
        let operation_first = self.conclude(stage)?;
        // The others alone.
        let (stage, victim) = self.begin()?;
        self.ask(&stage, meanwhile)?;
        victim.kill();
        let others_alone = self.conclude(stage)?;
        Ok(Frozen { meanwhile: [before, after], after: [others_first, operation_first, others_alone] })
    }

    fn freeze_at(
        &self,
        k: usize,
        trace: &Trace,
        right: &Frozen,
        baseline: &Baseline,
        resume: bool,
    ) -> Result<(), Finding> {
        let meanwhile = self.operation.meanwhile.as_ref().expect("the operation says what others do");
        let (stage, mut victim) = self.at(k, trace)?;
        let acknowledged = self.board.is_acknowledged();
        let others = self.ask(&stage, meanwhile.act)?.said;
        // What the others saw tells where they stand: before the operation, behind it, or kept out by it.
        let [others_first, operation_first, others_alone] = &right.after;
        let dead = !resume && !acknowledged;
        let mut fitting = Vec::new();
        if others == right.meanwhile[0] {
            fitting.push(others_first);
            fitting.extend(dead.then_some(others_alone));
        }
        if others == right.meanwhile[1] {
            fitting.push(operation_first);
        }
        if (meanwhile.allowed)(&others) {
            fitting.push(&baseline.happened);
            fitting.extend(dead.then_some(&baseline.never));
        }
        if fitting.is_empty() {
            let what = format!("beside a victim that stands still {others:?} is seen, not {:?}", right.meanwhile);
            return Err(Finding::new(Kind::Torn, what));
        }
        if resume {
            self.to_end(&mut victim, &stage)?;
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        let fits = fitting.iter().any(|one| one.said == seen.said) || (dead && (self.operation.allowed)(&seen.said));
        if !fits {
            let how = if resume { "went on" } else { "was killed" };
            let right: Vec<&String> = fitting.iter().map(|one| &one.said).collect();
            let what = format!("others saw {others:?}, the victim {how}: seen is {:?}, none of {right:?}", seen.said);
            return Err(Finding::new(if acknowledged { Kind::Lost } else { Kind::Torn }, what));
        }
        let held: Vec<Held> =
            right.after.iter().chain([&baseline.never, &baseline.happened]).map(|one| one.more).collect();
        self.judge_held(&seen, &held)
    }

    /// The victim dies at `k`, and who recovers at `most` of the instructions of that.
    fn kill_twice(&self, k: usize, trace: &Trace, baseline: &Baseline, most: usize) -> Result<(), Finding> {
        let dead = || {
            let (stage, victim) = self.at(k, trace)?;
            victim.kill();
            Ok(stage)
        };
        let without = self.conclude(dead()?)?;
        self.judge(&without, &baseline.never, &baseline.happened)?;
        let stage = dead()?;
        let mut second = self.recoverer(&stage)?;
        let end = self.to_end(&mut second, &stage)?;
        second.kill();
        let with = self.conclude(stage)?;
        let stage = dead()?;
        let mut second = self.recoverer(&stage)?;
        let path = Trace::record(&mut second, end, || (self.operation.wake)(&stage.state)).map_err(stopped)?;
        second.kill();
        drop(stage);
        for j in path.sample(most) {
            let stage = dead()?;
            let mut second = self.recoverer(&stage)?;
            self.bring(&mut second, &path, j, &stage)?;
            second.kill();
            let seen = self.conclude(stage)?;
            self.tally.point();
            let judged = self.judge(&seen, &without, &with);
            judged.map_err(|f| Finding::new(f.kind, format!("recovery killed{}: {}", self.place(&path, j), f.what)))?;
        }
        Ok(())
    }
}

fn stopped(stop: Stop) -> Finding {
    match stop {
        Stop::At(_) => Finding::new(Kind::Missed, "the victim is somewhere else"),
        Stop::Asleep | Stop::Stuck => Finding::new(Kind::Hang, "the victim does not come to its end"),
        Stop::Ended(status) => Finding::new(Kind::Torn, format!("the victim ended by itself: {}", status.describe())),
    }
}
