//! Folded text: `comm;frame;frame number` a line, as perf's and bcc's scripts write it.
//!
//! The first frame is the thread's name. `_[k]`, `_[j]` and `_[i]` behind a name say that it is the
//! kernel's, made at run time, or inlined; behind a frame `-` or `--` (bcc) all are the kernel's.

use anyhow::{Result, ensure};

use super::{Each, Key, Profile, Row, Rows, cells, name};
use crate::table::stack::{INLINED, JIT, KERNEL, UNKNOWN};

/// What our own export writes where there was no stack.
const NO_STACK: &str = "[no stack]";

pub(super) fn read(bytes: &[u8], each: Each) -> Result<Profile> {
    ensure!(!bytes.contains(&0), "it is neither folded text nor a pprof profile");
    let text = String::from_utf8_lossy(bytes);
    let mut rows = Rows::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        if rows.full() {
            rows.skip(|| format!("lines from {} on: there are more than are kept", n + 1));
            break;
        }
        match row(line, each) {
            Some(row) => rows.add(row),
            None => rows.skip(|| {
                let shown: String = line.chars().take(60).collect();
                format!("line {} is no frames and a number: {shown}", n + 1)
            }),
        }
    }
    Ok(Profile { rows: rows.rows, skipped: rows.skipped, ..Profile::default() })
}

fn row(line: &str, each: Each) -> Option<Row> {
    let (frames, number) = line.rsplit_once(char::is_whitespace)?;
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let n = Some(number).filter(|n| n.chars().all(digits))?.parse::<f64>().ok()?;
    let (comm, stack) = match frames.trim_end().split_once(';') {
        Some((comm, stack)) => (comm, stack),
        None => (frames.trim_end(), ""),
    };
    let mut kernel = false;
    let mut told: Vec<(String, &str)> = Vec::new();
    let inlined = format!("{INLINED}{UNKNOWN}");
    for frame in stack.split(';').filter(|f| !f.is_empty() && *f != NO_STACK) {
        if matches!(frame, "-" | "--") {
            kernel = true;
            continue;
        }
        let (function, module) = match frame.rsplit_once("_[") {
            Some((function, "k]")) => (function, KERNEL),
            Some((function, "j]")) => (function, JIT),
            Some((function, "i]")) => (function, inlined.as_str()),
            _ => (frame, UNKNOWN),
        };
        told.push((name(function), if kernel { KERNEL } else { module }));
    }
    let (stack, modules) = cells(told.iter().map(|(f, m)| (f.as_str(), *m)));
    let (count, value) = each.of(n);
    let comm = Some(name(comm)).filter(|c| !c.is_empty());
    Some(Row { key: Key { comm, stack, modules, ..Key::default() }, count, value, live: None })
}
