//! Messages of all lengths: in their slots, and in blocks.

use tine::channel::{Builder, SendError, TrySendError};

use crate::cases;
use crate::support::Case;

pub const CASES: &[Case] = cases![
    messages_of_every_size_arrive,
    blocks_are_used_again,
    a_message_that_is_too_long_comes_back,
    many_long_messages_wait_for_room,
];

fn messages_of_every_size_arrive() {
    let (tx, rx) = Builder::<Vec<u8>>::new(3).bytes(200_000).build().unwrap();
    let sizes = [0, 1, 240, 246, 247, 248, 249, 250, 2_030, 2_040, 2_041, 4_079, 4_080, 4_081, 65_536, 199_000];
    let child = tine::spawn(move || {
        for (turn, size) in sizes.into_iter().enumerate() {
            tx.send(vec![turn as u8; size]).unwrap();
        }
    })
    .unwrap();
    for (turn, size) in sizes.into_iter().enumerate() {
        assert!(rx.recv().unwrap() == vec![turn as u8; size], "{size} bytes");
    }
    child.join().unwrap();
}

fn blocks_are_used_again() {
    let (tx, rx) = Builder::<Vec<u8>>::new(2).bytes(10_000).build().unwrap();
    for turn in 0..200_u32 {
        let message = vec![turn as u8; 9_000];
        tx.try_send(message.clone()).unwrap();
        assert_eq!(tx.try_send(message.clone()), Err(TrySendError::Full(message.clone())), "no blocks, though a place");
        tx.try_send(vec![1]).unwrap();
        assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (message, vec![1]));
    }
}

fn a_message_that_is_too_long_comes_back() {
    let (tx, rx) = Builder::<Vec<u8>>::new(2).bytes(5_000).build().unwrap();
    let long = vec![0; 100_000];
    match tx.send(long.clone()) {
        Err(SendError::Encode(value, error)) => {
            assert_eq!(value, long);
            assert!(error.to_string().contains("bytes"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    tx.send(vec![1]).unwrap();
    assert_eq!(rx.recv(), Ok(vec![1]));
}

fn many_long_messages_wait_for_room() {
    let (tx, rx) = Builder::<(u32, Vec<u8>)>::new(8).bytes(40_000).build().unwrap();
    let senders: Vec<_> = (0..3_u32)
        .map(|who| {
            let tx = tx.clone();
            tine::spawn(move || {
                for n in 0..60_u32 {
                    let size = 1_000 + (n as usize * 977 + who as usize * 5_000) % 30_000;
                    tx.send((who << 16 | n, vec![n as u8; size])).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    drop(tx);
    let mut next = [0; 3];
    for received in rx.iter() {
        let (number, bytes) = received.unwrap();
        let (who, n) = (number as usize >> 16, number & 0xffff);
        assert_eq!(n, next[who], "each sender's messages come in order");
        assert!(bytes.iter().all(|&byte| byte == n as u8));
        next[who] += 1;
    }
    assert_eq!(next, [60; 3]);
    for sender in senders {
        sender.join().unwrap();
    }
}
