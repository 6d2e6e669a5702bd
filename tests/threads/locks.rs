//! What locks guard, and what events, barriers and the like promise: that what was written before is seen behind them.

use std::cell::UnsafeCell;
use std::thread;

use tine::Shared;
use tine::sync::{Barrier, Condvar, Event, Mutex, Once, RwLock, Semaphore};

use crate::MANY;

const THREADS: u64 = 3;

/// An ordinary word, read and written as such: only what is tested keeps the threads from each other.
struct Word(UnsafeCell<u64>);

// SAFETY: each test says who may be at it when. Where it is wrong, a sanitizer says so.
unsafe impl Sync for Word {}

impl Word {
    fn new() -> Word {
        Word(UnsafeCell::new(0))
    }

    fn get(&self) -> u64 {
        // SAFETY: as for `Sync`.
        unsafe { *self.0.get() }
    }

    fn set(&self, value: u64) {
        // SAFETY: as for `Sync`.
        unsafe { *self.0.get() = value }
    }
}

fn by_threads(work: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

pub fn mutexes() {
    let (mutex, word) = (Shared::new(Mutex::new([0_u64; 3])).unwrap(), Word::new());
    by_threads(|number| {
        for n in 0..MANY {
            let mut guard = match n % 3 {
                0 => mutex.lock().unwrap(),
                1 => mutex.lock_timeout(std::time::Duration::from_secs(10)).unwrap(),
                _ => match mutex.try_lock() {
                    Ok(guard) => guard,
                    Err(_) => mutex.lock().unwrap(),
                },
            };
            guard[number as usize] += 1;
            // The holder's.
            word.set(word.get() + 1);
        }
    });
    assert_eq!((*mutex.lock().unwrap(), word.get()), ([MANY; 3], THREADS * MANY));
}

tine::share! {
    struct Table {
        eggs: Mutex<u64>,
        more: Condvar,
        less: Condvar,
    }
}

/// A basket with room for three.
pub fn conditions() {
    let table = Table { eggs: Mutex::new(0), more: Condvar::new(), less: Condvar::new() };
    let (table, word) = (Shared::new(table).unwrap(), Word::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..MANY {
                    let mut eggs = table.less.wait_while(table.eggs.lock().unwrap(), |eggs| *eggs >= 3).unwrap();
                    *eggs += 1;
                    word.set(word.get() + 1);
                    table.more.notify_one();
                }
            });
        }
        for _ in 0..2 * MANY {
            let mut eggs = table.more.wait_while(table.eggs.lock().unwrap(), |eggs| *eggs == 0).unwrap();
            *eggs -= 1;
            word.set(word.get() - 1);
            table.less.notify_all();
        }
    });
    assert_eq!((*table.eggs.lock().unwrap(), word.get()), (0, 0));
}

pub fn readers_and_writers() {
    let (lock, word) = (Shared::new(RwLock::<[u64; 4]>::new([0; 4])).unwrap(), Word::new());
    by_threads(|number| {
        for n in 0..MANY {
            if (n + number).is_multiple_of(4) {
                let mut all = lock.write().unwrap();
                all.iter_mut().for_each(|one| *one += 1);
                word.set(word.get() + 1);
            } else {
                let all = lock.read().unwrap();
                assert_eq!(*all, [word.get(); 4]);
            }
        }
    });
    assert_eq!(word.get(), THREADS * MANY / 4);
}

/// One permit is a lock; and a permit that is added is a message.
pub fn semaphores() {
    let (one, word) = (Shared::new(Semaphore::new(1)).unwrap(), Word::new());
    by_threads(|_| {
        for _ in 0..MANY {
            let _permit = one.acquire().unwrap();
            word.set(word.get() + 1);
        }
    });
    assert_eq!(word.get(), THREADS * MANY);
}

/// Each writes the word in its turn, between two meetings.
pub fn barriers() {
    let (barrier, word) = (Shared::new(Barrier::new(THREADS as usize)).unwrap(), Word::new());
    by_threads(|number| {
        for n in 0..MANY / 4 {
            if n % THREADS == number {
                word.set(word.get() + 1);
            }
            barrier.wait().unwrap();
            assert_eq!(word.get(), n + 1);
            barrier.wait().unwrap();
        }
    });
}

pub fn events() {
    for n in 0..MANY / 10 {
        let (event, words) = (Shared::new(Event::new()).unwrap(), [Word::new(), Word::new()]);
        thread::scope(|scope| {
            scope.spawn(|| {
                words[0].set(n);
                event.set();
            });
            scope.spawn(|| {
                event.wait();
                assert_eq!(words[0].get(), n);
            });
            event.wait();
            words[1].set(words[0].get());
        });
    }
}

pub fn once() {
    for n in 0..MANY / 10 {
        let (once, word) = (Shared::new(Once::new()).unwrap(), Word::new());
        by_threads(|_| {
            once.call_once(|| word.set(n)).unwrap();
            assert_eq!(word.get(), n);
        });
    }
}
