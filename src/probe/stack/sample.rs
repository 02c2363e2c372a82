//! The record of `bpf/stack_row.h` as the ring hands it over.

use std::cell::RefCell;

use ahash::AHashMap;
use bytes::{Bytes, BytesMut};
use libbpf_rs::{MapCore, MapFlags, MapMut};

use crate::probe::records::front;
use crate::symbol::{Capture, Regs, Resolved, Space};
use crate::table::Clean;

/// Addresses of the kernel stack at most (`KERNEL_DEPTH`).
const DEPTH: usize = 64;
/// `NO_CALL`.
const NO_CALL: u32 = u32::MAX;
/// The size of copies where nothing else is known (`default_size`).
const DEFAULT: u32 = 1;
/// Bytes of a copy of size 0 (`SMALLEST`).
const SMALLEST: u32 = 2048;
/// Processes whose size is remembered, as many as the kernel's map has.
const MOST: usize = 4096;
/// The largest size of a copy (`SIZES`).
const LARGEST: u32 = 4;
/// Samples after which it is looked how many of them were short: a second or two on one CPU.
const RECENT: u32 = 200;
/// How long few have to be short until copies shrink again.
const CALM_NS: u64 = 60_000_000_000;

/// `struct stack_sample`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    ns: u64,
    weight: u64,
    count: u64,
    id: u64,
    cgroup: u64,
    start_ns: u64,
    mm: u64,
    ip: u64,
    sp: u64,
    bp: u64,
    lr: u64,
    tgid: u32,
    tid: u32,
    call: u32,
    kind: u32,
    kernel_len: u32,
    user_len: u32,
    user_room: u32,
    more: u32,
    comm: [u8; 16],
    kernel: [u64; DEPTH],
}

/// What a sample says besides its stacks.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// `CLOCK_MONOTONIC` ns.
    pub ns: u64,
    /// ns or bytes that it stands for.
    pub weight: u64,
    /// Events that it stands for.
    pub count: u64,
    /// The probe's number for it.
    pub id: u64,
    /// When its process began (`group_leader.start_time`, ns).
    pub start_ns: u64,
    /// Number of its control group.
    pub cgroup: u64,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// The thread's name.
    pub comm: Clean,
    /// Number of the system call it was in.
    pub call: Option<u32>,
    /// What happened, in the probe's numbers.
    pub kind: u32,
    /// The probe's own.
    pub more: u32,
    /// Bytes of the user stack that could be copied.
    pub room: u32,
}

/// Names of threads that are remembered: thousands of samples a second have few of them.
const NAMES: usize = 1024;

/// Bytes of a piece of memory that copies of stacks share: one after the other they cost an
/// allocation of some KB each, which another thread gives back.
const SHARED: usize = 512 << 10;

thread_local! {
    static KNOWN: RefCell<AHashMap<[u8; 16], Clean>> = RefCell::default();
    static ROOM: RefCell<BytesMut> = RefCell::default();
}

/// A thread's name as the kernel has it; the same one in memory each time.
pub fn comm(bytes: &[u8; 16]) -> Clean {
    KNOWN.with_borrow_mut(|known| {
        if let Some(name) = known.get(bytes) {
            return name.clone();
        }
        if known.len() >= NAMES {
            known.clear();
        }
        let name = Clean::from_c(bytes);
        known.insert(*bytes, name.clone());
        name
    })
}

/// A copy of these bytes, in memory that is used again when all that lies in it is done with.
fn shared(bytes: &[u8]) -> Bytes {
    ROOM.with_borrow_mut(|room| {
        if !room.try_reclaim(SHARED) && room.capacity() < bytes.len() {
            *room = BytesMut::with_capacity(SHARED.max(bytes.len()));
        }
        room.extend_from_slice(bytes);
        room.split().freeze()
    })
}

/// Reads the record at the front; returns how many bytes it took.
pub fn parse(bytes: &[u8]) -> Option<(usize, Told, Capture)> {
    let raw = front::<Raw>(bytes)?;
    let room = raw.user_room as usize;
    let user = bytes.get(size_of::<Raw>()..size_of::<Raw>() + room)?;
    let told = Told {
        ns: raw.ns,
        weight: raw.weight,
        count: raw.count,
        id: raw.id,
        start_ns: raw.start_ns,
        cgroup: raw.cgroup,
        tgid: raw.tgid,
        tid: raw.tid,
        comm: comm(&raw.comm),
        call: (raw.call != NO_CALL).then_some(raw.call),
        kind: raw.kind,
        more: raw.more,
        room: raw.user_room,
    };
    let capture = Capture {
        space: Space { tgid: raw.tgid, start_ns: raw.start_ns, mm: raw.mm },
        ns: raw.ns,
        kernel: raw.kernel[..(raw.kernel_len as usize / 8).min(DEPTH)].into(),
        regs: Regs { ip: raw.ip, sp: raw.sp, bp: raw.bp, lr: raw.lr },
        user: shared(&user[..(raw.user_len as usize).min(room)]),
        interrupted: false,
    };
    Some((size_of::<Raw>() + room, told, capture))
}

/// How much of each process's stacks is copied where the kernel does not see how deep they are: more
/// where walks end early.
pub struct Sizes {
    /// Of processes whose copies were too small, how large they are now.
    grown: AHashMap<u32, u32>,
    /// Of processes that are not known yet.
    default: u32,
    /// Samples that came lately, and those of them whose copies were too small.
    recent: (u32, u32),
    /// When many were the last time, `CLOCK_MONOTONIC` ns.
    many_ns: u64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { grown: AHashMap::default(), default: DEFAULT, recent: (0, 0), many_ns: 0 }
    }
}

impl Sizes {
    /// Takes in how far a walk came; tells the kernel when copies of that process have to grow.
    pub fn note(&mut self, map: &MapMut<'_>, told: &Told, resolved: &Resolved) {
        self.count(told.ns, resolved.short);
        if let Some(size) = resolved.short.then(|| self.grow(told)).flatten() {
            // Where it cannot be told the copies stay as they are, and walks say that they are short.
            let _ = map.update(&told.tgid.to_ne_bytes(), &size.to_ne_bytes(), MapFlags::ANY);
        }
    }

    /// The size for processes that are not known yet: short ones have ended before theirs grows.
    pub fn default_size(&self) -> u32 {
        self.default
    }

    /// Has it grow where more than a twentieth of the samples are short, and shrink after a minute
    /// in which that was not so.
    fn count(&mut self, ns: u64, short: bool) {
        self.recent.0 += 1;
        self.recent.1 += u32::from(short);
        if self.recent.0 < RECENT {
            return;
        }
        let many = self.recent.1 > RECENT / 20;
        self.recent = (0, 0);
        if many {
            self.default = (self.default + 1).min(LARGEST);
            self.many_ns = ns;
        } else if ns.saturating_sub(self.many_ns) > CALM_NS {
            self.default = self.default.saturating_sub(1).max(DEFAULT);
            self.many_ns = ns;
        }
    }

    /// The next size for the process of a copy that was too small.
    fn grow(&mut self, told: &Told) -> Option<u32> {
        if self.grown.len() > MOST {
            self.grown.clear();
        }
        let had = (told.room / SMALLEST).checked_ilog2()?;
        let size = self.grown.entry(told.tgid).or_insert(0);
        // It may have been copied before the copies had grown.
        if had >= LARGEST || *size > had {
            return None;
        }
        *size = had + 1;
        Some(*size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_harmless_and_made_once() {
        let name = |text: &[u8]| {
            let mut bytes = *b"\0\0left over\0\0\0\0\0";
            bytes[..text.len()].copy_from_slice(text);
            comm(&bytes)
        };
        let first = name(b"a\x1bb\0");
        assert_eq!(first.as_str(), "a\\x1bb");
        assert!(std::ptr::eq(first.as_str(), name(b"a\x1bb\0").as_str()));
        for n in 0..=NAMES {
            assert_eq!(name(format!("{n}\0").as_bytes()).as_str(), n.to_string());
        }
        assert!(KNOWN.with_borrow(|known| known.len()) <= NAMES);
        assert_eq!(name(b"a\x1bb\0"), first);
    }

    #[test]
    fn a_record_is_read_whole_or_not_at_all() {
        let mut words = vec![0u64; (size_of::<Raw>() + 2048) / 8];
        words[0] = 5;
        words[1] = 99;
        let head = size_of::<Raw>();
        // SAFETY: u64s are initialised bytes and the borrow is unique.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), words.len() * 8)
        };
        let at = std::mem::offset_of!(Raw, user_room);
        bytes[at..at + 4].copy_from_slice(&2048u32.to_ne_bytes());
        let at = std::mem::offset_of!(Raw, user_len);
        bytes[at..at + 4].copy_from_slice(&100u32.to_ne_bytes());
        let at = std::mem::offset_of!(Raw, call);
        bytes[at..at + 4].copy_from_slice(&NO_CALL.to_ne_bytes());
        let (size, told, capture) = parse(bytes).unwrap();
        assert_eq!((size, told.ns, told.weight, told.call), (head + 2048, 5, 99, None));
        assert_eq!((capture.user.len(), capture.kernel.len()), (100, 0));
        assert!(parse(&bytes[..head + 2040]).is_none(), "cut off");
    }

    #[test]
    fn copies_share_memory_that_is_used_again() {
        let first = shared(&[1; 9000]);
        let at = first.as_ptr();
        let second = shared(&[2; 9000]);
        assert_eq!(second.as_ptr(), at.wrapping_add(9000));
        let many: Vec<Bytes> = (0..100).map(|n| shared(&[n; 32 << 10])).collect();
        assert!(first.iter().all(|b| *b == 1) && second.iter().all(|b| *b == 2));
        assert!(many.iter().zip(0..).all(|(copy, n)| copy.iter().all(|b| *b == n)));
        drop((first, second, many));
        let again = shared(&[3; 9000]);
        let at = again.as_ptr();
        drop(again);
        assert_eq!(shared(&[4; 32 << 10]).as_ptr(), at, "nobody needed it any more");
        let large = shared(&[5; SHARED + 1]);
        assert_eq!((large.len(), shared(&[6; 8])[0]), (SHARED + 1, 6));
    }

    #[test]
    fn a_process_grows_once_for_all_copies_of_a_size() {
        let mut sizes = Sizes::default();
        let told = |room| Told { tgid: 5, room, ..Told::default() };
        assert_eq!(sizes.grow(&told(4096)), Some(2));
        assert_eq!(sizes.grow(&told(4096)), None, "it was under way");
        assert_eq!(sizes.grow(&told(8192)), Some(3));
        assert_eq!(sizes.grow(&told(16384)), Some(4));
        assert_eq!(sizes.grow(&told(32768)), None, "there is no larger one");
        assert_eq!(sizes.grow(&told(0)), None, "nothing was to be copied");
    }

    #[test]
    fn the_default_grows_while_many_are_short_and_shrinks_after_a_minute() {
        let mut sizes = Sizes::default();
        let mut tell = |ns: u64, short: u32| {
            (0..RECENT).for_each(|i| sizes.count(ns, i < short));
            sizes.default_size()
        };
        assert_eq!(tell(1, 10), 1, "a twentieth is not more than that");
        assert_eq!([2, 3, 4, 5].map(|ns| tell(ns, 11)), [2, 3, 4, 4]);
        assert_eq!(tell(CALM_NS, 0), 4);
        assert_eq!(tell(CALM_NS + 6, 0), 3);
        assert_eq!(tell(CALM_NS + 7, 0), 3, "one step a minute");
        assert_eq!([3, 5, 7, 9].map(|n| tell(n * CALM_NS, 0)), [2, 1, 1, 1]);
    }
}
