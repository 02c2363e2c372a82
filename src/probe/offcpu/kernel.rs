//! The kernel's side: the programs of `bpf/offcpu.bpf.c`, how much they sample, and what they count.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use anyhow::{Context, Result, bail};
use libbpf_rs::{Link, MapCore, MapFlags, ProgramMut};

use super::skeleton::{OffcpuSkel, OffcpuSkelBuilder, types};
use super::waits::{Counted, Open, PARTS, Place, Waits};
use crate::bpf::{self, Refusal};
use crate::probe::proc::calls_table;
use crate::probe::records::{Records, bytes, copied, front, plain};
use crate::probe::stack::{Collector, StackRow, comm as thread_name, fit, parse, sampler};
use crate::probe::{Scope, monotonic_ns};
use crate::symbol::{Regs, Symbols};
use crate::table::Clean;

sampler!(OffcpuSkel<'static>);

/// One stack for so much waiting of the whole machine, and of chosen processes; ns.
const MACHINE: u64 = 10_000_000;
const CHOSEN: u64 = 1_000_000;
/// Stacks a second above which fewer are taken, and below which more: of the whole machine, and of
/// chosen processes.
const MACHINE_RATE: (u64, u64) = (120, 40);
const CHOSEN_RATE: (u64, u64) = (2000, 600);
/// How often that is looked at.
const PACE: Duration = Duration::from_millis(500);
/// The most that the threshold is raised by.
const RAISED: u64 = 256;
/// Short waits that are sampled between two calls only because they are the first at their place.
const MACHINE_FIRSTS: i32 = 4;
const CHOSEN_FIRSTS: i32 = 100;
/// Threads whose stacks are taken while they wait, in one refresh.
const LOOKS: i32 = 1000;
/// How long a sample waits for its thread to come back to user space.
const PATIENCE_NS: u64 = 1_000_000_000;
/// `OPEN_STACK`, `OPEN_IDLE`.
const STACK: u8 = 1;
const MAY_BE_IDLE: u8 = 2;
/// `KIND_LATE`.
const LATE: u32 = 0x1000;
/// Where the sample lies in a value of `pending`.
const SAMPLE_AT: usize = 8;

/// The programs, attached.
pub(super) struct Kernel {
    // Before the object: they are its programs.
    links: BTreeMap<&'static str, Link>,
    collector: Collector<OffcpuSkel<'static>>,
    records: Records,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
    waits: Waits,
    least: u64,
    /// Short waits that are sampled between two calls.
    firsts: i32,
    /// The stacks a second that are aimed at.
    between: (u64, u64),
    rate: Rate,
    /// How many threads there were the last time.
    threads: usize,
}

/// How much was sampled since.
struct Rate {
    since: Instant,
    samples: u64,
    lost: u64,
}

impl Kernel {
    /// Loads and attaches what the kernel takes, and begins to count.
    ///
    /// # Errors
    /// A [`Refusal`] where waits cannot be counted.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Kernel> {
        let bpf::Attached { mut skel, refused, .. } =
            bpf::place_fitted(OffcpuSkelBuilder::default, fit)?;
        if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            bss.calls = calls_table();
            bss.on_since = monotonic_ns();
            bss.window = 1;
        }
        let collector = Collector::open(skel, symbols, scope)?;
        let mut kernel = Kernel {
            links: BTreeMap::new(),
            collector,
            records: Records::new(),
            refused,
            waits: Waits::default(),
            least: MACHINE,
            firsts: MACHINE_FIRSTS,
            between: MACHINE_RATE,
            rate: Rate { since: Instant::now(), samples: 0, lost: 0 },
            threads: 0,
        };
        kernel.adjust(scope);
        kernel.attach()?;
        kernel.by_exit(scope);
        // Who waits already does so since now. Without it they appear as soon as they run.
        let _ = kernel.pass(0);
        Ok(kernel)
    }

    fn attach(&mut self) -> Result<()> {
        const PROGRAMS: [&str; 6] = [
            "switching",
            "switching__alt",
            "switching__alt2",
            "waking__later",
            "look",
            "look__alt",
        ];
        for name in PROGRAMS {
            self.link(name);
        }
        if !self.links.keys().any(|name| name.starts_with("switching")) {
            bail!(Refusal::from(self.refused.clone()));
        }
        Ok(())
    }

    /// Attaches this program, if it is loaded.
    fn link(&mut self, name: &'static str) {
        let program = program(&self.collector.skel, name);
        let Some(program) = program.filter(|p| p.autoload()) else { return };
        if self.refused.contains_key(name) {
            return;
        }
        match bpf::told(|| program.attach()) {
            Ok(link) => {
                self.links.insert(name, link);
            }
            Err(words) => {
                self.refused.insert(name.to_owned(), words);
            }
        }
    }

    /// Another scope: nothing is loaded anew.
    pub fn aim(&mut self, scope: &Scope) {
        self.collector.aim(scope);
        self.adjust(scope);
        self.by_exit(scope);
    }

    fn adjust(&mut self, scope: &Scope) {
        (self.least, self.firsts, self.between) = match scope {
            Scope::All | Scope::Cgroup(_) => (MACHINE, MACHINE_FIRSTS, MACHINE_RATE),
            Scope::Process(_) | Scope::Tree(_) => (CHOSEN, CHOSEN_FIRSTS, CHOSEN_RATE),
        };
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.threshold_ns = self.least;
            bss.firsts = self.firsts;
            bss.scope_round = bss.scope_round.wrapping_add(1);
        }
    }

    /// Where threads cannot be given work their stacks are copied as a system call ends. All calls
    /// of the machine pay for that, so only while few threads are asked for.
    fn by_exit(&mut self, scope: &Scope) {
        const PROGRAM: &str = "call_ends__later";
        self.links.remove(PROGRAM);
        if self.links.contains_key("switching") || *scope == Scope::All {
            return;
        }
        self.link(PROGRAM);
        let on = self.links.contains_key(PROGRAM);
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.by_exit = u32::from(on);
        }
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `name` ran and how long, if the kernel counts.
    pub fn cost(&self, name: &str) -> Option<(u64, u64)> {
        bpf::cost(program(&self.collector.skel, name)?.as_fd())
    }

    /// Waits that were not counted, and samples without a stack.
    pub fn lost(&self) -> u64 {
        let crowded = self.collector.skel.maps.bss_data.as_deref().map_or(0, |b| b.crowded);
        self.collector.lost() + crowded + self.waits.crowded()
    }

    /// Takes what the ring holds; how soon to call again.
    pub fn drain(&mut self) -> Duration {
        let Kernel { collector, waits, rate, .. } = self;
        let soon = collector.drain_with(
            |sample| {
                rate.samples += 1;
                Some(sample)
            },
            |_, key, told, stack| waits.sampled(key, &told, stack),
        );
        self.late();
        self.pace();
        soon
    }

    /// Fewer stacks where there are many, more where there are few.
    fn pace(&mut self) {
        let elapsed = self.rate.since.elapsed();
        let lost = self.collector.lost();
        let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() else { return };
        bss.firsts = self.firsts;
        if elapsed < PACE {
            return;
        }
        let a_second = self.rate.samples * 1000 / elapsed.as_millis().max(1) as u64;
        let (many, few) = self.between;
        if a_second > many || lost > self.rate.lost {
            bss.threshold_ns = (bss.threshold_ns * 2).min(self.least * RAISED);
        } else if a_second < few {
            bss.threshold_ns = (bss.threshold_ns / 2).max(self.least);
        }
        self.rate = Rate { since: Instant::now(), samples: 0, lost };
    }

    /// The rows since the last time.
    ///
    /// # Errors
    /// When the counts cannot be read.
    pub fn rows(&mut self) -> Result<Vec<StackRow>> {
        if let Some(why) = self.collector.fault() {
            bail!("{why}");
        }
        self.drain();
        let mut totals = self.totals();
        // After the sums: a wait that ends between the two is missing this time, and not in both.
        let (living, open) = self.pass(LOOKS)?;
        let Kernel { collector, waits, rate, .. } = self;
        let join = |sample| {
            rate.samples += 1;
            Some(sample)
        };
        collector.wait_with(join, |_, key, told, stack| waits.sampled(key, &told, stack));
        self.bury(&mut totals, &living);
        let window = self.next_window();
        for (place, total) in &totals.new {
            let who = (total.tgid, name(&total.comm));
            self.waits.counted(*place, who, &counted(total, window), open.get(place));
        }
        for (_, open) in open.iter().filter(|(place, _)| !totals.new.contains_key(place)) {
            self.waits.goes_on(open);
        }
        Ok(self.waits.rows(&living))
    }

    /// Maxima begin anew; returns the number of the window that ends.
    fn next_window(&mut self) -> u32 {
        let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() else { return 0 };
        let window = bss.window;
        bss.window = window.wrapping_add(1);
        window
    }

    /// The sums as they are.
    fn totals(&self) -> Totals {
        let skel = &self.collector.skel;
        let window = skel.maps.bss_data.as_deref().map_or(0, |bss| bss.window);
        let mut totals = Totals::default();
        bpf::entries(&skel.maps.totals, |key: &types::wait_key, total: &types::wait_total| {
            let place = place(key);
            totals.places.push(place);
            // A wait that ended in this window may be as long as one before, and no sum tells it.
            let is_new = total.parts.iter().any(|part| part.window == window);
            if is_new || !self.waits.is_known(&place, &total.parts.map(|p| (p.count, p.ns))) {
                totals.new.insert(place, *total);
            }
        });
        totals
    }

    /// Takes the sums of threads that have ended out of the kernel, as they were at the end.
    fn bury(&self, totals: &mut Totals, living: &Living) {
        let map = &self.collector.skel.maps.totals;
        let lives = |place: &&Place| living.contains(&(place.tid, place.start_ns));
        for place in totals.places.iter().filter(|place| !lives(place)) {
            let key = types::wait_key {
                start_ns: place.start_ns,
                tid: place.tid,
                call: place.call,
                doing: place.doing,
                ..Default::default()
            };
            // None where it is gone already, which is as good.
            let last = map.lookup_and_delete(bytes(&key)).ok().flatten();
            let Some(last) = last.and_then(|last| copied::<types::wait_total>(&last)) else {
                continue;
            };
            let sums = last.parts.map(|p| (p.count, p.ns));
            if totals.new.contains_key(place) || !self.waits.is_known(place, &sums) {
                totals.new.insert(*place, last);
            }
        }
    }

    /// Looks at every thread that is asked for; the stacks of at most `looks` that wait are taken.
    /// Returns which there are, and those that wait.
    fn pass(&mut self, looks: i32) -> Result<(Living, AHashMap<Place, Open>)> {
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.looks = looks;
        }
        let Kernel { links, records, collector, threads, .. } = self;
        let link = ["look", "look__alt"].iter().find_map(|name| links.get(name));
        let link = link.context("threads cannot be looked at")?;
        // About as many as the last time.
        let (mut living, mut open) =
            (Living::with_capacity(*threads), AHashMap::with_capacity(*threads));
        records.read(link, |bytes| {
            let mut at = 0;
            while let Some(used) = one(&bytes[at..], collector, &mut living, &mut open) {
                at += used;
            }
            at
        })?;
        *threads = living.len();
        Ok((living, open))
    }

    /// Samples whose threads do not come back to user space: they ended, or wait again.
    fn late(&mut self) {
        let map = &self.collector.skel.maps.pending;
        let before = monotonic_ns().saturating_sub(PATIENCE_NS);
        let mut found = Vec::new();
        for key in map.keys() {
            let Ok(Some(value)) = map.lookup(&key, MapFlags::ANY) else { continue };
            let mut words = vec![0u64; value.len().div_ceil(8)];
            for (word, bytes) in words.iter_mut().zip(value.chunks_exact(8)) {
                *word = bytes.try_into().map_or(0, u64::from_ne_bytes);
            }
            let Some((_, told, capture)) = parse(&plain(&words)[SAMPLE_AT..]) else { continue };
            let due = told.kind & LATE != 0 || (told.ns > 0 && told.ns < before);
            if due && map.delete(&key).is_ok() {
                found.push((told, capture));
            }
        }
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut()
            && !found.is_empty()
        {
            bss.armed = bss.armed.saturating_sub(found.len() as u64);
        }
        for (told, mut capture) in found {
            capture.regs = Regs::default();
            self.collector.send(told, capture);
        }
    }
}

/// The kernel's sums.
#[derive(Default)]
struct Totals {
    /// Where there are some.
    places: Vec<Place>,
    /// Those that are not what they were.
    new: AHashMap<Place, types::wait_total>,
}

/// Threads, by number and the start of their process.
type Living = AHashSet<(u32, u64)>;

/// Takes in the thread at the front; how many bytes that was, `None` where it is not whole.
fn one(
    bytes: &[u8],
    collector: &mut Collector<OffcpuSkel<'static>>,
    living: &mut Living,
    open: &mut AHashMap<Place, Open>,
) -> Option<usize> {
    let row = front::<types::wait_open>(bytes)?;
    let mut used = size_of::<types::wait_open>();
    if row.flags & STACK != 0 {
        let (size, told, capture) = parse(&bytes[used..])?;
        used += size;
        collector.send(told, capture);
    }
    living.insert((row.tid, row.start_ns));
    if row.ns > 0 {
        let place =
            Place { start_ns: row.start_ns, tid: row.tid, call: row.call, doing: row.doing };
        let who = (row.tgid, name(&row.comm));
        let may_be_idle = row.flags & MAY_BE_IDLE != 0;
        open.insert(place, Open { place, who, ns: row.ns, may_be_idle });
    }
    Some(used)
}

fn program<'a>(skel: &'a OffcpuSkel<'static>, name: &str) -> Option<&'a ProgramMut<'static>> {
    let p = &skel.progs;
    Some(match name {
        "switching" => &p.switching,
        "switching__alt" => &p.switching__alt,
        "switching__alt2" => &p.switching__alt2,
        "waking__later" => &p.waking__later,
        "call_ends__later" => &p.call_ends__later,
        "look" => &p.look,
        "look__alt" => &p.look__alt,
        _ => return None,
    })
}

fn place(key: &types::wait_key) -> Place {
    Place { start_ns: key.start_ns, tid: key.tid, call: key.call, doing: key.doing }
}

fn counted(total: &types::wait_total, window: u32) -> [Counted; PARTS] {
    total.parts.map(|part| Counted {
        ns: part.ns,
        count: part.count,
        max: if part.window == window { part.max } else { 0 },
        hist: part.hist,
    })
}

/// A name as the kernel has it, whose C characters have a sign.
fn name(comm: &[i8; 16]) -> Clean {
    thread_name(&comm.map(i8::cast_unsigned))
}
