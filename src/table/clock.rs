//! How instants are written and read: the only place. No clock is read here; what "now" is, and
//! where the recording begins and ends, comes from the caller.

use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, Zoned};

use super::quantity::parse_duration;

/// What a written time is relative to; all Unix time in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The wall clock.
    pub now: i64,
    /// The instant looked at: `-5m` and `+30s` count from here.
    pub current: i64,
    /// The first instant that can be looked at.
    pub start: i64,
    /// The last one: a bare `12:03` is the latest such time from `start` up to here, or the nearest
    /// to them where there is none in between.
    pub end: i64,
    /// A bare time is none later than this: now, where what is later has not been.
    pub until: i64,
}

/// Reads a time into Unix ns: `12:03`, `12:03:07.25`, `3am`, `2026-11-21T12:03:07` (with `Z`,
/// `+02:00` or as local time), `2026-11-21`, `-5m`, `+30s`, `start+10s`, `end-2h30m`,
/// `yesterday 03:00`, `3am yesterday`, `monday 15:30`, `50%` of the way from start to end, seconds,
/// ms, us or ns since 1970, `now`, `start`, `end`. `tz` is where bare times are local.
///
/// # Errors
/// One sentence that says what can be written instead.
pub fn parse(text: &str, anchor: &Anchor, tz: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    let found = match text.chars().next() {
        None => None,
        Some('+' | '-') => shifted(anchor.current, text),
        Some(_) if text.ends_with('%') => share(text, anchor),
        Some(_) if text.contains(char::is_whitespace) => {
            day_and_time(text, anchor, tz).or_else(|| match text.starts_with(char::is_alphabetic) {
                true => word(text, anchor, tz),
                false => dated(text, tz),
            })
        }
        Some(c) if c.is_ascii_alphabetic() => word(text, anchor, tz),
        Some(_) => epoch(text)
            .or_else(|| clock_time(text).and_then(|t| meant(t, anchor, tz)))
            .or_else(|| dated(text, tz)),
    };
    found.ok_or_else(|| {
        format!(
            "\"{text}\" is not a time: write 12:03:07, 3am yesterday, 2026-11-21T12:03:07, -5m, +30s, 50%, now, start or end"
        )
    })
}

/// RFC 3339 in UTC with nine decimals, as every export writes it.
pub fn rfc3339(wall_ns: i64) -> String {
    timestamp(wall_ns).strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// `HH:MM:SS` in `tz`.
pub fn clock(wall_ns: i64, tz: &TimeZone) -> String {
    timestamp(wall_ns).to_zoned(tz.clone()).strftime("%H:%M:%S").to_string()
}

/// `HH:MM:SS.mmm` in `tz`.
pub fn clock_ms(wall_ns: i64, tz: &TimeZone) -> String {
    timestamp(wall_ns).to_zoned(tz.clone()).strftime("%H:%M:%S.%3f").to_string()
}

/// `YYYY-MM-DD HH:MM:SS` in `tz`, where the day matters.
pub fn date_and_clock(wall_ns: i64, tz: &TimeZone) -> String {
    timestamp(wall_ns).to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Every `i64` of ns is within what a [`Timestamp`] can hold (1677 to 2262).
fn timestamp(wall_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(wall_ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn unix(t: Timestamp) -> Option<i64> {
    i64::try_from(t.as_nanosecond()).ok()
}

/// `-5m`, `+2h30m` from `base`.
fn shifted(base: i64, text: &str) -> Option<i64> {
    let (sign, length) = text.split_at_checked(1)?;
    // ns of a century fit a double to 0.5 us; what is typed is far shorter.
    let ns = parse_duration(length).filter(|ns| *ns < i64::MAX as f64)?.round() as i64;
    match sign {
        "+" => base.checked_add(ns),
        "-" => base.checked_sub(ns),
        _ => None,
    }
}

fn word(text: &str, anchor: &Anchor, tz: &TimeZone) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (name, rest) =
        lower.split_at(lower.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(lower.len()));
    let rest = rest.trim();
    let base = match name {
        "now" => anchor.now,
        "start" => anchor.start,
        "end" => anchor.end,
        _ if rest.is_empty() => return day(name, anchor, tz).and_then(|d| local(d.into(), tz)),
        _ => return None,
    };
    if rest.is_empty() { Some(base) } else { shifted(base, rest) }
}

/// `50%` of the way from the first instant to the last.
fn share(text: &str, anchor: &Anchor) -> Option<i64> {
    let per_cent: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    if !(0.0..=100.0).contains(&per_cent) {
        return None;
    }
    let whole = anchor.end.checked_sub(anchor.start)? as f64;
    anchor.start.checked_add((whole * per_cent / 100.0).round() as i64)
}

/// `yesterday 15:30`, `3am yesterday`, `2026-11-21 3:30pm`: a day and a time in either order.
fn day_and_time(text: &str, anchor: &Anchor, tz: &TimeZone) -> Option<i64> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    // `3 am yesterday`: the half of the day belongs to the number before it.
    let half =
        words.iter().position(|w| w.eq_ignore_ascii_case("am") || w.eq_ignore_ascii_case("pm"));
    let joined;
    if let Some(at) = half.filter(|at| *at > 0) {
        joined = format!("{}{}", words[at - 1], words[at]);
        words.splice(at - 1..=at, [joined.as_str()]);
    }
    match words.as_slice() {
        [time] => clock_time(time).and_then(|t| meant(t, anchor, tz)),
        [a, b] => {
            let (day, time) = match day(a, anchor, tz) {
                Some(day) => (day, clock_time(b)?),
                None => (day(b, anchor, tz)?, clock_time(a)?),
            };
            local(day.to_datetime(time), tz)
        }
        _ => None,
    }
}

/// `today`, `yesterday`, the latest day of this name up to the end, or a date.
fn day(word: &str, anchor: &Anchor, tz: &TimeZone) -> Option<Date> {
    let of = |ns: i64| timestamp(ns).to_zoned(tz.clone()).date();
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "today" => return Some(of(anchor.now)),
        "yesterday" => return of(anchor.now).yesterday().ok(),
        _ => {}
    }
    const NAMES: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let named = NAMES.iter().position(|n| lower.len() >= 3 && n.starts_with(&lower));
    if let Some(wanted) = named {
        let end = of(anchor.end);
        let back = (7 + end.weekday().to_monday_zero_offset() - wanted as i8) % 7;
        return end.checked_sub(Span::new().try_days(i64::from(back)).ok()?).ok();
    }
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Date::from_str(word).ok()
}

/// Digits since 1970: ten or so are seconds, 13 ms, 16 us, 19 ns. A fraction only of seconds.
fn epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || whole.len() < 9 {
        return None;
    }
    let n: i64 = whole.parse().ok()?;
    let scale: i64 = match whole.len() {
        9..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    let part = match fraction {
        None => 0,
        Some(f) if digits(f) && scale == 1_000_000_000 => {
            f.chars().chain("000000000".chars()).take(9).collect::<String>().parse().ok()?
        }
        Some(_) => return None,
    };
    n.checked_mul(scale)?.checked_add(part)
}

/// `12:03`, `12:03:07`, `12:03:07.5`, `9:15`, `3am`, `3:30pm`.
fn clock_time(text: &str) -> Option<Time> {
    let lower = text.to_ascii_lowercase();
    for (half, later) in [("am", 0), ("pm", 12)] {
        let Some(twelve) = lower.strip_suffix(half) else { continue };
        let time = match twelve.contains(':') {
            true => clock_time(twelve)?,
            false => clock_time(&format!("{twelve}:00"))?,
        };
        // Noon is 12pm, midnight 12am.
        let hour = time.hour();
        return (1..=12)
            .contains(&hour)
            .then(|| time.with().hour(hour % 12 + later).build().ok())
            .flatten();
    }
    let (hour, rest) = text.split_once(':')?;
    if hour.is_empty() || hour.len() > 2 || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain = rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    plain.then(|| Time::from_str(&format!("{hour:0>2}:{rest}")).ok()).flatten()
}

/// The latest instant of what can be looked at when clocks in `tz` show `time`, else the nearest to
/// it: a recording that ends at 10:05 has 10:06 just behind it, not a day before it.
fn meant(time: Time, anchor: &Anchor, tz: &TimeZone) -> Option<i64> {
    let before = latest(time, anchor.end, tz);
    if before.is_some_and(|at| at >= anchor.start) {
        return before;
    }
    let after = earliest(time, anchor.end, tz).filter(|at| *at <= anchor.until);
    let apart = |a: i64, b: i64| i128::from(a) - i128::from(b);
    match (before, after) {
        (Some(b), Some(a)) if apart(a, anchor.end) < apart(anchor.start, b) => Some(a),
        (None, after) => after,
        (before, _) => before,
    }
}

/// The first instant after `end` at which clocks in `tz` show `time`.
fn earliest(time: Time, end: i64, tz: &TimeZone) -> Option<i64> {
    let mut day: Date = timestamp(end).to_zoned(tz.clone()).date();
    for _ in 0..3 {
        let at = tz.to_ambiguous_timestamp(day.to_datetime(time));
        if !matches!(at.offset(), AmbiguousOffset::Gap { .. }) {
            let both = [at.earlier().ok(), at.later().ok()];
            if let Some(ns) = both.into_iter().flatten().filter_map(unix).find(|ns| *ns > end) {
                return Some(ns);
            }
        }
        day = day.tomorrow().ok()?;
    }
    None
}

/// What is said where nothing was recorded at the time that was asked for: which is shown instead.
pub fn beside(wanted: i64, shown: i64, tz: &TimeZone) -> String {
    let day = |ns: i64| timestamp(ns).to_zoned(tz.clone()).date();
    let write = if day(wanted) == day(shown) { clock } else { date_and_clock };
    format!("nothing was recorded at {}: this is {}", write(wanted, tz), write(shown, tz))
}

/// The latest instant up to `end` at which clocks in `tz` show `time`.
fn latest(time: Time, end: i64, tz: &TimeZone) -> Option<i64> {
    let mut day: Date = timestamp(end).to_zoned(tz.clone()).date();
    // Two days back are enough: a time left out by daylight saving one day is there the day before.
    for _ in 0..3 {
        let at = tz.to_ambiguous_timestamp(day.to_datetime(time));
        if !matches!(at.offset(), AmbiguousOffset::Gap { .. }) {
            let both = [at.later().ok(), at.earlier().ok()];
            if let Some(ns) = both.into_iter().flatten().filter_map(unix).find(|ns| *ns <= end) {
                return Some(ns);
            }
        }
        day = day.yesterday().ok()?;
    }
    None
}

/// A date with or without a time, an offset or a zone name.
fn dated(text: &str, tz: &TimeZone) -> Option<i64> {
    if let Ok(zoned) = Zoned::from_str(text) {
        return unix(zoned.timestamp());
    }
    if let Ok(t) = Timestamp::from_str(text) {
        return unix(t);
    }
    // With an offset that could not be read above, it is not a local time.
    let zone = |c: char| matches!(c, 'Z' | 'z' | '+' | '[');
    (!text.contains(zone))
        .then(|| DateTime::from_str(text).ok())
        .flatten()
        .and_then(|d| local(d, tz))
}

fn local(at: DateTime, tz: &TimeZone) -> Option<i64> {
    tz.to_ambiguous_timestamp(at).compatible().ok().and_then(unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(text: &str) -> i64 {
        unix(text.parse().unwrap()).unwrap()
    }

    fn anchor() -> Anchor {
        Anchor {
            now: at("2026-11-22T09:00:00Z"),
            current: at("2026-11-21T12:00:00Z"),
            start: at("2026-11-21T10:00:00Z"),
            end: at("2026-11-21T12:30:00.5Z"),
            until: i64::MAX,
        }
    }

    fn utc(text: &str) -> String {
        parse(text, &anchor(), &TimeZone::UTC).map_or_else(|e| e, rfc3339)
    }

    #[test]
    fn a_bare_clock_time_is_the_latest_up_to_the_end_or_the_nearest_beside() {
        assert_eq!(utc("12:03"), "2026-11-21T12:03:00.000000000Z");
        assert_eq!(utc("12:03:07"), "2026-11-21T12:03:07.000000000Z");
        assert_eq!(utc("12:30:00.5"), "2026-11-21T12:30:00.500000000Z");
        assert_eq!(utc("12:30:00.6"), "2026-11-21T12:30:00.600000000Z");
        assert_eq!(utc("23:59"), "2026-11-20T23:59:00.000000000Z");
        assert_eq!(utc("9:15"), "2026-11-21T09:15:00.000000000Z");
        // What has not been is not meant.
        let now = Anchor { until: anchor().end, ..anchor() };
        let live = |text: &str| rfc3339(parse(text, &now, &TimeZone::UTC).unwrap());
        assert_eq!(live("12:03"), "2026-11-21T12:03:00.000000000Z");
        assert_eq!(live("12:30:00.6"), "2026-11-20T12:30:00.600000000Z");
        assert_eq!(live("3:30pm"), "2026-11-20T15:30:00.000000000Z");
    }

    #[test]
    fn what_is_shown_instead_is_told_with_its_day_where_that_is_another() {
        let shown = at("2026-11-21T09:19:55Z");
        let said = |wanted: &str| beside(at(wanted), shown, &TimeZone::UTC);
        assert_eq!(
            said("2026-11-21T09:20:10Z"),
            "nothing was recorded at 09:20:10: this is 09:19:55"
        );
        assert_eq!(
            said("2026-11-20T03:00:00Z"),
            "nothing was recorded at 2026-11-20 03:00:00: this is 2026-11-21 09:19:55"
        );
    }

    #[test]
    fn dates_offsets_and_fractions() {
        let want = "2026-11-21T12:03:07.000000000Z";
        for text in [
            "2026-11-21T12:03:07",
            "2026-11-21 12:03:07",
            "2026-11-21T12:03:07Z",
            "2026-11-21T14:03:07+02:00",
            "2026-11-21T07:03:07-05:00",
            " 2026-11-21T12:03:07 ",
        ] {
            assert_eq!(utc(text), want, "{text}");
        }
        assert_eq!(utc("2026-11-21T12:03:07.123456789Z"), "2026-11-21T12:03:07.123456789Z");
        assert_eq!(utc("2026-11-21T12:03"), "2026-11-21T12:03:00.000000000Z");
        assert_eq!(utc("2026-11-21"), "2026-11-21T00:00:00.000000000Z");
    }

    #[test]
    fn what_is_exported_can_be_read_back() {
        for ns in [0, 1, -1, i64::MIN, i64::MAX, at("2026-11-21T12:03:07.000000001Z")] {
            let text = rfc3339(ns);
            let back = parse(&text, &anchor(), &TimeZone::UTC);
            // A year before 1 needs no test: the least i64 is in 1677.
            assert_eq!(back, Ok(ns), "{text}");
        }
    }

    #[test]
    fn relative_times_count_from_where_one_looks() {
        assert_eq!(utc("-5m"), "2026-11-21T11:55:00.000000000Z");
        assert_eq!(utc("+30s"), "2026-11-21T12:00:30.000000000Z");
        assert_eq!(utc("-2h30m"), "2026-11-21T09:30:00.000000000Z");
        assert_eq!(utc("start+10s"), "2026-11-21T10:00:10.000000000Z");
        assert_eq!(utc("end -1m"), "2026-11-21T12:29:00.500000000Z");
        assert_eq!(utc("now"), "2026-11-22T09:00:00.000000000Z");
        assert_eq!(utc("START"), "2026-11-21T10:00:00.000000000Z");
        assert_eq!(utc("end"), "2026-11-21T12:30:00.500000000Z");
        assert_eq!(utc("yesterday 03:00"), "2026-11-21T03:00:00.000000000Z");
        assert_eq!(utc("today"), "2026-11-22T00:00:00.000000000Z");
    }

    #[test]
    fn digits_are_seconds_milliseconds_microseconds_or_nanoseconds() {
        let want = at("2026-11-21T12:03:07.25Z");
        let seconds = want / SECOND;
        for text in [
            format!("{seconds}.25"),
            format!("{seconds}250"),
            format!("{seconds}250000"),
            format!("{seconds}250000000"),
        ] {
            assert_eq!(parse(&text, &anchor(), &TimeZone::UTC), Ok(want), "{text}");
        }
    }

    #[test]
    fn days_halves_of_a_day_and_shares() {
        let utc = |text: &str| rfc3339(parse(text, &anchor(), &TimeZone::UTC).unwrap());
        for (text, want) in [
            ("3am", "2026-11-21T03:00:00"),
            ("3 AM", "2026-11-21T03:00:00"),
            ("12am", "2026-11-21T00:00:00"),
            ("12pm", "2026-11-21T12:00:00"),
            // Later than the end, and nearer to it than a day before is to the start.
            ("3:30pm", "2026-11-21T15:30:00"),
            ("3am yesterday", "2026-11-21T03:00:00"),
            ("3 am yesterday", "2026-11-21T03:00:00"),
            ("yesterday 3am", "2026-11-21T03:00:00"),
            ("yesterday 15:30", "2026-11-21T15:30:00"),
            ("15:30:07 today", "2026-11-22T15:30:07"),
            ("yesterday", "2026-11-21T00:00:00"),
            // The end is on a Saturday.
            ("saturday 11:00", "2026-11-21T11:00:00"),
            ("3am fri", "2026-11-20T03:00:00"),
            ("sunday", "2026-11-15T00:00:00"),
            ("2026-11-19 3pm", "2026-11-19T15:00:00"),
            ("0%", "2026-11-21T10:00:00"),
        ] {
            assert_eq!(utc(text), format!("{want}.000000000Z"), "{text}");
        }
        assert_eq!(utc("40 %"), "2026-11-21T11:00:00.200000000Z");
        assert_eq!(utc("100%"), "2026-11-21T12:30:00.500000000Z");
        for text in [
            "13am",
            "0pm",
            "am",
            "3am 4am",
            "101%",
            "-1%",
            "%",
            "nan%",
            "yesterday today",
            "mo 3am",
            "3am someday",
            "yesterday 15:30 5",
        ] {
            assert!(parse(text, &anchor(), &TimeZone::UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn local_time_and_daylight_saving() {
        // Central Europe: on 2026-10-25 02:00-03:00 comes twice, on 2026-03-29 not at all.
        let tz = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let read = |text: &str, end: &str| {
            rfc3339(
                parse(text, &Anchor { start: i64::MIN, end: at(end), ..anchor() }, &tz).unwrap(),
            )
        };
        assert_eq!(
            read("2026-11-21 12:03", "2026-11-21T12:30:00Z"),
            "2026-11-21T11:03:00.000000000Z"
        );
        assert_eq!(read("02:30", "2026-10-25T02:00:00Z"), "2026-10-25T01:30:00.000000000Z");
        assert_eq!(read("02:30", "2026-10-25T01:10:00Z"), "2026-10-25T00:30:00.000000000Z");
        assert_eq!(read("02:30", "2026-03-29T10:00:00Z"), "2026-03-28T01:30:00.000000000Z");
        assert_eq!(clock(at("2026-11-21T12:03:07.9Z"), &tz), "13:03:07");
        assert_eq!(date_and_clock(at("2026-11-21T23:03:07Z"), &tz), "2026-11-22 00:03:07");
    }

    #[test]
    fn what_is_no_time_says_so_and_nothing_panics() {
        for text in [
            "",
            " ",
            "12",
            "12:",
            ":03",
            "25:00",
            "12:61",
            "2026-13-01",
            "-",
            "+",
            "-5x",
            "-m",
            "noon",
            "startx",
            "now 5",
            "start 12:00",
            "99999999999999999999",
            "1.2.3",
            "日",
            "12:03日",
            "+99999999999d",
            "2026-11-21T12:03:07+99:00",
            "123456789.x",
            "yesterday 99",
        ] {
            let e = parse(text, &anchor(), &TimeZone::UTC).expect_err(text);
            assert!(e.contains("is not a time: write 12:03:07"), "{e}");
        }
        let edge =
            Anchor { now: i64::MIN, current: i64::MIN, start: i64::MAX, end: i64::MIN, until: 0 };
        for text in ["12:03", "-5m", "start+1s", "yesterday", "now", "12:00:00.5"] {
            let _ = parse(text, &edge, &TimeZone::UTC);
        }
    }
}
