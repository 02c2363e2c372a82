//! What is recorded in a place, without opening any database.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::meta::{Last, Meta, Summary, recorded_now, segments};
use crate::table::clean;

/// One session as `lmptop sessions` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Listing {
    /// Its name.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// Unix time in ns of its start.
    pub start: Option<i64>,
    /// Unix time in ns of its newest sample, if it has one.
    pub end: Option<i64>,
    /// Host it was recorded on.
    pub host: String,
    /// Kernel release it was recorded on.
    pub kernel: String,
    /// Its tables.
    pub tables: Vec<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// It ended as it should; false when it was cut off, and while it is being recorded.
    pub clean: bool,
    /// Some process records into it now.
    pub recording: bool,
    /// Why it cannot be read, in one sentence.
    pub error: Option<String>,
    /// Samples; known of an exported file only.
    pub samples: Option<u64>,
    /// Whether names were replaced; of an exported file only.
    pub redacted: Option<bool>,
}

/// The sessions of a place, oldest first. A broken one is listed with its error.
///
/// # Errors
/// When the place exists but cannot be read.
pub fn list(place: &Path) -> Result<Vec<Listing>> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(e).with_context(|| {
                format!("cannot read the recordings in {}: run as their owner, or name another place with --session", place.display())
            });
        }
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            out.push(look(&entry.path()));
        }
    }
    out.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
    Ok(out)
}

/// One session.
pub(super) fn look(path: &Path) -> Listing {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut listing = Listing {
        id: clean(&name).into_owned(),
        path: path.to_path_buf(),
        bytes: disk_bytes(path),
        ..Listing::default()
    };
    let (info, tables, _) = match Meta::read(path) {
        Ok(meta) => meta,
        Err(e) => {
            listing.error = Some(clean(&format!("{e:#}")).into_owned());
            return listing;
        }
    };
    listing.start = Some(info.start_wall_ns);
    (listing.host, listing.kernel) = (info.host, info.kernel);
    let names: BTreeSet<&str> = tables.iter().map(|s| s.table()).collect();
    listing.tables = names.into_iter().map(str::to_owned).collect();
    listing.recording = recorded_now(path);
    let last = Last::read(path);
    listing.clean = last.is_some_and(|l| l.clean) && !listing.recording;
    listing.end = last.filter(|l| l.next > 0).map(|l| l.wall_ns).or_else(|| finished_end(path));
    listing
}

/// The end as the finished segments tell it, when `last` is missing or damaged.
fn finished_end(path: &Path) -> Option<i64> {
    let numbers = segments(path).ok()?;
    let summary = |n: &u32| Summary::read(path, *n).ok().flatten();
    numbers.iter().rev().find_map(summary).map(|s| s.end_wall_ns)
}

/// Bytes on disk of a directory and what is in it, three levels deep: all a session has.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    fn sum(dir: &Path, depth: u32) -> u64 {
        let Ok(entries) = fs::read_dir(dir) else { return 0 };
        entries
            .flatten()
            .filter_map(|e| Some((e.path(), e.metadata().ok()?)))
            .map(|(path, m)| {
                let below = if m.is_dir() && depth > 0 { sum(&path, depth - 1) } else { 0 };
                m.blocks() * 512 + below
            })
            .sum()
    }
    sum(dir, 2)
}

/// Where root keeps sessions, and the recorder that systemd starts.
pub const SYSTEM_PLACE: &str = "/var/lib/lmptop";

/// Where sessions are kept unless told otherwise: [`SYSTEM_PLACE`] for root, else
/// `$XDG_STATE_HOME/lmptop` or `~/.local/state/lmptop`.
pub fn default_place() -> PathBuf {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        return PathBuf::from(SYSTEM_PLACE);
    }
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| std::env::temp_dir().join("lmptop-state"))
        .join("lmptop")
}
