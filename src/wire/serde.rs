//! serde's data model on the wire: for types that implement serde's traits and not ours.
//!
//! The format is that of this module, not one of serde's crates, for what they do with bytes that lie: postcard 1.1
//! overflows the stack on a megabyte of `Some` boxes, and counts to 2⁶³ when a `Vec<()>` says so; self-describing
//! formats confuse `Some(())` with `None`. Here the same rules hold as everywhere: depth is counted, and elements
//! without bytes have one.
//!
//! | serde | bytes |
//! |---|---|
//! | numbers, `bool`, `char`, text, option | as the types of std |
//! | bytes, sequence, map | length, then the elements |
//! | struct, tuple, newtype | the fields, in order |
//! | enum | tag, then the fields |
use std::fmt::Display;
use std::ops::{Deref, DerefMut};

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::ser::{self, Serialize};

use super::pass::by_wire;
use super::sequence::{decode_count, decode_element, encode_element};
use super::text::Text;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

/// A value whose type implements serde's traits, made to cross.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// enum Shape {
///     Circle { radius: f64 },
///     Polygon(Vec<(f64, f64)>),
/// }
///
/// let shape = tine::wire::Serde(Shape::Circle { radius: 1.5 });
/// let bytes = tine::wire::to_bytes(&shape)?;
/// let back: tine::wire::Serde<Shape> = tine::wire::from_bytes(&bytes)?;
/// assert_eq!(back.0, Shape::Circle { radius: 1.5 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Both sides run the same program, so field names are not written. Types that ask the input what it contains
/// (`#[serde(untagged)]`, `#[serde(flatten)]`, `serde_json::Value`) therefore cannot be decoded; the error says so. The
/// same is true of `#[serde(skip_serializing_if = "..")]`: the reader expects every field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Serde<T>(pub T);

impl<T> Serde<T> {
    /// What is inside.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Serde<T> {
    fn from(value: T) -> Serde<T> {
        Serde(value)
    }
}

impl<T> Deref for Serde<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Serde<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Serialize + DeserializeOwned> Wire for Serde<T> {
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.0.serialize(&mut Writer(out))
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let value = T::deserialize(&mut Reader(input));
        // serde's own errors ("missing field ..") do not know where they are.
        value.map(Serde).map_err(|error| error.or_at(input.offset()))
    }
}
impl<T: Serialize + DeserializeOwned> Pass for Serde<T> {
    by_wire!();
}

impl ser::Error for EncodeError {
    fn custom<T: Display>(message: T) -> EncodeError {
        EncodeError::new(message.to_string())
    }
}

impl de::Error for DecodeError {
    fn custom<T: Display>(message: T) -> DecodeError {
        DecodeError::new(message.to_string())
    }
}

// The one type that is serde's `Serializer` and all its seven kinds of compound.
// Inlined throughout: measured, that is twice as fast to encode a message of structs.
struct Writer<'a>(&'a mut Encoder);

macro_rules! write_as_wire {
    ($($method:ident: $type:ty),*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            value.encode(self.0)
        }
    )*};
}

impl<'w, 'a> ser::Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    write_as_wire! {
        serialize_bool: bool, serialize_char: char, serialize_f32: f32, serialize_f64: f64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }
    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        text.encode_text(self.0)
    }
    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.write_length(bytes.len());
        self.0.write(bytes);
        Ok(())
    }
    #[inline]
    fn serialize_none(self) -> Result<(), EncodeError> {
        false.encode(self.0)
    }
    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), EncodeError> {
        true.encode(self.0)?;
        self.nested(value)
    }
    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }
    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }
    #[inline]
    fn serialize_unit_variant(self, _: &'static str, tag: u32, _: &'static str) -> Result<(), EncodeError> {
        self.0.write_number(u64::from(tag));
        Ok(())
    }
    #[inline]
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }
    #[inline]
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        tag: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.0.write_number(u64::from(tag));
        self.nested(value)
    }
    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, EncodeError> {
        self.0.write_length(length.ok_or_else(without_length)?);
        Ok(self)
    }
    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, EncodeError> {
        self.serialize_seq(length)
    }
    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }
    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }
    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }
    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        tag: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.0.write_number(u64::from(tag));
        Ok(self)
    }
    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        tag: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.0.write_number(u64::from(tag));
        Ok(self)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

fn without_length() -> EncodeError {
    EncodeError::new("a sequence or map does not know its length (or a struct is flattened); collect it first")
}

impl Writer<'_> {
    /// Inside an option, a variant or an element: one level deeper. A type that contains itself does so through one of
    /// these, so the fields of structs and tuples need not be counted.
    #[inline]
    fn nested<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.0.nested(|out| value.serialize(&mut Writer(out)))
    }
    #[inline]
    fn flat<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }
    #[inline]
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        encode_element(self.0, |out| Writer(out).nested(value))
    }
}

macro_rules! compounds {
    ($($kind:ident $method:ident $by:ident ($($key:ident)?)),*) => {$(
        impl ser::$kind for &mut Writer<'_> {
            type Ok = ();
            type Error = EncodeError;
            #[inline]
        fn $method<T: ?Sized + Serialize>(&mut self, $($key: &'static str,)? value: &T) -> Result<(), EncodeError> {
                self.$by(value)
            }
            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        }
    )*};
}
compounds! {
    SerializeSeq serialize_element element (),
    SerializeTuple serialize_element flat (),
    SerializeTupleStruct serialize_field flat (),
    SerializeTupleVariant serialize_field nested (),
    SerializeStruct serialize_field flat (_key),
    SerializeStructVariant serialize_field nested (_key)
}

impl ser::SerializeMap for &mut Writer<'_> {
    type Ok = ();
    type Error = EncodeError;
    #[inline]
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.element(key)
    }
    #[inline]
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.nested(value)
    }
    fn end(self) -> Result<(), EncodeError> {
        Ok(())
    }
}

struct Reader<'r, 'a>(&'r mut Decoder<'a>);

macro_rules! read_as_wire {
    ($($method:ident $visit:ident: $type:ty),*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(<$type>::decode(self.0)?)
        }
    )*};
}

impl<'de, 'a> de::Deserializer<'de> for &mut Reader<'_, 'a> {
    type Error = DecodeError;

    read_as_wire! {
        deserialize_bool visit_bool: bool, deserialize_char visit_char: char,
        deserialize_f32 visit_f32: f32, deserialize_f64 visit_f64: f64,
        deserialize_i8 visit_i8: i8, deserialize_i16 visit_i16: i16, deserialize_i32 visit_i32: i32,
        deserialize_i64 visit_i64: i64, deserialize_i128 visit_i128: i128,
        deserialize_u8 visit_u8: u8, deserialize_u16 visit_u16: u16, deserialize_u32 visit_u32: u32,
        deserialize_u64 visit_u64: u64, deserialize_u128 visit_u128: u128
    }
    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(self.0.invalid(
            "the type asks the input what it contains (untagged, flattened, dynamic), but the format does not say",
        ))
    }
    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }
    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(str::decode_text(self.0)?)
    }
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }
    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let length = self.0.take_length()?;
        visitor.visit_bytes(self.0.take(length)?)
    }
    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }
    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if bool::decode(self.0)? {
            self.0.nested(|input| visitor.visit_some(&mut Reader(input)))
        } else {
            visitor.visit_none()
        }
    }
    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }
    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let left = decode_count(self.0)?;
        visitor.visit_seq(Elements { input: self.0, left, counted: true })
    }
    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Elements { input: self.0, left, counted: false })
    }
    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(left, visitor)
    }
    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let left = decode_count(self.0)?;
        visitor.visit_map(Elements { input: self.0, left, counted: true })
    }
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(fields.len(), visitor)
    }
    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(self)
    }
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What is left of a sequence, tuple or map. Those whose number the input says are `counted`: each takes a byte at
/// least.
struct Elements<'r, 'a> {
    input: &'r mut Decoder<'a>,
    left: usize,
    counted: bool,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_> {
    type Error = DecodeError;
    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let item = if self.counted {
            decode_element(self.input, |input| input.nested(|input| seed.deserialize(&mut Reader(input))))
        } else {
            seed.deserialize(&mut Reader(self.input))
        };
        item.map(Some)
    }
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        // Visitors reserve for it: no more than there are bytes.
        Some(self.left.min(self.input.remaining()))
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, '_> {
    type Error = DecodeError;
    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        de::SeqAccess::next_element_seed(self, seed)
    }
    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        self.input.nested(|input| seed.deserialize(&mut Reader(input)))
    }
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.input.remaining()))
    }
}

impl<'de, 'r, 'a> de::EnumAccess<'de> for &mut Reader<'r, 'a> {
    type Error = DecodeError;
    type Variant = Self;
    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), DecodeError> {
        let tag = self.0.take_number()?;
        let tag = u32::try_from(tag).map_err(|_| self.0.invalid(format!("no enum has a variant {tag}")))?;
        let variant = seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(tag))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'_, '_> {
    type Error = DecodeError;
    #[inline]
    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }
    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        self.0.nested(|input| seed.deserialize(&mut Reader(input)))
    }
    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.0.nested(|input| de::Deserializer::deserialize_tuple(&mut Reader(input), length, visitor))
    }
    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.tuple_variant(fields.len(), visitor)
    }
}
