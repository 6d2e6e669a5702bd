//! Threads that do, one after the other, what a schedule says, beside a model that says what must come of it.
//!
//! A thread that ends with its guards forgotten stands for a process that is killed with them: the kernel marks both alike.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, Sender, channel};

pub const ACTORS: usize = 3;
/// Longer schedules find nothing that shorter ones do not.
const STEPS: usize = 60;

/// What an actor is told, and where it answers. The step after which it ends, its guards forgotten, it does not answer.
pub type Orders<S, O> = (Receiver<S>, Sender<O>);

/// Reads a schedule: two bytes for each step.
pub fn schedule<S>(data: &[u8], step: impl Fn(u8, u8) -> S) -> Vec<(usize, S)> {
    data.chunks_exact(2).take(STEPS).map(|two| (usize::from(two[1]) % ACTORS, step(two[0], two[1]))).collect()
}

/// Runs a schedule; the first step at which an actor and the model differ, if there is one. A step that `is_death` has no
/// outcome but the model's.
pub fn differs<S: Copy + Send, O: PartialEq + Send + Debug>(
    schedule: &[(usize, S)],
    act: impl Fn(Orders<S, O>) + Sync,
    is_death: impl Fn(S) -> bool,
    mut model: impl FnMut(usize, S) -> O,
) -> Option<(usize, O, O)> {
    std::thread::scope(|scope| {
        let start = || {
            let (to, steps) = channel();
            let (outcomes, from) = channel();
            let act = &act;
            (to, from, scope.spawn(move || act((steps, outcomes))))
        };
        let mut actors: [_; ACTORS] = std::array::from_fn(|_| start());
        let mut difference = None;
        for (at, &(actor, step)) in schedule.iter().enumerate() {
            actors[actor].0.send(step).expect("it waits for steps");
            let expected = model(actor, step);
            if is_death(step) {
                let (_, _, dead) = std::mem::replace(&mut actors[actor], start());
                // The kernel marks the thread's life before it tells of its end.
                dead.join().expect("it ends without a panic");
                continue;
            }
            let outcome = actors[actor].1.recv().expect("it answers");
            if outcome != expected {
                difference = Some((at, outcome, expected));
                break;
            }
        }
        for (to, _, thread) in actors {
            drop(to);
            // Not left to the scope, which does not wait for what a thread does last.
            thread.join().expect("it ends without a panic");
        }
        difference
    })
}
