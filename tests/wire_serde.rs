//! Types that implement serde's traits cross in `Serde`, under the same rules.
#![cfg(feature = "serde")]
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tine::wire::{self, DecodeErrorKind, EncodeErrorKind, MAX_DEPTH, Serde};

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
enum Shape {
    Unit,
    Newtype(u64),
    Tuple(i8, String),
    Struct { a: Option<Option<()>>, b: Vec<f32> },
    Inside(Box<Shape>),
    Several(Vec<Shape>),
    Named(BTreeMap<String, Shape>),
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Everything {
    numbers: (u8, u16, u32, u64, u128, i8, i16, i32, i64, i128),
    rest: (bool, char, f32, f64, ()),
    unit: Unit,
    newtype: Newtype,
    pair: Pair,
    map: HashMap<u8, String>,
    nothings: Vec<()>,
    shape: Shape,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Unit;
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Newtype(String);
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Pair(u8, Vec<Unit>);

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Unit),
        any::<u64>().prop_map(Shape::Newtype),
        any::<(i8, String)>().prop_map(|(a, b)| Shape::Tuple(a, b)),
        any::<(Option<Option<()>>, Vec<f32>)>().prop_map(|(a, b)| Shape::Struct { a, b }),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::Inside(shape.into())),
            vec(inner.clone(), 0..4).prop_map(Shape::Several),
            btree_map(any::<String>(), inner, 0..4).prop_map(Shape::Named),
        ]
    })
}

fn crosses<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: &T) {
    let bytes = wire::to_bytes(&Serde(value.clone())).expect("the value crosses");
    assert_eq!(wire::from_bytes::<Serde<T>>(&bytes).expect("what was encoded decodes").into_inner(), *value);
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 100) {
        let error = wire::from_bytes::<Serde<T>>(&bytes[..end]).expect_err("a prefix is not a value");
        assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{error}");
    }
    let mut wrong = bytes.clone();
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        wrong[at] ^= 0xff;
        let _ = wire::from_bytes::<Serde<T>>(&wrong);
        wrong[at] ^= 0xff;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_of_data_crosses(
        shape in shape(),
        numbers in any::<(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128)>(),
        rest in any::<(bool, char, f32, f64, ())>(),
        text in any::<String>(),
        nothings in vec(any::<()>(), 0..9),
        map in any::<HashMap<u8, String>>(),
    ) {
        let pair = Pair(numbers.0, vec![Unit; nothings.len()]);
        crosses(&Everything { numbers, rest, unit: Unit, newtype: Newtype(text), pair, map, nothings, shape });
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in vec(prop_oneof![0_u8..8, any::<u8>()], 0..100)) {
        if let Ok(shape) = wire::from_bytes::<Serde<Shape>>(&bytes) {
            let bytes = wire::to_bytes(&shape).expect("it crosses");
            let again = wire::from_bytes::<Serde<Shape>>(&bytes).expect("it decodes");
            prop_assert_eq!(format!("{again:?}"), format!("{shape:?}"));
        }
    }
}

/// The input that overflows the stack of a format without a count of levels.
#[test]
fn depth_is_counted() {
    let deep = |levels: u32| (0..levels).fold(Shape::Unit, |shape, _| Shape::Inside(shape.into()));
    crosses(&deep(MAX_DEPTH));
    assert_eq!(wire::to_bytes(&Serde(deep(MAX_DEPTH + 1))).unwrap_err().kind(), EncodeErrorKind::TooDeep);
    let bomb = vec![4; 1 << 20];
    assert_eq!(wire::from_bytes::<Serde<Shape>>(&bomb).unwrap_err().kind(), DecodeErrorKind::TooDeep);

    #[derive(Serialize, Deserialize, Debug)]
    struct List(Option<Box<List>>);
    assert_eq!(wire::from_bytes::<Serde<List>>(&vec![1; 1 << 20]).unwrap_err().kind(), DecodeErrorKind::TooDeep);
}

/// The input that keeps a format busy for years whose empty elements take no bytes.
#[test]
fn elements_without_bytes_are_counted() {
    let bytes = [&[253][..], &(u64::MAX / 2).to_ne_bytes()].concat();
    assert_eq!(wire::from_bytes::<Serde<Vec<()>>>(&bytes).unwrap_err().kind(), DecodeErrorKind::Truncated);
}

#[test]
fn what_the_format_cannot_say_is_an_error() {
    #[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
    #[serde(untagged)]
    enum Any {
        Number(u32),
    }
    let bytes = wire::to_bytes(&Serde(Any::Number(1))).unwrap();
    let error = wire::from_bytes::<Serde<Any>>(&bytes).unwrap_err();
    assert!(error.to_string().contains("untagged"), "{error}");

    // An error of serde's own knows where it was found.
    let error = wire::from_bytes::<Serde<(u8, Shape)>>(&[1, 99]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::Invalid, Some(2)));
    assert!(error.to_string().contains("99"), "{error}");
}
