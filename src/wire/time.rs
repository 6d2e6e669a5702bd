//! Time, as far as std shows its numbers.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::pass::by_wire;
use super::{DecodeError, Decoder, EncodeError, Encoder, Pass, Wire};

impl Wire for Duration {
    const MAX_SIZE: Option<usize> = Some(12);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.as_secs().encode(out)?;
        self.subsec_nanos().encode(out)
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let seconds = u64::decode(input)?;
        match u32::decode(input)? {
            // `Duration::new` would carry more into the seconds, and panic where those are full.
            nanos @ 0..=999_999_999 => Ok(Duration::new(seconds, nanos)),
            nanos => {
                Err(input.invalid_before(4, format!("a second has 1000000000 nanoseconds, found {nanos} beyond it")))
            }
        }
    }
}
impl Pass for Duration {
    by_wire!();
}

/// As the distance from the epoch, and on which side.
impl Wire for SystemTime {
    const MAX_SIZE: Option<usize> = Some(13);
    fn encode(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        match self.duration_since(UNIX_EPOCH) {
            Ok(after) => (false, after).encode(out),
            Err(error) => (true, error.duration()).encode(out),
        }
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (before, distance) = <(bool, Duration)>::decode(input)?;
        let time = match before {
            false => UNIX_EPOCH.checked_add(distance),
            true if distance.is_zero() => None,
            true => UNIX_EPOCH.checked_sub(distance),
        };
        time.ok_or_else(|| {
            let side = if before { "before" } else { "after" };
            input.invalid_before(13, format!("no SystemTime is {distance:?} {side} the epoch"))
        })
    }
}
impl Pass for SystemTime {
    by_wire!();
}
