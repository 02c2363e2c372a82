//! The whole screen: header, tabs, body, footer, and what lies over them.

use ratatui::buffer::Buffer;

use crate::app::{Layout, Line, Overlay, PromptKind, State};

use super::paint::Pen;
use super::theme::{Role, Theme};
use super::{
    bar, chart, chooser, compare, detail, fate, footer, header, help, image, marks, rows, stack,
    strip,
};

/// Draws the state. Works at any size, down to nothing.
pub fn draw(state: &State, look: &Theme, buf: &mut Buffer) {
    let area = buf.area;
    if area.width == 0 || area.height == 0 {
        return;
    }
    let over = state.overlays.iter().rev().find(|o| !matches!(o, Overlay::Prompt(_)));
    let layout = match over {
        Some(_) => Layout::of_page(state, area.height),
        None => Layout::of(state, area.height),
    };
    header::draw(state, look, layout, buf);
    match over {
        Some(Overlay::Help { search, scroll }) => {
            help::draw(state, look, search, *scroll, layout, buf);
        }
        Some(Overlay::Columns { at }) => chooser::draw(state, look, *at, layout, buf),
        Some(Overlay::Marks { at }) => marks::draw(state, look, *at, layout, buf),
        Some(Overlay::Detail(d)) if d.graph.is_some() => chart::draw(state, look, d, layout, buf),
        Some(Overlay::Detail(d)) => detail::draw(state, look, d, layout, buf),
        Some(Overlay::Image(i)) => image::draw(state, look, i, layout, buf),
        Some(Overlay::Prompt(_)) | None if state.view().pane.stacks => {
            tabs(state, look, layout, buf);
            stack::draw(state, look, buf);
        }
        Some(Overlay::Prompt(_)) | None => {
            tabs(state, look, layout, buf);
            fate::draw(state, look, layout, buf);
            compare::draw(state, look, layout, buf);
            strip::draw(state, look, layout, buf);
            rows::draw(state, look, layout, buf);
        }
    }
    bar::draw(state, look, layout, buf);
    if area.height > 1 {
        footer::draw(state, look, layout, buf);
    }
}

/// How far the page on top can be scrolled, if one is: the last line ends at the bottom.
pub fn most_scroll(state: &State) -> usize {
    let (width, height) = state.size;
    let rows = usize::from(Layout::of_page(state, height).rows + 1);
    let lines = match state.overlays.last() {
        Some(Overlay::Help { search, .. }) => help::length(state, search, width),
        Some(Overlay::Detail(d)) if d.graph.is_none() => detail::length(state, d, width),
        Some(Overlay::Image(i)) => image::length(state, i, width),
        _ => 0,
    };
    lines.saturating_sub(rows)
}

fn tabs(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let right = status(state, look);
    let right_cells = u16::try_from(super::paint::cells(&right)).unwrap_or(u16::MAX);
    let tabs = crate::app::tabs(state);
    for tab in &tabs {
        let (key, title) = if tab.pane == state.pane {
            (Role::Select, Role::Select)
        } else {
            (Role::Key, Role::Dim)
        };
        let mut pen = Pen::new(buf, look, tab.x, layout.tabs, width);
        pen.put(" ", title).put(&(tab.pane + 1).to_string(), key).put(" ", title);
        if tab.title > 0 {
            let name = &state.panes[tab.pane].pane.title;
            pen.put(&super::paint::cut(name, usize::from(tab.title), look.pick("…", "~")), title);
            pen.put(" ", title);
        }
    }
    let mut used = tabs.last().map_or(0, |t| t.x + t.width);
    // That there are more on either side.
    if tabs.first().is_some_and(|t| t.pane > 0) {
        Pen::new(buf, look, 0, layout.tabs, width).put(look.pick("‹", "<"), Role::Key);
    }
    if tabs.last().is_some_and(|t| t.pane + 1 < state.panes.len()) {
        Pen::new(buf, look, used, layout.tabs, width).put(look.pick("›", ">"), Role::Key);
        used += 1;
    }
    let room = width.saturating_sub(used + 1);
    let role = if state.grid.unknown.is_empty() { Role::Dim } else { Role::Warn };
    let right = super::paint::cut(&right, usize::from(room), look.pick("…", "~"));
    let x = width.saturating_sub(right_cells.min(room));
    Pen::new(buf, look, x, layout.tabs, width).put(&right, role);
}

/// How many rows, which of them are seen, and what narrows them.
fn status(state: &State, look: &Theme) -> String {
    if state.moment.is_none() {
        return String::new();
    }
    if state.view().pane.stacks {
        return stack::status(state);
    }
    let dot = look.pick(" · ", " | ");
    let narrow = state.size.0 < 60;
    let grid = &state.grid;
    let ended = grid.rows.iter().filter(|r| r.0 == 1).count();
    let shown = (grid.rows.len() - ended).saturating_sub(grid.context);
    let noun = if shown == 1 && grid.total == 1 { "row" } else { "rows" };
    let mut s = if shown + ended == grid.total {
        format!("{shown} {noun}")
    } else {
        format!("{} of {} {noun}", shown + ended, grid.total)
    };
    if ended > 0 {
        s = format!("{s}{dot}{ended} ended");
    }
    let groups = grid.lines.iter().filter(|l| matches!(l, Line::Group { .. })).count();
    if groups > 0 {
        let noun = if groups == 1 { "group" } else { "groups" };
        s = if narrow { format!("{groups} {noun}") } else { format!("{groups} {noun}, {s}") };
    }
    let (lines, page) = (grid.lines.len(), state.page());
    if lines > page && !narrow && grid.unknown.is_empty() {
        let from = state.view().offset;
        s = format!("{}-{}{dot}{s}", from + 1, (from + page).min(lines));
    }
    if let Some(pin) = &state.pin {
        s = format!("pin {pin}{dot}{s}");
    }
    // While it is typed it is on the last line already.
    let typed = state.prompt().is_some_and(|p| matches!(p.kind, PromptKind::Filter { .. }));
    if !state.filter.is_empty() && !typed && grid.unknown.is_empty() {
        s = format!("{}{dot}{s}", state.filter);
    }
    if let [first, ..] = grid.unknown.as_slice() {
        // The term alone: the pane's own columns say why.
        let term = first.split(" (").next().unwrap_or(first);
        s = format!("ignored here: {term}{dot}{s}");
    }
    s
}
