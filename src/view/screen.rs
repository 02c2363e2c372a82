//! The whole screen: header, tabs, body, footer, and what lies over them.

use ratatui::buffer::Buffer;

use crate::app::{Layout, Overlay, PANES, State};

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

fn tabs(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let right = status(state, look);
    let right_cells = u16::try_from(super::paint::cells(&right)).unwrap_or(0);
    let mut pen = Pen::new(buf, look, 0, layout.tabs, width);
    for (i, pane) in PANES.iter().enumerate() {
        let (key, title) =
            if i == state.pane { (Role::Select, Role::Select) } else { (Role::Key, Role::Dim) };
        // On a narrow screen the other tabs shrink to their digit.
        let wide = width >= 60 || i == state.pane;
        pen.put(" ", title).put(&(i + 1).to_string(), key);
        pen.put(" ", title).put(if wide { pane.title } else { "" }, title).put(" ", title);
    }
    let used = pen.x();
    if used + right_cells + 1 <= width {
        let role = if state.grid.unknown.is_empty() { Role::Dim } else { Role::Warn };
        Pen::new(buf, look, width - right_cells, layout.tabs, width).put(&right, role);
    }
}

/// How many rows, and what narrows them.
fn status(state: &State, look: &Theme) -> String {
    let shown = state.grid.rows.len();
    let mut s = if shown == state.grid.total {
        format!("{shown} rows")
    } else {
        format!("{shown} of {}", state.grid.total)
    };
    let dot = look.pick(" · ", " | ");
    if let Some(pin) = &state.pin {
        s = format!("pin {pin}{dot}{s}");
    }
    if !state.filter.is_empty() {
        s = format!("{}{dot}{s}", state.filter);
    }
    if let [first, ..] = state.grid.unknown.as_slice() {
        s = format!("no `{first}` here{dot}{s}");
    }
    s
}
