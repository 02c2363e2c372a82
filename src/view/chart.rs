//! One figure of a row over time, as large as the screen: blocks, with what they stand for beside.

use ratatui::buffer::Buffer;

use crate::app::{Detail, Layout, State, figure_title};
use crate::table::{Field, Value, clock, quantity};

use super::detail::{figure_text, over_time, title};
use super::paint::{Pen, cells, cut};
use super::rows::style;
use super::theme::{Glyphs, Role, Theme};

/// Draws the page.
pub fn draw(state: &State, look: &Theme, detail: &Detail, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let figure = detail.graph.and_then(|g| Some((g, detail.series.of.figures.get(g)?)));
    let (Some((frame, row)), Some((at, figure))) = (&detail.last, figure) else { return };
    let schema = frame.table().schema();
    let Some(field) = figure.field(schema) else { return };
    let mark = look.pick("…", "~");
    let mut pen = Pen::new(buf, look, 0, layout.tabs, width);
    let name = cut(figure_title(figure, schema), usize::from(width / 2), mark);
    let who =
        cut(&title(frame, *row, true), usize::from(width).saturating_sub(cells(&name) + 6), mark);
    pen.put(" ", Role::Select).put(&who, Role::Select).put(" ", Role::Select);
    pen.skip(1).put(&name, Role::Accent);
    if detail.gone() {
        pen.put("  gone", Role::Warn);
    }
    let to = state.wall_ns().unwrap_or(0);
    let from = to.saturating_sub(i64::try_from(detail.window_ns).unwrap_or(i64::MAX));
    let values: Vec<(i64, Option<f64>)> =
        detail.series.values(at).filter(|(t, _)| *t > from && *t <= to).collect();
    let known: Vec<f64> = values.iter().filter_map(|v| v.1).filter(|v| v.is_finite()).collect();
    let scale = Scale::of(&known);
    let text = |v: f64| figure_text(state, v, field);
    said(&known, &values, state, field, look, layout.titles, buf);
    let Some(scale) = scale else {
        let text = "Nothing is known of it in this time; [ shows more.";
        Pen::new(buf, look, 1, layout.body, width).put(text, Role::Dim);
        return;
    };
    // The axis of time takes the last row.
    let rows = layout.rows.saturating_sub(1);
    let middle = scale.base + (scale.top - scale.base) / 2.0;
    let labels = [text(scale.top), text(middle), text(scale.base)];
    let left =
        (labels.iter().map(|l| cells(l)).max().unwrap_or(0) + 1).min(usize::from(width / 2)).max(1);
    let wide = usize::from(width).saturating_sub(left + 1);
    let columns = over_time(&values, from, to, wide);
    for y in 0..rows {
        let label = match y {
            0 => &labels[0],
            y if y + 1 == rows => &labels[2],
            y if y == rows / 2 && rows >= 7 => &labels[1],
            _ => "",
        };
        let mut pen = Pen::new(buf, look, 0, layout.body + y, width);
        let label = cut(label, left - 1, mark);
        pen.skip((left - 1 - cells(&label)) as u16).put(&label, Role::Dim);
        pen.put(&look.glyphs.vertical().to_string(), Role::Border);
        let below = rows - 1 - y;
        let line: String =
            columns.iter().map(|v| scale.cell(*v, below, rows, look.glyphs)).collect();
        pen.put(&line, Role::Chart);
    }
    let (start, end) = (clock::clock(from, &state.zone), clock::clock(to, &state.zone));
    let gap = wide.saturating_sub(start.len() + end.len());
    let axis = format!("{start}{}{end}", " ".repeat(gap));
    Pen::new(buf, look, left as u16, layout.body + rows, width).put(&axis, Role::Dim);
}

/// The figures in words: newest, least, most, and over how long.
fn said(
    known: &[f64],
    values: &[(i64, Option<f64>)],
    state: &State,
    field: &Field,
    look: &Theme,
    y: u16,
    buf: &mut Buffer,
) {
    let newest = values.last().and_then(|v| v.1);
    let least = known.iter().copied().reduce(f64::min);
    let most = known.iter().copied().reduce(f64::max);
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    let mut pen = Pen::new(buf, look, 1, y, buf.area.width);
    let figures = [("last", newest), ("min", least), ("max", most), ("mean", mean)];
    for (name, v) in figures {
        let mut text = String::new();
        match v {
            None => text.push('-'),
            // A mean needs more decimals than what it is of.
            Some(v) if name == "mean" => {
                quantity::format(&mut text, Value::F64(v), field, style(state));
            }
            Some(v) => text = figure_text(state, v, field),
        }
        pen.put(name, Role::Dim).skip(1).put(&text, Role::Text).skip(2);
    }
    let points = values.len();
    let noun = if points == 1 { "point" } else { "points" };
    pen.put(&format!("{points} {noun}"), Role::Dim);
}

/// From the lowest to the highest mark.
pub struct Scale {
    /// What stands at the bottom.
    pub base: f64,
    /// What stands at the top.
    pub top: f64,
}

/// Marks of a cell, from nothing to full.
const UNICODE: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BRAILLE: [char; 9] = [' ', '⣀', '⣀', '⣤', '⣤', '⣶', '⣶', '⣿', '⣿'];
const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '+', '+', '#', '#'];

impl Scale {
    /// From zero, unless all of it lies far from there: then small changes would not be seen.
    pub fn of(values: &[f64]) -> Option<Scale> {
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let span = most - least;
        if span <= 0.0 {
            let (base, top) = if most < 0.0 { (most * 2.0, 0.0) } else { (0.0, most.max(1.0)) };
            return Some(Scale { base, top });
        }
        let far = least > 0.0 && span < least * 0.5;
        let base = if far || least < 0.0 { least - span * 0.1 } else { 0.0 };
        Some(Scale { base, top: most })
    }

    /// The mark of a value in the cell that has so many of `rows` below it. The lowest value has a
    /// mark; a missing one has none.
    fn cell(&self, v: Option<f64>, below: u16, rows: u16, glyphs: Glyphs) -> char {
        let Some(v) = v.filter(|v| !v.is_nan()) else { return ' ' };
        let eighths = f64::from(rows) * 8.0;
        let share = ((v - self.base) / (self.top - self.base)).clamp(0.0, 1.0);
        let filled = (share * eighths).round().max(1.0) - f64::from(below) * 8.0;
        let marks = match glyphs {
            Glyphs::Unicode => &UNICODE,
            Glyphs::Braille => &BRAILLE,
            Glyphs::Ascii => &ASCII,
        };
        // Between 0 and 8, so it is an index.
        marks[filled.clamp(0.0, 8.0) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f64], v: Option<f64>, rows: u16) -> String {
        let scale = Scale::of(values).unwrap();
        (0..rows).rev().map(|below| scale.cell(v, below, rows, Glyphs::Unicode)).collect()
    }

    #[test]
    fn bars_grow_from_zero_and_missing_is_blank() {
        assert_eq!(column(&[0.0, 8.0], Some(8.0), 2), "██");
        assert_eq!(column(&[0.0, 8.0], Some(4.0), 2), " █");
        assert_eq!(column(&[0.0, 8.0], Some(5.0), 2), "▂█");
        assert_eq!(column(&[0.0, 8.0], Some(0.0), 2), " ▁");
        assert_eq!(column(&[0.0, 8.0], None, 2), "  ");
        assert_eq!(column(&[0.0, 8.0], Some(f64::NAN), 2), "  ");
        assert_eq!(column(&[0.0, 8.0], Some(f64::INFINITY), 2), "██");
    }

    #[test]
    fn what_lies_far_from_zero_is_looked_at_closely() {
        let scale = Scale::of(&[1000.0, 1010.0]).unwrap();
        assert_eq!((scale.base, scale.top), (999.0, 1010.0));
        let scale = Scale::of(&[10.0, 1000.0]).unwrap();
        assert_eq!((scale.base, scale.top), (0.0, 1000.0));
        let scale = Scale::of(&[-5.0, 5.0]).unwrap();
        assert_eq!((scale.base, scale.top), (-6.0, 5.0));
        for one in [0.0, 7.0, -7.0, f64::MIN, f64::MAX] {
            let scale = Scale::of(&[one]).unwrap();
            assert!(scale.top > scale.base, "{one}");
        }
        assert!(Scale::of(&[]).is_none());
    }
}
