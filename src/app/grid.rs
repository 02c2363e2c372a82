//! The rows a pane shows: filtered, sorted, grouped; and what a cell of them is.

use std::collections::HashMap;
use std::sync::Arc;

use crate::table::{
    Bound, Contrast, Field, Filter, Frame, From, Kind, Nature, Order, Part, Type, Unit, Value,
};

use super::columns::Shown;
use super::ended::{Ended, Gone};
use super::pane::{Pane, TREE};
use super::state::{RowKey, State, cell_text, is_only, is_whole, row_key};
use super::tree::{self, Node};

/// Rows of a pane as shown.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// The tables the rows are of: what is, then what ended.
    pub parts: Vec<Frame>,
    /// Matching rows in order: part and row.
    pub rows: Vec<(u8, u32)>,
    /// What is drawn, one a line.
    pub lines: Vec<Line>,
    /// How many of these only lead to a row that matches, in a tree.
    pub context: usize,
    /// Rows before the filter.
    pub total: usize,
    /// What is compared, where the rows are of two times.
    pub contrast: Option<Arc<Contrast>>,
    /// Filter keys this table does not have; their terms are ignored.
    pub unknown: Vec<String>,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A row: its index in [`Grid::rows`], and whether it is inside a group.
    Row {
        /// Index.
        index: usize,
        /// Inside a group.
        inside: bool,
    },
    /// A group: rows `from..to`.
    Group {
        /// First row.
        from: usize,
        /// One past the last.
        to: usize,
        /// Whether its rows follow.
        open: bool,
    },
    /// A row of a tree.
    Node(Node),
}

impl Line {
    /// The row it is of, or begins with.
    pub fn index(&self) -> usize {
        match *self {
            Line::Row { index, .. } | Line::Node(Node { index, .. }) => index,
            Line::Group { from, .. } => from,
        }
    }
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A value.
    One(Value<'a>),
    /// An address and its port.
    Pair(Value<'a>, Value<'a>),
    /// So many rows that differ.
    Many(usize),
}

impl Grid {
    /// The part and row of a line; the first row of a group.
    pub fn row_of(&self, line: usize) -> Option<(&Frame, usize, u8)> {
        let &(part, row) = self.rows.get(self.lines.get(line)?.index())?;
        Some((self.parts.get(usize::from(part))?, row as usize, part))
    }

    /// Whether the line is of what ended.
    pub fn ended(&self, line: Line) -> bool {
        let group = matches!(line, Line::Group { .. });
        !group && self.rows.get(line.index()).is_some_and(|r| r.0 == 1)
    }

    /// The cell of a line under a column.
    pub fn cell(&self, line: Line, shown: &Shown) -> Cell<'_> {
        match line {
            Line::Row { index, .. } => self.row_cell(index, shown),
            Line::Group { from, to, .. } => self.group_cell(from, to, shown),
            // What is hidden below a row is in its figures.
            Line::Node(n) if n.parent() && !n.open => self.folded_cell(n, shown),
            Line::Node(n) => self.row_cell(n.index, shown),
        }
    }

    fn folded_cell(&self, node: Node, shown: &Shown) -> Cell<'_> {
        let schema = self.parts.first().map(|f| f.table().schema());
        let field = schema.and_then(|s| shown.field(s));
        if field.is_some_and(sums) {
            self.group_cell(node.index, node.to, shown)
        } else {
            self.row_cell(node.index, shown)
        }
    }

    fn value(&self, index: usize, id: &str) -> Value<'_> {
        let Some(&(part, row)) = self.rows.get(index) else { return Value::None };
        self.parts.get(usize::from(part)).map_or(Value::None, |f| f.get(row as usize, id))
    }

    fn row_cell(&self, index: usize, shown: &Shown) -> Cell<'_> {
        match shown {
            Shown::One(id) => Cell::One(self.value(index, id)),
            Shown::Pair(a, b, _) => Cell::Pair(self.value(index, a), self.value(index, b)),
            Shown::Sum(a, b, _) | Shown::Mean(a, b, _) => {
                Cell::One(shown.together(self.value(index, a), self.value(index, b)))
            }
        }
    }

    fn group_cell(&self, from: usize, to: usize, shown: &Shown) -> Cell<'_> {
        match shown {
            Shown::Pair(a, b, _) => match (self.common(from, to, a), self.common(from, to, b)) {
                (Some(a), Some(b)) => Cell::Pair(a, b),
                (Some(a), None) => Cell::Pair(a, Value::None),
                _ => Cell::Many(to - from),
            },
            // Of rows of which some are new there is no one word.
            Shown::One(id) if self.contrast.as_ref().is_some_and(|c| c.row() == id) => {
                Cell::One(self.common(from, to, id).unwrap_or(Value::None))
            }
            Shown::One(id) => {
                match self.ratio_of(from, to, id).or_else(|| self.total_of(from, to, id)) {
                    Some(v) => Cell::One(v),
                    None => self.common(from, to, id).map_or(Cell::Many(to - from), Cell::One),
                }
            }
            Shown::Sum(a, b, _) | Shown::Mean(a, b, _) => Cell::One(shown.together(
                self.total_of(from, to, a).unwrap_or(Value::None),
                self.total_of(from, to, b).unwrap_or(Value::None),
            )),
        }
    }

    /// Where a column stands in each part, and a cell of it.
    fn column<'a>(&'a self, id: &str) -> impl Fn(usize) -> Value<'a> + use<'a> {
        let find = |p: usize| self.parts.get(p).and_then(|f| f.table().schema().find(id));
        let fields = [find(0), find(1)];
        move |index| {
            let Some(&(part, row)) = self.rows.get(index) else { return Value::None };
            let part = usize::from(part);
            let field = fields.get(part).copied().flatten();
            field.map_or(Value::None, |f| self.parts[part].value(row as usize, f))
        }
    }

    fn common(&self, from: usize, to: usize, id: &str) -> Option<Value<'_>> {
        let value = self.column(id);
        let first = value(from);
        (from + 1..to).all(|i| value(i) == first).then_some(first)
    }

    /// Which part of an amount a column is, where the rows are of two times.
    pub fn part(&self, id: &str) -> Option<(&str, Part)> {
        self.contrast.as_ref()?.part(id)
    }

    /// Of a group, how many times as much it is: of its sums, where these mean something.
    fn ratio_of(&self, from: usize, to: usize, id: &str) -> Option<Value<'_>> {
        let (amount, part) = self.part(id)?;
        if part != Part::Ratio {
            return None;
        }
        let contrast = self.contrast.as_ref()?;
        let total = |part| {
            let id = contrast.column(amount, part).filter(|id| contrast.adds(id))?;
            self.total_of(from, to, id)?.as_f64()
        };
        let ratio = total(Part::Now).zip(total(Part::Was).filter(|w| *w != 0.0));
        Some(ratio.map_or(Value::None, |(now, was)| Value::F64(now / was)))
    }

    /// Sum or maximum over a group, where that means something for the column.
    fn total_of(&self, from: usize, to: usize, id: &str) -> Option<Value<'_>> {
        let schema = self.parts.first()?.table().schema();
        let field = &schema.fields()[schema.find(id)?];
        if field.ty == Type::Text || is_name(field) {
            return None;
        }
        let value = self.column(id);
        // The queues of a listener count connections, not bytes.
        let queue = matches!(id, "recvq" | "sendq");
        let numbers = (from..to)
            .filter(|&i| !queue || self.value(i, "role") != Value::Text("listen"))
            .filter_map(|i| value(i).as_f64());
        let adds = self.contrast.as_ref().is_some_and(|c| c.adds(id));
        let total = if adds || sums(field) {
            numbers.reduce(|a, b| a + b)
        } else {
            numbers.reduce(f64::max)
        };
        Some(total.map_or(Value::None, Value::F64))
    }
}

fn is_name(field: &Field) -> bool {
    matches!(field.unit, Unit::Id | Unit::Address) || field.kind == Kind::Key
}

/// Whether the sum of a column's cells means something.
pub fn sums(field: &Field) -> bool {
    field.kind == Kind::Counter
        || matches!(field.from, From::Rate(_))
        || field.unit == Unit::Bytes
        || field.id == "threads"
}

/// Builds the rows of the pane shown, and keeps the selection on its row.
pub fn rebuild(state: &mut State) {
    super::compare::lay(state);
    let pane = Arc::clone(&state.view().pane);
    let contrast = super::compare::contrast(state).cloned();
    let mut grid = Grid { contrast, ..Grid::default() };
    let then = grid.contrast.as_ref().map(|c| c.then().clone());
    let frame = grid.contrast.as_ref().map(|c| c.frame().clone());
    grid.parts.extend(frame.or_else(|| part(state, &pane.table)));
    if let (true, Some(frame)) = (pane.found, grid.parts.first()) {
        state.view_mut().seen.take(frame);
    }
    state.view_mut().dear = collected(&pane, grid.parts.first());
    let view = state.view();
    if let (true, Some(ended)) =
        (view.ended != Ended::Hidden && !grid.parts.is_empty(), &pane.ended)
    {
        grid.parts.extend(part(state, ended));
    }
    let gone = match grid.parts.as_slice() {
        [now, ended] => Some(Gone::new(view, now, ended)),
        _ => None,
    };
    let pin = state.pin.as_ref().map(|pin| pin_for(pin, &pane.table));
    let filters: Vec<&Filter> = pin.iter().chain([&state.filter]).collect();
    take(&mut grid, &filters, &pane.only, gone.as_ref(), then.as_ref());
    let group = view.group_by();
    let leads = if group == TREE { tree::above(&grid) } else { Vec::new() };
    grid.context = leads.len();
    if !leads.is_empty() {
        grid.rows.extend(&leads);
        grid.rows.sort_unstable();
    }
    let size = view.sort.as_ref().is_some_and(|s| super::compare::by_size(state, s));
    let rows = sorted(&grid, view.sort.as_ref(), view.order, size);
    grid.rows = rows;
    if group == TREE && tree::possible(&grid) {
        tree::lay_out(&mut grid, &leads.into_iter().collect(), view);
    } else if group.is_empty() || group == TREE {
        grid.lines = (0..grid.rows.len()).map(|index| Line::Row { index, inside: false }).collect();
    } else {
        group_lines(&mut grid, group, view);
    }
    state.grid = grid;
    settle(state);
}

/// Takes in the rows that the pane is about and the filters match.
/// With `then`, the same rows as they were, it is enough that they match as they were.
fn take(
    grid: &mut Grid,
    filters: &[&Filter],
    only: &str,
    gone: Option<&Gone>,
    then: Option<&Frame>,
) {
    let only = Filter::parse(only).unwrap_or_default();
    let bound: Vec<Vec<Bound>> = grid
        .parts
        .iter()
        .map(|f| filters.iter().map(|x| x.bind(f.table().schema())).collect())
        .collect();
    let unknown: Vec<Vec<String>> = bound
        .iter()
        .map(|b| b.iter().flat_map(|b| b.unknown().to_vec()).collect::<Vec<String>>())
        .collect();
    grid.unknown = unknown.first().cloned().unwrap_or_default();
    grid.unknown.retain(|term| unknown.iter().all(|u| u.contains(term)));
    for (p, frame) in grid.parts.iter().enumerate() {
        let kept: Bound = only.bind(frame.table().schema());
        // A term that only the other table knows (how it ended) is not met by a row of this one.
        let met = unknown[p].iter().all(|term| grid.unknown.contains(term));
        // Of what ended the last comes first.
        let turned = |row: usize| if p == 1 { frame.len() - 1 - row } else { row };
        for row in (0..frame.len()).map(turned) {
            let gone = gone.filter(|_| p == 1);
            if !kept.matches(frame, row) || gone.is_some_and(|g| !g.shows(frame, row)) {
                continue;
            }
            grid.total += 1;
            let matches = |frame: &Frame| bound[p].iter().all(|b| b.matches(frame, row));
            if met && (matches(frame) || then.is_some_and(matches)) {
                grid.rows.push((p as u8, row as u32));
            }
        }
    }
}

/// A pinned process is meant at both ends of a wake.
fn pin_for(pin: &Filter, table: &str) -> Filter {
    let text = pin.to_string();
    let pid = text.strip_prefix("pid=").filter(|_| table == "wake");
    let both = pid.and_then(|pid| Filter::parse(&format!("party={pid}")).ok());
    both.unwrap_or_else(|| pin.clone())
}

/// The same rows at another instant: only what is derived from time differs.
pub fn refresh(state: &mut State) {
    if let Some(frame) = part(state, &state.view().pane.table) {
        state.grid.parts = vec![frame];
    }
}

/// Whether any row has the first of the columns that are collected on demand.
fn collected(pane: &Pane, frame: Option<&Frame>) -> bool {
    let (Some(first), Some(frame)) = (pane.dear.first(), frame) else { return false };
    let schema = frame.table().schema();
    let Some(field) = first.field(schema) else { return false };
    let (From::Stored(i) | From::Rate(i) | From::Age(i)) = field.from;
    let column = frame.table().batch().column(i);
    column.null_count() < column.len()
}

fn part(state: &State, table: &str) -> Option<Frame> {
    if let Some(frame) = state.frame(table)
        && frame.table().schema().nature() == Nature::State
    {
        return Some(frame);
    }
    let mono = state.moment.as_ref()?.now.mono_ns;
    Some(Frame::new(mono, state.trail.events(table)?, None))
}

fn sorted(grid: &Grid, by: Option<&Shown>, order: Order, size: bool) -> Vec<(u8, u32)> {
    // Of a log the newest comes first, among what happened at one time, too.
    let mut rows = grid.rows.clone();
    let log = grid.parts.first().is_some_and(|f| {
        let schema = f.table().schema();
        schema.nature() == Nature::Event && (schema.found() || schema.own_time().is_some())
    });
    if log && (by.is_none() || order == Order::Descending) {
        rows.reverse();
    }
    let Some(by) = by else { return rows };
    let fields: Vec<(Option<usize>, Option<usize>)> = grid
        .parts
        .iter()
        .map(|f| {
            let find = |id: &str| f.table().schema().find(id);
            match by {
                Shown::One(a) => (find(a), None),
                Shown::Pair(a, b, _) | Shown::Sum(a, b, _) | Shown::Mean(a, b, _) => {
                    (find(a), find(b))
                }
            }
        })
        .collect();
    let value = |r: &(u8, u32), second: bool| -> Value<'_> {
        let p = usize::from(r.0);
        let field = if second { fields[p].1 } else { fields[p].0 };
        let value = field.map_or(Value::None, |f| grid.parts[p].value(r.1 as usize, f));
        match (size, value) {
            (true, Value::F64(v)) => Value::F64(v.abs()),
            (_, value) => value,
        }
    };
    let mut keyed: Vec<(Value<'_>, Value<'_>, (u8, u32))> = rows
        .iter()
        .map(|r| match by {
            Shown::One(_) => (value(r, false), Value::None, *r),
            Shown::Pair(..) => (value(r, false), value(r, true), *r),
            Shown::Sum(..) | Shown::Mean(..) => {
                (by.together(value(r, false), value(r, true)), Value::None, *r)
            }
        })
        .collect();
    keyed.sort_by(|a, b| {
        order.cmp(a.0, b.0).then_with(|| order.cmp(a.1, b.1)).then(a.2.0.cmp(&b.2.0))
    });
    keyed.into_iter().map(|k| k.2).collect()
}

fn group_lines(grid: &mut Grid, by: &str, view: &super::state::PaneState) {
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<(u8, u32)>)> = Vec::new();
    for &(p, r) in &grid.rows {
        let value = cell_text(grid.parts[usize::from(p)].get(r as usize, by));
        let at = *index.entry(value.clone()).or_insert_with(|| {
            groups.push((value, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push((p, r));
    }
    // Lay the rows out group by group, then order the groups by their own cell.
    let mut rows = Vec::with_capacity(grid.rows.len());
    let mut spans: Vec<(String, usize, usize)> = Vec::with_capacity(groups.len());
    for (value, members) in groups {
        let from = rows.len();
        rows.extend(members);
        spans.push((value, from, rows.len()));
    }
    grid.rows = rows;
    let mut keyed: Vec<(Value<'_>, usize)> = spans
        .iter()
        .enumerate()
        .map(|(i, &(_, from, to))| {
            match view.sort.as_ref().map(|by| grid.group_cell(from, to, by)) {
                Some(Cell::One(v) | Cell::Pair(v, _)) => (v, i),
                Some(Cell::Many(_)) | None => (Value::None, i),
            }
        })
        .collect();
    keyed.sort_by(|a, b| view.order.cmp(a.0, b.0));
    let mut lines = Vec::new();
    for (_, i) in keyed {
        let (value, from, to) = &spans[i];
        let open = view.open.contains(value) != view.all_open;
        lines.push(Line::Group { from: *from, to: *to, open });
        if open {
            lines.extend((*from..*to).map(|index| Line::Row { index, inside: true }));
        }
    }
    grid.lines = lines;
}

/// The identity of a line: a row's key cells, or a group's name and value.
pub fn line_key(state: &State, line: usize) -> Option<RowKey> {
    let (frame, row, _) = state.grid.row_of(line)?;
    match state.grid.lines.get(line)? {
        Line::Group { .. } => {
            let by = state.view().group_by();
            Some(vec![format!("group {by}"), cell_text(frame.get(row, by))])
        }
        Line::Row { .. } | Line::Node(_) => Some(row_key(frame, row)),
    }
}

/// Puts the selection back on its row, and the window of lines within bounds.
pub fn settle(state: &mut State) {
    let lines = state.grid.lines.len();
    let found = state.view().selected.clone().and_then(|key| find_line(state, &key));
    let page = state.page();
    let view = state.view_mut();
    let moved = found.is_some_and(|at| at != view.at);
    view.at = found.unwrap_or(view.at).min(lines.saturating_sub(1));
    view.offset = view.offset.min(lines.saturating_sub(page));
    if view.follow && moved {
        show_selected(view, page);
    }
}

fn find_line(state: &State, key: &RowKey) -> Option<usize> {
    if key.first().is_some_and(|k| k.starts_with("group ")) {
        return (0..state.grid.lines.len())
            .filter(|&l| matches!(state.grid.lines[l], Line::Group { .. }))
            .find(|&l| line_key(state, l).as_ref() == Some(key));
    }
    let there = (0..state.grid.lines.len()).find(|&l| {
        !matches!(state.grid.lines[l], Line::Group { .. })
            && state.grid.row_of(l).is_some_and(|(frame, row, _)| has_key(frame, row, key))
    });
    there.or_else(|| super::ended::line_of(state, key))
}

/// Whether the row has these key cells; compares numbers without writing them out.
pub fn has_key(frame: &Frame, row: usize, key: &RowKey) -> bool {
    let schema = frame.table().schema();
    let same = |c: usize, want: &String| match frame.table().value(row, c) {
        Value::Text(s) => s == want,
        Value::U64(n) => want.parse() == Ok(n),
        Value::I64(n) => want.parse() == Ok(n),
        other => cell_text(other) == *want,
    };
    if is_only(frame) {
        return key.is_empty();
    }
    if is_whole(schema) {
        return key.len() == schema.stored().len()
            && key.iter().enumerate().all(|(c, want)| same(c, want));
    }
    schema.keys().len() == key.len() && schema.keys().iter().zip(key).all(|(&c, w)| same(c, w))
}

/// Scrolls so that the selected line is drawn.
pub fn show_selected(view: &mut super::state::PaneState, page: usize) {
    if view.at < view.offset {
        view.offset = view.at;
    } else if view.at >= view.offset + page {
        view.offset = view.at + 1 - page;
    }
}
