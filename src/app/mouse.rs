//! The mouse: tabs, titles and rows are what they look like.

use super::effect::Effect;
use super::grid::Line;
use super::input::{act, drawn, enter, open_pane, sort_by, step};
use super::keymap::Action;
use super::layout::tabs;
use super::msg::{Mouse, MouseKind};
use super::state::{Overlay, State};
use super::tree;

/// Carries out a mouse event.
pub fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    let typing = state.prompt().is_some();
    if mouse.kind == MouseKind::Press && state.layout().bar == Some(mouse.y) && !typing {
        return super::bar::click(state, mouse.x);
    }
    let tabs_row = state.layout().tabs;
    if state.overlays.is_empty() && state.view().pane.stacks && mouse.y != tabs_row {
        return super::stack::mouse(state, mouse);
    }
    let wheel = match mouse.kind {
        MouseKind::WheelUp => Some(Action::Up),
        MouseKind::WheelDown => Some(Action::Down),
        _ => None,
    };
    if let Some(action) = wheel {
        match state.overlays.last_mut() {
            Some(Overlay::Help { scroll, .. }) => {
                *scroll = scroll.saturating_add_signed(if action == Action::Up { -3 } else { 3 });
            }
            Some(Overlay::Image(image)) => {
                super::image::scrolled(image, if action == Action::Up { -3 } else { 3 });
            }
            Some(Overlay::Prompt(_) | Overlay::Columns { .. } | Overlay::Marks { .. }) => {}
            Some(Overlay::Detail(_)) | None => {
                for _ in 0..3 {
                    act(state, action);
                }
            }
        }
        return Vec::new();
    }
    if !state.overlays.is_empty() {
        return Vec::new();
    }
    let layout = state.layout();
    if mouse.y == layout.tabs && mouse.kind == MouseKind::Press {
        if let Some(pane) = tab_at(state, mouse.x) {
            open_pane(state, pane);
        }
    } else if mouse.y == layout.titles && mouse.kind == MouseKind::Press {
        if let Some(column) = column_at(state, mouse.x) {
            sort_by(state, column);
        }
    } else if mouse.y >= layout.body && mouse.y < layout.body + layout.rows {
        let line = state.view().offset + usize::from(mouse.y - layout.body);
        if line < state.grid.lines.len() {
            let again = line == state.view().at && mouse.kind == MouseKind::Press;
            let by = line as isize - state.view().at as isize;
            step(state, by);
            match state.grid.lines.get(line).copied() {
                Some(Line::Group { .. }) if again => return enter(state),
                Some(Line::Node(node)) if again && node.parent() => tree::fold(state, !node.open),
                _ => {}
            }
        }
    }
    Vec::new()
}

fn column_at(state: &State, x: u16) -> Option<usize> {
    let mut left = 0;
    drawn(state).into_iter().find_map(|(i, w)| {
        let hit = x >= left && x < left + w;
        left += w + 1;
        hit.then_some(i)
    })
}

fn tab_at(state: &State, x: u16) -> Option<usize> {
    tabs(state).iter().find(|t| x >= t.x && x < t.x + t.width).map(|t| t.pane)
}
