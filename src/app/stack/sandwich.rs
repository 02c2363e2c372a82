//! One function from both sides: who called it, and what it called. Where it calls itself, the
//! way between is left out: callers are those before its first time, callees those after its last.

use super::names::FrameId;
use super::profile::{Sum, Tree};

/// The two trees of a function, each with it as its root.
#[derive(Clone, Debug)]
pub struct Sandwich {
    /// Its callers: the nearest first.
    pub callers: Tree,
    /// What it called.
    pub callees: Tree,
}

impl Sandwich {
    /// Of this function.
    pub fn new(of: FrameId) -> Sandwich {
        Sandwich { callers: Tree::new(of), callees: Tree::new(of) }
    }

    /// Adds what was taken at the end of a path, outermost first, if the function is on it.
    pub fn add(&mut self, path: &[FrameId], sum: Sum, side: usize) {
        let of = self.callers.node(0).frame;
        let first = path.iter().position(|f| *f == of);
        let last = path.iter().rposition(|f| *f == of);
        let (Some(first), Some(last)) = (first, last) else { return };
        let above: Vec<FrameId> = path[..first].iter().rev().copied().collect();
        self.callers.add(&above, sum, side);
        self.callees.add(&path[last + 1..], sum, side);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stack::profile::NOW;
    use crate::app::stack::profile::tests::{Dice, sum};

    #[test]
    fn both_sides_have_the_whole_of_the_function() {
        let mut dice = Dice(3);
        let mut sandwich = Sandwich::new(4);
        let mut all = 0;
        for _ in 0..500 {
            let path: Vec<FrameId> = (0..dice.roll(8)).map(|_| dice.roll(6) as u32 + 1).collect();
            let value = 1 + dice.roll(50);
            if path.contains(&4) {
                all += value;
            }
            sandwich.add(&path, sum(value), NOW);
        }
        assert!(all > 0);
        for tree in [&sandwich.callers, &sandwich.callees] {
            assert_eq!(tree.total(0)[NOW].value, all);
            assert!(tree.nodes[1..].iter().all(|n| n.frame != 4), "no recursion is left");
        }
    }

    #[test]
    fn recursion_is_left_out() {
        let mut sandwich = Sandwich::new(1);
        sandwich.add(&[9, 8, 1, 7, 1, 5, 6], sum(2), NOW);
        assert_eq!(sandwich.callers.path(2), [8, 9]);
        assert_eq!(sandwich.callees.path(2), [5, 6]);
    }
}
