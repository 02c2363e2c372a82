//! Profiles decoded again, and by `go tool pprof` and `protoc` where they are installed.

use std::io::Read;

use super::super::Format;
use super::super::tests::{NOON, StackRow, stacks};
use super::*;

fn rows() -> [StackRow; 3] {
    let a = StackRow {
        syscall: Some("read"),
        modules: "a.out;;[kernel]",
        count: 2,
        ..StackRow::new("sh", "main;f;vfs_read", 20_000_000)
    };
    let b =
        StackRow { tid: 8, modules: "a.out;~a.out", ..StackRow::new("sh", "main;g", 7_000_000) };
    let none = StackRow { stack: None, live: Some(4096), ..StackRow::new("as", "", 3_000_000) };
    [a, b, none]
}

fn decoded(bytes: &[u8]) -> Profile {
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
    Profile::decode(raw.as_slice()).unwrap()
}

#[test]
fn a_profile_holds_every_number_and_label() {
    let [a, b, none] = rows();
    let p = decoded(&stacks(Format::Pprof, "oncpu", &[&[a.clone(), b], &[a, none]], &[]));
    let s = |id: i64| p.string_table[usize::try_from(id).unwrap()].as_str();
    let types: Vec<(&str, &str)> = p.sample_type.iter().map(|t| (s(t.r#type), s(t.unit))).collect();
    assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds"), ("live_bytes", "bytes")]);
    assert_eq!((p.string_table[0].as_str(), s(p.default_sample_type)), ("", "cpu"));
    assert_eq!((p.time_nanos, p.duration_nanos), (NOON - 1_000_000_000, 2_000_000_000));
    assert_eq!(p.period, 50_000_000 / 6, "ns a tick");

    let told = |sample: &Sample| {
        let frames = sample.location_id.iter().map(|id| {
            let l = &p.location[usize::try_from(*id).unwrap() - 1];
            let names = l.line.iter().map(|f| s(p.function[f.function_id as usize - 1].name));
            names.collect::<Vec<_>>().join("<")
        });
        let labels = sample.label.iter().map(|l| match l.str {
            0 => format!("{}={}", s(l.key), l.num),
            text => format!("{}={}", s(l.key), s(text)),
        });
        let frames = frames.collect::<Vec<_>>().join(" ");
        format!("{frames}: {} {:?}", labels.collect::<Vec<_>>().join(" "), sample.value)
    };
    let samples: Vec<String> = p.sample.iter().map(told).collect();
    assert_eq!(
        samples,
        [
            "vfs_read f main: pid=7 tid=7 comm=sh state=running syscall=read [4, 40000000, 0]",
            "g<main: pid=7 tid=8 comm=sh state=running [1, 7000000, 0]",
            "[no stack]: pid=7 tid=7 comm=as state=running [1, 3000000, 4096]",
        ]
    );
    let files: Vec<&str> = p.mapping.iter().map(|m| s(m.filename)).collect();
    assert_eq!(files, ["a.out", "[kernel]"]);
}

#[test]
fn heap_has_the_words_of_heap_profiles_and_levels_are_of_the_last_sample() {
    let live = |n| StackRow { live: Some(n), ..StackRow::new("a", "f", 10) };
    let p = decoded(&stacks(Format::Pprof, "heap", &[&[live(5)], &[live(7)]], &[]));
    let s = |id: i64| p.string_table[usize::try_from(id).unwrap()].as_str();
    let names: Vec<&str> = p.sample_type.iter().map(|t| s(t.r#type)).collect();
    assert_eq!(names, ["alloc_objects", "value_ns", "inuse_space"]);
    assert_eq!(p.sample[0].value, [2, 20, 7]);
    assert_eq!((p.period, p.period_type), (0, None));
}

#[test]
fn rows_are_counted_where_no_number_was_chosen() {
    let p = decoded(&stacks(Format::Pprof, "oncpu", &[&rows()], &["stack"]));
    assert_eq!(p.sample.iter().map(|s| s.value.clone()).collect::<Vec<_>>(), [[1], [1], [1]]);
    assert!(decoded(&stacks(Format::Pprof, "oncpu", &[&[]], &[])).sample.is_empty());
}

/// Runs a program that reads the profile in `file`; `None` where it is not installed.
fn read_by(argv: &[&str], file: &std::path::Path) -> Option<String> {
    let mut command = std::process::Command::new(argv[0]);
    command.args(&argv[1..]).arg(file);
    match command.output() {
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Some(String::from_utf8_lossy(&out.stdout).into_owned())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {} is not installed", argv[0]);
            None
        }
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn go_tool_pprof_reads_it() {
    let [a, b, none] = rows();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("oncpu.pb.gz");
    std::fs::write(&file, stacks(Format::Pprof, "oncpu", &[&[a, b, none]], &[])).unwrap();
    let Some(top) = read_by(&["go", "tool", "pprof", "-top", "-unit=ms"], &file) else { return };
    assert!(top.contains("Type: cpu") && top.contains("30ms total"), "{top}");
    let line = |name: &str| {
        let line = top.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{top}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[3].to_owned())
    };
    assert_eq!(line("vfs_read"), ("20ms".to_owned(), "20ms".to_owned()));
    assert_eq!(line("main"), ("0".to_owned(), "27ms".to_owned()));
    assert_eq!(line(" g"), ("7ms".to_owned(), "7ms".to_owned()));
    let tags = read_by(&["go", "tool", "pprof", "-tags"], &file).unwrap();
    assert!(tags.contains("syscall") && tags.contains("read"), "{tags}");
}
