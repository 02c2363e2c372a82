//! Keeps the walls of the house: which room may know which, what pure rooms stay away from,
//! how long a file may grow, and that names, headers and lists hold what they promise.
//! Each rule is a function from text to complaints, shown red on a bad sample beside it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The floors: a room and the rooms of ours it may use. `None`: any. `source::Seek` in a
/// list allows that type only.
const FLOORS: &[(&str, Option<&[&str]>)] = &[
    ("table", Some(&[])),
    ("export", Some(&["table"])),
    ("import", Some(&["table", "export::pprof"])),
    (
        "app",
        Some(&[
            "table",
            "source::Seek",
            "source::Moment",
            "source::Focus",
            "source::WATCHED",
            "source::Heap",
            "source::Scope",
            "source::Stacks",
            "source::TICKS",
        ]),
    ),
    ("view", Some(&["app", "table"])),
    ("memory", Some(&[])),
    ("urgency", Some(&[])),
    ("bpf", Some(&["memory"])),
    ("term", Some(&["app", "table", "session"])),
    ("privilege", Some(&[])),
    ("symbol", Some(&["table", "bpf", "memory", "urgency"])),
    ("probe", Some(&["table", "bpf", "memory", "symbol"])),
    ("tool", Some(&["table", "trigger", "urgency"])),
    ("trigger", Some(&["table"])),
    ("session", Some(&["table", "memory"])),
    ("source", Some(&["probe", "symbol", "tool", "trigger", "session", "table"])),
    ("command", None),
    ("cli", None),
    ("lib", None),
    ("main", None),
];

/// Rooms that see no clock, file, process or socket; time and text are handed to them.
const PURE: &[&str] = &["table", "app", "view", "export", "import"];

/// What a pure room may not name (`env` and `thread` are the world too).
const WORLD: &[&str] = &[
    "libbpf_rs",
    "libbpf_sys",
    "libc",
    "tokio",
    "sled",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
];

/// Names of files and folders that say nothing about what is in them.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared"];

/// Folders of `src/probe` that are no probe but what some of them share.
const SHARED: &[&str] = &["stack"];

const MOST_LINES: usize = 500;

/// A file of the crate: its path from the root, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    /// The room a file below `src/` belongs to.
    fn room(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
    }

    /// The code that is shipped: no comments, no tests (`src/**/tests.rs` is one by its name).
    fn shipped(&self) -> String {
        if self.path.ends_with("/tests.rs") {
            return String::new();
        }
        without_tests(&code(&self.text))
    }
}

fn files(below: &str, endings: &[&str]) -> Vec<File> {
    fn walk(dir: &Path, endings: &[&str], out: &mut Vec<File>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() {
                walk(&path, endings, out);
            } else if endings.iter().any(|e| path.to_string_lossy().ends_with(e)) {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
                let name = path.to_string_lossy();
                out.push(File::new(name.strip_prefix(root).unwrap_or(&name), &text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below), endings, &mut out);
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The code alone: comments and the insides of strings and characters are gone, line breaks stay.
fn code(text: &str) -> String {
    let b = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < b.len() {
        let rest = &text[i..];
        let gone = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = raw_string(rest, out.as_bytes().last().copied()) {
            out.push('"');
            out.push('"');
            len
        } else if b[i] == b'"' {
            out.push_str("\"\"");
            quoted(rest, b'"')
        } else if b[i] == b'\'' {
            char_literal(rest)
        } else {
            0
        };
        if gone == 0 {
            let c = rest.chars().next().unwrap();
            out.push(c);
            i += c.len_utf8();
        } else {
            out.extend(rest[..gone].bytes().filter(|c| *c == b'\n').map(char::from));
            i += gone;
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < text.len() {
        if text[i..].starts_with("/*") {
            depth += 1;
            i += 2;
        } else if text[i..].starts_with("*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += text[i..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn raw_string(text: &str, before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return None;
    }
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inside.len() + inside.find(&end)? + end.len())
}

fn quoted(text: &str, quote: u8) -> usize {
    let b = text.as_bytes();
    let mut i = 1;
    while i < b.len() && b[i] != quote {
        i += if b[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(b.len())
}

/// The length of a character literal, 0 for a lifetime.
fn char_literal(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => quoted(text, b'\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Code without items marked `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let (mut depth, mut end) = (0, item.len());
        for (i, c) in item.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ';' if depth == 0 => {
                    end = i + 1;
                    break;
                }
                _ => continue,
            }
            if depth == 0 {
                end = i + 1;
                break;
            }
        }
        rest = &item[end..];
    }
    out + rest
}

/// Every path the code names, with `use a::{b, c::d}` spelt out.
fn paths(code: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut plain = String::new();
    let mut rest = code;
    while let Some(at) = find_use(rest) {
        plain.push_str(&rest[..at]);
        let end = rest[at..].find(';').map_or(rest.len(), |e| at + e);
        let tree: String = rest[at + 4..end].split_whitespace().collect::<Vec<_>>().join(" ");
        spell_out("", &tree, &mut out);
        rest = &rest[end..];
    }
    plain.push_str(rest);
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    out.extend(plain.split(|c| !is_path(c)).filter(|p| p.contains("::")).map(str::to_owned));
    out
}

fn find_use(code: &str) -> Option<usize> {
    code.match_indices("use ")
        .map(|(at, _)| at)
        .find(|at| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '\''))
}

fn spell_out(prefix: &str, tree: &str, out: &mut BTreeSet<String>) {
    let tree = tree.trim();
    if let Some((head, inside)) = tree.split_once('{') {
        let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
        let (mut depth, mut start) = (0, 0);
        for (i, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    spell_out(&format!("{prefix}{head}"), &inside[start..i], out);
                    start = i + 1;
                }
                _ => {}
            }
        }
        spell_out(&format!("{prefix}{head}"), &inside[start..], out);
    } else if !tree.is_empty() {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        out.insert(format!("{prefix}{name}").replace(' ', ""));
    }
}

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn floors(file: &File) -> Vec<String> {
    let Some((_, allowed)) = FLOORS.iter().find(|(room, _)| *room == file.room()) else {
        return vec![format!("{}: this room has no floor; add it to FLOORS", file.path)];
    };
    let Some(allowed) = allowed else { return Vec::new() };
    let used = paths(&file.shipped());
    let ours = used
        .iter()
        .filter_map(|p| p.strip_prefix("crate::").or_else(|| p.strip_prefix("lmptop::")));
    ours.filter(|p| !begins(p, file.room()) && !allowed.iter().any(|a| begins(p, a)))
        .map(|p| format!("{}: {} may not use {p}", file.path, file.room()))
        .collect()
}

fn purity(file: &File) -> Vec<String> {
    if !PURE.contains(&file.room()) {
        return Vec::new();
    }
    let used = paths(&file.shipped());
    let world =
        |path: &&String| WORLD.iter().any(|w| begins(path, w) || path.ends_with(&format!("::{w}")));
    used.iter()
        .filter(world)
        .map(|p| format!("{}: {} is pure and may not use {p}", file.path, file.room()))
        .collect()
}

fn length(file: &File) -> Vec<String> {
    let code = file.shipped();
    let lines = code.lines().filter(|l| !l.trim().is_empty()).count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines of code, more than {MOST_LINES}; split it", file.path)]
}

fn naming(file: &File) -> Vec<String> {
    let bad = |part: &&str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part));
    let parts = file.path.split('/').filter(bad);
    parts.map(|p| format!("{}: {p} says nothing; name the thing in it", file.path)).collect()
}

fn opening(file: &File) -> Vec<String> {
    if file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!("{}: does not begin with //! and what lives here", file.path)]
}

fn licence(file: &File) -> Vec<String> {
    let mut out = Vec::new();
    let first = file.text.lines().next().unwrap_or_default();
    if !(first.contains("SPDX-License-Identifier: ") && first.contains("MIT")) {
        out.push(format!("{}: the first line is no SPDX header with MIT", file.path));
    }
    if file.path.ends_with(".bpf.c") && !file.text.contains("\"Dual MIT/GPL\"") {
        out.push(format!("{}: its licence section is not Dual MIT/GPL", file.path));
    }
    out
}

/// Paths that exist only where somebody builds.
fn homes(file: &File) -> Vec<String> {
    let marks = [["/", "work/"].concat(), ["/tmp/", "wt"].concat(), ["/home", "/"].concat()];
    let mut out = Vec::new();
    for (n, line) in file.text.lines().enumerate() {
        for mark in marks.iter().filter(|m| line.contains(m.as_str())) {
            out.push(format!("{}:{}: names {mark}, a developer's machine", file.path, n + 1));
        }
    }
    out
}

/// A probe is a folder with `mod.rs` and `columns.rs` (or a folder of them) that `src/probe/mod.rs` lists.
fn probe_rooms(list: &str, files: &[&str]) -> Vec<String> {
    let inside = files.iter().filter_map(|f| f.strip_prefix("src/probe/"));
    let rooms: BTreeSet<&str> = inside.filter_map(|f| f.split_once('/').map(|(r, _)| r)).collect();
    let list = without_tests(&code(list));
    let mut out = Vec::new();
    for room in rooms.into_iter().filter(|room| !SHARED.contains(room)) {
        for either in [&["mod.rs"][..], &["columns.rs", "columns/mod.rs"]] {
            let paths = either.iter().map(|e| format!("src/probe/{room}/{e}"));
            if !paths.clone().any(|p| files.contains(&p.as_str())) {
                let told = paths.collect::<Vec<_>>().join(" or ");
                out.push(format!("{told}: missing; every probe has the same shape"));
            }
        }
        if !list.contains(&format!("mod {room};")) || !list.contains(&format!("{room}::")) {
            out.push(format!("src/probe/{room}: not in the list of src/probe/mod.rs"));
        }
    }
    out
}

/// A kernel side has a room of its name.
fn kernel_sides(bpf: &[&str], src: &[&str]) -> Vec<String> {
    let rooms = bpf.iter().filter_map(|p| p.strip_prefix("bpf/")?.strip_suffix(".bpf.c"));
    rooms
        .filter(|r| {
            let stem = r.split('_').next().unwrap_or(r);
            let homes = [format!("src/probe/{stem}/"), format!("src/{stem}/")];
            !src.iter().any(|s| homes.iter().any(|home| s.starts_with(home)))
        })
        .map(|r| format!("bpf/{r}.bpf.c: no src/probe/{r}/ reads it"))
        .collect()
}

fn every(files: &[File], rule: fn(&File) -> Vec<String>) -> Vec<String> {
    files.iter().flat_map(rule).collect()
}

#[test]
fn arrows_point_down() {
    none(&every(&files("src", &[".rs"]), floors));
}

#[test]
fn pure_rooms_see_no_world() {
    none(&every(&files("src", &[".rs"]), purity));
}

#[test]
fn files_stay_short() {
    none(&every(&files("src", &[".rs"]), length));
    none(&every(&files("bpf", &[".c", ".h"]), length));
}

#[test]
fn names_say_something() {
    none(&every(&files("src", &[".rs"]), naming));
    none(&every(&files("bpf", &[".c", ".h"]), naming));
    none(&every(&files("tests", &[".rs"]), naming));
}

#[test]
fn every_file_tells_what_lives_in_it() {
    none(&every(&files("src", &[".rs"]), opening));
    none(&every(&files("tests", &[".rs"]), opening));
}

#[test]
fn kernel_side_is_dual_licensed() {
    none(&every(&files("bpf", &[".c", ".h"]), licence));
}

#[test]
fn no_developers_machine_is_named() {
    for below in ["src", "bpf", "tests", "benches", "examples", ".ci", "screenshots", "scripts"] {
        none(&every(&files(below, &[""]), homes));
    }
    for path in ["README.md", "CHANGELOG.md", "Makefile", "Cargo.toml", "build.rs"] {
        none(&homes(&File::new(path, &read(path))));
    }
}

#[test]
fn probes_are_listed_and_of_one_shape() {
    let src = files("src", &[".rs"]);
    let paths: Vec<&str> = src.iter().map(|f| f.path.as_str()).collect();
    none(&probe_rooms(&read("src/probe/mod.rs"), &paths));
    let bpf = files("bpf", &[".bpf.c"]);
    none(&kernel_sides(&bpf.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), &paths));
}

/// Each rule complains about a bad sample and not about a good one.
#[test]
fn rules_can_fail() {
    fn check(rule: fn(&File) -> Vec<String>, path: &str, text: &str, complaints: usize) {
        let got = rule(&File::new(path, text));
        assert_eq!(got.len(), complaints, "{path}: {text:?} gave {got:?}");
    }
    check(floors, "src/table/a.rs", "use crate::{table::Kind, probe::At};", 1);
    check(floors, "src/view/a.rs", "fn f() { crate::session::open() }", 1);
    check(floors, "src/app/a.rs", "use crate::source::{Seek, Moment}; use crate::table::*;", 0);
    check(floors, "src/app/a.rs", "use crate::source::Live;", 1);
    check(floors, "src/app/a.rs", "#[cfg(test)] mod t { use crate::probe::At; }", 0);
    check(floors, "src/app/a.rs", "// crate::probe::At\nconst A: &str = \"crate::probe::At\";", 0);
    check(floors, "src/probe/a.rs", "use crate::command::Run;", 1);
    check(floors, "src/cellar/a.rs", "", 1);
    check(purity, "src/table/a.rs", "use std::{collections::BTreeMap, fs};", 1);
    check(purity, "src/view/a.rs", "fn f() { std::time::Instant::now(); }", 1);
    check(purity, "src/view/a.rs", "fn f() -> char { '\"' } fn g() { Instant::now(); }", 1);
    check(purity, "src/app/a.rs", "use std::net::{IpAddr, TcpStream as T};", 1);
    check(purity, "src/app/a.rs", "use std::net::IpAddr; use std::time::Instant;", 0);
    check(purity, "src/export/a.rs", "use libbpf_rs::skel::OpenSkel;", 1);
    check(purity, "src/session/a.rs", "use std::fs;", 0);
    let long = "let a = 1;\n".repeat(MOST_LINES);
    check(length, "src/a.rs", &long, 0);
    check(length, "src/a.rs", &format!("{long}\n// more\n\n#[cfg(test)]\nmod t {{ {long} }}"), 0);
    check(length, "bpf/a.bpf.c", &format!("{long}int b;"), 1);
    check(length, "src/a/tests.rs", &format!("{long}{long}"), 0);
    check(naming, "src/util/a.rs", "", 1);
    check(naming, "src/table/helpers.rs", "", 1);
    check(naming, "src/table/column.rs", "", 0);
    check(opening, "src/a.rs", "use a;\n//! late", 1);
    check(opening, "src/a.rs", "//! What.", 0);
    check(licence, "bpf/a.bpf.c", "// SPDX-License-Identifier: GPL-2.0\n", 2);
    check(licence, "bpf/a.h", "/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */", 0);
    check(homes, "src/a.rs", &["let a = \"/ho", "me/me/x\";"].concat(), 1);
    check(homes, "src/a.rs", "let a = \"/var/lib/lmptop\";", 0);
    let full = ["src/probe/net/mod.rs", "src/probe/net/columns.rs"];
    assert!(probe_rooms("mod net;\nfn all() { net::Net::new() }", &full).is_empty());
    assert_eq!(probe_rooms("mod net; // net::Net", &full).len(), 1);
    assert_eq!(probe_rooms("mod net;\nfn f() { net::a() }", &full[..1]).len(), 1);
    assert!(kernel_sides(&["bpf/net.bpf.c", "bpf/net_events.bpf.c"], &full).is_empty());
    assert_eq!(kernel_sides(&["bpf/proc.bpf.c"], &full).len(), 1);
}
