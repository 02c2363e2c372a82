//! A kernel program's ring of records (`BPF_MAP_TYPE_RINGBUF`), taken out by the clock: no record
//! wakes anybody up.
//!
//! Records are read where they lie, mostly through a window: the kernel maps every page of a ring at
//! once, all of them count into this process's memory, and rings for copies of stacks have
//! megabytes. To map and unmap what is there costs more than to read it, though, so that small
//! windows stay as long as they are of use, and a ring that is always busy can be kept whole.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use libbpf_rs::MapCore;
use memmap2::{MmapOptions, MmapRaw};

/// Of a record's first word (`BPF_RINGBUF_BUSY_BIT`): it is being written.
const BUSY: u32 = 1 << 31;
/// It was given up (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;
/// Bytes before a record (`BPF_RINGBUF_HDR_SZ`).
const HEAD: usize = 8;
/// Bytes that are mapped at least, and the most that stay mapped.
const WINDOW: usize = 64 << 10;

/// The reading end.
pub struct Ring {
    map: OwnedFd,
    /// How far was read: the only page that may be written.
    consumer: MmapRaw,
    /// How far was written.
    producer: MmapRaw,
    /// Bytes of a page.
    page: usize,
    /// Bytes of records that fit: a power of two.
    size: usize,
    /// All of it, once.
    whole: Option<MmapRaw>,
    /// What of it is mapped, where that is not all.
    window: Option<Window>,
}

/// A part of the ring.
struct Window {
    /// The position that its first byte has: a multiple of pages.
    from: u64,
    bytes: MmapRaw,
}

impl Window {
    /// Whether it holds all that lies between two positions.
    fn has(&self, from: u64, to: u64) -> bool {
        from >= self.from && to - self.from <= self.bytes.len() as u64
    }
}

impl Ring {
    /// Opens the ring.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(map: &dyn MapCore) -> Result<Ring> {
        // SAFETY: takes a number and touches no memory.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
        let what = "the ring of records cannot be mapped";
        let size = map.max_entries() as usize;
        let map = map.as_fd().try_clone_to_owned().context(what)?;
        let fd = map.as_raw_fd();
        let consumer = MmapOptions::new().len(page).map_raw(fd).context(what)?;
        let mut second = MmapOptions::new();
        second.offset(page as u64).len(page);
        let producer = second.map_raw_read_only(fd).context(what)?;
        Ok(Ring { map, consumer, producer, page, size, whole: None, window: None })
    }

    /// Keeps the whole ring mapped from now on, for one that is always busy.
    pub fn keep(&mut self) {
        let mut options = MmapOptions::new();
        options.offset(2 * self.page as u64).len(self.size);
        // Without it there are the windows.
        self.whole = options.map_raw_read_only(self.map.as_raw_fd()).ok();
    }

    /// Hands over what was queued since the last call, record by record, aligned to 8 bytes.
    /// Returns how many bytes that was.
    pub fn consume(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let mut bytes = 0;
        // Not for ever, where records come faster than they are taken in.
        while bytes < 2 * self.size {
            match self.window(&mut each) {
                0 => break,
                more => bytes += more,
            }
        }
        bytes
    }

    /// Hands over what is there now; how many bytes that was.
    fn window(&mut self, each: &mut impl FnMut(&[u8])) -> usize {
        // SAFETY: both are the first words of pages that stay mapped as long as `self`; the kernel
        // uses them as atomics too.
        let (read, written) = unsafe {
            let read = &*self.consumer.as_ptr().cast::<AtomicU64>();
            (read, &*self.producer.as_ptr().cast::<AtomicU64>())
        };
        let from = read.load(Ordering::Relaxed);
        let mut len = written.load(Ordering::Acquire).saturating_sub(from) as usize;
        if len == 0 || len > self.size {
            return 0;
        }
        if let Some(whole) = &self.whole {
            let begin = (from & (self.size as u64 - 1)) as usize;
            let (until_end, is_all) = (self.size - begin, begin + len <= self.size);
            // SAFETY: within the mapping, which has all `size` bytes.
            let bytes = unsafe { whole.as_ptr().add(begin) };
            // SAFETY: as far as the mapping goes, and what lies there was written.
            let done = unsafe { records(bytes, len.min(until_end), (read, from), each) };
            if done > 0 || is_all {
                return done;
            }
            // The next one goes on at the ring's beginning: it alone is mapped as one piece. A
            // head has 8 bytes, and lies at a multiple of as many.
            // SAFETY: within the mapping, as `len` is at least that of a head.
            let word = unsafe { &*bytes.cast::<AtomicU32>() }.load(Ordering::Acquire);
            let size = (word & !(BUSY | DISCARDED)) as usize;
            len = len.min((HEAD + size).next_multiple_of(8));
        }
        if !self.window.as_ref().is_some_and(|window| window.has(from, from + len as u64)) {
            // The old one goes first.
            self.window = None;
            self.window = self.map(from, len);
        }
        let Some(window) = &self.window else { return 0 };
        // SAFETY: within the window (`has` and `map` see to it).
        let bytes = unsafe { window.bytes.as_ptr().add((from - window.from) as usize) };
        // SAFETY: the window goes as far, and what lies there was written.
        let done = unsafe { records(bytes, len, (read, from), each) };
        if window.bytes.len() > WINDOW || self.whole.is_some() {
            self.window = None;
        }
        done
    }

    /// Maps what lies from this position on: so many bytes, and some of what comes behind them.
    fn map(&self, from: u64, len: usize) -> Option<Window> {
        let begin = (from & (self.size as u64 - 1)) as usize;
        let skipped = begin % self.page;
        let least = if self.whole.is_some() { 0 } else { WINDOW.min(self.size) };
        let mut options = MmapOptions::new();
        // After two pages of positions the records lie twice in a row, so that none is broken. What
        // is mapped begins in the first of the two and is not longer than one but for what is
        // skipped, which the first has, too.
        let bytes = (skipped + len).max(least);
        options.offset((2 * self.page + begin - skipped) as u64).len(bytes);
        let bytes = options.map_raw_read_only(self.map.as_raw_fd()).ok()?;
        Some(Window { from: from - skipped as u64, bytes })
    }
}

/// Hands over the records in `len` bytes, the first of which has the position `from`, and tells the
/// kernel how far was read; how many bytes were.
///
/// # Safety
/// So many bytes of a ring are mapped there, from the head of a record on, and the kernel has said
/// that they are written or being written.
unsafe fn records(
    bytes: *const u8,
    len: usize,
    (read, from): (&AtomicU64, u64),
    each: &mut impl FnMut(&[u8]),
) -> usize {
    let mut at = 0;
    while at + HEAD <= len {
        // SAFETY: within `len` bytes, and at a multiple of 8; the kernel writes heads as atomics.
        let head = unsafe { bytes.add(at) };
        let word = unsafe { &*head.cast::<AtomicU32>() }.load(Ordering::Acquire);
        let size = (word & !(BUSY | DISCARDED)) as usize;
        if word & BUSY != 0 || at + HEAD + size > len {
            break;
        }
        if word & DISCARDED == 0 {
            // SAFETY: within `len` bytes (checked); the record was written whole before its head
            // said so, and is not written again before `read` has passed it.
            each(unsafe { std::slice::from_raw_parts(head.add(HEAD), size) });
        }
        at += (HEAD + size).next_multiple_of(8);
        read.store(from + at as u64, Ordering::Release);
    }
    at
}
