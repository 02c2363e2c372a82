//! The system calls of one process; while asked for.
//!
//! The kernel takes its long way into every call of every process while the hooks are there, so
//! they are loaded when a process is named and gone when none is.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::Result;
use libbpf_rs::{Link, MapCore, MapFlags};
use syscalls::{Errno, Sysno};

use super::columns::CallRow;
use super::tasks::Tasks;
use crate::bpf::{self, Refusal};
use crate::probe::ladder::{Object, Wanted};
use crate::probe::{At, Focus, Signal, monotonic_ns};
use crate::table::Clean;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/proc_call.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/proc_call.skel.rs"));
}

use kernel::{ProcCallSkel, ProcCallSkelBuilder, types};

const SIGNAL: Wanted = Wanted {
    name: "system calls",
    ways: &[(
        "tp_btf/sys_enter, sys_exit (0.2 us more for every call of every process, 0.4 us for its own)",
        "",
    )],
    missing: "the system calls of the process that was named",
    since: "5.5",
    lesser: "",
    whole_since: "5.5",
};

/// A number of the table for 32-bit programs (`bpf/call_row.h`).
const IA32: u32 = 1 << 31;
/// What programs of the x32 kind add to a number.
const X32: u32 = 1 << 30;
/// Set in what a thread is in (`bpf/call_row.h`).
const INSIDE: u64 = 1 << 63;

/// The count: nothing is attached until a process is named.
pub struct Calls {
    on: Option<(u32, Result<Counter, Refusal>)>,
}

impl Calls {
    /// Nothing attached yet.
    pub fn new() -> Calls {
        Calls { on: None }
    }

    /// Attaches for this process, or detaches.
    pub fn focus(&mut self, on: &Focus) {
        if self.on.as_ref().map(|(pid, _)| *pid) == on.calls {
            return;
        }
        // The old hooks go before the new ones come.
        self.on = None;
        self.on = on.calls.map(|pid| (pid, Counter::open(pid).map_err(Refusal::from)));
    }

    /// Its calls as counted so far, the dearest first.
    pub fn rows(&mut self, at: At, tasks: &Tasks) -> Vec<CallRow> {
        let Some((pid, Ok(counter))) = &mut self.on else { return Vec::new() };
        if let Some(p) = tasks.process(*pid).filter(|_| !counter.has_ended()) {
            counter.comm = p.comm.clone();
        }
        counter.rows(at.mono_ns)
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        let Some((pid, counter)) = &self.on else { return Vec::new() };
        let whole = |c: &Counter| ["call_enter", "call_exit"].iter().all(|p| c.has(p));
        let has = |_: &str| counter.as_ref().is_ok_and(whole);
        let object: Object<'_> = match counter {
            Ok(c) => Ok((&c.refused, &has)),
            Err(why) => Err(why),
        };
        let mut signal = SIGNAL.signal(&object, |_| counter.as_ref().ok()?.cost());
        if let Ok(counter) = counter {
            signal.lost = counter.lost();
            if counter.has_ended() {
                signal.missing = format!("calls after the end of process {pid}");
            }
        }
        vec![signal]
    }
}

/// The hooks, attached for one process.
struct Counter {
    links: BTreeMap<String, Link>,
    skel: ProcCallSkel<'static>,
    /// Programs that are missing, with the kernel's words.
    refused: BTreeMap<String, String>,
    pid: u32,
    comm: Clean,
    /// By number, what was told at the sample before.
    told: HashMap<u32, Told>,
}

/// What was told of a call at the sample before.
#[derive(Clone, Copy, Default)]
struct Told {
    count: u64,
    /// Of calls that had returned.
    returned_ns: u64,
    total_ns: u64,
}

/// The threads that are in a call, and for how long together and at most.
#[derive(Clone, Copy, Default)]
struct Open {
    inside: u64,
    ns: u64,
    longest_ns: u64,
}

impl Counter {
    fn open(pid: u32) -> Result<Counter> {
        let bpf::Attached { mut skel, links, mut refused } =
            bpf::attach(ProcCallSkelBuilder::default)?;
        if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            bss.sigreturn = Sysno::rt_sigreturn as u32;
            bss.target = pid;
        }
        // The signal stands for all hooks; it shows the words of the first that is missing.
        if let Some(words) = refused.values().next().cloned() {
            refused.insert(String::new(), words);
        }
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let comm = Clean::new(comm.strip_suffix(b"\n").unwrap_or(&comm));
        let counter = Counter { links, skel, refused, pid, comm, told: HashMap::new() };
        counter.note_open();
        Ok(counter)
    }

    fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    fn has_ended(&self) -> bool {
        self.skel.maps.bss_data.as_deref().is_some_and(|bss| bss.ended != 0)
    }

    fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost)
    }

    fn cost(&self) -> Option<(u64, u64)> {
        use std::os::fd::AsFd;
        let p = &self.skel.progs;
        let (a, b) = (bpf::cost(p.call_enter.as_fd())?, bpf::cost(p.call_exit.as_fd())?);
        Some((a.0 + b.0, a.1 + b.1))
    }

    /// Notes the calls that threads are in since before the hooks came: from now on, which is the
    /// least that is true. A thread that the hooks have met is known better by them, and whoever
    /// leaves his call in between is met by the exit's.
    fn note_open(&self) {
        let Ok(dir) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return };
        for task in dir.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|t| t.parse::<u32>().ok()) else {
                continue;
            };
            let said = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            // "running"; -1 where it sleeps outside of any call (a page fault); or not ours to read.
            let number = said.split_ascii_whitespace().next().and_then(|n| n.parse::<u32>().ok());
            let Some(number) = number else { continue };
            let mut value = [0; 16];
            value[..8].copy_from_slice(&(INSIDE | u64::from(number)).to_ne_bytes());
            value[8..].copy_from_slice(&monotonic_ns().to_ne_bytes());
            // Refused where the hooks came first.
            let opens = &self.skel.maps.opens;
            let _ = opens.update(&tid.to_ne_bytes(), &value, MapFlags::NO_EXIST);
        }
    }

    fn rows(&mut self, now_ns: u64) -> Vec<CallRow> {
        // In this order: see call_exit.
        let counts = self.counts();
        let opens = self.opens(now_ns);
        let mut numbers: Vec<u32> = counts.keys().chain(opens.keys()).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut rows: Vec<CallRow> = Vec::with_capacity(numbers.len());
        for nr in numbers {
            let c = counts.get(&nr).copied().unwrap_or_default();
            let open = opens.get(&nr).copied().unwrap_or_default();
            let told = self.told.entry(nr).or_default();
            let calls = c.count.saturating_sub(told.count);
            let took = c.total_ns.saturating_sub(told.returned_ns);
            // A call that ends while this is read is missed once: a total never shrinks.
            let total_ns = (c.total_ns + open.ns).max(told.total_ns);
            *told = Told { count: c.count, returned_ns: c.total_ns, total_ns };
            rows.push(CallRow {
                pid: self.pid,
                comm: self.comm.clone(),
                syscall: name(nr),
                count: c.count,
                errors: c.errors,
                last_error: (c.errors > 0).then(|| error_name(c.error)),
                total_ns,
                max_ns: c.max_ns.max(open.longest_ns),
                mean_ns: took.checked_div(calls),
                inside: open.inside,
            });
        }
        rows.sort_by_key(|r| std::cmp::Reverse(r.total_ns));
        rows
    }

    /// By number, summed over CPUs.
    fn counts(&self) -> HashMap<u32, types::call_count> {
        let map = &self.skel.maps.counts;
        let mut all = HashMap::new();
        for key in map.keys() {
            let Some(nr) = number(&key) else { continue };
            let Ok(Some(cpus)) = map.lookup_percpu(&key, MapFlags::ANY) else { continue };
            let mut sum = types::call_count::default();
            for c in cpus.iter().filter_map(|bytes| count_of(bytes)) {
                sum.count += c.count;
                sum.errors += c.errors;
                sum.total_ns += c.total_ns;
                sum.max_ns = sum.max_ns.max(c.max_ns);
                if c.error_ns >= sum.error_ns {
                    (sum.error, sum.error_ns) = (c.error, c.error_ns);
                }
            }
            all.insert(nr, sum);
        }
        all
    }

    /// By number, summed over threads.
    fn opens(&self, now_ns: u64) -> HashMap<u32, Open> {
        let map = &self.skel.maps.opens;
        let mut all: HashMap<u32, Open> = HashMap::new();
        for key in map.keys() {
            let Ok(Some(value)) = map.lookup(&key, MapFlags::ANY) else { continue };
            let (Some(what), Some(since)) = (word(&value, 0), word(&value, 1)) else { continue };
            if what & INSIDE != 0 {
                let open = all.entry(what as u32).or_default();
                let ns = now_ns.saturating_sub(since);
                open.inside += 1;
                open.ns += ns;
                open.longest_ns = open.longest_ns.max(ns);
            }
        }
        all
    }
}

fn number(key: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(key.try_into().ok()?))
}

fn word(value: &[u8], i: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(value.get(i * 8..i * 8 + 8)?.try_into().ok()?))
}

fn count_of(bytes: &[u8]) -> Option<types::call_count> {
    Some(types::call_count {
        count: word(bytes, 0)?,
        errors: word(bytes, 1)?,
        total_ns: word(bytes, 2)?,
        max_ns: word(bytes, 3)?,
        error_ns: word(bytes, 4)?,
        error: word(bytes, 5)?,
    })
}

/// The call of this number; `#` and the number where it has no name here.
fn name(nr: u32) -> Clean {
    if nr & IA32 != 0 {
        return Clean::from(format!("ia32#{}", nr & !IA32).as_str());
    }
    if nr & X32 != 0 {
        return Clean::from(format!("x32#{}", nr & !X32).as_str());
    }
    match Sysno::new(nr as usize) {
        Some(call) => Clean::from(call.name()),
        None => Clean::from(format!("#{nr}").as_str()),
    }
}

/// The error of this number (`EAGAIN`).
fn error_name(errno: u64) -> &'static str {
    i32::try_from(errno).ok().and_then(|n| Errno::new(n).name()).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_errors_have_names_and_what_has_none_its_number() {
        let told = |nr| name(nr).as_str().to_owned();
        assert_eq!(told(Sysno::getppid as u32), "getppid");
        assert_eq!(told(4_000), "#4000");
        assert_eq!(told(IA32 | 3), "ia32#3");
        assert_eq!(told(X32 | 520), "x32#520");
        assert_eq!(told(u32::MAX), "ia32#2147483647");
        assert_eq!(error_name(libc::EBADF as u64), "EBADF");
        assert_eq!(error_name(512), "ERESTARTSYS");
        assert_eq!(error_name(u64::MAX), "?");
    }

    #[test]
    fn a_record_cut_short_is_none() {
        assert!(count_of(&[0; 47]).is_none());
        assert_eq!(count_of(&[1; 48]).map(|c| c.count), Some(0x0101_0101_0101_0101));
    }
}
