//! What a spawned closure captured changes hands: whose drop is a hand-over, and to whom.
//!
//! A spawn drops the parent's copy of its closure while the child waits for GO. What is dropped by that, and stands for a right
//! that only one process can have, gives the right to the child instead of giving it up. So it goes to the child with exactly
//! what was captured by move, however deep inside; what was captured by reference is not dropped, and stays.
//!
//! | the parent | |
//! |---|---|
//! | forks; the child waits | |
//! | drops the closure: [`heir`] tells each right whose it is now | killed here: the child never runs, and all that was given to it is a dead one's |
//! | says GO | |

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Pid;

use super::child::Child;
use super::slot::Slot;
use crate::sys::identity::Identity;

/// One spawn that is just now dropping the parent's copy of its closure.
struct Frame {
    child: Pid,
    /// Found out when it is first asked for.
    identity: Cell<Option<Identity>>,
    slot: Slot,
    /// What was made from here on was not captured.
    made_before: u64,
}

thread_local! {
    /// The innermost last: a drop may spawn.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Counts what may be handed over, as it is made.
static MADE: AtomicU64 = AtomicU64::new(1);

/// When something was made: see [`heir`].
pub(crate) fn stamp() -> u64 {
    // Relaxed: a number of its own for each is all that is asked.
    MADE.fetch_add(1, Ordering::Relaxed)
}

/// Runs `drop_captures` with the mark that what it drops goes to `child`, which was forked when [`stamp`] gave `made_before`.
pub(super) fn to_child(child: &Child, made_before: u64, drop_captures: impl FnOnce()) {
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            FRAMES.with_borrow_mut(|frames| {
                frames.pop();
            });
        }
    }
    FRAMES.with_borrow_mut(|frames| {
        frames.push(Frame { child: child.pid, identity: Cell::new(None), slot: child.slot, made_before })
    });
    let _pop = Pop;
    drop_captures();
}

/// In a child: a spawn that its parent was in the middle of is not this process's.
pub(super) fn forget() {
    // The copy of the parent's list is not borrowed: a fork inside such a borrow there is none.
    FRAMES.with_borrow_mut(Vec::clear);
}

/// Whether a drop that happens now is a spawn's drop of its captures.
pub(super) fn is_under_way() -> bool {
    FRAMES.try_with(|frames| !frames.borrow().is_empty()).unwrap_or(false)
}

/// To which child goes what was made at `stamp` and is dropped now. None if to nobody: it is an ordinary drop, or
/// `/proc` does not show the child.
pub(crate) fn heir(stamp: u64) -> Option<Identity> {
    // A thread that ends drops its locals after this one.
    let child = FRAMES.try_with(|frames| {
        let frames = frames.borrow();
        let frame = frames.last().filter(|frame| stamp < frame.made_before)?;
        if frame.identity.get().is_none() {
            frame.identity.set(Identity::of_child(frame.child).ok());
        }
        let heir = frame.identity.get()?;
        // Relaxed: the child reads it after GO.
        frame.slot.header().handed.store(1, Ordering::Relaxed);
        Some(heir)
    });
    child.ok().flatten()
}
