//! The table: titles, rows, groups, selection.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::app::{Cell, Layout, Line, Mode, Shown, State, drawn};
use crate::table::{Field, Kind, Order, Schema, Unit, Value, clock, quantity};

use super::doing::doing_of;
use super::paint::{Pen, cells, cut};
use super::theme::{Role, Theme};

/// Draws titles and rows.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let pane = &state.view().pane;
    let Some(frame) = state.grid.parts.first() else {
        let text = match (&state.moment, state.mode) {
            (None, _) if pane.found => &pane.empty,
            (None, Mode::Replay { .. }) => "Opening the recording ...",
            (None, _) => "Attaching probes ...",
            (Some(m), _) if !pane.found && m.now.table(&pane.table).is_none() => {
                "Nothing is known here; ? says what is missing."
            }
            (Some(_), _) => &pane.empty,
        };
        Pen::new(buf, look, 1, layout.body, buf.area.width).put(text, Role::Dim);
        return;
    };
    let schema = frame.table().schema().clone();
    let columns = drawn(state);
    titles(state, look, &schema, &columns, layout, buf);
    let view = state.view();
    if state.grid.lines.is_empty() {
        let text = if state.grid.total == 0 {
            pane.empty.as_str()
        } else if state.filter.is_empty() {
            "No row is of what is pinned; p unpins."
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
            Shown::Sum(.., t) if state.bits => format!("{t}b"),
            _ => shown.title(schema).to_owned(),
        };
        let sorted = view.sort.as_ref() == Some(shown);
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

/// One even bar: colours would turn into patches, and dim text on it cannot be read.
fn select(y: u16, buf: &mut Buffer) {
    let width = buf.area.width;
    let area = ratatui::layout::Rect::new(0, y, width, 1);
    let bar = Style::new()
        .fg(Color::Reset)
        .remove_modifier(Modifier::DIM)
        .add_modifier(Modifier::REVERSED);
    buf.set_style(area, bar);
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
            let end = x + width;
            if nth == 0 && self.grouped() {
                self.first(shown, x, end, y, buf);
            } else {
                let (text, role) = self.cell(shown);
                let role = if ended { Role::Ended } else { role };
                let text = match shown {
                    Shown::Pair(..) => self.address(&text, usize::from(width)),
                    _ => self.cut(&text, usize::from(width)),
                };
                let right = shown.right(self.schema);
                let pad = if right { usize::from(width) - cells(&text) } else { 0 };
                Pen::new(buf, self.look, x + pad as u16, y, end).put(&text, role);
            }
            x = end + 1;
        }
    }

    fn cut(&self, text: &str, width: usize) -> String {
        cut(text, width, self.look.pick("…", "~"))
    }

    /// What rows are grouped by, empty where they are not.
    fn group(&self) -> &str {
        self.state.view().group_by()
    }

    fn grouped(&self) -> bool {
        !self.group().is_empty()
    }

    /// The first cell of a grouped view: fold, name, number of rows; inside a group the row's own.
    fn first(&self, shown: &Shown, x: u16, end: u16, y: u16, buf: &mut Buffer) {
        let (text, role) = self.cell(shown);
        let Line::Group { from, to, open } = self.line else {
            let text = self.cut(&text, usize::from(end - x).saturating_sub(2));
            Pen::new(buf, self.look, x + 2, y, end).put(&text, role);
            return;
        };
        let count = (to - from).to_string();
        let glyphs = self.look.glyphs;
        let sign = if open { glyphs.unfolded() } else { glyphs.folded() };
        let by = Shown::One(self.group().to_owned());
        // A process is called by its name; any other group by what its rows have in common.
        let named = self.group() == "pid" && *shown == Shown::One("comm".to_owned());
        let (name, role) = if named { (text, role) } else { self.cell(&by) };
        let room = usize::from(end - x).saturating_sub(3 + count.len());
        Pen::new(buf, self.look, x, y, end)
            .put(&sign.to_string(), Role::Dim)
            .skip(1)
            .put(&self.cut(&name, room), role);
        let at = end.saturating_sub(count.len() as u16).max(x);
        Pen::new(buf, self.look, at, y, end).put(&count, Role::Dim);
    }

    fn cell(&self, shown: &Shown) -> (String, Role) {
        let field = shown.field(self.schema);
        match self.state.grid.cell(self.line, shown) {
            Cell::Many(n) => (format!("({n})"), Role::Dim),
            Cell::Pair(a, b) => {
                let text = address(a, b);
                let role = if text == "*" { Role::Dim } else { Role::Text };
                (text, role)
            }
            Cell::One(v) => match field {
                Some(f) => self
                    .entered(v, f)
                    .unwrap_or_else(|| (cell_text(self.state, v, f), role(v, f, self))),
                None => (String::new(), Role::Text),
            },
        }
    }

    /// A change of state is called by the state entered: that it was one says nothing.
    fn entered(&self, v: Value<'_>, field: &Field) -> Option<(String, Role)> {
        if field.found
            || field.id != "kind"
            || v != Value::Text("state")
            || !matches!(self.line, Line::Row { .. })
        {
            return None;
        }
        let Cell::One(Value::Text(new)) =
            self.state.grid.cell(self.line, &Shown::One("state".to_owned()))
        else {
            return None;
        };
        Some((format!("{} {new}", self.look.glyphs.arrow()), state_role(new)))
    }

    /// An address that does not fit loses its middle, never its port.
    fn address(&self, text: &str, width: usize) -> String {
        if cells(text) <= width || width < 8 {
            return self.cut(text, width);
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

/// An address and its port as ss prints them; `*` for neither.
pub fn address(a: Value<'_>, b: Value<'_>) -> String {
    let address = a.as_str().unwrap_or("*");
    if matches!(address, "0.0.0.0" | "::" | "*") && matches!(b.as_u64(), None | Some(0)) {
        return "*".to_owned();
    }
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
    if field.found {
        // What a tool means by its words is not known here.
        return if field.kind == Kind::Key { Role::Accent } else { Role::Text };
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
        _ => Role::Text,
    }
}

/// A cell as written on screen: an instant as a clock time, everything else by its unit.
pub fn cell_text(state: &State, v: Value<'_>, field: &Field) -> String {
    if let (Unit::Instant, Some(ns), Some(m)) = (field.unit, v.as_u64(), &state.moment) {
        let ago = i128::from(m.now.mono_ns) - i128::from(ns);
        let wall = i128::from(m.now.wall_ns) - ago;
        return i64::try_from(wall)
            .map_or_else(|_| "-".to_owned(), |w| clock::clock_ms(w, &state.zone));
    }
    if let (Unit::Wall, Value::I64(wall)) = (field.unit, v) {
        return clock::clock_ms(wall, &state.zone);
    }
    let mut out = String::new();
    match state.view().seen.decimals(field) {
        Some(places) => quantity::plainly(&mut out, v, field, Some(places)),
        None => quantity::format(&mut out, v, field, style(state)),
    }
    out
}

/// How a state's word is drawn.
pub fn state_role(state: &str) -> Role {
    if let Some(doing) = doing_of(state) {
        return doing.role;
    }
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
