//! A sparkline for each numeric column above a tool's table: its name, its past, what is now.

use ratatui::buffer::Buffer;

use crate::app::{Layout, State, across, chosen, points};
use crate::table::Schema;

use super::chart::Scale;
use super::detail::figure_text;
use super::paint::{Pen, cells, cut};
use super::sparkline::sparkline;
use super::theme::{Role, Theme};

/// Widest name and figure, in cells.
const NAME: usize = 16;
const FIGURE: usize = 10;

/// Draws them in as many rows as the layout has.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let Some(frame) = state.grid.parts.first().filter(|_| layout.strip_rows > 0) else { return };
    let schema = frame.table().schema();
    let across = across(state);
    let width = buf.area.width / across.max(1);
    let series = points(state, usize::from(width));
    let (figures, more) = chosen(state);
    let name = figures.iter().map(|f| cells(f.title(schema))).max().unwrap_or(0).min(NAME);
    for (i, figure) in (0u16..).zip(&figures) {
        // Down first, as the columns go from left to right.
        let (x, y) = place(i, layout.strip_rows, width);
        let mut pen = Pen::new(buf, look, x, layout.strip + y, (x + width).saturating_sub(2));
        let title = cut(figure.title(schema), name, look.pick("…", "~"));
        pen.put(&title, Role::Dim).skip((name - cells(&title)) as u16 + 1);
        let at = series.of.figures.iter().position(|f| f == figure);
        let values: Vec<Option<f64>> =
            at.map_or_else(Vec::new, |at| series.values(at).map(|v| v.1).collect());
        let room = usize::from(pen.room()).saturating_sub(FIGURE + 1);
        let newest = values.last().copied().flatten();
        let values = &values[values.len().saturating_sub(room)..];
        let (values, full) = from_base(values);
        pen.put(&sparkline(&values, room, full, look.glyphs), Role::Chart).skip(1);
        pen.put(&now(state, schema, figure, newest), Role::Text);
    }
    if more > 0 {
        let (x, y) = place(figures.len() as u16, layout.strip_rows, width);
        let text = format!("and {more} more: v draws any of them");
        let mut pen = Pen::new(buf, look, x, layout.strip + y, x + width);
        let room = usize::from(pen.room());
        pen.put(&cut(&text, room, ""), Role::Dim);
    }
}

/// The values above the base of their scale, and the highest: what lies far from zero and changes
/// little is looked at closely.
fn from_base(values: &[Option<f64>]) -> (Vec<Option<f64>>, Option<f64>) {
    let known: Vec<f64> = values.iter().flatten().copied().filter(|v| v.is_finite()).collect();
    match Scale::of(&known) {
        Some(s) if s.base != 0.0 && s.base.is_finite() => {
            (values.iter().map(|v| v.map(|v| v - s.base)).collect(), Some(s.top - s.base))
        }
        _ => (values.to_vec(), None),
    }
}

fn place(i: u16, rows: u16, width: u16) -> (u16, u16) {
    (i / rows * width, i % rows)
}

fn now(state: &State, schema: &Schema, figure: &crate::app::Shown, v: Option<f64>) -> String {
    match (v, figure.field(schema)) {
        (Some(v), Some(field)) => figure_text(state, v, field),
        _ => "-".to_owned(),
    }
}
