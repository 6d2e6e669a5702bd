//! What stands in the place of `src/sync/raw/primitive.rs`: the same names, over loom and the model's world.
// Not every lock uses all of it.
#![allow(dead_code)]

use std::fmt::Debug;
use std::panic::Location;
use std::rc::Rc;

use loom::cell::UnsafeCell;
use loom::sync::atomic as model;

pub(crate) use model::Ordering;

pub(crate) use crate::roster::{FLAGS, Name};
pub(crate) use crate::world::{
    Instant, Slept, Verdict, judge, look_for_the_truth, ring, ring_each, sleep, sleep_while, wake_all, wake_one,
};

use crate::world::{self, Before};

/// One is enough for the scenes, and each word costs.
pub(crate) const BELLS: usize = 1;

/// No looks before a sleep: the sleep is what is modelled.
pub(crate) fn spins() -> u32 {
    0
}

/// Lets others run.
pub(crate) fn spin() {
    loom::thread::yield_now();
}

/// Its two halves are a `SeqCst` change and a `SeqCst` load; [`AtomicU64`] says what comes of that.
pub(crate) fn handshake() {}

/// See [`effective`].
pub(crate) fn fence(ordering: Ordering) {
    match effective(ordering) {
        Ordering::Relaxed => {}
        ordering => model::fence(ordering),
    }
}

/// The two fences of `src/sys/fence.rs`: what the kernel makes of them.
pub(crate) fn light_fence() {
    if !seeded!("channel: no light fence") {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn heavy() -> bool {
    if !seeded!("channel: no heavy fence") {
        fence(Ordering::SeqCst);
    }
    true
}

macro_rules! words {
    ($($(#[$doc:meta])* $Word:ident: $bits:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $Word {
            word: model::$Word,
            /// Stands for the memory that the word is in: each touch reads it, whoever gives it back writes it.
            memory: Rc<UnsafeCell<()>>,
            /// See [`world::every_look_counts`]. Nothing is ordered by it.
            looks: model::AtomicUsize,
        }

        impl $Word {
            pub(crate) fn new(value: $bits) -> $Word {
                $Word { word: model::$Word::new(value), memory: Rc::new(UnsafeCell::new(())), looks: model::AtomicUsize::new(0) }
            }

            #[track_caller]
            pub(crate) fn load(&self, ordering: Ordering) -> $bits {
                self.touch();
                self.count_look();
                let ordering = effective(ordering);
                if ordering == Ordering::SeqCst && world::i_made_a_seqcst_change() {
                    model::fence(Ordering::SeqCst);
                }
                let now = self.word.load(ordering);
                world::trace(Location::caller(), || format!("load {now:#x}"));
                now
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $bits, ordering: Ordering) {
                self.change(("store", value), ordering, |ordering| self.word.store(value, ordering))
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $bits, ordering: Ordering) -> $bits {
                self.change(("swap", value), ordering, |ordering| self.word.swap(value, ordering))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                now: $bits,
                new: $bits,
                ok: Ordering,
                failed: Ordering,
            ) -> Result<$bits, $bits> {
                let exchange = |ok| self.word.compare_exchange(now, new, ok, effective(failed));
                self.change(("exchange", now, new), ok, exchange)
            }

            /// It fails where the word differs, and nowhere else.
            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                now: $bits,
                new: $bits,
                ok: Ordering,
                failed: Ordering,
            ) -> Result<$bits, $bits> {
                self.compare_exchange(now, new, ok, failed)
            }

            #[track_caller]
            pub(crate) fn fetch_and(&self, bits: $bits, ordering: Ordering) -> $bits {
                self.change(("and", bits), ordering, |ordering| self.word.fetch_and(bits, ordering))
            }

            #[track_caller]
            pub(crate) fn fetch_or(&self, bits: $bits, ordering: Ordering) -> $bits {
                self.change(("or", bits), ordering, |ordering| self.word.fetch_or(bits, ordering))
            }

            #[track_caller]
            pub(crate) fn fetch_add(&self, n: $bits, ordering: Ordering) -> $bits {
                self.change(("add", n), ordering, |ordering| self.word.fetch_add(n, ordering))
            }

            #[track_caller]
            pub(crate) fn fetch_sub(&self, n: $bits, ordering: Ordering) -> $bits {
                self.change(("sub", n), ordering, |ordering| self.word.fetch_sub(n, ordering))
            }

            #[track_caller]
            fn change<R: Debug>(&self, what: impl Debug, ordering: Ordering, change: impl FnOnce(Ordering) -> R) -> R {
                world::step(Before::Change);
                self.touch();
                self.count_look();
                let ordering = effective(ordering);
                if ordering == Ordering::SeqCst {
                    world::i_make_a_seqcst_change();
                }
                let done = change(ordering);
                world::trace(Location::caller(), || format!("{what:x?}: {done:x?}"));
                done
            }

            fn count_look(&self) {
                if world::does_every_look_count() {
                    self.looks.fetch_add(1, Ordering::Relaxed);
                }
            }

            #[track_caller]
            pub(crate) fn touch(&self) {
                world::touch(std::ptr::from_ref(self).addr(), &self.memory);
            }

            /// What the kernel reads when it compares.
            pub(crate) fn as_the_kernel_reads_it(&self) -> u32 {
                self.word.load(Ordering::Relaxed) as u32
            }
        }
    )*};
}

words! {
    /// A word, each change of which is a step at which the doomed thread may die before it is done. (A death before a load is a
    /// death before whatever follows it.)
    ///
    /// Loom takes a `SeqCst` access for an acquiring or releasing one, and finds errors where there are none; it knows `SeqCst`
    /// fences only. So a `SeqCst` load has such a fence before it where the same thread made a `SeqCst` change earlier. That
    /// gives what the standard promises for the pair (one of two threads that each change a word and then load the other's
    /// sees the change), and gives nothing to who has marked only one of the two.
    AtomicU64: u64,
    /// The same, of half the size.
    AtomicU32: u32
}

/// The ordering as it is written; or weaker, where the planted bug is that nobody has thought of orderings.
fn effective(ordering: Ordering) -> Ordering {
    use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    match ordering {
        Acquire if seeded!("nothing acquires") => Relaxed,
        Release if seeded!("nothing releases") => Relaxed,
        AcqRel if seeded!("nothing acquires") => Release,
        AcqRel if seeded!("nothing releases") => Acquire,
        SeqCst if seeded!("no total order") => AcqRel,
        ordering => ordering,
    }
}
