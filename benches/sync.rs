//! `cargo bench --bench sync`: locks between processes against those of std between threads and the C library's robust
//! ones between processes; how soon a death is noticed; how long a wait takes when others are always faster.

#[path = "support/robust.rs"]
mod robust;
#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use robust::Robust;
use support::{Goal, Table, quick};
use tine::Shared;
use tine::sync::{Event, LockErrorOf, Mutex, RwLock, Semaphore};

/// The time of a thousand calls of `f`: one takes too few nanoseconds for a ratio of whole ones.
fn thousand(mut f: impl FnMut()) -> Duration {
    let times = if quick() { 1 } else { 100 };
    let start = Instant::now();
    for _ in 0..times * 1000 {
        f();
    }
    start.elapsed() / times
}

/// Puts this process on one CPU, if there is that one; two that contend are to run at the same time.
fn run_on(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Lets this process run anywhere again.
fn run_anywhere() {
    let mut set = rustix::thread::CpuSet::new();
    (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu));
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

fn uncontended() {
    let ours = Shared::new(Mutex::new(0_u64)).expect("memory");
    let robust = Robust::new();
    let std = std::sync::Mutex::new(0_u64);
    Table::new("a thousand times: lock, add, unlock; one thread", "std::sync::Mutex (threads)", || {
        thousand(|| *black_box(&std).lock().expect("not poisoned") += 1)
    })
    .row("tine::sync::Mutex (processes)", Goal::AtMost(1.6), || {
        thousand(|| *black_box(&*ours).lock().expect("not dead") += 1)
    })
    .row("pthread robust mutex (processes)", Goal::None, || thousand(|| black_box(&robust).with(|n| *n += 1)))
    .print(51);

    let ours = Shared::new(RwLock::new(0_u64)).expect("memory");
    let std = std::sync::RwLock::new(0_u64);
    Table::new("a thousand times: lock to read, read, unlock; one thread", "std::sync::RwLock (threads)", || {
        thousand(|| {
            black_box(*black_box(&std).read().expect("not poisoned"));
        })
    })
    .row("tine::sync::RwLock (processes)", Goal::AtMost(1.6), || {
        thousand(|| {
            black_box(*black_box(&*ours).read().expect("not dead"));
        })
    })
    .print(51);
    Table::new("a thousand times: lock to write, write, unlock; one thread", "std::sync::RwLock (threads)", || {
        thousand(|| *black_box(&std).write().expect("not poisoned") += 1)
    })
    .row("tine::sync::RwLock (processes)", Goal::None, || {
        thousand(|| *black_box(&*ours).write().expect("not dead") += 1)
    })
    .print(51);

    // std has neither: this is how they are made of what it has.
    let ours = Shared::new(Semaphore::new(4)).expect("memory");
    let std = (std::sync::Mutex::new(4_u32), Condvar::new());
    Table::new(
        "a thousand times: acquire a permit, give it back; one thread",
        "std's Mutex and Condvar (threads)",
        || {
            thousand(|| {
                let (permits, more) = black_box(&std);
                let mut left =
                    more.wait_while(permits.lock().expect("not poisoned"), |left| *left == 0).expect("the same");
                *left -= 1;
                drop(left);
                *permits.lock().expect("not poisoned") += 1;
                more.notify_one();
            })
        },
    )
    .row("tine::sync::Semaphore (processes)", Goal::AtMost(1.6), || {
        thousand(|| drop(black_box(&*ours).acquire().expect("there are four")))
    })
    .print(51);

    let ours = Shared::new(Event::new()).expect("memory");
    let std = (std::sync::Mutex::new(false), Condvar::new());
    Table::new(
        "a thousand times: set an event, wait for it, clear it; one thread",
        "std's Mutex and Condvar (threads)",
        || {
            thousand(|| {
                let (set, changed) = black_box(&std);
                *set.lock().expect("not poisoned") = true;
                changed.notify_all();
                drop(changed.wait_while(set.lock().expect("not poisoned"), |set| !*set).expect("the same"));
                *set.lock().expect("not poisoned") = false;
            })
        },
    )
    .row("tine::sync::Event (processes)", Goal::AtMost(1.6), || {
        thousand(|| {
            let event = black_box(&*ours);
            event.set();
            event.wait();
            event.clear();
        })
    })
    .print(51);
}

/// Runs `f` in two processes, on two CPUs, which begin at the same time.
fn in_two_processes<R: tine::wire::Wire>(f: impl Fn() -> R) -> [R; 2] {
    let gate = Shared::new(AtomicU32::new(0)).expect("memory");
    let run = |cpu| {
        run_on(cpu);
        // Acquire and Release: nothing is handed over but the beginning.
        gate.fetch_add(1, Ordering::AcqRel);
        while gate.load(Ordering::Acquire) < 2 {
            std::hint::spin_loop();
        }
        f()
    };
    let other = tine::spawn(|| run(1)).expect("a child");
    let here = run(0);
    let other = other.join().expect("it ends");
    run_anywhere();
    [here, other]
}

fn contended() {
    let ours = Shared::new(Mutex::new(0_u64)).expect("memory");
    let robust = Robust::new();
    Table::new(
        "a thousand times: lock, add, unlock; two processes that do nothing else",
        "pthread robust mutex",
        || {
            let [a, b] = in_two_processes(|| thousand(|| robust.with(|n| *n += 1)));
            (a + b) / 2
        },
    )
    .row("tine::sync::Mutex", Goal::AtMost(1.0), || {
        let [a, b] = in_two_processes(|| thousand(|| *ours.lock().expect("not dead") += 1));
        (a + b) / 2
    })
    .print(31);
}

fn nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn quantiles(title: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize] as f64 / 1e3;
    println!(
        "{title:<44} p50 {:>8.1} us   p99 {:>8.1} us   p99.9 {:>8.1} us   most {:>8.1} us   of {}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        times.len()
    );
}

/// From just before the SIGKILL of the holder to the return of the waiter's `lock`.
fn death_notice() {
    println!(
        "\nfrom SIGKILL of the holder to the return of a waiter's lock; goal: p50 at most 200 us, p99 at most 5 ms"
    );
    let mutex = Shared::new(Mutex::new(0_u64)).expect("memory");
    let mut times = Vec::new();
    for _ in 0..if quick() { 3 } else { 1000 } {
        let holder = tine::spawn(|| {
            let _guard = mutex.lock_or_repair(|_| ()).expect("free");
            tine::process::stop().wait();
        })
        .expect("a child");
        while !mutex.is_locked() {
            std::thread::yield_now();
        }
        let waiter = tine::spawn(|| match mutex.lock() {
            Err(LockErrorOf::OwnerDied(_)) => nanos(),
            _ => 0,
        })
        .expect("a child");
        let call = format!("/proc/{}/syscall", waiter.id());
        let sleeps = libc::SYS_futex_waitv.to_string() + " ";
        while !std::fs::read_to_string(&call).is_ok_and(|call| call.starts_with(&sleeps)) {
            std::thread::yield_now();
        }
        let killed = nanos();
        holder.kill().expect("it lives");
        let told = waiter.join().expect("it ends");
        assert!(told > killed, "the waiter was told of the death");
        times.push(told - killed);
        let _ = holder.join();
    }
    quantiles("tine::sync::Mutex", times);
}

/// How long one waits for a lock that another takes again and again, each for about a microsecond, with as much between.
fn waits(lock: impl Fn(&mut dyn FnMut())) -> Vec<u64> {
    let rounds = if quick() { 10 } else { 200_000 };
    let work = || {
        for i in 0..300 {
            black_box(i);
        }
    };
    (0..rounds)
        .map(|_| {
            let start = nanos();
            let mut had = 0;
            lock(&mut || {
                had = nanos();
                work();
            });
            work();
            had - start
        })
        .collect()
}

fn fairness() {
    println!("\nhow long a lock is waited for that another takes again and again, for 1 us with 1 us between");
    let ours = Shared::new(Mutex::new(0_u64)).expect("memory");
    let robust = Robust::new();
    let std = std::sync::Mutex::new(0_u64);
    let both = |title, waits: &dyn Fn() -> Vec<u64>| quantiles(title, in_two_processes(waits).concat());
    for _ in 0..if quick() { 1 } else { 3 } {
        both("tine::sync::Mutex (processes)", &|| {
            waits(|f| {
                let mut number = ours.lock().expect("not dead");
                f();
                *number += 1;
            })
        });
        both("pthread robust mutex (processes)", &|| {
            waits(|f| {
                robust.with(|number| {
                    f();
                    *number += 1;
                })
            })
        });
        std::thread::scope(|s| {
            let run = || {
                waits(|f| {
                    let mut number = std.lock().expect("not poisoned");
                    f();
                    *number += 1;
                })
            };
            let other = s.spawn(move || {
                run_on(1);
                run()
            });
            run_on(0);
            let mut times = run();
            times.extend(other.join().expect("it ends"));
            run_anywhere();
            quantiles("std::sync::Mutex (threads)", times);
        });
    }
}

fn main() {
    uncontended();
    contended();
    death_notice();
    fairness();
}
