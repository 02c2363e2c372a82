//! Functions, each once: what it took by itself and with all it called, wherever it was called.

use std::collections::HashMap;

use ahash::RandomState;

use crate::table::Change;

use super::names::{FrameId, Names, Part};
use super::profile::{NOW, Sum, Tree};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Which.
    pub frame: FrameId,
    /// By itself, on each side.
    pub own: [Sum; 2],
    /// With all it called, on each side; inside itself it counts once.
    pub total: [Sum; 2],
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// By itself.
    #[default]
    Own,
    /// With all it called.
    Total,
    /// Events.
    Count,
    /// The name.
    Name,
    /// The file.
    Module,
    /// The difference by itself.
    OwnDelta,
    /// The difference with all it called.
    TotalDelta,
}

impl By {
    /// The columns of the table.
    pub fn all(diff: bool) -> &'static [By] {
        if diff {
            &[By::OwnDelta, By::TotalDelta, By::Own, By::Total, By::Name, By::Module]
        } else {
            &[By::Own, By::Total, By::Count, By::Name, By::Module]
        }
    }
}

/// The functions below `top`.
pub fn rows(tree: &Tree, top: u32, names: &Names) -> Vec<Row> {
    let mut all: HashMap<FrameId, Row, RandomState> = HashMap::default();
    // How often each function is on the way from the top to here.
    let mut on: HashMap<FrameId, u32, RandomState> = HashMap::default();
    let mut waiting = vec![(top, false)];
    while let Some((at, left)) = waiting.pop() {
        let node = tree.node(at);
        let depth = on.entry(node.frame).or_default();
        if left {
            *depth -= 1;
            continue;
        }
        *depth += 1;
        if matches!(names.name(node.frame).part, Part::Call(_)) {
            let empty =
                Row { frame: node.frame, own: Default::default(), total: Default::default() };
            let row = all.entry(node.frame).or_insert(empty);
            let (own, total) = (tree.own(at), tree.total(at));
            for side in 0..2 {
                row.own[side].add(own[side]);
                if *depth == 1 {
                    row.total[side].add(total[side]);
                }
            }
        }
        waiting.push((at, true));
        waiting.extend(tree.children(at).map(|c| (c, false)));
    }
    all.into_values().collect()
}

/// Puts them in order: the most first, names from A; the other way round where that is asked.
pub fn sort(
    rows: &mut [Row],
    by: By,
    reverse: bool,
    names: &Names,
    change: &dyn Fn(&[Sum; 2]) -> Change,
) {
    fn name<'a>(names: &'a Names, row: &Row) -> &'a str {
        &names.name(row.frame).text
    }
    rows.sort_by(|a, b| {
        let number = |f: &dyn Fn(&Row) -> f64| f(b).total_cmp(&f(a));
        let how = match by {
            By::Own => number(&|r| r.own[NOW].value as f64),
            By::Total => number(&|r| r.total[NOW].value as f64),
            By::Count => number(&|r| r.own[NOW].count as f64),
            By::OwnDelta => number(&|r| change(&r.own).signed().abs()),
            By::TotalDelta => number(&|r| change(&r.total).signed().abs()),
            By::Name => name(names, a).cmp(name(names, b)),
            By::Module => names.name(a.frame).module.cmp(&names.name(b.frame).module),
        };
        let how = if reverse { how.reverse() } else { how };
        how.then_with(|| name(names, a).cmp(name(names, b))).then(a.frame.cmp(&b.frame))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stack::profile::tests::{forest, sum};
    use crate::table::stack::Class;

    #[test]
    fn recursion_counts_once_and_selves_sum_to_all() {
        let mut names = Names::default();
        let [f, g] = ["f", "g"].map(|n| names.id(n, "", Part::Call(Class::Unknown)));
        let process = names.id("p 1", "", Part::Root);
        let mut tree = Tree::default();
        tree.add(&[process, f, g, f], sum(5), NOW);
        tree.add(&[process, f, g], sum(3), NOW);
        let mut all = rows(&tree, 0, &names);
        sort(&mut all, By::Total, false, &names, &|_| Change::Same);
        let seen: Vec<(u32, u64, u64)> =
            all.iter().map(|r| (r.frame, r.own[NOW].value, r.total[NOW].value)).collect();
        assert_eq!(seen, [(f, 5, 8), (g, 3, 8)], "a process is no function");
        for seed in 0..10 {
            let (names, tree, all) = forest(seed, 200);
            let own: u64 = rows(&tree, 0, &names).iter().map(|r| r.own[NOW].value).sum();
            assert_eq!(own + tree.own(0)[NOW].value, all);
        }
    }
}
