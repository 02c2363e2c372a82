//! What was allocated, given back and kept, by stack.
//!
//! All in `f64`: a sample stands for a fraction of an allocation, and exact sums are whole numbers
//! that stay so below 2^53.

use std::sync::Arc;

use ahash::AHashMap;

use crate::probe::stack::{Hist, StackRow};
use crate::symbol::Stack;
use crate::table::Clean;

/// Rows at most; what is beyond is one row without a stack.
const MOST: usize = 2_000;

/// How often and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    pub count: f64,
    pub bytes: f64,
}

impl Amount {
    /// What one sampled allocation of this size stands for, where one byte in `mean` is drawn: it
    /// was taken with a chance of 1 - exp(-size / mean).
    pub fn drawn(size: u64, mean: f64) -> Amount {
        let size = size as f64;
        let chance = -(-size / mean).exp_m1();
        // Of no bytes none is drawn.
        let count = if chance > 0.0 { 1.0 / chance } else { 0.0 };
        Amount { count, bytes: count * size }
    }

    /// The same, taken away.
    pub fn less(self) -> Amount {
        Amount { count: -self.count, bytes: -self.bytes }
    }

    fn add(&mut self, other: Amount) {
        self.count += other.count;
        self.bytes += other.bytes;
    }

    /// As (bytes, times), the way a row has it.
    fn cells(self) -> (u64, u64) {
        // A cast of a float keeps within the integer's bounds.
        (self.bytes.round() as u64, self.count.round() as u64)
    }
}

/// One stack.
#[derive(Clone, Debug, Default)]
struct Site {
    got: Amount,
    freed: Amount,
    live: Amount,
    /// Whole allocations or samples that are live: at 0 nothing is, whatever rounding left.
    left: i64,
    samples: u64,
    hist: Option<Box<Hist>>,
    is_changed: bool,
}

impl Site {
    fn join(&mut self, other: Site) {
        self.got.add(other.got);
        self.freed.add(other.freed);
        self.live.add(other.live);
        self.left += other.left;
        self.samples += other.samples;
    }

    fn is_live(&self) -> bool {
        self.left > 0
    }
}

/// Whose rows they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    pub pid: u32,
    pub comm: Clean,
    pub cgroup: Option<Clean>,
}

/// All stacks of one process.
#[derive(Default)]
pub(super) struct Sites {
    sites: AHashMap<Arc<Stack>, Site>,
}

impl Sites {
    /// So much was allocated here.
    pub fn got(&mut self, stack: &Arc<Stack>, amount: Amount) {
        let site = self.site(stack);
        site.got.add(amount);
        site.is_changed = true;
    }

    /// So much of it was given back.
    pub fn freed(&mut self, stack: &Arc<Stack>, amount: Amount) {
        let site = self.site(stack);
        site.freed.add(amount);
        site.is_changed = true;
    }

    /// So much more is live, in so many allocations that were looked at; either may be below 0.
    pub fn live(&mut self, stack: &Arc<Stack>, amount: Amount, looked_at: i64) {
        let site = self.site(stack);
        site.live.add(amount);
        site.left += looked_at;
    }

    /// What is live will be said anew.
    pub fn level(&mut self) {
        for site in self.sites.values_mut() {
            site.live = Amount::default();
            site.left = 0;
        }
    }

    /// A stack was taken here, of an allocation of this size.
    pub fn sampled(&mut self, stack: &Arc<Stack>, size: u64) {
        let site = self.site(stack);
        site.samples += 1;
        site.hist.get_or_insert_default().add(size, 1);
        site.is_changed = true;
    }

    fn site(&mut self, stack: &Arc<Stack>) -> &mut Site {
        self.sites.entry(stack.clone()).or_default()
    }

    /// Of this interval what changed, and whatever is live; the next interval begins.
    pub fn rows(&mut self, owner: &Owner) -> Vec<StackRow> {
        let mut rows = Vec::new();
        let mut all: Vec<(Arc<Stack>, Site)> = Vec::with_capacity(self.sites.len());
        self.sites.retain(|stack, site| {
            if !site.is_live() {
                site.live = Amount::default();
            }
            if site.is_changed || site.is_live() {
                all.push((stack.clone(), site.clone()));
            }
            let (live, left) = (site.live, site.left);
            *site = Site { live, left, ..Site::default() };
            site.left != 0
        });
        let weight = |s: &Site| s.live.bytes + s.got.bytes;
        all.sort_by(|(a_stack, a), (b_stack, b)| {
            weight(b).total_cmp(&weight(a)).then_with(|| a_stack.names.cmp(&b_stack.names))
        });
        let beyond = all.split_off(all.len().min(MOST));
        if !beyond.is_empty() {
            let mut rest = Site::default();
            beyond.into_iter().for_each(|(_, site)| rest.join(site));
            all.push((Arc::default(), rest));
        }
        rows.extend(all.into_iter().map(|(stack, site)| row(owner, stack, &site)));
        rows
    }
}

fn row(owner: &Owner, stack: Arc<Stack>, site: &Site) -> StackRow {
    let (value, count) = site.got.cells();
    StackRow {
        pid: owner.pid,
        comm: owner.comm.clone(),
        cgroup: owner.cgroup.clone(),
        state: "alloc",
        count,
        value,
        samples: site.samples,
        hist: site.hist.as_ref().and_then(|h| h.cell()),
        freed: Some(site.freed.cells()),
        live: Some(site.live.cells()),
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

    fn amount(count: f64, bytes: f64) -> Amount {
        Amount { count, bytes }
    }

    #[test]
    fn a_drawn_allocation_stands_for_its_share() {
        let mean = 524_288.0;
        let small = Amount::drawn(64, mean);
        assert!((small.bytes - (mean + 32.0)).abs() < 1.0, "{small:?}");
        let large = Amount::drawn(64 << 20, mean);
        assert!((large.count - 1.0).abs() < 1e-9 && large.bytes >= f64::from(64 << 20));
        assert_eq!(Amount::drawn(0, mean), Amount::default());
    }

    #[test]
    fn what_is_given_back_is_no_longer_live() {
        let mut sites = Sites::default();
        let owner = Owner { pid: 7, ..Owner::default() };
        let (leak, fair) = (stack("main;leak"), stack("main;fair"));
        sites.got(&leak, amount(2.0, 200.0));
        sites.live(&leak, amount(2.0, 200.0), 2);
        sites.got(&fair, amount(1.5, 15.5));
        sites.live(&fair, amount(1.5, 15.5), 1);
        sites.sampled(&fair, 10);
        sites.freed(&fair, amount(1.5, 15.5));
        sites.live(&fair, amount(1.5, 15.5).less(), -1);
        let rows = sites.rows(&owner);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].value, rows[0].count, rows[0].live), (200, 2, Some((200, 2))));
        assert_eq!((rows[1].freed, rows[1].live), (Some((16, 2)), Some((0, 0))));
        assert_eq!((rows[1].samples, rows[1].hist.as_ref().unwrap().as_str()), (1, "4:1"));
        // What is live is told again, what is not is forgotten.
        let rows = sites.rows(&owner);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].value, rows[0].live), (0, Some((200, 2))));
        sites.level();
        sites.freed(&leak, amount(2.0, 200.0));
        assert_eq!(sites.rows(&owner)[0].freed, Some((200, 2)));
        assert!(sites.rows(&owner).is_empty());
    }

    #[test]
    fn too_many_stacks_are_one_row_and_keep_their_total() {
        let mut sites = Sites::default();
        for i in 0..MOST + 5 {
            sites.got(&stack(&format!("f{i}")), amount(1.0, 10.0));
            sites.live(&stack(&format!("f{i}")), amount(1.0, 10.0), 1);
        }
        let rows = sites.rows(&Owner::default());
        assert_eq!(rows.len(), MOST + 1);
        assert_eq!(rows.iter().map(|r| r.value).sum::<u64>(), 10 * (MOST as u64 + 5));
        assert_eq!(rows[MOST].stack.names.as_str(), "");
        assert_eq!(rows[MOST].live, Some((50, 5)));
    }
}
