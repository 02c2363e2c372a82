//! What lies in a session's directory: its segments, and files that do not belong there or that
//! others may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::meta::segments;
use crate::table::clean;

/// Sentences about one directory; a directory full of foreign files says no more after that.
const MOST: usize = 50;

/// Files that a session may have beside its segments.
const KNOWN: [&str; 5] = ["meta", super::meta::COPY, "last", "marks", "viewers"];

/// Numbers of the segments that have files or a summary, ascending.
pub(super) fn numbers(session: &Path) -> Result<Vec<u32>> {
    let mut all = segments(session)?;
    let entries = fs::read_dir(session)
        .with_context(|| format!("cannot read session {}", session.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stem = name.to_str().and_then(|n| n.strip_suffix(".json"));
        all.extend(stem.and_then(numbered));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn numbered(name: &str) -> Option<u32> {
    (name.len() >= 4 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

/// Files that are unknown, left over, or open to others, one sentence each.
pub(super) fn strays(session: &Path, recording: bool) -> Vec<String> {
    let mut out = Vec::new();
    mode(session, ".", &mut out);
    each(session, "", &mut out, &mut |name, dir, path, out| {
        if dir && name.strip_suffix(".thinning").and_then(numbered).is_some() {
            if !recording {
                out.push(format!("`{name}` is left over from an interrupted write"));
            }
            return;
        }
        let stem = name.strip_suffix(".packed").unwrap_or(name);
        if dir && numbered(stem).is_some() {
            // Its recorder takes others' rights off new files with the next flush.
            if !recording || summary(session, stem) {
                segment(session, path, name, out);
            }
            return;
        }
        let known = match name.rsplit_once('.') {
            Some((_, "tmp")) => {
                out.push(format!("`{name}` is left over from an interrupted write"));
                true
            }
            Some((stem, "json")) => numbered(stem).is_some(),
            _ => KNOWN.contains(&name),
        };
        if dir || !known {
            out.push(format!("`{name}` does not belong to a session"));
        }
    });
    out.truncate(MOST);
    out
}

fn summary(session: &Path, stem: &str) -> bool {
    session.join(format!("{stem}.json")).exists()
}

fn segment(session: &Path, path: &Path, name: &str, out: &mut Vec<String>) {
    let plain = name.strip_suffix(".packed");
    let both = plain.is_some_and(|stem| session.join(stem).exists());
    if both {
        out.push(format!(
            "`{name}` and `{}` are both there: one is left over",
            plain.unwrap_or("")
        ));
    }
    each(path, name, out, &mut |file, dir, path, out| {
        if dir && file == "blobs" {
            let under = format!("{name}/blobs");
            each(path, &under, out, &mut |blob, dir, _, out| {
                if dir || !blob.bytes().all(|b| b.is_ascii_hexdigit()) {
                    out.push(format!("`{under}/{blob}` does not belong to a session"));
                }
            });
        } else if file.ends_with(".generating") {
            out.push(format!("`{name}/{file}` is left over from an interrupted write"));
        } else if dir || !(["conf", "db"].contains(&file) || file.starts_with("snap.")) {
            out.push(format!("`{name}/{file}` does not belong to a session"));
        }
    });
}

/// What is done with an entry: its name, whether it is a directory, its path, the sentences.
type Look<'a> = dyn FnMut(&str, bool, &Path, &mut Vec<String>) + 'a;

fn each(dir: &Path, under: &str, out: &mut Vec<String>, look: &mut Look<'_>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if out.len() >= MOST {
            return;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let name = clean(&entry.file_name().to_string_lossy()).into_owned();
        let shown = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        if kind.is_symlink() {
            out.push(format!("`{shown}` is a link and is not followed"));
            continue;
        }
        mode(&entry.path(), &shown, out);
        look(&name, kind.is_dir(), &entry.path(), out);
    }
}

/// Recordings hold command lines and addresses: only their owner is to read them.
fn mode(path: &Path, name: &str, out: &mut Vec<String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let has = meta.permissions().mode() & 0o777;
    let most = if meta.is_dir() { 0o700 } else { 0o600 };
    if has & !most != 0 {
        out.push(format!("`{name}` has mode {has:04o}, wider than {most:04o}"));
    }
}
