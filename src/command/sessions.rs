//! `lmptop sessions`: what is recorded, and which recording a name on the command line means.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::say;
use crate::cli::{self, Plain};
use crate::export::grid;
use crate::session::{Listing, default_place, list};
use crate::table::clock::{date_and_clock, rfc3339};
use crate::table::quantity::{Style, format};
use crate::table::{Field, Type, Unit, Value};

/// Prints the list, oldest first.
///
/// # Errors
/// When the place cannot be read.
pub fn run(args: &cli::Sessions) -> Result<()> {
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

/// The sessions in `dir`, or `dir` itself if it is one.
fn listed(dir: &Path) -> Result<Vec<Listing>> {
    let dir = dir.canonicalize().with_context(|| {
        format!("cannot look for recordings in {}; is the path right?", dir.display())
    })?;
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
    }
}

fn cells(s: &Listing, zone: &TimeZone) -> Vec<String> {
    let time = |t: Option<i64>| t.map_or_else(|| "-".to_owned(), |t| date_and_clock(t, zone));
    let ended = match (&s.error, s.recording, s.clean) {
        (Some(error), _, _) => error.clone(),
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

/// The recording that `named` means: an exported file, a session's directory, the newest in a directory of sessions,
/// or the id of one in the default place; the newest of all when nothing is named.
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
