//! Arithmetic on [`MAX_SIZE`](super::Wire::MAX_SIZE), at compile time.
use super::codec::size_of_number;

/// The parts one after the other.
pub const fn sum(parts: &[Option<usize>]) -> Option<usize> {
    let mut total = 0_usize;
    let mut i = 0;
    while i < parts.len() {
        match parts[i] {
            Some(part) => match total.checked_add(part) {
                Some(sum) => total = sum,
                None => return None,
            },
            None => return None,
        }
        i += 1;
    }
    Some(total)
}

/// One of the parts.
pub const fn largest(parts: &[Option<usize>]) -> Option<usize> {
    let mut most = 0;
    let mut i = 0;
    while i < parts.len() {
        match parts[i] {
            Some(part) => most = if part > most { part } else { most },
            None => return None,
        }
        i += 1;
    }
    Some(most)
}

/// The tag of an enum with so many variants.
pub const fn tag(variants: usize) -> Option<usize> {
    Some(size_of_number(variants.saturating_sub(1) as u64))
}
