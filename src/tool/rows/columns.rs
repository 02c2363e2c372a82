//! A tool's columns as fields of a schema: ids, types, units and kinds, found or configured.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::MOST_COLUMNS;
use super::typing::{CellKind, Cells};
use crate::table::{Field, Kind, Nature, Schema, Type, Unit, clean, numbered};
use crate::tool::parse::{Cell, Heading, Title};
use crate::tool::spec::ColumnSpec;

/// Keys that every row has in JSON: when it was, and which table it is of.
const RESERVED: [&str; 2] = ["time", "table"];
/// Widest text column at first, in cells; the user sees the rest on the detail page.
const WIDEST: usize = 60;
/// Longest id of a column, in characters.
const LONGEST: usize = 80;

/// The columns of one table and the cells that are no table yet.
pub struct Columns {
    table: String,
    columns: Vec<One>,
}

struct One {
    title: Title,
    id: String,
    key: bool,
    time: bool,
    spec: ColumnSpec,
    cells: Cells,
    kind: CellKind,
    width: usize,
}

impl Columns {
    /// The columns under a heading. What `before` knew of a column of the same id stays known: a
    /// type never narrows.
    pub fn new(
        table: &str,
        heading: &Heading,
        specs: &[ColumnSpec],
        before: Option<&Columns>,
    ) -> Columns {
        let mut taken = RESERVED.map(str::to_owned).to_vec();
        let titles: Vec<&str> = heading.titles.iter().map(|t| t.text.as_str()).collect();
        let columns = heading
            .titles
            .iter()
            .take(MOST_COLUMNS)
            .zip(ColumnSpec::each(specs, &titles))
            .enumerate()
            .map(|(i, (title, spec))| {
                let id = unique(spec.rename.as_deref().unwrap_or(&title.text), &mut taken);
                let known = before.and_then(|b| b.columns.iter().find(|c| c.id == id));
                let cells = match known {
                    Some(c) => c.cells.clone(),
                    None => Cells::new(title.text_only),
                };
                One {
                    title: title.clone(),
                    key: heading.key.contains(&i),
                    time: heading.time == Some(i),
                    spec,
                    kind: cells.kind(),
                    cells,
                    width: known.map_or(0, |c| c.width),
                    id,
                }
            })
            .collect();
        Columns { table: table.to_owned(), columns }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Adds a row; returns its size in bytes.
    pub fn push(&mut self, cells: &[Cell<'_>]) -> usize {
        let mut bytes = 0;
        for (i, column) in self.columns.iter_mut().enumerate() {
            let cell = cells.get(i).copied().unwrap_or(Cell::Missing);
            bytes += match cell {
                Cell::Raw(s) | Cell::Text(s) => s.len(),
                _ => 8,
            };
            column.cells.push(cell);
        }
        bytes + 8 * self.columns.len()
    }

    /// Looks at the cells added; true when a column is another type than before.
    pub fn settle(&mut self) -> bool {
        let mut changed = false;
        for column in &mut self.columns {
            let kind = column.cells.settle(&column.title.text);
            changed |= kind != column.kind;
            column.kind = kind;
            column.width = column.width.max(column.cells.width(WIDEST));
        }
        changed
    }

    /// The schema as last settled; `timed` puts the row's own time first.
    pub fn schema(&self, nature: Nature, timed: bool) -> Arc<Schema> {
        let kept = self.columns.iter().filter(|c| !c.spec.drop);
        let mut fields: Vec<Field> = Vec::new();
        if timed {
            let own = self.columns.iter().any(|c| c.time);
            let help = if own {
                "When it happened, by the tool's own clock."
            } else {
                "When the row arrived, or the time printed above it."
            };
            fields.push(Field {
                title: "TIME".to_owned(),
                kind: Kind::Text,
                unit: Unit::Wall,
                hide: if own { 200 } else { 5 },
                help: help.to_owned(),
                ..Field::new("time", Type::I64)
            });
        }
        fields.extend(kept.enumerate().map(|(i, c)| c.field(&self.table, i)));
        Arc::new(Schema::new_found(&self.table, nature, fields))
    }

    /// The arrays of the columns that are kept; the cells are forgotten.
    pub fn take(&mut self) -> Vec<ArrayRef> {
        let arrays: Vec<(bool, ArrayRef)> =
            self.columns.iter_mut().map(|c| (c.spec.drop, c.cells.take())).collect();
        arrays.into_iter().filter(|(drop, _)| !drop).map(|(_, array)| array).collect()
    }
}

impl One {
    fn field(&self, table: &str, place: usize) -> Field {
        let ty = self.kind.ty();
        let place = u8::try_from(place).unwrap_or(u8::MAX);
        let width = self.width.max(self.id.chars().count().min(12)).clamp(1, WIDEST);
        Field {
            kind: self.meaning(),
            unit: self.unit(),
            width: u16::try_from(width).unwrap_or(8),
            hide: if self.key { place.min(9) } else { place.saturating_add(10).min(250) },
            title: self.shown(),
            help: self.help(table),
            ..Field::new(&self.id, ty)
        }
    }

    /// The header: the tool's own also where the id had to be another, as that is the sample's.
    fn shown(&self) -> String {
        let own = self.title.text.trim();
        if RESERVED.contains(&own) { own.to_owned() } else { self.id.clone() }
    }

    fn meaning(&self) -> Kind {
        if let Some(kind) = self.spec.kind {
            return kind;
        }
        if self.key {
            return Kind::Key;
        }
        let text = self.kind.ty() == Type::Text;
        match self.title.kind {
            Some("key") => return Kind::Key,
            Some("label") => return Kind::Text,
            Some("counter") if !text => return Kind::Counter,
            _ => {}
        }
        let name = self.id.to_ascii_lowercase();
        match self.kind {
            _ if text && matches!(name.as_str(), "state" | "status" | "stat" | "s") => Kind::State,
            _ if text => Kind::Text,
            CellKind::Time(_) | CellKind::Seconds => Kind::Duration,
            _ => Kind::Gauge,
        }
    }

    fn unit(&self) -> Unit {
        if let Some(unit) = self.spec.unit {
            return unit;
        }
        match self.kind.unit() {
            Unit::None => {}
            unit => return unit,
        }
        if self.kind.ty() == Type::Text {
            return Unit::None;
        }
        if is_id(&self.id) {
            return Unit::Id;
        }
        match self.title.unit.as_deref() {
            Some("ns" | "nsec" | "nsecs") => Unit::Ns,
            Some("us" | "usec" | "usecs" | "µs" | "μs") => Unit::Us,
            Some("ms" | "msec" | "msecs") => Unit::Ms,
            Some("s" | "sec" | "secs" | "seconds") => Unit::Seconds,
            Some("%") => Unit::Percent,
            Some("B" | "bytes") => Unit::Bytes,
            Some("B/s") => Unit::BytesPerSec,
            _ if self.id.contains('%') => Unit::Percent,
            _ => Unit::None,
        }
    }

    fn help(&self, table: &str) -> String {
        let unit = self.title.unit.as_deref().unwrap_or(self.kind.word());
        let unit = if unit.is_empty() { String::new() } else { format!(", in {}", clean(unit)) };
        format!("Column {} of {table}'s output{unit}.", self.id)
    }
}

/// Numbers that are names: never scaled, never summed.
fn is_id(title: &str) -> bool {
    const IDS: &[&str] = &[
        "pid", "ppid", "tgid", "tid", "lwp", "uid", "gid", "suid", "euid", "port", "lport",
        "rport", "sport", "dport", "inode", "fd", "cpu", "core", "node", "maj", "min", "major",
        "minor", "irq", "netns", "sid", "pgid", "ret", "err", "sector", "gpu", "idx",
    ];
    let title = title.trim_start_matches('#').trim().to_ascii_lowercase();
    IDS.contains(&title.as_str())
}

/// A header text as an id: harmless, bounded, not empty, not taken yet.
fn unique(title: &str, taken: &mut Vec<String>) -> String {
    let cleaned: String = clean(title.trim()).chars().take(LONGEST).collect();
    let base = if cleaned.is_empty() { format!("col{}", taken.len() - 1) } else { cleaned };
    let id = numbered(&base, |id| taken.iter().any(|t| t == id));
    taken.push(id.clone());
    id
}

/// A name for a tool's table: the tool's for the first, then with its label behind a dot.
pub fn table_name(tool: &str, label: &str, taken: &[&str]) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let label: String = label.trim().chars().map(plain).take(32).collect();
    let label = label.trim_matches(['_', '.']);
    if taken.is_empty() {
        return tool.to_owned();
    }
    let base = if label.is_empty() {
        format!("{tool}.{}", taken.len() + 1)
    } else {
        format!("{tool}.{label}")
    };
    numbered(&base, |name| taken.contains(&name))
}
