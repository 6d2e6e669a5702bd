//! What any reader of pieces must do, for arbitrary bytes. Shared by the property test and the fuzz target.
//!
//! The input decides between two things: the bytes are themselves the stream, which may be anything; or they are a
//! plan, by which several writers' messages are cut, merged, and broken off at some byte, and the model says exactly
//! what must come out.

use tine::pipe::frame::{Assembler, Fault, Piece, pieces};

/// The limit for a message, small enough that plans go over it.
pub const MAX: u64 = 20_000;

/// What comes out of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Message(Vec<u8>),
    TooLarge(u64),
    Torn(u64, Option<u64>),
    Corrupt,
}

/// A reader of pieces: the real one, and those of the twins.
pub trait Reassemble {
    /// Takes bytes of the stream, all of them, and says what came of them.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Outcome>;
    /// The stream has ended.
    fn end(&mut self) -> Vec<Outcome>;
    /// How many bytes of memory the incomplete messages take.
    fn held(&self) -> usize;
}

impl Reassemble for Assembler {
    fn feed(&mut self, mut bytes: &[u8]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while !bytes.is_empty() {
            let space = self.space();
            let n = space.len().min(bytes.len());
            assert!(n > 0, "no space, though all that came was looked at");
            space[..n].copy_from_slice(&bytes[..n]);
            self.filled(n);
            bytes = &bytes[n..];
            loop {
                match self.next() {
                    Ok(None) => break,
                    Ok(Some(message)) => outcomes.push(Outcome::Message(message.into_owned())),
                    Err(fault) => outcomes.push(outcome(fault)),
                }
                if outcomes.last() == Some(&Outcome::Corrupt) {
                    return outcomes;
                }
            }
        }
        outcomes
    }

    fn end(&mut self) -> Vec<Outcome> {
        let faults = std::iter::from_fn(|| Assembler::end(self).err().map(outcome));
        // A corrupt stream says so for ever; two are enough.
        faults
            .take(100_000)
            .scan(0, |seen, o| {
                *seen += usize::from(o == Outcome::Corrupt);
                (*seen < 2).then_some(o)
            })
            .collect()
    }

    fn held(&self) -> usize {
        Assembler::held(self)
    }
}

fn outcome(fault: Fault) -> Outcome {
    match fault {
        Fault::Torn { got, of } => Outcome::Torn(got, of),
        Fault::TooLarge { len, max } => {
            assert_eq!(max, MAX);
            Outcome::TooLarge(len)
        }
        Fault::Corrupt(_) => Outcome::Corrupt,
        other => panic!("not a fault of these streams: {other}"),
    }
}

/// Panics when a reader made by `new` does something wrong with `data`.
pub fn check<R: Reassemble>(new: impl Fn() -> R, data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 2 {
        0 => any_bytes(new(), rest),
        _ => a_plan(new(), rest),
    }
}

/// Whatever comes: no panic, no memory beyond what came, no message from nowhere, nothing after corruption.
fn any_bytes(mut reader: impl Reassemble, data: &[u8]) {
    let (cut, stream) = data.split_first().unwrap_or((&0, &[]));
    let no_message_begins_here = stream.get(6..8).is_some_and(|tag| tag != b"wm" && tag != b"pm");
    let mut fed = 0;
    let mut taken = 0;
    for bytes in stream.chunks(usize::from(*cut) + 1) {
        fed += bytes.len();
        let outcomes = reader.feed(bytes);
        no_more_than(reader.held(), fed);
        taken += outcomes.iter().map(|o| if let Outcome::Message(m) = o { 8 + m.len() } else { 0 }).sum::<usize>();
        assert!(taken <= fed, "more bytes came out than went in");
        if no_message_begins_here && fed >= 8 {
            assert_eq!(outcomes, [Outcome::Corrupt], "foreign bytes were taken for a message");
        }
        if outcomes.contains(&Outcome::Corrupt) {
            assert_eq!(outcomes.last(), Some(&Outcome::Corrupt));
            assert_eq!(reader.feed(b"more"), [Outcome::Corrupt], "corruption is for good");
            break;
        }
    }
    let end = reader.end();
    assert!(end.len() <= fed / 8 + 1, "{} messages were torn in {fed} bytes", end.len());
    assert!(end.iter().all(|o| matches!(o, Outcome::Torn(..) | Outcome::Corrupt)));
    assert_eq!(reader.held(), 0);
}

/// A growing vector holds at most twice what is in it.
fn no_more_than(held: usize, fed: usize) {
    assert!(held <= 2 * fed + 128, "{held} bytes are held after {fed} came");
}

/// One message as it is sent.
struct Sent {
    bytes: Vec<u8>,
    /// How much of it had come when the stream broke off; None before its first piece.
    got: Option<u64>,
}

fn a_plan(mut reader: impl Reassemble, data: &[u8]) {
    let mut input = data.iter().copied();
    let mut byte = || input.next().unwrap_or(0);

    // Up to four writers with up to three messages each. Most lengths are near a boundary of the format.
    let mut writers: Vec<Vec<Sent>> = Vec::new();
    for _ in 0..=byte() % 4 {
        let messages = (0..byte() % 4).map(|_| {
            let (base, more) = (byte(), i64::from(byte() as i8));
            let base = [0, 4088, 4072, 2 * 4072, 3 * 4072, MAX as i64, 30_000, 1000][usize::from(base % 8)];
            let seed = byte();
            let bytes = (0..(base + more).max(0)).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            Sent { bytes, got: None }
        });
        writers.push(messages.collect());
    }
    let end_at = u32::from_le_bytes([byte(), byte(), byte(), 0]) as usize;
    let cut = usize::from(byte()) * 16 + 1;

    let queues: Vec<Vec<(usize, Piece<'_>)>> = writers
        .iter()
        .enumerate()
        .map(|(who, sent)| {
            let id = (who as u64) << 40 | 7;
            sent.iter().enumerate().flat_map(|(i, s)| pieces(id, &s.bytes).map(move |piece| (i, piece))).collect()
        })
        .collect();
    let mut next = vec![0; queues.len()];
    let total: usize = queues.iter().flatten().map(|(_, piece)| piece.len()).sum();
    // Half of the plans run to their end.
    let end_at = if end_at.is_multiple_of(2) { total } else { end_at / 2 % (total + 1) };

    let mut stream = Vec::new();
    let mut expected = Vec::new();
    let mut torn = Vec::new();
    let mut got: Vec<Vec<Option<u64>>> = writers.iter().map(|sent| sent.iter().map(|s| s.got).collect()).collect();
    while stream.len() < end_at {
        let choice = usize::from(byte());
        let Some(who) = (0..queues.len()).map(|k| (choice + k) % queues.len()).find(|&w| next[w] < queues[w].len())
        else {
            break;
        };
        let (i, piece) = &queues[who][next[who]];
        next[who] += 1;
        let length = writers[who][*i].bytes.len() as u64;
        let room = end_at - stream.len();
        stream.extend(piece.head().iter().chain(piece.body()).take(room));
        let begun = got[who][*i];
        let skipped = begun.is_some() && length > MAX;
        if piece.len() <= room {
            let so_far = begun.unwrap_or(0) + piece.body().len() as u64;
            got[who][*i] = Some(so_far);
            if length > MAX {
                if begun.is_none() {
                    expected.push(Outcome::TooLarge(length));
                }
            } else if so_far == length {
                expected.push(Outcome::Message(writers[who][*i].bytes.clone()));
            }
            continue;
        }
        // Broken off here. What is known of the message depends on how much of the head came.
        let head = piece.head().len();
        let body = room.saturating_sub(head) as u64;
        match room {
            0..8 => torn.push(Outcome::Torn(room as u64, None)),
            8..16 if head > 8 => torn.push(Outcome::Torn(0, Some(length))),
            _ if skipped => {}
            _ if begun.is_some() => got[who][*i] = begun.map(|so_far| so_far + body),
            _ => torn.push(Outcome::Torn(body, Some(length))),
        }
    }
    for (sent, got) in writers.iter().zip(&got) {
        for (sent, got) in sent.iter().zip(got) {
            let length = sent.bytes.len() as u64;
            if let Some(got) = got.filter(|&got| got < length && length <= MAX) {
                torn.push(Outcome::Torn(got, Some(length)));
            }
        }
    }

    let mut outcomes = Vec::new();
    let mut fed = 0;
    for bytes in stream.chunks(cut) {
        fed += bytes.len();
        outcomes.extend(reader.feed(bytes));
        no_more_than(reader.held(), fed);
    }
    assert!(outcomes == expected, "not the messages that were sent, or not in that order");
    let mut ends = reader.end();
    ends.sort();
    torn.sort();
    assert_eq!(ends, torn, "what is incomplete at the end");
    assert_eq!(reader.held(), 0);
}
