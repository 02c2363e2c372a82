//! The column chooser: which fields a pane shows, and in which order.

use super::columns::Shown;
use super::effect::Effect;
use super::grid::rebuild;
use super::key::Key;
use super::state::{Overlay, State};

/// Every column a pane can show: the chosen ones in order, then the rest.
pub fn choices(state: &State) -> Vec<(Shown, bool)> {
    let shown = &state.view().columns.shown;
    let mut all: Vec<(Shown, bool)> = shown.iter().map(|s| (s.clone(), true)).collect();
    for extra in &state.view().pane.columns {
        if !shown.contains(extra) {
            all.push((extra.clone(), false));
        }
    }
    if let Some(frame) = state.grid.parts.first() {
        for f in frame.fields() {
            let one = Shown::One(f.id.clone());
            if !all.iter().any(|(s, _)| *s == one) {
                all.push((one, false));
            }
        }
    }
    all
}

/// Carries out a key in the chooser.
pub fn key(state: &mut State, key: Key) -> Vec<Effect> {
    let all = choices(state);
    let Some(Overlay::Columns { at }) = state.overlays.last_mut() else { return Vec::new() };
    let last = all.len().saturating_sub(1);
    let here = (*at).min(last);
    match key {
        Key::Esc | Key::F(2) | Key::Char('q') => {
            state.overlays.pop();
        }
        Key::Char(' ') | Key::Enter => {
            if let Some((shown, on)) = all.get(here).cloned() {
                let columns = &mut state.view_mut().columns.shown;
                if on && columns.len() > 1 {
                    columns.retain(|s| *s != shown);
                } else if !on {
                    columns.push(shown);
                }
            }
        }
        Key::Char('+') | Key::Right => shift(state, here, 1),
        Key::Char('-') | Key::Left => shift(state, here, -1),
        Key::Char('d') => {
            let columns = state.view().pane.columns.clone();
            state.view_mut().columns.shown = columns;
        }
        _ => *at = key.in_list(here, last).unwrap_or(*at),
    }
    rebuild(state);
    Vec::new()
}

/// Moves a chosen column along.
fn shift(state: &mut State, at: usize, by: isize) {
    let columns = &mut state.view_mut().columns.shown;
    let to = at.saturating_add_signed(by);
    if at < columns.len() && to < columns.len() {
        columns.swap(at, to);
        if let Some(Overlay::Columns { at }) = state.overlays.last_mut() {
            *at = to;
        }
    }
}
