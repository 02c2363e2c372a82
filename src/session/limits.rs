//! When a segment ends, a block is closed, the tail is flushed; one place for every threshold.

use std::time::Duration;

use super::keep::Retention;

/// Samples this old are thinned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thin {
    /// From this age on ...
    pub age: Duration,
    /// ... one sample of this long stays.
    pub every: Duration,
}

/// The thresholds of a recording. The defaults are what a user gets; tests shrink them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A segment ends after this long.
    pub segment_ns: u64,
    /// A segment ends at this size on disk. sled keeps nearly every page it has written in memory
    /// (each of its 256 cache shards keeps one page, and looks only at every 64th access), so
    /// this bounds the recorder's memory; it also opens at about 1 ms per MB of unsealed log.
    pub segment_bytes: u64,
    /// A table's tail becomes a block when it is this old.
    pub block_ns: u64,
    /// ... or when its changed rows take this much memory, in bytes.
    pub block_bytes: usize,
    /// A tail of fewer entries than this stays as it is: a block would not be smaller.
    pub block_samples: usize,
    /// Changes between two complete tables; bounds the cost of a seek.
    pub key_every: u32,
    /// Parts a value is cut into, in bytes: sled keeps 16-64 KB best and is bad from 128 KB on.
    pub part_bytes: usize,
    /// Longest time without a flush, the most that `kill -9` can take.
    pub flush: Duration,
    /// Recording stops below this much free room in bytes ...
    pub floor_bytes: u64,
    /// ... or this share of the file system in per cent, whichever is smaller.
    pub floor_percent: u64,
    /// What is kept of earlier sessions and segments.
    pub keep: Retention,
    /// What becomes of old samples before they go; none to keep all. Later steps are coarser.
    pub thin: Vec<Thin>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            segment_ns: 3_600_000_000_000,
            segment_bytes: 32 << 20,
            block_ns: 600_000_000_000,
            block_bytes: 6 << 20,
            block_samples: 8,
            key_every: 60,
            part_bytes: 48 << 10,
            flush: Duration::from_secs(1),
            floor_bytes: 256 << 20,
            floor_percent: 5,
            keep: Retention::default(),
            // The day one is asked about is whole; a week at one sample a minute is enough to see
            // when something began.
            thin: [(1, 10), (3, 60)]
                .map(|(days, every)| Thin {
                    age: Duration::from_secs(days * 86_400),
                    every: Duration::from_secs(every),
                })
                .to_vec(),
        }
    }
}
