use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::super::primitive::judge;
use super::*;
use crate::sys::roster;

/// The name of a thread that has ended.
fn dead() -> Name {
    static DEAD: OnceLock<u64> = OnceLock::new();
    let name = DEAD.get_or_init(|| {
        let name = std::thread::spawn(|| roster::me().unwrap()).join().unwrap();
        while judge(name) != Verdict::Dead {
            std::thread::yield_now();
        }
        name.word()
    });
    Name::in_word(*name).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Receive(usize),
    Claim(usize),
    Done(usize),
    GiveBack(usize),
    DieSending(usize),
    DieReceiving(usize),
    DieClaiming(usize),
}

const HANDLES: usize = 3;
/// The last of them receives dead letters.
const LETTERS: usize = HANDLES - 1;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let handle = 0..HANDLES;
    let step = prop_oneof![
        6 => handle.clone().prop_map(Step::Send),
        4 => handle.clone().prop_map(Step::Receive),
        3 => handle.clone().prop_map(Step::Claim),
        2 => (0..8_usize).prop_map(Step::Done),
        1 => (0..8_usize).prop_map(Step::GiveBack),
        1 => handle.clone().prop_map(Step::DieSending),
        1 => handle.clone().prop_map(Step::DieReceiving),
        1 => handle.prop_map(Step::DieClaiming),
    ];
    prop::collection::vec(step, 0..200)
}

/// What is in a ring: the items by the order in which they were sent.
#[derive(Default)]
struct Model {
    /// How often one is claimed before it is a dead letter; 0: as often as it is.
    most: u16,
    sent: u64,
    /// All that are not over.
    items: BTreeMap<u64, Item>,
}

#[derive(Clone, Copy)]
struct Item {
    value: u32,
    attempts: u16,
    hands: Hands,
}

impl Item {
    fn is_letter(&self, most: u16) -> bool {
        most != 0 && self.attempts >= most
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hands {
    Nobodys,
    /// Those of the living.
    Ours,
    /// Those of the dead, perhaps: nobody may have found it yet.
    TheDeads,
}

impl Model {
    fn has_room(&self, slots: usize) -> bool {
        self.items.keys().next().is_none_or(|&first| self.sent < first + slots as u64)
            && self.sent.checked_sub(slots as u64).is_none_or(|last| !self.items.contains_key(&last))
    }

    /// How many dead letters, or others, are in such hands.
    fn count(&self, letters: bool, hands: impl Fn(Hands) -> bool) -> usize {
        self.items.values().filter(|item| item.is_letter(self.most) == letters && hands(item.hands)).count()
    }

    /// What a receiver may get now: the first that is there, or one before it that the dead have left.
    fn find(&mut self, handle: usize, value: Option<u32>) -> Option<(u64, &mut Item)> {
        let mut may_come = Vec::new();
        let (most, letters) = (self.most, handle == LETTERS);
        let is_for_it = |item: &Item| item.hands != Hands::Ours && item.is_letter(most) == letters;
        for (&position, item) in self.items.iter_mut().filter(|(_, item)| is_for_it(item)) {
            let first = item.hands == Hands::Nobodys;
            may_come.push((position, item));
            if first {
                break;
            }
        }
        let Some(value) = value else {
            assert!(may_come.is_empty(), "there is something");
            return None;
        };
        Some(may_come.into_iter().find(|(_, item)| item.value == value).expect("it is there, and nothing is before it"))
    }
}

fn dies<R>(at: impl FnOnce() -> R) {
    catch_unwind(AssertUnwindSafe(at)).map(drop).unwrap_or_default();
}

/// The end of the dead, without a word about it.
fn end() -> ! {
    std::panic::resume_unwind(Box::new(()))
}

fn compare_with_the_model(slots: usize, most: u16, steps: Vec<Step>) {
    let me = roster::me().unwrap();
    let bounds = Bounds::new();
    let words: Vec<AtomicU64> = (0..2 * slots).map(|_| AtomicU64::new(0)).collect();
    let ring = Ring::new(Shape::new(slots).unwrap().with_attempts(most), &bounds, &words);
    let mut senders = [SendCursor::default(); HANDLES];
    let mut receivers = [ReceiveCursor::default(); HANDLES];
    receivers[LETTERS] = ReceiveCursor::of_letters();
    let mut cells = vec![0_u32; slots];
    let mut model = Model { most, ..Model::default() };
    let mut held: Vec<(u64, Held)> = Vec::new();
    let mut next = 0;
    for step in steps {
        match step {
            Step::Send(handle) => {
                next += 1;
                let sent = ring.send(&mut senders[handle], me, |index| cells[index] = next);
                assert_eq!(sent.is_ok(), model.has_room(slots), "{sent:?}");
                if sent.is_ok() {
                    model.items.insert(model.sent, Item { value: next, attempts: 0, hands: Hands::Nobodys });
                    model.sent += 1;
                }
            }
            Step::DieSending(handle) => {
                let mut begun = false;
                dies(|| {
                    ring.send(&mut senders[handle], dead(), |_| {
                        begun = true;
                        end()
                    })
                });
                assert_eq!(begun, model.has_room(slots));
                model.sent += u64::from(begun);
            }
            Step::Receive(handle) => {
                let received = ring.receive(&mut receivers[handle], me, |index| cells[index]).ok();
                if let Some((position, _)) = model.find(handle, received) {
                    model.items.remove(&position);
                }
            }
            Step::DieReceiving(handle) => {
                let mut seen = None;
                dies(|| {
                    ring.receive(&mut receivers[handle], dead(), |index| -> u32 {
                        seen = Some(cells[index]);
                        end()
                    })
                });
                if let Some((_, item)) = model.find(handle, seen) {
                    item.hands = Hands::TheDeads;
                }
            }
            Step::Claim(handle) => {
                let claimed = ring.claim(&mut receivers[handle], me, |index| cells[index]).ok();
                let value = claimed.as_ref().map(|claimed| claimed.0);
                if let (Some((position, item)), Some((_, place, attempts))) = (model.find(handle, value), claimed) {
                    *item = Item { attempts: item.attempts + 1, hands: Hands::Ours, ..*item };
                    assert_eq!(attempts, item.attempts);
                    held.push((position, place));
                }
            }
            Step::DieClaiming(handle) => {
                let claimed = ring.claim(&mut receivers[handle], dead(), |index| cells[index]).ok();
                if let Some((_, item)) = model.find(handle, claimed.map(|claimed| claimed.0)) {
                    *item = Item { attempts: item.attempts + 1, hands: Hands::TheDeads, ..*item };
                }
            }
            Step::Done(which) if which < held.len() => {
                let (position, place) = held.swap_remove(which);
                assert!(ring.done(&place));
                assert!(!ring.done(&place) && !ring.give_back(&place), "once");
                model.items.remove(&position);
            }
            Step::GiveBack(which) if which < held.len() => {
                let (position, place) = held.swap_remove(which);
                assert!(ring.give_back(&place));
                model.items.get_mut(&position).unwrap().hands = Hands::Nobodys;
            }
            Step::Done(_) | Step::GiveBack(_) => {}
        }
        let now = ring.count();
        assert_eq!(now.full + now.taken + now.letters + now.letters_taken, model.items.len());
        let nobodys = [false, true].map(|letters| model.count(letters, |hands| hands == Hands::Nobodys));
        assert!(nobodys[0] <= now.full && nobodys[1] <= now.letters, "{nobodys:?} {now:?}");
        assert!(model.count(false, |hands| hands == Hands::Ours) <= now.taken);
    }
    let [full, letters] = [false, true].map(|letters| model.count(letters, |hands| hands != Hands::Ours));
    let expected = Count { full, letters, ..Count::default() };
    assert_eq!(ring.tend(me), Ok(expected), "what this thread holds is not counted");
}

proptest! {
    #[test]
    fn it_is_a_queue(slots in 1..6_usize, most in 0..4_u16, steps in steps()) {
        compare_with_the_model(slots, most, steps);
    }

    /// Whatever stands in the words: every operation ends, and touches nothing outside.
    #[test]
    fn any_words_are_survived(
        slots in 1..6_usize,
        words in prop::collection::vec(any_word(), 12),
        bounds in prop::array::uniform3(any_word()),
        steps in steps(),
    ) {
        let me = roster::me().unwrap();
        let words: Vec<AtomicU64> = words[..2 * slots].iter().map(|&word| AtomicU64::new(word)).collect();
        let [tail, head, returned] = bounds.map(|bound| Line(AtomicU64::new(bound)));
        let bounds = Bounds { tail, head, returned };
        let ring = Ring::new(Shape::new(slots).unwrap().with_attempts(2), &bounds, &words);
        let (mut sender, mut receiver) = (SendCursor::default(), ReceiveCursor::default());
        let mut letters = ReceiveCursor::of_letters();
        let within = |index: usize| assert!(index < slots);
        for step in steps.into_iter().take(12) {
            match step {
                Step::Send(_) => drop(ring.send(&mut sender, me, within)),
                Step::Receive(LETTERS) => drop(ring.receive(&mut letters, me, within)),
                Step::Receive(_) => drop(ring.receive(&mut receiver, me, within)),
                Step::Claim(_) => {
                    if let Ok(((), held, _)) = ring.claim(&mut receiver, me, within) {
                        ring.give_back(&held);
                    }
                }
                Step::Done(_) => drop(ring.tend(me)),
                Step::GiveBack(_) => drop(ring.count()),
                Step::DieSending(_) => drop(ring.is_full(&sender)),
                Step::DieReceiving(_) | Step::DieClaiming(_) => drop(ring.look_for_the_truth(me)),
            }
        }
    }
}

/// Such as might be there, and others.
fn any_word() -> impl Strategy<Value = u64> {
    let me = || roster::me().unwrap();
    prop_oneof![
        any::<u64>(),
        (0..4_u64).prop_map(word::free),
        (0..4_u64).prop_map(word::full),
        (0..4_u64).prop_map(word::letter),
        (0..4_u64).prop_map(move |lap| word::claimed(lap, dead())),
        (0..4_u64).prop_map(move |lap| word::taken(lap, dead())),
        (0..4_u64).prop_map(move |lap| word::taken(lap, me())),
        Just(u64::MAX),
        Just(POSITIONS - 1),
    ]
}

#[test]
fn positions_are_laps_and_slots() {
    for slots in [1, 2, 3, 4, 5, 7, 8, 100] {
        let shape = Shape::new(slots).unwrap();
        let mut position = 0;
        for n in 0..10 * slots {
            assert_eq!(shape.place(position), (n % slots, (n / slots) as u64));
            let after = shape.after(position);
            assert!(after > position);
            position = after;
        }
    }
    assert!(Shape::new(0).is_none() && Shape::new(usize::MAX).is_none());
}

#[test]
fn short_laps_are_read_as_the_nearest() {
    let me = roster::me().unwrap();
    for lap in [0_u64, 1, 5, (1 << 21) - 1, 1 << 21, (1 << 22) - 1, 1 << 22, (1 << 40) + 7] {
        for off in [0_i64, 1, -1, 1000, -1000, (1 << 21) - 1, -((1 << 21) - 1)] {
            let Some(near) = lap.checked_add_signed(off) else { continue };
            for word in [word::claimed(lap, me), word::taken(lap, me)] {
                assert_eq!(word::lap(word, near), lap, "near {near}");
                assert_eq!(word::owner(word, me), me);
            }
            assert_eq!(
                [word::free(lap), word::full(lap), word::letter(lap)].map(|word| word::lap(word, near)),
                [lap; 3]
            );
        }
    }
    let turns = [4, 5, 6, 7, 8].map(|at| word::turn(word::full(6), at));
    let expected = [Turn::Over, Turn::Over, Turn::This(Kind::Full), Turn::Before(Kind::Full), Turn::Odd];
    assert_eq!(turns, expected);
}

/// One that comes after millions of laps, or was stopped for as long, takes no word for that of a lap that it is not.
#[test]
fn who_was_away_for_long_finds_its_way() {
    let me = roster::me().unwrap();
    let bounds = Bounds::new();
    let words = [AtomicU64::new(0), AtomicU64::new(0)];
    let ring = Ring::new(Shape::new(1).unwrap(), &bounds, &words);
    let (mut early_sender, mut early_receiver) = (SendCursor::default(), ReceiveCursor::default());
    let (mut sender, mut receiver) = (SendCursor::default(), ReceiveCursor::default());
    for _ in 0..(1 << 22) - 1 {
        ring.send(&mut sender, me, |_| ()).unwrap();
        ring.receive(&mut receiver, me, |_| ()).unwrap();
    }
    // Claimed in lap 2^22 - 1, which reads as the one before lap 0.
    dies(|| ring.send(&mut sender, dead(), |_| end()));
    assert_eq!(ring.receive(&mut early_receiver, me, |_| ()), Err(Refusal::NotNow));
    ring.send(&mut early_sender, me, |_| ()).unwrap();
    assert_eq!(ring.send(&mut sender, me, |_| ()), Err(Refusal::NotNow));
    ring.receive(&mut early_receiver, me, |_| ()).unwrap();
    assert_eq!(words[0].load(Ordering::Relaxed), word::free((1 << 22) + 1));
}
