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

/// A sample that was not given back yet, or whose stack has no names yet.
struct Held {
    size: u64,
    stack: Option<Arc<Stack>>,
    is_freed: bool,
    /// Looks at it while it had no stack.
    looks: u32,
}

/// A stack that has not come by then does not come.
const PATIENCE: u32 = 60;

/// All of them, by the number that the kernel gave each.
#[derive(Default)]
pub(super) struct Sampled {
    held: AHashMap<u64, Held>,
}

impl Sampled {
    /// One was allocated; its stack is on its way to its names.
    pub fn told(&mut self, id: u64, size: u64) {
        self.held.insert(id, Held { size, stack: None, is_freed: false, looks: 0 });
    }

    /// Its stack has names.
    pub fn named(&mut self, id: u64, stack: &Arc<Stack>, sites: &mut Sites) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let amount = Amount::drawn(held.size, MEAN);
        sites.got(stack, amount);
        sites.live(stack, amount, 1);
        sites.sampled(stack, held.size);
        held.stack = Some(stack.clone());
        if held.is_freed {
            self.freed(id, sites);
        }
    }

    /// It was given back.
    pub fn freed(&mut self, id: u64, sites: &mut Sites) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let Some(stack) = held.stack.take() else {
            held.is_freed = true;
            return;
        };
        let amount = Amount::drawn(held.size, MEAN);
        sites.freed(&stack, amount);
        sites.live(&stack, amount.less(), -1);
        self.held.remove(&id);
    }

    /// Once for each look: forgets samples whose stack is lost.
    pub fn look(&mut self) {
        self.held.retain(|_, held| {
            held.looks += u32::from(held.stack.is_none());
            held.looks < PATIENCE
        });
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

    #[test]
    fn what_is_freed_before_it_has_a_name_is_allocated_and_freed() {
        let (mut sampled, mut sites) = (Sampled::default(), Sites::default());
        let stack = Arc::new(Stack::default());
        sampled.told(1, 4 << 20);
        sampled.told(2, 4 << 20);
        sampled.freed(1, &mut sites);
        sampled.freed(99, &mut sites);
        assert!(sites.rows(&Owner::default()).is_empty());
        sampled.named(1, &stack, &mut sites);
        sampled.named(2, &stack, &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].count, rows[0].freed.unwrap().1, rows[0].live.unwrap().1), (2, 1, 1));
        assert_eq!(rows[0].samples, 2);
    }

    #[test]
    fn an_end_that_was_not_told_is_found_out() {
        let (mut sampled, mut sites) = (Sampled::default(), Sites::default());
        let stack = Arc::new(Stack::default());
        for id in 1..4 {
            sampled.told(id, 1 << 20);
            sampled.named(id, &stack, &mut sites);
        }
        let ids = sampled.ids();
        sampled.told(4, 1 << 20);
        sampled.correct(&ids, &AHashSet::from_iter([2]), &mut sites);
        sampled.named(4, &stack, &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].freed.unwrap().1, rows[0].live.unwrap().1), (2, 2));
    }
}
