//! Elements one after the other, with their number in front: the format of every collection.
use std::collections::{BinaryHeap, LinkedList, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};

/// Writes elements without their number; plain ones with one copy.
#[inline]
pub(super) fn encode_all<T: Wire>(items: &[T], out: &mut Encoder) -> Result<(), EncodeError> {
    if let Some(proof) = T::PLAIN {
        proof.encode(items, out);
        return Ok(());
    }
    items.iter().try_for_each(|item| item.encode(out))
}

/// Writes one element of a collection: at least one byte, so that whoever reads `n` elements has read `n` bytes.
#[inline]
pub(super) fn encode_element(
    out: &mut Encoder,
    encode: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let before = out.len();
    encode(out)?;
    if out.len() == before {
        out.write(&[0]);
    }
    Ok(())
}

/// Reads what [`encode_element`] wrote.
#[inline]
pub(super) fn decode_element<T>(
    input: &mut Decoder<'_>,
    decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let before = input.remaining();
    let item = decode(input)?;
    if input.remaining() == before {
        let [filler] = input.take_array()?;
        if filler != 0 {
            let message = format!("the byte that stands for an element without bytes is 0, found {filler}");
            return Err(input.invalid_before(1, message));
        }
    }
    Ok(item)
}

/// Runs `f` one level deeper, unless `T` is of bounded size and thus does not contain itself.
#[inline]
pub(super) fn encode_inside<T: Wire>(
    out: &mut Encoder,
    f: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    if T::MAX_SIZE.is_some() { f(out) } else { out.nested(f) }
}

/// The other half of [`encode_inside`].
#[inline]
pub(super) fn decode_inside<'a, T: Wire, R>(
    input: &mut Decoder<'a>,
    f: impl FnOnce(&mut Decoder<'a>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    if T::MAX_SIZE.is_some() { f(input) } else { input.nested(f) }
}

/// Whether elements are copied without a look at each. Not where they have no bytes: then nothing would bound their
/// number.
const fn is_bulk<T: Wire>() -> bool {
    T::PLAIN.is_some() && size_of::<T>() > 0
}

/// The number of elements that follow: at most as many as there are bytes.
#[inline]
pub(super) fn decode_count(input: &mut Decoder<'_>) -> Result<usize, DecodeError> {
    let count = input.take_length()?;
    if count > input.remaining() { Err(input.truncated(count)) } else { Ok(count) }
}

#[inline]
pub(super) fn encode_slice<T: Wire>(items: &[T], out: &mut Encoder) -> Result<(), EncodeError> {
    out.write_length(items.len());
    encode_elements(items, out)
}

#[inline]
fn encode_elements<T: Wire>(items: &[T], out: &mut Encoder) -> Result<(), EncodeError> {
    if is_bulk::<T>() {
        return encode_all(items, out);
    }
    encode_inside::<T>(out, |out| items.iter().try_for_each(|item| encode_element(out, |out| item.encode(out))))
}

pub(super) fn decode_vec<T: Wire>(input: &mut Decoder<'_>) -> Result<Vec<T>, DecodeError> {
    if let (Some(proof), true) = (T::PLAIN, is_bulk::<T>()) {
        let count = input.take_length()?;
        return proof.decode_vec(count, input);
    }
    let count = decode_count(input)?;
    decode_inside::<T, _>(input, |input| {
        let room = input.reserve(count, size_of::<T>());
        let mut items = Vec::with_capacity(room);
        for _ in 0..count {
            items.push(decode_element(input, T::decode)?);
        }
        input.release(room, size_of::<T>());
        Ok(items)
    })
}

macro_rules! slices {
    ($($owner:ty),*) => {$(
        impl<T: Wire> Wire for $owner {
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                encode_slice(self, out)
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                decode_vec(input).map(Into::into)
            }
        }
        impl<T: Pass> Pass for $owner {
            fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
                pass_slices([self, &[]], out)
            }
            fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
                receive_vec(input).map(Into::into)
            }
        }
    )*};
}
slices!(Vec<T>, Box<[T]>, Rc<[T]>, Arc<[T]>);

impl<T: Wire> Wire for VecDeque<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        let (front, back) = self.as_slices();
        out.write_length(self.len());
        encode_elements(front, out)?;
        encode_elements(back, out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_vec(input).map(VecDeque::from)
    }
}
impl<T: Pass> Pass for VecDeque<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_slices(self.as_slices().into(), out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        receive_vec(input).map(VecDeque::from)
    }
}

/// In the order of the heap's array, so the other side has little to sort.
impl<T: Wire + Ord> Wire for BinaryHeap<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_slice(self.as_slice(), out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_vec(input).map(BinaryHeap::from)
    }
}
impl<T: Pass + Ord> Pass for BinaryHeap<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_slices([self.as_slice(), &[]], out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        receive_vec(input).map(BinaryHeap::from)
    }
}

impl<T: Wire> Wire for LinkedList<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.write_length(self.len());
        encode_inside::<T>(out, |out| self.iter().try_for_each(|item| encode_element(out, |out| item.encode(out))))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = decode_count(input)?;
        decode_inside::<T, _>(input, |input| (0..count).map(|_| decode_element(input, T::decode)).collect())
    }
}
impl<T: Pass> Pass for LinkedList<T> {
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        pass_elements(self.len(), self, out)
    }
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let mut items = LinkedList::new();
        receive_elements(input, T::decode_pass, |_, item| {
            items.push_back(item);
            Ok(())
        })?;
        Ok(items)
    }
}

/// Appends the number of `items`, and each of them.
pub(super) fn pass_elements<'a, T: Pass + 'a>(
    count: usize,
    items: impl IntoIterator<Item = &'a T>,
    out: &mut Passing<'a>,
) -> Result<(), EncodeError> {
    out.bytes().write_length(count);
    out.nested(|out| items.into_iter().try_for_each(|item| pass_element(out, |out| item.encode_pass(out))))
}

/// Appends one element of a collection: at least one byte, as [`encode_element`] does.
pub(super) fn pass_element<'a>(
    out: &mut Passing<'a>,
    pass: impl FnOnce(&mut Passing<'a>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let before = out.as_bytes().len();
    pass(out)?;
    if out.as_bytes().len() == before {
        out.bytes().write(&[0]);
    }
    Ok(())
}

/// Appends the elements of two slices; plain ones with one copy each.
fn pass_slices<'a, T: Pass>(slices: [&'a [T]; 2], out: &mut Passing<'a>) -> Result<(), EncodeError> {
    let count = slices[0].len() + slices[1].len();
    let Some(proof) = T::PLAIN.filter(|_| size_of::<T>() > 0) else {
        return pass_elements(count, slices.into_iter().flatten(), out);
    };
    out.bytes().write_length(count);
    slices.iter().for_each(|slice| proof.encode(slice, out.bytes()));
    Ok(())
}

/// Takes what [`pass_elements`] wrote, and gives each element to `put`.
pub(super) fn receive_elements<'b, T>(
    input: &mut Received<'b>,
    mut receive: impl FnMut(&mut Received<'b>) -> Result<T, DecodeError>,
    mut put: impl FnMut(&Received<'b>, T) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let count = decode_count(input.bytes())?;
    input.nested(|input| {
        (0..count).try_for_each(|_| {
            let before = input.bytes().remaining();
            let item = receive(input)?;
            if input.bytes().remaining() == before {
                // The byte that stands for an element without bytes.
                decode_element(input.bytes(), |_| Ok(()))?;
            }
            put(input, item)
        })
    })
}

fn receive_vec<T: Pass>(input: &mut Received<'_>) -> Result<Vec<T>, DecodeError> {
    if let Some(proof) = T::PLAIN.filter(|_| size_of::<T>() > 0) {
        let count = input.bytes().take_length()?;
        return proof.decode_vec(count, input.bytes());
    }
    // Room for as many as have come, so the memory is at most a constant of the type times the bytes.
    let mut items = Vec::new();
    receive_elements(input, T::decode_pass, |_, item| {
        items.push(item);
        Ok(())
    })?;
    Ok(items)
}
