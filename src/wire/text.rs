//! Text of four kinds, each a length and bytes under a rule of its own.
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pass::by_wire;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

/// An unsized text: the rule for its bytes, for all the types that own it.
pub(super) trait Text {
    fn encode_text(&self, out: &mut Encoder) -> Result<(), EncodeError>;
    /// Checked where it lies in the input; only then does an owner copy it.
    fn decode_text<'a>(input: &mut Decoder<'a>) -> Result<&'a Self, DecodeError>;
}

#[inline]
fn encode_bytes(bytes: &[u8], out: &mut Encoder) -> Result<(), EncodeError> {
    out.write_length(bytes.len());
    out.write(bytes);
    Ok(())
}

#[inline]
fn decode_bytes<'a>(input: &mut Decoder<'a>) -> Result<&'a [u8], DecodeError> {
    let length = input.take_length()?;
    input.take(length)
}

impl Text for str {
    #[inline]
    fn encode_text(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_bytes(self.as_bytes(), out)
    }
    #[inline]
    fn decode_text<'a>(input: &mut Decoder<'a>) -> Result<&'a str, DecodeError> {
        let bytes = decode_bytes(input)?;
        str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            input.invalid_before(bytes.len() - at, format!("a string is not UTF-8: found the byte {:#04x}", bytes[at]))
        })
    }
}

impl Text for OsStr {
    fn encode_text(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_bytes(self.as_bytes(), out)
    }
    fn decode_text<'a>(input: &mut Decoder<'a>) -> Result<&'a OsStr, DecodeError> {
        decode_bytes(input).map(OsStr::from_bytes)
    }
}

impl Text for Path {
    fn encode_text(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.as_os_str().encode_text(out)
    }
    fn decode_text<'a>(input: &mut Decoder<'a>) -> Result<&'a Path, DecodeError> {
        OsStr::decode_text(input).map(Path::new)
    }
}

/// With its NUL, so that it can be checked where it lies.
impl Text for CStr {
    fn encode_text(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        encode_bytes(self.to_bytes_with_nul(), out)
    }
    fn decode_text<'a>(input: &mut Decoder<'a>) -> Result<&'a CStr, DecodeError> {
        let bytes = decode_bytes(input)?;
        CStr::from_bytes_with_nul(bytes)
            .map_err(|error| input.invalid_before(bytes.len(), format!("a C string has one NUL, at its end: {error}")))
    }
}

macro_rules! owners {
    ($($owner:ty: $text:ty),*) => {$(
        impl Wire for $owner {
            #[inline]
            fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
                <$text>::encode_text(self, out)
            }
            #[inline]
            fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                <$text>::decode_text(input).map(ToOwned::to_owned)
            }
        }
        impl Pass for $owner {
    by_wire!();
}
    )*};
}
owners!(String: str, OsString: OsStr, PathBuf: Path, CString: CStr);
