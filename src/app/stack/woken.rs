//! Who ended the waits of what is selected.

use std::collections::HashMap;

use super::names::{FrameId, Part};
use super::{Page, View, Which};

impl Page {
    /// Those who ended the waits of the box or function selected: name, process where it is one,
    /// and ns, the most first.
    pub fn wakers(&self) -> Vec<(&str, Option<u32>, u64)> {
        let tree = &self.shown.tree;
        let node = match self.view {
            View::Graph => self.chosen().filter(|(w, t)| *w == Which::Tree && t.rest == 0),
            _ => None,
        };
        let node = node.map(|(_, tile)| tile.node);
        let frame = self.selected().filter(|f| node.is_none() && self.is_function(*f));
        let top = self.shown.top.unwrap_or(0);
        let mut sums: HashMap<(u32, u32), u64> = HashMap::new();
        for (end, waker, ns) in &self.shown.woken {
            let (mut at, mut below, mut hit) = (*end, top == 0, false);
            while at != 0 {
                let parent = tree.node(at).parent;
                hit |= node == Some(at) || frame == Some(tree.node(at).frame);
                below |= at == top;
                at = parent;
            }
            hit |= node == Some(0);
            if hit && below {
                let sum = sums.entry(*waker).or_default();
                *sum = sum.saturating_add(*ns);
            }
        }
        let who = |((word, pid), ns)| (self.words.get(word), (pid > 0).then_some(pid), ns);
        let mut all: Vec<(&str, Option<u32>, u64)> = sums.into_iter().map(who).collect();
        all.sort_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
        all
    }

    /// Whether a frame is a function.
    pub fn is_function(&self, frame: FrameId) -> bool {
        matches!(self.names.name(frame).part, Part::Call(_))
    }
}
