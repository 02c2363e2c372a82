//! A tool's own time: what stands in its clock column, as Unix time.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How far ahead of us a tool's clock may be before it is taken for yesterday's.
const AHEAD_NS: i64 = 3_600_000_000_000;

/// Turns texts of one clock column into Unix ns; remembers the last, which most rows repeat.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    last: Option<(String, i64, Option<i64>)>,
}

impl Clock {
    /// Clock times are of this zone.
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone, last: None }
    }

    /// Unix ns of a text that arrived at `arrival` (Unix ns): a clock time is of the last day on
    /// which it was not in the future. `None` for what is no time (`Average:`, seconds since start).
    pub fn read(&mut self, text: &str, arrival: i64) -> Option<i64> {
        // The same text again within a second means the same instant.
        if let Some((t, at, ns)) = &self.last
            && t == text
            && arrival.abs_diff(*at) < 1_000_000_000
        {
            return *ns;
        }
        let ns = self.resolve(text.trim().trim_end_matches(':').trim_end(), arrival);
        self.last = Some((text.to_owned(), arrival, ns));
        ns
    }

    fn resolve(&self, text: &str, arrival: i64) -> Option<i64> {
        if let Some(ns) = epoch(text) {
            return Some(ns);
        }
        if let Ok(t) = text.parse::<Timestamp>() {
            return i64::try_from(t.as_nanosecond()).ok();
        }
        let (date, clock) = match text.find(['T', ' ']).filter(|_| text.contains(['-', '/'])) {
            Some(at) => (Some(day(&text[..at])?), text[at + 1..].trim_start()),
            None => (None, text),
        };
        // What follows (a zone's name) is left out only where it is one.
        let clock = clock.strip_suffix(" UTC").or_else(|| clock.strip_suffix('Z')).unwrap_or(clock);
        let zone =
            if clock.len() + 4 <= text.len() && (text.ends_with(" UTC")) || text.ends_with('Z') {
                TimeZone::UTC
            } else {
                self.zone.clone()
            };
        let time = time_of_day(clock)?;
        let at = |date: Date| -> Option<i64> {
            let stamp =
                zone.to_ambiguous_timestamp(DateTime::from_parts(date, time)).compatible().ok()?;
            i64::try_from(stamp.as_nanosecond()).ok()
        };
        if let Some(date) = date {
            return at(date);
        }
        let now = Timestamp::from_nanosecond(i128::from(arrival)).ok()?.to_zoned(zone.clone());
        let today = at(now.date())?;
        if today > arrival.saturating_add(AHEAD_NS) {
            return at(now.date().checked_sub(1.day()).ok()?);
        }
        // Just after midnight a tool may still print the day before.
        Some(today)
    }
}

/// Unix time as s (with a fraction), ms, us or ns, of this century's first two thirds.
fn epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() < 10 {
        return None;
    }
    let scale: i64 = match whole.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    let base = whole.parse::<i64>().ok()?.checked_mul(scale)?;
    let part = match fraction.get(..fraction.len().min(9)) {
        Some("") | None => 0,
        Some(f) => (format!("0.{f}").parse::<f64>().ok()? * scale as f64).round() as i64,
    };
    base.checked_add(part)
}

fn day(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let number = |s: &str| s.parse::<i16>().ok();
    let (year, month, day) = if a.len() == 4 {
        (number(a)?, number(b)?, number(c)?)
    } else {
        // sysstat and ps in the C locale: month first; one that cannot be a month is a day.
        let (x, y, mut year) = (number(a)?, number(b)?, number(c)?);
        if c.len() == 2 {
            year += 2000;
        }
        if x > 12 || text.contains('.') { (year, y, x) } else { (year, x, y) }
    };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn time_of_day(text: &str) -> Option<Time> {
    let (text, half) = match text.strip_suffix("AM").or_else(|| text.strip_suffix("am")) {
        Some(t) => (t.trim_end(), Some(0)),
        None => match text.strip_suffix("PM").or_else(|| text.strip_suffix("pm")) {
            Some(t) => (t.trim_end(), Some(12)),
            None => (text, None),
        },
    };
    let mut parts = text.split(':');
    let mut hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = parts.next()?.parse().ok()?;
    let (second, nano) = match parts.next() {
        None => (0, 0),
        Some(s) => {
            let (whole, fraction) = s.split_once(['.', ',']).unwrap_or((s, "0"));
            let fraction: f64 = format!("0.{fraction}").parse().ok()?;
            (whole.parse::<i8>().ok()?, (fraction * 1e9).round() as i32)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    if let Some(half) = half {
        hour = hour % 12 + half;
    }
    Time::new(hour, minute, second.min(59), nano.min(999_999_999)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_262_400_000_000_000; // 2026-11-21T12:00:00Z

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        let got = Clock::new(TimeZone::UTC).read(text, NOON);
        let want =
            want.map(|w| i64::try_from(w.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap());
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn clocks_and_dates() {
        check("11:59:58", Some("2026-11-21T11:59:58Z"));
        check("11:59:58:", Some("2026-11-21T11:59:58Z"));
        check("11:59", Some("2026-11-21T11:59:00Z"));
        check("11:59:58.25", Some("2026-11-21T11:59:58.25Z"));
        check("12:30:00 AM", Some("2026-11-21T00:30:00Z"));
        check("01:30:00 PM", Some("2026-11-20T13:30:00Z"));
        check("12:00:01", Some("2026-11-21T12:00:01Z"));
        check("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00Z"));
        check("2026-11-21T10:00:00+02:00", Some("2026-11-21T08:00:00Z"));
        check("2026-11-21 10:00:00", Some("2026-11-21T10:00:00Z"));
        check("11/20/26 10:00:00", Some("2026-11-20T10:00:00Z"));
        check("1795262400", Some("2026-11-21T12:00:00Z"));
        check("1795262400.5", Some("2026-11-21T12:00:00.5Z"));
        check("1795262400500", Some("2026-11-21T12:00:00.5Z"));
        for no in ["Average:", "1.000123", "abc", "", "25:00:00", "::", "12:00:00:00"] {
            check(no, None);
        }
    }
}
