//! The rows of one sample, packed: most of their numbers are small, and there are tens of thousands
//! of rows. Each number takes a byte for every seven bits that it has.

use super::book::{Key, Tally};

/// `Key::idle`.
const IDLE: u64 = 1;
/// Who ended the wait follows.
const WOKEN: u64 = 2;
/// What was given back follows.
const FREED: u64 = 4;
/// What was not given back follows.
const LIVE: u64 = 8;

/// Rows in the order in which they were put in; some 25 bytes each instead of 96.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    bytes: Box<[u8]>,
    len: usize,
}

/// Reads them one after the other.
#[derive(Clone, Debug)]
pub struct Unpacked<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows.
    pub fn iter(&self) -> Unpacked<'_> {
        Unpacked { bytes: &self.bytes, left: self.len }
    }
}

impl FromIterator<(Key, Tally)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Key, Tally)>>(rows: I) -> Rows {
        let mut bytes = Vec::new();
        let mut len = 0;
        for (key, tally) in rows {
            len += 1;
            put(&mut bytes, &key, &tally);
        }
        Rows { bytes: bytes.into(), len }
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = (Key, Tally);
    type IntoIter = Unpacked<'a>;

    fn into_iter(self) -> Unpacked<'a> {
        self.iter()
    }
}

/// Appends a number.
pub(super) fn put_number(bytes: &mut Vec<u8>, n: u64) {
    let mut left = n;
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

/// Takes the number at the front away; 0 where there is none.
pub(super) fn take_number(bytes: &mut &[u8]) -> u64 {
    let (mut n, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << (shift & 63);
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    n
}

fn put(bytes: &mut Vec<u8>, key: &Key, tally: &Tally) {
    let mut number = |n: u64| put_number(bytes, n);
    let mut flags = 0;
    for (flag, is_set) in [
        (IDLE, key.idle),
        (WOKEN, key.waker != (0, 0)),
        (FREED, tally.freed != (0, 0)),
        (LIVE, tally.live != (0, 0)),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    number(flags);
    for n in [key.pid, key.tid, key.comm, key.cgroup, key.state, key.syscall, key.stack] {
        number(n.into());
    }
    for n in [tally.value, tally.count, tally.samples] {
        number(n);
    }
    let waker = (u64::from(key.waker.0), u64::from(key.waker.1));
    for (flag, pair) in [(WOKEN, waker), (FREED, tally.freed), (LIVE, tally.live)] {
        if flags & flag != 0 {
            number(pair.0);
            number(pair.1);
        }
    }
}

impl Unpacked<'_> {
    fn number(&mut self) -> u64 {
        take_number(&mut self.bytes)
    }

    /// One that was put in as 32 bits.
    fn small(&mut self) -> u32 {
        self.number() as u32
    }

    fn pair(&mut self, is_there: bool) -> (u64, u64) {
        if is_there { (self.number(), self.number()) } else { (0, 0) }
    }
}

impl Iterator for Unpacked<'_> {
    type Item = (Key, Tally);

    fn next(&mut self) -> Option<(Key, Tally)> {
        self.left = self.left.checked_sub(1)?;
        let flags = self.number();
        let mut key = Key {
            idle: flags & IDLE != 0,
            pid: self.small(),
            tid: self.small(),
            comm: self.small(),
            cgroup: self.small(),
            state: self.small(),
            syscall: self.small(),
            stack: self.small(),
            waker: (0, 0),
        };
        let mut tally = Tally {
            value: self.number(),
            count: self.number(),
            samples: self.number(),
            ..Tally::default()
        };
        let waker = self.pair(flags & WOKEN != 0);
        key.waker = (waker.0 as u32, waker.1 as u32);
        tally.freed = self.pair(flags & FREED != 0);
        tally.live = self.pair(flags & LIVE != 0);
        Some((key, tally))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let (most, all) = (u32::MAX, u64::MAX);
        let largest = Key {
            pid: most,
            tid: most,
            comm: most,
            cgroup: most,
            state: most,
            syscall: most,
            idle: true,
            waker: (most, most),
            stack: most,
        };
        let full =
            Tally { value: all, count: all, samples: all, freed: (all, all), live: (all, all) };
        let mut rows = vec![(largest, full), (Key::default(), Tally::default())];
        for bits in 0..64 {
            let n = 1u64 << bits;
            let key = Key { pid: n as u32, waker: (0, n as u32), ..Key::default() };
            let tally = Tally { value: n, count: n - 1, freed: (0, n), ..Tally::default() };
            rows.push((key, tally));
            rows.push((Key { stack: (n - 1) as u32, ..key }, Tally { live: (n, 0), ..tally }));
        }
        let packed: Rows = rows.iter().copied().collect();
        assert_eq!(packed.len(), rows.len());
        assert_eq!(packed.iter().collect::<Vec<_>>(), rows);
        assert!(Rows::default().is_empty() && Rows::default().iter().next().is_none());
    }
}
