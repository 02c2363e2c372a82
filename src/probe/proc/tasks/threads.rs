//! The threads as rows that live from pass to pass, by tid: what did not move is not made again.

use super::files::Files;
use super::kernel::types;
use super::pass::{CALL_UNKNOWN, Record, mark};
use crate::probe::cgroup::Cgroups;
use crate::probe::proc::class::{self, Place};
use crate::probe::proc::columns::TaskRow;
use crate::probe::proc::spent::Spent;
use crate::probe::records::bytes;
use crate::table::{Clean, NEW};

/// What a pass compares.
pub(super) struct Thread {
    /// As the kernel said it last.
    pub raw: types::thread_part,
    /// Its process, if it spoke for that.
    pub process: Option<Box<types::process_part>>,
    /// The pass that saw it first.
    pub born: u32,
    seen: u32,
}

/// A thread that is no more, as it was last seen.
pub(super) struct Ended {
    pub raw: types::thread_part,
    pub spent: Option<Box<Spent>>,
}

/// All threads of now.
#[derive(Default)]
pub(super) struct Threads {
    rows: Vec<TaskRow>,
    threads: Vec<Thread>,
    births: Vec<Thread>,
    /// Threads of the pass before that are no more.
    ended: Vec<Ended>,
    pass: u32,
    next: usize,
    /// Rows that this pass changed.
    changed: Vec<u32>,
    /// Where each row stood before this pass; empty where all stand as they did.
    from: Vec<u32>,
}

impl Threads {
    /// The rows, by tid.
    pub fn rows(&self) -> &[TaskRow] {
        &self.rows
    }

    /// The same.
    pub fn rows_mut(&mut self) -> &mut [TaskRow] {
        &mut self.rows
    }

    /// What stands behind each row.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// Threads that ended between the last two passes, as they were last seen.
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// The number of the last pass.
    pub fn pass(&self) -> u32 {
        self.pass
    }

    /// Whether threads began or ended: rows stand elsewhere than before.
    pub fn moved(&self) -> bool {
        !self.from.is_empty()
    }

    /// Where each row stood before, if anything moved, and which differ from what stood there.
    pub fn renewal(&self) -> (&[u32], &[u32]) {
        (&self.from, &self.changed)
    }

    /// The row and what stands behind it, to change it.
    pub fn change(&mut self, i: u32) -> Option<(&mut TaskRow, &Thread)> {
        let row = self.rows.get_mut(i as usize)?;
        self.changed.push(i);
        Some((row, self.threads.get(i as usize)?))
    }

    /// Starts a pass.
    pub fn begin(&mut self) {
        self.pass = self.pass.wrapping_add(1);
        self.next = 0;
        self.changed.clear();
        self.from.clear();
        self.ended.clear();
        self.births.clear();
    }

    /// Takes a record of the pass.
    pub fn take(&mut self, record: Record<'_>) {
        let raw = record.thread;
        match self.find(raw.tid) {
            Some(i) if self.threads[i].raw.start == raw.start => self.seen(i, record),
            // The number belongs to another one now; the former is not seen and ends.
            _ => self.births.push(Thread {
                raw: *raw,
                process: record.process.map(|p| Box::new(*p)),
                born: self.pass,
                seen: self.pass,
            }),
        }
    }

    fn find(&mut self, tid: u32) -> Option<usize> {
        let expected = self.threads.get(self.next).map(|t| t.raw.tid);
        let i = match expected {
            Some(e) if e == tid => self.next,
            _ => self.threads.binary_search_by_key(&tid, |t| t.raw.tid).ok()?,
        };
        self.next = i + 1;
        Some(i)
    }

    fn seen(&mut self, i: usize, record: Record<'_>) {
        let thread = &mut self.threads[i];
        thread.seen = self.pass;
        let mut moved = false;
        match (&mut thread.process, record.process) {
            (Some(was), Some(now)) if bytes(&**was) == bytes(now) => {}
            (Some(was), Some(now)) => {
                **was = *now;
                moved = true;
            }
            (None, None) => {}
            (was, now) => {
                *was = now.map(|p| Box::new(*p));
                moved = true;
            }
        }
        if bytes(&thread.raw) != bytes(record.thread) {
            let comm = thread.raw.comm != record.thread.comm;
            let cgroup = thread.raw.cgroup != record.thread.cgroup;
            thread.raw = *record.thread;
            let row = &mut self.rows[i];
            if comm {
                row.comm = Clean::from_c(&thread.raw.comm);
            }
            if cgroup {
                row.cgroup = None;
            }
            show(row, &thread.raw);
            moved = true;
        }
        if moved {
            self.changed.push(i as u32);
        }
    }

    /// Ends a pass: what was not seen goes, what is new comes, by tid.
    pub fn end(&mut self) {
        let pass = self.pass;
        let dead = self.threads.iter().filter(|t| t.seen != pass).count();
        if dead == 0 && self.births.is_empty() {
            return;
        }
        self.births.sort_by_key(|t| t.raw.tid);
        self.births.dedup_by_key(|t| t.raw.tid);
        let room = self.threads.len() - dead + self.births.len();
        let mut rows = Vec::with_capacity(room);
        let mut threads: Vec<Thread> = Vec::with_capacity(room);
        self.from.reserve(room);
        let mut births = self.births.drain(..).peekable();
        let mut changed = self.changed.iter().copied().peekable();
        let mut stale = Vec::with_capacity(self.changed.len());
        let was = self.threads.drain(..).zip(self.rows.drain(..));
        for (i, (thread, row)) in (0u32..).zip(was) {
            while let Some(birth) = births.next_if(|b| b.raw.tid <= thread.raw.tid) {
                rows.push(new_row(&birth.raw));
                threads.push(birth);
                self.from.push(NEW);
            }
            let differs = changed.next_if_eq(&i).is_some();
            if thread.seen != pass {
                self.ended.push(Ended { raw: thread.raw, spent: row.spent });
                continue;
            }
            if differs {
                stale.push(threads.len() as u32);
            }
            rows.push(row);
            threads.push(thread);
            self.from.push(i);
        }
        for birth in births {
            rows.push(new_row(&birth.raw));
            threads.push(birth);
            self.from.push(NEW);
        }
        (self.rows, self.threads, self.changed) = (rows, threads, stale);
    }

    /// Finds out where threads sleep that cannot be woken or that are watched: of changed ones, of
    /// all if `every`. Some at most; whether all could be looked at.
    pub fn find_wchans(&mut self, files: &mut Files, watched: &[u32], every: bool) -> bool {
        let all = every || !self.from.is_empty();
        let candidates: Vec<u32> =
            if all { (0..self.rows.len() as u32).collect() } else { self.changed.clone() };
        let mut room = MOST_WCHANS;
        for i in candidates {
            let (row, thread) = (&mut self.rows[i as usize], &self.threads[i as usize]);
            let wchan = if !sleeps(&thread.raw, watched.contains(&thread.raw.pid)) {
                None
            } else if room == 0 {
                return false;
            } else {
                room -= 1;
                files.wchan(thread.raw.pid, thread.raw.tid)
            };
            if row.wchan != wchan {
                row.wchan = wchan;
                self.changed.push(i);
            }
        }
        true
    }

    /// Names the control groups of threads that have none yet: of changed ones, of all if `every`.
    pub fn name_cgroups(&mut self, cgroups: &mut Cgroups, every: bool) {
        let named = |row: &mut TaskRow, thread: &Thread| {
            if row.cgroup.is_some() || thread.raw.cgroup == u64::MAX {
                return false;
            }
            row.cgroup = cgroups.path(thread.raw.cgroup);
            row.cgroup.is_some()
        };
        let mut named = named;
        if every || !self.from.is_empty() {
            for (i, (row, thread)) in (0u32..).zip(self.rows.iter_mut().zip(&self.threads)) {
                if named(row, thread) {
                    self.changed.push(i);
                }
            }
        } else {
            for &i in &self.changed {
                named(&mut self.rows[i as usize], &self.threads[i as usize]);
            }
        }
    }
}

/// Kernel functions looked up in a refresh, some 5 us each.
const MOST_WCHANS: usize = 64;

/// Whether it is to be known where it sleeps.
fn sleeps(raw: &types::thread_part, watched: bool) -> bool {
    let place = place(raw);
    let off = raw.exit == 0 && !place.on_cpu && raw.state != 0;
    off && (watched || place.uninterruptible())
}

/// A number that is known.
pub(super) fn known(v: u64) -> Option<u64> {
    (v != u64::MAX).then_some(v)
}

/// Likewise.
pub(super) fn known32(v: u32) -> Option<u32> {
    (v != u32::MAX).then_some(v)
}

fn new_row(raw: &types::thread_part) -> TaskRow {
    let mut row = TaskRow {
        tid: raw.tid,
        pid: raw.pid,
        start_ns: raw.start,
        comm: Clean::from_c(&raw.comm),
        ..TaskRow::default()
    };
    show(&mut row, raw);
    row
}

/// Where the kernel has it.
pub(super) fn place(raw: &types::thread_part) -> Place {
    Place {
        state: raw.state,
        exit: u32::from(raw.exit),
        on_cpu: raw.marks & mark::ON_CPU != 0,
        iowait: raw.marks & mark::IOWAIT != 0,
        kernel: raw.marks & mark::KERNEL != 0,
        call: u32::try_from(raw.call).ok(),
        call_known: raw.call != CALL_UNKNOWN,
    }
}

/// The cells that come from the record alone.
fn show(row: &mut TaskRow, raw: &types::thread_part) {
    let place = place(raw);
    row.pid = raw.pid;
    row.uid = known32(raw.uid);
    row.state = class::word(&place);
    row.cpu_ns = known(raw.cpu);
    row.runq_ns = known(raw.runq);
    row.runq_max_ns = known(raw.runq_max);
    row.slices = known(raw.slices);
    row.vol_switches = known(raw.vol);
    row.invol_switches = known(raw.invol);
    row.minflt = known(raw.minflt);
    row.majflt = known(raw.majflt);
    row.read_bytes = known(raw.read);
    row.write_bytes = known(raw.write);
    row.rchar = known(raw.rchar);
    row.wchar = known(raw.wchar);
    row.nice = (raw.nice != i8::MAX).then_some(i32::from(raw.nice));
    row.prio = (raw.prio != i32::MAX).then_some(raw.prio);
    row.policy = policy(raw.policy);
    row.last_cpu = known32(raw.last_cpu);
    row.netns = known32(raw.netns).or(row.netns);
    row.ns_pid = known32(raw.ns_pid);
    row.syscall = place.call.filter(|_| !place.on_cpu).and_then(class::call_name);
}

/// The word of `sched_setscheduler(2)` for a policy's number.
fn policy(number: u8) -> Option<&'static str> {
    match number {
        0 => Some("other"),
        1 => Some("fifo"),
        2 => Some("rr"),
        3 => Some("batch"),
        5 => Some("idle"),
        6 => Some("deadline"),
        7 => Some("ext"),
        _ => None,
    }
}
