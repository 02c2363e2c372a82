//! Every acquire of one process's locks: breakpoints in its C library, for a short time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use libbpf_rs::{Link, ProgramMut, UprobeOpts};

use super::libraries::Library;
use crate::bpf::{self, Refusal};
use crate::probe::entries::{entries, int, long};
use crate::probe::maps::Maps;
use crate::probe::monotonic_ns;
use crate::probe::proc::columns::LockRow;
use crate::probe::proc::tasks::Tasks;
use crate::table::Clean;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/proc_lock.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/proc_lock.skel.rs"));
}

use kernel::{ProcLockSkel, ProcLockSkelBuilder, types};

/// How long it goes on by itself.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Locks shown at most: those that were waited for and held longest.
const MOST: usize = 500;

/// A request that is open for longer is a wait, whoever holds the lock (`LONG_NS` of the hooks).
const LONG_NS: u64 = 200_000;

/// The breakpoints, set in one process.
pub(super) struct Acquires {
    links: Vec<Link>,
    skel: ProcLockSkel<'static>,
    /// Functions that could not be hooked, and why.
    pub refused: BTreeMap<String, String>,
    pid: u32,
    comm: Clean,
    began: Instant,
    maps: Option<Maps>,
    /// Times waited and held as told at the sample before, by address.
    told: HashMap<u64, (u64, u64)>,
    /// Locks that were left out of the last sample.
    pub left_out: u64,
}

/// Who asks for a lock and who has it at this moment.
#[derive(Clone, Copy, Default)]
struct Now {
    kind: u32,
    waiters: u64,
    wait_ns: u64,
    wait_max_ns: u64,
    hold_ns: u64,
    hold_max_ns: u64,
    holder: Option<u32>,
}

impl Acquires {
    /// Sets the breakpoints in these files.
    pub fn open(pid: u32, libraries: &[Library]) -> Result<Acquires> {
        let bpf::Attached { skel, refused, .. } = bpf::place(ProcLockSkelBuilder::default)?;
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let mut all = Acquires {
            links: Vec::new(),
            skel,
            refused,
            pid,
            comm: Clean::new(comm.strip_suffix(b"\n").unwrap_or(&comm)),
            began: Instant::now(),
            maps: None,
            told: HashMap::new(),
            left_out: 0,
        };
        for library in libraries {
            all.hook(library);
        }
        if all.links.is_empty() {
            // They say the same of every function; one is enough.
            let summary = all.refused.pop_first().map(|(_, words)| words).unwrap_or_default();
            return Err(anyhow!(Refusal { summary, ..Refusal::default() }));
        }
        all.watch_the_end();
        if let Some(bss) = all.skel.maps.bss_data.as_deref_mut() {
            bss.target = pid;
        }
        all.began = Instant::now();
        Ok(all)
    }

    fn hook(&mut self, library: &Library) {
        let pid = i32::try_from(self.pid).unwrap_or(i32::MAX);
        for hook in &library.hooks {
            // A call whose return cannot be hooked would never be seen to end.
            let Some(program) = self.program(hook.program) else { continue };
            if self.refused.contains_key(hook.function) {
                continue;
            }
            let opts = UprobeOpts { retprobe: hook.at_return, ..UprobeOpts::default() };
            let at = usize::try_from(hook.offset).unwrap_or(usize::MAX);
            match bpf::told(|| program.attach_uprobe_with_opts(pid, &library.path, at, opts)) {
                Ok(link) => self.links.push(link),
                Err(words) => drop(self.refused.insert(hook.function.to_owned(), words)),
            }
        }
    }

    /// The process may end or become another program meanwhile.
    fn watch_the_end(&mut self) {
        let programs = &self.skel.progs;
        for (name, program) in
            [("lock_end", &programs.lock_end), ("lock_exec", &programs.lock_exec)]
        {
            match bpf::told(|| program.attach()) {
                Ok(link) => self.links.push(link),
                Err(words) => drop(self.refused.insert(name.to_owned(), words)),
            }
        }
    }

    fn program(&self, name: &str) -> Option<&ProgramMut<'static>> {
        let p = &self.skel.progs;
        Some(match name {
            "mutex_unlock" => &p.mutex_unlock,
            "rwlock_unlock" => &p.rwlock_unlock,
            "spin_unlock" => &p.spin_unlock,
            "mutex_ask" => &p.mutex_ask,
            "read_ask" => &p.read_ask,
            "write_ask" => &p.write_ask,
            "spin_try" => &p.spin_try,
            "spin_got" => &p.spin_got,
            "spin_ask" => &p.spin_ask,
            "answer" => &p.answer,
            "condition_wait" => &p.condition_wait,
            "condition_met" => &p.condition_met,
            _ => return None,
        })
    }

    /// How long it still goes on.
    pub fn left(&self) -> Duration {
        LIMIT.saturating_sub(self.began.elapsed())
    }

    /// Why it is over before its time, if it is.
    pub fn ended(&self) -> Option<&'static str> {
        match self.skel.maps.bss_data.as_deref()?.ended {
            0 => None,
            1 => Some("the process ended"),
            _ => Some("the process executed another program"),
        }
    }

    /// Acquires that could not be counted.
    pub fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost)
    }

    /// Each lock that was taken or asked for since, the longest waited for and held first.
    pub fn rows(&mut self, tasks: &Tasks) -> Vec<LockRow> {
        if let Some(p) = tasks.process(self.pid) {
            self.comm = p.comm.clone();
        }
        // In this order: who lets go is first no holder and then summed.
        let sums = self.sums();
        let mut now = self.now();
        self.maps = Maps::read(self.pid).ok().or(self.maps.take());
        let mut rows = Vec::with_capacity(sums.len());
        for (addr, sum) in sums {
            let now = now.remove(&addr).unwrap_or_default();
            rows.push(self.row(addr, sum, now, tasks));
        }
        // Asked for, and never taken yet.
        for (addr, now) in now.into_iter().filter(|(_, now)| now.waiters > 0) {
            let sum = types::lock_sum { kind: now.kind, ..types::lock_sum::default() };
            rows.push(self.row(addr, sum, now, tasks));
        }
        rows.sort_by_key(|r| (Reverse((r.wait_ns, r.hold_ns, r.acquires)), r.addr));
        self.left_out = rows.len().saturating_sub(MOST) as u64;
        rows.truncate(MOST);
        rows
    }

    fn row(&mut self, addr: u64, sum: types::lock_sum, now: Now, tasks: &Tasks) -> LockRow {
        let told = self.told.entry(addr).or_default();
        // What ends while this is read is missed once: sums never shrink.
        told.0 = told.0.max(sum.wait_ns + now.wait_ns);
        told.1 = told.1.max(sum.hold_ns + now.hold_ns);
        let (wait_ns, hold_ns) = *told;
        let last = (sum.tid != 0).then_some(sum.tid);
        LockRow {
            source: "uprobe",
            pid: Some(self.pid),
            comm: Some(self.comm.clone()),
            addr,
            kind: Clean::from(kind(sum.kind)),
            name: self.maps.as_ref().and_then(|m| m.name(addr)),
            waiters: Some(now.waiters),
            waits: sum.waits + now.waiters,
            wait_ns,
            wait_max_ns: sum.wait_max_ns.max(now.wait_max_ns),
            holder_tid: now.holder.or(last),
            holder_comm: now.holder.or(last).and_then(|tid| self.name_of(tid, tasks)),
            holder_by: match (now.holder, last) {
                (Some(_), _) => Some("uprobe"),
                (None, Some(_)) => Some("held last"),
                (None, None) => None,
            },
            acquires: Some(sum.acquires),
            hold_ns: Some(hold_ns),
            hold_max_ns: Some(sum.hold_max_ns.max(now.hold_max_ns)),
            last_ns: if now.waiters > 0 { monotonic_ns() } else { sum.last_ns },
        }
    }

    fn name_of(&self, tid: u32, tasks: &Tasks) -> Option<Clean> {
        if let Some(t) = tasks.thread(tid).filter(|t| t.pid == self.pid) {
            return Some(t.comm.clone());
        }
        let comm = fs::read(format!("/proc/{}/task/{tid}/comm", self.pid)).ok()?;
        Some(Clean::new(comm.strip_suffix(b"\n").unwrap_or(&comm)))
    }

    fn sums(&self) -> HashMap<u64, types::lock_sum> {
        let all = entries(&self.skel.maps.sums);
        all.filter_map(|(key, value)| Some((long(&key, 0)?, sum_of(&value)?))).collect()
    }

    fn now(&self) -> HashMap<u64, Now> {
        let mut all: HashMap<u64, Now> = HashMap::new();
        let instant = monotonic_ns();
        for (key, value) in entries(&self.skel.maps.holds) {
            let (Some(addr), Some(one)) = (long(&key, 0), long(&key, 8)) else { continue };
            let (Some(since), Some(tid)) = (long(&value, 0), int(&value, 8)) else { continue };
            let ns = instant.saturating_sub(since);
            let now = all.entry(addr).or_default();
            now.hold_ns += ns;
            // Of several readers the one that has it for longest; one that has it alone is the one.
            if ns >= now.hold_max_ns || one == 0 {
                now.holder = Some(tid);
            }
            now.hold_max_ns = now.hold_max_ns.max(ns);
        }
        for (_, value) in entries(&self.skel.maps.requests) {
            let (Some(addr), Some(since)) = (long(&value, 0), long(&value, 8)) else { continue };
            let (Some(kind), Some(contended)) = (int(&value, 16), long(&value, 24)) else {
                continue;
            };
            let ns = instant.saturating_sub(since);
            if contended == 0 && ns < LONG_NS {
                continue;
            }
            let now = all.entry(addr).or_default();
            now.kind = kind;
            now.waiters += 1;
            now.wait_ns += ns;
            now.wait_max_ns = now.wait_max_ns.max(ns);
        }
        all
    }
}

impl Drop for Acquires {
    /// What they count counts no longer.
    fn drop(&mut self) {
        if let Some(bss) = self.skel.maps.bss_data.as_deref_mut() {
            bss.target = 0;
        }
        bpf::unhook(self.links.drain(..));
    }
}

fn kind(number: u32) -> &'static str {
    match number {
        k if k == types::lock_kind::LOCK_MUTEX.0 => "mutex",
        k if k == types::lock_kind::LOCK_SPIN.0 => "spin",
        _ => "rwlock",
    }
}

fn sum_of(bytes: &[u8]) -> Option<types::lock_sum> {
    Some(types::lock_sum {
        acquires: long(bytes, 0)?,
        waits: long(bytes, 8)?,
        wait_ns: long(bytes, 16)?,
        wait_max_ns: long(bytes, 24)?,
        hold_ns: long(bytes, 32)?,
        hold_max_ns: long(bytes, 40)?,
        last_ns: long(bytes, 48)?,
        kind: int(bytes, 56)?,
        tid: int(bytes, 60)?,
        readers: long(bytes, 64)?,
    })
}
