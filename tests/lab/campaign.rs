//! A campaign: an operation is stopped before every instruction, from each of its starts.
use std::fmt;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use super::board::{Board, Text};
use super::finding::{Finding, Kind, Tally};
use super::operation::{Operation, Start};
use super::process::{self, Process, Ticks};
use super::resources::{Held, Numbers, fill_heap, inheritable};
use super::trace::{Trace, Way};
use super::tracee::{Expect, Stop, Tracee, mark};

/// What is done to the victim at each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is killed.
    Kill,
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
            Mode::Freeze => "frozen",
            Mode::Wake => "woken",
            Mode::Touch => "watched",
            Mode::Double => "killed twice",
        })
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Points of each start; of those that an operation has more, a sample is taken.
    pub most: usize,
    /// A start is left when it has so many findings.
    pub enough: u64,
    /// Not before every instruction, but before and after every system call.
    pub calls: bool,
}

impl Plan {
    /// `most` points of each start; all of them where `TINE_LAB=all`.
    pub fn short(most: usize) -> Plan {
        Plan { most: if is_long() { usize::MAX } else { most }, enough: 5, calls: false }
    }

    /// For operations of very many instructions: before and after every system call; before all instructions where
    /// `TINE_LAB=all`.
    pub fn by_calls() -> Plan {
        Plan { calls: !is_long(), ..Plan::short(usize::MAX) }
    }

    /// The first finding is enough.
    pub fn until_found(self) -> Plan {
        Plan { enough: 1, ..self }
    }
}

/// Whether the long run is asked for.
pub fn is_long() -> bool {
    std::env::var_os("TINE_LAB").is_some_and(|value| value == "all")
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

/// Two, one for each CPU of a small machine.
const WORKERS: usize = 2;

/// How often an operation may show another path before that is a finding.
const ATTEMPTS: usize = 5;

/// How many pieces the points of a start are cut into. Each piece traces the operation anew; in the long run that is
/// little beside its points, and the workers end at about the same time.
fn slices() -> usize {
    if is_long() { 8 } else { 1 }
}

/// Runs a campaign. Findings are printed, and counted in what is returned.
pub fn run<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan) -> Tally {
    // Work to be done, by number: whoever is free reads the next byte.
    let (mut pieces, mut writer) = std::io::pipe().expect("a pipe for the lab");
    let count = operation.starts.len() * slices();
    let numbers: Vec<u8> = (0..count).map(|n| u8::try_from(n).expect("there are few pieces")).collect();
    writer.write_all(&numbers).expect("a pipe holds them");
    drop(writer);
    // What is shared is made by each worker for itself, so that the processes of one are none to the other.
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let (reader, mut writer) = std::io::pipe().expect("a pipe for a worker of the lab");
            let pid = process::fork(|| {
                process::pin(number);
                let tally = work(operation, mode, plan, &mut pieces);
                tally.send(&mut writer).expect("the lab hears its workers");
            });
            (pid.expect("a worker of the lab can be forked"), reader)
        })
        .collect();
    let total = Tally::default();
    for (pid, mut reader) in workers {
        let status = process::reap(pid).expect("a worker is a child of this process");
        assert_eq!(status.code(), Some(0), "a worker of the lab ended otherwise: {}", status.describe());
        total.receive(&mut reader).expect("a worker that ends well has sent its counts");
    }
    total
}

/// In a worker: piece after piece.
fn work<S, L>(operation: &Operation<S, L>, mode: Mode, plan: Plan, pieces: &mut impl Read) -> Tally {
    process::adopt_orphans();
    process::fix_depth();
    (operation.warm)();
    let _ticks = Ticks::start();
    let board = Board::new();
    let tally = Tally::default();
    let mut records = Records { trace: Trace::new(), again: Trace::new(), second: Trace::new() };
    let mut piece = [0];
    while pieces.read_exact(&mut piece).is_ok() {
        let (start, slice) = (&operation.starts[usize::from(piece[0]) / slices()], usize::from(piece[0]) % slices());
        let lab = Lab { operation, start, slice, plan, board: &board, tally: &tally };
        if let Err(finding) = lab.work(mode, &mut records) {
            lab.report(&finding, "");
        }
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

/// The paths that a worker has on its desk.
struct Records {
    trace: Trace,
    /// The same once more, where a victim did not take it.
    again: Trace,
    /// Of who recovers from the victim's death.
    second: Trace,
}

/// The world at the start: the shared state, and who else lives.
struct Stage<S> {
    state: S,
    bystanders: Vec<Process>,
}

/// What survivors see at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    said: Text,
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
    inheritable: Numbers,
}

/// What is right where others act while the victim stands still.
struct Frozen {
    /// By where the others come in. At the bystanders' gate being open, before the operation or after it.
    orders: Vec<Order>,
}

/// One order of the victim's operation and what the others do.
struct Order {
    /// What the others see.
    others: Text,
    /// What is seen at the end, when both were done.
    both: Seen,
    /// The same without the operation; None where it is done already.
    alone: Option<Seen>,
}

impl<S> Stage<S> {
    /// Waits until each bystander sleeps, so that what is done next is done next.
    fn settle(&mut self) -> Result<(), Finding> {
        match self.bystanders.iter_mut().all(Process::settle) {
            true => Ok(()),
            false => Err(Finding::new(Kind::Hang, "a bystander does not come to rest")),
        }
    }
}

impl<S, L> Lab<'_, S, L> {
    fn work(&self, mode: Mode, records: &mut Records) -> Result<(), Finding> {
        let baseline = self.baseline()?;
        if mode == Mode::Touch {
            return self.watch_what_is_given_up(&baseline);
        }
        // Where what it waits for may be over before it began to wait, it may wait for ever.
        if mode == Mode::Wake && self.start.passes {
            return Ok(());
        }
        if self.plan.calls {
            return self.all_calls(&baseline);
        }
        let frozen = if mode == Mode::Freeze { Some(self.frozen()?) } else { None };
        self.record(&mut records.trace, &baseline)?;
        // Of pairs there are as many in a short run: the root of each.
        let most = if mode == Mode::Double && !is_long() { self.plan.most.isqrt() } else { self.plan.most };
        for attempt in 1..=ATTEMPTS {
            records.trace.choose(most);
            match self.all_points(mode, records, &baseline, frozen.as_ref(), most) {
                Ok(()) => break,
                // Under the tracer time passes slowly: who reads a clock that ticks meanwhile reads again. Such a path is
                // not that of a free run.
                Err((missed, k)) => {
                    self.record(&mut records.again, &baseline)?;
                    if attempt == ATTEMPTS || records.again.is_same_as(&records.trace) {
                        self.report(&missed, &self.place(&records.trace, k));
                        break;
                    }
                    std::mem::swap(&mut records.trace, &mut records.again);
                }
            }
        }
        self.tally.path(if self.slice == 0 { records.trace.len() } else { 0 });
        if self.slice == 0 && mode == Mode::Kill && !records.trace.sleeps.is_empty() {
            self.kill_asleep(&baseline)?;
        }
        Ok(())
    }

    /// Killed before and after each system call.
    fn all_calls(&self, baseline: &Baseline) -> Result<(), Finding> {
        let found = self.tally.findings();
        for number in 1.. {
            let (stage, mut victim) = self.begin()?;
            let mut wake = || (self.operation.wake)(&stage.state);
            match victim.run_to_call(number, &mut wake) {
                Stop::Call | Stop::At(_) => {}
                other => return Err(stopped(other)),
            }
            let over = victim.here() == baseline.end;
            self.check_inheritable(&victim, baseline)?;
            victim.kill();
            let seen = self.conclude(stage)?;
            self.tally.point();
            let judged = self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed);
            if let Err(finding) = judged {
                self.report(
                    &finding,
                    &format!(
                        ", {} system call {}",
                        if number % 2 == 1 { "before" } else { "after" },
                        number.div_ceil(2)
                    ),
                );
            }
            if over || self.tally.findings() - found >= self.plan.enough {
                break;
            }
        }
        Ok(())
    }

    /// Each point. Fails where the victim takes another path than the trace; nothing is allocated before the path is
    /// recorded once more.
    fn all_points(
        &self,
        mode: Mode,
        records: &mut Records,
        baseline: &Baseline,
        frozen: Option<&Frozen>,
        most: usize,
    ) -> Result<(), (Finding, usize)> {
        let (found, done) = (self.tally.findings(), self.tally.points());
        let Records { trace, second, .. } = records;
        let chosen = trace.chosen().iter().copied().enumerate();
        for (number, k) in chosen.filter(|(n, _)| n % slices() == self.slice) {
            let mut act = || match (mode, frozen) {
                (Mode::Freeze, Some(frozen)) => self.freeze_at(k, trace, frozen, baseline, number / slices() % 2 == 0),
                (Mode::Wake, _) => self.wake_at(k, trace, baseline),
                (Mode::Double, _) => self.kill_twice(k, trace, baseline, second, most),
                _ => self.kill_at(k, trace, baseline),
            };
            let mut result = act();
            if result.as_ref().is_err_and(|finding| finding.kind == Kind::Missed) {
                result = act();
            }
            match result {
                Ok(()) => {}
                Err(finding) if finding.kind == Kind::Missed => {
                    self.tally.forget_points(self.tally.points() - done);
                    return Err((finding, k));
                }
                Err(finding) => self.report(&finding, &self.place(trace, k)),
            }
            if self.tally.findings() - found >= self.plan.enough {
                break;
            }
        }
        Ok(())
    }

    fn is_unsteady(&self) -> bool {
        self.operation.unsteady.or(self.start.unsteady).is_some()
    }

    fn report(&self, finding: &Finding, place: &str) {
        self.tally.found(finding.kind);
        println!("{:?}: {}, {}{place}: {}", finding.kind, self.operation.name, self.start.name, finding.what);
    }

    fn place(&self, trace: &Trace, k: usize) -> String {
        format!(", before instruction {k} of {} ({})", trace.len(), process::place_of(trace.address(k)))
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
            let mut bystander = Process::start(|| {
                body(&stage.state);
                // Its end is an event, too, which may not come at any time.
                self.board.wait_to_leave();
            });
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
        let recovery = self.operation.recovery.as_ref().expect("the operation says how it is recovered from");
        let start = Tracee::start(|| {
            (recovery.prepare)(&stage.state);
            mark();
            (recovery.act)(&stage.state);
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
            Err(missed) if missed.kind == Kind::Missed && self.is_unsteady() => {
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
        stage.settle()?;
        let helped = match self.operation.help {
            Some(help) => Some(self.ask(&stage, help)?.said),
            None => None,
        };
        self.board.let_leave();
        for bystander in &mut stage.bystanders {
            match bystander.end() {
                None => return Err(Finding::new(Kind::Hang, "a bystander hangs")),
                Some(status) if status.code() != Some(0) => {
                    return Err(Finding::new(
                        Kind::Torn,
                        format!("a bystander ended otherwise: {}", status.describe()),
                    ));
                }
                Some(_) => {}
            }
        }
        let mut seen = self.ask(&stage, self.operation.observe)?;
        if let Some(mut said) = helped {
            said.push("; ");
            said.push(&seen.said);
            seen.said = said;
        }
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

    fn record(&self, trace: &mut Trace, baseline: &Baseline) -> Result<(), Finding> {
        let (stage, mut victim) = self.begin()?;
        let recorded = trace.record(&mut victim, baseline.end, || (self.operation.wake)(&stage.state));
        victim.kill();
        recorded.map_err(stopped)?;
        self.conclude(stage).map(drop)
    }

    fn judge(&self, seen: &Seen, never: &Seen, happened: &Seen, allowed: fn(&str) -> bool) -> Result<(), Finding> {
        let acknowledged = self.board.is_acknowledged();
        if seen.said == happened.said {
        } else if seen.said == never.said || allowed(&seen.said) {
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

    fn check_inheritable(&self, victim: &Tracee, baseline: &Baseline) -> Result<(), Finding> {
        let more = inheritable(victim.pid()).without(baseline.inheritable);
        if more.is_empty() {
            return Ok(());
        }
        let what = format!("an exec of another thread would hand on the new descriptors {:?}", more.list());
        Err(Finding::new(Kind::Leaked, what))
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
            self.check_inheritable(&victim, baseline)?;
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
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
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
    }

    /// What it waits for comes when it stands before the `k`-th instruction: it is not to sleep through that.
    fn wake_at(&self, k: usize, trace: &Trace, baseline: &Baseline) -> Result<(), Finding> {
        let (mut stage, mut victim) = self.at(k, trace)?;
        (self.operation.wake)(&stage.state);
        stage.settle()?;
        let stop = victim.finish(&mut || ());
        if stop != Stop::At(trace.end) {
            return Err(stopped(stop));
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
    }

    /// Stepped until it has given up what it had; from there to its end with a breakpoint on that word.
    fn watch_what_is_given_up(&self, baseline: &Baseline) -> Result<(), Finding> {
        if self.slice > 0 {
            return Ok(());
        }
        let (stage, mut victim) = self.begin()?;
        let word = self.operation.given_up.expect("the operation says what it gives up")(&stage.state);
        let mut wake = || (self.operation.wake)(&stage.state);
        let holder = || word.load(Ordering::SeqCst) >> 8;
        let had = holder();
        let mut steps = 0;
        while holder() == had {
            steps += 1;
            match victim.follow(Way { breakpoint: None, steps: 1 }, false, &mut wake) {
                Stop::At(at) if at == baseline.end => return Err(Finding::new(Kind::Torn, "it gives nothing up")),
                Stop::At(_) => {}
                other => return Err(stopped(other)),
            }
        }
        self.tally.path(steps);
        match victim.finish_without(word.as_ptr().addr(), &mut wake) {
            Stop::At(at) if at == baseline.end => {}
            Stop::At(at) => {
                let place = process::place_of(at);
                return Err(Finding::new(Kind::Torn, format!("it touches what it has given up, before {place}")));
            }
            other => return Err(stopped(other)),
        }
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
    }

    fn frozen(&self) -> Result<Frozen, Finding> {
        let meanwhile = self.operation.meanwhile.as_ref().expect("the operation says what others do").act;
        let mut orders = Vec::new();
        // The others first: as they find it, and when the bystanders have done their part.
        for woken in [false, true] {
            let first = |resume: bool| {
                let (mut stage, mut victim) = self.begin()?;
                if woken {
                    (self.operation.wake)(&stage.state);
                }
                stage.settle()?;
                let others = self.ask(&stage, meanwhile)?.said;
                if resume {
                    self.to_end(&mut victim, &stage)?;
                }
                victim.kill();
                Ok((others, self.conclude(stage)?))
            };
            match first(true) {
                Ok((others, both)) => orders.push(Order { others, both, alone: Some(first(false)?.1) }),
                // What the bystanders do to wake it they have done before it slept: no order for a waiter.
                Err(finding) if woken && finding.kind == Kind::Hang => {}
                Err(finding) => return Err(finding),
            }
        }
        let (mut stage, mut victim) = self.begin()?;
        self.to_end(&mut victim, &stage)?;
        stage.settle()?;
        let others = self.ask(&stage, meanwhile)?.said;
        victim.kill();
        orders.push(Order { others, both: self.conclude(stage)?, alone: None });
        Ok(Frozen { orders })
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
        let (mut stage, mut victim) = self.at(k, trace)?;
        let acknowledged = self.board.is_acknowledged();
        stage.settle()?;
        let others = self.ask(&stage, meanwhile.act)?.said;
        // What the others saw tells where they stand: before the operation, behind it, or kept out by it.
        let dead = !resume && !acknowledged;
        let mut fitting = Vec::new();
        for order in right.orders.iter().filter(|order| order.others == others) {
            fitting.push(&order.both);
            fitting.extend(order.alone.as_ref().filter(|_| dead));
        }
        if (meanwhile.allowed)(&others) {
            fitting.push(&baseline.happened);
            fitting.extend(dead.then_some(&baseline.never));
        }
        if fitting.is_empty() {
            let right: Vec<&Text> = right.orders.iter().map(|order| &order.others).collect();
            let what = format!("beside a victim that stands still {others:?} is seen, none of {right:?}");
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
            let right: Vec<&Text> = fitting.iter().map(|one| &one.said).collect();
            let what = format!("others saw {others:?}, the victim {how}: seen is {:?}, none of {right:?}", seen.said);
            return Err(Finding::new(if acknowledged { Kind::Lost } else { Kind::Torn }, what));
        }
        let held: Vec<Held> = fitting.iter().map(|one| one.more).collect();
        self.judge_held(&seen, &held)
    }

    /// The victim dies at `k`, and who recovers at `most` of the instructions of that.
    fn kill_twice(
        &self,
        k: usize,
        trace: &Trace,
        baseline: &Baseline,
        path: &mut Trace,
        most: usize,
    ) -> Result<(), Finding> {
        let allowed = self.operation.recovery.as_ref().expect("the operation says how it is recovered from").allowed;
        let dead = || {
            let (mut stage, victim) = self.at(k, trace)?;
            victim.kill();
            stage.settle()?;
            Ok(stage)
        };
        let without = self.conclude(dead()?)?;
        self.judge(&without, &baseline.never, &baseline.happened, self.operation.allowed)?;
        let stage = dead()?;
        let mut second = self.recoverer(&stage)?;
        let end = self.to_end(&mut second, &stage)?;
        second.kill();
        let with = self.conclude(stage)?;
        let stage = dead()?;
        let mut second = self.recoverer(&stage)?;
        path.record(&mut second, end, || (self.operation.wake)(&stage.state)).map_err(stopped)?;
        second.kill();
        drop(stage);
        path.choose(most);
        for &j in path.chosen() {
            let stage = dead()?;
            let mut second = self.recoverer(&stage)?;
            self.bring(&mut second, path, j, &stage)?;
            second.kill();
            let seen = self.conclude(stage)?;
            self.tally.point();
            let judged = self.judge(&seen, &without, &with, allowed);
            judged.map_err(|f| Finding::new(f.kind, format!("recovery killed{}: {}", self.place(path, j), f.what)))?;
        }
        Ok(())
    }
}

fn stopped(stop: Stop) -> Finding {
    match stop {
        Stop::At(_) | Stop::Call => Finding::new(Kind::Missed, "the victim is somewhere else"),
        Stop::Asleep | Stop::Stuck => Finding::new(Kind::Hang, "the victim does not come to its end"),
        Stop::Ended(status) => Finding::new(Kind::Torn, format!("the victim ended by itself: {}", status.describe())),
    }
}
