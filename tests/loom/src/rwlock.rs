//! Scenes of `RawRwLock`, and with it of the row of places that readers share.

use std::rc::Rc;

use crate::explore::{each_death, each_death_in_a_crowd, each_order};
use crate::guarded::Guarded;
use crate::primitive::{Instant, Name};
use crate::raw::rwlock::{Found, RawRwLock};
use crate::raw::{Patience, Refusal};
use crate::twins::{DEADLOCK, ENDLESS, RACE};
use crate::world::{Before, died, i_am, may_die_here, the_deadline_comes, thread};

/// A lock for as many readers, and two numbers that are equal while nobody writes.
struct Pair<const READERS: usize> {
    lock: RawRwLock<READERS>,
    both: Guarded<[u32; 2]>,
}

type Join<T> = loom::thread::JoinHandle<Option<T>>;

impl<const READERS: usize> Pair<READERS> {
    fn new() -> Rc<Pair<READERS>> {
        Rc::new(Pair { lock: RawRwLock::new(), both: Guarded::new([0, 0]) })
    }

    fn read(&self, me: Name) -> Found {
        let (share, found) = self.lock.read_with(me, Patience::Endless).expect("read");
        let [a, b] = self.both.get();
        may_die_here();
        assert!(a == b || found == Found::Dirty, "half done, and nobody was told");
        share.give_back();
        found
    }

    fn write(&self, me: Name) -> Found {
        let found = self.lock.write_with(me, Patience::Endless).expect("written");
        self.change(found);
        self.lock.writer().unlock(false);
        found
    }

    fn change(&self, found: Found) {
        let [a, mut b] = self.both.get();
        if found == Found::Dirty {
            b = a;
            self.both.set([a, b]);
            self.lock.writer().set_clean();
        }
        assert_eq!(a, b, "half done, and nobody was told");
        self.both.set([a + 1, b]);
        may_die_here();
        self.both.set([a + 1, b + 1]);
    }

    fn read_in(self: &Rc<Self>, number: usize) -> Join<Found> {
        let pair = Rc::clone(self);
        thread(number, move |me| pair.read(me))
    }

    fn write_in(self: &Rc<Self>, number: usize) -> Join<Found> {
        let pair = Rc::clone(self);
        thread(number, move |me| pair.write(me))
    }
}

#[test]
fn a_reader_and_a_writer_exclude_each_other() {
    each_order(|| {
        let pair = Pair::<2>::new();
        let reader = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| [pair.read(me), pair.read(me)]
        });
        let me = i_am(1);
        assert_eq!([pair.write(me), pair.write(me)], [Found::Clean; 2]);
        assert_eq!(reader.join().unwrap(), Some([Found::Clean; 2]));
        assert_eq!(pair.both.get(), [2, 2]);
    });
}

#[test]
fn two_readers_and_a_writer() {
    each_order(|| {
        let pair = Pair::<2>::new();
        let readers = [2, 3].map(|number| pair.read_in(number));
        assert_eq!(pair.write(i_am(1)), Found::Clean);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Some(Found::Clean));
        }
    });
}

#[test]
fn a_reader_and_two_writers() {
    each_order(|| {
        let pair = Pair::<1>::new();
        let writer = pair.write_in(2);
        let reader = pair.read_in(3);
        assert_eq!(pair.write(i_am(1)), Found::Clean);
        assert_eq!(writer.join().unwrap(), Some(Found::Clean));
        assert_eq!(reader.join().unwrap(), Some(Found::Clean));
        assert_eq!(pair.both.get(), [2, 2]);
    });
}

/// Readers do not wait for each other, where there is room.
#[test]
fn readers_read_together() {
    each_order(|| {
        let pair = Pair::<2>::new();
        let me = i_am(1);
        let (share, _) = pair.lock.read_with(me, Patience::Endless).unwrap();
        assert_eq!(pair.read_in(2).join().unwrap(), Some(Found::Clean));
        share.give_back();
    });
}

/// There is room for one; nobody who waits for it is forgotten.
#[test]
fn readers_wait_for_room() {
    each_order(|| {
        let pair = Pair::<1>::new();
        let readers = [2, 3].map(|number| pair.read_in(number));
        assert_eq!(pair.read(i_am(1)), Found::Clean);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Some(Found::Clean));
        }
    });
}

#[test]
fn what_would_wait_for_itself_is_refused() {
    each_order(|| {
        let pair = Pair::<2>::new();
        let me = i_am(1);
        let (share, _) = pair.lock.read_with(me, Patience::Endless).unwrap();
        let writer = pair.write_in(2);
        assert_eq!(pair.lock.write_with(me, Patience::Endless), Err(Refusal::Deadlock));
        // Beside a writer that waits for this thread, or before it has come.
        match pair.lock.read_with(me, Patience::Endless) {
            Ok((again, _)) => again.give_back(),
            Err(refusal) => assert_eq!(refusal, Refusal::Deadlock),
        }
        share.give_back();
        writer.join().unwrap();
        assert_eq!(pair.lock.write_with(me, Patience::Endless), Ok(Found::Clean));
        assert_eq!(pair.lock.read_with(me, Patience::Endless).map(|_| ()), Err(Refusal::Deadlock));
        pair.lock.writer().unlock(false);
    });
}

/// A writer that gives up while readers are there leaves things as they were.
#[test]
fn an_impatient_writer_harms_nobody() {
    each_order(|| {
        let pair = Pair::<2>::new();
        let writer = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| match pair.lock.write_with(me, Patience::Until(Instant)) {
                Ok(found) => {
                    pair.change(found);
                    pair.lock.writer().unlock(false);
                }
                Err(refusal) => assert_eq!(refusal, Refusal::NotNow),
            }
        });
        let me = i_am(1);
        let (share, _) = pair.lock.read_with(me, Patience::Endless).unwrap();
        the_deadline_comes();
        pair.both.get();
        share.give_back();
        assert_eq!(pair.read(me), Found::Clean);
        writer.join().unwrap();
        assert_eq!(pair.lock.write_with(me, Patience::None), Ok(Found::Clean));
    });
}

#[test]
fn an_impatient_reader_harms_nobody() {
    each_order(|| {
        let pair = Pair::<1>::new();
        let impatient = thread(2, {
            let pair = Rc::clone(&pair);
            move |me| match pair.lock.read_with(me, Patience::Until(Instant)) {
                Ok((share, _)) => {
                    pair.both.get();
                    share.give_back();
                }
                Err(refusal) => assert_eq!(refusal, Refusal::NotNow),
            }
        });
        let me = i_am(1);
        assert_eq!(pair.write(me), Found::Clean);
        the_deadline_comes();
        assert_eq!(pair.write(me), Found::Clean);
        impatient.join().unwrap();
        assert_eq!(pair.lock.write_with(me, Patience::None), Ok(Found::Clean));
    });
}

/// A dead reader's share comes back, to a writer, and to a reader for whom there was no room.
#[test]
fn a_reader_dies() {
    each_death(2, || {
        let pair = Pair::<1>::new();
        let victim = pair.read_in(2);
        let me = i_am(1);
        assert_eq!(pair.write(me), Found::Clean);
        assert_eq!(pair.read(me), Found::Clean);
        victim.join().unwrap();
        assert_eq!(pair.write(me), Found::Clean);
    });
}

#[test]
fn a_reader_dies_in_the_only_place() {
    each_death(2, || {
        let pair = Pair::<1>::new();
        let victim = pair.read_in(2);
        let me = i_am(1);
        assert_eq!(pair.read(me), Found::Clean);
        victim.join().unwrap();
        assert_eq!(pair.write(me), Found::Clean);
    });
}

/// A dead writer's work is told to all, until it is repaired; one that had not begun leaves nothing.
#[test]
fn a_writer_dies() {
    each_death(2, || {
        let pair = Pair::<1>::new();
        let victim = pair.write_in(2);
        let me = i_am(1);
        let read = pair.read(me);
        let whole = victim.join().unwrap().is_some();
        let written = pair.write(me);
        match died(2) {
            Some(Before::Work) => assert_eq!(written, Found::Dirty),
            Some(Before::Wake) => assert_eq!(written, Found::Clean),
            _ => assert!(!whole || written == Found::Clean),
        }
        assert!(written == Found::Dirty || read == Found::Clean);
        assert_eq!(pair.write(me), Found::Clean);
    });
}

#[test]
fn a_writer_dies_among_writers() {
    each_death(2, || {
        let pair = Pair::<1>::new();
        let victim = pair.write_in(2);
        let writer = pair.write_in(3);
        let me = i_am(1);
        pair.write(me);
        victim.join().unwrap();
        writer.join().unwrap();
        pair.write(me);
        let [a, b] = pair.both.get();
        assert!(a == b && (a == 3 || a == 4));
    });
}

#[test]
fn a_writer_dies_in_a_crowd() {
    each_death_in_a_crowd(2, || {
        let pair = Pair::<2>::new();
        let victim = pair.write_in(2);
        let reader = pair.read_in(3);
        let me = i_am(1);
        pair.write(me);
        victim.join().unwrap();
        reader.join().unwrap();
        pair.write(me);
        assert_eq!(pair.read(me), Found::Clean);
    });
}

#[test]
fn a_reader_dies_in_a_crowd() {
    each_death_in_a_crowd(2, || {
        let pair = Pair::<1>::new();
        let victim = pair.read_in(2);
        let writer = pair.write_in(3);
        let me = i_am(1);
        assert_eq!(pair.read(me), Found::Clean);
        victim.join().unwrap();
        assert_eq!(writer.join().unwrap(), Some(Found::Clean));
        assert_eq!(pair.write(me), Found::Clean);
    });
}

#[test]
fn seeded_bugs_are_found() {
    crate::twins::fail(
        module_path!(),
        &[
            ("a_reader_and_a_writer_exclude_each_other", "rwlock: reader does not look", RACE),
            ("a_reader_and_a_writer_exclude_each_other", "rwlock: writer does not look", RACE),
            ("a_reader_and_a_writer_exclude_each_other", "no total order", RACE),
            ("a_reader_and_a_writer_exclude_each_other", "nothing releases", RACE),
            ("readers_wait_for_room", "places: forgotten mark", DEADLOCK),
            ("a_reader_dies", "leaked reader share", ENDLESS),
            ("a_reader_dies_in_the_only_place", "missing recheck", DEADLOCK),
            ("a_writer_dies_among_writers", "only the owner is watched", DEADLOCK),
        ],
    );
}
