//! What is kept: whole segments and sessions go, oldest first, because sled never gives a byte
//! of a deleted value back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::list::{disk_bytes, list};
use super::meta::{Summary, packed_dir, recorded_now, segment_dir, segments};

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Sessions that ended longer ago than this go.
    pub age: Duration,
    /// Bytes on disk of all sessions of a place together.
    pub bytes: u64,
}

impl Default for Retention {
    /// Seven days, 2 GB.
    fn default() -> Retention {
        Retention { age: Duration::from_secs(7 * 86_400), bytes: 2 << 30 }
    }
}

/// Removes what is beyond `keep` in a place, as of `now_wall_ns`; returns the directories that are
/// not there any more. A session
/// that is being recorded loses only finished segments; one that cannot be read is left alone.
///
/// # Errors
/// When the place cannot be read or something cannot be removed.
pub fn prune(place: &Path, keep: Retention, now_wall_ns: i64) -> Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    let mut sessions = list(place)?;
    sessions.retain(|s| s.error.is_none());
    let oldest =
        i64::try_from(keep.age.as_nanos()).map_or(i64::MIN, |a| now_wall_ns.saturating_sub(a));
    let mut total: u64 = sessions.iter().map(|s| s.bytes).sum();
    for s in &sessions {
        let live = recorded_now(&s.path);
        let old = s.end.is_some_and(|end| end < oldest);
        if !old && total <= keep.bytes {
            continue;
        }
        let mut numbers = segments(&s.path)?;
        if live {
            numbers.pop();
        }
        for n in numbers {
            if !old && total <= keep.bytes {
                break;
            }
            let dirs = [segment_dir(&s.path, n), packed_dir(&s.path, n)];
            let bytes = dirs.iter().map(|d| disk_bytes(d)).sum();
            remove_segment(&s.path, n)?;
            total = total.saturating_sub(bytes);
            gone.extend(dirs);
        }
        if !live && segments(&s.path)?.is_empty() {
            // The place may be anything a user named: only what a session is made of is removed.
            remove_session(&s.path)?;
            gone.push(s.path.clone());
        }
    }
    Ok(gone)
}

/// Removes one segment; its summary goes first, so that a half-removed one promises nothing.
pub(super) fn remove_segment(session: &Path, number: u32) -> Result<()> {
    let summary = Summary::path(session, number);
    if summary.exists() {
        fs::remove_file(&summary)
            .with_context(|| format!("cannot remove {}", summary.display()))?;
    }
    for dir in [segment_dir(session, number), packed_dir(session, number)] {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    Ok(())
}

fn remove_session(session: &Path) -> Result<()> {
    for name in ["last", "meta", "meta.tmp", super::marks::FILE] {
        let path = session.join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::remove_dir(session).with_context(|| format!("cannot remove {}", session.display()))
}
