//! `lmptop sessions`: what is recorded, and which recording a name on the command line means.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{inspection, say};
use crate::cli::{self, Plain};
use crate::export::grid;
use crate::session::{Listing, default_place, file_listing, list};
use crate::source::clocks;
use crate::table::clock::{self, Anchor, date_and_clock, rfc3339};
use crate::table::quantity::{Style, format};
use crate::table::{Field, Type, Unit, Value};

/// Prints the list, oldest first.
///
/// # Errors
/// When the place cannot be read.
pub fn run(args: &cli::Sessions) -> Result<()> {
    if let Some(named) = &args.check {
        return inspection::run(args, named.as_deref());
    }
    let sessions = match &args.session {
        None => list(&default_place())?,
        Some(dir) => listed(dir)?,
    };
    let mut out = String::new();
    match args.format {
        Plain::Json => {
            for s in &sessions {
                out.push_str(&serde_json::to_string(&line(s))?);
                out.push('\n');
            }
        }
        Plain::Table => {
            let titles =
                ["ID", "START", "END", "HOST", "KERNEL", "SIZE", "ENDED", "TABLES", "PATH"];
            let zone = TimeZone::system();
            let rows: Vec<Vec<String>> = sessions.iter().map(|s| cells(s, &zone)).collect();
            out = grid(&titles, &rows);
        }
    }
    say(&out)
}

/// The sessions in `dir`, or `dir` itself if it is one or an exported file.
pub(super) fn listed(dir: &Path) -> Result<Vec<Listing>> {
    let dir = dir.canonicalize().with_context(|| {
        format!("cannot look for recordings in {}; is the path right?", dir.display())
    })?;
    if dir.is_file() {
        return Ok(vec![file_listing(&dir)?]);
    }
    if !is_session(&dir) {
        return list(&dir);
    }
    let place = dir.parent().unwrap_or(&dir);
    Ok(list(place)?.into_iter().filter(|s| s.path == dir).collect())
}

/// The fields that scripts depend on, then what says why a session is not clean.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    path: Cow<'a, str>,
    start: Option<String>,
    end: Option<String>,
    host: &'a str,
    kernel: &'a str,
    tables: &'a [String],
    bytes: u64,
    clean: bool,
    recording: bool,
    error: Option<&'a str>,
    samples: Option<u64>,
    redacted: Option<bool>,
}

fn line(s: &Listing) -> Line<'_> {
    Line {
        id: &s.id,
        path: s.path.to_string_lossy(),
        start: s.start.map(rfc3339),
        end: s.end.map(rfc3339),
        host: &s.host,
        kernel: &s.kernel,
        tables: &s.tables,
        bytes: s.bytes,
        clean: s.clean,
        recording: s.recording,
        error: s.error.as_deref(),
        samples: s.samples,
        redacted: s.redacted,
    }
}

fn cells(s: &Listing, zone: &TimeZone) -> Vec<String> {
    let time = |t: Option<i64>| t.map_or_else(|| "-".to_owned(), |t| date_and_clock(t, zone));
    let ended = match (&s.error, s.recording, s.clean) {
        (Some(error), _, _) => error.clone(),
        (None, ..) if s.samples.is_some() => {
            let names = if s.redacted == Some(true) { " with pseudonyms" } else { "" };
            format!("exported{names}, {} samples", s.samples.unwrap_or(0))
        }
        (None, true, _) => "recording".to_owned(),
        (None, false, true) => "clean".to_owned(),
        (None, false, false) => "cut off".to_owned(),
    };
    vec![
        s.id.clone(),
        time(s.start),
        time(s.end),
        s.host.clone(),
        s.kernel.clone(),
        bytes(s.bytes),
        ended,
        s.tables.join(" "),
        crate::table::clean(&s.path.to_string_lossy()).into_owned(),
    ]
}

/// Bytes as the screen writes them.
pub(super) fn bytes(n: u64) -> String {
    let field = Field { unit: Unit::Bytes, ..Field::new("", Type::U64) };
    let mut text = String::new();
    format(&mut text, Value::U64(n), &field, Style::default());
    text
}

/// The recording that `named` means: an exported file, a session's directory, the newest in a
/// directory of sessions, or the id of one in the default place; the newest of all when nothing is
/// named.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    let place = default_place();
    let Some(named) = named else { return newest(&place) };
    match std::fs::metadata(named) {
        Ok(m) if m.is_dir() && is_session(named) => return Ok(named.to_owned()),
        Ok(m) if m.is_dir() => return newest(named),
        // A file of `lmptop export`; what it really is shows when it is opened.
        Ok(m) if m.is_file() => return Ok(named.to_owned()),
        Ok(_) => {
            bail!("{} is no recording; lmptop sessions lists them", named.display())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => {
            return Err(e).with_context(|| {
                format!("cannot read the recording {}; run as its owner", named.display())
            });
        }
    }
    let here = place.join(named);
    if named.components().count() == 1 && is_session(&here) {
        return Ok(here);
    }
    bail!("there is no recording {}; lmptop sessions lists them", named.display())
}

/// A recording, and the span of time that typed times count in, Unix ns.
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// From the first sample to the newest of all that was meant.
    pub span: Option<(i64, i64)>,
}

/// The same; where a place with many recordings is meant and a time is named, the one of that time.
///
/// # Errors
/// As [`find`].
pub fn find_at(named: Option<&Path>, at: Option<&str>, zone: &TimeZone) -> Result<Found> {
    let many = match named {
        None => Some(default_place()),
        Some(dir) => place(dir).map(Path::to_owned),
    };
    if let (Some(place), Some(text)) = (many, at) {
        let all: Vec<(i64, i64, PathBuf)> = list(&place)?
            .into_iter()
            .filter(|s| s.error.is_none())
            .filter_map(|s| Some((s.start?, s.end?, s.path)))
            .collect();
        let span = all.iter().map(|s| s.0).min().zip(all.iter().map(|s| s.1).max());
        if let Some((start, end)) = span
            && let Ok(at) = clock::parse(text, &anchor(text, (start, end)), zone)
            && let Some(path) = covering(all, at)
        {
            return Ok(Found { path, span });
        }
    }
    Ok(Found { path: find(named)?, span: None })
}

/// What a time on the command line counts from: the ends of what is recorded.
pub fn anchor(text: &str, (start, end): (i64, i64)) -> Anchor {
    let current = if text.trim_start().starts_with('+') { start } else { end };
    Anchor { now: clocks().1, current, start, end }
}

/// The newest recording that has this instant; else the one before it, else the first after it.
fn covering(all: Vec<(i64, i64, PathBuf)>, at: i64) -> Option<PathBuf> {
    let has = |s: &&(i64, i64, PathBuf)| s.0 <= at && at <= s.1;
    let begun = |s: &&(i64, i64, PathBuf)| s.0 <= at;
    let found = all.iter().rev().find(has).or_else(|| all.iter().rev().find(begun));
    found.or(all.first()).map(|s| s.2.clone())
}

/// The place with many recordings that is meant, if it is one.
pub(super) fn place(named: &Path) -> Option<&Path> {
    (named.is_dir() && !is_session(named)).then_some(named)
}

fn is_session(dir: &Path) -> bool {
    dir.join("meta").is_file()
}

fn newest(place: &Path) -> Result<PathBuf> {
    let sessions = list(place)?;
    let readable = sessions.iter().rev().find(|s| s.error.is_none() && s.end.is_some());
    match (readable, sessions.last()) {
        (Some(s), _) => Ok(s.path.clone()),
        (None, Some(s)) => bail!(
            "nothing in {} can be shown: {}",
            place.display(),
            s.error.as_deref().unwrap_or("it holds no sample yet")
        ),
        (None, None) => {
            bail!("nothing is recorded in {}; lmptop record makes a recording", place.display())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::session::{Info, Writer};
    use crate::table::Sample;

    const S: i64 = 1_000_000_000;
    const T: i64 = 1_795_264_000;

    /// A recording from one second to another.
    fn recorded(place: &Path, from: i64, to: i64) -> PathBuf {
        let info = Info { start_wall_ns: from * S, ..Info::default() };
        let mut writer = Writer::create(place, info).unwrap();
        for at in from..=to {
            let sample = Sample { mono_ns: at as u64, wall_ns: at * S, tables: Vec::new() };
            writer.append(&sample).unwrap();
        }
        let path = writer.path().to_owned();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_time_leads_to_the_recording_of_that_time() {
        let place = tempfile::tempdir().unwrap();
        let first = recorded(place.path(), T, T + 60);
        let second = recorded(place.path(), T + 100, T + 160);
        for (text, want) in [
            ("start", &first),
            ("1795264030", &first),
            ("-2m", &first),
            ("+10s", &first),
            // Between two: how it was before the gap.
            ("1795264080", &first),
            ("1795264101", &second),
            ("end", &second),
            ("-10s", &second),
            // Before everything there is only what comes first.
            ("1795263000", &first),
        ] {
            let found = find_at(Some(place.path()), Some(text), &TimeZone::UTC).unwrap();
            assert_eq!(&found.path, want, "{text}");
            assert_eq!(found.span, Some((T * S, (T + 160) * S)));
        }
        for (named, at) in [(place.path(), None), (&second, Some("start"))] {
            let found = find_at(Some(named), at, &TimeZone::UTC).unwrap();
            assert_eq!((found.path, found.span), (second.clone(), None));
        }
    }
}
