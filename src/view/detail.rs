//! One row in full: its past as sparklines, its states as a strip, every field explained.

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::app::{Detail, Layout, Shown, State, figure_title};
use crate::table::{Field, Frame, From, Kind, Unit, Value, clock, quantity};

use super::paint::{Pen, cells, cells as cells_of, cut, seen, wrap};
use super::rows::{address, cell_text, state_role};
use super::sparkline::sparkline;
use super::theme::{Role, Theme};
use super::timeline::{Segment, timeline};

/// Draws the page.
pub fn draw(state: &State, look: &Theme, detail: &Detail, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let Some((frame, row)) = &detail.last else {
        Pen::new(buf, look, 1, layout.tabs, width).put("This row is not there.", Role::Dim);
        return;
    };
    let mut pen = Pen::new(buf, look, 0, layout.tabs, width);
    let title = cut(&title(frame, *row, width < NARROW), usize::from(width), "");
    pen.put(" ", Role::Select).put(&title, Role::Select).put(" ", Role::Select);
    if detail.gone() {
        pen.put("  gone: last seen values", Role::Warn);
    }
    let page = Page { state, look, detail, frame, row: *row, width };
    let lines = page.lines();
    let rows = usize::from(layout.rows + 1);
    let from = detail.scroll.min(lines.len().saturating_sub(rows));
    if width >= NARROW {
        seen(from, rows, lines.len(), look, layout.tabs, buf);
    }
    for (i, line) in lines.iter().skip(from).take(rows).enumerate() {
        let mut pen = Pen::new(buf, look, 0, layout.titles + i as u16, width);
        for (text, style) in line {
            pen.put_style(text, *style);
        }
    }
}

/// How many lines the page has on a screen of this width.
pub fn length(state: &State, detail: &Detail, width: u16) -> usize {
    let Some((frame, row)) = &detail.last else { return 0 };
    let look = &Theme::default();
    Page { state, look, detail, frame, row: *row, width }.lines().len()
}

/// Below this many cells less is said.
const NARROW: u16 = 70;

/// Who it is; the most telling first.
pub fn title(frame: &Frame, row: usize, narrow: bool) -> String {
    let schema = frame.table().schema();
    if schema.found() {
        // A tool's row is called by its table and its key; in a log the key says who, not which.
        let keys = schema.keys().iter().map(|&k| crate::app::text_of(frame.table().value(row, k)));
        let mut words = vec![schema.table().to_owned()];
        words.extend(keys.filter(|w| !w.is_empty()));
        return words.join(" ");
    }
    let text = |id: &str| crate::app::text_of(frame.get(row, id));
    let end = |a: &str, p: &str| address(frame.get(row, a), frame.get(row, p));
    let peer = end("daddr", "dport");
    let mut words = vec![text("comm"), text("pid")];
    if schema.find("daddr").is_none() {
        // What is woken stands behind what wakes it; a lock and a system call say which.
        let waker = [text("waker_comm"), text("context")].join(" ");
        let from =
            if schema.table() == "wake" { format!("<- {}", waker.trim()) } else { String::new() };
        words.extend([
            text("state"),
            text("syscall"),
            text("kind"),
            text("name"),
            text("end"),
            from,
        ]);
    } else if narrow {
        words.extend([text("state"), peer]);
    } else {
        let arrow = if text("role") == "server" { "<-" } else { "->" };
        words.extend([text("kind"), text("proto"), text("state")]);
        words.extend([end("saddr", "sport"), arrow.to_owned(), peer]);
    }
    words.retain(|w| !w.is_empty());
    words.join(" ")
}

type Line = Vec<(String, Style)>;

struct Page<'a> {
    state: &'a State,
    look: &'a Theme,
    detail: &'a Detail,
    frame: &'a Frame,
    row: usize,
    width: u16,
}

/// Cells of a chart's name, and of each figure beside it.
const NAME: usize = 15;
const FIGURE: usize = 7;

impl Page<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut out = Vec::new();
        self.sparklines(&mut out);
        self.strip(&mut out);
        out.push(Vec::new());
        self.fields(&mut out);
        out
    }

    /// Time across the screen, Unix ns.
    fn window(&self) -> (i64, i64) {
        let to = self.state.wall_ns().unwrap_or(0);
        (to - i64::try_from(self.detail.window_ns).unwrap_or(0), to)
    }

    /// Cells before a chart: its name, what is now, and the most there was.
    fn left(&self) -> usize {
        1 + NAME + FIGURE + 1 + if self.width < NARROW { 0 } else { FIGURE + 4 }
    }

    fn chart_width(&self) -> usize {
        usize::from(self.width).saturating_sub(self.left() + 1)
    }

    fn sparklines(&self, out: &mut Vec<Line>) {
        let (from, to) = self.window();
        let series = &self.detail.series;
        let schema = self.frame.table().schema();
        for (i, figure) in series.of.figures.iter().enumerate() {
            let Some(field) = figure.field(schema) else { continue };
            let values: Vec<(i64, Option<f64>)> =
                series.values(i).filter(|(at, _)| *at > from && *at <= to).collect();
            let Some(max) = values.iter().filter_map(|v| v.1).reduce(f64::max) else { continue };
            let most = figure_text(self.state, max, field);
            let cells = over_time(&values, from, to, self.chart_width());
            let line = sparkline(&cells, self.chart_width(), None, self.look.glyphs);
            let name = cut(figure_title(figure, schema), NAME, self.look.pick("…", "~"));
            let name = format!(" {name}{}", " ".repeat(NAME.saturating_sub(cells_of(&name))));
            let mut out_line = vec![
                (name, self.s(Role::Dim)),
                (format!("{:>FIGURE$} ", self.now(figure)), self.s(Role::Text)),
            ];
            if self.width >= NARROW {
                out_line.push((format!("max {most:<FIGURE$}"), self.s(Role::Dim)));
            }
            out_line.push((line, self.s(Role::Chart)));
            out.push(out_line);
        }
    }

    /// A figure as it is in the row shown.
    fn now(&self, figure: &Shown) -> String {
        match figure {
            Shown::One(id) => self.text(id),
            _ => {
                let schema = self.frame.table().schema();
                let v = self.detail.series.of.point(self.frame, self.row);
                let at = self.detail.series.of.figures.iter().position(|f| f == figure);
                match (at.and_then(|i| v.get(i).copied().flatten()), figure.field(schema)) {
                    (Some(v), Some(field)) => figure_text(self.state, v, field),
                    _ => "-".to_owned(),
                }
            }
        }
    }

    fn strip(&self, out: &mut Vec<Line>) {
        let (from, to) = self.window();
        let width = self.chart_width();
        let segments = self.detail.segments(self.state);
        if segments.is_empty() || width == 0 {
            return;
        }
        let spans: Vec<Segment<'_>> = segments
            .iter()
            .map(|s| Segment {
                start: s.from,
                end: s.to,
                letter: s.state.chars().next().unwrap_or('?'),
                label: &s.state,
                role: state_role(&s.state),
                // What a connection seldom is in matters more than what it mostly is.
                rank: if s.state == "ESTAB" { 0 } else { 1 },
            })
            .collect();
        let left = self.left();
        let strip = timeline(&spans, from, to, width, self.look);
        let mut line: Line = vec![(format!(" {:<w$}", "states", w = left - 1), self.s(Role::Dim))];
        line.extend(strip.into_iter().map(|(c, style)| (c.to_string(), style)));
        out.push(line);
        let start = clock::clock(from, &self.state.zone);
        let end = clock::clock(to, &self.state.zone);
        let gap = width.saturating_sub(start.len() + end.len());
        let axis = format!("{}{start}{}{end}", " ".repeat(left), " ".repeat(gap));
        out.push(vec![(axis, self.s(Role::Dim))]);
        let mut words: Line = vec![(" ".to_owned(), self.s(Role::Dim))];
        for s in segments.iter().rev().take(6).rev() {
            let held = (s.to - s.from).max(0) as f64;
            let mut text = String::new();
            quantity::number(&mut text, held, Unit::Ns, quantity::Style::default());
            words.push((format!("{} {text}  ", s.state), self.look.style(state_role(&s.state))));
        }
        out.push(words);
    }

    fn fields(&self, out: &mut Vec<Line>) {
        let width = usize::from(self.width);
        let value = (width / 3).clamp(8, 20);
        let id = if width >= 100 { 23 } else { 0 };
        // On a narrow screen the explanation goes below.
        let before = 11 + id + value + 1;
        let below = width < before + 24;
        let mut fields: Vec<(usize, &Field)> = self.frame.fields().iter().enumerate().collect();
        // The title says who it is and the charts how fast: first the figures, then the rest.
        fields.sort_by_key(|(_, f)| match (f.from, f.kind) {
            (From::Stored(_), Kind::Key | Kind::Text) => 1,
            (From::Stored(_), _) => 0,
            _ => 2,
        });
        for (i, f) in fields {
            let v = self.frame.value(self.row, i);
            let text = self.full(f, v);
            let role = if v.is_none() { Role::Dim } else { Role::Text };
            let mut line: Line = if f.found {
                // A tool's column is called by its header alone.
                let name = cut(&f.id, 10 + id - 1, self.look.pick("…", "~"));
                let pad = " ".repeat(10 + id - cells(&name));
                vec![(format!(" {name}{pad}"), self.s(Role::Accent))]
            } else {
                vec![(format!(" {:<10}", f.title), self.s(Role::Accent))]
            };
            if id > 0 && !f.found {
                line.push((format!("{:<id$}", f.id), self.s(Role::Dim)));
            }
            let pad = value.saturating_sub(cells(&text)) + 1;
            // A long text takes the line; the explanation starts on the next.
            let long = below || cells(&text) > value;
            line.push((format!("{text}{}", " ".repeat(pad)), self.s(role)));
            let indent = if below { 3 } else { before };
            let help = wrap(&f.help, width.saturating_sub(indent).max(8));
            for (nth, part) in help.into_iter().enumerate() {
                if nth > 0 || long {
                    out.push(std::mem::take(&mut line));
                    line.push((" ".repeat(indent), self.s(Role::Dim)));
                }
                line.push((part, self.s(Role::Dim)));
            }
            out.push(line);
        }
    }

    /// A cell as on the table, and a count of bytes or a time in full beside it.
    fn full(&self, f: &Field, v: Value<'_>) -> String {
        let short = self.text(&f.id);
        let exact = quantity::exact(v, f);
        let scaled = matches!(f.unit, Unit::Bytes | Unit::Us | Unit::None) && v.as_u64().is_some();
        let digits = exact.split(' ').next().unwrap_or("");
        if !scaled || short.starts_with(digits) { short } else { format!("{short}  {exact}") }
    }

    fn s(&self, role: Role) -> Style {
        self.look.style(role)
    }

    fn field(&self, id: &str) -> Option<&Field> {
        self.frame.table().schema().find(id).map(|i| &self.frame.fields()[i])
    }

    fn text(&self, id: &str) -> String {
        let Some(field) = self.field(id) else { return "-".to_owned() };
        cell_text(self.state, self.frame.get(self.row, id), field)
    }
}

/// A figure as a cell of its column is written.
pub fn figure_text(state: &State, v: f64, field: &Field) -> String {
    // Whole numbers are kept as fractions in a series.
    let whole = field.ty != crate::table::Type::F64 && v.fract() == 0.0 && v.abs() < 9e15;
    let v = if whole { Value::I64(v as i64) } else { Value::F64(v) };
    cell_text(state, v, field)
}

/// Values in cells of equal time. A value holds for the interval before it, as a rate does, unless
/// samples are missing there.
pub fn over_time(
    values: &[(i64, Option<f64>)],
    from: i64,
    to: i64,
    cells: usize,
) -> Vec<Option<f64>> {
    let mut out = vec![None; cells];
    let (Some(last), true) = (cells.checked_sub(1), to > from) else { return out };
    let cell = |t: i64| -> usize {
        let at = i128::from(t.clamp(from, to) - from) * cells as i128 / i128::from(to - from);
        usize::try_from(at).unwrap_or(0).min(last)
    };
    let mut steps: Vec<i64> = values.windows(2).map(|w| w[1].0 - w[0].0).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(0);
    let mut before: Option<i64> = None;
    for &(t, v) in values {
        let at = cell(t);
        let start = match before {
            Some(b) if t - b <= usual.saturating_mul(3) => (cell(b) + 1).min(at),
            _ => at,
        };
        for slot in &mut out[start..=at] {
            *slot = match (*slot, v) {
                (Some(a), Some(b)) => Some(f64::max(a, b)),
                (a, b) => b.or(a),
            };
        }
        before = Some(t);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_true_to_time() {
        let v = |n: i64| Some(n as f64);
        // A sample each 10: one a cell, the gap from 50 to 90 left open.
        let values = [(10, v(1)), (20, v(2)), (30, None), (40, v(4)), (50, v(5)), (90, v(9))];
        let got = over_time(&values, 0, 100, 10);
        let want = [None, v(1), v(2), None, v(4), v(5), None, None, None, v(9)];
        assert_eq!(got, want);
        // More cells than samples: a value fills its interval.
        let got = over_time(&[(50, v(1)), (100, v(2))], 0, 100, 8);
        assert_eq!(got, [None, None, None, None, v(1), v(2), v(2), v(2)]);
        // More samples than cells: the highest stays.
        let many: Vec<_> = (1..=100).map(|t| (t, v(if t == 37 { 9 } else { 0 }))).collect();
        let got = over_time(&many, 0, 100, 4);
        assert_eq!(got, [v(0), v(9), v(0), v(0)]);
        assert_eq!(over_time(&values, 5, 5, 3), [None; 3]);
        assert_eq!(over_time(&values, 0, 100, 0), [] as [Option<f64>; 0]);
    }
}
