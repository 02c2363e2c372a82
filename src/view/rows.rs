//! The table: titles, rows, groups, selection.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::app::{Cell, Layout, Line, Mode, Node, Shown, State, drawn};
use crate::table::{Field, Kind, Order, Part, Schema, Unit, Value, clock, quantity, times};

use super::paint::{Pen, cells, cut};
use super::sign::sign_of;
use super::theme::{Role, Theme};

/// Least cells of a name in a tree.
const NAME: u16 = 8;

/// Draws titles and rows.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let pane = &state.view().pane;
    let Some(frame) = state.grid.parts.first() else {
        let text = match (&state.moment, state.mode) {
            (None, _) if pane.found => &pane.empty,
            (None, Mode::Replay { .. }) => "Opening the recording ...",
            (None, _) => "Attaching probes ...",
            (Some(m), _) if !pane.found && !pane.late() && m.now.table(&pane.table).is_none() => {
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
        let ended = self.state.grid.ended(self.line) || self.gone();
        let context = matches!(self.line, Line::Node(n) if n.context);
        let mut x = 0;
        for (nth, &(i, width)) in columns.iter().enumerate() {
            let shown = &self.state.view().columns.shown[i];
            let end = x + width;
            if nth == 0 && self.grouped() {
                self.first(shown, x, end, y, buf);
            } else {
                let (text, role) = self.cell(shown);
                let role = if ended || context { Role::Ended } else { role };
                let how = if ended { self.how_it_ended(shown) } else { None };
                let (text, role) = how.unwrap_or((text, role));
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

    /// Whether the row is of A only.
    fn gone(&self) -> bool {
        let grid = &self.state.grid;
        let of = |row: &str| Shown::One(row.to_owned());
        let row = grid.contrast.as_ref().map(|c| of(c.row()));
        row.is_some_and(|row| grid.cell(self.line, &row) == Cell::One(Value::Text("gone")))
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
        if let Line::Node(node) = self.line {
            return self.branch(node, &text, role, (x, end, y), buf);
        }
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

    /// The first cell of a tree: lines from what is above, fold, name; how many are folded.
    fn branch(
        &self,
        node: Node,
        text: &str,
        role: Role,
        (x, end, y): (u16, u16, u16),
        buf: &mut Buffer,
    ) {
        let glyphs = self.look.glyphs;
        let sign = match (node.parent(), node.open) {
            (false, _) => None,
            (true, true) => Some(glyphs.unfolded()),
            (true, false) => Some(glyphs.folded()),
        };
        // A deep tree is indented only so far: a name needs some cells.
        let room = end.saturating_sub(x);
        let levels = node.depth.min(room.saturating_sub(NAME + 1) / 2);
        let mut lines = String::new();
        for depth in 1..levels {
            lines.push_str(if node.more(depth) { self.look.pick("│ ", "| ") } else { "  " });
        }
        if levels > 0 {
            let last = !node.more(node.depth);
            lines.push_str(if last {
                self.look.pick("└", "`")
            } else {
                self.look.pick("├", "|")
            });
        }
        let line = glyphs.horizontal();
        lines.push(sign.unwrap_or(if levels > 0 { line } else { ' ' }));
        let count = if node.parent() && !node.open {
            (node.to - node.index - 1).to_string()
        } else {
            String::new()
        };
        let gone =
            if node.context || self.state.grid.ended(self.line) { Role::Ended } else { role };
        let mut pen = Pen::new(buf, self.look, x, y, end);
        pen.put(&lines, Role::Border).skip(1);
        let beside = if count.is_empty() { 0 } else { count.len() + 1 };
        let room = usize::from(pen.room()).saturating_sub(beside);
        pen.put(&self.cut(text, room), gone);
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
                    .compared(v, f)
                    .or_else(|| self.entered(v, f))
                    .unwrap_or_else(|| (cell_text(self.state, v, f), role(v, f, self))),
                None => (String::new(), Role::Text),
            },
        }
    }

    /// What became of an amount, and which rows are of one time only.
    fn compared(&self, v: Value<'_>, field: &Field) -> Option<(String, Role)> {
        let grid = &self.state.grid;
        let contrast = grid.contrast.as_ref()?;
        if field.id == contrast.row() {
            let role = if v == Value::Text("new") { Role::Good } else { Role::Warn };
            return Some((v.as_str().unwrap_or("").to_owned(), role));
        }
        let (_, part) = contrast.part(&field.id)?;
        let quiet = v.is_none() || v.as_f64() == Some(0.0);
        match part {
            Part::Was => Some((cell_text(self.state, v, field), Role::Dim)),
            Part::Now => None,
            Part::Change => {
                let size = v.as_f64().map_or(Value::None, |v| Value::F64(v.abs()));
                let text = cell_text(self.state, size, field);
                let sign = match v.as_f64() {
                    Some(v) if v > 0.0 => "+",
                    Some(v) if v < 0.0 => "-",
                    _ => "",
                };
                let text = format!("{sign}{text}");
                Some((text, if quiet { Role::Dim } else { Role::Accent }))
            }
            Part::Ratio => Some((times(v).unwrap_or_else(|| "-".to_owned()), Role::Dim)),
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

    /// Where a process that is there says what it does, one that ended says how: in short for its
    /// state, in full before its arguments.
    fn how_it_ended(&self, shown: &Shown) -> Option<(String, Role)> {
        let grid = &self.state.grid;
        let &(part, row) = grid.rows.get(self.line.index())?;
        let frame = grid.parts.get(usize::from(part)).filter(|f| f.table().name() == "life")?;
        let get = |id: &str| frame.get(row as usize, id);
        let (end, code) = (get("end").as_str(), get("code").as_u64());
        let short = match (get("signal").as_str(), code) {
            (Some(signal), _) => signal.to_owned(),
            (None, Some(code)) => format!("exit {code}"),
            (None, None) => return None,
        };
        match shown.first_id() {
            "state" => {
                let role = if code == Some(0) { Role::Ended } else { end_role(&short) };
                Some((short, role))
            }
            "argv" => {
                let argv = get("argv").as_str().unwrap_or("");
                let text = match end.filter(|end| *end != short) {
                    Some(end) if argv.is_empty() => end.to_owned(),
                    Some(end) => format!("{end}{}{argv}", self.look.pick(" · ", " - ")),
                    None => argv.to_owned(),
                };
                Some((text, Role::Ended))
            }
            _ => None,
        }
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
    if let Some(role) = share_role(&field.id, v) {
        return role;
    }
    match (field.id.as_str(), v) {
        ("comm", _) => Role::Accent,
        ("end", Value::Text(s)) if row.schema.table() == "life" => end_role(s),
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

/// A share of time that is worth a look has the colour of what the time went to.
fn share_role(id: &str, v: Value<'_>) -> Option<Role> {
    let word = id.strip_suffix("_ns_rate")?;
    let role = match word {
        "runq" => Role::Wait,
        word => sign_of(word)?.role,
    };
    let rest = matches!(role, Role::Rest);
    Some(if rest || v.as_f64()? < SHARE { Role::Text } else { role })
}

/// Shares below this many per cent have no colour.
const SHARE: f64 = 1.0;

/// A cell as written on screen: an instant as a clock time, everything else by its unit.
pub fn cell_text(state: &State, v: Value<'_>, field: &Field) -> String {
    if let (Unit::Instant, Some(ns), Some(m)) = (field.unit, v.as_u64(), &state.moment) {
        let ago = i128::from(m.now.mono_ns) - i128::from(ns);
        let wall = i128::from(m.now.wall_ns) - ago;
        return i64::try_from(wall)
            .map_or_else(|_| "-".to_owned(), |w| clock::clock_ms(w, &state.zone));
    }
    // Addresses are read as hexadecimal numbers everywhere else.
    if let (true, Value::U64(at)) = (!field.found && field.id == "addr", v) {
        return format!("{at:#x}");
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

/// How the end of a process is drawn: crashes and kills in alarm.
fn end_role(end: &str) -> Role {
    let asked = ["exit 0", "SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"];
    match end {
        _ if end == asked[0] => Role::Dim,
        _ if asked.iter().any(|a| end.starts_with(a)) || end.starts_with("exit") => Role::Warn,
        _ => Role::Bad,
    }
}

/// How a state's word is drawn.
pub fn state_role(state: &str) -> Role {
    if let Some(doing) = sign_of(state) {
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
