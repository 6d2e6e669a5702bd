//! What is tested: an operation, where it starts, and what others may see of it.

use std::sync::atomic::AtomicU64;

/// An operation that is killed before each of its instructions.
///
/// `S` is what the processes of a run share, made anew for each run; `L` is what the victim has for itself.
pub struct Operation<S: 'static, L: 'static> {
    pub name: &'static str,
    pub starts: Vec<Start<S>>,
    /// In the lab, once: what a program does only the first time.
    pub warm: fn(),
    /// In the victim, before the first instruction that counts: warm up, take the lock that will be given back.
    pub prepare: fn(&S) -> L,
    /// In the victim: the operation. When it returns it is acknowledged.
    pub act: fn(&S, &mut L),
    /// In a survivor, when the victim is dead and the bystanders have ended: what is there? Anything that blocks is a
    /// hang.
    pub observe: fn(&S) -> String,
    /// Observations besides those of "it never happened" and "it happened", of one that was not acknowledged: as that
    /// the holder of a lock has died.
    pub allowed: fn(&str) -> bool,
    /// In the lab, when the victim sleeps in the operation, and when it is dead: opens the gate behind which a
    /// bystander waits to wake it.
    pub wake: fn(&S),
    /// In a survivor, when the victim is dead: what it takes for the bystanders to end. What it tells is part of what is
    /// seen.
    pub help: Option<fn(&S) -> String>,
    /// In a survivor, while the victim stands still: what can others do?
    pub meanwhile: Option<Meanwhile<S>>,
    /// When it is done all bystanders go on by that: the lab wants them at their ends while the victim is still there. (Its
    /// death would wake who was not woken.)
    pub lets_go: bool,
    /// The word that names the holder of what the operation gives up, in its upper 56 bits: once it is another's, or
    /// nobody's, its memory may be gone, and the victim is not to touch it.
    pub given_up: Option<fn(&S) -> &AtomicU64>,
    /// In a second victim, after the first: what makes good again.
    pub recovery: Option<Recovery<S>>,
    /// Why the path is not the same each time, if it is not: points that are missed are then stepped to.
    pub unsteady: Option<&'static str>,
}

/// Why the path of many an operation is not the same each time.
pub const ALLOCATES: &str = "it allocates, and where memory is found depends on what was there before";

/// From where an operation starts.
pub struct Start<S: 'static> {
    pub name: &'static str,
    /// In the lab, for each run.
    pub setup: fn() -> S,
    /// Other living processes, started in this order, each when the one before sleeps or has ended.
    pub before: Vec<Bystander<S>>,
    /// Others that come when the victim stands before its operation.
    pub after: Vec<Bystander<S>>,
    /// Others that come when the victim sleeps.
    pub late: Vec<Bystander<S>>,
    /// What the bystanders do to wake the victim passes: who comes to wait later misses it.
    pub passes: bool,
    /// What is right, too, of an operation that happened: where one who waits beside the victim may come before it or
    /// after it.
    pub also: fn(&str) -> bool,
    /// As in [`Operation`], for this start.
    pub unsteady: Option<&'static str>,
}

/// What others do while the victim stands still, and what they may observe besides what they would observe before it
/// began or after it was done.
pub struct Meanwhile<S: 'static> {
    pub act: fn(&S) -> String,
    pub allowed: fn(&str) -> bool,
    /// What is right at the end where they were kept out of something: by what they have seen, what is seen then, and whether the
    /// victim was killed.
    pub kept: fn(&str, &str, bool) -> bool,
}

/// What somebody does who comes upon what the dead have left, and may be seen when that one dies over it.
pub struct Recovery<S: 'static> {
    pub prepare: fn(&S),
    pub act: fn(&S),
    pub allowed: fn(&str) -> bool,
}

/// Another process.
pub struct Bystander<S: 'static> {
    pub body: fn(&S),
    /// It is killed as soon as it sleeps.
    pub dies: bool,
}

impl<S> Start<S> {
    pub fn new(name: &'static str, setup: fn() -> S) -> Start<S> {
        Start {
            name,
            setup,
            before: Vec::new(),
            after: Vec::new(),
            late: Vec::new(),
            passes: false,
            also: |_| false,
            unsteady: None,
        }
    }

    /// One more process, that is there before the victim.
    pub fn beside(mut self, bystander: fn(&S)) -> Start<S> {
        self.before.push(Bystander { body: bystander, dies: false });
        self
    }

    /// One more process, that comes when the victim sleeps: it waits behind it.
    pub fn then(mut self, bystander: fn(&S)) -> Start<S> {
        self.late.push(Bystander { body: bystander, dies: false });
        self
    }

    pub fn also(mut self, also: fn(&str) -> bool) -> Start<S> {
        self.also = also;
        self
    }

    pub fn passing(mut self) -> Start<S> {
        self.passes = true;
        self
    }

    pub fn unsteady(mut self, why: &'static str) -> Start<S> {
        self.unsteady = Some(why);
        self
    }

    /// One more process, that was there before the victim, and was killed in its sleep.
    pub fn after_the_death_of(mut self, bystander: fn(&S)) -> Start<S> {
        self.before.push(Bystander { body: bystander, dies: true });
        self
    }

    /// One more process, that comes when the victim has prepared itself: to wait for what the victim holds.
    pub fn behind(mut self, bystander: fn(&S)) -> Start<S> {
        self.after.push(Bystander { body: bystander, dies: false });
        self
    }
}

impl<S, L> Operation<S, L> {
    pub fn new(name: &'static str, prepare: fn(&S) -> L, act: fn(&S, &mut L), observe: fn(&S) -> String) -> Self {
        Operation {
            name,
            starts: Vec::new(),
            warm: || {},
            prepare,
            act,
            observe,
            allowed: |_| false,
            wake: |_| {},
            help: None,
            meanwhile: None,
            lets_go: false,
            given_up: None,
            recovery: None,
            unsteady: None,
        }
    }

    pub fn from(mut self, start: Start<S>) -> Self {
        self.starts.push(start);
        self
    }

    pub fn warm(mut self, warm: fn()) -> Self {
        self.warm = warm;
        self
    }

    pub fn allow(mut self, allowed: fn(&str) -> bool) -> Self {
        self.allowed = allowed;
        self
    }

    pub fn wake(mut self, wake: fn(&S)) -> Self {
        self.wake = wake;
        self
    }

    pub fn help(mut self, help: fn(&S) -> String) -> Self {
        self.help = Some(help);
        self
    }

    pub fn meanwhile(mut self, act: fn(&S) -> String, allowed: fn(&str) -> bool) -> Self {
        self.meanwhile = Some(Meanwhile { act, allowed, kept: |_, _, _| false });
        self
    }

    /// As [`meanwhile`](Self::meanwhile), where others may be kept from something that the victim has in its hands.
    pub fn meanwhile_without(
        mut self,
        act: fn(&S) -> String,
        allowed: fn(&str) -> bool,
        kept: fn(&str, &str, bool) -> bool,
    ) -> Self {
        self.meanwhile = Some(Meanwhile { act, allowed, kept });
        self
    }

    pub fn lets_go(mut self) -> Self {
        self.lets_go = true;
        self
    }

    pub fn gives_up(mut self, word: fn(&S) -> &AtomicU64) -> Self {
        self.given_up = Some(word);
        self
    }

    pub fn recovery(mut self, prepare: fn(&S), act: fn(&S), allowed: fn(&str) -> bool) -> Self {
        self.recovery = Some(Recovery { prepare, act, allowed });
        self
    }

    pub fn unsteady(mut self, why: &'static str) -> Self {
        self.unsteady = Some(why);
        self
    }
}
