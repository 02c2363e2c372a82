//! What is in a kernel map, all at once, and the numbers in its keys and values.

use libbpf_rs::{MapCore, MapFlags};

/// All keys and values of a map. What comes or goes meanwhile is there or not.
pub(in crate::probe) fn entries(map: &impl MapCore) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let batch = map.lookup_batch(map.max_entries(), MapFlags::ANY, MapFlags::ANY);
    batch.into_iter().flatten()
}

/// The 4 bytes there as a number.
pub(in crate::probe) fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The 8 bytes there as a number.
pub(in crate::probe) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
