//! Memory with any bytes, read as a list of Python's, while somebody writes to it: against a reading of the layout in the
//! simplest way, in numbers that cannot overflow.
//!
//! Driven by the fuzz target `segment_list`, and by proptest in `tests/shareable_list.rs`.
use tine::memory::{Item, ListError, ShareableList, SharedSlice};

/// The first byte says how many writes come while the list is open, three bytes each; the rest is the memory.
pub fn run(data: &[u8]) {
    let Some((&writes, data)) = data.split_first() else { return };
    let (writes, bytes) = data.split_at(data.len().min(3 * usize::from(writes % 8)));
    check(bytes, writes);
}

/// Opens a list in `bytes`, reads it, then again after each of `writes`.
pub fn check(bytes: &[u8], writes: &[u8]) {
    let memory = SharedSlice::from_slice(bytes).unwrap();
    let list = ShareableList::new((*memory).clone());
    let places = places(bytes);
    let (list, places) = match (list, places) {
        (Ok(list), Some(places)) => (list, places),
        (Err(error), None) => {
            assert!(matches!(error, ListError::TooShort { .. } | ListError::Layout { .. }), "{error:?}");
            assert!(!error.to_string().is_empty());
            return;
        }
        (list, places) => panic!("{list:?}, but by the layout {places:?}"),
    };
    let mut bytes = bytes.to_vec();
    compare(&list, &places, &bytes);
    for write in writes.chunks_exact(3) {
        // Anywhere, and more often at the end, where the formats and codes are.
        let at = usize::from(u16::from_le_bytes([write[0], write[1]]));
        let at = if at % 2 == 0 { at / 2 } else { bytes.len().wrapping_sub(1 + at / 2) };
        if memory.set(at, write[2]).is_ok() {
            bytes[at] = write[2];
        }
        compare(&list, &places, &bytes);
    }
}

fn compare(list: &ShareableList, places: &[(i128, i128)], bytes: &[u8]) {
    // The first offset is also a place: the formats', which begin where the last item ends.
    let n = places.len() - 1;
    assert_eq!((list.len(), list.is_empty(), list.iter().len()), (n, n == 0, n));
    for (index, got) in list.iter().enumerate() {
        let wanted = item(bytes, places, index);
        let same = match (&got, &wanted) {
            // A NaN is not equal to itself.
            (Ok(Item::Float(a)), Some(Item::Float(b))) => a.to_bits() == b.to_bits(),
            (Ok(a), Some(b)) => a == b,
            (Err(error), None) => {
                assert!(!error.to_string().is_empty());
                matches!(error, ListError::Format { index: i, .. } | ListError::NotUtf8 { index: i, .. } if *i == index)
            }
            _ => false,
        };
        assert!(same, "item {index} is {got:?}, but by the layout {wanted:?}");
    }
    assert_eq!(list.get(n), Err(ListError::NoItem { index: n, len: n }));
    assert!(list.get(usize::MAX).is_err());
    assert_eq!(list.to_vec().is_ok(), (0..n).all(|index| item(bytes, places, index).is_some()));
}

fn word(bytes: &[u8], at: i128) -> Option<i64> {
    let at = usize::try_from(at).ok()?;
    Some(i64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Where each item begins and ends, and then where the formats and the codes begin; None if there is no list.
fn places(bytes: &[u8]) -> Option<Vec<(i128, i128)>> {
    let n = i128::from(word(bytes, 0)?);
    if n < 0 {
        return None;
    }
    let data = 8 * (n + 2);
    let mut begin = data;
    let mut places = Vec::new();
    for k in 0..=n {
        let at = data + i128::from(word(bytes, 8 * (k + 1))?);
        if at < begin {
            return None;
        }
        if k > 0 {
            places.push((begin, at));
        }
        begin = at;
    }
    places.push((begin, begin + 8 * n));
    (begin + 9 * n <= bytes.len() as i128).then_some(places)
}

/// The item; None if it cannot be read.
fn item(bytes: &[u8], places: &[(i128, i128)], index: usize) -> Option<Item> {
    let (formats, codes) = places[places.len() - 1];
    let (begin, end) = places[index];
    let format = usize::try_from(formats).ok()? + 8 * index;
    let format: String = bytes[format..format + 8].iter().map(|&byte| char::from(byte)).collect();
    let code = bytes[usize::try_from(codes).ok()? + index];
    let place = &bytes[usize::try_from(begin).ok()?..usize::try_from(end).ok()?];
    let number = || word(place, 0);
    match (format.trim_end_matches('\0'), code) {
        ("q", 0) => number().map(Item::Int),
        ("d", 0) => number().map(|n| Item::Float(f64::from_ne_bytes(n.to_ne_bytes()))),
        ("xxxxxxx?", 0) => place.get(7).map(|&byte| Item::Bool(byte != 0)),
        ("xxxxxx?x", 3) => place.get(7).map(|_| Item::None),
        (text, 1 | 2) => {
            let digits = text.strip_suffix('s').filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
            let value = place.get(..digits.parse().ok()?)?;
            let mut value = value.to_vec();
            while value.last() == Some(&0) {
                value.pop();
            }
            if code == 1 { String::from_utf8(value).ok().map(Item::Str) } else { Some(Item::Bytes(value)) }
        }
        _ => None,
    }
}
