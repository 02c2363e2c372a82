//! The allocator of one process, by breakpoints at its functions.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashSet;
use anyhow::{Result, anyhow};
use libbpf_rs::{Link, MapCore, MapFlags, ProgramMut, UprobeMultiOpts, UprobeOpts};

use super::allocators::{self, Allocator, Call, Hook, Looked};
use super::exact::{Exact, Sum};
use super::sampled::{Sampled, gaps};
use super::sites::{Owner, Sites};
use crate::bpf::{self, Refusal, Ring};
use crate::probe::Scope;
use crate::probe::entries::{entries, long};
use crate::probe::maps::Maps;
use crate::probe::stack::{Collector, Gather, Key, StackRow, Told, fit, sampler};
use crate::symbol::{Stack, Symbols};
use crate::table::Clean;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/heap.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/heap.skel.rs"));
}

use kernel::{HeapSkel, HeapSkelBuilder, types};

/// How often it is looked for allocators that were loaded later.
const AGAIN: Duration = Duration::from_secs(3);
/// Bytes of what happened to samples, after which it is looked again soon.
const BUSY: usize = 32 << 10;
/// That soon.
const SOON: Duration = Duration::from_millis(5);
/// `TAKES_NESTED`.
const NESTED: u64 = 0x100;
/// `CODES`.
const CODES: usize = 4;
/// Allocations that can be live at once: sampled, and exact (16 bytes of kernel memory each, and
/// some 80 more for those that are).
const MOST: [u32; 2] = [1 << 17, 1 << 20];

/// The program of the better way: one breakpoint for a call and its return.
const SESSION: &str = "heap_call";

sampler!(HeapSkel<'static>);

/// The two ways to look.
enum Way {
    Sampled(Sampled),
    Exact(Exact),
}

/// The breakpoints, set in one process.
pub(super) struct Live {
    links: Vec<Link>,
    events: Ring,
    collector: Collector<HeapSkel<'static>>,
    way: Way,
    sites: Sites,
    owner: Owner,
    looked: Looked,
    scanned: Instant,
    /// Whether calls and returns have one breakpoint (`uprobe.session`).
    pub is_session: bool,
    /// What could not be hooked, and why.
    pub refused: BTreeMap<String, String>,
    /// Ends of allocations that found no room in the ring, as far as they were made good.
    corrected: u64,
}

impl Live {
    /// Finds the allocators of this process and sets the breakpoints.
    pub fn open(pid: u32, exact: bool, symbols: &Symbols) -> Result<Live> {
        if pid == std::process::id() {
            return Err(without("this process does not watch itself; name another one"));
        }
        let maps = Maps::read(pid)
            .map_err(|e| without(&format!("/proc/{pid}/maps: {e}; is the process still there?")))?;
        let mut looked = Looked::new();
        let found = allocators::find(pid, &maps, &mut looked);
        if found.is_empty() {
            return Err(without(&nothing(&looked)));
        }
        let bpf::Attached { skel, refused, .. } = load(exact)?;
        let way = match exact {
            true => Way::Exact(Exact::default()),
            false => Way::Sampled(Sampled::default()),
        };
        let mut live = Live {
            links: Vec::new(),
            events: Ring::open(&skel.maps.events)?,
            collector: Collector::open(skel, symbols, &Scope::All)?,
            way,
            sites: Sites::default(),
            owner: Owner { pid, comm: comm(pid), cgroup: None },
            looked,
            scanned: Instant::now(),
            is_session: !refused.contains_key(SESSION),
            refused,
            corrected: 0,
        };
        live.prepare(&maps)?;
        found.iter().for_each(|allocator| live.hook(allocator));
        if live.links.is_empty() {
            // They say the same of every function; one is enough.
            let summary = live.refused.pop_first().map(|(_, words)| words).unwrap_or_default();
            return Err(anyhow!(Refusal { summary, ..Refusal::default() }));
        }
        live.watch_the_end();
        if let Some(bss) = live.collector.skel.maps.bss_data.as_deref_mut() {
            bss.target = pid;
        }
        Ok(live)
    }

    /// What the programs have to know before the first breakpoint is met.
    fn prepare(&mut self, maps: &Maps) -> Result<()> {
        let is_exact = matches!(self.way, Way::Exact(_));
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.exact = u32::from(is_exact);
            let len = bss.gaps.len();
            bss.gaps.iter_mut().zip(gaps(len)).for_each(|(to, gap)| *to = gap);
        }
        if is_exact {
            let empty = vec![0u8; size_of::<types::heap_sum>()];
            self.collector.skel.maps.sums.update(&0u64.to_ne_bytes(), &empty, MapFlags::ANY)?;
        }
        self.tell_code(maps);
        Ok(())
    }

    fn tell_code(&mut self, maps: &Maps) {
        let pieces = maps.pieces().iter().filter(|p| p.executable && p.end < 1 << 63);
        let code = merge(pieces.map(|p| (p.start, p.end)).collect());
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            for (i, to) in bss.code.iter_mut().enumerate() {
                let (start, end) = code.get(i).copied().unwrap_or_default();
                (to.start, to.len) = (start, end - start);
            }
        }
    }

    fn hook(&mut self, allocator: &Allocator) {
        let (frees, calls): (Vec<Hook>, Vec<Hook>) =
            allocator.hooks.iter().partition(|h| h.call == Call::Free);
        let had = self.links.len();
        match self.is_session {
            true => self.at_once(allocator, &calls),
            false => self.one_by_one(allocator, &calls),
        }
        // What is given back is of interest only where it is seen to be allocated.
        if self.links.len() > had {
            match self.is_session {
                true => self.at_once(allocator, &frees),
                false => self.one_by_one(allocator, &frees),
            }
        }
    }

    /// All of a file by one link, quick to set and to take away; where that is refused each by
    /// itself. All of them are calls, or all give something back.
    fn at_once(&mut self, allocator: &Allocator, hooks: &[Hook]) {
        if let Ok(link) = self.link(allocator, hooks) {
            self.links.push(link);
            return;
        }
        for hook in hooks {
            match self.link(allocator, std::slice::from_ref(hook)) {
                Ok(link) => self.links.push(link),
                Err(words) => self.refuse(allocator, hook, words),
            }
        }
    }

    fn link(&self, allocator: &Allocator, hooks: &[Hook]) -> Result<Link, String> {
        let pid = i32::try_from(self.owner.pid).unwrap_or(i32::MAX);
        let session = hooks.iter().any(|h| h.call != Call::Free);
        let p = &self.collector.skel.progs;
        let program = if session { &p.heap_call } else { &p.heap_free_multi };
        let opts = UprobeMultiOpts {
            offsets: hooks.iter().map(|h| h.offset as usize).collect(),
            cookies: hooks.iter().map(cookie).collect(),
            session,
            ..UprobeMultiOpts::default()
        };
        bpf::told(|| program.attach_uprobe_multi_with_opts(pid, &allocator.path, "", opts))
    }

    fn refuse(&mut self, allocator: &Allocator, hook: &Hook, words: String) {
        self.refused.insert(format!("{}+{:#x}", allocator.name, hook.offset), words);
    }

    /// A link for each breakpoint: before 6.13.
    fn one_by_one(&mut self, allocator: &Allocator, hooks: &[Hook]) {
        for hook in hooks {
            match self.links_of(allocator, hook) {
                Ok(links) => self.links.extend(links),
                Err(words) => self.refuse(allocator, hook, words),
            }
        }
    }

    fn links_of(&self, allocator: &Allocator, hook: &Hook) -> Result<Vec<Link>, String> {
        let pid = i32::try_from(self.owner.pid).unwrap_or(i32::MAX);
        let p = &self.collector.skel.progs;
        let set = |program: &ProgramMut<'static>, retprobe| {
            let opts = UprobeOpts { retprobe, cookie: cookie(hook), ..UprobeOpts::default() };
            let at = hook.offset as usize;
            bpf::told(|| program.attach_uprobe_with_opts(pid, &allocator.path, at, opts))
        };
        if hook.call == Call::Free {
            return Ok(vec![set(&p.heap_free, false)?]);
        }
        // The return first: a call without it would never be seen to end.
        let got = set(&p.heap_got, true)?;
        Ok(vec![got, set(&p.heap_ask, false)?])
    }

    /// The process may end or become another program meanwhile.
    fn watch_the_end(&mut self) {
        let programs = &self.collector.skel.progs;
        for (name, program) in
            [("heap_end", &programs.heap_end), ("heap_exec", &programs.heap_exec)]
        {
            match bpf::told(|| program.attach()) {
                Ok(link) => self.links.push(link),
                Err(words) => drop(self.refused.insert(name.to_owned(), words)),
            }
        }
    }

    /// Whether every allocation is counted.
    pub fn is_exact(&self) -> bool {
        matches!(self.way, Way::Exact(_))
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<&'static str> {
        match self.collector.skel.maps.bss_data.as_deref()?.ended {
            0 => None,
            1 => Some("the process ended"),
            _ => Some("the process executed another program; choose it again to watch that one"),
        }
    }

    /// Allocations that are missing from the sums, and stacks that are missing.
    pub fn lost(&self) -> u64 {
        let bss = self.collector.skel.maps.bss_data.as_deref();
        bss.map_or(0, |bss| bss.unfollowed) + self.collector.lost()
    }

    /// Takes what the kernel has queued; how soon to do so again.
    pub fn drain(&mut self) -> Duration {
        let (wish, bytes) = self.heard(|collector, add| collector.drain(add));
        // A program in a hurry fills the ring in a fraction of the usual time.
        if bytes > BUSY { SOON.min(wish) } else { wish }
    }

    /// What happened since the last call, and what is live.
    pub fn rows(&mut self) -> Vec<StackRow> {
        if self.scanned.elapsed() > AGAIN && self.ended().is_none() {
            self.scan();
        }
        // The sums before the stacks: a number that is read has then been told.
        let sums = match &self.way {
            Way::Exact(_) => self.sums(),
            Way::Sampled(_) => Vec::new(),
        };
        self.heard(|collector, add| drop(collector.rows(add)));
        let missing = match &mut self.way {
            Way::Exact(exact) => exact.take(sums.into_iter(), &mut self.sites),
            Way::Sampled(sampled) => {
                let missing = sampled.settle(true, &mut self.sites);
                if sampled.forget() {
                    self.collector.skel.maps.told.keys().filter_map(|k| long(&k, 0)).collect()
                } else {
                    missing
                }
            }
        };
        for id in missing {
            // It is told again with the next allocation there.
            let _ = self.collector.skel.maps.told.delete(&id.to_ne_bytes());
        }
        self.correct();
        self.sites.rows(&self.owner)
    }

    /// Takes in what the kernel has queued and what has got names, by this way of asking.
    fn heard<T>(
        &mut self,
        ask: impl FnOnce(&mut Collector<HeapSkel<'static>>, &mut Add<'_>) -> T,
    ) -> (T, usize) {
        let mut bytes = 0;
        let mut named = Vec::new();
        let mut add = |_: &mut Gather, key: Key, told: Told, stack: &Arc<Stack>| {
            named.push((told.id, stack.clone(), key.cgroup));
        };
        let answer = ask(&mut self.collector, &mut add);
        let Live { events, way, sites, owner, .. } = self;
        if let Some((.., Some(cgroup))) = named.last() {
            owner.cgroup = Some(cgroup.clone());
        }
        match way {
            Way::Exact(exact) => named.iter().for_each(|(id, stack, _)| exact.named(*id, stack)),
            Way::Sampled(sampled) => {
                named.iter().for_each(|(id, stack, _)| sampled.named(*id, stack));
                bytes = events.consume(|bytes| {
                    match (long(bytes, 0), long(bytes, 8), long(bytes, 16)) {
                        (Some(id), Some(0), _) => sampled.freed(id, sites),
                        (Some(id), Some(stack), Some(size)) => sampled.begun(id, stack, size),
                        _ => {}
                    }
                });
                sampled.settle(false, sites);
            }
        }
        (answer, bytes)
    }

    /// Libraries that were loaded meanwhile.
    fn scan(&mut self) {
        self.scanned = Instant::now();
        let pid = self.owner.pid;
        let Ok(maps) = Maps::read(pid) else { return };
        self.owner.comm = comm(pid);
        let before = self.looked.len();
        let found = allocators::find(pid, &maps, &mut self.looked);
        found.iter().for_each(|allocator| self.hook(allocator));
        if self.looked.len() != before {
            self.tell_code(&maps);
        }
    }

    /// Ends that found no room in the ring are found by what is left in the kernel's map.
    fn correct(&mut self) {
        let Live { way: Way::Sampled(sampled), collector, sites, corrected, .. } = self else {
            return;
        };
        let untold = collector.skel.maps.bss_data.as_deref().map_or(0, |b| b.untold);
        if untold == *corrected {
            return;
        }
        *corrected = untold;
        let ids = sampled.ids();
        let left: AHashSet<u64> =
            entries(&collector.skel.maps.live).filter_map(|(_, value)| long(&value, 0)).collect();
        sampled.correct(&ids, &left, sites);
    }

    fn sums(&self) -> Vec<(u64, Sum)> {
        let all = entries(&self.collector.skel.maps.sums);
        all.filter_map(|(key, value)| Some((long(&key, 0)?, sum(&value)?))).collect()
    }
}

/// Sees what has got names.
type Add<'a> = dyn FnMut(&mut Gather, Key, Told, &Arc<Stack>) + 'a;

impl Drop for Live {
    /// What they count counts no longer.
    fn drop(&mut self) {
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.target = 0;
        }
        bpf::unhook(self.links.drain(..));
    }
}

/// Loads the programs of the better way, or those of the other one where that is refused.
fn load(exact: bool) -> Result<bpf::Attached<HeapSkel<'static>>> {
    let grows = grows();
    let place = |left_out: &[&str]| {
        bpf::place_fitted(HeapSkelBuilder::default, |object| {
            fit(object);
            for mut map in object.maps_mut().filter(|map| map.name() == "live") {
                // Refused sizes leave the one it was compiled with.
                let _ = map.set_max_entries(MOST[usize::from(exact)]);
                if !grows {
                    let _ = map.set_map_flags(0);
                }
            }
            for mut program in object.progs_mut() {
                if left_out.iter().any(|name| program.name() == *name) {
                    program.set_autoload(false);
                }
            }
        })
    };
    let mut best = place(&["heap_ask", "heap_got", "heap_free"])?;
    let Some(words) = best.refused.remove(SESSION) else { return Ok(best) };
    drop(best);
    let mut next = place(&[SESSION, "heap_free_multi"])?;
    next.refused.insert(SESSION.to_owned(), words);
    Ok(next)
}

/// Whether a map may get its memory as it fills: before 6.1 the kernel warns of that in its log where
/// breakpoints do it, and all of it is taken at once.
fn grows() -> bool {
    let types = libbpf_rs::btf::Btf::from_vmlinux();
    types.is_ok_and(|types| {
        types.type_by_name::<libbpf_rs::btf::types::Struct<'_>>("bpf_mem_alloc").is_some()
    })
}

fn without(why: &str) -> anyhow::Error {
    anyhow!(Refusal { summary: why.to_owned(), ..Refusal::default() })
}

/// Why no allocator was found.
fn nothing(looked: &Looked) -> String {
    let unread = looked.iter().find_map(|((_, path), why)| Some((path, why.as_ref()?)));
    match unread {
        None => "neither its binary nor a library of it has malloc among its symbols; \
                 growth is shown all the same"
            .to_owned(),
        Some((path, why)) => format!("{}: {why}", String::from_utf8_lossy(path)),
    }
}

fn comm(pid: u32) -> Clean {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    Clean::new(comm.strip_suffix(b"\n").unwrap_or(&comm))
}

fn cookie(hook: &Hook) -> u64 {
    let call = match hook.call {
        Call::Size => types::heap_call::CALL_SIZE,
        Call::CountSize => types::heap_call::CALL_COUNT_SIZE,
        Call::XSize => types::heap_call::CALL_X_SIZE,
        Call::Resize => types::heap_call::CALL_RESIZE,
        Call::ResizeCount => types::heap_call::CALL_RESIZE_COUNT,
        Call::OutSize => types::heap_call::CALL_OUT_SIZE,
        // Its program asks for none.
        Call::Free => return 0,
    };
    u64::from(call.0) | if hook.nests { NESTED } else { 0 }
}

fn sum(bytes: &[u8]) -> Option<Sum> {
    Some(Sum {
        count: long(bytes, 0)?,
        bytes: long(bytes, 8)?,
        freed_count: long(bytes, 16)?,
        freed_bytes: long(bytes, 24)?,
    })
}

/// Stretches of code in so few pieces as the kernel is told; what lies between may be in them too.
fn merge(mut code: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    code.sort_unstable();
    while code.len() > CODES {
        let gap = |i: &usize| code[i + 1].0.saturating_sub(code[*i].1);
        let Some(at) = (0..code.len() - 1).min_by_key(gap) else { break };
        code[at].1 = code[at].1.max(code[at + 1].1);
        code.remove(at + 1);
    }
    if code.is_empty() {
        // Unknown: then any word may be code.
        code.push((0, u64::MAX));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_in_few_pieces_with_little_between() {
        let code = vec![(100, 110), (112, 120), (500, 510), (514, 520), (900, 910), (2000, 2010)];
        assert_eq!(merge(code), [(100, 120), (500, 520), (900, 910), (2000, 2010)]);
        assert_eq!(merge(vec![(5, 6)]), [(5, 6)]);
        assert_eq!(merge(Vec::new()), [(0, u64::MAX)]);
    }

    #[test]
    fn a_process_that_is_not_there_or_is_this_one_is_refused_in_words() {
        let words = |pid| Live::open(pid, false, &Symbols::default()).err().unwrap().to_string();
        assert!(words(u32::MAX).contains("is the process still there?"));
        assert!(words(std::process::id()).contains("does not watch itself"));
    }
}
