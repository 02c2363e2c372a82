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
        let bare = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')');
        let ns = self.resolve(text.trim_matches(bare).trim_end_matches(':').trim_end(), arrival);
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
        if let Some(named) = Named::of(text) {
            return named.resolve(&self.zone, arrival);
        }
        let (date, clock) = match text.find(['T', ' ']).filter(|_| text.contains(['-', '/'])) {
            Some(at) => (Some(day(&text[..at], arrival)?), text[at + 1..].trim_start()),
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

fn day(text: &str, arrival: i64) -> Option<Date> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let number = |s: &str| s.parse::<i16>().ok();
    let [a, b, c] = parts.as_slice() else {
        // Day and month in either order: the one that is nearer to now.
        let [a, b] = parts.as_slice() else { return None };
        let (a, b) = (number(a)?, number(b)?);
        return nearest([(a, b), (b, a)], arrival);
    };
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

/// The last day with one of these (month, day) that was not in the future.
fn nearest(days: [(i16, i16); 2], arrival: i64) -> Option<Date> {
    let now = Timestamp::from_nanosecond(i128::from(arrival)).ok()?.to_zoned(TimeZone::UTC).date();
    // Another zone may be a day ahead.
    let latest = now.checked_add(1.day()).ok()?;
    let of = |year: i16, (month, day): (i16, i16)| {
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    };
    let years = [now.year(), now.year() - 1];
    let all = days.iter().flat_map(|d| years.iter().filter_map(|y| of(*y, *d)));
    all.filter(|d| *d <= latest).max()
}

/// `Sat Nov 21 14:48:14 UTC 2026` and the like: the month by its name.
#[derive(Debug, Default)]
struct Named {
    month: i16,
    day: i16,
    year: Option<i16>,
    time: Time,
    utc: bool,
}

impl Named {
    /// `None` for what is not that, and where a zone is named that is not known.
    fn of(text: &str) -> Option<Named> {
        const MONTHS: [&str; 12] =
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let mut found = Named::default();
        let (mut clock, mut half) = (None, "");
        for word in text.split([' ', ',']).filter(|w| !w.is_empty()).take(9) {
            let small = word.to_ascii_lowercase();
            let named = |names: &[&str]| {
                let begin =
                    small.get(..3).filter(|_| small.bytes().all(|b| b.is_ascii_lowercase()));
                begin.and_then(|b| names.iter().position(|n| *n == b))
            };
            match word.parse::<i16>() {
                Ok(n) if word.len() < 3 && found.day == 0 => found.day = n,
                Ok(n) if word.len() == 4 && found.year.is_none() => found.year = Some(n),
                Ok(_) => return None,
                Err(_) if word.contains(':') => {
                    if clock.replace(word).is_some() {
                        return None;
                    }
                }
                Err(_) if matches!(word, "AM" | "PM" | "am" | "pm") => half = word,
                Err(_) if matches!(word, "UTC" | "GMT") => found.utc = true,
                Err(_) => match named(&MONTHS) {
                    Some(month) if found.month == 0 => found.month = i16::try_from(month).ok()? + 1,
                    _ if named(&DAYS).is_some() => {}
                    // The name of a zone: here it is most likely ours.
                    _ if clock.is_some() && word.len() < 6 => {}
                    _ => return None,
                },
            }
        }
        found.time = time_of_day(&format!("{}{half}", clock?))?;
        (found.month > 0 && found.day > 0).then_some(found)
    }

    fn resolve(&self, zone: &TimeZone, arrival: i64) -> Option<i64> {
        let date = match self.year {
            Some(year) => {
                Date::new(year, i8::try_from(self.month).ok()?, i8::try_from(self.day).ok()?)
                    .ok()?
            }
            None => nearest([(self.month, self.day); 2], arrival)?,
        };
        let zone = if self.utc { TimeZone::UTC } else { zone.clone() };
        let at = zone.to_ambiguous_timestamp(DateTime::from_parts(date, self.time)).compatible();
        i64::try_from(at.ok()?.as_nanosecond()).ok()
    }
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
        check("[11:59:58]", Some("2026-11-21T11:59:58Z"));
        check("21-11 11:59:58", Some("2026-11-21T11:59:58Z"));
        check("11-21 11:59:58.5", Some("2026-11-21T11:59:58.5Z"));
        check("05-04 10:00:00", Some("2026-05-04T10:00:00Z"));
        check("30-12 10:00:00", Some("2025-12-30T10:00:00Z"));
        check("Sat Nov 21 11:59:58 2026", Some("2026-11-21T11:59:58Z"));
        check("Sat Nov 21 11:59:58 UTC 2026", Some("2026-11-21T11:59:58Z"));
        check("Sat 21 Nov 2026 11:59:58 AM CET", Some("2026-11-21T11:59:58Z"));
        check("Sat Nov 21 01:00:00 AM UTC 2026", Some("2026-11-21T01:00:00Z"));
        check("Nov 20 11:59:58", Some("2026-11-20T11:59:58Z"));
        check("Dec  1 00:00:00", Some("2025-12-01T00:00:00Z"));
        for no in ["Sat", "Nov 21", "12:00 Nov", "Nov 99 10:00:00", "May the 4 be with 10:00"] {
            check(no, None);
        }
        for no in ["Average:", "1.000123", "abc", "", "25:00:00", "::", "12:00:00:00"] {
            check(no, None);
        }
    }
}
