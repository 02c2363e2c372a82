//! A kernel program's ring of records (`BPF_MAP_TYPE_RINGBUF`), taken out by the clock: no record
//! wakes anybody up.
//!
//! Records are read where they lie, and only what is to be read is mapped, for as long as it is
//! read: the kernel maps every page of a ring at once, and rings for copies of stacks have megabytes.

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
        Ok(Ring { map, consumer, producer, page, size })
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
        let len = written.load(Ordering::Acquire).saturating_sub(from) as usize;
        if len == 0 || len > self.size {
            return 0;
        }
        let begin = (from & (self.size as u64 - 1)) as usize;
        let skipped = begin % self.page;
        let mut window = MmapOptions::new();
        // After two pages of positions the records lie twice in a row, so that none is broken.
        window.offset((2 * self.page + begin - skipped) as u64).len(skipped + len);
        let Ok(window) = window.map_raw_read_only(self.map.as_raw_fd()) else { return 0 };
        let mut at = 0;
        while at + HEAD <= len {
            // SAFETY: within the window's `skipped + len` bytes, and at a multiple of 8; the kernel
            // writes heads as atomics.
            let head = unsafe { window.as_ptr().add(skipped + at) };
            let word = unsafe { &*head.cast::<AtomicU32>() }.load(Ordering::Acquire);
            let size = (word & !(BUSY | DISCARDED)) as usize;
            if word & BUSY != 0 || at + HEAD + size > len {
                break;
            }
            if word & DISCARDED == 0 {
                // SAFETY: within the window (checked); the record was written whole before its head
                // said so, and is not written again before `read` has passed it.
                each(unsafe { std::slice::from_raw_parts(head.add(HEAD), size) });
            }
            at += (HEAD + size).next_multiple_of(8);
            read.store(from + at as u64, Ordering::Release);
        }
        at
    }
}
