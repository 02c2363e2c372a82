//! The hooks, attached: samples from the ring, sums from the map, rows of an interval.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use libbpf_rs::{Link, MapCore, MapFlags};

use super::calls;
use super::device::Devices;
use super::sums::{self, Share, Sums, Total, Which};
use crate::bpf;
use crate::probe::Scope;
use crate::probe::cgroup::Cgroups;
use crate::probe::ring::Ring;
use crate::probe::stack::{Gather, Key, Scoped, Sizes, StackRow, Told, parse};
use crate::symbol::{Client, Symbols};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/io.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/io.skel.rs"));
}

use kernel::{IoSkel, IoSkelBuilder};

/// `enum io_kind`, in the words of column `state`.
const STATES: [&str; 5] = ["call", "miss", "dirty", "read", "write"];
const DIRTY: u32 = 2;
/// `NO_CALL`.
const NO_CALL: u32 = u32::MAX;

/// Samples from one look into the ring to the next at most; it has room for half as many again,
/// which first stacks take (`RESERVE`).
const BUDGET: i64 = 192;
/// Bytes from one sample of a thread to the next, on the average, when little is read and written.
const MEAN: u64 = 256 << 10;
/// And when very much is.
const MEAN_MOST: u64 = 64 << 20;
/// Entries of the map `totals` from which on threads that rest are let go though they live.
const CROWD: usize = 12_288;
/// How many entries are read at a time.
const BATCH: u32 = 512;

/// A sample under way to its names.
struct Sent {
    told: Told,
    which: Which,
    share: Share,
}

/// The hooks and what was heard of them.
pub(super) struct Meter {
    links: BTreeMap<String, Link>,
    refused: BTreeMap<String, String>,
    ring: Ring,
    skel: IoSkel<'static>,
    client: Client<Sent>,
    gather: Gather,
    sums: Sums,
    sizes: Sizes,
    cgroups: Cgroups,
    devices: Devices,
    mean: u64,
    turn: u64,
    /// Samples that found no room on this side.
    dropped: u64,
}

impl Meter {
    /// Attaches what attaches.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Meter> {
        let mut placed = bpf::place(IoSkelBuilder::default)?;
        let scoped = Scoped::new(scope, |_| None);
        if let Some(bss) = placed.skel.maps.bss_data.as_deref_mut() {
            bss.own_tgid = std::process::id();
            bss.scope = scoped.scope;
            bss.scope_cgroup = scoped.cgroup;
            bss.scope_level = scoped.level;
            bss.calls = calls::table();
            bss.calls_ia32 = calls::table_ia32();
            bss.complete_ends = u32::from(placed.refused.contains_key("done"));
            bss.page_shift = page_shift();
            bss.mean = MEAN;
            bss.budget = BUDGET;
            bss.turn = 1;
        }
        scoped.fill(&placed.skel.maps.wanted);
        let ring = Ring::open(&placed.skel.maps.ring)?;
        let bpf::Attached { skel, links, refused } = bpf::hook(placed)?;
        Ok(Meter {
            links,
            refused,
            ring,
            skel,
            client: Client::new(symbols),
            gather: Gather::default(),
            sums: Sums::default(),
            sizes: Sizes::default(),
            cgroups: Cgroups::new(),
            devices: Devices::default(),
            mean: MEAN,
            turn: 1,
            dropped: 0,
        })
    }

    /// Whether this way works: a request has a beginning and an end.
    pub fn has(&self, program: &str) -> bool {
        let linked = |name: &str| self.links.contains_key(name);
        let ends = || linked("complete") && (linked("done") || self.refused.contains_key("done"));
        linked(program) && (!program.starts_with("start") || ends())
    }

    /// Programs that are missing, with the kernel's words.
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Runs and ns of a program, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        let p = &self.skel.progs;
        match program {
            "call" => bpf::cost(p.call.as_fd()),
            "miss" => bpf::cost(p.miss.as_fd()),
            "dirty" => bpf::cost(p.dirty.as_fd()),
            "start" => bpf::cost(p.start.as_fd()),
            _ => None,
        }
    }

    /// Samples and events that are gone.
    pub fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |b| b.lost + b.uncounted) + self.dropped
    }

    /// Hands what the kernel has queued to the thread that names stacks.
    pub fn drain(&mut self) {
        let Meter { ring, client, dropped, sums, gather, .. } = self;
        ring.consume(|bytes| {
            if let Some((size, done)) = sums::done(bytes) {
                sums.ended(&done, gather);
                return Some(size);
            }
            let (size, told, capture) = parse(bytes)?;
            let which = Which { tid: told.tid, kind: told.kind, detail: told.more };
            let share = if told.kind <= DIRTY {
                let at = Share { bytes: told.weight, count: told.count };
                sums.share(which, told.id, at)
            } else {
                // It is given when the request ends.
                Share::default()
            };
            if client.send(capture, Sent { told, which, share }) {
                sums.sent(which);
            } else {
                sums.refused(which, share);
                *dropped += 1;
            }
            Some(size)
        });
        self.adapt();
        self.take(Duration::ZERO);
    }

    /// Samples further apart where there are too many, and nearer again.
    fn adapt(&mut self) {
        let Some(bss) = self.skel.maps.bss_data.as_deref_mut() else { return };
        let used = BUDGET - bss.budget;
        bss.budget = BUDGET;
        let mean = match used {
            n if n > BUDGET * 2 / 3 => (self.mean * 2).min(MEAN_MOST),
            n if n < BUDGET / 12 => (self.mean / 2).max(MEAN),
            _ => self.mean,
        };
        if mean != self.mean {
            self.mean = mean;
            bss.mean = mean;
        }
    }

    /// Adds up what came back with its names.
    fn take(&mut self, patience: Duration) {
        for (sent, resolved) in self.client.done(patience) {
            let Sent { told, which, share } = sent;
            self.sizes.note(&self.skel.maps.sizes, told.tgid, 1, &resolved);
            let call = if told.kind <= DIRTY { Some(which.detail) } else { told.call };
            let key = Key {
                pid: told.tgid,
                tid: Some(told.tid),
                comm: told.comm,
                cgroup: self.cgroups.path(told.cgroup),
                ..self.key(which, call)
            };
            self.sums.came(which, &key, &resolved.stack);
            if told.kind <= DIRTY {
                self.gather.add(key, &resolved.stack, share.count, share.bytes);
            } else {
                self.sums.began(told.id, key, &resolved.stack, &mut self.gather);
            }
        }
    }

    /// What a row says of its key itself.
    fn key(&mut self, which: Which, call: Option<u32>) -> Key {
        Key {
            tid: Some(which.tid),
            state: STATES.get(which.kind as usize).copied().unwrap_or_default(),
            syscall: call.filter(|&nr| nr != NO_CALL).map(calls::word),
            dev: (which.kind > DIRTY).then(|| self.devices.name(which.detail)),
            ..Key::default()
        }
    }

    /// The rows of the interval that ends now.
    pub fn rows(&mut self, patience: Duration) -> Vec<StackRow> {
        let ended = self.turn;
        self.turn += 1;
        if let Some(bss) = self.skel.maps.bss_data.as_deref_mut() {
            bss.turn = self.turn;
        }
        // The sums first: a sample that comes after them is told in the next interval at worst.
        let totals = self.totals();
        self.drain();
        self.take(patience);
        let crowded = totals.len() > CROWD;
        for (which, total) in totals {
            let nameless = Key {
                pid: total.tgid,
                comm: total.comm(),
                cgroup: self.cgroups.path(total.cgroup),
                ..self.key(which, (which.kind <= DIRTY).then_some(which.detail))
            };
            let Meter { sums, gather, .. } = self;
            let rest = sums.settle(which, &total, ended, gather, || nameless);
            if Sums::is_resting(rest) && (crowded || !lives(total.tgid, which.tid)) {
                self.sums.forget(which);
                let _ = self.skel.maps.totals.delete(&bytes_of(which));
            }
        }
        self.gather.rows()
    }

    /// The kernel's sums as they are now.
    fn totals(&self) -> Vec<(Which, Total)> {
        let map = &self.skel.maps.totals;
        let Ok(all) = map.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY) else {
            return Vec::new();
        };
        all.filter_map(|(key, value)| Some((sums::which(&key)?, sums::total(&value)?))).collect()
    }
}

fn bytes_of(which: Which) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (to, word) in bytes.chunks_exact_mut(4).zip([which.tid, which.kind, which.detail]) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn lives(tgid: u32, tid: u32) -> bool {
    Path::new(&format!("/proc/{tgid}/task/{tid}")).exists()
}

/// Bits of an address within a page.
fn page_shift() -> u32 {
    // SAFETY: no arguments but a constant.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096).max(1).trailing_zeros()
}
