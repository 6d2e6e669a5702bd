//! A type with something of everything in it, and the one property of decoding that every input must have.
//!
//! Driven by proptest in `tests/wire.rs` and by libFuzzer in `fuzz/fuzz_targets/wire_decode.rs`.
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::error::Error;
use std::ffi::{CStr, CString, OsString};
use std::num::{NonZero, Wrapping};
use std::ops::{Bound, ControlFlow, Range, RangeInclusive};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

tine::plain! {
    #[derive(Debug, Clone, Copy)]
    pub struct Sample { pub at: u64, pub value: f32, pub of: [u16; 2] }
}

tine::wire! {
    #[derive(Debug)]
    pub enum Rich {
        Unit,
        Scalars { a: u8, b: bool, c: char, d: f64, e: NonZero<u32>, f: Wrapping<i128>, g: Ordering, h: () },
        Plain(Vec<Sample>, [Sample; 2]),
        Text(String, PathBuf, OsString, CString),
        Owned(Box<str>, Cow<'static, CStr>, Rc<[u16]>, Arc<String>, Cell<u8>, RefCell<i8>),
        Nothings(Vec<()>, LinkedList<Empty>, BTreeMap<(), ()>),
        Sums(Option<Option<u8>>, Result<bool, char>, Bound<u8>, ControlFlow<u8, ()>),
        Ranges(Range<i8>, RangeInclusive<u16>),
        Times(Duration, SystemTime),
        Net(std::net::IpAddr, std::net::SocketAddr),
        Failures(std::io::Error, Box<dyn Error + Send + Sync>, DecodeError),
        Sequences(VecDeque<u16>, BinaryHeap<Reverse<u8>>, Vec<[String; 2]>),
        Sets(BTreeSet<Vec<u8>>, Sorted<HashSet<u16>>),
        Map(BTreeMap<String, Rich>),
        Hashed(Sorted<HashMap<String, u8>>),
        Boxed(Box<Rich>),
        Several(Vec<Rich>),
    }

    #[derive(Debug)]
    pub struct Empty;
}

/// A hash table, decoded as one and encoded in order, so that equal tables have equal bytes.
#[derive(Debug)]
pub struct Sorted<T>(T);

impl<T> Wire for Sorted<T>
where
    T: Wire + Clone + IntoIterator,
    T::Item: Wire + Ord,
{
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        // Elements are written as a table writes them, so one decodes as the other.
        self.0.clone().into_iter().collect::<BTreeSet<_>>().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(input).map(Sorted)
    }
}
impl<T> Pass for Sorted<T> {}

/// Whatever decodes can be encoded, and what that gives decodes to the same value.
pub fn decodes_to_what_it_encodes(bytes: &[u8]) {
    let Ok(first) = tine::wire::from_bytes::<Rich>(bytes) else { return };
    let once = tine::wire::to_bytes(&first).expect("what was decoded is no deeper than what may be encoded");
    let second = tine::wire::from_bytes::<Rich>(&once).expect("what was encoded decodes");
    let twice = tine::wire::to_bytes(&second).expect("as above");
    assert_eq!(once, twice, "{first:?} became {second:?}");
}
