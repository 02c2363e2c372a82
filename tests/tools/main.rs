//! The judge of the table finder: real outputs beside the tables a careful reader sees in them.
//! What is expected was written down from the tools' documentation and by eye, not from the
//! parser. `LMPTOP_CORPUS=DIR` runs it over another directory, without the known failures.

#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod compare;
mod found;
mod want;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use found::Collect;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools");

/// Where the captures are, and whether they are those of this directory.
fn corpus() -> (PathBuf, bool) {
    match env::var_os("LMPTOP_CORPUS") {
        Some(dir) => (PathBuf::from(dir), false),
        None => (Path::new(HERE).join("corpus"), true),
    }
}

/// Name, bytes and expectation of every capture, by name.
fn captures() -> Vec<(String, Vec<u8>, want::Want)> {
    let (dir, _) = corpus();
    let mut out = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "out") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let want = want::read(&path.with_extension("want"));
            out.push((name, fs::read(&path).unwrap(), want));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!out.is_empty(), "no captures in {}", dir.display());
    out
}

/// Names in a list of known failures; what is right comes off it.
fn known(list: &str) -> BTreeSet<String> {
    if !corpus().1 {
        return BTreeSet::new();
    }
    let text = fs::read_to_string(Path::new(HERE).join(list)).unwrap();
    let lines = text.lines().map(str::trim);
    lines.filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

/// Runs `judge` over every capture, prints what is wrong, and fails for what is not on the list of
/// known failures.
fn run(list: &str, judge: impl Fn(&[u8], &want::Want) -> Result<(), String>) {
    let known = known(list);
    let (mut right, mut wrong, mut news) = (0, 0, Vec::new());
    let all = captures();
    for (name, bytes, want) in &all {
        match judge(bytes, want) {
            Ok(()) => {
                right += 1;
                if known.contains(name) {
                    println!("right now: {name}; take it off {list}");
                }
            }
            Err(text) => {
                wrong += 1;
                println!("wrong  {name}: {text}");
                if !known.contains(name) {
                    news.push(format!("{name}: {text}"));
                }
            }
        }
    }
    println!("{right} of {} right, {wrong} wrong ({list})", all.len());
    for name in &known {
        if !all.iter().any(|(n, _, _)| n == name) {
            news.push(format!("{name} on {list} is no capture"));
        }
    }
    assert!(news.is_empty(), "{}", news.join("\n"));
}

/// The rules of the sink first.
fn kept(collect: &Collect) -> Result<(), String> {
    collect.faults.first().map_or(Ok(()), |f| Err(f.clone()))
}

#[test]
fn outputs_become_the_tables_a_reader_sees() {
    if let Some(name) = env::var_os("LMPTOP_SHOW") {
        let bytes = fs::read(corpus().0.join(name).with_extension("out")).unwrap();
        println!("{:#?}", found::whole(&bytes).log);
    }
    run("known.txt", |bytes, want| {
        let collect = found::whole(bytes);
        kept(&collect)?;
        let found: Vec<_> = collect.found.iter().collect();
        compare::compare(&found, want).map_err(|f| f.text)
    });
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    for (name, bytes, _) in captures() {
        let whole = found::whole(&bytes);
        for seed in 0..8 {
            let mut cuts = Cuts(seed * 7919 + 1);
            let mut rest = bytes.as_slice();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let longest = [1, 3, 17, 4096][usize::try_from(seed % 4).unwrap()];
                let at = 1 + cuts.below(longest).min(rest.len() - 1);
                pieces.push(&rest[..at]);
                rest = &rest[at..];
            }
            let split = found::pieces(&pieces);
            let pair = whole.log.iter().zip(&split.log).find(|(a, b)| a != b);
            assert!(pair.is_none(), "{name}, seed {seed}: {pair:#?}");
            assert_eq!(whole.log.len(), split.log.len(), "{name}, seed {seed}");
        }
    }
}

#[test]
fn damaged_output_keeps_the_rules_of_the_sink() {
    for (name, bytes, _) in captures() {
        for seed in 0..6 {
            let mut pick = Cuts(seed * 104_729 + 3);
            let mut damaged = bytes.clone();
            for _ in 0..=damaged.len() / 200 {
                let at = pick.below(damaged.len());
                match seed % 3 {
                    0 => damaged[at] = u8::try_from(pick.below(256)).unwrap(),
                    1 => drop(damaged.drain(at..(at + 1 + pick.below(60)).min(damaged.len()))),
                    _ => damaged.insert(at, b"\n\t \x1b\r|"[pick.below(6)]),
                }
                if damaged.is_empty() {
                    break;
                }
            }
            for collect in [found::whole(&damaged), found::slowly(&damaged)] {
                let log = &collect.log;
                assert!(
                    collect.faults.is_empty(),
                    "{name}, {seed}: {:?}\n{log:#?}",
                    collect.faults
                );
            }
        }
    }
}

#[test]
fn a_slow_tool_ends_up_with_the_same_columns() {
    run("known-slow.txt", |bytes, want| {
        let collect = found::slowly(bytes);
        kept(&collect)?;
        let newest = collect.newest_tables();
        let mut first = None;
        for tables in &want.variants {
            match slow(&newest, tables) {
                Ok(()) => return Ok(()),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or_default())
    });
}

/// Every wanted table with rows is there by its newest columns, and what rows it has under these
/// are wanted ones.
fn slow(newest: &[&found::Found], want: &[want::Table]) -> Result<(), String> {
    for table in want.iter().filter(|t| t.rows.iter().any(|r| !r.maybe)) {
        let have: Vec<_> = newest.iter().map(|f| &f.columns).collect();
        let mut error = format!("no table {}, only {have:?}", compare::names(&table.columns));
        let fits = newest.iter().filter(|f| compare::columns(f, table).is_ok()).any(|f| {
            let stray = |cells: &&Vec<found::Own>| {
                !table.rows.iter().any(|row| compare::same_row(f, cells, row).is_ok())
            };
            match f.rows.iter().find(stray) {
                Some(row) => error = format!("a row nobody wants: {row:?}"),
                None if f.rows.is_empty() => error = "columns without rows".to_owned(),
                None => return true,
            }
            false
        });
        if !fits {
            return Err(error);
        }
    }
    let most = want.iter().filter(|t| !t.rows.is_empty()).count();
    let have = newest.iter().filter(|f| !f.rows.is_empty()).count();
    if have > most { Err(format!("{have} tables, not {most}")) } else { Ok(()) }
}

/// Small numbers in a fixed order (xorshift).
struct Cuts(u64);

impl Cuts {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}
