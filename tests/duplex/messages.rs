//! Values, sizes, order, deadlines.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tine::channel::duplex::frame::BODY;
use tine::channel::{Duplex, DuplexRecvError, DuplexSendError, duplex};
use tine::process::stop;

use crate::support::Case;
use crate::{LONG, cases, pattern, storm};

pub const CASES: &[Case] = cases![
    values_cross_both_ways,
    messages_of_every_size_arrive_whole,
    messages_neither_merge_nor_pass_each_other,
    what_is_sent_is_there_for_a_look,
    an_empty_channel_is_told_in_time,
    a_full_channel_gives_the_value_back,
    a_large_message_that_is_given_up_never_arrives,
    half_of_a_message_is_kept_until_the_rest_comes,
    a_value_that_does_not_encode_comes_back,
    a_message_over_the_limit_costs_itself_only,
    the_iterator_ends_with_the_other_end,
    threads_share_an_end,
    threads_wait_for_their_turn_no_longer_than_they_may,
    it_can_be_waited_for,
    messages_survive_a_storm_of_signals,
    errors_become_those_of_io,
];

fn values_cross_both_ways() {
    type Question = (String, Vec<u32>, Option<BTreeMap<u8, f64>>);
    let (here, there) = duplex::<Question, Result<HashSet<String>, u64>>().unwrap();
    let child = tine::spawn(move || {
        let mut count = 0;
        for question in &there {
            let (name, numbers, map) = question.unwrap();
            count += 1;
            match map {
                None => there.send(Err(numbers.len() as u64)).unwrap(),
                Some(map) => there.send(Ok(map.keys().map(|key| format!("{name}{key}")).collect())).unwrap(),
            }
        }
        count
    })
    .unwrap();
    here.send(("a".into(), vec![1, 2, 3], None)).unwrap();
    here.send(("b".into(), vec![], Some([(1, 0.5), (2, 1.5)].into()))).unwrap();
    assert_eq!(here.recv().unwrap(), Err(3));
    assert_eq!(here.recv().unwrap(), Ok(["b1".to_string(), "b2".to_string()].into()));
    drop(here);
    assert_eq!(child.join().unwrap(), 2);
}

fn messages_of_every_size_arrive_whole() {
    // The length of a Vec takes 1, 3 or 5 bytes.
    let borders = [0, 1, 250, 251, BODY - 5, BODY - 4, BODY - 3, BODY, BODY + 1, 2 * BODY - 5, 2 * BODY - 4, 3 * BODY];
    let sizes: Vec<usize> = borders.into_iter().chain([1 << 20, (16 << 20) + 7]).collect();
    let (here, there) = duplex::<Vec<u8>, Vec<u8>>().unwrap();
    let child = tine::spawn(move || {
        for message in &there {
            let mut message = message.unwrap();
            message.reverse();
            there.send(message).unwrap();
        }
    })
    .unwrap();
    for (seed, &size) in sizes.iter().enumerate() {
        let sent = pattern(seed, size);
        here.send(sent.clone()).unwrap();
        let mut back = here.recv().unwrap();
        back.reverse();
        assert!(back == sent, "{size}");
    }
    drop(here);
    child.join().unwrap();
}

fn messages_neither_merge_nor_pass_each_other() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let child = tine::spawn(move || (0..2000).for_each(|i| here.send(pattern(i, i * 37 % 70_000)).unwrap())).unwrap();
    for i in 0..2000 {
        assert!(there.recv().unwrap() == pattern(i, i * 37 % 70_000), "{i}");
    }
    assert!(matches!(there.recv(), Err(DuplexRecvError::Disconnected)));
    child.join().unwrap();
}

fn what_is_sent_is_there_for_a_look() {
    let (here, there) = duplex::<Vec<u8>, u8>().unwrap();
    for len in [0, 1, 1000, BODY, BODY + 1, 2 * BODY] {
        here.try_send(pattern(1, len)).unwrap();
        assert!(there.try_recv().unwrap() == pattern(1, len), "{len}");
        assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
    }
    there.try_send(3).unwrap();
    assert_eq!(here.recv_timeout(Duration::ZERO).unwrap(), 3);
}

fn an_empty_channel_is_told_in_time() {
    let (here, _there) = duplex::<u8, u8>().unwrap();
    assert!(matches!(here.try_recv(), Err(DuplexRecvError::Empty)));
    let start = std::time::Instant::now();
    assert!(matches!(here.recv_timeout(Duration::from_millis(60)), Err(DuplexRecvError::Timeout)));
    assert!(start.elapsed() >= Duration::from_millis(60), "not before its time");
    assert!(matches!(here.recv_timeout(Duration::ZERO), Err(DuplexRecvError::Timeout)));
}

fn fill(end: &Duplex<Vec<u8>, ()>) -> usize {
    let mut sent = 0;
    loop {
        match end.try_send(pattern(sent, 1000)) {
            Ok(()) => sent += 1,
            Err(DuplexSendError::Full(value)) => {
                assert!(value == pattern(sent, 1000));
                return sent;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn a_full_channel_gives_the_value_back() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let sent = fill(&here);
    assert!(sent > 20, "{sent}");
    let late = here.send_timeout(pattern(sent, 1000), Duration::from_millis(20));
    assert!(matches!(late, Err(DuplexSendError::Timeout(value)) if value == pattern(sent, 1000)));
    for i in 0..sent {
        assert!(there.recv().unwrap() == pattern(i, 1000));
    }
    assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)), "what was given back was not sent");
    here.try_send(vec![1]).unwrap();
    assert_eq!(there.recv().unwrap(), [1]);
}

fn a_large_message_that_is_given_up_never_arrives() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    for _ in 0..3 {
        let large = pattern(9, 10 << 20);
        let given_up = here.send_timeout(large.clone(), Duration::from_millis(20));
        assert!(matches!(given_up, Err(DuplexSendError::Timeout(value)) if value == large));
        // Half of it is in the way of the next, and taken away.
        assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
        here.send(vec![1, 2]).unwrap();
        assert_eq!(there.recv().unwrap(), [1, 2]);
    }
    assert!(matches!(here.try_send(pattern(9, 10 << 20)), Err(DuplexSendError::Full(_))));
    drop(here);
    assert!(matches!(there.recv(), Err(DuplexRecvError::Disconnected)), "no part of it, and no death");
}

fn half_of_a_message_is_kept_until_the_rest_comes() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let go = tine::Shared::new(tine::sync::Event::new()).unwrap();
    let child = tine::spawn({
        let go = go.clone();
        move || {
            go.wait();
            here.send(pattern(4, 20 << 20)).unwrap();
        }
    })
    .unwrap();
    assert!(matches!(there.recv_timeout(Duration::from_millis(5)), Err(DuplexRecvError::Timeout)));
    go.set();
    // How many looks it takes is for the scheduler to say; what came by each is kept.
    let message = loop {
        match there.try_recv() {
            Ok(message) => break message,
            Err(DuplexRecvError::Empty) => {}
            Err(other) => panic!("{other}"),
        }
        tine::wait(&[&there], Some(LONG)).unwrap();
    };
    assert!(message == pattern(4, 20 << 20));
    child.join().unwrap();
}

fn a_value_that_does_not_encode_comes_back() {
    let (here, there) = duplex::<Vec<RefCell<u32>>, ()>().unwrap();
    let values = vec![RefCell::new(1), RefCell::new(2)];
    // A forgotten borrow, so that the value can be moved.
    std::mem::forget(values[0].borrow_mut());
    let Err(DuplexSendError::Encode(values, error)) = here.send(values) else { panic!("sent") };
    assert_eq!(values.len(), 2);
    assert!(error.to_string().contains("borrow"), "{error}");
    assert!(matches!(there.try_recv(), Err(DuplexRecvError::Empty)));
    here.send(vec![RefCell::new(3)]).unwrap();
    assert_eq!(there.recv().unwrap(), [RefCell::new(3)]);
}

fn a_message_over_the_limit_costs_itself_only() {
    let (here, there) = duplex::<Vec<u8>, ()>().unwrap();
    let there = there.max_message(100_000);
    let child = tine::spawn(move || {
        for len in [99_000, 300_000, 5, 100_001, 99_999 - 4] {
            here.send(pattern(len, len)).unwrap();
        }
        let here = here.max_message(10);
        let Err(DuplexSendError::TooLarge { value, bytes: 12, descriptors: 0 }) = here.send(vec![0; 11]) else {
            panic!("sent")
        };
        assert_eq!(value.len(), 11);
        here.send(vec![7]).unwrap();
    })
    .unwrap();
    assert_eq!(there.recv().unwrap().len(), 99_000);
    assert!(matches!(there.recv(), Err(DuplexRecvError::TooLarge { bytes: 300_005, descriptors: 0 })));
    assert_eq!(there.recv().unwrap().len(), 5);
    assert!(matches!(there.recv(), Err(DuplexRecvError::TooLarge { bytes: 100_006, .. })));
    assert_eq!(there.recv().unwrap().len(), 99_995);
    assert_eq!(there.recv().unwrap(), [7]);
    child.join().unwrap();
}

fn the_iterator_ends_with_the_other_end() {
    let (here, there) = duplex::<u32, ()>().unwrap();
    let child = tine::spawn(move || (0..5).for_each(|n| here.send(n).unwrap())).unwrap();
    let all: Result<Vec<u32>, _> = there.into_iter().collect();
    assert_eq!(all.unwrap(), [0, 1, 2, 3, 4]);
    child.join().unwrap();
}

fn threads_share_an_end() {
    let (here, there) = duplex::<u64, u64>().unwrap();
    let child = tine::spawn(move || {
        for n in &there {
            there.send(n.unwrap() * 2).unwrap();
        }
    })
    .unwrap();
    let sum: u64 = std::thread::scope(|s| {
        for i in 0..4 {
            let here = &here;
            s.spawn(move || (0..500).for_each(|n| here.send(i * 500 + n).unwrap()));
        }
        let takers: Vec<_> = (0..4).map(|_| s.spawn(|| (0..500).map(|_| here.recv().unwrap()).sum::<u64>())).collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).sum()
    });
    assert_eq!(sum, 2 * (0..2000).sum::<u64>());
    drop(here);
    child.join().unwrap();
}

fn threads_wait_for_their_turn_no_longer_than_they_may() {
    let (here, there) = duplex::<u64, u64>().unwrap();
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| here.recv());
        // Whoever of the two receives, the other ends in time.
        assert!(matches!(here.recv_timeout(Duration::from_millis(30)), Err(DuplexRecvError::Timeout)));
        assert!(matches!(here.try_recv(), Err(DuplexRecvError::Empty)));
        there.send(5).unwrap();
        assert_eq!(sleeper.join().unwrap().unwrap(), 5);
    });
}

fn it_can_be_waited_for() {
    let (here, there) = duplex::<(), u8>().unwrap();
    let child = tine::spawn(move || {
        there.recv().unwrap();
        there.send(1).unwrap();
        stop().wait();
    })
    .unwrap();
    assert_eq!(tine::wait(&[&here, &child], Some(Duration::ZERO)).unwrap(), None, "a hand-over is no message");
    here.send(()).unwrap();
    assert_eq!(tine::wait(&[&child, &here], Some(LONG)).unwrap(), Some(1));
    assert_eq!(tine::wait(&[&here], Some(LONG)).unwrap(), Some(0), "nothing was taken");
    assert_eq!(here.try_recv().unwrap(), 1);
    child.request_stop().unwrap();
    assert_eq!(tine::wait(&[&here], Some(LONG)).unwrap(), Some(0), "the end can be waited for");
    assert!(matches!(here.try_recv(), Err(DuplexRecvError::Disconnected)));
    child.join().unwrap();
}

fn messages_survive_a_storm_of_signals() {
    let (here, there) = duplex::<Vec<u8>, Vec<u8>>().unwrap();
    let child = tine::spawn(move || {
        storm::start();
        for message in &there {
            there.send(message.unwrap()).unwrap();
        }
        storm::stop();
        storm::signals()
    })
    .unwrap();
    storm::start();
    for i in 0..60 {
        here.send(pattern(i, i * 20_000)).unwrap();
        assert!(here.recv().unwrap() == pattern(i, i * 20_000));
    }
    crate::support::until("a signal comes", || {
        here.send(vec![]).unwrap();
        here.recv().unwrap();
        storm::signals() > 10
    });
    storm::stop();
    drop(here);
    assert!(child.join().unwrap() > 0);
}

fn errors_become_those_of_io() {
    let (here, there) = duplex::<u8, u8>().unwrap();
    let kind = |error: DuplexRecvError| std::io::Error::from(error).kind();
    assert_eq!(kind(here.try_recv().unwrap_err()), std::io::ErrorKind::WouldBlock);
    drop(there);
    assert_eq!(kind(here.recv().unwrap_err()), std::io::ErrorKind::UnexpectedEof);
    let unsent = here.send(1).unwrap_err();
    assert!(format!("{unsent:?} {unsent}").contains("Disconnected"));
    let error: tine::Error = unsent.into();
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::BrokenPipe);
}
