//! The whole screen: header, tabs, body, footer, and what lies over them.

use ratatui::buffer::Buffer;

use crate::app::{Layout, Line, Overlay, PANES, PromptKind, State};

use super::paint::Pen;
use super::theme::{Role, Theme};
use super::{chooser, detail, footer, header, help, rows};

/// Draws the state. Works at any size, down to nothing.
pub fn draw(state: &State, look: &Theme, buf: &mut Buffer) {
    let area = buf.area;
    if area.width == 0 || area.height == 0 {
        return;
    }
    let layout = Layout::of(area.height);
    header::draw(state, look, layout, buf);
    let over = state.overlays.iter().rev().find(|o| !matches!(o, Overlay::Prompt(_)));
    match over {
        Some(Overlay::Help { search, scroll }) => {
            help::draw(state, look, search, *scroll, layout, buf);
        }
        Some(Overlay::Columns { at }) => chooser::draw(state, look, *at, layout, buf),
        Some(Overlay::Detail(d)) => detail::draw(state, look, d, layout, buf),
        Some(Overlay::Prompt(_)) | None => {
            tabs(state, look, layout, buf);
            rows::draw(state, look, layout, buf);
        }
    }
    if area.height > 1 {
        footer::draw(state, look, layout, buf);
    }
}

/// How far the page on top can be scrolled, if one is: the last line ends at the bottom.
pub fn most_scroll(state: &State) -> usize {
    let (width, height) = state.size;
    let rows = usize::from(Layout::of(height).rows + 1);
    let lines = match state.overlays.last() {
        Some(Overlay::Help { search, .. }) => help::length(state, search, width),
        Some(Overlay::Detail(d)) => detail::length(state, d, width),
        _ => 0,
    };
    lines.saturating_sub(rows)
}

fn tabs(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let right = status(state, look);
    let right_cells = u16::try_from(super::paint::cells(&right)).unwrap_or(u16::MAX);
    for (i, tab) in crate::app::tabs(width, state.pane).iter().enumerate() {
        let (key, title) =
            if i == state.pane { (Role::Select, Role::Select) } else { (Role::Key, Role::Dim) };
        let mut pen = Pen::new(buf, look, tab.x, layout.tabs, width);
        pen.put(" ", title).put(&(i + 1).to_string(), key).put(" ", title);
        if tab.titled {
            pen.put(PANES[i].title, title).put(" ", title);
        }
    }
    let used = crate::app::tabs(width, state.pane).last().map_or(0, |t| t.x + t.width);
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
    let dot = look.pick(" · ", " | ");
    let narrow = state.size.0 < 60;
    let grid = &state.grid;
    let ended = grid.rows.iter().filter(|r| r.0 == 1).count();
    let shown = grid.rows.len() - ended;
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
