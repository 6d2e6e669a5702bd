//! Python's `ShareableList`, read.
//!
//! ```text
//!   | N : i64 | offsets : (N + 1) x i64 | data | formats : N x 8 bytes | codes : N x i8 |
//!                                       ^ offsets count from here, offsets[N] is the end of the data
//! ```
//!
//! In the byte order of the machine. A format is what Python's `struct` calls it, filled up with NULs; a code says what to
//! make of the value:
//!
//! | value | format | data | code |
//! |---|---|---|---|
//! | int | `q` | i64 | 0 |
//! | float | `d` | f64 | 0 |
//! | bool | `xxxxxxx?` | the eighth byte | 0 |
//! | str | `40s`: any number | UTF-8, filled up with NULs | 1 |
//! | bytes | `40s`: any number | the bytes, filled up with NULs | 2 |
//! | None | `xxxxxx?x` | nothing | 3 |
//!
//! So since Python 3.9. (3.8 had sizes in the place of offsets. Nothing in the memory tells the two apart.)
//!
//! A list never becomes longer, so `N` and the offsets are read once, checked, and kept. The rest changes with the values.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::string::FromUtf8Error;

use super::View;

/// The size of a number, of a format, and what an item without a length of its own takes.
const WORD: usize = 8;

/// A list that `multiprocessing.shared_memory.ShareableList` of Python 3.9 or later made, to look at.
///
/// Its length is fixed; its items change when somebody sets them, so each is copied out as it is when it is asked for.
/// Nothing orders that with who writes (Python takes no lock either): an item that is being set may be read half old and
/// half new, or be refused.
///
/// ```
/// use tine::memory::{Item, SharedSlice, ShareableList};
///
/// # fn main() -> Result<(), tine::Error> {
/// // From Python's ShareableList(["one"]): Segment::open_view::<u8>(sl.shm.name)?. The same bytes by hand:
/// let numbers = [1_i64, 0, 8].map(i64::to_ne_bytes).concat();
/// let bytes = [&numbers[..], b"one\0\0\0\0\0", b"8s\0\0\0\0\0\0", &[1]].concat();
/// let memory = SharedSlice::from_slice(&bytes)?;
///
/// let list = ShareableList::new((*memory).clone())?;
/// assert_eq!(list.len(), 1);
/// assert_eq!(list.get(0)?, Item::Str("one".to_owned()));
/// # Ok(())
/// # }
/// ```
///
/// # Differences to Python
///
/// What Python loses is lost here too: zeroes at the end of `bytes`, and NULs at the end of a `str`. Up to Python 3.13 at
/// least, a `str` gets room by its number of characters; one that does not fit is cut off when the list is made, maybe inside
/// a character, and is then [`ListError::NotUtf8`] (in Python a `UnicodeDecodeError`).
pub struct ShareableList {
    memory: View<u8>,
    /// Where the data of each item begins, which is where that of the one before ends; and where the formats begin.
    /// Checked: each is at least the one before, and behind the last is room for the formats and the codes.
    starts: Vec<usize>,
}

/// An item of a [`ShareableList`].
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `int`, of at most 64 bits as all of Python's shareable ones.
    Int(i64),
    /// `float`
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `None`
    None,
    /// `str`
    Str(String),
    /// `bytes`
    Bytes(Vec<u8>),
}

/// Why memory is no list, or an item could not be read.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The memory is shorter than a list of so many items must be.
    TooShort {
        /// How long it is, in bytes.
        len: usize,
        /// How many items it claims to have.
        items: i64,
    },
    /// The number of items is negative, or an offset is, or is less than the one before.
    Layout {
        /// Which word of the memory: 0 is the number of items, 1 the first offset.
        word: usize,
        /// What it says.
        value: i64,
    },
    /// There are only so many items.
    NoItem {
        /// Which was asked for, counted from 0.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// The item is of no type that lists have, or longer than its place. Python never writes such, but a writer that is
    /// setting the item at this moment may be half done.
    Format {
        /// Which, counted from 0.
        index: usize,
        /// Its format, with the NULs behind it.
        format: [u8; 8],
        /// Its code.
        code: i8,
    },
    /// The item is a `str`, but its bytes are not UTF-8.
    NotUtf8 {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong with them; it has the bytes.
        error: FromUtf8Error,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::TooShort { len, items } => {
                write!(f, "{len} bytes are too short for a ShareableList of {items} items, as they claim to be")
            }
            ListError::Layout { word, value } => {
                write!(f, "the memory is no ShareableList: its word {word} is {value}, which it cannot be")
            }
            ListError::NoItem { index, len } => write!(f, "item {index} was asked for, but the list has {len}"),
            ListError::Format { index, format, code } => {
                write!(f, "item {index} has the format \"{}\" with code {code}", format.escape_ascii())?;
                f.write_str(", which is no item of Python's or does not fit its place")
            }
            ListError::NotUtf8 { index, error } => {
                write!(f, "item {index} is a str whose bytes are not UTF-8 (cut off by Python?): {error}")
            }
        }
    }
}

impl Error for ListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ListError::NotUtf8 { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<ListError> for io::Error {
    fn from(error: ListError) -> io::Error {
        let kind = match error {
            ListError::NoItem { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl ShareableList {
    /// Takes memory for a list, from its first byte on.
    ///
    /// # Errors
    ///
    /// [`ListError::TooShort`], [`ListError::Layout`]: it is none, or not yet.
    pub fn new(memory: View<u8>) -> Result<ShareableList, ListError> {
        let items = memory.range_to_vec(..WORD).map_or(0, |word| number(&word));
        let offsets = offsets(items, memory.len())?;
        let starts = starts(&copy(&memory, offsets), memory.len())?;
        Ok(ShareableList { memory, starts })
    }

    /// How many items there are. Never changes.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Item number `index`, as it is now.
    ///
    /// # Errors
    ///
    /// [`ListError::NoItem`], [`ListError::Format`], [`ListError::NotUtf8`].
    pub fn get(&self, index: usize) -> Result<Item, ListError> {
        let n = self.len();
        if index >= n {
            return Err(ListError::NoItem { index, len: n });
        }
        let formats = self.starts[n];
        let mut format = [0; WORD];
        format.copy_from_slice(&copy(&self.memory, formats + index * WORD..formats + (index + 1) * WORD));
        let code = self.memory.get(formats + n * WORD + index).unwrap_or_default().cast_signed();
        // The format was copied, so what is checked here is what is used.
        let place = self.starts[index]..self.starts[index + 1];
        match Form::of(format, code) {
            Some((form, size)) if size <= place.len() => {
                let data = copy(&self.memory, place.start..place.start + size);
                form.item(data).map_err(|error| ListError::NotUtf8 { index, error })
            }
            _ => Err(ListError::Format { index, format, code }),
        }
    }

    /// The items, each as it is when the iterator comes to it.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Result<Item, ListError>> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// A copy of all items.
    ///
    /// # Errors
    ///
    /// That of the first item that cannot be read.
    pub fn to_vec(&self) -> Result<Vec<Item>, ListError> {
        self.iter().collect()
    }
}

/// A copy of a range that lies within the memory, whose size never changes.
fn copy(memory: &View<u8>, range: Range<usize>) -> Vec<u8> {
    memory.range_to_vec(range).expect("every range was checked against the size when the list was opened")
}

fn number(word: &[u8]) -> i64 {
    word.try_into().map_or(0, i64::from_ne_bytes)
}

/// Where the offsets of a list of so many items lie, in a memory of `len` bytes.
fn offsets(items: i64, len: usize) -> Result<Range<usize>, ListError> {
    let Ok(n) = usize::try_from(items) else { return Err(ListError::Layout { word: 0, value: items }) };
    // Each item has an offset, a format and a code. So the memory's size bounds what is allocated.
    if len < 2 * WORD || n > (len - 2 * WORD) / (2 * WORD + 1) {
        return Err(ListError::TooShort { len, items });
    }
    Ok(WORD..(n + 2) * WORD)
}

/// Where the items begin, and last where the formats do, in a memory of `len` bytes.
///
/// `offsets` were copied from where the function of that name said.
fn starts(offsets: &[u8], len: usize) -> Result<Vec<usize>, ListError> {
    let data = WORD + offsets.len();
    let n = offsets.len() / WORD - 1;
    let most = len - data - n * (WORD + 1);
    let mut least = 0;
    let checked = offsets.chunks_exact(WORD).enumerate().map(|(at, word)| {
        let value = number(word);
        match usize::try_from(value) {
            Ok(offset) if (least..=most).contains(&offset) => {
                least = offset;
                Ok(data + offset)
            }
            _ => Err(ListError::Layout { word: 1 + at, value }),
        }
    });
    checked.collect()
}

/// What an item is, by its format and code.
enum Form {
    Int,
    Float,
    Bool,
    None,
    Str,
    Bytes,
}

impl Form {
    /// And how many bytes of data there are of it.
    fn of(format: [u8; WORD], code: i8) -> Option<(Form, usize)> {
        let end = format.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        match (&format[..end], code) {
            (b"q", 0) => Some((Form::Int, WORD)),
            (b"d", 0) => Some((Form::Float, WORD)),
            (b"xxxxxxx?", 0) => Some((Form::Bool, WORD)),
            (b"xxxxxx?x", 3) => Some((Form::None, WORD)),
            ([digits @ .., b's'], 1 | 2) if !digits.is_empty() => {
                let size = digits.iter().try_fold(0, |size, digit| match digit {
                    b'0'..=b'9' => Some(10 * size + usize::from(digit - b'0')),
                    _ => None,
                });
                Some((if code == 1 { Form::Str } else { Form::Bytes }, size?))
            }
            _ => None,
        }
    }

    /// `data` is as long as said.
    fn item(self, data: Vec<u8>) -> Result<Item, FromUtf8Error> {
        Ok(match self {
            Form::Int => Item::Int(number(&data)),
            Form::Float => Item::Float(f64::from_bits(number(&data).cast_unsigned())),
            Form::Bool => Item::Bool(data.last().is_some_and(|&byte| byte != 0)),
            Form::None => Item::None,
            Form::Str => Item::Str(String::from_utf8(without_nuls(data))?),
            Form::Bytes => Item::Bytes(without_nuls(data)),
        })
    }
}

fn without_nuls(mut data: Vec<u8>) -> Vec<u8> {
    data.truncate(data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1));
    data
}

/// Tells how many items there are, not what they are: they may be many, and change meanwhile.
impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareableList").field("len", &self.len()).finish_non_exhaustive()
    }
}
