//! Column lists keep what they promise, and README's reference is made from them:
//! `LMPTOP_WRITE=1 cargo test --test reference` writes it anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::{env, fs};

use lmptop::source;
use lmptop::table::{Column, Kind, Nature, Schema};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- columns: written by tests/reference.rs -->\n";
const END: &str = "<!-- columns end -->\n";
/// A header is no wider than this.
const TITLE: usize = 8;

/// What is wrong with a table's columns.
fn faults(schema: &Schema) -> Vec<String> {
    let mut out = Vec::new();
    let mut names = BTreeSet::new();
    let mut fault = |id: &str, what: &str| out.push(format!("{}.{id}: {what}", schema.table()));
    for field in schema.stored() {
        let id = field.id.as_str();
        for name in field.alias.iter().map(String::as_str).chain([id]) {
            if !names.insert(name.to_owned()) {
                fault(id, &format!("{name} names two columns"));
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
                fault(id, &format!("{name} is not snake_case"));
            }
        }
        if field.title.is_empty() || field.title.chars().count() > TITLE {
            fault(id, &format!("the title {:?} has not 1 to {TITLE} characters", field.title));
        }
        let (said, source) = field.help.rsplit_once('(').unwrap_or((&field.help, ""));
        if said.trim().is_empty() || !source.ends_with(").") && !source.ends_with(')') {
            fault(id, &format!("the help does not end with (its source): {:?}", field.help));
        }
    }
    if !schema.stored().iter().any(|f| f.kind == Kind::Key)
        && !["host", "text"].contains(&schema.table())
    {
        fault("*", "no key, so that a row is not found again");
    }
    out
}

fn reference() -> String {
    let mut out = String::new();
    for schema in source::schemas() {
        writeln!(
            out,
            "\n**{}**\n\n| column | title | meaning (source) |\n|---|---|---|",
            schema.table()
        )
        .unwrap();
        for field in schema.stored() {
            let help = field.help.replace('|', "\\|");
            writeln!(out, "| `{}` | {} | {help} |", field.id, field.title).unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn columns_keep_their_promise() {
    let all: Vec<String> = source::schemas().iter().flat_map(|s| faults(s)).collect();
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

#[test]
fn readme_has_every_column() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (kept, after) = rest.split_once(END).unwrap();
    let wanted = reference();
    if env::var_os("LMPTOP_WRITE").is_some() {
        fs::write(README, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert!(kept == wanted, "README's columns are old: LMPTOP_WRITE=1 cargo test --test reference");
}

#[test]
fn faults_are_found() {
    type C = Column<u64>;
    const GOOD: C =
        C::u64("pid", "PID", Kind::Key, |r| Some(*r)).help("Process (task_struct.tgid).");
    const BAD: &[C] = &[
        GOOD,
        GOOD,
        C::u64("Rate", "RATE", Kind::Gauge, |r| Some(*r)).help("A rate (a.b)."),
        C::u64("a", "NINECHARS", Kind::Gauge, |r| Some(*r)).help("A thing (a.b)."),
        C::u64("b", "B", Kind::Gauge, |r| Some(*r)).help("No source."),
        C::u64("c", "C", Kind::Gauge, |r| Some(*r)),
    ];
    assert_eq!(faults(&Schema::of("good", Nature::State, &[GOOD])), Vec::<String>::new());
    assert_eq!(faults(&Schema::of("bad", Nature::State, BAD)).len(), 5);
    assert_eq!(faults(&Schema::of("keyless", Nature::State, &BAD[3..4])).len(), 2);
}
