//! Cells cross as what is in them.
use std::cell::{Cell, RefCell};

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
impl<T: Pass> Pass for Cell<T> {}

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
impl<T: Pass> Pass for RefCell<T> {}
