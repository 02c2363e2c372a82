//! A thread's record as the kernel keeps it, made into what the thread spent.

use ahash::AHashMap;

use super::types;
use crate::probe::proc::columns::TaskRow;
use crate::probe::proc::doing::{DOINGS, Doing, Spent};

/// Starts that differ by less are the same: /proc counts in ticks of up to 10 ms.
const TICK_NS: u64 = 20_000_000;

/// What this thread spent until it was read, what is open counted in; `None` where the record was
/// read while it was being written.
pub(super) fn spent(row: &types::row) -> Option<Spent> {
    let r = &row.r;
    let mut s = Spent {
        ns: r.ns,
        count: r.count,
        wakes: 0,
        wakes_by: r.wakes_by,
        episode_slices: u64::from(r.slices_last),
        episode_run_ns: r.run_last,
        since_ns: r.since,
        ..Spent::default()
    };
    if r.ns.iter().sum::<u64>() != r.since.wrapping_sub(r.born) {
        return None;
    }
    // Maxima of before the last reading are not of now.
    if r.window == r.seen {
        s.runnable_max_ns = r.runnable_max;
        s.preempted_max_ns = r.preempted_max;
        s.episode_slices_max = u64::from(r.slices_max);
        s.episode_run_max_ns = r.run_max;
    }
    if r.ended == 0 {
        open(row, &mut s);
    }
    s.wakes = s.wakes_by.iter().sum();
    Some(s)
}

/// Counts in what has not ended yet.
fn open(row: &types::row, s: &mut Spent) {
    let r = &row.r;
    let mut doing = Doing::of(r.state);
    if row.lead != 0 {
        // Woken, and its CPU is still to come.
        let woken = r.wake.ts.clamp(r.since, row.now.max(r.since));
        s.ns[doing as usize] += woken - r.since;
        doing = Doing::Runnable;
        s.count[doing as usize] += 1;
        s.wakes_by[usize::from(r.wake.context & 3)] += 1;
        s.since_ns = woken;
    }
    let ns = row.now.saturating_sub(s.since_ns);
    s.ns[doing as usize] += ns;
    match doing {
        Doing::Runnable => s.runnable_max_ns = s.runnable_max_ns.max(ns),
        Doing::Preempted => s.preempted_max_ns = s.preempted_max_ns.max(ns),
        _ => {}
    }
}

/// What it does now.
pub(super) fn doing(row: &types::row) -> Doing {
    if row.lead != 0 { Doing::Runnable } else { Doing::of(row.r.state) }
}

/// Adds it to the thread it is of; `threads` is by tid.
pub(super) fn give(row: &types::row, threads: &mut [TaskRow]) {
    let Ok(i) = threads.binary_search_by_key(&row.tid, |t| t.tid) else { return };
    let Some(thread) = threads.get_mut(i) else { return };
    if thread.start_ns.abs_diff(row.start_ns) > TICK_NS {
        return;
    }
    // Where a thread only stands in the queue, the account knows why.
    let why = doing(row);
    if thread.state == Doing::Runnable.word() && why == Doing::Preempted {
        thread.state = why.word();
    }
    thread.spent = spent(row).map(Box::new);
}

/// Adds the second to the first.
fn sum(a: &mut Spent, b: &Spent) {
    for i in 0..DOINGS {
        a.ns[i] += b.ns[i];
        a.count[i] += b.count[i];
    }
    a.wakes += b.wakes;
    a.wakes_by.iter_mut().zip(b.wakes_by).for_each(|(a, b)| *a += b);
}

/// What threads did that have ended, by process.
#[derive(Default)]
pub(super) struct Ended(AHashMap<(u32, u64), Spent>);

impl Ended {
    /// Adds a thread that has ended; of a process its first thread's start is the process's.
    pub fn add(&mut self, row: &types::row) {
        // The last thread's record stays with it until somebody has waited for it.
        if row.tid == row.tgid {
            return;
        }
        if let Some(spent) = spent(row) {
            sum(self.0.entry((row.tgid, row.leader_start_ns)).or_default(), &spent);
        }
    }

    /// What ended threads of this process did.
    pub fn of(&self, pid: u32, start_ns: u64) -> Option<&Spent> {
        self.0.get(&(pid, start_ns))
    }

    /// Forgets processes that are no more.
    pub fn forget(&mut self, threads: &[TaskRow]) {
        self.0.retain(|(pid, _), _| threads.binary_search_by_key(pid, |t| t.tid).is_ok());
    }
}
