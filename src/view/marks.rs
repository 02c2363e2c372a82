//! The list of marks.

use ratatui::buffer::Buffer;

use crate::app::{Layout, State};
use crate::table::clock;

use super::paint::{Pen, cut};
use super::theme::{Role, Theme};

/// Below this many cells the day of a mark is left out.
const NARROW: u16 = 60;

/// Draws the marks, oldest instant first, each with what is to be remembered.
pub fn draw(state: &State, look: &Theme, at: usize, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    Pen::new(buf, look, 0, layout.tabs, width).put(" Marks ", Role::Select);
    let rows = usize::from(layout.rows + 1);
    let at = at.min(state.marks.len().saturating_sub(1));
    let from = (at + 1).saturating_sub(rows);
    for (i, mark) in state.marks.iter().enumerate().skip(from).take(rows) {
        let y = layout.titles + (i - from) as u16;
        let role = if i == at { Role::Select } else { Role::Text };
        let dim = if i == at { role } else { Role::Dim };
        let write = if width < NARROW { clock::clock } else { clock::date_and_clock };
        let mut pen = Pen::new(buf, look, 0, y, width);
        let a = state.compare.a.is_some_and(|a| a.to == mark.at);
        let here = match (state.wall_ns() == Some(mark.at), a) {
            (_, true) => "A",
            (true, _) => look.pick("▸", ">"),
            _ => " ",
        };
        pen.put(here, role).put(&write(mark.at, &state.zone), role).put("  ", role);
        if mark.fired {
            let word = if i == at { role } else { Role::Warn };
            pen.put("fired ", word);
        }
        let note = if mark.note.is_empty() { "no note" } else { &mark.note };
        let words = if mark.note.is_empty() { dim } else { role };
        let room = usize::from(pen.room());
        pen.put(&cut(note, room, look.pick("…", "~")), words);
    }
}
