//! The hooks, attached: samples from the ring, sums from the map, rows of an interval.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use libbpf_rs::{Link, MapCore};

use super::calls;
use super::device::Devices;
use super::sums::{self, Share, Sums, Total, Which};
use crate::bpf::{self, Ring};
use crate::probe::Scope;
use crate::probe::stack::{Collector, Gather, Key, StackRow, Told, fit, sampler};
use crate::symbol::{Capture, Stack, Symbols};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/io.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/io.skel.rs"));
}

use kernel::{IoSkel, IoSkelBuilder};

sampler!(IoSkel<'static>);

/// `enum io_kind`, in the words of column `state`.
const STATES: [&str; 5] = ["call", "miss", "dirty", "read", "write"];
const DIRTY: u32 = 2;
/// `NO_CALL`.
const NO_CALL: u32 = u32::MAX;

/// A sample's bytes in the ring are about half as many: so what is allowed between two looks into
/// the ring fills half of it, and keys that are new have the other half.
const SAMPLE: u32 = 10 << 10;
/// Samples in a tenth of a second at most, however large the ring: of chosen processes, and of the
/// whole machine, where naming them costs more than they tell.
const CHOSEN: u32 = 256;
const MACHINE: u32 = 16;
/// Entries of the map `totals` from which on threads that rest are let go though they live.
const CROWD: usize = 12_288;

/// The hooks and what was heard of them.
pub(super) struct Meter {
    // Before the object: links are what runs it.
    links: BTreeMap<String, Link>,
    ends: Ring,
    collector: Collector<IoSkel<'static>>,
    refused: BTreeMap<String, String>,
    fates: Fates,
    turn: u64,
}

/// What becomes of samples: what each is given, and the names of its row.
#[derive(Default)]
struct Fates {
    sums: Sums,
    devices: Devices,
}

impl Meter {
    /// Attaches what attaches.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Meter> {
        let bpf::Attached { skel, links, mut refused } =
            bpf::attach_fitted(IoSkelBuilder::default, fit)?;
        // Without ends beginnings tell nothing.
        if let Some(words) = refused.get("complete").cloned() {
            for start in ["start", "start__alt"] {
                refused.entry(start.to_owned()).or_insert_with(|| words.clone());
            }
        }
        let ends = Ring::open(&skel.maps.ends)?;
        let mut collector = Collector::open(skel, symbols, scope)?;
        if let Some(bss) = collector.skel.maps.bss_data.as_deref_mut() {
            bss.calls = calls::table();
            bss.calls_ia32 = calls::table_ia32();
            bss.complete_ends = u32::from(refused.contains_key("done"));
            bss.page_shift = page_shift();
            bss.turn = 1;
        }
        let fates = Fates::default();
        let mut meter = Meter { links, ends, collector, refused, fates, turn: 1 };
        meter.allow(scope);
        Ok(meter)
    }

    /// From now on of these.
    pub fn aim(&mut self, scope: &Scope) {
        self.collector.aim(scope);
        self.allow(scope);
    }

    /// How many stacks may be taken.
    fn allow(&mut self, scope: &Scope) {
        let maps = &mut self.collector.skel.maps;
        let most = match scope {
            Scope::All => MACHINE,
            Scope::Process(_) | Scope::Tree(_) | Scope::Cgroup(_) => CHOSEN,
        };
        if let Some(bss) = maps.bss_data.as_deref_mut() {
            bss.allowed = i64::from((maps.ring.max_entries() / SAMPLE).min(most));
        }
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
        let p = &self.collector.skel.progs;
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
        let uncounted = self.collector.skel.maps.bss_data.as_deref().map_or(0, |b| b.uncounted);
        self.collector.lost() + uncounted
    }

    /// Hands what the kernel has queued to the thread that names stacks.
    pub fn drain(&mut self) -> Duration {
        let Meter { ends, collector, fates, .. } = self;
        ends.consume(|bytes| {
            if let Some(done) = sums::done(bytes) {
                fates.sums.ended(done, &mut collector.gather);
            }
        });
        let mut kept = Vec::new();
        let wish = collector.drain_with(
            |sample| {
                kept.push(sample);
                None
            },
            |gather, key, told, stack| fates.named(gather, key, told, stack),
        );
        kept.into_iter().for_each(|(told, capture)| fates.send(collector, told, capture));
        collector.flush();
        wish
    }

    /// The rows of the interval that ends now.
    ///
    /// # Errors
    /// When there is nothing that was asked for.
    pub fn rows(&mut self) -> Result<Vec<StackRow>> {
        if let Some(why) = self.collector.fault() {
            bail!("{why}");
        }
        let ended = self.turn;
        self.turn += 1;
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.turn = self.turn;
        }
        // The sums first: a sample that comes after them is told in the next interval at worst.
        let totals = self.totals();
        self.drain();
        let Meter { collector, fates, .. } = self;
        let mut kept = Vec::new();
        collector.wait_with(
            |sample| {
                kept.push(sample);
                None
            },
            |gather, key, told, stack| fates.named(gather, key, told, stack),
        );
        kept.into_iter().for_each(|(told, capture)| fates.send(collector, told, capture));
        collector.flush();
        let crowded = totals.new.len() + totals.resting.len() > CROWD;
        let rested = totals.resting.into_iter().map(|(which, tgid)| (which, tgid, None));
        let changed = totals.new.into_iter().map(|(which, total)| (which, total.tgid, Some(total)));
        for (which, tgid, total) in rested.chain(changed) {
            let rest = match total {
                None => fates.sums.rest(which),
                Some(total) => fates.settle(which, &total, ended, collector),
            };
            let is_over = crowded && Sums::is_resting(rest);
            if is_over || (Sums::is_due(rest) && !lives(tgid, which.tid)) {
                fates.sums.forget(which);
                let _ = collector.skel.maps.totals.delete(&bytes_of(which));
            }
        }
        Ok(collector.gather.rows())
    }

    /// The kernel's sums as they are now.
    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let known = &self.fates.sums;
        bpf::entries(&self.collector.skel.maps.totals, |which: &Which, total: &Total| {
            if known.is_known(which, total) {
                totals.resting.push((*which, total.tgid));
            } else if total.born_ns != 0 {
                totals.new.push((*which, *total));
            }
        });
        totals
    }
}

/// The kernel's sums.
#[derive(Default)]
struct Totals {
    /// Those that are not what they were.
    new: Vec<(Which, Total)>,
    /// The keys of the others, with their processes.
    resting: Vec<(Which, u32)>,
}

impl Fates {
    /// Gives what remains of sums to the last stack of their key, or to a row without one; for how
    /// many intervals nothing has happened.
    fn settle(
        &mut self,
        which: Which,
        total: &Total,
        turn: u64,
        collector: &mut Collector<IoSkel<'static>>,
    ) -> u32 {
        let nameless = if self.sums.has_stack(&which, total.born_ns) {
            Key::default()
        } else {
            Key {
                pid: total.tgid,
                comm: total.comm(),
                cgroup: collector.cgroup(total.cgroup),
                ..self.key(which, (which.kind <= DIRTY).then_some(which.detail))
            }
        };
        self.sums.settle(which, total, turn, &mut collector.gather, || nameless)
    }

    /// Gives a sample what was not given before it, and sends it for its names.
    fn send(
        &mut self,
        collector: &mut Collector<IoSkel<'static>>,
        mut told: Told,
        capture: Capture,
    ) {
        let which = which_of(&told);
        let share = if told.kind <= DIRTY {
            let at = Share { bytes: told.weight, count: told.count };
            self.sums.share(which, told.id, at)
        } else {
            // It is given when the request ends.
            Share::default()
        };
        (told.weight, told.count) = (share.bytes, share.count);
        if collector.send(told, capture) {
            self.sums.sent(which);
        } else {
            self.sums.refused(which, share);
        }
    }

    /// Adds up what came back with its names.
    fn named(&mut self, gather: &mut Gather, key: Key, told: Told, stack: &Arc<Stack>) {
        let which = which_of(&told);
        let call = if told.kind <= DIRTY { Some(which.detail) } else { told.call };
        let Key { state, syscall, dev, .. } = self.key(which, call);
        let key = Key { state, syscall, dev, ..key };
        self.sums.came(which, &key, stack);
        if told.kind <= DIRTY {
            gather.add(key, stack, told.count, told.weight);
        } else {
            self.sums.began(told.id, key, stack, gather);
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
}

fn which_of(told: &Told) -> Which {
    Which { tid: told.tid, kind: told.kind, detail: told.more }
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
