//! Panes that come with their table: one for every table found at run time in a tool's output, and
//! the built-in ones about tools. A pane once there stays, and keeps what the user chose when the
//! tool changes its columns.

use std::sync::Arc;

use crate::source::Moment;
use crate::table::{Field, Kind, Nature, Order, Schema, Type, Unit, Value};

use super::columns::Shown;
use super::pane::{Pane, TOOLS, of_stacks};
use super::state::{PaneState, State};

/// Groups offered for a tool's table, besides none.
const GROUPS: usize = 8;
/// Headers, in small letters, of what tells rows apart to a reader.
const NAMES: &[&str] = &[
    "comm",
    "command",
    "cmd",
    "name",
    "process",
    "device",
    "dev",
    "iface",
    "filesystem",
    "path",
    "image",
    "unit",
    "func",
    "function",
    "event",
];
/// From this hide priority on a tool's column is not shown at first.
const HIDDEN: u8 = 128;

/// The pane of a tool whose table is not known yet.
pub fn expected(tool: &str) -> Pane {
    let tool = crate::table::clean(tool).into_owned();
    Pane {
        empty: format!("Waiting for the first rows of {tool} ..."),
        title: tool.clone(),
        table: tool,
        found: true,
        rank: TOOLS,
        groups: vec![String::new()],
        ..Pane::default()
    }
}

/// The pane of a table found at run time.
fn pane_of(schema: &Schema) -> Pane {
    let own = schema.own_time();
    let log = schema.nature() == Nature::Event;
    let shown = |(i, f): &(usize, &Field)| Some(*i) != own || (log && f.hide < HIDDEN);
    let columns: Vec<Shown> = schema
        .stored()
        .iter()
        .enumerate()
        .filter(shown)
        .map(|(_, f)| Shown::One(f.id.clone()))
        .collect();
    let by = |f: &&Field| {
        f.kind == Kind::Key || f.unit == Unit::Id || (f.ty == Type::Text && f.kind != Kind::Stack)
    };
    let groups = schema.stored().iter().filter(by).take(GROUPS).map(|f| f.id.clone());
    Pane {
        empty: format!("{} has printed no row yet.", schema.table()),
        keep: keep(schema),
        sort: own.filter(|_| log).map(|i| Shown::One(schema.fields()[i].id.clone())),
        order: if log { Order::Descending } else { Order::Ascending },
        groups: std::iter::once(String::new()).chain(groups).collect(),
        columns,
        ..expected(schema.table())
    }
}

/// What says which row it is: at most two keys and a name.
fn keep(schema: &Schema) -> Vec<Shown> {
    let text = |f: &&Field| f.ty == Type::Text && f.kind == Kind::Text;
    let named = |f: &&Field| {
        let id = f.id.to_lowercase();
        NAMES.contains(&id.trim_matches(|c: char| !c.is_alphanumeric()))
    };
    let fields = || schema.stored().iter();
    let name = fields().filter(text).find(named).or_else(|| fields().find(text));
    let keys = fields().filter(|f| f.kind == Kind::Key).take(2);
    let mut keep: Vec<Shown> = Vec::new();
    for field in keys.chain(name) {
        let one = Shown::One(field.id.clone());
        if !keep.contains(&one) {
            keep.push(one);
        }
    }
    keep
}

/// Takes in which tables there are at a moment that is about to be shown.
pub fn adopt(state: &mut State, moment: &Moment) {
    let now: Vec<Arc<Schema>> = moment.now.tables.iter().map(|t| t.schema().clone()).collect();
    let logs = state.trail.schemas();
    take(state, now.iter().chain(&logs));
    let known = |pane: &Pane| {
        if pane.stacks {
            let now = moment.now.tables.iter().any(|t| of_stacks(t.name()));
            return now || logs.iter().any(|s| of_stacks(s.table()));
        }
        let rows = moment.now.table(&pane.table).map(|t| !t.is_empty() || !pane.rows);
        rows == Some(true) || logs.iter().any(|s| s.table() == pane.table)
    };
    let (come, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(known);
    state.waiting = waiting;
    let come: Vec<Pane> = come;
    for pane in come {
        insert(state, PaneState::new(pane));
    }
    if std::mem::take(&mut state.sparse) {
        leave_out(state, known);
    }
    want(state);
}

/// Takes in all tables of a recording before the first moment of it is shown: their panes are there
/// although a tool may begin later.
pub fn know(state: &mut State, schemas: &[Arc<Schema>]) {
    take(state, schemas.iter());
    if std::mem::take(&mut state.sparse) {
        leave_out(state, |pane| {
            let of =
                |s: &Arc<Schema>| s.table() == pane.table || (pane.stacks && of_stacks(s.table()));
            schemas.iter().any(of)
        });
    }
    want(state);
}

/// A pane for each table found at run time, with its newest columns.
fn take<'a>(state: &mut State, schemas: impl Iterator<Item = &'a Arc<Schema>>) {
    for schema in schemas.filter(|s| s.found()) {
        match state.panes.iter_mut().find(|p| p.pane.found && p.pane.table == schema.table()) {
            Some(view) => renew(view, schema),
            None => {
                let mut view = PaneState::new(pane_of(schema));
                view.version = Some(Arc::clone(schema));
                insert(state, view);
            }
        }
    }
}

/// Puts a pane behind those of its rank; the one shown stays shown.
fn insert(state: &mut State, view: PaneState) {
    let at = state.panes.iter().take_while(|p| p.pane.rank <= view.pane.rank).count();
    state.panes.insert(at, view);
    if at <= state.pane && state.panes.len() > 1 {
        state.pane += 1;
    }
}

/// Takes away the built-in panes that have no table here; they come back with it.
fn leave_out(state: &mut State, known: impl Fn(&Pane) -> bool) {
    let shown = state.view().pane.table.clone();
    let title = state.view().pane.title.clone();
    let stays = |p: &PaneState| p.pane.found || known(&p.pane);
    if !state.panes.iter().any(stays) {
        return;
    }
    let (kept, out): (Vec<_>, Vec<_>) =
        std::mem::take(&mut state.panes).into_iter().partition(stays);
    state.panes = kept;
    state.waiting.extend(out.into_iter().map(|p| Pane::clone(&p.pane)));
    let same = |p: &PaneState| p.pane.table == shown && p.pane.title == title;
    state.pane = state.panes.iter().position(same).unwrap_or(0);
}

/// The tool's columns may have changed: what is new is shown where it stands, the rest is left as
/// the user has it.
fn renew(view: &mut PaneState, schema: &Arc<Schema>) {
    if view.version.as_ref().is_some_and(|v| Arc::ptr_eq(v, schema) || v == schema) {
        return;
    }
    let fresh = pane_of(schema);
    view.version = Some(Arc::clone(schema));
    if view.pane.columns.is_empty() {
        let selected = view.selected.take();
        *view = PaneState { version: view.version.take(), selected, ..PaneState::new(fresh) };
        return;
    }
    let mut pane = Pane::clone(&view.pane);
    for (i, column) in fresh.columns.iter().enumerate() {
        if pane.columns.contains(column) {
            continue;
        }
        let place = |list: &[Shown]| {
            let before = fresh.columns[..i].iter().rev();
            before.filter_map(|b| list.iter().position(|c| c == b)).next().map_or(0, |at| at + 1)
        };
        pane.columns.insert(place(&pane.columns), column.clone());
        let shown = &mut view.columns.shown;
        shown.insert(place(shown), column.clone());
    }
    for group in fresh.groups {
        if !pane.groups.contains(&group) {
            pane.groups.push(group);
        }
    }
    pane.keep = fresh.keep;
    view.pane = Arc::new(pane);
}

/// Opens the table that is waited for; until there is one, what the tool says instead.
fn want(state: &mut State) {
    let Some(tool) = state.want.clone() else { return };
    let own = |p: &PaneState| p.pane.found && !p.pane.columns.is_empty() && p.pane.table == tool;
    if let Some(at) = state.panes.iter().position(own) {
        state.pane = at;
        state.want = None;
        return;
    }
    let says = state
        .trail
        .events("text")
        .is_some_and(|text| (0..text.len()).any(|row| text.get(row, "tool") == Value::Text(&tool)));
    if let (true, Some(at)) = (says, state.panes.iter().position(|p| p.pane.table == "text")) {
        state.pane = at;
    }
}
