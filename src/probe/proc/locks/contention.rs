//! The kernel's own locks that somebody has to wait for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::{Link, MapCore};

use crate::bpf;
use crate::probe::entries::{entries, int, long};
use crate::probe::ladder::Wanted;
use crate::probe::monotonic_ns;
use crate::probe::proc::columns::LockRow;
use crate::symbol::Kernel;
use crate::table::Clean;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/proc_contention.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/proc_contention.skel.rs"));
}

use kernel::{ProcContentionSkel, ProcContentionSkelBuilder, types};

pub(super) const CONTENTION: Wanted = Wanted {
    name: "kernel locks",
    ways: &[("tp_btf/contention_begin, contention_end", "contention_begin")],
    missing: "the kernel's own locks that somebody waits for",
    since: "5.19",
    lesser: "",
    whole_since: "5.19",
};

/// Locks shown at most: those that were waited for longest.
const MOST: usize = 50;

/// Of the map's 4,096 locks so many are kept; the rest is forgotten, the longest idle first.
const KEPT: usize = 3_000;

/// The hooks, attached.
pub(super) struct Contention {
    links: BTreeMap<String, Link>,
    skel: ProcContentionSkel<'static>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
    /// Time waited as told at the sample before, by address.
    told: HashMap<u64, u64>,
    /// Locks that were left out of the last sample, and those forgotten since the beginning.
    pub left_out: u64,
    pub forgotten: u64,
}

/// Waits that go on.
#[derive(Clone, Copy, Default)]
struct Open {
    waiters: u64,
    ns: u64,
    longest_ns: u64,
}

impl Contention {
    /// Loads and attaches them.
    pub fn open() -> Result<Contention> {
        let bpf::Attached { skel, links, refused } =
            bpf::attach(ProcContentionSkelBuilder::default)?;
        let (told, left_out, forgotten) = (HashMap::new(), 0, 0);
        Ok(Contention { links, skel, refused, told, left_out, forgotten })
    }

    /// Whether both hooks are there: one is nothing without the other.
    pub fn is_whole(&self) -> bool {
        ["contention_begin", "contention_end"].iter().all(|p| self.links.contains_key(*p))
    }

    /// How often the hooks ran and how long, if the kernel counts.
    pub fn cost(&self) -> Option<(u64, u64)> {
        let p = &self.skel.progs;
        let begin = bpf::cost(p.contention_begin.as_fd())?;
        let end = bpf::cost(p.contention_end.as_fd()).unwrap_or_default();
        Some((begin.0 + end.0, begin.1 + end.1))
    }

    /// Waits that could not be counted.
    pub fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost)
    }

    /// The locks that were waited for longest.
    pub fn rows(&mut self, functions: &Kernel) -> Vec<LockRow> {
        let mut sums: Vec<(u64, types::contention_sum)> = entries(&self.skel.maps.sums)
            .filter_map(|(key, value)| Some((long(&key, 0)?, sum_of(&value)?)))
            .collect();
        let opens = self.opens();
        let forget = sums.len().saturating_sub(KEPT);
        if forget > 0 {
            sums.sort_by_key(|(_, s)| Reverse(s.last_ns));
            for (addr, _) in sums.drain(sums.len() - forget..) {
                let _ = self.skel.maps.sums.delete(&addr.to_ne_bytes());
                self.told.remove(&addr);
            }
            self.forgotten += forget as u64;
        }
        let mut all: Vec<(u64, types::contention_sum, Open, u64)> = sums
            .into_iter()
            .map(|(addr, sum)| {
                let open = opens.get(&addr).copied().unwrap_or_default();
                // A wait that ends while this is read is missed once: sums never shrink.
                let told = self.told.entry(addr).or_default();
                *told = (*told).max(sum.wait_ns + open.ns);
                (addr, sum, open, *told)
            })
            .collect();
        all.sort_by_key(|(addr, _, _, ns)| (Reverse(*ns), *addr));
        self.left_out = all.len().saturating_sub(MOST) as u64;
        all.truncate(MOST);
        all.into_iter().map(|(addr, sum, open, ns)| row(addr, &sum, open, ns, functions)).collect()
    }

    fn opens(&self) -> HashMap<u64, Open> {
        let now = monotonic_ns();
        let mut all: HashMap<u64, Open> = HashMap::new();
        for (key, value) in entries(&self.skel.maps.begins) {
            let (Some(addr), Some(since)) = (long(&key, 0), long(&value, 0)) else { continue };
            let ns = now.saturating_sub(since);
            let open = all.entry(addr).or_default();
            open.waiters += 1;
            open.ns += ns;
            open.longest_ns = open.longest_ns.max(ns);
        }
        all
    }
}

fn row(
    addr: u64,
    sum: &types::contention_sum,
    open: Open,
    wait_ns: u64,
    functions: &Kernel,
) -> LockRow {
    LockRow {
        source: "kernel",
        comm: Some(Clean::from_c(&sum.comm)),
        addr,
        kind: Clean::from(kind(sum.flags)),
        name: caller(&sum.frames, functions),
        waiters: Some(open.waiters),
        waits: sum.waits + open.waiters,
        wait_ns,
        wait_max_ns: sum.wait_max_ns.max(open.longest_ns),
        last_ns: sum.last_ns,
        ..LockRow::default()
    }
}

/// The sort of lock by the kernel's flags (`LCB_F_*` of `trace/events/lock.h`).
fn kind(flags: u32) -> &'static str {
    // In this order: a mutex may also be spun for, a spin lock be taken for reading.
    const WORDS: [(u32, &str); 6] =
        [(32, "mutex"), (8, "rt"), (16, "percpu"), (2, "read"), (4, "write"), (1, "spin")];
    WORDS.iter().find(|(flag, _)| flags & flag != 0).map_or("sem", |(_, word)| word)
}

/// The innermost function that is neither a lock nor a hook in one.
fn caller(frames: &[u64], functions: &Kernel) -> Option<Clean> {
    let names = frames.iter().take_while(|&&f| f != 0).filter_map(|&f| functions.name(f - 1));
    let mut last = None;
    for name in names {
        let is_outside = !is_locking(name.as_str());
        last = Some(name);
        if is_outside {
            break;
        }
    }
    last
}

/// Functions that wait for a lock on behalf of their callers, and those that lead from there to the
/// hooks.
fn is_locking(name: &str) -> bool {
    const BEGINS: &[&str] = &[
        "__bpf_trace_",
        "__bpf_trampoline",
        "__down",
        "__lock_text",
        "__mutex",
        "__percpu_down",
        "__percpu_rwsem",
        "__pv_queued",
        "__raw_",
        "__rt_",
        "__rwsem",
        "__traceiter_",
        "__up",
        "__ww_mutex",
        "_raw_",
        "bpf_get_stack",
        "bpf_prog_",
        "bpf_trace_run",
        "bpf_trampoline",
        "do_raw_",
        "down_",
        "lock_mm_and_find_vma",
        "mutex_",
        "native_queued",
        "osq_",
        "percpu_",
        "queued_",
        "queued_spin",
        "rt_mutex",
        "rt_read",
        "rt_spin",
        "rt_write",
        "rtlock",
        "rwbase",
        "rwsem_",
        "trace_contention",
        "ww_mutex",
    ];
    let exact = matches!(name, "down" | "up" | "mmap_read_lock" | "mmap_write_lock");
    exact || BEGINS.iter().any(|b| name.starts_with(b))
}

fn sum_of(bytes: &[u8]) -> Option<types::contention_sum> {
    let mut sum = types::contention_sum {
        waits: long(bytes, 0)?,
        wait_ns: long(bytes, 8)?,
        wait_max_ns: long(bytes, 16)?,
        last_ns: long(bytes, 24)?,
        flags: int(bytes, 32)?,
        ..types::contention_sum::default()
    };
    let comm_at = 40 + size_of_val(&sum.frames);
    for (i, frame) in sum.frames.iter_mut().enumerate() {
        *frame = long(bytes, 40 + i * 8)?;
    }
    sum.comm.copy_from_slice(bytes.get(comm_at..comm_at + 16)?);
    Some(sum)
}
