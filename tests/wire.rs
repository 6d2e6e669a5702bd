//! Everything that crosses comes back the same, and nothing else comes out of bytes.
#![allow(clippy::type_complexity)]
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::convert::Infallible;
use std::error::Error;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{NonZero, Saturating, Wrapping};
use std::ops::{Bound, ControlFlow, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::collection::{btree_map, btree_set, hash_map, hash_set, linked_list, vec, vec_deque};
use proptest::prelude::*;
use tine::wire::{self, DecodeError, DecodeErrorKind, Decoder, EncodeErrorKind, Encoder, MAX_DEPTH, Wire};

#[path = "wire/rich.rs"]
mod rich;

/// What has to hold for every value of every type.
fn crosses<T: Wire + PartialEq + Debug>(value: &T) {
    crosses_as(value, |back| assert_eq!(back, value));
}

fn crosses_as<T: Wire>(value: &T, same: impl FnOnce(&T)) {
    let bytes = wire::to_bytes(value).expect("the value crosses");
    same(&wire::from_bytes(&bytes).expect("what was encoded decodes"));

    if let Some(most) = T::MAX_SIZE {
        assert!(bytes.len() <= most, "{} bytes, where MAX_SIZE promises at most {most}", bytes.len());
    }
    // Every prefix lacks something, and says so; long ones are sampled.
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
        let error = wire::from_bytes::<T>(&bytes[..end]).err().expect("a prefix is not a value");
        assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{error}");
        assert!(error.offset().expect("the decoder knows where it was") <= end);
    }
    // One byte more is too much.
    let longer = [&bytes[..], &[0]].concat();
    let error = wire::from_bytes::<T>(&longer).err().expect("a byte is left over");
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Trailing, Some(bytes.len())));
    // Any one byte may be wrong: an error or another value, but an answer.
    let mut wrong = bytes.clone();
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        for flip in [0x01, 0x80, 0xff] {
            wrong[at] ^= flip;
            let _ = wire::from_bytes::<T>(&wrong);
            wrong[at] ^= flip;
        }
    }
    // In the middle of other bytes it takes its own and no others.
    let mut out = Encoder::from_vec(vec![0xaa]);
    value.encode(&mut out).expect("the value crosses");
    out.write(&[0xbb]);
    let mut input = Decoder::new(out.as_bytes());
    assert_eq!(input.take(1).expect("was written"), [0xaa]);
    T::decode(&mut input).map(drop).expect("what was encoded decodes");
    assert_eq!(input.take(1).expect("was written"), [0xbb]);
    input.finish().expect("nothing else was written");
}

/// One test per line: a name, a type, the values to try.
macro_rules! crossing {
    ($($name:ident: $type:ty = $values:expr;)*) => {$(
        #[test]
        fn $name() {
            let run = |value: $type| {
                crosses(&value);
                Ok(())
            };
            let config = ProptestConfig { cases: 48, ..ProptestConfig::default() };
            proptest::test_runner::TestRunner::new(config).run(&($values), run).unwrap();
        }
    )*};
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..300).prop_map(String::from_iter)
}
fn os_text() -> impl Strategy<Value = OsString> {
    vec(any::<u8>(), 0..40).prop_map(OsString::from_vec)
}
fn c_text() -> impl Strategy<Value = CString> {
    vec(1_u8.., 0..40).prop_map(|bytes| CString::new(bytes).expect("no zeros"))
}
fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
}
fn time() -> impl Strategy<Value = SystemTime> {
    (any::<bool>(), duration()).prop_filter_map("in range", |(before, distance)| {
        if before { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    })
}
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(Ipv4Addr::from)
}
fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>().prop_map(Ipv6Addr::from)
}
fn socket_v4() -> impl Strategy<Value = SocketAddrV4> {
    (v4(), any::<u16>()).prop_map(|(ip, port)| SocketAddrV4::new(ip, port))
}
fn socket_v6() -> impl Strategy<Value = SocketAddrV6> {
    (v6(), any::<(u16, u32, u32)>()).prop_map(|(ip, (port, flow, scope))| SocketAddrV6::new(ip, port, flow, scope))
}

type Numbers = (u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

crossing! {
    numbers: Numbers = any::<((u8, u16, u32, u64, u128, usize), (i8, i16, i32, i64, i128, isize))>()
        .prop_map(|((a, b, c, d, e, f), (g, h, i, j, k, l))| (a, b, c, d, e, f, g, h, i, j, k, l));
    floats: (f32, f64) = any::<(f32, f64)>();
    characters: (bool, char) = any::<(bool, char)>();
    nonzero_1: (NonZero<u8>, NonZero<i8>, NonZero<u16>, NonZero<i16>) =
        (1_u8.., 1_i8.., 1_u16.., i16::MIN..0).prop_map(|(a, b, c, d)| {
            (NonZero::new(a).unwrap(), NonZero::new(b).unwrap(), NonZero::new(c).unwrap(), NonZero::new(d).unwrap())
        });
    nonzero_2: (NonZero<u32>, NonZero<i32>, NonZero<u64>, NonZero<i64>) =
        (1_u32.., 1_i32.., 1_u64.., i64::MIN..0).prop_map(|(a, b, c, d)| {
            (NonZero::new(a).unwrap(), NonZero::new(b).unwrap(), NonZero::new(c).unwrap(), NonZero::new(d).unwrap())
        });
    nonzero_3: (NonZero<u128>, NonZero<i128>, NonZero<usize>, NonZero<isize>) =
        (1_u128.., 1_i128.., 1_usize.., isize::MIN..0).prop_map(|(a, b, c, d)| {
            (NonZero::new(a).unwrap(), NonZero::new(b).unwrap(), NonZero::new(c).unwrap(), NonZero::new(d).unwrap())
        });
    wrappers: (Wrapping<u32>, Saturating<i16>, Reverse<String>) =
        (any::<u32>(), any::<i16>(), text()).prop_map(|(a, b, c)| (Wrapping(a), Saturating(b), Reverse(c)));
    nothings: ((), PhantomData<*const u8>, RangeFull, std::fmt::Error) = Just(((), PhantomData, .., std::fmt::Error));
    orderings: Ordering = prop_oneof![Just(Ordering::Less), Just(Ordering::Equal), Just(Ordering::Greater)];
    statuses: ExitStatus = any::<i32>().prop_map(ExitStatus::from_raw);

    strings: String = text();
    os_strings: OsString = os_text();
    paths: PathBuf = os_text().prop_map(PathBuf::from);
    c_strings: CString = c_text();
    boxed_texts: (Box<str>, Box<OsStr>, Box<Path>, Box<CStr>) = (text(), os_text(), os_text(), c_text())
        .prop_map(|(a, b, c, d)| (a.into(), b.into(), PathBuf::from(c).into(), d.into()));
    counted_texts: (Rc<str>, Arc<OsStr>, Rc<Path>, Arc<CStr>) = (text(), os_text(), os_text(), c_text())
        .prop_map(|(a, b, c, d)| (a.into(), b.into(), PathBuf::from(c).into(), d.into()));
    cows: (Cow<'static, str>, Cow<'static, Path>, Cow<'static, [u16]>, Cow<'static, [String]>) =
        (text(), os_text(), vec(any::<u16>(), 0..9), vec(text(), 0..3))
            .prop_map(|(a, b, c, d)| (a.into(), PathBuf::from(b).into(), c.into(), d.into()));
    pointers: (Box<u32>, Rc<String>, Arc<(u8, String)>) = (any::<u32>(), text(), any::<u8>(), text())
        .prop_map(|(a, b, c, d)| (a.into(), b.into(), (c, d).into()));
    cells: (Cell<u16>, RefCell<String>) = (any::<u16>(), text()).prop_map(|(a, b)| (a.into(), b.into()));

    vectors: Vec<u64> = vec(any::<u64>(), 0..400);
    vectors_of_text: Vec<String> = vec(text(), 0..12);
    vectors_of_arrays: Vec<[[u16; 3]; 2]> = vec(any::<[[u16; 3]; 2]>(), 0..40);
    vectors_of_nothing: Vec<()> = vec(any::<()>(), 0..600);
    vectors_of_vectors: Vec<Vec<Vec<u8>>> = vec(vec(vec(any::<u8>(), 0..5), 0..5), 0..5);
    vectors_of_empty_arrays: Vec<([u8; 0], PhantomData<u8>)> = vec(Just(([], PhantomData)), 0..20);
    slices: (Box<[u8]>, Box<[String]>, Rc<[f32]>, Arc<[bool]>) =
        (vec(any::<u8>(), 0..300), vec(text(), 0..4), vec(any::<f32>(), 0..20), vec(any::<bool>(), 0..20))
            .prop_map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()));
    deques: (VecDeque<u32>, VecDeque<String>) = (vec_deque(any::<u32>(), 0..40), vec_deque(text(), 0..4));
    lists: (LinkedList<u8>, LinkedList<()>) = (linked_list(any::<u8>(), 0..40), linked_list(any::<()>(), 0..9));
    arrays: ([u8; 5], [String; 3], [(); 4], [Option<u8>; 2]) =
        (any::<[u8; 5]>(), [text(), text(), text()], Just([(); 4]), any::<[Option<u8>; 2]>());
    empty_array: [String; 0] = Just([]);

    hash_maps: HashMap<String, Vec<u8>> = hash_map(text(), vec(any::<u8>(), 0..9), 0..12);
    hash_maps_with_hasher: HashMap<u32, (), BuildHasherDefault<DefaultHasher>> =
        hash_map(any::<u32>(), any::<()>(), 0..30).prop_map(|map| map.into_iter().collect());
    tree_maps: BTreeMap<(u8, String), Option<u64>> = btree_map((any::<u8>(), text()), any::<Option<u64>>(), 0..12);
    map_of_nothing: BTreeMap<(), ()> = btree_map(any::<()>(), any::<()>(), 0..2);
    hash_sets: HashSet<i64> = hash_set(any::<i64>(), 0..300);
    tree_sets: BTreeSet<String> = btree_set(text(), 0..9);

    options: (Option<u8>, Option<Option<()>>, Option<String>) =
        any::<(Option<u8>, Option<Option<()>>, Option<String>)>();
    results: Result<String, u8> = any::<Result<String, u8>>();
    bounds: Bound<u16> =
        any::<(bool, Option<u16>)>().prop_map(|(included, x)| match x {
            None => Bound::Unbounded,
            Some(x) if included => Bound::Included(x),
            Some(x) => Bound::Excluded(x),
        });
    flows: ControlFlow<String, u8> =
        prop_oneof![text().prop_map(ControlFlow::Break), any::<u8>().prop_map(ControlFlow::Continue)];
    polls: Poll<u32> = prop_oneof![Just(Poll::Pending), any::<u32>().prop_map(Poll::Ready)];
    ranges: (Range<u8>, RangeFrom<i8>, RangeTo<u16>, RangeInclusive<i64>, RangeToInclusive<u8>) =
        any::<(u8, u8, i8, u16, i64, i64, u8)>().prop_map(|(a, b, c, d, e, f, g)| (a..b, c.., ..d, e..=f, ..=g));
    tuples: (u8, (String, (bool,)), [u16; 2], (), Option<char>) =
        any::<(u8, (String, (bool,)), [u16; 2], (), Option<char>)>();

    durations: Duration = duration();
    times: SystemTime = time();
    addresses: (IpAddr, IpAddr) = (v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6));
    sockets: (SocketAddr, SocketAddr) = (socket_v4().prop_map(SocketAddr::V4), socket_v6().prop_map(SocketAddr::V6));
    decode_errors: DecodeError = (any::<u8>(), text()).prop_map(|(n, message)| match n % 3 {
        0 => DecodeError::new(message),
        1 => Decoder::new(&[]).take(usize::from(n)).err().unwrap_or(DecodeError::new(message)),
        _ => Decoder::new(&[1]).finish().unwrap_err(),
    });
    encode_errors: wire::EncodeError = text().prop_map(wire::EncodeError::new);
}

#[test]
fn floats_keep_every_bit() {
    for bits in [0x7ff8_0000_0000_0001, 0xfff0_dead_beef_0000, 0x8000_0000_0000_0000_u64] {
        crosses_as(&f64::from_bits(bits), |back| assert_eq!(back.to_bits(), bits));
        crosses_as(&vec![f64::from_bits(bits); 3], |back| assert!(back.iter().all(|x| x.to_bits() == bits)));
    }
}

#[test]
fn a_heap_gives_the_same_order() {
    let heap = BinaryHeap::from([3, 1, 4, 1, 5, 9, 2, 6]);
    crosses_as(&heap, |back| assert_eq!(back.clone().into_sorted_vec(), heap.clone().into_sorted_vec()));
}

#[test]
fn every_sequence_has_the_format_of_vec() {
    let mut deque = VecDeque::from([0_u32, 1, 2, 3]);
    deque.rotate_left(2);
    deque.push_back(7);
    deque.pop_front(); // by now it wraps around the end of its buffer
    let list: Vec<u32> = deque.iter().copied().collect();
    let bytes = wire::to_bytes(&list).unwrap();
    assert_eq!(wire::to_bytes(&deque).unwrap(), bytes);
    assert_eq!(wire::from_bytes::<LinkedList<u32>>(&bytes).unwrap().into_iter().collect::<Vec<_>>(), list);
    assert_eq!(*wire::from_bytes::<Arc<[u32]>>(&bytes).unwrap(), *list);
    assert_eq!(wire::from_bytes::<BTreeSet<u32>>(&bytes).unwrap(), list.iter().copied().collect());
}

#[test]
fn lengths_take_1_3_5_or_9_bytes() {
    for (number, size) in [(0, 1), (250, 1), (251, 3), (0xffff, 3), (0x1_0000, 5), (0xffff_ffff, 5), (0x1_0000_0000, 9)]
        .into_iter()
        .chain([(usize::MAX, 9)])
    {
        let mut out = Encoder::new();
        out.write_length(number);
        assert_eq!(out.len(), size, "{number}");
        let mut input = Decoder::new(out.as_bytes());
        assert_eq!(input.take_length().unwrap(), number);
        input.finish().unwrap();
    }
}

#[test]
fn a_length_in_a_longer_form_than_needed_is_refused() {
    let two = |n: u16| [&[251][..], &n.to_ne_bytes()].concat();
    let four = |n: u32| [&[252][..], &n.to_ne_bytes()].concat();
    let eight = |n: u64| [&[253][..], &n.to_ne_bytes()].concat();
    for bytes in [two(250), four(0xffff), eight(0xffff_ffff), vec![254], vec![255]] {
        let error = Decoder::new(&bytes).take_length().unwrap_err();
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Invalid, Some(0)), "{bytes:?}");
    }
}

#[test]
fn one_of_each_crosses() {
    for value in rich::one_of_each() {
        crosses_as(&value, |back| assert_eq!(wire::to_bytes(back).unwrap(), wire::to_bytes(&value).unwrap()));
        rich::decodes_to_what_it_encodes(&wire::to_bytes(&value).unwrap());
    }
}

/// Bytes of no value: where it is found, and what is said.
#[test]
fn bytes_without_a_value_are_named() {
    fn refused<T: Wire>(bytes: &[u8], offset: usize, says: &str) {
        let error = wire::from_bytes::<T>(bytes).err().unwrap_or_else(|| panic!("{bytes:?} decoded"));
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Invalid, Some(offset)), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    refused::<bool>(&[2], 0, "a bool is 0 or 1, found 2");
    refused::<(u8, bool)>(&[7, 3], 1, "found 3");
    refused::<char>(&0xd800_u32.to_ne_bytes(), 0, "0xd800");
    refused::<char>(&0x11_0000_u32.to_ne_bytes(), 0, "0x110000");
    refused::<NonZero<u16>>(&[0, 0], 0, "NonZero");
    refused::<Ordering>(&[2], 0, "found 2");
    refused::<String>(b"\x03ab\xff", 3, "0xff");
    refused::<CString>(b"\x03ab\x01", 1, "NUL");
    refused::<CString>(b"\x03\x00b\x00", 1, "NUL");
    refused::<CString>(b"\x00", 1, "NUL");
    refused::<Option<u8>>(&[2, 0], 0, "Option has no variant 2");
    refused::<Result<u8, u8>>(&[9, 0], 0, "Result has no variant 9");
    refused::<IpAddr>(&[5, 0, 0, 0, 0], 0, "found 5");
    refused::<Infallible>(&[], 0, "Infallible");
    refused::<io::ErrorKind>(&[200], 0, "200");
    refused::<io::Error>(&[3], 0, "3");
    refused::<Box<dyn Error>>(&[0], 1, "found 0");
    refused::<rich::Rich>(&[99], 0, "Rich has no variant 99");
    refused::<Vec<()>>(&[1, 5], 1, "found 5");
    refused::<BTreeMap<u8, u8>>(&[2, 1, 10, 1, 11], 5, "a map has one key twice");
    refused::<HashMap<u8, u8>>(&[2, 1, 10, 1, 11], 5, "a map has one key twice");
    refused::<BTreeSet<u8>>(&[2, 1, 1], 3, "a set has one element twice");
    refused::<HashSet<u8>>(&[2, 1, 1], 3, "a set has one element twice");

    let nanos = [&u64::MAX.to_ne_bytes()[..], &1_000_000_000_u32.to_ne_bytes()].concat();
    refused::<Duration>(&nanos, 8, "found 1000000000");
    let far = [&u64::MAX.to_ne_bytes()[..], &0_u32.to_ne_bytes()].concat();
    refused::<SystemTime>(&[&[0], &far[..]].concat(), 0, "after the epoch");
    refused::<SystemTime>(&[&[1], &far[..]].concat(), 0, "before the epoch");
    refused::<SystemTime>(&[&[1][..], &[0; 12]].concat(), 0, "0ns before the epoch");
}

#[test]
fn an_io_error_keeps_its_number_or_its_kind_and_text() {
    let os = io::Error::from_raw_os_error(2);
    crosses_as(&os, |back| assert_eq!((back.raw_os_error(), back.to_string()), (Some(2), os.to_string())));
    let kind = io::Error::from(io::ErrorKind::TimedOut);
    crosses_as(&kind, |back| {
        assert_eq!((back.kind(), back.to_string()), (kind.kind(), kind.to_string()));
        assert!(back.get_ref().is_none());
    });
    let own = io::Error::new(io::ErrorKind::NotConnected, Outer(Inner));
    crosses_as(&own, |back| {
        assert_eq!((back.kind(), back.to_string()), (io::ErrorKind::NotConnected, "outer".into()));
        assert_eq!(back.source().expect("kept").to_string(), "inner");
    });
    // std's own text without a box.
    let std = std::fs::read_to_string("/proc/self/exe").unwrap_err();
    assert!(std.raw_os_error().is_none() && std.get_ref().is_none());
    crosses_as(&std, |back| assert_eq!((back.kind(), back.to_string()), (std.kind(), std.to_string())));
}

#[test]
fn every_public_kind_of_io_error_crosses() {
    // The kinds that the system's numbers stand for, as std sorts them; those it keeps private arrive as `Other`.
    for number in 0..134 {
        let kind = io::Error::from_raw_os_error(number).kind();
        let expected = if format!("{kind:?}") == "Uncategorized" { io::ErrorKind::Other } else { kind };
        let back: io::ErrorKind = wire::from_bytes(&wire::to_bytes(&kind).unwrap()).unwrap();
        // `ELOOP` and `EINPROGRESS` have kinds that are not stable yet.
        let unstable = ["FilesystemLoop", "InProgress"].contains(&format!("{kind:?}").as_str());
        assert!(back == expected || unstable && back == io::ErrorKind::Other, "{number}: {kind:?} became {back:?}");
    }
}

#[derive(Debug)]
struct Inner;
impl std::fmt::Display for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("inner")
    }
}
impl Error for Inner {}

#[derive(Debug)]
struct Outer(Inner);
impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("outer")
    }
}
impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_boxed_error_keeps_its_chain() {
    fn question_mark() -> Result<u32, Box<dyn Error + Send + Sync>> {
        Err(Outer(Inner))?
    }
    crosses_as(&question_mark(), |back| {
        let error = back.as_ref().unwrap_err();
        assert_eq!(error.to_string(), "outer");
        assert_eq!(format!("{error:?}"), r#""outer", because of "inner""#);
        let source = error.source().expect("kept");
        assert_eq!(source.to_string(), "inner");
        assert!(source.source().is_none());
    });
    let plain: Box<dyn Error> = "seven".parse::<u32>().unwrap_err().into();
    crosses_as(&plain, |back| assert_eq!(back.to_string(), "invalid digit found in string"));
}

/// An error that is its own source: the chain is cut, not followed for ever.
#[test]
fn a_circle_of_errors_is_cut() {
    #[derive(Debug)]
    struct Circle;
    impl std::fmt::Display for Circle {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Circle)
        }
    }
    let error: Box<dyn Error> = Circle.into();
    crosses_as(&error, |back| {
        assert_eq!(std::iter::successors(Some(&**back), |&error| error.source()).count(), 64);
    });
}

#[test]
fn values_that_cannot_cross_are_refused() {
    let cell = RefCell::new(1_u8);
    let borrow = cell.borrow_mut();
    let error = wire::to_bytes(&cell).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::Refused);
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    drop(borrow);
    wire::to_bytes(&cell).unwrap();

    let mut range = 3..=3;
    wire::to_bytes(&range).unwrap();
    range.next();
    assert_eq!(wire::to_bytes(&range).unwrap_err().kind(), EncodeErrorKind::Refused);
}

tine::wire! {
    #[derive(Debug, PartialEq)]
    enum Tree {
        Leaf,
        Box(Box<Tree>),
        Rc(Rc<Tree>),
        Vec(Vec<Tree>),
        Slice(Box<[Tree]>),
        Deque(VecDeque<Tree>),
        List(LinkedList<Tree>),
        Map(BTreeMap<u8, Tree>),
        Option(Option<Box<Tree>>),
    }
}

/// Through every type that can hold itself: as deep as allowed and one deeper, both ways.
#[test]
fn depth_is_counted_wherever_a_type_can_contain_itself() {
    let steps: [(&[u8], fn(Tree) -> Tree); 8] = [
        (&[1], |tree| Tree::Box(tree.into())),
        (&[2], |tree| Tree::Rc(tree.into())),
        (&[3, 1], |tree| Tree::Vec(vec![tree])),
        (&[4, 1], |tree| Tree::Slice([tree].into())),
        (&[5, 1], |tree| Tree::Deque([tree].into())),
        (&[6, 1], |tree| Tree::List([tree].into())),
        (&[7, 1, 0], |tree| Tree::Map([(0, tree)].into())),
        (&[8, 1], |tree| Tree::Option(Some(tree.into()))),
    ];
    for (bytes, step) in steps {
        let deep = |levels: u32| (0..levels).fold(Tree::Leaf, |tree, _| step(tree));
        let bomb = |levels: u32| [bytes.repeat(levels as usize), vec![0]].concat();
        crosses(&deep(MAX_DEPTH));
        assert_eq!(wire::to_bytes(&deep(MAX_DEPTH)).unwrap(), bomb(MAX_DEPTH));
        assert_eq!(wire::to_bytes(&deep(MAX_DEPTH + 1)).unwrap_err().kind(), EncodeErrorKind::TooDeep);
        let error = wire::from_bytes::<Tree>(&bomb(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
        // A megabyte of levels: without the count the stack would end first, and the process with it.
        assert_eq!(wire::from_bytes::<Tree>(&bomb(1 << 20)).unwrap_err().kind(), DecodeErrorKind::TooDeep);
    }
    // Wide is not deep.
    crosses(&Tree::Vec((0..1000).map(|_| Tree::Box(Tree::Leaf.into())).collect()));
}

#[test]
fn an_encoder_can_be_reused_after_a_failure() {
    let deep = (0..200).fold(Tree::Leaf, |tree, _| Tree::Box(tree.into()));
    let mut out = Encoder::new();
    for _ in 0..3 {
        deep.encode(&mut out).unwrap_err();
        out.clear();
        Tree::Box(Tree::Leaf.into()).encode(&mut out).unwrap();
        assert_eq!(out.as_bytes(), [1, 0]);
        out.clear();
    }
}

mod declared {
    //! What the macros make of declarations.
    use super::*;
    use tine::wire::{Pass, Plain, Share};

    tine::plain! {
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct Header { pub(crate) kind: u32, length: u32, of: [u64; 2] }
        #[derive(Debug, Clone, Copy, PartialEq)]
        struct Unit;
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[repr(packed)]
        struct Packed(u8, u64);
        #[derive(Debug, Clone, Copy, PartialEq)]
        struct Vector<T: Plain, const N: usize> { x: [T; N], y: [T; N] }
    }
    tine::share! {
        #[derive(Default)]
        struct Counters<T: Share> { each: [T; 2], all: T }
    }
    tine::wire! {
        #[derive(Debug, PartialEq, Default)]
        enum Kind {
            #[default]
            Unit,
            Empty {},
            NoFields(),
            One(u8,),
            // Names that the macro uses itself.
            Named { out: u8, input: String, tag: Vec<u8>, field: Option<()> },
        }
        #[derive(Debug, PartialEq)]
        struct Generic<K, V, const N: usize>
        where
            K: Ord + Into<u64>,
        {
            map: BTreeMap<K, [V; N]>,
        }
        #[derive(Debug, PartialEq)]
        struct Tuple<A: Copy + Debug, B>(pub A, B, PhantomData<B>) where B: From<u8>;
        #[derive(Debug, PartialEq)]
        struct Unit2;
        #[derive(Debug, PartialEq, Clone, Copy)]
        #[repr(i16)]
        enum Explicit { A = -7, B, C = 300 }
        #[derive(Debug)]
        enum Never {}
    }

    #[test]
    fn they_cross() {
        crosses(&Header { kind: 1, length: 2, of: [3, 4] });
        crosses(&vec![Header { kind: 1, length: 2, of: [3, 4] }; 9]);
        crosses(&vec![Unit; 9]);
        crosses_as(&vec![Packed(1, 2), Packed(3, 4)], |back| assert!(*back == [Packed(1, 2), Packed(3, 4)]));
        crosses(&Vector { x: [1.5_f32, 2.5], y: [3.5, 4.5] });
        for kind in [Kind::Unit, Kind::Empty {}, Kind::NoFields(), Kind::One(7)] {
            crosses(&kind);
        }
        crosses(&Kind::Named { out: 1, input: "two".into(), tag: vec![3], field: Some(()) });
        crosses(&vec![Kind::Unit, Kind::Empty {}]);
        crosses(&Generic { map: BTreeMap::from([(1_u32, ["a".to_string(), "b".to_string()])]) });
        crosses(&Tuple(1_u8, 2_u64, PhantomData));
        crosses(&(Unit2, vec![Unit2, Unit2]));
        crosses(&[Explicit::A, Explicit::B, Explicit::C]);
        assert_eq!(wire::to_bytes(&Explicit::C).unwrap(), [2]);
        assert_eq!(Explicit::C as i16, 300);
        wire::from_bytes::<Never>(&[0]).unwrap_err();
    }

    #[test]
    fn sizes_are_known_where_they_can_be() {
        assert_eq!(Header::MAX_SIZE, Some(24));
        assert_eq!(<(u8, Option<[u16; 3]>, Result<(), char>)>::MAX_SIZE, Some(1 + 7 + 5));
        assert_eq!(Explicit::MAX_SIZE, Some(1));
        assert_eq!(Kind::MAX_SIZE, None);
        assert_eq!(<Tuple<u8, u64>>::MAX_SIZE, Some(9));
        assert_eq!(<Option<Box<u8>>>::MAX_SIZE, None);
        assert_eq!(<[u64; usize::MAX]>::MAX_SIZE, None);
        assert_eq!(Tree::MAX_SIZE, None);
    }

    #[test]
    fn bytes_of_a_plain_struct_are_those_in_memory() {
        let bytes = wire::to_bytes(&Packed(1, 0x0203)).unwrap();
        assert_eq!(bytes, [&[1][..], &0x0203_u64.to_ne_bytes()].concat());
    }

    #[test]
    fn the_promises_are_made() {
        fn share<T: Share>() {}
        fn plain<T: Plain>() {}
        fn pass<T: Pass>() {}
        share::<Counters<std::sync::atomic::AtomicI16>>();
        plain::<Vector<[u8; 3], 5>>();
        pass::<(Kind, Option<std::fs::File>, Vec<std::os::fd::OwnedFd>, HashMap<String, std::net::TcpStream>)>();
        pass::<Generic<u8, String, 2>>();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// The fuzz target, with random bytes behind a tag that exists.
    #[test]
    fn any_bytes_have_an_answer(tag in 0_u8..17, bytes in vec(prop_oneof![0_u8..6, any::<u8>()], 0..200)) {
        rich::decodes_to_what_it_encodes(&[&[tag], &bytes[..]].concat());
    }
}
