//! What is kept: whole segments and sessions go, oldest first, because sled never gives a byte
//! of a deleted value back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::list::{Listing, disk_bytes, list};
use super::meta::{Summary, lock_dir, packed_dir, recorded_now, segment_dir, segments};
use super::thin::{remains, thinned_dir};

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What ended longer ago than this goes.
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

/// How far ahead of now a session may begin before its clock is held to have been wrong, in ns.
const AHEAD: i64 = 3_600_000_000_000;

/// A finished segment.
struct Piece {
    /// Of a session that begins after now.
    ahead: bool,
    /// Since when it is not needed, Unix ns: never later than for the segments after it.
    end: i64,
    session: usize,
    number: u32,
}

/// Removes what is beyond `keep` in a place, as of `now_wall_ns`; returns the directories that are
/// not there any more. A session that is being recorded loses only finished segments; one that
/// cannot be read is left alone.
///
/// Age counts only when something in the place is young: else it is as likely that the clock is
/// wrong as that nothing was recorded for so long, and what is removed does not come back.
///
/// # Errors
/// When the place cannot be read or something cannot be removed.
pub fn prune(place: &Path, keep: Retention, now_wall_ns: i64) -> Result<Vec<PathBuf>> {
    let mut sessions = list(place)?;
    sessions.retain(|s| s.error.is_none());
    let oldest =
        i64::try_from(keep.age.as_nanos()).map_or(i64::MIN, |a| now_wall_ns.saturating_sub(a));
    let young = sessions.iter().filter_map(|s| s.end).any(|end| end >= oldest);
    let oldest = if young { oldest } else { i64::MIN };
    let mut total: u64 = sessions.iter().map(|s| s.bytes).sum();
    let mut gone = Vec::new();
    for piece in pieces(&sessions, now_wall_ns)? {
        if piece.end >= oldest && total <= keep.bytes {
            continue;
        }
        let path = &sessions[piece.session].path;
        // Somebody else thins or removes it just now.
        let Some(_lock) = lock_dir(path) else { continue };
        let dirs = dirs(path, piece.number);
        let bytes = dirs.iter().map(|d| disk_bytes(d)).sum();
        remove_segment(path, piece.number)?;
        total = total.saturating_sub(bytes);
        gone.extend(dirs);
    }
    for s in &sessions {
        let over = total > keep.bytes || s.end.is_some_and(|end| end < oldest);
        let emptied = gone.iter().any(|g| g.starts_with(&s.path)) || over;
        if emptied && !recorded_now(&s.path) && segments(&s.path)?.is_empty() {
            // The place may be anything a user named: only what a session is made of is removed.
            remove_session(&s.path)?;
            gone.push(s.path.clone());
        }
    }
    Ok(gone)
}

/// All finished segments, the first to go first.
fn pieces(sessions: &[Listing], now_wall_ns: i64) -> Result<Vec<Piece>> {
    let mut out = Vec::new();
    for (session, s) in sessions.iter().enumerate() {
        let live = recorded_now(&s.path);
        let mut numbers = segments(&s.path)?;
        if live {
            numbers.pop();
        }
        let ended = s.end.or(s.start).unwrap_or(i64::MIN);
        // A clock that was ahead once must not make a session the newest of all for ever.
        let begins = s.start.unwrap_or(i64::MIN);
        let ahead = !live && begins > now_wall_ns.saturating_add(AHEAD);
        let mut end = i64::MAX;
        let mut own = Vec::new();
        // From the last to the first: none may go before one that was recorded earlier, also
        // where the clock was set back in between.
        for number in numbers.into_iter().rev() {
            let said = Summary::read(&s.path, number).ok().flatten();
            let known = said.filter(|s| s.samples > 0).map(|s| s.max_wall_ns);
            end = end.min(known.unwrap_or(ended));
            own.push(Piece { ahead, end, session, number });
        }
        out.extend(own.into_iter().rev());
    }
    // Stable: sessions of the same age stay in order of their start, segments of their number.
    out.sort_by_key(|p| (!p.ahead, p.end));
    Ok(out)
}

fn dirs(session: &Path, number: u32) -> [PathBuf; 3] {
    [segment_dir(session, number), packed_dir(session, number), thinned_dir(session, number)]
}

/// Removes one segment; its summary goes first, so that a half-removed one promises nothing.
pub(super) fn remove_segment(session: &Path, number: u32) -> Result<()> {
    let summary = Summary::path(session, number);
    if summary.exists() {
        fs::remove_file(&summary)
            .with_context(|| format!("cannot remove {}", summary.display()))?;
    }
    for dir in dirs(session, number) {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    Ok(())
}

fn remove_session(session: &Path) -> Result<()> {
    for dir in remains(session)? {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    let others = ["last", "meta", super::meta::COPY, "meta.tmp"];
    for name in others.into_iter().chain([super::marks::FILE, super::talk::NAME]) {
        let path = session.join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::remove_dir(session).with_context(|| format!("cannot remove {}", session.display()))
}
