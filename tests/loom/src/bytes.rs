//! Scenes of the ring of bytes: a sender, a receiver, and whoever else can write to the page.

use std::rc::Rc;

use crate::channel_raw::Corrupt;
use crate::channel_raw::bytes::{Frame, Receiving, Sending, WORD, Words};
use crate::channel_raw::cursor::Cursors;
use crate::explore::{each_death, each_order};
use crate::guarded::Guarded;
use crate::primitive::{AtomicU64, Ordering};
use crate::twins::RACE;
use crate::world::{i_am, may_die_here, thread};

/// Room for two frames of one word each.
const CAPACITY: u64 = 32;

/// The page: both positions, and the bytes as words.
struct Page {
    cursors: Cursors,
    words: [Guarded<u64>; CAPACITY as usize / 8],
}

impl Page {
    fn new() -> Rc<Page> {
        Rc::new(Page { cursors: Cursors::new(0), words: std::array::from_fn(|_| Guarded::new(0)) })
    }

    fn at(&self, position: u64) -> &Guarded<u64> {
        &self.words[(position % CAPACITY / 8) as usize]
    }

    /// A message of one word. False where there is no room.
    #[track_caller]
    fn send(&self, sending: &mut Sending, word: u64) -> bool {
        let frame = Frame::whole(8);
        if sending.room(&self.cursors, frame.size()).expect("honest") < frame.size() {
            return false;
        }
        may_die_here();
        self.at(sending.place()).set(word);
        sending.commit(&self.cursors, self, frame);
        true
    }

    #[track_caller]
    fn receive(&self, receiving: &mut Receiving) -> Option<u64> {
        let frame = receiving.look(&self.cursors, self).expect("honest")?;
        assert_eq!(frame, Frame::whole(8));
        let word = self.at(receiving.place()).get();
        receiving.release(&self.cursors, frame);
        Some(word)
    }
}

impl Words for Page {
    fn read(&self, position: u64) -> u64 {
        self.at(position).get()
    }
    fn write(&self, position: u64, word: u64) {
        may_die_here();
        self.at(position).set(word);
    }
}

/// Twice around the ring, as fast as it goes: each word is seen as it was written, in order.
#[test]
fn frames_arrive_whole_and_in_order() {
    each_order(|| {
        let page = Page::new();
        let sender = thread(2, {
            let page = Rc::clone(&page);
            move |_| {
                let mut sending = Sending::new(CAPACITY);
                (1..=3).take_while(|&word| page.send(&mut sending, word)).count()
            }
        });
        i_am(1);
        let mut receiving = Receiving::new(CAPACITY);
        let early: Vec<u64> = (0..2).filter_map(|_| page.receive(&mut receiving)).collect();
        let sent = sender.join().unwrap().expect("unharmed");
        let late = std::iter::from_fn(|| page.receive(&mut receiving));
        let got: Vec<u64> = early.into_iter().chain(late).collect();
        assert!(sent >= 2, "there was room for two");
        assert_eq!(got, (1..=sent as u64).collect::<Vec<_>>());
    });
}

/// Killed anywhere, the sender has sent a message or has not.
#[test]
fn a_sender_that_dies_leaves_whole_frames() {
    each_death(2, || {
        let page = Page::new();
        let sender = thread(2, {
            let page = Rc::clone(&page);
            move |_| {
                let mut sending = Sending::new(CAPACITY);
                assert!(page.send(&mut sending, 1) && page.send(&mut sending, 2));
            }
        });
        i_am(1);
        let done = sender.join().unwrap().is_some();
        let mut receiving = Receiving::new(CAPACITY);
        let got: Vec<u64> = std::iter::from_fn(|| page.receive(&mut receiving)).collect();
        assert!([&[][..], &[1], &[1, 2]].contains(&&got[..]), "{got:?}");
        assert!(!done || got.len() == 2);
    });
}

/// Killed anywhere, the receiver has given back the room of a message or has not.
#[test]
fn a_receiver_that_dies_gives_back_whole_frames() {
    each_death(2, || {
        let page = Page::new();
        let mut sending = Sending::new(CAPACITY);
        i_am(1);
        assert!(page.send(&mut sending, 1) && page.send(&mut sending, 2));
        let receiver = thread(2, {
            let page = Rc::clone(&page);
            move |_| {
                let mut receiving = Receiving::new(CAPACITY);
                assert_eq!(page.receive(&mut receiving), Some(1));
            }
        });
        let early = page.send(&mut sending, 3);
        let done = receiver.join().unwrap().is_some();
        assert!(early || page.send(&mut sending, 3) || !done);
    });
}

/// A page on which words change at any time: what nobody but a peer that means harm does.
struct Hostile {
    cursors: Cursors,
    words: [AtomicU64; CAPACITY as usize / 8],
}

impl Words for Hostile {
    fn read(&self, position: u64) -> u64 {
        self.words[(position % CAPACITY / 8) as usize].load(Ordering::Relaxed)
    }
    fn write(&self, position: u64, word: u64) {
        self.words[(position % CAPACITY / 8) as usize].store(word, Ordering::Relaxed);
    }
}

/// A word that grows while it is looked at: the frame is what has arrived, or impossible.
#[test]
fn a_frame_that_grows_while_it_is_read() {
    each_order(|| {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        let page = Rc::new(Hostile { cursors: Cursors::new(0), words });
        let mut sending = Sending::new(CAPACITY);
        i_am(1);
        sending.commit(&page.cursors, &*page, Frame::whole(8));
        let honest = page.words[0].load(Ordering::Relaxed);
        let scribbler = thread(2, {
            let page = Rc::clone(&page);
            move |_| page.words[0].store(honest + (1 << 20), Ordering::Relaxed)
        });
        let mut receiving = Receiving::new(CAPACITY);
        match receiving.look(&page.cursors, &*page) {
            Ok(frame) => assert!(frame.expect("it was sent").size() <= WORD + 8, "more than has arrived"),
            Err(Corrupt) => {}
        }
        scribbler.join().unwrap();
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("frames_arrive_whole_and_in_order", "bytes: tail before the word", RACE),
            ("frames_arrive_whole_and_in_order", "channel: tail read early", RACE),
            ("frames_arrive_whole_and_in_order", "channel: head before copy", RACE),
            ("frames_arrive_whole_and_in_order", "nothing acquires", RACE),
            ("frames_arrive_whole_and_in_order", "nothing releases", RACE),
            ("a_sender_that_dies_leaves_whole_frames", "bytes: tail before the word", "honest: Corrupt"),
            ("a_frame_that_grows_while_it_is_read", "bytes: length read twice", "more than has arrived"),
        ],
    );
}
