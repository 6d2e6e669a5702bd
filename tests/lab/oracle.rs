//! What is right, and whether what is seen is.
use super::board::Text;
use super::finding::{Finding, Kind};
use super::resources::{Held, Numbers, inheritable};
use super::run::Lab;
use super::tracee::Tracee;

/// What survivors see at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    pub said: Text,
    /// How much more the survivor holds than before it looked.
    pub more: Held,
}

/// What is right.
pub struct Baseline {
    pub never: Seen,
    pub happened: Seen,
    /// The address behind the second mark.
    pub end: usize,
    /// Descriptors that an exec hands on, before the operation.
    pub inheritable: Numbers,
}

/// What is right where others act while the victim stands still.
pub struct Frozen {
    /// By where the others come in. At the bystanders' gate being open, before the operation or after it.
    pub orders: Vec<Order>,
}

/// One order of the victim's operation and what the others do.
pub struct Order {
    /// What the others see.
    pub others: Text,
    /// What is seen at the end, when both were done.
    pub both: Seen,
    /// The same without the operation; None where it is done already.
    pub alone: Option<Seen>,
}

impl<S, L> Lab<'_, S, L> {
    pub fn judge(&self, seen: &Seen, never: &Seen, happened: &Seen, allowed: fn(&str) -> bool) -> Result<(), Finding> {
        let acknowledged = self.board.is_acknowledged();
        if seen.said == happened.said || (self.start.also)(&seen.said) {
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

    pub fn check_inheritable(&self, victim: &Tracee, baseline: &Baseline) -> Result<(), Finding> {
        let more = inheritable(victim.pid()).without(baseline.inheritable);
        if more.is_empty() {
            return Ok(());
        }
        let what = format!("an exec of another thread would hand on the new descriptors {:?}", more.list());
        Err(Finding::new(Kind::Leaked, what))
    }

    pub fn judge_held(&self, seen: &Seen, right: &[Held]) -> Result<(), Finding> {
        // Less is no leak: a heap may shrink, whoever dies.
        let is_right = |held: &Held| held.descriptors == seen.more.descriptors && held.pages.max(0) >= seen.more.pages;
        if right.iter().any(is_right) {
            return Ok(());
        }
        Err(Finding::new(
            Kind::Leaked,
            format!("a survivor holds more at its end than at its beginning: {:?}", seen.more),
        ))
    }
}
