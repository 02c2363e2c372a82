//! A thread's record as the kernel keeps it, made into what the thread spent.

use ahash::AHashMap;

use super::types;
use crate::probe::proc::columns::TaskRow;
use crate::probe::proc::spent::Spent;
use crate::table::Doing;

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

/// Gives it to the thread it is of, if that is among these; `threads` is by tid.
pub(super) fn give(row: &types::row, threads: &mut [TaskRow]) -> bool {
    let Ok(i) = threads.binary_search_by_key(&row.tid, |t| t.tid) else { return false };
    let Some(thread) = threads.get_mut(i) else { return false };
    if thread.start_ns.abs_diff(row.start_ns) > TICK_NS {
        return false;
    }
    if let Some(spent) = spent(row) {
        **thread.spent.get_or_insert_default() = spent;
    }
    true
}

/// What threads did that have ended, by process: its pid and start.
#[derive(Default)]
pub(super) struct Ended {
    sums: AHashMap<(u32, u64), Spent>,
    /// First threads that ended, in case their process goes on (exec by another thread, which
    /// takes the number).
    first: AHashMap<(u32, u64), Spent>,
    /// First threads that have not ended, by number: which they are.
    living: AHashMap<u32, u64>,
    /// Ended, but among the threads of the last sample.
    shown: Vec<types::row>,
    /// Told of since the last sample.
    fresh: Vec<types::row>,
}

impl Ended {
    /// A thread has ended.
    pub fn push(&mut self, row: &types::row) {
        self.fresh.push(*row);
    }

    /// Before threads are given what they did: who was among them before has left.
    pub fn begin(&mut self) {
        for row in std::mem::take(&mut self.shown) {
            self.add(&row);
        }
        self.living.clear();
    }

    /// After it: who is still among them gets what it did to its end, the others are summed up.
    pub fn settle(&mut self, threads: &mut [TaskRow]) {
        for row in std::mem::take(&mut self.fresh) {
            let other = self.living.get(&row.tid).is_some_and(|task| *task != row.task);
            if other {
                self.add(&row);
                self.pass_on((row.tgid, row.leader_start_ns));
            } else if give(&row, threads) {
                self.shown.push(row);
            } else {
                self.add(&row);
            }
        }
        let lives = |&(pid, _): &(u32, u64)| threads.binary_search_by_key(&pid, |t| t.tid).is_ok();
        self.sums.retain(|process, _| lives(process));
        self.first.retain(|process, _| lives(process));
    }

    fn add(&mut self, row: &types::row) {
        let Some(spent) = spent(row) else { return };
        let process = (row.tgid, row.leader_start_ns);
        if row.tid == row.tgid {
            // It stays among the threads until somebody has waited for it.
            self.first.insert(process, spent);
        } else {
            self.sums.entry(process).or_default().add(&spent);
        }
    }

    /// A thread that runs has this number: if the first thread of its process had ended, it has
    /// become another.
    pub fn lives(&mut self, row: &types::row) {
        if row.tid != row.tgid || row.r.ended != 0 {
            return;
        }
        self.living.insert(row.tid, row.task);
        self.pass_on((row.tgid, row.leader_start_ns));
    }

    fn pass_on(&mut self, process: (u32, u64)) {
        if let Some(spent) = self.first.remove(&process) {
            self.sums.entry(process).or_default().add(&spent);
        }
    }

    /// What ended threads of this process did.
    pub fn of(&self, pid: u32, start_ns: u64) -> Option<&Spent> {
        self.sums.get(&(pid, start_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::DOINGS;

    fn row(tid: u32, tgid: u32, state: Doing) -> types::row {
        let mut row =
            types::row { tid, tgid, start_ns: 7, leader_start_ns: 7, ..Default::default() };
        (row.now, row.r.born, row.r.since, row.r.state) = (1_000, 100, 600, state as u8);
        row.r.ns[Doing::Running as usize] = 500;
        row
    }

    #[test]
    fn what_is_open_is_counted_in() {
        let s = spent(&row(1, 1, Doing::Poll)).unwrap();
        assert_eq!((s.ns[Doing::Running as usize], s.ns[Doing::Poll as usize]), (500, 400));
        assert_eq!((s.ns.iter().sum::<u64>(), s.since_ns), (900, 600));
    }

    #[test]
    fn who_is_woken_waits_for_its_cpu() {
        let mut r = row(1, 1, Doing::Poll);
        (r.lead, r.r.wake.ts, r.r.wake.context) = (1, 700, 2);
        let s = spent(&r).unwrap();
        assert_eq!((s.ns[Doing::Poll as usize], s.ns[Doing::Runnable as usize]), (100, 300));
        assert_eq!((s.wakes, s.wakes_by, s.runnable_max_ns), (1, [0, 0, 1, 0], 300));
        // A note of before the sleep, by a waker who was quicker than the scheduler.
        r.r.wake.ts = 599;
        let s = spent(&r).unwrap();
        assert_eq!((s.ns[Doing::Poll as usize], s.ns[Doing::Runnable as usize]), (0, 400));
    }

    #[test]
    fn a_record_read_while_it_is_written_is_none() {
        let mut r = row(1, 1, Doing::Poll);
        r.r.ns[Doing::Running as usize] = 501;
        assert_eq!(spent(&r), None);
    }

    #[test]
    fn maxima_are_those_since_the_reading_before() {
        let mut r = row(1, 1, Doing::Poll);
        (r.r.runnable_max, r.r.window, r.r.seen) = (50, 3, 3);
        assert_eq!(spent(&r).unwrap().runnable_max_ns, 50);
        r.r.seen = 4;
        assert_eq!(spent(&r).unwrap().runnable_max_ns, 0);
    }

    #[test]
    fn an_ended_thread_counts_once_for_its_process() {
        let mut ended = Ended::default();
        let mut threads = [
            TaskRow { tid: 1, pid: 1, start_ns: 7, ..TaskRow::default() },
            TaskRow { tid: 2, pid: 1, start_ns: 7, ..TaskRow::default() },
        ];
        let mut end = row(2, 1, Doing::Running);
        end.r.ended = 1;
        ended.push(&end);
        ended.begin();
        ended.settle(&mut threads);
        assert_eq!(threads[1].spent.as_ref().unwrap().ns[0], 500);
        assert_eq!(ended.of(1, 7), None, "it is among the threads still");
        ended.begin();
        ended.settle(&mut threads[..1]);
        assert_eq!(ended.of(1, 7).unwrap().ns[..DOINGS].iter().sum::<u64>(), 500);
    }

    #[test]
    fn a_first_thread_that_ends_after_the_pass_does_not_take_the_others_place() {
        let mut ended = Ended::default();
        let mut threads = [TaskRow { tid: 1, pid: 1, start_ns: 7, ..TaskRow::default() }];
        let (mut old, mut new) = (row(1, 1, Doing::Running), row(1, 1, Doing::Poll));
        (old.task, new.task, old.r.ended) = (5, 6, 1);
        ended.begin();
        ended.lives(&new);
        give(&new, &mut threads);
        ended.push(&old);
        ended.settle(&mut threads);
        assert_eq!(threads[0].spent.as_ref().unwrap().ns[Doing::Poll as usize], 400);
        assert_eq!(ended.of(1, 7).unwrap().ns[0], 500);
    }

    #[test]
    fn what_a_first_thread_did_stays_when_another_takes_its_number() {
        let mut ended = Ended::default();
        let mut threads = [TaskRow { tid: 1, pid: 1, start_ns: 7, ..TaskRow::default() }];
        let mut end = row(1, 1, Doing::Running);
        end.r.ended = 1;
        ended.push(&end);
        ended.settle(&mut threads);
        ended.begin();
        assert_eq!(ended.of(1, 7), None);
        ended.lives(&row(1, 1, Doing::Running));
        assert_eq!(ended.of(1, 7).unwrap().ns[0], 500);
    }
}
