//! How numbers with units are written on screen and read from a user: the only place.
//!
//! Written: cells of a fixed width per unit, so that columns do not jump. Read: `50ms`, `1MB/s`,
//! `1.5KiB`, `10Mbit/s`, `3%`, `20k`, `2h30m`, and everything that is written here.
//!
//! Prefixes: on bytes a lone `K M G` means 1024, as the screen shows it, and so do `KiB MiB GiB`;
//! `kB KB MB GB`, `kbit Mbit` and plain counts (`20k`) step by 1000.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::clock::rfc3339;
use super::column::{Type, Unit};
use super::schema::{Field, From};
use super::value::Value;

/// How the user wants numbers drawn (key `u`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Byte rates as bits per second, in steps of 1000, instead of bytes in steps of 1024.
    pub bits: bool,
}

const UPPER: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
const LOWER: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];

/// Cells that [`format()`] needs at most for a number of this field; its chosen width for text and
/// ids, which are never shortened here. A header may be wider.
pub fn width(field: &Field) -> u16 {
    match (field.ty, field.unit) {
        // HH:MM:SS.mmm
        (_, Unit::Instant | Unit::Wall) => 12,
        // 0x and 16 digits of the kernel's own.
        (_, Unit::Address) => 18,
        (Type::Text, _) | (_, Unit::Id) => field.width,
        _ if is_plain(field) => field.width,
        (_, Unit::Ns | Unit::Us | Unit::Ms | Unit::Seconds) => 6,
        _ => 5,
    }
}

/// The header: a byte rate drawn as bits says so.
pub fn title(field: &Field, style: Style) -> Cow<'_, str> {
    match field.title.strip_suffix("/s") {
        Some(head) if style.bits && field.unit == Unit::BytesPerSec => {
            Cow::Owned(format!("{head}b/s"))
        }
        _ => Cow::Borrowed(&field.title),
    }
}

/// Appends a cell as the screen shows it: short, ASCII for numbers, `-` for missing.
pub fn format(out: &mut String, value: Value<'_>, field: &Field, style: Style) {
    match value {
        Value::None => out.push('-'),
        Value::Text(s) => out.push_str(s),
        v if is_plain(field) => plainly(out, v, field, None),
        Value::U64(v) if field.unit == Unit::Id => write_fmt(out, format_args!("{v}")),
        Value::I64(v) if field.unit == Unit::Id => write_fmt(out, format_args!("{v}")),
        Value::U64(v) if field.unit == Unit::Address => {
            write_fmt(out, format_args!("{}", Place(v)))
        }
        v => match v.as_f64() {
            Some(n) => number(out, n, field.unit, style),
            None => out.push('-'),
        },
    }
}

/// A place in memory. The first page holds nothing: what is below it is another sort of name, such
/// as a descriptor.
struct Place(u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 0..4096 => write!(f, "{n}"),
            n => write!(f, "{n:#x}"),
        }
    }
}

/// Most decimals of a number drawn as a tool meant it.
pub const DECIMALS: usize = 3;

/// Whether a tool's number is drawn as it is, with every digit before the point: what has no unit
/// that a prefix would shorten.
pub fn is_plain(field: &Field) -> bool {
    let plain = matches!(field.unit, Unit::None | Unit::PerSec | Unit::Percent | Unit::Id);
    field.found && plain && field.ty != Type::Text && matches!(field.from, From::Stored(_))
}

/// Decimals that a number needs to be drawn as it was printed, at most [`DECIMALS`].
pub fn decimals(value: Value<'_>) -> usize {
    let Value::F64(n) = value else { return 0 };
    if !n.is_finite() || n.abs() >= 1e9 || n.fract() == 0.0 {
        return 0;
    }
    let text = format!("{n}");
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(DECIMALS))
}

/// Appends a tool's number with all its digits; with so many decimals, or as many as it needs.
/// Shares have their sign where the header does not say so already.
pub fn plainly(out: &mut String, value: Value<'_>, field: &Field, places: Option<usize>) {
    match value {
        Value::None => return out.push('-'),
        Value::Text(s) => return out.push_str(s),
        Value::U64(v) => write_fmt(out, format_args!("{v}")),
        Value::I64(v) => write_fmt(out, format_args!("{v}")),
        Value::F64(v) if v.is_nan() => return out.push('-'),
        Value::F64(v) if v.is_infinite() => {
            return out.push_str(if v > 0.0 { "inf" } else { "-inf" });
        }
        Value::F64(v) if v.abs() >= 1e15 => write_fmt(out, format_args!("{v:.2e}")),
        Value::F64(v) => {
            let places = places.unwrap_or_else(|| decimals(value)).min(DECIMALS);
            let least = 0.1f64.powi(places as i32);
            if v != 0.0 && v.abs() < least / 2.0 {
                let sign = if v < 0.0 { ">-" } else { "<" };
                write_fmt(out, format_args!("{sign}{least:.places$}"));
            } else {
                write_fmt(out, format_args!("{v:.places$}"));
            }
        }
    }
    if field.unit == Unit::Percent && !field.title.contains('%') {
        out.push('%');
    }
}

/// Every digit, with its unit: for the detail page and for copying.
pub fn exact(value: Value<'_>, field: &Field) -> String {
    let number = match value {
        Value::None => return "-".to_owned(),
        Value::Text(s) => return s.to_owned(),
        Value::I64(v) if field.unit == Unit::Wall => return rfc3339(v),
        Value::U64(v) if field.unit == Unit::Address => return Place(v).to_string(),
        Value::U64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::F64(v) if v.is_nan() => return "-".to_owned(),
        Value::F64(v) if v.abs() >= 1e15 => format!("{v:e}"),
        Value::F64(v) => v.to_string(),
    };
    let unit = match field.unit {
        Unit::None | Unit::Id | Unit::Address => return number,
        Unit::Bytes => "B",
        Unit::BytesPerSec => "B/s",
        Unit::PerSec => "/s",
        Unit::Ns | Unit::Instant | Unit::Wall => "ns",
        Unit::Us => "us",
        Unit::Ms => "ms",
        Unit::Seconds => "s",
        Unit::Percent => "%",
    };
    format!("{number} {unit}")
}

/// Writing to a `String` cannot fail.
fn write_fmt(out: &mut String, args: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(args);
}

/// Appends a number of a unit, as [`format()`] does.
pub fn number(out: &mut String, n: f64, unit: Unit, style: Style) {
    if n.is_nan() {
        out.push('-');
    } else if n == 0.0 {
        out.push('0');
    } else if n.is_infinite() {
        out.push_str(if n > 0.0 { "inf" } else { "-inf" });
    } else {
        match unit {
            Unit::BytesPerSec if style.bits => Steps::bits().write(out, n * 8.0),
            Unit::Bytes | Unit::BytesPerSec => Steps::bytes().write(out, n),
            Unit::PerSec => Steps::events().write(out, n),
            Unit::Ns => duration(out, n),
            Unit::Us => duration(out, n * 1e3),
            Unit::Ms => duration(out, n * 1e6),
            Unit::Seconds => duration(out, n * 1e9),
            Unit::Percent => percent(out, n),
            Unit::None | Unit::Id | Unit::Address | Unit::Instant | Unit::Wall => plain(out, n),
        }
    }
}

/// A way to shorten a number to at most five characters with a prefix letter.
struct Steps {
    base: f64,
    letters: [char; 6],
    /// One decimal below this, once there is a letter.
    tenths: f64,
    /// One decimal below ten also where there is no letter.
    fraction: bool,
}

impl Steps {
    fn bytes() -> Steps {
        Steps { base: 1024.0, letters: UPPER, tenths: 10.0, fraction: false }
    }

    fn bits() -> Steps {
        Steps { base: 1000.0, letters: LOWER, tenths: 100.0, fraction: false }
    }

    fn events() -> Steps {
        Steps { base: 1000.0, letters: LOWER, tenths: 10.0, fraction: true }
    }

    fn counts() -> Steps {
        Steps { base: 1000.0, letters: LOWER, tenths: 100.0, fraction: true }
    }

    fn write(&self, out: &mut String, n: f64) {
        // A sign takes the place of a decimal.
        let (sign, tenths) = if n < 0.0 { ("-", self.tenths.min(10.0)) } else { ("", self.tenths) };
        let mut m = n.abs();
        for step in 0..=self.letters.len() {
            let tenths = match step {
                0 if self.fraction => 10.0,
                0 => 0.0,
                _ => tenths,
            };
            let tenth = (m * 10.0).round() / 10.0;
            let (shown, decimals) = if tenth < tenths { (tenth, 1) } else { (m.round(), 0) };
            // 1023 bytes still fit; with a letter the next one comes at 1000.
            if shown < if step == 0 { self.base } else { 1000.0 } {
                let least = if decimals == 1 { "0.1" } else { "1" };
                match step.checked_sub(1).and_then(|s| self.letters.get(s)) {
                    None if shown == 0.0 => write_fmt(out, format_args!("<{least}")),
                    None => write_fmt(out, format_args!("{sign}{shown:.decimals$}")),
                    Some(c) => write_fmt(out, format_args!("{sign}{shown:.decimals$}{c}")),
                }
                return;
            }
            m /= self.base;
        }
        out.push_str(if n < 0.0 { "<-1kE" } else { ">999E" });
    }
}

fn plain(out: &mut String, n: f64) {
    let a = n.abs();
    if n.fract() == 0.0 && (-9_999.0..=99_999.0).contains(&n) {
        write_fmt(out, format_args!("{n:.0}"));
    } else if a < 0.005 {
        out.push_str("<0.01");
    } else if a < 9.995 {
        write_fmt(out, format_args!("{n:.2}"));
    } else if a < 99.95 {
        write_fmt(out, format_args!("{n:.1}"));
    } else {
        Steps::counts().write(out, n);
    }
}

fn percent(out: &mut String, n: f64) {
    let a = n.abs();
    if a < 0.05 {
        out.push_str("<0.1%");
    } else if n < 0.0 || a >= 99.95 {
        // 64 CPUs can reach 6400 %.
        if (-999.5..9_999.5).contains(&n) {
            write_fmt(out, format_args!("{n:.0}%"));
        } else if a < 999_499.5 {
            write_fmt(out, format_args!("{:.0}k%", (n / 1e3).clamp(-99.0, 999.0)));
        } else {
            out.push_str(if n < 0.0 { "<-1M%" } else { ">1M%" });
        }
    } else {
        write_fmt(out, format_args!("{n:.1}%"));
    }
}

const MINUTE: f64 = 60e9;
const HOUR: f64 = 3600e9;
const DAY: f64 = 86_400e9;
const YEAR: f64 = 365.0 * DAY;

/// Nanoseconds as at most six characters: `840ns 12.3us 1.24ms 3.1s 2m05 3h12 4d`.
fn duration(out: &mut String, ns: f64) {
    // A sign takes the place of a digit.
    let (sign, digits, tens) = if ns < 0.0 { ("-", 2, 9.95) } else { ("", 3, 99.95) };
    let a = ns.abs();
    if a < 0.5 {
        return out.push_str("<1ns");
    }
    for (unit, name) in [(1.0, "ns"), (1e3, "us"), (1e6, "ms")] {
        let m = a / unit;
        let decimals = match m {
            _ if unit == 1.0 => 0,
            m if m < 9.995 && m < tens => digits - 1,
            m if m < tens => digits - 2,
            _ => 0,
        };
        if m < 999.5 {
            return write_fmt(out, format_args!("{sign}{m:.decimals$}{name}"));
        }
    }
    let seconds = (a / 1e9).floor();
    if a < 59.95e9 {
        write_fmt(out, format_args!("{sign}{:.1}s", a / 1e9));
    } else if a < HOUR {
        // 59.95 s and more is a minute; everything above is cut, not rounded, as clocks are.
        let seconds = seconds.max(60.0);
        write_fmt(
            out,
            format_args!("{sign}{:.0}m{:02.0}", (seconds / 60.0).floor(), seconds % 60.0),
        );
    } else if a < DAY {
        let minutes = (seconds / 60.0).floor();
        write_fmt(
            out,
            format_args!("{sign}{:.0}h{:02.0}", (minutes / 60.0).floor(), minutes % 60.0),
        );
    } else if a < 1000.0 * DAY {
        write_fmt(out, format_args!("{sign}{:.0}d", (a / DAY).floor()));
    } else if a < 1000.0 * YEAR {
        write_fmt(out, format_args!("{sign}{:.0}y", (a / YEAR).floor()));
    } else {
        write_fmt(out, format_args!("{}999y", if ns < 0.0 { "<-" } else { ">" }));
    }
}

/// What a written quantity measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Bytes.
    Bytes,
    /// Bits.
    Bits,
    /// Nanoseconds.
    Time,
    /// Per cent.
    Percent,
    /// A number without a unit.
    Plain,
}

/// A number with a unit as a user wrote it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// In the dimension's base: bytes, bits, ns, per cent, or just the number (steps of 1000).
    pub value: f64,
    /// What it measures.
    pub dimension: Dimension,
    /// Whether `/s` (or `bps`) was written.
    pub per_second: bool,
    /// The value when a lone prefix letter means steps of 1024, as it does on bytes.
    binary: f64,
}

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAQuantity {
    /// One sentence without the quantity itself.
    pub what: String,
    /// Whether more typing can make it right (`1M` on the way to `1Mbit`).
    pub incomplete: bool,
}

/// Unit names after a prefix or alone, with what one of them is in the base of its dimension.
const UNITS: &[(&str, Dimension, f64)] = &[
    ("", Dimension::Plain, 1.0),
    ("%", Dimension::Percent, 1.0),
    ("B", Dimension::Bytes, 1.0),
    ("kB", Dimension::Bytes, 1e3),
    ("KB", Dimension::Bytes, 1e3),
    ("MB", Dimension::Bytes, 1e6),
    ("GB", Dimension::Bytes, 1e9),
    ("TB", Dimension::Bytes, 1e12),
    ("KiB", Dimension::Bytes, 1024.0),
    ("MiB", Dimension::Bytes, 1_048_576.0),
    ("GiB", Dimension::Bytes, 1_073_741_824.0),
    ("TiB", Dimension::Bytes, 1_099_511_627_776.0),
    ("bit", Dimension::Bits, 1.0),
    ("kbit", Dimension::Bits, 1e3),
    ("Kbit", Dimension::Bits, 1e3),
    ("Mbit", Dimension::Bits, 1e6),
    ("Gbit", Dimension::Bits, 1e9),
    ("ns", Dimension::Time, 1.0),
    ("us", Dimension::Time, 1e3),
    ("\u{b5}s", Dimension::Time, 1e3),
    ("\u{3bc}s", Dimension::Time, 1e3),
    ("ms", Dimension::Time, 1e6),
    ("s", Dimension::Time, 1e9),
    ("m", Dimension::Time, MINUTE),
    ("min", Dimension::Time, MINUTE),
    ("h", Dimension::Time, HOUR),
    ("d", Dimension::Time, DAY),
    ("y", Dimension::Time, YEAR),
];

/// Lone prefix letters of plain numbers; small `m` is minutes.
const PREFIXES: &[(&str, i32)] =
    &[("k", 1), ("K", 1), ("M", 2), ("G", 3), ("g", 3), ("T", 4), ("t", 4), ("P", 5), ("E", 6)];

/// Bits per second as network people write them.
const BPS: &[(&str, f64)] =
    &[("bps", 1.0), ("kbps", 1e3), ("Kbps", 1e3), ("Mbps", 1e6), ("Gbps", 1e9)];

/// Reads a number with a unit.
///
/// # Errors
/// When there is no number or the unit is unknown, in one sentence.
pub fn parse_quantity(text: &str) -> Result<Quantity, NotAQuantity> {
    let wrong = |what: String, incomplete| NotAQuantity { what, incomplete };
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x") {
        return match u64::from_str_radix(digits, 16) {
            Ok(n) => Ok(Quantity::new(n as f64, Dimension::Plain, false)),
            Err(_) => Err(wrong(format!("\"{text}\" is not an address"), digits.is_empty())),
        };
    }
    let (number, unit) = text.split_at(number_end(text));
    let Some(n) = number.parse::<f64>().ok().filter(|n| n.is_finite()) else {
        let incomplete = matches!(number, "" | "-" | "+" | "." | "-." | "+.") && unit.is_empty();
        return Err(wrong(format!("\"{text}\" is not a number"), incomplete));
    };
    if unit.contains(|c: char| c.is_ascii_digit()) {
        return match parse_duration(text) {
            Some(ns) => Ok(Quantity::new(ns, Dimension::Time, false)),
            None => Err(wrong(format!("\"{text}\" is not a number with a unit"), false)),
        };
    }
    if let Some((_, scale)) = BPS.iter().find(|(name, _)| *name == unit) {
        return Ok(Quantity::new(n * scale, Dimension::Bits, true));
    }
    let (unit, per_second) = match unit.strip_suffix("/s") {
        Some(u) => (u, true),
        None => (unit, false),
    };
    if let Some((_, dimension, scale)) = UNITS.iter().find(|(name, ..)| *name == unit) {
        return Ok(Quantity::new(n * scale, *dimension, per_second));
    }
    if let Some((_, steps)) = PREFIXES.iter().find(|(name, _)| *name == unit) {
        let mut q = Quantity::new(n * 1000f64.powi(*steps), Dimension::Plain, per_second);
        q.binary = n * 1024f64.powi(*steps);
        return Ok(q);
    }
    let longer = |name: &str| name.starts_with(unit) && !per_second;
    let incomplete = UNITS.iter().any(|(name, ..)| longer(name))
        || BPS.iter().any(|(name, _)| longer(name))
        || unit.strip_suffix('/').is_some_and(|u| {
            UNITS.iter().any(|(name, ..)| *name == u) || PREFIXES.iter().any(|(p, _)| *p == u)
        });
    let what = match unit {
        "b" | "kb" | "Kb" | "mb" | "Mb" | "gb" | "Gb" => {
            format!("unit \"{unit}\" can be bits or bytes: write MB or Mbit")
        }
        _ => format!("unknown unit \"{unit}\""),
    };
    Err(wrong(what, incomplete))
}

fn number_end(text: &str) -> usize {
    let sign = usize::from(text.starts_with(['-', '+']));
    let rest = text.get(sign..).unwrap_or("");
    sign + rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())
}

/// Reads a length of time in ns: `90s`, `1.5h`, `2h30m`, and as the screen writes it `2m05`, `3h12`.
pub fn parse_duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let (mut total, mut last) = (0.0, f64::INFINITY);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let n: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let name = rest.get(..letters)?;
        rest = rest.get(letters..)?;
        let unit = match name {
            // `2m05`: what follows minutes is seconds, what follows hours is minutes.
            "" if last == MINUTE => 1e9,
            "" if last == HOUR => MINUTE,
            "" => return None,
            name => {
                UNITS.iter().find(|(u, d, _)| *d == Dimension::Time && *u == name).map(|u| u.2)?
            }
        };
        if unit >= last {
            return None;
        }
        total += n * unit;
        last = unit;
    }
    Some(total).filter(|t: &f64| t.is_finite())
}

impl Quantity {
    fn new(value: f64, dimension: Dimension, per_second: bool) -> Quantity {
        Quantity { value, dimension, per_second, binary: value }
    }

    /// The same in the raw unit of `field`; a number without a unit is taken as raw already.
    ///
    /// # Errors
    /// When it measures something else than the field does, in one sentence.
    pub fn to_field(&self, field: &Field) -> Result<f64, String> {
        use Dimension::{Bits, Bytes, Percent, Plain, Time};
        let fits = match (field.unit, self.dimension) {
            (Unit::Bytes, _) if self.per_second => None,
            (Unit::Bytes | Unit::BytesPerSec, Bytes) => Some(self.value),
            (Unit::Bytes | Unit::BytesPerSec, Bits) => Some(self.value / 8.0),
            (Unit::Bytes | Unit::BytesPerSec, Plain) => Some(self.binary),
            (Unit::Percent, Time) if self.per_second => Some(self.value / 1e7),
            (Unit::PerSec, Plain) => Some(self.value),
            (_, _) if self.per_second => None,
            (Unit::Ns, Time) => Some(self.value),
            (Unit::Us, Time) => Some(self.value / 1e3),
            (Unit::Ms, Time) => Some(self.value / 1e6),
            (Unit::Seconds, Time) => Some(self.value / 1e9),
            (Unit::None | Unit::Percent, Percent) => Some(self.value),
            (_, Plain) => Some(self.value),
            _ => None,
        };
        let measure = match field.unit {
            Unit::None | Unit::Id | Unit::Address | Unit::Instant | Unit::Wall => "a plain number",
            Unit::Bytes => "bytes",
            Unit::BytesPerSec => "bytes per second",
            Unit::PerSec => "a number per second",
            Unit::Ns | Unit::Us | Unit::Ms | Unit::Seconds => "a time",
            Unit::Percent => "per cent",
        };
        fits.ok_or_else(|| format!("{} is {measure}", field.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(unit: Unit) -> Field {
        Field { title: "X/s".to_owned(), unit, width: 7, ..Field::new("x", Type::F64) }
    }

    fn shown(value: Value<'_>, unit: Unit) -> String {
        let mut s = String::new();
        format(&mut s, value, &field(unit), Style::default());
        s
    }

    fn f(n: f64, unit: Unit) -> String {
        shown(Value::F64(n), unit)
    }

    #[test]
    fn bytes_step_by_1024_and_keep_one_decimal_below_ten() {
        for (n, want) in [
            (0u64, "0"),
            (1, "1"),
            (512, "512"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1229, "1.2K"),
            (10_189, "10K"),
            (35_651_584, "34M"),
            (1_610_612_736, "1.5G"),
            (1_023_999, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(shown(Value::U64(n), Unit::Bytes), want, "{n}");
        }
    }

    #[test]
    fn rates_say_zero_only_for_zero() {
        assert_eq!(f(0.0, Unit::BytesPerSec), "0");
        assert_eq!(f(0.2, Unit::BytesPerSec), "<1");
        assert_eq!(f(0.0, Unit::PerSec), "0");
        assert_eq!(f(0.01, Unit::PerSec), "<0.1");
        assert_eq!(f(0.3, Unit::PerSec), "0.3");
        assert_eq!(f(42.4, Unit::PerSec), "42");
        assert_eq!(f(1234.0, Unit::PerSec), "1.2k");
        assert_eq!(f(999_600.0, Unit::PerSec), "1.0M");
        assert_eq!(f(1e300, Unit::PerSec), ">999E");
    }

    #[test]
    fn bits_are_eight_times_bytes_in_steps_of_1000() {
        let mut s = String::new();
        format(&mut s, Value::F64(1_537.5), &field(Unit::BytesPerSec), Style { bits: true });
        assert_eq!(s, "12.3k");
        assert_eq!(title(&field(Unit::BytesPerSec), Style { bits: true }), "Xb/s");
        assert_eq!(title(&field(Unit::PerSec), Style { bits: true }), "X/s");
    }

    #[test]
    fn durations_read_like_durations() {
        for (ns, want) in [
            (0.0, "0"),
            (0.2, "<1ns"),
            (840.0, "840ns"),
            (999.6, "1.00us"),
            (12_300.0, "12.3us"),
            (1_240_000.0, "1.24ms"),
            (124_000_000.0, "124ms"),
            (3.1e9, "3.1s"),
            (59.94e9, "59.9s"),
            (59.96e9, "1m00"),
            (125e9, "2m05"),
            (3599.9e9, "59m59"),
            (3.2 * 3600e9, "3h12"),
            (4.9 * 86_400e9, "4d"),
            (5.1 * 365.0 * 86_400e9, "5y"),
            (-12_300.0, "-12us"),
            (-1_240_000.0, "-1.2ms"),
        ] {
            assert_eq!(f(ns, Unit::Ns), want, "{ns}");
        }
        assert_eq!(shown(Value::U64(50_000), Unit::Us), "50.0ms");
    }

    #[test]
    fn the_rest_of_the_units() {
        assert_eq!(f(3.44, Unit::Percent), "3.4%");
        assert_eq!(f(0.01, Unit::Percent), "<0.1%");
        assert_eq!(f(100.0, Unit::Percent), "100%");
        assert_eq!(f(6400.0, Unit::Percent), "6400%");
        assert_eq!(f(12_800.0, Unit::Percent), "13k%");
        assert_eq!(shown(Value::U64(4_026_531_840), Unit::Id), "4026531840");
        assert_eq!(shown(Value::U64(0x7f00_1234_5678), Unit::Address), "0x7f0012345678");
        assert_eq!(shown(Value::U64(5), Unit::Address), "5", "a descriptor is none");
        assert_eq!(shown(Value::U64(99_999), Unit::None), "99999");
        assert_eq!(shown(Value::U64(100_000), Unit::None), "100k");
        assert_eq!(f(0.123, Unit::None), "0.12");
        assert_eq!(shown(Value::None, Unit::Bytes), "-");
        assert_eq!(shown(Value::Text("日本"), Unit::None), "日本");
    }

    #[test]
    fn numbers_of_a_tool_are_drawn_as_it_meant_them() {
        let found =
            |unit, title: &str| Field { found: true, title: title.to_owned(), ..field(unit) };
        let f = |v: Value<'_>, unit| {
            let mut s = String::new();
            format(&mut s, v, &found(unit, "X"), Style::default());
            s
        };
        assert_eq!(f(Value::U64(u64::MAX), Unit::None), u64::MAX.to_string());
        assert_eq!(f(Value::I64(-1_234_567), Unit::PerSec), "-1234567");
        assert_eq!(f(Value::F64(12_345.5), Unit::None), "12345.5");
        assert_eq!(f(Value::F64(0.05), Unit::None), "0.05");
        assert_eq!(f(Value::F64(3.0), Unit::None), "3");
        assert_eq!(f(Value::F64(1.0 / 3.0), Unit::None), "0.333");
        assert_eq!(f(Value::F64(0.0001), Unit::None), "<0.001");
        assert_eq!(f(Value::F64(-0.0001), Unit::None), ">-0.001");
        assert_eq!(f(Value::F64(1e300), Unit::None), "1.00e300");
        assert_eq!(f(Value::F64(f64::NAN), Unit::None), "-");
        assert_eq!(f(Value::F64(12.5), Unit::Percent), "12.5%");
        assert_eq!(f(Value::None, Unit::Percent), "-");
        assert_eq!(f(Value::U64(4096), Unit::Bytes), "4.0K", "sizes keep their prefix");
        assert_eq!(f(Value::F64(12.5), Unit::Ms), "12.5ms");
        assert_eq!(f(Value::F64(0.25), Unit::Seconds), "250ms");
        let mut s = String::new();
        plainly(&mut s, Value::F64(7.0), &found(Unit::Percent, "%user"), Some(2));
        assert_eq!(s, "7.00", "the header says what it is");
    }

    #[test]
    fn no_number_is_wider_than_its_column() {
        let numbers = (-80..80)
            .flat_map(|e| [1.0, 9.96, 0.99951, 4.2, -1.0, -9.96, -7.7].map(|m| m * 1.7f64.powi(e)))
            .chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.0])
            .chain([999.5, 9999.5, 99_999.0, 1023.5, 1e3, 1e6, -99_999.0, 1024.0 * 1023.9]);
        for n in numbers {
            for unit in [
                Unit::None,
                Unit::Bytes,
                Unit::BytesPerSec,
                Unit::PerSec,
                Unit::Ns,
                Unit::Us,
                Unit::Ms,
                Unit::Seconds,
                Unit::Percent,
            ] {
                for bits in [false, true] {
                    let mut s = String::new();
                    format(&mut s, Value::F64(n), &field(unit), Style { bits });
                    let max = usize::from(width(&field(unit)));
                    assert!(!s.is_empty() && s.len() <= max, "{n} {unit:?} {bits}: {s:?}");
                }
            }
        }
    }

    #[test]
    fn exact_keeps_every_digit() {
        assert_eq!(exact(Value::U64(u64::MAX), &field(Unit::Bytes)), "18446744073709551615 B");
        assert_eq!(exact(Value::F64(1.25), &field(Unit::BytesPerSec)), "1.25 B/s");
        assert_eq!(exact(Value::U64(1240), &field(Unit::Us)), "1240 us");
        assert_eq!(exact(Value::U64(1 << 32), &field(Unit::Address)), "0x100000000");
        assert_eq!(exact(Value::F64(2.5), &field(Unit::Ms)), "2.5 ms");
        assert_eq!(exact(Value::U64(3), &field(Unit::Seconds)), "3 s");
        assert_eq!(exact(Value::I64(0), &field(Unit::Wall)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(exact(Value::None, &field(Unit::Us)), "-");
        assert_eq!(exact(Value::F64(f64::NAN), &field(Unit::Us)), "-");
    }

    #[test]
    fn quantities_are_read_into_the_unit_of_the_column() {
        let to = |text: &str, unit| parse_quantity(text).unwrap().to_field(&field(unit));
        assert_eq!(to("50ms", Unit::Us), Ok(50_000.0));
        assert_eq!(to("0x7f0010", Unit::Address), Ok(f64::from(0x7f_0010)));
        assert_eq!(to("50ms", Unit::Ns), Ok(50e6));
        assert_eq!(to("50ms", Unit::Ms), Ok(50.0));
        assert_eq!(to("50ms", Unit::Seconds), Ok(0.05));
        assert_eq!(to("2h", Unit::Ns), Ok(7200e9));
        assert_eq!(to("2h30m", Unit::Ns), Ok(9000e9));
        assert_eq!(to("2m05", Unit::Ns), Ok(125e9));
        assert_eq!(to("3h12", Unit::Ns), Ok(11_520e9));
        assert_eq!(to("250", Unit::Us), Ok(250.0));
        assert_eq!(to("1MB/s", Unit::BytesPerSec), Ok(1e6));
        assert_eq!(to("1MiB/s", Unit::BytesPerSec), Ok(1_048_576.0));
        assert_eq!(to("1M", Unit::Bytes), Ok(1_048_576.0));
        assert_eq!(to("1M", Unit::None), Ok(1e6));
        assert_eq!(to("20k", Unit::PerSec), Ok(20e3));
        assert_eq!(to("1.5KiB", Unit::Bytes), Ok(1536.0));
        assert_eq!(to("10Mbit/s", Unit::BytesPerSec), Ok(1.25e6));
        assert_eq!(to("10Mbps", Unit::BytesPerSec), Ok(1.25e6));
        assert_eq!(to("3%", Unit::Percent), Ok(3.0));
        assert_eq!(to("50ms/s", Unit::Percent), Ok(5.0));
        assert_eq!(to("-3", Unit::None), Ok(-3.0));
        assert_eq!(to("250", Unit::Ms), Ok(250.0));
        assert_eq!(to("5MB", Unit::Seconds), Err("x is a time".to_owned()));
        assert_eq!(to("5MB", Unit::Us), Err("x is a time".to_owned()));
        assert_eq!(to("1MB/s", Unit::Bytes), Err("x is bytes".to_owned()));
        assert_eq!(to("5ms", Unit::Id), Err("x is a plain number".to_owned()));
    }

    #[test]
    fn what_the_screen_writes_can_be_typed() {
        for unit in [Unit::Bytes, Unit::PerSec, Unit::Ns, Unit::Percent] {
            for n in [1.0, 12.0, 700.0, 1500.0, 40_000.0, 3.3e6, 7.7e9, 2.2e11, 4.4e13] {
                let s = f(n, unit);
                if s.starts_with(['<', '>']) || s.contains("k%") {
                    continue;
                }
                let back = parse_quantity(&s).unwrap().to_field(&field(unit)).unwrap();
                assert!((back - n).abs() <= n * 0.5, "{n} {unit:?}: {s} -> {back}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let e = |t: &str| parse_quantity(t).unwrap_err();
        assert!(
            e("0x").incomplete && !e("0xten").incomplete && !e("0x1ffffffffffffffff").incomplete
        );
        assert_eq!(e("50mss").what, "unknown unit \"mss\"");
        assert!(!e("50mss").incomplete);
        assert!(e("1Mbi").incomplete && e("1Mb").incomplete && e("1MB/").incomplete);
        assert!(e("1Mb").what.contains("bits or bytes"));
        assert!(e("").incomplete && e("-").incomplete && !e("abc").incomplete);
        for text in ["1.2.3", "--1", "1e5", "2h3h", "5m5", "١", "1µ", "%", "9".repeat(400).as_str()]
        {
            let _ = parse_quantity(text);
        }
        assert!(parse_quantity("2h3h").is_err());
        assert_eq!(parse_duration("5m5"), Some(305e9));
        assert_eq!(parse_duration(""), None);
    }
}
