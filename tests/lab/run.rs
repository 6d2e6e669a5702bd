//! One run: a stage is set, a victim goes to its point, and when it is dead survivors look at what is there.
use std::cell::{Cell, RefCell};

use super::board::Board;
use super::campaign::{Found, Plan};
use super::finding::{Finding, Kind, Tally};
use super::operation::{Bystander, Operation, Start};
use super::oracle::{Baseline, Seen};
use super::process::{self, Process};
use super::resources::{Held, fill_heap, inheritable};
use super::trace::{Trace, Way};
use super::tracee::{Stop, Tracee, mark};

/// One start of an operation in one mode, as one worker looks at it.
pub struct Lab<'a, S: 'static, L: 'static> {
    pub operation: &'a Operation<S, L>,
    pub start: &'a Start<S>,
    pub slice: usize,
    pub plan: Plan,
    pub board: &'a Board,
    pub tally: &'a Tally,
    pub found: &'a Found,
}

/// More than any start has.
const MOST_BYSTANDERS: usize = 8;

/// The world at the start: the shared state, and who else lives.
pub struct Stage<S> {
    pub state: S,
    bystanders: RefCell<Vec<Process>>,
    /// Whether the bystanders have done, or do, what the victim waits for.
    woken: Cell<bool>,
}

impl<S> Stage<S> {
    /// Waits until each bystander sleeps, so that what is done next is done next.
    pub fn settle(&self) -> Result<(), Finding> {
        match self.bystanders.borrow_mut().iter_mut().all(Process::settle) {
            true => Ok(()),
            false => Err(Finding::new(Kind::Hang, "a bystander does not come to rest")),
        }
    }
}

impl<S, L> Lab<'_, S, L> {
    pub fn report(&self, finding: &Finding, place: &str) {
        self.tally.found(finding.kind);
        self.found.tell();
        println!("{:?}: {}, {}{place}: {}", finding.kind, self.operation.name, self.start.name, finding.what);
    }

    pub fn place(&self, trace: &Trace, k: usize) -> String {
        format!(", before instruction {k} of {} ({})", trace.len(), process::place_of(trace.address(k)))
    }

    fn is_unsteady(&self) -> bool {
        self.operation.unsteady.or(self.start.unsteady).is_some()
    }

    /// A new run: the victim stands before its operation, and all others are at their places.
    pub fn begin(&self) -> Result<(Stage<S>, Tracee), Finding> {
        self.board.wipe();
        let stage = Stage {
            state: (self.start.setup)(),
            bystanders: RefCell::new(Vec::with_capacity(MOST_BYSTANDERS)),
            woken: Cell::new(false),
        };
        self.bystanders(&stage, &self.start.before)?;
        let victim = self.victim(&stage)?;
        self.bystanders(&stage, &self.start.after)?;
        Ok((stage, victim))
    }

    fn bystanders(&self, stage: &Stage<S>, bystanders: &[Bystander<S>]) -> Result<(), Finding> {
        for Bystander { body, dies } in bystanders {
            let number = stage.bystanders.borrow().len();
            let mut bystander = Process::start(|| {
                body(&stage.state);
                self.board.wait_to_leave(number);
            });
            if !bystander.settle() {
                return Err(Finding::new(Kind::Hang, "a bystander does not come to its place"));
            }
            if *dies {
                bystander.kill();
            } else {
                stage.bystanders.borrow_mut().push(bystander);
            }
        }
        Ok(())
    }

    /// The victim sleeps, or is dead: those come who come then, and what it waits for comes.
    pub fn wake(&self, stage: &Stage<S>) {
        if !stage.woken.replace(true) {
            // Who does not come to its place does not come to its end either, which is seen then.
            let _ = self.bystanders(stage, &self.start.late);
            (self.operation.wake)(&stage.state);
        }
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
    pub fn recoverer(&self, stage: &Stage<S>) -> Result<Tracee, Finding> {
        self.board.begin_another();
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
    pub fn bring(&self, tracee: &mut Tracee, trace: &Trace, k: usize, stage: &Stage<S>) -> Result<(), Finding> {
        let sleepy = trace.sleeps.first().is_some_and(|&sleep| sleep < k);
        let mut wake = || self.wake(stage);
        match tracee.follow(trace.way(k), sleepy, &mut wake) {
            Stop::At(address) if address == trace.address(k) => Ok(()),
            Stop::At(_) => Err(Finding::new(Kind::Missed, "the victim did not come by")),
            other => Err(stopped(other)),
        }
    }

    /// A run with a victim that stands before the `k`-th instruction.
    pub fn at(&self, k: usize, trace: &Trace) -> Result<(Stage<S>, Tracee), Finding> {
        let (stage, mut victim) = self.begin()?;
        match self.bring(&mut victim, trace, k, &stage) {
            Ok(()) => Ok((stage, victim)),
            Err(missed) if missed.kind == Kind::Missed && self.is_unsteady() => {
                drop((victim, stage));
                let (stage, mut victim) = self.begin()?;
                // Wherever so many steps lead this time. If the operation is done before, its end is as good.
                for _ in 0..k {
                    match victim.follow(Way { breakpoint: None, steps: 1 }, false, &mut || {
                        self.wake(&stage);
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

    pub fn ask(&self, stage: &Stage<S>, act: fn(&S) -> String) -> Result<Seen, Finding> {
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

    /// Bystanders that are done may leave, and all have to.
    fn see_off(&self, stage: &Stage<S>) -> Result<(), Finding> {
        for (number, bystander) in stage.bystanders.borrow_mut().iter_mut().enumerate() {
            if !bystander.done(|| self.board.is_done(number)) {
                return Err(Finding::new(Kind::Hang, "a bystander hangs"));
            }
        }
        self.board.let_leave();
        for bystander in stage.bystanders.borrow_mut().iter_mut() {
            match bystander.end() {
                None => return Err(Finding::new(Kind::Hang, "a bystander does not come to its end")),
                Some(status) if status.code() != Some(0) => {
                    return Err(Finding::new(
                        Kind::Torn,
                        format!("a bystander ended otherwise: {}", status.describe()),
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The end of a run, when the victim is dead: what is seen, and what is left.
    pub fn conclude(&self, stage: Stage<S>) -> Result<Seen, Finding> {
        let alone = stage.bystanders.borrow().is_empty();
        if alone && !process::no_orphans() {
            return Err(Finding::new(Kind::Leaked, "a process of the victim's lives on"));
        }
        self.wake(&stage);
        stage.settle()?;
        let helped = match self.operation.help {
            Some(help) => Some(self.ask(&stage, help)?.said),
            None => None,
        };
        self.see_off(&stage)?;
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

    /// On to the end of the operation.
    pub fn to_end(&self, victim: &mut Tracee, stage: &Stage<S>) -> Result<usize, Finding> {
        let end = match victim.finish(&mut || self.wake(stage)) {
            Stop::At(end) => end,
            other => return Err(stopped(other)),
        };
        if self.operation.lets_go {
            self.wake(stage);
            self.see_off(stage)?;
        }
        Ok(end)
    }

    /// What is right: seen without the operation, and with it.
    pub fn baseline(&self) -> Result<Baseline, Finding> {
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
        let differ = |what| Finding::new(Kind::Torn, what);
        let ((never, inheritable), (again, _)) = (never()?, never()?);
        if never != again {
            return Err(differ(format!("two runs without it differ: {:?}, {:?}", never.said, again.said)));
        }
        let usual = || {
            // Where there are two right ends, the usual one is looked for.
            let mut last = happened()?;
            for _ in 0..8 {
                if !(self.start.also)(&last.0.said) {
                    break;
                }
                last = happened()?;
            }
            Ok(last)
        };
        let ((happened, end), (again, _)) = (usual()?, usual()?);
        if happened != again {
            return Err(differ(format!("two runs with it differ: {:?}, {:?}", happened.said, again.said)));
        }
        Ok(Baseline { never, happened, end, inheritable })
    }

    pub fn record(&self, trace: &mut Trace, baseline: &Baseline) -> Result<(), Finding> {
        let (stage, mut victim) = self.begin()?;
        let recorded = trace.record(&mut victim, baseline.end, || self.wake(&stage));
        victim.kill();
        recorded.map_err(stopped)?;
        self.conclude(stage).map(drop)
    }
}

pub fn stopped(stop: Stop) -> Finding {
    match stop {
        Stop::At(_) | Stop::Call => Finding::new(Kind::Missed, "the victim is somewhere else"),
        Stop::Asleep | Stop::Stuck => Finding::new(Kind::Hang, "the victim does not come to its end"),
        Stop::Ended(status) => Finding::new(Kind::Torn, format!("the victim ended by itself: {}", status.describe())),
    }
}
