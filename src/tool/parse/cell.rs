//! What a cell looks like: number, size, share, time, text. Looked at per byte, without a regex:
//! it is asked for every cell of the first rows and for every cell that does not fit its column.

/// The looks of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Empty, `-`, `?`, `N/A`, `<none>`, NaN.
    Missing,
    /// `12`, `-3`, `1,234,567`.
    Int,
    /// `0.5`, `1e-3`, `inf`.
    Float,
    /// `12%`, `0.5 %`.
    Percent,
    /// A number with a prefix or bytes: `12K`, `1.5MiB`, `3kB`, `10 MB/s`.
    Size,
    /// A number with a unit of time: `12ms`, `3m20s`, `5d`. A lone `m` is both: see [`Shape::Milli`].
    Duration,
    /// `12m`: minutes, mebi or milli; the company it keeps decides.
    Milli,
    /// `21:07:20`, `21:07`, `9:07:20.123`, with a colon behind, with AM or PM.
    Clock,
    /// `2026-11-21`, `11/21/26`, `21.11.2026`.
    Date,
    /// Date and clock in one cell: `2026-11-21T21:07:20Z`, `2026-11-21 21:07:20`.
    Instant,
    /// Anything else.
    Text,
}

impl Shape {
    /// Whether it is a number with or without a unit.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Shape::Int
                | Shape::Float
                | Shape::Percent
                | Shape::Size
                | Shape::Duration
                | Shape::Milli
        )
    }

    /// Whether it is a time of day, a date or both.
    pub fn is_time(self) -> bool {
        matches!(self, Shape::Clock | Shape::Date | Shape::Instant)
    }
}

/// The looks of a cell without blanks around it.
pub fn shape(cell: &str) -> Shape {
    let b = cell.as_bytes();
    match b {
        [] => return Shape::Missing,
        [first, ..] if first.is_ascii_digit() => {}
        [b'-' | b'+' | b'.', ..] | [b'n' | b'N' | b'?' | b'<' | b'(' | b'i' | b'I', ..] => {
            return word(cell);
        }
        _ => return Shape::Text,
    }
    let (len, float) = number(b);
    let rest = &cell[len..];
    if rest.is_empty() {
        return if float { Shape::Float } else { Shape::Int };
    }
    if rest.as_bytes()[0] == b':' {
        return clock(cell);
    }
    if let s @ (Shape::Percent | Shape::Size | Shape::Duration | Shape::Milli) = suffix(rest) {
        return s;
    }
    if let Some(s) = date(cell) {
        return s;
    }
    Shape::Text
}

/// Signed numbers and the words for nothing.
fn word(cell: &str) -> Shape {
    if is_missing(cell) {
        return Shape::Missing;
    }
    let rest = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    if rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("infinity") {
        return Shape::Float;
    }
    let starts = |s: &str| s.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if let Some(fraction) = rest.strip_prefix('.') {
        let (len, _) = number(fraction.as_bytes());
        return match fraction.get(len..) {
            Some("") if starts(fraction) => Shape::Float,
            Some("%") if starts(fraction) => Shape::Percent,
            _ => Shape::Text,
        };
    }
    if rest.len() < cell.len() && starts(rest) {
        return match shape(rest) {
            s if s.is_number() => s,
            _ => Shape::Text,
        };
    }
    Shape::Text
}

/// Whether a cell says that there is nothing.
pub fn is_missing(cell: &str) -> bool {
    let bare = cell.trim_start_matches(['-', '+']);
    bare.is_empty()
        || matches!(cell, "?" | "<none>" | "<unknown>" | "(null)" | "(none)" | "<nil>")
        || matches!(cell, "<not supported>" | "<not counted>")
        || bare.eq_ignore_ascii_case("nan")
        || matches!(cell, "N/A" | "n/a" | "N/a" | "NA")
}

/// Length of the number at the beginning, and whether it has a fraction or an exponent.
/// Thousands are separated by commas only in whole groups of three.
fn number(b: &[u8]) -> (usize, bool) {
    let digits = |from: usize| b[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut i = digits(0);
    let group = |at: usize| b.get(at) == Some(&b',') && digits(at + 1) == 3;
    if i <= 3 {
        while group(i) {
            i += 4;
        }
    }
    let mut float = false;
    if b.get(i) == Some(&b'.') && b.get(i + 1).is_some_and(u8::is_ascii_digit) {
        float = true;
        i += 1 + digits(i + 1);
    }
    // An exponent only behind a fraction or with a sign: `12e4` is more likely hexadecimal.
    if let Some(b'e' | b'E') = b.get(i) {
        let sign = usize::from(matches!(b.get(i + 1), Some(b'-' | b'+')));
        let n = b.get(i + 1 + sign..).map_or(0, |_| digits(i + 1 + sign));
        if n > 0 && (float || sign > 0) {
            float = true;
            i += 1 + sign + n;
        }
    }
    (i, float)
}

/// What stands behind a number.
fn suffix(rest: &str) -> Shape {
    let unit = rest.strip_prefix(' ').unwrap_or(rest);
    let apart = unit.len() < rest.len();
    if unit == "%" {
        return Shape::Percent;
    }
    if !apart && unit == "m" {
        return Shape::Milli;
    }
    if is_size(unit, apart) {
        return Shape::Size;
    }
    if is_duration(unit) {
        return Shape::Duration;
    }
    Shape::Text
}

/// `K`, `KiB`, `kB`, `B`, `MB/s`, `Mbit/s`, `bytes`; a lone letter only directly behind the number.
fn is_size(unit: &str, apart: bool) -> bool {
    let rate = unit.strip_suffix("/s").or_else(|| unit.strip_suffix("/sec"));
    let apart = apart && rate.is_none();
    let unit = rate.unwrap_or(unit);
    let mut rest = unit;
    let prefixed = rest.starts_with(['k', 'K', 'M', 'G', 'T', 'P', 'E', 'g', 't', 'p']);
    if prefixed {
        rest = &rest[1..];
        if let Some(r) = rest.strip_prefix('i') {
            rest = r;
        }
    }
    match rest {
        "" => prefixed && (!apart || unit.len() > 1),
        "B" | "b" | "bit" | "bits" => true,
        "byte" | "bytes" | "Bytes" => !prefixed,
        _ => false,
    }
}

/// `ns us µs ms s m h d w y`, their long forms, and rows of them (`3m20s`).
fn is_duration(unit: &str) -> bool {
    let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
    let (head, more) = unit.split_at(end);
    let known = matches!(
        head.trim_end(),
        "ns" | "us"
            | "µs"
            | "μs"
            | "ms"
            | "s"
            | "m"
            | "h"
            | "d"
            | "w"
            | "y"
            | "nsec"
            | "usec"
            | "msec"
            | "sec"
            | "secs"
            | "min"
            | "mins"
            | "hr"
            | "hrs"
            | "day"
            | "days"
            | "hours"
            | "hour"
            | "minutes"
            | "minute"
            | "seconds"
            | "second"
    );
    if !known || more.is_empty() {
        return known;
    }
    let (len, _) = number(more.as_bytes());
    is_duration(more[len..].trim_start())
}

/// `H:MM` and more, starting with a digit.
fn clock(cell: &str) -> Shape {
    let cell = cell
        .strip_suffix(" AM")
        .or_else(|| cell.strip_suffix(" PM"))
        .or_else(|| cell.strip_suffix(':'))
        .unwrap_or(cell);
    let mut parts = cell.split(':');
    let two = |p: &str| p.len() == 2 && p.bytes().all(|c| c.is_ascii_digit());
    let first = parts.next().unwrap_or("");
    if first.len() > 2 || !first.bytes().all(|c| c.is_ascii_digit()) {
        return Shape::Text;
    }
    let Some(minutes) = parts.next().filter(|p| two(p) && *p < "60") else { return Shape::Text };
    let hours_ok = first.parse::<u8>().is_ok_and(|h| h < 24);
    let seconds = parts.next();
    if !hours_ok || parts.next().is_some() || minutes.is_empty() {
        return Shape::Text;
    }
    let fine = seconds.is_none_or(|s| {
        let (whole, fraction) = s.split_once(['.', ',']).unwrap_or((s, "0"));
        two(whole) && whole < "61" && fraction.bytes().all(|c| c.is_ascii_digit())
    });
    if fine { Shape::Clock } else { Shape::Text }
}

/// A date, alone or with a clock behind it.
fn date(cell: &str) -> Option<Shape> {
    let b = cell.as_bytes();
    let len =
        b.iter().take_while(|c| c.is_ascii_digit() || matches!(c, b'-' | b'/' | b'.')).count();
    let (day, rest) = cell.split_at(len);
    let separator = day.bytes().find(|c| !c.is_ascii_digit())?;
    let parts: Vec<&str> = day.split(char::from(separator)).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let digits =
        |p: &str, len: &[usize]| len.contains(&p.len()) && p.bytes().all(|c| c.is_ascii_digit());
    let first_year = digits(a, &[4]) && digits(b, &[2]) && digits(c, &[2]) && separator != b'.';
    let last_year = digits(a, &[1, 2])
        && digits(b, &[1, 2])
        && (digits(c, &[4]) || (separator == b'/' && digits(c, &[2])));
    if !first_year && !last_year {
        return None;
    }
    if rest.is_empty() {
        return Some(Shape::Date);
    }
    let time = rest.strip_prefix(['T', ' ', '-'])?;
    let end = time
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ','))
        .unwrap_or(time.len());
    let zone = time[end..].trim_start();
    let zoned = zone.is_empty()
        || zone == "Z"
        || zone.starts_with(['+', '-'])
        || (zone.len() <= 5 && zone.bytes().all(|c| c.is_ascii_uppercase()));
    (zoned && clock(&time[..end]) == Shape::Clock).then_some(Shape::Instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks() {
        for (want, cells) in [
            (Shape::Missing, &["", "-", "--", "?", "N/A", "<none>", "nan", "-nan", "NaN"][..]),
            (Shape::Int, &["0", "12", "-3", "+4", "1,234,567", "007", "18446744073709551615"]),
            (Shape::Float, &["0.5", "-.5", ".5", "1e-3", "1.5E+10", "inf", "-inf", "1,234.5"]),
            (Shape::Percent, &["12%", "0.5 %", "-1%", "100.00%"]),
            (
                Shape::Size,
                &[
                    "12K",
                    "1.5MiB",
                    "3kB",
                    "10 MB/s",
                    "0B",
                    "1.2g",
                    "5 bytes",
                    "2Mbit/s",
                    "11.98 K/s",
                ],
            ),
            (
                Shape::Duration,
                &["12ms", "3m20s", "5d", "1.5s", "10 us", "3 days", "1min 2.3s", "4µs"],
            ),
            (Shape::Milli, &["12m"]),
            (Shape::Clock, &["21:07:20", "21:07:20:", "9:07", "01:02:03.456", "01:02:03 PM"]),
            (Shape::Date, &["2026-11-21", "11/21/26", "21.11.2026", "11/21/2026"]),
            (
                Shape::Instant,
                &["2026-11-21T21:07:20Z", "2026-11-21 21:07:20", "2026-11-21 21:07:20.123 UTC"],
            ),
            (
                Shape::Text,
                &[
                    "abc",
                    "1.2.3.4",
                    "1.2.3.4:80",
                    "0x1f",
                    "12abc",
                    "a-b",
                    "25:00:00",
                    "1:2",
                    "eth0",
                    "1,23",
                    "->",
                    "-x",
                    "none",
                    "1-2",
                    "99:99",
                    "1.2.3",
                    "ff",
                    "100:12:13",
                    "::1",
                ],
            ),
        ] {
            for cell in cells {
                assert_eq!(shape(cell), want, "{cell:?}");
            }
        }
    }
}
