//! What decoding takes: memory, loops and stack are paid for by the input, not by what it says.
//!
//! Each measure is also applied to a decoder without the check that it is for, the *twin*, and has to find it out.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use tine::wire::{self, DecodeError, DecodeErrorKind, Decoder, EncodeError, Encoder, Pass, Wire};

#[path = "wire/rich.rs"]
mod rich;

/// The system's allocator, counting for each thread what it holds and has held at most.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: all is left to `System`; the counting touches two cells without destructor, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is copied both are there.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `f` holds at one time, beyond what was held before.
fn memory_of<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = f();
    (result, usize::try_from(MOST.get() - before).expect("the most is no less than the start"))
}

/// Decodes, and says whether the memory that took is paid for: `rate` bytes for each of the input's, the 4 KiB that are
/// free, and the error.
fn is_paid_for<T: Wire>(bytes: &[u8], rate: usize) -> bool {
    let (_, most) = memory_of(|| wire::from_bytes::<T>(bytes).map(drop));
    most <= bytes.len() * rate + 4096 + 1024
}

/// The twin: believes the length.
struct Believes;
impl Wire for Believes {
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut all = Vec::with_capacity(input.take_length()?);
        while input.remaining() > 0 {
            all.push(u8::decode(input)?);
        }
        Ok(Believes)
    }
}
impl Pass for Believes {}

/// Lengths that lie, from a little to absurdly.
fn liars() -> impl Iterator<Item = Vec<u8>> {
    [200, 60_000, 1 << 28, 1 << 40, u64::MAX / 8, u64::MAX / 2, u64::MAX].into_iter().flat_map(|length| {
        [0, 1, 100].map(|filling| {
            let mut out = Encoder::new();
            out.write_length(length as usize);
            out.write(&vec![0; filling]);
            out.into_bytes()
        })
    })
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    fn refused<T: Wire>() {
        for bytes in liars() {
            assert!(is_paid_for::<T>(&bytes, 64), "{} of {bytes:?}", std::any::type_name::<T>());
            let error = wire::from_bytes::<T>(&bytes).err().expect("the elements are not there");
            assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{}", std::any::type_name::<T>());
        }
    }
    refused::<Vec<u8>>();
    refused::<Vec<[u64; 4]>>();
    refused::<Vec<()>>();
    refused::<Vec<[u8; 0]>>();
    refused::<Vec<String>>();
    refused::<Box<[u32]>>();
    refused::<Rc<[bool]>>();
    refused::<VecDeque<u64>>();
    refused::<LinkedList<u64>>();
    refused::<BinaryHeap<u64>>();
    refused::<String>();
    refused::<OsString>();
    refused::<CString>();
    // These would meet the key 0 twice; with one byte of filling they end early.
    refused::<Vec<(Option<u64>, u8)>>();
    for bytes in liars() {
        assert!(is_paid_for::<HashMap<u8, [u64; 4]>>(&bytes, 64));
        assert!(is_paid_for::<BTreeMap<u8, [u64; 4]>>(&bytes, 64));
        assert!(is_paid_for::<HashSet<u8>>(&bytes, 64));
        assert!(is_paid_for::<BTreeSet<u8>>(&bytes, 64));
    }
    // The measure finds the twin out.
    let bytes = liars().find(|bytes| bytes.len() == 5).expect("2^28 with nothing behind it");
    assert!(!is_paid_for::<Believes>(&bytes, 64));
}

/// A length may be true and each element small on the wire, but large in memory.
#[test]
fn large_elements_of_few_bytes_cost_their_size_and_no_more() {
    type Large = Option<[u64; 128]>;
    let bytes = wire::to_bytes(&vec![None::<[u64; 128]>; 1000]).unwrap();
    // Twice the size: a vector doubles. And the old half while it is copied.
    assert!(is_paid_for::<Vec<Large>>(&bytes, size_of::<Large>() * 3));
}

/// The deepest that lengths can lie: at each of many levels.
#[test]
fn lies_at_every_level_do_not_multiply() {
    tine::wire! { struct Tree(Vec<Tree>); }
    for lie in [250, 30_000] {
        let mut out = Encoder::new();
        for _ in 0..wire::MAX_DEPTH {
            out.write_length(lie);
        }
        out.write(&vec![0; lie]);
        // All levels are open at once. A vector of one element that was not reserved for has room for four.
        assert!(is_paid_for::<Tree>(out.as_bytes(), 4 * size_of::<Tree>()));
    }
}

thread_local! {
    static DECODED: Cell<u64> = const { Cell::new(0) };
}

/// Has no bytes, and counts how often it is decoded.
struct Nothing;
impl Wire for Nothing {
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        DECODED.set(DECODED.get() + 1);
        // A million times is for ever, here.
        if DECODED.get() == 1_000_000 { Err(input.invalid("enough")) } else { Ok(Nothing) }
    }
}
impl Pass for Nothing {}

/// The twin: loops as often as the input says.
struct Loops;
impl Wire for Loops {
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        (0..input.take_length()?).try_for_each(|_| Nothing::decode(input).map(drop)).map(|()| Loops)
    }
}
impl Pass for Loops {}

#[test]
fn elements_without_bytes_do_not_loop_for_ever() {
    fn rounds<T: Wire>(bytes: &[u8]) -> u64 {
        DECODED.set(0);
        wire::from_bytes::<T>(bytes).err().expect("there are not so many");
        DECODED.get()
    }
    for bytes in liars().filter(|bytes| bytes.len() < 200) {
        let length = bytes.len() as u64;
        assert!(rounds::<Vec<Nothing>>(&bytes) <= length);
        assert!(rounds::<LinkedList<Nothing>>(&bytes) <= length);
        assert!(rounds::<VecDeque<[Nothing; 1]>>(&bytes) <= length);
    }
    let bytes = liars().last().expect("2^64 - 1");
    assert!(rounds::<Loops>(&bytes) > bytes.len() as u64);
}

thread_local! {
    static DEEPEST: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Notes how far down the stack it is decoded.
struct Probe;
impl Wire for Probe {
    const MAX_SIZE: Option<usize> = Some(0);
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(_: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut here = 0_u8;
        DEEPEST.set(DEEPEST.get().min(std::ptr::from_mut(&mut here).addr()));
        Ok(Probe)
    }
}
impl Pass for Probe {}

tine::wire! { struct List(Probe, Option<Box<List>>); }

/// The twin: a list that is not counted.
struct Uncounted;
impl Wire for Uncounted {
    fn encode(&self, _: &mut Encoder) -> Result<(), EncodeError> {
        Ok(())
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Probe::decode(input)?;
        if bool::decode(input)? {
            // Boxed as in a real list, and so that the call is not turned into a loop.
            std::hint::black_box(Box::new(Uncounted::decode(input)?));
        }
        Ok(Uncounted)
    }
}
impl Pass for Uncounted {}

#[test]
fn more_input_takes_no_more_stack() {
    // Inlined, each call would have its place in this frame, some bytes from the others.
    #[inline(never)]
    fn stack_of<T: Wire>(bytes: &[u8]) -> usize {
        let mut here = 0_u8;
        DEEPEST.set(usize::MAX);
        let _ = wire::from_bytes::<T>(bytes);
        std::ptr::from_mut(&mut here).addr().saturating_sub(DEEPEST.get())
    }
    let bomb = |levels| vec![1_u8; levels];
    let bound = stack_of::<List>(&bomb(300));
    assert!(bound > 0);
    assert_eq!(stack_of::<List>(&bomb(3_000)), bound);
    assert_eq!(stack_of::<List>(&bomb(3_000_000)), bound);
    // Also where the depth that is allowed was just not reached: one thread's stack is enough, in a debug build too.
    assert!(bound < 1 << 20, "{bound} bytes for {} levels", wire::MAX_DEPTH);

    let little = stack_of::<Uncounted>(&bomb(300));
    assert!(stack_of::<Uncounted>(&bomb(3_000)) > 5 * little, "the twin's stack grows with the input");
}

/// Bytes that are nearly right reach further than random ones: a value's encoding with some bytes changed.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<_> = rich::one_of_each().iter().map(|value| wire::to_bytes(value).expect("it crosses")).collect();
    let byte = prop_oneof![0_u8..20, 245_u8.., any::<u8>()];
    (proptest::sample::select(seeds), vec((any::<prop::sample::Index>(), byte), 0..4)).prop_map(
        |(mut bytes, changes)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_cost_what_they_are_worth(
        bytes in prop_oneof![vec(any::<u8>(), 0..300), vec(prop_oneof![0_u8..18, 250_u8..], 0..3000), nearly_right()],
    ) {
        // The least bytes for the most memory: a map of one short key, which has a node for eleven entries.
        prop_assert!(is_paid_for::<rich::Rich>(&bytes, 12 * size_of::<(String, rich::Rich)>()));
        rich::decodes_to_what_it_encodes(&bytes);
    }
}
