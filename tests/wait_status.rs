//! What a wait status means, against an independent reading of its bits.
#[path = "models/wait_status.rs"]
mod model;

use proptest::prelude::*;

#[test]
fn every_status_of_sixteen_bits() {
    (0..=0xffff).for_each(model::check);
}

proptest! {
    #[test]
    fn any_status(raw: i32) {
        model::check(raw);
    }
}
