//! Cells cross as what is in them.
use std::cell::{Cell, RefCell};

use super::pass::by_wire;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

impl<T: Wire + Copy> Wire for Cell<T> {
    const MAX_SIZE: Option<usize> = T::MAX_SIZE;
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.get().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(input).map(Cell::new)
    }
}
/// Copied out, so it holds no descriptor.
impl<T: Wire + Copy> Pass for Cell<T> {
    by_wire!();
}

/// Refuses to encode while the cell is mutably borrowed.
impl<T: Wire> Wire for RefCell<T> {
    const MAX_SIZE: Option<usize> = T::MAX_SIZE;
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match self.try_borrow() {
            Ok(value) => value.encode(out),
            Err(_) => Err(EncodeError::new("a RefCell is mutably borrowed; end the borrow before sending it")),
        }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::decode(input).map(RefCell::new)
    }
}
/// A borrow of what is inside would end before it is sent, so it holds no descriptor.
impl<T: Wire> Pass for RefCell<T> {
    by_wire!();
}
