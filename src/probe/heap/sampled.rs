//! Sampled allocations, from being told to being given back.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::sites::{Amount, Sites};
use crate::symbol::Stack;

/// Bytes for which one sample is drawn, on average.
pub(super) const MEAN: f64 = 524_288.0;

/// Quantiles of the exponential distribution with this mean: drawing one of them is drawing from it.
pub(super) fn gaps(len: usize) -> impl Iterator<Item = u64> {
    (0..len).map(move |i| {
        let share = (i as f64 + 0.5) / len as f64;
        (-MEAN * (1.0 - share).ln()).round().max(1.0) as u64
    })
}

/// A sample that was not given back yet, or not counted yet.
struct Held {
    size: u64,
    /// Number of its stack.
    stack: u64,
    /// Where it was counted.
    at: Option<Arc<Stack>>,
    is_freed: bool,
    /// Looks at it while its stack had not come.
    looks: u32,
}

/// Looks a stack may be under way; then what waits for it is counted without one.
const PATIENCE: u32 = 3;

/// Stacks whose names are kept at most.
const MOST: usize = 1 << 16;

/// All of them, by the number that the kernel gave each.
#[derive(Default)]
pub(super) struct Sampled {
    held: AHashMap<u64, Held>,
    /// Those that wait for their stack.
    waiting: Vec<u64>,
    stacks: AHashMap<u64, Arc<Stack>>,
}

impl Sampled {
    /// One was allocated at this stack.
    pub fn begun(&mut self, id: u64, stack: u64, size: u64) {
        self.held.insert(id, Held { size, stack, at: None, is_freed: false, looks: 0 });
        self.waiting.push(id);
    }

    /// A stack has names.
    pub fn named(&mut self, id: u64, stack: &Arc<Stack>) {
        self.stacks.insert(id, stack.clone());
    }

    /// It was given back.
    pub fn freed(&mut self, id: u64, sites: &mut Sites) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let Some(stack) = held.at.take() else {
            held.is_freed = true;
            return;
        };
        let amount = Amount::drawn(held.size, MEAN);
        sites.freed(&stack, amount);
        sites.live(&stack, amount.less(), -1);
        self.held.remove(&id);
    }

    /// Counts those whose stack has come. `is_look`: what has waited for several of these is
    /// counted without a stack; returns the numbers of stacks that seem to be lost.
    pub fn settle(&mut self, is_look: bool, sites: &mut Sites) -> Vec<u64> {
        let (mut missing, nothing) = (Vec::new(), Arc::default());
        for id in std::mem::take(&mut self.waiting) {
            let Some(held) = self.held.get_mut(&id) else { continue };
            held.looks += u32::from(is_look);
            let stack = match self.stacks.get(&held.stack) {
                Some(stack) => stack,
                None if held.looks < PATIENCE => {
                    self.waiting.push(id);
                    continue;
                }
                None => {
                    missing.push(held.stack);
                    &nothing
                }
            };
            let amount = Amount::drawn(held.size, MEAN);
            sites.got(stack, amount);
            sites.live(stack, amount, 1);
            sites.sampled(stack, held.size);
            held.at = Some(stack.clone());
            if held.is_freed {
                self.freed(id, sites);
            }
        }
        missing
    }

    /// Whether names of more stacks than are kept came: all are forgotten, and are to be told again.
    pub fn forget(&mut self) -> bool {
        let is_full = self.stacks.len() > MOST;
        if is_full {
            self.stacks = AHashMap::new();
        }
        is_full
    }

    /// Numbers of all that are not known to be given back.
    pub fn ids(&self) -> Vec<u64> {
        self.held.iter().filter(|(_, h)| !h.is_freed).map(|(id, _)| *id).collect()
    }

    /// Of these only `left` are not given back: the ring had no room for the others' ends.
    pub fn correct(&mut self, ids: &[u64], left: &AHashSet<u64>, sites: &mut Sites) {
        for id in ids.iter().filter(|id| !left.contains(id)) {
            self.freed(*id, sites);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sites::Owner;
    use super::*;

    #[test]
    fn gaps_are_as_long_as_they_should_be() {
        let all: Vec<u64> = gaps(4096).collect();
        let mean = all.iter().sum::<u64>() as f64 / 4096.0;
        assert!((mean / MEAN - 1.0).abs() < 0.001, "{mean}");
        let short = all.iter().filter(|&&g| g <= 64 * 1024).count() as f64 / 4096.0;
        let exact = 1.0 - (-65_536.0 / MEAN).exp();
        assert!((short - exact).abs() < 0.001, "{short} of {exact}");
    }

    fn named() -> (Sampled, Sites, Arc<Stack>) {
        let (mut sampled, stack) = (Sampled::default(), Arc::new(Stack::default()));
        sampled.named(7, &stack);
        (sampled, Sites::default(), stack)
    }

    #[test]
    fn what_is_freed_before_it_has_a_name_is_allocated_and_freed() {
        let (mut sampled, mut sites, stack) = named();
        sampled.begun(1, 8, 4 << 20);
        sampled.begun(2, 8, 4 << 20);
        sampled.freed(1, &mut sites);
        sampled.freed(99, &mut sites);
        assert!(sampled.settle(true, &mut sites).is_empty());
        assert!(sites.rows(&Owner::default()).is_empty());
        sampled.named(8, &stack);
        assert!(sampled.settle(false, &mut sites).is_empty());
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].count, rows[0].freed.unwrap().1, rows[0].live.unwrap().1), (2, 1, 1));
        assert_eq!(rows[0].samples, 2);
    }

    #[test]
    fn an_end_that_was_not_told_is_found_out() {
        let (mut sampled, mut sites, _) = named();
        (1..4).for_each(|id| sampled.begun(id, 7, 4 << 20));
        sampled.settle(false, &mut sites);
        let ids = sampled.ids();
        sampled.begun(4, 7, 4 << 20);
        sampled.correct(&ids, &AHashSet::from_iter([2]), &mut sites);
        sampled.settle(false, &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].freed.unwrap().1, rows[0].live.unwrap().1), (2, 2));
    }

    #[test]
    fn a_stack_that_does_not_come_leaves_its_bytes() {
        let (mut sampled, mut sites, _) = named();
        sampled.begun(1, 9, 4 << 20);
        for _ in 1..PATIENCE {
            assert!(sampled.settle(true, &mut sites).is_empty());
        }
        assert_eq!(sampled.settle(true, &mut sites), [9]);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].stack.names.as_str(), rows[0].samples), ("", 1));
    }
}
