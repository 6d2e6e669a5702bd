//! Operations on ranges of a shared region, any bytes of which make a list: against a `Vec`.
//!
//! Driven by the fuzz target `region_ranges`, and by proptest in `tests/memory_props.rs`.

use tine::memory::{Advice, OutOfRange, Private, SharedSlice};

/// Reads the operations from `data`, does each on a region and on a vector, and panics where they differ.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    // Around a page's end, and with elements that do not divide it.
    let len = usize::from(input.byte()) * 9 % 1500;
    let region = SharedSlice::<[u16; 3]>::zeroed(len).unwrap();
    let private = Private::<[[u16; 3]]>::zeroed(len).unwrap();
    let mut model = vec![[0u16; 3]; len];
    while !input.0.is_empty() {
        let (offset, n) = (input.number(len), input.number(len));
        let fits = offset.checked_add(n).is_some_and(|end| end <= len);
        let refused = Err(OutOfRange { start: offset, end: offset.saturating_add(n), len });
        // A buffer cannot be longer than memory, so only offsets reach the extremes there.
        let m = n.min(2 * len + 2);
        let fits_buffer = offset.checked_add(m).is_some_and(|end| end <= len);
        let value = [u16::from(input.byte()), u16::from(input.byte()), 0x5a5a];
        match input.byte() % 7 {
            0 => {
                let source: Vec<_> = (0..m).map(|i| value.map(|v| v.wrapping_add(i as u16))).collect();
                assert_eq!(region.copy_from(offset, &source).is_ok(), fits_buffer);
                if fits_buffer {
                    model[offset..offset + m].copy_from_slice(&source);
                }
            }
            1 => {
                let mut target = vec![value; m];
                let copied = region.copy_to(offset, &mut target);
                if fits_buffer {
                    assert_eq!(target, model[offset..offset + m]);
                } else {
                    assert_eq!(copied, Err(OutOfRange { start: offset, end: offset.saturating_add(m), len }));
                    assert!(target.iter().all(|t| *t == value), "a refused copy wrote something");
                }
            }
            2 => assert_eq!(region.get(offset), model.get(offset).copied()),
            3 => {
                let set = region.set(offset, value);
                assert_eq!(set.is_ok(), offset < len);
                if let Some(slot) = model.get_mut(offset) {
                    *slot = value;
                }
            }
            4 => {
                let range = offset..offset.saturating_add(n);
                match region.range_to_vec(range.clone()) {
                    Ok(values) => assert_eq!(values, model[range]),
                    Err(error) => assert_eq!((Err::<(), _>(error), fits), (refused, false)),
                }
            }
            5 => {
                // Any two ends, also the wrong way round, also including the largest number.
                let valid = n < len && (offset <= n || offset == n + 1);
                assert_eq!(region.range_to_vec(offset..=n).is_ok(), valid, "{offset}..={n} of {len}");
            }
            _ => {
                let advice = [Advice::Normal, Advice::PopulateWrite, Advice::Sequential, Advice::NoHugePages];
                let advice = advice[usize::from(input.byte()) % 4];
                for result in [region.advise_range(offset..n, advice), private.advise_range(offset..n, advice)] {
                    assert_eq!(
                        result.is_ok(),
                        offset <= n && n <= len,
                        "{advice:?} {offset}..{n} of {len}: {result:?}"
                    );
                }
            }
        }
    }
    assert_eq!(region.to_vec(), model);
    assert!(region.iter().eq(model));
    assert!(private.iter().all(|v| *v == [0; 3]));
}

/// Bytes taken from the front; zeroes when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Mostly within `len`, sometimes at its end, sometimes at the end of numbers.
    fn number(&mut self, len: usize) -> usize {
        let (kind, low, high) = (self.byte(), self.byte(), self.byte());
        let n = usize::from(low) | usize::from(high) << 8;
        match kind % 8 {
            0 => len,
            1 => len + 1,
            2 => usize::MAX - n % 4,
            3 => usize::MAX / 6 + n % 4,
            4 => isize::MAX as usize + n % 4,
            5 => n,
            _ => n % (len + 1),
        }
    }
}
