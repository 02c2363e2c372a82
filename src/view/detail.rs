//! One row in full: its past as sparklines, its states as a strip, every field explained.

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::app::{Detail, Layout, SERIES, State};
use crate::table::{Field, Frame, Type, Unit, clock, quantity};

use super::paint::{Pen, cells, cut};
use super::rows::{state_role, style};
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
    pen.put(" ", Role::Select).put(&title(frame, *row), Role::Select).put(" ", Role::Select);
    if !detail.there {
        pen.put("  gone: last seen values", Role::Warn);
    }
    let page = Page { state, look, detail, frame, row: *row, width };
    let lines = page.lines();
    let rows = usize::from(layout.rows + 1);
    let from = detail.scroll.min(lines.len().saturating_sub(rows));
    for (i, line) in lines.iter().skip(from).take(rows).enumerate() {
        let mut pen = Pen::new(buf, look, 0, layout.titles + i as u16, width);
        for (text, style) in line {
            pen.put_style(text, *style);
        }
    }
}

fn title(frame: &Frame, row: usize) -> String {
    let text = |id: &str| crate::app::text_of(frame.get(row, id));
    format!(
        "{} {}  {} {}  {}:{} {} {}:{}",
        text("comm"),
        text("pid"),
        text("proto"),
        text("state"),
        text("saddr"),
        text("sport"),
        if text("role") == "server" { "<-" } else { "->" },
        text("daddr"),
        text("dport")
    )
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

/// Cells before a sparkline or a strip.
const LABEL: usize = 16;

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

    fn sparklines(&self, out: &mut Vec<Line>) {
        let (from, to) = self.window();
        let points: Vec<_> =
            self.detail.series.points.iter().filter(|p| p.0 > from && p.0 <= to).collect();
        // Room for the label before, and the figures behind.
        let cells = usize::from(self.width).saturating_sub(LABEL + 26).max(8);
        for (i, (id, name)) in SERIES.iter().enumerate() {
            let Some(field) = self.field(id) else { continue };
            let values: Vec<Option<f64>> = points.iter().map(|p| p.1[i]).collect();
            if values.iter().all(Option::is_none) {
                continue;
            }
            let max = values.iter().flatten().copied().fold(0.0, f64::max);
            let now = self.text(id);
            let mut peak = String::new();
            quantity::format(&mut peak, crate::table::Value::F64(max), field, style(self.state));
            let line = sparkline(&values, cells, None, self.look.glyphs);
            out.push(vec![
                (format!(" {name:<w$}", w = LABEL - 1), self.s(Role::Dim)),
                (line, self.s(Role::Accent)),
                (format!(" {now:>7}"), self.s(Role::Text)),
                (format!("  peak {peak}"), self.s(Role::Dim)),
            ]);
        }
    }

    fn strip(&self, out: &mut Vec<Line>) {
        let (from, to) = self.window();
        let width = usize::from(self.width).saturating_sub(LABEL + 1);
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
        let cells = timeline(&spans, from, to, width, self.look);
        let mut line: Line = vec![(format!(" {:<w$}", "states", w = LABEL - 1), self.s(Role::Dim))];
        line.extend(cells.into_iter().map(|(c, style)| (c.to_string(), style)));
        out.push(line);
        let mut words: Line = vec![(" ".repeat(LABEL), self.s(Role::Dim))];
        for s in segments.iter().rev().take(6).rev() {
            let held = (s.to - s.from).max(0) as f64;
            let mut text = String::new();
            quantity::number(&mut text, held, Unit::Ns, quantity::Style::default());
            words.push((format!("{} {text}  ", s.state), self.look.style(state_role(&s.state))));
        }
        out.push(words);
        let start = clock::clock(from, &self.state.zone);
        let end = clock::clock(to, &self.state.zone);
        let gap = width.saturating_sub(start.len() + end.len());
        let axis = format!("{}{start}{}{end}", " ".repeat(LABEL), " ".repeat(gap));
        out.push(vec![(axis, self.s(Role::Dim))]);
    }

    fn fields(&self, out: &mut Vec<Line>) {
        let value_width = 20.min(usize::from(self.width) / 3).max(8);
        for (i, f) in self.frame.fields().iter().enumerate() {
            let v = self.frame.value(self.row, i);
            let short = self.text(&f.id);
            let role = if v.is_none() { Role::Dim } else { Role::Text };
            // A long text gets the line to itself.
            let long = f.ty == Type::Text && cells(&short) > value_width;
            let shown = if long { short.clone() } else { cut(&short, value_width, "~") };
            let mut line: Line = vec![
                (format!(" {:<9}", f.title), self.s(Role::Accent)),
                (format!("{:<22} ", f.id), self.s(Role::Dim)),
                (format!("{shown:<value_width$} "), self.s(role)),
            ];
            if !long {
                line.push((f.help.clone(), self.s(Role::Dim)));
            }
            out.push(line);
        }
    }

    fn s(&self, role: Role) -> Style {
        self.look.style(role)
    }

    fn field(&self, id: &str) -> Option<&Field> {
        self.frame.table().schema().find(id).map(|i| &self.frame.fields()[i])
    }

    fn text(&self, id: &str) -> String {
        let Some(field) = self.field(id) else { return "-".to_owned() };
        let v = self.frame.get(self.row, id);
        if let (Unit::Instant, Some(ns), Some(m)) = (field.unit, v.as_u64(), &self.state.moment) {
            let wall = i128::from(m.now.wall_ns) - i128::from(m.now.mono_ns) + i128::from(ns);
            return i64::try_from(wall)
                .map_or_else(|_| "-".to_owned(), |w| clock::clock_ms(w, &self.state.zone));
        }
        let mut out = String::new();
        quantity::format(&mut out, v, field, style(self.state));
        out
    }
}
