//! The mouse over the pane of stacks.

use crate::app::effect::Effect;
use crate::app::msg::{Mouse, MouseKind};
use crate::app::state::State;

use super::step::{enter, go_to};
use super::{Area, Kind, Page, View};

/// Carries out a mouse event over the pane.
pub fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    let area = Area::of(state);
    let page = &mut state.stacks;
    let line = page.scroll + usize::from(mouse.y.saturating_sub(area.body));
    match mouse.kind {
        MouseKind::WheelUp | MouseKind::WheelDown => {
            let by = if mouse.kind == MouseKind::WheelUp { -3 } else { 3 };
            match page.view {
                View::Table => page.go_line(by, &area),
                _ => page.roll(by, &area),
            }
        }
        MouseKind::Press if mouse.y == area.modes => {
            let mut x = 0;
            for kind in Kind::ALL {
                let end = x + kind.title().len() as u16 + 3;
                if (x..end).contains(&mouse.x) {
                    go_to(state, kind);
                    break;
                }
                x = end;
            }
        }
        MouseKind::Press if mouse.y >= area.body && mouse.y < area.body + area.rows => {
            match page.view {
                View::Table => {
                    let Some(to) = line.checked_sub(1) else { return Vec::new() };
                    if to == page.line {
                        enter(state);
                    } else if to < page.shown.rows.len() {
                        let by = to as isize - page.line as isize;
                        page.go_line(by, &area);
                    }
                }
                _ => {
                    let tiles = page.shown.picture.rows.get(line).map(|r| &r.1);
                    let hit = |t: &super::Tile| (t.x..t.end()).contains(&mouse.x);
                    let Some(at) = tiles.and_then(|t| t.iter().position(hit)) else {
                        return Vec::new();
                    };
                    if page.at == (line, at) {
                        enter(state);
                    } else {
                        page.select(line, at, &area);
                    }
                }
            }
        }
        _ => {}
    }
    Vec::new()
}

impl Page {
    /// Scrolls the graph without moving the selection.
    fn roll(&mut self, by: isize, area: &Area) {
        let most = self.shown.picture.rows.len().saturating_sub(usize::from(area.rows));
        self.scroll = self.scroll.saturating_add_signed(by).min(most);
    }
}
