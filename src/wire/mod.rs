//! What may cross from one process to another, and how.
//!
//! A type says by a trait what another process may do with it:
//!
//! | trait | a value | examples |
//! |---|---|---|
//! | [`Plain`] | *is* its bytes: may lie in shared memory, be copied as such | numbers, arrays, [`plain!`] structs |
//! | [`Share`] | is *used in place* by several processes at once | atomics, locks, [`share!`] structs |
//! | [`Wire`] | is *turned into bytes* and built anew on the other side | `Plain`, `String`, `Vec`, [`wire!`] types |
//! | [`Pass`] | is *handed over*, with what the kernel keeps for it | all `Wire` types, descriptors, files, sockets |
//!
//! [`plain!`]: crate::plain
//! [`share!`]: crate::share
//! [`wire!`]: crate::wire!
//!
//! ```
//! tine::wire! {
//!     #[derive(Debug, PartialEq)]
//!     enum Job {
//!         Resize { path: std::path::PathBuf, to: (u32, u32) },
//!         Stop,
//!     }
//! }
//!
//! let job = Job::Resize { path: "cat.png".into(), to: (640, 480) };
//! let bytes = tine::wire::to_bytes(&job)?;
//! assert_eq!(tine::wire::from_bytes::<Job>(&bytes)?, job);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//!
//! Both sides are on one machine and run the same program, so nothing is described and nothing is swapped:
//!
//! | value | bytes |
//! |---|---|
//! | [`Plain`] | as in memory, in the machine's byte order |
//! | length, enum tag | 1 byte up to 250, else 3, 5 or 9: see [`Encoder::write_length`] |
//! | `bool`, `Option`, `Result`, `Bound`, .. | 1 byte, then what it holds |
//! | `char` | 4 bytes |
//! | struct, tuple, array | the fields, in order; no length |
//! | text, path, `Vec`, every collection | length, then the elements |
//! | map | length, then key and value in turn |
//! | `Box`, `Rc`, `Arc`, `Cow`, `Cell`, `RefCell` | what is inside; pointers to one value become copies of it |
//!
//! It is not a format for files or for other machines: it changes with the program.
//!
//! # Decoding trusts nothing
//!
//! The bytes may come from a process that is broken, or not a friend. For every input decoding ends with a value or
//! with a [`DecodeError`] that says what was found and where, and
//!
//! - a length reserves no memory that the input does not pay for: the memory taken is at most a constant of the type
//!   times the length of the input, plus 4 KiB;
//! - an element that takes no bytes is followed by one zero byte inside a collection, so that a loop runs at most as
//!   often as the input has bytes (`Vec<()>` of length 2⁶³ would else be nine bytes long);
//! - boxes and collections may be nested [`MAX_DEPTH`] deep; the encoder refuses what the decoder would;
//! - a map with one key twice, a tag without a variant, text that is not UTF-8, a `NonZero` of 0, a number in a longer
//!   form than it needs: all are errors.
//!
//! # What does not cross
//!
//! - References and pointers: they would point into the sender's memory. `Cow` crosses as its owned form.
//! - Atomics and std locks: a copy of a lock guards nothing. They are for memory that is shared: see [`Share`].
//! - `Instant`: std gives no way to its number. Send a `Duration` since an agreed point, or a `SystemTime`.
//! - Errors without a public constructor (`ParseIntError`, ..): box them. `Box<dyn Error>` crosses, as text with its
//!   chain of sources, so `?` works in closures whose result crosses. It cannot be downcast on the other side.
mod cell;
mod codec;
mod collection;
mod descriptor;
mod error;
mod failure;
mod macros;
mod net;
mod number;
mod pass;
mod passing;
mod plain;
mod pointer;
mod sequence;
mod share;
mod size;
mod sum;
mod text;
mod time;
mod tuple;

#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
mod serde;

pub use codec::{Decoder, Encoder, MAX_DEPTH};
pub use error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
pub use pass::Pass;
pub(crate) use passing::decode_whole;
pub use passing::{Passing, Received};
pub use plain::Plain;
pub use share::Share;

#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use self::serde::Serde;

/// The examples of the chapter are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../../docs/5-what-may-cross.md")]
mod chapter {}

/// What the macros name; not for other use.
#[doc(hidden)]
pub mod private {
    pub use super::plain::{Bulk, SameAs};
    pub use super::size::{largest, sum, tag};

    /// The tag of an enum that is `Wire`.
    pub mod wire_tag {
        pub use super::super::sum::no_variant;
        use super::super::{DecodeError, Decoder, Encoder};

        #[inline]
        pub fn write(out: &mut Encoder, tag: usize) {
            out.write_length(tag);
        }
        #[inline]
        pub fn take(input: &mut Decoder<'_>) -> Result<usize, DecodeError> {
            input.take_length()
        }
    }

    /// The tag of an enum that is `Pass` alone.
    pub mod pass_tag {
        use super::super::{DecodeError, Passing, Received, sum};

        #[inline]
        pub fn write(out: &mut Passing<'_>, tag: usize) {
            out.bytes().write_length(tag);
        }
        #[inline]
        pub fn take(input: &mut Received<'_>) -> Result<usize, DecodeError> {
            input.bytes().take_length()
        }
        #[cold]
        pub fn no_variant(input: &Received<'_>, of: &str, tag: usize) -> DecodeError {
            sum::no_variant(input.position(), of, tag)
        }
    }
}

/// Can be encoded into bytes and decoded from them in another process.
///
/// Most types get it from [`wire!`](crate::wire!) or [`plain!`](crate::plain!). By hand it is two functions that mirror
/// each other, and [`Pass`] beside it:
///
/// ```
/// use tine::wire::{DecodeError, Decoder, EncodeError, Encoder, Pass, Passing, Received, Wire};
///
/// /// At most 100.
/// struct Percent(u8);
///
/// impl Wire for Percent {
///     const MAX_SIZE: Option<usize> = Some(1);
///     fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
///         self.0.encode(out)
///     }
///     fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
///         match u8::decode(input)? {
///             percent @ 0..=100 => Ok(Percent(percent)),
///             more => Err(input.invalid(format!("a percentage is at most 100, found {more}"))),
///         }
///     }
/// }
/// impl Pass for Percent {
///     fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
///         out.wire(self)
///     }
///     fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
///         input.wire()
///     }
/// }
///
/// assert!(tine::wire::from_bytes::<Percent>(&[101]).is_err());
/// ```
///
/// `decode` has to take exactly the bytes that `encode` wrote, may not panic whatever the bytes are, and may not
/// reserve memory for a length before the bytes are there: decode a `Vec` and build from that. What is nested through `Box` or
/// a collection is counted by those; a pointer type of your own uses [`Encoder::nested`] and [`Decoder::nested`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross to another process as bytes",
    label = "not `Wire`",
    note = "define your own types inside `tine::wire! {{ .. }}`, or implement `tine::wire::Wire` by hand",
    note = "errors: return `Result<T, Box<dyn std::error::Error>>`; every error becomes one by `?`",
    note = "a closure that never returns needs a result type: `|| -> () {{ .. }}`",
    note = "references and pointers never cross: send the owned value (`String` for `&str`, `Vec<T>` for `&[T]`)",
    note = "files, sockets, `Frozen` and the like are no bytes: capture them in the closure, or send them by `tine::channel::duplex`",
    note = "types that implement serde's traits cross as `tine::wire::Serde<T>` (feature \"serde\")"
)]
pub trait Wire: Sized {
    /// The most bytes that any value of this type takes, where that is known.
    ///
    /// Pointers and collections leave it unknown, whatever they hold; so a type that contains itself has an answer, and
    /// a type with an answer does not contain itself.
    const MAX_SIZE: Option<usize> = None;

    /// The proof that the type is `Plain`, where it is: what makes a slice of it one copy.
    #[doc(hidden)]
    const PLAIN: Option<plain::Bulk<Self>> = None;

    /// Appends the value to `out`.
    ///
    /// # Errors
    /// Where this value cannot cross. What was appended until then stays; the caller throws it away.
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError>;

    /// Takes a value from the front of `input`.
    ///
    /// # Errors
    /// Where the bytes are not the encoding of a value of this type. What was taken until then stays taken.
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

/// The encoding of `value` in a buffer of its own.
///
/// # Errors
/// Where the value cannot cross.
pub fn to_bytes<T: Wire>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Encoder::with_capacity(T::MAX_SIZE.unwrap_or(0).min(4096));
    value.encode(&mut out)?;
    Ok(out.into_bytes())
}

/// The value that `bytes` are the whole encoding of.
///
/// # Errors
/// Where they are not, or something is left over after it.
pub fn from_bytes<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Decoder::new(bytes);
    let value = T::decode(&mut input)?;
    input.finish()?;
    Ok(value)
}
