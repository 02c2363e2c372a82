//! From what the kernel tells to rows of `life`.

use std::sync::Arc;

use super::hooks::{Event, Lost, types};
use super::known::{Known, Process};
use super::words::{End, Sender, in_words, signal_name};
use crate::probe::cgroup::Cgroups;
use crate::probe::proc::columns::{LifeRow, TaskRow};
use crate::table::Clean;

/// Rows kept for a sample at most, some 30 MB; more are counted.
const MOST_ROWS: usize = 50_000;
/// What the kernel does not count here.
const NONE64: u64 = u64::MAX;

/// Which hooks there are, since without one its columns are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// `sched_process_exec`.
    pub execs: bool,
    /// `signal_generate`.
    pub signals: bool,
    /// `mark_victim`.
    pub oom: bool,
}

/// The rows for the next sample, and what is remembered to make them.
pub(super) struct Tell {
    told: Told,
    known: Known,
    cgroups: Cgroups,
    rows: Vec<LifeRow>,
    excess: Lost,
    page: u64,
}

impl Tell {
    /// Nothing has happened yet.
    pub fn new(told: Told) -> Tell {
        Tell {
            told,
            known: Known::default(),
            cgroups: Cgroups::new(),
            rows: Vec::new(),
            excess: Lost::default(),
            page: page_size(),
        }
    }

    /// Learns of processes that were there before, from the threads as they are.
    pub fn learn(&mut self, threads: &[TaskRow]) {
        self.known.learn(threads, self.told.execs);
    }

    /// The rows since the last call.
    pub fn take_rows(&mut self) -> Vec<LifeRow> {
        std::mem::take(&mut self.rows)
    }

    /// Rows that a sample could not hold.
    pub fn excess(&self) -> Lost {
        self.excess
    }

    /// Takes an event.
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Fork(l) => {
                let argv = self.known.fork(l.pid, l.start_ns, l.ppid);
                self.row("fork", l, |e| &mut e.fork, |row, _| row.argv = argv);
            }
            Event::Thread(l) => {
                let argv = self.known.now(l.pid).and_then(|p| p.argv.clone());
                self.row("thread", l, |e| &mut e.thread, |row, _| row.argv = argv);
            }
            Event::Exec(l, bytes) => {
                let cut = u32::from(l.flags) & types::life_flag::LIFE_CUT.0 != 0;
                let argv = Arc::new(arguments(bytes, cut));
                let old_comm = self.known.exec(l.pid, l.start_ns, argv.clone());
                self.row(
                    "exec",
                    l,
                    |e| &mut e.exec,
                    |row, _| {
                        row.argv = Some(argv);
                        row.old_comm = old_comm;
                    },
                );
            }
            Event::Rename(r) => self.rename(r),
            Event::Exit(e) => self.exit(e),
            Event::ThreadExit(e) => self.thread_exit(e),
        }
    }

    fn rename(&mut self, r: &types::life_rename) {
        let process = self.known.now(r.life.pid);
        if u32::from(r.life.flags) & types::life_flag::LIFE_IN_EXEC.0 != 0 {
            if let Some(p) = process {
                p.was = Some(Clean::from_c(&r.old_comm));
            }
            return;
        }
        let argv = process.and_then(|p| p.argv.clone());
        self.row(
            "rename",
            &r.life,
            |e| &mut e.rename,
            |row, _| {
                row.argv = argv;
                row.old_comm = Some(Clean::from_c(&r.old_comm));
            },
        );
    }

    fn exit(&mut self, e: &types::life_exit) {
        let process = self.known.end(e.life.pid, e.life.start_ns);
        let threads = u32::from(e.life.flags) & types::life_flag::LIFE_THREADS.0 != 0;
        let runq_ns = runq_ns(&e.totals, threads, process.as_ref());
        self.row(
            "exit",
            &e.life,
            |e| &mut e.exit,
            |row, tell| {
                row.argv = process.and_then(|p| p.argv);
                tell.end(row, e);
                row.runq_ns = runq_ns;
            },
        );
    }

    fn thread_exit(&mut self, e: &types::life_exit) {
        let process = self.known.now(e.life.pid);
        let argv = process.as_ref().and_then(|p| p.argv.clone());
        if let Some(p) = process {
            p.runq_ns = p.runq_ns.saturating_add(known(e.totals.own_runq_ns).unwrap_or(0));
        }
        self.row(
            "thread_exit",
            &e.life,
            |e| &mut e.thread_exit,
            |row, tell| {
                row.argv = argv;
                tell.end(row, e);
                row.runq_ns = known(e.totals.own_runq_ns);
            },
        );
    }

    /// One more row, or one more that does not fit.
    fn row(
        &mut self,
        kind: &'static str,
        l: &types::life,
        excess: impl Fn(&mut Lost) -> &mut u64,
        fill: impl FnOnce(&mut LifeRow, &Tell),
    ) {
        if self.rows.len() >= MOST_ROWS {
            *excess(&mut self.excess) += 1;
            return;
        }
        let cgroup = self.cgroups.path(l.cgroup);
        let mut row = LifeRow {
            time_ns: l.time_ns,
            kind,
            pid: l.pid,
            tid: l.tid,
            ppid: Some(l.ppid),
            comm: Clean::from_c(&l.comm),
            start_ns: l.start_ns,
            uid: Some(l.uid),
            cgroup,
            ..LifeRow::default()
        };
        fill(&mut row, self);
        self.rows.push(row);
    }

    /// How it ended, and what it used.
    fn end(&self, row: &mut LifeRow, e: &types::life_exit) {
        row.dur_ns = Some(e.life.time_ns.saturating_sub(e.life.start_ns));
        let number = e.code & 0x7f;
        let oom = u32::from(e.life.flags) & types::life_flag::LIFE_OOM.0 != 0;
        let sender_comm = (e.sender_pid != 0).then(|| Clean::from_c(&e.sender_comm));
        let sender = sender_comm.as_ref().map(|comm| match e.sender_pid {
            pid if pid == e.life.pid => Sender::Itself,
            pid => Sender::Other(pid, comm),
        });
        row.end = Some(in_words(&End { status: e.code, oom, sender }));
        if number == 0 {
            row.code = Some(e.code >> 8 & 0xff);
        } else {
            row.signal = signal_name(number);
            row.core = Some(e.code & 0x80 != 0);
            row.oom = self.told.oom.then_some(oom);
            row.sender_pid = Some(e.sender_pid).filter(|&pid| self.told.signals && pid != 0);
            row.sender_comm = sender_comm;
        }
        let t = &e.totals;
        row.cpu_ns = Some(t.cpu_ns);
        row.maxrss_bytes = known(t.maxrss_pages).map(|pages| pages.saturating_mul(self.page));
        row.read_bytes = known(t.read_bytes);
        row.write_bytes = known(t.write_bytes);
        row.vol_switches = Some(t.nvcsw);
        row.invol_switches = Some(t.nivcsw);
        row.minflt = Some(t.min_flt);
        row.majflt = Some(t.maj_flt);
    }
}

fn known(figure: u64) -> Option<u64> {
    Some(figure).filter(|&f| f != NONE64)
}

/// What all threads of a process waited for a CPU: the kernel keeps it for those that are still
/// there only, so that it is missing where some ended that nobody saw.
fn runq_ns(t: &types::life_totals, threads: bool, process: Option<&Process>) -> Option<u64> {
    let there = known(t.runq_ns)?;
    if !threads {
        return Some(there);
    }
    let p = process.filter(|p| p.born)?;
    Some(there.max(p.runq_ns.saturating_add(known(t.own_runq_ns)?)))
}

/// Arguments with blanks between them, and `...` where they are cut.
fn arguments(bytes: &[u8], cut: bool) -> Clean {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    let mut text: Vec<u8> = bytes[..end].iter().map(|&b| if b == 0 { b' ' } else { b }).collect();
    if cut {
        // Half a character is none.
        while let Err(e) = std::str::from_utf8(&text)
            && e.error_len().is_none()
        {
            text.truncate(e.valid_up_to());
        }
        text.extend_from_slice(b"...");
    }
    Clean::new(&text)
}

fn page_size() -> u64 {
    // SAFETY: the call takes a number and returns one.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests;
