//! Messages of every size, at every place.

use std::io::IoSlice;

use tine::channel::bytes::{self, Receiver, Sender};
use tine::channel::{RecvError, TryRecvError, TrySendError};

use crate::cases;
use crate::pattern;
use crate::support::Case;

pub const CASES: &[Case] = cases![
    messages_of_every_size_arrive_whole,
    messages_longer_than_the_ring_stream_through_it,
    streams_and_whole_messages_alternate,
    the_border_of_the_ring_is_invisible_at_every_place,
    pieces_become_one_message,
    a_full_ring_says_so,
    what_was_asked_for_is_rounded_up,
    sizes_near_the_end_of_the_address_space_are_errors,
    memory_is_used_again,
    ten_thousand_channels_take_no_descriptor,
    a_limit_on_the_size_of_files_does_not_matter,
];

/// Around each border of a ring of so many bytes.
fn sizes(capacity: usize) -> Vec<usize> {
    let near = |n: usize| [n.saturating_sub(9), n.saturating_sub(8), n.saturating_sub(7), n - 1, n, n + 1, n + 8];
    let mut sizes = vec![0, 1, 7, 8, 9, 100];
    sizes.extend(near(capacity / 4));
    sizes.extend(near(capacity));
    sizes
}

fn messages_of_every_size_arrive_whole() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    assert_eq!(tx.longest_in_place(), tx.capacity() - 8);
    for (seed, size) in sizes(4096).into_iter().enumerate().filter(|(_, size)| *size <= 4088) {
        let message = pattern(seed, size);
        tx.send(&message).unwrap();
        assert_eq!(tx.len(), 8 + size.next_multiple_of(8));
        assert_eq!(rx.recv().unwrap(), message, "{size}");
        tx.send(&message).unwrap();
        assert_eq!(rx.peek().unwrap().to_vec(), message, "{size}");
        assert!(rx.is_empty() && tx.is_empty());
    }
}

fn messages_longer_than_the_ring_stream_through_it() {
    for capacity in [4096, 1 << 16] {
        let (mut tx, mut rx) = bytes::channel(capacity).unwrap();
        let mut all = sizes(capacity);
        all.extend([2 * capacity - 8, 3 * capacity + 5, 10 * capacity, 1 << 20, 5 * (1 << 20) + 3]);
        let child = {
            let all = all.clone();
            tine::spawn(move || {
                for (seed, size) in all.into_iter().enumerate() {
                    tx.send(&pattern(seed, size)).unwrap();
                }
            })
            .unwrap()
        };
        for (seed, size) in all.into_iter().enumerate() {
            let expected = pattern(seed, size);
            match seed % 3 {
                0 => assert!(rx.recv().unwrap() == expected, "{size}"),
                1 => {
                    let mut message = vec![1, 2, 3];
                    assert_eq!(rx.recv_into(&mut message), Ok(size));
                    assert!(message == expected, "{size}");
                }
                _ => {
                    let message = rx.peek().unwrap();
                    assert_eq!(message.len(), size);
                    let (mut head, mut tail) = ([0; 7], [0; 5]);
                    if size > 12 {
                        message.read_at(0, &mut head).unwrap();
                        message.read_at(size - 5, &mut tail).unwrap();
                        assert_eq!((&head[..], &tail[..]), (&expected[..7], &expected[size - 5..]));
                    }
                    assert!(message.read_at(size - 1, &mut head).is_err());
                    assert!(message.to_vec() == expected, "{size}");
                }
            }
        }
        assert_eq!(rx.recv(), Err(RecvError::Disconnected));
        child.join().unwrap();
    }
}

fn streams_and_whole_messages_alternate() {
    let (mut tx, rx) = bytes::channel(4096).unwrap();
    let child = tine::spawn(move || {
        for i in 0..500 {
            tx.send(&pattern(i, i * 7919 % 20_000)).unwrap();
        }
    })
    .unwrap();
    let mut count = 0;
    for (i, message) in rx.into_iter().enumerate() {
        assert!(message.unwrap() == pattern(i, i * 7919 % 20_000), "message {i}");
        count += 1;
    }
    assert_eq!(count, 500);
    child.join().unwrap();
}

fn the_border_of_the_ring_is_invisible_at_every_place() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    // Each message moves the next one by 8.
    for size in [0, 8, 1000, 4088 - 8] {
        for place in (0..4096 + 8).step_by(8) {
            // Together with its word a whole ring and 8, so that the next begins 8 further.
            let filler = (2 * 4096 + 8 - 8 - (8 + size)) - 4096;
            let (filler, message) = (pattern(1, filler.min(4088) & !7), pattern(place, size));
            tx.send(&message).unwrap();
            assert_eq!(rx.try_recv().unwrap(), message, "{size} at {place}");
            let mut room = tx.reserve(size).unwrap();
            room.copy_from_slice(&message);
            room.commit().unwrap();
            let peek = rx.peek().unwrap();
            let mut seen = vec![0; size];
            assert_eq!(peek.copy_to(&mut seen), Ok(size));
            assert_eq!(seen, message, "{size} at {place}, in place");
            drop(peek);
            tx.send(&filler).unwrap();
            assert_eq!(rx.recv().unwrap(), filler);
        }
    }
}

fn pieces_become_one_message() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let whole = pattern(3, 30_000);
    let cut = |ends: &[usize]| -> Vec<IoSlice<'_>> {
        ends.windows(2).map(|ends| IoSlice::new(&whole[ends[0]..ends[1]])).collect()
    };
    for ends in [&[0, 0][..], &[0, 1, 1, 9, 10, 2000], &[0, 4088]] {
        tx.send_vectored(&cut(ends)).unwrap();
        assert_eq!(rx.recv().unwrap(), &whole[..*ends.last().unwrap()]);
    }
    tx.send_vectored(&[]).unwrap();
    assert_eq!(rx.recv().unwrap(), b"");
    let many: Vec<usize> = (0..30_000).step_by(7).chain([30_000]).collect();
    let child = tine::spawn(|| {
        let mut tx = tx;
        tx.send_vectored(&cut(&[0, 1024, 1024, 1025, 5000, 29_999, 30_000])).unwrap();
        tx.send_vectored(&cut(&many)).unwrap();
    })
    .unwrap();
    assert!(rx.recv().unwrap() == whole);
    assert!(rx.recv().unwrap() == whole);
    child.join().unwrap();
}

fn a_full_ring_says_so() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    for i in 0..4 {
        tx.try_send(&pattern(i, 1016)).unwrap();
    }
    assert_eq!((tx.len(), tx.capacity(), rx.capacity()), (4096, 4096, 4096));
    assert_eq!(tx.try_send(b""), Err(TrySendError::Full(())));
    assert!(matches!(tx.try_reserve(0), Err(TrySendError::Full(()))));
    assert_eq!(rx.try_recv().unwrap(), pattern(0, 1016));
    assert_eq!(tx.try_send(&[0; 1017]), Err(TrySendError::Full(())), "one byte too many");
    tx.try_send(&pattern(4, 1016)).unwrap();
    for i in 1..5 {
        assert_eq!(rx.try_recv().unwrap(), pattern(i, 1016));
    }
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert!(matches!(tx.try_send(&[0; 4089]), Err(TrySendError::Encode(..))), "never at once");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.try_send(&pattern(5, 4088)).unwrap();
    assert_eq!(rx.try_recv().unwrap(), pattern(5, 4088));
}

fn what_was_asked_for_is_rounded_up() {
    for (asked, capacity) in [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192), (1 << 20, 1 << 20)] {
        let (tx, rx) = bytes::channel(asked).unwrap();
        assert!(tx.capacity() >= capacity && tx.capacity().is_power_of_two());
        assert_eq!((rx.capacity(), tx.longest_in_place()), (tx.capacity(), tx.capacity() - 8));
        assert!(tx.capacity() == capacity || rustix::param::page_size() > 4096);
    }
}

fn sizes_near_the_end_of_the_address_space_are_errors() {
    for size in [usize::MAX, usize::MAX / 2 + 1, usize::MAX / 2, 1 << 62, 1 << 50] {
        let error = bytes::channel(size).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory, "{size}: {error}");
    }
}

fn memory_is_used_again() {
    let (mut tx, mut rx) = bytes::channel(4096).unwrap();
    let mut message = Vec::with_capacity(1000);
    let at = message.as_ptr();
    for size in [1000, 0, 17] {
        tx.send(&pattern(size, size)).unwrap();
        assert_eq!(rx.recv_into(&mut message), Ok(size));
        assert_eq!((message.as_ptr(), &message[..]), (at, &pattern(size, size)[..]));
    }
    assert_eq!(rx.try_recv_into(&mut message), Err(TryRecvError::Empty));
    assert_eq!(message, pattern(17, 17), "left as it was");
}

fn ten_thousand_channels_take_no_descriptor() {
    let first = bytes::channel(4096).unwrap();
    let before = crate::support::descriptors();
    let mut all: Vec<(Sender, Receiver)> = (0..10_000).map(|_| bytes::channel(4096).unwrap()).collect();
    assert_eq!(crate::support::descriptors(), before);
    for (i, (tx, _)) in all.iter_mut().enumerate() {
        tx.send(&i.to_le_bytes()).unwrap();
    }
    for (i, (_, rx)) in all.iter_mut().enumerate() {
        assert_eq!(rx.recv().unwrap(), i.to_le_bytes());
    }
    drop(first);
}

fn a_limit_on_the_size_of_files_does_not_matter() {
    let status = crate::support::in_child(|| {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, none).unwrap();
        let (mut tx, mut rx) = bytes::channel(1 << 20).unwrap();
        tx.send(&[7; 100_000]).unwrap();
        assert_eq!(rx.recv().unwrap().len(), 100_000);
    });
    assert!(status.success(), "{status}");
}
