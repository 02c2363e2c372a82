//! Ends of processes that nobody told of: those that were there at one sample and not at the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;

use crate::probe::proc::columns::{LifeRow, TaskRow};
use crate::table::Clean;

/// What `end` says where nobody saw how a process ended.
const NOT_SEEN: &str = "not seen";

/// The processes at the sample before.
#[derive(Default)]
pub(super) struct Vanished(HashMap<(u32, u64), LifeRow, RandomState>);

impl Vanished {
    /// Takes the threads as they are; a row for each process that is gone, with what was last seen
    /// of it. It ended `now` at the latest.
    pub fn rows(&mut self, threads: &[TaskRow], now_ns: u64) -> Vec<LifeRow> {
        // Nobody can be asked when there is no thread at all, not even this one.
        if threads.is_empty() {
            return Vec::new();
        }
        let mut there = processes(threads);
        std::mem::swap(&mut self.0, &mut there);
        let gone = there.into_iter().filter(|(key, _)| !self.0.contains_key(key));
        let mut rows: Vec<LifeRow> = gone
            .map(|((_, start_ns), row)| LifeRow {
                time_ns: now_ns,
                dur_ns: Some(now_ns.saturating_sub(start_ns)),
                end: Some(Clean::from(NOT_SEEN)),
                ..row
            })
            .collect();
        rows.sort_unstable_by_key(|r| r.pid);
        rows
    }
}

/// Rows of the processes, threads summed.
fn processes(threads: &[TaskRow]) -> HashMap<(u32, u64), LifeRow, RandomState> {
    let mut starts: HashMap<u32, u64, RandomState> = HashMap::default();
    let mut all: HashMap<(u32, u64), LifeRow, RandomState> = HashMap::default();
    // A zombie has ended, and only its parent does not know it yet; but where other threads go on,
    // it is only the first of them that has.
    let lives = |r: &&TaskRow| !matches!(r.state, "zombie" | "dead");
    let alive: HashSet<u32, RandomState> = threads.iter().filter(lives).map(|r| r.pid).collect();
    for first in threads.iter().filter(|r| r.tid == r.pid && alive.contains(&r.pid)) {
        starts.insert(first.pid, first.start_ns);
        all.insert((first.pid, first.start_ns), row_of(first));
    }
    for thread in threads {
        let Some(start) = starts.get(&thread.pid) else { continue };
        if let Some(row) = all.get_mut(&(thread.pid, *start)) {
            add(row, thread);
        }
    }
    all
}

fn row_of(first: &TaskRow) -> LifeRow {
    LifeRow {
        kind: "exit",
        pid: first.pid,
        tid: first.pid,
        ppid: first.ppid,
        comm: first.comm.clone(),
        argv: first.argv.clone().map(Arc::new),
        start_ns: first.start_ns,
        uid: first.uid,
        cgroup: first.cgroup.clone(),
        ..LifeRow::default()
    }
}

fn add(row: &mut LifeRow, thread: &TaskRow) {
    let sum = |to: &mut Option<u64>, more: Option<u64>| {
        *to = more.map(|m| to.unwrap_or(0).saturating_add(m)).or(*to);
    };
    sum(&mut row.cpu_ns, thread.cpu_ns);
    sum(&mut row.runq_ns, thread.runq_ns);
    sum(&mut row.vol_switches, thread.vol_switches);
    sum(&mut row.invol_switches, thread.invol_switches);
    sum(&mut row.minflt, thread.minflt);
    sum(&mut row.majflt, thread.majflt);
    sum(&mut row.read_bytes, thread.read_bytes);
    sum(&mut row.write_bytes, thread.write_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(pid: u32, tid: u32, cpu_ns: u64) -> TaskRow {
        TaskRow {
            pid,
            tid,
            start_ns: u64::from(tid) * 10,
            cpu_ns: Some(cpu_ns),
            state: "sleep",
            comm: Clean::from("worker"),
            argv: Some(Clean::from("worker -v")),
            ..TaskRow::default()
        }
    }

    #[test]
    fn what_is_gone_at_the_next_sample_ended_unseen_with_the_totals_last_seen() {
        let mut vanished = Vanished::default();
        let before = [thread(1, 1, 5), thread(7, 7, 100), thread(7, 8, 11)];
        assert!(vanished.rows(&before, 1_000).is_empty());
        let rows = vanished.rows(&before[..1], 2_000);
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.kind, row.pid, row.time_ns, row.dur_ns), ("exit", 7, 2_000, Some(1_930)));
        assert_eq!((row.cpu_ns, row.runq_ns, row.code), (Some(111), None, None));
        assert_eq!(row.end.as_ref().unwrap().as_str(), "not seen");
        assert_eq!(row.argv.as_ref().unwrap().as_str(), "worker -v");
        assert!(vanished.rows(&before[..1], 3_000).is_empty(), "once");
    }

    #[test]
    fn a_number_used_again_and_a_zombie_count_as_ended() {
        let mut vanished = Vanished::default();
        vanished.rows(&[thread(4, 4, 1), thread(4, 5, 1), thread(7, 7, 1), thread(9, 9, 1)], 1);
        let again = TaskRow { start_ns: 500, ..thread(7, 7, 1) };
        let zombie = |pid| TaskRow { state: "zombie", ..thread(pid, pid, 1) };
        let rows = vanished.rows(&[again, zombie(9), zombie(4), thread(4, 5, 1)], 600);
        assert_eq!(rows.iter().map(|r| r.pid).collect::<Vec<_>>(), [7, 9]);
    }

    #[test]
    fn when_nothing_can_be_read_nobody_has_ended() {
        let mut vanished = Vanished::default();
        vanished.rows(&[thread(7, 7, 1)], 1);
        assert!(vanished.rows(&[], 2).is_empty());
        assert!(vanished.rows(&[thread(7, 7, 1)], 3).is_empty());
    }
}
