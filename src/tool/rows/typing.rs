//! What the cells of a column are: the narrowest type that holds all that was seen.
//!
//! A type only ever widens (int, fraction, text), so nothing that was printed is lost: what does
//! not parse makes its column text. Numbers stay in the measure they were printed in, but for
//! sizes (bytes) and times in mixed units (seconds), which could not be compared otherwise.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray, UInt64Array};

use crate::table::{Type, Unit};
use crate::tool::parse::{Cell, Shape, is_missing, shape};

/// What a column's numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellKind {
    /// Nothing but missing cells so far.
    #[default]
    Unseen,
    /// Whole numbers.
    Int,
    /// Whole numbers beyond the signed ones.
    Unsigned,
    /// Fractions.
    Float,
    /// Per cent.
    Percent,
    /// Bytes, from cells with a prefix.
    Bytes,
    /// Bytes per second, from cells with a prefix.
    BytesPerSec,
    /// KiB as top prints them: bare numbers beside `1.2g`.
    Kib,
    /// Thousandths: `250m` of a CPU.
    Milli,
    /// A time in the one unit that all cells have.
    Time(Span),
    /// Times of several units, as seconds.
    Seconds,
    /// Anything.
    Text,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl CellKind {
    /// The cell type that holds it.
    pub fn ty(self) -> Type {
        match self {
            CellKind::Int | CellKind::Bytes => Type::I64,
            CellKind::Unsigned => Type::U64,
            CellKind::Unseen | CellKind::Text => Type::Text,
            _ => Type::F64,
        }
    }

    /// The measure that the cells themselves tell.
    pub fn unit(self) -> Unit {
        match self {
            CellKind::Percent => Unit::Percent,
            CellKind::Bytes => Unit::Bytes,
            CellKind::BytesPerSec => Unit::BytesPerSec,
            CellKind::Time(Span::Ns) => Unit::Ns,
            CellKind::Time(Span::Us) => Unit::Us,
            CellKind::Time(Span::Ms) => Unit::Ms,
            CellKind::Time(Span::S) | CellKind::Seconds => Unit::Seconds,
            _ => Unit::None,
        }
    }

    /// In words, where the unit does not say it.
    pub fn word(self) -> &'static str {
        match self {
            CellKind::Kib => "KiB",
            CellKind::Milli => "thousandths",
            _ => "",
        }
    }
}

/// What has been seen in a column, as bits that only ever get set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen(u32);

impl Seen {
    const INT: u32 = 1;
    const NEGATIVE: u32 = 1 << 1;
    /// Beyond `i64`.
    const BIG: u32 = 1 << 2;
    /// Beyond what a double holds exactly.
    const WIDE: u32 = 1 << 3;
    const FLOAT: u32 = 1 << 4;
    const PERCENT: u32 = 1 << 5;
    const SIZE: u32 = 1 << 6;
    const RATE: u32 = 1 << 7;
    /// `1.2g`, `3t`: small letters, as top prints them.
    const SMALL: u32 = 1 << 8;
    const MILLI: u32 = 1 << 9;
    const NS: u32 = 1 << 10;
    const US: u32 = 1 << 11;
    const MS: u32 = 1 << 12;
    const S: u32 = 1 << 13;
    /// Minutes and longer, or several units in a cell.
    const LONG: u32 = 1 << 14;
    /// A number without a unit, not 0.
    const BARE: u32 = 1 << 15;
    const TEXT: u32 = 1 << 16;

    const SPANS: u32 = Seen::NS | Seen::US | Seen::MS | Seen::S | Seen::LONG;

    fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    fn add(&mut self, cell: &str) {
        self.0 |= match shape(cell) {
            Shape::Missing => 0,
            Shape::Int => int_bits(cell),
            Shape::Float => Seen::FLOAT | Seen::BARE,
            Shape::Percent => Seen::PERCENT,
            Shape::Size => {
                // As text it is at least right.
                let huge = bytes(cell).is_none_or(|b| b.abs() >= 9.2e18);
                let huge = if huge { Seen::TEXT } else { 0 };
                let rate = if is_rate(cell) { Seen::RATE } else { 0 };
                let small = if cell.ends_with(['g', 't', 'p']) { Seen::SMALL } else { 0 };
                Seen::SIZE | rate | small | huge
            }
            Shape::Milli => Seen::MILLI,
            Shape::Duration => span_bit(cell),
            Shape::Clock | Shape::Date | Shape::Instant | Shape::Text => Seen::TEXT,
        };
    }

    fn kind(self, title: &str) -> CellKind {
        if self.any(Seen::TEXT) {
            return CellKind::Text;
        }
        let (mut size, mut time) = (self.any(Seen::SIZE), self.any(Seen::SPANS));
        let mut small = self.any(Seen::SMALL);
        if self.any(Seen::MILLI) && !size && !time {
            match Company::of(title) {
                Company::Time => time = true,
                Company::Memory => (size, small) = (true, true),
                Company::Cpu if self.any(Seen::PERCENT) => return CellKind::Text,
                Company::Cpu => return CellKind::Milli,
                Company::None => return CellKind::Text,
            }
        }
        let percent = self.any(Seen::PERCENT);
        if u8::from(size) + u8::from(time) + u8::from(percent) > 1 {
            return CellKind::Text;
        }
        if percent {
            return CellKind::Percent;
        }
        if size {
            return match (self.any(Seen::RATE), small) {
                (true, _) => CellKind::BytesPerSec,
                (false, true) => CellKind::Kib,
                (false, false) => CellKind::Bytes,
            };
        }
        if time {
            return self.time();
        }
        if self.any(Seen::FLOAT) {
            return if self.any(Seen::WIDE) { CellKind::Text } else { CellKind::Float };
        }
        match (self.any(Seen::INT), self.any(Seen::BIG), self.any(Seen::NEGATIVE)) {
            (false, ..) => CellKind::Unseen,
            (_, true, true) => CellKind::Text,
            (_, true, false) => CellKind::Unsigned,
            _ => CellKind::Int,
        }
    }

    fn time(self) -> CellKind {
        // A number without a unit among times could be of any of them.
        if self.any(Seen::BARE) {
            return CellKind::Text;
        }
        let long = self.any(Seen::LONG | Seen::MILLI);
        match self.0 & (Seen::SPANS & !Seen::LONG) {
            Seen::NS if !long => CellKind::Time(Span::Ns),
            Seen::US if !long => CellKind::Time(Span::Us),
            Seen::MS if !long => CellKind::Time(Span::Ms),
            Seen::S if !long => CellKind::Time(Span::S),
            _ => CellKind::Seconds,
        }
    }
}

/// What a lone `m` behind a number means, from the header above it.
enum Company {
    Time,
    Memory,
    Cpu,
    None,
}

impl Company {
    fn of(title: &str) -> Company {
        let title = title.to_ascii_lowercase();
        let has = |known: &[&str]| {
            title.split(|c: char| !c.is_alphabetic()).any(|word| known.contains(&word))
        };
        if has(&["age", "uptime", "duration", "elapsed", "since", "last"]) {
            Company::Time
        } else if has(&["cpu", "cpus", "millicores"]) {
            Company::Cpu
        } else if has(&[
            "mem", "memory", "res", "virt", "shr", "rss", "vsz", "size", "swap", "data", "code",
        ]) {
            Company::Memory
        } else {
            Company::None
        }
    }
}

fn int_bits(cell: &str) -> u32 {
    let bare = cell.trim_start_matches(['-', '+']);
    // An octal mode, an id, a date without separators: the zeroes are part of it.
    if bare.len() > 1 && bare.starts_with('0') {
        return Seen::TEXT;
    }
    let negative = if cell.starts_with('-') { Seen::NEGATIVE } else { 0 };
    let size = match int(cell) {
        Some(n) if n.unsigned_abs() <= 1 << 53 => 0,
        Some(_) => Seen::WIDE,
        None if unsigned(cell).is_some() => Seen::WIDE | Seen::BIG,
        None => return Seen::TEXT,
    };
    let bare = if bare == "0" { 0 } else { Seen::BARE };
    Seen::INT | negative | size | bare
}

fn is_rate(cell: &str) -> bool {
    cell.ends_with("/s") || cell.ends_with("/sec")
}

fn span_bit(cell: &str) -> u32 {
    let (_, unit) = split(cell);
    match unit {
        "ns" | "nsec" => Seen::NS,
        "us" | "µs" | "μs" | "usec" => Seen::US,
        "ms" | "msec" => Seen::MS,
        "s" | "sec" | "secs" | "second" | "seconds" => Seen::S,
        _ => Seen::LONG,
    }
}

/// The number at the beginning and what stands behind it.
fn split(cell: &str) -> (&str, &str) {
    let b = cell.as_bytes();
    let mut end = usize::from(matches!(b.first(), Some(b'-' | b'+')));
    while b.get(end).is_some_and(|c| c.is_ascii_digit() || matches!(c, b'.' | b',')) {
        end += 1;
    }
    if matches!(b.get(end), Some(b'e' | b'E'))
        && b.get(end + 1).is_some_and(|c| c.is_ascii_digit() || matches!(c, b'-' | b'+'))
    {
        end += 2;
        while b.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
    }
    (&cell[..end], cell[end..].trim_start())
}

fn int(cell: &str) -> Option<i64> {
    parsed(cell)
}

fn unsigned(cell: &str) -> Option<u64> {
    parsed(cell)
}

fn float(cell: &str) -> Option<f64> {
    parsed(cell)
}

/// A number, with or without commas between thousands.
fn parsed<T: FromStr>(cell: &str) -> Option<T> {
    cell.parse().ok().or_else(|| cell.contains(',').then(|| cell.replace(',', "").parse().ok())?)
}

/// Bytes in a cell such as `12K`, `1.5MiB`, `3 kB`, `10MB/s`, `8Mbit`; a lone prefix and `iB` step by
/// 1024, a prefix with `B` by 1000.
fn bytes(cell: &str) -> Option<f64> {
    let (number, unit) = split(cell);
    let unit = unit.strip_suffix("/s").or_else(|| unit.strip_suffix("/sec")).unwrap_or(unit);
    let (prefix, rest) = match unit.chars().next() {
        Some(c) if "kKMGTPEgtpm".contains(c) && !matches!(unit, "bit" | "bits") => {
            (Some(c.to_ascii_uppercase()), &unit[1..])
        }
        _ => (None, unit),
    };
    let power = prefix.map_or(0, |c| match c {
        'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        'P' => 5,
        _ => 6,
    });
    let (base, scale) = match rest {
        "" | "i" | "iB" | "ib" => (1024f64, 1.0),
        "B" | "b" | "byte" | "bytes" | "Bytes" => (1000.0, 1.0),
        "bit" | "bits" | "ibit" => (1000.0, 0.125),
        _ => return None,
    };
    Some(float(number)? * base.powi(power) * scale)
}

/// Seconds in a cell such as `3m20s`, `5d`, `10 min`, `1.5ms`.
fn seconds(cell: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = cell.trim();
    let negative = rest.starts_with('-');
    while !rest.is_empty() {
        let (number, _) = split(rest);
        let behind = rest[number.len()..].trim_start();
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let scale = match behind[..end].trim_end() {
            "ns" | "nsec" => 1e-9,
            "us" | "µs" | "μs" | "usec" => 1e-6,
            "ms" | "msec" => 1e-3,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_557_600.0,
            "" if float(number) == Some(0.0) => 1.0,
            _ => return None,
        };
        total += float(number)?.abs() * scale;
        rest = &behind[end..];
    }
    Some(if negative { -total } else { total })
}

impl CellKind {
    /// The number of a cell that is not missing; `None` when it does not fit.
    fn number(self, cell: &str) -> Option<f64> {
        match self {
            CellKind::Float => float(cell).filter(|_| cell.len() < 16 || wide_ok(cell)),
            CellKind::Percent => float(cell.strip_suffix('%').unwrap_or(cell).trim_end()),
            CellKind::BytesPerSec if is_rate(cell) || float(cell) == Some(0.0) => bytes(cell),
            CellKind::Kib => match float(cell) {
                Some(n) => Some(n),
                None => bytes(cell).map(|b| b / 1024.0),
            },
            CellKind::Milli => match cell.strip_suffix('m') {
                Some(n) => float(n),
                None => float(cell).map(|n| n * 1000.0),
            },
            CellKind::Time(span) => {
                let (number, _) = split(cell);
                let same = match span_bit(cell) {
                    Seen::NS => span == Span::Ns,
                    Seen::US => span == Span::Us,
                    Seen::MS => span == Span::Ms,
                    Seen::S => span == Span::S,
                    _ => float(cell) == Some(0.0),
                };
                same.then(|| float(number)).flatten()
            }
            CellKind::Seconds => seconds(cell),
            _ => None,
        }
    }
}

/// Whether a long number with digits only is not one that a double would change.
fn wide_ok(cell: &str) -> bool {
    cell.contains(['.', 'e', 'E']) || int(cell).is_some_and(|n| n.unsigned_abs() <= 1 << 53)
}

/// The cells of a column that were not yet made an array, and what all cells so far have been.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    text: String,
    /// End of each cell in `text`, and how it is to be read.
    ends: Vec<(u32, Read)>,
    seen: Seen,
    kind: CellKind,
    /// The cells are text whatever they look like.
    text_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Missing,
    Raw,
    Text,
}

impl Cells {
    /// An empty column; `text_only` leaves its cells as they are.
    pub fn new(text_only: bool) -> Cells {
        Cells { text_only, ..Cells::default() }
    }

    /// Adds a cell.
    pub fn push(&mut self, cell: Cell<'_>) {
        use std::fmt::Write;
        let read = match cell {
            Cell::Missing => Read::Missing,
            Cell::Raw("") => Read::Missing,
            Cell::Raw(s) => {
                self.text.push_str(s);
                Read::Raw
            }
            Cell::Text(s) => {
                self.text.push_str(s);
                Read::Text
            }
            // Writing to a `String` cannot fail.
            Cell::I64(n) => write!(self.text, "{n}").map_or(Read::Missing, |()| Read::Raw),
            Cell::U64(n) => write!(self.text, "{n}").map_or(Read::Missing, |()| Read::Raw),
            Cell::F64(n) if n.is_nan() => Read::Missing,
            Cell::F64(n) => write!(self.text, "{n:?}").map_or(Read::Missing, |()| Read::Raw),
        };
        self.ends.push((u32::try_from(self.text.len()).unwrap_or(u32::MAX), read));
    }

    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<(u32, Read)>()
    }

    /// What the cells are, as of the last [`Cells::take`].
    pub fn kind(&self) -> CellKind {
        self.kind
    }

    /// Longest cell, in characters, but for what is longer than `most`.
    pub fn width(&self, most: usize) -> usize {
        self.cells().map(|(s, _)| s.chars().take(most).count()).max().unwrap_or(0)
    }

    fn cells(&self) -> impl Iterator<Item = (&str, Read)> {
        let mut from = 0;
        self.ends.iter().map(move |&(end, read)| {
            let cell = self.text.get(from..end as usize).unwrap_or("");
            from = end as usize;
            (cell, read)
        })
    }

    /// Looks at the cells added since the last [`Cells::take`]: what the column is with them.
    pub fn settle(&mut self, title: &str) -> CellKind {
        if self.text_only {
            self.kind = CellKind::Text;
        } else if !self.fits() {
            let mut seen = self.seen;
            for (cell, read) in self.cells() {
                match read {
                    Read::Raw => seen.add(cell),
                    Read::Text => seen.0 |= Seen::TEXT,
                    Read::Missing => {}
                }
            }
            self.seen = seen;
            self.kind = seen.kind(title);
        }
        self.kind
    }

    /// Whether every cell is what the column is already.
    fn fits(&self) -> bool {
        match self.kind {
            CellKind::Unseen => self.cells().all(|(s, read)| missing(s, read)),
            CellKind::Text => true,
            CellKind::Int => self.all(|s| int(s).is_some() && !padded(s)),
            CellKind::Unsigned => self.all(|s| unsigned(s).is_some() && !padded(s)),
            CellKind::Bytes => self.all(|s| {
                !is_rate(s)
                    && !s.ends_with(['g', 't', 'p', 'm'])
                    && bytes(s).is_some_and(|b| b.abs() < 9.2e18)
            }),
            kind => {
                self.all(|s| kind.number(s).is_some() && !(kind == CellKind::Float && padded(s)))
            }
        }
    }

    fn all(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.cells().all(|(s, read)| read != Read::Text && (missing(s, read) || fits(s)))
    }

    /// The cells as an array of what [`Cells::settle`] said, which then are forgotten.
    pub fn take(&mut self) -> ArrayRef {
        let kind = self.kind;
        let number = |of: fn(&str) -> Option<i64>| -> Int64Array {
            self.cells().map(|(s, r)| if missing(s, r) { None } else { of(s) }).collect()
        };
        let array: ArrayRef = match kind {
            CellKind::Int => Arc::new(number(int)),
            CellKind::Bytes => Arc::new(number(|s| bytes(s).map(|b| b.round() as i64))),
            CellKind::Unsigned => {
                let get = |(s, r)| if missing(s, r) { None } else { unsigned(s) };
                Arc::new(self.cells().map(get).collect::<UInt64Array>())
            }
            CellKind::Unseen | CellKind::Text => {
                let only = self.text_only;
                let get = |(s, r)| {
                    (!(missing(s, r) && !(only && r == Read::Raw && !s.is_empty()))).then_some(s)
                };
                Arc::new(self.cells().map(get).collect::<StringArray>())
            }
            kind => {
                let get = |(s, r)| if missing(s, r) { None } else { kind.number(s) };
                Arc::new(self.cells().map(get).collect::<Float64Array>())
            }
        };
        self.text.clear();
        self.ends.clear();
        array
    }
}

fn missing(cell: &str, read: Read) -> bool {
    match read {
        Read::Missing => true,
        Read::Text => false,
        Read::Raw => {
            // Nearly every cell begins with a digit, which no word for nothing does.
            !cell.as_bytes().first().is_some_and(u8::is_ascii_digit) && is_missing(cell)
        }
    }
}

fn padded(cell: &str) -> bool {
    let b = cell.trim_start_matches(['-', '+']).as_bytes();
    b.len() > 1 && b[0] == b'0' && b[1..].iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;

    fn column(title: &str, cells: &[&str]) -> (CellKind, Vec<String>) {
        let mut c = Cells::new(false);
        for cell in cells {
            c.push(Cell::Raw(cell));
        }
        let kind = c.settle(title);
        let array = c.take();
        let any = array.as_any();
        let text = (0..array.len())
            .map(|i| {
                if array.is_null(i) {
                    "null".to_owned()
                } else if let Some(a) = any.downcast_ref::<Int64Array>() {
                    a.value(i).to_string()
                } else if let Some(a) = any.downcast_ref::<UInt64Array>() {
                    a.value(i).to_string()
                } else if let Some(a) = any.downcast_ref::<Float64Array>() {
                    a.value(i).to_string()
                } else {
                    any.downcast_ref::<StringArray>().unwrap().value(i).to_owned()
                }
            })
            .collect();
        (kind, text)
    }

    #[track_caller]
    fn check(title: &str, cells: &[&str], kind: CellKind, want: &[&str]) {
        let (k, got) = column(title, cells);
        assert_eq!((k, got), (kind, want.iter().map(|s| (*s).to_owned()).collect()));
    }

    #[test]
    fn the_narrowest_that_holds_all() {
        check("n", &["1", "-", "1,234"], CellKind::Int, &["1", "null", "1234"]);
        check("n", &["1", "0.5"], CellKind::Float, &["1", "0.5"]);
        check("n", &["1", "x", "-"], CellKind::Text, &["1", "x", "null"]);
        check(
            "n",
            &["18446744073709551615", "1"],
            CellKind::Unsigned,
            &["18446744073709551615", "1"],
        );
        check(
            "n",
            &["18446744073709551615", "-1"],
            CellKind::Text,
            &["18446744073709551615", "-1"],
        );
        check("n", &["9007199254740993", "0.5"], CellKind::Text, &["9007199254740993", "0.5"]);
        check("mode", &["0644", "0755"], CellKind::Text, &["0644", "0755"]);
        check("use%", &["12%", "-", "0"], CellKind::Percent, &["12", "null", "0"]);
        check("t", &["-", "nan", "?"], CellKind::Unseen, &["null", "null", "null"]);
        check("a", &["10.0.0.1", "::1"], CellKind::Text, &["10.0.0.1", "::1"]);
    }

    #[test]
    fn sizes_are_bytes() {
        check(
            "Size",
            &["1K", "1.5M", "0", "2GiB"],
            CellKind::Bytes,
            &["1024", "1572864", "0", "2147483648"],
        );
        check("NET", &["1.5kB", "2MB", "648B"], CellKind::Bytes, &["1500", "2000000", "648"]);
        check("rate", &["1.5 kB/s", "2 MB/s"], CellKind::BytesPerSec, &["1500", "2000000"]);
        // top: bare numbers are KiB beside g and m.
        check(
            "RES",
            &["123456", "1.5g", "300.0m"],
            CellKind::Kib,
            &["123456", "1572864", "307200"],
        );
    }

    #[test]
    fn times_keep_their_unit_or_become_seconds() {
        check("lat", &["12ms", "0.5ms", "0"], CellKind::Time(Span::Ms), &["12", "0.5", "0"]);
        check("lat", &["12ms", "3us"], CellKind::Seconds, &["0.012", "0.000003"]);
        check("AGE", &["5d", "12m", "3m20s"], CellKind::Seconds, &["432000", "720", "200"]);
        check("AGE", &["12m"], CellKind::Seconds, &["720"]);
        check("CPU(cores)", &["12m", "250m"], CellKind::Milli, &["12", "250"]);
        check("x", &["12m"], CellKind::Text, &["12m"]);
        check("x", &["5ms", "7"], CellKind::Text, &["5ms", "7"]);
    }

    #[test]
    fn a_column_widens_and_never_narrows() {
        let mut c = Cells::new(false);
        let mut step = |cells: &[&str]| {
            for cell in cells {
                c.push(Cell::Raw(cell));
            }
            let kind = c.settle("n");
            c.take();
            kind
        };
        assert_eq!(step(&["-"]), CellKind::Unseen);
        assert_eq!(step(&["1"]), CellKind::Int);
        assert_eq!(step(&["0.5"]), CellKind::Float);
        assert_eq!(step(&["1"]), CellKind::Float);
        assert_eq!(step(&["abc"]), CellKind::Text);
        assert_eq!(step(&["1"]), CellKind::Text);
    }

    #[test]
    fn numbers_and_strings_of_json_stay_what_they_are() {
        let mut c = Cells::new(false);
        c.push(Cell::F64(0.1));
        c.push(Cell::I64(-3));
        assert_eq!(c.settle("n"), CellKind::Float);
        c.push(Cell::Text("12"));
        assert_eq!(c.settle("n"), CellKind::Text);
        let mut only = Cells::new(true);
        only.push(Cell::Raw("-"));
        only.settle("COMMAND");
        let text = only.take();
        assert_eq!(text.as_any().downcast_ref::<StringArray>().unwrap().value(0), "-");
    }
}
