//! Where the time went between two samples: shares that sum to exactly 100 %, and the figures of
//! how it ran.

use std::collections::HashMap;

use crate::source::Moment;
use crate::table::Table;

use super::cols::Cols;
use crate::table::{DOINGS, Doing};

/// One class of a breakdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub class: Doing,
    /// ns in it.
    pub ns: u64,
    /// How often it began.
    pub count: u64,
    /// Share of the whole, tenths of a per cent.
    pub share: u32,
    /// Longest wait for a CPU since the sample before, ns, where it is kept.
    pub max_ns: Option<u64>,
}

/// Where the time of a process or a thread went, and how it ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breakdown {
    /// Wall clock between the samples, ns.
    pub wall_ns: u64,
    /// ns in all classes: thread-seconds of a process.
    pub total_ns: u64,
    /// The classes with time in them, most first; empty while states are not accounted.
    pub parts: Vec<Part>,
    /// Times it was woken.
    pub wakes: Option<u64>,
    /// Of these by a task, in a softirq, in a hard interrupt, and where that is not known.
    pub wakes_by: [Option<u64>; 4],
    /// Slices from a wake to the next sleep: the last and the most since the sample before.
    pub slices: (Option<u64>, Option<u64>),
    /// On-CPU ns from a wake to the next sleep: the last and the most.
    pub run_ns: (Option<u64>, Option<u64>),
    /// Mean wait for a CPU after a wake and after losing it, ns, over all processes.
    pub system: (Option<f64>, Option<f64>),
    /// On-CPU ns and ns on a run queue by the kernel's own accounts: known without states too.
    pub cpu_ns: Option<u64>,
    /// See `cpu_ns`.
    pub runq_ns: Option<u64>,
    /// Voluntary and involuntary switches.
    pub switches: (Option<u64>, Option<u64>),
    /// Minor and major faults.
    pub faults: (Option<u64>, Option<u64>),
    /// Threads of the row.
    pub threads: Option<u64>,
}

/// Columns other than the classes.
const REST: [&str; 20] = [
    "pid",
    "start",
    "tid",
    "wakes",
    "wakes_task",
    "wakes_softirq",
    "wakes_hardirq",
    "wakes_unknown",
    "episode_slices",
    "episode_slices_max",
    "episode_run_ns",
    "episode_run_max_ns",
    "runnable_max_ns",
    "preempted_max_ns",
    "cpu_ns",
    "runq_ns",
    "vol_switches",
    "invol_switches",
    "minflt",
    "majflt",
];

/// Whose time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom {
    /// Process.
    pub pid: u32,
    /// When it began, `CLOCK_MONOTONIC` ns.
    pub start_ns: u64,
    /// One of its threads alone.
    pub tid: Option<u32>,
}

impl Whom {
    fn table(&self) -> &'static str {
        if self.tid.is_some() { "thread" } else { "proc" }
    }

    fn find<const N: usize>(&self, cols: &Cols<'_, N>) -> Option<usize> {
        (0..cols.len()).find(|&r| {
            cols.small(r, 0) == Some(self.pid)
                && match self.tid {
                    Some(tid) => {
                        cols.small(r, 2) == Some(tid)
                            && cols.number(r, 1).is_none_or(|s| s >= self.start_ns)
                    }
                    None => cols.number(r, 1).is_none_or(|s| s == self.start_ns),
                }
        })
    }
}

/// The counters of one row now, and before where it was there.
struct Pair<'a, const N: usize> {
    now: Cols<'a, N>,
    row: usize,
    before: Option<(Cols<'a, N>, usize)>,
}

impl<const N: usize> Pair<'_, N> {
    /// What a counter gained since the sample before.
    fn gained(&self, column: usize) -> Option<u64> {
        let now = self.now.number(self.row, column)?;
        match &self.before {
            // Accounted only since then: all of it came since.
            Some((cols, row)) => now.checked_sub(cols.number(*row, column).unwrap_or(0)),
            None => None,
        }
    }
}

impl Breakdown {
    /// Of a moment; `None` where it has no such row.
    pub fn of(moment: &Moment, whom: Whom) -> Option<Breakdown> {
        let now = moment.now.table(whom.table())?;
        let before = moment.before.as_ref();
        let earlier = before.and_then(|b| Some(b.table(whom.table())?.conform(now.schema())));
        let rest = Cols::new(now, REST);
        let row = whom.find(&rest)?;
        let old = earlier.as_ref().map(|t| Cols::new(t, REST));
        let old = old.and_then(|c| whom.find(&c).map(|r| (c, r)));
        let was = old.as_ref().map(|o| o.1);
        let rest = Pair { now: rest, row, before: old };
        let of = |ids| {
            let before = earlier.as_ref().zip(was).map(|(t, r)| (Cols::new(t, ids), r));
            Pair { now: Cols::new(now, ids), row, before }
        };
        let (ns, count) = (of(Doing::NS), of(Doing::COUNT));
        let now_of = |c| rest.now.number(row, c);
        let mut out = Breakdown {
            wall_ns: before.map_or(0, |b| moment.now.mono_ns.saturating_sub(b.mono_ns)),
            wakes: rest.gained(3),
            wakes_by: [4, 5, 6, 7].map(|c| rest.gained(c)),
            slices: (now_of(8), now_of(9)),
            run_ns: (now_of(10), now_of(11)),
            system: system(now, earlier.as_ref()),
            cpu_ns: rest.gained(14),
            runq_ns: rest.gained(15),
            switches: (rest.gained(16), rest.gained(17)),
            faults: (rest.gained(18), rest.gained(19)),
            threads: Cols::new(now, ["threads"]).number(row, 0),
            ..Breakdown::default()
        };
        let own = || {
            let counts = (0..DOINGS).map(|i| count.gained(i).unwrap_or(0)).collect();
            let spent: Option<Vec<u64>> = (0..DOINGS).map(|i| ns.gained(i)).collect();
            Some((spent?, counts))
        };
        let gained: Option<(Vec<u64>, Vec<u64>)> =
            own().or_else(|| if whom.tid.is_none() { by_threads(moment, whom) } else { None });
        let Some((spent, counts)) = gained else { return Some(out) };
        out.total_ns = spent.iter().sum();
        let shares = shares(&spent);
        for (class, share) in Doing::ALL.into_iter().zip(shares) {
            let i = class.index();
            let max_ns = match class {
                Doing::Runnable => now_of(12),
                Doing::Preempted => now_of(13),
                _ => None,
            };
            let count = counts[i];
            if spent[i] > 0 || count > 0 {
                out.parts.push(Part { class, ns: spent[i], count, share, max_ns });
            }
        }
        out.parts.sort_by_key(|p| (std::cmp::Reverse(p.ns), p.class));
        Some(out)
    }

    /// The part of a class.
    pub fn part(&self, class: Doing) -> Option<&Part> {
        self.parts.iter().find(|p| p.class == class)
    }
}

impl Part {
    /// Mean length of those that began, ns.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.ns as f64 / self.count as f64)
    }
}

/// The sums of a process whose row went back because a thread ended: those of the threads left.
fn by_threads(moment: &Moment, whom: Whom) -> Option<(Vec<u64>, Vec<u64>)> {
    let now = moment.now.table("thread")?;
    let before = moment.before.as_ref()?.table("thread")?.conform(now.schema());
    const KEY: [&str; 3] = ["pid", "tid", "start"];
    let (keys, old_keys) = (Cols::new(now, KEY), Cols::new(&before, KEY));
    let key = |c: &Cols<'_, 3>, r| (c.number(r, 1), c.number(r, 2));
    let of = |c: &Cols<'_, 3>, r: &usize| c.small(*r, 0) == Some(whom.pid);
    let was: HashMap<_, usize> =
        (0..old_keys.len()).filter(|r| of(&old_keys, r)).map(|r| (key(&old_keys, r), r)).collect();
    let mut sums = [vec![0u64; DOINGS], vec![0u64; DOINGS]];
    let mut known = false;
    for (ids, sums) in [Doing::NS, Doing::COUNT].into_iter().zip(&mut sums) {
        let (cols, old) = (Cols::new(now, ids), Cols::new(&before, ids));
        for r in (0..keys.len()).filter(|r| of(&keys, r)) {
            let earlier = was.get(&key(&keys, r));
            for (i, sum) in sums.iter_mut().enumerate() {
                let Some(n) = cols.number(r, i) else { continue };
                let before = earlier.and_then(|w| old.number(*w, i)).unwrap_or(0);
                known = true;
                *sum = sum.saturating_add(n.saturating_sub(before));
            }
        }
    }
    let [ns, counts] = sums;
    known.then_some((ns, counts))
}

/// Mean waits for a CPU of all rows: after a wake, and after losing it.
fn system(now: &Table, before: Option<&Table>) -> (Option<f64>, Option<f64>) {
    const IDS: [&str; 6] =
        ["tid", "start", "runnable_ns", "runnable_count", "preempted_ns", "preempted_count"];
    let cols = Cols::new(now, IDS);
    let Some(old) = before.map(|t| Cols::new(t, IDS)) else { return (None, None) };
    let key = if now.name() == "thread" { "tid" } else { "pid" };
    let ids = Cols::new(now, [key]);
    let Some(old_ids) = before.map(|t| Cols::new(t, [key])) else { return (None, None) };
    let was: HashMap<_, usize> =
        (0..old.len()).map(|r| ((old_ids.number(r, 0), old.number(r, 1)), r)).collect();
    let mut sums = [0u64; 4];
    for r in 0..cols.len() {
        let Some(&w) = was.get(&(ids.number(r, 0), cols.number(r, 1))) else { continue };
        let gained =
            [2, 3, 4, 5].map(|c| cols.number(r, c)?.checked_sub(old.number(w, c).unwrap_or(0)));
        for (sum, gained) in sums.iter_mut().zip(gained) {
            *sum = sum.saturating_add(gained.unwrap_or(0));
        }
    }
    let mean = |ns: u64, n: u64| (n > 0).then(|| ns as f64 / n as f64);
    (mean(sums[0], sums[1]), mean(sums[2], sums[3]))
}

/// Shares in tenths of a per cent that sum to exactly 1000: each is cut, and what is missing goes
/// to the largest remainders. All 0 where there is nothing to share.
pub fn shares(parts: &[u64]) -> Vec<u32> {
    let total: u128 = parts.iter().map(|p| u128::from(*p)).sum();
    if total == 0 {
        return vec![0; parts.len()];
    }
    let whole = |p: &u64| u128::from(*p) * 1000;
    let mut out: Vec<u32> =
        parts.iter().map(|p| u32::try_from(whole(p) / total).unwrap_or(0)).collect();
    let missing = 1000usize.saturating_sub(out.iter().sum::<u32>() as usize);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(whole(&parts[i]) % total), i));
    for i in order.into_iter().take(missing) {
        out[i] += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_exactly_a_hundred_per_cent() {
        assert_eq!(shares(&[1, 1, 1]), [334, 333, 333]);
        assert_eq!(shares(&[2, 1, 0]), [667, 333, 0]);
        assert_eq!(shares(&[0, 0]), [0, 0]);
        assert_eq!(shares(&[]), [] as [u32; 0]);
        assert_eq!(shares(&[u64::MAX, u64::MAX]), [500, 500]);
        let mut n = 1u64;
        for _ in 0..500 {
            let parts: Vec<u64> = (0..13)
                .map(|_| {
                    n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if n >> 62 == 0 { 0 } else { (n >> 33) % 1_000_000_007 }
                })
                .collect();
            let shares = shares(&parts);
            assert_eq!(shares.iter().sum::<u32>(), 1000);
            let total: u64 = parts.iter().sum();
            for (part, share) in parts.iter().zip(shares) {
                let exact = *part as f64 * 1000.0 / total as f64;
                assert!((exact - f64::from(share)).abs() < 1.0, "{part} {share}");
                assert!(*part > 0 || share == 0, "nothing has no share");
            }
        }
    }
}
