//! Every thread at each sample: one pass of `iter/task`, /proc where that is refused.
//!
//! `pass` reads the kernel's records, `procfs` makes the same ones of /proc; `threads` keeps them as
//! rows, `processes` sums these up; `files` reads what only /proc tells, and seldom.

mod files;
mod pass;
mod processes;
mod procfs;
mod stat;
mod status;
mod threads;

use anyhow::Result;

use self::files::Files;
use self::pass::Pass;
use self::processes::{Outside, Processes};
use self::procfs::Procfs;
use self::threads::Threads;
use super::columns::TaskRow;
use super::spent::Spent;
use crate::bpf::Refusal;
use crate::probe::At;
use crate::probe::cgroup::Cgroups;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/proc.bpf.c`: its records are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/proc.skel.rs"));
}

/// Control groups without a name are looked up again every so many passes.
const NAME_AGAIN: u32 = 4;

/// The threads and processes as last read.
pub struct Tasks {
    pass: Result<Pass, Refusal>,
    /// The way without BPF, where the iterator is refused.
    procfs: Option<Procfs>,
    threads: Threads,
    processes: Processes,
    files: Files,
    cgroups: Cgroups,
    watched: Vec<u32>,
    page_bytes: u64,
    /// Not every thread that sleeps deeply could be looked at.
    behind: bool,
    /// Rows are as the last renewal left them.
    whole: bool,
}

/// Where rows stood at the sample before, if any moved, and which differ from what stood there.
pub type Renewal<'a> = (&'a [u32], &'a [u32]);

impl Tasks {
    /// Opens the best way there is.
    pub fn open() -> Tasks {
        Tasks::with(Pass::open().map_err(Refusal::from))
    }

    /// Opens /proc, even where BPF is there.
    pub fn open_without_bpf() -> Tasks {
        let summary = "not used, as was asked".to_owned();
        Tasks::with(Err(Refusal { summary, ..Refusal::default() }))
    }

    fn with(pass: Result<Pass, Refusal>) -> Tasks {
        // SAFETY: the call has no memory arguments.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Tasks {
            procfs: pass.is_err().then(Procfs::new),
            pass,
            threads: Threads::default(),
            processes: Processes::default(),
            files: Files::new(),
            cgroups: Cgroups::new(),
            watched: Vec::new(),
            page_bytes: u64::try_from(page).unwrap_or(4096),
            behind: false,
            whole: false,
        }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When no way gives any.
    pub fn read(&mut self, at: At) -> Result<()> {
        self.whole = false;
        self.threads.begin();
        let threads = &mut self.threads;
        match (&mut self.pass, &mut self.procfs) {
            (Ok(pass), _) => pass.read(|record| threads.take(record))?,
            (Err(_), Some(procfs)) => {
                procfs.read(&mut self.files, |record| threads.take(record))?
            }
            (Err(_), None) => {}
        }
        self.threads.end();
        self.behind = !self.threads.find_wchans(&mut self.files, &self.watched, self.behind);
        let again = self.threads.pass().is_multiple_of(NAME_AGAIN);
        self.threads.name_cgroups(&mut self.cgroups, again);
        let mut outside = Outside {
            files: &mut self.files,
            now_ns: at.mono_ns,
            page_bytes: self.page_bytes,
            by_files: self.pass.is_err(),
        };
        self.processes.follow(&mut self.threads, &mut outside);
        self.whole = true;
        Ok(())
    }

    /// The threads as last read, by tid.
    pub fn threads(&self) -> &[TaskRow] {
        self.threads.rows()
    }

    /// The same, to add what they did.
    pub fn threads_mut(&mut self) -> &mut [TaskRow] {
        self.threads.rows_mut()
    }

    /// The thread of this number.
    pub fn thread(&self, tid: u32) -> Option<&TaskRow> {
        find(self.threads.rows(), tid)
    }

    /// The process of this number.
    pub fn process(&self, pid: u32) -> Option<&TaskRow> {
        find(self.processes.rows(), pid)
    }

    /// The processes, threads summed, by pid; what their threads did as of the last [`Tasks::sum`].
    pub fn processes(&self) -> &[TaskRow] {
        self.processes.rows()
    }

    /// Adds up for the processes what was added to their threads. `ended` knows what ended threads
    /// of a process (its pid and start) did; where it does not, that is as they were last seen.
    pub fn sum<'a>(&mut self, ended: impl Fn(u32, u64) -> Option<&'a Spent>) {
        self.processes.add_spent(self.threads.rows(), ended);
    }

    /// What the threads did is not accounted any more.
    pub fn forget_spent(&mut self) {
        for row in self.threads.rows_mut() {
            row.spent = None;
        }
        self.processes.forget_spent();
    }

    /// How the last reading changed the threads; `None` when that is not known.
    pub fn threads_renewal(&self) -> Option<Renewal<'_>> {
        self.whole.then(|| self.threads.renewal())
    }

    /// How it changed the processes; `None` when that is not known.
    pub fn processes_renewal(&self) -> Option<Renewal<'_>> {
        self.whole.then(|| self.processes.renewal())
    }

    /// Of these processes' threads more is read (wchan).
    pub fn watch(&mut self, pids: &[u32]) {
        self.watched = pids.to_vec();
        self.behind = true;
    }
}

/// The row of this number among rows by number.
fn find(rows: &[TaskRow], tid: u32) -> Option<&TaskRow> {
    rows.binary_search_by_key(&tid, |r| r.tid).ok().map(|i| &rows[i])
}

#[cfg(test)]
mod tests;
