//! Kills who sends, who receives and who works on a message, each in the middle of it; and counts what has arrived.
//!
//! ```text
//! cargo run --release --example killed_producer -- KILLS     so many senders; 50, if nothing is said
//! ```
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tine::channel::{RecvError, SendError, mpmc};
use tine::{JoinHandle, Shared};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

tine::plain! {
    /// The number of its sender, and the how many-th of that one it is.
    #[derive(Clone, Copy, Debug)]
    struct Message { sender: u32, number: u32 }
}

fn main() -> Result<()> {
    let kills = match std::env::args().nth(1) {
        None => 50,
        Some(text) => text.parse().map_err(|_| format!("{text} is no number of senders"))?,
    };
    senders_are_killed(kills)?;
    the_last_sender_is_killed()?;
    the_only_receiver_is_killed()?;
    a_worker_is_killed()
}

/// Each sends 1, 2, 3 and on, and is killed. Beside them is one that nobody kills, and that must not notice anything.
fn senders_are_killed(kills: u32) -> Result<()> {
    println!("{kills} senders are killed, one after the other, while another goes on");
    let (tx, mut rx) = mpmc::channel::<Message>(64)?;
    // What each sender knows to be sent: written down when `send` has returned.
    let known = Shared::<[AtomicU64]>::from_fn(kills as usize + 1, |_| AtomicU64::new(0))?;
    let mut received = vec![0_u32; kills as usize + 1];
    let mut receive = |message: Message| {
        let last = &mut received[message.sender as usize];
        assert_eq!(message.number, *last + 1, "none is missing, none comes twice, none before another");
        *last = message.number;
        message.sender
    };

    let undisturbed = spawn_sender(0, tx.clone(), &known)?;
    for sender in 1..=kills {
        let victim = spawn_sender(sender, tx.clone(), &known)?;
        // Some hundred of its messages later it is anywhere: before a commit, behind it, asleep since the ring is full.
        let mut some = 100 + 7 * sender;
        while some > 0 {
            some -= u32::from(receive(rx.recv()?) == sender);
        }
        victim.kill()?;
        assert!(victim.join().is_err());
    }
    undisturbed.request_stop()?;
    drop(tx); // now it has the only sender
    while let Ok(message) = rx.recv() {
        receive(message);
    }
    assert_eq!(undisturbed.join()?, received[0], "what it knows to be sent has arrived");

    // Of one that was killed between the commit and its note there is one more than it knew.
    let known: Vec<u32> = known.iter().map(|known| known.load(SeqCst) as u32).collect();
    let (mut sent, mut arrived) = (0, 0);
    for victim in 1..received.len() {
        (sent, arrived) = (sent + known[victim], arrived + received[victim]);
        assert!([0, 1].contains(&(received[victim] - known[victim])));
    }
    println!("  {sent} messages were known to be sent by those who died; {arrived} have arrived, each once, in order");
    println!("  the other was not disturbed: {} have arrived", received[0]);
    Ok(())
}

fn spawn_sender(sender: u32, mut tx: mpmc::Sender<Message>, known: &Shared<[AtomicU64]>) -> Result<JoinHandle<u32>> {
    Ok(tine::spawn(move || {
        let mut number = 0;
        while !tine::process::stop().is_requested() && tx.send(Message { sender, number: number + 1 }).is_ok() {
            number += 1;
            known[sender as usize].store(u64::from(number), SeqCst);
        }
        number
    })?)
}

fn the_last_sender_is_killed() -> Result<()> {
    println!("the last sender is killed with messages in the queue");
    let (mut tx, mut rx) = mpmc::channel::<u64>(64)?;
    let sender = tine::spawn(move || {
        tx.send_slice(&[1, 2, 3]).expect("its receiver is there");
        tine::process::stop().wait(); // where it will be killed
    })?;
    until(|| rx.len() == 3)?;
    let pid = sender.id();
    sender.kill()?;
    assert!(sender.join().is_err());
    for received in &mut rx {
        match received {
            Ok(number) => println!("  received: {number}"),
            Err(error) => {
                println!("  then told: {error}");
                assert!(matches!(error, RecvError::PeerDied(death) if death.pid == pid));
            }
        }
    }
    Ok(())
}

fn the_only_receiver_is_killed() -> Result<()> {
    println!("the only receiver is killed, and has left messages");
    let (mut tx, mut rx) = mpmc::channel::<u64>(8)?;
    let receiver = tine::spawn(move || {
        let _ = rx.recv();
        tine::process::stop().wait(); // where it will be killed
    })?;
    tx.send_slice(&[1, 2, 3])?;
    until(|| tx.len() == 2)?;
    let pid = receiver.id();
    receiver.kill()?;
    assert!(receiver.join().is_err());
    // A send does not look who is there while there is room: that is what makes it cheap. What it has sent is counted.
    for number in 4.. {
        if let Err(error) = tx.send(number) {
            println!("  {number} was not sent: {error}");
            assert!(matches!(error, SendError::PeerDied(_, death) if death.pid == pid && death.in_flight >= 2));
            break;
        }
    }
    Ok(())
}

fn a_worker_is_killed() -> Result<()> {
    println!("a worker is killed that has claimed a message");
    let (mut tx, mut rx) = mpmc::channel::<u64>(64)?;
    tx.send_slice(&[7, 8])?;
    let mut theirs = rx.clone();
    let worker = tine::spawn(move || {
        let claim = theirs.claim();
        tine::process::stop().wait(); // where it will be killed
        drop(claim);
    })?;
    until(|| rx.len() == 1)?;
    println!("  process {} has one of two messages in hand", worker.id());
    worker.kill()?;
    assert!(worker.join().is_err());
    for expected in [(7, 2), (8, 1)] {
        let claim = rx.claim()?;
        println!("  claimed: {}, attempt {}", *claim, claim.attempts());
        assert_eq!((*claim, claim.attempts()), expected);
        claim.done();
    }
    Ok(())
}

fn until(happened: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !happened() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("it does not happen".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
