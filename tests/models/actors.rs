//! Threads that do, one after the other, what a schedule says, beside a model that says what must come of it.
//!
//! A thread that ends with its guards forgotten stands for a process that is killed with them: the kernel marks both alike.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

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
            let (tell, told) = channel();
            let act = &act;
            scope.spawn(move || {
                tell.send(rustix::thread::gettid().as_raw_nonzero()).expect("the schedule waits for it");
                act((steps, outcomes));
            });
            (to, from, told.recv().expect("the thread starts"))
        };
        let mut actors: [_; ACTORS] = std::array::from_fn(|_| start());
        for (at, &(actor, step)) in schedule.iter().enumerate() {
            let (to, from, thread) = &actors[actor];
            to.send(step).expect("it waits for steps");
            let expected = model(actor, step);
            if is_death(step) {
                // Dead is who has left the kernel, too.
                let task = format!("/proc/self/task/{thread}");
                let deadline = Instant::now() + Duration::from_secs(20);
                while std::path::Path::new(&task).exists() {
                    assert!(Instant::now() < deadline, "a thread does not end");
                    std::thread::yield_now();
                }
                actors[actor] = start();
                continue;
            }
            let outcome = from.recv().expect("it answers");
            if outcome != expected {
                return Some((at, outcome, expected));
            }
        }
        None
    })
}
