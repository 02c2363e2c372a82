//! A column, defined once beside its probe; everything else about it follows from here.

use serde::{Deserialize, Serialize};

/// What a column means, which decides how it is derived, sorted, summed and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Part of the row's identity over time.
    Key,
    /// Describes the row; not counted.
    Text,
    /// A level now.
    Gauge,
    /// Counts up from the row's start; its rate is derived when looked at.
    Counter,
    /// A length of time as a level (a round trip, a timeout).
    Duration,
    /// A state's name.
    State,
    /// `CLOCK_MONOTONIC` ns at which the row's subject began; its age is derived.
    Start,
    /// A call stack as folded text.
    Stack,
}

/// How a column's numbers are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A bare number or text.
    None,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSec,
    /// Events per second.
    PerSec,
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds, as a tool gave them.
    Ms,
    /// Seconds, as a tool gave them.
    Seconds,
    /// A `CLOCK_MONOTONIC` ns at which something happened; a clock time on screen.
    Instant,
    /// Unix time in ns; a clock time on screen, RFC 3339 in exports.
    Wall,
    /// Per cent, 0..=100 (of one CPU where it can exceed 100).
    Percent,
    /// A number that is a name (pid, port, inode): never scaled, never summed.
    Id,
    /// A name that is a place in memory: in hexadecimal, and as it is where it is too small for one.
    Address,
}

/// The cell type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Unsigned 64-bit.
    U64,
    /// Signed 64-bit.
    I64,
    /// Double.
    F64,
    /// Text.
    Text,
}

/// How a cell is read from a probe's row.
pub enum Get<R: 'static> {
    /// Unsigned number.
    U64(fn(&R) -> Option<u64>),
    /// Signed number.
    I64(fn(&R) -> Option<i64>),
    /// Fraction.
    F64(fn(&R) -> Option<f64>),
    /// Text; what is harmful in it is neutralised at the table's door.
    Text(fn(&R) -> Option<&str>),
}

/// One column of a built-in table: a single entry in a `const` list.
pub struct Column<R: 'static> {
    /// snake_case, with a unit suffix where the unit is not obvious. Fixed once released.
    pub id: &'static str,
    /// At most 8 characters, as ss, htop or top print it.
    pub title: &'static str,
    /// What it means.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// Width of a text column on screen in cells; numbers take the width of their unit.
    pub width: u16,
    /// 0 stays longest; 255 is hidden first when the screen is narrow.
    pub hide: u8,
    /// Short names a filter may use for it (`rtt` for `srtt_us`).
    pub alias: &'static [&'static str],
    /// One sentence, ending with the exact kernel source in parentheses.
    pub help: &'static str,
    /// How to read it from a row.
    pub get: Get<R>,
}

impl<R: 'static> Column<R> {
    const fn new(id: &'static str, title: &'static str, kind: Kind, get: Get<R>) -> Column<R> {
        Column { id, title, kind, unit: Unit::None, width: 8, hide: 128, alias: &[], help: "", get }
    }

    /// An unsigned column.
    pub const fn u64(
        id: &'static str,
        title: &'static str,
        kind: Kind,
        get: fn(&R) -> Option<u64>,
    ) -> Column<R> {
        Column::new(id, title, kind, Get::U64(get))
    }

    /// A signed column.
    pub const fn i64(
        id: &'static str,
        title: &'static str,
        kind: Kind,
        get: fn(&R) -> Option<i64>,
    ) -> Column<R> {
        Column::new(id, title, kind, Get::I64(get))
    }

    /// A fractional column.
    pub const fn f64(
        id: &'static str,
        title: &'static str,
        kind: Kind,
        get: fn(&R) -> Option<f64>,
    ) -> Column<R> {
        Column::new(id, title, kind, Get::F64(get))
    }

    /// A text column.
    pub const fn text(
        id: &'static str,
        title: &'static str,
        kind: Kind,
        get: fn(&R) -> Option<&str>,
    ) -> Column<R> {
        Column::new(id, title, kind, Get::Text(get))
    }

    /// Sets the unit.
    pub const fn unit(mut self, unit: Unit) -> Column<R> {
        self.unit = unit;
        self
    }

    /// Sets the width of a text column, in cells.
    pub const fn width(mut self, width: u16) -> Column<R> {
        self.width = width;
        self
    }

    /// Sets the hide priority: 0 stays longest.
    pub const fn hide(mut self, hide: u8) -> Column<R> {
        self.hide = hide;
        self
    }

    /// Sets the names a filter may use besides the id.
    pub const fn alias(mut self, alias: &'static [&'static str]) -> Column<R> {
        self.alias = alias;
        self
    }

    /// Sets the help sentence.
    pub const fn help(mut self, help: &'static str) -> Column<R> {
        self.help = help;
        self
    }

    /// The cell type.
    pub const fn cell_type(&self) -> Type {
        match self.get {
            Get::U64(_) => Type::U64,
            Get::I64(_) => Type::I64,
            Get::F64(_) => Type::F64,
            Get::Text(_) => Type::Text,
        }
    }
}

/// What every list of columns keeps to: ids and filter names once, short titles, and help that
/// names its source.
#[cfg(test)]
pub(crate) fn check<R>(list: &[Column<R>]) {
    for (i, c) in list.iter().enumerate() {
        assert!(list[..i].iter().all(|d| d.id != c.id), "{} twice", c.id);
        assert!(c.title.chars().count() <= 8, "{}: title {}", c.id, c.title);
        assert!(c.help.ends_with(").") && c.help.contains('('), "{}: no source", c.id);
        for a in c.alias {
            let taken =
                list.iter().any(|d| d.id == *a) || list[..i].iter().any(|d| d.alias.contains(a));
            assert!(!taken, "alias {a} twice");
        }
    }
}
