//! Rows as a tree: what began a process stands above it. Siblings are sorted, by what they and all
//! below them used where that can be summed; what only leads to a row that matches is dimmed.

use std::collections::HashSet;

use ahash::AHashMap;

use crate::table::Value;

use super::grid::{Grid, Line, line_key, rebuild, show_selected, sums};
use super::pane::TREE;
use super::state::{PaneState, State};

/// One line of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its row: an index into [`Grid::rows`].
    pub index: usize,
    /// One past the last row below it.
    pub to: usize,
    /// How many are above it.
    pub depth: u16,
    /// Bit n: the one above it at depth n, or it itself, has a sibling further down.
    pub guides: u64,
    /// Whether those below it follow.
    pub open: bool,
    /// Whether it is there only for one below it that matches.
    pub context: bool,
}

impl Node {
    /// Whether anything is below it.
    pub fn parent(&self) -> bool {
        self.to > self.index + 1
    }

    /// Whether the one above it at this depth, or it itself, has a sibling further down.
    pub fn more(&self, depth: u16) -> bool {
        self.guides & (1 << depth.min(63)) != 0
    }
}

/// The process that takes in those whose parent is not known.
const INIT: u64 = 1;
/// No node.
const NONE: usize = usize::MAX;

/// Whether these rows can be a tree: they have parents of their own kind.
pub fn possible(grid: &Grid) -> bool {
    let has = |id: &str| grid.parts.first().is_some_and(|f| f.table().schema().find(id).is_some());
    ["pid", "ppid", "start"].iter().all(|id| has(id))
}

/// Which row began which.
struct Kin {
    /// Of each part: where pid and ppid stand.
    fields: Vec<(Option<usize>, Option<usize>)>,
    /// Living rows by pid.
    by_pid: AHashMap<u64, u32>,
}

impl Kin {
    fn new(grid: &Grid) -> Kin {
        let find = |f: &crate::table::Frame| {
            let schema = f.table().schema();
            (schema.find("pid"), schema.find("ppid"))
        };
        let fields: Vec<_> = grid.parts.iter().map(find).collect();
        let mut by_pid = AHashMap::new();
        if let (Some(frame), Some((Some(pid), _))) = (grid.parts.first(), fields.first()) {
            by_pid.reserve(frame.len());
            for row in 0..frame.len() {
                if let Some(n) = frame.value(row, *pid).as_u64() {
                    by_pid.insert(n, row as u32);
                }
            }
        }
        Kin { fields, by_pid }
    }

    fn number(grid: &Grid, row: (u8, u32), field: Option<usize>) -> Option<u64> {
        let frame = grid.parts.get(usize::from(row.0))?;
        frame.value(row.1 as usize, field?).as_u64()
    }

    /// The living row above this one.
    fn above(&self, grid: &Grid, row: (u8, u32)) -> Option<u32> {
        let (pid, ppid) = *self.fields.get(usize::from(row.0))?;
        let up = Kin::number(grid, row, ppid).filter(|&p| p != 0)?;
        let own = Kin::number(grid, row, pid);
        let at = self.by_pid.get(&up).or_else(|| self.by_pid.get(&INIT)).copied()?;
        (Some(up) != own && (row.0 != 0 || at != row.1)).then_some(at)
    }
}

/// The rows above those of `grid`, which lead to them but are not among them, as found on the way.
pub fn above(grid: &Grid) -> Vec<(u8, u32)> {
    let kin = Kin::new(grid);
    let len = grid.parts.first().map_or(0, crate::table::Frame::len);
    let mut there = vec![false; len];
    for row in grid.rows.iter().filter(|r| r.0 == 0) {
        there[row.1 as usize] = true;
    }
    let mut out = Vec::new();
    for &row in &grid.rows {
        let mut at = row;
        while let Some(up) = kin.above(grid, at) {
            if std::mem::replace(&mut there[up as usize], true) {
                break;
            }
            at = (0, up);
            out.push(at);
        }
    }
    out
}

/// The nodes while they are put in order; each is an index into the rows as they came.
struct Plan {
    parent: Vec<usize>,
    /// Parents before their children.
    order: Vec<usize>,
}

impl Plan {
    fn new(grid: &Grid) -> Plan {
        let kin = Kin::new(grid);
        let len = grid.parts.first().map_or(0, crate::table::Frame::len);
        let mut node_of = vec![NONE; len];
        for (i, row) in grid.rows.iter().enumerate().filter(|r| r.1.0 == 0) {
            node_of[row.1 as usize] = i;
        }
        let up = |row: &(u8, u32)| kin.above(grid, *row).map_or(NONE, |r| node_of[r as usize]);
        let mut parent: Vec<usize> = grid.rows.iter().map(up).collect();
        let children = Children::new(&parent, 0..parent.len());
        let mut order: Vec<usize> = (0..parent.len()).filter(|&i| parent[i] == NONE).collect();
        let mut seen = vec![false; parent.len()];
        let (mut next, mut from) = (0, 0);
        loop {
            while let Some(&i) = order.get(next) {
                next += 1;
                seen[i] = true;
                order.extend(children.of(i).filter(|&c| parent[c] == i));
            }
            // Torn reads can make two processes each other's parent: one of them becomes a root.
            let Some(lost) = (from..seen.len()).find(|&i| !seen[i]) else { break };
            from = lost + 1;
            parent[lost] = NONE;
            order.push(lost);
        }
        Plan { parent, order }
    }

    /// Adds to each figure those of all below.
    fn add_up(&self, own: &mut [Option<f64>]) {
        for &i in self.order.iter().rev() {
            if let (up, Some(n)) = (self.parent[i], own[i])
                && up != NONE
            {
                own[up] = Some(own[up].unwrap_or(0.0) + n);
            }
        }
    }
}

/// The children of each node, in the order in which they were given.
struct Children {
    first: Vec<usize>,
    next: Vec<usize>,
}

impl Children {
    fn new(parent: &[usize], order: impl DoubleEndedIterator<Item = usize>) -> Children {
        let mut all = Children { first: vec![NONE; parent.len()], next: vec![NONE; parent.len()] };
        for i in order.rev() {
            let up = parent[i];
            if up != NONE {
                all.next[i] = std::mem::replace(&mut all.first[up], i);
            }
        }
        all
    }

    fn of(&self, node: usize) -> impl Iterator<Item = usize> {
        let some = |i: usize| (i != NONE).then_some(i);
        std::iter::successors(some(self.first[node]), move |&i| some(self.next[i]))
    }
}

/// Lays the sorted rows of a grid out as a tree; those in `leads` are there only for others.
pub fn lay_out(grid: &mut Grid, leads: &HashSet<(u8, u32)>, view: &PaneState) {
    let plan = Plan::new(grid);
    let mut order: Vec<usize> = (0..grid.rows.len()).collect();
    if let Some(mut figures) = figures(grid, view) {
        plan.add_up(&mut figures);
        let cell = |i: usize| figures[i].map_or(Value::None, Value::F64);
        order.sort_by(|&a, &b| view.order.cmp(cell(a), cell(b)));
    }
    let children = Children::new(&plan.parent, order.iter().copied());
    let folded = Folded::new(grid, view);
    let mut rows = Vec::with_capacity(grid.rows.len());
    let mut lines: Vec<Line> = Vec::with_capacity(grid.rows.len());
    let mut todo: Vec<Step> = Vec::new();
    for &root in order.iter().rev().filter(|&&i| plan.parent[i] == NONE) {
        todo.push(Step::Enter { node: root, depth: 0, guides: 0, hidden: false });
    }
    while let Some(step) = todo.pop() {
        let (node, depth, guides, hidden) = match step {
            Step::Enter { node, depth, guides, hidden } => (node, depth, guides, hidden),
            Step::Leave { line } => {
                if let Some(Line::Node(n)) = lines.get_mut(line) {
                    n.to = rows.len();
                }
                continue;
            }
        };
        let row = grid.rows[node];
        let index = rows.len();
        rows.push(row);
        let open = !folded.is(grid, row);
        if !hidden {
            let context = leads.contains(&row);
            todo.push(Step::Leave { line: lines.len() });
            lines.push(Line::Node(Node { index, to: index + 1, depth, guides, open, context }));
        }
        let below = depth.saturating_add(1);
        let from = todo.len();
        for child in children.of(node) {
            let bit = 1u64 << below.min(63);
            let guides = if children.next[child] == NONE { guides & !bit } else { guides | bit };
            let hidden = hidden || !open;
            todo.push(Step::Enter { node: child, depth: below, guides, hidden });
        }
        todo[from..].reverse();
    }
    grid.rows = rows;
    grid.lines = lines;
}

enum Step {
    Enter { node: usize, depth: u16, guides: u64, hidden: bool },
    Leave { line: usize },
}

/// What each row has in the column sorted by, where rows can be summed by it.
fn figures(grid: &Grid, view: &PaneState) -> Option<Vec<Option<f64>>> {
    let by = view.sort.as_ref()?;
    let field = by.field(grid.parts.first()?.table().schema())?;
    if !sums(field) {
        return None;
    }
    let at: Vec<Option<usize>> =
        grid.parts.iter().map(|f| f.table().schema().find(by.first_id())).collect();
    let value = |&(p, row): &(u8, u32)| {
        let part = usize::from(p);
        grid.parts[part].value(row as usize, at[part]?).as_f64()
    };
    Some(grid.rows.iter().map(value).collect())
}

/// Which nodes are folded: those named, or all but those.
struct Folded {
    named: HashSet<(u64, u64), ahash::RandomState>,
    all_open: bool,
    fields: Option<(usize, usize)>,
}

impl Folded {
    fn new(grid: &Grid, view: &PaneState) -> Folded {
        let named = view.open.iter().filter_map(|name| {
            let (pid, start) = name.split_once(' ')?;
            Some((pid.parse().ok()?, start.parse().ok()?))
        });
        let schema = grid.parts.first().map(|f| f.table().schema());
        let fields = schema.and_then(|s| Some((s.find("pid")?, s.find("start")?)));
        Folded { named: named.collect(), all_open: view.all_open, fields }
    }

    fn is(&self, grid: &Grid, row: (u8, u32)) -> bool {
        if self.named.is_empty() || row.0 != 0 {
            return !self.all_open;
        }
        let number = |field| grid.parts[0].value(row.1 as usize, field).as_u64();
        let key = self.fields.and_then(|(pid, start)| Some((number(pid)?, number(start)?)));
        let named = key.is_some_and(|key| self.named.contains(&key));
        named == self.all_open
    }
}

/// Whether the pane shown is drawn as a tree.
pub fn shown(state: &State) -> bool {
    state.view().group_by() == TREE && matches!(state.grid.lines.first(), Some(Line::Node(_)))
}

fn node(state: &State, line: usize) -> Option<Node> {
    match state.grid.lines.get(line)? {
        Line::Node(node) => Some(*node),
        _ => None,
    }
}

/// The line of the one above.
fn line_above(state: &State, line: usize) -> Option<usize> {
    let own = node(state, line)?;
    (0..line).rev().find(|&l| node(state, l).is_some_and(|n| n.depth < own.depth))
}

/// The name under which a node is folded.
fn name(state: &State, line: usize) -> Option<String> {
    let (frame, row, part) = state.grid.row_of(line)?;
    let number = |id| frame.get(row, id).as_u64();
    (part == 0).then(|| Some(format!("{} {}", number("pid")?, number("start")?))).flatten()
}

/// Folds or unfolds the selected node. Where there is nothing to fold, the one above it is folded;
/// what is folded or unfolded already makes it all of them.
pub fn fold(state: &mut State, open: bool) {
    let mut at = state.view().at;
    let Some(own) = node(state, at) else { return };
    if !open && (!own.parent() || !own.open) {
        match line_above(state, at) {
            Some(up) => at = up,
            None => return all(state, false),
        }
    } else if open && (!own.parent() || own.open) {
        return all(state, true);
    }
    let (Some(name), key) = (name(state, at), line_key(state, at)) else { return };
    let view = state.view_mut();
    if view.open.contains(&name) {
        view.open.retain(|n| *n != name);
    } else {
        view.open.push(name);
    }
    view.selected = key;
    again(state);
}

fn all(state: &mut State, open: bool) {
    let key = line_key(state, state.view().at);
    let view = state.view_mut();
    view.all_open = open;
    view.open.clear();
    view.selected = view.selected.take().or(key);
    again(state);
}

fn again(state: &mut State) {
    rebuild(state);
    let page = state.page();
    show_selected(state.view_mut(), page);
}

/// Left and right on a node: folds, unfolds, or goes to the one above; false where the columns are
/// meant.
pub fn sideways(state: &mut State, right: bool) -> bool {
    let at = state.view().at;
    let Some(own) = node(state, at).filter(|_| right || state.view().pan == 0) else {
        return false;
    };
    if own.parent() && own.open != right {
        fold(state, right);
        return true;
    }
    match line_above(state, at).filter(|_| !right) {
        Some(up) => {
            super::input::step(state, up as isize - at as isize);
            true
        }
        None => false,
    }
}
