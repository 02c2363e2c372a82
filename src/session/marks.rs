//! Marks with a note, kept beside a session's segments in the file `marks` (0600).
//!
//! A line is a CRC32 in eight hex digits, a blank, and JSON; lines are only ever added, each in
//! one write, so that several screens may mark one session. A line may take a mark back that stands
//! before it. A damaged line is passed over.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::table::clean;

/// The file's name in a session's directory.
pub(super) const FILE: &str = "marks";
/// Longest note, in characters.
pub const LONGEST_NOTE: usize = 200;
/// Marks kept in a session at most, and bytes of the file that are read.
const MOST: usize = 4096;
const MOST_BYTES: u64 = 4 << 20;

/// An instant somebody wants to find again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Unix time of the sample, ns.
    #[serde(rename = "time_ns")]
    pub at: i64,
    /// What was to be remembered; may be empty.
    pub note: String,
}

/// A mark, or that it is taken back, as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    mark: Mark,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

/// The marks of a session, oldest instant first, and how many lines are damaged or too many.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn marks(session: &Path) -> Result<(Vec<Mark>, usize)> {
    let path = session.join(FILE);
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    ensure!(file.metadata()?.is_file(), "{} is not a file", path.display());
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(unpack(&bytes))
}

/// The same from the file's bytes, wherever they are kept.
pub(super) fn unpack(bytes: &[u8]) -> (Vec<Mark>, usize) {
    let (mut out, mut damaged) = (Vec::new(), 0);
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        match read(line) {
            Some(Line { mark, removed: true }) => {
                if let Some(at) = out.iter().rposition(|m| *m == mark) {
                    out.remove(at);
                }
            }
            Some(Line { mark, .. }) if out.len() < MOST => out.push(mark),
            _ => damaged += 1,
        }
    }
    out.sort_by_key(|m| m.at);
    (out, damaged)
}

/// A mark as a line of the file.
pub(super) fn pack(mark: &Mark) -> Result<Vec<u8>> {
    pack_line(mark, false)
}

fn pack_line(mark: &Mark, removed: bool) -> Result<Vec<u8>> {
    let mark = Mark { at: mark.at, note: tidy(&mark.note) };
    let json = serde_json::to_vec(&Line { mark, removed })?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn read(line: &[u8]) -> Option<Line> {
    let (crc, json) = line.split_at_checked(9)?;
    let crc = std::str::from_utf8(crc).ok()?.strip_suffix(' ')?;
    let wanted = u32::from_str_radix(crc, 16).ok()?;
    if crc32fast::hash(json) != wanted {
        return None;
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    let mark = Mark { note: tidy(&line.mark.note), ..line.mark };
    Some(Line { mark, ..line })
}

/// Harmless on a terminal, one line, not too long.
fn tidy(note: &str) -> String {
    clean(note.trim()).chars().take(LONGEST_NOTE).collect()
}

/// Adds a mark to a session.
///
/// # Errors
/// When the directory may not be written, or there are too many marks.
pub fn add_mark(session: &Path, mark: &Mark) -> Result<()> {
    append(session, &pack(mark)?)
}

/// Takes a mark of a session back; adding it again brings it back.
///
/// # Errors
/// When the directory may not be written, or there are too many marks.
pub fn remove_mark(session: &Path, mark: &Mark) -> Result<()> {
    append(session, &pack_line(mark, true)?)
}

fn append(session: &Path, packed: &[u8]) -> Result<()> {
    let path = session.join(FILE);
    let fail = || format!("cannot write {}", path.display());
    let mut options = OpenOptions::new();
    options.append(true).read(true).create(true).mode(0o600);
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
    let mut file = file.with_context(fail)?;
    let meta = file.metadata()?;
    ensure!(meta.is_file(), "{} is not a file", path.display());
    ensure!(meta.size() < MOST_BYTES / 2, "{} holds too many marks", path.display());
    let mut line = Vec::new();
    // After a line that was cut off, a new one begins.
    let mut last = [0];
    if meta.size() > 0 && file.read_at(&mut last, meta.size() - 1)? == 1 && last != *b"\n" {
        line.push(b'\n');
    }
    line.extend_from_slice(packed);
    file.write_all(&line).with_context(fail)
}

/// So many marks are damaged, as the beginning of a sentence.
pub fn damaged_marks(n: usize) -> String {
    if n == 1 { "1 mark is damaged".to_owned() } else { format!("{n} marks are damaged") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mark(at: i64, note: &str) -> Mark {
        Mark { at, note: note.to_owned() }
    }

    #[test]
    fn marks_come_back_in_order_and_private() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(marks(dir.path()).unwrap(), (Vec::new(), 0));
        add_mark(dir.path(), &mark(7, "later")).unwrap();
        add_mark(dir.path(), &mark(-5, "日本 \"x\"\x1b[2J\n")).unwrap();
        add_mark(dir.path(), &mark(6, &"y".repeat(5000))).unwrap();
        let (found, damaged) = marks(dir.path()).unwrap();
        assert_eq!(found.iter().map(|m| m.at).collect::<Vec<_>>(), [-5, 6, 7]);
        assert!(found[0].note.starts_with("日本 \"x\"") && !found[0].note.contains('\x1b'));
        assert_eq!((found[1].note.len(), damaged), (LONGEST_NOTE, 0));
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_mark_is_taken_back_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        for (at, note) in [(1, "one"), (2, "two"), (2, "two"), (2, "else")] {
            add_mark(dir.path(), &mark(at, note)).unwrap();
        }
        let notes = || -> Vec<String> {
            let (all, damaged) = marks(dir.path()).unwrap();
            assert_eq!(damaged, 0);
            all.into_iter().map(|m| m.note).collect()
        };
        remove_mark(dir.path(), &mark(2, "two")).unwrap();
        assert_eq!(notes(), ["one", "two", "else"], "one of two that are the same");
        remove_mark(dir.path(), &mark(2, "two")).unwrap();
        remove_mark(dir.path(), &mark(2, "two")).unwrap();
        assert_eq!(notes(), ["one", "else"], "what is not there cannot be taken");
        add_mark(dir.path(), &mark(2, "two")).unwrap();
        assert_eq!(notes(), ["one", "else", "two"]);
    }

    #[test]
    fn damaged_lines_are_passed_over_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        for at in 0..5 {
            add_mark(dir.path(), &mark(at, "note")).unwrap();
        }
        let path = dir.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        let line = bytes.len() / 5;
        bytes[line + 15] ^= 4;
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        let (found, damaged) = marks(dir.path()).unwrap();
        assert_eq!(found.iter().map(|m| m.at).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(damaged, 2);
        // What is added now is not lost with the cut line before it.
        add_mark(dir.path(), &mark(9, "")).unwrap();
        assert_eq!(marks(dir.path()).unwrap().0.last().unwrap().at, 9);
        for n in 0..bytes.len() {
            std::fs::write(&path, &bytes[..n]).unwrap();
            let _ = marks(dir.path()).unwrap();
        }
    }

    #[test]
    fn one_mark_is_one() {
        assert_eq!(damaged_marks(1), "1 mark is damaged");
        assert_eq!(damaged_marks(2), "2 marks are damaged");
    }

    #[test]
    fn neither_a_link_nor_a_directory_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "x").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join(FILE)).unwrap();
        assert!(add_mark(dir.path(), &mark(1, "")).is_err());
        assert!(marks(dir.path()).is_err());
        assert_eq!(std::fs::read(&other).unwrap(), b"x");
    }
}
