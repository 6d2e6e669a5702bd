//! A type with something of everything in it, and the one property of decoding that every input must have.
//!
//! Driven by proptest in `tests/wire.rs` and by libFuzzer in `fuzz/fuzz_targets/wire_decode.rs`.
#![allow(dead_code)]
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

/// One value of each variant.
pub fn one_of_each() -> Vec<Rich> {
    let sample = Sample { at: 7, value: 0.5, of: [1, 2] };
    let list = || vec!["one".to_string(), String::new(), "drei".into()];
    vec![
        Rich::Unit,
        Rich::Scalars {
            a: 1,
            b: true,
            c: 'ß',
            d: -0.5,
            e: NonZero::<u32>::MIN,
            f: Wrapping(-9),
            g: Ordering::Less,
            h: (),
        },
        Rich::Plain(vec![sample; 5], [sample; 2]),
        Rich::Text("text".into(), "/a/path".into(), "os".into(), c"c".into()),
        Rich::Owned(
            "box".into(),
            Cow::Borrowed(c"cow"),
            [1, 2, 3].into(),
            Arc::default(),
            Cell::new(3),
            RefCell::new(-3),
        ),
        Rich::Nothings(vec![(); 300], [Empty, Empty].into(), BTreeMap::from([((), ())])),
        Rich::Sums(Some(None), Err('x'), Bound::Excluded(3), ControlFlow::Continue(())),
        Rich::Ranges(-1..5, 3..=9),
        Rich::Times(Duration::from_millis(1500), SystemTime::UNIX_EPOCH - Duration::from_secs(9)),
        Rich::Net([127, 0, 0, 1].into(), ([0_u16, 0, 0, 0, 0, 0, 0, 1], 80).into()),
        Rich::Failures(
            std::io::Error::other("text"),
            Box::new(std::io::Error::from_raw_os_error(2)),
            DecodeError::new("text"),
        ),
        Rich::Sequences(
            [1, 2, 3].into(),
            [Reverse(3), Reverse(1), Reverse(2)].into(),
            vec![["a".into(), "b".into()]; 3],
        ),
        Rich::Sets([vec![1], vec![], vec![1, 2]].into(), Sorted([1, 2, 3].into())),
        Rich::Map(list().into_iter().map(|key| (key, Rich::Unit)).collect()),
        Rich::Hashed(Sorted(list().into_iter().zip(0..).collect())),
        Rich::Boxed(Box::new(Rich::Boxed(Box::new(Rich::Unit)))),
        Rich::Several(vec![Rich::Unit, Rich::Several(vec![Rich::Unit]), Rich::Ranges(0..1, 2..=3)]),
    ]
}

/// Whatever decodes can be encoded, and what that gives decodes to the same value.
pub fn decodes_to_what_it_encodes(bytes: &[u8]) {
    let Ok(first) = tine::wire::from_bytes::<Rich>(bytes) else { return };
    let once = tine::wire::to_bytes(&first).expect("what was decoded is no deeper than what may be encoded");
    let second = tine::wire::from_bytes::<Rich>(&once).expect("what was encoded decodes");
    let twice = tine::wire::to_bytes(&second).expect("as above");
    assert_eq!(once, twice, "{first:?} became {second:?}");
}
