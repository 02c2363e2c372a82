//! The processes: each the sum of its threads, of those that ended, and of what it has once.

use std::collections::HashMap;
use std::ops::Range;

use ahash::RandomState;

use super::files::Files;
use super::kernel::types;
use super::threads::{Ended, Thread, Threads, known, known32};
use crate::probe::proc::class;
use crate::probe::proc::columns::TaskRow;
use crate::probe::proc::spent::Spent;
use crate::table::NEW;

/// Processes whose arguments are read again in a refresh though nothing says that they changed.
const AGAIN: usize = 16;
/// They can write over their arguments: of those that ran, they are read as often.
const AGAIN_NS: u64 = 10_000_000_000;
/// New programs read in a refresh; what is more waits for the next. The first refresh reads all.
const MOST_NEW: usize = 2_000;

/// What a process is besides its row.
struct Process {
    /// Its threads, as a range of the order.
    members: Range<usize>,
    /// What threads had used of what the kernel does not sum up when they ended, as last seen.
    gone: Gone,
    /// Which program this was when its arguments were read.
    program: Option<Program>,
    read_ns: u64,
}

/// What tells one program from the next under the same pid.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Program {
    /// `None`: it has no memory, as the kernel's own and what has ended.
    image: Option<u64>,
    comm: [u8; 16],
}

/// What threads used and did that are no more.
#[derive(Default)]
struct Gone {
    runq: u64,
    slices: u64,
    /// Where the kernel's own sums are not known.
    others: [u64; COUNTERS],
    spent: Option<Box<Spent>>,
}

/// Counters other than those of run queues.
const COUNTERS: usize = 9;
/// The first of them the kernel sums up over ended threads.
const SUMMED: usize = 5;

/// These, of a thread.
fn counters(t: &types::thread_part) -> [u64; COUNTERS] {
    [t.cpu, t.vol, t.invol, t.minflt, t.majflt, t.rchar, t.wchar, t.read, t.write]
}

/// The kernel's sums; all ones where they are not known.
fn gone_counters(p: &types::process_part) -> [u64; SUMMED] {
    [p.gone_cpu, p.gone_vol, p.gone_invol, p.gone_minflt, p.gone_majflt]
}

/// What processes need from outside the pass.
pub(super) struct Outside<'a> {
    pub files: &'a mut Files,
    pub now_ns: u64,
    pub page_bytes: u64,
    /// Whether the pass does not tell control groups and namespaces.
    pub by_files: bool,
}

/// All processes of now.
#[derive(Default)]
pub(super) struct Processes {
    rows: Vec<TaskRow>,
    processes: Vec<Process>,
    /// Indices of threads by (pid, tid).
    order: Vec<u32>,
    changed: Vec<u32>,
    from: Vec<u32>,
    begun: bool,
    /// Not all new programs were read.
    behind: bool,
}

impl Processes {
    /// The rows, by pid.
    pub fn rows(&self) -> &[TaskRow] {
        &self.rows
    }

    /// Where each row stood before, if anything moved, and which differ from what stood there.
    pub fn renewal(&self) -> (&[u32], &[u32]) {
        (&self.from, &self.changed)
    }

    /// Follows the threads after a pass; gives them what they have from their process.
    pub fn follow(&mut self, threads: &mut Threads, outside: &mut Outside<'_>) {
        self.changed.clear();
        self.from.clear();
        if threads.moved() || !self.begun {
            self.regroup(threads);
        }
        let mut stale = vec![false; threads.rows().len()];
        let (from, changed) = threads.renewal();
        for (i, _) in from.iter().enumerate().filter(|(_, f)| **f == NEW) {
            stale[i] = true;
        }
        for &i in changed {
            stale[i as usize] = true;
        }
        let ended = sum_ended(threads.ended());
        let most = if self.begun { MOST_NEW } else { usize::MAX };
        let (mut read, mut again) = (0, 0);
        let behind = std::mem::take(&mut self.behind);
        for p in 0..self.processes.len() {
            let members = &self.order[self.processes[p].members.clone()];
            // What ended under the number of a new process was another's.
            let is_new = self.from.get(p).is_some_and(|f| *f == NEW);
            let lost = ended.get(&self.rows[p].pid).filter(|_| !is_new);
            if !behind && lost.is_none() && !members.iter().any(|&m| stale[m as usize]) {
                continue;
            }
            let mut process = Whole { threads: &mut *threads, members };
            if let Some(lost) = lost {
                self.processes[p].gone.add(lost);
            }
            let due = match self.processes[p].due(&process, outside.now_ns) {
                Due::New if read < most => {
                    read += 1;
                    true
                }
                Due::New => {
                    self.behind = true;
                    false
                }
                Due::Again if again < AGAIN => {
                    again += 1;
                    true
                }
                _ => false,
            };
            let row = &mut self.rows[p];
            if due {
                self.processes[p].read(row, &process, outside);
            }
            sum(row, &process, &self.processes[p].gone, outside.page_bytes);
            process.share(row, due);
            self.changed.push(p as u32);
        }
        self.begun = true;
    }

    /// Finds which threads make up each process; processes stay what they were by pid and start.
    fn regroup(&mut self, threads: &Threads) {
        let rows = threads.rows();
        self.order.clear();
        self.order.extend(0..rows.len() as u32);
        // By tid already; most threads are near their process.
        self.order.sort_by_key(|&i| rows[i as usize].pid);
        let mut was = std::mem::take(&mut self.processes).into_iter().peekable();
        let mut was_rows = std::mem::take(&mut self.rows).into_iter();
        let mut stood = 0u32;
        let mut at = 0;
        while at < self.order.len() {
            let pid = rows[self.order[at] as usize].pid;
            let end = at + self.order[at..].partition_point(|&i| rows[i as usize].pid == pid);
            let members = at..end;
            at = end;
            let leader = self.order[members.clone()]
                .iter()
                .map(|&i| &rows[i as usize])
                .find(|r| r.tid == pid);
            // Processes are in the order of pids before and after.
            let mut former = None;
            while let Some(row) = was_rows.as_slice().first().filter(|r| r.pid <= pid) {
                let same = row.pid == pid && leader.is_none_or(|l| l.start_ns == row.start_ns);
                let (row, process) = (was_rows.next(), was.next());
                if same {
                    former = row.zip(process).map(|both| (both, stood));
                }
                stood += 1;
            }
            let Some(((row, process), stood)) = former else {
                let first = leader.unwrap_or(&rows[self.order[members.start] as usize]);
                self.rows.push(TaskRow {
                    tid: pid,
                    pid,
                    start_ns: first.start_ns,
                    ..TaskRow::default()
                });
                self.processes.push(Process {
                    members,
                    gone: Gone::default(),
                    program: None,
                    read_ns: 0,
                });
                self.from.push(NEW);
                continue;
            };
            self.rows.push(row);
            self.processes.push(Process { members, ..process });
            self.from.push(stood);
        }
    }

    /// What the threads did is not accounted any more, nor what ended ones did.
    pub fn forget_spent(&mut self) {
        for (row, process) in self.rows.iter_mut().zip(&mut self.processes) {
            (row.spent, process.gone.spent) = (None, None);
        }
    }

    /// Adds up what the threads did, where that is accounted.
    pub fn add_spent<'a>(
        &mut self,
        threads: &[TaskRow],
        ended: impl Fn(u32, u64) -> Option<&'a Spent>,
    ) {
        for (p, (row, process)) in (0u32..).zip(self.rows.iter_mut().zip(&self.processes)) {
            let mut all = None::<Box<Spent>>;
            for &m in &self.order[process.members.clone()] {
                let thread = &threads[m as usize];
                if let Some(s) = &thread.spent {
                    all.get_or_insert_default().add(s);
                }
            }
            // What ended threads did counts while states are accounted at all.
            let gone = ended(row.pid, row.start_ns).or(process.gone.spent.as_deref());
            if let (Some(all), Some(gone)) = (&mut all, gone) {
                all.add(gone);
            }
            if row.spent != all {
                row.spent = all;
                self.changed.push(p);
            }
        }
    }
}

/// Why the files of a process are read now.
enum Due {
    New,
    Again,
    Not,
}

impl Process {
    fn due(&self, whole: &Whole<'_>, now_ns: u64) -> Due {
        let program = whole.program();
        let same = self.program.is_some() && self.program == program;
        let has_memory = program.is_some_and(|p| p.image.is_some());
        match (same, has_memory) {
            (true, true) if now_ns.saturating_sub(self.read_ns) > AGAIN_NS => Due::Again,
            (true, _) => Due::Not,
            // What it was called while it lived is not to be read any more.
            (false, false) if self.program.is_some() => Due::Not,
            (false, _) => Due::New,
        }
    }

    fn read(&mut self, row: &mut TaskRow, whole: &Whole<'_>, outside: &mut Outside<'_>) {
        self.program = whole.program();
        self.read_ns = outside.now_ns;
        if let Some(tid) = whole.with_memory() {
            row.argv = outside.files.arguments(row.pid, tid);
            row.exe = outside.files.binary(row.pid, tid);
        }
        if outside.by_files {
            row.cgroup = outside.files.cgroup(row.pid);
            row.netns = outside.files.netns(row.pid).or(row.netns);
        }
    }
}

impl Gone {
    fn add(&mut self, t: &Gone) {
        self.runq += t.runq;
        self.slices += t.slices;
        for (sum, v) in self.others.iter_mut().zip(t.others) {
            *sum += v;
        }
        if let Some(spent) = &t.spent {
            self.spent.get_or_insert_default().add(spent);
        }
    }
}

/// What the threads of each process had used when they were last seen.
fn sum_ended(ended: &[Ended]) -> HashMap<u32, Gone, RandomState> {
    let mut sums: HashMap<u32, Gone, RandomState> = HashMap::default();
    for Ended { raw: t, spent } in ended {
        let zero = |v: u64| known(v).unwrap_or(0);
        let one = Gone {
            runq: zero(t.runq),
            slices: zero(t.slices),
            others: counters(t).map(zero),
            spent: spent.clone(),
        };
        sums.entry(t.pid).or_default().add(&one);
    }
    sums
}

/// A process with its threads at hand.
struct Whole<'a> {
    threads: &'a mut Threads,
    members: &'a [u32],
}

impl Whole<'_> {
    fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.members.iter().filter_map(|&m| self.threads.threads().get(m as usize))
    }

    /// The one whose tid is the pid; while it is not to be found, any.
    fn leader(&self) -> Option<&Thread> {
        self.threads().find(|t| t.raw.tid == t.raw.pid).or_else(|| self.threads().next())
    }

    /// A thread with the process's memory: its files tell the arguments also where the leader has
    /// ended.
    fn with_memory(&self) -> Option<u32> {
        let has = |t: &&Thread| t.process.as_ref().is_some_and(|p| known(p.image).is_some());
        Some(self.threads().find(has)?.raw.tid)
    }

    /// Which program it runs.
    fn program(&self) -> Option<Program> {
        let parts = self.threads().filter_map(|t| t.process.as_ref());
        let image = parts.filter_map(|p| known(p.image)).max();
        Some(Program { image, comm: self.leader()?.raw.comm })
    }

    /// Gives the threads what they have from their process: all if it changed, else the new ones.
    fn share(&mut self, row: &TaskRow, all: bool) {
        let pass = self.threads.pass();
        for &m in self.members {
            let Some((is_new, leads)) = self
                .threads
                .threads()
                .get(m as usize)
                .map(|t| (t.born == pass, t.raw.tid == t.raw.pid))
            else {
                continue;
            };
            let rows = self.threads.rows();
            if !(all || is_new || leads || rows[m as usize].ppid != row.ppid) {
                continue;
            }
            let Some((thread, behind)) = self.threads.change(m) else { continue };
            thread.ppid = row.ppid;
            if all || is_new {
                thread.argv.clone_from(&row.argv);
                thread.exe.clone_from(&row.exe);
                if known(behind.raw.cgroup).is_none() {
                    thread.cgroup.clone_from(&row.cgroup);
                }
                if known32(behind.raw.netns).is_none() {
                    thread.netns = row.netns;
                }
            }
            if leads {
                thread.threads = row.threads;
                thread.rss_bytes = row.rss_bytes;
                thread.vsz_bytes = row.vsz_bytes;
            }
        }
    }
}

/// The row of a process: what its threads used, what its leader is, what its most telling does.
fn sum(row: &mut TaskRow, whole: &Whole<'_>, gone: &Gone, page_bytes: u64) {
    let rows = whole.threads.rows();
    let members = || whole.members.iter().map(|&m| &rows[m as usize]);
    let Some(leader) = members().find(|r| r.tid == r.pid).or_else(|| members().next()) else {
        return;
    };
    if row.comm != leader.comm {
        row.comm.clone_from(&leader.comm);
    }
    row.uid = leader.uid;
    (row.nice, row.prio, row.policy) = (leader.nice, leader.prio, leader.policy);
    (row.last_cpu, row.ns_pid) = (leader.last_cpu, leader.ns_pid);
    // Where the pass does not tell them, files told them of the process itself.
    let told = whole.leader().map(|t| (known(t.raw.cgroup), known32(t.raw.netns)));
    let (cgroup, netns) = told.unwrap_or_default();
    if cgroup.is_some() && row.cgroup != leader.cgroup {
        row.cgroup.clone_from(&leader.cgroup);
    }
    row.netns = netns.or(row.netns);
    if let Some(telling) = members().min_by_key(|r| class::rank(r.state)) {
        (row.state, row.syscall) = (telling.state, telling.syscall);
        if row.wchan != telling.wchan {
            row.wchan.clone_from(&telling.wchan);
        }
    }
    let parts = || whole.threads().filter_map(|t| t.process.as_deref());
    if let Some(p) = parts().next() {
        (row.ppid, row.threads) = (known32(p.ppid), known32(p.threads));
        let pages = |of: fn(&types::process_part) -> u64| {
            parts().find_map(|p| known(of(p))).and_then(|n| n.checked_mul(page_bytes))
        };
        row.rss_bytes = pages(|p| p.rss_pages);
        row.vsz_bytes = pages(|p| p.vsz_pages);
    }
    used(row, members, parts().next(), gone);
}

/// The counters of a process. Between the kernel's looking at one thread and at the next one can
/// end and be in no sum: a counter stays what it was then.
fn used<'r, I: Iterator<Item = &'r TaskRow>>(
    row: &mut TaskRow,
    members: impl Fn() -> I,
    part: Option<&types::process_part>,
    gone: &Gone,
) {
    let ended = part.map_or([u64::MAX; SUMMED], gone_counters);
    let total = |was: Option<u64>, ended: u64, of: fn(&TaskRow) -> Option<u64>| {
        let mut live = members().filter_map(of).peekable();
        live.peek()?;
        Some(live.sum::<u64>().saturating_add(ended).max(was.unwrap_or(0)))
    };
    let or = |i: usize| {
        let told = ended.get(i).and_then(|sum| known(*sum));
        told.unwrap_or(gone.others[i])
    };
    row.cpu_ns = total(row.cpu_ns, or(0), |r| r.cpu_ns);
    row.vol_switches = total(row.vol_switches, or(1), |r| r.vol_switches);
    row.invol_switches = total(row.invol_switches, or(2), |r| r.invol_switches);
    row.minflt = total(row.minflt, or(3), |r| r.minflt);
    row.majflt = total(row.majflt, or(4), |r| r.majflt);
    row.rchar = total(row.rchar, or(5), |r| r.rchar);
    row.wchar = total(row.wchar, or(6), |r| r.wchar);
    row.read_bytes = total(row.read_bytes, or(7), |r| r.read_bytes);
    row.write_bytes = total(row.write_bytes, or(8), |r| r.write_bytes);
    row.runq_ns = total(row.runq_ns, gone.runq, |r| r.runq_ns);
    row.slices = total(row.slices, gone.slices, |r| r.slices);
    row.runq_max_ns = members().filter_map(|r| r.runq_max_ns).max().max(row.runq_max_ns);
}
