//! The bar of time: density and gaps, the worst moments, marks, and where one is.

use ratatui::buffer::Buffer;

use crate::app::{Figure, Layout, State};
use crate::table::clock;

use super::paint::Pen;
use super::sparkline::sparkline;
use super::theme::{Role, Theme};

/// From so many per cent on a moment is bad, or worth a look.
const BAD: f32 = 90.0;
const WARN: f32 = 70.0;

/// Draws it, where the layout has a line for it.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let Some(y) = layout.bar else { return };
    let width = buf.area.width;
    for x in 0..width {
        buf[(x, y)].reset();
    }
    let bar = &state.bar.bar;
    let track = bar.track(width);
    if track.label > 0 {
        let name = if state.bar.figure == Figure::Pressure { "psi" } else { "cpu" };
        Pen::new(buf, look, 0, y, width).put(name, Role::Dim);
        let write = |at: i64| match bar.long() {
            // The year is known, seconds are too fine.
            true => clock::date_and_clock(at, &state.zone).get(5..16).unwrap_or("").to_owned(),
            false => clock::clock(at, &state.zone),
        };
        Pen::new(buf, look, track.x - track.label, y, width).put(&write(bar.from), Role::Dim);
        let right = track.x + track.width + 1;
        Pen::new(buf, look, right, y, width).put(&write(bar.to), Role::Dim);
    }
    for cell in 0..track.width {
        let bin = bar.at(cell, track);
        let worst = if state.bar.figure == Figure::Pressure { bin.pressure } else { bin.cpu };
        let (text, role) = match worst {
            _ if bin.samples == 0 => (" ".to_owned(), Role::Dim),
            None => (look.pick("─", "-").to_owned(), Role::Dim),
            Some(v) => {
                let role = match v {
                    v if v >= BAD => Role::Bad,
                    v if v >= WARN => Role::Warn,
                    _ => Role::Good,
                };
                (sparkline(&[Some(f64::from(v))], 1, Some(100.0), look.glyphs), role)
            }
        };
        Pen::new(buf, look, track.x + cell, y, width).put(&text, role);
    }
    for mark in &state.marks {
        if let Some(cell) = bar.cell(mark.at, track) {
            let role = if mark.fired { Role::Warn } else { Role::Accent };
            let text = look.pick("◆", "!");
            Pen::new(buf, look, track.x + cell, y, width).put(text, role);
        }
    }
    if let Some(cell) = state.wall_ns().and_then(|at| bar.cell(at, track)) {
        let x = track.x + cell;
        let under = buf[(x, y)].symbol().to_owned();
        let text = if under == " " { look.pick("│", "|") } else { under.as_str() };
        Pen::new(buf, look, x, y, width).put(text, Role::Select);
    }
}
