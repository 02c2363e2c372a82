//! The column chooser.

use ratatui::buffer::Buffer;

use crate::app::{Layout, Shown, State, choices};

use super::paint::{Pen, cut};
use super::theme::{Role, Theme};

/// Draws the list of columns, the chosen ones first and in order.
pub fn draw(state: &State, look: &Theme, at: usize, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let title = format!(" Columns of {} ", state.view().pane.title);
    Pen::new(buf, look, 0, layout.tabs, width).put(&title, Role::Select);
    let Some(frame) = state.grid.parts.first() else { return };
    let schema = frame.table().schema();
    let rows = usize::from(layout.rows + 1);
    let all = choices(state);
    let from = (at + 1).saturating_sub(rows);
    for (i, (shown, on)) in all.iter().enumerate().skip(from).take(rows) {
        let y = layout.titles + (i - from) as u16;
        let role = if i == at { Role::Select } else { Role::Text };
        let mut pen = Pen::new(buf, look, 0, y, width);
        pen.put(if *on { " [x] " } else { " [ ] " }, role);
        // Found ones are called by their header alone, and that may be long.
        let long = |text: &str, width| cut(text, width, look.pick("…", "~"));
        if shown.field(schema).is_some_and(|f| f.found) {
            pen.put(&format!("{:<33} ", long(&shown.ids(), 33)), role);
        } else {
            pen.put(&format!("{:<9}", shown.title(schema)), role);
            pen.put(&format!("{:<24} ", shown.ids()), if i == at { role } else { Role::Dim });
        }
        let help = match shown {
            Shown::One(_) => shown.field(schema).map_or("", |f| f.help.as_str()),
            Shown::Pair(..) => "Address and port.",
            Shown::Sum(..) => "Both added.",
            Shown::Mean(..) => "The first for each of the second.",
        };
        pen.put(&cut(help, usize::from(pen.room()), look.pick("…", "~")), Role::Dim);
    }
}
