//! What is done to a victim at a point, mode by mode.
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::board::Text;
use super::campaign::{Extent, Mode, Records, slices};
use super::finding::{Finding, Kind};
use super::oracle::{Baseline, Frozen, Order};
use super::process;
use super::resources::Held;
use super::run::{Lab, stopped};
use super::trace::{Trace, Way};
use super::tracee::{Expect, Stop};

impl<S, L> Lab<'_, S, L> {
    /// Each point. Fails where the victim takes another path than the trace; nothing is allocated before the path is
    /// recorded once more.
    pub fn all_points(
        &self,
        records: &mut Records,
        baseline: &Baseline,
        frozen: Option<&Frozen>,
    ) -> Result<(), (Finding, usize)> {
        let (found, done) = (self.tally.findings(), self.tally.points());
        let Records { trace, second, .. } = records;
        let chosen = trace.chosen().iter().copied().enumerate();
        for (number, k) in chosen.filter(|(n, _)| n % slices() == self.slice) {
            // In the short run every other one goes on, and every other one is killed; a bug that is there is sought by both.
            let goes_on = (number / slices()).is_multiple_of(2);
            let both = Extent::asked() == Extent::All || self.plan.enough == 1;
            let mut act = || match (self.plan.mode, frozen) {
                (Mode::Freeze, Some(frozen)) if both => {
                    self.freeze_at(k, trace, frozen, baseline, true)?;
                    self.freeze_at(k, trace, frozen, baseline, false)
                }
                (Mode::Freeze, Some(frozen)) => self.freeze_at(k, trace, frozen, baseline, goes_on),
                (Mode::Wake, _) => self.wake_at(k, trace, baseline),
                (Mode::Double, _) => self.kill_twice(k, trace, baseline, second),
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
            if self.tally.findings() - found >= self.plan.enough || self.found.is_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Killed before and after each system call.
    pub fn all_calls(&self, baseline: &Baseline) -> Result<(), Finding> {
        let found = self.tally.findings();
        for number in 1.. {
            let (stage, mut victim) = self.begin()?;
            let mut wake = || self.wake(&stage);
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

    fn kill_at(&self, k: usize, trace: &Trace, baseline: &Baseline) -> Result<(), Finding> {
        let (stage, victim) = self.at(k, trace)?;
        if trace.is_after_call(k) {
            self.check_inheritable(&victim, baseline)?;
        }
        let killed = Instant::now();
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.took(killed.elapsed());
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
    }

    /// Killed in its sleep. (Where it sleeps in its first sleep; others are instants of the kernel like this one.)
    pub fn kill_asleep(&self, baseline: &Baseline) -> Result<(), Finding> {
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
        let (stage, mut victim) = self.at(k, trace)?;
        self.wake(&stage);
        stage.settle()?;
        self.to_end(&mut victim, &stage)?;
        victim.kill();
        let seen = self.conclude(stage)?;
        self.tally.point();
        self.judge(&seen, &baseline.never, &baseline.happened, self.operation.allowed)
    }

    /// Stepped until it has given up what it had; from there to its end with a breakpoint on that word.
    pub fn watch_what_is_given_up(&self, baseline: &Baseline) -> Result<(), Finding> {
        if self.slice > 0 {
            return Ok(());
        }
        let (stage, mut victim) = self.begin()?;
        let word = self.operation.given_up.expect("the operation says what it gives up")(&stage.state);
        let mut wake = || self.wake(&stage);
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

    pub fn frozen(&self) -> Result<Frozen, Finding> {
        let meanwhile = self.operation.meanwhile.as_ref().expect("the operation says what others do").act;
        let mut orders = Vec::new();
        // The others first: as they find it, and when the bystanders have done their part.
        for woken in [false, true] {
            let first = |resume: bool| {
                let (stage, mut victim) = self.begin()?;
                if woken {
                    self.wake(&stage);
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
        let (stage, mut victim) = self.begin()?;
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
        let (stage, mut victim) = self.at(k, trace)?;
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
        let fits = fitting.iter().any(|one| one.said == seen.said)
            || (self.start.also)(&seen.said)
            || (meanwhile.kept)(&others, &seen.said, dead)
            || (dead && (self.operation.allowed)(&seen.said));
        if !fits {
            let how = if resume { "went on" } else { "was killed" };
            let right: Vec<&Text> = fitting.iter().map(|one| &one.said).collect();
            let what = format!("others saw {others:?}, the victim {how}: seen is {:?}, none of {right:?}", seen.said);
            return Err(Finding::new(if acknowledged { Kind::Lost } else { Kind::Torn }, what));
        }
        let held: Vec<Held> = fitting.iter().map(|one| one.more).collect();
        self.judge_held(&seen, &held)
    }

    /// The victim dies at `k`, and who recovers from that at each instruction of the recovery, or a sample.
    fn kill_twice(&self, k: usize, trace: &Trace, baseline: &Baseline, path: &mut Trace) -> Result<(), Finding> {
        let allowed = self.operation.recovery.as_ref().expect("the operation says how it is recovered from").allowed;
        let dead = || {
            let (stage, victim) = self.at(k, trace)?;
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
        path.record(&mut second, end, || self.wake(&stage)).map_err(stopped)?;
        second.kill();
        drop(stage);
        path.choose(self.plan.most);
        for &j in path.chosen() {
            let kill_second = || {
                let stage = dead()?;
                let mut second = self.recoverer(&stage)?;
                self.bring(&mut second, path, j, &stage)?;
                let killed = Instant::now();
                second.kill();
                let seen = self.conclude(stage)?;
                self.tally.took(killed.elapsed());
                self.tally.point();
                self.judge(&seen, &without, &with, allowed)
            };
            // Of very many pairs one or the other does not come by: that pair is tried again, not all.
            let mut judged = kill_second();
            for _ in 0..3 {
                if judged.as_ref().is_err_and(|finding| finding.kind == Kind::Missed) {
                    judged = kill_second();
                }
            }
            judged.map_err(|f| Finding::new(f.kind, format!("recovery killed{}: {}", self.place(path, j), f.what)))?;
        }
        Ok(())
    }
}
