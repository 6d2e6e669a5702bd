//! Operations of several handles of one queue, against a list of what is in it. Shared by the property test and the fuzz target.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use tine::channel::{
    Builder, Claim, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, Spin, TryRecvError, TrySendError,
};
use tine::wire::to_bytes;

/// What a second implementation may do wrong; the check finds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// There is always a block.
    Blocks,
    /// What is claimed has left its place.
    PlacesOfClaims,
    /// What is given back comes after what was sent since.
    TheOldOrder,
    /// What was claimed too often is delivered again.
    DeadLetters,
}

/// Most bytes of an encoded message in its slot, and in one block.
const INLINE: usize = 248;
const PART: usize = 2040;

type Value = Vec<u8>;

struct Item {
    value: Value,
    blocks: usize,
    attempts: u32,
    letter: bool,
    held: bool,
}

/// What is in the queue, by position.
struct Model {
    capacity: u64,
    blocks: usize,
    /// 0: as many as it takes.
    max_attempts: u32,
    without: Without,
    sent: u64,
    items: BTreeMap<u64, Item>,
}

impl Model {
    fn longest(&self) -> usize {
        INLINE.max(self.blocks * PART)
    }

    fn has_room(&self, blocks: usize) -> bool {
        let used: usize = self.items.values().map(|item| item.blocks).sum();
        let in_its_place = self.sent.checked_sub(self.capacity).and_then(|before| self.items.get(&before));
        let place = in_its_place.is_none_or(|item| item.held && self.without == Without::PlacesOfClaims);
        place && (used + blocks <= self.blocks || self.without == Without::Blocks)
    }

    /// What a receiver gets next.
    fn next(&self, letters: bool) -> Option<u64> {
        let mut there = self.items.iter().filter(|(_, item)| !item.held && item.letter == letters);
        let first = match self.without {
            Without::TheOldOrder => there.min_by_key(|&(&position, item)| (item.attempts, position)),
            _ => there.next(),
        };
        first.map(|(&position, _)| position)
    }

    fn count(&self, letters: bool) -> usize {
        self.items.values().filter(|item| !item.held && item.letter == letters).count()
    }

    fn claim(&mut self, position: u64) -> (Value, u32) {
        let item = self.items.get_mut(&position).expect("it is there");
        item.held = true;
        item.attempts += 1;
        (item.value.clone(), item.attempts)
    }

    fn give_back(&mut self, position: u64) {
        let item = self.items.get_mut(&position).expect("it is there");
        item.held = false;
        item.letter = self.max_attempts != 0 && item.attempts >= self.max_attempts;
        if self.without == Without::DeadLetters {
            item.letter = false;
        }
    }
}

/// Any input: a list of operations. Panics where the queue differs from the model.
pub fn check(data: &[u8]) {
    check_against(data, Without::Nothing);
}

pub fn check_against(data: &[u8], without: Without) {
    let mut input = data.iter().copied();
    let mut byte = || usize::from(input.next().unwrap_or(0));
    let (capacity, blocks, max_attempts) = (byte() % 6 + 1, byte() % 5, byte() % 4);
    let mut builder = Builder::<Value>::new(capacity).bytes(blocks * PART);
    if max_attempts > 0 {
        builder = builder.redeliver(max_attempts as u32);
    }
    let (tx, rx) = builder.build().expect("memory");
    let letters = rx.dead_letters();
    assert_eq!(letters.is_ok(), max_attempts > 0);
    let mut senders = vec![tx];
    let mut receivers = vec![rx];
    letters.into_iter().for_each(|letters| receivers.insert(0, letters));
    let first_of_messages = receivers.len() - 1;
    senders[0].set_spin(Spin::Never);
    receivers.iter().for_each(|receiver| receiver.set_spin(Spin::Never));
    let (capacity, max_attempts) = (capacity as u64, max_attempts as u32);
    let mut model = Model { capacity, blocks, max_attempts, without, sent: 0, items: BTreeMap::new() };
    let mut held: Vec<(u64, Claim<Value>)> = Vec::new();
    for turn in 0..data.len() / 3 {
        let (operation, which, n) = (byte(), byte(), byte());
        let sender = &senders[which % senders.len()];
        let at = which % receivers.len();
        let (receiver, of_letters) = (&receivers[at], at < first_of_messages);
        match operation % 16 {
            0..=4 => {
                // Around what fits into a slot, and into some blocks.
                let around = [0, 60, INLINE - 4, PART - 4, 2 * PART - 4, 3 * PART, 4 * PART - 4][n % 7];
                send(sender, &mut model, vec![turn as u8; around + n / 7 % 8], operation % 2 == 0);
            }
            5..=7 => {
                let position = model.next(of_letters);
                let expected = position.map(|position| model.items.remove(&position).expect("it is there").value);
                let empty = expected.is_none();
                if operation % 2 == 0 {
                    assert_eq!(receiver.try_recv(), expected.ok_or(TryRecvError::Empty));
                } else {
                    assert_eq!(receiver.recv_timeout(Duration::ZERO), expected.ok_or(RecvTimeoutError::Timeout));
                }
                assert!(!empty || receiver.is_empty());
            }
            8..=10 => {
                let claimed = if operation % 2 == 0 {
                    receiver.try_claim().map_err(|error| assert_eq!(error, TryRecvError::Empty))
                } else {
                    let claimed = receiver.claim_timeout(Duration::ZERO);
                    claimed.map_err(|error| assert_eq!(error, RecvTimeoutError::Timeout))
                };
                let position = model.next(of_letters);
                assert_eq!(claimed.is_ok(), position.is_some());
                if let (Ok(claim), Some(position)) = (claimed, position) {
                    assert_eq!((claim.clone(), claim.attempts()), model.claim(position));
                    held.push((position, claim));
                }
            }
            11 | 12 if !held.is_empty() => {
                let (position, claim) = held.swap_remove(n % held.len());
                let value = model.items.remove(&position).expect("it is held").value;
                if operation % 2 == 0 { claim.done() } else { assert_eq!(claim.into_done(), value) }
            }
            13 if !held.is_empty() => {
                let (position, claim) = held.swap_remove(n % held.len());
                drop(claim);
                model.give_back(position);
            }
            14 if senders.len() < 4 => senders.push(sender.clone()),
            14 => drop(senders.swap_remove(which % senders.len())),
            15 if receivers.len() < first_of_messages + 3 && !of_letters => receivers.push(receiver.clone()),
            15 if receivers.len() > first_of_messages + 1 => drop(receivers.pop()),
            _ => {
                let idle = model.items.values().all(|item| item.letter);
                assert_eq!(sender.wait_idle_timeout(Duration::ZERO), Ok(idle));
            }
        }
        assert_eq!((senders[0].len(), receivers[first_of_messages].len()), (model.count(false), model.count(false)));
        if first_of_messages > 0 {
            assert_eq!(receivers[0].len(), model.count(true));
        }
    }
    while let Some((position, claim)) = held.pop() {
        drop(claim);
        model.give_back(position);
    }
    if byte() % 2 == 0 {
        drop(senders);
        for (at, receiver) in receivers.iter().enumerate().rev() {
            let of_letters = at < first_of_messages;
            while let Some(position) = model.next(of_letters) {
                assert_eq!(receiver.recv(), Ok(model.items.remove(&position).expect("it is there").value));
            }
            assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        }
    } else {
        receivers.truncate(first_of_messages);
        assert_eq!(senders[0].send(vec![]), Err(SendError::Disconnected(vec![])));
        for letters in receivers {
            while let Some(position) = model.next(true) {
                assert_eq!(letters.recv(), Ok(model.items.remove(&position).expect("it is there").value));
            }
            assert_eq!(letters.recv(), Err(RecvError::Disconnected));
        }
    }
}

fn send(sender: &Sender<Value>, model: &mut Model, value: Value, try_it: bool) {
    let length = to_bytes(&value).expect("it is encoded").len();
    let sent = if try_it {
        match sender.try_send(value.clone()) {
            Ok(()) => Some(true),
            Err(TrySendError::Full(back)) => (back == value).then_some(false),
            Err(error) => too_long(matches!(error, TrySendError::Encode(..)), length, model),
        }
    } else {
        match sender.send_timeout(value.clone(), Duration::ZERO) {
            Ok(()) => Some(true),
            Err(SendTimeoutError::Timeout(back)) => (back == value).then_some(false),
            Err(error) => too_long(matches!(error, SendTimeoutError::Encode(..)), length, model),
        }
    };
    if length > model.longest() {
        return assert_eq!(sent, None);
    }
    let blocks = if length <= INLINE { 0 } else { length.div_ceil(PART) };
    assert_eq!(sent, Some(model.has_room(blocks)), "{length} bytes");
    if sent == Some(true) {
        model.items.insert(model.sent, Item { value, blocks, attempts: 0, letter: false, held: false });
        model.sent += 1;
    }
}

fn too_long(is_told: bool, length: usize, model: &Model) -> Option<bool> {
    assert!(is_told && length > model.longest(), "{length} bytes");
    None
}
