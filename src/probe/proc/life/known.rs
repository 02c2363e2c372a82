//! What is remembered of processes that live, so that their ends can be told with their arguments.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;

use crate::probe::proc::columns::TaskRow;
use crate::table::Clean;

/// Processes remembered at most; arguments are shared by a process and its forks.
const MOST: usize = 65_536;
/// A start that /proc tells is rounded to a tick of 10 ms.
const TICKS_NS: u64 = 20_000_000;

/// A living process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    /// When it began, `CLOCK_MONOTONIC` ns.
    pub start_ns: u64,
    /// Its arguments.
    pub argv: Option<Arc<Clean>>,
    /// Its name before the exec that is told next.
    pub was: Option<Clean>,
    /// Whether its beginning was seen, and so every thread of it.
    pub born: bool,
    /// Time that threads which ended had waited for a CPU, ns.
    pub runq_ns: u64,
}

/// Living processes by number.
#[derive(Default)]
pub(super) struct Known(HashMap<u32, Process, RandomState>);

impl Known {
    /// The process of this number that began then.
    pub fn get(&self, pid: u32, start_ns: u64) -> Option<&Process> {
        self.0.get(&pid).filter(|p| p.start_ns.abs_diff(start_ns) < TICKS_NS)
    }

    /// The process that has this number now.
    pub fn now(&mut self, pid: u32) -> Option<&mut Process> {
        self.0.get_mut(&pid)
    }

    /// A process that began, forked from `parent`: it has its arguments.
    pub fn fork(&mut self, pid: u32, start_ns: u64, parent: u32) -> Option<Arc<Clean>> {
        let argv = self.0.get(&parent).and_then(|p| p.argv.clone());
        self.put(pid, Process { start_ns, argv: argv.clone(), born: true, ..Process::default() });
        argv
    }

    /// A process became another program. Returns its name before, if that was told.
    pub fn exec(&mut self, pid: u32, start_ns: u64, argv: Arc<Clean>) -> Option<Clean> {
        if let Some(p) = self.0.get_mut(&pid)
            && p.start_ns.abs_diff(start_ns) < TICKS_NS
        {
            p.argv = Some(argv);
            return p.was.take();
        }
        self.put(pid, Process { start_ns, argv: Some(argv), ..Process::default() });
        None
    }

    /// A process ended; what was known of it.
    pub fn end(&mut self, pid: u32, start_ns: u64) -> Option<Process> {
        self.get(pid, start_ns)?;
        self.0.remove(&pid)
    }

    /// Learns of processes that began unseen, and of new arguments where an exec is not `told`.
    pub fn learn(&mut self, threads: &[TaskRow], execs_told: bool) {
        for row in threads.iter().filter(|r| r.tid == r.pid && r.argv.is_some()) {
            match self.0.get_mut(&row.pid) {
                Some(p) if p.start_ns.abs_diff(row.start_ns) < TICKS_NS => {
                    let same = p.argv.as_deref() == row.argv.as_ref();
                    if p.argv.is_none() || (!execs_told && !same) {
                        p.argv = row.argv.clone().map(Arc::new);
                    }
                }
                _ => {
                    let argv = row.argv.clone().map(Arc::new);
                    let start_ns = row.start_ns;
                    self.put(row.pid, Process { start_ns, argv, ..Process::default() });
                }
            }
        }
        // Ends that were lost leave some behind.
        if self.0.len() > MOST / 2 && !threads.is_empty() {
            let alive: HashSet<u32, RandomState> = threads.iter().map(|r| r.pid).collect();
            self.0.retain(|pid, _| alive.contains(pid));
        }
    }

    fn put(&mut self, pid: u32, process: Process) {
        if self.0.len() < MOST || self.0.contains_key(&pid) {
            self.0.insert(pid, process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Arc<Clean> {
        Arc::new(Clean::from(text))
    }

    fn row(pid: u32, start_ns: u64, text: &str) -> TaskRow {
        TaskRow { pid, tid: pid, start_ns, argv: Some(Clean::from(text)), ..TaskRow::default() }
    }

    #[test]
    fn a_fork_has_its_parents_arguments_until_it_execs() {
        let mut known = Known::default();
        assert_eq!(known.exec(7, 100, argv("bash -l")), None);
        assert_eq!(known.fork(8, 200, 7).unwrap().as_str(), "bash -l");
        known.exec(8, 200, argv("true"));
        assert_eq!(known.end(8, 200).unwrap().argv.unwrap().as_str(), "true");
        assert_eq!(known.get(7, 100).unwrap().argv.as_ref().unwrap().as_str(), "bash -l");
        assert!(known.end(8, 200).is_none(), "once");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut known = Known::default();
        known.exec(7, 1_000_000_000, argv("old"));
        assert!(known.end(7, 9_000_000_000).is_none());
        assert_eq!(known.fork(7, 9_000_000_000, 1), None);
        assert!(known.end(7, 9_000_000_000).unwrap().argv.is_none());
    }

    #[test]
    fn what_began_unseen_is_learned_and_events_know_better() {
        let mut known = Known::default();
        known.learn(&[row(7, 1_000, "sshd")], true);
        known.exec(7, 1_000, argv("new"));
        known.learn(&[row(7, 1_000, "sshd")], true);
        assert_eq!(known.get(7, 1_000).unwrap().argv.as_ref().unwrap().as_str(), "new");
        known.learn(&[row(7, 1_000, "newer")], false);
        assert_eq!(known.end(7, 1_000).unwrap().argv.unwrap().as_str(), "newer");
    }

    #[test]
    fn no_more_than_the_most_are_remembered() {
        let mut known = Known::default();
        for pid in 0..MOST as u32 + 10 {
            known.fork(pid, 1, 0);
        }
        assert_eq!(known.0.len(), MOST);
        known.learn(&[row(3, 1, "a"), row(MOST as u32 + 1, 1, "b")], true);
        assert_eq!(known.0.len(), 1);
    }
}
