//! A frozen copy of everything, while the parent goes on.
mod support;

use std::io::{Read, Write};

use tine::memory::{Advice, Private, snapshot};
use tine::process::{Cause, JoinError, Signal};

fn main() {
    support::run(cases![
        it_sees_one_moment,
        what_the_parent_writes_is_copied_and_counted,
        a_killed_snapshot_is_an_error,
        it_joins_like_any_child,
    ]);
}

fn it_sees_one_moment() {
    let mut map: std::collections::BTreeMap<u64, u64> = (0..20_000).map(|key| (key, 0)).collect();
    let (mut gate, mut go_on) = std::io::pipe().unwrap();
    let frozen = snapshot(|| {
        // Only when the parent has changed everything.
        gate.read_exact(&mut [0]).unwrap();
        (map.len() as u64, map.values().sum::<u64>())
    });
    let frozen = frozen.unwrap();
    map.values_mut().for_each(|value| *value += 1);
    map.insert(20_000, 1);
    go_on.write_all(b"!").unwrap();
    assert_eq!(frozen.join().unwrap(), (20_000, 0));
    assert_eq!(map.values().sum::<u64>(), 20_001);
}

fn what_the_parent_writes_is_copied_and_counted() {
    const PAGES: usize = 4096;
    let page = rustix::param::page_size();
    let mut region = Private::<[u8]>::zeroed(PAGES * page).unwrap();
    // Huge pages would be copied 512 at a time.
    let _ = region.advise(Advice::NoHugePages);
    region.fill(1);
    let (gate, go_on) = std::io::pipe().unwrap();
    let frozen = snapshot(|| {
        let _ = (&gate).read(&mut [0]);
        region.iter().map(|&byte| u64::from(byte)).sum::<u64>()
    });
    let frozen = frozen.unwrap();
    let before = frozen.copied_bytes().unwrap();
    let half = (PAGES / 2 * page) as u64;
    assert!(before < half, "{before} bytes are copied before anything was written");
    region[..PAGES / 2 * page].iter_mut().step_by(page).for_each(|byte| *byte = 2);
    let after = frozen.copied_bytes().unwrap();
    // Every page that was written, and little else.
    assert!((before + half..before + half + half / 4).contains(&after), "{before} became {after}, {half} were written");
    (&go_on).write_all(b"!").unwrap();
    assert!(frozen.wait().unwrap().success());
    assert_eq!(frozen.copied_bytes().unwrap(), after, "what was seen last, when there is nothing left to see");
    assert_eq!(frozen.join().unwrap(), (PAGES * page) as u64);
}

fn a_killed_snapshot_is_an_error() {
    let frozen = snapshot(|| tine::process::stop().wait()).unwrap();
    frozen.kill().unwrap();
    let Err(JoinError::Died(exit)) = frozen.join() else { panic!("a killed snapshot has a result") };
    assert_eq!(exit.cause, Cause::Signal(Signal::KILL));
}

fn it_joins_like_any_child() {
    let mut frozen = snapshot(|| {
        tine::process::stop().wait();
        7_u64
    })
    .unwrap();
    assert_eq!(frozen.try_join().unwrap(), None);
    assert_eq!(frozen.join_timeout(std::time::Duration::ZERO).unwrap(), None);
    frozen.request_stop().unwrap();
    assert_eq!(frozen.join_timeout(std::time::Duration::from_secs(20)).unwrap(), Some(7));
    assert!(matches!(frozen.try_join(), Err(JoinError::AlreadyJoined)));
}
