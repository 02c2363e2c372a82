//! The kernel's side of the account: the programs of `bpf/proc_sched.h`, what they keep of every
//! thread, and the ring they fill.
//!
//! The object that keeps records with the threads themselves comes first; where the kernel cannot
//! (before 5.11) the same programs with a hash.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use libbpf_rs::{Link, MapCore, MapFlags};

use super::calibrate;
use super::calls;
use super::graph::Edge;
use super::kernel_hash::{ProcSchedHashSkel, ProcSchedHashSkelBuilder};
use super::kernel_storage::{ProcSchedSkel, ProcSchedSkelBuilder, types};
use crate::bpf::{self, Refusal, Ring};
use crate::probe::monotonic_ns;
use crate::probe::records::{Records, front};

/// What the ring brings.
pub(super) enum Told<'a> {
    /// A stretch of a watched thread.
    Stretch(&'a types::stretch),
    /// The sum of many.
    Bin(&'a types::bin),
    /// The whole account of a thread that has ended.
    End(&'a types::row),
}

/// What could not be accounted, since the account began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Changes of state that do not fit the one before: that stretch is unknown.
    pub changes: u64,
    /// Threads without a record.
    pub untracked: u64,
    /// Records that did not fit into the ring.
    pub ring: u64,
}

/// Whether wakes of interrupts are told from those of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contexts {
    /// The bits were right every time.
    Known,
    /// Why every context is `?`.
    Unknown(String),
}

enum Object {
    Storage(Box<ProcSchedSkel<'static>>),
    Hash(Box<ProcSchedHashSkel<'static>>),
}

/// Does the same to either object: they have the same maps and programs.
macro_rules! with {
    ($object:expr, $skel:ident => $what:expr) => {
        match $object {
            Object::Storage($skel) => $what,
            Object::Hash($skel) => $what,
        }
    };
}

/// The programs, attached.
pub(super) struct Kernel {
    ring: Ring,
    links: BTreeMap<String, Link>,
    object: Object,
    records: Records,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
    /// Why records are in a hash, if they are.
    pub no_storage: Option<Refusal>,
    /// Whether contexts are told.
    pub contexts: Contexts,
}

impl Kernel {
    /// Loads and attaches what the kernel takes, and begins the account.
    pub fn open() -> Result<Kernel> {
        let why = match bpf::attach(ProcSchedSkelBuilder::default) {
            Ok(a) => {
                let ring = Ring::open(&a.skel.maps.ring)?;
                return Kernel::begin(Object::Storage(Box::new(a.skel)), a.links, a.refused, ring);
            }
            Err(why) => why,
        };
        let a = bpf::attach(ProcSchedHashSkelBuilder::default)?;
        let ring = Ring::open(&a.skel.maps.ring)?;
        let mut kernel = Kernel::begin(Object::Hash(Box::new(a.skel)), a.links, a.refused, ring)?;
        kernel.no_storage = Some(why.into());
        Ok(kernel)
    }

    fn begin(
        object: Object,
        links: BTreeMap<String, Link>,
        refused: BTreeMap<String, String>,
        ring: Ring,
    ) -> Result<Kernel> {
        let mut kernel = Kernel {
            ring,
            links,
            object,
            records: Records::new(),
            refused,
            no_storage: None,
            contexts: Contexts::Unknown(String::new()),
        };
        // Without these there is no account at all.
        if !["switching", "switching__alt"].iter().any(|p| kernel.has(p))
            || !["waking", "waking__alt", "waking__alt2"].iter().any(|p| kernel.has(p))
            || !kernel.has("seed")
            || !kernel.has("dump")
        {
            bail!(Refusal::from(kernel.refused));
        }
        let table = calls::table();
        let by_rq = if kernel.has("waking__alt2") { calibrate::count_from_rq() } else { None };
        with!(&mut kernel.object, skel => {
            let bss = skel.maps.bss_data.as_deref_mut().context("no memory is shared")?;
            bss.calls = table;
            bss.count_from_rq = by_rq.unwrap_or(0);
        });
        kernel.contexts = kernel.calibrate();
        kernel.pass("seed", |_| ())?;
        let known = u32::from(kernel.contexts == Contexts::Known);
        with!(&mut kernel.object, skel => {
            let bss = skel.maps.bss_data.as_deref_mut().context("no memory is shared")?;
            bss.context_known = known;
            bss.on_since = monotonic_ns();
        });
        Ok(kernel)
    }

    /// Provokes wakes of which it is known where they come from, and compares.
    fn calibrate(&mut self) -> Contexts {
        self.calibrator(calibrate::tid());
        calibrate::provoke();
        self.calibrator(0);
        let mut seen = [0u64; 4];
        with!(&self.object, skel => if let Some(bss) = skel.maps.bss_data.as_deref() {
            for cpu in &bss.cpus {
                let here = [cpu.irq_right, cpu.irq_wrong, cpu.task_right, cpu.task_wrong];
                seen.iter_mut().zip(here).for_each(|(sum, n)| *sum += u64::from(n));
            }
        });
        calibrate::verdict(seen)
    }

    fn calibrator(&mut self, tid: u32) {
        with!(&mut self.object, skel => if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            bss.calibrator = tid;
        });
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `program` ran and how long, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        with!(&self.object, skel => {
            let p = &skel.progs;
            let fd = match program {
                "switching" => p.switching.as_fd(),
                "switching__alt" => p.switching__alt.as_fd(),
                "waking" => p.waking.as_fd(),
                "waking__alt" => p.waking__alt.as_fd(),
                "waking__alt2" => p.waking__alt2.as_fd(),
                "dump" => p.dump.as_fd(),
                _ => return None,
            };
            bpf::cost(fd)
        })
    }

    /// Names the processes of which every stretch is told.
    pub fn watch(&mut self, pids: &[u32]) {
        with!(&mut self.object, skel => {
            let map = &skel.maps.watched;
            let old: Vec<Vec<u8>> = map.keys().collect();
            for key in old {
                // Gone already is as good.
                let _ = map.delete(&key);
            }
            for pid in pids {
                // More than fit are not asked for.
                let _ = map.update(&pid.to_ne_bytes(), &[1], MapFlags::ANY);
            }
            if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
                bss.watch_round = bss.watch_round.wrapping_add(1);
            }
        });
    }

    /// Hands over every thread's record.
    pub fn dump(&mut self, mut each: impl FnMut(&types::row)) -> Result<()> {
        self.pass("dump", |bytes| {
            if let Some(row) = front::<types::row>(bytes) {
                each(row);
            }
        })
    }

    /// Runs the iterator `program` and hands over its records, which are of one size.
    fn pass(&mut self, program: &str, mut each: impl FnMut(&[u8])) -> Result<()> {
        const SIZE: usize = size_of::<types::row>();
        let link = self.links.get(program).context("this iterator is not attached")?;
        self.records.read(link, |bytes| {
            let whole = bytes.chunks_exact(SIZE);
            let used = bytes.len() - whole.remainder().len();
            whole.for_each(&mut each);
            used
        })
    }

    /// Hands over what was told since the last call; how many bytes of records that was.
    pub fn consume(&mut self, mut each: impl FnMut(Told<'_>)) -> usize {
        self.ring.consume(|bytes| {
            if let Some(told) = parse(bytes) {
                each(told);
            }
        })
    }

    /// Edges of the wake graph that are in no thread's record.
    pub fn edges(&self) -> Vec<(types::edge_key, types::edge_sum)> {
        with!(&self.object, skel => pairs(&skel.maps.edges))
    }

    /// Forgets these edges.
    pub fn forget(&self, gone: &[Edge]) {
        for &(waker, context, detail, wakee) in gone {
            let key = [waker.to_ne_bytes(), wakee.to_ne_bytes()].concat();
            let key = [&key[..], &context.to_ne_bytes(), &detail.to_ne_bytes()].concat();
            with!(&self.object, skel => {
                // Out of the way already is as good.
                let _ = skel.maps.edges.delete(&key);
            });
        }
    }

    /// Futexes that were waited for.
    pub fn futexes(&self) -> Vec<(types::futex_key, types::futex_sum)> {
        with!(&self.object, skel => pairs(&skel.maps.futexes))
    }

    /// What could not be accounted.
    pub fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        with!(&self.object, skel => if let Some(bss) = skel.maps.bss_data.as_deref() {
            for cpu in &bss.cpus {
                lost.changes += u64::from(cpu.lost);
                lost.untracked += u64::from(cpu.untracked);
                lost.ring += u64::from(cpu.lost_ring);
            }
        });
        lost
    }
}

/// Entries of a hash read at a time.
const BATCH: u32 = 4096;

/// All of a hash (5.6 and later read it at once).
fn pairs<K: Copy, V: Copy>(map: &dyn MapCore) -> Vec<(K, V)> {
    let mut all = Vec::new();
    if let Ok(batch) = map.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY) {
        all.extend(batch.filter_map(|(k, v)| Some((copied(&k)?, copied(&v)?))));
    }
    all
}

/// The value whose bytes these are, wherever they lie.
fn copied<T: Copy>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: as many bytes as T has; callers use types of integers only, for which every bit
    // pattern is valid; an unaligned read needs no alignment.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// A record of the ring.
fn parse(bytes: &[u8]) -> Option<Told<'_>> {
    let kind = *front::<u32>(bytes)?;
    Some(if kind == types::kind::KIND_STRETCH.0 {
        Told::Stretch(front(bytes)?)
    } else if kind == types::kind::KIND_BIN.0 {
        Told::Bin(front(bytes)?)
    } else {
        Told::End(front(bytes)?)
    })
}
