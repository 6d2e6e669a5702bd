//! Maps and sets: a number of entries, then the entries.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use super::sequence::{
    decode_count, decode_element, decode_inside, encode_element, encode_inside, pass_element, pass_elements,
    receive_elements,
};
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

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
impl<K: Pass + Eq + Hash, V: Pass, S: BuildHasher + Default> Pass for HashMap<K, V, S> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_entries(self.len(), self, out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let mut map = HashMap::with_hasher(S::default());
        receive_entries(input, |key, value| map.insert(key, value).is_none())?;
        Ok(map)
    }
}

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
impl<K: Pass + Ord, V: Pass> Pass for BTreeMap<K, V> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_entries(self.len(), self, out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        receive_entries(input, |key, value| map.insert(key, value).is_none())?;
        Ok(map)
    }
}

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
impl<T: Pass + Eq + Hash, S: BuildHasher + Default> Pass for HashSet<T, S> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_elements(self.len(), self, out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let mut set = HashSet::with_hasher(S::default());
        receive_elements(input, T::decode_pass, |input, item| match set.insert(item) {
            true => Ok(()),
            false => Err(twice(input.position(), "a set has one element")),
        })?;
        Ok(set)
    }
}

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
impl<T: Pass + Ord> Pass for BTreeSet<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_elements(self.len(), self, out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let mut set = BTreeSet::new();
        receive_elements(input, T::decode_pass, |input, item| match set.insert(item) {
            true => Ok(()),
            false => Err(twice(input.position(), "a set has one element")),
        })?;
        Ok(set)
    }
}

fn pass_entries<'a, K: Pass + 'a, V: Pass + 'a>(
    count: usize,
    entries: impl IntoIterator<Item = (&'a K, &'a V)>,
    out: &mut Passing<'a>,
) -> Result<(), EncodeError> {
    out.bytes().write_length(count);
    out.nested(|out| {
        entries.into_iter().try_for_each(|(key, value)| {
            pass_element(out, |out| {
                key.encode_pass(out)?;
                value.encode_pass(out)
            })
        })
    })
}

fn receive_entries<K: Pass, V: Pass>(
    input: &mut Received<'_>,
    mut is_new: impl FnMut(K, V) -> bool,
) -> Result<(), DecodeError> {
    receive_elements(input, <(K, V)>::decode_pass, |input, (key, value)| match is_new(key, value) {
        true => Ok(()),
        false => Err(twice(input.position(), "a map has one key")),
    })
}
