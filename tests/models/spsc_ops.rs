//! Operations of both ends of a ring, against a queue. Shared by the property test and the fuzz target.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::time::Duration;

use tine::channel::spsc;
use tine::channel::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};

/// What a second implementation may do wrong; the check finds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The ring holds as many as its storage has room for.
    TheCapacityAskedFor,
    /// A reservation that is dropped is sent.
    DroppedReservations,
    /// All of a reservation is sent, also where a part was to be.
    PartsOfReservations,
    /// A peek that is dropped has received.
    DroppedPeeks,
}

/// Any input: a list of operations. Panics where the ring differs from the model.
pub fn check(data: &[u8]) {
    check_against(data, Without::Nothing);
}

pub fn check_against(data: &[u8], without: Without) {
    let mut input = data.iter().copied();
    let mut byte = || usize::from(input.next().unwrap_or(0));
    let asked = byte() % 9 + 1;
    let (mut tx, mut rx) = spsc::channel::<u64>(asked).expect("memory");
    let capacity = if without == Without::TheCapacityAskedFor { asked.next_power_of_two() } else { asked };
    let mut model = VecDeque::new();
    let mut made = 0_u64;
    for _ in 0..data.len() / 2 {
        let (operation, n) = (byte(), byte() % 12);
        let room = capacity - model.len();
        let values: Vec<u64> = (made..).take(n).collect();
        made += n as u64 + 1;
        let mut buffer = vec![u64::MAX; n];
        match operation % 12 {
            0 => {
                let sent = tx.try_send(made);
                assert_eq!(sent, if room > 0 { Ok(()) } else { Err(TrySendError::Full(made)) });
                model.extend(sent.is_ok().then_some(made));
            }
            1 => {
                let sent = tx.send_timeout(made, Duration::ZERO);
                assert_eq!(sent, if room > 0 { Ok(()) } else { Err(SendTimeoutError::Timeout(made)) });
                model.extend(sent.is_ok().then_some(made));
            }
            2 if n <= room => {
                tx.send_slice(&values).expect("there is room");
                model.extend(values);
            }
            2 | 3 => {
                let sent = tx.try_send_slice(&values);
                assert_eq!(sent, if room > 0 || n == 0 { Ok(n.min(room)) } else { Err(TrySendError::Full(0)) });
                model.extend(values.into_iter().take(room));
            }
            4 | 5 if n <= tx.capacity() => match tx.try_reserve(n) {
                Err(error) => assert!(n > room && error == TrySendError::Full(()), "{error:?}: {n} in {room}"),
                Ok(mut place) => {
                    assert!(n <= room && place.len() == n);
                    let half = n / 2;
                    place.copy_from(half, &values[half..]).expect("within it");
                    for (index, &value) in values[..half].iter().enumerate() {
                        place.write(index, value).expect("within it");
                    }
                    assert!(place.write(n, 0).is_err() && place.copy_from(half, &vec![0; n + 1]).is_err());
                    let sent = match byte() % 3 {
                        0 => {
                            drop(place);
                            if without == Without::DroppedReservations { n } else { 0 }
                        }
                        1 => {
                            place.commit();
                            n
                        }
                        _ => {
                            let some = byte() % 12;
                            place.commit_first(some);
                            if without == Without::PartsOfReservations { n } else { some.min(n) }
                        }
                    };
                    model.extend(values.into_iter().take(sent));
                }
            },
            6 => assert_eq!(rx.try_recv(), model.pop_front().ok_or(TryRecvError::Empty)),
            7 => {
                let got = rx.recv_timeout(Duration::ZERO);
                assert_eq!(got, model.pop_front().ok_or(RecvTimeoutError::Timeout));
            }
            8 | 9 => {
                let there = n.min(model.len());
                let got = if there > 0 && operation % 2 == 0 {
                    rx.recv_slice(&mut buffer).map_err(TryRecvError::from)
                } else {
                    rx.try_recv_slice(&mut buffer)
                };
                assert_eq!(got, if there > 0 || n == 0 { Ok(there) } else { Err(TryRecvError::Empty) });
                assert!(buffer[..there].iter().copied().eq(model.drain(..there)));
                assert!(buffer[there..].iter().all(|&untouched| untouched == u64::MAX));
            }
            10 | 11 => match rx.try_peek(n) {
                Err(error) => assert!(model.is_empty() && error == TryRecvError::Empty),
                Ok(peek) => {
                    let there = n.min(model.len());
                    assert_eq!(peek.len(), there);
                    assert!(peek.iter().eq(model.iter().copied().take(there)));
                    assert_eq!((peek.get(there), peek.copy_to(1, &mut vec![0; there]).is_err()), (None, true));
                    let mut part = vec![0; there - there / 2];
                    peek.copy_to(there / 2, &mut part).expect("within it");
                    assert!(part.iter().eq(model.iter().skip(there / 2).take(part.len())));
                    let received = match byte() % 3 {
                        0 => {
                            drop(peek);
                            if without == Without::DroppedPeeks { there } else { 0 }
                        }
                        1 => {
                            peek.consume();
                            there
                        }
                        _ => {
                            let some = byte() % 12;
                            peek.consume_first(some);
                            some.min(there)
                        }
                    };
                    model.drain(..received);
                }
            },
            _ => {}
        }
        assert_eq!((tx.len(), rx.len(), tx.capacity()), (model.len(), model.len(), capacity));
        assert_eq!((tx.is_empty(), rx.is_full()), (model.is_empty(), model.len() == capacity));
    }
    if byte() % 2 == 0 {
        drop(tx);
        assert!(rx.into_iter().map(|value| value.expect("it was closed")).eq(model));
    } else {
        drop(rx);
        assert_eq!(tx.try_send(0), Err(TrySendError::Disconnected(0)));
    }
}
