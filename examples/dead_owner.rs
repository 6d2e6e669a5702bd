//! Kills a process in the middle of a transfer, while it holds the lock, and another waits for it; and recovers.
//!
//! ```text
//! cargo run --example dead_owner
//! ```
use std::time::{Duration, Instant};

use tine::Shared;
use tine::sync::{LockErrorOf, Mutex};

tine::plain! {
    /// Two balances, and what is on its way from the first to the second.
    #[derive(Clone, Copy, Debug)]
    struct Accounts { alice: u64, bob: u64, moving: u64 }
}

impl Accounts {
    fn sum(&self) -> u64 {
        self.alice + self.bob
    }
}

fn main() -> Result<(), tine::Error> {
    let accounts = Shared::new(Mutex::new(Accounts { alice: 100, bob: 0, moving: 0 }))?;
    println!("before: {:?}", *accounts.lock()?);

    let holder = tine::spawn(|| {
        let mut accounts = accounts.lock().unwrap();
        accounts.moving = 30; // what is meant is written down first, so that who comes next can finish it, or undo it
        accounts.alice -= accounts.moving;
        tine::process::stop().wait(); // half done, and here it will be killed
        accounts.bob += accounts.moving;
        accounts.moving = 0;
    })?;
    until(|| accounts.is_locked());
    println!("process {} has the lock, and has taken 30 from alice", holder.id());

    let waiter = tine::spawn(|| match accounts.lock() {
        Err(LockErrorOf::OwnerDied(mut left)) => {
            let me = std::process::id();
            println!("process {me} has the lock now, and is told that its owner died; left: {:?}", left.get());
            println!(
                "process {me} finds {} in all, where there should be 100, and gives the 30 back",
                left.get().sum()
            );
            let accounts = left.get_mut();
            accounts.alice = 100 - accounts.bob;
            accounts.moving = 0;
            drop(left.recover()); // in order again: the next is told nothing
        }
        Ok(_) => println!("the owner has let go by itself"),
        Err(error) => println!("{error}"),
    })?;
    // Asleep, it learns of the death from the kernel.
    let state = format!("/proc/{}/stat", waiter.id());
    until(|| std::fs::read_to_string(&state).is_ok_and(|stat| stat.contains(") S ")));
    println!("process {} waits for it", waiter.id());

    holder.kill()?;
    waiter.join()?;
    println!("the end of the dead: {}", holder.join().unwrap_err());

    let mut accounts = accounts.lock()?;
    accounts.alice -= 30;
    accounts.bob += 30;
    println!("the same transfer, undisturbed: {:?}", *accounts);
    assert_eq!(accounts.sum(), 100);
    Ok(())
}

fn until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
