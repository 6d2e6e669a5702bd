//! A message with a bit of everything: nested structs, text, vectors, enums, options.

use std::time::Duration;

// `cfg(peers)` is set by `benches/peers/build.rs`.
tine::wire! {
    #[cfg_attr(peers, derive(serde::Serialize, serde::Deserialize, bincode::Encode, bincode::Decode))]
    #[derive(Clone, Debug, PartialEq)]
    pub struct Order {
        id: u64,
        customer: String,
        lines: Vec<Line>,
        placed: Duration,
        paid: Option<Payment>,
        gift: bool,
    }

    #[cfg_attr(peers, derive(serde::Serialize, serde::Deserialize, bincode::Encode, bincode::Decode))]
    #[derive(Clone, Debug, PartialEq)]
    pub struct Line { article: u32, name: String, amount: u16, price: f64 }

    #[cfg_attr(peers, derive(serde::Serialize, serde::Deserialize, bincode::Encode, bincode::Decode))]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Payment {
        Cash,
        Card { number: [u8; 16], valid: (u8, u16) },
        Transfer(String),
    }
}

pub fn orders(n: u64) -> Vec<Order> {
    let line = |i: u64| Line {
        article: i as u32,
        name: format!("article {i}"),
        amount: (i % 9) as u16,
        price: i as f64 * 0.25,
    };
    let payment = |i: u64| match i % 4 {
        0 => None,
        1 => Some(Payment::Cash),
        2 => Some(Payment::Card { number: [7; 16], valid: (12, 2030) }),
        _ => Some(Payment::Transfer(format!("account {i}"))),
    };
    let order = |id: u64| Order {
        id,
        customer: format!("customer number {id}"),
        lines: (0..1 + id % 7).map(line).collect(),
        placed: Duration::from_millis(id),
        paid: payment(id),
        gift: id.is_multiple_of(3),
    };
    (0..n).map(order).collect()
}
