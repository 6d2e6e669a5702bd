//! Lists of Python's: any bytes at all, against a simple reading of the layout. (A real Python is asked in
//! `tests/segment.rs`.)
#[path = "models/segment_list.rs"]
mod model;

use model::check;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tine::memory::{Item, ListError, ShareableList, SharedSlice};

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

fn item() -> impl Strategy<Value = (Item, usize)> {
    let item = prop_oneof![
        any::<i64>().prop_map(Item::Int),
        any::<f64>().prop_map(Item::Float),
        any::<bool>().prop_map(Item::Bool),
        Just(Item::None),
        "[a-zß語\0]{0,20}".prop_map(Item::Str),
        prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..20).prop_map(Item::Bytes),
    ];
    (item, 0..2_usize)
}

/// What is read of what was written: zeroes at the end are lost.
fn as_read(item: Item) -> Item {
    match item {
        Item::Str(string) => Item::Str(string.trim_end_matches('\0').to_owned()),
        Item::Bytes(mut bytes) => {
            bytes.truncate(bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1));
            Item::Bytes(bytes)
        }
        other => other,
    }
}

fn open(bytes: &[u8]) -> Result<ShareableList, ListError> {
    ShareableList::new((*SharedSlice::from_slice(bytes).unwrap()).clone())
}

/// The bytes that Python makes of these items, a place for each at least as large as it makes.
fn encode(items: &[(Item, usize)]) -> Vec<u8> {
    let (mut offsets, mut data, mut formats, mut codes) = (vec![0], Vec::new(), Vec::new(), Vec::new());
    for (item, spare) in items {
        let text = |bytes: &[u8]| (bytes.to_vec(), 8 * (bytes.len() / 8 + 1));
        let (mut value, size) = match item {
            Item::Int(n) => (n.to_ne_bytes().to_vec(), 8),
            Item::Float(x) => (x.to_ne_bytes().to_vec(), 8),
            Item::Bool(yes) => ([[0; 7].as_slice(), &[u8::from(*yes)]].concat(), 8),
            Item::None => (vec![0; 8], 8),
            Item::Str(string) => text(string.as_bytes()),
            Item::Bytes(bytes) => text(bytes),
        };
        let (format, code) = match item {
            Item::Int(_) => ("q".to_owned(), 0),
            Item::Float(_) => ("d".to_owned(), 0),
            Item::Bool(_) => ("xxxxxxx?".to_owned(), 0),
            Item::None => ("xxxxxx?x".to_owned(), 3),
            Item::Str(_) => (format!("{size}s"), 1),
            Item::Bytes(_) => (format!("{size}s"), 2),
        };
        value.resize(size + 8 * spare, 0);
        data.extend(value);
        offsets.push(data.len() as i64);
        let mut format = format.into_bytes();
        format.resize(8, 0);
        formats.extend(format);
        codes.push(code);
    }
    let head: Vec<u8> = [items.len() as i64].into_iter().chain(offsets).flat_map(i64::to_ne_bytes).collect();
    [head, data, formats, codes].concat()
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn what_python_writes_is_read(items in prop::collection::vec(item(), 0..12)) {
        let list = open(&encode(&items)).unwrap();
        let wanted: Vec<Item> = items.into_iter().map(|(item, _)| as_read(item)).collect();
        // By their text, in which a NaN is like another.
        prop_assert_eq!(format!("{:?}", list.to_vec().unwrap()), format!("{wanted:?}"));
    }

    #[test]
    fn what_was_damaged_is_read_as_the_model_reads_it(
        items in prop::collection::vec(item(), 0..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(255), Just(b's')]), 0..4),
        cut in prop_oneof![3 => Just(0_usize), 1 => 1..40_usize],
        writes in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let mut bytes = encode(&items);
        bytes.truncate(bytes.len().saturating_sub(cut));
        if !bytes.is_empty() {
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        check(&bytes, &writes);
    }

    #[test]
    fn noise_is_read_as_the_model_reads_it(data in prop::collection::vec(any::<u8>(), 0..200)) {
        model::run(&data);
    }

    #[test]
    fn any_words_are_read_as_the_model_reads_them(
        words in prop::collection::vec(prop_oneof![4 => 0..40_i64, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(-1)], 0..30),
        rest in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        check(&[words.into_iter().flat_map(i64::to_ne_bytes).collect(), rest].concat(), &[]);
    }
}

#[test]
fn each_damage_has_its_error() {
    let good = encode(&[(Item::Int(-5), 0), (Item::Str("fünf".to_owned()), 0)]);
    assert_eq!(open(&good).unwrap().to_vec().unwrap(), [Item::Int(-5), Item::Str("fünf".to_owned())]);
    let damaged = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        open(&bytes)
    };
    let word = i64::to_ne_bytes;
    assert_eq!(damaged(0, &word(-1)).unwrap_err(), ListError::Layout { word: 0, value: -1 });
    assert_eq!(damaged(0, &word(i64::MIN)).unwrap_err(), ListError::Layout { word: 0, value: i64::MIN });
    let len = good.len();
    for items in [5, 1 << 40, i64::MAX] {
        assert_eq!(damaged(0, &word(items)).unwrap_err(), ListError::TooShort { len, items });
    }
    assert_eq!(damaged(8, &word(-8)).unwrap_err(), ListError::Layout { word: 1, value: -8 });
    assert_eq!(damaged(16, &word(24)).unwrap_err(), ListError::Layout { word: 2, value: 24 });
    assert_eq!(damaged(24, &word(7)).unwrap_err(), ListError::Layout { word: 3, value: 7 });
    assert_eq!(damaged(24, &word(i64::MAX)).unwrap_err(), ListError::Layout { word: 3, value: i64::MAX });
    assert_eq!(open(&good[..len - 1]).unwrap_err(), ListError::Layout { word: 3, value: 16 });
    for short in [0, 7, 8, 15] {
        let items = if short < 8 { 0 } else { 2 };
        assert_eq!(open(&good[..short]).unwrap_err(), ListError::TooShort { len: short, items });
    }

    let formats = 32 + 16;
    let second = |list: Result<ShareableList, ListError>| list.unwrap().get(1).unwrap_err();
    assert_eq!(second(damaged(32 + 9, &[0xff])).to_string().split(':').next().unwrap(), {
        "item 1 is a str whose bytes are not UTF-8 (cut off by Python?)"
    });
    for format in
        [b"9s\0\0\0\0\0\0", b"9999999s", b"s\0\0\0\0\0\0\0", b"+8s\0\0\0\0\0", b"8\0s\0\0\0\0\0", b"q\0\0\0\0\0\0\0"]
    {
        let wanted = ListError::Format { index: 1, format: *format, code: 1 };
        assert_eq!(second(damaged(formats + 8, format)), wanted);
        let error = std::io::Error::from(wanted);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
    for code in [0, 3, 4, -1] {
        let error = second(damaged(formats + 17, &[code as u8]));
        assert_eq!(error, ListError::Format { index: 1, format: *b"8s\0\0\0\0\0\0", code });
    }
    // Only these go together.
    let together = [("q", 0), ("d", 0), ("xxxxxxx?", 0), ("xxxxxx?x", 3), ("8s", 1), ("8s", 2)];
    for (format, right) in together {
        for code in 0..5_u8 {
            let mut bytes = good.clone();
            bytes[formats..formats + 8].fill(0);
            bytes[formats..formats + format.len()].copy_from_slice(format.as_bytes());
            bytes[formats + 16] = code;
            let good = code == right || (format == "8s" && matches!(code, 1 | 2));
            // Eight bytes of which the first is not UTF-8.
            let read = !matches!(open(&bytes).unwrap().get(0), Err(ListError::Format { .. }));
            assert_eq!(read, good, "{format} with {code}");
        }
    }
    assert_eq!(open(&good).unwrap().get(2), Err(ListError::NoItem { index: 2, len: 2 }));
    assert!(open(&encode(&[])).unwrap().is_empty());
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let word = i64::to_ne_bytes;
    for items in [1, 2, 1 << 32, i64::MAX / 17, i64::MAX / 8, i64::MAX] {
        check(&[word(items), word(0)].concat(), &[]);
        check(&[word(items), word(0), word(0), word(0)].concat(), &[]);
    }
}
