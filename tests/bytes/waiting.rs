//! Waiting, with limits, through signals; whose an end is.

use std::time::{Duration, Instant};

use tine::channel::bytes;
use tine::channel::{
    PeerDeath, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Spin, TryRecvError, TrySendError,
};
use tine::sync::Event;
use tine::{Shared, wait};

use crate::cases;
use crate::support::Case;
use crate::{pattern, storm};

pub const CASES: &[Case] = cases![
    waits_have_limits,
    a_message_that_was_given_up_is_none,
    what_has_come_is_kept_for_the_next_call,
    a_sleeping_sender_is_woken_by_room,
    it_works_however_one_waits,
    waits_go_on_through_a_storm_of_signals,
    a_closed_end_is_told_after_the_last_message,
    a_closed_receiver_is_told_at_once,
    an_end_that_was_only_borrowed_stays,
    an_end_goes_on_to_a_grandchild,
    a_receiver_is_waited_for_beside_others,
    the_iterator_ends_with_the_channel,
    ping_pong,
];

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn waits_have_limits() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let begun = Instant::now();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(matches!(rx.peek_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
    tx.send(&[1; 4088]).unwrap();
    assert_eq!(tx.send_timeout(b"", SHORT), Err(SendTimeoutError::Timeout(())));
    assert!(matches!(tx.reserve_timeout(0, SHORT), Err(SendTimeoutError::Timeout(()))));
    assert!(begun.elapsed() >= 4 * SHORT);
    assert_eq!(rx.recv_timeout(LONG).unwrap(), [1; 4088]);
    tx.send_timeout(b"there is room", LONG).unwrap();
    tx.reserve_timeout(0, Duration::MAX).unwrap().commit().unwrap();
    assert_eq!(rx.recv_timeout(Duration::MAX).unwrap(), b"there is room");
    assert!(rx.peek_timeout(Duration::ZERO).unwrap().is_empty());
}

fn a_message_that_was_given_up_is_none() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    for i in 0..50 {
        assert_eq!(tx.send_timeout(&[7; 100_000], Duration::ZERO), Err(SendTimeoutError::Timeout(())));
        assert!(!tx.is_empty(), "a part of it went into the ring");
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert!(rx.is_empty(), "and was taken out");
        // Another one that is given up begins while the first has no end.
        assert_eq!(tx.send_timeout(&[8; 50_000], Duration::ZERO), Err(SendTimeoutError::Timeout(())));
        if i % 2 == 0 {
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            tx.try_send(&pattern(i, 50)).unwrap();
            assert_eq!(rx.try_recv().unwrap(), pattern(i, 50), "the next one");
        }
    }
    // A part is gathered, and a message in parts follows.
    assert_eq!(tx.send_timeout(&[7; 100_000], Duration::ZERO), Err(SendTimeoutError::Timeout(())));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let child = tine::spawn(move || tx.send(&pattern(1, 50_000)).unwrap()).unwrap();
    assert!(rx.recv_timeout(LONG).unwrap() == pattern(1, 50_000));
    child.join().unwrap();
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn what_has_come_is_kept_for_the_next_call() {
    let (tx, mut rx) = bytes::channel(4096).unwrap();
    let (half, whole) = (Shared::new(Event::new()).unwrap(), pattern(1, 50_000));
    let child = tine::spawn(|| {
        half.wait();
        let mut tx = tx;
        tx.send(&whole).unwrap();
        tx.send(b"next").unwrap();
    })
    .unwrap();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    half.set();
    // Each call takes out what is there.
    let message = loop {
        match rx.recv_timeout(Duration::from_micros(50)) {
            Ok(message) => break message,
            Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
        }
    };
    assert!(message == whole);
    assert_eq!(rx.recv().unwrap(), b"next");
    child.join().unwrap();
}

fn a_sleeping_sender_is_woken_by_room() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        tx.set_spin(Spin::Never);
        for i in 0..2000 {
            tx.send(&pattern(i, 4088)).unwrap();
        }
    })
    .unwrap();
    rx.set_spin(Spin::Never);
    for i in 0..2000 {
        assert!(rx.recv_timeout(LONG).unwrap() == pattern(i, 4088), "{i}");
    }
    child.join().unwrap();
}

fn it_works_however_one_waits() {
    for (sending, receiving) in
        [(Spin::Adaptive, Spin::Never), (Spin::Never, Spin::Adaptive), (Spin::Always, Spin::Always)]
    {
        let (mut tx, mut rx) = bytes::channel(4096).unwrap();
        tx.set_spin(sending);
        rx.set_spin(receiving);
        let child = tine::spawn(move || (0..200).for_each(|i| tx.send(&pattern(i, i * 100)).unwrap())).unwrap();
        for i in 0..200 {
            assert!(rx.recv_timeout(LONG).unwrap() == pattern(i, i * 100), "{i}");
        }
        assert_eq!(rx.recv(), Err(RecvError::Disconnected));
        child.join().unwrap();
    }
}

fn waits_go_on_through_a_storm_of_signals() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        storm::start();
        for i in 0..3000 {
            tx.send(&pattern(i, i * 37 % 9000)).unwrap();
        }
        assert!(tx.send_timeout(&[0; 1 << 20], SHORT).is_err(), "nobody receives any more");
        while storm::signals() < 20 {
            assert_eq!(tx.send_timeout(&[0; 4088], SHORT), Err(SendTimeoutError::Timeout(())));
        }
        storm::stop();
    })
    .unwrap();
    storm::start();
    for i in 0..3000 {
        assert!(rx.recv().unwrap() == pattern(i, i * 37 % 9000), "{i}");
    }
    child.join().unwrap();
    storm::stop();
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn a_closed_end_is_told_after_the_last_message() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    assert!(!rx.is_disconnected());
    tx.send(b"last").unwrap();
    drop(tx);
    assert!(rx.is_disconnected());
    assert_eq!(rx.try_recv().unwrap(), b"last");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    assert_eq!(rx.recv(), Err(RecvError::Disconnected));
}

fn a_closed_receiver_is_told_at_once() {
    let (mut tx, rx) = bytes::channel(4096).unwrap();
    tx.send(b"lost").unwrap();
    drop(rx);
    assert!(tx.is_disconnected());
    assert_eq!(tx.send(b"x"), Err(SendError::Disconnected(())));
    assert_eq!(tx.send(&[0; 9000]), Err(SendError::Disconnected(())));
    assert_eq!(tx.try_send(b"x"), Err(TrySendError::Disconnected(())));
    assert!(matches!(tx.reserve(1), Err(SendError::Disconnected(()))));

    // One that sleeps for room is woken.
    let (mut tx, rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || tx.send(&[0; 1 << 20]) == Err(SendError::Disconnected(()))).unwrap();
    crate::support::until("it waits for room", || rx.len() > 2048);
    drop(rx);
    assert!(child.join().unwrap());
}

fn an_end_that_was_only_borrowed_stays() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(|| {
        let sent = tx.send(b"from a copy") == Err(SendError::NotOwner(()));
        let reserved = matches!(tx.try_reserve(1), Err(TrySendError::NotOwner(())));
        let received = rx.try_recv() == Err(TryRecvError::NotOwner);
        sent && reserved && received
    })
    .unwrap();
    assert!(child.join().unwrap());
    tx.send(b"from its owner").unwrap();
    assert_eq!(rx.recv().unwrap(), b"from its owner");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "no copy has closed anything");
}

fn an_end_goes_on_to_a_grandchild() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(&pattern(0, 3000)).unwrap();
    let child = tine::spawn(move || {
        tx.send(&pattern(1, 300)).unwrap();
        let grandchild = tine::spawn(move || tx.send(&pattern(2, 30_000)).unwrap()).unwrap();
        grandchild.join().unwrap();
    })
    .unwrap();
    for (i, len) in [3000, 300, 30_000].into_iter().enumerate() {
        assert!(rx.recv_timeout(LONG).unwrap() == pattern(i, len));
    }
    assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    child.join().unwrap();
}

fn a_receiver_is_waited_for_beside_others() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let (mut back, mut answer) = bytes::channel(4096).unwrap();
    assert_eq!(wait(&[&rx], Some(Duration::ZERO)).unwrap(), None);
    let child = tine::spawn(move || {
        answer.recv().unwrap();
        tx.send(b"for words alone").unwrap();
        answer.recv().unwrap();
        tx.send(&[1; 10_000]).unwrap();
        answer.recv().unwrap();
    })
    .unwrap();
    let never = Event::new();
    assert_eq!(wait(&[&never, &rx], Some(SHORT)).unwrap(), None);
    back.send(b"").unwrap();
    assert_eq!(wait(&[&never, &rx], Some(LONG)).unwrap(), Some(1));
    assert_eq!(rx.recv().unwrap(), b"for words alone");
    back.send(b"").unwrap();
    // Beside a descriptor. A part of a message makes it ready, too.
    let message = loop {
        assert_eq!(wait(&[&child, &rx], Some(LONG)).unwrap(), Some(1));
        match rx.try_recv() {
            Ok(message) => break message,
            Err(error) => assert_eq!(error, TryRecvError::Empty),
        }
    };
    assert_eq!(message, [1; 10_000]);
    back.send(b"").unwrap();
    // It ends, and so does the channel.
    assert_eq!(wait(&[&never, &rx], Some(LONG)).unwrap(), Some(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    child.join().unwrap();
}

fn the_iterator_ends_with_the_channel() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    tx.send(b"1").unwrap();
    tx.send(b"2").unwrap();
    drop(tx);
    let all: Vec<_> = rx.iter().collect();
    assert_eq!(all, [Ok(b"1".to_vec()), Ok(b"2".to_vec())]);
    assert_eq!((&mut rx).into_iter().next(), None);

    let (mut tx, rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        tx.send(b"1").unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    })
    .unwrap();
    let all: Vec<_> = rx.into_iter().collect();
    let pid = child.id();
    assert!(matches!(&all[..], [Ok(_), Err(RecvError::PeerDied(PeerDeath { pid: p, in_flight: 0, .. }))] if *p == pid));
    child.wait().unwrap();
}

fn ping_pong() {
    let (mut ping, mut hear) = bytes::channel(4096).unwrap();
    let (mut pong, mut back) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        for message in hear.iter() {
            pong.send(&message.unwrap()).unwrap();
        }
    })
    .unwrap();
    for i in 0..3000 {
        let message = pattern(i, i % 6000);
        ping.send(&message).unwrap();
        assert!(back.recv_timeout(LONG).unwrap() == message, "{i}");
    }
    drop(ping);
    child.join().unwrap();
}
