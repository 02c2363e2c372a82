//! Keys and pastes: the innermost overlay first, then the table.

use crate::table::Filter;

use super::columns::{Shown, fit};
use super::detail::Detail;
use super::effect::Effect;
use super::grid::{Line, line_key, rebuild, show_selected};
use super::key::Key;
use super::keymap::{Action, BINDINGS, action};
use super::mode::Mode;
use super::pane::TREE;
use super::prompt::{Dear, Prompt, PromptKind};
use super::series::is_figure;
use super::state::{Overlay, State, Tone};
use super::{bar, choose, compare, ended, focus, hunt, marks, target, travel, tree, typed};

/// Carries out a key.
pub fn key(state: &mut State, key: Key) -> Vec<Effect> {
    if key == Key::Ctrl('c') {
        return vec![Effect::Quit];
    }
    if state.hunting && key == Key::Esc {
        return hunt::stop(state);
    }
    match state.overlays.last() {
        Some(Overlay::Prompt(_)) => return typed::key(state, key),
        Some(Overlay::Marks { .. }) => return marks::key(state, key),
        Some(Overlay::Columns { .. }) => return choose::key(state, key),
        Some(Overlay::Help { .. }) => return help_key(state, key),
        Some(Overlay::Image(_)) => {
            if let Some(effects) = super::image::key(state, key) {
                return effects;
            }
        }
        None if state.view().pane.stacks => {
            if let Some(effects) = super::stack::key(state, key) {
                return effects;
            }
        }
        Some(Overlay::Detail(_)) | None => {}
    }
    action(key).map_or_else(Vec::new, |a| act(state, a))
}

/// Carries out an action of the key map.
pub fn act(state: &mut State, action: Action) -> Vec<Effect> {
    if matches!(state.overlays.last(), Some(Overlay::Detail(_)))
        && let Some(effects) = detail_act(state, action)
    {
        return effects;
    }
    if state.overlays.is_empty()
        && state.view().pane.stacks
        && let Some(effects) = super::stack::act(state, action)
    {
        return effects;
    }
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Help => {
            state.overlays.push(Overlay::Help { search: String::new(), scroll: 0 });
        }
        Action::Back => return back(state),
        Action::Up | Action::PrevMatch => step(state, -1),
        Action::Down | Action::NextMatch => step(state, 1),
        Action::PageUp => step(state, -page(state)),
        Action::PageDown => step(state, page(state)),
        Action::Top => step(state, isize::MIN / 2),
        Action::Bottom => step(state, isize::MAX / 2),
        Action::Left => sideways(state, false),
        Action::Right => sideways(state, true),
        Action::Pane(n) => open_pane(state, usize::from(n) - 1),
        Action::NextPane => open_pane(state, (state.pane + 1) % state.panes.len()),
        Action::PrevPane => {
            let panes = state.panes.len();
            open_pane(state, (state.pane + panes - 1) % panes);
        }
        Action::Enter => return enter(state),
        Action::Graph => return graph(state),
        Action::SortLeft => sort_next(state, -1),
        Action::SortRight => sort_next(state, 1),
        Action::Reverse => {
            let order = state.view().order.reversed();
            state.view_mut().order = order;
            rebuild(state);
        }
        Action::Columns => state.overlays.push(Overlay::Columns { at: 0 }),
        Action::Group => next_group(state),
        Action::Unfold => fold(state, true),
        Action::Fold => fold(state, false),
        Action::Follow => {
            let follow = !state.view().follow;
            let key = line_key(state, state.view().at);
            let view = state.view_mut();
            view.follow = follow;
            view.selected = view.selected.take().or(key);
            state.say(Tone::Plain, if follow { "Following the row." } else { "Not following." });
        }
        Action::Ended => ended::toggle(state),
        Action::Units => state.bits = !state.bits,
        Action::MouseToggle => {
            state.mouse = !state.mouse;
            return vec![Effect::Mouse(state.mouse)];
        }
        Action::Filter | Action::Pin | Action::JumpTime | Action::Palette | Action::Find => {
            typed::open(state, action);
        }
        Action::FindNext => return hunt::again(state, true),
        Action::FindPrev => return hunt::again(state, false),
        Action::Bar => bar::turn(state),
        Action::Compare => return compare::toggle(state),
        Action::CompareWith => compare::ask(state),
        Action::Mark => marks::ask(state),
        Action::GoMark => return marks::open(state),
        Action::Kill => target::ask(state),
        Action::NiceUp => target::renice(state, 1),
        Action::NiceDown => target::renice(state, -1),
        Action::States => return focus::states(state),
        Action::Why => return super::stack::why(state),
        Action::Calls => return focus::ask(state, Dear::Calls),
        Action::Locks => return focus::ask(state, Dear::Locks),
        Action::Copy => return target::copy(state),
        Action::Export => return target::export(state),
        Action::ZoomIn => return travel::zoom(state, false),
        Action::ZoomOut => return travel::zoom(state, true),
        Action::Freeze
        | Action::StepForward
        | Action::StepBack
        | Action::MinuteForward
        | Action::MinuteBack
        | Action::HourForward
        | Action::HourBack
        | Action::FirstSample
        | Action::LastSample => return travel::act(state, action),
    }
    Vec::new()
}

/// What an action means on a details page, where it means something of its own.
fn detail_act(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    let page = isize::try_from(state.page_over()).unwrap_or(1);
    if state.detail().is_some_and(|d| d.graph.is_some()) {
        match action {
            Action::Up | Action::PrevMatch => return Some(next_row(state, -1)),
            Action::Down | Action::NextMatch => return Some(next_row(state, 1)),
            Action::SortLeft => return next_figure(state, -1),
            Action::SortRight => return next_figure(state, 1),
            _ => {}
        }
    }
    let by: isize = match action {
        Action::Up | Action::PrevMatch => -1,
        Action::Down | Action::NextMatch => 1,
        Action::PageUp => -page,
        Action::PageDown => page,
        Action::Top => isize::MIN / 2,
        Action::Bottom => isize::MAX / 2,
        Action::Graph => return turn_page(state),
        Action::Enter | Action::Back | Action::Left => {
            state.overlays.pop();
            return Some(Vec::new());
        }
        Action::Pane(_) | Action::NextPane | Action::PrevPane => {
            state.overlays.pop();
            return None;
        }
        _ => return None,
    };
    if let Some(Overlay::Detail(d)) = state.overlays.last_mut() {
        d.scroll = d.scroll.saturating_add_signed(by);
    }
    Some(Vec::new())
}

/// The graph of the row next to the one drawn.
fn next_row(state: &mut State, by: isize) -> Vec<Effect> {
    let Some(Overlay::Detail(old)) = state.overlays.last() else { return Vec::new() };
    let (graph, window_ns) = (old.graph, old.window_ns);
    let figures = old.series.of.figures.clone();
    step(state, by);
    let Some(mut detail) = page_of(state) else { return Vec::new() };
    if matches!(state.grid.lines.get(state.view().at), Some(Line::Group { .. })) {
        return Vec::new();
    }
    if detail.series.of.figures != figures {
        detail.series.points.clear();
        detail.series.of.figures = figures;
    }
    (detail.graph, detail.window_ns) = (graph, window_ns);
    state.overlays.pop();
    open_page(state, detail)
}

fn back(state: &mut State) -> Vec<Effect> {
    if state.overlays.pop().is_some() {
        return Vec::new();
    }
    if !state.filter.is_empty() {
        state.filter = Filter::default();
        rebuild(state);
        return Vec::new();
    }
    if state.compare.on {
        compare::stop(state);
        return Vec::new();
    }
    if state.mode == Mode::Frozen { travel::thaw(state) } else { Vec::new() }
}

fn page(state: &State) -> isize {
    isize::try_from(state.page()).unwrap_or(1)
}

/// Moves the selection by so many lines.
pub fn step(state: &mut State, by: isize) {
    let lines = state.grid.lines.len();
    let page = state.page();
    let at = state.view().at.saturating_add_signed(by).min(lines.saturating_sub(1));
    let key = line_key(state, at);
    let view = state.view_mut();
    view.at = at;
    // The first line stays the first line: whatever is on top, until one moves off it.
    view.selected = if at == 0 && !view.follow { None } else { key };
    show_selected(view, page);
}

fn sideways(state: &mut State, right: bool) {
    if tree::shown(state) && tree::sideways(state, right) {
        return;
    }
    match state.grid.lines.get(state.view().at) {
        Some(Line::Group { open, .. }) if *open != right => return fold(state, right),
        _ => {}
    }
    let most = state.view().columns.shown.len().saturating_sub(3);
    let view = state.view_mut();
    view.pan = if right { (view.pan + 1).min(most) } else { view.pan.saturating_sub(1) };
}

/// Shows another pane; filter, pin, time and each pane's own view stay.
pub fn open_pane(state: &mut State, pane: usize) {
    if pane < state.panes.len() {
        state.pane = pane;
        state.want = None;
        rebuild(state);
    }
}

/// Unfolds a group, or opens the page of a row.
pub fn enter(state: &mut State) -> Vec<Effect> {
    let at = state.view().at;
    let Some(line) = state.grid.lines.get(at).copied() else { return Vec::new() };
    if let Line::Group { open, .. } = line {
        fold(state, !open);
        return Vec::new();
    }
    if let Some(effects) = super::image::open(state) {
        return effects;
    }
    match page_of(state) {
        Some(detail) => open_page(state, detail),
        None => Vec::new(),
    }
}

/// The page of the selected row.
fn page_of(state: &State) -> Option<Detail> {
    let at = state.view().at;
    let key = line_key(state, at)?;
    let (frame, row, _) = state.grid.row_of(at)?;
    let mut detail = Detail::new(frame, row, key);
    if let Some(moment) = &state.moment {
        detail.take(moment, state.mode == Mode::Live);
    }
    Some(detail)
}

fn open_page(state: &mut State, detail: Detail) -> Vec<Effect> {
    state.view_mut().selected = Some(detail.key.clone());
    state.overlays.push(Overlay::Detail(Box::new(detail)));
    travel::past(state)
}

/// Draws the column sorted by as a graph of the selected row; of a page on a row its first figure.
fn graph(state: &mut State) -> Vec<Effect> {
    if let Some(Line::Group { .. }) = state.grid.lines.get(state.view().at) {
        state.say(Tone::Bad, "This is a group; unfold it (+) and select a row.");
        return Vec::new();
    }
    let Some(mut detail) = page_of(state) else {
        state.say(Tone::Bad, "There is no row to draw.");
        return Vec::new();
    };
    let Some(shown) = drawable(state).map(|s| compare::plain(state, &s)) else {
        state.say(Tone::Bad, "No column here holds numbers to draw over time.");
        return Vec::new();
    };
    detail.draw_large(&shown);
    open_page(state, detail)
}

/// The column sorted by if it can be drawn over time, else the first that can.
fn drawable(state: &State) -> Option<Shown> {
    let schema = state.grid.parts.first()?.table().schema();
    let view = state.view();
    let moving = |s: &&Shown| view.seen.moves(s.first_id());
    let all = || view.columns.shown.iter().filter(|s| is_figure(s, schema));
    let sorted = view.sort.iter().find(|s| is_figure(s, schema));
    sorted.or_else(|| all().find(moving)).or_else(|| all().next()).cloned()
}

/// Another figure of the row drawn large.
fn next_figure(state: &mut State, by: isize) -> Option<Vec<Effect>> {
    let Some(Overlay::Detail(d)) = state.overlays.last_mut() else { return None };
    let figures = d.series.of.figures.len() as isize;
    let at = d.graph? as isize;
    d.graph = usize::try_from((at + by).rem_euclid(figures.max(1))).ok();
    Some(Vec::new())
}

/// From the page of a row to its graph and back.
fn turn_page(state: &mut State) -> Option<Vec<Effect>> {
    let sorted = drawable(state);
    let Some(Overlay::Detail(d)) = state.overlays.last_mut() else { return None };
    match (d.graph.is_some(), sorted) {
        (true, _) => d.graph = None,
        (false, Some(shown)) => d.draw_large(&shown),
        (false, None) => return None,
    }
    Some(travel::past(state))
}

/// Sorts by the column next to the one sorted by now.
fn sort_next(state: &mut State, by: isize) {
    let view = state.view();
    let shown = &view.columns.shown;
    // A tool's own order is one more to choose, before the first column.
    let none = usize::from(view.pane.found);
    let all = shown.len() + none;
    if all == 0 {
        return;
    }
    let sorted = view.sort.as_ref();
    let at = shown.iter().position(|s| Some(s) == sorted).map_or(0, |i| i + none);
    let next = |n: isize| (at as isize + n * by).rem_euclid(all as isize) as usize;
    let stops = |to: &usize| to.checked_sub(none).is_none_or(|i| compare::stops(state, &shown[i]));
    let to = (1..=all as isize).map(next).find(stops).unwrap_or(at);
    match to.checked_sub(none) {
        Some(column) => sort_by(state, column),
        None => {
            state.view_mut().sort = None;
            rebuild(state);
            state.say(Tone::Plain, "In the order of the tool.");
        }
    }
}

/// Sorts by a shown column: largest number first, text from A.
pub fn sort_by(state: &mut State, column: usize) {
    let Some(shown) = state.view().columns.shown.get(column).cloned() else { return };
    let numbers = state.grid.parts.first().is_some_and(|f| shown.right(f.table().schema()));
    let view = state.view_mut();
    if view.sort.as_ref() == Some(&shown) {
        view.order = view.order.reversed();
    } else {
        view.sort = Some(shown);
        view.order =
            if numbers { crate::table::Order::Descending } else { crate::table::Order::Ascending };
    }
    rebuild(state);
}

fn next_group(state: &mut State) {
    let view = state.view_mut();
    view.group = (view.group + 1) % view.pane.groups.len().max(1);
    view.open.clear();
    view.selected = None;
    view.at = 0;
    view.offset = 0;
    let by = view.group_by();
    let text = match by {
        "" => "Not grouped.".to_owned(),
        TREE => "As a tree: parents above what they began.".to_owned(),
        by => format!("Grouped by {by}."),
    };
    view.all_open = by == TREE;
    rebuild(state);
    state.say(Tone::Plain, text);
}

/// Unfolds or folds the selected group; all of them when a row outside any is selected.
fn fold(state: &mut State, open: bool) {
    if tree::shown(state) {
        return tree::fold(state, open);
    }
    if state.view().group_by().is_empty() {
        state.say(Tone::Plain, "Rows are not grouped; a groups them.");
        return;
    }
    let at = state.view().at;
    let group = (0..=at)
        .rev()
        .find(|&l| matches!(state.grid.lines.get(l), Some(Line::Group { .. })))
        .and_then(|l| Some((line_key(state, l)?, state.grid.lines[l])));
    let Some((key, Line::Group { open: was, .. })) = group else { return };
    let Some(value) = key.last().cloned() else { return };
    let view = state.view_mut();
    if was == open {
        // Already so: then all of them.
        view.all_open = open;
        view.open.clear();
    } else if view.open.contains(&value) {
        view.open.retain(|v| *v != value);
    } else {
        view.open.push(value);
    }
    view.selected = Some(key);
    rebuild(state);
    let page = state.page();
    show_selected(state.view_mut(), page);
}

fn help_key(state: &mut State, key: Key) -> Vec<Effect> {
    let page = state.page_over();
    let Some(Overlay::Help { search, scroll }) = state.overlays.last_mut() else {
        return Vec::new();
    };
    match key {
        Key::Esc | Key::F(1) => {
            state.overlays.pop();
        }
        Key::Up => *scroll = scroll.saturating_sub(1),
        Key::Down => *scroll = scroll.saturating_add(1),
        Key::PageUp => *scroll = scroll.saturating_sub(page),
        Key::PageDown => *scroll = scroll.saturating_add(page),
        Key::Home => *scroll = 0,
        Key::End => *scroll = usize::MAX,
        Key::Backspace => {
            search.pop();
            *scroll = 0;
        }
        Key::Char('?' | 'q') if search.is_empty() => {
            state.overlays.pop();
        }
        Key::Char(c) if search.len() < 64 => {
            search.push(c);
            *scroll = 0;
        }
        _ => {}
    }
    Vec::new()
}

/// Pasted text goes into the line being typed, and nowhere else: a paste is never keys.
pub fn paste(state: &mut State, text: &str) -> Vec<Effect> {
    let first = text.lines().next().unwrap_or("");
    if let Some(Overlay::Prompt(p)) = state.overlays.last_mut() {
        if !p.kind.question() {
            p.insert(first);
            typed::changed(state);
        }
    } else {
        state.say(Tone::Plain, "Pasted text is taken only while typing; / starts a filter.");
    }
    Vec::new()
}

/// The columns drawn: index into the pane's chosen columns, and width.
pub fn drawn(state: &State) -> Vec<(usize, u16)> {
    let Some(frame) = state.grid.parts.first() else { return Vec::new() };
    fit(state.view(), frame.table().schema(), state.bits, state.size.0)
}

/// A binding by the word typed after `:`.
pub fn by_word(state: &State, word: &str) -> Option<Action> {
    let word = word.trim().to_lowercase();
    let keys = BINDINGS.iter().filter(|b| !matches!(b.action, Action::Pane(_)));
    let keys = keys.map(|b| (b.hint.to_owned(), b.action));
    let panes = state.panes.iter().zip(1u8..);
    let panes = panes.map(|(p, n)| (p.pane.title.to_lowercase(), Action::Pane(n)));
    let all: Vec<(String, Action)> = keys.chain(panes).collect();
    if let Some((_, exact)) = all.iter().find(|(hint, _)| *hint == word) {
        return Some(*exact);
    }
    // What is not seen before it runs must be meant without doubt.
    let mut meant = all.iter().filter(|(hint, _)| !word.is_empty() && hint.starts_with(&word));
    match (meant.next(), meant.next()) {
        (Some((_, only)), None) => Some(*only),
        _ => None,
    }
}

/// Opens a prompt.
pub fn prompt(state: &mut State, kind: PromptKind, text: &str) {
    state.overlays.push(Overlay::Prompt(Prompt::new(kind, text)));
}
