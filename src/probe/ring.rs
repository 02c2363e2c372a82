//! A kernel program's ring of records, taken out by the clock: no record wakes anybody up.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, RingBuffer, RingBufferBuilder};

/// Records copied out of the ring at a time: bounds the memory between ring and rows.
const BATCH: usize = 1024;

/// Words of room that are kept from one time to the next; a burst needs more.
const KEPT: usize = 32 << 10;

/// The reading end. It must be dropped before the map it was opened on.
pub(super) struct Ring {
    ring: RingBuffer<'static>,
    inbox: Arc<Mutex<Vec<u64>>>,
    taken: Vec<u64>,
    batch: usize,
}

impl Ring {
    /// Maps the ring.
    pub fn open(map: &dyn MapCore) -> Result<Ring> {
        Ring::open_for(map, BATCH)
    }

    /// Maps a ring of large records, of which only so many are copied out at a time.
    pub fn open_for(map: &dyn MapCore, batch: usize) -> Result<Ring> {
        let inbox = Arc::new(Mutex::new(Vec::new()));
        let filled = inbox.clone();
        let mut builder = RingBufferBuilder::new();
        builder.add(map, move |bytes| {
            if let Ok(mut inbox) = filled.lock() {
                let inbox: &mut Vec<u64> = &mut inbox;
                let words = bytes.chunks_exact(8).filter_map(|c| c.try_into().ok());
                inbox.extend(words.map(u64::from_ne_bytes));
            }
            0
        })?;
        let ring = builder.build().context("the events' ring cannot be mapped")?;
        Ok(Ring { ring, inbox, taken: Vec::new(), batch })
    }

    /// Hands over what was queued since the last call: `each` is given all that is left, aligned
    /// for any integer, and returns how many bytes the record at the front took; `None` when it is
    /// none. Every record's size must be a multiple of 8. Returns how many bytes of records it was.
    pub fn consume(&mut self, mut each: impl FnMut(&[u8]) -> Option<usize>) -> usize {
        let mut bytes = 0;
        loop {
            let consumed = self.ring.consume_raw_n(self.batch);
            if let Ok(mut inbox) = self.inbox.lock() {
                std::mem::swap(&mut *inbox, &mut self.taken);
            }
            let mut at = 0;
            while let Some(rest) = self.taken.get(at..).filter(|r| !r.is_empty()) {
                let Some(size) = each(as_bytes(rest)) else { break };
                at += size.div_ceil(8).max(1);
            }
            bytes += size_of_val(self.taken.as_slice());
            self.taken.clear();
            self.taken.shrink_to(KEPT);
            // Below zero only if the ring is not readable: then there is nothing to hand over.
            if !usize::try_from(consumed).is_ok_and(|n| n >= self.batch) {
                return bytes;
            }
        }
    }
}

fn as_bytes(words: &[u64]) -> &[u8] {
    // SAFETY: u64s are initialised bytes, any byte is a valid u8, and the borrow keeps them.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8) }
}
