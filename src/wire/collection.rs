//! Maps and sets: a number of entries, then the entries.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use super::sequence::{decode_count, decode_element, decode_inside, encode_element, encode_inside};
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

/// A map that was encoded has each key once; one that is decoded may not quietly lose an entry.
fn twice(input: &Decoder<'_>, what: &str) -> DecodeError {
    input.invalid(format!("{what} twice, the second time just before this byte"))
}

fn encode_entry<K: Wire, V: Wire>(key: &K, value: &V, out: &mut Encoder) -> Result<(), EncodeError> {
    encode_element(out, |out| {
        key.encode(out)?;
        value.encode(out)
    })
}

/// Gives `count` entries to `is_new`, which says whether the key was not there before.
#[inline]
fn decode_entries<K: Wire, V: Wire>(
    input: &mut Decoder<'_>,
    count: usize,
    mut is_new: impl FnMut(K, V) -> bool,
) -> Result<(), DecodeError> {
    for _ in 0..count {
        let (key, value) = decode_element(input, |input| Ok((K::decode(input)?, V::decode(input)?)))?;
        if !is_new(key, value) {
            return Err(twice(input, "a map has one key"));
        }
    }
    Ok(())
}

/// Gives `count` elements to `is_new`, which says whether the element was not there before.
#[inline]
fn decode_items<T: Wire>(
    input: &mut Decoder<'_>,
    count: usize,
    mut is_new: impl FnMut(T) -> bool,
) -> Result<(), DecodeError> {
    for _ in 0..count {
        if !is_new(decode_element(input, T::decode)?) {
            return Err(twice(input, "a set has one element"));
        }
    }
    Ok(())
}

impl<K: Wire + Eq + Hash, V: Wire, S: BuildHasher + Default> Wire for HashMap<K, V, S> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write_length(self.len());
        encode_inside::<(K, V)>(out, |out| self.iter().try_for_each(|(key, value)| encode_entry(key, value, out)))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = decode_count(input)?;
        decode_inside::<(K, V), _>(input, |input| {
            let room = input.reserve(count, size_of::<(K, V)>());
            let mut map = HashMap::with_capacity_and_hasher(room, S::default());
            decode_entries(input, count, |key, value| map.insert(key, value).is_none())?;
            input.release(room, size_of::<(K, V)>());
            Ok(map)
        })
    }
}
impl<K: Pass, V: Pass, S> Pass for HashMap<K, V, S> {}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write_length(self.len());
        encode_inside::<(K, V)>(out, |out| self.iter().try_for_each(|(key, value)| encode_entry(key, value, out)))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = decode_count(input)?;
        decode_inside::<(K, V), _>(input, |input| {
            let mut map = BTreeMap::new();
            decode_entries(input, count, |key, value| map.insert(key, value).is_none())?;
            Ok(map)
        })
    }
}
impl<K: Pass, V: Pass> Pass for BTreeMap<K, V> {}

impl<T: Wire + Eq + Hash, S: BuildHasher + Default> Wire for HashSet<T, S> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write_length(self.len());
        encode_inside::<T>(out, |out| self.iter().try_for_each(|item| encode_element(out, |out| item.encode(out))))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = decode_count(input)?;
        decode_inside::<T, _>(input, |input| {
            let room = input.reserve(count, size_of::<T>());
            let mut set = HashSet::with_capacity_and_hasher(room, S::default());
            decode_items(input, count, |item| set.insert(item))?;
            input.release(room, size_of::<T>());
            Ok(set)
        })
    }
}
impl<T: Pass, S> Pass for HashSet<T, S> {}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write_length(self.len());
        encode_inside::<T>(out, |out| self.iter().try_for_each(|item| encode_element(out, |out| item.encode(out))))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = decode_count(input)?;
        decode_inside::<T, _>(input, |input| {
            let mut set = BTreeSet::new();
            decode_items(input, count, |item| set.insert(item))?;
            Ok(set)
        })
    }
}
impl<T: Pass> Pass for BTreeSet<T> {}
