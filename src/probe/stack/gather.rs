//! The sums of an interval: one row for each thread, state, system call and stack.

use std::sync::Arc;

use ahash::AHashMap;

use super::row::{Hist, StackRow, Waker};
use crate::symbol::Stack;
use crate::table::Clean;

/// Rows at most in one interval; what is beyond goes to one row of its process without a stack.
const MOST: usize = 50_000;

/// What a row is about besides its stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: Option<u32>,
    /// Its name.
    pub comm: Clean,
    /// Its control group's path.
    pub cgroup: Option<Clean>,
    /// In the words of table `state`, or what happened.
    pub state: &'static str,
    /// The system call it was in.
    pub syscall: Option<Clean>,
    /// The block device.
    pub dev: Option<Clean>,
    /// It waited long, and for something that may never come.
    pub idle: bool,
    /// Who woke it.
    pub waker: Option<Waker>,
}

/// How single events spread: of the ns that they took and of their bytes.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// By ns.
    pub ns: Hist,
    /// The longest.
    pub max_ns: Option<u64>,
    /// By bytes.
    pub bytes: Hist,
    /// The largest.
    pub max_bytes: Option<u64>,
}

/// What adds up.
#[derive(Clone, Debug, Default)]
struct Sum {
    count: u64,
    value: u64,
    max: Option<u64>,
    hist: Option<Box<Hist>>,
    max_bytes: Option<u64>,
    sizes: Option<Box<Hist>>,
    samples: u64,
    sampled: u64,
}

/// What was gathered since the last rows were taken.
#[derive(Default)]
pub struct Gather {
    sums: AHashMap<(Key, Arc<Stack>), Sum>,
    /// Events whose stack was left out, there being too many.
    pub crowded: u64,
}

impl Gather {
    /// One sample that stands for `count` events of `value` together.
    pub fn add(&mut self, key: Key, stack: &Arc<Stack>, count: u64, value: u64) {
        self.share(key, stack, (count, value), Some(value));
    }

    /// Events and what they are together, where that is known exactly; `sampled` is what a sample of
    /// them stands for, if there was one.
    pub fn share(
        &mut self,
        key: Key,
        stack: &Arc<Stack>,
        (count, value): (u64, u64),
        sampled: Option<u64>,
    ) {
        let sum = self.sum(key, stack);
        sum.count = sum.count.saturating_add(count);
        sum.value = sum.value.saturating_add(value);
        sum.samples += u64::from(sampled.is_some());
        sum.sampled = sum.sampled.saturating_add(sampled.unwrap_or(0));
    }

    /// So many events of `value` together, which no sample stands for.
    pub fn rest(&mut self, key: Key, stack: &Arc<Stack>, count: u64, value: u64) {
        let sum = self.sum(key, stack);
        sum.count = sum.count.saturating_add(count);
        sum.value = sum.value.saturating_add(value);
    }

    /// How events at a stack spread that are counted already.
    pub fn spread(&mut self, key: Key, stack: &Arc<Stack>, spread: &Spread) {
        let sum = self.sum(key, stack);
        sum.max = sum.max.max(spread.max_ns);
        sum.max_bytes = sum.max_bytes.max(spread.max_bytes);
        sum.hist.get_or_insert_default().merge(&spread.ns);
        sum.sizes.get_or_insert_default().merge(&spread.bytes);
    }

    /// One event of this length at a stack, for its largest and its spread.
    pub fn took(&mut self, key: Key, stack: &Arc<Stack>, ns: u64) {
        let sum = self.sum(key, stack);
        sum.max = sum.max.max(Some(ns));
        sum.hist.get_or_insert_default().add(ns, 1);
    }

    fn sum(&mut self, key: Key, stack: &Arc<Stack>) -> &mut Sum {
        let mut at = (key, stack.clone());
        if self.sums.len() >= MOST && !self.sums.contains_key(&at) {
            self.crowded += 1;
            let key = Key { pid: at.0.pid, state: at.0.state, ..Key::default() };
            at = (key, Arc::default());
        }
        self.sums.entry(at).or_default()
    }

    /// The rows, the largest first; nothing is left.
    pub fn rows(&mut self) -> Vec<StackRow> {
        let sums = std::mem::take(&mut self.sums);
        // The next ones will be about as many: a table that grows is copied each time.
        self.sums.reserve(sums.len());
        let mut rows: Vec<StackRow> =
            sums.into_iter().map(|((k, s), sum)| row(k, s, sum)).collect();
        rows.sort_unstable_by(|a, b| (b.value, a.pid, a.tid).cmp(&(a.value, b.pid, b.tid)));
        rows
    }
}

fn row(key: Key, stack: Arc<Stack>, sum: Sum) -> StackRow {
    StackRow {
        pid: key.pid,
        tid: key.tid,
        comm: key.comm,
        cgroup: key.cgroup,
        state: key.state,
        syscall: key.syscall,
        count: sum.count,
        value: sum.value,
        max: sum.max,
        hist: sum.hist.and_then(|h| h.cell()),
        max_bytes: sum.max_bytes,
        sizes: sum.sizes.and_then(|h| h.cell()),
        dev: key.dev,
        samples: sum.samples,
        sampled: sum.sampled,
        idle: key.idle,
        waker: key.waker,
        stack,
        ..StackRow::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(names: &str) -> Arc<Stack> {
        Arc::new(Stack::new(names.into(), Clean::default()))
    }

    #[test]
    fn equal_stacks_add_up_and_the_largest_comes_first() {
        let mut g = Gather::default();
        let key = || Key { pid: 7, state: "running", ..Key::default() };
        g.add(key(), &stack("main;a"), 1, 10);
        g.add(key(), &stack("main;b"), 1, 10);
        g.add(key(), &stack("main;b"), 2, 25);
        g.took(key(), &stack("main;b"), 5);
        let rows = g.rows();
        let shown: Vec<_> =
            rows.iter().map(|r| (r.stack.names.as_str(), r.count, r.value, r.samples)).collect();
        assert_eq!(shown, [("main;b", 3, 35, 2), ("main;a", 1, 10, 1)]);
        assert_eq!(rows[0].max, Some(5));
        assert_eq!(rows[0].hist.as_ref().unwrap().as_str(), "3:1");
        assert!(g.rows().is_empty());
    }

    #[test]
    fn what_was_not_sampled_counts_without_a_sample() {
        let mut g = Gather::default();
        let key = || Key { pid: 7, state: "call", ..Key::default() };
        g.add(key(), &stack("main"), 2, 10);
        g.rest(key(), &stack("main"), 3, 5);
        let spread = Spread {
            ns: Hist::of([0, 4, 1]),
            max_ns: Some(3),
            bytes: Hist::of([0, 0, 5]),
            max_bytes: Some(2),
        };
        g.spread(key(), &stack("main"), &spread);
        g.spread(key(), &stack("main"), &Spread { max_ns: None, ..spread });
        let rows = g.rows();
        let row = &rows[0];
        assert_eq!((rows.len(), row.count, row.value, row.samples), (1, 5, 15, 1));
        assert_eq!((row.max, row.max_bytes), (Some(3), Some(2)));
        let cells = [&row.hist, &row.sizes].map(|c| c.as_ref().unwrap().as_str().to_owned());
        assert_eq!(cells, ["1:8 2:2", "2:10"]);
    }

    #[test]
    fn a_flood_of_stacks_keeps_its_total() {
        let mut g = Gather::default();
        for i in 0..MOST + 10 {
            g.add(Key { pid: 1, ..Key::default() }, &stack(&format!("f{i}")), 1, 2);
        }
        assert_eq!(g.crowded, 10);
        let rows = g.rows();
        assert_eq!(rows.len(), MOST + 1);
        assert_eq!(rows.iter().map(|r| r.value).sum::<u64>(), 2 * (MOST as u64 + 10));
    }
}
