//! Where encoded messages lie: in their slots, and in blocks if they are longer.

use crate::channel::many::{Ring, Store};
use crate::channel::raw::Corrupt;
use crate::channel::raw::blocks::Blocks;
use crate::channel::raw::mpmc::{Refusal, SendCursor};
use crate::channel::raw::primitive::Light;
use crate::channel::raw::signal::Signal;
use crate::memory::cells::Cells;
use crate::sys::roster::Name;

/// ```text
///   slot     0        8                     256
///            | length | message             |         of up to INLINE bytes
///            | length | block | (unused)    |         longer
///   block    0        8                    2048
///            | next   | message             |
/// ```
///
/// All slots, then all blocks. Numbers of blocks are 8 bytes, too; the last one's `next` means nothing.
const SLOT: usize = 256;
const BLOCK: usize = 2048;
const WORD: usize = 8;
/// Most bytes of a message that needs no block.
const INLINE: usize = SLOT - WORD;
/// Bytes of a message in one block.
const PART: usize = BLOCK - WORD;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    slots: usize,
    blocks: usize,
}

impl Bytes {
    /// Room for `slots` messages, and for so many bytes of those that are longer than a slot.
    pub(super) fn new(slots: usize, bytes: usize) -> Bytes {
        Bytes { slots, blocks: bytes.div_ceil(PART) }
    }

    /// How many bytes of memory that takes. None if it is beyond the address space.
    pub(super) fn cells(self) -> Option<usize> {
        self.slots.checked_mul(SLOT)?.checked_add(self.blocks.checked_mul(BLOCK)?)
    }

    /// How many words the blocks need.
    pub(super) fn words(self) -> usize {
        self.blocks
    }

    /// The longest message.
    pub(super) fn longest(self) -> usize {
        INLINE.max(self.blocks * PART)
    }

    fn memory(self, ring: &Ring<Bytes>) -> Cells<'_, u8> {
        ring.memory.cells(self.slots * SLOT + self.blocks * BLOCK)
    }

    fn owners(self, ring: &Ring<Bytes>) -> Blocks<'_> {
        Blocks(&ring.words[2 * self.slots..])
    }

    fn block(self, number: usize) -> usize {
        self.slots * SLOT + number * BLOCK
    }

    /// Takes as many blocks as a message needs. None if there are not so many: then it takes none.
    fn take_blocks(self, ring: &Ring<Bytes>, me: Name, length: usize) -> Option<Vec<usize>> {
        let needed = if length <= INLINE { 0 } else { length.div_ceil(PART) };
        if needed > 0 && !self.owners(ring).are_free(needed, |slot| ring.raw().lap_of(slot)) {
            return None;
        }
        let mut taken = Vec::with_capacity(needed);
        // Different senders begin at different blocks, and mostly find those that they had before.
        let mut from = me.word() as usize >> 8;
        while taken.len() < needed {
            match self.owners(ring).take(me, from, |slot| ring.raw().lap_of(slot)) {
                Some(number) => {
                    taken.push(number);
                    from = number + 1;
                }
                None => {
                    self.give_back(ring, &taken);
                    return None;
                }
            }
        }
        Some(taken)
    }

    fn give_back(self, ring: &Ring<Bytes>, blocks: &[usize]) {
        for &number in blocks {
            self.owners(ring).give_back(number);
        }
        // Another sender may have found too few because of these, and sleep.
        let emptied = &ring.header().emptied.0;
        Light::here().fence();
        if !blocks.is_empty() && emptied.is_wanted() {
            emptied.wake_all();
        }
    }

    /// Writes a message into a slot and its blocks, all of which are the caller's.
    fn write(self, ring: &Ring<Bytes>, index: usize, blocks: &[usize], message: &[u8]) {
        let cells = self.memory(ring);
        let slot = index * SLOT;
        // All places are within the memory: the numbers are those of slots and blocks.
        let word = |at: usize, value: usize| {
            let _ = cells.copy_from(at, &(value as u64).to_ne_bytes());
        };
        word(slot, message.len());
        if blocks.is_empty() {
            let _ = cells.copy_from(slot + WORD, message);
            return;
        }
        word(slot + WORD, blocks[0]);
        let lap = ring.raw().lap_of(index).unwrap_or_default();
        for (turn, (part, &number)) in message.chunks(PART).zip(blocks).enumerate() {
            word(self.block(number), blocks.get(turn + 1).copied().unwrap_or(0));
            let _ = cells.copy_from(self.block(number) + WORD, part);
            self.owners(ring).assign(number, index, lap);
        }
    }

    /// Copies a message out. Each number in it is read once, and checked: a peer may have written it.
    fn read(self, ring: &Ring<Bytes>, index: usize) -> Result<Vec<u8>, Corrupt> {
        let cells = self.memory(ring);
        let slot = index * SLOT;
        let word = |at: usize| {
            let mut bytes = [0; WORD];
            cells.copy_to(at, &mut bytes).map_err(|_| Corrupt)?;
            usize::try_from(u64::from_ne_bytes(bytes)).map_err(|_| Corrupt)
        };
        let length = word(slot)?;
        if length > self.longest() {
            return Err(Corrupt);
        }
        let mut message = vec![0; length];
        if length <= INLINE {
            cells.copy_to(slot + WORD, &mut message).map_err(|_| Corrupt)?;
            return Ok(message);
        }
        let mut at = slot + WORD;
        for part in message.chunks_mut(PART) {
            let number = word(at)?;
            if number >= self.blocks {
                return Err(Corrupt);
            }
            at = self.block(number);
            cells.copy_to(at + WORD, part).map_err(|_| Corrupt)?;
        }
        Ok(message)
    }
}

impl Store for Bytes {
    type Put<'a> = &'a [u8];
    type Got = Result<Vec<u8>, Corrupt>;

    fn put(&self, ring: &Ring<Bytes>, cursor: &mut SendCursor, me: Name, message: &[u8]) -> Result<(), Refusal> {
        let blocks = match self.take_blocks(ring, me, message.len()) {
            Some(blocks) => blocks,
            None => {
                // What the dead have left in slots holds blocks, too.
                ring.raw().tend(me)?;
                self.take_blocks(ring, me, message.len()).ok_or(Refusal::NotNow)?
            }
        };
        let sent = ring.raw().send(cursor, me, |index| self.write(ring, index, &blocks, message));
        if sent.is_err() {
            self.give_back(ring, &blocks);
        }
        sent
    }

    #[inline]
    fn get(&self, ring: &Ring<Bytes>, index: usize) -> Result<Vec<u8>, Corrupt> {
        self.read(ring, index)
    }

    /// All: one may need more blocks than there are, and another fewer.
    fn wake_senders(&self, emptied: &Signal) {
        emptied.wake_all();
    }
}
