//! Every allocation: the kernel's sums by stack, turned into what changed since the last look.

use std::sync::Arc;

use ahash::AHashMap;

use super::sites::{Amount, Sites};
use crate::symbol::Stack;

/// `struct heap_sum` without what only the kernel needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub count: u64,
    pub bytes: u64,
    pub freed_count: u64,
    pub freed_bytes: u64,
}

/// What is known of a stack's number.
#[derive(Default)]
struct Known {
    stack: Option<Arc<Stack>>,
    before: Sum,
    /// Looks at it without a stack: it may be under way at the first.
    looks: u32,
    /// Shown without a stack until it has one.
    is_bare: bool,
}

/// Looks a stack may be under way; then what it counts is shown without it.
const PATIENCE: u32 = 3;

/// All numbers of stacks.
#[derive(Default)]
pub(super) struct Exact {
    known: AHashMap<u64, Known>,
}

impl Exact {
    /// The stack of this number has names.
    pub fn named(&mut self, id: u64, stack: &Arc<Stack>) {
        self.known.entry(id).or_default().stack = Some(stack.clone());
    }

    /// Takes in the sums as they are now; returns the numbers of stacks that seem to be lost.
    pub fn take(&mut self, sums: impl Iterator<Item = (u64, Sum)>, sites: &mut Sites) -> Vec<u64> {
        let nothing = Arc::default();
        let mut missing = Vec::new();
        sites.level();
        for (id, sum) in sums {
            let known = self.known.entry(id).or_default();
            let stack = match &known.stack {
                Some(stack) => stack,
                // What had no room of its own has number 0 and never a stack.
                None if id == 0 => &nothing,
                None if known.looks >= PATIENCE => {
                    known.looks = 0;
                    known.is_bare = true;
                    missing.push(id);
                    &nothing
                }
                None => {
                    known.looks += 1;
                    if !known.is_bare {
                        continue;
                    }
                    &nothing
                }
            };
            let was = known.before;
            let got = amount(sum.count, was.count, sum.bytes, was.bytes);
            let freed = amount(sum.freed_count, was.freed_count, sum.freed_bytes, was.freed_bytes);
            if got != Amount::default() {
                sites.got(stack, got);
            }
            if freed != Amount::default() {
                sites.freed(stack, freed);
            }
            let live = amount(sum.count, sum.freed_count, sum.bytes, sum.freed_bytes);
            if live != Amount::default() {
                sites.live(stack, live, live.count as i64);
            }
            known.before = sum;
        }
        missing
    }
}

/// The sums are read while they change: what is behind for a moment is 0, not below.
fn amount(count: u64, less: u64, bytes: u64, less_bytes: u64) -> Amount {
    Amount {
        count: count.saturating_sub(less) as f64,
        bytes: bytes.saturating_sub(less_bytes) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sites::Owner;
    use super::*;
    use crate::table::Clean;

    fn sum(count: u64, bytes: u64, freed_count: u64, freed_bytes: u64) -> Sum {
        Sum { count, bytes, freed_count, freed_bytes }
    }

    #[test]
    fn sums_become_what_changed_and_what_is_live() {
        let (mut exact, mut sites) = (Exact::default(), Sites::default());
        let stack = Arc::new(Stack::new("main;a".into(), Clean::default()));
        exact.named(5, &stack);
        exact.named(6, &stack);
        exact.take([(5, sum(3, 30, 1, 10)), (6, sum(1, 8, 1, 8))].into_iter(), &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!(rows.len(), 1, "two numbers, one stack");
        assert_eq!((rows[0].count, rows[0].value, rows[0].samples), (4, 38, 0));
        assert_eq!((rows[0].freed, rows[0].live), (Some((18, 2)), Some((20, 2))));
        exact.take([(5, sum(3, 30, 3, 30)), (6, sum(1, 8, 1, 8))].into_iter(), &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].count, rows[0].freed, rows[0].live), (0, Some((20, 2)), Some((0, 0))));
        exact.take([(5, sum(3, 30, 3, 30))].into_iter(), &mut sites);
        assert!(sites.rows(&Owner::default()).is_empty());
    }

    #[test]
    fn what_has_no_stack_is_shown_without_one_and_moves_when_it_comes() {
        let (mut exact, mut sites) = (Exact::default(), Sites::default());
        exact.take([(0, sum(1, 5, 0, 0)), (9, sum(1, 7, 0, 0))].into_iter(), &mut sites);
        assert_eq!(sites.rows(&Owner::default())[0].value, 5, "the other may be under way");
        let mut missing = Vec::new();
        for _ in 0..PATIENCE {
            let sums = [(0, sum(1, 5, 0, 0)), (9, sum(1, 7, 0, 0))];
            missing = exact.take(sums.into_iter(), &mut sites);
        }
        assert_eq!(missing, [9], "to be told again");
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows.len(), rows[0].value, rows[0].live), (1, 7, Some((12, 2))));
        let stack = Arc::new(Stack::new("main;a".into(), Clean::default()));
        exact.named(9, &stack);
        exact.take([(0, sum(1, 5, 0, 0)), (9, sum(2, 14, 0, 0))].into_iter(), &mut sites);
        let rows = sites.rows(&Owner::default());
        assert_eq!((rows[0].stack.names.as_str(), rows[0].value), ("main;a", 7));
        assert_eq!((rows[0].live, rows[1].live), (Some((14, 2)), Some((5, 1))));
    }
}
