//! Records of a kernel iterator as they come out of its file: read by the page, parsed in place.

use anyhow::{Context, Result};
use libbpf_rs::{Iter, Link};
use std::io::Read;

/// What a read brings at most is 32 KB (`bpf_seq_read`); a record may be left over from before it.
const BUFFER: usize = 64 * 1024;

/// The place records are read into.
pub(super) struct Records {
    // u64 so that records, whose sizes are multiples of 8, can be read in place.
    buffer: Box<[u64]>,
}

impl Records {
    /// An empty place.
    pub fn new() -> Records {
        Records { buffer: vec![0u64; BUFFER / 8].into_boxed_slice() }
    }

    /// Runs the iterator behind `link` to its end. `parse` is handed what has come, takes the
    /// complete records at the front and says how many bytes these were.
    pub fn read(&mut self, link: &Link, mut parse: impl FnMut(&[u8]) -> usize) -> Result<()> {
        let mut iter = Iter::new(link)?;
        let mut filled = 0usize;
        loop {
            let bytes = plain_mut(&mut self.buffer);
            let got = iter.read(&mut bytes[filled..]).context("the kernel ended the pass")?;
            if got == 0 {
                return Ok(());
            }
            filled += got;
            let used = parse(&bytes[..filled]);
            bytes.copy_within(used..filled, 0);
            filled -= used;
        }
    }
}

/// The buffer as bytes.
fn plain_mut(words: &mut [u64]) -> &mut [u8] {
    let len = words.len() * 8;
    // SAFETY: the bytes of u64s are initialised, any byte is a valid u8, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), len) }
}

/// Words as bytes.
pub(super) fn plain(words: &[u64]) -> &[u8] {
    // SAFETY: u64s are initialised bytes, any byte is a valid u8, and the borrow keeps them.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of_val(words)) }
}

/// Reads a record's struct at the front of `bytes`.
pub(super) fn front<T: Copy>(bytes: &[u8]) -> Option<&T> {
    let at = bytes.as_ptr();
    if bytes.len() < size_of::<T>() || at.align_offset(align_of::<T>()) != 0 {
        return None;
    }
    // SAFETY: long enough and aligned (checked above); callers use types of integers only, for
    // which every bit pattern is valid; the reference borrows `bytes`.
    Some(unsafe { &*at.cast::<T>() })
}

/// A record that may lie anywhere, copied.
pub(super) fn copied<T: Copy>(bytes: &[u8]) -> Option<T> {
    // SAFETY: long enough (checked); callers use types of integers only, for which every bit
    // pattern is valid.
    (bytes.len() >= size_of::<T>())
        .then(|| unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<T>()) })
}

/// A record of integers as bytes, to compare at once.
pub(super) fn bytes<T: Copy>(record: &T) -> &[u8] {
    // SAFETY: records are integers in structs that the kernel filled whole or that were copied
    // whole, padding included, from its zeroed memory; the borrow keeps them in place.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast::<u8>(), size_of::<T>()) }
}
