//! The table: titles, rows, groups, selection.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use crate::app::{Cell, Layout, Line, Mode, PANES, Shown, State, drawn};
use crate::table::{Field, Order, Schema, Unit, Value, clock, quantity};

use super::paint::{Pen, cells, cut};
use super::theme::{Role, Theme};

/// Draws titles and rows.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let Some(frame) = state.grid.parts.first() else {
        let text = match (&state.moment, state.mode) {
            (None, Mode::Replay { .. }) => "Opening the recording ...",
            (None, _) => "Attaching probes ...",
            (Some(_), _) => PANES[state.pane].empty,
        };
        Pen::new(buf, look, 1, layout.body, buf.area.width).put(text, Role::Dim);
        return;
    };
    let schema = frame.table().schema().clone();
    let columns = drawn(state);
    titles(state, look, &schema, &columns, layout, buf);
    let view = state.view();
    if state.grid.lines.is_empty() {
        let text = if state.filter.is_empty() && state.pin.is_none() {
            PANES[state.pane].empty
        } else {
            "No row matches the filter; Esc clears it."
        };
        Pen::new(buf, look, 1, layout.body, buf.area.width).put(text, Role::Dim);
    }
    for y in 0..layout.rows {
        let index = view.offset + usize::from(y);
        let Some(&line) = state.grid.lines.get(index) else { break };
        let row = Row { state, look, schema: &schema, line };
        row.draw(&columns, layout.body + y, buf);
        if index == view.at {
            select(layout.body + y, buf);
        }
    }
}

fn titles(
    state: &State,
    look: &Theme,
    schema: &Schema,
    columns: &[(usize, u16)],
    layout: Layout,
    buf: &mut Buffer,
) {
    let view = state.view();
    let mut x = 0;
    for &(i, width) in columns {
        let shown = &view.columns.shown[i];
        let mut title = match shown {
            Shown::One(_) => shown
                .field(schema)
                .map_or_else(String::new, |f| quantity::title(f, style(state)).into_owned()),
            _ => shown.title(schema).to_owned(),
        };
        let sorted = *shown == view.sort;
        if sorted {
            title.push_str(match view.order {
                Order::Ascending => look.pick("▲", "^"),
                Order::Descending => look.pick("▼", "v"),
            });
        }
        let title = cut(&title, usize::from(width), "");
        let pad = if shown.right(schema) { usize::from(width) - cells(&title) } else { 0 };
        let role = if sorted { Role::Accent } else { Role::Header };
        let end = x + width;
        Pen::new(buf, look, x + pad as u16, layout.titles, end).put(&title, role);
        x = end + 1;
    }
}

/// The units chosen.
pub fn style(state: &State) -> quantity::Style {
    quantity::Style { bits: state.bits }
}

fn select(y: u16, buf: &mut Buffer) {
    let width = buf.area.width;
    let area = ratatui::layout::Rect::new(0, y, width, 1);
    buf.set_style(area, Style::new().add_modifier(Modifier::REVERSED));
}

struct Row<'a> {
    state: &'a State,
    look: &'a Theme,
    schema: &'a Schema,
    line: Line,
}

impl Row<'_> {
    fn draw(&self, columns: &[(usize, u16)], y: u16, buf: &mut Buffer) {
        let ended = self.state.grid.ended(self.line);
        let mut x = 0;
        for (nth, &(i, width)) in columns.iter().enumerate() {
            let shown = &self.state.view().columns.shown[i];
            let (mut text, mut role) = self.cell(shown);
            if ended {
                role = Role::Dim;
            }
            if nth == 0 {
                text = format!("{}{text}", self.mark());
            }
            let end = x + width;
            let text = match shown {
                Shown::Pair(..) => self.address(&text, usize::from(width)),
                _ => cut(&text, usize::from(width), self.look.pick("…", "~")),
            };
            let pad = if shown.right(self.schema) { usize::from(width) - cells(&text) } else { 0 };
            Pen::new(buf, self.look, x + pad as u16, y, end).put(&text, role);
            x = end + 1;
        }
    }

    /// What stands before the first cell: folds and indents.
    fn mark(&self) -> String {
        match self.line {
            Line::Group { from, to, open } => {
                let sign =
                    if open { self.look.pick("▾", "-") } else { self.look.pick("▸", "+") };
                format!("{sign}{} ", to - from)
            }
            Line::Row { inside: true, .. } => "  ".to_owned(),
            Line::Row { .. } => String::new(),
        }
    }

    fn cell(&self, shown: &Shown) -> (String, Role) {
        let field = shown.field(self.schema);
        match self.state.grid.cell(self.line, shown) {
            Cell::Many(n) => (format!("({n})"), Role::Dim),
            Cell::Pair(a, b) => (pair(a, b), Role::Text),
            Cell::One(v) => match field {
                Some(f) => (self.text(v, f), role(v, f, self)),
                None => (String::new(), Role::Text),
            },
        }
    }

    fn text(&self, v: Value<'_>, field: &Field) -> String {
        if let (Unit::Instant, Some(ns), Some(m)) = (field.unit, v.as_u64(), &self.state.moment) {
            let ago = i128::from(m.now.mono_ns) - i128::from(ns);
            let wall = i128::from(m.now.wall_ns) - ago;
            return i64::try_from(wall)
                .map_or_else(|_| "-".to_owned(), |w| clock::clock_ms(w, &self.state.zone));
        }
        let mut out = String::new();
        quantity::format(&mut out, v, field, style(self.state));
        out
    }

    /// An address that does not fit loses its middle, never its port.
    fn address(&self, text: &str, width: usize) -> String {
        if cells(text) <= width || width < 8 {
            return cut(text, width, self.look.pick("…", "~"));
        }
        let mark = self.look.pick("…", "~");
        let port = text.rfind(':').map_or("", |i| &text[i..]);
        let head = width.saturating_sub(port.len() + 1 + 6);
        let address = &text[..text.len() - port.len()];
        let chars: Vec<char> = address.chars().collect();
        let tail: String = chars[chars.len().saturating_sub(6)..].iter().collect();
        let head: String = chars[..head.min(chars.len())].iter().collect();
        format!("{head}{mark}{tail}{port}")
    }
}

fn pair(a: Value<'_>, b: Value<'_>) -> String {
    let address = a.as_str().unwrap_or("*");
    let port = match b.as_u64() {
        Some(0) | None => "*".to_owned(),
        Some(p) => p.to_string(),
    };
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// What a cell's value says about itself: the state in words, trouble in colour and weight.
fn role(v: Value<'_>, field: &Field, row: &Row<'_>) -> Role {
    if v.is_none() || v.as_f64() == Some(0.0) {
        return Role::Dim;
    }
    match (field.id.as_str(), v) {
        ("comm", _) => Role::Accent,
        ("state" | "kind" | "end", Value::Text(s)) => state_role(s),
        ("retrans" | "lost" | "backoff" | "sacked", _) => Role::Warn,
        ("drops" | "listen_overflows", _) => Role::Bad,
        ("backlog", _) => {
            let max = row.state.grid.cell(row.line, &Shown::One("backlog_max".to_owned()));
            match (v.as_f64(), max) {
                (Some(n), Cell::One(m)) if m.as_f64().is_some_and(|m| n >= m) => Role::Bad,
                _ => Role::Warn,
            }
        }
        _ if matches!(field.unit, Unit::Id) => Role::Text,
        _ => Role::Text,
    }
}

/// How a state's word is drawn.
pub fn state_role(state: &str) -> Role {
    match state {
        "ESTAB" | "LISTEN" => Role::Good,
        "TIME-WAIT" | "UNCONN" | "CLOSED" | "CLOSE" => Role::Dim,
        "CLOSE-WAIT" | "SYN-SENT" | "SYN-RECV" | "LAST-ACK" | "FIN-WAIT-1" | "retransmit"
        | "timeout" => Role::Warn,
        s if s.starts_with("reset") || s.starts_with("drop") || s.starts_with("refused") => {
            Role::Bad
        }
        _ => Role::Text,
    }
}
