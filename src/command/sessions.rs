//! `lmptop sessions`: what is recorded, and which recording a name on the command line means.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{inspection, say};
use crate::cli::{self, Plain};
use crate::export::grid;
use crate::session::{Listing, SYSTEM_PLACE, default_place, file_listing, is_session, list};
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
    let mut closed = None;
    let sessions = match &args.session {
        None => {
            let places = Places::usual();
            closed.clone_from(&places.closed);
            places.all()?
        }
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
    say(&out)?;
    if let Some(why) = closed {
        eprintln!("lmptop: {why}");
    }
    Ok(())
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

/// Where recordings are looked for when no place is named.
pub struct Places {
    own: PathBuf,
    /// That of the machine's recorder, where it is another one and may be looked into.
    system: Option<PathBuf>,
    /// Why it may not be looked into, and what helps.
    pub closed: Option<String>,
}

impl Places {
    /// The own place, and that of root.
    pub fn usual() -> Places {
        Places::new(default_place(), Path::new(SYSTEM_PLACE))
    }

    /// These two.
    pub fn new(own: PathBuf, system: &Path) -> Places {
        let (mut open, mut closed) = (None, None);
        if own != system {
            match std::fs::read_dir(system) {
                Ok(_) => open = Some(system.to_owned()),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    closed = Some(format!(
                        "what the machine's recorder keeps in {0} is not for this user: run this \
                         with sudo, or have a part of it given: sudo lmptop export {0} -o FILE",
                        system.display()
                    ));
                }
                Err(_) => {}
            }
        }
        Places { own, system: open, closed }
    }

    /// Those that may be looked into, the own one first.
    pub fn open(&self) -> Vec<PathBuf> {
        [&self.own].into_iter().chain(&self.system).cloned().collect()
    }

    /// All recordings, oldest first.
    ///
    /// # Errors
    /// When a place cannot be read.
    pub fn all(&self) -> Result<Vec<Listing>> {
        let mut all = list(&self.own)?;
        if let Some(system) = &self.system {
            all.extend(list(system)?);
            all.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
        }
        Ok(all)
    }

    /// The own place, or where that holds nothing the other one.
    ///
    /// # Errors
    /// When a place cannot be read.
    pub fn first(&self) -> Result<&Path> {
        match &self.system {
            Some(system) if list(&self.own)?.is_empty() && !list(system)?.is_empty() => Ok(system),
            _ => Ok(&self.own),
        }
    }

    /// As [`find`].
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn find(&self, named: Option<&Path>) -> Result<PathBuf> {
        let also = || self.closed.as_ref().map_or_else(String::new, |why| format!("; {why}"));
        let Some(named) = named else {
            let place = self.first()?;
            return newest(place).map_err(|e| match list(place) {
                Ok(all) if all.is_empty() => anyhow!("{e:#}{}", also()),
                _ => e,
            });
        };
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
        let places = self.open();
        let mut here = places.iter().map(|place| place.join(named));
        match here.find(|dir| named.components().count() == 1 && is_session(dir)) {
            Some(dir) => Ok(dir),
            None => {
                bail!(
                    "there is no recording {}; lmptop sessions lists them{}",
                    named.display(),
                    also()
                )
            }
        }
    }
}

/// The recording that `named` means: an exported file, a session's directory, the newest in a
/// directory of sessions, or the id of one in the own place or the machine's; the newest of the own
/// ones, or of the machine's where there is none, when nothing is named.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    Places::usual().find(named)
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
        None => Some(Places::usual().first()?.to_owned()),
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
    Anchor { now: clocks().1, current, start, end, until: i64::MAX }
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

    #[test]
    fn where_the_own_place_has_nothing_the_machine_s_is_looked_into() {
        let (own, system) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = || Places::new(own.path().to_owned(), system.path());
        let told = places().find(None).unwrap_err().to_string();
        assert!(told.starts_with(&format!("nothing is recorded in {}", own.path().display())));
        let theirs = recorded(system.path(), T, T + 5);
        assert_eq!(places().find(None).unwrap(), theirs);
        assert_eq!(places().first().unwrap(), system.path());
        // What is one's own comes first, also when it is older; all are listed.
        let mine = recorded(own.path(), T - 100, T - 50);
        assert_eq!(places().find(None).unwrap(), mine);
        assert_eq!(places().first().unwrap(), own.path());
        let all: Vec<PathBuf> = places().all().unwrap().into_iter().map(|s| s.path).collect();
        assert_eq!(all, [mine.clone(), theirs.clone()]);
        for path in [mine, theirs] {
            let id = PathBuf::from(path.file_name().unwrap());
            assert_eq!(places().find(Some(&id)).unwrap(), path, "by its id");
        }
        // Of root they are one.
        let one = Places::new(own.path().to_owned(), own.path());
        assert_eq!(one.open(), [own.path()]);
        assert_eq!(one.all().unwrap().len(), 1);
    }

    #[test]
    fn a_place_that_is_not_for_this_user_is_told_with_what_helps() {
        use std::os::unix::fs::PermissionsExt;
        let (own, system) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        recorded(system.path(), T, T + 5);
        let mode = |dir: &Path, mode| {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(own.path(), 0o755);
        mode(system.path(), 0o000);
        let stranger = || {
            // SAFETY: a plain system call with numbers; it changes this thread only. Without the
            // right to it this is somebody else already.
            let _ = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
            let places = Places::new(own.path().to_owned(), system.path());
            let find =
                |named: Option<&str>| places.find(named.map(Path::new)).unwrap_err().to_string();
            let told = [find(None), find(Some("20261121T000000Z"))];
            (places.open(), places.all().unwrap().len(), places.closed.clone(), told)
        };
        let (open, all, closed, told) =
            std::thread::scope(|scope| scope.spawn(stranger).join().unwrap());
        mode(system.path(), 0o755);
        assert_eq!((open, all), (vec![own.path().to_owned()], 0));
        let closed = closed.unwrap();
        assert!(closed.contains("sudo") && closed.contains("lmptop export"), "{closed}");
        assert!(told[0].starts_with("nothing is recorded in"), "{}", told[0]);
        assert!(told.iter().all(|t| t.ends_with(&closed)), "{told:?}");
    }
}
