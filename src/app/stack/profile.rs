//! The tree of calls: what each function took with all it called, and by itself. Two sides can be
//! held in one tree, for comparing them.

use std::collections::HashMap;

use ahash::RandomState;

use super::names::{ALL, FrameId, Names};

/// ns or bytes, events, samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// ns or bytes.
    pub value: u64,
    /// Events.
    pub count: u64,
    /// Samples they are made of.
    pub samples: u64,
}

impl Sum {
    /// Adds another.
    pub fn add(&mut self, other: Sum) {
        self.value = self.value.saturating_add(other.value);
        self.count = self.count.saturating_add(other.count);
        self.samples = self.samples.saturating_add(other.samples);
    }

    /// Takes another, which is part of it, away.
    fn take(&mut self, other: Sum) {
        self.value = self.value.saturating_sub(other.value);
        self.count = self.count.saturating_sub(other.count);
        self.samples = self.samples.saturating_sub(other.samples);
    }
}

/// The side shown.
pub const NOW: usize = 0;
/// The side it is compared with.
pub const THEN: usize = 1;

/// A frame at one place of the tree. There may be a hundred thousand, so what follows from others
/// is not kept: [`Tree::own`], [`Tree::children`].
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub frame: FrameId,
    /// What called it; the first node is its own.
    pub parent: u32,
    /// The first that it called, and the next that its caller called; 0 where there is none.
    first: u32,
    next: u32,
    /// With all it called, on the side shown.
    now: Sum,
}

impl Node {
    fn new(frame: FrameId, parent: u32, next: u32) -> Node {
        Node { frame, parent, first: 0, next, now: Sum::default() }
    }

    /// Whether it called nothing.
    pub fn is_leaf(&self) -> bool {
        self.first == 0
    }
}

/// A tree; node 0 is everything.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The nodes; a parent comes before its children.
    pub nodes: Vec<Node>,
    /// What the nodes have on the other side, as far as there is any.
    then: Vec<Sum>,
    /// Where what was called is, while it grows.
    places: HashMap<(u32, FrameId), u32, RandomState>,
}

/// The path that was added last, with its nodes: what comes next often begins as it did.
#[derive(Debug, Default)]
pub struct Before {
    frames: Vec<FrameId>,
    nodes: Vec<u32>,
}

/// How children stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arranged {
    /// By name: nothing jumps while it is live.
    ByName,
    /// The heaviest first.
    ByWeight,
}

impl Tree {
    /// A tree of nothing below this frame.
    pub fn new(root: FrameId) -> Tree {
        Tree { nodes: vec![Node::new(root, 0, 0)], then: Vec::new(), places: HashMap::default() }
    }

    /// With room for so many nodes: a table of places that grows is twice as large for a moment.
    pub fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve(nodes);
        self.places.reserve(nodes);
    }

    /// Adds what was taken at the end of a path below the root; returns the node there.
    pub fn add(&mut self, path: &[FrameId], sum: Sum, side: usize) -> u32 {
        let mut at = 0u32;
        if sum == Sum::default() {
            return at;
        }
        self.count(0, sum, side);
        for &frame in path {
            at = self.below_or_new(at, frame);
            self.count(at, sum, side);
        }
        at
    }

    /// The same, counted at the node there alone until [`Tree::settle`]; `before` is the path that
    /// was added before it this way.
    pub fn lay(&mut self, path: &[FrameId], sum: Sum, side: usize, before: &mut Before) -> u32 {
        if sum == Sum::default() {
            return 0;
        }
        let same = path.iter().zip(&before.frames).take_while(|(a, b)| a == b).count();
        before.frames.truncate(same);
        before.nodes.truncate(same);
        let mut at = before.nodes.last().copied().unwrap_or(0);
        for &frame in &path[same..] {
            at = self.below_or_new(at, frame);
            before.frames.push(frame);
            before.nodes.push(at);
        }
        self.count(at, sum, side);
        at
    }

    /// Counts what was laid at the nodes above as well, once all of it is there.
    pub fn settle(&mut self) {
        // A parent comes before its children.
        for at in (1..self.nodes.len()).rev() {
            let Node { parent, now, .. } = self.nodes[at];
            self.nodes[parent as usize].now.add(now);
        }
        for at in (1..self.then.len()).rev() {
            let then = self.then[at];
            self.then[self.nodes[at].parent as usize].add(then);
        }
    }

    /// The node of this frame below another.
    fn below_or_new(&mut self, at: u32, frame: FrameId) -> u32 {
        let next = self.nodes.len() as u32;
        let to = *self.places.entry((at, frame)).or_insert(next);
        if to == next {
            let before = std::mem::replace(&mut self.nodes[at as usize].first, next);
            self.nodes.push(Node::new(frame, at, before));
        }
        to
    }

    fn count(&mut self, at: u32, sum: Sum, side: usize) {
        let at = at as usize;
        if side == NOW {
            self.nodes[at].now.add(sum);
        } else {
            let len = self.then.len().max(at + 1);
            self.then.resize(len, Sum::default());
            self.then[at].add(sum);
        }
    }

    /// What a node took with all it called, on each side.
    pub fn total(&self, at: u32) -> [Sum; 2] {
        [self.node(at).now, self.then.get(at as usize).copied().unwrap_or_default()]
    }

    /// A node; the root for a number that is none.
    pub fn node(&self, at: u32) -> &Node {
        self.nodes.get(at as usize).unwrap_or(&self.nodes[0])
    }

    /// What a node called.
    pub fn children(&self, at: u32) -> impl Iterator<Item = u32> {
        let some = |at: u32| (at != 0).then_some(at);
        std::iter::successors(some(self.node(at).first), move |at| some(self.node(*at).next))
    }

    /// What a node took by itself, on each side.
    pub fn own(&self, at: u32) -> [Sum; 2] {
        let mut own = self.total(at);
        for child in self.children(at) {
            for (own, called) in own.iter_mut().zip(self.total(child)) {
                own.take(called);
            }
        }
        own
    }

    /// Puts children in order, once all is added.
    pub fn arrange(&mut self, names: &Names, how: Arranged) {
        self.places = HashMap::default();
        self.nodes.shrink_to_fit();
        let mut children: Vec<u32> = Vec::new();
        for at in 0..self.nodes.len() as u32 {
            children.clear();
            children.extend(self.children(at));
            let by_name = |a: &u32, b: &u32| {
                let (a, b) = (names.name(self.node(*a).frame), names.name(self.node(*b).frame));
                a.text.cmp(&b.text).then_with(|| a.module.cmp(&b.module))
            };
            let weight = |n: &u32| self.total(*n).map(|sum| sum.value).into_iter().max();
            match how {
                Arranged::ByName => children.sort_by(by_name),
                Arranged::ByWeight => {
                    children.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| by_name(a, b)));
                }
            }
            let mut next = 0;
            for child in children.iter().rev() {
                self.nodes[*child as usize].next = std::mem::replace(&mut next, *child);
            }
            self.nodes[at as usize].first = next;
        }
    }

    /// The frames from below the root to a node.
    pub fn path(&self, mut at: u32) -> Vec<FrameId> {
        let mut out = Vec::new();
        while at != 0 {
            let node = self.node(at);
            out.push(node.frame);
            at = node.parent;
        }
        out.reverse();
        out
    }

    /// The node at the end of a path; of one that is not there the last that is, and whether the
    /// whole path was.
    pub fn find(&self, path: &[FrameId]) -> (u32, bool) {
        let mut at = 0;
        for &frame in path {
            match self.children(at).find(|c| self.node(*c).frame == frame) {
                Some(next) => at = next,
                None => return (at, false),
            }
        }
        (at, true)
    }

    /// The nodes below and with this one, each before what it called.
    pub fn below(&self, top: u32) -> Vec<u32> {
        let mut out = Vec::new();
        let mut waiting = vec![top];
        while let Some(at) = waiting.pop() {
            out.push(at);
            let from = waiting.len();
            waiting.extend(self.children(at));
            waiting[from..].reverse();
        }
        out
    }

    /// Of what is below `top`, the sum at the outermost frames that match.
    pub fn matched(&self, top: u32, hit: &dyn Fn(FrameId) -> bool, side: usize) -> Sum {
        let mut sum = Sum::default();
        let mut waiting = vec![top];
        while let Some(at) = waiting.pop() {
            let node = self.node(at);
            if hit(node.frame) {
                sum.add(self.total(at)[side]);
            } else {
                waiting.extend(self.children(at));
            }
        }
        sum
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new(ALL)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::app::stack::names::Part;
    use crate::table::stack::Class;

    /// Numbers that look random and are the same every time.
    pub struct Dice(pub u64);

    impl Dice {
        pub fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }
    }

    pub fn sum(value: u64) -> Sum {
        Sum { value, count: 1, samples: 1 }
    }

    /// A tree of many stacks, and the sum of all that went into it.
    pub fn forest(seed: u64, stacks: u64) -> (Names, Tree, u64) {
        let mut dice = Dice(seed);
        let mut names = Names::default();
        let ids: Vec<FrameId> = (0..12)
            .map(|n| names.id(&format!("f{n}"), "a.out", Part::Call(Class::Application)))
            .collect();
        let mut tree = Tree::default();
        let mut all = 0;
        for _ in 0..stacks {
            let depth = dice.roll(9) as usize;
            let path: Vec<FrameId> = (0..depth).map(|_| ids[dice.roll(12) as usize]).collect();
            let value = 1 + dice.roll(1_000_000) / (1 + dice.roll(1_000));
            all += value;
            tree.add(&path, sum(value), NOW);
        }
        (names, tree, all)
    }

    #[test]
    fn nothing_is_lost_in_a_tree() {
        for seed in 0..20 {
            let (names, mut tree, all) = forest(seed, 300);
            tree.arrange(&names, if seed % 2 == 0 { Arranged::ByName } else { Arranged::ByWeight });
            assert_eq!(tree.total(0)[NOW].value, all);
            let nodes = 0..tree.nodes.len() as u32;
            assert_eq!(nodes.clone().map(|n| tree.own(n)[NOW].value).sum::<u64>(), all);
            for n in nodes {
                let called: u64 = tree.children(n).map(|c| tree.total(c)[NOW].value).sum();
                assert_eq!(called + tree.own(n)[NOW].value, tree.total(n)[NOW].value);
                assert!(tree.children(n).all(|c| tree.node(c).parent == n));
            }
            assert_eq!(tree.below(0).len(), tree.nodes.len());
        }
    }

    #[test]
    fn what_is_laid_is_what_is_added_once_it_is_settled() {
        let (mut dice, mut before) = (Dice(3), Before::default());
        let (mut added, mut laid) = (Tree::default(), Tree::default());
        for _ in 0..500 {
            let depth = dice.roll(6) as usize;
            let path: Vec<FrameId> = (0..depth).map(|_| dice.roll(3) as FrameId + 1).collect();
            let (sum, side) = (sum(dice.roll(50)), dice.roll(2) as usize);
            let ends = [added.add(&path, sum, side), laid.lay(&path, sum, side, &mut before)];
            assert_eq!(added.path(ends[0]), laid.path(ends[1]));
        }
        laid.settle();
        let all = |tree: &Tree| -> Vec<([Sum; 2], Vec<FrameId>)> {
            (0..tree.nodes.len() as u32).map(|n| (tree.total(n), tree.path(n))).collect()
        };
        assert_eq!(all(&laid), all(&added));
    }

    #[test]
    fn a_path_leads_to_its_node_and_back() {
        let (names, mut tree, _) = forest(7, 100);
        tree.arrange(&names, Arranged::ByName);
        for at in 0..tree.nodes.len() as u32 {
            assert_eq!(tree.find(&tree.path(at)), (at, true));
        }
        let mut longer = tree.path(5);
        longer.push(9_999);
        assert_eq!(tree.find(&longer), (5, false));
    }

    #[test]
    fn a_match_inside_a_match_counts_once() {
        let mut tree = Tree::default();
        tree.add(&[1, 2, 1], sum(5), NOW);
        tree.add(&[2, 3], sum(4), NOW);
        tree.add(&[1], sum(2), NOW);
        assert_eq!(tree.matched(0, &|f| f == 1, NOW).value, 7);
        assert_eq!(tree.matched(0, &|f| f == 2 || f == 3, NOW).value, 9);
        assert_eq!(tree.matched(0, &|_| true, NOW).value, 11);
    }
}
