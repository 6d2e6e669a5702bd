//! Running a scene in all orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::world::{self, Doom};

/// How often threads may be interrupted where they would go on. Switches where one cannot go on are not counted.
const PREEMPTIONS: usize = 3;
/// For scenes that would take ten to fifty times as long with one more.
const FEWER_PREEMPTIONS: usize = 2;

/// As many as a scene says, or, as the environment variable `TINE_LOOM` asks for, one more.
///
/// # Panics
///
/// If `TINE_LOOM` is another word than `more`.
fn preemptions(usual: usize) -> usize {
    match std::env::var("TINE_LOOM").as_deref() {
        Err(_) => usual,
        Ok("more") => usual + 1,
        Ok(other) => panic!("TINE_LOOM is {other:?}: only \"more\" is understood"),
    }
}

/// Runs `scene` in each order.
pub(crate) fn each_order(scene: impl Fn() + Send + Sync + 'static) {
    let mut report = Report::new();
    report.runs += explore(PREEMPTIONS, &[], &Arc::new(scene)).runs;
}

/// The same for a scene of many steps, with fewer preemptions.
pub(crate) fn each_order_in_a_crowd(scene: impl Fn() + Send + Sync + 'static) {
    let mut report = Report::new();
    report.runs += explore(FEWER_PREEMPTIONS, &[], &Arc::new(scene)).runs;
}

/// Runs `scene` in each order, with the thread `number` dying before its first step; again, before its second; and so on,
/// until it has ended unharmed in each order.
pub(crate) fn each_death(number: usize, scene: impl Fn() + Send + Sync + 'static) {
    each_death_with(PREEMPTIONS, number, scene);
}

/// The same for a scene of many steps, with fewer preemptions.
pub(crate) fn each_death_in_a_crowd(number: usize, scene: impl Fn() + Send + Sync + 'static) {
    each_death_with(FEWER_PREEMPTIONS, number, scene);
}

fn each_death_with(usual: usize, number: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut report = Report::new();
    let scene = Arc::new(scene);
    for step in 0.. {
        let explored = explore(usual, &[Doom { number, step }], &scene);
        report.runs += explored.runs;
        if explored.died == 0 {
            break;
        }
    }
}

/// The same for two threads, with each step of the one and each of the other.
pub(crate) fn each_two_deaths(numbers: [usize; 2], scene: impl Fn() + Send + Sync + 'static) {
    let mut report = Report::new();
    let scene = Arc::new(scene);
    for first in 0.. {
        let mut died = 0;
        for second in 0.. {
            let dooms = [Doom { number: numbers[0], step: first }, Doom { number: numbers[1], step: second }];
            let explored = explore(PREEMPTIONS, &dooms, &scene);
            report.runs += explored.runs;
            died |= explored.died;
            if explored.died & 2 == 0 {
                break;
            }
        }
        if died & 1 == 0 {
            break;
        }
    }
}

struct Explored {
    runs: usize,
    /// A bit for each of the doomed that died in any of the runs.
    died: usize,
}

fn explore(usual: usize, dooms: &[Doom], scene: &Arc<impl Fn() + Send + Sync + 'static>) -> Explored {
    let runs = Arc::new(AtomicUsize::new(0));
    let died = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions(usual));
    builder.check({
        let (runs, died, scene, dooms) = (Arc::clone(&runs), Arc::clone(&died), Arc::clone(scene), dooms.to_vec());
        move || {
            // Relaxed, here and below: all of a model runs on one thread of the system.
            runs.fetch_add(1, Ordering::Relaxed);
            world::begin(&dooms);
            scene();
            let dead = world::end();
            let bits = dooms.iter().enumerate().map(|(index, doom)| usize::from(dead.contains(&doom.number)) << index);
            died.fetch_or(bits.sum(), Ordering::Relaxed);
        }
    });
    Explored { runs: runs.load(Ordering::Relaxed), died: died.load(Ordering::Relaxed) }
}

/// Says what a scene took, with `--nocapture`.
struct Report {
    runs: usize,
    begun: Instant,
}

impl Report {
    fn new() -> Report {
        Report { runs: 0, begun: Instant::now() }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let thread = std::thread::current();
        let (scene, seconds) = (thread.name().unwrap_or("?"), self.begun.elapsed().as_secs_f32());
        println!("{scene}: {} runs, {seconds:.1} s", self.runs);
    }
}
